"""The catalogues of the box say every sentence of the code, and nothing else, in every language.

A language is a folder in appliance/translations: a fourth one is judged here without a new line.
"""

import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from babel.util import pathmatch

from appliance import languages
from appliance.catalogue import read_catalogue
from appliance.errors import ApplianceError
from models.errors import ModelsError
from provisioning.errors import ProvisioningError
from sync import region_errors  # noqa: F401 - its classes belong to the family
from sync.errors import SyncError

ROOT = Path(__file__).parent.parent
MAPPINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["babel"]["mappings"]
CODES = sorted(folder.name for folder in languages.FOLDER.iterdir() if folder.is_dir())

Family = type[ApplianceError] | type[ModelsError] | type[ProvisioningError] | type[SyncError]
FAMILIES: tuple[Family, ...] = (ApplianceError, ModelsError, ProvisioningError, SyncError)

PLACE = re.compile(r"%\((\w+)\)([ds])")
WORD = re.compile(r"[^\W\d_]+")
# Letters that the other languages here do not have.
KAZAKH_LETTERS = set("әғқңөұүһі")

Id = str | tuple[str, ...]


def extract() -> dict[Id, str]:
    """Return each sentence of the code with a file that says it, found as pyproject.toml tells Babel."""
    found = extract_from_dir(
        ROOT,
        method_map=[(mapping["pattern"], mapping["method"]) for mapping in MAPPINGS],
        # A template that Jinja cannot read must fail here and not hide its sentences.
        options_map={mapping["pattern"]: {"silent": "false"} for mapping in MAPPINGS},
        keywords=DEFAULT_KEYWORDS | {"N_": None},
    )
    return {sentence: file for file, _line, sentence, _comments, _context in found}


def read(code: str) -> Catalog:
    with (languages.FOLDER / code / "LC_MESSAGES" / "messages.po").open("rb") as source:
        return read_po(source, abort_invalid=True)


def entries(code: str) -> list[Message]:
    return [message for message in read(code) if message.id]


def spoken(message: Message) -> list[str]:
    """Return the sentence, or its forms for the numbers of the language."""
    return [message.string] if isinstance(message.string, str) else list(message.string or [""])


def errors_of(family: Family) -> Iterator[Family]:
    yield family
    for error in family.__subclasses__():
        yield from errors_of(error)


def example_params(*sentences: str) -> dict[str, object]:
    places = [place for sentence in sentences for place in PLACE.findall(sentence)]
    return {name: 7 if kind == "d" else "7A" for name, kind in places}


SENTENCES = extract()
ERRORS = [error for family in FAMILIES for error in errors_of(family)]
every_language = pytest.mark.parametrize("code", CODES)
every_error = pytest.mark.parametrize(
    "error", ERRORS, ids=lambda error: f"{error.__module__}.{error.__name__}"
)


def test_sentences_are_found_in_every_room_and_only_there() -> None:
    files = set(SENTENCES.values())
    for mapping in MAPPINGS:
        assert any(pathmatch(mapping["pattern"], file) for file in files), mapping
    assert not [file for file in files if file.startswith(("sync/server/", "tests/"))]
    assert not [sentence for sentence in SENTENCES if not "".join(sentence).strip()]


def test_languages_are_offered_by_their_own_names_and_kazakh_first() -> None:
    names = languages.languages()
    assert list(names.items())[:1] == [("kk", "Қазақша")]
    assert names["ru"] == "Русский"
    assert names["en"] == "English"
    assert len(set(names.values())) == len(CODES) + 1, "a catalogue gives another language's name"


@every_language
def test_catalogue_holds_exactly_the_sentences_of_the_code(code: str) -> None:
    held = {message.id for message in entries(code)}
    assert not SENTENCES.keys() - held, "missing"
    assert not held - SENTENCES.keys(), "said nowhere"
    assert not read(code).obsolete, "said nowhere any more"


@every_language
def test_every_sentence_is_translated_and_settled(code: str) -> None:
    assert not [message.id for message in entries(code) if message.fuzzy]
    assert not [message.id for message in entries(code) if not all(text.strip() for text in spoken(message))]


@every_language
def test_every_sentence_keeps_its_placeholders(code: str) -> None:
    for message in entries(code):
        # Of a pair of singular and plural the plural has them all.
        expected = sorted(PLACE.findall(message.id if isinstance(message.id, str) else message.id[1]))
        for text in spoken(message):
            assert sorted(PLACE.findall(text)) == expected, message.id
            # Every sentence goes through the % operator, also those without placeholders.
            assert "%" not in PLACE.sub("", text), message.id


@every_language
def test_every_plural_has_as_many_forms_as_the_language(code: str) -> None:
    catalogue = read(code)
    assert str(catalogue.locale) == code
    for message in entries(code):
        forms = 1 if isinstance(message.id, str) else catalogue.num_plurals
        assert len(spoken(message)) == forms, message.id


def test_numbers_take_the_form_their_language_wants() -> None:
    one, many = "%(num)d event waits to be sent", "%(num)d events wait to be sent"
    expected = {
        "kk": {1: "1 оқиға", 5: "5 оқиға"},
        "ru": {1: "1 событие ", 3: "3 события ", 11: "11 событий ", 21: "21 событие ", 25: "25 событий "},
    }
    for code, numbers in expected.items():
        for number, start in numbers.items():
            said = languages.translations(code).ngettext(one, many, number) % {"num": number}
            assert said.startswith(start)


@every_language
def test_entries_are_sorted_and_name_no_lines(code: str) -> None:
    """Then a new sentence changes only its own lines of the file."""
    ids = [message.id if isinstance(message.id, str) else message.id[0] for message in entries(code)]
    assert ids == sorted(ids)
    assert not [message.id for message in entries(code) if message.locations]


@every_language
def test_no_word_mixes_two_alphabets(code: str) -> None:
    """A Latin `i` in a Kazakh word looks right and is found by no search."""
    for message in entries(code):
        for word in WORD.findall(PLACE.sub("", " ".join(spoken(message)))):
            assert word.isascii() or not re.search("[A-Za-z]", word), (message.id, word)


def test_kazakh_is_kazakh_and_russian_is_russian() -> None:
    kazakh, russian = (
        [" ".join(spoken(message)).lower() for message in entries(code)] for code in ("kk", "ru")
    )
    assert sum(bool(KAZAKH_LETTERS & set(text)) for text in kazakh) > 0.9 * len(kazakh)
    assert not [text for text in russian if KAZAKH_LETTERS & set(text)]


@every_error
def test_every_error_says_what_happened_and_what_to_do_in_every_language(error: Family) -> None:
    params = example_params(error.message, error.hint)
    said = error(**params)
    for sentence in (said.message, said.hint):
        assert sentence in SENTENCES, "not marked with N_"
        for code in languages.languages():
            rendered = languages.render(code, sentence, said.params)
            assert rendered.strip()
            assert "%(" not in rendered


@pytest.mark.parametrize("family", FAMILIES)
def test_no_two_errors_of_a_family_share_a_key(family: Family) -> None:
    keys = [error.key for error in errors_of(family)]
    assert len(keys) == len(set(keys))


@every_language
def test_our_reader_says_what_babel_and_gettext_say(code: str) -> None:
    path = languages.FOLDER / code / "LC_MESSAGES" / "messages.po"
    ours, compiled = read_catalogue(path.read_text("utf-8")), io.BytesIO()
    write_mo(compiled, read(code))
    compiled.seek(0)
    theirs = Translations(compiled)
    for message in entries(code):
        if isinstance(message.id, str):
            assert ours.gettext(message.id) == theirs.gettext(message.id)
        else:
            for count in range(130):
                assert ours.ngettext(*message.id, count) == theirs.ngettext(*message.id, count)
    assert ours.gettext("nobody says this") == "nobody says this"


def test_a_catalogue_as_translation_tools_write_it_is_read() -> None:
    """Long strings in pieces, escapes, contexts, old and doubtful entries, missing words."""
    written = r"""
#, fuzzy
msgid ""
msgstr ""
"Language: xx\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 ? 0 : n<5 ? 1 : 2);\n"
#: appliance/app.py:3
msgid ""
"one "
"\"two\"\n"
msgstr "a\tb"
"\\n"
#, fuzzy, python-format
msgid "doubtful %(n)d"
msgstr "guess"

msgctxt "menu"
msgid "open"
msgstr "not asked for"
msgid "empty"
msgstr ""
msgid "a day"
msgid_plural "%(n)d days"
msgstr[0] "x0"
msgstr[1] "x1"
msgstr[2] ""
#~ msgid "old"
#~ msgstr "gone"
"""
    catalogue = read_catalogue(written)
    assert catalogue.gettext('one "two"\n') == "a\tb\\n"
    assert [catalogue.gettext(same) for same in ("doubtful %(n)d", "open", "empty", "old")] == [
        "doubtful %(n)d",
        "open",
        "empty",
        "old",
    ]
    said = [catalogue.ngettext("a day", "%(n)d days", count) for count in (1, 3, 21, 7)]
    assert said == ["x0", "x1", "x0", "%(n)d days"]
