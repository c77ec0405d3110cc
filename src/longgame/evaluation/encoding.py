"""Short texts to vectors: how fast, and how near to those of a reference that takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from longgame.evaluation.intervals import Estimate, bootstrap
from longgame.evaluation.language import Reading, Told
from longgame.rng import derive
from longgame.types import F32, I64

AGREE = 10
"""Nearest neighbours that are held against the reference's."""

Embed = Callable[[Sequence[str]], F32]


def speeds(
    embed: Embed, texts: Sequence[str], rounds: int, warm: int = 64, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Texts a second of each round; ``warm`` texts are read first, for what is made when first used."""
    embed(texts[:warm])
    out = []
    for _ in range(rounds):
        start = clock()
        embed(texts)
        out.append(len(texts) / max(clock() - start, 1e-9))
    return out


def agreement(vectors: F32, reference: F32) -> dict[str, Estimate]:
    """(n, D), (n, D) unit rows -> cosine of each text's two vectors, and the share of its nearest that are the same."""
    rng = derive(0, "encoding")
    cosine = (vectors * reference).sum(axis=1, dtype=np.float64)
    return {"cosine": bootstrap(cosine, rng), f"same {AGREE} nearest": same_nearest(vectors, reference)}


def same_nearest(vectors: F32, reference: F32) -> Estimate:
    """(n, any), (n, any) unit rows -> share of a text's ten nearest that are the same; NaN for too few texts."""
    if len(vectors) <= AGREE:
        return Estimate(np.nan, np.nan, np.nan, 0, 0.0)
    near = zip(nearest(vectors), nearest(reference), strict=True)
    shares = np.array([len(np.intersect1d(own, other)) / AGREE for own, other in near])
    return bootstrap(shares, derive(0, "encoding"))


def nearest(vectors: F32) -> I64:
    """(n, 10) the ten nearest of each, itself left out."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    return np.argpartition(-scores, AGREE, axis=1)[:, :AGREE]


def encoding(name: str, told: Told, embed: Embed, texts: Sequence[str], reference: F32, rounds: int = 3) -> Reading:
    """One encoder; one of another width than the reference's is held against its neighbours alone."""
    rates, vectors = speeds(embed, texts, rounds), embed(texts)
    nothing = Estimate(np.nan, np.nan, np.nan, 0, 0.0)
    if vectors.shape == reference.shape:
        figures = agreement(vectors, reference)
    else:
        figures = {"cosine": nothing, f"same {AGREE} nearest": same_nearest(vectors, reference)}
    return Reading(name, figures, float(np.median(rates)), told)
