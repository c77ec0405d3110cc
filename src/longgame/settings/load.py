"""File, environment and flags -> Settings, with where each value came from.

Flags win over ``LONGGAME_SECTION__KEY``, which wins over ``longgame.toml``, which wins over the defaults. A key nobody knows,
or a value of the wrong type, raises ConfigError: which, from where, what was got, what to write instead.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from longgame.errors import ConfigError
from longgame.settings.base import Section
from longgame.settings.tree import Settings
from longgame.settings.values import toml_value

FILE = "longgame.toml"
"""Read from the working folder where no other file is named."""
PREFIX = "LONGGAME_"


@dataclass(frozen=True)
class Loaded:
    """Settings and their pedigree."""

    settings: Settings
    origin: Mapping[str, str]
    """"section.key" -> where its value came from, for every key there is."""
    file: Path | None
    """The file that was read."""

    def value(self, key: str) -> Any:
        """What "section.key" is set to."""
        section, _, name = key.partition(".")
        return getattr(getattr(self.settings, section), name)


@dataclass(frozen=True)
class _Given:
    """A value somebody set."""

    value: Any
    origin: str
    name: str
    """How that somebody wrote the key."""


def load_settings(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Settings from ``file`` (else ``longgame.toml`` if there is one), ``environ`` and ``flags`` ("section.key": value).

    A flag whose value is None was not given.
    """
    found = file if file is not None else Path(FILE) if Path(FILE).is_file() else None
    given: dict[str, _Given] = {}
    given.update(_from_file(found) if found is not None else {})
    given.update(_from_environment(environ or {}))
    for key, value in (flags or {}).items():
        if value is not None:
            given[key] = _Given(value, f"flag --{key.rpartition('.')[2].replace('_', '-')}", key)
    origin = {key: given[key].origin if key in given else "default" for key in keys()}
    return Loaded(_checked(given), origin, found)


def keys() -> Iterator[str]:
    """Every "section.key", in the order of the tree."""
    for name, section in sections():
        yield from (f"{name}.{key}" for key in section.model_fields)


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section's name and type."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield name, field.annotation


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file that exists with --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f'{path}: is not TOML: {error}; text needs quotation marks, as in url = "sqlite:///log.db"') from None
    known = dict(sections())
    out: dict[str, _Given] = {}
    for name, table in content.items():
        if name not in known:
            raise ConfigError(f"{path}: [{name}]: there is no such section{_hint(name, known)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name}: is a section, so write [{name}] and its keys below, got {table!r}")
        for key, value in table.items():
            if key not in known[name].model_fields:
                raise ConfigError(f"{path}: {name}.{key}: there is no such key{_hint(key, known[name].model_fields, name)}")
            out[f"{name}.{key}"] = _Given(value, str(path), f"{name}.{key}")
    return out


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    names = {PREFIX + key.replace(".", "__").upper(): key for key in keys()}
    out: dict[str, _Given] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        key = names.get(name)
        if key is not None:
            out[key] = _Given(_parsed(key, text), "environment", name)
            continue
        near = difflib.get_close_matches(name, names, 1, 0.6 if "__" in name else 0.9)
        if "__" in name or near:  # LONGGAME_ANYTHING may be somebody else's, unless it looks like a slip
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"environment: {name}: there is no such setting{hint}")
    return out


def _parsed(key: str, text: str) -> Any:
    """A variable's text as the value a TOML file would hold; text that is no TOML value stands for itself."""
    section, _, name = key.partition(".")
    if dict(sections())[section].model_fields[name].annotation is str:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text


def _checked(given: Mapping[str, _Given]) -> Settings:
    tree: dict[str, dict[str, Any]] = {}
    known = dict(sections())
    for key, value in given.items():
        section, _, name = key.partition(".")
        if section not in known or name not in known[section].model_fields:
            raise ConfigError(f"{value.origin}: {key}: there is no such key{_hint(key, list(keys()))}")
        tree.setdefault(section, {})[name] = value.value
    try:
        return Settings.model_validate({name: known[name].model_validate(values) for name, values in tree.items()})
    except ValidationError as error:
        lines = [_explained(error.title, problem, given, known) for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _explained(title: str, problem: Any, given: Mapping[str, _Given], known: Mapping[str, type[BaseModel]]) -> str:
    """One line: where: what must hold, what was got; how to mend it."""
    section = next(name for name, kind in known.items() if kind.__name__ == title)
    name, *inside = problem["loc"]
    key = f"{section}.{name}"
    where = given[key]
    what = problem["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must")
    what = what[:1].lower() + what[1:].replace("a valid tuple", "a list")
    default = known[section].model_fields[str(name)].get_default()
    path = ".".join([where.name, *(str(part) for part in inside)])
    got = f"got {type(problem['input']).__name__} {problem['input']!r}"
    text = problem["input"]
    example = [text] if problem["type"] == "tuple_type" and isinstance(text, str) else default
    return f"{where.origin}: {path}: {what}, {got}; write for instance {name} = {toml_value(example)}"


def _hint(name: str, known: Any, section: str = "") -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    if near:
        return f"; did you mean {f'{section}.{near[0]}' if section else near[0]}?"
    return f"; there are {', '.join(known)}"
