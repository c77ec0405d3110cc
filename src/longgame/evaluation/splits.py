"""A log cut into what models learn from, what choices are made by, and what is looked at once.

Splitting each user's own history leaves other users' later events in training, as leave-one-out does: such a split compares
models, and says little about what one of them would have done live. A split in time has no such leak (Meng et al.,
"Exploring Data Splitting Strategies for the Evaluation of Recommendation Models", RecSys 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError
from longgame.rng import derive
from longgame.types import I64, microseconds, moment

KINDS = ("leave-one-out", "time")


@dataclass(frozen=True)
class Split:
    """Three parts of one log, with the same users and items in each."""

    label: str
    """How the events were held out, in words."""
    train: Interactions
    validation: Interactions
    test: Interactions

    @property
    def before(self) -> Interactions:
        """All but the test events: what a model is fitted on before it is judged by them."""
        return together(self.train, self.validation)


@dataclass(frozen=True)
class Cut:
    """How to split."""

    kind: str = "leave-one-out"
    """leave-one-out: each user's last event is test, the one before validation. time: test is what lies at or after
    ``at``, validation the latest ``share`` of the rest."""
    at: datetime | None = None
    """Of a split in time; None: where the latest ``share`` of the events begins."""
    share: float = 0.1
    """Of the events, in (0, 1)."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"split: must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.at is not None and self.kind != "time":
            raise ConfigError("split: --at goes with --split time; add it, or leave --at out")
        if not 0 < self.share < 1:
            raise ConfigError(f"split: the share must lie between 0 and 1, got {self.share}")

    def split(self, log: Interactions, seed: int = 0) -> Split:
        """The seed draws the validation events where the log has one moment only (:func:`latest`)."""
        if self.kind == "leave-one-out":
            return Split(str(self), *leave_last_out(log))
        label = str(self)
        if self.at is None:
            known, test = latest(log, self.share, seed)
            # The share alone names a rule, and of a log that grew another test: who compares labels must see the moment.
            drawn = len(np.unique(log.at)) < 2
            label += f", drawn by seed {seed}" if drawn else f", from {moment(int(test.at.min()))} on" if len(test) else ""
        else:
            late = log.at >= microseconds(self.at)
            known, test = log.select(~late), log.select(late)
        return Split(label, *latest(known, self.share, seed), test)

    @staticmethod
    def of(log: Interactions) -> Cut:
        """The one to take where nothing is said: each user's last event; of a published split without times, its last part."""
        moments = np.unique(log.at)
        if log.ordered or len(moments) < 2:
            return Cut()
        return Cut("time", moment(int(moments[-1])))

    def __str__(self) -> str:
        if self.kind == "leave-one-out":
            return "the last event of each user with three events or more"
        if self.at is None:
            return f"the latest {100 * self.share:g}% of the events"
        return f"events from {self.at.isoformat(sep=' ')} on"


def leave_last_out(log: Interactions) -> tuple[Interactions, Interactions, Interactions]:
    """Train, validation and test: of each user with three events or more the last is test, the one before validation.

    Chronological per user; events of one moment stand in the log's own order. Users with fewer only train.
    """
    bounds = log.offsets[1:][np.diff(log.offsets) >= 3]
    part = np.zeros(len(log), np.int64)
    part[bounds - 2], part[bounds - 1] = 1, 2
    return log.select(part == 0), log.select(part == 1), log.select(part == 2)


def latest(log: Interactions, share: float = 0.1, seed: int = 0) -> tuple[Interactions, Interactions]:
    """A log in two: all but the latest ``share`` of its events, and those.

    Events of one moment stay together, so it can be more. Where the whole log is one moment, as in a published split
    without times, it is a ``share`` of each user's events, drawn by the seed, and never all of them.
    """
    order = np.sort(log.at)
    bound = order[len(order) - max(1, int(share * len(order)))] if len(order) else 0
    late = log.at >= bound
    if late.all():
        draw = derive(seed, "tune", "validation").permutation(len(log))
        place = np.lexsort((draw, log.user))  # rows by user, in a drawn order within each
        rank = np.empty(len(log), np.int64)
        length = np.diff(log.offsets)
        rank[place] = np.arange(len(log)) - np.repeat(log.offsets[:-1], length)
        # Rounded up as often as the fraction says: rounded down, users with few events would never be among them.
        parts = np.floor(share * length + derive(seed, "tune", "validation", "parts").random(len(length)))
        late = rank < np.repeat(np.minimum(parts, length - 1), length)
    return log.select(~late), log.select(late)


def together(first: Interactions, second: Interactions) -> Interactions:
    """Rows of both, per user in order of time; of one moment, ``first`` stands first. Same users and items in both."""
    if first.users != second.users or first.items != second.items:
        raise DataError("together: both logs must have the same users and items; make both from one with Interactions.select")
    user, at = np.concatenate([first.user, second.user]), np.concatenate([first.at, second.at])
    order = np.lexsort((at, user))
    item, value = np.concatenate([first.item, second.item]), np.concatenate([first.value, second.value])
    return Interactions(first.users, first.items, first.offsets + second.offsets, item[order], at[order], value[order])


def without_items(split: Split, share: float, seed: int = 0) -> tuple[Split, I64]:
    """The split with a ``share`` of its items held out of training and validation altogether, and their positions.

    Test events on them stay: nobody has an event on these items, as on the day that they came into the catalogue.
    Raises ConfigError where the share is none, or leaves nothing.
    """
    count = len(split.train.items)
    held = round(share * count)
    if not 0 < held < count:
        raise ConfigError(f"without_items: the share must leave some of {count} items in and some out, got {share}")
    # By the items' ids: another order of the catalogue holds out the same items.
    draws = np.array([derive(seed, "held out", item).random() for item in split.train.items])
    new = np.sort(np.argsort(draws)[:held])
    keep = np.ones(count, np.bool_)
    keep[new] = False
    train, validation = (part.select(keep[part.item]) for part in (split.train, split.validation))
    return Split(f"{split.label}; {held:,} items held out of training", train, validation, split.test), new
