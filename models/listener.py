"""The engine's socket side: cheroot, and a way to see that the other end has hung up.

WSGI has no word for a client that went away, and a request that waits for a seat writes nothing that
could fail. So the gateway passes the connection's socket on, and `is_gone` looks at it.
"""

import logging
import select
import socket
import threading
from typing import Any

from cheroot import wsgi

from models.errors import PortTaken

logger = logging.getLogger(__name__)

CONNECTION_KEY = "sandyq.connection"
# Beside one thread for each request that may run or wait: /health, /metrics and refusals.
SPARE_THREADS = 6
# A class presses "ask" at the same moment; the default of 5 would make phones repeat their SYN.
BACKLOG = 128
# A reader that takes nothing for so long has lost its network without saying goodbye.
SOCKET_SECONDS = 20
# Of each of these threads: Python has its frames elsewhere, and below 2 MiB Linux gives no huge page to it.
STACK_BYTES = 512 * 1024
STOP_SECONDS = 3


class _Gateway(wsgi.Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override] # cheroot's stub says None
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        environ[CONNECTION_KEY] = self.req.conn.socket
        return environ


class Listener(wsgi.Server):
    def __init__(self, host: str, port: int, application: Any, requests: int) -> None:
        super().__init__(
            (host, port),
            application,
            numthreads=requests + SPARE_THREADS,
            server_name="sandyq-engine",
            request_queue_size=BACKLOG,
            timeout=SOCKET_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        self.gateway = _Gateway
        self._asked = (host, port)

    def listen(self) -> str:
        """Take the port; return the address people can use."""
        host, port = self._asked
        before = threading.stack_size(STACK_BYTES)
        try:
            self.prepare()
        except OSError as error:
            raise PortTaken(host=host, port=port, detail=error.strerror or str(error)) from error
        finally:
            threading.stack_size(before)
        bound: tuple[str, int] = self.bind_addr[:2]
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        return f"http://{name}:{bound[1]}"

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        logger.log(level, "%s", msg, exc_info=traceback)


def is_gone(connection: socket.socket | None) -> bool:
    """Has the client closed the connection? Bytes of a next request do not count as gone."""
    if connection is None:  # not under our listener, as in Flask's test client
        return False
    try:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if not poll.poll(0):
            return False
        return connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):  # reset, or closed already
        return True
