"""Reviews -> how much they like it, in the unit of ratings: read by a language model, calibrated on those that have a rating.

A shop has both: reviews with a rating to learn from, and texts without. What a small model says when asked outright ranks
reviews, but draws the line in the wrong place; the states behind its answer hold more than the answer (``smollm``), and a ridge
regression on them (``ridge``) learns the line from some hundred rated reviews. Every text goes through the shield; one that it
refuses says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longgame.errors import ArtefactError, DataError, ShapeError
from longgame.language.cache import OnProgress, VectorCache, embed_in_batches
from longgame.language.questions import LIMIT
from longgame.language.ridge import Ridge
from longgame.language.shield import shield
from longgame.language.wary import Wary
from longgame.protocols import LanguageModel
from longgame.types import F32, F64, I64, Bool

FEWEST = 20
"""Rated reviews that it is learned from, at least."""


@dataclass(frozen=True)
class Sentiment:
    """Readers of texts, and what was learned of their vectors. Made by :meth:`fit`."""

    readers: tuple[LanguageModel, ...]
    head: Ridge
    low: float
    high: float
    """The range of the ratings it learned from: it says nothing outside it."""
    wary: Wary | None = None
    """What refuses attacks that no rule knows, where it was learned (``wary.learn``)."""

    @staticmethod
    def fit(
        readers: Sequence[LanguageModel],
        texts: Sequence[str],
        ratings: F64,
        cache: VectorCache | None = None,
        on_progress: OnProgress | None = None,
    ) -> Sentiment:
        """From texts and their (n,) ratings. Raises DataError for fewer than ``FEWEST``, or ratings that are all one; what a
        server gave no answer to does not teach.
        """
        ratings = np.asarray(ratings, np.float64)
        if len(texts) != len(ratings):
            raise ShapeError(f"Sentiment.fit: as many ratings as texts are needed, got {len(ratings)} and {len(texts)}")
        if not np.isfinite(ratings).all():
            raise DataError(f"Sentiment.fit: every rating must be finite, got {ratings[~np.isfinite(ratings)][0]}")
        if len(texts) < FEWEST or np.ptp(ratings) == 0:
            raise DataError(
                f"Sentiment.fit: needs {FEWEST} rated reviews or more, not all rated alike, got {len(texts)} with "
                f"{len(np.unique(ratings))} different ratings"
            )
        told = vectors(readers, texts, cache, on_progress)
        some = answered(readers, told)
        if some.sum() < FEWEST or np.ptp(ratings[some]) == 0:
            raise DataError(
                f"Sentiment.fit: needs {FEWEST} rated reviews or more that get an answer, not all rated alike, got "
                f"{some.sum()} of {len(texts)}; the server answers too few by one of the options"
            )
        head = Ridge.fit(told[some], ratings[some, None])
        return Sentiment(tuple(readers), head, float(ratings.min()), float(ratings.max()))

    @property
    def deviation(self) -> float:
        """What one review's estimate is off by: the root of the mean squared error on reviews left out."""
        return float(self.head.deviation[0])

    def read(self, texts: Sequence[str], cache: VectorCache | None = None, on_progress: OnProgress | None = None) -> F64:
        """(n,) estimated ratings; a text that is not heard has the mean."""
        return self.hear(texts, cache, on_progress)[0]

    def hear(
        self, texts: Sequence[str], cache: VectorCache | None = None, on_progress: OnProgress | None = None
    ) -> tuple[F64, Bool]:
        """(n,) estimated ratings, and (n,) which texts were heard: not those without a visible character, nor those refused,
        nor those that a reader was asked about and gave no answer (a server's).

        Whoever counts opinions leaves out what was not heard: no text can buy itself the mean of all.
        """
        if not len(texts):
            return np.zeros(0), np.zeros(0, np.bool_)
        heard = np.array([bool(shield(text, LIMIT).text) for text in texts])
        told = vectors(self.readers, texts, cache, on_progress)
        heard &= answered(self.readers, told)
        if self.wary is not None:
            heard &= ~self.wary.refuses(told)
        out = self.head.predict(told)[:, 0]
        return np.clip(np.where(heard, out, self.head.level[0]), self.low, self.high), heard

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        wary = {f"wary.{name}": array for name, array in self.wary.state_dict().items()} if self.wary else {}
        return {**self.head.state_dict(), "range": np.array([self.low, self.high]), **wary}

    @staticmethod
    def load(readers: Sequence[LanguageModel], state: Mapping[str, np.ndarray[Any, Any]]) -> Sentiment:
        """The inverse of :meth:`state_dict`, with the readers it was learned with. Raises ArtefactError."""
        head = Ridge.load(state)
        if "range" not in state:
            raise ArtefactError(f"checkpoint: range must be there, got {', '.join(sorted(state))}")
        low, high = np.array(state["range"], np.float64).tolist()
        wary = {name.removeprefix("wary."): array for name, array in state.items() if name.startswith("wary.")}
        return Sentiment(tuple(readers), head, low, high, Wary.load(wary) if wary else None)


def vectors(
    readers: Sequence[LanguageModel], texts: Sequence[str], cache: VectorCache | None, on_progress: OnProgress | None = None
) -> F32:
    """(n, sum of their widths) what each reader makes of the texts behind the shield, side by side; nothing of one refused."""
    told = [shield(text, LIMIT).text for text in texts]
    parts = [
        embed_in_batches(reader, told, on_progress) if cache is None else cache.embed(reader, told, on_progress)
        for reader in readers
    ]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(texts), 0), np.float32)


def answered(readers: Sequence[LanguageModel], told: F32) -> Bool:
    """(n,) whether each of the readers whose numbers are answers gave one: of (n, sum of widths) its part is not all alike."""
    out, first = np.ones(len(told), np.bool_), 0
    for reader in readers:
        if hasattr(reader, "answered"):
            out &= np.ptp(told[:, first : first + reader.width], axis=1) > 0
        first += reader.width
    return out


@dataclass(frozen=True)
class Opinions:
    """What all reviews of an item say together, for each of I items."""

    count: I64
    """(I,) reviews"""
    mean: F64
    """(I,) mean rating, drawn towards that of all reviews where there are few"""
    deviation: F64
    """(I,) of that mean: how sure it is"""


def opinions(item: I64, rating: F64, noise: F64, items: int) -> Opinions:
    """From (n,) reviews: which item, the rating or its estimate, and that estimate's deviation, 0 for a rating itself.

    The mean of a normal posterior: items differ from the mean of all by a variance found from the reviews (by moments, as
    DerSimonian and Laird, Controlled Clinical Trials 1986), a review from its item by what reviews of one item differ, and an
    estimate beside that by its own noise. An item without reviews has the mean of all, and is as unsure as items differ.
    """
    count = np.bincount(item, minlength=items)
    if len(item) < 2:  # one review tells nothing of how reviews differ
        return Opinions(count, np.full(items, rating.mean() if len(item) else 0.0), np.full(items, np.inf))
    level = float(rating.mean())
    own = np.bincount(item, rating, items) / np.maximum(count, 1)
    freedom = len(item) - int((count > 0).sum())
    total = float(((rating - level) ** 2).mean())
    # Where no item has two reviews nothing tells its own spread: half of all that there is.
    within = float(((rating - own[item]) ** 2).sum() / freedom) if freedom > 0 else total / 2
    within = max(within, 1e-6 * max(total, 1e-6))
    several = int((count > 0).sum())
    if several < 2:
        between = total or within  # one item tells nothing of how items differ
    else:
        size = len(item) - float((count**2).sum()) / len(item)
        found = (float((count * (own - level) ** 2).sum()) - (several - 1) * within) / size
        # By chance it is found to be nothing at all: what it may be within its own error is believed of it at least.
        between = max(found, within * np.sqrt(2 * (several - 1)) / size)
    # ``within`` holds the noise of estimates already; a rating itself, beside estimates, is worth more.
    weight = 1 / np.maximum(within - float((noise**2).mean()) + noise**2, 0.05 * within)
    known = np.bincount(item, weight, items)
    mean = (level / between + np.bincount(item, weight * rating, items)) / (1 / between + known)
    return Opinions(count, mean, np.sqrt(1 / (1 / between + known)))
