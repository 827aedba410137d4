"""The benchmark's own arithmetic; nothing here is timed."""

import pytest

from tests.bench.figures import (
    Measurement,
    number,
    page_resources,
    table,
)


def test_the_median_is_not_moved_by_one_bad_round() -> None:
    assert Measurement("start to first page", "s", (1.0, 1.1, 60.0)).median == 1.1


def test_nothing_measured_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="first page"):
        Measurement("first page", "s", ())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.012"),
        (0.456, "0.46"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (98765.4, "98,765"),
        (3.0, "3"),
    ],
)
def test_figures_are_rounded_to_what_they_can_say(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_lines_up_and_names_median_and_spread() -> None:
    assert table(
        [Measurement("a", "s", (1.1, 3.3, 2.2)), Measurement("longer", "tokens/s", (100,))]
    ).splitlines() == [
        "| measured | median |   min-max | unit     | rounds |",
        "|----------|-------:|----------:|----------|-------:|",
        "| a        |   2.20 | 1.10-3.30 | s        |      3 |",
        "| longer   |    100 |   100-100 | tokens/s |      1 |",
    ]


def test_a_browser_fetches_what_the_page_names_each_once() -> None:
    html = """<link rel="stylesheet" href="/static/a.css"><link rel="icon" href="data:,">
    <link rel="alternate" href="/ru"><script src="s.js"></script><img src="/q.svg"><img src="/q.svg">
    <a href="/other">x</a>"""
    assert page_resources(html, "http://box/join/7A") == [
        "http://box/static/a.css",
        "http://box/join/s.js",
        "http://box/q.svg",
    ]


def test_a_page_without_an_icon_costs_one_more_request() -> None:
    assert page_resources("<p>сәлем</p>", "http://box/") == ["http://box/favicon.ico"]
