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
FENCES = {
    "flask": r"appliance/(app|web/\w+)\.py|models/server\.py|sync/server/\w+\.py",
    "llama_cpp": r"models/native\.py",
    "zeroconf": r"appliance/announcement\.py",
    "psutil": r"appliance/(health|discovery)\.py|provisioning/hardware\.py|models/fit\.py",
    "duckdb": r"sync/server/parquet\.py",
    "psycopg": r"sync/server/postgres_database\.py",
    "pyrage": r"appliance/backup_file\.py|sync/server/region_backup\.py",
    "cryptography": r"sync/(keys|envelope|receipt|call|server/second_factor)\.py|models/signature\.py",
    "argon2": r"appliance/access\.py|sync/server/passwords\.py",
    "nh3": r"appliance/rendering\.py",
    "markdown_it": r"appliance/rendering\.py",
    "latex2mathml": r"appliance/rendering\.py",
}
PURE = (
    "appliance/archive.py",
    "appliance/class_list.py",
    "appliance/conduct.py",
    "appliance/oneroster.py",
    "appliance/catalogue.py",
    "appliance/spreadsheet.py",
    "appliance/labels.py",
    "appliance/phones.py",
    "appliance/exam_chain.py",
    "appliance/exam_time.py",
    "appliance/answers.py",
    "appliance/distress.py",
    "appliance/doubts.py",
    "appliance/folding.py",
    "appliance/gift.py",
    "appliance/concepts.py",
    "appliance/hints.py",
    "appliance/moves.py",
    "appliance/ladder.py",
    "appliance/likeness.py",
    "appliance/tutoring.py",
    "appliance/gate.py",
    "appliance/gate_words.py",
    "appliance/key_names.py",
    "appliance/riddles.py",
    "appliance/told_before.py",
    "appliance/requests_read.py",
    "appliance/number_words.py",
    "appliance/numerals.py",
    "appliance/plainness.py",
    "appliance/policy.py",
    "appliance/rule_matrix.py",
    "appliance/prompts.py",
    "appliance/rendering.py",
    "appliance/drawing.py",
    "appliance/radios.py",
    "appliance/school_days.py",
    "appliance/school_key.py",
    "appliance/signs.py",
    "appliance/states.py",
    "appliance/stored.py",
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
    "sync/server/event_rows.py",
    "sync/server/records.py",
    "sync/server/table_order.py",
    "sync/server/charts.py",
    "sync/server/equity.py",
    "sync/server/needs.py",
    "sync/server/threshold.py",
    "sync/noise.py",
    "sync/parcel.py",
    "sync/server/national_counts.py",
    "sync/desk.py",
    "sync/server/audit_chain.py",
    "sync/server/order_words.py",
    "sync/server/rollout.py",
    "sync/server/signing_file.py",
    "sync/server/roles.py",
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
    assert not re.fullmatch(FENCES["llama_cpp"], "appliance/assistant.py")
