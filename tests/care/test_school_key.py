"""The school's key survives paper: slips are found, look-alikes are read, and the format never changes."""

import random

import pyrage
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.school_key import from_code, name_of, to_code, to_identity

seeds = st.binary(min_size=16, max_size=16)

# Printed sheets lie in safes for years: what they say must mean the same for ever.
SEED = bytes(range(16))
CODE = "000G 40R4 0M30 E209 185G R38E 1W5Z"
NAME = "T8DT"
IDENTITY = "AGE-SECRET-KEY-1PRC4LYE4DFZVE7H9QQKRD53J6AV2VZKH5Z9347ZPDTNK70ADJTAQZ7KWUQ"


def test_a_sheet_printed_today_opens_for_ever() -> None:
    assert to_code(SEED) == CODE
    assert name_of(SEED) == NAME
    assert to_identity(SEED) == IDENTITY
    assert from_code(CODE) == SEED


@given(seeds)
def test_what_is_printed_is_what_is_read(seed: bytes) -> None:
    code = to_code(seed)
    assert [len(group) for group in code.split()] == [4] * 7
    assert from_code(code) == seed
    assert from_code(code.lower().replace(" ", "-")) == seed
    assert from_code("  ".join(code)) == seed
    assert name_of(seed) not in code.split()


@given(seeds)
def test_the_identity_is_one_that_any_age_program_takes(seed: bytes) -> None:
    text = to_identity(seed)
    assert str(pyrage.x25519.Identity.from_str(text)) == text


@given(seeds)
def test_look_alikes_of_phones_and_hands_are_read(seed: bytes) -> None:
    """Cyrillic letters of the same shape, I and L for 1, O for 0."""
    code = to_code(seed)
    hand = code.replace("1", "l").replace("0", "O")
    cyrillic = code.translate(str.maketrans("ABCEHKMPTXY3", "АВСЕНКМРТХУЗ"))
    assert from_code(hand) == from_code(cyrillic) == seed


def test_a_slip_of_the_pen_is_found() -> None:
    chance = random.Random(7)
    slips = missed = 0
    for _ in range(3000):
        seed = chance.randbytes(16)
        letters = list(to_code(seed))
        at = chance.randrange(len(letters))
        wrong = chance.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        if letters[at] in (" ", wrong):
            continue
        letters[at] = wrong
        slips += 1
        missed += from_code("".join(letters)) is not None
    assert slips > 2000
    assert missed / slips < 0.005


def test_what_is_no_code_is_none() -> None:
    for text in ("", "0", CODE[:-1], CODE + "0", CODE.replace("0", "?"), "Ә" * 28, "0" * 28, "\0" * 28):
        assert from_code(text) is None
