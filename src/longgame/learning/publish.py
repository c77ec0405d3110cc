"""From learner to server: the parts of a recommender as files, and one small file that names the live ones.

A part (features, retriever, policy) is written once under a name made of its contents, and never changed. A
*snapshot* names three parts and how to use them; ``current.json`` is the snapshot that is live and appears by
rename. A reader sees the old recommender or the new one, whole, and an old one can be named again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from longgame.artefacts import Arrays, digest, load, save, write_whole
from longgame.errors import ArtefactError
from longgame.language.lock import exclusive

SCHEMA = 1
PATIENCE = 30.0
"""Seconds to wait for another who publishes here: `longgame train` beside a server's learner."""


@dataclass(frozen=True)
class Snapshot:
    """Everything a server needs to decide, by name."""

    policy: str
    """The policy's version: what decisions are logged with."""
    parts: Mapping[str, str]
    """Part ("features", "retriever", "policy") to the name of its file in the registry."""
    recommender: Mapping[str, Any]
    """Exploration it is served with, steps, names of the context, how far the log was learned from, the items' contents."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """What the gate said when it was published."""
    number: int = 0
    """1 for the first one published here, 2 for the next: set by the registry."""
    schema: int = SCHEMA


class Registry:
    """The folder of parts and snapshots. Learners publish one at a time; any number of servers read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, part: str, arrays: Arrays, about: Mapping[str, Any]) -> str:
        """Write one part unless it is there already; returns its name, made of its contents."""
        text = json.dumps(about, sort_keys=True)
        name = f"{part}-{digest(arrays)}{digest({'about': _bytes(text)})}"
        path = self._part(name)
        if not path.exists():
            save(path, arrays, about)
        return name

    def get(self, name: str) -> tuple[Arrays, Mapping[str, Any]]:
        """A part's arrays and JSON. Raises ArtefactError where it is missing or torn."""
        return load(self._part(name))

    def publish(self, snapshot: Snapshot) -> Snapshot:
        """Make ``snapshot`` the live one, after checking that its parts are there. Returns it with its number.

        Raises ArtefactError where a part is missing, or another has been publishing for ``PATIENCE`` seconds.
        """
        for name in snapshot.parts.values():
            if not self._part(name).exists():
                raise ArtefactError(f"publish: {name} is not in {self.folder}; put it before the snapshot that names it")
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / "lock", PATIENCE):  # a number is looked up and taken in one go, or two take the same
            number = 1 + max(self._newest(), live.number if (live := self.current()) else 0)
            content = {**asdict(snapshot), "number": number}
            data = json.dumps(content, indent=2).encode()
            write_whole(self.folder / "snapshots" / f"{number:06d}.json", data)
            write_whole(self.folder / "current.json", data)
        return _snapshot(content, self.folder)

    def current(self) -> Snapshot | None:
        """The live snapshot, or None before the first one. Raises ArtefactError where the file is damaged."""
        path = self.folder / "current.json"
        try:
            return _snapshot(json.loads(path.read_bytes()), path)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{path}: not a snapshot ({error}); copy the newest file of snapshots/ over it") from error

    def _newest(self) -> int:
        # Not only the live one counts: an older one may have been made live again, and no snapshot is written over.
        return max((int(p.stem) for p in (self.folder / "snapshots").glob("*.json") if p.stem.isdecimal()), default=0)

    def history(self) -> list[Snapshot]:
        """Every snapshot that was published here and is still in the folder, oldest first."""
        return [_snapshot(json.loads(path.read_bytes()), path) for path in sorted((self.folder / "snapshots").glob("*.json"))]

    def _part(self, name: str) -> Path:
        return self.folder / "parts" / f"{name}.safetensors"


def _snapshot(content: Any, where: Path) -> Snapshot:
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else content
        raise ArtefactError(f"{where}: needs schema {SCHEMA}, got {found!r}; it is of another version of longgame")
    return Snapshot(**content)


def _bytes(text: str) -> Any:
    import numpy as np

    return np.frombuffer(text.encode(), np.uint8)
