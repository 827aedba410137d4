"""Read `sandyq.toml`, the one file that IT staff write on a box's FAT partition, and write it for many boxes.

Promises: a file is taken whole or not at all; whoever wrote it is told which word is wrong and what to write
instead; `without_secrets` gives what may stay on the card. Pure. Keeps out: where the card is, what is done
with the settings (machine.py, first_boot.py).
"""

import csv
import difflib
import hashlib
import io
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from provisioning.errors import CardKeyUnknown, CardUnreadable, CardValueWrong, TableLineWrong

# Two printed pages; a film renamed to sandyq.toml is not read into memory.
MAX_CARD_BYTES = 16 * 1024
# A district has some hundred schools; more rows than this are a wrong file.
MAX_BOXES = 5000

LANGUAGES = ("kk", "ru", "en")
NETWORKS = ("auto", "lan", "hotspot")
# ISO 3166: the names under which the radio's rules are kept. Without one of them a radio stays silent.
COUNTRIES = frozenset(
    re.findall(
        r"\w\w",
        """
        AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
        BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
        EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
        HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
        LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
        NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
        SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
        TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
        """,
    )
)

# What must not stay on a card that anybody can put into a reader.
SECRETS = ("enrolment_code",)
# As sync/enrolment_code prints it; whether it is right only the region knows.
CODE = re.compile(r"[0-9A-Za-z]{5}(-?[0-9A-Za-z]{5}){3}")
ADDRESS = re.compile(r"https?://[^\s/\"\\]+(/[^\s\"\\]*)?")
# A folder named after a box on a Windows PC.
BOX_NAME = re.compile(r"[\w][\w .-]{0,59}")


@dataclass(frozen=True)
class CardSettings:
    """What a card may say. Every line may be left out."""

    language: str = "kk"
    country: str = "KZ"
    network: str = "auto"  # LAN if it gives an address, else hotspot
    portal: bool = True  # on the hotspot phones show the box's page by themselves
    region_url: str = ""
    enrolment_code: str = ""


KEYS = tuple(item.name for item in fields(CardSettings))
ALLOWED = {
    "language": " / ".join(LANGUAGES),
    "country": "KZ, KG, RU, UZ … (ISO 3166)",
    "network": " / ".join(NETWORKS),
    "portal": "true / false",
    "region_url": "https://…",
    "enrolment_code": "XXXXX-XXXXX-XXXXX-XXXXX + region_url",
}
CARD_FILE = "sandyq.toml"
RESULT_FILE = "sandyq-result.txt"


def read_card(content: bytes) -> CardSettings:
    """Return what the card says.

    Raises:
        CardUnreadable, CardKeyUnknown, CardValueWrong: with what is wrong and what to write instead.
    """
    if len(content) > MAX_CARD_BYTES:
        raise CardUnreadable(reason=f"> {MAX_CARD_BYTES // 1024} KiB")
    try:
        table = tomllib.loads(_text(content))
    except tomllib.TOMLDecodeError as error:
        raise CardUnreadable(reason=str(error)) from error
    for key in table:
        if key not in KEYS:
            raise CardKeyUnknown(key=key[:40], near=nearest(key, KEYS), known=", ".join(KEYS))
    settings = CardSettings(**{key: _typed(key, value) for key, value in table.items()})
    _verify(settings)
    _verify_secrets_can_go(content, settings)
    return settings


def card_hash(content: bytes) -> str:
    """Return the name under which a card's content is remembered as applied."""
    return hashlib.sha256(content).hexdigest()


def without_secrets(content: bytes) -> bytes:
    """Return the card with every secret's line blanked, at the same length: it is written over in place."""
    for key in SECRETS:
        line = rb"(?m)^((?:\xef\xbb\xbf)?[ \t]*[\"']?" + key.encode() + rb"[\"']?[ \t]*=)([^\r\n]{2,})"
        content = re.sub(line, lambda found: found[1] + b'"' + b" " * (len(found[2]) - 2) + b'"', content)
    return content


def write_card(settings: CardSettings) -> bytes:
    """Return the card's text, with the line ends that every editor shows as such."""
    lines = ["# Sandyq reads this file when it is switched on and says in sandyq-result.txt how it went."]
    for key, value in asdict(settings).items():
        said = str(value).lower() if isinstance(value, bool) else f'"{value}"'
        lines.append(f"{key} = {said}")
    return ("\r\n".join(lines) + "\r\n").encode()


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return the known word that was probably meant."""
    found = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return found[0] if found else known[0]


def read_table(content: bytes) -> dict[str, CardSettings]:
    """Return each box's settings from a CSV file whose first line names the columns.

    Raises:
        TableLineWrong: with line and column; of such a file no box is written.
    """
    text = _table_text(content)
    columns_line = text.split("\n", 1)[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in columns_line else ",")
    rows.fieldnames = _verified_columns(rows.fieldnames or ())
    boxes: dict[str, CardSettings] = {}
    codes: set[str] = set()
    for row in rows:
        name, settings = _read_row(rows.line_num, row)
        code = settings.enrolment_code.replace("-", "").upper()
        # On a FAT the names Lesson and lesson are one; a code enrols one box and is refused to the second.
        if name.casefold() in map(str.casefold, boxes) or len(boxes) == MAX_BOXES:
            raise TableLineWrong(line=rows.line_num, column="box", value=name, allowed=f"1 × {name}")
        if code and code in codes:
            raise TableLineWrong(line=rows.line_num, column="enrolment_code", value="…", allowed="1 ×")
        codes.add(code)
        boxes[name] = settings
    return boxes


def _text(content: bytes) -> str:
    try:
        # Notepad puts a mark before UTF-8.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CardUnreadable(reason="UTF-8?") from error


def _typed(key: str, value: Any) -> Any:
    if type(value) is not type(getattr(CardSettings(), key)):
        raise _wrong(key, value)
    return value.strip() if isinstance(value, str) else value


def _verify(settings: CardSettings) -> None:
    is_right = {
        "language": settings.language in LANGUAGES,
        "country": settings.country in COUNTRIES,
        "network": settings.network in NETWORKS,
        "region_url": not settings.region_url or bool(ADDRESS.fullmatch(settings.region_url)),
        "enrolment_code": not settings.enrolment_code
        or bool(CODE.fullmatch(settings.enrolment_code) and settings.region_url),
    }
    for key, holds in is_right.items():
        if not holds:
            raise _wrong(key, getattr(settings, key))


def _verify_secrets_can_go(content: bytes, settings: CardSettings) -> None:
    """TOML also knows texts over several lines: one that would stay on the card is refused at once."""
    left = without_secrets(content)
    for key in SECRETS:
        if getattr(settings, key) and getattr(settings, key).encode() in left:
            raise _wrong(key, "")


def _wrong(key: str, value: object) -> CardValueWrong:
    # A code may be somebody's: it is not repeated where it can be read.
    said = "…" if key in SECRETS else str(value)[:40]
    return CardValueWrong(key=key, value=said, allowed=ALLOWED[key])


def _table_text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # As Excel saves it in a Russian or Kazakh Windows; the cells we read are Latin anyway.
        return content.decode("cp1251", "replace")


def _verified_columns(names: Sequence[str]) -> list[str]:
    columns = [name.strip().lower() for name in names]
    known = ("box", *KEYS)
    for name in columns:
        if name not in known:
            raise TableLineWrong(line=1, column=name[:40], value=name[:40], allowed=", ".join(known))
    if "box" not in columns:
        raise TableLineWrong(line=1, column="box", value="", allowed=", ".join(known))
    return columns


def _read_row(line: int, row: dict[str, Any]) -> tuple[str, CardSettings]:
    if None in row or None in row.values():
        raise TableLineWrong(line=line, column="", value=f"{len(row)}", allowed="1 × box, …")
    said = {key: value.strip() for key, value in row.items() if value.strip()}
    name = said.pop("box", "")
    if not BOX_NAME.fullmatch(name) or name.endswith("."):
        raise TableLineWrong(line=line, column="box", value=name[:40], allowed="a-z 0-9 - _")
    try:
        settings = CardSettings(**{key: _from_cell(key, value) for key, value in said.items()})
        _verify(settings)
    except CardValueWrong as error:
        raise TableLineWrong(
            line=line,
            column=error.params["key"],
            value=error.params["value"],
            allowed=error.params["allowed"],
        ) from error
    return name, settings


def _from_cell(key: str, value: str) -> Any:
    if key != "portal":
        return value
    if value.lower() not in ("true", "false"):
        raise _wrong(key, value)
    return value.lower() == "true"
