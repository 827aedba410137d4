"""The JSON door: described whole, kept to its description, and polite to strangers and fuzzers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cheroot import wsgi
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from appliance.serve import HTTP_THREADS
from tests.classroom import Browser, Classroom, wait_until

# For each route, valid and invalid requests; the suite's time is bounded, the search is not deep.
EXAMPLES = 25
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def is_json_route(path: str) -> bool:
    return path == "/health" or path.endswith(".json")


@pytest.fixture
def document(classroom: Classroom) -> dict[str, Any]:
    return classroom.browser().get("/openapi.json").json


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_every_json_route_is_described_and_nothing_else(
    classroom: Classroom, document: dict[str, Any]
) -> None:
    routes = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in classroom.app.url_map.iter_rules()
        if is_json_route(rule.rule)
    }
    assert set(document["paths"]) == routes


def test_pages_for_people_answer_no_json(classroom: Classroom, dana: Browser) -> None:
    for rule in classroom.app.url_map.iter_rules():
        if "<" not in rule.rule and not is_json_route(rule.rule) and "GET" in rule.methods:
            kind = classroom.browser().get(rule.rule, buffered=False).content_type
            assert kind != "application/json", rule.rule


def test_answers_keep_to_their_description(
    classroom: Classroom, dana: Browser, aigerim: Browser, document: dict[str, Any]
) -> None:
    aigerim.ask("Described?")
    wait_until(classroom.all_answered)
    session, learner = (classroom.value(f"SELECT id FROM {table}") for table in ("session", "learner"))
    for path, item in document["paths"].items():
        browser = aigerim if path.startswith("/me/") else dana
        answer = browser.get(path.format(session_id=session, learner_id=learner))
        schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)
        assert (answer.status_code, answer.content_type) == (200, "application/json"), path


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("kk", "Бұл бет мұғалімге арналған."),
        ("ru", "Эта страница для учителя."),
        ("en", "This page is for the teacher."),
    ],
)
def test_a_stranger_gets_a_problem_document_in_their_language(
    classroom: Classroom, dana: Browser, document: dict[str, Any], language: str, title: str
) -> None:
    answer = classroom.browser(language).get("/teacher/class.json", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.content_type) == (403, "application/problem+json")
    assert answer.json["code"] == "not_allowed"
    assert answer.json["title"] == title
    Draft202012Validator(document["components"]["schemas"]["Problem"]).validate(answer.json)


@pytest.fixture
def server(classroom: Classroom) -> Iterator[str]:
    """The real WSGI server before the classroom's pages."""
    serving = wsgi.Server(("127.0.0.1", 0), classroom.app, numthreads=HTTP_THREADS)
    serving.prepare()
    thread = threading.Thread(target=serving.serve)
    thread.start()
    yield f"http://127.0.0.1:{serving.bind_addr[1]}"
    serving.stop()
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("who", ["stranger", "teacher", "learner"])
def test_a_fuzzer_finds_no_fault_behind_any_route(
    classroom: Classroom,
    dana: Browser,
    aigerim: Browser,
    server: str,
    document: dict[str, Any],
    who: str,
) -> None:
    aigerim.ask("=A question for the fuzzer?")
    wait_until(classroom.all_answered)
    browser = {"stranger": classroom.browser(), "teacher": dana, "learner": aigerim}[who]
    login = browser.client.get_cookie("sandyq_login")
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", f"{server}/openapi.json"),
            *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
            *("--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"),
            *("--header", f"Cookie: sandyq_login={login.value if login else 'nothing'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    # All but the one the description itself came from.
    assert f"Tested: {len(document['paths']) - 1}\n" in done.stdout, done.stdout
