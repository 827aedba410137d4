"""Wait until the pages answer, then end well; end badly when they never do.

    python -I -m provisioning.health_gate        sandyq-health.service

A new system is kept or given up by this. It asks as a learner's phone would, and only about the pages: a
box without a model still shows what was learnt, and the system before would have no model either.
"""

import http.client
import sys
import time

PORT = 80
# A first start on a slow card, a database being checked; a system that needs longer is of no use in a lesson.
PATIENCE_SECONDS = 300.0
ANSWER_SECONDS = 30.0
PAUSE_SECONDS = 1.0


def wait_for_pages(port: int = PORT, patience: float = PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + patience
    while not _answers(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def _answers(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        line.request("GET", "/health")
        return line.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


if __name__ == "__main__":
    sys.exit(0 if wait_for_pages() else "the pages did not come up")
