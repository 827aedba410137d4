"""Read the learners of one class out of a OneRoster 1.2 (or 1.1) CSV export. Pure.

The standard's files point at each other: enrollments join users to classes. Only names and grades are
taken; user names, e-mail addresses, birthdays and numbers are never looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.errors import N_, ListHasManyClasses, ListIncomplete

MANIFEST = "manifest.csv"
NEEDED = ("orgs", "users", "classes", "enrollments")
# A message names a few classes, not a whole school's.
MAX_NAMED = 8

Records = list[tuple[int, dict[str, str]]]  # the row's number in its file, and its fields by lower-case name


@dataclass(frozen=True)
class Enrolled:
    """One learner of the class, or the reason why a row names none."""

    file: str
    row: int
    name: str = ""
    grade: str = ""
    fault: str = ""


def read(files: Mapping[str, Records], wanted: str) -> list[Enrolled]:
    """Return the learners of the class called `wanted`, or of the only one there is.

    Raises:
        ListIncomplete: the manifest or a file it promises is missing, or it is only a change since last time.
        ListHasManyClasses: none of several is called so.
    """
    _verify_complete(files)
    schools = {fields.get("sourcedid", "") for _, fields in _active(files["orgs"])}
    users = {fields.get("sourcedid", ""): fields for _, fields in _active(files["users"])}
    class_id, grades = _choose_class(files, wanted)
    found = []
    for row, fields in _active(files["enrollments"]):
        if fields.get("classsourcedid") != class_id or fields.get("role", "").casefold() != "student":
            continue
        user = users.get(fields.get("usersourcedid", ""))
        if user is None:
            found.append(Enrolled("enrollments.csv", row, fault=N_("users.csv has no such learner.")))
        elif fields.get("schoolsourcedid", "") not in schools:
            found.append(Enrolled("enrollments.csv", row, fault=N_("orgs.csv has no such school.")))
        elif user.get("enableduser", "").casefold() != "false":
            name = f"{user.get('familyname', '')} {user.get('givenname', '')}"
            grade = (user.get("grades") or grades).split(",")[0].strip()
            found.append(Enrolled("enrollments.csv", row, name, grade.lstrip("0") if grade.isdigit() else ""))
    return found


def _verify_complete(files: Mapping[str, Records]) -> None:
    if MANIFEST not in files:
        raise ListIncomplete(part=MANIFEST)
    says = {
        fields.get("propertyname", "").casefold(): fields.get("value", "").casefold()
        for _, fields in files[MANIFEST]
    }
    for part in NEEDED:
        if part not in files or says.get(f"file.{part}", "bulk") != "bulk":
            raise ListIncomplete(part=f"{part}.csv")


def _choose_class(files: Mapping[str, Records], wanted: str) -> tuple[str, str]:
    """Return the id of the class and its grades."""
    classes = [fields for _, fields in _active(files["classes"])]
    named = [one for one in classes if _name(one) == _name({"title": wanted})]
    chosen = named if len(named) == 1 else classes
    if len(chosen) != 1:
        titles = [one.get("title", "") for one in classes[:MAX_NAMED]]
        names = ", ".join(titles) + ("…" if len(classes) > MAX_NAMED else "")
        raise ListHasManyClasses(names=names) if classes else ListIncomplete(part="classes.csv")
    return chosen[0].get("sourcedid", ""), chosen[0].get("grades", "")


def _name(fields: Mapping[str, str]) -> str:
    return "".join(fields.get("title", "").split()).casefold()


def _active(records: Records) -> Records:
    return [(row, fields) for row, fields in records if fields.get("status", "").casefold() != "tobedeleted"]
