"""The contract of Algorithm, run on every implementation, and what each of them must learn.

A new one adds a line to ALGORITHMS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from longgame.algorithms.a2c import A2c, A2cConfig
from longgame.algorithms.bcq import Bcq, BcqConfig
from longgame.algorithms.committee import Committee, CommitteeConfig
from longgame.algorithms.critic import AnyNetworkConfig, Pace
from longgame.algorithms.decision_transformer import DecisionTransformer, DecisionTransformerConfig
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.drn import Drn, DrnConfig
from longgame.algorithms.ensemble_thompson import EnsembleThompson, EnsembleThompsonConfig
from longgame.algorithms.grpo import Grpo, GrpoConfig
from longgame.algorithms.iql import Iql, IqlConfig
from longgame.algorithms.kernel_ucb import KernelUcb, KernelUcbConfig
from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.linucb import LinUcb, LinUcbConfig
from longgame.algorithms.neural_linear import NeuralLinear, NeuralLinearConfig
from longgame.algorithms.ppo import Ppo, PpoConfig
from longgame.algorithms.reinforce import Reinforce, ReinforceConfig
from longgame.algorithms.robust import Clipped
from longgame.algorithms.sac import Sac, SacConfig
from longgame.algorithms.slateq import SlateQ, SlateQConfig
from longgame.algorithms.tabular import Tabular, TabularConfig
from longgame.algorithms.towers import TowersConfig
from longgame.algorithms.wolpertinger import Wolpertinger, WolpertingerConfig
from longgame.arrays import Batch, State
from longgame.artefacts import load, save
from longgame.errors import ArtefactError, ConfigError
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Algorithm, Policy
from longgame.slate import Exploration, pick_probabilities, replay_allowed, sample_slates
from longgame.wiring.parts import load_policy
from tests.kit import B, C, D, F, K, T, batch

NETWORK = NetworkConfig(D, F, hidden=8, steps=T)
UNIFORM, NEARLY = Exploration(1.0, 1.0), Exploration(1.0, 0.05)


def reinforce(network: NetworkConfig = NETWORK, /, **more: object) -> Reinforce:
    """A learner that begins without a preference: one that begins with a strong one takes long to change its mind."""
    settings = {"learning_rate": 2e-2, "entropy": 0.0, "average": 0.5, **more}
    return Reinforce(ReinforceConfig(network, **settings), indifferent(network))  # type: ignore[arg-type]


def indifferent(network: NetworkConfig) -> dict[str, np.ndarray]:
    """Where a network begins that prefers hardly anything."""
    start = to_arrays(UserNetwork(network))
    start["item.weight"] *= 0.02
    return start


TOWERS = TowersConfig(D, F, hidden=8)
FAST = Pace(2e-2, follow=0.5)


def dqn(**more: object) -> Dqn:
    return Dqn(DqnConfig(**{"network": TOWERS, "pace": FAST, **more}))  # type: ignore[arg-type]


def committee(**more: object) -> Committee:
    return Committee(CommitteeConfig(dqn(**more).config, critics=3, caution=0.5))


def slateq(**more: object) -> SlateQ:
    return SlateQ(SlateQConfig(**{"network": TOWERS, "slots": K, "pace": FAST, **more}))  # type: ignore[arg-type]


def neural(network: AnyNetworkConfig) -> NeuralLinear:
    return NeuralLinear(NeuralLinearConfig(network, FAST, draws=65))


def ensemble(network: AnyNetworkConfig, ahead: bool = True) -> EnsembleThompson:
    return EnsembleThompson(EnsembleThompsonConfig(network, FAST, heads=9, ahead=ahead))


def a2c(**more: object) -> A2c:
    return A2c(A2cConfig(**{"network": TOWERS, "pace": FAST, "critic": FAST, "entropy": 0.0, **more}))  # type: ignore[arg-type]


def ppo(**more: object) -> Ppo:
    """With a clip that lets the bandit's policy leave the log that it learns from."""
    return Ppo(PpoConfig(**{"network": TOWERS, "pace": FAST, "critic": FAST, "entropy": 0.0, "clip": 9.0, **more}))  # type: ignore[arg-type]


def sac(network: NetworkConfig | TowersConfig = TOWERS, **more: object) -> Sac:
    settings = {"pace": FAST, "actor": FAST, "undecided": 0.1, **more}
    start = indifferent(network) if isinstance(network, NetworkConfig) else None
    return Sac(SacConfig(network, **settings), start)  # type: ignore[arg-type]


def grpo(network: NetworkConfig | TowersConfig = TOWERS, **more: object) -> Grpo:
    start = indifferent(network) if isinstance(network, NetworkConfig) else None
    return Grpo(GrpoConfig(network, **{"pace": FAST, "group": 8, **more}), start)  # type: ignore[arg-type]


def td3(**more: object) -> Wolpertinger:
    return Wolpertinger(WolpertingerConfig(**{"network": TOWERS, "pace": FAST, "actor": FAST, **more}))  # type: ignore[arg-type]


ALGORITHMS: dict[str, Callable[[], Algorithm]] = {
    "dqn": dqn,
    "dqn, neither double nor dueling": lambda: dqn(double=False, dueling=False, network=NETWORK),
    "sarsa": lambda: dqn(sarsa=Exploration(0.5, 0.1)),
    "cql": lambda: dqn(conservative=1.0, scale=3.0),
    "dqn, pushed": lambda: dqn(push=0.1),
    "cql, pushed, on attention": lambda: dqn(push=0.1, conservative=0.5, network=NETWORK),
    "dqn, clipped": lambda: Clipped(dqn(), 1.5),
    "dqn, several critics": lambda: committee(dueling=False),
    "sarsa, several critics on attention": lambda: committee(sarsa=Exploration(0.5, 0.1), network=NETWORK),
    "slateq": slateq,
    "slateq, greedy": lambda: slateq(way="greedy", network=NETWORK),
    "slateq, top": lambda: slateq(way="top", double=False, scale=3.0),
    "reinforce": reinforce,
    "reinforce with a trace": lambda: reinforce(trace=0.3, credit_responses=False),
    "reinforce, myopic": lambda: reinforce(discount_future=False),
    "reinforce with pairs": lambda: reinforce(NetworkConfig(D, F, hidden=8, steps=T, pairs=((0, 1), (-1, 2)))),
    "reinforce, free": lambda: reinforce(trust=0.0),
    "linear-thompson": lambda: LinearThompson(LinearThompsonConfig(D, F, draws=65)),
    "linear-thompson without products": lambda: LinearThompson(LinearThompsonConfig(D, F, draws=65, products=False)),
    "linucb": lambda: LinUcb(LinUcbConfig(D, F)),
    "linucb, without products": lambda: LinUcb(LinUcbConfig(D, F, products=False)),
    "kernel-ucb": lambda: KernelUcb(KernelUcbConfig(D, F, rows=999)),
    "kernel-ucb, that forgets": lambda: KernelUcb(KernelUcbConfig(D, F, rows=150)),
    "neural-linear": lambda: neural(TOWERS),
    "neural-linear, on attention": lambda: neural(NETWORK),
    "ensemble-thompson": lambda: ensemble(TOWERS),
    "ensemble-thompson, on attention": lambda: ensemble(NETWORK, ahead=False),
    "grpo": grpo,
    "grpo, held and passed": lambda: grpo(network=NETWORK, beta=0.01, passes=2, slots=2, scale=3.0),
    "sac": sac,
    "sac, together and waiting": lambda: sac(network=NETWORK, together=True, wait=2, scale=3.0),
    "sac, dropped": lambda: sac(network=NetworkConfig(D, F, hidden=8, steps=T, dropout=0.1), scale=3.0),
    "td3": td3,
    "td3, together and waiting": lambda: td3(network=NETWORK, together=True, wait=2, near=0.7, scale=3.0),
    "ddpg": lambda: Wolpertinger(WolpertingerConfig.ddpg(TOWERS, pace=FAST, actor=FAST, near=1.0)),
    "a2c": a2c,
    "a2c, capped otherwise": lambda: a2c(network=NETWORK, cap=4.0, scale=3.0),
    "ppo": ppo,
    "ppo with pairs": lambda: ppo(network=NetworkConfig(D, F, hidden=8, steps=T, pairs=((0, 1), (-1, 2))), entropy=1e-3),
    "tabular-q": lambda: Tabular(TabularConfig(D, F, states=7, groups=9)),
    "tabular-sarsa": lambda: Tabular(TabularConfig(D, F, states=7, groups=9, sarsa=Exploration(0.5, 0.1))),
    "iql": lambda: Iql(IqlConfig(TOWERS, FAST, beta=10.0)),
    "iql, on attention": lambda: Iql(IqlConfig(NETWORK, FAST, beta=30.0, scale=3.0)),
    "bcq": lambda: Bcq(BcqConfig(TOWERS, FAST, threshold=0.1)),
    "bcq, on attention": lambda: Bcq(BcqConfig(NETWORK, FAST, threshold=0.0, scale=3.0)),
    "decision-transformer": lambda: DecisionTransformer(DecisionTransformerConfig(NETWORK, FAST)),
    "decision-transformer, on towers": lambda: DecisionTransformer(DecisionTransformerConfig(TOWERS, FAST)),
    "drn": lambda: Drn(DrnConfig(TOWERS, FAST)),
    "drn, on attention": lambda: Drn(DrnConfig(NETWORK, FAST)),
}


@pytest.fixture(params=ALGORITHMS)
def make(request: pytest.FixtureRequest) -> Callable[[], Algorithm]:
    return ALGORITHMS[request.param]


def scores(policy: Policy, rows: Batch) -> np.ndarray:
    return policy.score(rows.state, rows.items, rows.mask)


def learned(made: Algorithm, seeds: range) -> Algorithm:
    for seed in seeds:
        made.update(batch(seed))
    return made


def same(one: Algorithm, two: Algorithm) -> None:
    """Bit for bit: what they hand out and what they would go on from."""
    assert one.policy.version == two.policy.version
    np.testing.assert_array_equal(scores(one.policy, batch(99)), scores(two.policy, batch(99)))
    a, b = one.state_dict(), two.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(np.ravel(a[name]), np.ravel(b[name]), err_msg=name)


def test_scores_and_metrics_are_finite_whatever_the_sizes(make: Callable[[], Algorithm]) -> None:
    made = make()
    for b, c, k in ((B, C, K), (1, C, K), (B, 2, 3), (B, 9, 1), (3, C, 4)):
        metrics = made.update(batch(3, b, c, k))
        assert metrics and all(isinstance(v, float) and np.isfinite(v) for v in metrics.values()), (b, c, k, metrics)
        rows = batch(4, b, c, k)
        assert np.isfinite(scores(made.policy, rows)[rows.mask]).all()


def empty(rows: Batch) -> Batch:
    action = np.full_like(rows.action, -1)
    zeros = np.zeros_like(rows.reward)
    return replace(
        rows, action=action, propensity=np.ones_like(rows.propensity), reward=zeros, response=zeros > 0, allowed=rows.allowed
    )


HARD = {
    "empty slates": lambda rows: empty(rows),
    "nothing but zero": lambda rows: replace(
        rows, reward=rows.reward * 0, future=rows.future * 0, response=rows.response & False
    ),
    "all alike": lambda rows: replace(rows, reward=rows.reward * 0 + np.float32(0.1), future=rows.future * 0 + 3),
    "large rewards": lambda rows: replace(rows, reward=rows.reward * np.float32(1e6), future=rows.future * np.float32(1e7)),
    "tiny propensities": lambda rows: replace(rows, propensity=np.where(rows.action >= 0, 1e-12, 1.0)),
    "large vectors": lambda rows: replace(rows, items=rows.items * np.float32(300)),
    "nobody has a history": lambda rows: replace(
        rows, state=State(rows.state.history * 0, np.full_like(rows.state.items, -1), rows.state.context)
    ),
}


@pytest.mark.parametrize("hard", HARD.values(), ids=HARD)
def test_no_batch_makes_a_nan(make: Callable[[], Algorithm], hard: Callable[[Batch], Batch]) -> None:
    made = make()
    for seed in range(4):
        metrics = made.update(hard(batch(seed)))
        assert np.isfinite(list(metrics.values())).all(), metrics
    rows = batch(9)
    assert np.isfinite(scores(made.policy, rows)[rows.mask]).all()
    assert all(np.isfinite(a).all() for a in made.state_dict().values())


def test_an_update_changes_no_batch(make: Callable[[], Algorithm]) -> None:
    rows, again = batch(1), batch(1)
    make().update(rows)
    for name, value in vars(again).items():
        for part in ("history", "items", "context") if isinstance(value, State) else [""]:
            held, was = (getattr(b, part) if part else b for b in (getattr(rows, name), value))
            np.testing.assert_array_equal(held, was, err_msg=f"{name} {part}")


def test_padding_teaches_nothing(make: Callable[[], Algorithm]) -> None:
    one, two = make(), make()
    for seed in range(3):
        rows = batch(seed)
        one.update(rows)
        two.update(replace(rows, items=np.where(rows.mask[:, :, None], rows.items, np.float32(7.0))))
    np.testing.assert_allclose(scores(one.policy, batch(9)), scores(two.policy, batch(9)), atol=1e-4)


def test_learned_scores_follow_their_candidate(make: Callable[[], Algorithm]) -> None:
    policy, rows, order = learned(make(), range(3)).policy, batch(9, whole=True), np.array([3, 1, 4, 0, 2])
    moved = policy.score(rows.state, rows.items[:, order], rows.mask)
    np.testing.assert_allclose(moved, scores(policy, rows)[:, order], atol=1e-5)


def test_learning_does_not_depend_on_the_order_of_candidates(make: Callable[[], Algorithm]) -> None:
    one, two, order = make(), make(), np.array([3, 1, 4, 0, 2])
    for seed in range(2):
        rows = batch(seed, whole=True)
        one.update(rows)
        two.update(
            replace(rows, items=rows.items[:, order], allowed=rows.allowed[:, :, order], action=np.argsort(order)[rows.action])
        )
    a, b = (scores(made.policy, batch(9)) for made in (one, two))
    np.testing.assert_allclose(a - a[:, :1], b - b[:, :1], atol=2e-3)


def test_the_same_batches_make_the_same_policy(make: Callable[[], Algorithm]) -> None:
    same(learned(make(), range(3)), learned(make(), range(3)))
    assert learned(make(), range(3)).policy.version != learned(make(), range(2)).policy.version


@pytest.mark.parametrize("stop", [0, 1, 3])
@pytest.mark.parametrize("disk", [False, True])
def test_resuming_is_the_same_as_never_stopping(make: Callable[[], Algorithm], stop: int, disk: bool, tmp_path) -> None:
    straight, first, resumed = learned(make(), range(5)), learned(make(), range(stop)), learned(make(), range(7, 8))
    state = first.state_dict()
    if disk:
        save(tmp_path / "a.safetensors", state, {})
        state = load(tmp_path / "a.safetensors")[0]
    resumed.load_state_dict(state)
    same(learned(resumed, range(stop, 5)), straight)


def test_a_policy_in_hand_does_not_move(make: Callable[[], Algorithm]) -> None:
    made = learned(make(), range(1))
    held, rows = made.policy, batch(9)
    before, version = scores(held, rows), held.version
    arrays = {name: value.copy() for name, value in held.state_dict().items()}
    learned(made, range(1, 3))
    np.testing.assert_array_equal(scores(held, rows), before)
    assert held.version == version != made.policy.version
    for name, value in held.state_dict().items():
        np.testing.assert_array_equal(value, arrays[name])


def test_the_state_is_a_copy_both_ways(make: Callable[[], Algorithm]) -> None:
    made = learned(make(), range(2))
    state = made.state_dict()
    kept = {name: value.copy() for name, value in state.items()}
    learned(made, range(2, 4))
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name], err_msg=f"{name} moved with the algorithm")
    other = make()
    other.load_state_dict(state)
    for value in state.values():
        value[...] = 0
    same(other, learned(make(), range(2)))
    state = other.state_dict()
    for value in state.values():
        value[...] = 0
    same(other, learned(make(), range(2)))


def test_a_state_of_another_shape_is_refused(make: Callable[[], Algorithm]) -> None:
    made = learned(make(), range(2))
    state, fresh = dict(made.state_dict()), make()
    learnable = [n for n in state if not n.startswith("optimizer.") and n != "scale"]
    for name in learnable:
        with pytest.raises(ArtefactError, match="must have shape"):
            fresh.load_state_dict({**state, name: np.zeros((2, 17))})
        with pytest.raises(ArtefactError, match="got nothing"):
            fresh.load_state_dict({n: v for n, v in state.items() if n != name})


def test_the_policy_survives_its_own_description(make: Callable[[], Algorithm]) -> None:
    policy = learned(make(), range(2)).policy
    again = load_policy(policy.state_dict(), policy.about())
    assert again.version == policy.version
    np.testing.assert_array_equal(scores(again, batch(9)), scores(policy, batch(9)))


# What they must learn. A bandit whose truth is known: five items, each with its own chance of a reward.

ITEMS = np.random.default_rng(3).standard_normal((C, D)).astype(np.float32)
CHANCE = np.array([0.1, 0.5, 0.35, 0.9, 0.2])


def bandit(seed: int, logging: np.ndarray | None = None, b: int = 256, k: int = K) -> Batch:
    """Rows of the bandit, drawn by the policy with log-preferences ``logging`` (C,)."""
    rng, mask = np.random.default_rng(seed), np.ones((b, C), np.bool_)
    liked = np.zeros((b, C), np.float32) if logging is None else np.tile(logging.astype(np.float32), (b, 1))
    action, odds = sample_slates(liked, mask, k, NEARLY, rng.random((b, k)))
    reward = (rng.random((b, k)) < CHANCE[action]).astype(np.float32)
    zeros = np.zeros(b, np.float32)
    state = State(np.zeros((b, T, D), np.float32), np.full((b, T), -1), np.zeros((b, F), np.float32))
    vectors = np.broadcast_to(ITEMS, (b, C, D))
    return Batch(
        state=state,
        items=vectors,
        mask=mask,
        allowed=replay_allowed(mask, action),
        action=action,
        propensity=odds,
        reward=reward,
        response=reward > 0,
        future=zeros,
        discount=zeros,
        next_state=state,
        next_items=vectors,
        next_mask=mask,
    )


VALUES = ("dqn", "sarsa", "cql", "slateq", "linucb", "td3", "ddpg", "kernel", "tabular", "bcq", "decision")
"""Versions of policies whose scores are values."""


def share(policy: Policy, rows: Batch) -> np.ndarray:
    """(C,) how the policy divides its first slot. Values, in units of the reward, are drawn by at a low temperature."""
    temperature = 0.05 if policy.version.startswith(VALUES) else 1.0
    p: np.ndarray = pick_probabilities(scores(policy, rows), rows.mask, Exploration(temperature, 0.0)).mean(axis=0)
    return p


def test_the_best_item_is_found(make: Callable[[], Algorithm]) -> None:
    made = make()
    for seed in range(60):
        made.update(bandit(seed))
    p = share(made.policy, bandit(0))
    assert p.argmax() == CHANCE.argmax()
    assert p @ CHANCE > CHANCE.mean() + 0.3, p


TRAP = np.array([-1.0, 3.5, 0.0, -1.5, 0.0])  # shows the second best item nine times in ten and the best hardly ever


@pytest.mark.parametrize("name", ["reinforce, free", "linear-thompson"])
def test_the_optimum_does_not_depend_on_who_wrote_the_log(name: str) -> None:
    for logging in (TRAP, -TRAP):
        made = ALGORITHMS[name]()
        for seed in range(80):
            made.update(bandit(seed, logging))
        p = share(made.policy, bandit(0))
        assert p.argmax() == CHANCE.argmax() and p @ CHANCE > 0.7, (logging, p)


def first_step(logging: np.ndarray, propensity: float = 0.0) -> np.ndarray:
    """(C,) where one update on a large log moves the scores; ``propensity`` is told instead of the true ones."""
    made = reinforce(ratio_cap=1e6, learning_rate=1e-4, average=0.0, trust=0.0)
    rows, few = bandit(0, logging, 30_000, 1), bandit(0, b=1)
    if propensity:
        rows = replace(rows, propensity=np.full_like(rows.propensity, propensity))
    before = scores(made.policy, few)[0]
    made.update(rows)
    moved = scores(made.policy, few)[0] - before
    centred: np.ndarray = moved - moved.mean()
    return centred


def test_the_gradient_is_that_of_the_policy_whoever_wrote_the_log() -> None:
    """Two logs that have little in common move REINFORCE the same way, and only with their true propensities."""
    one, two = first_step(TRAP), first_step(-TRAP)
    np.testing.assert_allclose(one, two, atol=0.05 * float(abs(one).max()))
    assert np.corrcoef(first_step(TRAP, 1 / C), first_step(-TRAP, 1 / C))[0, 1] < 0.5


def test_with_trust_the_policy_stays_near_the_log() -> None:
    """Nothing is made more than a few times likelier than it was in the log, and still the best is made likelier."""
    mask = np.ones(C, np.bool_)
    log = pick_probabilities(TRAP.astype(np.float32), mask, NEARLY)
    made = reinforce(trust=1.0, top_k=1)
    for seed in range(150):
        made.update(bandit(seed, TRAP, k=1))
    ratio = pick_probabilities(scores(made.policy, bandit(0, b=1)), mask[None], NEARLY)[0] / log
    assert 1.3 < ratio[CHANCE.argmax()] < 4.0 and ratio.max() < 4.0, ratio


def two_steps(seed: int) -> Batch:
    """Item 0 pays 1 now and that is all; item 1 pays nothing now and leads to 3; the rest bring nothing."""
    rows = bandit(seed, k=1)
    first, later = rows.action[:, 0] == 0, (rows.action[:, 0] == 1).astype(np.float32)
    reward, every = first[:, None].astype(np.float32), np.ones_like(rows.response)
    return replace(rows, reward=reward, response=every, future=3 * later, discount=np.float32(0.9) * later)


@pytest.mark.parametrize("credit_responses", [True, False])
def test_the_future_counts_unless_it_is_told_not_to(credit_responses: bool) -> None:
    best = {}
    for ahead in (True, False):
        made = reinforce(discount_future=ahead, credit_responses=credit_responses)
        for seed in range(60):
            made.update(two_steps(seed))
        best[ahead] = share(made.policy, bandit(0))
    assert best[True].argmax() == 1 and best[True][1] > 0.7, best
    assert best[False].argmax() == 0 and best[False][0] > 0.7, best


def test_reinforce_starts_where_it_is_told() -> None:
    arrays = to_arrays(UserNetwork(NETWORK, seed=4))
    made = Reinforce(ReinforceConfig(NETWORK), arrays)
    rows = batch()
    expected = load_policy(arrays, {"kind": "network", "name": "reinforce", "network": vars(NETWORK)})
    assert made.policy.version == expected.version
    np.testing.assert_array_equal(scores(made.policy, rows), scores(expected, rows))
    kept = {name: value.copy() for name, value in arrays.items()}
    made.update(rows)
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, kept[name])


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"ratio_cap": 0.0},
        {"top_k": -1},
        {"entropy": -1.0},
        {"trust": -1.0},
        {"trace": 1.1},
        {"average": 1.0},
    ],
)
def test_reinforce_refuses_what_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="ReinforceConfig"):
        reinforce(**wrong)


def design(rows: Batch) -> np.ndarray:
    """The regression that linear Thompson sampling is defined by, written anew: (B, C, P)."""
    x = np.zeros((*rows.mask.shape, 1 + 2 * D + F * D))
    for i, c in np.ndindex(rows.mask.shape):
        item, seen = rows.items[i, c], rows.state.history[i][rows.state.present[i]]
        taste = seen.mean(axis=0) if len(seen) else np.zeros(D)
        x[i, c] = np.concatenate([[1.0], item, item * taste, item * rows.state.context[i, 0]])
    return x


def observed(rows: Batch) -> tuple[np.ndarray, np.ndarray]:
    """What was shown and what it brought: (n, P) and (n,)."""
    i, slot = np.nonzero(rows.action >= 0)
    return design(rows)[i, rows.action[i, slot]], rows.reward[i, slot]


def test_thompson_is_the_posterior_of_a_linear_regression() -> None:
    """Ridge regression in closed form by numpy's least squares, however the rows are cut and in whatever order."""
    config = LinearThompsonConfig(D, F, prior=2.0, noise=0.25, draws=4000)
    one, two = LinearThompson(config), LinearThompson(config)
    for seed in range(4):
        one.update(batch(seed))
    for seed in (3, 1, 0, 2):
        two.update(batch(seed))
    x, y = (np.concatenate(part) for part in zip(*(observed(batch(seed)) for seed in range(4)), strict=True))
    rows, width = len(x), config.size
    ridge = np.vstack([x / 0.25, np.sqrt(2.0) * np.eye(width)])
    mean = np.linalg.lstsq(ridge, np.concatenate([y / 0.25, np.zeros(width)]), rcond=None)[0]
    assert rows > width
    for made in (one, two):
        state = made.state_dict()
        np.testing.assert_allclose(np.linalg.solve(state["precision"], state["moment"]), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state["precision"], ridge.T @ ridge, rtol=1e-5, atol=1e-6)
        draws = made.policy.state_dict()["draws"].astype(float)
        spread = np.sqrt(np.diag(np.linalg.inv(ridge.T @ ridge)))
        assert (abs(draws.mean(axis=0) - mean) < 5 * spread / np.sqrt(4000)).all()
        np.testing.assert_allclose(np.cov(draws.T), np.linalg.inv(ridge.T @ ridge), atol=0.1 * float(spread.max()) ** 2)
    new = batch(9)
    np.testing.assert_allclose(one.predict(new.state, new.items), design(new) @ mean, atol=1e-4)


def test_thompson_picks_an_item_as_often_as_it_is_best_under_the_posterior() -> None:
    made = learned(LinearThompson(LinearThompsonConfig(D, F, draws=4000, smoothing=1e-6)), range(3))
    rows, state = batch(9, whole=True), made.state_dict()
    covariance = np.linalg.inv(state["precision"])
    w = np.random.default_rng(0).multivariate_normal(covariance @ state["moment"], covariance, 20_000)
    p = np.exp(scores(made.policy, rows))
    for i in range(B):
        x = design(rows)[i]
        best = np.bincount((w @ x.T).argmax(axis=1), minlength=C) / len(w)
        np.testing.assert_allclose(p[i], best, atol=0.035)
