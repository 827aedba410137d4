"""The engine without its door: the same model and context driven by a plain loop, in a process of its own.

`python -m tests.bench.bare` reads one job as JSON and prints one result as JSON. It is the yardstick for what
HTTP, scheduler and worker cost, in time and in memory, and it explains where batched answers differ.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
import psutil

from models.engine import LlamaEngine
from models.prompt import Message, Prompt
from models.protocol import Span
from tests.bench.processes import BenchFailed

ROOT = Path(__file__).parents[2]
# As models/scheduler.py steps: the yardstick must pay for prompts as the engine does.
MIXED_STEP_ROWS = 60
LONE_STEP_ROWS = 60


def run(job: Mapping[str, Any], settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Do the job in a new process, so that memory is its own and a crash of C code is an error here."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench.bare", json.dumps(job)],
        cwd=ROOT,
        env={**os.environ, **(settings or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise BenchFailed(f"the bare loop ended with {result.returncode}: {result.stderr.strip()[-800:]}")
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


class Loop:
    """models.engine and nothing else."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.before_bytes = psutil.Process().memory_info().rss
        self.engine = LlamaEngine(
            Path(job["model"]),
            name="bare",
            sequences=job["sequences"],
            cells=job["cells"],
            step_rows=LONE_STEP_ROWS,
            threads=job["threads"],
        )
        self.vocabulary = self.engine.vocabulary
        self.prompt = Prompt(self.vocabulary)

    def decode(self, spans: Sequence[tuple[int, int, Sequence[int], bool]]) -> None:
        self.engine.decode([Span(s, at, tokens, wants_token=wants) for s, at, tokens, wants in spans])

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[int]:
        """Decode prompts in sequences 0, 1, … with the engine's own step sizes; return first tokens."""
        room_rows = LONE_STEP_ROWS if len(prompts) == 1 else MIXED_STEP_ROWS
        first: dict[int, int] = {}
        done = [0] * len(prompts)
        while len(first) < len(prompts):
            room, spans = room_rows, []
            for sequence, prompt in enumerate(prompts):
                rows = min(room, len(prompt) - done[sequence])
                if rows > 0:
                    start = done[sequence]
                    done[sequence] += rows
                    wants = done[sequence] == len(prompt)
                    spans.append((sequence, start, prompt[start : start + rows], wants))
                    room -= rows
            self.decode(spans)
            for sequence, _, _, wants in spans:
                if wants:
                    first[sequence] = self.engine.sample(sequence)
        return [first[sequence] for sequence in range(len(prompts))]

    def answer(self, prompts: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
        """Greedy answers of all prompts side by side, then everything forgotten."""
        answers = [[token] for token in self.prefill(prompts)]
        for _ in range(tokens - 1):
            live = [s for s, a in enumerate(answers) if not self.vocabulary.is_end(a[-1])]
            if not live:
                break
            self.decode([(s, len(prompts[s]) + len(answers[s]) - 1, (answers[s][-1],), True) for s in live])
            for sequence in live:
                answers[sequence].append(self.engine.sample(sequence))
        for sequence in range(len(prompts)):
            self.engine.free(sequence)
        return [[t for t in a if not self.vocabulary.is_end(t)] for a in answers]


def speed(loop: Loop, job: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens a second of one batch, prompts included."""
    prompts = [loop.prompt.tokens(messages) for messages in _messages(job)]
    rates = []
    for _ in range(job["rounds"]):
        began = time.monotonic()
        answers = loop.answer(prompts, job["tokens"])
        rates.append(sum(map(len, answers)) / (time.monotonic() - began))
    return {"rates": rates}


def memory(loop: Loop, job: Mapping[str, Any]) -> dict[str, Any]:
    """Memory after the largest steps were run: what the model, its cells and its working room take."""
    text = loop.vocabulary.tokenise("What a class asks. " * LONE_STEP_ROWS, controls=False)
    loop.answer([text], 2)
    loop.answer([text[:MIXED_STEP_ROWS]] * job["sequences"], 2)
    return {"bytes": psutil.Process().memory_info().rss, "before_bytes": loop.before_bytes}


def steps(loop: Loop, job: Mapping[str, Any]) -> dict[str, Any]:
    """Milliseconds of one step at several widths."""
    text = loop.vocabulary.tokenise("What a class asks. " * LONE_STEP_ROWS, controls=False)
    result = {}
    for rows in job["rows"]:
        if rows > job["sequences"]:
            times = [_timed(lambda n=rows: loop.answer([text[:n]], 1)) for _ in range(job["rounds"])]
        else:
            loop.prefill([text[: job["context"]]] * rows)
            times = []
            for n in range(job["rounds"]):
                at = job["context"] + n
                began = time.monotonic()
                loop.decode([(s, at, (text[n],), True) for s in range(rows)])
                for sequence in range(rows):
                    loop.engine.sample(sequence)
                times.append(time.monotonic() - began)
            for sequence in range(rows):
                loop.engine.free(sequence)
        result[str(rows)] = statistics.median(times) * 1000
    return {"milliseconds": result}


def margins(loop: Loop, job: Mapping[str, Any]) -> dict[str, Any]:
    """Along each answer as it was written: how close the second best token was at each step."""
    told = []
    for messages, text in zip(_messages(job), job["texts"], strict=True):
        prompt = loop.prompt.tokens(messages)
        tokens = loop.vocabulary.tokenise(text, controls=False)
        loop.prefill([prompt])
        gaps = [_gap(loop)]
        for at, token in enumerate(tokens):
            loop.decode([(0, len(prompt) + at, (token,), True)])
            gaps.append(_gap(loop))
        loop.engine.free(0)
        pieces = [*(loop.vocabulary.piece(token).hex() for token in tokens), ""]
        told.append({"pieces": pieces, "gaps": gaps})
    return {"answers": told}


def _gap(loop: Loop) -> float:
    """How far the best token's logit is above the second best's."""
    engine = loop.engine
    logits = llama.llama_get_logits_ith(engine._context, engine._rows[0])
    size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(engine._model))
    values = np.ctypeslib.as_array(logits, (int(size),))
    second, first = np.partition(values, -2)[-2:]
    return float(first - second)


def _timed(act: Any) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _messages(job: Mapping[str, Any]) -> Any:
    return [[Message(m["role"], m["content"]) for m in messages] for messages in job["messages"]]


def main() -> None:
    job = json.loads(sys.argv[1])
    work = {"speed": speed, "memory": memory, "steps": steps, "margins": margins}[job["work"]]
    print(json.dumps(work(Loop(job), job)), flush=True)


if __name__ == "__main__":
    main()
