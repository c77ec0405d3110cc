"""The market: its rules by hand, its trap, sellers' best responses, and lives in it as logs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from longgame.algorithms.rank import RankPolicy
from longgame.errors import ConfigError, ShapeError
from longgame.rng import derive
from longgame.simulation import Environment
from longgame.simulation.exploit import Earnings, Trade, deviations, exploited, play, responses, settled
from longgame.simulation.market import AWAY, MODES, Market, MarketConfig
from longgame.simulation.rollout import rollout
from longgame.slate import Exploration
from longgame.store.memory import MemoryStore
from longgame.types import Decision, Event
from tests.kit import T, features, recommender


class Told:
    """A policy that asks the world."""

    version = "told"

    def __init__(self, scores):
        self._scores = scores

    def score(self, state, items, mask):
        return np.where(mask, self._scores(), 0.0).astype(np.float32)

    def state_dict(self):
        return {}

    def about(self):
        return {}


def wise(price):
    return lambda place: Told(lambda: place.world.wise(price))


def market(users=20_000, seed=1, **settings):
    made = Market(MarketConfig(users, **settings))
    made.reset(derive(seed, "by hand"))
    return made


def all_here(world):
    world._here = np.ones(world.users, np.bool_)
    return world


def test_things_are_wanted_for_topic_promotion_and_price():
    world = market(3, sellers=4)
    c, slates = world.config, np.array([[0, 5, -1], [10, 15, 3], [-1, 8, 9]])
    weights, chances = world.weights(slates), world.chances(slates)
    for row, column in np.argwhere(slates >= 0):
        seller, mode = divmod(slates[row, column], AWAY)
        price = world.cost[seller] + c.margin - (c.rebate if mode in (2, 3) else 0)
        odds = world.taste[row, world.topic[seller]] + (c.pull if mode in (1, 3) else 0) - c.dear * (price - 0.6) - 1
        assert weights[row, column] == pytest.approx(np.exp(odds))
        assert chances[row, column] == pytest.approx(weights[row, column] / (1 + weights[row].sum()))
    assert not weights[slates < 0].any() and not chances[slates < 0].any()


def test_one_thing_or_none_is_bought_as_often_as_chances_say():
    world = all_here(market(sellers=4))
    slates = np.tile([0, 5, -1, 11], (20_000, 1))
    slates[::2] = [-1, 3, 14, 8]
    chances = world.chances(slates)
    bought = ~np.isnan(world.step(slates).values["purchase"])
    assert bought.sum(axis=1).max() == 1 and not bought[slates < 0].any()
    for half in (slice(0, None, 2), slice(1, None, 2)):
        wanted, found = chances[half].mean(axis=0), bought[half].mean(axis=0)
        assert (np.abs(found - wanted) < 4.5 * np.sqrt(wanted * (1 - wanted) / 10_000) + 1e-12).all()


def test_satisfaction_moves_towards_quality_less_what_promotion_promised():
    world = all_here(market(sellers=4))
    slates, before = np.tile([0, 5, 10], (20_000, 1)), world.satisfaction.copy()
    felt = world.felt(slates)
    bought = ~np.isnan(world.step(slates).values["purchase"])
    q = world.quality
    for slot, worth in enumerate((q[0], max(q[1] - 0.5, 0.0), q[2])):
        some = bought[:, slot]
        assert some.sum() > 100
        np.testing.assert_allclose(world.satisfaction[some], before[some] + 0.3 * (worth - before[some]))
        np.testing.assert_allclose(felt[some, slot], 0.3 * (worth - before[some]))
    np.testing.assert_array_equal(world.satisfaction[~bought.any(axis=1)], before[~bought.any(axis=1)])


def test_the_satisfied_come_back_and_the_dissatisfied_leave():
    world = all_here(market())
    world.satisfaction[:] = np.where(np.arange(20_000) < 10_000, 1.0, 0.0)
    left = world.step(np.full((20_000, 1), -1)).left
    assert not left[:10_000].any() and left[10_000:].mean() == pytest.approx(0.2, abs=0.02)
    assert world.here()[:10_000].mean() == pytest.approx(0.9, abs=0.015)
    assert world.here()[10_000:][~left[10_000:]].mean() == pytest.approx(0.1, abs=0.015)
    assert not (world.here() & world.gone).any()


def test_sellers_earn_what_is_paid_and_pay_for_looks():
    world = all_here(market(sellers=4))
    here = np.arange(20_000) % 4 > 0
    world._here = here.copy()
    slates = np.tile([0, 5, 10, 15], (20_000, 1))
    bought = ~np.isnan(world.step(slates).values["purchase"])
    c = world.config
    for seller, margin, fee in (
        (0, c.margin, 0.0),
        (1, c.margin, c.fee),
        (2, c.margin - c.rebate, 0),
        (3, c.margin - c.rebate, c.fee),
    ):
        np.testing.assert_allclose(world.earned[:, seller], margin * bought[:, seller] - fee * here, atol=1e-12)


def test_what_sellers_do_is_what_is_offered():
    world = market(50, sellers=5)
    assert not (world.modes == AWAY).any() and (world.modes == world.modes[0]).all()
    world.act(np.array([0, 1, 2, 3, AWAY]))
    for _ in range(3):
        np.testing.assert_array_equal(world.offered(), np.tile([0, 5, 10, 15, -1], (50, 1)))
        world.step(world.offered()[:, :2])
    own = np.arange(250).reshape(50, 5) % 5
    world.act(own)
    np.testing.assert_array_equal(world.offered(), np.where(own == AWAY, -1, np.arange(5) * 4 + own))
    texts = {item.id: item.text for item in world.catalogue()}
    assert "Promoted!" in texts["thing-01-promoted"] and "Reduced" in texts["thing-02-cut"] and len(texts) == 20
    for wrong in (np.zeros(4, np.int64), np.full(5, 5), np.zeros((49, 5), np.int64)):
        with pytest.raises(ShapeError, match="act: modes must be numbers from 0 to 4"):
            world.act(wrong)


def test_sellers_try_everything_until_they_are_told():
    world, seen = market(10, sellers=3), []
    for _ in range(200):
        seen.append(world.modes[0].copy())
        world.step(world.offered())
    share = np.bincount(np.concatenate(seen), minlength=5) / 600
    assert share[:AWAY] == pytest.approx(0.25, abs=0.08) and share[AWAY] == 0


def test_twins_live_alike_until_something_else_is_done_to_them():
    world = market(600, sellers=4, twins=3)
    for day in range(15):
        world.act(np.array([0, 1, 2, 3]))
        world.step(world.offered()[:, :2])
        groups = world.satisfaction.reshape(3, 200)
        assert (groups == groups[0]).all() and len(set(groups[0].tolist())) == 200, day
    modes = np.zeros((3, 4), np.int64)
    modes[2] = 1
    world.act(np.repeat(modes, 200, axis=0))
    for _ in range(5):
        world.step(world.offered()[:, :2])
    groups = world.satisfaction.reshape(3, 200)
    assert (groups[0] == groups[1]).all() and (groups[0] != groups[2]).any()


def test_the_trap_holds():
    """Who knows what is bought today brings little more than chance; who prices satisfaction brings half as much again."""
    world: Any = Environment(Market(MarketConfig(600)), 3, 1, remembers=False)
    rng = np.random.default_rng(0)

    def brings(scores):
        world.reset(5)
        total = 0.0
        for _ in range(60):
            slates = np.argsort(-scores(), axis=1)[:, :3]
            total += float(world.live(slates).reward.sum()) / 600
        return total

    chance, today, ahead = (
        brings(s) for s in (lambda: rng.random((600, 12)), lambda: world.world.wise(0.0), lambda: world.world.wise())
    )
    assert today < 1.15 * chance and ahead > 1.5 * today


def test_every_deviation_of_one_seller_is_tried_and_the_best_is_found():
    modes = np.array([0, 2, AWAY])
    tried = deviations(modes)
    assert tried.shape == (13, 3) and len({tuple(row) for row in tried.tolist()}) == 13
    assert ((tried != modes).sum(axis=1) == [0] + [1] * 12).all()
    earned = np.zeros((13, 3))
    earned[:, 1] = 9.0  # nothing is better for the second
    earned[0] = [5.0, 9.0, 1.0]
    earned[:5, 0] = [5.0, 4.0, 7.0, 6.0, 3.0]
    earned[5:9, 0] = 99.0  # what the first earns when another moves is not its answer
    earned[9:, 2] = [0.0, 0.5, 2.0, 1.5]
    np.testing.assert_array_equal(responses(modes, Earnings(np.zeros(13), earned)), [2, 2, 2])


TRADE = Trade(MarketConfig(), customers=15)


def test_who_shows_what_sells_today_is_exploited_and_who_looks_ahead_is_not():
    myopic, ahead = exploited(TRADE, wise(0.0), 3), exploited(TRADE, wise(10.0), 3)
    assert np.isin(myopic.answers, (1, 3)).all() and (myopic.gain > 0).all() and myopic.share > 1.0
    assert np.isin(ahead.answers, (1, 3)).sum() <= 2 and ahead.share < 0.2
    one, other = (settled(TRADE, wise(price), 3, rounds=2) for price in (0.0, 10.0))
    assert np.isin(one.modes, (1, 3)).all() and np.isin(other.modes, (1, 3)).sum() <= 2
    assert other.returns > 1.5 * one.returns and one.loss > 0.1 > other.loss
    assert one.moved[0] == 6, "every second one in the first round"


def test_earnings_are_those_of_the_market_and_the_seed_decides():
    profiles = np.zeros((2, 12), np.int64)
    profiles[1, [0, 5]] = 1, AWAY
    one, same, other = (play(TRADE, wise(0.0), profiles, seed) for seed in (1, 1, 2))
    assert one.earned.shape == (2, 12) and one.returns.shape == (2,)
    np.testing.assert_array_equal(one.earned, same.earned)
    assert (one.earned != other.earned).any()
    assert one.earned[1, 5] == 0.0 and one.earned[1, 0] > one.earned[0, 0]
    np.testing.assert_allclose(one.earned[0].sum(), 0.3 * one.returns[0])
    with pytest.raises(ShapeError, match=r"profiles must have shape \(G, 12\)"):
        play(TRADE, wise(0.0), profiles[:, :11], 0)
    with pytest.raises(ConfigError, match="days and customers"):
        replace(TRADE, days=0)


def test_a_life_in_the_market_is_a_log_that_names_what_was_shown():
    world = Market(MarketConfig(30, sellers=5))
    known = replace(features(20, 4), ids=tuple(i.id for i in world.catalogue()))
    store = MemoryStore()
    rollout(recommender(known, RankPolicy(0.0), explore=Exploration(1.0, 1.0), context=1, steps=T), world, 9, 2, 3, store)
    log = [record for _, record in store.read(0, 100_000)[0]]
    decisions = [r for r in log if isinstance(r, Decision)]
    assert len(decisions) > 60 and any(isinstance(r, Event) and r.kind == "purchase" for r in log)
    for d in decisions:
        sellers = [item[:8] for item in d.candidates]
        assert len(sellers) == len(set(sellers)) == 5, "each seller's thing as it is that day"
    assert len({item for d in decisions for item in d.candidates}) > 5 * (len(MODES) - 2)


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"sellers": 0}, {"margin": 0.0}, {"rebate": 0.4}, {"letdown": 1.1}, {"visit": (0.9, 0.1)}, {"twins": 3}],
)
def test_markets_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="MarketConfig"):
        MarketConfig(**wrong)
