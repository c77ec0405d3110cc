"""Open Bandit: what a fashion shop showed, with the probability it had, under a uniform and a Thompson-sampling policy.

A folder POLICY/CAMPAIGN holds CAMPAIGN.csv, one row an impression of one item in one of three places, and
item_context.csv. Each row becomes a Decision over the campaign's whole catalogue with one slot and the propensity as
logged, and an Event if it was clicked. A visitor is known only by four hashed features: they are the user.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from longgame.datasets.cells import number
from longgame.datasets.files import reading
from longgame.datasets.records import digest, id_key
from longgame.datasets.report import Reject
from longgame.datasets.rows import Row, RowFile, delimited
from longgame.datasets.source import Column, Options, Source, Table
from longgame.datasets.times import clock
from longgame.errors import DataError
from longgame.types import Attribute, Decision, DecisionId, Event, Item, ItemId, Record, Request, User, UserId, Versions

FORM = "obd"
PLACES = ("left", "center", "right")
"""The interface's places, counted from 1 in the log."""
_FEATURES = tuple(f"user_feature_{number}" for number in range(4))
_NEEDED = ("timestamp", "item_id", "position", "click", "propensity_score", *_FEATURES)
_AFFINITY = "user-item_affinity_"


def _logs(path: Path) -> list[Path]:
    """The logs under ``path``: a campaign's folder, a policy's, or the whole set."""
    if path.is_file():
        return [path] if (path.parent / "item_context.csv").is_file() and path.stem == path.resolve().parent.name else []
    contexts = sorted(path.glob("item_context.csv")) or sorted(path.glob("*/item_context.csv"))
    contexts = contexts or sorted(path.glob("*/*/item_context.csv")) or sorted(path.glob("*/*/*/item_context.csv"))
    logs = [context.parent / f"{context.resolve().parent.name}.csv" for context in contexts]
    return [log for log in logs if log.is_file()]


def matches(path: Path) -> bool:
    """Whether a CAMPAIGN/CAMPAIGN.csv with its item_context.csv lies at ``path`` or up to three folders below."""
    return bool(_logs(path))


def open_open_bandit(path: Path, options: Options) -> Source:
    """Every log under ``path``. Open the whole folder at once: the context's width is the number of features met in it."""
    options.only(FORM)
    logs = _logs(path)
    if not logs:
        raise DataError(f"{path}: Open Bandit needs POLICY/CAMPAIGN/CAMPAIGN.csv and item_context.csv beside it")
    files = [_open(log) for log in logs]
    vocabulary = cache(lambda: _vocabulary(files))
    catalogues: dict[str, tuple[ItemId, ...]] = {}
    tables: list[Table] = []
    for log in logs:
        campaign, context = _names(log)[1], log.parent / "item_context.csv"
        table, ids = _items(context, campaign)
        if campaign not in catalogues:
            catalogues[campaign] = ids
            tables.append(table)
        elif catalogues[campaign] != ids:
            raise DataError(f"{context}: holds other items than the file of the same name under another policy")
    tables += [_decisions(file, catalogues[_names(file.path)[1]], vocabulary) for file in files]
    notes = (f"the columns {_AFFINITY}N are not used",)
    return Source(FORM, path, tuple(tables), options.known_items, notes)


def _names(log: Path) -> tuple[str, str]:
    """Policy and campaign, the names of the two folders above a log."""
    folder = log.resolve().parent
    return folder.parent.name, folder.name


def _open(log: Path) -> RowFile:
    file = delimited(log, "utf-8", ",", quote=True)
    absent = [name for name in _NEEDED if name not in file.columns]
    if absent:
        raise DataError(f"{log}: Open Bandit has the columns {', '.join(_NEEDED)}; {', '.join(absent)} is missing")
    return file


def _vocabulary(files: Sequence[RowFile]) -> dict[tuple[str, str], int]:
    """(feature, value) -> its place in the context; features in order, values sorted."""
    values: set[tuple[str, str]] = set()
    for file in files:
        place = [(name, file.columns.index(name)) for name in _FEATURES]
        for _, row in file.rows():
            if not isinstance(row, Reject) and len(row) == len(file.columns):
                values.update((name, row[at]) for name, at in place)
    return {value: at for at, value in enumerate(sorted(values))}


def _items(path: Path, campaign: str) -> tuple[Table, tuple[ItemId, ...]]:
    """A campaign's catalogue and its ids.

    The two policies' files hash one category to two strings: categories are numbered as they appear, which is the same.
    """
    with reading(path, "utf-8") as text:
        rows = list(csv.DictReader(text))
    columns = list(rows[0]) if rows else []
    features = [name for name in columns if name.startswith("item_feature_")]
    if "item_id" not in columns:
        raise DataError(f"{path}: has no column item_id, only {', '.join(columns) or 'nothing'}")
    numbered: dict[str, dict[str, int]] = {name: {} for name in features}
    attributes = {row["item_id"]: _attributes(row, features, numbered) for row in rows}

    def make(line: int, row: Row) -> Item:
        name = row[columns.index("item_id")]
        return Item(ItemId(f"{campaign}/{name}"), "", attributes[name])

    file = delimited(path, "utf-8", ",", quote=True)
    reads = {"item_id": "item", **dict.fromkeys(features, "attribute")}
    table = Table(
        "items", path, tuple(Column(name, reads.get(name, "not used")) for name in columns), file.rows, make, key=id_key
    )
    return table, tuple(ItemId(f"{campaign}/{row['item_id']}") for row in rows)


def _attributes(
    row: Mapping[str, str], features: Sequence[str], numbered: Mapping[str, dict[str, int]]
) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name in features:
        hashed = len(row[name]) == 32
        found[name] = str(numbered[name].setdefault(row[name], len(numbered[name]))) if hashed else float(row[name])
    return found


def _decisions(file: RowFile, candidates: tuple[ItemId, ...], vocabulary: Callable[[], Mapping[tuple[str, str], int]]) -> Table:
    policy, campaign = _names(file.path)
    at, item, position, click, propensity, *feature_at = (file.columns.index(name) for name in _NEEDED)
    times = clock(str(file.path), "timestamp", [row[at] for row in file.sample(20)], "iso")
    index = {name: number for number, name in enumerate(candidates)}
    versions = Versions(f"{FORM}/one-hot", f"{FORM}/{campaign}-catalogue", "none", f"{FORM}/{policy}")

    def make(line: int, row: Row) -> tuple[Record, ...]:
        pick = index.get(ItemId(f"{campaign}/{row[item]}"))
        if pick is None:
            raise Reject("item is unknown", f"item_id {row[item]!r} is not in item_context.csv", "use the set's own catalogue")
        place = _place(row[position])
        features = tuple(zip(_FEATURES, (row[cell] for cell in feature_at), strict=True))
        user = UserId("user-" + digest("\x1f".join(value for _, value in features)))
        moment = times.read(row[at])
        contents = f"{row[at]}\x1f{row[item]}\x1f{place}\x1f{user}"
        name = f"{FORM}/{policy}/{campaign}/{line:09d}-{digest(contents)}"
        context = _context(features, place, vocabulary())
        request = Request(name, moment, user, 1, context, f"{campaign}/{PLACES[place]}")
        chance = number("propensity_score", row[propensity])
        decision = Decision(DecisionId(name), request, candidates, (pick,), (chance,), versions)
        return tuple(_with(decision, User(user, dict(features)), _clicked(row[click])))

    reads = dict(zip(_NEEDED, ("time", "pick", "place, in the context", "event 'click'", "propensity"), strict=False))
    reads |= dict.fromkeys(_FEATURES, "user and context (one-hot)")
    columns = tuple(Column(name, reads.get(name, "not used")) for name in file.columns)
    facts = {**file.layout, "time": times.note, "policy": versions.policy, "candidates": str(len(candidates))}
    return Table("decisions", file.path, columns, file.rows, make, facts=facts)


def _place(cell: str) -> int:
    if cell not in ("1", "2", "3"):
        raise Reject("position is unknown", f"position must be 1, 2 or 3, got {cell!r}")
    return int(cell) - 1


def _clicked(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise Reject("click is neither 0 nor 1", f"click must be 0 or 1, got {cell!r}")
    return cell == "1"


def _context(features: Sequence[tuple[str, str]], place: int, vocabulary: Mapping[tuple[str, str], int]) -> tuple[float, ...]:
    """F numbers: one-hot of the four features, then of the place."""
    context = [0.0] * (len(vocabulary) + len(PLACES))
    for feature in features:
        context[vocabulary[feature]] = 1.0
    context[len(vocabulary) + place] = 1.0
    return tuple(context)


def _with(decision: Decision, user: User, clicked: bool) -> Iterator[Record]:
    """The visitor, the decision and the click. The click's time is the impression's: no other is logged."""
    yield user
    yield decision
    if clicked:
        at, item = decision.request.at, decision.shown[0]
        yield Event(f"{decision.id}/click", at, user.id, item, "click", decision=decision.id, slot=0)
