"""What is done about one question before a model sees it: asked how, guarded by which keys, or not. Pure.

The code decides here, from the learner's attempts; the prompt only asks nicely. Keeps out the engine, the
tables and the words of the pages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance import hints, ladder, numerals, prompts, requests_read
from appliance.folding import fold, sound
from appliance.gate import Gate, Key
from appliance.ladder import Standing
from appliance.questions import Decision
from appliance.tasks import Task

# A question is about a task when it has this share of the task's words, or all its numbers.
SHARE_OF_WORDS = 0.6
LEAST_WORDS = 4
LEAST_NUMBERS = 2
# Results of sums in the question that are guarded in "hints only"; more sums are an exercise book.
MAX_SUMS = 8


@dataclass(frozen=True)
class Plan:
    """How to answer: `messages` is empty when no model is to be asked and the hint is the answer."""

    messages: tuple[dict[str, str], ...]
    prompt_version: str
    keys: tuple[Key, ...]
    hint: str  # English; may hold %(step)s
    decisions: tuple[Decision, ...] = ()
    asked: str = ""
    step: str = ""  # the learner's own, to be quoted by the hint
    before: tuple[str, ...] = ()  # answers seen already, oldest first

    @property
    def gate(self) -> Gate | None:
        return Gate(self.keys, asked=self.asked, before=self.before) if self.keys else None


def recognise(text: str, unsolved: Sequence[Task]) -> Task | None:
    """Return the task that a free question is about: pasted as a whole or in its numbers."""
    words, numbers = _words(text), _numbers(text)
    for task in unsolved:
        of_task = _words(task.text)
        given = _numbers(task.text)
        shared = len(of_task & words) / len(of_task) if len(of_task) >= LEAST_WORDS else 0.0
        if shared >= SHARE_OF_WORDS or (len(given) >= LEAST_NUMBERS and given <= numbers):
            return task
    return None


def plan(
    text: str,
    language: str,
    mode: str,
    task: Task | None = None,
    standing: Standing | None = None,
    step: str = "",
    before: Sequence[str] = (),
) -> Plan:
    """Decide about one question. `step` is the learner's last answer to the task, `before` what was shown."""
    if task is not None:
        return replace(_about_task(text, language, task, standing or Standing(), step), before=tuple(before))
    if mode == "hints":
        return _hints_only(text, language)
    return Plan(tuple(prompts.messages(text, language)), prompts.PROMPT_VERSION, (), hints.NO_ANSWER)


def _about_task(text: str, language: str, task: Task, standing: Standing, step: str) -> Plan:
    rung = min(standing.rung, ladder.SOLUTION)
    own = getattr(task, {2: "nudge", 3: "principle", 4: "twin"}.get(rung, ""), "") if 2 <= rung <= 4 else ""
    hint = own.replace("%", "%%") or hints.authored(task.kind, rung)
    key = task.key(language)
    if standing.may_see_solution:
        messages = prompts.about_task(text, language, task.text, step, "solution")
        return Plan(
            tuple(messages), prompts.TASK_VERSION, (), hint, (Decision("ladder", "solution_open"),), step=step
        )
    if not task.can_be_talked_about:
        return Plan((), "", (), hint, (Decision("two_choices", "authored_hint"),), step=step)
    request = requests_read.find_request(text, is_number=task.kind == "number")
    if request not in (None, requests_read.GUESS):
        # Nobody can read every disguise, so nobody is asked to write one.
        return Plan((), "", (), hint, (Decision(f"asked_{request}", "authored_hint"),), step=step)
    if request == requests_read.GUESS or _holds_key(text, key):
        # Right or wrong, the model's word on a guess would be the answer: the field checks it.
        return Plan((), "", (), hints.OWN_GUESS, (Decision("own_guess", "authored_hint"),))
    messages = prompts.about_task(text, language, task.text, step, prompts.RUNG_NAMES[rung])
    decisions = (Decision("ladder", f"rung_{rung}"),)
    return Plan(tuple(messages), prompts.TASK_VERSION, (key,), hint, decisions, text, step)


def _hints_only(text: str, language: str) -> Plan:
    """Without a task nobody knows the answer; what the question's own sums come to is held back."""
    sums = [m for m in numerals.mentions(text, is_kazakh=language == "kk") if m.how == "sum"]
    results = tuple(dict.fromkeys(str(mention.value) for mention in sums))[:MAX_SUMS]
    keys = tuple(Key((result,), task=text, language=language) for result in results)
    decisions = (Decision("hints_only", "results_guarded" if keys else "asked_for_hints"),)
    messages = prompts.messages(text, language, hints_only=True)
    return Plan(tuple(messages), prompts.HINTS_VERSION, keys, hints.WITHOUT_TASK, decisions, text)


def _holds_key(text: str, key: Key) -> bool:
    gate = Gate([key], by_person=True)
    gate.feed(text)
    gate.finish()
    return gate.tripped is not None


def _words(text: str) -> set[str]:
    return {sound(word)[:6] for word in re.findall(r"[^\W\d_]{3,}", fold(text).text)}


def _numbers(text: str) -> set[object]:
    return {m.value for m in numerals.mentions(text) if m.how in ("digits", "word") and m.value.numerator > 1}
