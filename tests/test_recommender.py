"""decide() is pure, keeps to its contract at every size, and one draw of many is many draws of one."""

from dataclasses import replace

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompsonConfig, LinearThompsonPolicy
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.arrays import State
from longgame.errors import RecordError
from longgame.guards import AlreadySeen, AtMost, Blocklist
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Policy
from longgame.recommender import stack_items
from longgame.slate import Exploration
from longgame.state import build_state
from tests.kit import D, T, event, features, ids, items, recommender, request

SHOP = features(7)
HISTORIES = [[], [event("a", -3, 2), event("b", -1, 4)], [event("c", -1, i) for i in range(6)], [event("d", -2, 0)]]
THOMPSON, NETWORK = LinearThompsonConfig(D, 1, draws=65), NetworkConfig(D, 1, hidden=8, steps=T)
DRAWS = np.random.default_rng(2).standard_normal((65, THOMPSON.size)).astype(np.float32)
POLICIES: dict[str, Policy] = {
    "rank": RankPolicy(),
    "thompson": LinearThompsonPolicy(THOMPSON, DRAWS),
    "network": NetworkPolicy(NETWORK, to_arrays(UserNetwork(NETWORK))),
}


def made(policy="rank", **settings):
    defaults = {"explore": Exploration(1.0, 0.2), "context": 1, "steps": T}
    return recommender(SHOP, POLICIES[policy], **{**defaults, **settings})


def ask(id="r0", k=3, user="ann"):
    return request(id, 0.0, user, k, (0.5,))


RULES = (AtMost(items(7, group="aabbcca"), "group", 1),)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_request_gets_the_same_decision(policy):
    one = made(policy)
    first = one.decide(ask(), HISTORIES[1])
    assert one.decide(ask(), HISTORIES[1]) == first == made(policy).decide(ask(), HISTORIES[1])
    assert first.id == ask().id and first.request == ask()
    assert len(first.picks) == 3 and first.candidates == SHOP.ids
    assert all(type(p) is int for p in first.picks) and all(type(p) is float for p in first.propensities)


def test_another_request_or_seed_is_another_draw():
    slates = {made().decide(ask(f"r{n}"), []).picks for n in range(40)}
    assert len(slates) > 10
    assert len({made(seed=n).decide(ask(), []).picks for n in range(40)}) > 10


def test_decide_keeps_nothing_of_what_it_saw():
    one, history = made("network"), list(HISTORIES[1])
    before = one.decide(ask(), history)
    for n in range(5):
        one.decide(ask(f"other{n}", user="bob"), HISTORIES[2])
    assert one.decide(ask(), history) == before and history == HISTORIES[1]


def test_the_propensity_is_how_often_it_happens():
    one, n = made(explore=Exploration(0.7, 0.3)), 4000
    decisions = [one.decide(ask(f"r{i}", k=1), []) for i in range(n)]
    for column in range(7):
        mine = [d.propensities[0] for d in decisions if d.picks[0] == column]
        assert abs(len(mine) / n - mine[0]) < 4 * np.sqrt(mine[0] / n) and len(set(mine)) == 1


def test_a_context_of_another_width_is_refused():
    with pytest.raises(RecordError, match="takes 1 numbers, got 2"):
        made().decide(request("r", context=(1.0, 2.0)), [])


def test_the_future_is_refused():
    with pytest.raises(RecordError, match="strictly before"):
        made().decide(ask(), [event("e", 0.0, 1)])


def test_without_candidates_the_slate_is_empty():
    got = made("network", guards=(Blocklist(ids(7)),)).decide(ask(), [])
    assert (got.candidates, got.picks, got.propensities) == ((), (), ())


def test_with_few_candidates_the_slate_is_short():
    got = made("network", guards=(AlreadySeen(),)).decide(ask(k=5), HISTORIES[1])
    assert len(got.picks) == 5 == len(got.candidates) and got.propensities[-1] == 1.0
    got = made("network", guards=(AlreadySeen(),)).decide(ask(k=5), HISTORIES[2])
    assert got.shown == ("i6",) and got.propensities == (1.0,)


def test_no_more_candidates_than_asked_for():
    assert made(candidates=4).decide(ask(), []).candidates == ids(4)


def test_the_context_reaches_the_policy():
    one = made("thompson")
    there, here = (replace(ask(), context=(c,)) for c in (-3.0, 3.0))
    assert one.decide(there, []).propensities != one.decide(here, []).propensities


def test_versions_name_what_decided():
    plain, ruled = made(), made("thompson", guards=(AlreadySeen(),), rules=RULES)
    assert (plain.versions.guards, plain.versions.features, plain.versions.retriever) == ("none", "kit", "catalogue")
    assert ruled.versions.guards == f"seen+{RULES[0].version}"
    assert plain.decide(ask(), []).versions == plain.versions != ruled.decide(ask(), []).versions


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rules", [(), RULES], ids=["free", "ruled"])
@pytest.mark.parametrize("guards", [(), (AlreadySeen(),), (Blocklist(ids(7)),)], ids=["none", "seen", "all gone"])
def test_drawing_for_many_is_deciding_one_by_one(policy, rules, guards):
    """Also where each user has another number of candidates, and one of them none."""
    one = made(policy, guards=guards, rules=rules, explore=Exploration(1.0, 0.3))
    for k in (1, 4):
        requests = [ask(f"{n}-{k}", k) for n in range(len(HISTORIES))]
        states = [build_state(r, h, SHOP, T) for r, h in zip(requests, HISTORIES, strict=True)]
        found = [one.eligible(r, h, s) for r, h, s in zip(requests, HISTORIES, states, strict=True)]
        together = one.draw(requests, State.stack(states), found)
        for got, r, h in zip(together, requests, HISTORIES, strict=True):
            alone = one.decide(r, h)
            np.testing.assert_allclose(got.propensities, alone.propensities, rtol=1e-4)
            assert replace(got, propensities=alone.propensities) == alone


def test_sets_of_candidates_are_stacked_with_padding():
    one = made(guards=(AlreadySeen(),))
    states = [build_state(ask(), h, SHOP, T) for h in HISTORIES]
    found = [one.eligible(ask(), h, s) for h, s in zip(HISTORIES, states, strict=True)]
    vectors, mask, positions = stack_items(found)
    assert vectors.shape == (4, 7, D) and mask.sum(axis=1).tolist() == [7, 5, 1, 6]
    assert positions[1].tolist() == [0, 1, 3, 5, 6, -1, -1] and positions[2].tolist() == [6] + [-1] * 6
    np.testing.assert_array_equal(vectors[1, 3], SHOP.vectors[5])
    assert not vectors[~mask].any()
    shared, every, same = stack_items([found[1], found[1]])
    assert shared.strides[0] == 0 and every.all() and same.tolist() == [[0, 1, 3, 5, 6]] * 2
