"""One training loop. Offline, online and simulated learning differ only in where batches come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from longgame.arrays import Batch
from longgame.protocols import Algorithm

OnStep = Callable[[int, Mapping[str, float]], None]


def train(algorithm: Algorithm, batches: Iterable[Batch], on_step: OnStep = lambda step, metrics: None) -> int:
    """Update on every batch; returns how many there were."""
    step = 0
    for step, batch in enumerate(batches, start=1):
        on_step(step, algorithm.update(batch))
    return step
