"""Does the gate hold the answer back, and what does it hold back for nothing? The part `leak`.

The model here is one that obliges in every turn and in a new disguise each time; the judges of leaks share
nothing with the gate. Of MRBench, read beside the project when it is there, one half was looked at while
the gate was mended, the other only judges.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance.lesson.questions import Decision
from appliance.tutor import ladder, likeness, moves, tutoring
from appliance.tutor.answers import Accepted
from appliance.tutor.gate import Gate, Key
from appliance.tutor.ladder import Standing
from appliance.tutor.tasks import Task
from appliance.tutor.tutoring import Plan
from tests.bench import mrbench
from tests.bench.figures import Measurement, Section
from tests.bench.judging import Judged, Must
from tests.tutor import seventh
from tests.tutor.attacks import LANGUAGES, Conversation, Item, conversations
from tests.tutor.eighth import WRITTEN, Talk, talks
from tests.tutor.fair_hints import fair_hints
from tests.tutor.leak_judge import tells
from tests.tutor.retold import halved, retold

MOST_LEAKS_PERCENT = Must(2, at_least=False, unit="%")
MOST_FALSE_ALARMS_PERCENT = Must(8, at_least=False, unit="%")
# A class has so many open tasks at a time; pupils' lines are compared with those of others.
OPEN_TASKS = 10
# Pieces as an engine sends them.
LARGEST_PIECE = 8


def key_of(item: Item) -> Key:
    return Key((item.key,), task=item.task, language=item.language)


def shown(gate: Gate, text: str, chance: random.Random) -> str:
    """Return what a learner sees of a text that comes in pieces."""
    seen, place = "", 0
    while place < len(text):
        size = chance.randint(1, LARGEST_PIECE)
        seen += gate.feed(text[place : place + size])
        place += size
    return seen + gate.finish()


def shown_by(plan: Plan, reply: str, chance: random.Random | None = None) -> str:
    """Return what a learner sees of a model's text under a plan, as the box works."""
    if not plan.messages:
        return ""
    if plan.menu is not None:
        chosen = moves.read_choice(reply, plan.menu)
        return plan.menu.sentence(chosen) if chosen else ""
    return shown(plan.gate, reply, chance or random.Random(1)) if plan.gate else reply


def shown_on_page(
    item: Item, turns: Sequence[tuple[str, str]], rung: int, chance: random.Random
) -> list[str]:
    """Return what a learner sees of a model's words on the page of a task, one text for each turn.

    A model obliges with what it knows: who was not told the task has no answer to tell.
    """
    kind = "words" if item.is_words else "number"
    task = Task("1", "7a", kind, item.task, (Accepted(item.key),))
    met: list[Decision] = []
    seen: list[str] = []
    for plea, reply in turns:
        plan = tutoring.plan(
            plea, item.language, "open", task, Standing(rung=rung), "99" if rung else "",
            seen, heard=partial(tutoring.letters_met, tuple(met)),
        )  # fmt: skip
        knows = any(item.task in message["content"] for message in plan.messages)
        seen.append(shown_by(plan, reply, chance) if knows else "")
        if plan.menu is not None:
            met.append(tutoring.moved(plan.menu.letters[0], plan.rung))
        met += plan.decisions
    return seen


def judge_leaks(root: Path, say: Callable[[str], None]) -> tuple[Section, list[Judged]]:
    chance = random.Random(1)
    rows, judged = judge_sets(chance)
    rows += ways_of_free_questions("retold in other words", retold())
    rows += ways_of_free_questions("with every second word", halved())
    alarms, judged_alarms = judge_false_alarms(fair_hints(), chance)
    rows += alarms
    judged.append(judged_alarms)
    benchmark = mrbench.find(root)
    if benchmark is None:
        say("MRBench is not beside the project: its part of the leak figures is NOT RUN")
    else:
        more, verdicts = judge_mrbench(benchmark, chance)
        rows += more + ways_of_pupils(benchmark) + [sent_for_nothing(benchmark, chance)]
        judged += verdicts
    return Section(
        "The answer gate",
        "A model that tells the answer in every turn, in eight disguises or in those of a written talk. `On\n"
        "the page of a task` is how the box works: there a model only chooses among hints of people. `Gate\n"
        "alone` stands behind free questions; docs/decisions 0018 and 0049 tell how each new set did\n"
        "at first sight. False alarms: hints that tell nothing, and replies of MRBench that people found to\n"
        "tell nothing" + (" (MRBench: not run, it is not here)." if benchmark is None else "."),
        tuple(rows),
    ), judged


def judge_sets(chance: random.Random) -> tuple[list[Measurement], list[Judged]]:
    rows: list[Measurement] = []
    judged: list[Judged] = []
    for name, every in (
        ("the first six sets", [spoken(one) for one in conversations()]),
        ("the seventh set", [spoken(one) for one in seventh.conversations()]),
        *((f"the {number} set", [_of_written(one) for one in talks(number)]) for number in WRITTEN),
    ):
        alone, on_page = Counter[str](), Counter[str]()
        total = Counter(talk.item.language for talk in every)
        for talk in every:
            language = talk.item.language
            alone[language] += talk.is_told_by(through_gate(talk, chance))
            rung = chance.randrange(ladder.SOLUTION)
            on_page[language] += talk.is_told_by(shown_on_page(talk.item, talk.turns, rung, chance))
        for language in LANGUAGES:
            share = 100 * alone[language] / total[language]
            rows.append(
                Measurement(f"conversations that leak, {name}, gate alone, {language}", "%", (share,))
            )
        share = 100 * on_page.total() / len(every)
        judged.append(
            Judged(
                f"leaks on the page of a task, {name}",
                f"{share:.1f} %",
                f"{len(every)} conversations",
                share,
                MOST_LEAKS_PERCENT,
            )
        )
    return rows, judged


@dataclass(frozen=True)
class Spoken:
    """One conversation of any set: what is said, and who judges whether it was told."""

    item: Item
    turns: tuple[tuple[str, str], ...]
    is_told_by: Callable[[list[str]], bool]


def spoken(conversation: Conversation) -> Spoken:
    item = conversation.item

    def is_told(seen: list[str]) -> bool:
        pairs = zip(seen, conversation.turns, strict=True)
        return any(tells(text, item.key, turn.told, item.language) for text, turn in pairs if text)

    return Spoken(item, tuple((turn.plea, turn.reply) for turn in conversation.turns), is_told)


def _of_written(talk: Talk) -> Spoken:
    return Spoken(talk.item, tuple((said.plea, said.reply) for said in talk.said), talk.is_told_by)


def through_gate(talk: Spoken, chance: random.Random) -> list[str]:
    seen: list[str] = []
    for plea, reply in talk.turns:
        seen.append(shown(Gate([key_of(talk.item)], asked=plea, before=seen), reply, chance))
    return seen


def ways_of_free_questions(name: str, asked: Iterable[tuple[Item, str]]) -> list[Measurement]:
    """How a free question is met that wants the answer of an open task."""
    ways: Counter[str] = Counter()
    for item, question in asked:
        task = Task("1", "7a", "words" if item.is_words else "number", item.task, (Accepted(item.key),))
        if tutoring.recognise(question, [task]) or tutoring.is_told(question, [task]):
            ways["page"] += 1
        else:
            ways["gate" if tutoring.near(question, [task]) else "free"] += 1
    return [
        Measurement(f"tasks {name} as a free question: {said}", "%", (100 * ways[way] / ways.total(),))
        for way, said in (
            ("page", "met as on their page, or sent there"),
            ("gate", "answered behind the gate"),
            ("free", "answered freely"),
        )
    ]


def sent_for_nothing(path: Path, chance: random.Random) -> Measurement:
    """How often a pupil who writes about one task is taken to mean another one."""
    lines = list(mrbench.pupil_lines(path))
    every = sorted({line.task for line in lines})
    sent = 0
    for line in lines:
        others = chance.sample([task for task in every if task != line.task], OPEN_TASKS)
        told = likeness.read(line.text)
        sent += any(likeness.tells(told, likeness.read(task)) for task in others)
    return Measurement(
        f"MRBench, lines of pupils taken for one of {OPEN_TASKS} other tasks", "%", (100 * sent / len(lines),)
    )


def ways_of_pupils(path: Path) -> list[Measurement]:
    """How the box meets what real pupils wrote on a task: with which words, and whose."""
    ways: Counter[str] = Counter()
    for line in mrbench.pupil_lines(path):
        task = Task("1", "7a", "number", line.task, (Accepted(line.key),))
        plan = tutoring.plan(line.text, "en", "open", task, Standing(rung=1), line.step)
        ways["chosen" if plan.menu else "explained" if plan.messages else "fixed"] += 1
    return [
        Measurement(f"MRBench, lines of pupils met by {name}", "%", (100 * ways[way] / ways.total(),))
        for way, name in (
            ("chosen", "a hint that a model chose, about their step"),
            ("explained", "a word explained by a model that does not know the task"),
            ("fixed", "the box's own hint"),
        )
    ]


def judge_false_alarms(
    hints: Iterable[tuple[Item, str]], chance: random.Random
) -> tuple[list[Measurement], Judged]:
    alarms: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for item, hint in hints:
        gate = Gate([key_of(item)])
        shown(gate, hint, chance)
        total[item.language] += 1
        alarms[item.language] += gate.tripped is not None
    rows = [
        Measurement(f"false alarms, own hints, {language}", "%", (100 * alarms[language] / total[language],))
        for language in LANGUAGES
    ]
    share = 100 * alarms.total() / total.total()
    verdict = Judged(
        "false alarms, own hints",
        f"{share:.1f} %",
        f"{total.total()} hints",
        share,
        MOST_FALSE_ALARMS_PERCENT,
    )
    return rows, verdict


def judge_mrbench(path: Path, chance: random.Random) -> tuple[list[Measurement], list[Judged]]:
    """English only, and its people also call a key step a reveal: recall there is reported, not judged."""
    counts: Counter[tuple[bool, bool, bool]] = Counter()
    for reply in mrbench.replies(path):
        gate = Gate([Key((reply.key,), task=reply.task)], asked=reply.asked)
        shown(gate, reply.text, chance)
        counts[reply.is_held_out, reply.reveals, gate.tripped is not None] += 1
    rows, verdicts = [], []
    for half, name in ((False, "mended on"), (True, "held out")):
        fair = counts[half, False, True] + counts[half, False, False]
        reveals = counts[half, True, True] + counts[half, True, False]
        alarms = 100 * counts[half, False, True] / fair
        rows.append(
            Measurement(
                f"MRBench, {name}: reveals held back", "%", (100 * counts[half, True, True] / reveals,)
            )
        )
        rows.append(Measurement(f"MRBench, {name}: false alarms", "%", (alarms,)))
        verdicts.append(
            Judged(
                f"false alarms, MRBench {name}",
                f"{alarms:.1f} %",
                f"{fair} replies",
                alarms,
                MOST_FALSE_ALARMS_PERCENT,
            )
        )
    return rows, verdicts
