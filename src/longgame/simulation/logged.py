"""Files -> what a world can be learned from: real ratings, those that a language model gave, or dealt at random (Coat).

lived = learned(told(Path("ml-100k")))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets import open_source
from longgame.datasets.coat import coat, is_coat
from longgame.datasets.personas import persona_ratings, rated_file
from longgame.datasets.report import Report
from longgame.errors import DataError
from longgame.language.hashing import HashingModel
from longgame.models.rating_fit import labelled, newest
from longgame.models.svd import Svd, SvdConfig
from longgame.simulation.behaviour import Behaviour, Fitting, fit
from longgame.simulation.draws import standard
from longgame.types import F32, F64, Bool, Event, Item, User

_WORDS, _KNOWN, _FACTORS = 32, 16, 16
"""Numbers that stand for an item's text, for what is known of a user, and for who liked an item."""


@dataclass(frozen=True)
class Told:
    """Ratings, and what is known of who gave them to what."""

    name: str
    log: Interactions
    """One rating a user and item, all with values."""
    items: tuple[Item, ...]
    people: F32
    """(U, F) what is known of the users without their events"""
    liked: float
    """The rating from which on something counts as liked."""
    propensity: F64 | None = None
    """(N,) how probable each rating was to be given, where that is known"""
    dealt: Interactions | None = None
    """Ratings of the same users of items that were dealt to them at random: what is true, where there is it."""

    def only(self, keep: Bool) -> Told:
        """With only the rows where ``keep`` (N,) is True."""
        propensity = None if self.propensity is None else self.propensity[keep]
        return replace(self, log=self.log.select(keep), propensity=propensity)


@dataclass(frozen=True)
class Lived:
    """A log and the behaviour that was learned from it."""

    told: Told
    vectors: F32
    """(I, D) what can be seen of the items, and what the log says of them"""
    behaviour: Behaviour


def told(path: Path, liked: float | None = None) -> Told:
    """Coat, ratings of personas (``datasets.personas``), or any data set with ratings that ``longgame import`` reads.

    ``liked``: the rating from which on something counts as liked; the one that parts the ratings most evenly if left out.
    Raises DataError where there are no ratings, or nothing is told apart by them.
    """
    if is_coat(path):
        found = coat(path)
        return Told(
            path.name, found.chosen, found.items, found.people, _line(found.chosen, liked), found.propensity, found.dealt
        )
    if rated_file(path) is not None:
        rated = persona_ratings(path)
        people = (
            HashingModel(_KNOWN).embed(rated.personas) if rated.personas else np.zeros((len(rated.log.users), 0), np.float32)
        )
        items = tuple(Item(item, f"Item {item}.") for item in rated.log.items)
        log = replace(rated.log, at=np.zeros_like(rated.log.at))  # the file has no times; the reader's only number its rows
        return Told(path.name, log, items, people, _line(log, liked))
    records = list(open_source(path).read(Report()))
    items = tuple({record.id: record for record in records if isinstance(record, Item)}.values())
    log = Interactions.of((record for record in records if isinstance(record, Event)), [item.id for item in items])
    log = newest(log)
    log = log.select(labelled(log))
    if not len(log):
        raise DataError(f"{path}: there is no rating of a known item in it, so no behaviour can be learned from it")
    known = {record.id: record for record in records if isinstance(record, User)}
    said = [known[user].attributes if user in known else {} for user in log.users]
    words = [" ".join(f"{name} {value}" for name, value in one.items()) for one in said]
    return Told(path.name, log, items, HashingModel(_KNOWN).embed(words), _line(log, liked))


def _line(log: Interactions, liked: float | None) -> float:
    values, counts = np.unique(log.value, return_counts=True)
    if liked is not None:
        if not values[0] < liked <= values[-1]:
            raise DataError(
                f"liked: must lie above {values[0]:g} and be at most {values[-1]:g}, the ratings there are, got {liked:g}"
            )
        return liked
    if len(values) < 2:
        raise DataError(f"ratings: all are {values[0]:g}, so nothing says what is liked")
    above = 1 - np.cumsum(counts)[:-1] / counts.sum()
    return float(values[1:][np.argmin(np.abs(above - 0.5))])


def learned(told: Told, fitting: Fitting | None = None) -> Lived:
    """What its users do, and what can be seen of its items."""
    vectors = seen_of(told, (fitting or Fitting()).seed)
    return Lived(told, vectors, fit(told.log, vectors, told.liked, fitting, told.propensity))


def seen_of(told: Told, seed: int = 0) -> F32:
    """(I, D) standard scores of: the words of each text, hashed; how often it was rated and how well; who liked it.

    The last by the factors of an SVD of its own, so that nobody is told those that the world's users go by.
    """
    log = told.log
    count = np.bincount(log.item, minlength=len(told.items))
    above = np.bincount(log.item, log.value - log.value.mean(), minlength=len(told.items)) / (count + 5.0)
    svd = Svd(SvdConfig(width=_FACTORS, seed=seed + 1_000_003))
    svd.fit(log, np.zeros((len(told.items), 0), np.float32))
    words = HashingModel(_WORDS).embed([item.text for item in told.items])
    plain = np.stack([np.log1p(count), above], axis=1)
    return standard(np.concatenate([plain, np.asarray(svd.state_dict()["weight items"]), words], axis=1).astype(np.float64))
