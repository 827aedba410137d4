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

from appliance import languages
from tests.fake_engine import FakeEngine
from tests.page_tour import Scene, Tour, browser, played_room
from tests.room import open_room

FOLDER = Path(__file__).parents[1] / "docs" / "screens"
PHONE, DESK = 360, 1280
# What a teacher has on a desk or a wall as well.
ALSO_WIDE = ("teacher", "projector", "report", "ask")
COLOURS = 16
# A phone's page of many screens says no more below this.
MOST_HEIGHT = 2400
MOST_BYTES = 3_000_000


def main() -> int:
    for old in FOLDER.glob("*/*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as home, played_room(Path(home)) as scene, browser() as chromium:
        for language in languages.languages():
            _take(chromium, scene, language, PHONE)
            _take(chromium, scene, language, DESK)
        _take_first_start(chromium)
    pictures = list(FOLDER.glob("*/*.png"))
    total = sum(path.stat().st_size for path in pictures)
    print(f"{len(pictures)} pictures, {total / 1e6:.2f} MB in {FOLDER}")
    return 0 if total <= MOST_BYTES else 1


def _take(chromium: Chromium, scene: Scene, language: str, width: int) -> None:
    folder = FOLDER / language
    folder.mkdir(parents=True, exist_ok=True)
    tour = Tour(chromium, scene, language, width)
    for visit in scene.visits():
        if width == PHONE or visit.name in ALSO_WIDE:
            page = tour.open(visit)
            name = visit.name if width == PHONE else f"{visit.name}-wide"
            _save(page.screenshot(full_page=True), folder / f"{name}.png")
            page.close()
    tour.close()


def _take_first_start(chromium: Chromium) -> None:
    """The one page that is gone once somebody has filled it in."""
    engine = FakeEngine()
    with tempfile.TemporaryDirectory() as home, open_room(Path(home), engine) as room:
        for language in languages.languages():
            page = chromium.new_page(viewport={"width": PHONE, "height": 800})
            page.goto(f"{room.url}/setup?lang={language}")
            _save(page.screenshot(full_page=True), FOLDER / language / "setup.png")
            page.close()
    engine.close()


def _save(picture: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, MOST_HEIGHT)))
    # Without dithering, so that letters keep their edges and rows of one colour pack well.
    small = image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
