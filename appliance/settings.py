"""Read the settings: one TOML file and `SANDYQ_*` environment variables, nothing else.

`SANDYQ_HOME` is the one state folder; `sandyq.toml` in it is optional. The environment wins over
the file. A key nobody reads is refused, because a misspelt setting that is silently ignored is
found in the middle of a lesson. Only the command line's door calls this module.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from appliance.errors import SettingsRefused
from models.settings import EngineSettings
from sync.settings import RegionSettings, SyncSettings

PREFIX = "SANDYQ_"
FILE_NAME = "sandyq.toml"
DEFAULT_HOME = "~/.local/share/sandyq"

Section = TypeVar("Section", "WebSettings", EngineSettings, SyncSettings, RegionSettings)


@dataclass(frozen=True)
class WebSettings:
    """The classroom's pages."""

    host: str = "0.0.0.0"  # noqa: S104 - learners come over the LAN; that is what the box is for
    port: int = 8080
    portal: bool = True  # answer the test pages of phones on the box's own Wi-Fi


@dataclass(frozen=True)
class Settings:
    """All settings of one box or region. Each section belongs to the room that reads it."""

    home: Path
    language: str = "kk"  # Kazakh comes first; the teacher chooses the class's own at set-up
    web: WebSettings = field(default_factory=WebSettings)
    engine: EngineSettings = field(default_factory=lambda: EngineSettings(home=Path()))
    sync: SyncSettings = field(default_factory=lambda: SyncSettings(home=Path()))
    region: RegionSettings = field(default_factory=lambda: RegionSettings(home=Path()))


SECTIONS = ("web", "engine", "sync", "region")
TOP_LEVEL = ("language",)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsRefused: a file that is not TOML, an unknown key, or a value of the wrong type.
    """
    environment = os.environ if environment is None else environment
    home = Path(environment.get(PREFIX + "HOME") or DEFAULT_HOME).expanduser().absolute()
    settings = Settings(
        home,
        engine=EngineSettings(home=home),
        sync=SyncSettings(home=home),
        region=RegionSettings(home=home),
    )
    settings = _with_file(settings, home / FILE_NAME)
    return _with_environment(settings, environment)


def every_key() -> list[str]:
    """Return each setting as `section.key`, for the documentation and its test."""
    sample = Settings(Path())
    names = list(TOP_LEVEL)
    for section in SECTIONS:
        names += [
            f"{section}.{item.name}" for item in fields(getattr(sample, section)) if item.name != "home"
        ]
    return names


def _with_file(settings: Settings, path: Path) -> Settings:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return settings
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsRefused(source=str(path), reason=str(error)) from error
    for key, value in table.items():
        if key in SECTIONS and isinstance(value, dict):
            for name, item in value.items():
                settings = _set(settings, f"{key}.{name}", item, source=str(path))
        else:
            settings = _set(settings, key, value, source=str(path))
    return settings


def _with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    names = {PREFIX + key.upper().replace(".", "_"): key for key in every_key()}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == PREFIX + "HOME":
            continue
        if variable not in names:
            raise SettingsRefused(source=variable, reason="there is no such setting")
        settings = _set(settings, names[variable], text, source=variable)
    return settings


def _set(settings: Settings, key: str, value: Any, *, source: str) -> Settings:
    if key not in every_key():
        raise SettingsRefused(source=source, reason=f"there is no setting named {key}")
    if "." not in key:
        return replace(settings, **{key: _typed("", value, key, source)})
    section, name = key.split(".")
    current = getattr(settings, section)
    changed = replace(current, **{name: _typed(getattr(current, name), value, key, source)})
    return replace(settings, **{section: changed})


def _typed(current: Any, value: Any, key: str, source: str) -> Any:
    """Return the value in the type of the default it replaces; environment values come as text."""
    wanted = type(current)
    if wanted is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, str) and wanted in (int, float):
        try:
            return wanted(value)
        except ValueError as error:
            raise SettingsRefused(source=source, reason=f"{key} needs a number, not {value!r}") from error
    if type(value) is not wanted:
        raise SettingsRefused(source=source, reason=f"{key} needs {wanted.__name__}, not {value!r}")
    return value
