"""What each recipe has cost since it was first read by: kept beside what was read, over all runs, however they ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longgame.artefacts import write_whole
from longgame.errors import ArtefactError
from longgame.language.endpoint import Ledger
from longgame.language.lock import exclusive
from longgame.language.remote import Remote
from longgame.language.remote_chat import Chat
from longgame.settings import Settings
from longgame.wiring.budget import Budget
from longgame.wiring.reading_kept import json_of

_PATIENCE = 30.0
"""Seconds to wait for another process that enters something."""
_KINDS: Mapping[str, type[int] | type[float]] = {
    "calls": int,
    "failed": int,
    "read": int,
    "written": int,
    "seconds": float,
    "money": float,
}


@dataclass(frozen=True)
class Entry:
    """One recipe's account."""

    what: str
    """As in ``longgame understand --what``."""
    version: str
    runs: int
    """That asked anything."""
    last: str
    """When the last of them ended, ISO 8601."""
    ledger: Ledger


@contextmanager
def entered(
    settings: Settings, what: str, version: Callable[[], str], used: Callable[[], Ledger], bound: Budget
) -> Iterator[None]:
    """Adds what a run uses to the account of its recipe, batch by batch and however it ends: what a server was paid before a
    bound was reached is paid, and a killed run leaves out one batch. A run that asks nothing is not entered.

    Raises ArtefactError, before anything is asked, where the ledger is none.
    """
    accounts(settings)
    before, named = Ledger(), ""

    def enter() -> None:
        nonlocal before, named
        now = used()
        if (now - before).calls:
            first, named = not named, named or version()
            _enter(settings, what, named, now - before, first)
            before = now

    bound.on_batch = enter
    try:
        yield
    except BaseException:
        with suppress(Exception):  # what went wrong is to be told, and not what came of it here
            enter()
        raise
    enter()


def used_by(models: Iterable[object], bound: Budget) -> Ledger:
    """What the servers among ``models`` used, or where there is none, what was read within ``bound`` on this machine."""
    servers = [model for model in models if isinstance(model, Remote | Chat)]
    return sum((server.ledger for server in servers), Ledger()) if servers else bound.ledger


def _enter(settings: Settings, what: str, version: str, used: Ledger, first: bool) -> None:
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_suffix(".lock"), _PATIENCE):
        held = {(one.what, one.version): one for one in accounts(settings)}
        before = held.get((what, version))
        runs, ledger = (before.runs, before.ledger) if before else (0, Ledger())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        held[what, version] = Entry(what, version, runs + first, now, ledger + used)
        write_whole(path, json.dumps({"accounts": [asdict(one) for one in held.values()]}).encode())


def accounts(settings: Settings) -> list[Entry]:
    """All that was entered, the oldest recipe first. Raises ArtefactError, naming the file, where it is no such thing."""
    path = _path(settings)
    if not path.exists():
        return []
    try:
        return [_entry(one) for one in json_of(path)["accounts"]]
    except (KeyError, TypeError, ValueError):
        raise ArtefactError(f"{path}: is no ledger; delete it, and what was used is counted from then on") from None


def _entry(told: Mapping[str, Any]) -> Entry:
    figures: dict[str, Any] = {name: _KINDS[name](value) for name, value in told["ledger"].items()}
    return Entry(str(told["what"]), str(told["version"]), int(told["runs"]), str(told["last"]), Ledger(**figures))


def _path(settings: Settings) -> Path:
    return Path(settings.data.folder) / "reading" / "ledger.json"
