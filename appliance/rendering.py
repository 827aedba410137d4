"""Turn what a model wrote into safe HTML: Markdown, and mathematics as MathML. Pure.

Promises: whatever the text, the result holds only the tags listed here, no address, no script and no
style, and it is made in a time that grows with the text; what cannot be shown as a formula is shown
as it was written. Keeps out: links and pictures, which lead nowhere on a box without internet.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from html import unescape
from xml.etree import ElementTree as ET

import nh3
from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

# An answer has at most 750 letters, a teacher's hint two pages; longer texts are shown plainly.
MAX_CHARACTERS = 8_000
# Deeper quotes, lists and emphasis say nothing to a child, and cost stack.
MAX_NESTING = 12
# A long school formula, written out, has about 150 characters.
MAX_FORMULA_CHARACTERS = 400
# latex2mathml descends with each brace; school formulas stay below five.
MAX_FORMULA_DEPTH = 12
# More on one page is an attack on the processor, not an explanation.
MAX_FORMULAS = 60

_TEXT_TAGS = {
    *("p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "hr"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_MATH_TAGS = {
    *("math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot"),
    *("msup", "msub", "msubsup", "munder", "mover", "munderover"),
    *("mtable", "mtr", "mtd", "mstyle", "mpadded"),
}
_ATTRIBUTES = {
    "ol": {"start"},
    "math": {"display", "alttext", "tabindex"},
    "table": {"tabindex"},
    "mo": {"stretchy", "fence", "form", "separator", "accent", "largeop", "movablelimits"},
    "mi": {"mathvariant"},
    "mover": {"accent"},
    "mfrac": {"linethickness"},
    "mspace": {"width"},
    "mtable": {"columnalign"},
}
_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho "
    "sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_WORDS = (
    "frac dfrac tfrac binom sqrt cdot times div pm mp le leq leqslant ge geq geqslant ne neq lt gt "
    "approx equiv sim cong propto infty sum prod int lim sin cos tan cot arcsin arccos arctan log ln lg "
    "exp min max gcd left right text mathrm mathbf mathit mathbb overline underline vec hat bar dot "
    "angle triangle parallel perp circ degree prime ldots cdots dots in notin subset subseteq supset "
    "cup cap setminus emptyset varnothing forall exists neg land lor to rightarrow leftarrow Rightarrow "
    "Leftarrow Leftrightarrow leftrightarrow implies iff therefore because quad qquad mid nabla partial "
    "square begin end lfloor rfloor lceil rceil underbrace overbrace overrightarrow vert bmod pmod"
)
COMMANDS = frozenset([*_GREEK.split(), *_WORDS.split(), *",;:! {}$%#&_|\\"])
ENVIRONMENTS = frozenset(
    "cases matrix pmatrix bmatrix vmatrix aligned align align* array gathered".split()  # noqa: SIM905 - reads as a list
)
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.S)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{([^{}]*)\}")
_FENCES = (("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False), ("$", "$", False))


@lru_cache(maxsize=256)
def render(text: str) -> Markup:
    """Return the text as HTML that may stand in a page as it is."""
    text = "".join(map(_visible, text))
    if len(text) > MAX_CHARACTERS:
        return _plain(text)
    html = _MARKDOWN.render(text, {"formulas": 0})
    # The last step is the sanitiser: whatever the parsers before it were talked into, it holds.
    clean = nh3.clean(html, tags=_TEXT_TAGS | _MATH_TAGS, attributes=_ATTRIBUTES, link_rel=None)
    return Markup(clean)  # noqa: S704 - sanitised in the line above


def formula(latex: str, *, display: bool = False) -> str:
    """Return MathML that carries its LaTeX as words for a screen reader, or the LaTeX as code."""
    shown = latex.strip()
    if not is_drawable(shown):
        return f"<code>{escape(shown)}</code>"
    try:
        drawn = convert_to_element(shown, display="block" if display else "inline")
    except Exception:  # noqa: BLE001 - a third party's parser on a model's text: any fault means "as written"
        return f"<code>{escape(shown)}</code>"
    drawn.set("alttext", shown)
    if display:
        drawn.set("tabindex", "0")  # it scrolls sideways on a phone, also for a keyboard
    for element in drawn.iter():
        # The library leaves its own character references in the text, and our writer escapes what is there.
        element.text = unescape(element.text) if element.text else element.text
    return ET.tostring(drawn, encoding="unicode")


def _visible(mark: str) -> str:
    """Drop what has no shape, such as marks that turn the reading direction; keep every kind of space."""
    if mark.isprintable() or mark in "\n\t":
        return mark
    return " " if mark.isspace() else ""


def is_drawable(latex: str) -> bool:
    """Return whether a formula is short, shallow, closed, and made of commands that we know."""
    if not latex or len(latex) > MAX_FORMULA_CHARACTERS or not _is_balanced(latex):
        return False
    if any(name not in COMMANDS for name in _COMMAND.findall(latex)):
        return False
    return all(name in ENVIRONMENTS for name in _ENVIRONMENT.findall(latex))


def _is_balanced(latex: str) -> bool:
    depth = 0
    for mark in re.sub(r"\\.", "", latex):
        depth += (mark == "{") - (mark == "}")
        if depth < 0 or depth > MAX_FORMULA_DEPTH:
            return False
    # Each of these opens one level more in the parser, braces or not.
    deepening = latex.count("\\left") + latex.count("\\begin") + latex.count("\\sqrt") + latex.count("\\frac")
    return depth == 0 and deepening <= 4 * MAX_FORMULA_DEPTH and not re.search(r"[\^_]{2}", latex)


def _plain(text: str) -> Markup:
    paragraphs = re.split(r"\n{2,}", text)
    return Markup("").join(Markup("<p>{}</p>").format(paragraph) for paragraph in paragraphs)


# Parsers ---------------------------------------------------------------------------


def _inline_rule(state: StateInline, silent: bool) -> bool:
    """Read $…$, $$…$$, \\(…\\) or \\[…\\] inside a paragraph."""
    for opening, closing, display in _FENCES:
        if state.src.startswith(opening, state.pos):
            start = state.pos + len(opening)
            end = _find_end(state.src[: state.posMax], start, closing)
            if end < 0:
                continue
            if not silent:
                token = state.push("formula", "math", 0)
                token.content, token.meta = state.src[start:end], {"display": display}
            state.pos = end + len(closing)
            return True
    return False


def _find_end(source: str, start: int, closing: str) -> int:
    """Return where the formula ends, or -1. Sums of money such as `$5 and $6` are no formula."""
    end = source.find(closing, start, start + MAX_FORMULA_CHARACTERS + len(closing))
    if closing != "$":
        return end
    while end > 0 and source[end - 1] == "\\":
        end = source.find(closing, end + 1, start + MAX_FORMULA_CHARACTERS + 1)
    follows = source[end + 1 : end + 2]
    if end <= start or source[start].isspace() or source[end - 1].isspace() or follows.isdigit():
        return -1
    return end


def _block_rule(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Read a formula that stands alone: its lines may begin like a list or a heading."""
    begin, end = state.bMarks[first] + state.tShift[first], state.eMarks[first]
    line = state.src[begin:end]
    closing = {"$$": "$$", "\\[": "\\]"}.get(line[:2])
    if closing is None or state.is_code_block(first):
        return False
    content, number = line[2:], first
    while not content.rstrip().endswith(closing):
        number += 1
        if number >= last or len(content) > MAX_FORMULA_CHARACTERS:
            return False
        content += "\n" + state.src[state.bMarks[number] : state.eMarks[number]]
    if not silent:
        token = state.push("formula", "math", 0)
        token.block, token.meta = True, {"display": True}
        token.content = content.rstrip().removesuffix(closing)
    state.line = number + 1
    return True


def _draw_formula(
    _renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, env: EnvType
) -> str:
    env["formulas"] += 1
    token = tokens[index]
    if env["formulas"] > MAX_FORMULAS:
        return f"<code>{escape(token.content)}</code>"
    drawn = formula(token.content, display=token.meta["display"])
    return f"<p>{drawn}</p>" if token.block else drawn


def _build() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING, "html": False, "breaks": True})
    markdown.enable("table").disable(
        ["link", "image", "autolink", "reference", "html_block", "html_inline", "lheading"]
    )
    markdown.inline.ruler.before("escape", "formula", _inline_rule)
    markdown.block.ruler.before("fence", "formula", _block_rule, {"alt": ["paragraph", "blockquote", "list"]})
    markdown.add_render_rule("formula", _draw_formula)
    markdown.add_render_rule("table_open", lambda *_: '<table tabindex="0">\n')
    # A heading inside an answer would break the order of the page's own headings.
    markdown.add_render_rule("heading_open", lambda *_: "<p><strong>")
    markdown.add_render_rule("heading_close", lambda *_: "</strong></p>\n")
    return markdown


_MARKDOWN = _build()
