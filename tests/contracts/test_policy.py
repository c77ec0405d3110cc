"""The contract of Policy, run on every implementation. A new one adds a line to POLICIES."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompsonConfig, LinearThompsonPolicy
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.towers import Towers, TowersConfig
from longgame.algorithms.wolpertinger import WolpertingerPolicy
from longgame.arrays import Batch, State
from longgame.artefacts import load, save
from longgame.errors import ArtefactError, ConfigError
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.protocols import Policy
from longgame.wiring.parts import load_policy
from tests.kit import B, C, D, F, T, batch

NETWORK = NetworkConfig(D, F, hidden=8, steps=T)
PAIRED = NetworkConfig(D, F, hidden=8, steps=T, pairs=((0, 1), (-1, 2)))


def network(seed: int, config: NetworkConfig = NETWORK) -> NetworkPolicy:
    arrays = {name: value + 0.1 for name, value in to_arrays(UserNetwork(config, seed)).items()}  # no zeros anywhere
    return NetworkPolicy(config, arrays)


def thompson(seed: int) -> LinearThompsonPolicy:
    config = LinearThompsonConfig(D, F, draws=33)
    return LinearThompsonPolicy(config, np.random.default_rng(seed).standard_normal((33, config.size)).astype(np.float32))


def wolpertinger(seed: int) -> WolpertingerPolicy:
    towers = TowersConfig(D, F, hidden=8)
    nets = (("actor", Towers(towers, seed)), ("critic", Towers(towers, seed + 9)))
    arrays = {f"{part}.{name}": value + 0.1 for part, net in nets for name, value in to_arrays(net).items()}
    return WolpertingerPolicy({"name": "td3", "network": vars(towers), "near": 0.5, "slots": 2}, arrays)


POLICIES: dict[str, Callable[[int], Policy]] = {
    "rank": lambda seed: RankPolicy(1.0 + seed),
    "network": network,
    "network with pairs": lambda seed: network(seed, PAIRED),
    "linear-thompson": thompson,
    "wolpertinger": wolpertinger,
}
BY_PLACE = {"rank"}
"""Policies that mean the place of a candidate and not the candidate."""


@pytest.fixture(params=POLICIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def policy(name: str) -> Policy:
    return POLICIES[name](0)


def row_of(state: State, i: int) -> State:
    return State(state.history[i, None], state.items[i, None], state.context[i, None])


def scores(policy: Policy, rows: Batch) -> np.ndarray:
    return policy.score(rows.state, rows.items, rows.mask)


def test_one_finite_score_a_candidate(policy: Policy) -> None:
    rows = batch()
    got = scores(policy, rows)
    assert got.shape == (B, C) and got.dtype == np.float32
    assert np.isfinite(got[rows.mask]).all()
    assert got[0].std() > 0, "a policy that likes all alike shows nothing"


def test_scoring_changes_nothing(policy: Policy) -> None:
    rows, again = batch(), batch()
    first, version = scores(policy, rows), policy.version
    np.testing.assert_array_equal(scores(policy, rows), first)
    assert policy.version == version
    for held, was in ((rows.items, again.items), (rows.mask, again.mask), (rows.state.history, again.state.history)):
        np.testing.assert_array_equal(held, was)


def test_scores_follow_their_candidate(name: str, policy: Policy) -> None:
    rows, order = batch(whole=True), np.array([3, 1, 4, 0, 2])
    moved = policy.score(rows.state, rows.items[:, order], rows.mask[:, order])
    expected = scores(policy, rows) if name in BY_PLACE else scores(policy, rows)[:, order]
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_a_row_does_not_know_its_neighbours(policy: Policy) -> None:
    rows = batch()
    together = scores(policy, rows)
    for i in range(B):
        state = row_of(rows.state, i)
        alone = policy.score(state, rows.items[i, None], rows.mask[i, None])
        np.testing.assert_allclose(alone[rows.mask[i, None]], together[i][rows.mask[i]], atol=1e-5)


def test_padding_says_nothing(policy: Policy) -> None:
    """Whatever stands under the mask, the odds of the rest against each other stay the same."""
    rows = batch()
    junk = np.where(rows.mask[:, :, None], rows.items, np.float32(50.0))
    short, other = scores(policy, rows), policy.score(rows.state, junk, rows.mask)
    for i in range(B):
        mask, n = rows.mask[i], int(rows.mask[i].sum())
        np.testing.assert_allclose(other[i][mask], short[i][mask], atol=1e-5)
        state = row_of(rows.state, i)
        cut = policy.score(state, rows.items[i, None, :n], rows.mask[i, None, :n])[0]
        np.testing.assert_allclose(cut - cut[0], short[i][mask] - short[i][0], atol=1e-5)


def test_one_set_of_candidates_for_all_is_the_same_as_copies(policy: Policy) -> None:
    rows = batch(whole=True)
    shared = np.broadcast_to(rows.items[2], (B, C, D))
    np.testing.assert_allclose(
        policy.score(rows.state, shared, rows.mask), policy.score(rows.state, shared.copy(), rows.mask), atol=1e-5
    )


def test_it_can_be_rebuilt_from_what_it_says_of_itself(policy: Policy, tmp_path) -> None:
    rows, path = batch(), tmp_path / "policy.safetensors"
    save(path, policy.state_dict(), policy.about())
    for again in (load_policy(policy.state_dict(), json.loads(json.dumps(policy.about()))), load_policy(*load(path))):
        assert again.version == policy.version
        np.testing.assert_array_equal(scores(again, rows), scores(policy, rows))


def test_other_contents_have_another_version(name: str) -> None:
    one, same, other = (POLICIES[name](seed) for seed in (0, 0, 1))
    assert one.version == same.version != other.version


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ArtefactError, match="kind 'oracle'"):
        load_policy({}, {"kind": "oracle"})


def test_rank_follows_the_order_of_those_that_are_there() -> None:
    rows = batch()
    mask = np.array([[False, True, False, True, True]])
    got = RankPolicy(2.0).score(rows.state, rows.items[:1], mask)[0]
    np.testing.assert_allclose(got[mask[0]], -2 * np.log([1, 2, 3]), rtol=1e-6)
    with pytest.raises(ConfigError, match="sharpness"):
        RankPolicy(-1.0)


def test_a_network_of_another_shape_is_refused() -> None:
    arrays = to_arrays(UserNetwork(NETWORK))
    with pytest.raises(ArtefactError, match=r"item\.weight must have shape \(8, 3\), got nothing"):
        NetworkPolicy(NETWORK, {k: v for k, v in arrays.items() if k != "item.weight"})
    with pytest.raises(ArtefactError, match=r"item\.weight must have shape"):
        NetworkPolicy(NETWORK, {**arrays, "item.weight": arrays["item.weight"].T})


def test_pairs_add_their_products_to_the_score() -> None:
    rows, arrays = batch(whole=True), to_arrays(UserNetwork(PAIRED))
    without = NetworkPolicy(NETWORK, {name: value for name, value in arrays.items() if name != "match"})
    arrays["match"] = np.array([3.0, -0.5], np.float32)
    more = 3.0 * rows.state.context[:, :1] * rows.items[..., 1] - 0.5 * rows.items[..., 2]
    np.testing.assert_allclose(scores(NetworkPolicy(PAIRED, arrays), rows), scores(without, rows) + more, rtol=1e-4, atol=1e-5)
    for pair in ((1, 0), (-2, 0), (0, 3), (0, -1)):
        with pytest.raises(ConfigError, match="pairs: must be columns of a context of 1 and of item vectors of 3"):
            NetworkConfig(D, F, hidden=8, steps=T, pairs=(pair,))


def test_the_network_does_not_keep_the_arrays_it_was_given() -> None:
    arrays = to_arrays(UserNetwork(NETWORK))
    policy = NetworkPolicy(NETWORK, arrays)
    before = scores(policy, batch())
    for value in arrays.values():
        value[:] = 0
    for value in policy.state_dict().values():
        value[:] = 0
    np.testing.assert_array_equal(scores(policy, batch()), before)


def test_thompson_prefers_an_item_as_often_as_it_is_best() -> None:
    """The softmax of the scores is the share of draws an item wins; items alike share theirs."""
    rows, config = batch(whole=True), LinearThompsonConfig(D, F, draws=999, smoothing=1e-6)
    draws = np.random.default_rng(1).standard_normal((999, config.size)).astype(np.float32)
    items = rows.items.copy()
    items[:, 4] = items[:, 1]
    p = np.exp(LinearThompsonPolicy(config, draws).score(rows.state, items, rows.mask))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(p[:, 4], p[:, 1], rtol=1e-3)
    taste = np.stack(
        [h[s].mean(axis=0) if s.any() else h[0] * 0 for h, s in zip(rows.state.history, rows.state.present, strict=True)]
    )
    for i in range(B):
        x = np.concatenate([np.ones((C, 1)), items[i], items[i] * taste[i], items[i] * rows.state.context[i, 0]], axis=1)
        best = (draws @ x[:4].T).argmax(axis=1)
        np.testing.assert_allclose(p[i, :4] + p[i, 4] * (np.arange(4) == 1), np.bincount(best, minlength=4) / 999, atol=2e-3)
