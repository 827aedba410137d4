"""Which models a machine can run, from made-up machines."""

import json

import click
import click.testing
import pytest

from models.calibration import LADDER, StepTime, Timings
from models.catalogue import shipped_catalogue
from models.fit import Machine, guess_machine, judge, processor_temperatures, speeds_from
from models.machine_cli import fit_command
from models.saying import SAY
from models.settings import EngineSettings

CARDS = shipped_catalogue()
# Published figures, research: 10 GB/s and 80 G parameters a second.
SMALL_BOARD = Machine(8_000_000_000, 10e9, 80e9, "x")
TINY_BOARD = Machine(2_000_000_000, 4e9, 10e9, "x")


def test_the_embedded_model_runs_everywhere():
    for machine in (SMALL_BOARD, TINY_BOARD):
        assert judge(CARDS.get("smollm2-135m-instruct"), machine, 8192).runs


def test_a_small_board_gives_a_class_the_kazakh_model_and_a_table_the_large_one():
    farabi = judge(CARDS.get("farabi-0.6b"), SMALL_BOARD, 8192)
    assert farabi.runs
    assert farabi.learners >= 30
    assert 15 < farabi.alone < 30  # published: 22 to 26 tokens a second for 0.4 GB
    qolda = judge(CARDS.get("qolda-4.3b"), SMALL_BOARD, 8192)
    assert qolda.runs
    assert 0 < qolda.learners < 10
    assert 2.5 < qolda.alone < 5  # published: 3 to 4.5 for 4B
    assert str(qolda.why[0]).startswith("It fits: when ")


def test_too_little_memory_is_said_in_numbers_with_the_way_out():
    fit = judge(CARDS.get("qolda-4.3b"), TINY_BOARD, 8192)
    assert not fit.runs
    assert fit.learners == 0
    assert "it needs 4007 MB of memory, and the engine may take 1500 MB" in str(fit.why[0])
    roomy = Machine(5_000_000_000, 10e9, 80e9, "x")
    reasons = [str(line) for line in judge(CARDS.get("qolda-4.3b"), roomy, 8192).why]
    assert any("engine.context_cells" in line for line in reasons)


def test_too_slow_is_said_in_seconds():
    slow = Machine(16_000_000_000, 1e9, 5e9, "x")
    fit = judge(CARDS.get("qolda-4.3b"), slow, 8192)
    assert not fit.runs
    assert "too slow here" in str(fit.why[0])


def test_what_is_not_known_is_said():
    reasons = [str(line) for line in judge(CARDS.get("gemma-4-e4b-it"), SMALL_BOARD, 8192).why]
    assert any("size of its file is not known" in line for line in reasons)
    assert any("heavy one was assumed" in line for line in reasons)


def test_speeds_follow_from_a_measured_model():
    card = CARDS.get("smollm2-135m-instruct")
    # Reading the weights takes 10 ms, each row 2 ms.
    steps = tuple(StepTime(rows, 0.010 + 0.002 * rows) for rows in LADDER)
    machine = speeds_from(Timings(4, (), steps, (StepTime(60, 0.13),)), card, 8_000_000_000)
    assert machine.bytes_per_second == pytest.approx(card.bytes / 0.010)
    assert machine.parameters_per_second == pytest.approx(card.parameters / 0.002)
    assert "smollm2" in str(machine.source)


def test_one_measured_step_is_enough_to_go_by():
    card = CARDS.get("smollm2-135m-instruct")
    times = Timings(1, (), (StepTime(1, 0.5),), (StepTime(60, 2.0),))
    assert speeds_from(times, card, 8_000_000_000).parameters_per_second > 0


def test_this_machine_can_be_looked_at():
    machine = guess_machine()
    assert machine.bytes_per_second > 100e6
    assert "guess" in str(machine.source)
    assert all(-50 < now < 150 for now, _ in processor_temperatures())


def test_the_command_says_yes_or_no_for_every_card(terminal):
    said = terminal.run("models", "fit").output
    assert all(card.name in said for card in CARDS)
    told = json.loads(terminal.run("models", "fit", "--json").output)
    assert len(told["models"]) == len(list(CARDS))
    assert told["machine"]["source"]
    assert all(row["why"] for row in told["models"])


def test_the_door_may_say_it_in_another_language(terminal):
    seen: list[str] = []

    @click.group()
    @click.pass_context
    def door(context: click.Context) -> None:
        context.obj = EngineSettings(home=terminal.home)
        context.meta[SAY] = lambda text, params: seen.append(text) or f"Жарайды {sorted(params)}"

    door.add_command(fit_command)
    said = click.testing.CliRunner().invoke(door, ["fit"]).output
    assert "Жарайды ['learners', 'tokens']" in said
    assert "It fits" not in said
    assert seen
