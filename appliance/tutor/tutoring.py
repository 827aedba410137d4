"""What is done about one question before a model sees it: asked how, guarded by which keys, or not. Pure.

The code decides here, from the learner's attempts; the prompt only asks nicely. Keeps out the engine, the
tables and the words of the pages.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from appliance.lesson.questions import Decision
from appliance.tutor import concepts, hints, ladder, likeness, moves, numerals, prompts, requests_read
from appliance.tutor.folding import fold, sound
from appliance.tutor.gate import TINY, Gate, Key
from appliance.tutor.ladder import Standing
from appliance.tutor.moves import Menu
from appliance.tutor.tasks import Task

# A question is about a task when it has this share of the task's words, or all its numbers.
SHARE_OF_WORDS = 0.6
LEAST_WORDS = 4
LEAST_NUMBERS = 2
# So many words of a task in a free question, or one of its larger numbers, and its key is guarded.
NEAR_WORDS = 2
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
    menu: Menu | None = None  # of what the model writes only its choice among these is read
    rung: int = 0  # of the menu
    has_no_numbers: bool = False  # an answer with a number in it is held back, whatever the number

    @property
    def gate(self) -> Gate | None:
        if not self.keys:
            return None
        return Gate(self.keys, asked=self.asked, before=self.before, has_no_numbers=self.has_no_numbers)


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


def is_told(text: str, unsolved: Sequence[Task]) -> bool:
    """Return whether a free question tells one of the tasks in other words: it is answered on its page."""
    question = likeness.read(text)
    return any(likeness.tells(question, likeness.read(task.text)) for task in unsolved)


def near(text: str, unsolved: Sequence[Task]) -> list[Task]:
    """Return the tasks that a free question may be about in other words: their keys are guarded."""
    words, numbers = _words(text), {value for value in _numbers(text) if value > TINY}
    return [
        task
        for task in unsolved
        if len(_words(task.text) & words) >= NEAR_WORDS or numbers & _numbers(task.text)
    ]


def plan(
    text: str,
    language: str,
    mode: str,
    task: Task | None = None,
    standing: Standing | None = None,
    step: str = "",
    before: Sequence[str] = (),
    *,
    heard: Callable[[int], Sequence[str]] = lambda _rung: (),
    near_tasks: Sequence[Task] = (),
    tells_task: bool = False,
) -> Plan:
    """Decide about one question. `step` is the learner's last answer to the task, `before` what was shown.

    `heard` tells the letters of a rung's menu which this learner has met on this task, oldest first.
    """
    if task is not None:
        decided = _about_task(text, language, task, standing or Standing(), step, heard)
        return replace(decided, before=tuple(before))
    if tells_task:
        return Plan((), "", (), hints.TO_TASK, (Decision("tells_task", "sent_to_page"),))
    if mode == "hints":
        return _hints_only(text, language)
    keys = tuple(each.key(language) for each in near_tasks)
    messages = tuple(prompts.messages(text, language))
    hint = hints.WITHOUT_TASK if keys else hints.NO_ANSWER
    return Plan(messages, prompts.PROMPT_VERSION, keys, hint, asked=text, before=tuple(before))


def _about_task(
    text: str, language: str, task: Task, standing: Standing, step: str, heard: Callable[[int], Sequence[str]]
) -> Plan:
    """Decide about a question on a task. While its key is shut nothing here may depend on the key."""
    rung = min(standing.rung, ladder.SOLUTION)
    hint = _own_hint(task, rung) or hints.authored(task.kind, rung)
    if standing.may_see_solution:
        messages = prompts.about_task(text, language, task.text, step, "solution")
        return Plan(
            tuple(messages), prompts.TASK_VERSION, (), hint, (Decision("ladder", "solution_open"),), step=step
        )
    if not task.can_be_talked_about:
        return Plan((), "", (), hint, (Decision("two_choices", "authored_hint"),), step=step)
    request = requests_read.find_request(text, is_number=task.kind == "number")
    if request == requests_read.GUESS:
        # Right or wrong, any word on a guess would be the answer: the field checks it.
        return Plan((), "", (), hints.OWN_GUESS, (Decision("own_guess", "authored_hint"),))
    if _is_calculated(task) and concepts.is_concept(text):
        return _concept(text, language, task, hint, step)
    if request is not None:
        # Nobody can read every disguise, so nobody is asked to write one.
        return Plan((), "", (), hint, (Decision(f"asked_{request}", "authored_hint"),), step=step)
    return _closed(text, language, task, rung, step, heard)


def _is_calculated(task: Task) -> bool:
    """Return whether the answer follows from numbers of the task: then who was not told them cannot know it.

    A year or a capital is known to a model without any task.
    """
    return task.kind == "number" and len(numerals.mentions(task.text)) >= LEAST_NUMBERS


def _concept(text: str, language: str, task: Task, hint: str, step: str) -> Plan:
    """Let the model explain a word freely, but blindly: it is told nothing of the task."""
    return Plan(
        tuple(prompts.concept(text, language)),
        prompts.CONCEPT_VERSION,
        (task.key(language),),
        hint,
        (Decision("concept", "task_not_told"),),
        text,
        step,
        has_no_numbers=True,
    )


def _closed(
    text: str, language: str, task: Task, rung: int, step: str, heard: Callable[[int], Sequence[str]]
) -> Plan:
    """Let the model choose once among the rung's hints; then the box goes on through the rest."""
    has_work = task.kind == "number" and any(m.how != "ordinal" for m in numerals.mentions(text))
    if rung == ladder.ATTEMPT and has_work:
        rung = ladder.STEP_QUESTION
    if rung == ladder.STEP_QUESTION and has_work:
        step = text
    menu = moves.menu(task.kind, rung, _own_hint(task, rung))
    met = heard(rung)
    if not met and rung > ladder.ATTEMPT:
        messages = prompts.choose(text, language, task.text, step, menu.sentences)
        decisions = (Decision("closed", f"rung_{rung}"),)
        return Plan(
            tuple(messages), prompts.CHOICE_VERSION, (), menu.sentences[0], decisions, step=step, menu=menu,
            rung=rung,
        )  # fmt: skip
    letter = menu.letter_after(met[-1]) if met else menu.letters[0]
    return Plan((), "", (), menu.sentence(letter), (moved(letter, rung),), step=step, rung=rung)


def moved(letter: str, rung: int) -> Decision:
    """Return the record that a learner met this hint of this rung."""
    return Decision(f"move_{letter}", f"rung_{rung}")


def letters_met(decisions: Sequence[Decision], rung: int) -> list[str]:
    return [
        one.rule[-1] for one in decisions if one.rule.startswith("move_") and one.action == f"rung_{rung}"
    ]


def _own_hint(task: Task, rung: int) -> str:
    """Return the teacher's hint for a rung, ready to be filled like the box's own."""
    name = {ladder.NUDGE: "nudge", ladder.PRINCIPLE: "principle", ladder.TWIN: "twin"}.get(rung)
    return str(getattr(task, name)).replace("%", "%%") if name else ""


def _hints_only(text: str, language: str) -> Plan:
    """Without a task nobody knows the answer; what the question's own sums come to is held back."""
    sums = [m for m in numerals.mentions(text, is_kazakh=language == "kk") if m.how == "sum"]
    results = tuple(dict.fromkeys(str(mention.value) for mention in sums))[:MAX_SUMS]
    keys = tuple(Key((result,), task=text, language=language) for result in results)
    decisions = (Decision("hints_only", "results_guarded" if keys else "asked_for_hints"),)
    messages = prompts.messages(text, language, hints_only=True)
    return Plan(tuple(messages), prompts.HINTS_VERSION, keys, hints.WITHOUT_TASK, decisions, text)


def _words(text: str) -> set[str]:
    return {sound(word)[:6] for word in re.findall(r"[^\W\d_]{3,}", fold(text).text)}


def _numbers(text: str) -> set[Fraction]:
    return {m.value for m in numerals.mentions(text) if m.how in ("digits", "word") and m.value.numerator > 1}
