"""The page that hangs beside the box fits on one sheet of A4, in every language."""

from pathlib import Path

import pytest

from appliance import languages
from tests.page_tour import Tour, Visit, browser, played_room

pytestmark = [pytest.mark.slow]


def test_the_guide_prints_on_one_page(tmp_path: Path) -> None:
    with played_room(tmp_path) as scene, browser() as chromium:
        for language in languages.languages():
            tour = Tour(chromium, scene, language, 1280)
            page = tour.open(Visit("guide", "guide.show", "teacher", "/teacher/guide"))
            sheet = page.pdf(format="A4", prefer_css_page_size=True)
            tour.close()
            assert sheet.count(b"/Type /Page\n") == 1, language
