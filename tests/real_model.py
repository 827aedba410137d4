"""A state folder with the real embedded model in it, pulled once by our own code and kept between runs."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.fetch import choose_source
from models.store import Store

MODEL_NAME = "smollm2-135m-instruct"
_REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real_model_home() -> Path:
    """A SANDYQ_HOME whose current model is real and verified. Read only: see `lend_model`."""
    home = Path(os.environ.get("MODEL_CACHE_FOR_TESTS") or _REPOSITORY / ".cache" / "test-home")
    home.mkdir(parents=True, exist_ok=True)
    store = Store(home)
    card = store.catalogue.get(MODEL_NAME)
    with (home / ".test-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may share the folder
        store.receive(card, choose_source(card, None))  # verifies by digest what is there already
        if store.current() != card:
            store.use(card)
        if not (home / "models" / "calibration.json").exists():
            # As at an engine's first start, once for all tests. On a busy machine nothing is kept: no matter.
            command = [sys.executable, "-m", "appliance.cli", "models", "bench"]
            environment = {**os.environ, "SANDYQ_HOME": str(home), "SANDYQ_ENGINE_PORT": "0"}
            subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)
    return home


def lend_model(real_model_home: Path, home: Path) -> None:
    """Put the model into another state folder without copying its bytes where the disk allows."""
    lender, borrower = Store(real_model_home), Store(home)
    card = lender.get_current()
    path = borrower.path_of(card)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(lender.path_of(card), path)
    except OSError:
        shutil.copyfile(lender.path_of(card), path)
    borrower.use(card)
    # What is known of this machine: an engine in each test's own folder would measure it again.
    for name in ("calibration.json", "loaded.json"):
        note = real_model_home / "models" / name
        if note.exists():
            shutil.copyfile(note, home / "models" / name)
