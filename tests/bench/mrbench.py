"""MRBench V2, the MathDial part: replies of tutors, and whether people found that they reveal the answer.

Read from the folder beside the project when it is there; never copied. The dialogues are cut into two
halves by their name: rules of the gate may be mended on one, the other only judges.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PLACE = Path("../shared/data/mrbench/mrbench_v2.json")
# A question is told once, in the tutor's first words.
_TASK = re.compile(r"question is:(.*?)(?:\n\s*\xa0?Student:|\Z)", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Reply:
    dialogue: str
    task: str
    key: str
    asked: str  # all that the learner wrote
    text: str
    reveals: bool
    is_held_out: bool


@dataclass(frozen=True)
class PupilLine:
    task: str
    key: str
    step: str  # what the pupil wrote before it
    text: str


def find(root: Path) -> Path | None:
    """Return the file if it is beside the project, or None."""
    place = root / PLACE
    return place if place.exists() else None


def replies(path: Path) -> Iterator[Reply]:
    for dialogue in json.loads(path.read_text(encoding="utf-8")):
        found = _facts(dialogue)
        if found is None:
            continue
        task, key = found
        name = dialogue["conversation_id"]
        held_out = hashlib.sha256(name.encode()).digest()[0] % 2 == 1
        # A tutor's lines are cut out: only the learner's own numbers are the learner's.
        asked = " ".join(
            part.split("Tutor:")[0] for part in dialogue["conversation_history"].split("Student:")[1:]
        )
        for answer in dialogue["anno_llm_responses"].values():
            judged = answer["annotation"]["Revealing_of_the_Answer"]
            yield Reply(
                name, task, key, asked,
                answer["response"], "answer is correct" in judged, held_out,
            )  # fmt: skip


def pupil_lines(path: Path) -> Iterator[PupilLine]:
    """Yield what pupils wrote to a tutor on a task, without their first attempt, which is no question."""
    for dialogue in json.loads(path.read_text(encoding="utf-8")):
        found = _facts(dialogue)
        if found is None:
            continue
        parts = [part.split("Tutor:")[0] for part in dialogue["conversation_history"].split("Student:")[1:]]
        lines = [" ".join(part.replace("\xa0", " ").split()) for part in parts]
        for before, line in pairwise(line for line in lines if line):
            yield PupilLine(*found, before, line)


def _facts(dialogue: dict[str, str]) -> tuple[str, str] | None:
    """Return the task of a dialogue and its key, or None where it has no number for a key."""
    task = _TASK.search(dialogue["conversation_history"])
    numbers = _NUMBER.findall(dialogue["Ground_Truth_Solution"].strip().splitlines()[-1])
    if dialogue["Data"] != "MathDial" or not task or not numbers:
        return None
    return task[1].strip(), numbers[-1].replace(",", "").strip("$")
