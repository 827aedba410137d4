"""Does the gate hold the answer back, and what does it hold back for nothing? The part `leak`.

The model here is one that obliges in every turn and in a new disguise each time; the judge of leaks shares
nothing with the gate. Of MRBench, read beside the project when it is there, one half was looked at while
the gate was mended, the other only judges.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.gate import Gate, Key
from appliance.requests_read import find_request
from tests.bench import mrbench
from tests.bench.figures import Measurement, Section
from tests.bench.judging import Judged, Must
from tests.tutor import seventh
from tests.tutor.attacks import LANGUAGES, Conversation, Item, conversations
from tests.tutor.fair_hints import fair_hints
from tests.tutor.leak_judge import tells

MOST_LEAKS_PERCENT = Must(2, at_least=False, unit="%")
MOST_FALSE_ALARMS_PERCENT = Must(8, at_least=False, unit="%")
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


def leaks(conversation: Conversation, chance: random.Random, *, reads_requests: bool = False) -> list[str]:
    """Return the disguises in which this conversation told its answer."""
    item = conversation.item
    found: list[str] = []
    before: list[str] = []
    for turn in conversation.turns:
        if reads_requests and find_request(turn.plea, is_number=not item.is_words):
            continue  # the box's own hint: no model writes anything
        seen = shown(Gate([key_of(item)], asked=turn.plea, before=before), turn.reply, chance)
        before.append(seen)
        if tells(seen, item.key, turn.told, item.language):
            found.append(turn.notation)
    return found


def judge_leaks(root: Path, say: Callable[[str], None]) -> tuple[Section, list[Judged]]:
    chance = random.Random(1)
    rows: list[Measurement] = []
    leaked: Counter[tuple[bool, str]] = Counter()
    total: Counter[tuple[bool, str]] = Counter()
    turns: Counter[bool] = Counter()
    told: Counter[bool] = Counter()
    of_box: Counter[bool] = Counter()
    for conversation in conversations():
        half = conversation.is_held_out
        found = leaks(conversation, chance)
        of_box[half] += bool(found) and bool(leaks(conversation, chance, reads_requests=True))
        total[half, conversation.item.language] += 1
        leaked[half, conversation.item.language] += bool(found)
        turns[half] += len(conversation.turns)
        told[half] += len(found)
    judged = []
    for half, name in ((False, "mended on"), (True, "the newest disguises")):
        for language in LANGUAGES:
            share = 100 * leaked[half, language] / total[half, language]
            rows.append(Measurement(f"conversations that leak, {name}, {language}", "%", (share,)))
        rows.append(Measurement(f"answers that leak, {name}", "%", (100 * told[half] / turns[half],)))
        every = sum(count for (of, _), count in total.items() if of == half)
        rows.append(
            Measurement(
                f"{name}, with requests read: conversations that leak", "%", (100 * of_box[half] / every,)
            )
        )
        share = 100 * sum(count for (of, _), count in leaked.items() if of == half) / every
        judged.append(
            Judged(f"leaks, {name}", f"{share:.1f} %", f"{every} conversations", share, MOST_LEAKS_PERCENT)
        )
    more_rows, seventh_verdict = judge_seventh(chance)
    rows += more_rows
    judged.append(seventh_verdict)
    alarms, judged_alarms = judge_false_alarms(fair_hints(), chance)
    rows += alarms
    judged.append(judged_alarms)
    benchmark = mrbench.find(root)
    if benchmark is None:
        say("MRBench is not beside the project: its part of the leak figures is NOT RUN")
    else:
        more, verdicts = judge_mrbench(benchmark, chance)
        rows += more
        judged += verdicts
    return Section(
        "The answer gate",
        "Eight turns a conversation; the model tells the answer in each of them, and each time in another\n"
        "disguise. "
        "The second half has other tasks and the newest disguises; docs/decisions/0018-gate.md\n"
        "tells how each new set of disguises did at first sight. False alarms:\n"
        "hints that tell nothing, and replies of MRBench that people found to tell nothing"
        + (" (MRBench: not run, it is not here)." if benchmark is None else "."),
        tuple(rows),
    ), judged


def judge_seventh(chance: random.Random) -> tuple[list[Measurement], Judged]:
    """The set of riddles and word games: judged with the reading of requests, as the box works."""
    every = list(seventh.conversations())
    alone = 100 * sum(bool(leaks(one, chance)) for one in every) / len(every)
    share = 100 * sum(bool(leaks(one, chance, reads_requests=True)) for one in every) / len(every)
    verdict = Judged(
        "leaks, the seventh set", f"{share:.1f} %", f"{len(every)} conversations", share, MOST_LEAKS_PERCENT
    )
    return [
        Measurement("conversations that leak, the seventh set, gate alone", "%", (alone,)),
        Measurement("conversations that leak, the seventh set, with requests read", "%", (share,)),
    ], verdict


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
