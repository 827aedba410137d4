"""A line to a server that can be cut: a TCP relay on loopback that hangs up when told to."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_BLOCK = 1 << 16


class CutLine:
    """Passes bytes on to a port.

    `cuts`: for each coming connection, bytes of the answer until it is cut; 0 = it is hung up on at once.
    """

    def __init__(self, port: int) -> None:
        self.cuts: list[int] = []
        self.connections = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """From now on connections are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            cut = self.cuts.pop(0) if self.cuts else None
            if cut == 0:
                _hang_up(near, in_order=False)
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=_pass_on, args=(near, far, None), daemon=True).start()
            threading.Thread(target=_pass_on, args=(far, near, cut), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, until: int | None) -> None:
    passed = 0
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            if until is not None and passed + len(block) > until:
                target.sendall(block[: until - passed])
                break
            target.sendall(block)
            passed += len(block)
    for end in (source, target):
        _hang_up(end, in_order=until is None)
    source.close()  # its own; the target is closed by whoever reads from it


def _hang_up(end: socket.socket, *, in_order: bool) -> None:
    """With a good-bye, or without a word, as a lost network does."""
    with suppress(OSError):
        if not in_order:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
