"""A class list in whatever shape it comes: every row becomes a learner or is named with its reason."""

import contextlib
import io
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import ListHasManyClasses, ListIncomplete, ListRefused, ListTooLarge
from appliance.people.archive import MAX_UNPACKED_BYTES
from appliance.people.class_list import MAX_PROBLEMS, ClassList, Row, decode, read_files, read_typed
from appliance.people.roster import MAX_LEARNERS
from tests.appliance.workbooks import packed, workbook

TWO = [("Сейітова Айгерім", 7), ("Омаров Болат", 7)]


def pairs(found: ClassList) -> list[tuple[str, int | None]]:
    assert not found.problems
    return [(row.name, row.grade) for row in found.rows]


def told(found: ClassList) -> list[tuple[int, str]]:
    return [(problem.row, problem.message % dict(problem.params)) for problem in found.problems]


# What is typed ---------------------------------------------------------------


def test_names_are_typed_one_a_line() -> None:
    assert pairs(read_typed("Aigerim\n\n  Bolat  \r\n")) == [("Aigerim", None), ("Bolat", None)]


@pytest.mark.parametrize("heading", ["3", "3-сынып", "3 класс", "Grade 3", "3:", "3 «А»"])
def test_a_grade_alone_on_a_line_stands_for_those_below_it(heading: str) -> None:
    found = read_typed(f"{heading}\nAigerim\n4\nBolat\n", (3, 4))
    assert pairs(found) == [("Aigerim", 3), ("Bolat", 4)]


@pytest.mark.parametrize("line", ["Aigerim, 3", "Aigerim;3", "Aigerim\t3", "Aigerim\t3Б", "12\tAigerim\t3"])
def test_a_grade_may_stand_behind_the_name(line: str) -> None:
    assert pairs(read_typed(line, (3, 4))) == [("Aigerim", 3)]


def test_a_quotation_mark_swallows_no_lines() -> None:
    assert pairs(read_typed('"Aigerim\nBolat\nСерік "Сэм"')) == [
        ('"Aigerim', None),
        ("Bolat", None),
        ('Серік "Сэм"', None),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Б" * 61, "The name has more than 60 characters."),
        ("Aigerim, 9", "Grade 9 is not one of this room's grades."),
        ("Aigerim, 77", "This is no grade: 77."),
        ("Aig\ufffdrim", "Some letters arrived broken."),
        ("Aigerim 140512600123", "There is a long number in the name."),
        ("\u200b\u202e", "There is no name in this row."),
    ],
)
def test_a_bad_row_is_named_by_its_number_and_reason(line: str, reason: str) -> None:
    assert told(read_typed(f"Bolat\n{line}\nTimur", (3, 4))) == [(2, reason)]


def test_numbers_that_identify_a_child_stay_behind() -> None:
    found = read_typed("1\tСейітова Айгерім\t140512600123\t12.05.2014\t+7 701 123 45 67\t3", (3,))
    assert pairs(found) == [("Сейітова Айгерім", 3)]


def test_emoji_are_names_and_signs_that_turn_the_line_are_not() -> None:
    assert pairs(read_typed("Аня 🦊\n👩\u200d🚀 Әсел\nA\u202eli")) == [
        ("Аня 🦊", None),
        ("👩\u200d🚀 Әсел", None),
        ("Ali", None),
    ]


def test_repeated_rows_are_kept_apart_until_the_teacher_decides() -> None:
    found = read_typed("Aigerim\nBolat\nAIGERIM\nAigerim")
    assert found.repeats == ((3, 1), (4, 1))
    assert [row.name for row in found.without_repeats()] == ["Aigerim", "Bolat"]
    assert [row.name for row in found.without_repeats(["bolat"])] == ["Aigerim"]


# Files -----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "kz1048"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_is_read_in_every_dress(encoding: str, separator: str) -> None:
    lines = ["Аты-жөні{0}Сынып", '"Сейітова Айгерім"{0}7', "Омаров Болат{0}7А"]
    text = "\r\n".join(lines).format(separator)
    assert pairs(read_files({"7a.csv": text.encode(encoding)}, (7,))) == TWO


def test_russian_windows_text_is_read_too() -> None:
    raw = "Фамилия;Имя;Класс\r\nИванов;Тимур;7\r\nЩёкина;Юлия;7".encode("cp1251")
    assert pairs(read_files({"a": raw})) == [("Иванов Тимур", 7), ("Щёкина Юлия", 7)]


@pytest.mark.parametrize(
    "text",
    [
        "№;Фамилия;Имя;ИИН;Класс\n1;Сейітова;Айгерім;140512600123;7\n2;Омаров;Болат;1;7",
        "Surname,First name,Grade\nСейітова,Айгерім,7\nОмаров,Болат,7",
        "1;Сейітова Айгерім;7\n2;Омаров Болат;7",
        "Сейітова;Айгерім;7\nОмаров;Болат;7",
        "Full name\tGrade\n\nСейітова Айгерім\t7\n\nОмаров Болат\t7\n",
    ],
)
def test_columns_are_found_by_their_titles_or_by_what_is_in_them(text: str) -> None:
    assert pairs(read_files({"list": text.encode()})) == TWO


def test_rows_are_numbered_as_the_spreadsheet_shows_them() -> None:
    found = read_files({"a": b"Name;Grade\n\nAigerim;7\n;7\n"})
    assert told(found) == [(4, "There is no name in this row.")]
    found = read_files({"a": workbook([["Аты", "Сынып"], [None, 7], ["Айгерім", 7]])})
    assert told(found) == [(2, "There is no name in this row.")]


def test_ten_thousand_bad_rows_give_a_short_list_of_messages() -> None:
    lines = [f"Learner {n};{99 if n % 2 else 7}" for n in range(10_000)]
    found = read_files({"a": "\n".join(["Name;Grade", *lines]).encode()}, (7,))
    assert len(found.problems) == MAX_PROBLEMS
    assert found.more_problems == 10_000 - MAX_LEARNERS - MAX_PROBLEMS
    assert len(found.rows) == MAX_LEARNERS
    assert told(found)[0] == (3, "This is no grade: 99.")


def test_more_rows_than_a_school_has_are_refused() -> None:
    with pytest.raises(ListTooLarge):
        read_files({"a": ("Name\n" + "x\n" * 20_001).encode()})


@pytest.mark.parametrize(
    "raw",
    [
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,  # an old XLS
        b"%PDF-1.7\n\0\0",
        b"PK\x03\x04 no zip at all",
        packed({"photo.jpg": b"x"}),
        workbook([["a"]])[:-40],
        workbook([["a"]], workbook__xml=b"<workbook><sheets/></workbook>"),
        workbook([["a"]], workbook__xml=b"<workbook"),
    ],
)
def test_what_is_no_class_list_is_refused_with_words(raw: bytes) -> None:
    with pytest.raises(ListRefused):
        read_files({"x": raw})


@pytest.mark.parametrize("name", ["x", "../../etc/passwd", "", "con", "a\0b"])
def test_a_files_name_means_nothing(name: str) -> None:
    assert pairs(read_files({name: b"Aigerim\nBolat"})) == [("Aigerim", None), ("Bolat", None)]


def test_an_empty_file_is_an_empty_list() -> None:
    assert read_files({"x": b""}) == ClassList(())
    assert read_files({}) == ClassList(())


# XLSX ------------------------------------------------------------------------


def test_a_workbook_is_read_from_its_first_visible_sheet() -> None:
    raw = workbook([["Тегі", "Аты", "Сынып"], ["Сейітова", "Айгерім", 7], ["Омаров", "Болат", "7 А"]])
    assert pairs(read_files({"7a.xlsx": raw}, (7,))) == TWO


def test_a_workbook_bomb_is_refused_before_it_is_unpacked() -> None:
    parts = {"xl/workbook.xml": b"<a/>", "xl/worksheets/sheet1.xml": b"\0" * (MAX_UNPACKED_BYTES + 1)}
    bomb = packed(parts)
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(ListTooLarge):
        read_files({"x": bomb})
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_small_member_that_swells_is_refused_too() -> None:
    with pytest.raises(ListTooLarge):
        read_files({"x": packed({"xl/workbook.xml": b"\0" * 15_000_000})})


def test_a_zip_that_lies_about_its_sizes_is_refused() -> None:
    raw = bytearray(packed({"xl/workbook.xml": b"<a>" + b"x" * 50_000 + b"</a>"}))
    size = (50_007).to_bytes(4, "little")
    for place in range(len(raw) - 4):
        if raw[place : place + 4] == size:
            raw[place : place + 4] = (10).to_bytes(4, "little")
    with pytest.raises(ListRefused):
        read_files({"x": bytes(raw)})


def test_many_members_are_refused() -> None:
    with pytest.raises(ListTooLarge):
        read_files({"x": packed({f"{n}": b"" for n in range(300)})})


@pytest.mark.parametrize(
    "start",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><sst>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><sst>',
        '<!DOCTYPE sst SYSTEM "http://192.168.7.1/x.dtd"><sst>',
    ],
)
def test_entities_are_refused_whatever_they_would_be(start: str) -> None:
    strings = f"{start}<si><t>&b;</t></si></sst>".encode()
    with pytest.raises(ListRefused):
        read_files({"x": workbook([["Name", "ab"]], sharedStrings__xml=strings)})


def test_an_encrypted_archive_is_refused() -> None:
    raw = bytearray(packed({"xl/workbook.xml": b"<workbook/>"}))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + flags] |= 1
    with pytest.raises(ListRefused):
        read_files({"x": bytes(raw)})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_but_our_own_refusals(raw: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"\xff\xfe", b"Name;Grade\n"):
        with contextlib.suppress(ListRefused):
            read_files({"x": start + raw}, (7,))


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 2_000))
def test_a_damaged_workbook_is_read_or_refused(noise: bytes, place: int) -> None:
    raw = bytearray(workbook([["Name", "Grade"], ["Айгерім", 7]]))
    place %= len(raw)
    raw[place : place + len(noise)] = noise
    with contextlib.suppress(ListRefused):
        read_files({"x": bytes(raw)}, (7,))


@given(st.text(max_size=300))
def test_the_preview_reads_what_it_wrote(text: str) -> None:
    from appliance.web.incoming import as_text

    found = read_typed(text, (3, 4))
    again = read_typed(as_text(found.rows), (3, 4))
    known = [(r.name, r.grade) for r in found.rows]
    # A name that looks like a grade becomes a heading; everything else comes back as it was.
    if all(any(letter.isalpha() for letter in name) and len(name) > 4 for name, _ in known):
        assert {(r.name, r.grade) for r in again.rows} <= set(known)


def test_utf_16_without_a_mark_is_recognised() -> None:
    assert decode("Айгерім;7\n".encode("utf-16-le")) == "Айгерім;7\n"
    assert decode("A;7\n".encode("utf-16-be")) == "A;7\n"


# OneRoster -------------------------------------------------------------------

MANIFEST = "propertyName,value\nmanifest.version,1.0\noneroster.version,1.2\n" + "".join(
    f"file.{part},bulk\n" for part in ("orgs", "users", "classes", "enrollments")
)
ONEROSTER = {
    "manifest.csv": MANIFEST,
    "orgs.csv": "sourcedId,status,dateLastModified,name,type\no1,active,,School 1,school\n",
    "users.csv": (
        "sourcedId,status,enabledUser,username,givenName,familyName,grades,email\n"
        "u1,active,true,aigerim,Айгерім,Сейітова,07,a@example.kz\n"
        "u2,active,true,bolat,Болат,Омаров,,b@example.kz\n"
        "u3,active,true,dana,Дана,Ахметова,,d@example.kz\n"
        "u4,tobedeleted,true,gone,Кеткен,Бала,07,\n"
        "u5,active,false,off,Өшірілген,Бала,07,\n"
    ),
    "classes.csv": "sourcedId,status,title,grades,schoolSourcedId\nc1,active,7 A,07,o1\nc2,active,8B,08,o1\n",
    "enrollments.csv": (
        "sourcedId,status,classSourcedId,schoolSourcedId,userSourcedId,role\n"
        "e1,active,c1,o1,u1,student\ne2,active,c1,o1,u2,student\ne3,active,c1,o1,u3,teacher\n"
        "e4,active,c2,o1,u3,student\ne5,tobedeleted,c1,o1,u3,student\ne6,active,c1,o1,u5,student\n"
    ),
}


def files(**changed: str | None) -> dict[str, bytes]:
    parts = ONEROSTER | {name.replace("__", "."): text for name, text in changed.items()}
    return {name: text.encode() for name, text in parts.items() if text is not None}


@pytest.mark.parametrize("folder", ["", "export/"])
def test_oneroster_is_read_from_a_zip_and_from_single_files(folder: str) -> None:
    raw = packed({folder + name: content for name, content in files().items()})
    assert pairs(read_files({"oneroster.zip": raw}, (7,), "7A")) == TWO
    assert pairs(read_files(files(), (7,), "7A")) == TWO


def test_oneroster_with_several_classes_names_them() -> None:
    with pytest.raises(ListHasManyClasses) as refusal:
        read_files(files(), (7,), "9C")
    assert refusal.value.params["names"] == "7 A, 8B"


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"manifest__csv": None}, "manifest.csv"),
        ({"users__csv": None}, "users.csv"),
        ({"orgs__csv": None}, "orgs.csv"),
        (
            {"manifest__csv": MANIFEST.replace("file.enrollments,bulk", "file.enrollments,delta")},
            "enrollments.csv",
        ),
        ({"manifest__csv": MANIFEST.replace("file.classes,bulk", "file.classes,absent")}, "classes.csv"),
        ({"classes__csv": "sourcedId,title\n"}, "classes.csv"),
    ],
)
def test_an_incomplete_oneroster_export_says_what_is_missing(
    changed: dict[str, str | None], part: str
) -> None:
    with pytest.raises(ListIncomplete) as refusal:
        read_files(files(**changed), (7,), "7A")
    assert refusal.value.params["part"] == part


def test_an_enrollment_that_points_nowhere_is_named_with_its_file_and_row() -> None:
    text = ONEROSTER["enrollments.csv"] + "e7,active,c1,o1,u99,student\ne8,active,c1,o9,u1,student\n"
    found = read_files(files(enrollments__csv=text), (7,), "7A")
    assert [(p.file, p.row, p.message) for p in found.problems] == [
        ("enrollments.csv", 8, "users.csv has no such learner."),
        ("enrollments.csv", 9, "orgs.csv has no such school."),
    ]


def test_nothing_but_names_and_grades_is_taken_from_oneroster() -> None:
    found = read_files(files(), (7,), "7A")
    assert found.rows == (Row(2, "Сейітова Айгерім", 7), Row(3, "Омаров Болат", 7))
    assert "example.kz" not in repr(found)


def test_a_zip_inside_a_zip_is_not_opened() -> None:
    inner = packed({"manifest.csv": b"x"})
    with pytest.raises(ListIncomplete):
        read_files({"x": packed({"inner.zip": inner})})
    assert zipfile.is_zipfile(io.BytesIO(inner))
