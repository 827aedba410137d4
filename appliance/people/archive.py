"""Open a ZIP file that a stranger made, and an XML part of it, without trusting a word of either. Pure.

Promises: never more memory than the limits below, whatever the file claims; member names are looked up,
never used as paths; an XML part that declares entities or a document type is refused before it is read.
Keeps out: what the parts mean.
"""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat

from appliance.errors import ListRefused, ListTooLarge

# A workbook with one sheet has about a dozen parts, a OneRoster export at most thirty.
MAX_MEMBERS = 200
# The list of a whole region's school in XML; a class needs a hundredth of it.
MAX_UNPACKED_BYTES = 16 * 1024 * 1024
# Spreadsheets shrink to a tenth. Past this it is a bomb, however small it is.
MAX_RATIO = 150


@dataclass(frozen=True)
class Archive:
    """The checked members of one ZIP file."""

    _zip: zipfile.ZipFile
    names: frozenset[str]

    def read(self, name: str) -> bytes:
        """Return one member.

        Raises:
            ListRefused: it is not there, encrypted or damaged.
            ListTooLarge: it is longer than it said.
        """
        if name not in self.names:
            raise ListRefused
        try:
            with self._zip.open(name) as part:
                raw = part.read(MAX_UNPACKED_BYTES + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            EOFError,
            OSError,
        ) as error:
            raise ListRefused from error
        if len(raw) > MAX_UNPACKED_BYTES:
            raise ListTooLarge
        return raw


def is_archive(raw: bytes) -> bool:
    return raw.startswith(b"PK\x03\x04")


def open_archive(raw: bytes) -> Archive:
    """Check what the file says about itself and return it opened.

    Raises:
        ListRefused: it is damaged.
        ListTooLarge: it holds too many parts, or unpacks to more than the limits.
    """
    try:
        opened = zipfile.ZipFile(io.BytesIO(raw))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ListRefused from error
    members = opened.infolist()
    unpacked = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED_BYTES:
        raise ListTooLarge
    if unpacked > MAX_RATIO * max(1, len(raw)):
        raise ListTooLarge
    return Archive(opened, frozenset(member.filename for member in members))


def parse_xml(
    raw: bytes,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> None:
    """Call back for every element and text; element and attribute names come without their namespaces.

    Raises:
        ListRefused: not well formed, or it declares a document type (which is where entities come from).
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise ListRefused

    def begin(name: str, attributes: dict[str, str]) -> None:
        start(_local(name), {_local(key): value for key, value in attributes.items()})

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda name: end(_local(name))
    parser.CharacterDataHandler = text
    try:
        parser.Parse(raw, True)  # noqa: FBT003 - expat's own signature
    except (expat.ExpatError, ValueError) as error:
        raise ListRefused from error


def _local(name: str) -> str:
    return name.rsplit(" ", 1)[-1]
