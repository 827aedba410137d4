"""Our engine on a file that no card describes, for `family`: worker, door and listener as in `models/server`.

`python tests/bench/family_program.py JOB`, where JOB is JSON. Nothing is calibrated.
"""

import json
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from models.engine import LlamaEngine
from models.listener import Listener
from models.metrics import EngineMetrics
from models.scheduler import SPARE_SEQUENCES
from models.seats import READING_ROWS
from models.server import SWITCH_SECONDS, Door, Served
from models.worker import Worker

SEATS, WAITING = 30, 64


def main() -> None:
    job = json.loads(sys.argv[1])
    sys.setswitchinterval(SWITCH_SECONDS)
    metrics = EngineMetrics()
    worker = Worker(
        lambda: LlamaEngine(
            Path(job["model"]),
            name="second family",
            sequences=SEATS,
            spare=SPARE_SEQUENCES,
            cells=job["cells"],
            step_rows=READING_ROWS,
            threads=job["threads"],
        ),
        metrics,
        WAITING,
    )
    served = Served("second-family", "", int(time.time()))
    application = Door(worker, served, metrics, job["key"]).application()
    listener = Listener("127.0.0.1", job["port"], application, SEATS + WAITING)
    listener.listen()
    threading.Thread(target=listener.serve, daemon=True).start()
    worker.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    worker.stop()
    listener.stop()
    worker.close()


if __name__ == "__main__":
    # Before any thread starts, which inherits the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
