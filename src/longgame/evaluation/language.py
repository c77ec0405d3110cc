"""What a language model reads in texts, against what people say of them, the plainer ways of reading beside it.

Every text is judged by what was learned without it: the texts are dealt to three parts, and each is read by a ridge regression
(``language.ridge``) on the vectors of the other two. Where there are several dealings a figure is their mean, and its interval
is over texts and dealings together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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


Told = Literal["with", "without", "shuffled", ""]
"""Whether a row has a language model, none, or one that read the wrong texts; "" where it is neither."""


@dataclass(frozen=True)
class Reading:
    """One way of reading, judged."""

    name: str
    figures: Mapping[str, Estimate]
    """Metric -> its value, with an interval."""
    rate: float | None = None
    """Of what is judged, so many a second; None where the vectors were there already, or nobody looked."""
    told: Told = ""


def scores(
    ways: Mapping[str, F32], wanted: F64, seed: int = 0, plain: Mapping[str, F32] | None = None, seeds: int = 1
) -> list[Reading]:
    """Ways of reading (name -> (n, d) vectors of the same n texts) against the texts' (n,) scores.

    *pearson* is the correlation with the scores, *accuracy* how often the sign is right where a score is ``CLEAR``. Beside the
    ways stand ``plain`` ones, which no language model is in, and the first of them with its vectors put on other texts.
    ``seeds`` dealings are made, from ``seed`` on. Raises DataError for fewer than ``FEWEST`` texts.
    """
    if len(wanted) < FEWEST:
        raise DataError(f"evaluate language: needs {FEWEST} scored texts or more, got {len(wanted)}")
    if not (np.abs(wanted) > CLEAR).any() or np.ptp(wanted) == 0:
        raise DataError(f"evaluate language: needs scores that differ, some of them beyond {CLEAR} on either side of 0")
    dealings = [derive(number, "parts").permutation(len(wanted)) % PARTS for number in range(seed, seed + seeds)]
    shuffle = derive(seed, "shuffled").permutation(len(wanted))
    first = next(iter(ways))

    def judged(name: str, vectors: F32, told: Told) -> Reading:
        return _scored(name, [_foretold(vectors, wanted[:, None], part)[:, 0] for part in dealings], wanted, seed, told)

    out = [judged(name, vectors, "with") for name, vectors in ways.items()]
    out += [judged(name, vectors, "without") for name, vectors in (plain or {}).items()]
    return [*out, judged(f"{first}, shuffled", ways[first][shuffle], "shuffled")]


def classes(
    train: Mapping[str, F32],
    label: I64,
    test: Mapping[str, F32],
    wanted: I64,
    seed: int = 0,
    told: Mapping[str, Sequence[F64]] | None = None,
    plain: Collection[str] = (),
) -> list[Reading]:
    """Ways of reading, learned on (n, d) vectors with (n,) labels and judged by (m,) others; the commonest label beside, and
    the first of the ways learned on vectors of other texts.

    ``told`` are (m, kinds) probabilities by ways that were learned elsewhere, one a seed: they come first, each alone and then
    added to what the first of the others tells, which is in the same unit. ``plain`` are the ways no language model is in.
    """
    given = dict(told or {})
    shares = [p.shape[1] - 1 for parts in given.values() for p in parts]
    kinds = 1 + max(int(label.max(initial=0)), int(wanted.max(initial=0)), *shares)
    learned = {name: Ridge.fit(vectors, np.eye(kinds)[label]).predict(test[name]) for name, vectors in train.items()}
    first = next(iter(learned))
    other = train[first][derive(seed, "shuffled").permutation(len(label))]
    ways: dict[str, tuple[Sequence[F64], Told]] = {name: (parts, "with") for name, parts in given.items()}
    ways |= {f"{name} + {first}": ([p + learned[first] for p in parts], "with") for name, parts in given.items()}
    ways |= {name: ([way], "without" if name in plain else "with") for name, way in learned.items()}
    ways["the commonest answer"] = [np.tile(np.bincount(label, minlength=kinds), (len(wanted), 1))], "without"
    ways[f"{first}, shuffled"] = [Ridge.fit(other, np.eye(kinds)[label]).predict(test[first])], "shuffled"
    return [
        _classed(name, [way.argmax(axis=1) for way in parts], wanted, kinds, seed, told) for name, (parts, told) in ways.items()
    ]


def _foretold(vectors: F32, wanted: F64, part: I64) -> F64:
    """(n, m) each row foretold by what was learned from the other parts."""
    out = np.empty_like(wanted)
    for number in range(PARTS):
        held = part == number
        out[held] = Ridge.fit(vectors[~held], wanted[~held]).predict(vectors[held])
    return out


def _scored(name: str, told: Sequence[F64], wanted: F64, seed: int, how: Told) -> Reading:
    clear = np.abs(wanted) > CLEAR

    def pearson(values: F64, rows: I64) -> float:
        own, other = values[rows], wanted[rows]
        return float(np.corrcoef(own, other)[0, 1]) if np.ptp(own) > 0 and np.ptp(other) > 0 else 0.0

    def accuracy(values: F64, rows: I64) -> float:
        right = (values[rows] > 0) == (wanted[rows] > 0)
        return float(right[clear[rows]].mean()) if clear[rows].any() else np.nan

    figures = {"pearson": pearson, "accuracy": accuracy}
    return Reading(name, {metric: _of(figure, told, seed) for metric, figure in figures.items()}, told=how)


def _classed(name: str, guesses: Sequence[I64], wanted: I64, kinds: int, seed: int, how: Told) -> Reading:
    def accuracy(guess: I64, rows: I64) -> float:
        return float((guess[rows] == wanted[rows]).mean())

    def macro(guess: I64, rows: I64) -> float:
        own = []
        for kind in range(kinds):
            said, so = guess[rows] == kind, wanted[rows] == kind
            if so.any() or said.any():
                own.append(2 * float((said & so).sum()) / float(said.sum() + so.sum()))
        return float(np.mean(own))

    figures = {"accuracy": accuracy, "macro f1": macro}
    return Reading(name, {metric: _of(figure, guesses, seed) for metric, figure in figures.items()}, told=how)


def _of(figure: Callable[[Any, I64], float], told: Sequence[Any], seed: int, draws: int = 500) -> Estimate:
    """A figure of all texts, the mean over what was told of them by one seed or several, with a percentile bootstrap interval.

    Each draw takes texts and, of several seeds, one fewer than there are (as ``intervals.crossed``).
    """
    rng, count = derive(seed, "texts"), len(told[0])
    drawn = []
    for _ in range(draws):
        rows = rng.integers(count, size=count)
        some = rng.integers(len(told), size=len(told) - 1).tolist() if len(told) > 1 else [0]
        drawn.append(np.mean([figure(told[number], rows) for number in some]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    whole = float(np.mean([figure(one, np.arange(count)) for one in told]))
    return Estimate(whole, float(low), float(high), count, float(count))
