"""Ratings held out: folds, errors by hand, intervals, learning on in order of time, and the command."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from longgame.arrays import Interactions
from longgame.commands.terminal import Invocation
from longgame.errors import ConfigError, DataError
from longgame.evaluation.ratings import BASELINE, Biases, Entry, as_they_come, folds, in_time, judge, rated, rmse
from longgame.evaluation.splits import Cut
from longgame.types import F32, I64, UserId
from longgame.wiring.rating import RATERS, kind_of, named
from tests.kit import ids

NO_TEXT = np.zeros((4, 0), np.float32)


def log_of(*rows: tuple[int, int, float], items: int = 4, users: int = 3) -> Interactions:
    """Rows of (user, item, value), one moment after the other."""
    user, item = (np.array([row[part] for row in rows], np.int64) for part in (0, 1))
    value, at = np.array([row[2] for row in rows], np.float32), np.arange(len(rows), dtype=np.int64)
    order = np.lexsort((at, user))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=users))]).astype(np.int64)
    names = tuple(UserId(f"u{u}") for u in range(users))
    return Interactions(names, ids(items), offsets, item[order], at[order], value[order])


LOG = log_of((0, 0, 1), (1, 0, 5), (0, 1, 2), (2, 1, 4), (1, 2, 3), (2, 3, 5), (0, 2, 4), (1, 3, 2))


class Says:
    """Rates everything alike, remembers what it was fitted on and what came after."""

    name = "says"

    def __init__(self, value: float) -> None:
        self._value, self.fitted, self.seen = value, list[Interactions](), list[Interactions]()

    def fit(self, log: Interactions, features: F32) -> None:
        self.fitted.append(log)

    def update(self, more: Interactions) -> None:
        self.seen.append(more)

    def rate(self, users: I64, items: I64) -> F32:
        return np.full(len(users), self._value + 10 * sum(len(log) for log in self.seen), np.float32)

    def rate_at(self, users: I64, items: I64, at: I64) -> F32:
        return at.astype(np.float32)


def pairs(log: Interactions) -> set[tuple[int, int, float]]:
    return set(zip(log.user.tolist(), log.item.tolist(), log.value.tolist(), strict=True))


# Folds


def test_each_rating_is_held_out_once_and_never_learned_from():
    parts = folds(LOG, 3, seed=4)
    assert sorted(len(fold.test) for fold in parts) == [2, 3, 3]
    assert set.union(*(pairs(fold.test) for fold in parts)) == pairs(LOG)
    for fold in parts:
        assert not pairs(fold.test) & pairs(fold.train) and pairs(fold.test) | pairs(fold.train) == pairs(LOG)
        assert fold.train.users == fold.test.users == LOG.users
    dealt = [[sorted(pairs(fold.test)) for fold in folds(LOG, 3, seed)] for seed in (4, 4, 5)]
    assert dealt[0] == dealt[1] != dealt[2]


def test_a_pair_rated_twice_is_one_rating():
    twice = log_of((0, 0, 1), (0, 1, 2), (0, 0, 5), (1, 2, 3))
    parts = folds(twice, 3)
    assert sum(len(fold.test) for fold in parts) == 3
    assert set.union(*(pairs(fold.test) for fold in parts)) == {(0, 1, 2.0), (0, 0, 5.0), (1, 2, 3.0)}


def test_what_is_unlabelled_is_learned_from_in_every_fold_and_never_judged():
    hidden = replace(LOG, value=np.where(np.arange(len(LOG)) % 4 == 0, np.nan, LOG.value).astype(np.float32))
    parts = folds(hidden, 3)
    assert [int(np.isnan(part.train.value).sum()) for part in parts] == [2, 2, 2]
    assert not any(np.isnan(part.test.value).any() for part in parts)
    assert sum(len(part.test) for part in parts) == 6
    one, other = Biases(), Biases()
    one.fit(hidden, NO_TEXT)
    other.fit(hidden.select(~np.isnan(hidden.value)), NO_TEXT)
    np.testing.assert_array_equal(one.rate(LOG.user, LOG.item), other.rate(LOG.user, LOG.item))


@pytest.mark.parametrize("count", [1, 9])
def test_folds_need_ratings(count):
    with pytest.raises(ConfigError, match="folds: must be 2 or more and at most the 8 ratings"):
        folds(LOG, count)


def test_a_log_without_ratings_is_refused():
    with pytest.raises(DataError, match="all 8 have the value 1"):
        folds(replace(LOG, value=np.ones(8, np.float32)))
    with pytest.raises(DataError, match="there are none"):
        rated(LOG.select(np.zeros(8, np.bool_)))


def test_a_split_in_time_is_one_fold_of_what_comes_last():
    (fold,) = in_time(Cut("time", share=0.25).split(LOG))
    assert fold.test.at.tolist() == [6, 7] and sorted(fold.train.at.tolist()) == [0, 1, 2, 3, 4, 5]
    nothing = Cut("time", share=0.25).split(LOG)
    with pytest.raises(DataError, match="nothing is held out"):
        in_time(replace(nothing, test=LOG.select(np.zeros(8, np.bool_))))


# Errors


def test_errors_by_hand():
    parts = folds(LOG, 2)
    table = judge(parts, [Entry("says", "always 3", lambda: Says(3))], "by hand", clock=iter(range(99)).__next__)
    assert (table.users, table.ratings, [row.name for row in table.rows]) == (3, 8, [BASELINE, "says"])
    row = table.rows[1]
    squares = [np.mean((fold.test.value - 3.0) ** 2) for fold in parts]
    assert row.folds == pytest.approx(np.sqrt(squares)) and row.rmse.value == pytest.approx(np.mean(np.sqrt(squares)))
    assert row.mae.value == pytest.approx(np.mean([np.mean(abs(fold.test.value - 3.0)) for fold in parts]))
    assert row.gap.value == pytest.approx(row.rmse.value - table.rows[0].rmse.value)
    assert table.rows[0].gap.low == table.rows[0].gap.high == 0 and row.seconds == (1, 1)
    assert row.rmse.low <= row.rmse.value <= row.rmse.high and row.rmse.n == 3
    assert orjson.loads(orjson.dumps(table.to_json()))["rows"][1]["rmse"]["value"] == row.rmse.value


def test_an_entry_may_be_told_the_moments():
    parts = folds(LOG, 2)
    table = judge(parts, [Entry("timed", "", lambda: Says(3), told=True)], "")
    assert table.rows[1].folds == pytest.approx([rmse(fold.test.at - fold.test.value.astype(float)) for fold in parts])


def test_every_fold_has_a_model_of_its_own_that_saw_the_rest_only():
    made: list[Says] = []

    def make() -> Says:
        made.append(Says(3))
        return made[-1]

    told: list[tuple[str, int]] = []
    parts = folds(LOG, 4)
    judge(parts, [Entry("says", "", make)], "", on_fold=lambda name, fold, error: told.append((name, fold)))
    assert [pairs(log) for says in made for log in says.fitted] == [pairs(fold.train) for fold in parts]
    assert told == [(name, fold) for name in (BASELINE, "says") for fold in range(4)]


def test_the_interval_covers_the_error_of_all_users_and_the_gap_is_paired():
    """Of 4,000 users 200 are judged, many times over: 95 % of the intervals should cover what all of them come to."""
    rng = np.random.default_rng(0)
    level = rng.exponential(1.0, 4000)  # users whose ratings are far from 3, and users whose are near
    truth = np.sqrt(np.mean(level**2))
    covered = 0
    for seed in range(60):
        mine = rng.choice(level, 200)
        sign = np.tile([1.0, -1.0], 200)
        rows = [(u, i, float(3 + sign[2 * u + i] * mine[u])) for u in range(200) for i in range(2)]
        parts = folds(log_of(*rows, users=200), 2, seed)
        table = judge(parts, [Entry("says", "", lambda: Says(3)), Entry("again", "", lambda: Says(3.001))], "", seed)
        covered += table.rows[1].rmse.low <= truth <= table.rows[1].rmse.high
        one, two = table.rows[1], table.rows[2]
        assert abs(two.gap.high - two.gap.low - (one.gap.high - one.gap.low)) < 0.01  # the same draws of users
    assert covered >= 50


def test_names_are_told_apart():
    with pytest.raises(ConfigError, match="names of their own"):
        judge(folds(LOG, 2), [Entry(BASELINE, "", lambda: Says(3))], "")


# The baseline


def test_biases_are_damped_least_squares_in_turns():
    model = Biases(item_damping=2.0, user_damping=3.0, rounds=1)
    model.fit(LOG, NO_TEXT)
    mean = LOG.value.mean()
    item = np.array([np.sum(LOG.value[LOG.item == i] - mean) / (2 + np.sum(LOG.item == i)) for i in range(4)])
    left = LOG.value - mean - item[LOG.item]
    user = np.array([left[LOG.user == u].sum() / (3 + np.sum(LOG.user == u)) for u in range(3)])
    asked = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    np.testing.assert_allclose(model.rate(*asked), mean + user[asked[0]] + item[asked[1]], rtol=1e-6)
    unknown = model.rate(np.array([-1, 0, -1, 7]), np.array([2, -1, -1, 9]))
    np.testing.assert_allclose(unknown, [mean + item[2], mean + user[0], mean, mean], rtol=1e-6)


def test_biases_after_many_rounds_solve_the_least_squares():
    model = Biases(item_damping=2.0, user_damping=3.0, rounds=300)
    model.fit(LOG, NO_TEXT)
    design = np.concatenate([np.eye(3)[LOG.user], np.eye(4)[LOG.item]], axis=1)
    price = np.diag([3.0] * 3 + [2.0] * 4)
    bias = np.linalg.solve(design.T @ design + price, design.T @ (LOG.value - LOG.value.mean()))
    known = np.clip(LOG.value.mean() + bias[LOG.user] + bias[3 + LOG.item], 1, 5)
    np.testing.assert_allclose(model.rate(LOG.user, LOG.item), known, atol=1e-5)


def test_biases_learn_on_as_if_fitted_on_all():
    early, late = LOG.select(LOG.at < 5), LOG.select(LOG.at >= 5)
    model, whole = Biases(), Biases()
    model.fit(early, NO_TEXT)
    model.update(late)
    whole.fit(LOG, NO_TEXT)
    np.testing.assert_array_equal(model.rate(LOG.user, LOG.item), whole.rate(LOG.user, LOG.item))


# In order of time


def test_nothing_is_rated_after_it_was_learned_from():
    says = Says(0)
    out = as_they_come(says, LOG, 4, learn=True)
    assert [log.at.tolist() for log in says.seen] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert out[np.argsort(LOG.at)].tolist() == [0, 0, 20, 20, 40, 40, 60, 60]
    still = Says(0)
    assert not as_they_come(still, LOG, 4, learn=False).any() and not still.seen


def test_ratings_of_one_moment_stay_together():
    says = Says(0)
    log = replace(LOG, at=LOG.at // 4)
    as_they_come(says, log, 8, learn=True)
    assert [sorted(set(seen.at.tolist())) for seen in says.seen] == [[0], [1]]


def test_who_cannot_learn_on_is_told_so():
    class Stays(Says):
        update = None  # type: ignore[assignment]

    with pytest.raises(ConfigError, match="no update"):
        as_they_come(Stays(1), LOG, 2, learn=True)
    with pytest.raises(ConfigError, match="blocks"):
        as_they_come(Says(1), LOG, 0, learn=False)


# The command


def test_the_raters_are_those_that_rate():
    from longgame.models import MODELS

    assert {name for name in MODELS if name in RATERS or hasattr(MODELS[name].make(), "rate")} == set(RATERS)


def test_models_and_kinds_are_named():
    assert named("all") == RATERS and named("svd") == ("svd",)
    with pytest.raises(ConfigError, match="popularity does not foretell"):
        named("svd,popularity")
    assert kind_of(Counter(view=9, rating=2)) == "rating" and kind_of(Counter(stars=2)) == "stars"
    assert kind_of(Counter(view=9, rating=2), "view") == "view"
    with pytest.raises(ConfigError, match=r"view \(9\), buy \(2\); say it with --kind"):
        kind_of(Counter(view=9, buy=2))
    with pytest.raises(ConfigError, match="no event is of the kind 'clik'"):
        kind_of(Counter(click=9), "clik")
    with pytest.raises(DataError, match="longgame import"):
        kind_of(Counter())


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with 300 ratings and as many views, in the current directory."""
    pytest.importorskip("numba", reason="the loops are compiled by numba: install longgame[factors]")
    from longgame.cli import app

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    like = rng.standard_normal((20, 15))
    lines = ["user_id,item_id,kind,value,timestamp"]
    for number, cell in enumerate(rng.permutation(300)):
        user, item = divmod(int(cell), 15)
        lines += [f"u{user},i{item},rating,{np.clip(round(3 + like[user, item]), 1, 5)},{1_700_000_000 + 90 * number}"]
        lines += [f"u{user},i{item},view,77,{1_700_000_001 + 90 * number}"]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(app, ["import", "events.csv"])
    assert result.exit_code == 0, result.output
    return tmp_path


def ran(*words: str) -> Any:
    from longgame.cli import app

    return CliRunner().invoke(app, ["evaluate", "ratings", *words], obj=Invocation())


def test_the_command_judges_the_ratings_and_not_the_views(imported: Path):
    result = ran("--folds", "3", "--models", "svd,time-factors")
    assert result.exit_code == 0, result.output
    assert "3 folds drawn at random: 300 ratings of 20 users" in result.output and "RMSE less biases" in result.output
    table = orjson.loads(ran("--folds", "3", "--models", "svd,time-factors", "--json").stdout)
    assert [row["name"] for row in table["rows"]] == [BASELINE, "svd", "time-factors", "time-factors, told when"]
    assert all(0.5 < row["rmse"]["value"] < 2.5 for row in table["rows"])  # views are worth 77
    late = ran("--split", "time", "--share", "0.2", "--models", "svd", "--json")
    assert late.exit_code == 0 and orjson.loads(late.stdout)["ratings"] == 60


def test_the_command_says_what_is_wrong(imported: Path):
    for words, match in ((("--split", "never"), "folds or time"), (("--kind", "view"), "have the value 77")):
        result = ran(*words)
        assert result.exit_code == 2 and match in result.stderr
