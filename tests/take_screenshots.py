"""Take a picture of every page in every language into docs/screens/: `python -m tests.take_screenshots`.

Small enough for the repository: sixteen colours are what our pages have, and no page changes its look by
itself. The pictures are taken again when a page changes; nothing compares them.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from appliance import languages
from appliance.care import backup, stage
from appliance.web.rescue import create_rescue_app
from tests import region_tour
from tests.care.school import make_school
from tests.fake_engine import FakeEngine
from tests.page_tour import Scene, Tour, browser, played_room
from tests.region_simulator import serve
from tests.room import open_room

FOLDER = Path(__file__).parents[1] / "docs" / "screens"
PHONE, DESK = 360, 1280
# What a teacher has on a desk or a wall as well.
ALSO_WIDE = ("teacher", "projector", "report", "ask", "needs", "equity", "desk", "nation", "codes")
LOOKS = [(language, width) for width in (PHONE, DESK) for language in languages.languages()]
README_PICTURE = FOLDER.parent / "images" / "pages.png"
README_PARTS = (("ask", "en", PHONE), ("teacher", "kk", 900))
README_GAP = 12
COLOURS = 16
# A page of many screens says no more below this, on a phone and on a desk.
MOST_HEIGHT = {PHONE: 1800, DESK: 1200}
MOST_BYTES = 4_500_000


def main() -> int:
    for old in FOLDER.glob("*/*.png"):
        old.unlink()
    with browser() as chromium:
        _take_box(chromium)
        _take_first_start(chromium)
        _take_rescue(chromium)
        for play in (region_tour.played_region, region_tour.told_nation):
            with tempfile.TemporaryDirectory() as home, play(Path(home)) as scene:
                _take_region(chromium, scene)
    pictures = list(FOLDER.glob("*/*.png"))
    total = sum(path.stat().st_size for path in pictures)
    print(f"{len(pictures)} pictures, {total / 1e6:.2f} MB in {FOLDER}")
    return 0 if total <= MOST_BYTES else 1


def _take_box(chromium: Chromium) -> None:
    with tempfile.TemporaryDirectory() as home, played_room(Path(home)) as scene:
        for language, width in LOOKS:
            tour = Tour(chromium, scene, language, width)
            for visit in scene.visits():
                if width == PHONE or visit.name in ALSO_WIDE:
                    _take(tour.open(visit), visit.name, language, width)
            tour.close()
        _take_readme(chromium, scene)


def _take_readme(chromium: Chromium, scene: Scene) -> None:
    """The first picture somebody sees of all this: a learner's telephone beside the teacher's desk."""
    parts = []
    for name, language, width in README_PARTS:
        tour = Tour(chromium, scene, language, width)
        page = tour.open(next(visit for visit in scene.visits() if visit.name == name))
        parts.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        tour.close()
    whole = Image.new("RGB", (sum(part.width for part in parts) + README_GAP, parts[0].height), "#8a9694")
    whole.paste(parts[0], (0, 0))
    whole.paste(parts[1], (whole.width - parts[1].width, 0))
    _save(whole, README_PICTURE)


def _take_region(chromium: Chromium, scene: region_tour.Scene) -> None:
    for language, width in LOOKS:
        tour = region_tour.Tour(chromium, scene, language, width)
        for visit in scene.visits:
            if width == PHONE or visit.name in ALSO_WIDE:
                _take(tour.open(visit), f"region-{visit.name}", language, width)
        tour.close()


def _take(page: Page, name: str, language: str, width: int) -> None:
    folder = FOLDER / language
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, MOST_HEIGHT[width])))
    _save(picture, folder / f"{name}{'-wide' if width == DESK else ''}.png")
    page.close()


def _take_first_start(chromium: Chromium) -> None:
    """The one page that is gone once somebody has filled it in."""
    engine = FakeEngine()
    with tempfile.TemporaryDirectory() as home, open_room(Path(home), engine) as room:
        for language in languages.languages():
            page = chromium.new_page(viewport={"width": PHONE, "height": 800})
            page.goto(f"{room.url}/setup?lang={language}")
            _take(page, "setup", language, PHONE)
    engine.close()


def _take_rescue(chromium: Chromium) -> None:
    """The one page of a box whose database is damaged, with a backup that opens."""
    with tempfile.TemporaryDirectory() as home:
        settings = make_school(Path(home) / "box")
        backup.create(settings, None, lambda _step: None)
        stage.stage(settings, Path(home) / "no sticks")
        app = create_rescue_app(settings.home, "kk", lambda: False, lambda _offer: None)
        with serve(app) as url:
            for language in languages.languages():
                page = chromium.new_page(viewport={"width": PHONE, "height": 800})
                page.goto(f"{url}/teacher?lang={language}")
                _take(page, "rescue", language, PHONE)


def _save(image: Image.Image, path: Path) -> None:
    # Without dithering, so that letters keep their edges and rows of one colour pack well.
    small = image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
