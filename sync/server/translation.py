"""The region's words in Kazakh, Russian and English.

Catalogues are read when the program starts; there is no compile step that could
be forgotten. English sentences are the message ids. Keeps out: HTTP.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.core import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations

from sync.errors import SyncError

DOMAIN = "region"
LANGUAGES = {"kk": "Қазақша", "ru": "Русский", "en": "English"}  # in the order of the switch
PAGE_LANGUAGE = "kk"
PROBLEM_LANGUAGE = "en"  # what a program without a language is answered in
# One time zone in the whole country since 2024.
KAZAKHSTAN = timezone(timedelta(hours=5))


class Speaker:
    """One language: sentences, numbers and dates."""

    def __init__(self, language: str, catalogue: NullTranslations) -> None:
        self.language = language
        self._catalogue = catalogue
        self._locale = Locale.parse(language)

    def say(self, sentence: str, **params: object) -> str:
        """Return the sentence in this language, its named parameters filled in."""
        spoken = self._catalogue.gettext(sentence)
        return spoken % params if params else spoken

    def explain(self, error: SyncError) -> tuple[str, str]:
        """Return what happened and what to do next."""
        return (
            self._catalogue.gettext(error.message) % error.params,
            self._catalogue.gettext(error.hint) % error.params,
        )

    def number(self, value: int) -> str:
        return _number(value, self._locale)

    def day(self, value: date) -> str:
        return _day(value, self._locale)

    def month(self, value: date) -> str:
        return format_skeleton("yMMMM", value, locale=self._locale)

    def share(self, value: float) -> str:
        """Return a share in per cent; below ten with one place, where it still matters."""
        form = self._locale.percent_formats[None].pattern
        is_small = 0 < value < 0.0995
        return format_percent(value, form.replace("#,##0", "0.0") if is_small else form, locale=self._locale)

    def moment(self, value: datetime) -> str:
        local = value.astimezone(KAZAKHSTAN)
        minute = local.time().replace(second=0, microsecond=0)
        return f"{self.day(local.date())}, {_clock(minute, self._locale)}"


# A page of boxes writes some hundred numbers and days, most of them the same: what Babel does for one takes
# longer than a row of a table.
_KEPT = 4096


@lru_cache(maxsize=_KEPT)
def _number(value: int, locale: Locale) -> str:
    return format_decimal(value, locale=locale)


@lru_cache(maxsize=_KEPT)
def _day(value: date, locale: Locale) -> str:
    return format_date(value, "medium", locale=locale)


@lru_cache(maxsize=_KEPT)
def _clock(value: time, locale: Locale) -> str:
    return format_time(value, "short", locale=locale)


def load_speakers(folder: Path | None = None) -> dict[str, Speaker]:
    """Read every catalogue."""
    folder = folder or Path(__file__).parent / "translations"
    speakers = {"en": Speaker("en", NullTranslations())}
    for language in LANGUAGES:
        if language == "en":
            continue
        compiled = BytesIO()
        with (folder / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
            write_mo(compiled, read_po(file, locale=language, domain=DOMAIN))
        compiled.seek(0)
        speakers[language] = Speaker(language, Translations(compiled, domain=DOMAIN))
    return speakers
