"""People of the region: how they come in, what stays closed, and what a stolen thing opens."""

from __future__ import annotations

import base64
import logging
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sync.region_errors import LoginRefused, LoginsBusy, PasswordTooPlain, PasswordTooShort, TooManyLogins
from sync.server.people import api_tokens, logins, operators, passwords, second_factor
from sync.server.people.operators import Typed
from sync.server.people.roles import Role, may
from sync.server.people.web_access import LOGIN_COOKIE, OPEN_PATHS, need_of
from sync.server.storage.store import Store, open_store
from tests.region_simulator import RegionSimulator

PASSWORD = "four wet camels sing"
HTML = {"Accept": "text/html"}


@dataclass
class People:
    """The region's people, at the table and at the browser."""

    region: RegionSimulator
    store: Store

    @property
    def key(self) -> Any:
        return self.region.region.keys.desk

    def add(self, name: str = "dana", role: Role = Role.VIEWER, *, telephone: bool = False) -> bytes:
        """Make an account with a password; return the secret of its telephone."""
        now = self.region.time
        code = operators.add(self.store.db, self.key, name, role, now, needs_second_factor=telephone)
        operators.set_up(self.store.db, self.key, name, code, PASSWORD, PASSWORD, now)
        if not telephone:
            return b""
        person = operators.get_by_name(self.store.db, name)
        secret = operators.propose_factor(self.store.db, self.key, person)
        operators.confirm_factor(self.store.db, self.key, person, second_factor.generate(secret, now), now)
        self.region.wait(minutes=2)
        return secret

    def log_in(
        self, browser: FlaskClient, name: str = "dana", password: str = PASSWORD, code: str = "", **more: Any
    ) -> TestResponse:
        form = {"name": name, "password": password, "code": code}
        return browser.post("/login", data=form, headers=HTML, **more)

    def browser(self) -> FlaskClient:
        return self.region.app.test_client()


@pytest.fixture
def people(either_region: RegionSimulator) -> Iterator[People]:
    store = open_store(either_region.region.database)
    yield People(either_region, store)
    store.close()


@pytest.fixture
def simple(region: RegionSimulator) -> Iterator[People]:
    """On one file: where the database makes no difference."""
    store = open_store(region.region.database)
    yield People(region, store)
    store.close()


def token_in(browser: FlaskClient, page: str = "/account") -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', browser.get(page, headers=HTML).text)
    assert found
    return found[1]


def status_of(browser: FlaskClient, page: str = "/") -> int:
    return browser.get(page, headers=HTML).status_code


# Coming in ---------------------------------------------------------------------------------


def test_a_person_sets_a_password_once_comes_in_and_leaves(people: People) -> None:
    now, browser = people.region.time, people.browser()
    code = operators.add(people.store.db, people.key, "dana", Role.VIEWER, now)
    form = {"name": "Dana ", "setup_code": code.lower(), "password": PASSWORD, "password_again": PASSWORD}
    assert browser.get("/", headers=HTML).location == "/login?next=/"
    assert browser.post("/welcome", data=form).location == "/login"
    again = browser.post(
        "/welcome", data=form | {"password": "another long one", "password_again": "another long one"}
    )
    assert again.status_code == 403
    came = people.log_in(browser)
    assert (came.status_code, came.location) == (303, "/")
    assert "the region" not in came.text
    assert status_of(browser) == 200
    browser.post("/logout", data={"form_token": token_in(browser)})
    assert status_of(browser) == 302


def test_nothing_tells_which_of_name_password_and_code_was_wrong(simple: People) -> None:
    secret = simple.add("dana", Role.OPERATOR, telephone=True)
    code = second_factor.generate(secret, simple.region.time)
    simple.add("erlan")
    said = {
        re.sub(r'value="[^"]*"', "", simple.log_in(simple.browser(), *typed).text)
        for typed in (
            ("dana", "wrong password", code),
            ("dana", PASSWORD, "000000"),
            ("dana", PASSWORD, ""),
            ("nobody", PASSWORD, code),
            ("erlan", "wrong password", ""),
        )
    }
    assert len(said) == 1
    assert simple.log_in(simple.browser(), "dana", PASSWORD, code).status_code == 303


def test_a_name_nobody_has_takes_as_long_as_one_that_is_there(simple: People) -> None:
    simple.add()

    def seconds(name: str) -> float:
        began = time.process_time()
        with pytest.raises(LoginRefused):
            operators.log_in(
                simple.store.db, simple.key, Typed(name, "wrong password"), "", simple.region.time
            )
        simple.region.wait(minutes=16)
        return time.process_time() - began

    rounds = [(seconds("dana"), seconds("nobody")) for _ in range(5)]
    there, nowhere = (statistics.median(times) for times in zip(*rounds, strict=True))
    # Without the same slow hash the second would be some thirty times quicker.
    assert 0.4 < nowhere / there < 2.5


def test_a_code_opens_once_and_a_slow_telephone_is_understood(people: People) -> None:
    secret = people.add("dana", Role.OPERATOR, telephone=True)
    for seconds in (-30, 0, 30):
        people.region.wait(minutes=3)
        code = second_factor.generate(secret, people.region.time + timedelta(seconds=seconds))
        assert people.log_in(people.browser(), code=code).status_code == 303
        assert people.log_in(people.browser(), code=code).status_code == 403
    people.region.wait(minutes=3)
    for seconds in (-61, 61):
        code = second_factor.generate(secret, people.region.time + timedelta(seconds=seconds))
        assert people.log_in(people.browser(), code=code).status_code == 403
    # An older code than the one taken last is not taken either, though it is still in time.
    people.region.wait(minutes=16)
    now = people.region.time
    old, new = (second_factor.generate(secret, now + timedelta(seconds=s)) for s in (-30, 0))
    assert people.log_in(people.browser(), code=new).status_code == 303
    assert people.log_in(people.browser(), code=old).status_code == 403


def test_two_requests_with_one_code_are_one_log_in(people: People) -> None:
    secret = people.add("dana", Role.OPERATOR, telephone=True)
    code, now = second_factor.generate(secret, people.region.time), people.region.time
    came: list[str] = []

    def try_it() -> None:
        store = open_store(people.region.region.database)
        try:
            came.append(operators.log_in(store.db, people.key, Typed("dana", PASSWORD, code), "", now)[1])
        except (LoginRefused, LoginsBusy):
            pass
        finally:
            store.close()

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came) == 1


def test_a_recovery_code_opens_once_and_new_ones_close_the_old(people: People) -> None:
    people.add("dana", Role.OPERATOR, telephone=True)
    db, now = people.store.db, people.region.time
    person = operators.get_by_name(db, "dana")
    old = operators.renew_recovery(db, people.key, person, now)
    codes = operators.renew_recovery(db, people.key, person, now)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert people.log_in(people.browser(), code=old[0]).status_code == 403
    assert people.log_in(people.browser(), code=codes[0].lower()).status_code == 303
    assert people.log_in(people.browser(), code=codes[0]).status_code == 403
    assert operators.count_recovery(db, person) == second_factor.RECOVERY_CODES - 1


def test_guessing_is_slowed_down_and_does_not_keep_the_owner_out(people: People) -> None:
    people.add()
    own = people.browser()
    assert people.log_in(own).status_code == 303
    stranger = people.browser()
    for _ in range(logins.MAX_TRIES):
        assert people.log_in(stranger, password="guess after guess").status_code == 403
    refused = people.log_in(stranger)
    assert refused.status_code == 429
    assert people.log_in(people.browser()).status_code == 429
    # The browser that was here before is counted apart: a stranger cannot lock an operator out.
    assert people.log_in(own).status_code == 303
    people.region.wait(minutes=16)
    assert people.log_in(stranger).status_code == 303


def test_a_made_up_mark_of_a_known_browser_is_counted_as_a_stranger(simple: People) -> None:
    simple.add()
    simple.add("erlan")
    mark = logins.known_browser(simple.key, "erlan")
    subjects = {logins.subject(simple.key, "dana", sent) for sent in ("", "x.y", "nonsense", mark)}
    assert len(subjects) == 1


def test_many_tries_at_once_get_no_more_than_one_after_another(people: People) -> None:
    people.add()
    outcomes: list[str] = []

    def guess() -> None:
        store = open_store(people.region.region.database)
        try:
            operators.log_in(store.db, people.key, Typed("dana", "guess"), "", people.region.time)
        except (LoginRefused, TooManyLogins, LoginsBusy) as error:
            outcomes.append(error.key)
        finally:
            store.close()

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 12
    assert outcomes.count("login_refused") + outcomes.count("logins_busy") == logins.MAX_TRIES


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("short", PasswordTooShort),
        ("aaaaaaaaaaaaaa", PasswordTooPlain),
        ("my name is Dana!", PasswordTooPlain),
    ],
)
def test_a_weak_password_is_refused(simple: People, password: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        passwords.verify_new("dana", password, password)


# A log-in and its end ------------------------------------------------------------------------


def test_a_planted_log_in_is_never_taken_over(simple: People) -> None:
    simple.add()
    victim = simple.browser()
    victim.set_cookie(LOGIN_COOKIE, "planted-by-mallory")
    simple.log_in(victim)
    given = victim.get_cookie(LOGIN_COOKIE)
    assert given
    assert given.value != "planted-by-mallory"
    mallory = simple.browser()
    mallory.set_cookie(LOGIN_COOKIE, "planted-by-mallory")
    assert status_of(mallory) == 302
    # Mallory's own genuine log-in, planted, does not become the victim's either.
    simple.add("mallory")
    simple.log_in(mallory, "mallory")
    own = mallory.get_cookie(LOGIN_COOKIE)
    assert own
    victim.set_cookie(LOGIN_COOKIE, own.value)
    simple.log_in(victim)
    assert "mallory" in mallory.get("/account", headers=HTML).text


def test_a_log_in_ends_when_nobody_uses_it_and_at_the_end_of_the_day(simple: People) -> None:
    simple.add()
    browser = simple.browser()
    simple.log_in(browser)
    simple.region.wait(minutes=29)
    assert status_of(browser) == 200
    simple.region.wait(minutes=30)
    assert status_of(browser) == 302
    simple.log_in(browser)
    for _ in range(29):
        simple.region.wait(minutes=25)
        if status_of(browser) != 200:
            break
    login = logins.ABSOLUTE.total_seconds() / 60 / 25
    assert _ + 1 == -(-login // 1)


def test_cookies_are_closed_to_scripts_other_sites_and_plain_lines(simple: People) -> None:
    simple.add()
    plain = simple.log_in(simple.browser()).headers.getlist("Set-Cookie")
    private = simple.log_in(simple.browser(), base_url="https://region.kz").headers.getlist("Set-Cookie")
    behind = simple.browser().post(
        "/login",
        data={"name": "dana", "password": PASSWORD},
        headers=HTML | {"X-Forwarded-Proto": "https"},
    )
    for cookies in (plain, private):
        assert len(cookies) == 2
        assert all("HttpOnly" in cookie and "SameSite=Strict" in cookie for cookie in cookies)
    for cookies in (private, behind.headers.getlist("Set-Cookie")):
        assert all("Secure" in cookie and cookie.startswith("__Host-") for cookie in cookies)


def test_closing_resetting_or_a_new_password_ends_every_log_in_at_once(people: People) -> None:
    people.add()
    db, now = people.store.db, people.region.time
    ends: dict[str, Callable[[], object]] = {
        "password": lambda: operators.change_password(
            db, people.key, operators.get_by_name(db, "dana"), PASSWORD, PASSWORD + "!", PASSWORD + "!", now
        ),
        "disable": lambda: operators.disable(db, people.key, "dana", now),
        "reset": lambda: operators.reset(db, people.key, "dana", now),
    }
    for name, end in ends.items():
        browser = people.browser()
        token = logins.begin(db, operators.get_by_name(db, "dana").id, now)
        browser.set_cookie(LOGIN_COOKIE, token)
        expected = 302 if name == "reset" else 200  # closed by the step before it
        assert status_of(browser) == expected, name
        end()
        assert status_of(browser) == 302, name
    assert people.log_in(people.browser(), password=PASSWORD + "!").status_code == 403


def test_a_foreign_page_sends_nobody_away_to_another_site(simple: People) -> None:
    simple.add()
    for path in ("//evil.kz", "https://evil.kz", "/\\evil.kz", "javascript:alert(1)", "/login"):
        answer = simple.browser().post("/login", data={"name": "dana", "password": PASSWORD, "next": path})
        assert answer.location == "/", path


# Forms of other sites -------------------------------------------------------------------------


def test_a_form_of_another_site_changes_nothing(simple: People) -> None:
    simple.add()
    simple.add("erlan")
    dana, erlan = simple.browser(), simple.browser()
    simple.log_in(dana)
    simple.log_in(erlan, "erlan")
    own = token_in(dana)
    form = {"old": PASSWORD, "password": "mallory was here", "password_again": "mallory was here"}
    for token in ("", "x", token_in(erlan), own[:-1], own + "A"):
        answer = dana.post("/account/password", data=form | {"form_token": token})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "form_forged")
    for header in (
        {"Origin": "https://evil.kz"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = dana.post("/account/password", data=form | {"form_token": own}, headers=header)
        assert answer.get_json()["code"] == "form_forged", header
        assert (
            dana.post("/login", data={"name": "dana", "password": PASSWORD}, headers=header).status_code
            == 403
        )
    assert simple.log_in(simple.browser()).status_code == 303
    good = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert dana.post("/account/password", data=form | {"form_token": own}, headers=good).status_code == 303


# Roles: every route there is ----------------------------------------------------------------------


def routes(region: RegionSimulator) -> list[tuple[str, str, str | None]]:
    """Return each method and path of the application with what it says it needs."""
    found = []
    for rule in region.app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            found.append((method, path, need_of(region.app.view_functions[rule.endpoint])))
    return found


def is_open(path: str, need: str | None) -> bool:
    return need == "nobody" or (
        need is None and (path.startswith(("/v1/", "/static/")) or path in OPEN_PATHS)
    )


def test_every_route_is_closed_to_strangers_and_to_the_wrong_role(simple: People) -> None:
    region = simple.region
    browsers = {role: region.enter(role.value) for role in Role}
    tokens = {role: token_in(browser) for role, browser in browsers.items()}
    program = {
        "Authorization": f"Bearer {api_tokens.add(simple.store.db, simple.key, 'lrs', region.time)[0]}"
    }
    closed = 0
    for method, path, need in routes(region):
        if is_open(path, need):
            continue
        closed += 1
        is_change = method not in ("GET", "HEAD")
        stranger = simple.browser().open(path, method=method, headers={"Accept": "application/json"})
        assert stranger.status_code in (401, 403), (method, path)
        for role in Role:
            if need is None or not may(role, need, is_change=is_change):  # type: ignore[arg-type]
                data = {"form_token": tokens[role]} if is_change else {}
                answer = browsers[role].open(path, method=method, data=data)
                assert answer.status_code in (401, 403), (role, method, path)
        if is_change or need != "viewer":
            answer = simple.browser().open(path, method=method, headers=program)
            assert answer.status_code in (401, 403), ("token", method, path)
    assert closed >= 10


def test_an_auditor_reads_everything_and_changes_nothing_but_the_own_account() -> None:
    assert may(Role.AUDITOR, "operator", is_change=False)
    assert may(Role.AUDITOR, "auditor", is_change=False)
    for need in ("viewer", "operator", "auditor"):
        assert not may(Role.AUDITOR, need, is_change=True)  # type: ignore[arg-type]
        assert not may(Role.VIEWER, need, is_change=True)  # type: ignore[arg-type]
    assert not may(Role.VIEWER, "operator", is_change=False)
    assert not may(Role.OPERATOR, "auditor", is_change=False)


def test_a_route_that_was_forgotten_shows_nothing(simple: People) -> None:
    simple.region.app.add_url_rule("/forgotten", view_func=lambda: "secret")
    assert simple.region.enter("operator").get("/forgotten").status_code == 401


def test_an_operator_without_a_telephone_sees_only_how_to_add_one(simple: People) -> None:
    code = operators.add(simple.store.db, simple.key, "dana", Role.OPERATOR, simple.region.time)
    operators.set_up(simple.store.db, simple.key, "dana", code, PASSWORD, PASSWORD, simple.region.time)
    browser = simple.browser()
    simple.log_in(browser)
    assert browser.get("/", headers=HTML).location == "/account/telephone"
    page = browser.get("/account/telephone", headers=HTML).text
    found = re.search(r"<code>([A-Z2-7 ]+)</code>", page)
    assert found
    assert "<svg" in page
    secret = base64.b32decode(found[1].replace(" ", ""))
    form = {"form_token": token_in(browser, "/account/telephone")}
    wrong = browser.post("/account/telephone", data=form | {"code": "123456"})
    assert wrong.status_code == 400
    good = second_factor.generate(secret, simple.region.time)
    codes = browser.post("/account/telephone", data=form | {"code": good})
    assert len(re.findall(r"<code>[0-9A-Z]{4}-", codes.text)) == second_factor.RECOVERY_CODES
    assert status_of(browser) == 302
    assert simple.log_in(browser, code=good).status_code == 403
    simple.region.wait(seconds=60)
    simple.log_in(browser, code=second_factor.generate(secret, simple.region.time))
    assert status_of(browser) == 200


def test_a_program_reads_with_its_token_until_it_is_revoked_or_old(people: People) -> None:
    db, now = people.store.db, people.region.time
    token, _ = api_tokens.add(db, people.key, "lrs", now, days=10)
    headers = {"Authorization": f"Bearer {token}"}
    assert people.browser().get("/", headers=headers).status_code == 200
    assert people.browser().get("/", headers={"Authorization": f"Bearer {token}x"}).status_code == 401
    assert people.browser().get("/account", headers=headers).status_code == 403
    people.region.wait(days=11)
    assert people.browser().get("/", headers=headers).status_code == 401
    people.region.wait(days=-11)
    api_tokens.revoke(db, people.key, "lrs", now)
    assert people.browser().get("/", headers=headers).status_code == 401


# Secrets ---------------------------------------------------------------------------------------


def test_no_secret_is_in_the_database_the_record_or_the_log(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = people.add("dana", Role.OPERATOR, telephone=True)
    db, now, browser = people.store.db, people.region.time, people.browser()
    setup = operators.add(db, people.key, "erlan", Role.VIEWER, now)
    token, _ = api_tokens.add(db, people.key, "lrs", now)
    recovery = operators.renew_recovery(db, people.key, operators.get_by_name(db, "dana"), now)
    code = second_factor.generate(secret, now)
    people.log_in(browser, code=code)
    people.log_in(people.browser(), name="my-password-as-name", password="wrong-canary-5512")
    people.log_in(people.browser(), password="wrong-canary-5512")
    cookie = browser.get_cookie(LOGIN_COOKIE)
    assert cookie
    known = [
        *(PASSWORD, setup, setup.replace("-", ""), token, cookie.value, "wrong-canary-5512"),
        *("my-password-as-name", secret.hex(), second_factor.letters(secret).replace(" ", "")),
        *recovery,
        *(code.replace("-", "") for code in recovery),
    ]
    tables = ("operator", "operator_recovery", "operator_login", "operator_try", "api_token", "audit")
    stored = " ".join(
        value.hex() + value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for table in tables
        for row in db.rows(f"SELECT * FROM {table}")
        for value in row
    )
    assert "dana" in stored
    for word in known:
        assert word not in stored
        assert word not in caplog.text
        assert word not in repr(operators.get_by_name(db, "dana"))
        assert word not in repr(Typed("dana", PASSWORD, code))


def test_a_sealed_second_factor_opens_for_its_own_account_only(simple: People) -> None:
    sealed = second_factor.seal(b"x" * 20, "dana", simple.key)
    assert second_factor.unseal(sealed, "dana", simple.key) == b"x" * 20
    with pytest.raises(Exception, match=r"desk\.key"):
        second_factor.unseal(sealed, "erlan", simple.key)
