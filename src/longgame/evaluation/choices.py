"""Whether a user would choose what is shown: a calibrated model of choices, with what a language model knows and without.

Recommenders are fitted on what users had taken before and score what was shown. A logistic regression on the logarithms of the
places that they give it says how probable the choice is; it is learned on other users than it is judged on, and so is the line
above which it says yes, the one with the best balanced accuracy.

Balanced accuracy is the mean of the shares of right answers on what was and on what was not chosen: .5 for who does not know.
*Off by* is the mean difference between what is foretold and what happens, over ten groups of equal size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from longgame.datasets.personas import Shown
from longgame.errors import DataError
from longgame.evaluation.intervals import Estimate, crossed, over_seeds
from longgame.evaluation.language import Reading, Told
from longgame.models import MODELS
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool

RANKERS = ("popularity", "item-knn", "user-knn", "ease", "als", "slim")
"""Of the recommenders, those that need no order, which such a log has not."""
PRICE = 1.0
"""Of squared coefficients of standardised scores, against the sum of the losses."""
FOLDS = 5
FEWEST = 20
"""Users that anything is said of, at least."""
_GROUPS = 10


def places(
    shown: Shown, names: tuple[str, ...], features: F32, on_fit: Callable[[str], None] = lambda name: None
) -> dict[str, F64]:
    """Recommender -> (n,) logarithm of the place of each thing shown among all things for its user. ``features``: (I, X)."""
    users, row = np.unique(shown.user, return_inverse=True)
    history, out = shown.log.padded(users), {}
    for name in names:
        model = MODELS[name].make(MODELS[name].config())
        model.fit(shown.log, features)
        scores = model.score(history)
        own = scores[row, shown.item]
        out[name] = np.array([float(np.log1p((scores[r] >= s).sum())) for r, s in zip(row.tolist(), own.tolist(), strict=True)])
        on_fit(name)
    return out


def logistic(x: F64, y: F64, price: float = PRICE) -> F64:
    """(n, p), (n,) in {0, 1} -> (p + 1,) coefficients, the level first: ridge-penalised, by Newton's steps."""
    x = np.column_stack([np.ones(len(x)), x])
    held = np.full(x.shape[1], price)
    held[0] = 0.0
    out = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ out, -30, 30)))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.diag(held + 1e-9), x.T @ (y - p) - held * out)
        out = out + step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(out)


@dataclass(frozen=True)
class Choices:
    """What was chosen of what was shown, and by whom; n rows."""

    user: I64
    chosen: Bool
    folds: int = FOLDS
    seeds: int = 3

    def __post_init__(self) -> None:
        people = len(np.unique(self.user))
        if people < max(FEWEST, self.folds):
            raise DataError(f"choices: needs {max(FEWEST, self.folds)} users or more, got {people}")
        if self.chosen.all() or not self.chosen.any():
            raise DataError(f"choices: needs things that were chosen and that were not, got all {bool(self.chosen.all())}")

    def foretold(self, x: F64, seed: int) -> tuple[F64, Bool]:
        """(n, p) -> (n,) how probable each choice is, and whether yes is said, by what was learned from the other users."""
        users = np.unique(self.user)
        part = np.zeros(users.max() + 1, np.int64)
        part[users] = derive(seed, "choices").permutation(len(users)) % self.folds
        y = self.chosen.astype(np.float64)
        chance, yes = np.zeros(len(y)), np.zeros(len(y), np.bool_)
        for fold in range(self.folds):
            test = part[self.user] == fold
            mean, spread = x[~test].mean(axis=0), x[~test].std(axis=0)
            z = (x - mean) / np.where(spread > 0, spread, 1)
            weights = logistic(z[~test], y[~test])
            p = 1 / (1 + np.exp(-np.clip(weights[0] + z @ weights[1:], -30, 30)))
            chance[test], yes[test] = p[test], p[test] >= line(p[~test], self.chosen[~test])
        return chance, yes

    def judged(self, name: str, told: Told, x: F64) -> Reading:
        """A model of choices on the columns ``x``, with the interval over users and seeds together."""
        begun = time.perf_counter()
        found = [self.foretold(x, seed) for seed in range(self.seeds)]
        rate = self.seeds * len(self.user) / (time.perf_counter() - begun)
        off = [self._off(chance) for chance, _ in found]
        figures = {"balanced accuracy": self.balanced([yes for _, yes in found], name), "off by": over_seeds(np.array(off))}
        return Reading(name, figures, rate, told)

    def outright(self, name: str, told: Told, yes: Bool) -> Reading:
        """An answer that somebody gave; its chances are not known."""
        nothing = Estimate(np.nan, np.nan, np.nan, 0, 0.0)
        return Reading(name, {"balanced accuracy": self.balanced([yes]), "off by": nothing}, None, told)

    def balanced(self, answers: list[Bool], *keys: str) -> Estimate:
        share, users = self.chosen.mean(), np.unique(self.user, return_inverse=True)
        right = np.where(self.chosen, 0.5 / share, 0.5 / (1 - share))
        count = len(users[0])
        sums = [np.bincount(users[1], np.where(yes == self.chosen, right, 0.0)) * count / len(right) for yes in answers]
        return crossed(np.stack(sums), derive(0, "choices", *keys))

    def _off(self, chance: F64) -> float:
        groups = np.array_split(np.argsort(chance), _GROUPS)
        return float(np.mean([abs(chance[g].mean() - self.chosen[g].mean()) for g in groups]))


def line(chance: F64, chosen: Bool) -> float:
    """The bound at or above which to say yes for the best balanced accuracy on these."""
    order = np.argsort(-chance, kind="stable")
    hits, alarms = np.cumsum(chosen[order]) / max(1, chosen.sum()), np.cumsum(~chosen[order]) / max(1, (~chosen).sum())
    return float(chance[order][np.argmax(hits - alarms)])


def choices(
    shown: Shown, plain: Mapping[str, F64], read: Mapping[str, F64], folds: int = FOLDS, seeds: int = 3
) -> list[Reading]:
    """The model of choices on all that is known, without what a language model said or read, and with that of other rows.

    ``plain`` are places by recommenders that read nothing, ``read`` by what a language model reads in the texts, name -> (n,).
    What the language model said in the user's role is beside ``read``, and alone. Raises DataError for too few users.
    """
    judge, said = Choices(shown.user, shown.chosen, folds, seeds), shown.said.astype(np.float64)
    bare, language = np.column_stack(list(plain.values())), np.column_stack([*read.values(), said])
    drawn = derive(0, "choices", "shuffled").permutation(len(bare))
    out = [
        judge.judged("recommenders, texts, its answers", "with", np.column_stack([bare, language])),
        judge.judged("recommenders and its answers", "with", np.column_stack([bare, said])),
    ]
    if read:
        out.append(judge.judged("recommenders and texts", "with", np.column_stack([bare, *read.values()])))
    out += [
        judge.judged("recommenders alone", "without", bare),
        judge.judged("recommenders, texts and answers of other rows", "shuffled", np.column_stack([bare, language[drawn]])),
        judge.judged("all columns of other rows", "shuffled", np.column_stack([bare, language])[drawn]),
    ]
    out += [judge.judged(f"{name} alone", "with", column[:, None]) for name, column in read.items()]
    out += [judge.judged(f"{name} alone", "without", column[:, None]) for name, column in plain.items()]
    out.append(judge.judged("its answers, calibrated", "with", said))
    out.append(judge.outright("its answer outright: it takes it", "with", shown.said[:, 1] > 0))
    return out
