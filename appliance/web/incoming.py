"""Read the learners out of a form: what was typed, or the files that were brought."""

from collections.abc import Sequence

from appliance import languages, policy
from appliance.errors import N_, BrokenText
from appliance.people import class_list
from appliance.people.class_list import ClassList
from appliance.web.context import files, form, language

TEXT_FIELD = "learners"
FILE_FIELD = "list"


def read_list(grades: Sequence[int], class_name: str) -> ClassList:
    """Return what the form holds; files win over the text field.

    Raises:
        BrokenText: the typed text arrived damaged.
        ListRefused and its children: the file cannot be read.
    """
    if has_files():
        return class_list.read_files(
            files(FILE_FIELD), grades, form().get("wanted", "").strip() or class_name
        )
    text = form().get(TEXT_FIELD, "")
    if policy.is_broken(text):
        raise BrokenText
    return class_list.read_typed(text, grades)


def has_files() -> bool:
    """Return True when the list came in files: then it is shown before it is saved."""
    return bool(files(FILE_FIELD))


def as_text(rows: Sequence[class_list.Row]) -> str:
    """Return the rows so that `read_typed` reads the same: the preview's form carries them, no file waits."""
    return "\n".join(f"{row.name}\t{row.grade or ''}" for row in rows)


def as_typed(rows: Sequence[class_list.Row]) -> str:
    """Return the rows as a teacher would have typed them."""
    return "\n".join(f"{row.name}, {row.grade}" if row.grade else row.name for row in rows)


def sentences_of(found: ClassList) -> list[tuple[str, str]]:
    """Return for each named bad row where it is and what is wrong, in the reader's language."""
    told = []
    for problem in found.problems:
        where = languages.render(language(), N_("Row %(row)d"), {"row": problem.row})
        params = dict(problem.params)
        told.append(
            (
                f"{problem.file} · {where}" if problem.file else where,
                languages.render(language(), problem.message, params),
            )
        )
    return told
