"""SVD, SVD++ and time-aware factors: one step against the papers' formulas, what is learned, who moves in an update."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.evaluation.ratings import Biases, rmse
from longgame.models import MODELS
from longgame.models.compiled import compiled
from longgame.models.implied import usual_taken
from longgame.models.rating_fit import Scale, labelled, newest, rated, then, usual
from longgame.models.svd import SvdConfig
from longgame.models.svd import _descend as svd_descend
from longgame.models.svdpp import SvdPlusPlusConfig
from longgame.models.svdpp import _descend as svdpp_descend
from longgame.models.time_factors import TimeFactorsConfig
from longgame.models.time_factors import _descend as time_descend
from longgame.types import ItemId, UserId

pytest.importorskip("numba", reason="the loops are compiled by numba: install longgame[factors]")

NAMES = ("svd", "svd-plus-plus", "time-factors")
MINUTE = 60 * 10**6
DAY = 1440 * MINUTE
USERS, ITEMS = 80, 50


def log_of(user, item, value, at=None, users=None, items=ITEMS, prefix="u") -> Interactions:
    """Rows in any order; times are the places of the rows, a day each, unless given."""
    user, item, value = np.asarray(user, np.int64), np.asarray(item, np.int64), np.asarray(value, np.float32)
    when = DAY * np.arange(len(user), dtype=np.int64) if at is None else np.asarray(at, np.int64)
    count = users or int(user.max()) + 1
    order = np.lexsort((when, user))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=count))]).astype(np.int64)
    names, ids = tuple(UserId(f"{prefix}{u}") for u in range(count)), tuple(ItemId(f"i{i}") for i in range(items))
    return Interactions(names, ids, offsets, item[order], when[order], value[order])


def planted(seed=0) -> tuple[Interactions, Interactions]:
    """Ratings of biases and two factors, a little noise: (train, test)."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((USERS, 2)), rng.standard_normal((ITEMS, 2))
    true = 3 + 0.3 * rng.standard_normal(USERS)[:, None] + 0.3 * rng.standard_normal(ITEMS) + p @ q.T
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < 0.6)
    value = true[user, item] + 0.1 * rng.standard_normal(len(user))
    log = log_of(user, item, value, rng.permutation(len(user)) * DAY)
    held = rng.random(len(log)) < 0.2
    return log.select(~held), log.select(held)


def fitted(name: str, log: Interactions, **values: Any) -> Any:
    model: Any = MODELS[name].make(MODELS[name].config(**values))
    model.fit(log, np.zeros((len(log.items), 0), np.float32))
    return model


def weights(model: Any) -> dict[str, np.ndarray]:
    """Copies, without the log and the scale."""
    return {name.removeprefix("weight "): a for name, a in model.state_dict().items() if name.startswith("weight ")}


# One step of each loop, by hand in numpy


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


ONE = np.array([1], np.int64), np.array([0, 2]), np.array([2, 0]), np.array([0.7, -0.4], np.float32)
"""User 1 rated item 2 and then item 0."""
FRESH = np.array([True, True])
ORDER = np.array([0]), np.array([0.1, 0.2])
PRICE, BIAS_PRICE, IMPLIED_PRICE, PERIOD_PRICE, DRIFT_PRICE = 0.6, 0.1, 2.5, 4.0, 0.3
RATES = np.float32(0.05), np.float32(0.2)
RARITY = np.array([0.5, 1.0, 0.25], np.float32)
SCARCE = 1 / np.sqrt(2)
TOLD = np.ones(2, np.bool_)


@pytest.mark.parametrize("loop", [svd_descend, compiled(svd_descend)], ids=["as written", "compiled"])
def test_svd_steps_down_the_gradient_of_eq_5(loop):
    held = [drawn(2, seed=1), drawn(3, seed=2), drawn(2, 4, seed=3), drawn(3, 4, seed=4)]
    bu, bi, p, q = (array.astype(np.float64) for array in held)
    total = loop((*ONE, FRESH), ORDER, tuple(held), (np.float32(BIAS_PRICE), np.float32(PRICE), RARITY), RATES)
    expected = 0.0
    for i, r in ((2, ONE[3][0]), (0, ONE[3][1])):
        e = r - bu[1] - bi[i] - p[1] @ q[i]
        expected += e * e
        bu[1] += RATES[0] * (e - BIAS_PRICE * SCARCE * bu[1])
        bi[i] += RATES[0] * (e - BIAS_PRICE * RARITY[i] * bi[i])
        p[1], q[i] = (
            p[1] + RATES[1] * (e * q[i] - PRICE * SCARCE * p[1]),
            q[i] + RATES[1] * (e * p[1] - PRICE * RARITY[i] * q[i]),
        )
    assert total == pytest.approx(expected, rel=1e-5)
    for found, wanted in zip(held, (bu, bi, p, q), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("loop", [svdpp_descend, compiled(svdpp_descend)], ids=["as written", "compiled"])
def test_svd_plus_plus_steps_down_the_gradient_of_eq_15(loop):
    held = [drawn(2, seed=1), drawn(3, seed=2), drawn(2, 4, seed=3), drawn(3, 4, seed=4), drawn(3, 4, seed=5)]
    bu, bi, p, q, y = (array.astype(np.float64) for array in held)
    prices = np.float32(BIAS_PRICE), np.float32(PRICE), np.float32(IMPLIED_PRICE), RARITY, RARITY
    total = loop((*ONE, TOLD, FRESH), ORDER, tuple(held), prices, RATES)
    says, heard, expected = SCARCE * (y[2] + y[0]), np.zeros(4), 0.0
    for i, r in ((2, ONE[3][0]), (0, ONE[3][1])):
        e = r - bu[1] - bi[i] - q[i] @ (p[1] + says)
        expected += e * e
        bu[1] += RATES[0] * (e - BIAS_PRICE * SCARCE * bu[1])
        bi[i] += RATES[0] * (e - BIAS_PRICE * RARITY[i] * bi[i])
        heard += e * q[i]
        p[1], q[i] = (
            p[1] + RATES[1] * (e * q[i] - PRICE * SCARCE * p[1]),
            q[i] + RATES[1] * (e * (p[1] + says) - PRICE * RARITY[i] * q[i]),
        )
    for i in (2, 0):
        y[i] += RATES[1] * (SCARCE * heard - IMPLIED_PRICE * RARITY[i] * y[i])
    assert total == pytest.approx(expected, rel=1e-5)
    for found, wanted in zip(held, (bu, bi, p, q, y), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("loop", [time_descend, compiled(time_descend)], ids=["as written", "compiled"])
def test_time_factors_step_down_the_gradient_of_their_sum(loop):
    plain = [drawn(2, seed=1), drawn(3, seed=2), drawn(2, 4, seed=3), drawn(3, 4, seed=4), drawn(3, 4, seed=5)]
    timed = [drawn(2, seed=6), drawn(2, 4, seed=7), drawn(5, seed=8), drawn(3, 2, seed=9)]
    bu, bi, p, q, y = (array.astype(np.float64) for array in plain)
    a, af, mood, period = (array.astype(np.float64) for array in timed)
    dev, place, part = np.array([-0.8, 1.1], np.float32), np.array([4, 3]), np.array([0, 1])
    moment_rarity, period_rarity = np.array([1, 1, 1, 0.5, 0.7], np.float32), abs(drawn(3, 2, seed=10))
    prices = tuple(map(np.float32, (BIAS_PRICE, PRICE, IMPLIED_PRICE, PERIOD_PRICE, DRIFT_PRICE)))
    rare = RARITY, RARITY, moment_rarity, period_rarity
    total = loop((*ONE, TOLD, FRESH), (dev, place, part), ORDER, tuple(plain), tuple(timed), prices, rare, RATES)
    says, heard, expected = SCARCE * (y[2] + y[0]), np.zeros(4), 0.0
    for e_row, (i, r) in enumerate(((2, ONE[3][0]), (0, ONE[3][1]))):
        t, m, b = dev[e_row], place[e_row], part[e_row]
        whole = p[1] + t * af[1] + says
        e = r - bu[1] - t * a[1] - mood[m] - bi[i] - period[i, b] - whole @ q[i]
        expected += e * e
        bu[1] += RATES[0] * (e - BIAS_PRICE * SCARCE * bu[1])
        a[1] += RATES[0] * (e * t - DRIFT_PRICE * a[1])
        mood[m] += RATES[0] * (e - BIAS_PRICE * moment_rarity[m] * mood[m])
        bi[i] += RATES[0] * (e - BIAS_PRICE * RARITY[i] * bi[i])
        period[i, b] += RATES[0] * (e - PERIOD_PRICE * period_rarity[i, b] * period[i, b])
        heard += e * q[i]
        p[1] += RATES[1] * (e * q[i] - PRICE * SCARCE * p[1])
        af[1] += RATES[1] * (e * t * q[i] - 10 * DRIFT_PRICE * af[1])
        q[i] += RATES[1] * (e * whole - PRICE * RARITY[i] * q[i])
    for i in (2, 0):
        y[i] += RATES[1] * (SCARCE * heard - IMPLIED_PRICE * RARITY[i] * y[i])
    assert total == pytest.approx(expected, rel=1e-5)
    for found, wanted in zip((*plain, *timed), (bu, bi, p, q, y, a, af, mood, period), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(("loop", "implied"), [(svd_descend, False), (svdpp_descend, True)])
def test_a_rating_that_was_learned_from_moves_the_user_alone(loop, implied):
    held = [drawn(2, seed=1), drawn(3, seed=2), drawn(2, 4, seed=3), drawn(3, 4, seed=4)] + [drawn(3, 4, seed=5)] * implied
    before = [array.copy() for array in held]
    price = (np.float32(IMPLIED_PRICE),) * implied
    prices = (np.float32(BIAS_PRICE), np.float32(PRICE), *price, *[RARITY] * (1 + implied))
    loop((*ONE, *[TOLD] * implied, np.array([False, False])), ORDER, tuple(held), prices, RATES)
    moved = [not np.array_equal(a, b) for a, b in zip(held, before, strict=True)]
    assert moved == [True, False, True, False] + [False] * implied
    assert np.array_equal(held[2][0], before[2][0])  # and no other user


# Learning


@pytest.mark.parametrize("name", NAMES)
def test_factors_find_what_biases_cannot(name):
    train, test = planted()
    plain = Biases()
    plain.fit(train, np.zeros((ITEMS, 0), np.float32))
    base = rmse(plain.rate(test.user, test.item).astype(np.float64) - test.value)
    # Few ratings to learn from: many quick passes, and prices that noise of a tenth asks for.
    model = fitted(name, train, width=8, penalty=0.2, passes=200, decay=1.0, patience=20)
    found = rmse(model.rate(test.user, test.item).astype(np.float64) - test.value)
    assert base > 1.0 and found < 0.5 * base


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_of_two_ratings_holds_and_foretold_ones_stay_in_the_range(name):
    log = log_of([0, 0, 0, 1, 1], [0, 1, 0, 0, 2], [1, 4, 5, 5, 2], items=4)
    model = fitted(name, log, width=2, passes=3, patience=0)
    again = fitted(name, newest(log), width=2, passes=3, patience=0)
    everything = np.repeat(np.arange(2), 4), np.tile(np.arange(4), 2)
    np.testing.assert_array_equal(model.rate(*everything), again.rate(*everything))
    wild = fitted(name, log, width=2, passes=3, patience=0, bias_rate=3.0).rate(*everything)
    assert wild.min() >= 2.0 and wild.max() <= 5.0  # the 1 was taken back


@pytest.mark.parametrize("name", NAMES)
def test_passes_are_counted_on_ratings_held_out(name):
    train, _ = planted()
    told: list[dict[str, float]] = []
    model = MODELS[name].make(
        MODELS[name].config(width=4, passes=6, patience=2), lambda number, figures: told.append(dict(figures))
    )
    model.fit(train, np.zeros((ITEMS, 0), np.float32))
    search = [row["rmse"] for row in told if "rmse" in row]
    refit = [row["refit loss"] for row in told if "refit loss" in row]
    assert len(refit) == 1 + int(np.argmin(search)) and len(search) + len(refit) == len(told)


# Strangers


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_is_rated_as_the_mean_user_and_an_unknown_item_by_the_user(name):
    train, _ = planted()
    model = fitted(name, train, width=4, passes=10, patience=0)
    w, log, scale = weights(model), newest(train), Scale.of(newest(train).value)
    taken = np.zeros((USERS, ITEMS))
    taken[log.user, log.item] = 1 / np.sqrt(np.diff(log.offsets))[log.user]
    whole = w["users"] + (taken @ w["implied"] if "implied" in w else 0)
    last = w["periods"][:, -1] if "periods" in w else 0
    wanted = w["user bias"].mean() + w["item bias"] + last + w["items"] @ whole.mean(axis=0)
    unknown = np.full(ITEMS, -1)
    np.testing.assert_allclose(model.rate(unknown, np.arange(ITEMS)), scale.outward(wanted), atol=1e-4)
    np.testing.assert_array_equal(model.rate(unknown + USERS + 5, np.arange(ITEMS)), model.rate(unknown, np.arange(ITEMS)))
    if name != "time-factors":  # where the user also has a drift and a mood
        bias = scale.outward(w["user bias"].astype(np.float64))
        np.testing.assert_allclose(model.rate(np.arange(USERS), np.full(USERS, -1)), bias, atol=1e-5)


def test_the_usual_user_is_the_mean_of_those_with_ratings():
    log = log_of([0, 0, 2], [1, 3, 3], [1, 2, 3], users=4, items=5)
    np.testing.assert_array_equal(rated(log, np.array([2, -1, 1, 0, 3])), [True, False, False, True, False])
    np.testing.assert_allclose(usual(log, np.array([[1, 2], [9, 9], [3, 6], [9, 9]], np.float32)), [2, 4])
    np.testing.assert_allclose(usual_taken(log), [0, 0.5 / np.sqrt(2), 0, 0.5 / np.sqrt(2) + 0.5, 0], rtol=1e-6)
    nobody = log.select(np.zeros(3, np.bool_))
    assert not usual(nobody, np.ones((4, 2), np.float32)).any() and not usual_taken(nobody).any()


# Learning on


def someone_new(log: Interactions) -> Interactions:
    """A new user who rates what user 0 rated as user 0 did, and user 3 who rates two more, as the last thing."""
    mine = log.history(0)
    missing = np.setdiff1d(np.arange(ITEMS), log.history(3))[:2]
    item = np.concatenate([mine, missing])
    value = np.concatenate([log.value[: len(mine)], [5.0, 5.0]]).astype(np.float32)
    names = (UserId("new"), log.users[3])
    at = int(log.at.max()) + DAY * (1 + np.arange(len(item)))
    return Interactions(names, log.items, np.array([0, len(mine), len(item)]), item, at, value)


@pytest.mark.parametrize("name", NAMES)
def test_an_update_moves_only_who_it_may(name):
    train, _ = planted()
    model = fitted(name, train, width=4, passes=10, patience=0)
    before, more = weights(model), someone_new(train)
    model.update(more)
    after = weights(model)
    others = np.setdiff1d(np.arange(USERS), [3])
    for held in ("users", "user bias", "drift", "factor drift"):
        if held in before:
            assert len(after[held]) == USERS + 1
            np.testing.assert_array_equal(after[held][others], before[held][others])
            assert not np.array_equal(after[held][3], before[held][3]) and after[held][USERS].any()
    untouched = np.setdiff1d(np.arange(ITEMS), more.item)
    assert len(untouched) > 5
    for held in ("items", "item bias"):
        np.testing.assert_array_equal(after[held][untouched], before[held][untouched])
        assert (after[held][more.item] != before[held][more.item]).any()


@pytest.mark.parametrize("name", NAMES)
def test_an_update_draws_a_new_user_towards_what_he_said(name):
    train, _ = planted()
    model = fitted(name, train, width=8, penalty=0.2, passes=100, decay=1.0, patience=0, update_passes=40)
    more = someone_new(train)
    mine = more.history(0)
    value = more.value[: len(mine)].astype(np.float64)
    place = np.full(len(mine), USERS)  # after the others, once known
    stranger = rmse(model.rate(place, mine) - value)
    model.update(more)
    assert rmse(model.rate(place, mine) - value) < 0.5 * stranger


def test_then_keeps_one_rating_a_pair_and_says_which_are_new():
    log = log_of([0, 0, 1], [1, 2, 1], [1, 2, 3], [10, 20, 30], items=3)
    more = replace(log_of([0, 1], [2, 0], [5, 4], [40, 50], items=3), users=(UserId("u1"), UserId("u9")))
    both, fresh = then(log, more)
    assert both.users == ("u0", "u1", "u9")
    rows = list(zip(both.user.tolist(), both.item.tolist(), both.value.tolist(), fresh.tolist(), strict=True))
    assert rows == [(0, 1, 1.0, False), (0, 2, 2.0, False), (1, 1, 3.0, False), (1, 2, 5.0, True), (2, 0, 4.0, True)]
    again, fresh = then(log, replace(more, users=(UserId("u0"), UserId("u9"))))  # u0 has rated item 2 before
    assert again.value.tolist() == [1.0, 5.0, 3.0, 4.0] and fresh.tolist() == [False, True, False, True]


# Scale


def test_a_scale_goes_there_and_back_and_clips():
    value = np.array([1, 2, 5, 4], np.float32)
    scale = Scale.of(value)
    inward = scale.inward(value)
    assert inward.mean() == pytest.approx(0, abs=1e-6) and inward.std() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(scale.outward(inward.astype(np.float64)), value, rtol=1e-6)
    np.testing.assert_array_equal(scale.outward(np.array([-9.0, 9.0])), [1, 5])
    assert Scale.of(np.full(3, 2.5, np.float32)).outward(np.array([7.0])) == [2.5]
    assert Scale.of(value[:0]) == Scale()


# Time


def drifting(seed=0) -> Interactions:
    """Half of the users like everything more as months pass, half less; 20 ratings each over two years."""
    rng = np.random.default_rng(seed)
    user, way = np.repeat(np.arange(60), 20), np.where(np.arange(60) % 2, 1.0, -1.0)
    item = np.concatenate([rng.permutation(ITEMS)[:20] for _ in range(60)])
    month = np.tile(np.linspace(0, 24, 20), 60)
    side = np.sign(month - 12) * np.abs(month - 12) ** 0.4
    value = 3 + 0.4 * way[user] * side + 0.1 * rng.standard_normal(len(user))
    return log_of(user, item, value, (month * 30 * DAY).astype(np.int64))


def test_a_drift_is_learned_where_there_is_one():
    log = drifting()
    values = {"width": 2, "passes": 60, "decay": 1.0, "patience": 0, "bias_rate": 0.02, "drift_penalty": 0.01}
    model = fitted("time-factors", log, **values)
    drift = weights(model)["drift"]
    assert (drift[1::2] > 0).all() and (drift[::2] < 0).all()
    early, late = log.at[log.offsets[:-1]], log.at[log.offsets[1:] - 1]
    user, item = np.arange(60), np.zeros(60, np.int64)
    rise = model.rate_at(user, item, late) - model.rate_at(user, item, early)
    assert (rise[1::2] > 1).all() and (rise[::2] < -1).all()
    np.testing.assert_array_equal(model.rate(user, item), model.rate_at(user, item, late))  # as things stood last
    flat = fitted("svd-plus-plus", log, width=2, passes=20, patience=0)
    wrong = {name: rmse(rate - log.value) for name, rate in (
        ("timed", model.rate_at(log.user, log.item, log.at).astype(np.float64)),
        ("flat", flat.rate(log.user, log.item).astype(np.float64)),
    )}  # fmt: skip
    assert wrong["timed"] < 0.5 * wrong["flat"]


def test_a_drift_is_no_forecast():
    log = drifting()
    model = fitted("time-factors", log, width=2, passes=10, patience=0)
    user, item, late = np.arange(60), np.ones(60, np.int64), log.at[log.offsets[1:] - 1]
    # Ten minutes on the mood of the last sitting is over, ten years on nothing more has changed.
    np.testing.assert_array_equal(model.rate_at(user, item, late + 10 * MINUTE), model.rate_at(user, item, late + 3650 * DAY))


def test_an_hour_of_bad_mood_is_not_held_against_the_user():
    """Each user rates one sitting two points below his usual: its ratings say little of what he thinks on other days."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(60), 20)
    item = np.concatenate([rng.permutation(ITEMS)[:20] for _ in range(60)])
    sitting = np.tile(np.repeat(np.arange(4), 5), 60)
    value = 4 - 2.0 * (sitting == 1) + 0.1 * rng.standard_normal(len(user))
    log = log_of(user, item, value, (sitting * 30 * DAY + np.tile(np.arange(20), 60)).astype(np.int64))
    model = fitted("time-factors", log, width=2, passes=80, decay=1.0, patience=0, bias_rate=0.02)
    new = np.full(60, ITEMS - 1)
    bad, good = (model.rate_at(np.arange(60), new, np.full(60, 30 * DAY * number)) for number in (1, 2))
    assert (good - bad).mean() > 1.0


def test_an_items_bias_may_change_from_period_to_period():
    rng = np.random.default_rng(1)
    user, item = np.repeat(np.arange(80), 20), np.concatenate([rng.permutation(ITEMS)[:20] for _ in range(80)])
    late = (user >= 40).astype(np.int64)
    value = 3 + np.where(item < 10, np.where(late, 1.5, -1.5), 0) + 0.1 * rng.standard_normal(len(user))
    log = log_of(user, item, value, late * 400 * DAY + np.arange(len(user)) * MINUTE)
    values = {"width": 2, "passes": 60, "decay": 1.0, "patience": 0, "bias_rate": 0.02, "period_penalty": 0.1}
    periods = weights(fitted("time-factors", log, periods=2, **values))["periods"]
    rise = periods[:, 1] - periods[:, 0]
    assert rise[:10].min() > 1 and abs(rise[10:]).max() < 0.7
    assert not weights(fitted("time-factors", log, periods=1, **values))["periods"].any()


# As a ranker


def test_svd_folds_a_history_in_as_the_least_squares_it_says():
    train, _ = planted()
    model = fitted("svd", train, width=4, passes=10, patience=0, penalty=0.8)
    w, log = weights(model), newest(train)
    inward = Scale.of(log.value).inward(log.value)
    liked = inward[inward >= 0].mean()
    taken = np.array([4, 9, 2])
    near, left = w["items"][taken].astype(np.float64), liked - w["item bias"][taken]
    user = np.linalg.solve(near.T @ near + 0.8 * np.sqrt(3) * np.eye(4), near.T @ left)
    empty, scored = model.score(np.array([[-1, -1, -1]])), model.score(taken[None])
    np.testing.assert_allclose(scored - empty, (w["items"] @ user)[None], atol=1e-4)


@pytest.mark.parametrize(("kind", "values"), [
    (SvdConfig, {"width": 0}), (SvdConfig, {"rate": 0.0}), (SvdConfig, {"penalty": -1.0}), (SvdConfig, {"decay": 1.5}),
    (SvdPlusPlusConfig, {"implied_penalty": -1.0}), (SvdPlusPlusConfig, {"bias_rate": float("nan")}),
    (TimeFactorsConfig, {"moment": 0.0}), (TimeFactorsConfig, {"periods": 0}), (TimeFactorsConfig, {"drift_penalty": -1.0}),
])  # fmt: skip
def test_settings_that_cannot_work_are_refused(kind, values):
    with pytest.raises(ConfigError, match=kind.__name__):
        kind(**values)


# What was taken and not rated


def choosy(seed=0) -> tuple[Interactions, Interactions, Interactions]:
    """Two kinds of users, who take items of their own kind and like them: (few ratings, what else was taken, test)."""
    rng = np.random.default_rng(seed)
    likes, kind = rng.integers(0, 2, USERS), np.arange(ITEMS) % 2
    same = likes[:, None] == kind
    value = np.where(same, 4.5, 1.5) + 0.2 * rng.standard_normal(same.shape)
    told, taken = rng.random(same.shape) < 0.08, rng.random(same.shape) < np.where(same, 0.5, 0.05)
    user, item = np.nonzero(told | taken)
    known = told[user, item]
    log = log_of(user, item, np.where(known, value[user, item], np.nan), rng.permutation(len(user)) * DAY)
    asked_user, asked_item = np.nonzero(~told & ~taken)
    test = log_of(asked_user, asked_item, value[asked_user, asked_item], users=USERS)
    return log.select(labelled(log)), log, test


def error(model: Any, test: Interactions) -> float:
    return float(np.sqrt(np.mean((model.rate(test.user, test.item) - test.value) ** 2)))


@pytest.mark.parametrize("name", ["svd-plus-plus", "time-factors"])
def test_what_was_taken_and_not_rated_tells_what_is_liked(name):
    few, all_of_it, test = choosy()
    settings = {"width": 8, "rate": 0.05, "decay": 1.0, "passes": 60, "patience": 0}
    without, with_it = (error(fitted(name, log, **settings), test) for log in (few, all_of_it))
    assert with_it < 0.9 * without


def test_svd_has_no_use_for_what_was_not_rated():
    few, all_of_it, test = choosy()
    one, other = (fitted("svd", log, width=8, passes=5).rate(test.user, test.item) for log in (few, all_of_it))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_log_without_any_rating_foretells_nothing_and_fails_in_nothing(name):
    _, log, test = choosy()
    silent = log.select(~labelled(log))
    model = fitted(name, silent, width=4, passes=3)
    assert np.isfinite(model.rate(test.user, test.item)).all() and np.isfinite(model.score(np.array([[0, 1]]))).all()
    model.update(log.select(labelled(log)))
    assert np.isfinite(model.rate(test.user, test.item)).all()


def test_a_view_after_a_rating_does_not_undo_it():
    log = log_of([0, 0, 0, 1], [1, 1, 2, 2], [4.0, np.nan, np.nan, 2.0])
    kept = newest(log)
    np.testing.assert_array_equal(kept.item, [1, 2, 2])
    np.testing.assert_array_equal(kept.value, [4.0, np.nan, 2.0])
    both, fresh = then(log_of([0], [3], [5.0]), log_of([0], [3], [np.nan]))
    assert both.value.tolist() == [5.0] and fresh.tolist() == [False]


@pytest.mark.parametrize("name", ["svd-plus-plus", "time-factors"])
def test_who_rated_nothing_is_rated_for_as_usual_and_what_nobody_rated_ranks_last(name):
    train, _ = planted()
    silent, unrated = USERS, ITEMS - 1
    keep = train.item != unrated
    user = np.append(train.user[keep], [silent, silent, 0])
    item, value = np.append(train.item[keep], [1, unrated, unrated]), np.append(train.value[keep], [np.nan] * 3)
    told = log_of(train.user[keep], train.item[keep], train.value[keep], users=USERS + 1)
    both = log_of(user, item, value, users=USERS + 1)
    stranger, everything = np.full(ITEMS, -1), np.arange(ITEMS)
    plain, more = (fitted(name, log, width=4, passes=20, patience=0) for log in (told, both))
    near = np.abs(plain.rate(stranger, everything) - more.rate(stranger, everything))
    assert near.mean() < 0.1, "one user who rated nothing changes little of what is usual"
    shrunk = np.abs(more.rate(np.full(ITEMS, silent), everything) - more.rate(stranger, everything))
    assert shrunk.mean() < 0.5, "and is rated for as a stranger is, but for what he took"
    last = more.score(np.array([[1, 2]]))[0]
    assert last[unrated] < np.median(last)
