"""Organic and bandit sessions: their rules by hand, the rates that RecoGym's have, what was looked at as events of a log."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.rank import RankPolicy
from longgame.errors import ConfigError
from longgame.rng import derive
from longgame.simulation import Environment, train_once
from longgame.simulation.rollout import rollout
from longgame.simulation.sessions import Products, Sessions, SessionsConfig, f, flipped
from longgame.slate import Exploration
from longgame.state import events_read, recent_positions, state_of
from longgame.store.memory import MemoryStore
from longgame.types import Decision, Event
from tests.kit import T, features, recommender

MANY = 20_000
QUIET = {"organic": (0.25, 0.0), "bandit": (0.0, 0.0)}
"""Nobody leaves, and only a click ends a bandit session."""


def made(users=MANY, seed=1, products=None, **settings):
    world = Sessions(SessionsConfig(users, **settings), products)
    world.reset(derive(seed, "by hand"))
    return world


def ads(item, users=MANY):
    return np.full((users, 1), item)


def near(share, chance, n):
    assert abs(share - chance) < 4.5 * np.sqrt(chance * (1 - chance) / n), (share, chance, n)


def recogym(number):
    """The products of RecoGym at its seed 42: its generator, in its order."""
    rng = np.random.RandomState(42)
    return Products(rng.normal(size=(number, 5)), rng.normal(0.0, 3.0, size=(number, 1))[:, 0])


def test_a_click_is_two_logistic_curves_after_each_other():
    one = 1 / (1 + np.exp(-0.3 * 2.0))
    two = 1 / (1 + np.exp(-(2 * one - 2)))
    assert f(np.array([2.0]))[0] == pytest.approx(1 / (1 + np.exp(-(5 * two - 6))))
    curve = f(np.linspace(-30, 30, 99))
    assert (np.diff(curve) > 0).all() and 0.0044 < curve[0] < 0.0046 and 0.029 < curve[-1] < 0.0294


def test_flips_take_the_most_alike_first_and_none_twice():
    likes = np.array([[3.0, 0.0], [2.0, 0.1], [2.9, 0.1], [0.0, 1.0], [0.0, 0.5], [-1.0, -1.0]])
    np.testing.assert_array_equal(flipped(likes, 0), np.arange(6))
    np.testing.assert_array_equal(flipped(likes, 1), [2, 1, 0, 3, 4, 5])  # 8.7, before 6 and 5.81
    np.testing.assert_array_equal(flipped(likes, 2), [2, 1, 0, 4, 3, 5])  # .5: those of 0 and 2 are taken
    np.testing.assert_array_equal(flipped(likes, 6), [2, 1, 0, 4, 3, 5])  # 1 and 5 are unlike: RecoGym leaves them


def test_chances_are_of_the_flipped_side():
    world = made(50, items=4, flips=1)
    some = np.array([[0, 1, 2, 3], [3, -1, 0, -1]])[np.arange(50) % 2]
    chances = world.chances(some)
    likes, popularity, twin = world.products.likes, world.products.popularity, world.twin
    assert (twin != np.arange(4)).sum() == 2
    for user in (0, 1, 17):
        for slot, item in enumerate(some[user].tolist()):
            other = twin[item]
            wanted = 0.0 if item < 0 else f(np.array([likes[other] @ world.interest[user] + popularity[other]]))[0]
            assert chances[user, slot] == pytest.approx(wanted)
    np.testing.assert_allclose(world.wise()[::2], chances[::2])


def test_clicks_come_as_often_as_their_chances():
    world, clicks, expected, n = made(items=5, flips=2), 0, 0.0, 0
    for day in range(30):
        expected += world.chances(ads(day % 5))[world.here()].sum()
        n += int(world.here().sum())
        clicks += int(np.nansum(world.step(ads(day % 5)).values["click"]))
    assert abs(clicks - expected) < 4.5 * np.sqrt(expected) and expected > 1000 and n > 100_000


def test_views_follow_interest_and_popularity():
    products = Products(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), np.array([0.5, 0.0, 0.0]))
    world = made(products=products, items=3, width=2, drift=0.0, flips=0)
    world.interest[:] = [1.0, -1.0]
    log = np.array([1.5, -1.0, -1.0])
    wanted = np.exp(log) / np.exp(log).sum()
    seen = np.bincount(world._viewed(np.arange(MANY)), minlength=3) / MANY
    for share, chance in zip(seen, wanted, strict=True):
        near(share, chance, MANY)


def test_sessions_last_as_long_as_their_chances_say():
    world = made()
    views = (world.browsed() >= 0).sum(axis=1)
    assert views.min() == 1 and views.mean() == pytest.approx(1 / 0.26, rel=0.03)  # all who are here came to an ad
    near((views == 1).mean(), 0.26, MANY)
    first = world.browsed()
    assert ((first[:, 1:] < 0) | (first[:, :-1] >= 0)).all(), "no gap"
    outcome = world.step(ads(-1))
    roamed = (world.browsed() >= 0).any(axis=1)
    near(roamed.mean(), 0.05, MANY)
    near(outcome.left.mean(), 0.01 + 0.05 / 26, MANY)
    assert world.here().sum() == MANY - outcome.left.sum() and np.isnan(outcome.values["click"]).all()


def test_after_a_click_users_look_round_and_interest_moves_with_views_alone():
    world = made(200_000, **QUIET)
    before = world.interest.copy()
    clicked = ~np.isnan(world.step(ads(3, 200_000)).values["click"][:, 0])
    views = (world.browsed() >= 0).sum(axis=1)
    assert clicked.sum() > 500 and (views[clicked] >= 1).all() and not views[~clicked].any()
    moved = (world.interest - before)[clicked]
    assert not (world.interest != before)[~clicked].any()
    assert not moved[views[clicked] == 1].any(), "the first view after a click comes before interest moves"
    long = moved[views[clicked] == 4]
    assert long.std() == pytest.approx(0.1 * np.sqrt(3), rel=0.15)


def test_a_click_keeps_who_would_have_left():
    world = made(200_000, organic=(0.25, 0.0), bandit=(0.0, 1.0))
    outcome = world.step(ads(3, 200_000))
    clicked = ~np.isnan(outcome.values["click"][:, 0])
    np.testing.assert_array_equal(outcome.left, ~clicked)
    assert clicked.any() and (world.here() == clicked).all()


def test_rates_are_those_that_recogym_publishes():
    """20 products, 10 flips: what is looked at most brings .0082, any ad about .011; nothing can bring more than .0239."""
    world, rng = Sessions(SessionsConfig(2_000, 20), recogym(20)), np.random.default_rng(0)

    def rate(choose):
        world.reset(derive(0, "rates"))
        total = n = 0.0
        for _ in range(40):
            slates = choose()[:, None]
            total += world.chances(slates)[world.here()].sum()
            n += world.here().sum()
            world.renew(world.step(slates).left)
        return total / n

    organic = world.products.likes, world.products.popularity
    assert rate(lambda: (world.interest @ organic[0].T + organic[1]).argmax(axis=1)) == pytest.approx(0.0080, abs=0.0005)
    assert rate(lambda: rng.integers(20, size=2_000)) == pytest.approx(0.0109, abs=0.0005)
    assert rate(lambda: world.wise().argmax(axis=1)) == pytest.approx(0.0239, abs=0.0004)


def test_the_environment_remembers_what_was_looked_at():
    env: Any = Environment(Sessions(SessionsConfig(300, 6, flips=2)), 1, steps=4)
    seen = env.reset(0)
    views = [row[row >= 0].tolist() for row in env.world.browsed()]
    for _ in range(60):
        for user, told in enumerate(views):
            assert seen.state.items[user].tolist() == ([-1] * 4 + told)[-4:]
            np.testing.assert_allclose(seen.state.context[user, :6] * 10, np.bincount(told, minlength=6), rtol=1e-5)
        step = env.step(np.zeros((300, 1), np.int64))
        fresh = env.world.browsed()
        for user in range(300):
            new = fresh[user][fresh[user] >= 0].tolist()
            views[user] = new if step.left[user] else views[user] + [0] * int(step.response[user, 0]) + new
        seen = env.observe()


def test_what_was_looked_at_is_in_the_log_and_in_the_state_that_is_served():
    world = Sessions(SessionsConfig(30, 6, flips=2))
    known = replace(features(6, 4), ids=tuple(i.id for i in world.catalogue()))
    served = recommender(known, RankPolicy(0.0), explore=Exploration(1.0, 1.0), steps=T)
    store = MemoryStore()
    rollout(served, world, 25, 1, 3, store)
    log = [record for _, record in store.read(0, 100_000)[0]]
    views = [r for r in log if isinstance(r, Event) and r.kind == "view"]
    decisions = [r for r in log if isinstance(r, Decision)]
    assert len(views) > 100 and all(v.decision is None and v.slot is None for v in views)
    for d in decisions:
        before = store.history(d.request.user, d.request.at, events_read(T))
        assert before and before[0].kind == "view", "nobody is shown an ad who looked at nothing"
        state = state_of(recent_positions(before, known.index), (), known, T)
        assert (state.items[-1] >= 0).all()
    first: dict[str, Decision | Event] = {}
    for record in log:
        assert isinstance(record, (Decision, Event))
        user = record.request.user if isinstance(record, Decision) else record.user
        first.setdefault(user, record)
    assert len(first) == 30 and all(isinstance(r, Event) and r.kind == "view" for r in first.values())


def test_a_bandit_learns_which_product_of_a_pair_is_clicked():
    """Products 0 and 2 are looked at, 1 and 3 are worth it where 0 and 2 are: a view must speak for another product."""
    products = Products(np.array([[6.0], [5.9], [-6.0], [-5.9]]), np.array([6.0, -6.0, 6.0, -6.0]))
    world: Any = Environment(Sessions(SessionsConfig(1_000, 4, 2, 1), products), 1, 20, remembers=False)

    def rate(crossed):
        mind = LinearThompson(LinearThompsonConfig(4, 0, 1e3, 0.13, 16, 1e-3, crossed))
        train_once(world, mind, 60_000, 5, Exploration(1.0, 0.0))
        seen, total = world.reset(6), 0.0
        for _ in range(30):
            slates = mind.predict(seen.state, seen.items).argmax(axis=1)[:, None]
            total += world.world.chances(slates).sum()
            world.step(slates)
            seen = world.observe()
        return total / 30_000

    crossed, plain = rate(True), rate(False)
    assert crossed > 0.0235 and plain < 0.0225


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"flips": 21}, {"drift": -0.1}, {"organic": (0.9, 0.2)}, {"bandit": (-0.1, 0.2)}, {"organic": (0.0, 0.1)}],
)
def test_sessions_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="SessionsConfig"):
        SessionsConfig(**wrong)


def test_products_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"must be \(20, 5\)"):
        Sessions(SessionsConfig(10), Products(np.zeros((20, 4)), np.zeros(20)))
