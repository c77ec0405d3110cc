"""Which configuration a model gets: what the settings say first, then what ``longgame tune`` found, then the defaults.

What was found lies in ``tuned.json`` in the data folder, for people to read too.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from longgame.artefacts import write_whole
from longgame.errors import ArtefactError, ConfigError
from longgame.models import MODELS
from longgame.settings import Settings

FILE = "tuned.json"
SCHEMA = 1


@dataclass(frozen=True)
class Configs:
    """Tuned values by model; empty: the defaults."""

    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    other: Mapping[str, str] = field(default_factory=dict)
    """Model -> the split it was tuned on, where that is not the one that was asked for: it has its defaults."""

    @staticmethod
    def of(settings: Settings, split: str | None = None) -> Configs:
        """What was tuned in the data folder of ``settings``, if they let it be used.

        With ``split`` (a split in words) only what was searched on the validation events of that one: those of another
        may be test events of this one.
        """
        if not settings.models.use_tuned:
            return Configs()
        found = read_tuned(Path(settings.data.folder))
        on = {name: str(entry.get("on", {}).get("split", "a split that is not written down")) for name, entry in found.items()}
        fit = [name for name, what in on.items() if split is None or what == split]
        tuned = {name: plain_back(found[name]["values"]) for name in fit}
        return Configs(tuned, {name: what for name, what in on.items() if name not in fit})

    def config(self, name: str, **said: Any) -> Any:
        """The config of model ``name``, where what is ``said`` holds whatever was tuned.

        Raises ArtefactError where what was tuned does not fit the model, which is of another version then.
        """
        values = dict(self.tuned.get(name, {}))
        if name == "ensemble" and "settings" not in {**values, **said}:
            members = {**values, **said}.get("members", MODELS[name].config().members)
            values["settings"] = {member: self.tuned[member] for member in members if member in self.tuned}
        try:
            return MODELS[name].config(**{**values, **said})
        except (TypeError, ConfigError) as error:
            if not self.tuned.get(name) and not values.get("settings"):
                raise
            mend = f"run `longgame tune --models {name}` again, or set models.use_tuned = false"
            what = f"must hold fields of the model's config, got {values} ({error})"
            raise ArtefactError(f"{FILE}: {name}: {what}; {mend}") from None


def names_of(said: str) -> list[str]:
    """Names of models by commas, as ``--models`` takes them, each once. Raises ConfigError for a name that is none."""
    names = list(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
    for name in names:
        if name not in MODELS:
            near = difflib.get_close_matches(name, MODELS, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"--models: there is no model {name!r}; {hint}there are {', '.join(MODELS)}, and all")
    if not names:
        raise ConfigError(f"--models: needs a name, got {said!r}; there are {', '.join(MODELS)}, and all")
    return names


def read_tuned(folder: Path) -> dict[str, Any]:
    """Model -> what was found and how; nothing where nothing was tuned. Raises ArtefactError where the file is damaged."""
    path = folder / FILE
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA or not all("values" in entry for entry in content["models"].values()):
            raise ValueError(f"needs schema {SCHEMA} and values for each model")
        return {name: entry for name, entry in content["models"].items() if name in MODELS}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path}: not what `longgame tune` writes ({error}); mend it or remove it") from error


def write_tuned(folder: Path, found: Mapping[str, Any]) -> Path:
    """Put the entries of ``found`` in the place of those that were there, and leave the others; returns the file."""
    path = folder / FILE
    content = {"schema": SCHEMA, "models": {**read_tuned(folder), **found}}
    write_whole(path, json.dumps(content, indent=2, allow_nan=False).encode() + b"\n")
    return path


def as_json(config: Any) -> dict[str, Any]:
    """All fields of a model's config in JSON's own types."""
    return {name: plain(value) for name, value in asdict(config).items()}


def from_json(name: str, values: Mapping[str, Any]) -> Any:
    """The config that :func:`as_json` wrote down."""
    return Configs({name: plain_back(values)}).config(name)


def plain(value: Any) -> Any:
    """A value in JSON's own types, which know no infinity: that is {"float": "inf"}."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, Mapping):
        return {key: plain(held) for key, held in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(held) for held in value]
    return value


def plain_back(value: Any) -> Any:
    """The inverse of :func:`plain`; a list comes back as the tuple it was.

    >>> plain_back(plain({"half_life": float("inf"), "layers": (8, 4)}))
    {'half_life': inf, 'layers': (8, 4)}
    """
    if isinstance(value, Mapping):
        if value.keys() == {"float"}:
            return float(value["float"])
        return {key: plain_back(held) for key, held in value.items()}
    return tuple(plain_back(held) for held in value) if isinstance(value, list) else value
