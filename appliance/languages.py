"""Say it in Kazakh, Russian or English.

English sentences are the keys; the catalogues are plain `.po` files, read at start. There is no
compile step that somebody can forget. A fourth language is a fourth file.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from babel import negotiate_locale
from babel.numbers import format_decimal

from appliance.catalogue import UNCHANGED, Catalogue, read_catalogue
from appliance.errors import N_

FOLDER = Path(__file__).parent / "translations"
SOURCE_LANGUAGE = "en"
# Kazakh comes first wherever languages stand in a row.
FIRST_LANGUAGE = "kk"
# In each catalogue this stands for the language's own name: Қазақша, Русский, English.
OWN_NAME = N_("English")


@lru_cache(maxsize=1)
def languages() -> dict[str, str]:
    """Return the code and own name of each language, Kazakh first."""
    codes = {SOURCE_LANGUAGE, *(path.parent.parent.name for path in FOLDER.glob("*/LC_MESSAGES/*.po"))}
    ordered = sorted(codes, key=lambda code: (code != FIRST_LANGUAGE, code == SOURCE_LANGUAGE, code))
    return {code: translations(code).gettext(OWN_NAME) for code in ordered}


@lru_cache(maxsize=8)
def translations(code: str) -> Catalogue:
    """Return the catalogue of a language; English is the catalogue that changes nothing."""
    path = FOLDER / code / "LC_MESSAGES" / "messages.po"
    if code == SOURCE_LANGUAGE or not path.is_file():
        return UNCHANGED
    return read_catalogue(path.read_text("utf-8"))


def choose(wishes: Iterable[str | None], default: str) -> str:
    """Return the first wish that is one of our languages; a wish may be `ru-RU` or `kk_KZ.UTF-8`."""
    for wish in wishes:
        tag = (wish or "").split(".")[0].replace("_", "-")
        found = negotiate_locale([tag, tag.split("-")[0]], list(languages()), sep="-")
        if found:
            return found
    return default


def of_terminal(environment: Mapping[str, str]) -> str:
    """Return the language of the person at the terminal: Sandyq's own setting, then the system's."""
    names = ("SANDYQ_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    return choose([environment.get(name) for name in names], SOURCE_LANGUAGE)


def render(code: str, sentence: str, params: dict[str, object]) -> str:
    """Return an error's sentence in a language."""
    return translations(code).gettext(sentence) % params


def decimal(code: str, number: float) -> str:
    """Return a number with one decimal, as it is written in a language: 0.4, 0,4."""
    return format_decimal(number, "0.0", locale=code)
