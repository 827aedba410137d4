"""The documents keep up with the code: every command, file, page and figure they name is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from appliance.cli import sandyq

DOCUMENTS = [
    Path("README.md"),
    Path("CONTRIBUTING.md"),
    Path("CHANGELOG.md"),
    *sorted(Path("docs").rglob("*.md")),
]


def commands(group: click.Group, prefix: str = "sandyq") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


@pytest.mark.parametrize(("name", "command"), list(commands(sandyq)), ids=lambda value: str(value))
def test_every_command_and_option_is_documented_and_says_what_it_does(
    name: str, command: click.Command
) -> None:
    text = Path("docs/commands.md").read_text(encoding="utf-8")
    section = re.search(rf"^## `{name}[^\n]*\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert section, f"docs/commands.md has no section for {name}"
    assert command.help
    for parameter in command.params:
        option = max(parameter.opts, key=len)
        if isinstance(parameter, click.Option) and option != "--help":
            assert f"`{option}" in section[1], f"{name} {option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_file_map_of_the_readme_names_real_files() -> None:
    text = Path("README.md").read_text(encoding="utf-8")
    block = re.search(r"## File map\n(.*?)(?=^## )", text, re.S | re.M)
    assert block
    named = re.findall(r"`([\w./-]+)`", block[1])
    assert len(named) > 15
    for name in named:
        assert Path(name).exists(), name


def test_every_module_is_in_the_architecture_page() -> None:
    text = Path("docs/architecture.md").read_text(encoding="utf-8")
    for room in ("appliance", "models", "provisioning", "sync"):
        for path in Path(room).rglob("*.py"):
            if path.name != "__init__.py":
                assert f"`{path.stem}`" in text, path


def test_every_decision_is_in_the_index() -> None:
    index = Path("docs/decisions/README.md").read_text(encoding="utf-8")
    for path in Path("docs/decisions").glob("0*.md"):
        assert path.name in index, path.name


def test_no_text_of_ours_names_a_machine_or_a_secret() -> None:
    for path in [*DOCUMENTS, *Path("systemd").glob("*"), Path("Makefile")]:
        if path.is_file():
            assert not re.search(
                r"/root/|/home/\w+/|BEGIN [A-Z ]*PRIVATE KEY", path.read_text(encoding="utf-8")
            ), path
