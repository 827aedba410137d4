"""Run the pages: wire settings, database, assistant, announcement and the web server together.

A door: it reads settings and builds objects, and stops them in the right order on SIGTERM.
"""

import ctypes
import gc
import ipaddress
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from cheroot import wsgi

from appliance import database
from appliance.app import create_app
from appliance.box import discovery
from appliance.box.box_codes import find_codes, note_set_up
from appliance.care import deleted_marks, restore, soundness
from appliance.care.rescue_offer import Offer
from appliance.care.restore import Wish
from appliance.engine_client import EngineClient
from appliance.errors import PortTaken
from appliance.lesson import deletion
from appliance.lesson.live import LiveBoard
from appliance.lesson.replay import Replays
from appliance.people import access
from appliance.permission.exam_guard import ExamGuard
from appliance.settings import Settings
from appliance.tutor.assistant import Assistant
from appliance.web.context import Services
from appliance.web.rescue import create_rescue_app
from models.engine_key import ensure_engine_key
from models.errors import ModelsError
from models.store import Store
from models.supervision import answers, show_life, tell_supervisor
from sync.errors import DatabaseDamaged

log = logging.getLogger(__name__)

# glibc gives each thread a heap of its own and keeps what it freed there: with forty threads that was
# 5 MB of a class of thirty. One thread at a time runs Python, so they are hardly ever in each other's way.
M_ARENA_MAX = -8
HEAPS = 1
# A bell makes thirty phones ask at once, twice an hour; giving back takes two milliseconds.
TRIM_SECONDS = 15.0

# Thirty learners who wait hold a stream each, the teacher one, and pages need a few more.
HTTP_THREADS = 40
# A bell rings and thirty phones connect at once, some of them twice.
WAITING_CONNECTIONS = 128
# A phone asks again soon; with ten, as cheroot has it, twenty of thirty would connect anew each time.
LINES_KEPT = 64
# Questions that wait at our engine beyond those it writes: a finished answer leaves no gap.
ASKED_AHEAD = 4
# Each statement of a transaction gives the interpreter away; at Python's five milliseconds a turn, thirty
# pages being rendered would hold up whoever saves by a tenth of a second.
THREAD_TURN_SECONDS = 0.0005
# Streams notice the end within a heartbeat; a box that is switched off must not wait for a slow phone.
STOP_SECONDS = 3
# A stop that Python swallowed is asked for again so soon; systemd would kill after its time-out.
ASK_AGAIN_SECONDS = 0.5


class _Server(wsgi.Server):
    """Cheroot with its faults in our journal, and with a line kept open for each phone of a class."""

    keep_alive_conn_limit = LINES_KEPT

    def error_log(self, msg: str = "", level: int = logging.WARNING, traceback: bool = False) -> None:
        log.log(level, msg, exc_info=traceback)


def serve_web(settings: Settings) -> None:
    """Serve the classroom's pages until SIGTERM or SIGINT.

    Raises:
        AlreadyRunning, PortTaken: with the next step.
    """
    _share_heaps()
    sys.setswitchinterval(THREAD_TURN_SECONDS)
    with database.sole_server(settings.home):
        house = _House(settings)
        server = _Server(
            (settings.web.host, settings.web.port),
            house,
            numthreads=HTTP_THREADS,
            shutdown_timeout=STOP_SECONDS,
            # Also for the socket that systemd hands over: cheroot listens on it anew.
            request_queue_size=WAITING_CONNECTIONS,
        )
        try:
            server.prepare()
        except OSError as error:
            raise PortTaken(port=settings.web.port) from error
        closing = threading.Event()
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, _stop)
            # From here on only what pages leave behind is looked through, not the whole program.
            gc.freeze()
            gc.enable()
            house.start()
            threading.Thread(target=_give_back_memory, args=(closing,), name="memory", daemon=True).start()
            log.info("pages at http://%s:%d", settings.web.host, server.bind_addr[1])
            tell_supervisor("READY=1")
            host, port = server.socket.getsockname()[:2]
            show_life(lambda: answers(host, port, "/health"))
            server.serve()
        except SystemExit:
            signal.setitimer(signal.ITIMER_REAL, 0)
            tell_supervisor("STOPPING=1")
            log.info("stopping")
        finally:
            closing.set()
            house.close()
            server.stop()


class _House:
    """What stands behind the port: the classroom, or the rescue page until its database is good again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services: Services | None = None
        # A box that serves only itself has nothing to announce.
        self._presence = discovery.Presence(
            discovery.box_name(settings.home),
            settings.web.port,
            is_announced=not _is_loopback(settings.web.host),
        )
        self._look: subprocess.Popen[bytes] | None = None
        # An exchange that a power cut stopped comes first: until it is done there may be no file.
        restore.finish_exchange(settings)
        self._app: Callable[..., Iterable[bytes]] = (
            self._classroom() if _is_database_good(settings) else self._rescue()
        )

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._app(environ, start_response)

    def start(self) -> None:
        """Begin to answer and to be found."""
        if self._services is not None:
            self._services.assistant.start()
        self._presence.open()

    def close(self) -> None:
        if self._look is not None and self._look.poll() is None:
            self._look.terminate()
            self._look.wait()
        if self._services is not None:
            self._services.assistant.close()
            self._services.replays.close()
        self._presence.close()

    def _classroom(self) -> Callable[..., Iterable[bytes]]:
        """Build the pages on a database that is good and at the newest schema."""
        _finish_deletions(self._settings)
        _finish_set_up(self._settings)
        self._services = _services(self._settings, self._presence)
        return create_app(self._services)

    def _rescue(self) -> Callable[..., Iterable[bytes]]:
        """Show the rescue page, and let another process find the newest good backup meanwhile."""
        log.error("the database is damaged; the pages offer the newest good backup")
        soundness.note_damage(self._settings.home)
        self._look = subprocess.Popen(
            [sys.executable, "-m", "appliance.care.stage"],
            env=os.environ | {"SANDYQ_HOME": str(self._settings.home)},
            stdin=subprocess.DEVNULL,
        )
        look = self._look
        return create_rescue_app(
            self._settings.home, self._settings.language, lambda: look.poll() is None, self._restore
        )

    def _restore(self, offer: Offer) -> None:
        """Put the offered backup in place and open the classroom on it, without another start."""
        marks = set(offer.marks) | deleted_marks.read_at_home(self._settings.home)
        # The teacher saw its day on the page: also an old one is better than none.
        restore.exchange(self._settings, offer.found, Wish(replaces_classes=True, takes_old=True), marks)
        database.prepare(self._settings.sync.database_path)
        self._app = self._classroom()
        if self._services is not None:
            self._services.assistant.start()


def _is_database_good(settings: Settings) -> bool:
    """Look quickly, and bring it to the newest schema; what the daily full check has found counts as well."""
    path = settings.sync.database_path
    if soundness.is_damage_noted(settings.home) or soundness.is_damaged(path):
        return False
    try:
        database.prepare(path)
    except DatabaseDamaged:
        return False
    return True


def _give_back_memory(closing: threading.Event) -> None:
    """Return to the system what a burst of pages left behind; glibc keeps it, and the engine could use it."""
    with suppress(AttributeError):
        trim = ctypes.CDLL(None).malloc_trim
        while not closing.wait(TRIM_SECONDS):
            trim(0)


def _share_heaps() -> None:
    """Another C library than glibc has no such dial, and no such habit."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def _finish_deletions(settings: Settings) -> None:
    """What was deleted when the power went is cleaned out of the file now, before anybody comes."""
    with database.connection(settings.sync.database_path) as db:
        if deletion.needs_cleaning(db):
            deletion.clean(db, now=datetime.now(UTC))


def _finish_set_up(settings: Settings) -> None:
    """The power went between the first teacher's PIN and the mark that takes the codes off the card."""
    with database.connection(settings.sync.database_path) as db:
        if find_codes(settings.home) is not None and access.is_set_up(db):
            note_set_up(settings.home)


def _services(settings: Settings, presence: discovery.Presence) -> Services:
    board = LiveBoard()
    client = _engine_client(settings)
    guard = ExamGuard(settings.home, client)
    path = settings.sync.database_path
    # A server that stands in knows no fairness: it gets no more than it can write, the line stays here.
    ahead = 0 if settings.engine.url else ASKED_AHEAD
    # Proving the model's card takes a process of its own, so it is asked once.
    model_languages = _model_languages(settings)
    return Services(
        home=settings.home,
        database=path,
        language=settings.language,
        assistant=Assistant(
            path,
            client,
            board,
            guard,
            in_flight=settings.engine.sequences + ahead,
            model_languages=model_languages,
        ),
        board=board,
        guard=guard,
        presence=presence,
        port=settings.web.port,
        has_portal=settings.web.portal,
        replays=Replays(client),
        model_languages=model_languages,
    )


def _engine_client(settings: Settings) -> EngineClient:
    if settings.engine.url:
        return EngineClient(settings.engine.url)
    return EngineClient(
        f"http://{settings.engine.host}:{settings.engine.port}", ensure_engine_key(settings.home)
    )


def _model_languages(settings: Settings) -> tuple[str, ...]:
    """Return what the model in use was made for; a server that stands in says nothing about its own."""
    try:
        card = None if settings.engine.url else Store(settings.home).current()
    except ModelsError as error:
        # The engine says what is wrong with the model; pages come up all the same.
        log.warning("%s", error)
        return ()
    return tuple(card.languages) if card else ()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Leave the server's loop; where Python happens to be in a destructor it swallows that, so ask again."""
    signal.setitimer(signal.ITIMER_REAL, ASK_AGAIN_SECONDS)
    sys.exit(0)
