"""What was read from items and lies under the data folder. Brings nothing that reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from longgame.errors import ArtefactError
from longgame.knowledge.graph import Graph
from longgame.language.prompt import describe
from longgame.profiles import NOBODY, Leaning, Worded
from longgame.profiles.portraits import judged
from longgame.settings import Settings
from longgame.types import Item, ItemId

_TEXT = {"part": "text"}


def tags_read(settings: Settings) -> Mapping[ItemId, tuple[str, ...]]:
    """Tags that `longgame understand --what tags` found of items in their texts or that the model told; none before it ran.

    What an attribute says is left out: who counts attributes has it. Raises ArtefactError where the file is no such thing.
    """
    path = Path(settings.data.folder) / "reading" / "tags.json"
    if not path.exists():
        return {}
    kept: dict[str, list[dict[str, Any]]] = json_of(path)["items"]
    new = {id: [one["name"] for one in found if (one["evidence"] or _TEXT)["part"] == "text"] for id, found in kept.items()}
    return {ItemId(id): tuple(names) for id, names in new.items() if names}


def descriptions_read(settings: Settings, items: Iterable[Item], opinions: bool = True) -> tuple[str, Mapping[ItemId, str]]:
    """Recipe and texts of the descriptions that were made of items as they are; empty before `longgame understand --what
    descriptions` ran. Without ``opinions`` they say nothing of reviews.

    Raises ArtefactError where the file is no such thing.
    """
    path = Path(settings.data.folder) / "reading" / "descriptions.json"
    if not path.exists():
        return "", {}
    kept = json_of(path)
    try:
        made = {id: found[0] for id, found in kept["items"].items() if found}
        told = {item.id: made[item.id] for item in items if item.id in made and made[item.id]["of"] == known_by(item)}
        return kept["version"], {id: one["text"] if opinions else one["unheard"] for id, one in told.items()}
    except (KeyError, TypeError, IndexError):
        raise ArtefactError(
            f"{path}: is of another version of longgame; run `longgame understand --what descriptions`"
        ) from None


def portraits_path(settings: Settings) -> Path:
    """Where sentences of what users lean to lie."""
    return Path(settings.data.folder) / "reading" / "profiles.json"


def portraits_read(settings: Settings) -> Worded:
    """Sentences that a model wrote of what users lean to, as far as they pass today's checks; none before `longgame understand
    --what profiles` ran, and where no model is to write.

    Raises ArtefactError where the file is no such thing.
    """
    path = portraits_path(settings)
    if settings.reading.writer == "template" or not path.exists():
        return NOBODY
    try:
        told = {Leaning(one["side"], tuple(one["tags"])): str(one["text"]) for one in json_of(path)["sentences"]}
        return {one: text for one, text in told.items() if judged({"sentence": text}, one)[0]}
    except (KeyError, TypeError):
        raise ArtefactError(f"{path}: holds no sentences; delete it, and run `longgame understand --what profiles`") from None


def known_by(item: Item) -> str:
    """Names what an item says of itself: other words, other name."""
    return blake2b(describe(item).encode(), digest_size=6).hexdigest()


def facts_read(folder: Path) -> Graph | None:
    """Tags and attributes of a data folder as facts of items; None where none were read. Raises ArtefactError as above.

    What an item is told with less confidence is as much a fact as what it says: all of it is likelier so than not.
    """
    facts: list[tuple[str, str, str]] = []
    for what in ("tags", "attributes"):
        path = folder / "reading" / f"{what}.json"
        kept: dict[str, list[dict[str, Any]]] = json_of(path)["items"] if path.exists() else {}
        for id, found in kept.items():
            facts += [
                (f"item {id}", *((one["name"], one["value"]) if "value" in one else ("tag", one["name"]))) for one in found
            ]
    links = {ItemId(head.removeprefix("item ")): head for head, _, _ in facts}  # no id may be the name of a tag
    return Graph.of(facts, links) if facts else None


def json_of(path: Path) -> dict[str, Any]:
    """An object that was written here. Raises ArtefactError, naming the file, where it is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ArtefactError(f"{path}: is not JSON ({error}); delete it, it is made again") from None
    if not isinstance(found, dict):
        raise ArtefactError(f"{path}: must hold an object; delete it, it is made again")
    return found
