"""`make run` on a fresh machine: what the scripts under it do, with apt and pip replaced by recorders."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from models.catalogue import shipped_catalogue

ROOT = Path(__file__).parents[2]
SCRIPTS = ("provisioning/install-packages", "provisioning/make-environment", ".ci/run")
PACKAGE_LIST = ROOT / "provisioning/debian-packages.txt"
GROUPS = {"build", "run", "test", "image", "box", "pc", "vm", "rpi"}

# What the scripts may take from the system; everything else they call is a recorder.
REAL_TOOLS = (
    "sh",
    "awk",
    "cat",
    "cut",
    "dirname",
    "env",
    "grep",
    "make",
    "readlink",
    "rm",
    "sed",
    "sha256sum",
)
MORE_REAL_TOOLS = ("sort", "test", "touch", "tr", "true")


def packages_of(*groups: str) -> list[str]:
    found = set()
    for line in PACKAGE_LIST.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words and set(words[1:]) & set(groups):
            found.add(words[0])
    return sorted(found)


class Machine:
    """A machine whose programs only write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "calls"
        self.log.touch()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in REAL_TOOLS + MORE_REAL_TOOLS:
            real = shutil.which(tool)
            if real is None:
                pytest.fail(f"{tool} is missing on this machine")
            (self.bin / tool).symlink_to(real)

    def has(self, program: str, answer: str = "") -> None:
        script = self.bin / program
        script.unlink(missing_ok=True)
        script.write_text(f'#!/bin/sh\necho "{program} $*" >> {self.log}\n{answer}\n')
        script.chmod(0o755)

    def is_debian(self, *, installed: list[str], known: list[str], root: bool = True) -> None:
        names = "|".join(installed) or "-"
        self.has(
            "dpkg-query", f'for last; do :; done; case "$last" in {names}) echo "ii ";; *) exit 1;; esac'
        )
        candidates = "|".join(known) or "-"
        self.has("apt-cache", f'case "$2" in {candidates}) echo "  Candidate: 1.0";; *) ;; esac')
        self.has("apt-get")
        self.has("id", f"echo {0 if root else 1000}")

    def calls(self, program: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(program + " ")]

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        variables: Mapping[str, str] = {"PATH": str(self.bin), "HOME": str(self.bin.parent), **environment}
        return subprocess.run(
            [str(c) for c in command],
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    def install(self, *groups: str) -> subprocess.CompletedProcess[str]:
        return self.run(ROOT / "provisioning/install-packages", *groups)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# --- The list ---


def test_every_package_has_a_known_group_and_a_reason() -> None:
    for line in PACKAGE_LIST.read_text().splitlines():
        words, _, reason = line.partition("#")
        if words.strip():
            assert set(words.split()[1:]) <= GROUPS, line
            assert words.split()[1:], line
            assert len(reason.strip()) > 10, line


def test_shell_scripts_please_shellcheck() -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.fail(
            "shellcheck is missing: install the Debian package shellcheck, or run `make test`, which does"
        )
    result = subprocess.run([checker, *SCRIPTS], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


# --- Installing ---


def test_when_all_is_there_apt_is_not_called_and_nothing_is_said(machine: Machine) -> None:
    machine.is_debian(installed=packages_of("build", "test"), known=[])
    result = machine.install("build", "test")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert machine.calls("apt-get") == []


def test_only_what_is_missing_is_installed_and_named(machine: Machine) -> None:
    wanted = packages_of("build")
    machine.is_debian(installed=[p for p in wanted if p not in ("g++", "make")], known=wanted)
    result = machine.install("build")
    assert result.returncode == 0
    assert "g++ make" in result.stdout
    assert [call.split("--no-install-recommends ")[1] for call in machine.calls("apt-get")] == ["g++ make"]


def test_without_package_lists_they_are_fetched_first(machine: Machine) -> None:
    machine.is_debian(installed=[], known=[])
    assert machine.install("run").returncode == 0
    assert machine.calls("apt-get")[0].endswith(" update")


def test_stale_package_lists_are_fetched_and_tried_again(machine: Machine) -> None:
    machine.is_debian(installed=[], known=packages_of("run"))
    updated = machine.bin / "updated"
    machine.has("apt-get", f'case "$*" in *update) touch {updated};; *) test -e {updated};; esac')
    assert machine.install("run").returncode == 0
    assert ["update" in call for call in machine.calls("apt-get")] == [False, True, False]


def test_without_rights_the_exact_command_is_named(machine: Machine) -> None:
    machine.is_debian(installed=[], known=packages_of("run"), root=False)
    machine.has("sudo", "exit 1")
    result = machine.install("run")
    assert result.returncode == 1
    assert "apt-get install --no-install-recommends " + " ".join(packages_of("run")) in result.stderr
    assert machine.calls("apt-get") == []


def test_sudo_is_used_without_a_question(machine: Machine) -> None:
    machine.is_debian(installed=[], known=packages_of("run"), root=False)
    machine.has("sudo")
    assert machine.install("run").returncode == 0
    assert all(call.startswith("sudo -n ") for call in machine.calls("sudo"))
    assert any("apt-get" in call for call in machine.calls("sudo"))


def test_another_system_is_told_what_to_do(machine: Machine) -> None:
    result = machine.install("build")
    assert result.returncode == 1
    assert "not a Debian system" in result.stderr
    assert "PACKAGES=true" in result.stderr


def test_a_failed_installation_says_the_next_step(machine: Machine) -> None:
    machine.is_debian(installed=[], known=[])
    machine.has("apt-get", "exit 100")
    result = machine.install("run")
    assert result.returncode == 1
    assert "Next step" in result.stderr


def test_an_unknown_group_is_wrong_use(machine: Machine) -> None:
    assert machine.install("kitchen").returncode == 2
    assert machine.install().returncode == 2


# --- The environment ---


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the real Makefile and scripts, and a .venv whose programs only record."""
    checkout = tmp_path / "checkout"
    for name in ("Makefile", "pyproject.toml", "provisioning", "models/cards"):
        source, target = ROOT / name, checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    programs = checkout / ".venv/bin"
    programs.mkdir(parents=True)
    for program in ("python", "sandyq"):
        script = programs / program
        script.write_text(
            f'#!/bin/sh\necho "{program} $*" >> {tmp_path / "calls"}\n'
            'case "$*" in\n'
            '*"pip install"*) env | grep -E "^(CMAKE|SKBUILD)" ;;\n'
            '*"import llama_cpp"*) exit 1 ;;\n'
            "esac\n"
        )
        script.chmod(0o755)
    return checkout


def test_the_engine_is_built_small_and_the_user_has_the_last_word(machine: Machine, checkout: Path) -> None:
    machine.has("nproc", "echo 1")
    result = machine.run(checkout / "provisioning/make-environment", CMAKE_ARGS="-DGGML_NATIVE=OFF")
    assert result.returncode == 0, result.stderr
    assert "CMAKE_ARGS=-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF\n" in result.stdout
    assert "SKBUILD_BUILD_TARGETS=llama;ggml;ggml-base;ggml-cpu;llama-common\n" in result.stdout
    assert "CMAKE_BUILD_PARALLEL_LEVEL=1\n" in result.stdout
    assert "about 5 minutes" in result.stdout


def test_memory_bounds_the_compilers_and_one_always_works(machine: Machine, checkout: Path) -> None:
    machine.has("nproc", "echo 100000")
    result = machine.run(checkout / "provisioning/make-environment")
    [jobs] = [line for line in result.stdout.splitlines() if line.startswith("CMAKE_BUILD_PARALLEL_LEVEL=")]
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 1 <= int(jobs.partition("=")[2]) <= max(1, available / (1.5 * 1024**3))


def test_without_a_new_enough_python_the_next_step_is_said(machine: Machine, checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    result = machine.run(checkout / "provisioning/make-environment", PYTHON="no-such-python")
    assert result.returncode == 1
    assert "Next step" in result.stderr


def make(machine: Machine, checkout: Path) -> list[str]:
    """Run `make setup`; return the calls of pip and of our own command."""
    machine.has("nproc", "echo 1")
    machine.log.write_text("")
    result = machine.run("make", "-C", checkout, "setup", "PACKAGES=true", SANDYQ_HOME=str(checkout / "home"))
    assert result.returncode == 0, result.stderr
    calls = machine.calls("python") + machine.calls("sandyq")
    return [call for call in calls if "pip install" in call or call.startswith("sandyq")]


def test_setup_fetches_the_model_and_a_second_one_does_nothing(machine: Machine, checkout: Path) -> None:
    assert [call.split()[0] for call in make(machine, checkout)] == ["python", "sandyq"]
    put_model(checkout)
    assert make(machine, checkout) == []


def test_a_touched_file_rebuilds_nothing_and_a_changed_one_does(machine: Machine, checkout: Path) -> None:
    put_model(checkout)
    make(machine, checkout)
    settings = checkout / "pyproject.toml"
    original = settings.read_text()
    settings.touch()
    assert make(machine, checkout) == []
    settings.write_text(original + "\n# another dependency\n")
    assert len(make(machine, checkout)) == 1
    # Back to the older one: what is installed is no longer what it asks for.
    settings.write_text(original)
    assert len(make(machine, checkout)) == 1


def test_an_environment_whose_python_was_upgraded_away_is_made_anew(machine: Machine, checkout: Path) -> None:
    put_model(checkout)
    python = checkout / "python3.11"
    shutil.copy(shutil.which("true") or "", python)
    (checkout / ".venv/pyvenv.cfg").write_text(f"home = /usr/bin\nexecutable = {python}\n")
    make(machine, checkout)
    assert make(machine, checkout) == []
    python.unlink()
    assert len(make(machine, checkout)) == 1


def test_a_model_that_was_removed_is_fetched_again(machine: Machine, checkout: Path) -> None:
    put_model(checkout)
    make(machine, checkout)
    shutil.rmtree(checkout / "home")
    assert make(machine, checkout) == ["sandyq models pull smollm2-135m-instruct"]


def put_model(checkout: Path) -> None:
    blobs = checkout / "home/models/blobs"
    blobs.mkdir(parents=True)
    card = shipped_catalogue().get("smollm2-135m-instruct")
    (blobs / f"{card.sha256}.gguf").write_bytes(b"model")
    (blobs.parent / "current.json").write_text("{}")
