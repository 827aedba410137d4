"""The teacher's view of a class: what it shows, how soon, to whom, and what it costs."""

import re
from datetime import UTC, datetime

from appliance.database import connection, saving
from appliance.lesson import hand_back, sessions
from appliance.lesson.live import LiveBoard
from appliance.people import roster
from appliance.web.stream import _follow_class
from tests.appliance.test_stream import events
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine


def states_of(dana: Browser) -> dict[str, str]:
    return {learner["name"]: learner["state"] for learner in dana.get("/teacher/class.json").json["learners"]}


def ask_for_a_person(classroom: Classroom, name: str, reason: str = hand_back.ASKED_FOR_PERSON) -> None:
    """Do what the tutor's side does; its own tests say when."""
    with connection(classroom.database) as db, saving(db):
        school_class = roster.find_first_class(db)
        learner = next(one for one in roster.learners(db, school_class.id) if one.name == name)
        session = sessions.find_open_session(db, school_class.id)
        hand_back.hand_back(db, learner, session, None, reason, datetime.now(UTC))
    classroom.board.touch()


def test_a_learner_goes_from_away_through_waiting_to_working(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    assert states_of(dana) == {"Aigerim": "working", "Bolat": "away"}
    engine.hold()
    aigerim.ask("What is a prime number?")
    assert states_of(dana)["Aigerim"] == "waiting"
    engine.hold_after(2)
    wait_until(lambda: states_of(dana)["Aigerim"] == "working", "the first words")
    engine.go_on()
    wait_until(classroom.all_answered)


def test_the_place_in_line_is_shown(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    engine.hold()
    aigerim.ask("One?")
    aigerim.ask("Two?")
    wait_until(lambda: len(engine.requests) == 2)
    bolat.ask("Three?")
    places = lambda: {one["name"]: one["place"] for one in dana.get("/teacher/class.json").json["learners"]}  # noqa: E731
    wait_until(lambda: places() == {"Aigerim": 1, "Bolat": 3}, "as the engine and the line say")
    page = dana.page("/teacher")
    assert "waiting, place 3" in page
    assert "Longest wait so far" in page
    engine.go_on()
    wait_until(classroom.all_answered)


def test_the_same_question_again_shows_as_stuck(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    for text in ("How do I add one half and one third?", "How do I add one third and one half?"):
        aigerim.ask(text)
        wait_until(classroom.all_answered)
    assert states_of(dana)["Aigerim"] == "stuck"
    assert "asked the same again" in dana.page("/teacher")


def test_a_call_for_a_person_comes_first_and_goes_when_the_teacher_was_there(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    stream = events(dana, "/teacher/stream")
    next(stream)
    ask_for_a_person(classroom, "Aigerim")
    html = next(data["html"] for _, data in stream if data["part"] == "flags" and "Aigerim" in data["html"])
    assert "asks for a person" in html
    page = dana.get("/teacher").text
    assert page.index("Who needs you") < page.index("Class code") < page.index("The class by state")
    held = re.search(r'name="hand_back" value="(\w+)"', html)[1]
    assert dana.post("/teacher/hand-back/release", {"hand_back": held}).status_code == 303
    assert any("Nobody at the moment" in data["html"] for _, data in stream if data["part"] == "flags")
    assert states_of(dana)["Aigerim"] == "working"


def test_distress_stands_above_everything(classroom: Classroom, dana: Browser, bolat: Browser) -> None:
    ask_for_a_person(classroom, "Aigerim")
    ask_for_a_person(classroom, "Bolat", hand_back.DISTRESS)
    flags = dana.get("/teacher/class.json").json["flags"]
    assert [(flag["learner"], flag["reason"]) for flag in flags] == [
        ("Bolat", "distress"),
        ("Aigerim", "asked_for_person"),
    ]


def test_a_stopped_class_shows_as_stopped(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    dana.post("/teacher/stop", {"level": "school_class", "wish": "stop"})
    assert set(states_of(dana).values()) == {"stopped"}
    dana.post("/teacher/stop", {"level": "school_class", "wish": "lift"})
    assert states_of(dana)["Aigerim"] == "working"


def test_the_projector_shows_no_name_no_text_and_nobody_who_needs_help(
    classroom: Classroom, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    aigerim.ask("A question that only Dana may read?")
    wait_until(classroom.all_answered)
    ask_for_a_person(classroom, "Bolat", hand_back.DISTRESS)
    page = dana.get("/teacher/projector").text
    stream = next(events(dana, "/teacher/projector/stream"))[1]["html"]
    for html in (page, stream):
        assert "<b>1</b>" in html
        assert "<b>2</b>" in html
        for secret in ("Aigerim", "Bolat", "only Dana", "asks for a person", "stuck", "distress"):
            assert secret not in html.split("</header>")[-1]


def test_a_learner_knows_their_own_number_on_the_wall(
    dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    numbers = {one["name"]: one["number"] for one in dana.get("/teacher/class.json").json["learners"]}
    assert f"Aigerim № {numbers['Aigerim']}" in " ".join(aigerim.page().split())
    assert f"Bolat № {numbers['Bolat']}" in " ".join(bolat.page().split())


def solve(classroom: Classroom, learner: Browser, answer: str, submission: str) -> None:
    task = classroom.value("SELECT id FROM task")
    learner.post(f"/tasks/{task}/attempt", {"answer": answer, "submission": submission})


def test_three_wrong_answers_show_as_stuck_and_a_right_one_as_finished(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    dana.post("/teacher/tasks", {"text": "2 + 3 = ?", "answers": "5"})
    for number in range(3):
        assert states_of(dana)["Aigerim"] == "working"
        solve(classroom, aigerim, f"{number + 7}", f"try-{number}")
    assert states_of(dana)["Aigerim"] == "stuck"
    assert "several wrong answers in a row" in dana.page("/teacher")
    solve(classroom, aigerim, "5", "right")
    assert states_of(dana)["Aigerim"] == "finished"


def test_what_was_solved_last_week_is_no_news_today(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    dana.post("/teacher/tasks", {"text": "2 + 3 = ?", "answers": "5"})
    solve(classroom, aigerim, "5", "last-week")
    dana.post("/teacher/session", {"wish": "close"})
    dana.post("/teacher/session", {"wish": "open"})
    assert states_of(dana)["Aigerim"] == "working"
    dana.post("/teacher/tasks", {"text": "2 + 4 = ?", "answers": "6"})
    task = classroom.value("SELECT id FROM task WHERE text LIKE '2 + 4%'")
    aigerim.post(f"/tasks/{task}/attempt", {"answer": "6", "submission": "today"})
    assert states_of(dana)["Aigerim"] == "finished"


def test_learners_and_strangers_see_nothing_of_the_view(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    for browser in (aigerim, classroom.browser()):
        for path in (
            "/teacher/stream",
            "/teacher/projector",
            "/teacher/projector/stream",
            "/teacher/class.json",
        ):
            assert browser.get(path).status_code == 403, path
        assert browser.post("/teacher/hand-back/release", {"hand_back": "x"}).status_code == 403


def test_a_made_up_hand_back_is_not_released(dana: Browser) -> None:
    assert dana.post("/teacher/hand-back/release", {"hand_back": "' OR 1=1 --"}).status_code == 404


def test_the_picture_has_its_table_beside_it(dana: Browser, aigerim: Browser) -> None:
    page = dana.get("/teacher").text
    picture = re.search(r'<svg class="band".*?</svg>', page, re.S)[0]
    assert 'role="img" aria-label="The class by state' in picture
    assert re.findall(r'class="(state-\w+)"', picture) == ["state-working", "state-away"]
    assert "<caption>Each learner, as in the picture</caption>" in page


def test_words_draw_nothing_and_a_crowd_of_changes_is_one_picture() -> None:
    board = LiveBoard()
    drawn: list[int] = []

    def look() -> dict[str, tuple[object, object]]:
        shown = board.class_version
        return {"class": (shown, lambda: str(drawn.append(shown) or shown))}

    board.begin("q")
    board.append("q", "first ")
    stream = _follow_class(board, look)  # type: ignore[arg-type]
    next(stream)
    next(stream)
    before = board.class_version
    for _ in range(5_000):
        board.append("q", "word ")
    assert board.class_version == before, "words change nothing that a class view shows"
    for number in range(50):
        board.begin(f"q{number}")
    next(stream)
    assert len(drawn) == 2, "fifty changes within a second are one drawing"
    board.close()


def test_an_unchanged_class_is_not_drawn_again() -> None:
    board = LiveBoard()
    drawn: list[str] = []
    stream = _follow_class(board, lambda: {"class": ("same", lambda: drawn.append("x") or "x")})  # type: ignore[arg-type,func-returns-value]
    next(stream)
    next(stream)
    for _ in range(2):
        board.touch()
        assert next(stream).startswith(":")
    assert len(drawn) == 1
    board.close()
