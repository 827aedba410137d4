"""Build the language engine so that one image runs on every processor of its kind.

Only ggml's processor part is compiled for particular instructions. It is built here once for each kind of
processor that the board names, and at its start the engine loads the best one that runs (models/native). What
does not depend on the processor is the same build that this project's own environment uses, when the image is
for the kind of machine that builds it; for another kind everything is compiled across.

Keeps out: the Python around the engine, and where the image has it.
"""

import platform
import re
import shutil
import sys
import tarfile
from importlib import metadata, util
from pathlib import Path

from provisioning.boards import Board
from provisioning.errors import BuildStepFailed, ProgramsMissing
from provisioning.programs import Workshop, require_programs

# Built from the sources of exactly the release that pyproject.toml pins.
PACKAGE = "llama-cpp-python"
# cmake and ninja come as wheels: new enough on every Debian.
BUILD_TOOLS = ("cmake", "ninja")

_VARIANT = re.compile(r"^ *ggml_add_cpu_backend_variant\((\S+?)(?:\s[^)]*)?\)\n", re.MULTILINE)

_PIP_FOLDER = re.compile(rb"(?:/[\w.-]+)*/pip-req-build-\w{8}")

OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    # Nothing of the machine that builds, and each kind of processor as a library that is loaded at the start.
    "-DGGML_NATIVE=OFF",
    "-DGGML_BACKEND_DL=ON",
    "-DGGML_CPU_ALL_VARIANTS=ON",
    "-DLLAMA_BUILD_COMMON=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    # Beside each other, wherever that is; and no path of the machine that builds.
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
)


def build_engine(board: Board, workshop: Workshop) -> Path:
    """Return a folder with the engine's libraries for this board, named as the Python part expects them."""
    is_native = platform.machine() == board.machine
    if not is_native:
        require_programs([f"{board.machine}-linux-gnu-g++"])
    tools = _fetch_tools(workshop)
    sources = _unpack_sources(board, workshop)
    build = workshop.folder / "engine-build"
    environment = {
        "PATH": f"{tools / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(tools),
        **_compiler_flags(sources),
    }
    configure: list[str | Path] = [
        *("cmake", "-S", sources, "-B", build, "-G", "Ninja", *OPTIONS),
        *([] if is_native else _cross_options(board)),
    ]
    workshop.run(*configure, environment=environment)
    targets = ["ggml"] if is_native else ["ggml", "llama"]
    workshop.run("ninja", "-C", build, *targets, environment=environment)
    return _gather(board, build / "bin", workshop.folder / "engine", is_native=is_native)


def _fetch_tools(workshop: Workshop) -> Path:
    tools = workshop.folder / "engine-tools"
    if not tools.exists():
        pip(workshop, "install", "--target", tools, *BUILD_TOOLS)
    return tools


def _unpack_sources(board: Board, workshop: Workshop) -> Path:
    """Fetch the release's sources and leave in them only the processors that this board can have."""
    folder = workshop.folder / "engine-sources"
    shutil.rmtree(folder, ignore_errors=True)
    requirement = f"{PACKAGE}=={metadata.version(PACKAGE)}"
    pip(workshop, "download", "--no-deps", "--no-binary", PACKAGE, "--dest", folder, requirement)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    sources = next(folder.glob("*/vendor/llama.cpp"))
    listing = sources / "ggml/src/CMakeLists.txt"
    text, kept = keep_variants(listing.read_text("utf-8"), board.engine_variants)
    if set(kept) != set(board.engine_variants):
        raise BuildStepFailed(program="cmake", reason=f"no variants but {kept} in {PACKAGE}", log=listing)
    listing.write_text(text, "utf-8")
    return sources


def keep_variants(text: str, wanted: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return ggml's list of processors with only the wanted ones, and which of them it has."""
    kept = [match[1] for match in _VARIANT.finditer(text) if match[1] in wanted]
    return _VARIANT.sub(lambda match: match[0] if match[1] in wanted else "", text), kept


def _compiler_flags(sources: Path) -> dict[str, str]:
    # Without this, names of this machine's folders stand in the libraries (in messages of failed checks).
    flag = f"-ffile-prefix-map={sources}=llama.cpp"
    return {"CFLAGS": flag, "CXXFLAGS": flag}


def _cross_options(board: Board) -> list[str]:
    prefix = f"{board.machine}-linux-gnu"
    return [
        "-DCMAKE_SYSTEM_NAME=Linux",
        f"-DCMAKE_SYSTEM_PROCESSOR={board.machine}",
        f"-DCMAKE_C_COMPILER={prefix}-gcc",
        f"-DCMAKE_CXX_COMPILER={prefix}-g++",
    ]


def _gather(board: Board, built: Path, target: Path, *, is_native: bool) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shared = {"libggml": built, "libggml-base": built, "libllama": built}
    if is_native:
        own = _installed_libraries()
        shared |= {"libggml-base": own, "libllama": own}
    for name, folder in shared.items():
        # Under the name that the other libraries ask for; wheels hold each file three times instead of links.
        real = target / f"{name}.so.0"
        real.write_bytes(without_pip_folder((folder / f"{name}.so.0").read_bytes()))
        (target / f"{name}.so").symlink_to(real.name)
    for variant in board.engine_variants:
        shutil.copyfile(built / f"libggml-cpu-{variant}.so", target / f"libggml-cpu-{variant}.so")
    return target


def without_pip_folder(library: bytes) -> bytes:
    """Blank the folder in which pip compiled, which stands in messages of failed checks; nothing moves."""
    return _PIP_FOLDER.sub(lambda match: b"/src".ljust(len(match[0]), b"/"), library)


def _installed_libraries() -> Path:
    found = util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise ProgramsMissing(programs=PACKAGE)
    return Path(found.origin).parent / "lib"


def pip(workshop: Workshop, *words: str | Path) -> None:
    """Run this environment's pip, quietly and without questions."""
    options = ("--quiet", "--no-input", "--disable-pip-version-check")
    workshop.run(sys.executable, "-m", "pip", *options, *words)
