"""Run the programs that make an image, and say in our words when one is missing or fails.

Promises: a missing program is named before work begins; a failed one leaves its whole output in the log and
its last words in the error. Keeps out: what the programs are for.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.errors import BuildStepFailed, ProgramsMissing

# An error is read in a terminal or over the telephone: the last lines say what failed, the log has the rest.
SHOWN_LINES = 3

# Debian keeps tools for disks where a plain user's path does not look.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Workshop:
    """Where programs run: one folder, one log, and the clock that files are dated by."""

    folder: Path
    epoch: int
    log: Path

    def run(self, *command: str | Path, typed: str = "", environment: Mapping[str, str] | None = None) -> str:
        """Run a program to its end and return what it said on standard output."""
        words = [str(word) for word in command]
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            log.flush()
            done = subprocess.run(
                words,
                input=typed.encode(),
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment() | dict(environment or {}),
                check=False,
            )
            log.write(done.stdout)
        if done.returncode != 0:
            raise BuildStepFailed(program=Path(words[0]).name, reason=self._last_words(), log=self.log)
        return done.stdout.decode("utf-8", "replace")

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}",
            "SOURCE_DATE_EPOCH": str(self.epoch),
            # mke2fs asks nobody for the time but this; the same for every file system of one build.
            "E2FSPROGS_FAKE_TIME": str(self.epoch),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }

    def _last_words(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return " / ".join([line.strip() for line in lines if line.strip()][-SHOWN_LINES:])


def require_programs(names: Sequence[str]) -> None:
    """Raise when a program is not there, naming all that are missing at once."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    missing = [name for name in names if shutil.which(name, path=path) is None]
    if missing:
        raise ProgramsMissing(programs=", ".join(missing))
