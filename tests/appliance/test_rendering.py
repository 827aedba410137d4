"""What a model writes becomes safe HTML, whatever it writes, and soon."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import rendering
from appliance.rendering import COMMANDS, MAX_CHARACTERS, formula, is_drawable, render

ALLOWED = rendering._TEXT_TAGS | rendering._MATH_TAGS
HARMLESS = {"display", "alttext", "start", "stretchy", "fence", "form", "width", "tabindex"}
# Generous for a busy machine; the worst text here takes about 30 ms alone.
MOST_SECONDS = 2.0


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[press](javascript:alert(1))",
    "![picture](http://198.51.100.7/spy.png)",
    "<http://198.51.100.7/>",
    "[a]: javascript:alert(1)\n\n[a]",
    "```<script>\nalert(1)\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "$\\href{javascript:alert(1)}{x}$",
    "$\\class{x}{y}$ $\\style{color:red}{y}$ $\\color{red}{y}$",
    "$\\text{</mtext></math><script>alert(1)</script>}$",
    "$\\text{<style>*{display:none}</style>}$",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<form action=/teacher/session><button>Press</button></form>",
    "<a href='data:text/html,x'>x</a>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "`<b onmouseover=alert(1)>`",
    "|<script>|\n|-|\n|<iframe src=x>|",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_no_text_becomes_a_tag_an_address_or_a_script(text: str) -> None:
    page = _Tags(render(text))
    assert page.tags <= ALLOWED
    assert page.attributes <= {
        "display",
        "alttext",
        "start",
        "stretchy",
        "fence",
        "form",
        "width",
        "tabindex",
    }


@given(st.text(alphabet="$\\{}[]()<>&\"'`*_#|-+ \n\u202e\u00a0aәx1frac^", max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_text_at_all_gives_only_the_listed_tags(text: str) -> None:
    html = render.__wrapped__(text)
    assert _Tags(html).tags <= ALLOWED
    assert "\u202e" not in html


HEAVY = {
    "emphasis that never closes": "*a **b " * 1200,
    "quotes in quotes": "> " * 4000,
    "brackets": "[" * 8000,
    "code marks of every length": "`a``b" * 1600,
    "dollars": "$" * 8000,
    "dollars and letters": "$x " * 2600,
    "formulas without end": "\\(" * 4000,
    "a thousand formulas": "$x^2$ " * 1300,
    "fractions in fractions": "$" + "\\frac{" * 60 + "}" * 60 + "$",
    "bare fractions": "$" + "\\frac" * 75 + "$",
    "powers of powers": "$" + "^" * 300 + "$",
    "accents on accents": "$" + "\\hat" * 90 + "x$",
    "rows of block marks": "$$\n" * 2600,
    "a wide table": "|a" * 1300 + "\n" + "|-" * 1300 + "\n" + "|a" * 1300,
    "a book": "Бұл ұзақ мәтін. " * 40_000,
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY.keys())
def test_no_text_takes_long_or_grows_without_measure(text: str) -> None:
    began = time.perf_counter()
    html = render.__wrapped__(text)
    assert time.perf_counter() - began < MOST_SECONDS
    assert len(html) < 12 * len(text) + 1000
    assert _Tags(html).tags <= ALLOWED


def test_time_grows_with_the_text_and_not_with_its_square() -> None:
    def seconds(count: int) -> float:
        text = "*a **b _c " * count
        return min(_timed(text) for _ in range(3))

    assert seconds(700) < 40 * seconds(70) + 0.05


def _timed(text: str) -> float:
    began = time.perf_counter()
    render.__wrapped__(text)
    return time.perf_counter() - began


def test_a_quadratic_equation_is_mathml_with_its_latex_as_words() -> None:
    html = render(r"Solve $x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$ now.")
    assert r'alttext="x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}"' in html
    assert "<mfrac>" in html
    assert "<msqrt>" in html
    assert _Tags(html).text.startswith("Solve ")


@pytest.mark.parametrize("fence", [("$", "$"), ("\\(", "\\)")])
def test_formulas_inside_a_line_stay_in_the_line(fence: tuple[str, str]) -> None:
    html = render(f"One {fence[0]}x+1{fence[1]} two")
    assert 'display="inline"' in html
    assert html.count("<p>") == 1


@pytest.mark.parametrize("fence", [("$$", "$$"), ("\\[", "\\]")])
def test_a_formula_of_several_lines_may_begin_like_a_list(fence: tuple[str, str]) -> None:
    html = render(f"So:\n{fence[0]}\nx^2\n- 3x\n= 4\n{fence[1]}\nDone.")
    assert "<li>" not in html
    assert 'display="block"' in html
    assert "Done." in html


def test_money_is_no_formula() -> None:
    assert "<math" not in render("A pen costs $5 and a book $6. Together $11?")
    assert "<math" not in render("5 $ or 6 $ each")


@pytest.mark.parametrize(
    "latex",
    [
        r"\input{/etc/passwd}",
        r"\def\a{\a\a}\a",
        r"\unknown{x}",
        r"\begin{tikzpicture}\end{tikzpicture}",
        "{{",
        "x}",
    ],
)
def test_what_is_not_known_is_shown_as_it_was_written(latex: str) -> None:
    html = formula(latex)
    assert html.startswith("<code>")
    assert _Tags(html).text == latex


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if name.isalpha()))
def test_every_command_of_the_list_is_drawn_and_not_shown_as_a_command(name: str) -> None:
    arguments = {
        "frac": "{a}{b}", "dfrac": "{a}{b}", "tfrac": "{a}{b}", "binom": "{a}{b}", "left": "( x \\right)",
        "right": "", "begin": "{cases}x\\end{cases}", "end": "",
    }  # fmt: skip
    if name in ("right", "end"):
        return  # drawn with their other half
    drawn = formula("\\" + name + arguments.get(name, "{x}"))
    assert drawn.startswith("<math"), drawn
    assert f"\\{name}" not in _Tags(drawn).text


def test_markdown_of_a_good_answer_is_kept() -> None:
    html = render("**First** think:\n\n1. half\n2. third\n\n- *one*\n\n> note\n\n`code`")
    assert {"strong", "em", "ol", "ul", "li", "blockquote", "code"} <= _Tags(html).tags


def test_an_answer_has_no_headings_of_its_own() -> None:
    html = render("# Big\n\nTitle\n=====\n\n## Small")
    assert not re.search(r"<h\d", html)
    assert html.count("<strong>") == 2


def test_spaces_of_every_kind_stay_spaces() -> None:
    assert "10 000" in render("10\u00a0000")


def test_too_long_a_text_is_shown_whole_and_plain() -> None:
    text = "**a** " * (MAX_CHARACTERS // 4)
    assert _Tags(render(text)).text == text
    assert _Tags(render(text)).tags == {"p"}


def test_a_formula_is_drawn_only_when_short_closed_and_shallow() -> None:
    assert is_drawable("x^2")
    assert not is_drawable("x" * 401)
    assert not is_drawable("{" * 13 + "}" * 13)
    assert not is_drawable("")
