"""The engine's key: one file, made once, for the box's own account only."""

import subprocess
import sys

import pytest

from models.engine_key import ensure_engine_key, is_same_key
from models.errors import EngineKeyUnusable, StoreUnwritable


def test_the_key_is_made_once_and_only_for_us(home):
    key = ensure_engine_key(home)
    file = home / "models" / "engine.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(key) == 64
    assert ensure_engine_key(home) == key
    assert [path.name for path in file.parent.iterdir()] == ["engine.key"]


def test_another_box_gets_another_key(home, tmp_path):
    assert ensure_engine_key(home) != ensure_engine_key(tmp_path / "other")


def test_processes_that_start_together_agree(home):
    script = (
        "import sys, pathlib; from models.engine_key import ensure_engine_key;"
        "sys.stdin.read(1); print(ensure_engine_key(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    children = [subprocess.Popen(command, text=True, **pipes) for _ in range(6)]
    for child in children:
        child.stdin.write("x")
        child.stdin.flush()
    keys = {child.communicate(timeout=30)[0] for child in children}
    assert len(keys) == 1
    assert keys != {""}


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe", b"x" * 64])
def test_a_damaged_key_is_named_and_not_replaced(home, content):
    ensure_engine_key(home)
    file = home / "models" / "engine.key"
    file.write_bytes(content)
    with pytest.raises(EngineKeyUnusable, match=r"engine\.key"):
        ensure_engine_key(home)
    assert file.read_bytes() == content


def test_a_key_that_others_can_read_is_not_used(home):
    ensure_engine_key(home)
    (home / "models" / "engine.key").chmod(0o640)
    with pytest.raises(EngineKeyUnusable, match="other accounts"):
        ensure_engine_key(home)


def test_a_folder_that_cannot_be_written_is_named(home):
    home.write_text("a file where the folder should be")
    with pytest.raises(StoreUnwritable):
        ensure_engine_key(home)


def test_keys_are_compared_whole():
    assert is_same_key("ab", "ab")
    assert not any(is_same_key(given, "ab") for given in ("", "a", "abc", "кілт", "\ud800"))
