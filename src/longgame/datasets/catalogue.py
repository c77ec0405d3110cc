"""Items with a text and who took them, for measuring what the texts are worth; from any form that ``open_source`` reads.

Descriptions of the items that lie beside the events, as some published sets have them, are their texts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.errors import ConfigError, DataError
from longgame.types import Event, Item, ItemId

_TEXTS, _NAMES = "llm_response_item.json", "item_map.txt"


@dataclass(frozen=True)
class Catalogue:
    """Items that have a text, and the events."""

    items: tuple[Item, ...]
    """In the order of their first event, then those nobody took."""
    events: tuple[Event, ...]
    """Of these items."""

    def taken(self) -> tuple[Interactions, list[Item]]:
        """The log of the items that were taken, and those items in its order."""
        some = {event.item for event in self.events}
        kept = [item for item in self.items if item.id in some]
        return Interactions.of(list(self.events), tuple(item.id for item in kept)), kept


def has_texts(folder: Path) -> bool:
    """Whether ``folder`` is a form of data with a catalogue. Reads names, and a line of a file at most."""
    if _described(folder):
        return True
    try:
        return any(table.what == "items" for table in open_source(folder).tables)
    except (DataError, ConfigError):
        return False


def has_values(folder: Path) -> bool:
    """Whether ``folder`` has events with values, as ratings are. Reads a line of a file at most."""
    try:
        tables = open_source(folder).tables
    except (DataError, ConfigError):
        return False
    return any(column.read_as == "value" for table in tables if table.what == "events" for column in table.columns)


def catalogue(folder: Path) -> Catalogue:
    """Raises DataError where no item has a text."""
    records = list(open_source(folder).read(Report()))
    items = {record.id: record for record in records if isinstance(record, Item)} | descriptions(folder)
    told = {id: item for id, item in items.items() if item.text.strip()}
    events = tuple(record for record in records if isinstance(record, Event) and record.item in told)
    if not told:
        raise DataError(f"{folder}: no item has a text; needs items with texts, or {_TEXTS} and {_NAMES} beside the events")
    order = dict.fromkeys([event.item for event in events]) | dict.fromkeys(told)
    return Catalogue(tuple(told[id] for id in order), events)


def descriptions(folder: Path) -> dict[ItemId, Item]:
    """Items from llm_response_item.json (name -> text), by item_map.txt (name, item); none where they are not there.

    Raises DataError where they are not what they must be.
    """
    if not _described(folder):
        return {}
    try:
        told = json.loads((folder / _TEXTS).read_text("utf-8"))
        if not (isinstance(told, dict) and all(isinstance(text, str) for text in told.values())):
            raise ValueError("must be an object of texts")
    except ValueError as wrong:
        raise DataError(f"{folder / _TEXTS}: is not a JSON object of texts ({wrong})") from None
    out = {}
    for number, line in enumerate((folder / _NAMES).read_text("utf-8").splitlines(), 1):
        parts = line.split()
        if len(parts) not in (0, 2):
            raise DataError(f"{folder / _NAMES}, line {number}: must be a name and an item, got {line[:60]!r}")
        if parts and parts[0] in told:
            out[ItemId(parts[1])] = Item(ItemId(parts[1]), told[parts[0]])
    return out


def _described(folder: Path) -> bool:
    return (folder / _TEXTS).is_file() and (folder / _NAMES).is_file()
