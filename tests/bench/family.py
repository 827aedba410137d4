"""The class of thirty on a model of another family and vocabulary: Gemma 3, 270M, base.

Sliding window, 262,144 tokens, weights in another form. It has no chat template, and our engine refuses
to chat with it; so both sides get the same file with a template written into it, and the same chat requests.
Keeps out: judging; the bounds belong to the embedded model.
"""

import json
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from models.settings import EngineSettings
from tests.bench.contest import Column, cells_needed, play
from tests.bench.figures import Section
from tests.bench.judge_class import OURS, Effort, column_section
from tests.bench.learners import KEYS
from tests.bench.peer import peer_started
from tests.bench.processes import free_port, running, wait_for
from tests.bench.visits import is_engine_ready
from tests.second_family import second_model

COLUMN = Column("350 words, Gemma 3 270M", 350, shared=True)
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
KEY = "bench"
THREADS = 2
PROGRAM = Path(__file__).with_name("family_program.py")
STRING, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of GGUF's other kinds
ALIGNMENT = 32


def measure_family(home: Path, effort: Effort) -> Section:
    model = home / "second-family.gguf"
    write_with_template(second_model(), model)
    cells = EngineSettings(home).context_cells
    with ExitStack() as stack:
        rivals = {OURS: stack.enter_context(_ours_started(home, model, cells))}
        setting = effort.peers[0]
        room = max(cells, cells_needed(COLUMN, setting.slots))
        rivals[setting.name] = stack.enter_context(peer_started(home, model, setting, room))
        section = column_section(COLUMN, play(COLUMN, rivals, effort.rounds))
    how = f"{section.how}\nOurs without calibration: {THREADS} threads, 30 answers at once."
    return Section(section.title, how, section.rows)


@contextmanager
def _ours_started(home: Path, model: Path, cells: int) -> Iterator[int]:
    port = free_port()
    job = {"model": str(model), "port": port, "cells": cells, "threads": THREADS, "key": KEY}
    command = [sys.executable, str(PROGRAM), json.dumps(job)]
    with running("family", home, command, os.environ) as process:
        wait_for("our engine", process, lambda: is_engine_ready(port))
        KEYS[port] = KEY
        yield port


def write_with_template(source: Path, target: Path) -> None:
    """Copy a GGUF file that has no chat template, and give it one."""
    with source.open("rb") as old, target.open("wb") as new:
        start = old.read(8)
        tensors, values = struct.unpack("<QQ", old.read(16))
        begin = old.tell()
        for _ in range(values):
            _skip_string(old)
            _skip_value(old, *struct.unpack("<I", old.read(4)))
        values_end = old.tell()
        for _ in range(tensors):
            _skip_string(old)
            (dimensions,) = struct.unpack("<I", old.read(4))
            old.seek(8 * dimensions + 4 + 8, os.SEEK_CUR)  # sizes, kind, offset behind the head
        infos_end = old.tell()
        old.seek(begin)
        key, text = b"tokenizer.chat_template", TEMPLATE.encode()
        new.write(start + struct.pack("<QQ", tensors, values + 1) + old.read(values_end - begin))
        new.write(struct.pack("<Q", len(key)) + key + struct.pack("<IQ", STRING, len(text)) + text)
        new.write(old.read(infos_end - values_end))
        new.write(bytes(-new.tell() % ALIGNMENT))
        old.seek(-infos_end % ALIGNMENT, os.SEEK_CUR)
        shutil.copyfileobj(old, new)


def _skip_string(file: BinaryIO) -> None:
    (length,) = struct.unpack("<Q", file.read(8))
    file.seek(length, os.SEEK_CUR)


def _skip_value(file: BinaryIO, kind: int) -> None:
    if kind == STRING:
        _skip_string(file)
    elif kind == ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        for _ in range(count):
            _skip_value(file, inner)
    else:
        file.seek(SIZES[kind], os.SEEK_CUR)
