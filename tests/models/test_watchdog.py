"""A step that hangs is noticed, aborted, and if that does not help, the process is given up."""

import threading
import time

import pytest

from models import watchdog
from models.watchdog import Watchdog, patience_seconds


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules in hundredths of a second."""
    monkeypatch.setattr(watchdog, "HANG_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(watchdog, "ABORT_SECONDS", 0.1)


def test_a_hung_step_is_noticed_within_ten_seconds_and_a_slow_one_is_not() -> None:
    assert patience_seconds(1, 0.0) == watchdog.HANG_SECONDS
    # Gemma 4 E4B on a Raspberry Pi 5: 18.9 rows a second of prompt, 256 rows a step.
    assert patience_seconds(256, 1 / 18.9) > 2 * 256 / 18.9


def test_a_hung_step_is_aborted_once() -> None:
    aborted = threading.Event()
    given_up: list[str] = []
    looker = Watchdog(aborted.set, lambda: given_up.append("gave up"))
    with looker.watch(1):
        assert aborted.wait(10)
    time.sleep(0.2)
    looker.close()
    assert given_up == [], "the step came back after the abort"


def test_a_step_that_ignores_the_abort_ends_the_process() -> None:
    gave_up = threading.Event()
    looker = Watchdog(lambda: None, gave_up.set)
    with looker.watch(1):
        assert gave_up.wait(10)
    looker.close()


def test_ordinary_steps_and_pauses_between_them_alarm_nobody() -> None:
    alarms: list[str] = []
    looker = Watchdog(lambda: alarms.append("abort"), lambda: alarms.append("end"))
    for _ in range(5):
        with looker.watch(8):
            time.sleep(0.01)
    time.sleep(0.3)  # nobody asks: silence between steps is no hang
    looker.close()
    assert alarms == []


def test_a_slow_machine_teaches_patience_and_a_hang_does_not() -> None:
    looker = Watchdog(lambda: None, lambda: None)
    with looker.watch(10):
        time.sleep(0.05)
    slow = looker._slowest_row_seconds
    assert slow >= 0.005
    with looker.watch(1):
        time.sleep(0.3)
    assert looker._slowest_row_seconds == slow
    looker.close()


def test_a_box_that_was_measured_slow_may_read_its_first_prompt() -> None:
    alarms: list[str] = []
    # Without the measurement this step would count as hung: 64 rows of half a second, here in hundredths.
    looker = Watchdog(lambda: alarms.append("abort"), lambda: alarms.append("end"), 0.005)
    with looker.watch(64):
        time.sleep(0.3)
    looker.close()
    assert alarms == []
