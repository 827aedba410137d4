"""One file on the card: taken whole or not at all, and whoever wrote it is told what to write instead."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import (
    CardKeyUnknown,
    CardUnreadable,
    CardValueWrong,
    ProvisioningError,
    TableLineWrong,
)
from provisioning.image_cli import image_group
from provisioning.settings_card import (
    MAX_CARD_BYTES,
    CardSettings,
    read_card,
    read_table,
    without_secrets,
    write_card,
)

CODE = "ABCDE-12345-FGHJK-67890"
FULL = CardSettings("ru", "KG", "hotspot", False, "https://region.example.kz/sandyq", CODE)


def test_a_card_says_what_was_written_for_it() -> None:
    assert read_card(write_card(FULL)) == FULL
    assert read_card(b"") == CardSettings()


def test_a_card_saved_by_notepad_is_read() -> None:
    assert read_card(b'\xef\xbb\xbflanguage = "ru"\r\n').language == "ru"


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("langauge", "language"), ("Country", "country"), ("enrollment_code", "enrolment_code")],
)
def test_an_unknown_key_is_refused_by_name_with_the_one_that_was_meant(typo: str, meant: str) -> None:
    with pytest.raises(CardKeyUnknown) as refused:
        read_card(f'{typo} = "kk"\n'.encode())
    assert refused.value.params["key"] == typo
    assert refused.value.params["near"] == meant
    assert "network" in str(refused.value)  # and all that there are


@pytest.mark.parametrize(
    ("line", "key", "next_step"),
    [
        ('country = "XX"', "country", "KZ"),
        ('country = "Kazakhstan"', "country", "KZ"),
        ('country = "kz"', "country", "KZ"),
        ('network = "wifi"', "network", "hotspot"),
        ('language = "de"', "language", "kk"),
        ("portal = 1", "portal", "true"),
        ("language = 3", "language", "kk"),
        ('region_url = "region.example.kz"', "region_url", "https://"),
        ('region_url = "https://a b"', "region_url", "https://"),
        (f'enrolment_code = "{CODE}"', "enrolment_code", "region_url"),
        ('region_url = "https://r.kz"\nenrolment_code = "ABC"', "enrolment_code", "XXXXX"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(line: str, key: str, next_step: str) -> None:
    with pytest.raises(CardValueWrong) as refused:
        read_card(line.encode())
    assert refused.value.params["key"] == key
    assert next_step in str(refused.value)
    assert CODE not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [b"language = kk", b"[region\n", 'language = "kk"'.encode("utf-16"), b"#" * (MAX_CARD_BYTES + 1)],
)
def test_a_card_that_is_no_settings_file_is_refused(content: bytes) -> None:
    with pytest.raises(CardUnreadable):
        read_card(content)


@pytest.mark.parametrize(
    "line",
    [
        f'enrolment_code = "{CODE}"',
        f"  enrolment_code='{CODE}' # for school 12",
        f'"enrolment_code" = "{CODE}"',
        f'enrolment_code\t=\t"{CODE}"',
    ],
)
def test_nothing_secret_stays_and_everything_else_does(line: str) -> None:
    before = f'# school 12\r\nregion_url = "https://r.kz"\r\n{line}\r\nlanguage = "ru"\r\n'.encode()
    assert read_card(before).enrolment_code == CODE
    after = without_secrets(before)
    assert CODE.encode() not in after
    assert read_card(after) == CardSettings("ru", region_url="https://r.kz")
    assert b"# school 12\r\n" in after
    assert without_secrets(after) == after


def test_a_secret_over_several_lines_cannot_slip_past() -> None:
    card = f'region_url = "https://r.kz"\nenrolment_code = """\n{CODE}"""\n'.encode()
    # TOML allows it; then the emptied text would keep the code, so such a card is refused.
    with pytest.raises(CardValueWrong):
        read_card(card)


@given(st.binary(max_size=200))
def test_no_content_crashes_the_reader(content: bytes) -> None:
    try:
        read_card(content)
    except ProvisioningError as error:
        assert str(error)
    without_secrets(content)


def test_a_table_gives_each_box_its_settings() -> None:
    table = (
        "box,region_url,enrolment_code,language\n"
        f"school-12,https://r.kz,{CODE},ru\nschool-13,https://r.kz,ABCDE-12345-FGHJK-67891,\n"
    )
    boxes = read_table(table.encode())
    assert boxes["school-12"] == CardSettings("ru", region_url="https://r.kz", enrolment_code=CODE)
    assert boxes["school-13"].language == "kk"
    # As Excel saves it in a country that writes 1,5.
    assert read_table(b"\xef\xbb\xbf" + table.replace(",", ";").replace("\n", "\r\n").encode()) == boxes


@pytest.mark.parametrize(
    ("table", "line", "column"),
    [
        ("language\nkk\n", 1, "box"),
        ("box,langauge\na,kk\n", 1, "langauge"),
        ("box,country\na,KZ\nb,XX\n", 3, "country"),
        ("box,portal\na,yes\n", 2, "portal"),
        ("box\na\nA\n", 3, "box"),
        ("box\n../../etc\n", 2, "box"),
        ("box,language\n,kk\n", 2, "box"),
        ("box,language\na\n", 2, ""),
        ("box,language\na,kk,ru\n", 2, ""),
        (
            f"box,region_url,enrolment_code\na,https://r.kz,{CODE}\nb,https://r.kz,{CODE.lower()}\n",
            3,
            "enrolment_code",
        ),
    ],
)
def test_a_wrong_line_of_a_table_is_named(table: str, line: int, column: str) -> None:
    with pytest.raises(TableLineWrong) as refused:
        read_table(table.encode())
    assert (refused.value.params["line"], refused.value.params["column"]) == (line, column)


# The command -------------------------------------------------------------------


def run(table: bytes, folder: Path, *options: str) -> Result:
    (folder / "boxes.csv").write_bytes(table)
    arguments = ["settings", "--csv", str(folder / "boxes.csv"), "--out", str(folder / "cards"), *options]
    return CliRunner().invoke(image_group, arguments)


def test_the_command_writes_a_card_for_every_box_of_a_table(tmp_path: Path) -> None:
    table = f"box;language;region_url;enrolment_code\nМектеп 12;ru;https://r.kz;{CODE}\nschool-13;kk;;\n"
    done = run(table.encode(), tmp_path, "--json")
    assert json.loads(done.output)["boxes"] == ["Мектеп 12", "school-13"]
    card = tmp_path / "cards/Мектеп 12/sandyq.toml"
    assert read_card(card.read_bytes()) == CardSettings("ru", region_url="https://r.kz", enrolment_code=CODE)
    assert card.stat().st_mode & 0o777 == 0o600
    assert read_card((tmp_path / "cards/school-13/sandyq.toml").read_bytes()) == CardSettings()
    assert "delete the folder" in run(table.encode(), tmp_path).output
    assert CODE not in run(table.encode(), tmp_path).output


def test_of_a_table_with_a_mistake_nothing_is_written(tmp_path: Path) -> None:
    done = run(b"box,country\na,KZ\nb,KAZ\n", tmp_path)
    assert isinstance(done.exception, TableLineWrong)
    assert not (tmp_path / "cards").exists()
