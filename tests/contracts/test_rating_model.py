"""The contract of ``RatingModel``, for every model of the table that foretells ratings, and for the baseline beside them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ShapeError
from longgame.evaluation.ratings import Biases
from longgame.models import MODELS
from longgame.types import ItemId, UserId

pytest.importorskip("numba", reason="the loops are compiled by numba: install longgame[factors]")

USERS, ITEMS = 13, 9
SILENT, COLD = 4, 8
"""A user without ratings, and an item that nobody rated."""


def small(name: str, **values: Any) -> Callable[[], Any]:
    return lambda: MODELS[name].make(MODELS[name].config(**{"width": 3, "passes": 12, "seed": 5} | values))


MAKERS: dict[str, Callable[[], Any]] = {
    "biases": Biases,
    "svd": small("svd"),
    "svd to the end": small("svd", patience=0),
    "svd-plus-plus": small("svd-plus-plus"),
    "svd-plus-plus to the end": small("svd-plus-plus", patience=0),
    "time-factors": small("time-factors"),
    "time-factors of periods": small("time-factors", periods=3, moment=1440.0, patience=0),
}


def ratings(seed: int = 0) -> Interactions:
    """Stars of half of the pairs, by what users and items are like and a little noise; all but ``SILENT`` and ``COLD``."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < 0.6)
    some = (user != SILENT) & (item != COLD)
    user, item = user[some], item[some]
    liking = 3 + 1.2 * rng.standard_normal(USERS)[user] + rng.standard_normal(ITEMS)[item]
    value = np.clip(np.round(2 * liking) / 2, 0.5, 5).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=USERS))]).astype(np.int64)
    at = np.sort(rng.integers(0, 10**13, len(user))).astype(np.int64)
    users, items = tuple(UserId(f"u{u}") for u in range(USERS)), tuple(ItemId(f"i{i}") for i in range(ITEMS))
    return Interactions(users, items, offsets, item.astype(np.int64), at, value)


LOG = ratings()
USER, ITEM = (axis.reshape(-1) for axis in np.meshgrid(np.arange(-1, USERS), np.arange(-1, ITEMS), indexing="ij"))
"""Every pair, with somebody unknown and something unknown."""


def fitted(make: Callable[[], Any], log: Interactions) -> Any:
    model = make()
    model.fit(log, np.zeros((len(log.items), 0), np.float32))
    return model


@pytest.fixture(params=MAKERS)
def make(request) -> Callable[[], Any]:
    return MAKERS[request.param]


@pytest.fixture
def model(make) -> Any:
    return fitted(make, LOG)


def test_the_suite_knows_every_rating_model_of_the_table():
    kinds = {name for name, kind in MODELS.items() if hasattr(kind.make(), "rate")}
    assert {make().name for make in MAKERS.values()} - {Biases.name} == kinds


def test_ratings_are_float32_one_a_pair_and_within_the_range_of_the_log(model):
    out = model.rate(USER, ITEM)
    assert out.shape == USER.shape and out.dtype == np.float32
    assert LOG.value.min() <= out.min() < out.max() <= LOG.value.max()
    assert model.rate(USER[:0], ITEM[:0]).shape == (0,)


def test_a_pair_does_not_depend_on_those_beside_it(model):
    alone = [model.rate(USER[n : n + 1], ITEM[n : n + 1])[0] for n in range(len(USER))]
    np.testing.assert_allclose(model.rate(USER, ITEM), alone, rtol=1e-5)


def test_users_and_items_come_in_pairs(model):
    with pytest.raises(ShapeError, match="items"):
        model.rate(np.arange(3), np.arange(2))


def test_the_same_seed_foretells_the_same(make, model):
    np.testing.assert_array_equal(fitted(make, LOG).rate(USER, ITEM), model.rate(USER, ITEM))


def test_asking_changes_nothing(model):
    users, items = USER.copy(), ITEM.copy()
    first = model.rate(users, items)
    np.testing.assert_array_equal(model.rate(users, items), first)
    np.testing.assert_array_equal(users, USER)
    np.testing.assert_array_equal(items, ITEM)


def test_what_was_learned_from_is_told_better_than_by_the_mean(model):
    wrong = model.rate(LOG.user, LOG.item) - LOG.value
    assert np.square(wrong).mean() < 0.9 * LOG.value.var()


def test_the_scale_is_that_of_the_log(make, model):
    """Thirds of an hour in place of stars."""
    seconds = fitted(make, replace(LOG, value=60 + 1200 * LOG.value))
    np.testing.assert_allclose(seconds.rate(USER, ITEM), 60 + 1200 * model.rate(USER, ITEM), rtol=2e-3)


def test_unknown_users_and_items_are_rated_by_what_is_known_of_the_other(model):
    everybody, everything = np.arange(USERS), np.arange(ITEMS)
    stranger, novelty = model.rate(np.full(ITEMS, -1), everything), model.rate(everybody, np.full(USERS, -1))
    mean = np.bincount(LOG.item, LOG.value, ITEMS) / np.maximum(np.bincount(LOG.item, minlength=ITEMS), 1)
    generous = np.bincount(LOG.user, LOG.value, USERS) / np.maximum(np.bincount(LOG.user, minlength=USERS), 1)
    rated = np.arange(ITEMS) != COLD
    assert np.corrcoef(stranger[rated], mean[rated])[0, 1] > 0.5
    some = np.arange(USERS) != SILENT
    assert np.corrcoef(novelty[some], generous[some])[0, 1] > 0.5
    assert abs(float(model.rate(np.array([-1]), np.array([-1]))[0]) - LOG.value.mean()) < LOG.value.std()


def test_who_never_rated_is_a_stranger_and_what_nobody_rated_a_novelty(model):
    everybody, everything = np.arange(USERS), np.arange(ITEMS)
    stranger, novelty = model.rate(np.full(ITEMS, -1), everything), model.rate(everybody, np.full(USERS, -1))
    np.testing.assert_allclose(model.rate(np.full(ITEMS, SILENT), everything), stranger, rtol=1e-5)
    np.testing.assert_allclose(model.rate(everybody, np.full(USERS, COLD)), novelty, rtol=1e-5)


def test_before_a_fit_and_without_ratings_there_is_a_number_all_the_same(make):
    assert np.isfinite(make().rate(np.array([-1]), np.array([-1]))).all()
    nothing = fitted(make, LOG.select(np.zeros(len(LOG), np.bool_)))
    assert np.isfinite(nothing.rate(USER, ITEM)).all()
    one = fitted(make, LOG.select(np.arange(len(LOG)) == 3))
    np.testing.assert_allclose(one.rate(USER, ITEM), LOG.value[3])


def test_what_was_learned_is_replaced(make, model):
    nothing, again = LOG.select(np.zeros(len(LOG), np.bool_)), fitted(make, ratings(3))
    again.fit(nothing, np.zeros((ITEMS, 0), np.float32))
    np.testing.assert_array_equal(again.rate(USER, ITEM), fitted(make, nothing).rate(USER, ITEM))
    again.fit(LOG, np.zeros((ITEMS, 0), np.float32))
    np.testing.assert_array_equal(again.rate(USER, ITEM), model.rate(USER, ITEM))


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "biases"])
def test_state_foretells_the_same_to_the_bit(name):
    """Of the models of the table; the baseline is fitted anew wherever it is wanted."""
    model = fitted(MAKERS[name], LOG)
    wanted, other = model.rate(USER, ITEM), MAKERS[name]()
    state = model.state_dict()
    other.load_state_dict(state)
    for array in state.values():
        array.fill(0)  # a copy, both ways
    np.testing.assert_array_equal(other.rate(USER, ITEM), wanted)
    np.testing.assert_array_equal(model.rate(USER, ITEM), wanted)


def test_updates_reach_users_items_and_the_range(model):
    """With ``Incremental``: places of users who came later are after the others, and a value beyond the range widens it."""
    items = (*LOG.items, ItemId("i9"))
    at = int(LOG.at.max()) + 1 + np.arange(4, dtype=np.int64)
    value = np.array([9, 9, 9, 9], np.float32)
    model.update(Interactions((UserId("new"), UserId("u0")), items, np.array([0, 3, 4]), np.array([9, 0, 1, 9]), at, value))
    out = model.rate(np.append(USER, [USERS, USERS]), np.append(ITEM, [ITEMS, 0]))
    assert np.isfinite(out).all() and LOG.value.min() <= out.min() and out.max() <= 9
    assert model.rate(np.array([USERS]), np.array([ITEMS]))[0] > model.rate(np.array([-1]), np.array([-1]))[0]
