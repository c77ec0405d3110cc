"""Ranking metrics against cases worked out by hand and properties that must hold; splits and intervals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longgame.errors import ConfigError, DataError, ShapeError
from longgame.evaluation.ranking import (
    METRICS,
    evaluate_model,
    over_runs,
)
from longgame.evaluation.splits import leave_last_out, together
from longgame.rng import derive
from tests.kit import log_of


class Fixed:
    """The same score of an item for everyone."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)

    def score(self, histories):
        return np.tile(self.scores, (len(histories), 1))


class Last:
    """Wants the item after the last one."""

    def __init__(self, items):
        self.items = items

    def score(self, histories):
        return np.eye(self.items, dtype=np.float32)[(histories[:, -1] + 1) % self.items]


class Given:
    """A row of scores for each user, in their order."""

    def __init__(self, scores):
        self.left = np.asarray(scores, np.float32)

    def score(self, histories):
        now, self.left = np.split(self.left, [len(histories)])
        return now


def ranked(scores, relevant, seen, k):
    """(B, I) scores and marks -> (B, 4): the metrics of B users."""
    train, target = (log_of([np.flatnonzero(row).tolist() for row in marks], marks.shape[1]) for marks in (seen, relevant))
    result = evaluate_model(Given(scores), train, target, k)
    return np.stack([result.column(metric) for metric in METRICS], axis=1)


def metrics(scores, relevant, seen=(), k=3):
    marks = [np.isin(np.arange(len(scores)), positions)[None] for positions in (relevant, seen)]
    return ranked([scores], marks[0], marks[1], k)[0]


def log2(place):
    return 1 / np.log2(place + 1)


@pytest.mark.parametrize(
    ("scores", "relevant", "seen", "wanted"),
    [
        ([9, 8, 7, 6, 5], [0], [], (1, 1, 1, 1)),
        ([9, 8, 7, 6, 5], [2], [], (1, log2(3), 1 / 3, 1)),
        ([9, 8, 7, 6, 5], [3], [], (0, 0, 1 / 4, 0)),
        ([9, 8, 7, 6, 5], [3], [0, 2], (1, log2(2), 1 / 2, 1)),  # seen items take no place
        ([9, 8, 7, 6, 5], [0, 3], [0], (1, log2(3), 1 / 3, 1)),  # nor do they count as hits
        ([9, 8, 7, 6, 5], [1, 4], [], (1 / 2, log2(2) / (1 + log2(2)), 1 / 2, 1)),
        ([9, 8, 7, 6, 5], [0, 1, 2, 3], [], (3 / 4, 1, 1, 1)),  # the best possible of three places
        ([9, 8, 8, 8, 5], [2], [], (2 / 3, (log2(2) + log2(3)) / 3, (1 / 2 + 1 / 3 + 1 / 4) / 3, 2 / 3)),
        ([9, 9, 9, 9, 5], [0, 1], [], (3 / 4, (1 + log2(2) + log2(3)) / 2 / (1 + log2(2)), (3 * 1 + 2 / 2 + 1 / 3) / 6, 1)),
    ],
)
def test_by_hand(scores, relevant, seen, wanted):
    np.testing.assert_allclose(metrics(scores, relevant, seen), wanted, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.data())
def test_a_tie_is_worth_the_mean_over_every_order_of_it(items, data):
    scores = data.draw(st.lists(st.integers(0, 2), min_size=items, max_size=items))
    relevant = data.draw(st.lists(st.integers(0, items - 1), min_size=1, max_size=3, unique=True))
    k = data.draw(st.integers(1, items))
    orders = np.array(list(itertools.permutations(range(items))))  # order[i] is how item i fares where it ties
    broken = (np.array(scores) * items + orders).astype(np.float32)
    marks = np.tile(np.isin(np.arange(items), relevant), (len(orders), 1))
    every = ranked(broken, marks, np.zeros_like(marks), k)
    np.testing.assert_allclose(metrics(scores, relevant, k=k), every.mean(axis=0), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 12))
def test_a_constant_scorer_is_worth_what_chance_is(seed, items, k):
    rng = np.random.default_rng(seed)
    seen = np.zeros((1, items), np.bool_)
    seen[0, rng.choice(items, rng.integers(items - 1), replace=False)] = True
    relevant = np.zeros((1, items), np.bool_)
    relevant[0, rng.choice(np.flatnonzero(~seen[0]))] = True
    got = ranked(np.full((1, items), 3.0, np.float32), relevant, seen, k)[0]
    left = int((~seen).sum())
    places = np.arange(1, left + 1)
    wanted = min(k / left, 1), np.where(places <= k, log2(places), 0).mean(), (1 / places).mean(), min(k / left, 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 30), st.integers(1, 10))
def test_bounds_perfection_and_monotone_transforms(seed, items, k):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (4, items)).astype(np.float32)
    relevant, seen = rng.random((4, items)) < 0.3, rng.random((4, items)) < 0.2
    relevant[:, 0], seen[:, 0] = True, False
    got = ranked(scores, relevant, seen, k)
    assert ((got >= 0) & (got <= 1 + 1e-9)).all()
    np.testing.assert_allclose(ranked(scores * 3 - 7, relevant, seen, k), got)
    perfect = ranked((relevant & ~seen).astype(np.float32), relevant, seen, k)
    np.testing.assert_allclose(perfect[:, 1:], 1, atol=1e-12)
    order = rng.permutation(items)
    np.testing.assert_allclose(ranked(scores[:, order], relevant[:, order], seen[:, order], k), got)


def test_histories_are_padded_in_front():
    log = log_of([[4, 2, 0], [], [1]], 5)
    assert log.padded(np.array([0, 2, 1])).tolist() == [[4, 2, 0], [-1, -1, 1], [-1, -1, -1]]
    assert log.padded(np.array([1])).tolist() == [[-1]]


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_evaluate_model_reads_the_history_and_ranks_what_was_not_seen(batch):
    train = log_of([[0, 1], [3], [2, 4], []], 6)
    target = log_of([[2], [], [4, 0], [5, 5]], 6)
    result = evaluate_model(Last(6), train, target, k=1, batch=batch)
    assert result.users.tolist() == [0, 2, 3]
    # User 0 wants 2: right. User 2 wants 5, and 4 was seen. User 3 has no history: position -1 + 1 is item 0, not 5.
    assert result.recall.tolist() == [1, 0, 0]
    assert result.mrr[1] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert result.coverage == pytest.approx(3 / 6)
    assert result.lists.tolist() == [[2], [5], [0]]
    assert (result.row.tolist(), result.item.tolist()) == ([0, 1, 2], [2, 0, 5])
    assert result.found.tolist() == result.hit.tolist() == result.recall.tolist()


def test_users_whose_targets_were_all_seen_have_no_value():
    result = evaluate_model(Fixed([3, 2, 1]), log_of([[0], [1]], 3), log_of([[0], [2]], 3), k=2)
    assert result.users.tolist() == [1] and result.recall.tolist() == [1.0]
    nobody = evaluate_model(Fixed([3, 2, 1]), log_of([[0]], 3), log_of([[]], 3))
    assert len(nobody.users) == 0 and len(nobody.ndcg) == 0


def test_coverage_never_counts_what_was_seen():
    train, target = log_of([[0, 1, 2]], 4), log_of([[3]], 4)
    assert evaluate_model(Fixed([4, 3, 2, 1]), train, target, k=3).coverage == 1 / 4


def test_what_cannot_be_ranked_is_refused():
    log = log_of([[0, 1]], 3)
    with pytest.raises(ShapeError, match="finite"):
        evaluate_model(Fixed([1, np.nan, 0]), log.select(np.array([True, False])), log.select(np.array([False, True])))
    with pytest.raises(ConfigError, match="k"):
        evaluate_model(Fixed([1, 2, 3]), log, log, k=0)
    with pytest.raises(DataError, match="splits"):
        evaluate_model(Fixed([1, 2, 3]), log, log_of([[0], [1]], 3))


def test_intervals_are_over_users_and_differences_are_paired():
    rng = np.random.default_rng(3)
    train = log_of([[u % 9] for u in range(200)], 20)
    target = log_of([[(u + 1) % 9 + int(rng.integers(0, 2))] for u in range(200)], 20)
    good, bad = evaluate_model(Last(20), train, target, k=2), evaluate_model(Fixed(np.arange(20)), train, target, k=2)
    runs = over_runs([good, bad], "mrr", derive(4))
    assert runs.estimate.low < runs.estimate.value < runs.estimate.high and runs.estimate.n == len(good.users)
    assert runs.estimate.value == pytest.approx((good.mrr.mean() + bad.mrr.mean()) / 2)
    assert runs.spread == pytest.approx(abs(good.mrr.mean() - bad.mrr.mean()) / 2**0.5)
    assert over_runs([good], "mrr", derive(4)).spread == 0
    for metric in METRICS:
        assert len(good.column(metric)) == len(good.users)
    other = evaluate_model(Last(20), train, target, k=3)
    with pytest.raises(DataError, match="same users"):
        over_runs([good, other], "ndcg", derive(2))


def test_a_future_event_does_not_move_a_score():
    """Whatever the held-out events are, what a model is asked and how it answers stays the same."""
    asked = []

    class Recorder(Last):
        def score(self, histories):
            asked.append(histories.copy())
            return super().score(histories)

    histories = [[0, 1, 2, 3], [4, 5, 6], [1, 3, 5, 7, 2]]
    for last in ([3, 6, 2], [8, 8, 8]):
        changed = [[*h[:-1], end] for h, end in zip(histories, last, strict=True)]
        train, validation, test = leave_last_out(log_of(changed, 9))
        evaluate_model(Recorder(9), together(train, validation), test)
    np.testing.assert_array_equal(asked[0], asked[1])
