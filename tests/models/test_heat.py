"""Who says that the processor is too hot."""

from pathlib import Path

import pytest

from models.heat import Heat


def cool() -> list[tuple[float, float | None]]:
    return [(45.0, None), (50.0, 100.0)]


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_machine_that_tells_nothing_is_not_hot(tmp_path):
    assert not Heat(list, tmp_path)()
    assert not Heat(cool, tmp_path)()


@pytest.mark.parametrize(("now", "high", "hot"), [(79, 100, False), (81, 100, True), (72, 70, True)])
def test_the_temperature_tells(now, high, hot, tmp_path):
    assert Heat(lambda: [*cool(), (now, high)], tmp_path)() is hot


@pytest.mark.parametrize(
    ("flags", "hot"), [("0\n", False), ("50000\n", False), ("50005\n", True), ("8", True)]
)
def test_a_raspberry_pi_says_when_it_holds_back_now(flags, hot, tmp_path):
    write(tmp_path, "devices/platform/soc/soc:firmware/get_throttled", flags)
    assert Heat(cool, tmp_path)() is hot


def test_a_mini_pc_counts_how_often_it_held_back(tmp_path):
    names = [f"devices/system/cpu/cpu{number}/thermal_throttle/core_throttle_count" for number in (0, 1)]
    for name in names:
        write(tmp_path, name, "7\n")
    heat = Heat(cool, tmp_path)
    assert not heat()
    write(tmp_path, names[1], "9\n")
    assert heat()
    assert not heat()


def test_a_sensor_that_breaks_is_no_reason_to_slow_down(tmp_path):
    write(tmp_path, "devices/platform/soc/soc:firmware/get_throttled", "what?")
    assert not Heat(cool, tmp_path)()
