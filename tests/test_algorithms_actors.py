"""Learners that move a policy by its gradient, against cases worked by hand, and in a world with a trap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from longgame.algorithms.a2c import A2c, A2cConfig, actor_loss
from longgame.algorithms.actor import entropy, log_probs, mean_of_filled, standardised
from longgame.algorithms.actor_critic import StateCritic
from longgame.algorithms.critic import Pace
from longgame.algorithms.grpo import GrpoConfig
from longgame.algorithms.ppo import Ppo, PpoConfig, clipped_loss
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import Batch
from longgame.errors import ConfigError
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Algorithm, Policy
from longgame.simulation import Environment, Replay, Training, draw, train, train_once
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.slate import Exploration, replay_allowed
from tests.kit import B, C, D, F, K, T, batch

TOWERS = TowersConfig(D, F, hidden=8)


def slope(of: torch.Tensor) -> np.ndarray:
    """The gradient of what was differentiated."""
    assert of.grad is not None
    found: np.ndarray = of.grad.numpy()
    return found


def by_torch(scores, mask, action, explore):
    """Plackett-Luce mixed with uniform, slot by slot, written anew in torch."""
    rows = []
    for b in range(len(scores)):
        free, told = mask[b].clone(), []
        for pick in action[b].tolist():
            if pick < 0:
                told.append(torch.zeros((), dtype=torch.float64))
                continue
            soft = (scores[b] / explore.temperature).masked_fill(~free, -torch.inf).softmax(dim=0)[pick]
            told.append(torch.log((1 - explore.uniform) * soft + explore.uniform / free.sum()))
            free[pick] = False
        rows.append(torch.stack(told))
    return torch.stack(rows)


@pytest.mark.parametrize("explore", [Exploration(1.0, 0.0), Exploration(0.6, 0.3)])
def test_the_chance_of_picks_is_the_sampler_s_and_leads_back_to_the_scores(explore):
    rows, weight = batch(2), torch.randn(B, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = torch.randn(B, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours, theirs = scores.float().requires_grad_(), scores.clone().requires_grad_()
    got = log_probs(ours, rows.allowed, rows.action, explore)
    wanted = by_torch(theirs, torch.from_numpy(rows.mask), torch.from_numpy(rows.action), explore)
    assert (rows.action < 0).any() and got.dtype == torch.float64
    np.testing.assert_allclose(got.detach(), wanted.detach(), atol=1e-5)
    (got * weight).sum().backward()
    (wanted * weight).sum().backward()
    np.testing.assert_allclose(slope(ours), slope(theirs), atol=1e-5)


def test_a_pick_that_cannot_be_drawn_has_a_ratio_of_nothing_and_no_gradient_that_is_undefined():
    scores = torch.tensor([[0.0, 2000.0]], requires_grad=True)
    mask, action = np.ones((1, 2), np.bool_), np.array([[0]])
    got = log_probs(scores, replay_allowed(mask, action), action, Exploration(1.0, 0.0))
    assert float(got.detach()) == -100.0
    clipped_loss(got, torch.log(torch.tensor([[0.5]])), torch.ones(1, 1), torch.ones(1, 1) > 0, 0.2).backward()
    assert np.isfinite(slope(scores)).all()


def test_the_actor_s_loss_by_hand():
    """Two rows, an empty slot: ratios 2 (capped at 1.5) and 1/2 in the first, 1 in the second; advantages 3 and -1."""
    now = torch.log(torch.tensor([[0.4, 0.1], [0.5, 1.0]])).requires_grad_()
    logged = torch.log(torch.tensor([[0.2, 0.2], [0.5, 1.0]]))
    filled = torch.tensor([[True, True], [True, False]])
    loss = actor_loss(now, logged, torch.tensor([3.0, -1.0]), filled, cap=1.5)
    wanted = -(1.5 * 3 * np.log(0.4) + 0.5 * 3 * np.log(0.1) - np.log(0.5)) / 3
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)
    loss.backward()
    np.testing.assert_allclose(slope(now), [[-1.5, -0.5], [1 / 3, 0.0]], rtol=1e-5)


def test_the_clipped_loss_by_hand():
    """Ratios 2, 1.1, .5 and .5, advantages 1, 1, 1 and -1, clip .2: what is far enough already moves no more.

    With a clip of 4 as well, downwards from a fifth on.
    """
    ratio = torch.tensor([[2.0, 1.1, 0.5, 0.5, 7.0]])
    now = (torch.log(ratio) - 1.0).requires_grad_()
    advantage, filled = torch.tensor([[1.0, 1.0, 1.0, -1.0, 5.0]]), torch.tensor([[True, True, True, True, False]])
    loss = clipped_loss(now, torch.full((1, 5), -1.0), advantage, filled, 0.2)
    assert float(loss.detach()) == pytest.approx(-(1.2 + 1.1 + 0.5 - 1 / 1.2) / 4, rel=1e-5)
    loss.backward()
    np.testing.assert_allclose(slope(now), [[0.0, -1.1 / 4, -0.5 / 4, 0.0, 0.0]], rtol=1e-5)
    ratio = torch.tensor([[0.1, 0.3, 4.0, 6.0]])
    now = torch.log(ratio).requires_grad_()
    clipped_loss(now, torch.zeros(1, 4), torch.tensor([[-1.0, -1.0, 1.0, 1.0]]), torch.ones(1, 4) > 0, 4.0).backward()
    np.testing.assert_allclose(slope(now), [[0.0, 0.3 / 4, -4.0 / 4, 0.0]], rtol=1e-5)
    now = torch.log(ratio).requires_grad_()
    clipped_loss(now, torch.zeros(1, 4), -torch.ones(1, 1), torch.ones(1, 4) > 0, float("inf")).backward()
    assert (slope(now) > 0).all(), "infinite: nothing is clipped"


def test_means_entropies_and_scores_of_advantages_by_hand():
    filled = torch.tensor([[True, False], [True, True]])
    assert float(mean_of_filled(torch.tensor([[1.0, torch.nan], [2.0, 6.0]]), filled)) == 3.0
    assert float(mean_of_filled(torch.ones(2, 1), torch.zeros(2, 1) > 0)) == 0.0
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert float(entropy(torch.tensor([[1.0, 1.0, 9.0], [4.0, 0.0, 0.0]]), mask)) == pytest.approx(np.log(2) / 2)
    np.testing.assert_allclose(standardised(np.array([1.0, 3.0])), [-1, 1])
    for alike in (np.full(3, 7.3), np.array([1e9]), np.zeros(0)):
        np.testing.assert_array_equal(standardised(alike), np.zeros(len(alike)))


def flat(network, value):
    """Makes a network say ``value`` of every state."""
    with torch.no_grad():
        network.worth.weight.zero_()
        network.worth.bias.fill_(value)


def test_advantages_are_n_step_by_hand():
    """Reward of the slate, of what came between, and the slow copy's .3 discounted, less the network's .5; in tens."""
    critic = StateCritic(TOWERS, Pace(), 10.0, 0, None)
    flat(critic._learned.network, 0.5)
    flat(critic._learned.target, 0.3)
    rows = replace(batch(1), between=np.linspace(0, 1, B).astype(np.float32))
    got, loss = critic.learn(rows)
    reward = np.where(rows.action >= 0, rows.reward, 0).sum(axis=1) + rows.between
    apart = reward / 10 + 0.3 * rows.discount - 0.5
    np.testing.assert_allclose(got, (apart - apart.mean()) / apart.std(), rtol=1e-4)
    assert (abs(apart) < 1).all() and loss == pytest.approx((apart**2).mean() / 2, rel=1e-4)


@pytest.mark.parametrize("make", [lambda n, s: A2c(A2cConfig(n), s), lambda n, s: Ppo(PpoConfig(n), s)], ids=["a2c", "ppo"])
def test_an_actor_starts_at_the_supervised_network(make):
    config = NetworkConfig(D, F, hidden=8, steps=T)
    start, rows = to_arrays(UserNetwork(config, seed=4)), batch()
    policy = make(config, start).policy
    assert isinstance(policy, NetworkPolicy)
    np.testing.assert_array_equal(
        policy.score(rows.state, rows.items, rows.mask), NetworkPolicy(config, start).score(rows.state, rows.items, rows.mask)
    )


@pytest.mark.parametrize("config", [A2cConfig, PpoConfig])
def test_what_cannot_be_is_refused(config):
    for wrong in ({"scale": 0.0}, {"entropy": -1.0}, {"cap" if config is A2cConfig else "clip": 0.0}):
        with pytest.raises(ConfigError, match=config.__name__):
            config(TOWERS, **wrong)


@pytest.mark.parametrize("config", [A2cConfig, PpoConfig, GrpoConfig])
@pytest.mark.parametrize("network", [TowersConfig(D, dropout=0.1), NetworkConfig(D, dropout=0.1)])
def test_dropout_is_refused_where_a_ratio_would_be_of_another_draw(config, network):
    with pytest.raises(ConfigError, match=rf"{config.__name__}.network: dropout must be 0, got 0.1"):
        config(network)


# On-policy.


class Watched:
    """Remembers what it was told, and draws as it says."""

    lives_by = Exploration(0.7, 0.2)

    def __init__(self, world: Environment) -> None:
        self.told: list[Batch] = []
        self._world = world

    @property
    def policy(self) -> Policy:
        return A2c(A2cConfig(TowersConfig(self._world.width, self._world.context, hidden=4), seed=len(self.told))).policy

    def update(self, rows: Batch) -> dict[str, float]:
        self.told.append(rows)
        return {"rows": float(len(rows))}

    def state_dict(self) -> dict[str, np.ndarray]:
        return {}

    def load_state_dict(self, state: object) -> None: ...


def small_world(users: int = 7) -> Environment:
    return Environment(LongTermSatisfaction(LongTermSatisfactionConfig(users, 4, 30, clicks=5)), 2)


def test_what_was_lived_is_learned_from_so_many_times_and_then_no_more():
    """7 users, sessions of 5: of 12 days all but the last, and of the last those who left, which is nobody; twice each."""
    world = small_world()
    made = Watched(world)
    train(world, made, Training(80, warm=1, days=4, passes=2, batch=9, ahead=3), 0)
    rows = np.concatenate([b.state.context for b in made.told])
    _, count = np.unique(
        np.concatenate([rows, np.concatenate([b.propensity for b in made.told])], axis=1), axis=0, return_counts=True
    )
    assert (count == 2).all() and count.sum() == 2 * 7 * 11
    assert all(4 < len(b) <= 9 for b in made.told)


@pytest.mark.parametrize(("capacity", "days", "ahead"), [(7 * 4, 4, 1), (7 * 3, 2, 4)])
def test_what_was_lived_is_not_forgotten_before_it_was_learned_from(capacity, days, ahead):
    """A round of 4 days and the open day before it are 5, which 4 held would lose without a word."""
    world = small_world()
    with pytest.raises(ConfigError, match=rf"capacity .* got {capacity}, .*make it {7 * (5 if days == 4 else 4)} or more"):
        train(world, Watched(world), Training(80, warm=1, days=days, ahead=ahead, capacity=capacity), 0)
    made = Watched(world)
    train(world, made, Training(80, warm=1, days=4, passes=1, capacity=7 * 5), 0)
    assert sum(len(rows) for rows in made.told) == 7 * 11


def test_a_life_that_is_learned_from_once_can_be_watched():
    """7 users, so many days that 50 decisions are reached: the newest policy after each."""
    world, seen = small_world(), []
    made = Watched(world)
    train_once(world, made, 50, 0, Exploration(), lambda n, told, policy: seen.append((n, told["rows"], policy.version)))
    assert [n for n, _, _ in seen] == list(range(7, 57, 7)) and {rows for _, rows, _ in seen} == {7.0}
    assert len({version for _, _, version in seen}) == len(seen) == len(made.told)


def test_decisions_are_fresh_once_when_it_is_known_what_followed():
    world, rng = small_world(), np.random.default_rng(0)
    replay, seen, told = Replay(50, 7, world.vectors, 0.9, 3), world.reset(0), []
    assert not len(replay.fresh()) and not list(replay.batches(replay.fresh(), 4, rng))
    for day in range(12):
        slates, odds = draw(
            A2c(A2cConfig(TowersConfig(world.width, world.context, hidden=4))).policy, seen, 2, Exploration(), rng
        )
        replay.add(seen, slates, odds, world.step(slates))
        seen = world.observe()
        if day % 4 == 3:
            told.append(replay.fresh())
    assert [len(part) for part in told] == [7 * 3, 7 * 4, 7 * 4] and len(set(np.concatenate(told).tolist())) == 7 * 11
    assert not len(replay.fresh())
    sizes = [len(b) for b in replay.batches(told[1], 10, rng)]
    assert sizes == [10, 9, 9]


def test_what_the_newest_policy_did_has_ratios_of_one():
    """All of the first round, at its first update: the chance that is learned by is the chance that was drawn by."""
    world = small_world(40)
    made = A2c(A2cConfig(TowersConfig(world.width, world.context, hidden=8), explore=Exploration(0.8, 0.1)))
    ratios = []
    train(
        world,
        made,
        Training(150, warm=1, days=4, passes=1, batch=10**6),
        0,
        lambda n, told, policy: ratios.append(told["ratio"]),
    )
    assert ratios[0] == pytest.approx(1.0, abs=1e-5)


def trap(sensitivity: float, discount: float) -> Environment:
    """Clickbait is clicked more at once and, where users are sensitive, less in the long run."""
    world = LongTermSatisfaction(LongTermSatisfactionConfig(64, 5, sensitivity=sensitivity))
    return Environment(world, 1, objective=replace(world.objective, discount=discount))


def clickbait(policy: Policy, world: Environment) -> float:
    """Mean clickbait of the best item, of five that are uniform in [0, 1]: 1/6 for the least, 5/6 for the most."""
    seen = world.reset(9)
    best = np.where(seen.mask, policy.score(seen.state, seen.items, seen.mask), -np.inf).argmax(axis=1)
    return float(seen.items[np.arange(len(best)), best, 0].mean())


def towers(world: Environment) -> TowersConfig:
    return TowersConfig(world.width, world.context, hidden=16)


LIVING: dict[str, Callable[[Environment, float], Algorithm]] = {
    "a2c": lambda world, scale: A2c(A2cConfig(towers(world), Pace(5e-3), Pace(5e-3, follow=0.2), scale=scale)),
    "ppo": lambda world, scale: Ppo(PpoConfig(towers(world), Pace(5e-3), Pace(5e-3, follow=0.2), scale=scale)),
}
LIFE = Training(8_000, warm=1, ahead=10, days=10)


@pytest.mark.parametrize("name", LIVING)
def test_the_trap_is_seen_by_who_looks_ahead_alone(name):
    found = {}
    for discount, scale in ((0.98, 500.0), (0.0, 20.0)):
        world = trap(0.3, discount)
        made = LIVING[name](world, scale)
        train(world, made, LIFE, 0)
        found[discount] = clickbait(made.policy, world)
    assert found[0.98] < 0.3 and found[0.0] > 0.7, found
