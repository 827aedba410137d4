"""The models room's own fixtures. The real model comes from tests/real_model.py."""

import hashlib
import socket
import zipfile
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from models.card import ModelCard, WheelSource
from models.catalogue import Catalogue
from models.cli import engine_group, models_group
from models.errors import ModelsError
from models.settings import EngineSettings


@dataclass(frozen=True)
class AllSettings:
    """Stands for the settings object of the assembled command line."""

    engine: EngineSettings


class Terminal:
    """Types `sandyq models …` for us, with the outer door's manners: a message and exit code 1."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, *words: str) -> Result:
        @click.group()
        @click.pass_context
        def sandyq(context: click.Context) -> None:
            context.obj = AllSettings(EngineSettings(home=self.home))

        sandyq.add_command(models_group)
        sandyq.add_command(engine_group)
        result = CliRunner().invoke(sandyq, list(words))
        if isinstance(result.exception, ModelsError):
            result.exit_code = 1
            result.output_bytes += str(result.exception).encode()
        return result


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def terminal(home: Path) -> Terminal:
    return Terminal(home)


@pytest.fixture(scope="session")
def tiny_bytes() -> bytes:
    """Three blocks of a store's reading size and a bit: large enough to be cut in the middle."""
    return b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(110_000))


@pytest.fixture(scope="session")
def tiny_card(tiny_bytes: bytes) -> ModelCard:
    return ModelCard(
        name="tiny",
        title="Tiny",
        licence="Apache-2.0",
        languages=("kk", "en"),
        parameters=1,
        context_tokens=128,
        file_name="Tiny.Q4.gguf",
        sha256=hashlib.sha256(tiny_bytes).hexdigest(),
        bytes=len(tiny_bytes),
        source=WheelSource("tiny-wheel==1.0", "tiny/Tiny.Q4.gguf", 1000),
    )


@pytest.fixture
def tiny_catalogue(tiny_card: ModelCard) -> Catalogue:
    return Catalogue([tiny_card])


@pytest.fixture
def stick(tmp_path: Path, tiny_card: ModelCard, tiny_bytes: bytes) -> Path:
    """A USB stick with the model file on it."""
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / tiny_card.file_name).write_bytes(tiny_bytes)
    return folder


@pytest.fixture
def wheel(tmp_path: Path, tiny_bytes: bytes) -> Path:
    path = tmp_path / "tiny_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/Tiny.Q4.gguf", tiny_bytes)
        # What pip asks of a wheel.
        info = "tiny_wheel-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
