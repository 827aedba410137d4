"""Load a model once in a process of its own, to see whether llama.cpp survives it.

llama.cpp ends the whole process on some files with a lying header. A file that was never loaded on this
machine is therefore opened here first: whatever happens, the engine only sees an exit code, and the
people who ask read a sentence. A new version of the library is tried anew.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from models.errors import ModelsError, ModelUnloadable
from models.notes import keep_note, read_note

NOTE_NAME = "loaded.json"
# Reading from the slowest card we support, and packing the weights for the processor on top of it.
PROBE_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 20_000_000
# A header may promise more memory than there is; the machine must not begin to kill processes for it.
MEMORY_SHARE = 1.5  # of the machine's, as addresses: the file itself is mapped and counts too
CELLS = 256
ROWS = 8
_PR_SET_PDEATHSIG = 1


def ensure_loadable(path: Path, folder: Path, *, name: str, sha256: str) -> None:
    """Raise ModelUnloadable when the file cannot be loaded, however badly that ends."""
    note_path = folder / NOTE_NAME
    note = read_note(note_path)
    loader = library_version()
    if note.get(sha256) == loader:
        return
    _try(path, name)
    keep_note(note_path, note | {sha256: loader})


def library_version() -> str:
    return version("llama-cpp-python")


def _try(path: Path, name: str) -> None:
    seconds = PROBE_SECONDS + path.stat().st_size / SLOWEST_BYTES_PER_SECOND
    # llama.cpp would start a debugger on itself to show where it crashed.
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    command = [sys.executable, "-m", "models.probe", str(path), name]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=seconds, check=False, text=True
        )
    except subprocess.TimeoutExpired as error:
        raise ModelUnloadable(name=name, detail=f"it is not loaded after {seconds:.0f} seconds") from error
    if done.returncode == 0:
        return
    if done.returncode < 0:
        detail = f"llama.cpp crashed on it ({signal.Signals(-done.returncode).name})"
    else:
        detail = done.stdout.strip() or "it cannot be opened"
    raise ModelUnloadable(name=name, detail=detail)


def main(path: str, name: str) -> int:
    _limit_ourselves()
    # Slow to load, and the parent of this process must not wait for it to ask its question.
    from models.engine import LlamaEngine

    try:
        LlamaEngine(Path(path), name=name, sequences=1, cells=CELLS, step_rows=ROWS, threads=1).close()
    except ModelUnloadable as error:
        sys.stdout.write(str(error.params["detail"]))
        return 1
    except (ModelsError, MemoryError, OverflowError, ValueError) as error:
        sys.stdout.write(str(error) or type(error).__name__)
        return 1
    return 0


def _limit_ourselves() -> None:
    # No core file of the size of a model on a small disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = int(memory * MEMORY_SHARE)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if sys.platform == "linux":
        # The engine may be killed while it waits; nobody would end us then.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
