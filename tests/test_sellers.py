"""The market's sellers in PettingZoo: its own checks, and the market that ``exploit.play`` has."""

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="the extra market")
from pettingzoo.test import parallel_api_test

from longgame.algorithms.rank import RankPolicy
from longgame.errors import ConfigError
from longgame.simulation.market import AWAY, MODES, MarketConfig
from longgame.simulation.sellers import SEEN, Sellers
from longgame.slate import Exploration

SIZE = MarketConfig(users=300, sellers=5)


def made(days=6, **settings):
    return Sellers(RankPolicy(0.0), SIZE, slots=2, days=days, explore=Exploration(1.0, 1.0), **settings)


def life(market, modes, seed=0):
    told, days = market.reset(seed=seed)[0], []
    while market.agents:
        told, earned, *_ = market.step(dict(zip(market.agents, modes, strict=True)))
        days.append((told, earned))
    return days


def test_pettingzoo_finds_no_fault():
    parallel_api_test(made(), num_cycles=30)


def test_a_day_is_seen_and_paid_by_those_who_act():
    first, _ = made().reset(seed=0)
    place = {name: number for number, name in enumerate(SEEN)}
    assert all(told.shape == (len(SEEN),) and told[place["plain"]] == 1 and not told[place["looks"]] for told in first.values())
    days = life(made(), [0, 1, 2, 3, AWAY])
    assert len(days) == 6
    for told, earned in days:
        rows = np.stack(list(told.values()))
        np.testing.assert_array_equal(rows[:, place["plain"] : place["plain"] + len(MODES)], np.eye(5))
        np.testing.assert_allclose(rows[:, place["others promoted"]], np.array([2, 1, 2, 1, 2]) / 4)
        np.testing.assert_allclose(rows[:, place["others cut"]], np.array([2, 2, 1, 1, 2]) / 4)
        assert not rows[4, place["looks"] :][:2].any() and earned["seller_04"] == 0
        assert (rows[:4, place["looks"]] > rows[:4, place["purchases"]]).all()
    money = np.array([list(earned.values()) for _, earned in days]).sum(axis=0)
    sold = np.array([[told[name][place["purchases"]] for name in told] for told, _ in days]).sum(axis=0)
    looks = np.array([[told[name][place["looks"]] for name in told] for told, _ in days]).sum(axis=0)
    margin, fee = np.array([0.3, 0.3, 0.2, 0.2, 0.3]), np.array([0, 0.01, 0, 0.01, 0])
    np.testing.assert_allclose(money, sold * margin - looks * fee, atol=1e-6)


def test_it_ends_by_being_cut_and_the_seed_decides():
    market = made(days=3)
    market.reset(seed=1)
    for day in range(3):
        _, _, ended, cut, _ = market.step(dict.fromkeys(market.possible_agents, 0))
        assert not any(ended.values()) and all(over == (day == 2) for over in cut.values())
    assert market.agents == []

    def paid(seed):
        return [list(earned.values()) for _, earned in life(made(), [0, 1, 0, 1, 0], seed)]

    assert paid(3) == paid(3) != paid(4)


def test_what_is_wrong_is_told():
    market = made()
    market.reset(seed=0)
    with pytest.raises(ConfigError, match="seller_00 must do a number from 0 to 4, got 5"):
        market.step(dict.fromkeys(market.agents, 5))
    with pytest.raises(ConfigError, match="seller_01 must do a number from 0 to 4, got nothing"):
        market.step({"seller_00": 0})
    with pytest.raises(ConfigError, match="days must be 1 or more"):
        made(days=0)
