"""Why may, or may not, this be asked? The rule and its reason. Pure.

A decision is returned, not raised, so that a page, a report and a test read the same reason.
"""

from dataclasses import dataclass

from appliance.errors import (
    ApplianceError,
    BrokenText,
    QuestionEmpty,
    QuestionTooLong,
    SessionNotOpen,
    TooManyQuestions,
)

# A page of a school book has about 1,800 characters: whoever pastes a whole exercise still fits.
MAX_QUESTION_CHARACTERS = 2_000
# One being answered and one behind it: enough for a second thought, too few to crowd out a class.
MAX_OPEN_QUESTIONS = 2


@dataclass(frozen=True)
class Decision:
    """Allowed when `refusal` is None; otherwise the refusal says why and what to do instead."""

    refusal: ApplianceError | None = None


def decide_question(text: str, *, session_is_open: bool, open_questions: int) -> Decision:
    """Return whether a learner may ask this now. `text` is already stripped of outer white space."""
    if not text:
        return Decision(QuestionEmpty())
    if is_broken(text):
        return Decision(BrokenText())
    if len(text) > MAX_QUESTION_CHARACTERS:
        return Decision(QuestionTooLong(length=len(text), limit=MAX_QUESTION_CHARACTERS))
    if not session_is_open:
        return Decision(SessionNotOpen())
    if open_questions >= MAX_OPEN_QUESTIONS:
        return Decision(TooManyQuestions(limit=MAX_OPEN_QUESTIONS))
    return Decision()


def is_broken(text: str) -> bool:
    """Return True for text with damaged UTF-8 (it arrives as U+FFFD) or unprintable control characters."""
    return any(character == "\ufffd" or (character < " " and character not in "\n\t\r") for character in text)
