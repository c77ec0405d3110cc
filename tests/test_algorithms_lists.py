"""SAC, Wolpertinger and lists compared in groups, against cases worked by hand, and what they learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from longgame.algorithms.actor import log_probs
from longgame.algorithms.critic import Learned, Pace, network_of
from longgame.algorithms.dqn import expected_draws
from longgame.algorithms.grpo import Grpo, GrpoConfig, discounted, divergence, group_advantage, grpo_loss, ndcg
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.sac import Sac, SacConfig, soft_loss, soft_value
from longgame.algorithms.slots import slot_loss, slot_targets
from longgame.algorithms.towers import Towers, TowersConfig
from longgame.algorithms.wolpertinger import (
    Wolpertinger,
    WolpertingerConfig,
    looked_at,
    nearest,
    proto_items,
    refined,
)
from longgame.arrays import State
from longgame.errors import ConfigError, ShapeError
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Algorithm
from longgame.retrieval.exact import ExactIndex
from longgame.simulation import Environment, Training, train
from longgame.slate import Exploration, pick_probabilities, replay_allowed, sample_slates
from tests.kit import B, D, F, K, T, batch, state
from tests.test_algorithms_actors import clickbait, slope, trap

TOWERS = TowersConfig(D, F, hidden=8)


def says(learned: Learned, number: int, value: float = 0.0, slow: bool = True) -> None:
    """Makes a network say of an item its number ``number``, and ``value`` of every state."""
    for network in (learned.network, learned.target) if slow else (learned.network,):
        assert isinstance(network, Towers)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.split(".")[0] in ("wants", "appeal", "worth"):
                    parameter.zero_()
            network.appeal.weight[0, number] = 1.0
            network.worth.bias.fill_(value)


# Slots.


def test_the_loss_of_slots_by_hand():
    """Errors of 1/2 and 3 in the first row, of 1 in the second, whose last slot is empty; together 3.5 and 1."""
    told, target = torch.tensor([[1.0, 2.0], [0.0, 9.0]]), torch.tensor([[1.5, 5.0], [1.0, 0.0]])
    filled = torch.tensor([[True, True], [True, False]])
    loss, errors = slot_loss(told, target, filled, False)
    assert float(loss) == pytest.approx((0.125 + 2.5 + 0.5) / 3) and errors.tolist() == [3.0, 1.0]
    loss, errors = slot_loss(told, target, filled, True)
    assert float(loss) == pytest.approx((3.0 + 0.5) / 2) and errors.tolist() == [3.5, 1.0]


def test_targets_of_slots_by_hand():
    rows = replace(batch(1), between=np.full(B, 0.5, np.float32))
    filled = rows.action >= 0
    got = slot_targets(rows, np.full(B, 4.0))
    for b, k in np.ndindex(B, K):
        wanted = rows.reward[b, k] + (0.5 + rows.discount[b] * 4) / filled[b].sum() if filled[b, k] else 0.0
        assert got[b, k] == pytest.approx(wanted, rel=1e-6)


# SAC.


def test_the_soft_loss_by_hand():
    """Two items drawn alike and one alone, a nat at 2: the mean of pi (alpha log pi - q), and the gradient of log pi."""
    logits = torch.tensor([[0.0, 0.0, 5.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    q = torch.tensor([[3.0, 1.0, 99.0], [7.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    loss, spread = soft_loss(logits.masked_fill(~mask, -1e9).log_softmax(dim=1), q, mask, 2.0)
    half = np.log(0.5)
    assert float(loss.detach()) == pytest.approx(((0.5 * (2 * half - 3) + 0.5 * (2 * half - 1)) - 7) / 2)
    np.testing.assert_allclose(spread, [float(-half), 0.0, 0.0], atol=1e-6)
    loss.backward()
    # d/dz_0 of sum pi f = pi_0 (f_0 - mean f), f being 2 log pi - q (+ 2, which the mean takes off): .5 (-3 + 2) / 2
    np.testing.assert_allclose(slope(logits), [[-0.25, 0.25, 0.0], [0.0] * 3, [0.0] * 3], atol=1e-6)


def test_a_soft_value_is_of_the_smaller_critic_and_of_the_slate_that_is_drawn():
    made = Sac(SacConfig(TOWERS, scale=5.0, price=0.2))
    says(made._actor, 0)
    says(made._critics[0], 1, 0.4)
    says(made._critics[1], 2, 0.4)
    rows = batch(3)
    got, slots = made._targets(rows), (rows.action >= 0).sum(axis=1)
    shown, spread = expected_draws(rows.next_items[..., 0].astype(float), rows.next_mask, slots, Exploration(1.0, 0.0))
    for b in range(B):
        some = rows.next_mask[b]
        x = rows.next_items[b][some].astype(float)
        q = np.minimum(*(x[:, n] - x[:, n].mean() + 0.4 for n in (1, 2)))
        after = 5.0 * ((shown[b][some] * q).sum() + 0.2 * spread[b])
        for k in range(K):
            wanted = rows.reward[b, k] + rows.discount[b] * after / slots[b] if rows.action[b, k] >= 0 else 0.0
            assert got[b, k] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert soft_value(np.array([[2.0, 9.0]]), np.array([[1.0, 0.0]]), np.array([1.0]), 0.5)[0] == 2.5


def test_the_entropy_of_a_slate_is_that_of_its_slots_and_falls_as_the_policy_gets_certain():
    """Alone the entropy of the softmax; for five slots of ten no more than five log 10, near what drawing them tells."""
    explore, rng = Exploration(1.0, 0.0), np.random.default_rng(0)
    scores, told = rng.standard_normal((1, 10)), []
    p = np.exp(scores) / np.exp(scores).sum()
    mask = np.ones((1, 10), np.bool_)
    assert expected_draws(scores, mask, np.array([1]), explore)[1][0] == pytest.approx(-(p * np.log(p)).sum())
    for width in (0.0, 2.0, 8.0, 500.0):
        many = np.repeat(width * scores, 2000, axis=0).astype(np.float32)
        free = np.ones(many.shape, np.bool_)
        picks, _ = sample_slates(many, free, 5, explore, rng.random((2000, 5)))
        chance = pick_probabilities(many[:, None, :], replay_allowed(free, picks), explore)
        drawn = -(chance * np.log(np.maximum(chance, 1e-300))).sum() / 2000
        told.append(expected_draws(width * scores, mask, np.array([5]), explore)[1][0])
        assert drawn - 1e-3 < told[-1] < min(drawn + 2.0, 5 * np.log(10) + 1e-6), (width, drawn, told)
    assert told == sorted(told, reverse=True) and told[-1] < 0.1, told


@pytest.mark.parametrize("goal", [0.2, 0.8])
def test_the_price_of_entropy_is_tuned_until_the_goal_is_met(goal):
    """Values that differ by much for the price at first: the entropy goes to its goal, from above or from below."""
    made = Sac(SacConfig(TOWERS, Pace(1e-2), Pace(1e-2), undecided=goal, price=0.5, price_rate=0.05))
    for seed in range(250):
        told = made.update(replace(batch(seed % 5, 64, whole=True), discount=np.zeros(64, np.float32)))
    assert told["entropy"] == pytest.approx(goal, abs=0.1), told
    kept = Sac(SacConfig(TOWERS, price=0.5, price_rate=0.0))
    assert kept.update(batch())["price"] == pytest.approx(0.5) == kept.update(batch())["price"]


def test_an_actor_waits_for_critics_that_know_nothing():
    waits = (
        Sac(SacConfig(TOWERS, wait=2)),
        Wolpertinger(WolpertingerConfig.ddpg(TOWERS, wait=2)),
        Grpo(GrpoConfig(TOWERS, wait=2)),
    )
    for made in waits:
        first = made._actor.state_dict("")
        for number in range(3):
            made.update(batch(number))
            moved = any((first[name] != value).any() for name, value in made._actor.state_dict("").items())
            assert moved == (number == 2)


# Wolpertinger.


def test_proto_items_and_their_neighbours_by_hand():
    items = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    proto = proto_items(torch.tensor([[0.0, -7.0]]), items, mask)
    np.testing.assert_allclose(proto, [[0.0, -np.sqrt(5.0)]], rtol=1e-6)
    four = np.array([[[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [99.0, 0.0]]], np.float32)
    some = np.array([[True, True, True, False]])
    near, product = nearest(np.array([[1.0, 0.0]], np.float32), four, some, np.array([2]))
    assert near.tolist() == [[False, True, True, False]] and product[0, :3].tolist() == [1, 2, 3]
    q = np.array([[50.0, 4.0, -2.0, 99.0]], np.float32)
    got = refined(q, near, product, some)
    assert got[0, 1] == 4.0 and got[0, 2] == -2.0 and got[0, 0] == -3.0, "what is not near comes behind, whatever its value"
    more = refined(q, near & False | (np.arange(4) == 1), product, some)
    assert more[0, 2] > more[0, 0] and more[0, 1] > more[0, 2], "in the order of nearness"
    assert looked_at(np.ones((2, 7), np.bool_), 0.3, np.array([2, 5])).tolist() == [3, 5]


@pytest.mark.parametrize("network", [TOWERS, NetworkConfig(D, F, hidden=8, steps=T, pairs=((0, 1), (-1, 2)))])
def test_the_query_is_what_an_index_finds_the_actor_s_candidates_by(network):
    """Of a whole catalogue, what the index returns is what the policy looks at, and it takes the critic's best of them."""
    made = Wolpertinger(WolpertingerConfig(network, near=0.25, together=True, actor=Pace(1e-2), pace=Pace(1e-2)))
    for seed in range(5):
        made.update(batch(seed))
    policy, rng = made.policy, np.random.default_rng(0)
    catalogue, asking = rng.standard_normal((40, D)).astype(np.float32), state(rng)
    query = policy.query(asking)
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 1.0, rtol=1e-5)
    found, _ = ExactIndex(catalogue).search(query, 10)
    scores = policy.score(asking, np.broadcast_to(catalogue, (B, 40, D)), np.ones((B, 40), np.bool_))
    critic = Wolpertinger(WolpertingerConfig(network, near=1.0))
    critic.load_state_dict(made.state_dict())
    worth = critic.policy.score(asking, np.broadcast_to(catalogue, (B, 40, D)), np.ones((B, 40), np.bool_))
    for b in range(B):
        assert set(np.argsort(-scores[b])[:10].tolist()) == set(found[b].tolist())
        assert scores[b].argmax() == found[b][worth[b][found[b]].argmax()]
    assert (worth.argmax(axis=1) != scores.argmax(axis=1)).any(), "somewhere what is worth most is not near"


def test_td3_believes_the_smaller_critic_of_what_the_first_takes_from_those_near():
    made = Wolpertinger(WolpertingerConfig(TOWERS, near=0.6, noise=0.0, scale=2.0))
    says(made._actor, 0)
    says(made._critics[0], 1, 0.3)
    says(made._critics[1], 2, 0.3)
    rows = batch(2)
    slots = (rows.action >= 0).sum(axis=1)
    got = made._targets(rows, slots)
    for b in range(B):
        some = np.flatnonzero(rows.next_mask[b])
        x = rows.next_items[b][some].astype(float)
        count = max(int(np.ceil(0.6 * len(some))), slots[b])
        close = np.argsort(-x[:, 0])[:count]
        best = close[np.argsort(-x[close, 1])][: slots[b]]
        after = 2.0 * (np.minimum(x[best, 1], x[best, 2]) + 0.3).sum()
        for k in range(K):
            wanted = rows.reward[b, k] + rows.discount[b] * after / slots[b] if rows.action[b, k] >= 0 else 0.0
            assert got[b, k] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_noise_smooths_targets_the_same_way_each_time():
    one, two, plain = (Wolpertinger(WolpertingerConfig(TOWERS, near=0.4, noise=noise)) for noise in (2.0, 2.0, 0.0))
    rows = batch(4, 200, whole=True)
    slots = (rows.action >= 0).sum(axis=1)
    np.testing.assert_array_equal(one._targets(rows, slots), two._targets(rows, slots))
    assert (one._targets(rows, slots) != plain._targets(rows, slots)).any()


def test_td3_s_actor_moves_every_other_time_and_ddpg_s_always():
    for config, moves in ((WolpertingerConfig(TOWERS), [False, True] * 2), (WolpertingerConfig.ddpg(TOWERS), [True] * 4)):
        made = Wolpertinger(config)
        assert ["wanted" in made.update(batch(n)) for n in range(4)] == moves
        assert made.policy.version.startswith(config.name)


def test_the_actor_climbs_the_critic():
    """The critic likes the second number of an item: what is asked for turns that way."""
    made = Wolpertinger(WolpertingerConfig.ddpg(TOWERS, actor=Pace(1e-2), pace=Pace(1e-9, follow=1e-9)))
    says(made._critics[0], 1)
    for seed in range(150):
        made.update(batch(seed))
    assert made.policy.query(batch(9).state)[:, 1].min() > 0.9


def test_ddpg_begins_with_what_the_supervised_network_asks_for():
    config = NetworkConfig(D, F, hidden=8, steps=T)
    start, rows = to_arrays(UserNetwork(config, seed=4)), batch(whole=True)
    policy = Wolpertinger(WolpertingerConfig(config), start).policy
    supervised = NetworkPolicy(config, start).score(rows.state, rows.items, rows.mask)
    product = (rows.items @ policy.query(rows.state)[:, :, None])[:, :, 0]
    np.testing.assert_array_equal(product.argsort(axis=1), supervised.argsort(axis=1))  # its appeal says nothing yet


# Lists in groups.


def test_advantages_within_a_group_by_hand():
    got = group_advantage(np.array([[1.0, 3.0], [5.0, 5.0], [1e9, 1e9 + 1e-9]]))
    np.testing.assert_allclose(got, [[-1, 1], [0, 0], [0, 0]])
    small = group_advantage(np.array([[1.0, 3.0], [0.1, 0.3]]), least=0.5)
    np.testing.assert_allclose(small, np.array([[-1.0, 1.0], [-0.2, 0.2]]))


def test_ndcg_and_discounted_worth_by_hand():
    slates = np.array([[[4, 2, -1], [2, 4, 0]], [[0, 1, 2], [3, -1, -1]]])
    third = 1 / np.log2(3)
    np.testing.assert_allclose(ndcg(slates, np.array([4, 2])), np.array([[1.0, third], [0.5, 0.0]]))
    assert not ndcg(slates, np.array([-1, -1])).any(), "what is not offered is in no list"
    worth = np.array([[1.0, 0, 2.0, 0, 8.0], [1.0, 2.0, 4.0, 8.0, 0]])
    np.testing.assert_allclose(discounted(worth, slates), [[8 + 2 * third, 2 + 8 * third + 0.5], [1 + 2 * third + 2, 8.0]])


def test_the_loss_of_groups_by_hand():
    """Ratios 2 and 1, an empty slot; advantages 1 and -1; the reference makes the first pick e times likelier than now."""
    now = torch.tensor([[np.log(0.5), np.log(0.25)], [np.log(0.3), 0.0]], requires_grad=True)
    drawn = torch.tensor([[np.log(0.25), np.log(0.25)], [np.log(0.3), 0.0]])
    reference = now.detach() + torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    filled, advantage = torch.tensor([[True, True], [True, False]]), torch.tensor([1.0, -1.0])
    loss = grpo_loss(now, drawn, reference, advantage, filled, 0.2, 0.5)
    assert float(loss.detach()) == pytest.approx(-(1.2 + 1.0 - 1.0) / 3 + 0.5 * (np.e - 2) / 3, rel=1e-5)
    loss.backward()
    np.testing.assert_allclose(slope(now), [[0.5 * (1 - np.e) / 3, -1 / 3], [1 / 3, 0.0]], rtol=1e-4)
    assert float(grpo_loss(now, drawn, None, advantage, filled, 0.2, 0.5).detach()) == pytest.approx(-1.2 / 3, rel=1e-5)
    assert not divergence(now.detach(), now.detach()).any() and (divergence(now.detach(), reference) >= 0).all()


def rows_of(seed: int, b: int = 48, c: int = 6) -> tuple[State, np.ndarray, np.ndarray, np.ndarray]:
    """Users whose context says which of two numbers of an item decides what they take next."""
    rng = np.random.default_rng(seed)
    some = state(rng, b)
    items = rng.standard_normal((b, c, D)).astype(np.float32)
    wants = (some.context[:, 0] > 0).astype(int)
    return some, items, np.ones((b, c), np.bool_), items[np.arange(b), :, wants].argmax(axis=1)


def test_a_list_wise_measure_is_what_is_learned():
    """NDCG of the item that is taken, in lists of three: from a network that prefers nothing."""
    start = to_arrays(UserNetwork(NetworkConfig(D, F, hidden=8, steps=T)))
    start["item.weight"] *= 0.02
    made = Grpo(GrpoConfig(NetworkConfig(D, F, hidden=8, steps=T), Pace(2e-2), slots=3), start)
    found = []
    for seed in range(120):
        states, items, mask, target = rows_of(seed)
        told = made.learn(states, items, mask, partial(ndcg, target=target))
        found.append(told["reward"])
    by_chance = (1 + 1 / np.log2(3) + 0.5) / 6
    assert found[0] == pytest.approx(by_chance, abs=0.06)
    states, items, mask, target = rows_of(999, 400)
    best = np.argsort(-made.policy.score(states, items, mask), axis=1)[:, None, :3]
    assert ndcg(best, target).mean() > 0.8, found[-5:]


def test_the_reference_holds_the_policy():
    away = {}
    for beta in (0.0, 5.0):
        made = Grpo(GrpoConfig(TOWERS, Pace(2e-2), slots=2, beta=beta))
        first = made.policy
        for seed in range(40):
            states, items, mask, target = rows_of(seed)
            made.learn(states, items, mask, partial(ndcg, target=target))
        away[beta] = float(np.abs(made.policy.score(states, items, mask) - first.score(states, items, mask)).mean())
    assert away[5.0] < 0.25 * away[0.0], away


def test_a_group_of_lists_that_are_worth_the_same_teaches_nothing():
    made = Grpo(GrpoConfig(TOWERS, slots=2))
    before, rows = made._actor.state_dict(""), batch()
    told = made.learn(rows.state, rows.items, rows.mask, lambda slates: np.ones(slates.shape[:2]))
    after = made._actor.state_dict("")
    assert told["alike"] == 1.0
    for name, value in before.items():
        if not name.endswith("updates") and not name.startswith("optimizer"):
            np.testing.assert_array_equal(after[name], value, err_msg=name)


@pytest.mark.parametrize("network", [TOWERS, NetworkConfig(D, F, hidden=8, steps=T)])
def test_a_model_that_knows_nothing_moves_nobody(network):
    """Where nothing was ever rewarded, one list is worth as much as another, from the first update on."""
    made = Grpo(GrpoConfig(network, Pace(1e-2), beta=0.05), to_arrays(network_of(network, 7)))
    first, model = to_arrays(made._actor.network), to_arrays(made._model.network)
    for seed in range(20):
        rows = batch(seed)
        made.update(replace(rows, reward=np.zeros_like(rows.reward)))
    for name, value in to_arrays(made._actor.network).items():
        np.testing.assert_array_equal(value, first[name], err_msg=name)
    made.update(rows)
    assert (to_arrays(made._model.network)["item.weight"] != model["item.weight"]).any(), "and what is rewarded is learned"


def test_what_the_model_hardly_tells_apart_counts_in_units_of_the_reward(monkeypatch):
    seen: list[float] = []

    def advantage(rewards: np.ndarray, least: float) -> np.ndarray:
        seen.append(least)
        return group_advantage(rewards, least)

    monkeypatch.setattr("longgame.algorithms.grpo.group_advantage", advantage)
    for scale in (1.0, 4.0):
        Grpo(GrpoConfig(TOWERS, scale=scale, least=0.5)).update(batch())
    assert seen == [0.5, 2.0]


def test_a_reward_that_is_none_is_refused():
    made, rows = Grpo(GrpoConfig(TOWERS)), batch()
    with pytest.raises(ConfigError, match="how many slots"):
        made.learn(rows.state, rows.items, rows.mask, lambda slates: slates.sum(axis=2))
    with pytest.raises(ShapeError, match=r"one number a list, shape \(6, 16\), got \(6,\)"):
        made.learn(rows.state, rows.items, rows.mask, lambda slates: slates.sum(axis=(1, 2)), slots=2)


@pytest.mark.parametrize("wrong", [-1, 3, 5])
def test_what_was_taken_must_be_offered(wrong):
    """-1 is no column, 5 is beyond the last, and the fourth column is masked in one row."""
    made, rows = Grpo(GrpoConfig(TOWERS, imitate=1.0, slots=2)), batch(whole=True)
    mask, taken = rows.mask.copy(), np.zeros(B, np.int64)
    mask[2, 3], taken[2] = False, wrong
    with pytest.raises(ShapeError, match="taken must be"):
        made.learn(rows.state, rows.items, mask, lambda slates: np.zeros(slates.shape[:2]), taken=taken)
    taken[2] = 4
    assert made.learn(rows.state, rows.items, mask, lambda slates: np.zeros(slates.shape[:2]), taken=taken)["loss"] < 10


def test_the_group_s_lists_have_the_chance_that_they_were_drawn_with():
    made, rows = Grpo(GrpoConfig(TOWERS, group=4, explore=Exploration(0.5, 0.1))), batch()
    slates, odds = made._draw(rows.state, rows.items, rows.mask, 3)
    action, mask = slates.reshape(-1, 3), np.repeat(rows.mask, 4, axis=0)
    with torch.no_grad():
        scores = made._scores(made._actor.network, rows.state, rows.items)
    told = log_probs(scores, replay_allowed(mask, action), action, made.config.explore)
    np.testing.assert_allclose(told, np.log(odds), atol=1e-5)
    assert slates.shape == (B, 4, 3) and len({tuple(one) for one in slates[0].tolist()}) > 1
    other, _ = made._draw(rows.state, rows.items, rows.mask, 3)
    assert (other != slates).any()


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (GrpoConfig, {"group": 1}),
        (GrpoConfig, {"clip": 0.0}),
        (GrpoConfig, {"beta": -1.0}),
        (GrpoConfig, {"wait": -1}),
        (GrpoConfig, {"least": -0.1}),
        (SacConfig, {"undecided": 1.5}),
        (SacConfig, {"price": 0.0}),
        (SacConfig, {"wait": -1}),
        (WolpertingerConfig, {"near": 0.0}),
        (WolpertingerConfig, {"delay": 0}),
        (WolpertingerConfig, {"noise": -0.1}),
    ],
)
def test_what_cannot_be_is_refused(config, wrong):
    with pytest.raises(ConfigError, match=config.__name__):
        config(TOWERS, **wrong)


# In a world.


def small(world: Environment) -> TowersConfig:
    return TowersConfig(world.width, world.context, hidden=16)


FAST = Pace(3e-3, follow=0.1)
LIVING: dict[str, Callable[[Environment, float], Algorithm]] = {
    "sac": lambda world, scale: Sac(SacConfig(small(world), FAST, FAST, undecided=0.2, scale=scale)),
    "td3": lambda world, scale: Wolpertinger(WolpertingerConfig(small(world), FAST, FAST, scale=scale)),
    "ddpg": lambda world, scale: Wolpertinger(WolpertingerConfig.ddpg(small(world), pace=FAST, actor=FAST, scale=scale)),
}
LIFE = Training(12_000, warm=1_500, ahead=10, every=32, batch=128)


@pytest.mark.parametrize("name", LIVING)
def test_the_trap_is_seen_by_who_looks_ahead_alone(name):
    found = {}
    for discount, scale in ((0.98, 500.0), (0.0, 20.0)):
        world = trap(0.3, discount)
        made = LIVING[name](world, scale)
        train(world, made, replace(LIFE, temperature=1.0) if name == "sac" else LIFE, 0)
        found[discount] = clickbait(made.policy, world)
    assert found[0.98] < 0.3 and found[0.0] > 0.7, found
