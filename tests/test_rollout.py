"""Lives in a world become the log that serving would have written, and the shop holds its trap."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.guards import AlreadySeen, AtMost
from longgame.language import Features
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Policy
from longgame.simulation.rollout import START, rollout
from longgame.simulation.shop import Shop, ShopConfig
from longgame.slate import Exploration
from longgame.store import open_store
from longgame.store.memory import MemoryStore
from longgame.types import Decision, Event
from tests.kit import T, features, recommender

USERS, ITEMS, DAYS, SLOTS = 30, 20, 9, 3
NETWORK = NetworkConfig(4, 1, hidden=8, steps=T)
POLICIES: dict[str, Policy] = {
    "rank": RankPolicy(0.7),
    "thompson": LinearThompson(LinearThompsonConfig(4, 1, draws=65)).policy,
    "network": NetworkPolicy(NETWORK, to_arrays(UserNetwork(NETWORK))),
}


def shop():
    return Shop(ShopConfig(users=USERS, items=ITEMS))


def made(policy="rank"):
    world = shop()
    known = replace(features(ITEMS, 4), ids=tuple(i.id for i in world.catalogue()))
    guards, rules = (AlreadySeen(frozenset({"purchase"})),), (AtMost(world.catalogue(), "category", 2),)
    explore = Exploration(1.0, 0.4)
    return recommender(known, POLICIES[policy], guards=guards, rules=rules, explore=explore, context=1, steps=T)


def log_of(policy="rank", seed=0, store=None, **settings):
    store = MemoryStore() if store is None else store
    returns = rollout(made(policy), shop(), DAYS, SLOTS, seed, store, **settings)
    return [record for _, record in store.read(0, 100_000)[0]], returns


@pytest.mark.parametrize("policy", POLICIES)
def test_decisions_are_those_of_decide_on_the_history_of_the_log(policy):
    store = MemoryStore()
    log, _ = log_of(policy, store=store)
    decisions = [r for r in log if isinstance(r, Decision)]
    assert len(decisions) > 60
    for d in decisions:
        history = store.history(d.request.user, d.request.at, 10_000)
        again = made(policy).decide(d.request, history)
        np.testing.assert_allclose(again.propensities, d.propensities, rtol=1e-5)
        assert replace(again, propensities=d.propensities) == d
        assert not any(e.at >= d.request.at for e in history)


def test_a_seed_is_a_log():
    one, same, other = log_of()[0], log_of()[0], log_of(seed=1)[0]
    assert one == same
    assert [r.id for r in one] != [r.id for r in other]


def test_the_stores_hold_the_same_log(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    log, returns = log_of(store=store)
    plain, again = log_of()
    assert log == plain
    np.testing.assert_array_equal(returns.reward, again.reward)
    store.close()


def test_without_a_store_the_same_happens():
    returns = rollout(made(), shop(), DAYS, SLOTS, 0)
    _, logged = log_of()
    np.testing.assert_array_equal(returns.reward, logged.reward)
    np.testing.assert_array_equal(returns.visits, logged.visits)


def test_two_runs_share_a_log():
    store = MemoryStore()
    one, _ = log_of(store=store, run="a")
    both, _ = log_of(store=store, run="b")
    assert len(both) > 1.5 * len(one) and len({r.id for r in both}) == len(both)
    assert not {r.request.user for r in one if isinstance(r, Decision)} & {
        r.request.user for r in both[len(one) :] if isinstance(r, Decision)
    }


def test_the_log_is_one_request_a_user_and_day_and_its_feedback_in_the_minutes_after():
    log, returns = log_of()
    decisions = {r.id: r for r in log if isinstance(r, Decision)}
    events = [r for r in log if isinstance(r, Event)]
    assert len(decisions) == returns.visits.sum() and len(events) > 30
    assert len({(d.request.user, d.request.at.date()) for d in decisions.values()}) == len(decisions)
    seen: set[str] = set()
    for record in log:
        if isinstance(record, Decision):
            seen.add(record.id)
        elif isinstance(record, Event):
            assert record.decision in seen, "the decision is durable before its feedback"
            d = decisions[record.decision]
            assert record.slot is not None and d.shown[record.slot] == record.item and d.request.user == record.user
            assert timedelta(0) < record.at - d.request.at < timedelta(minutes=5)
    assert min(d.request.at for d in decisions.values()) >= START
    assert all(0.0 <= d.request.context[0] <= np.log1p(DAYS) for d in decisions.values())


def test_returns_are_what_the_objective_counts():
    log, returns = log_of()
    objective = shop().objective
    reward = np.zeros(USERS)
    for e in log:
        if isinstance(e, Event):
            reward[int(e.user.split("/")[1])] += objective.reward(e.kind, e.value)
    np.testing.assert_allclose(returns.reward, reward)
    assert reward.sum() > 0


def test_guards_and_rules_hold_in_every_life():
    log, _ = log_of()
    bought: dict[str, set[str]] = {}
    groups = {i.id: i.attributes["category"] for i in shop().catalogue()}
    for record in log:
        if isinstance(record, Decision):
            assert not bought.get(record.request.user, set()) & set(record.candidates)
            shown = [groups[i] for i in record.shown]
            assert max(shown.count(g) for g in shown) <= 2
        elif isinstance(record, Event) and record.kind == "purchase":
            bought.setdefault(record.user, set()).add(record.item)
    assert sum(map(len, bought.values())) > 3


def test_the_log_is_plain_data():
    for record in log_of()[0][:40]:
        if isinstance(record, Decision):
            json.dumps([record.picks, record.propensities, record.request.context])


class Greedy:
    """Scores by one column of the item vectors."""

    def __init__(self, column):
        self.column, self.version = column, f"greedy-{column}"

    def score(self, state, items, mask):
        return 12 * items[:, :, self.column]

    def state_dict(self):
        return {}

    def about(self):
        return {"kind": "greedy"}


def earned(column, days, seed):
    world = Shop(ShopConfig(users=150, items=60))
    truth = np.stack([world.quality, world.hype], axis=1).astype(np.float32)
    known = Features("truth", tuple(i.id for i in world.catalogue()), truth)
    made = recommender(known, Greedy(column), explore=Exploration(1.0, 0.02), context=1, steps=1)
    return rollout(made, world, days, 4, seed).reward.sum()


def test_the_trap_is_there():
    """Hype sells more in the first days; over a season quality earns more by far."""
    first = [(earned(0, 3, seed), earned(1, 3, seed)) for seed in range(3)]
    season = [(earned(0, 60, seed), earned(1, 60, seed)) for seed in range(3)]
    assert all(hype > 1.2 * quality for quality, hype in first), first
    assert all(quality > 1.25 * hype for quality, hype in season), season
