"""How long to train: passes over the log until held-out events stop being ranked better, then anew on all of it.

Every model that is trained by passes shares this. It is told how to make a trainer for a log, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.models.windows import held_out
from longgame.rng import derive
from longgame.types import F32, I64

Watch = Callable[[int, Mapping[str, float]], None]
"""Takes the number of a pass and what it measured: ``loss``, ``ndcg`` of the held-out events."""


def unwatched(number: int, metrics: Mapping[str, float]) -> None:
    """A watch that looks away."""


class Trainer(Protocol):
    """Weights under training, and the model that they are so far."""

    def epoch(self, number: int) -> float:
        """One pass over the log -> the mean loss. What it draws depends on the seed and ``number`` only."""

    def score(self, histories: I64) -> F32:
        """As ``protocols.Model.score``, with the weights of this moment."""

    def weights(self) -> Mapping[str, Arrays]:
        """Copies of what :meth:`score` stands on."""

    def put_back(self, weights: Mapping[str, Arrays]) -> None: ...


T = TypeVar("T", bound=Trainer)


@dataclass(frozen=True)
class Fitted(Generic[T]):
    """A trainer that is done."""

    trainer: T
    best_epoch: int
    """Passes after which the held-out events were ranked best; 0 where nothing was held out."""
    curve: tuple[float, ...]
    """NDCG@10 of the held-out events after each pass."""


def fit(
    make: Callable[[Interactions], T],
    log: Interactions,
    epochs: int,
    patience: int,
    refit: bool,
    seed: int,
    watch: Watch = unwatched,
) -> Fitted[T]:
    """At most ``epochs`` passes; with ``patience`` the last event of some users is held out to stop by.

    ``refit`` then trains anew on the whole log for the number of passes that was best. Patience 0: all epochs, nothing
    held out. ``log`` must have an event.
    """
    if patience:
        train, history, target = held_out(log, derive(seed, "held out"))
        if len(target) and len(train):
            trainer = make(train)
            best, curve, weights = _search(trainer, history, target, epochs, patience, watch)
            if not refit:
                trainer.put_back(weights)
                return Fitted(trainer, best, curve)
            trainer = make(log)
            for epoch in range(best):
                watch(len(curve) + epoch, {"refit loss": trainer.epoch(epoch)})
            return Fitted(trainer, best, curve)
    trainer = make(log)
    for epoch in range(epochs):
        watch(epoch, {"loss": trainer.epoch(epoch)})
    return Fitted(trainer, 0, ())


def _search(
    trainer: Trainer, history: I64, target: I64, epochs: int, patience: int, watch: Watch
) -> tuple[int, tuple[float, ...], Mapping[str, Arrays]]:
    """The best pass, the curve, and the weights after that pass."""
    curve: list[float] = []
    best, kept = 0, trainer.weights()
    for epoch in range(epochs):
        loss = trainer.epoch(epoch)
        curve.append(judge(trainer, history, target))
        watch(epoch, {"loss": loss, "ndcg": curve[-1]})
        if curve[-1] > max(curve[:-1], default=-1.0):
            best, kept = epoch + 1, trainer.weights()
        elif epoch + 1 - best >= patience:
            break
    return best, tuple(curve), kept


def judge(trainer: Trainer, history: I64, target: I64) -> float:
    """(n, T), (n,) -> mean NDCG@10 of the target among the items not seen; a tie counts against it."""
    gain = 0.0
    for first in range(0, len(target), 256):
        seen, wanted = history[first : first + 256], target[first : first + 256]
        scores = trainer.score(seen)
        own = scores[np.arange(len(wanted)), wanted][:, None]
        scores[np.nonzero(seen >= 0)[0], seen[seen >= 0]] = -np.inf
        rank = (scores >= own).sum(axis=1)
        gain += float(np.where(rank <= 10, 1 / np.log2(rank + 1), 0.0).sum())
    return gain / len(target)
