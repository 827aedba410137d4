"""How the commands of sync and of the region answer: in words, or as one JSON object and nothing else."""

from __future__ import annotations

import json
from typing import Any

import click

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")


def say(answer: dict[str, Any], is_json: bool, words: str) -> None:
    click.echo(json.dumps(answer, ensure_ascii=False) if is_json else words)
