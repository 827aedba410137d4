"""How `make test` spreads the tests over two processes (pytest-xdist): by file, the long ones first.

Promises: what is dear to make is made once a run, because the files that need it share a process; tests that
keep all cores busy do not run beside each other; a run ends with short files, so that neither process waits
long for the other. Keeps out: which tests run, and whether one is skipped. Decision 0051.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The first group shares the system of an image, minutes of work. The second decodes with two threads, which
# on two cores wait for each other as soon as anybody else computes: one such test at a time is enough.
TOGETHER = {
    "system": (
        "tests/provisioning/*containers.py",
        "tests/provisioning/*image_s*.py",
        "tests/provisioning/*vm_*.py",
    ),
    "engine": (
        "tests/models/test_same_in_any_company.py",
        "tests/models/test_second_family.py",
        "tests/models/test_machine_cli.py",
    ),
}
# The longest first. What is not named takes less than half a minute.
LONG = (
    "system",
    "engine",
    "tests/test_killed_processes.py",
    "tests/test_accessibility.py",
    "tests/sync/test_attacks.py",
    "tests/sync/test_killed_processes.py",
    "tests/sync/test_killed_sticks.py",
    "tests/sync/test_any_history.py",
    "tests/test_exam_processes.py",
    "tests/models/test_engine_real.py",
    "tests/test_end_to_end.py",
    "tests/test_lesson.py",
    "tests/test_processes.py",
    "tests/test_live_class.py",
    "tests/care/test_care_in_browser.py",
)


def scope_of(nodeid: str) -> str:
    """Return what a test shares its process with: the name of its group, or its file."""
    file = nodeid.partition("::")[0]
    for name, patterns in TOGETHER.items():
        if any(fnmatchcase(file, pattern) for pattern in patterns):
            return name
    return file


class ByScope(LoadScopeScheduling):
    """Hands out scopes in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # it would begin with the most tests, not with the longest
    return ByScope(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long scopes in front, in a process of several; whoever runs one file alone sees it in order."""
    if hasattr(config, "workerinput"):
        place = {scope: number for number, scope in enumerate(LONG)}
        items.sort(key=lambda item: place.get(scope_of(item.nodeid), len(LONG)))
