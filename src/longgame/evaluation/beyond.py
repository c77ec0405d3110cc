"""What accuracy does not show: how much of the catalogue is seen, how alike, how known and how right for each user lists are.

Pure functions over ``lists`` (n, k), the positions that n users are shown, best first, -1 in an empty slot. Numbers of a user
come back as (n,), so that intervals are made over users; NaN is a user of whom nothing can be said (an empty list, no
history), whom ``intervals`` leaves out. The share of the catalogue that is shown is ``RankingResult.coverage``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from longgame.arrays import Interactions
from longgame.evaluation.intervals import Estimate
from longgame.shapes import check
from longgame.types import F32, F64, I64, Bool

SMALLEST_GROUP = 30
"""Users of a group below which its mean says too little to be called the best or the worst."""
_NUMBERS = 4_000_000
"""Numbers of text vectors that are looked up at once: 16 MB."""


def gini(lists: I64, items: int) -> float:
    """Inequality of exposure between all ``items``, also those never shown: 0 even, 1 all on one item.

    ``sum_j (2j - I - 1) p_j / (I - 1)`` with p_j the share of all slots of the j-th item, rarest first (Shani and
    Gunawardana, "Evaluating Recommendation Systems", Recommender Systems Handbook, 2011). NaN where nothing is shown or
    there is no second item.
    """
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=items)).astype(np.float64)
    if items < 2 or not shown.sum():
        return float("nan")
    return float((2 * np.arange(1, items + 1) - items - 1) @ shown / (shown.sum() * (items - 1)))


def diversity(lists: I64, features: F32) -> F64:
    """(n,) mean cosine distance of all pairs within each list, by the text vectors ``features`` (I, X); 0 alike, at most 2.

    1 less the intra-list similarity of Ziegler et al. (WWW 2005), averaged over pairs as in Smyth and McClave (ICCBR 2001).
    An item without text (a zero vector) is at distance 1 from all. NaN for lists of fewer than two items, and for all users
    where no item has text: that lists without texts are all equally diverse would be a figure made up.
    """
    out = np.full(len(lists), np.nan)
    if not features.any():
        return out
    length = np.sqrt(np.einsum("ix,ix->i", features, features, dtype=np.float64))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    rows = max(1, _NUMBERS // max(1, lists.shape[1] * features.shape[1]))
    for first in range(0, len(lists), rows):
        part = lists[first : first + rows]
        inside = part >= 0
        unit = features[part] * (scale[part] * inside)[:, :, None]
        # The norm of the sum holds each pair's cosine twice, and each vector's own square (1, or 0 without text) once.
        total = unit.sum(axis=1)
        own = ((scale[part] > 0) & inside).sum(axis=1)
        count = inside.sum(axis=1)
        twice = (total * total).sum(axis=1) - own
        some = count > 1
        out[first : first + rows][some] = 1 - twice[some] / (count * (count - 1))[some]
    clipped: F64 = np.maximum(out, 0.0)  # rounding: equal texts are at distance 0
    return clipped


def novelty(lists: I64, count: I64) -> F64:
    """(n,) mean self-information ``-log2 p(i)`` of what each is shown, in bits; 0 what every event was on, log2 N at most.

    p(i) is the share of the N events that were on item i, from ``count`` (I,) (Zhou et al., PNAS 2010; "free discovery" of
    Vargas and Castells, RecSys 2011). An item without an event is taken as if it had one: its information is not known, and
    not infinite.
    """
    bits = np.log2(max(1, int(count.sum()))) - np.log2(np.maximum(count, 1))
    return _mean(lists, bits)


def popularity_lift(lists: I64, log: Interactions, users: I64) -> F64:
    """(n,) how much more popular what each is shown is than what he took himself, in percentile points, -100 to 100.

    The difference between recommendation and profile of Abdollahpouri et al. ("The Unfairness of Popularity Bias in
    Recommendation", RMSE workshop at RecSys 2019), by user, and in percentiles of popularity instead of relative counts,
    for counts are skewed: one blockbuster in a list would decide. Equal counts share the middle of their percentiles.
    ``users`` (n,) are positions in ``log``.
    """
    place = 100 * _percentile(np.bincount(log.item, minlength=len(log.items)))
    return _mean(lists, place) - _share(_sums_of_histories(log, users, place[:, None])[:, 0], np.diff(log.offsets)[users])


def calibration(lists: I64, log: Interactions, users: I64, mix: F32 | None = None, alpha: float = 0.01) -> F64:
    """(n,) KL divergence in nats of each list's mix from that of the user's history: 0 the same, ``-log(alpha)`` (4.6) at most.

    Steck, "Calibrated Recommendations", RecSys 2018: p(g|u) of the history and q(g|u) of the list are each the mean of their
    items' p(g|i), all weights 1, and the distance is KL(p || (1 - alpha) q + alpha p), finite where the list lacks a genre.
    ``mix`` (I, G) says what items are of; rows are brought to a sum of 1, and items of no genre count in neither. Without it
    g is a third of the catalogue by popularity: head, middle or tail. NaN where the history or the list has no item of
    known genre.
    """
    share = _thirds(np.bincount(log.item, minlength=len(log.items))) if mix is None else mix.astype(np.float64)
    check({"I": len(log.items)}, ("mix", share, "I G"))
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    p = _distribution(_sums_of_histories(log, users, share))
    q = _distribution(_sums(lists, share))
    ratio = np.divide(p, (1 - alpha) * q + alpha * p, out=np.ones_like(p), where=p > 0)
    out: F64 = np.maximum((p * np.log(ratio)).sum(axis=1), 0.0)
    out[np.isnan(p).any(axis=1) | np.isnan(q).any(axis=1)] = np.nan
    return out


def serendipity(lists: I64, hits: Bool, primitive: I64) -> F64:
    """(n,) share of each list that is a hit and not in the list of a ``primitive`` recommender, (n, k''); 0 to 1.

    Murakami et al. (JSAI 2007), with a primitive method that expects an item or does not; Ge et al. (RecSys 2010) say the
    same in sets: useful, and not in the primitive list. ``compare`` takes popularity for it, which needs no knowledge of the
    user. ``hits`` (n, k) is True where the user wanted the item; empty slots are never hits.
    """
    check({}, ("lists", lists, "N K"), ("hits", hits, "N K"), ("primitive", primitive, "N P"))
    wanted = hits & (lists >= 0)
    for column in primitive.T:  # one slot at a time: (n, k), not (n, k, k)
        wanted &= lists != column[:, None]
    size = (lists >= 0).sum(axis=1)
    return _share(wanted.sum(axis=1), size)


def group_gap(values: F64, label: npt.NDArray[Any], rng: np.random.Generator, draws: int = 1000) -> Estimate | None:
    """The best group's mean less the worst group's, with a bootstrap interval over the users of each; never below 0.

    ``values`` (n,) and ``label`` (n,), "" where the group is not known. Groups of fewer than ``SMALLEST_GROUP`` users are
    left out; None where fewer than two are left. The best and the worst are chosen by the same noise that they are judged
    by, so the interval holds for all pairs at once, each in its own standard errors (Tukey and Kramer's range test, with
    bootstrap quantiles): the true gap is at least the lower end of every pair, and at most the highest upper end. (A basic
    bootstrap interval is not enough: between five groups without a gap, 25 % of them lay above 0.)
    """
    known = ~np.isnan(values) & (label != "")
    values, label = values[known], label[known]
    names, count = np.unique(label, return_counts=True)
    groups = [values[label == name] for name in names[count >= SMALLEST_GROUP]]
    if len(groups) < 2:
        return None
    again = np.array([[own[rng.integers(len(own), size=len(own))].mean() for _ in range(draws)] for own in groups])
    means = np.array([own.mean() for own in groups])
    value = float(means.max() - means.min())
    low, high = _all_pairs(means, again - means[:, None])
    n = sum(len(own) for own in groups)
    return Estimate(value, low, high, n, float(n))


def _all_pairs(means: F64, moved: F64) -> tuple[float, float]:
    """(G,) means and (G, draws) how far resamples moved them -> between what the largest difference lies, 95 times of 100."""
    variance = moved.var(axis=1)
    stderr = np.sqrt(variance[:, None] + variance)
    largest = np.zeros(moved.shape[1])
    for own, scale in zip(moved, stderr, strict=True):  # one group against all: (G, draws), not (G, G, draws)
        apart = np.abs(moved - own)
        np.maximum(
            largest, np.divide(apart, scale[:, None], out=np.zeros_like(apart), where=scale[:, None] > 0).max(0), out=largest
        )
    half = float(np.quantile(largest, 0.95)) * stderr
    gap = means[:, None] - means
    return max(0.0, float((gap - half).max())), float((gap + half).max())


def _mean(lists: I64, number: F64) -> F64:
    """(I,) a number of each item -> (n,) its mean over each list; NaN for an empty one."""
    inside = lists >= 0
    size = inside.sum(axis=1)
    total = np.where(inside, number[lists], 0.0).sum(axis=1)
    return _share(total, size)


def _sums(lists: I64, share: F64) -> F64:
    """(I, G) -> (n, G) sums over each list."""
    out = np.zeros((len(lists), share.shape[1]))
    for column in lists.T:
        out += np.where((column >= 0)[:, None], share[column], 0.0)
    return out


def _sums_of_histories(log: Interactions, users: I64, share: F64) -> F64:
    """(I, G) -> (n, G) sums over every event of each of ``users`` (n,)."""
    from scipy.sparse import csr_array

    taken = csr_array((np.ones(len(log)), log.item, log.offsets), shape=(len(log.users), len(log.items)))
    return np.asarray(taken[users] @ share, np.float64)


def _distribution(sums: F64) -> F64:
    """(n, G) -> the same with rows of sum 1; NaN where there was nothing."""
    return _share(sums, np.broadcast_to(sums.sum(axis=1, keepdims=True), sums.shape))


def _share(part: F64 | I64, whole: F64 | I64) -> F64:
    """``part / whole``, NaN where ``whole`` is 0."""
    out: F64 = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return out


def _percentile(count: I64) -> F64:
    """(I,) -> share of the catalogue that is less popular than each item, half of its equals included, in (0, 1)."""
    ordered = np.sort(count)
    below, upto = np.searchsorted(ordered, count, "left"), np.searchsorted(ordered, count, "right")
    return np.asarray((below + upto) / (2 * max(1, len(count))), np.float64)


def _thirds(count: I64) -> F64:
    """(I, 3) marks: the tail, middle and head third of the catalogue, equals together."""
    return np.eye(3)[np.minimum((3 * _percentile(count)).astype(np.int64), 2)]
