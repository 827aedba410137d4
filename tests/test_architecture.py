"""The map of the house holds: who may import whom, and which file alone may know a foreign library."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = ("appliance", "models", "provisioning", "sync")
MAY_IMPORT = {
    "appliance/web": {"appliance", "models", "sync"},
    # The one command is assembled in appliance/cli, which also says provisioning's errors.
    "appliance/cli.py": {"models", "sync", "provisioning"},
    "appliance": {"models", "sync"},
    "provisioning": {"models", "sync"},
    "models": set(),
    "sync": set(),
}
# Rooms within rooms, from the ground up: none imports one that comes later.
WITHIN = {
    "appliance": ("people", "lesson", "permission", "tutor", "box", "care", "web"),
    "sync/server": ("storage", "people", "desk", "arrivals", "enrolment", "nation", "insight", "upkeep"),
}
# They wire the rooms together; nothing but the tests imports them.
DOORS = {"appliance": {"app", "cli", "demo", "serve"}, "sync/server": {"app", "cli", "openapi"}}
FENCES = {
    "flask": r"appliance/(app|web/\w+)\.py|models/server\.py|sync/server/(\w+/)?\w+\.py",
    "llama_cpp": r"models/native\.py",
    "zeroconf": r"appliance/box/announcement\.py",
    "psutil": r"appliance/(care/health|box/discovery)\.py|provisioning/hardware\.py|models/fit\.py",
    "duckdb": r"sync/server/storage/parquet\.py",
    "psycopg": r"sync/server/storage/postgres_database\.py",
    "pyrage": r"appliance/care/backup_file\.py|sync/server/upkeep/region_backup\.py",
    "cryptography": r"sync/(keys|envelope|receipt|call|server/people/second_factor)\.py|models/signature\.py",
    "argon2": r"appliance/people/access\.py|sync/server/people/passwords\.py",
    "nh3": r"appliance/rendering\.py",
    "markdown_it": r"appliance/rendering\.py",
    "latex2mathml": r"appliance/rendering\.py",
}
PURE = (
    "appliance/people/archive.py",
    "appliance/people/class_list.py",
    "appliance/people/conduct.py",
    "appliance/people/oneroster.py",
    "appliance/catalogue.py",
    "appliance/people/spreadsheet.py",
    "appliance/labels.py",
    "appliance/box/phones.py",
    "appliance/permission/exam_chain.py",
    "appliance/permission/exam_time.py",
    "appliance/tutor/answers.py",
    "appliance/tutor/distress.py",
    "appliance/tutor/doubts.py",
    "appliance/tutor/folding.py",
    "appliance/tutor/gift.py",
    "appliance/tutor/concepts.py",
    "appliance/tutor/hints.py",
    "appliance/tutor/moves.py",
    "appliance/tutor/ladder.py",
    "appliance/tutor/likeness.py",
    "appliance/tutor/tutoring.py",
    "appliance/tutor/gate.py",
    "appliance/tutor/gate_words.py",
    "appliance/tutor/key_names.py",
    "appliance/tutor/riddles.py",
    "appliance/tutor/told_before.py",
    "appliance/tutor/requests_read.py",
    "appliance/tutor/number_words.py",
    "appliance/tutor/numerals.py",
    "appliance/tutor/plainness.py",
    "appliance/policy.py",
    "appliance/permission/rule_matrix.py",
    "appliance/tutor/prompts.py",
    "appliance/rendering.py",
    "appliance/lesson/drawing.py",
    "appliance/care/radios.py",
    "appliance/lesson/school_days.py",
    "appliance/care/school_key.py",
    "appliance/care/signs.py",
    "appliance/lesson/states.py",
    "appliance/lesson/stored.py",
    "provisioning/network_rules.py",
    "provisioning/settings_card.py",
    "models/card.py",
    "models/card_index.py",
    "models/estimate.py",
    "models/fairness.py",
    "models/guess.py",
    "models/alternatives.py",
    "models/calibration.py",
    "models/drift.py",
    "models/json_grammar.py",
    "models/kv.py",
    "models/memory.py",
    "models/prefixes.py",
    "models/scheduler.py",
    "models/seats.py",
    "models/sentence.py",
    "provisioning/boards.py",
    "provisioning/boot_texts.py",
    "provisioning/layouts.py",
    "provisioning/packages.py",
    "provisioning/sbom.py",
    "sync/anonymise.py",
    "sync/batch.py",
    "sync/budget.py",
    "sync/cbor.py",
    "sync/clock.py",
    "sync/disclosure.py",
    "sync/event.py",
    "sync/generalise.py",
    "sync/nation.py",
    "sync/server/storage/event_rows.py",
    "sync/server/storage/records.py",
    "sync/server/storage/table_order.py",
    "sync/server/insight/charts.py",
    "sync/server/insight/equity.py",
    "sync/server/insight/needs.py",
    "sync/server/insight/threshold.py",
    "sync/noise.py",
    "sync/parcel.py",
    "sync/server/nation/national_counts.py",
    "sync/desk.py",
    "sync/server/people/audit_chain.py",
    "sync/server/desk/order_words.py",
    "sync/server/desk/rollout.py",
    "sync/server/desk/signing_file.py",
    "sync/server/people/roles.py",
)
WORLD = {
    "time",
    "random",
    "secrets",
    "os",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "flask",
    "urllib3",
}
FILES = [path.as_posix() for room in ROOMS for path in sorted(Path(room).rglob("*.py"))]


def imports(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


@pytest.mark.parametrize("path", FILES)
def test_rooms_import_only_in_the_allowed_directions(path: str) -> None:
    room = path.split("/")[0]
    allowed = next(rooms for prefix, rooms in MAY_IMPORT.items() if path.startswith(prefix)) | {room}
    reached = {name.split(".")[0] for name in imports(path)} & set(ROOMS)
    assert reached <= allowed
    if room == "sync" and not path.startswith("sync/server"):
        assert not any(name.startswith("sync.server") for name in imports(path))
    if room == "appliance" and not path.startswith(
        ("appliance/web", "appliance/app.py", "appliance/serve.py")
    ):
        assert not any(name.startswith("appliance.web") for name in imports(path))


def reached_within(house: str, path: str) -> set[str]:
    """The rooms and modules of one house that a file imports."""
    package = house.replace("/", ".")
    names = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}."):
            names.add(str(node.module).removeprefix(f"{package}.").split(".")[0])
    return names


@pytest.mark.parametrize("house", WITHIN)
def test_rooms_within_rooms_are_built_from_the_ground_up(house: str) -> None:
    order = WITHIN[house]
    inner = {folder.parent.name for folder in Path(house).glob("*/__init__.py")} - {"server"}
    assert inner == set(order), "each room has its place in the list"
    for path in map(Path.as_posix, Path(house).rglob("*.py")):
        first, *rest = path.removeprefix(f"{house}/").split("/")
        reached = reached_within(house, path)
        if not rest:
            above = set() if first.removesuffix(".py") in DOORS[house] else set(order)
        else:
            above = set(order[order.index(first) + 1 :]) | DOORS[house]
        assert not reached & above, f"{path} imports {reached & above}"


@pytest.mark.parametrize("path", FILES)
def test_foreign_libraries_stay_behind_their_one_door(path: str) -> None:
    for name in imports(path):
        fence = FENCES.get(name.split(".")[0])
        assert fence is None or re.fullmatch(fence, path), f"{path} imports {name}"


@pytest.mark.parametrize("path", PURE)
def test_pure_modules_know_no_clock_disk_or_network(path: str) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & WORLD
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(Path(path).read_text()))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"datetime.now", "open", "Path", "date.today"}


# What runs as root is small and of the standard library, with everything it imports.
AS_ROOT = ("root_door", "led", "machine", "network", "power", "slots")


def test_what_runs_as_root_stands_on_the_standard_library_alone() -> None:
    reached, waiting = set(), {f"provisioning.{name}" for name in AS_ROOT}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        path = Path(module.replace(".", "/") + ".py")
        for name in imports(str(path)):
            if name == "provisioning":  # from provisioning import led, power
                continue
            if name.split(".")[0] in ROOMS:
                waiting |= {name} - reached
            else:
                assert name.split(".")[0] in sys.stdlib_module_names, f"{module} imports {name}"
    assert all(module.startswith("provisioning.") for module in reached)
    assert sum(len(Path(m.replace(".", "/") + ".py").read_text().splitlines()) for m in reached) < 1800


def test_the_house_has_no_common_room() -> None:
    assert not [path for path in FILES if re.search(r"/(common|utils?|helpers?)(/|\.py)", path)]
    assert not list(Path("systemd").rglob("*.py")), "systemd/ must not shadow python-systemd"


def test_the_walls_are_really_checked(tmp_path: Path) -> None:
    wrong = tmp_path / "engine_user.py"
    wrong.write_text("import llama_cpp\nfrom sync.server import store\n")
    assert set(imports(str(wrong))) == {"llama_cpp", "sync.server"}
    assert not re.fullmatch(FENCES["llama_cpp"], "appliance/tutor/assistant.py")
