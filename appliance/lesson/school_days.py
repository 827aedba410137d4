"""When is a contest overdue? Counting days on which a school is open. Pure.

Holidays are not known to the box, so a contest of the last day before them is late when school begins
again: the safer mistake, because nobody can forget it.
"""

from datetime import date, timedelta

# The learner still remembers what it was about, and a teacher with two lessons a week has met the class.
DAYS_TO_DECIDE = 3
SATURDAY = 5


def due_on(contested: date, *, days: int = DAYS_TO_DECIDE) -> date:
    """Return the last day on which an answer to a contest is in time."""
    day = contested
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < SATURDAY
    return day


def is_overdue(contested: date, today: date) -> bool:
    return today > due_on(contested)
