"""Every page of the box once, in a room where everything has happened: for axe and for pictures.

A page that somebody adds is missed here only until the test of this list runs.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from appliance.database import connection, saving
from appliance.lesson import hand_back, sessions
from appliance.people import roster
from tests.classroom import wait_until
from tests.fake_engine import FakeEngine
from tests.room import Person, Room, open_room

CHROMIUM = Path("/usr/bin/chromium")
# Root needs --no-sandbox; the rest keeps the browser from calling home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ["Айгерім", "Болат", "Сәуле", "Ержан", "Мәдина", "Тимур", "Алия", "Нұрлан"]
ANSWER = (
    "**Ойланып көр:** $\\frac{1}{2}$ пен $\\frac{1}{3}$ қосу үшін ортақ бөлім керек.\n\n"
    "1. $2 \\cdot 3 = 6$\n2. $\\frac{3}{6} + \\frac{2}{6} = ?$\n\n"
    "$$x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$$"
)
# Who has a card already is not ticked by itself; a name that is there or comes twice is asked about.
BUTTON = "main form > button:not([type])"
TICKED = "document.querySelector('[name=learner]').checked = true"
TYPED = "document.querySelector('#learners').value = 'Айгерім\\nДина\\nДина'"
OPEN_QUESTIONS = "SELECT count(*) FROM question WHERE state <> 'answered'"
# Answers of other kinds than a page: their own tests read them.
NO_PAGES = re.compile(r"/(static|speech|openapi)|\.(json|csv|jsonl|sb1|html)$|stream$|^/(health|held)$")


@dataclass(frozen=True)
class Visit:
    """A page: its name, whose it is, and where."""

    name: str
    endpoint: str
    who: str  # teacher, learner or stranger
    path: str
    press: str = ""  # a button to press there, for pages that only a form opens
    before: str = ""  # a script that fills the form in before that


@dataclass
class Scene:
    """The room after a lesson: what the paths of the tour are made of."""

    room: Room
    teacher: Person
    learner: Person
    question: str
    learner_id: str
    session: str
    task: str

    def visits(self) -> list[Visit]:
        code = self.room.code()
        learner = f"/teacher/learners/{self.learner_id}"
        return [
            Visit("first", "entry.first", "stranger", "/"),
            Visit("names", "entry.names", "stranger", f"/class/{code}"),
            Visit("welcome", "entry.welcome", "learner", "/welcome"),
            Visit("ask", "learner.ask_form", "learner", "/ask"),
            Visit("tasks", "tasks.every", "learner", "/tasks"),
            Visit("task", "tasks.one", "learner", f"/tasks/{self.task}"),
            Visit("why", "review.why", "learner", f"/why/{self.question}"),
            Visit("me", "stored.mine", "learner", "/me"),
            Visit("reading", "reading.show", "learner", "/reading"),
            Visit("stored", "stored.for_everybody", "stranger", "/stored"),
            Visit("leaves", "leaves.show", "stranger", "/leaves"),
            Visit("login", "teacher.login_form", "stranger", "/teacher/login"),
            Visit("recover", "people.recover_form", "stranger", "/teacher/recover"),
            Visit("teacher", "teacher.view", "teacher", "/teacher"),
            Visit("projector", "now.projector", "teacher", "/teacher/projector"),
            Visit("stops", "control.show", "teacher", "/teacher/stops"),
            Visit("rules", "rules.show", "teacher", "/teacher/rules"),
            Visit("exam", "exam.show", "teacher", "/teacher/exam"),
            Visit("learners", "people.learners", "teacher", "/teacher/learners"),
            Visit("learner", "people.learner", "teacher", learner),
            Visit("learner-stored", "stored.of_learner", "teacher", f"{learner}/stored"),
            Visit("class", "people.school_class", "teacher", "/teacher/class"),
            Visit("cards", "people.choose_cards", "teacher", "/teacher/cards"),
            Visit("printed-cards", "people.print_cards", "teacher", "/teacher/cards", BUTTON, TICKED),
            Visit("list-preview", "people.add_learners", "teacher", "/teacher/learners", BUTTON, TYPED),
            Visit("recovery", "people.recovery", "teacher", "/teacher/recovery"),
            Visit("recovery-sheet", "people.print_recovery", "teacher", "/teacher/recovery", BUTTON),
            Visit("backup", "care.sheet", "teacher", "/teacher/backup"),
            Visit("backup-sheet", "care.show_sheet", "teacher", "/teacher/backup", BUTTON),
            Visit("guide", "guide.show", "teacher", "/teacher/guide"),
            Visit("network", "network.show", "teacher", "/teacher/box"),
            Visit("wifi", "portal.show", "stranger", "/wifi"),
            Visit("teacher-tasks", "tasks.teacher_form", "teacher", "/teacher/tasks"),
            Visit("contests", "review.contests", "teacher", "/teacher/contests"),
            Visit("decide", "review.why", "teacher", f"/why/{self.question}"),
            Visit("reports", "reports.lessons", "teacher", "/teacher/reports"),
            Visit("report", "reports.lesson", "teacher", f"/teacher/reports/{self.session}"),
            Visit("not-found", "static", "stranger", "/nowhere"),
            Visit("card", "entry.show_card", "stranger", f"/card/{self.card()}"),
            Visit("pictures", "entry.show_pictures", "stranger", f"/class/{code}/{self.learner_id}"),
        ]  # fmt: skip

    def card(self) -> str:
        """Print a card and return its token, as its QR code holds it."""
        from appliance.people import cards

        with connection(self.room.home / "box.sqlite") as db, saving(db):
            return cards.issue(db, self.learner_id, now=datetime.now(UTC))


def play(room: Room, engine: FakeEngine) -> Scene:
    """Play a lesson in which a bit of everything happens."""
    engine.words = [word + " " for word in ANSWER.split(" ")]
    dana = room.teacher(NAMES, "kk")
    dana.post("/teacher/tasks", text="$\\frac{1}{2} + \\frac{1}{3}$ неге тең?", answers="5/6")
    task = room.value("SELECT id FROM task")
    aigerim, bolat, saule = (room.learner(name, "kk") for name in NAMES[:3])
    for person, text in (
        (aigerim, "Екі бөлшекті қалай қосамын?"),
        (bolat, "екі бөлшекті қалай қосамын"),
        (saule, "Неге аспан көк?"),
    ):
        person.ask(text)
    wait_until(
        lambda: not room.value("SELECT count(*) FROM question WHERE state <> 'answered'"), "the answers"
    )
    question = room.value(
        "SELECT question.id FROM question JOIN learner ON learner.id = learner_id WHERE name = 'Айгерім'"
    )
    aigerim.post(f"/why/{question}/contest", reason="unclear", words="Ортақ бөлім деген не?")
    aigerim.post(f"/tasks/{task}/attempt", answer="2/5", submission="first")
    with connection(room.home / "box.sqlite") as db, saving(db):
        school_class = roster.find_first_class(db)
        learners = {one.name: one for one in roster.learners(db, school_class.id)}
        session = sessions.find_open_session(db, school_class.id)
        for name, reason in (("Сәуле", "asked_for_person"), ("Ержан", "distress")):
            hand_back.hand_back(db, learners[name], session, None, reason, datetime.now(UTC))
        db.execute("UPDATE school_class SET uses_pictures = 1")
    engine.hold()
    bolat.ask("Ал көбейтсем ше?")
    return Scene(room, dana, aigerim, question, learners["Айгерім"].id, session.id, task)


class Tour:
    """Contexts of the three people, in a browser, in one language."""

    def __init__(self, chromium: Chromium, scene: Scene, language: str, width: int = 360) -> None:
        self.scene = scene
        people = {"teacher": scene.teacher, "learner": scene.learner, "stranger": Person(scene.room.url)}
        self.contexts = {
            who: self._context(chromium, person, language, width) for who, person in people.items()
        }

    def open(self, visit: Visit, faults: list[str] | None = None) -> Page:
        """Open a page; what its scripts complain of goes into `faults`."""
        page = self.contexts[visit.who].new_page()
        if faults is not None:
            page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(self.scene.room.url + visit.path, wait_until="load")
        if visit.before:
            page.evaluate(visit.before)
        if visit.press:
            page.click(visit.press)
            page.wait_for_load_state("load")
        return page

    def close(self) -> None:
        for context in self.contexts.values():
            context.close()

    def _context(self, chromium: Chromium, person: Person, language: str, width: int) -> BrowserContext:
        context = chromium.new_context(viewport={"width": width, "height": 800}, locale=language)
        cookies = {**person.cookies, "sandyq_language": language}
        context.add_cookies(
            [{"name": name, "value": value, "url": self.scene.room.url} for name, value in cookies.items()]
        )
        return context


@contextmanager
def browser() -> Iterator[Chromium]:
    if not CHROMIUM.exists():
        raise FileNotFoundError("Debian's package chromium is missing: make test installs it")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def played_room(home: Path) -> Iterator[Scene]:
    engine = FakeEngine()
    try:
        with open_room(home, engine) as room:
            yield play(room, engine)
    finally:
        engine.close()
