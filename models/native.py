"""llama.cpp as a library: how it is loaded, what it says, and how its structures are filled.

The only file that imports llama.cpp. `engine`, `vocabulary` and `sampler` take it from here, so that what
must be set before its threads exist is set.
"""

import ctypes
import logging
import os
from collections import deque
from typing import Any

# Before llama.cpp's threads exist: threads that wait for each other spin only for a moment and then sleep.
# Spinning on a core that another process needs made two threads up to 30 times slower (decision 0013).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import llama_cpp.llama_cpp as llama
import numpy.typing as npt
from llama_cpp import _ggml

logger = logging.getLogger("models.engine")

__all__ = ["forget_errors", "llama", "may_repack", "open_library", "pointer", "reason", "set_fields"]

_WARN, _ERROR, _CONTINUED = 3, 4, 5  # ggml_log_level as the library sends it

_recent_errors: deque[str] = deque(maxlen=8)


@llama.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore] # ctypes has no types for it
def _log(level: int, text: bytes, _: object) -> None:
    # Called from inside C, some thousand times while a model loads: look at the level first.
    if level not in (_WARN, _ERROR):
        return
    line = text.decode("utf-8", errors="replace").strip()
    if level == _ERROR:
        _recent_errors.append(line)
    logger.warning("llama.cpp: %s", line)


def open_library() -> None:
    """Harmless when it is open."""
    llama.llama_log_set(_log, None)
    llama.llama_backend_init()
    _load_processor_library()


def _load_processor_library() -> None:
    """Load the best of several libraries for this processor, where the engine was built with several.

    A machine that builds its own engine has one, linked; an image has one for each kind of processor
    (provisioning/image_engine), and llama.cpp then starts without any.
    """
    ggml = _ggml.libggml
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    if ggml.ggml_backend_dev_count() == 0:
        folder = str(_ggml.libggml_base_path).encode()
        ggml.ggml_backend_load_all_from_path(ctypes.c_char_p(folder))


def set_fields(structure: ctypes.Structure, **values: object) -> None:
    """ctypes takes an unknown field without a word; a field that was renamed upstream must not pass."""
    known = {field[0] for field in structure._fields_}
    for name, value in values.items():
        if name not in known:
            raise AttributeError(f"{type(structure).__name__} has no field {name}")
        setattr(structure, name, value)


def pointer(array: npt.NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


def may_repack() -> bool:
    """Weights packed for the processor are worth 2x in prompts, but llama.cpp's AMX form of them crashes.

    A step of two rows or more ends in a segmentation fault on processors with AMX (Sapphire Rapids and
    later; seen here with Q4_1, llama.cpp issue 20824 with Q4_K_M). No classroom box has one; servers do.
    """
    return b"AMX_INT8 = 1" not in llama.llama_print_system_info()


def forget_errors() -> None:
    _recent_errors.clear()


def reason(otherwise: str) -> str:
    """llama.cpp's first complaint: the later ones only say that the caller failed too."""
    return _recent_errors[0].partition(": ")[2] if _recent_errors else otherwise
