"""A free question that tells an open task is sent to its page; one about the subject is free."""

import pytest

from appliance.tutor import hints, likeness, tutoring
from appliance.tutor.tasks import Accepted, Task
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine
from tests.tutor.attacks import Item
from tests.tutor.eighth import WRITTEN, items
from tests.tutor.honest_requests import HONEST
from tests.tutor.retold import halved, retold

ABOUT_THE_SUBJECT = (
    "What is a prime number?",
    "How do I add fractions?",
    "How do you solve an equation?",
    "What does per cent mean?",
    "Who was Abai?",
    "Tell me about Australia",
    "What gas do we breathe?",
    "Как складывать дроби?",
    "Как найти процент от числа?",
    "Что растёт в Австралии?",
    "Бөлшектерді қалай қосады?",
    "Пайызды қалай табады?",
    "Фотосинтез деген не?",
)
EVERY = [item for name in WRITTEN for item in items(name).values()]


def task_of(item: Item) -> Task:
    return Task("1", "7a", "words" if item.is_words else "number", item.task, (Accepted(item.key),))


def is_met_on_page(item: Item, question: str) -> bool:
    task = [task_of(item)]
    return tutoring.recognise(question, task) is not None or tutoring.is_told(question, task)


def test_most_tasks_cut_short_or_retold_are_met_on_their_page() -> None:
    for asked, least in ((list(halved()), 0.7), (list(retold()), 0.6)):
        met = [is_met_on_page(item, question) for item, question in asked]
        assert sum(met) >= least * len(asked)
    assert all(is_met_on_page(item, item.task) for item in EVERY)


@pytest.mark.parametrize("question", [*ABOUT_THE_SUBJECT, *HONEST])
def test_a_question_about_the_subject_is_free_beside_all_tasks(question: str) -> None:
    assert not tutoring.is_told(question, [task_of(item) for item in EVERY])


@pytest.mark.parametrize(
    ("question", "task", "is_told"),
    [
        ("240 × 0,15", "Find 15 per cent of 240.", True),
        ("what do 3/8 and 2/8 make together", "Add the fractions 3/8 and 1/4.", True),
        ("I have 240 sheep", "Find 15 per cent of 240.", False),
        ("240 sheep, 12 goats and 31 cows: how many animals?", "Find 15 per cent of 240.", False),
        ("two and one", "Add 2 and 1 and 45.", False),
        ("", "Find 15 per cent of 240.", False),
    ],
)
def test_numbers_tell_a_task_when_they_are_most_of_the_question(
    question: str, task: str, is_told: bool
) -> None:
    assert likeness.tells(likeness.read(question), likeness.read(task)) == is_told


def test_who_tells_a_task_in_other_words_is_sent_to_its_page_and_no_model_is_asked(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.words = ["It is ", "36."]
    dana.post("/teacher/tasks", {"text": "Find 15 per cent of 240.", "answers": "36"})
    aigerim.ask("240 × 0,15")
    wait_until(classroom.all_answered)
    assert engine.requests == []
    assert classroom.value("SELECT answer FROM question") == hints.TO_TASK
    assert 'href="/tasks"' in aigerim.get("/ask").text
    aigerim.ask("Why is the sky blue?")
    wait_until(classroom.all_answered)
    assert len(engine.requests) == 1
