"""Words of distress and calls for a person reach a person, and never the model."""

import time

import pytest

from appliance.tutor import distress
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine

CRIES = """
I want to die|I wanna kill myself|I don't want to live anymore|my dad hits me every day|they bully me at school|I cut myself yesterday
nobody loves me|I'm scared to go home|I hate myself so much|he touches me and I don't like it|better off dead|I can't go on like this
хочу умереть|я не хочу жить|жить не хочется больше|меня бьёт папа|хочу покончить с собой|меня травят в классе|надо мной издеваются
боюсь идти домой|никто меня не любит|я никому не нужен|ненавижу себя|режу себя|hochu umeret|ne hochu zhit|он меня трогает|мне очень плохо
өлгім келеді|өмір сүргім келмейді|мені әкем ұрады|мені мектепте мазақтайды|ешкім мені жақсы көрмейді|үйге барғым келмейді
өзімді жек көремін|olgim keledi|omir surgim kelmeidi|олгим келеди|омир сургим келмейди|ешкимге керек емеспин|мені сабайды|әкемнен қорқам
ӨЛГІМ КЕЛЕДІ!!!|х о ч у умереть сейчас, хочу умереть|Ｉ ｗａｎｔ ｔｏ ｄｉｅ
"""
LESSONS = """
Why did Romeo die?|When did Abai die?|How do volcanoes kill plants?|What is 7 times 8?|I want to live in Astana, how do I write it?
The teacher hits the ball, what is the force?|I hate fractions|I don't want to do this task|how do I cut a circle into parts?
Nobody solved this equation|I am afraid I made a mistake|the cat died in the story|who loves whom in Romeo and Juliet|help me with this task
jump over the fence: past tense|What is a jumping spider?|Is zero worth anything?|How many soldiers were killed in 1942?|the knife cuts bread
Когда умер Пушкин?|почему умирают звёзды?|Как решить уравнение?|я не хочу решать эту задачу|ненавижу дроби|боюсь ошибиться
Сколько будет 7 на 8|человек бьёт по мячу, какая сила?|никто не решил задачу|порезать торт на 8 частей|плохо понимаю тему
кто трогал мою тетрадь|жить в городе или в селе: сочинение|мне нужен ответ|учитель задал задачу|режем круг на сектора|сколько людей погибло
Абай қашан қайтыс болды?|жұлдыздар неге өледі?|теңдеуді қалай шешемін?|бөлшек деген не?|мен бұл есепті шешкім келмейді|допты ұрады, күш неге тең?
мұғалім есеп берді|торт 8 бөлікке кесілді|өмір деген не: шығарма|қате жіберуден қорқамын|Ешкім шеше алмады|қолымды көтердім|маған көмек керек
үйден мектепке дейін 2 км|өсімдік неге өледі|отбасы туралы мәтін|әкем маған кітап берді|жануарлар қыста қалай тіршілік етеді|кітап керек
"""


def listed(text: str) -> list[str]:
    return [one for line in text.strip().splitlines() for one in line.split("|")]


def test_words_of_distress_are_noticed_in_three_languages_and_the_spellings_of_chats() -> None:
    cries = listed(CRIES)
    missed = [cry for cry in cries if distress.wish_of(cry) != distress.DISTRESS]
    assert len(cries) >= 45
    assert len(missed) / len(cries) <= 0.05, missed


def test_a_lesson_about_death_or_fear_of_mistakes_is_a_lesson() -> None:
    lessons = listed(LESSONS)
    taken = [text for text in lessons if distress.wish_of(text) is not None]
    assert len(lessons) >= 50
    assert len(taken) / len(lessons) <= 0.05, taken


@pytest.mark.parametrize(
    "text",
    ["I need a teacher", "can I talk to a person", "позови учителя", "мұғалімді шақыршы", "apaidy shaqyr"],
)
def test_a_call_for_a_person_is_understood(text: str) -> None:
    assert distress.wish_of(text) == distress.PERSON


@pytest.mark.parametrize("cry", ["I want to die", "мені әкем ұрады", "хочу умереть"])
def test_words_of_distress_reach_the_teacher_and_never_the_model(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser, cry: str
) -> None:
    events = classroom.value("SELECT count(*) FROM event")
    outbox = classroom.value("SELECT count(*) FROM outbox")
    assert aigerim.ask(cry).status_code == 303
    assert "Your teacher is coming to you." in aigerim.page()
    assert classroom.value("SELECT reason FROM hand_back") == "distress"
    assert cry in dana.page("/teacher")
    time.sleep(0.3)  # the dispatcher has looked by now
    assert engine.requests == []
    # Nothing of it is an event, so nothing of it can leave.
    assert classroom.value("SELECT count(*) FROM event") == events
    assert classroom.value("SELECT count(*) FROM outbox") == outbox


def test_a_held_learner_is_not_answered_until_the_teacher_was_there(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("What is a prime number?")
    wait_until(lambda: engine.requests)
    aigerim.post("/person")
    engine.go_on()
    wait_until(classroom.all_answered)
    assert classroom.value("SELECT state FROM question") == "stopped"
    page = aigerim.post("/ask", {"question": "Another?", "submission": "ff" * 8})
    assert page.status_code == 409
    assert classroom.value("SELECT count(*) FROM question") == 1
    held = classroom.value("SELECT id FROM hand_back")
    dana.post("/teacher/hand-back/release", {"hand_back": held})
    assert classroom.value("SELECT released_at FROM hand_back") is not None
    aigerim.ask("Another?")
    wait_until(classroom.all_answered)
    assert classroom.value("SELECT count(*) FROM question WHERE state = 'answered'") == 1


def test_nobody_else_is_held(classroom: Classroom, aigerim: Browser, bolat: Browser) -> None:
    aigerim.post("/person")
    bolat.ask("What is a prime number?")
    wait_until(classroom.all_answered)
    assert classroom.value("SELECT count(*) FROM question WHERE state = 'answered'") == 1


def test_two_empty_answers_in_a_row_call_a_person(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.words = [" ", "\n"]
    for text in ("One?", "Two?"):
        aigerim.ask(text)
        wait_until(classroom.all_answered)
    assert classroom.value("SELECT reason FROM hand_back") == "low_confidence"
    assert "Your teacher is coming" in aigerim.page()


def test_the_teachers_page_hears_of_it_at_once(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    before = classroom.board.version
    aigerim.post("/person")
    assert classroom.board.version > before
    assert "Aigerim" in dana.page("/teacher")


@pytest.mark.parametrize("place", ["/ask", "/tasks"])
def test_words_of_distress_reach_the_teacher_when_no_lesson_is_open(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser, place: str
) -> None:
    if place == "/tasks":
        dana.post("/teacher/tasks", {"text": "What is 6 times 7?", "answers": "42"})
        place = f"/tasks/{classroom.value('SELECT id FROM task')}/ask"
    dana.post("/teacher/session", {"wish": "close"})
    events = classroom.value("SELECT count(*) FROM event")
    assert aigerim.post(place, {"question": "I want to die", "submission": "a1"}).status_code == 303
    page = aigerim.page()
    assert "what you wrote has reached your teacher" in page
    assert "111" in page
    teachers = dana.page("/teacher")
    assert "wrote words of distress: go there now" in teachers
    assert "I want to die" in teachers
    assert engine.requests == []
    assert classroom.value("SELECT count(*) FROM event") == events


def test_a_call_for_a_person_waits_for_a_lesson(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    dana.post("/teacher/session", {"wish": "close"})
    assert aigerim.post("/person").status_code == 409
    assert classroom.value("SELECT count(*) FROM hand_back") == 0
