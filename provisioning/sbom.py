"""List everything in an image, each part with version, origin and licence: CycloneDX 1.5.

For whoever must know within a day whether a fault in some library is in two hundred classrooms. Pure: what
dpkg, wheels and model cards say comes in, the list goes out.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import Any

_NAMESPACE = uuid.UUID("f2c8d6de-8a43-4d0e-9c7b-6a53f6b7d6a0")


@dataclass(frozen=True)
class Part:
    """One thing in the image: a Debian package, a Python library, a model."""

    kind: str  # library, machine-learning-model, application
    name: str
    version: str
    purl: str
    licence: str = ""
    sha256: str = ""


def debian_parts(status: str, architecture: str) -> list[Part]:
    """Return the installed packages out of dpkg's own list (/var/lib/dpkg/status)."""
    parts = []
    for block in status.strip().split("\n\n"):
        fields = HeaderParser().parsestr(block)
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            arch = fields.get("Architecture", architecture)
            purl = f"pkg:deb/debian/{name}@{version}?arch={arch}"
            parts.append(Part("library", name, version, purl))
    return parts


def python_part(metadata: str) -> Part:
    """Return a library out of the METADATA that its wheel brought."""
    fields = HeaderParser().parsestr(metadata)
    name, version = fields["Name"], fields["Version"]
    licence = fields.get("License-Expression") or _short_licence(fields)
    return Part("library", name, version, f"pkg:pypi/{name.lower().replace('_', '-')}@{version}", licence)


def _short_licence(fields: Any) -> str:
    """Older wheels have the whole licence, or only a classifier."""
    for classifier in fields.get_all("Classifier") or ():
        if classifier.startswith("License ::"):
            return str(classifier.rpartition(":: ")[2])
    text = (fields.get("License") or "").strip()
    return text if len(text) <= 60 and "\n" not in text else ""


def sbom_text(title: str, version: str, date: str, parts: Sequence[Part]) -> str:
    """Return the CycloneDX document; the same parts give the same document."""
    components = [_component(part) for part in sorted(parts, key=lambda p: p.purl)]
    body = json.dumps(components, sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, body)}",
        "version": 1,
        "metadata": {
            "timestamp": date,
            "component": {"type": "firmware", "bom-ref": "image", "name": title, "version": version},
        },
        "components": components,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(part: Part) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": part.kind,
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
    }
    if part.licence:
        component["licenses"] = [{"license": {"name": part.licence}}]
    if part.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": part.sha256}]
    return component
