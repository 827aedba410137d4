"""What the commands of this room say to a person, in the language the outermost door chose."""

from collections.abc import Mapping

import click

# The outermost door leaves its translator here: this room knows no languages.
SAY = "sandyq.say"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def say(text: str, params: Mapping[str, object] | None = None) -> str:
    """The sentence in the reader's language; as it stands where nobody translates (tests, other programs)."""
    context = click.get_current_context(silent=True)
    translate = context.meta.get(SAY) if context else None
    return text % (params or {}) if translate is None else str(translate(text, params or {}))
