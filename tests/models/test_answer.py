"""Whole letters, and nothing past a stop."""

from hypothesis import given
from hypothesis import strategies as st

from models.answer import AnswerText


def shown(pieces: list[bytes], stop: list[str]) -> tuple[list[str], bool]:
    answer = AnswerText(stop)
    texts = []
    for piece in pieces:
        texts.append(answer.feed(piece))
        if answer.stopped:
            break
    return [*texts, answer.finish()], answer.stopped


def test_a_letter_split_over_two_tokens_appears_whole():
    raw = "Ә".encode()
    assert shown([raw[:1], raw[1:]], []) == (["", "Ә", ""], False)


def test_half_a_letter_at_the_end_is_marked_and_not_lost():
    assert shown([b"a", "Ә".encode()[:1]], [])[0][-1] == "\ufffd"


def test_a_stop_over_several_tokens_is_never_shown():
    texts, stopped = shown([b"one E", b"N", b"D two"], ["END"])
    assert (texts, stopped) == (["one ", "", "", ""], True)


def test_what_only_looked_like_a_stop_is_shown_later():
    texts, stopped = shown([b"one E", b"N", b"Emy"], ["END"])
    assert ("".join(texts), stopped) == ("one ENEmy", False)


def test_a_held_back_end_is_shown_at_the_end():
    assert shown([b"the EN"], ["END"])[0] == ["the ", "EN"]


def test_the_earliest_stop_counts():
    assert "".join(shown([b"a.b!c"], ["!", "."])[0]) == "a"


@given(
    st.text("abй😀"),
    st.lists(st.text("abй😀", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 3), min_size=1),
)
def test_any_cut_into_tokens_gives_the_same_text(text, stops, sizes):
    raw, pieces, at = text.encode(), [], 0
    while at < len(raw):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(raw[at : at + size])
        at += size
    found = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    # Token by token the first stop to be complete wins; for the reader it is where the text ends.
    texts, stopped = shown(pieces, stops)
    assert stopped == bool(found)
    if not found:
        assert "".join(texts) == text
    else:
        assert text.startswith("".join(texts))
        assert not any(stop in "".join(texts) for stop in stops)
