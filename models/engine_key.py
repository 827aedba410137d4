"""The key that tells the box's own pages from other programs on the machine.

Both run under the box's account and read one file that nobody else can. Who has the key may speak for
learners and for the teacher; who has none is one stranger, whatever names it gives.
"""

import hmac
import os
import re
import secrets
from pathlib import Path

from models.errors import EngineKeyUnusable, StoreUnwritable
from models.notes import sync_folder

NAME = "engine.key"
_FORM = re.compile(r"[0-9a-f]{64}")
_PRIVATE = 0o600


def ensure_engine_key(home: Path) -> str:
    """Read the key; make it if there is none. Several processes may do so at the same time.

    Raises:
        EngineKeyUnusable: there is a file, but it is damaged or others can read it.
        StoreUnwritable: there is none, and none can be made.
    """
    path = home / "models" / NAME
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("ascii").strip()
        is_open = bool(path.stat().st_mode & 0o077)
    except UnicodeDecodeError as error:
        raise EngineKeyUnusable(path=path, detail="it is damaged") from error
    except OSError as error:
        raise StoreUnwritable(path=path.parent, detail=error.strerror or str(error)) from error
    if is_open:
        raise EngineKeyUnusable(path=path, detail="other accounts can read it")
    if not _FORM.fullmatch(text):
        raise EngineKeyUnusable(path=path, detail="it is damaged")
    return text


def is_same_key(given: str, key: str) -> bool:
    """Compare without telling by the time it takes how much was right."""
    return hmac.compare_digest(given.encode(errors="replace"), key.encode())


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{NAME}.{secrets.token_hex(8)}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces the key that another process has just made.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_folder(path.parent)
