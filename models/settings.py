"""The engine's dials. Read from files and environment by appliance/settings, nowhere else."""

import os
from dataclasses import dataclass
from pathlib import Path

from models.errors import SettingOutOfRange

# More sequences than this gain nothing on a small processor (the knee lies near 8), and their
# decode rows together must fit one mixed step of scheduler.MOST_STEP_ROWS.
MAX_SEQUENCES = 48
# llama.cpp rounds the pool up to 256 cells; below that no useful conversation fits.
MIN_CONTEXT_CELLS = 256
MAX_CONTEXT_CELLS = 1_048_576
MAX_WAITING = 256
MAX_THREADS = 256
DEFAULT_SEQUENCES = 8


@dataclass(frozen=True)
class EngineSettings:
    home: Path
    host: str = "127.0.0.1"  # loopback: only the box's own pages talk to the engine
    port: int = 8081  # 0 = any free one, printed at start
    threads: int = 0  # 0 = what the measurement at first start chose (models/calibration)
    # Answers written at the same time. As long as it is the default, the measurement decides.
    sequences: int = DEFAULT_SEQUENCES
    context_cells: int = 8192  # tokens held in memory, all conversations together
    url: str = ""  # another server of the OpenAI chat API for the pages; "" = our own at host and port
    waiting: int = 32  # questions that may queue before the engine answers 429: one school class

    def __post_init__(self) -> None:
        _check("port", self.port, 0, 65_535)
        _check("threads", self.threads, 0, MAX_THREADS)
        _check("sequences", self.sequences, 1, MAX_SEQUENCES)
        _check("context_cells", self.context_cells, MIN_CONTEXT_CELLS, MAX_CONTEXT_CELLS)
        _check("waiting", self.waiting, 0, MAX_WAITING)

    @property
    def has_own_sequences(self) -> bool:
        return self.sequences != DEFAULT_SEQUENCES

    def choose_threads(self) -> int:
        """Until it is measured: all cores but one, so that the pages have theirs."""
        return self.threads or max(1, (os.cpu_count() or 1) - 1)


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingOutOfRange(name=name, value=value, low=low, high=high)
