"""The table of models: who is held against whom, and which figures have an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import DataError, ShapeError
from longgame.evaluation.compare import About, compare
from longgame.evaluation.ranking import RankingResult
from longgame.evaluation.runs import Bench, Entry, Run, Runs
from longgame.evaluation.splits import Cut
from longgame.models import MODELS
from longgame.types import F32, F64, ItemId, UserId

ITEMS, USERS, K = 12, 40, 3
NO_TEXT: F32 = np.zeros((ITEMS, 0), np.float32)


def log() -> Interactions:
    item = np.random.default_rng(0).permuted(np.tile(np.arange(ITEMS), (USERS, 1)), axis=1)[:, :5].ravel()
    ids = tuple(ItemId(f"i{i}") for i in range(ITEMS))
    users = tuple(UserId(f"u{u}") for u in range(USERS))
    at = np.arange(len(item))
    return Interactions(users, ids, np.arange(USERS + 1) * 5, item, at, np.ones(len(item), np.float32))


MIXED: F64 = np.arange(USERS) % 2 / 1.0
BENCH = Bench(Cut().split(log()), NO_TEXT, K)


def run(recall: F64, ndcg: F64, shown: int = 4) -> Run:
    """A run in which users have these figures, and lists are of ``shown`` items in all."""
    test = BENCH.split.test
    lists = np.array([[(u + place) % shown for place in range(K)] for u in range(USERS)], np.int64)
    result = RankingResult(
        K, np.arange(USERS), recall, ndcg, ndcg, recall, lists, np.arange(USERS), test.item, recall, catalogue=ITEMS
    )
    return Run(result, 1.0, 10)


def flat(recall: float, ndcg: float, shown: int = 4) -> Run:
    return run(np.full(USERS, recall), np.full(USERS, ndcg), shown)


def entry(name: str, kind: str = "popularity", baseline: bool = False) -> Entry:
    return Entry(name, kind, name, MODELS[kind].config(), baseline=baseline)


BASES = [entry("popularity", baseline=True), entry("ease", baseline=True)]


def gaps(runs: Runs, entries: Sequence[Entry]) -> dict[tuple[str, str], tuple[str, float]]:
    table = compare(BENCH, entries, runs, About("toy"))
    return {(c.model, c.metric): (c.against, round(c.gap.value, 6)) for c in table.comparisons}


def test_each_metric_is_held_against_the_baseline_that_is_best_by_it():
    runs = {"popularity": [flat(0.5, 0.1)], "ease": [flat(0.4, 0.3)], "mine": [flat(0.45, 0.2)]}
    got = gaps(runs, [*BASES, entry("mine")])
    assert got == {("mine", "recall"): ("popularity", -0.05), ("mine", "ndcg"): ("ease", -0.1)}


def test_a_gap_knows_that_seeds_differ():
    runs = {
        "popularity": [flat(0.4, 0.1)],
        "ease": [flat(0.1, 0.1)],
        "mine": [flat(0.3, 0.2), flat(0.5, 0.2), flat(0.7, 0.2)],
    }
    table = compare(BENCH, [*BASES, entry("mine")], runs, About("toy"))
    (recall,) = [c for c in table.comparisons if c.metric == "recall"]
    assert recall.gap.value == pytest.approx(0.1) and [recall.gap.low, recall.gap.high] == pytest.approx([-0.1, 0.3])
    assert recall.p < 0.001, "of these runs it is sure"


def test_shares_of_the_catalogue_have_an_interval_within_0_and_1_or_none():
    runs = {
        "popularity": [flat(0.5, 0.1)],
        "ease": [flat(0.1, 0.1, 4), flat(0.1, 0.1, 12)],
        "mine": [flat(0.1, 0.1, 4), flat(0.1, 0.1, 12), flat(0.1, 0.1, 12)],
    }
    rows = {row.name: row for row in compare(BENCH, [*BASES, entry("mine")], runs, About("toy")).rows}
    two, three = rows["ease"].metrics["coverage"], rows["mine"].metrics["coverage"]
    assert two.value == two.low == two.high == pytest.approx((4 + 12) / 2 / ITEMS)
    assert 0 <= three.low < three.value < three.high == 1.0


def test_what_could_not_be_fitted_has_a_row_and_is_held_against_nobody():
    runs: Runs = {"popularity": [flat(0.5, 0.1)], "ease": [flat(0.1, 0.1)], "mine": ShapeError("too long")}
    table = compare(BENCH, [*BASES, entry("mine")], runs, About("toy"))
    assert [row.error for row in table.rows] == ["", "", "too long"] and not table.comparisons
    with pytest.raises(DataError, match="no model could be fitted: mine: too long"):
        compare(BENCH, [entry("mine")], {"mine": ShapeError("too long")}, About("toy"))


def test_the_acquainted_are_told_apart_where_there_are_newcomers():
    split = BENCH.split
    train, validation = (part.select(part.user >= 10) for part in (split.train, split.validation))
    cut = replace(split, train=train, validation=validation)
    bench = Bench(cut, NO_TEXT, K)
    ndcg = np.where(np.arange(USERS) < 10, 0.9, 0.2)
    table = compare(bench, BASES, {"popularity": [run(ndcg, ndcg)], "ease": [flat(0.1, 0.1)]}, About("toy"))
    assert table.newcomers == 10
    assert table.rows[0].metrics["acquainted"].value == pytest.approx(0.2)
    assert table.rows[0].metrics["ndcg"].value == pytest.approx(0.25 * 0.9 + 0.75 * 0.2)
    others = compare(BENCH, BASES, {"popularity": [flat(0.1, 0.1)], "ease": [flat(0.1, 0.1)]}, About("toy"))
    assert "acquainted" not in others.rows[0].metrics and others.newcomers == 0


def test_equal_figures_have_equal_errors():
    table = compare(BENCH, BASES, {"popularity": [run(MIXED, MIXED)], "ease": [flat(0.1, 0.1)]}, About("toy"))
    recall, hit = (table.rows[0].metrics[name] for name in ("recall", "hit"))
    assert (recall.low, recall.high) == (hit.low, hit.high) and recall.low < recall.high
