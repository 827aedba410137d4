"""Does a learner ask what a word or a rule means, and nothing else? Pure.

Such a question may be answered freely by a model that was told nothing of the task. So it must be too short
to carry the task, hold no number, and ask for a meaning. Errs towards no: the box has hints. Keeps out what
is then said.
"""

import re

from appliance.tutor import numerals
from appliance.tutor.requests_read import as_heard, heard, names_answer, names_form

# "What does the word equation mean?" fits; a task told in other words does not.
MOST_WORDS = 9
_MEANING = (
    r"\bwhat (?:does|do|is meant)\b.{1,40}\bmean|\bwhat (?:is|are) (?:a|an|the rule|the word)\b"
    r"|\bdefinition\b"
    r"|\b(?:explain|remind me of) (?:the )?(?:rule|word|term)|\bchto (?:takoe|znachit|oznachaet|znachat)\b"
    r"|\b(?:obiasni|napomni)\w* (?:pravil|slov|termin)\w*|\bopredelenie\b"
    r"|\b(?:degen|degenimiz|degeni)(?: soz)? ne\b|\bnene? bildired|\bneni bildired|\b(?:maginasi|anikta)\w*"
    r"|\b(?:erej|soz)\w* (?:tusindir|esime sal)\w*"
)


def is_concept(text: str) -> bool:
    """Return whether a message only asks for the meaning of a word or a rule."""
    plain = heard(text)
    words = plain.split()
    if not words or len(words) > MOST_WORDS or numerals.mentions(text, is_kazakh=True):
        return False
    if re.search(r"\d", text) or names_answer(plain) or names_form(plain):
        return False
    return as_heard(_MEANING).search(plain) is not None
