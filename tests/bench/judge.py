"""Our engine against its own bare loop, against the peer for one learner, and under a flood.

Promises: everything that has a "must" beside the class of thirty (judge_class.py); the arithmetic is in
judging.py, the texts in lessons.py.
"""

from contextlib import ExitStack
from pathlib import Path

from models.settings import EngineSettings
from tests.bench import bare
from tests.bench.contest import hold_class
from tests.bench.figures import Measurement, Section
from tests.bench.judge_class import LONG, OURS, SHORT, Effort, ours_started
from tests.bench.judging import (
    Judged,
    Must,
    best_of,
    compare,
    gap_at_difference,
    percentile,
    same_texts,
)
from tests.bench.learners import Heard, Question, ask_all
from tests.bench.lessons import ANSWER_TOKENS, QUESTIONS, lesson, long_question, messages
from tests.bench.peer import PeerSetting, peer_started
from tests.bench.processes import BenchFailed, say
from tests.bench.streams import Told
from tests.bench.visits import fetch_text

# A learner's pasted homework, in words: longer than any fair share of a minute.
FLOOD_QUESTIONS, FLOOD_WORDS = 20, 250
FLOOD_LEAD_SECONDS = 0.5
OTHER_LEARNERS = 7

BATCH = 8
EQUALITY_PROMPTS = 40
# Pinned: an engine whose machine gets busy measures again and may take other threads, and tiles of
# 64 rows are shared out among threads; then close calls may fall otherwise, in company or alone.
EQUALITY_THREADS = 2

# Two tokens whose logits are closer than this may change places when the rows of a step are added up in
# another order in half precision. Measured: repeating one prompt in other batch shapes moves a logit by up
# to about 0.1 with SmolLM2-135M.
CLOSE_CALL = 0.25


# --- one learner ---


def judge_alone(home: Path, model: Path, effort: Effort) -> tuple[Section, list[Judged]]:
    """Both sides at their best threads; questions that neither has seen."""
    rounds = 3 * effort.rounds
    slots = effort.peers[0].slots
    with ExitStack() as stack:
        ports = {OURS: stack.enter_context(ours_started(home, "engine-default")).port}
        for threads in effort.threads:
            engine = stack.enter_context(ours_started(home, f"engine-{threads}", threads))
            ports[f"ours, {threads} threads"] = engine.port
        for threads in sorted({setting.threads for setting in effort.peers}):
            setting = PeerSetting(slots, threads)
            ports[setting.name] = stack.enter_context(
                peer_started(home, model, setting, EngineSettings(home).context_cells)
            )
        speeds: dict[str, list[float]] = {name: [] for name in ports}
        for number in range(-1, rounds):
            for name, port in ports.items():
                question = messages("Answer in plain sentences.", long_question(500 + number, 30))
                told = answers_of(ask_all(port, [Question("aigerim", question)]))[0]
                if number >= 0:  # the first only wakes everything up
                    speeds[name].append(told.tokens / told.last_token_seconds)
    peers = {name: values for name, values in speeds.items() if not name.startswith(OURS)}
    best = best_of(peers, largest=True)
    judged = compare(
        f"one learner alone, against {best}", "tokens/s", speeds[OURS], peers[best], Must(0.97, at_least=True)
    )
    rows = tuple(Measurement(name, "tokens/s", tuple(values)) for name, values in speeds.items())
    how = "A question of 30 words, from asking to the last token."
    say(f"alone: {judged.ours} against {judged.against}")
    return Section("One learner alone", how, rows), [judged]


def answers_of(heard: Heard) -> list[Told]:
    answers = []
    for told in heard.answers:
        if told is None or told.status != 200:
            raise BenchFailed(f"a learner got no answer: {told}")
        answers.append(told)
    return answers


# --- our own door ---


def judge_door(home: Path, model: Path, effort: Effort) -> tuple[Section, list[Judged]]:
    """HTTP, scheduler and worker against a loop that only decodes, in turns."""
    settings = EngineSettings(home)
    rounds = 2 * effort.rounds
    with ours_started(home, "engine-default") as engine:
        through, loop = [], []
        for number in range(rounds):
            asked = [messages("Answer in plain sentences.", f"{number}. {q}") for q in QUESTIONS[:BATCH]]
            job = bare_job(
                "speed", model, settings, engine.threads, messages=asked, tokens=ANSWER_TOKENS, rounds=1
            )
            loop += bare.run(job)["rates"]
            heard = ask_all(engine.port, [Question(f"learner-{n}", m) for n, m in enumerate(asked)])
            told = answers_of(heard)
            through.append(sum(t.tokens for t in told) / max(t.last_token_seconds for t in told))
    figure = f"our HTTP against a bare loop, {BATCH} learners"
    judged = compare(figure, "tokens/s", through, loop, Must(0.90, at_least=True))
    say(f"{figure}: {judged.ours} against {judged.against}")
    rows = (
        Measurement("through HTTP", "tokens/s", tuple(through)),
        Measurement("bare loop", "tokens/s", tuple(loop)),
    )
    how = f"{BATCH} short questions at once, {engine.threads} threads, prompts included."
    return Section("Our door", how, rows), [judged]


def bare_job(
    work: str, model: Path, settings: EngineSettings, threads: int, **more: object
) -> dict[str, object]:
    return {
        "work": work,
        "model": str(model),
        "sequences": max(settings.sequences, BATCH),
        "cells": settings.context_cells,
        "threads": threads,
        **more,
    }


# --- fairness ---


def judge_flood(home: Path, effort: Effort) -> tuple[Section, list[Judged]]:
    calm: list[float] = []
    flooded: list[float] = []
    refused = 0
    text = lesson(1, 350)
    rounds = 2 * effort.rounds
    with ours_started(home, "engine-default") as engine:
        ask_all(engine.port, [Question("first", messages(text, "What is it about?"))])
        for number in range(rounds):
            others = [
                Question(f"learner-{n}", messages(text, f"{number}. {QUESTIONS[n]}"), FLOOD_LEAD_SECONDS)
                for n in range(OTHER_LEARNERS)
            ]
            calm += firsts_of(ask_all(engine.port, others))
            flood = [
                Question("flooder", messages(text, long_question(100 * number + n, FLOOD_WORDS)))
                for n in range(FLOOD_QUESTIONS)
            ]
            heard = ask_all(engine.port, [*others, *flood])
            flooded += firsts_of(Heard(heard.answers[:OTHER_LEARNERS], heard.seconds, 0.0))
            refused += sum(1 for a in heard.answers[OTHER_LEARNERS:] if a is not None and a.status == 429)
    p95 = percentile(flooded, 0.95), percentile(calm, 0.95)
    figure = f"a flood of {FLOOD_QUESTIONS} long questions: first token p95 of the other {OTHER_LEARNERS}"
    judged = compare(figure, "s", p95[:1], p95[1:], Must(1.3, at_least=False))
    say(f"{figure}: {judged.ours} against {judged.against} without it; {refused} of the flood refused")
    rows = (
        Measurement("first token, with the flood", "s", tuple(flooded)),
        Measurement("first token, without", "s", tuple(calm)),
    )
    how = (
        f"One learner asks {FLOOD_QUESTIONS} questions of {FLOOD_WORDS} words at once, {OTHER_LEARNERS} "
        f"others on the same\nlesson {FLOOD_LEAD_SECONDS} s later one each. Each value is one learner's; "
        f"{refused} of the {FLOOD_QUESTIONS * rounds} were refused with 429."
    )
    return Section("A flood", how, rows), [judged]


def firsts_of(heard: Heard) -> list[float]:
    return [told.first_token_seconds for told in answers_of(heard)]


# --- cells and memory ---


def judge_room(home: Path, model: Path) -> tuple[Section, list[Judged]]:
    """Prompt rows that were really decoded for a class on one lesson, and memory after it."""
    settings = EngineSettings(home)
    with ours_started(home, "engine-default") as engine:
        ask_all(engine.port, SHORT.warm(1))
        before = prompt_rows(engine.port)
        told = answers_of(ask_all(engine.port, SHORT.questions(1)))
        rows = prompt_rows(engine.port) - before
        hold_class(LONG, 1, engine.port)
        resident = engine.process.memory_info().rss
    one = min(t.prompt_tokens for t in told)
    yardstick = bare.run(bare_job("memory", model, settings, engine.threads))
    bare_bytes = yardstick["bytes"] - yardstick["before_bytes"]
    # The lesson itself is warm: what a class may cost is its suffixes. 64 tokens hold the longest question
    # with the words around it.
    allowed = len(told) * 64
    cells = Judged(
        f"prompt rows decoded for 30 learners on a warm lesson of {one}+ tokens",
        f"{rows:,.0f}",
        f"{sum(t.prompt_tokens for t in told):,} unshared",
        rows,
        Must(allowed, at_least=False, unit="rows"),
    )
    overhead = (resident - bare_bytes) / 1e6
    memory = Judged(
        "engine memory over bare model + cells",
        f"{resident / 1e6:.0f} MB",
        f"{bare_bytes / 1e6:.0f} MB",
        overhead,
        Must(80, at_least=False, unit="MB"),
    )
    say(f"prompt rows: {rows:,.0f} (allowed {allowed}); memory over bare: {overhead:.1f} MB")
    measured = (
        Measurement("engine, resident after two classes", "MB", (resident / 1e6,)),
        Measurement("model, cells and working room alone", "MB", (bare_bytes / 1e6,)),
        Measurement("the same in a bare Python process", "MB", (yardstick["bytes"] / 1e6,)),
        Measurement("prompt rows decoded", "rows", (rows,)),
    )
    how = "Memory is resident memory; the model's file counts on both sides."
    return Section("Cells and memory", how, measured), [cells, memory]


def prompt_rows(port: int) -> float:
    """Prompt tokens that were really decoded: those of all prompts less those that were in memory already."""
    text = fetch_text(port, "/metrics")
    return counter(text, "sandyq_engine_prompt_tokens_total") - counter(
        text, "sandyq_engine_shared_tokens_total"
    )


def counter(text: str, name: str) -> float:
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise BenchFailed(f"/metrics has no {name}")


# --- the same answers ---


def judge_equality(home: Path, model: Path) -> tuple[Section, list[Judged]]:
    text = lesson(2, 120)
    asked = [messages(text, f"{n + 1}. {QUESTIONS[n % len(QUESTIONS)]}") for n in range(EQUALITY_PROMPTS)]
    with ours_started(home, f"engine-{EQUALITY_THREADS}", EQUALITY_THREADS) as engine:
        alone = [answers_of(ask_all(engine.port, [Question("aigerim", m)]))[0].text for m in asked]
        questions = [Question(f"learner-{n}", m) for n, m in enumerate(asked)]
        together = [told.text for told in answers_of(ask_all(engine.port, questions))]
    share, different = same_texts(alone, together)
    job = bare_job("margins", model, EngineSettings(home), engine.threads)
    parted = {"messages": [asked[n] for n in different], "texts": [alone[n] for n in different]}
    told = bare.run({**job, **parted})["answers"] if different else []
    gaps = [
        gap_at_difference(alone[n], together[n], [bytes.fromhex(p) for p in answer["pieces"]], answer["gaps"])
        for n, answer in zip(different, told, strict=True)
    ]
    unexplained = sum(gap > CLOSE_CALL for gap in gaps)
    say(f"same answers: {share:.1%}; gaps where they part: {[round(gap, 3) for gap in gaps]}")
    same = Judged(
        f"same greedy text, batched and alone, {EQUALITY_PROMPTS} prompts",
        f"{EQUALITY_PROMPTS - len(different)}",
        f"{EQUALITY_PROMPTS}",
        100 * share,
        Must(95, at_least=True, unit="%"),
    )
    explained = Judged(
        "differences that were no close call",
        f"{unexplained}",
        f"{len(different)} differ",
        unexplained,
        Must(0, at_least=False, unit="texts"),
    )
    how = (
        "Each prompt alone, then all at once. Where two answers part, the choice was a close call when the\n"
        f"two best tokens' logits differ by at most {CLOSE_CALL}: rows of a larger step are added up in\n"
        "another order."
    )
    rows = tuple(Measurement("gap where they part", "logits", tuple(gaps)) for _ in range(bool(gaps)))
    return Section("The same answers", how, rows), [same, explained]
