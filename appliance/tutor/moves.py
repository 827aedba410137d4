"""The closed form: while a task's key is shut, a model may only choose which of people's hints comes next.

Promises that nothing a model writes about such a task is seen: of its text one letter is read, and what
stands behind the letter was written by people beforehand and knows no key. It chooses once on each rung,
after that the box goes on through the rest in their order; so a model that obliges, and a learner who has
agreed on a code with it, can pass four possibilities a rung and no more. Pure. Keeps out when a rung is
reached (`ladder`).
"""

import json
from dataclasses import dataclass

from appliance.errors import N_
from appliance.tutor import hints
from appliance.tutor.ladder import ATTEMPT, NUDGE, PRINCIPLE, STEP_QUESTION, TWIN

LETTERS = "abcd"
# A choice is `{"move": "b"}`; whatever is longer is no choice.
MAX_CHOICE_CHARACTERS = 40
MAX_CHOICE_TOKENS = 24

_NUMBERS = {
    ATTEMPT: (
        N_("Write down what is given: each number of the task together with the word that belongs to it."),
        N_("What is asked at the end? Write it down in your own words, and then try a first step."),
    ),
    STEP_QUESTION: (
        N_("You wrote “%(step)s”. What does your number stand for in the task: what is it a number of?"),
        N_("Look at “%(step)s” and at the task. About how big should the result be? Does your step fit that?"),
        N_("Do the calculation in “%(step)s” once more, in another way, and compare. Do both ways agree?"),
    ),
    NUDGE: (
        N_("Tell the task in your own words: what happens in it, and what is asked at the end?"),
        N_("Draw the task: a picture, a table or a line. Where in your drawing is the thing that is asked?"),
        N_("Which words of the task tell you what to do with the numbers? Underline them and say why."),
    ),
    PRINCIPLE: (
        N_("Which operation joins the numbers of this task: adding, subtracting, multiplying or dividing? Write down why."),
        N_("Is one step enough here? Write a plan of all the steps first, without calculating anything."),
        N_("Write the unit beside each number. Do the units fit each other, and do they fit what is asked?"),
    ),
    TWIN: (
        N_("Check backwards: suppose your last answer “%(step)s” is right and put it into the task. Does everything fit?"),
        N_("Think of a task from your book that looks like this one. Which steps did it take? Take the same ones here."),
    ),
}  # fmt: skip
_WORDS = {
    ATTEMPT: (N_("What kind of thing is asked for: a person, a place, a time, a word? Start from there and write your first thought."),),
    STEP_QUESTION: (N_("Put your answer “%(step)s” beside the task and read it word for word. What fits, and what does not?"),),
    NUDGE: (N_("Ask the same question in your own words. What is it about, and where have you met it before?"),),
    PRINCIPLE: (N_("Look through the headings of the chapter and the list of words in your book. Which of them belong to this question?"),),
    TWIN: (N_("Write down three things that you know about this topic. Which of them touches the question?"),),
}  # fmt: skip


@dataclass(frozen=True)
class Menu:
    """The hints of one rung in the box's own order; in English, and may hold %(step)s."""

    sentences: tuple[str, ...]

    @property
    def letters(self) -> str:
        return LETTERS[: len(self.sentences)]

    def sentence(self, letter: str) -> str:
        return self.sentences[self.letters.index(letter)]

    def letter_after(self, letter: str) -> str:
        """Return what comes next: after the last one the first again. A menu may have become shorter."""
        return self.letters[(LETTERS.index(letter) + 1) % len(self.sentences)]


def menu(kind: str, rung: int, first: str = "") -> Menu:
    """Return the hints of a rung; `first` is the teacher's own, and goes before all others."""
    more = (_NUMBERS if kind == "number" else _WORDS)[rung]
    return Menu(((first or hints.authored(kind, rung)), *more))


def response_format(offered: Menu) -> dict[str, object]:
    """Return the form that the engine's grammar keeps an answer to."""
    schema = {
        "type": "object",
        "properties": {"move": {"type": "string", "enum": list(offered.letters)}},
        "required": ["move"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "move", "strict": True, "schema": schema}}


def read_choice(text: str, offered: Menu) -> str | None:
    """Return the letter that a model chose, or None: it wrote something else, which nobody will see."""
    try:
        value = json.loads(text[: MAX_CHOICE_CHARACTERS + 1])
    except (ValueError, RecursionError):
        return None
    letter = value.get("move") if isinstance(value, dict) and len(value) == 1 else None
    return letter if isinstance(letter, str) and letter in list(offered.letters) else None
