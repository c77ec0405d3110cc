"""LinUCB, neural-linear and ensemble Thompson sampling against cases worked by hand, and what they learn by living."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from longgame.algorithms.ahead import best_slates
from longgame.algorithms.critic import Pace, network_of
from longgame.algorithms.ensemble_thompson import EnsembleThompson, EnsembleThompsonConfig, bootstrap_loss
from longgame.algorithms.kernel_ucb import KernelUcb, KernelUcbConfig, bounds
from longgame.algorithms.linear_thompson import LinearThompsonConfig, LinearThompsonPolicy
from longgame.algorithms.linucb import LinUcb, LinUcbConfig, upper_bounds
from longgame.algorithms.matching import log_shares, place_shares
from longgame.algorithms.neural_linear import NeuralLinear, NeuralLinearConfig, squared_error
from longgame.algorithms.regression import Posterior, features, size
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.networks import NetworkConfig, to_arrays
from longgame.protocols import Algorithm
from longgame.slate import Exploration, replay_allowed, sample_slates
from tests.kit import C, D, F, batch

TOWERS = TowersConfig(D, F, hidden=8)
PAIRED = NetworkConfig(D, F, hidden=8, pairs=((0, 1), (-1, 2)))


def test_upper_bounds_by_hand():
    """A = [[4, 0], [0, 5]]: what is known least gains most."""
    root = np.linalg.inv(np.linalg.cholesky(np.array([[4.0, 0.0], [0.0, 5.0]]))).astype(np.float32)
    x, mean = np.array([[1.0, 2.0], [1.0, 0.0]], np.float32), np.array([1.0, 2.0], np.float32)
    wanted = [5 + 3 * (1 / 4 + 4 / 5) ** 0.5, 1 + 3 / 2]
    np.testing.assert_allclose(upper_bounds(x, mean, root, 3.0), wanted, rtol=1e-6)


def test_linucb_is_its_equation():
    made = LinUcb(LinUcbConfig(D, F, prior=2.0, alpha=1.5))
    rows = [batch(seed) for seed in range(3)]
    for one in rows:
        made.update(one)
    shown = [
        (features(r.state, r.items)[i, a], r.reward[i, k]) for r in rows for (i, k), a in np.ndenumerate(r.action) if a >= 0
    ]
    x, y = np.array([one for one, _ in shown], float), np.array([r for _, r in shown], float)
    inverse = np.linalg.inv(2 * np.eye(size(D, F)) + x.T @ x)
    new = batch(9)
    z = features(new.state, new.items).astype(float)
    wanted = z @ (inverse @ (x.T @ y)) + 1.5 * np.sqrt(np.einsum("bcp,pq,bcq->bc", z, inverse, z))
    np.testing.assert_allclose(made.policy.score(new.state, new.items, new.mask), wanted, rtol=1e-4)
    np.testing.assert_allclose(made.predict(new.state, new.items), z @ (inverse @ (x.T @ y)), atol=1e-5)


def test_kernel_bounds_by_hand():
    """One row x = (2, 0) that brought 3, at a prior of 1: K + 1 = 5; beside it nothing is known."""
    mean, width = bounds(np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([[2.0, 0.0]]), np.sqrt([[5.0]]), np.array([3 / 5]), 1.0)
    np.testing.assert_allclose(mean, [6 / 5, 0.0])
    np.testing.assert_allclose(width, [(1 - 4 / 5) ** 0.5, 3.0])


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_the_dual_form_is_linucb(alpha):
    """While all that was shown is kept, however it came."""
    one, two = LinUcb(LinUcbConfig(D, F, 0.3, alpha)), KernelUcb(KernelUcbConfig(D, F, 0.3, alpha, rows=80))
    for seed, b in enumerate((3, 1, 1, 6, 2)):
        rows = batch(seed, b)
        assert one.update(rows)["error"] == pytest.approx(two.update(rows)["error"], rel=1e-6)
        new = batch(9)
        got, wanted = (made.policy.score(new.state, new.items, new.mask) for made in (two, one))
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(two.predict(new.state, new.items), one.predict(new.state, new.items), atol=1e-5)


def test_the_dual_form_forgets_the_oldest():
    late, made = KernelUcb(KernelUcbConfig(D, F, rows=12)), KernelUcb(KernelUcbConfig(D, F, rows=12))
    for seed in range(4):
        made.update(batch(seed, whole=True))
    late.update(batch(3, whole=True))
    new = batch(9)
    got, wanted = (one.policy.score(new.state, new.items, new.mask) for one in (made, late))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_what_was_seen_fades_and_the_prior_does_not():
    """One weight, prior 2 round 1, noise 1/2: an observation is worth 4."""
    made = Posterior(1, 2.0, 0.5, np.array([1.0]))
    one = np.ones((1, 1))
    made.learn(one, np.array([3.0]))
    assert made.precision[0, 0] == pytest.approx(2 + 4) and made.mean[0] == pytest.approx((2 + 12) / 6)
    made.learn(one, np.array([1.0]), keep=0.5)
    assert made.precision[0, 0] == pytest.approx(2 + 2 + 4) and made.mean[0] == pytest.approx((2 + 6 + 4) / 8)


@pytest.mark.parametrize("config", [TOWERS, PAIRED], ids=["towers", "user network with pairs"])
def test_terms_are_what_a_score_is_the_sum_of(config):
    network, rows = network_of(config, 3), batch(6)
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
        user, items = network.user(rows.state), torch.from_numpy(rows.items)
        for offered in (items, items[0]):
            terms = network.terms(user, offered)
            assert terms.shape == (len(rows), C, network.width_of_terms)
            np.testing.assert_allclose(terms.sum(dim=2), network.score(user, offered), rtol=1e-4, atol=1e-5)


def test_squared_error_by_hand():
    told, reward = torch.tensor([[1.0, 5.0], [2.0, 9.0]]), torch.tensor([[3.0, 4.0], [2.0, 0.0]])
    assert float(squared_error(told, reward, torch.tensor([[True, True], [True, False]]))) == pytest.approx(5 / 3)
    assert float(squared_error(told, reward, torch.zeros(2, 2, dtype=torch.bool))) == 0


def test_bootstrap_loss_by_hand():
    """Two heads; the second saw one of the two slots: errors 1/2 and 3, 1/2 -> (1/8 + 5/2 + 1/8) / 3."""
    told, target = torch.zeros(1, 2, 2), torch.tensor([[[0.5, 0.5], [3.0, 99.0]]])
    sampled = torch.tensor([[[True, True], [True, False]]])
    assert float(bootstrap_loss(told, target, sampled)) == pytest.approx((0.125 + 2.5 + 0.125) / 3)
    assert float(bootstrap_loss(told, target, torch.zeros_like(sampled))) == 0


def test_best_slates_by_hand():
    worth = np.array([[1.0, 5.0, 3.0, 99.0], [-1.0, -2.0, 0.0, 0.0]])
    mask = np.array([[True, True, True, False], [True, True, False, False]])
    judged = np.array([[10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(best_slates(worth, mask, np.array([2, 3])), [8, -3])
    np.testing.assert_allclose(best_slates(worth, mask, np.array([1, 1])), [5, -1])
    np.testing.assert_allclose(best_slates(worth, mask, np.array([2, 1]), judged), [50, 1])
    np.testing.assert_allclose(best_slates(worth, mask, np.array([0, 0])), [0, 0])


@pytest.mark.parametrize("ahead", [True, False])
def test_each_head_follows_its_own_target(ahead):
    made = EnsembleThompson(EnsembleThompsonConfig(TOWERS, heads=3, ahead=ahead, scale=2.0))
    rows = replace(batch(1, k=1), between=np.linspace(0, 1, 6).astype(np.float32))
    slow = made._learned.target
    with torch.no_grad():
        user = slow.user(rows.next_state)
        for m in range(3):
            weight, own = made._slow[:, m]
            worth = slow.score(user * weight + own, torch.from_numpy(rows.next_items)).double().numpy()
            best = np.where(rows.next_mask, worth, -np.inf).max(axis=1)
            wanted = rows.reward[:, 0] + (rows.between + rows.discount * 2.0 * best) * ahead
            np.testing.assert_allclose(made._targets(rows)[:, 0, m], wanted, rtol=1e-5)


def test_samples_are_halves_and_are_drawn_anew():
    made = EnsembleThompson(EnsembleThompsonConfig(TOWERS, heads=40))
    filled = np.arange(600).reshape(300, 2) % 7 > 0
    one = made._samples(filled)
    assert not one[~filled].any() and one[filled].mean() == pytest.approx(0.5, abs=0.02)
    made.update(batch(0))
    assert (made._samples(filled) != one).any()


def test_places_have_shares_by_hand():
    """Places have 4/7, 2/7 and 1/7; in the second truth the first two places tie and have 3/7 each."""
    payoff = np.array([[3.0, 1.0, 2.0], [5.0, 5.0, 0.0]])
    np.testing.assert_allclose(place_shares(payoff, 0.5), np.array([4 + 3, 1 + 3, 2 + 1]) / 14)
    mask = np.array([[True, False, True], [False, False, False]])
    got = log_shares(iter([payoff, payoff]), mask, 0.5)
    np.testing.assert_allclose(np.exp(got[0]), [2 / 3, 0, 1 / 3], rtol=1e-6)
    assert np.isfinite(got).all()
    assert np.isfinite(log_shares(iter([np.arange(2000.0)[None]]), np.ones((1, 2000), np.bool_), 0.1)).all()


def test_of_many_items_the_best_have_places_and_the_rest_are_last():
    """Of 500, places are those of the same order cut short; an item that one truth alone likes has its win."""
    payoff = np.tile(-np.arange(500.0), (4, 1))
    payoff[2, 499] = 1.0
    got = place_shares(payoff, 0.5)
    np.testing.assert_allclose(got[:3], [(3 / 2 + 1 / 4) / 4, (3 / 4 + 1 / 8) / 4, (3 / 8 + 1 / 16) / 4], rtol=1e-6)
    assert got[499] == pytest.approx(1 / 8, rel=1e-6) and got.sum() == pytest.approx(1.0)
    assert (got[40:499] < got[:32].min()).all() and (got > 0).all()
    order = np.random.default_rng(0).permutation(500)
    np.testing.assert_allclose(place_shares(payoff[:, order], 0.5), got[order])


def test_truths_that_agree_fill_every_slot_of_a_slate():
    """Ten heads whose order is 9, 8, 7, ...: that is the slate, and no slot of it is chance."""
    n, mask = 4000, np.ones((4000, 10), np.bool_)
    scores = np.repeat(log_shares(iter([np.tile(np.arange(10.0), (10, 1))]), mask[:1], 0.1), n, axis=0)
    uniforms = np.random.default_rng(0).random((n, 4))
    action, _ = sample_slates(scores, mask, 4, Exploration(1.0, 0.0), uniforms)
    taken = np.zeros((n, 10), np.bool_)
    for slot in range(4):
        best = 9 - np.argmax(~taken[:, ::-1], axis=1)
        assert (action[:, slot] == best).mean() == pytest.approx(0.9, abs=0.02), slot
        taken[np.arange(n), action[:, slot]] = True


def test_they_begin_at_the_supervised_network():
    """Sure of their prior, both rank as the network does that they are given."""
    start, rows = to_arrays(network_of(TOWERS, 5)), batch(9, whole=True)
    network = network_of(TOWERS, 5)
    with torch.no_grad():
        best = network.score(network.user(rows.state), torch.from_numpy(rows.items)).argmax(dim=1).numpy()
    for made in (
        NeuralLinear(NeuralLinearConfig(TOWERS, prior=1e8), start),
        EnsembleThompson(EnsembleThompsonConfig(TOWERS, spread=1e-4), start),
    ):
        got = made.policy.score(rows.state, rows.items, rows.mask)
        np.testing.assert_array_equal(got.argmax(axis=1), best)
        assert (np.exp(got.max(axis=1)) > 0.9).all()


# A stream that they live on: what is best depends on the user, and nothing is known but what they have shown.

OFFERED = np.random.default_rng(5).standard_normal((9, D)).astype(np.float32)


def visits(policy, rng, explore, b=32):
    """One batch of 32 users, whose context says whether they want the item's first number large or small."""
    context = np.where(rng.random((b, 1)) < 0.5, -1.0, 1.0).astype(np.float32)
    state = State(np.zeros((b, 2, D), np.float32), np.full((b, 2), -1), context)
    items, mask = np.broadcast_to(OFFERED, (b, 9, D)), np.ones((b, 9), np.bool_)
    scores = policy.score(state, items, mask)
    action, odds = sample_slates(scores, mask, 1, explore, rng.random((b, 1)))
    chance = 1 / (1 + np.exp(-2 * context * OFFERED[action[:, 0], :1]))
    reward = (rng.random((b, 1)) < chance).astype(np.float32)
    none = np.zeros(b, np.float32)
    rows = Batch(
        state, items, mask, replay_allowed(mask, action), action, odds, reward, reward > 0, none, none, state, items, mask
    )  # fmt: skip
    return rows, float(chance.mean())


LIVING: dict[str, tuple[Callable[[], Algorithm], Exploration]] = {
    "linucb": (lambda: LinUcb(LinUcbConfig(D, 1, alpha=0.5)), Exploration(1e-6, 0.0)),
    "neural-linear": (
        lambda: NeuralLinear(NeuralLinearConfig(TOWERS, Pace(1e-2, follow=0.2), draws=64)),
        Exploration(1.0, 0.0),
    ),
    "ensemble-thompson": (  # ten heads on one network soon agree: they need the sampler's even share
        lambda: EnsembleThompson(EnsembleThompsonConfig(TOWERS, Pace(1e-2, follow=0.2))),
        Exploration(1.0, 0.05),
    ),
}


@pytest.mark.parametrize("name", LIVING)
def test_what_a_user_wants_is_learned_from_what_was_shown(name):
    make, explore = LIVING[name]
    made, rng, got = make(), np.random.default_rng(0), []
    for _ in range(120):
        rows, chance = visits(made.policy, rng, explore)
        made.update(rows)
        got.append(chance)
    best = np.mean([(1 / (1 + np.exp(-2 * side * OFFERED[:, 0]))).max() for side in (-1, 1)])
    assert got[0] < 0.75 * best and np.mean(got[-20:]) > 0.95 * best, (got[0], np.mean(got[-20:]), best)


def test_who_decides_differently_has_another_version():
    """The log names a policy by its version, and is read with the policy of that name: the same arrays are not enough."""
    terms, heads = (
        NeuralLinear(NeuralLinearConfig(TOWERS, draws=4)).policy,
        EnsembleThompson(EnsembleThompsonConfig(TOWERS)).policy,
    )
    draws = np.ones((3, size(D, F)), np.float32)
    pairs: list[list[Any]] = [
        [LinUcb(LinUcbConfig(D, F, alpha=alpha)).policy for alpha in (1.0, 2.0)],
        [KernelUcb(KernelUcbConfig(D, F, alpha=alpha)).policy for alpha in (1.0, 2.0)],
        [KernelUcb(KernelUcbConfig(D, F, prior=prior)).policy for prior in (1.0, 2.0)],
        [LinearThompsonPolicy(LinearThompsonConfig(D, F, smoothing=s), draws) for s in (0.1, 0.2)],
        [type(terms)({**terms.about(), "smoothing": s}, terms.state_dict()) for s in (0.1, 0.2)],
        [type(heads)({**heads.about(), "smoothing": s}, heads.state_dict()) for s in (0.1, 0.2)],
    ]
    for one, other in pairs:
        assert one.version != other.version, one.version
    assert terms.version == type(terms)(terms.about(), terms.state_dict()).version


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: LinUcbConfig(0), "LinUcbConfig"),
        (lambda: LinUcbConfig(3, alpha=-1.0), "LinUcbConfig"),
        (lambda: KernelUcbConfig(3, rows=0), "KernelUcbConfig"),
        (lambda: NeuralLinearConfig(TOWERS, noise=0.0), "NeuralLinearConfig"),
        (lambda: LinearThompsonConfig(3, smoothing=1.0), "LinearThompsonConfig"),
        (lambda: NeuralLinearConfig(TOWERS, smoothing=0.0), "NeuralLinearConfig"),
        (lambda: EnsembleThompsonConfig(TOWERS, smoothing=1.0), "EnsembleThompsonConfig"),
        (lambda: NeuralLinearConfig(TOWERS, window=0), "NeuralLinearConfig"),
        (lambda: EnsembleThompsonConfig(TOWERS, heads=0), "EnsembleThompsonConfig"),
        (lambda: EnsembleThompsonConfig(TOWERS, spread=-0.1), "EnsembleThompsonConfig"),
    ],
)
def test_what_cannot_be_is_refused(make, match):
    with pytest.raises(ConfigError, match=match):
        make()
