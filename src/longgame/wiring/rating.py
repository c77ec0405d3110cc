"""How well the ratings of the log are foretold: which events are ratings, which models foretell them, on which folds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError
from longgame.evaluation.ratings import Entry, Rater, RatingTable, folds, in_time, judge
from longgame.evaluation.splits import Cut, Split, together
from longgame.models import MODELS
from longgame.models.rating_fit import labelled
from longgame.wiring.configs import Configs, names_of
from longgame.wiring.training import Say
from longgame.wiring.workspace import Workspace

RATERS = ("svd", "svd-plus-plus", "time-factors")
"""Names in ``MODELS`` that keep ``protocols.RatingModel``."""
RATING = "rating"
"""The kind that an import gives to events with stars, scores or ratings."""


@dataclass(frozen=True)
class Wish:
    """What the table shall hold."""

    models: tuple[str, ...] = RATERS
    """Names in ``RATERS``; the baseline comes unasked."""
    folds: int = 5
    cut: Cut | None = None
    """A split in time in place of the folds."""
    kind: str | None = None
    """Of the events that are ratings; None: ``RATING``, or the only kind that there is."""
    seed: int = 0
    """Draws the folds; the models' own are in their configs."""


def ratings(ws: Workspace, wish: Wish = Wish(), say: Say = lambda line: None) -> RatingTable:
    """Models fitted anew without the held-out ratings and judged by them. The models have their defaults: what `longgame
    tune` finds is for rankings, and was chosen by events that are tested here.

    Raises ConfigError where it is not clear which events are ratings, DataError where there is nothing to foretell.
    """
    log = _rated(ws, wish.kind)
    configs = Configs()
    if wish.cut is not None:
        split = _in_time(log, wish.cut, wish.seed)
        parts, label = in_time(split), split.label
    else:
        parts, label = folds(log, wish.folds, wish.seed), f"{wish.folds} folds drawn at random"

    def told(name: str, fold: int, error: float) -> None:
        say(f"{name}{f', fold {fold + 1}' if len(parts) > 1 else ''}: RMSE {error:.4f}")

    entries = []
    for name in wish.models:
        make = partial(_made, name, configs.config(name))
        entries.append(Entry(name, MODELS[name].title, make))
        if hasattr(make(), "rate_at"):
            entries.append(
                Entry(f"{name}, told when", f"{MODELS[name].title}, told the moment of each rating", make, told=True)
            )
    return judge(parts, entries, label, wish.seed, on_fold=told)


def _in_time(log: Interactions, cut: Cut, seed: int) -> Split:
    """Cut where the ratings say; what else was taken before that moment is learned from."""
    split = cut.split(log.select(labelled(log)), seed)
    if not len(split.test):
        return split
    first = int(split.test.at.min())
    early = log.select((log.at < first) & ~labelled(log))
    return Split(split.label, together(split.before, early), early.select(np.zeros(len(early), np.bool_)), split.test)


def _made(name: str, config: Any) -> Rater:
    return cast(Rater, MODELS[name].make(config))


def _rated(ws: Workspace, kind: str | None) -> Interactions:
    """All events over the whole catalogue; those that are no ratings are unlabelled: what was taken, without a value."""
    items = tuple(item.id for item in ws.store.items())
    events = list(ws.events())
    wanted = kind_of(Counter(event.kind for event in events), kind)
    return Interactions.of(events, items, wanted)


def kind_of(count: Counter[str], said: str | None = None) -> str:
    """Which of the kinds of events is judged. Raises DataError where there is none, ConfigError where the choice is open."""
    if not count:
        raise DataError("evaluate ratings: the log holds no events; run `longgame import PATH` first")
    there = ", ".join(f"{kind} ({n:,})" for kind, n in count.most_common())
    if said is not None:
        if said not in count:
            raise ConfigError(f"--kind: no event is of the kind {said!r}; there are {there}")
        return said
    if RATING in count or len(count) == 1:
        return RATING if RATING in count else next(iter(count))
    raise ConfigError(f"evaluate ratings: which events are ratings? There are {there}; say it with --kind")


def named(said: str) -> tuple[str, ...]:
    """What ``--models`` says: names by commas, or all. Raises ConfigError for a model that foretells no ratings."""
    names = RATERS if said == "all" else tuple(names_of(said))
    if others := [name for name in names if name not in RATERS]:
        raise ConfigError(f"--models: {', '.join(others)} does not foretell ratings; {', '.join(RATERS)} do")
    return names
