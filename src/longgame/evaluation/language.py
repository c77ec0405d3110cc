"""What a language model reads in texts, against what people say of them, the plainer ways of reading beside it.

Every text is judged by what was learned without it: the texts are dealt to three parts, and each is read by a ridge regression
(``language.ridge``) on the vectors of the other two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from longgame.errors import DataError
from longgame.evaluation.intervals import Estimate
from longgame.language.ridge import Ridge
from longgame.rng import derive
from longgame.types import F32, F64, I64

PARTS = 3
"""Parts that scored texts are dealt to."""
CLEAR = 0.5
"""A score this far from 0 is for or against; nearer, people were not sure themselves."""
FEWEST = 60
"""Scored texts that anything is said of, at least."""


@dataclass(frozen=True)
class Reading:
    """One way of reading, judged."""

    name: str
    figures: Mapping[str, Estimate]
    """Metric -> its value, with an interval over texts."""
    rate: float | None = None
    """Texts read a second; None where the vectors were there already."""


def scores(ways: Mapping[str, F32], wanted: F64, seed: int = 0) -> list[Reading]:
    """Ways of reading (name -> (n, d) vectors of the same n texts) against the texts' (n,) scores.

    *pearson* is the correlation with the scores, *accuracy* how often the sign is right where a score is ``CLEAR``. Beside the
    ways stands the first of them with its vectors put on other texts. Raises DataError for fewer than ``FEWEST`` texts.
    """
    if len(wanted) < FEWEST:
        raise DataError(f"evaluate language: needs {FEWEST} scored texts or more, got {len(wanted)}")
    if not (np.abs(wanted) > CLEAR).any() or np.ptp(wanted) == 0:
        raise DataError(f"evaluate language: needs scores that differ, some of them beyond {CLEAR} on either side of 0")
    part = derive(seed, "parts").permutation(len(wanted)) % PARTS
    shuffle = derive(seed, "shuffled").permutation(len(wanted))
    first = next(iter(ways))
    told = {**ways, f"{first}, shuffled": ways[first][shuffle]}
    return [_scored(name, _foretold(vectors, wanted[:, None], part)[:, 0], wanted, seed) for name, vectors in told.items()]


def classes(
    train: Mapping[str, F32],
    label: I64,
    test: Mapping[str, F32],
    wanted: I64,
    seed: int = 0,
    told: Mapping[str, F64] | None = None,
) -> list[Reading]:
    """Ways of reading, learned on (n, d) vectors with (n,) labels and judged by (m,) others; the commonest label beside.

    ``told`` are (m, kinds) probabilities by ways that were learned elsewhere: they come first, each alone and then added to
    what the first of the others tells, which is in the same unit.
    """
    given = dict(told or {})
    kinds = 1 + max(int(label.max(initial=0)), int(wanted.max(initial=0)), *(p.shape[1] - 1 for p in given.values()))
    learned = {name: Ridge.fit(vectors, np.eye(kinds)[label]).predict(test[name]) for name, vectors in train.items()}
    first = next(iter(learned))
    ways = {**given, **{f"{name} + {first}": p + learned[first] for name, p in given.items()}, **learned}
    out = [_classed(name, way.argmax(axis=1), wanted, kinds, seed) for name, way in ways.items()]
    common = np.full(len(wanted), np.bincount(label).argmax())
    return [*out, _classed("the commonest answer", common, wanted, kinds, seed)]


def _foretold(vectors: F32, wanted: F64, part: I64) -> F64:
    """(n, m) each row foretold by what was learned from the other parts."""
    out = np.empty_like(wanted)
    for number in range(PARTS):
        held = part == number
        out[held] = Ridge.fit(vectors[~held], wanted[~held]).predict(vectors[held])
    return out


def _scored(name: str, told: F64, wanted: F64, seed: int) -> Reading:
    clear = np.abs(wanted) > CLEAR
    right = (told > 0) == (wanted > 0)

    def pearson(rows: I64) -> float:
        own, other = told[rows], wanted[rows]
        return float(np.corrcoef(own, other)[0, 1]) if np.ptp(own) > 0 and np.ptp(other) > 0 else 0.0

    def accuracy(rows: I64) -> float:
        return float(right[rows][clear[rows]].mean()) if clear[rows].any() else np.nan

    return Reading(name, {"pearson": _of(pearson, len(wanted), seed), "accuracy": _of(accuracy, len(wanted), seed)})


def _classed(name: str, guess: I64, wanted: I64, kinds: int, seed: int) -> Reading:
    def accuracy(rows: I64) -> float:
        return float((guess[rows] == wanted[rows]).mean())

    def macro(rows: I64) -> float:
        own = []
        for kind in range(kinds):
            said, so = guess[rows] == kind, wanted[rows] == kind
            if so.any() or said.any():
                own.append(2 * float((said & so).sum()) / float(said.sum() + so.sum()))
        return float(np.mean(own))

    return Reading(name, {"accuracy": _of(accuracy, len(wanted), seed), "macro f1": _of(macro, len(wanted), seed)})


def _of(figure: Callable[[I64], float], count: int, seed: int, draws: int = 500) -> Estimate:
    """A figure of all texts, with a percentile bootstrap interval over them."""
    rng = derive(seed, "texts")
    drawn = [figure(rng.integers(count, size=count)) for _ in range(draws)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(figure(np.arange(count)), float(low), float(high), count, float(count))
