"""Asked to stop, the pages stop, wherever Python happens to be."""

import subprocess
import sys

# A destructor swallows every exception, also the one that says "leave".
STOPPED_IN_A_DESTRUCTOR = """
import signal, time
from appliance import serve

for number in (signal.SIGTERM, signal.SIGALRM):
    signal.signal(number, serve._stop)

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

dying = Dying()
del dying
print("swallowed", flush=True)
time.sleep(60)
"""


def test_a_stop_that_python_swallows_is_asked_for_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_IN_A_DESTRUCTOR],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "swallowed\n", "else this test proves nothing"
    assert done.returncode == 0
