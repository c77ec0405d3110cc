"""A log with all that evaluation wants to know beside it, from a workspace or straight from the files of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.report import Report
from longgame.errors import DataError
from longgame.language import HashingModel, MiniLM, VectorCache, WordVectors, understand
from longgame.protocols import LanguageModel
from longgame.types import F32, Attribute, Event, Item, User, UserId
from longgame.wiring.knowledge import without_leaks
from longgame.wiring.training import Say
from longgame.wiring.workspace import Workspace

_FEW = 10
"""Values that an attribute may have to tell groups of users apart, at most."""
_MANY = 100
"""Values that an attribute may have to be what lists are mixed of, at most."""


@dataclass(frozen=True)
class Known:
    """A log, its items' texts as vectors, and what else is said of items and users."""

    name: str
    log: Interactions
    features: F32
    """(I, X); X is 0 where no item has a text of its own"""
    encoder: str
    """What made the vectors."""
    groups: Mapping[str, Sequence[str]]
    """Attribute of users -> its value of each user of the log, "" where it is not known."""
    mix: F32 | None
    """(I, G) share of each item in each value of the attribute that lists are mixed of; None where there is none."""
    mixed: str = ""
    """That attribute."""
    words: F32 | None = None
    """(I, W) the same texts as means of static word vectors, where they were asked for and their package is here."""


def read(
    path: Path,
    language: LanguageModel | None = None,
    cache: VectorCache | None = None,
    say: Say = lambda line: None,
    words: bool = False,
) -> Known:
    """The data set at ``path``, in any form that ``longgame import`` knows. Raises DataError where it has no events."""
    records = list(open_source(path).read(Report()))
    items = list({record.id: record for record in records if isinstance(record, Item)}.values())
    users = {record.id: record for record in records if isinstance(record, User)}
    log = Interactions.of((record for record in records if isinstance(record, Event)), tuple(item.id for item in items))
    if not len(log):
        raise DataError(f"{path}: there is no event on a known item in it, so nothing can be learned or judged")
    encoder = language or (MiniLM() if MiniLM.installed() else HashingModel())
    features = _telling(understand(items, encoder, cache).vectors)
    others = _telling(understand(items, WordVectors()).vectors) if words and WordVectors.installed() else None
    say(f"{path.name}: {len(log.users):,} users, {len(items):,} items, {len(log):,} events; texts by {encoder.name}")
    return Known(path.name, log, features, encoder.name, _groups(log, users), *_mix(items), others)


def of_workspace(ws: Workspace) -> Known:
    """What was imported and served so far. Raises ConfigError where a graph that is used says what users did."""
    without_leaks(ws.settings, ws.store)
    text = ws.text(opinions=False)  # what is held out must not be told by its reviews
    items = {item.id: item for item in ws.store.items()}
    log = ws.interactions(text)
    users = {user.id: user for user in ws.store.users()}
    mix = _mix([items[id] for id in text.ids])
    return Known("the log", log, _telling(text.vectors), text.version, _groups(log, users), *mix)


def _telling(features: F32) -> F32:
    """(I, X) -> the same, or (I, 0) where all texts are one and the same, as those of a catalogue without texts are."""
    return features[:, :0] if (features == features[:1]).all() else features


def _groups(log: Interactions, users: Mapping[UserId, User]) -> dict[str, list[str]]:
    """Attributes of users that are words and have two to ``_FEW`` values."""
    told = [users[user].attributes if user in users else {} for user in log.users]
    names = dict.fromkeys(name for attributes in told for name in attributes)
    out = {}
    for name in names:
        values = [_word(attributes.get(name)) for attributes in told]
        if 2 <= len(set(values) - {""}) <= _FEW:
            out[name] = values
    return out


def _word(value: Attribute | None) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else ""


def _mix(items: Sequence[Item]) -> tuple[F32 | None, str]:
    """The attribute that most items have, among those with 2 to ``_MANY`` values that are not all different."""
    found: dict[str, Counter[str]] = {}
    for item in items:
        for name, value in item.attributes.items():
            found.setdefault(name, Counter()).update(dict.fromkeys(_values(value), 1))
    fit = {n: sum(c.values()) for n, c in found.items() if 2 <= len(c) <= min(_MANY, len(items) // 2)}
    if not fit:
        return None, ""
    name = max(fit, key=lambda n: (fit[n], n))
    place = {value: column for column, value in enumerate(sorted(found[name]))}
    out = np.zeros((len(items), len(place)), np.float32)
    for row, item in enumerate(items):
        values = list(_values(item.attributes.get(name)))
        for value in values:
            out[row, place[value]] = 1 / len(values)
    return out, name


def _values(value: Attribute | None) -> Iterable[str]:
    """The words of an attribute, each once; numbers are no mix."""
    if isinstance(value, (tuple, list)):
        return dict.fromkeys(word for word in value if isinstance(word, str))
    return (value,) if isinstance(value, str) and value else ()
