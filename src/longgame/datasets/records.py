"""Rows of a file with named columns -> users, items and events. The forms whose files have headers share it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from longgame.datasets.cells import Converter, attributes, converter, ident, missing, number, text
from longgame.datasets.columns import parts, plain
from longgame.datasets.rows import NESTED, Row, RowFile
from longgame.datasets.source import Column, Options, Table
from longgame.datasets.times import LINE_START, Clock, clock
from longgame.types import Event, Item, ItemId, User, UserId

ATTRIBUTES, MEDIA = NESTED
_RATINGS = frozenset({"rating", "stars", "score", "overall"})
_TITLES = frozenset({"title", "name", "movietitle", "producttitle", "productname", "itemname", "headline", "titlewords"})
_IMAGES = frozenset({"image", "imageurl", "img", "imurl", "picture", "thumbnail"})
SAME_EVENT = "the same user, item, time, kind, value and text"


def digest(contents: str) -> str:
    """16 hex digits that stand for the contents of a row: part of an event's id, so that two files cannot clash."""
    return hashlib.blake2b(contents.encode(), digest_size=8).hexdigest()


def row_key(event: Event) -> int:
    """Two events of one file with the same contents have the same key: the digest at the end of the id."""
    return hash(event.id[-16:])


def id_key(record: Any) -> int:
    """Two records with one id have the same key."""
    return hash(record.id)


def events(file: RowFile, options: Options, form: str = "row") -> Table:
    """A table of events. Without an id column an event's id is its line and a digest of its contents."""
    timed = options.time_unit != "line"
    found = {part: names[0] for part, names in parts("events", file.path, file.columns, options.mapping, timed=timed).items()}
    sample = file.sample()
    times: Clock | None = None
    if timed:
        at = file.columns.index(found["at"])
        times = clock(str(file.path), found["at"], [row[at] for row in sample], options.time_unit)
    kind = options.kind or ("rating" if plain(found.get("value", "")) in _RATINGS else "interaction")
    if options.kind:
        found.pop("kind", None)
    reads = {name: part for part, name in found.items()}
    if times is not None:
        reads[times.column] = f"time ({times.note})"
    facts = {**file.layout, "time": times.note if times else "the order of the lines, one second apart"}
    if "kind" not in found:
        facts["kind"] = kind
    return Table(
        "events",
        file.path,
        tuple(Column(name, reads.get(name, "not used")) for name in file.columns),
        file.rows,
        _event_maker(file.columns, found, times, kind, form),
        key=id_key if "id" in found else row_key,
        duplicate="the same id" if "id" in found else SAME_EVENT,
        facts=facts,
    )


def _event_maker(
    columns: Sequence[str], found: Mapping[str, str], times: Clock | None, kind: str, form: str
) -> Callable[[int, Row], Event]:
    place = {part: columns.index(name) for part, name in found.items()}
    user_at, item_at, time_at = place["user"], place["item"], place.get("at", -1)
    kind_at, value_at, text_at, id_at = (place.get(part, -1) for part in ("kind", "value", "text", "id"))
    value_name = found.get("value", "")

    def when(line: int, row: Row) -> datetime:
        return LINE_START + timedelta(seconds=line) if times is None else times.read(row[time_at])

    def make(line: int, row: Row) -> Event:
        user, item = ident("user", row[user_at]), ident("item", row[item_at])
        at = when(line, row)
        what = kind if kind_at < 0 else ident("kind", row[kind_at])
        value, wrote = 1.0, ""
        # An empty cell is usual where kinds are mixed (a view has no price); in a column of ratings it is a mistake.
        if value_at >= 0 and not (kind_at >= 0 and (row[value_at] is None or row[value_at] == "")):
            value = number(value_name, row[value_at])
        if text_at >= 0:
            wrote = text(row[text_at])
        if id_at >= 0:
            name = ident("id", row[id_at])
        else:
            contents = f"{user}\x1f{item}\x1f{at.timestamp()}\x1f{what}\x1f{value}\x1f{wrote}"
            name = f"{form}/{line:09d}-{digest(contents)}"
        return Event(name, at, UserId(user), ItemId(item), what, value, wrote)

    return make


def items(file: RowFile, options: Options) -> Table:
    """A catalogue: the text columns are joined, media keep their kind, every other column is an attribute."""
    found = parts("items", file.path, file.columns, options.mapping)
    (name,), texts = found["item"], found.get("text", ())
    images = [column for column in file.columns if plain(column) in _IMAGES]
    of_kind = [(at, column.removeprefix(MEDIA)) for at, column in enumerate(file.columns) if column.startswith(MEDIA)]
    title = next((column for column in texts if plain(column) in _TITLES), None)
    others, reads = attribute_columns(file, {name, *texts, *images, *(MEDIA + kind for _, kind in of_kind)})
    reads |= {name: "item", **dict.fromkeys(texts, "text"), **dict.fromkeys(images, "image")}
    reads |= {MEDIA + kind: f"media ({kind})" for _, kind in of_kind}
    if title is not None:
        reads[title] = "text and attribute 'title'"
    place = {column: index for index, column in enumerate(file.columns)}
    text_at = [place[column] for column in texts]

    def make(line: int, row: Row) -> Item:
        found = attributes(row, others)
        if title is not None and (shown := text(row[place[title]])):
            found["title"] = shown
        shown_as = next((text(row[place[column]]) for column in images if not missing(row[place[column]])), "")
        media = {"image": shown_as} if shown_as else {}
        media |= {kind: address for at, kind in of_kind if (address := text(row[at]))}
        return Item(ItemId(ident("item", row[place[name]])), sentences(*(text(row[at]) for at in text_at)), found, media)

    return _table("items", file, reads, make)


def users(file: RowFile, options: Options) -> Table:
    """People: every column but the id is an attribute."""
    (name,) = parts("users", file.path, file.columns, options.mapping)["user"]
    others, reads = attribute_columns(file, {name})
    at = file.columns.index(name)

    def make(line: int, row: Row) -> User:
        return User(UserId(ident("user", row[at])), attributes(row, others))

    return _table("users", file, reads | {name: "user"}, make)


def _table(what: str, file: RowFile, reads: Mapping[str, str], make: Callable[[int, Row], Any]) -> Table:
    columns = tuple(Column(name, reads.get(name, "not used")) for name in file.columns)
    return Table(what, file.path, columns, file.rows, make, key=id_key, facts=file.layout)


def attribute_columns(file: RowFile, taken: set[str]) -> tuple[list[tuple[int, str, Converter]], dict[str, str]]:
    """(place, name, converter) of each column that is not taken, and how each is read.

    A column that stands for a part of ``attributes`` gives an attribute of the part's own name, unless another has it.
    """
    sample = file.sample()
    converters: list[tuple[int, str, Converter]] = []
    reads: dict[str, str] = {}
    for index, column in enumerate(file.columns):
        if column and column not in taken:
            short = column.removeprefix(ATTRIBUTES)
            name = column if short in file.columns or not short else short
            how, read = converter(name, [row[index] for row in sample])
            converters.append((index, name, read))
            reads[column] = f"attribute ({how})"
    return converters, reads


def sentences(*texts: str) -> str:
    """Texts joined as sentences.

    >>> sentences("Toy Story (1995)", "", "Comedy")
    'Toy Story (1995). Comedy'
    """
    kept = [text for text in texts if text]
    return " ".join([text if text[-1] in ".!?" else text + "." for text in kept[:-1]] + kept[-1:])
