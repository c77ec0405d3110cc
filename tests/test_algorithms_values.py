"""Q-learning and SlateQ against cases worked by hand, and the replay that feeds them."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from longgame.algorithms.critic import Pace, network_config, network_of
from longgame.algorithms.dqn import Dqn, DqnConfig, Offered, conservative, expected_slates, values, values_of
from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.neural_linear import NeuralLinear, NeuralLinearConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.reinforce import Reinforce, ReinforceConfig, slot_weights
from longgame.algorithms.slateq import SlateQ, SlateQConfig, _taken, _told, choice_loss
from longgame.algorithms.slates import WAYS, best_value, slate_scores, slate_value
from longgame.algorithms.towers import Towers, TowersConfig
from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.networks import NetworkConfig, UserNetwork
from longgame.simulation import Environment, Replay, Training, draw, train, trial
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.slate import Exploration, pick_probabilities, replay_allowed, slot_marginals
from tests.kit import B, C, D, F, K, batch

TOWERS = TowersConfig(D, F, hidden=8)


def table(seed, b=40, c=6):
    rng = np.random.default_rng(seed)
    mask = rng.random((b, c)) < 0.8
    mask[:, 0] = True
    return np.exp(rng.normal(size=(b, c))), rng.normal(size=(b, c)) * 3, rng.normal(size=b), mask


def by_force(weight, worth, nothing, mask, k):
    """What the best slate of one row is worth, all of them being tried."""
    some = np.flatnonzero(mask)
    slates = combinations(some.tolist(), min(k, len(some)))
    return max((nothing + sum(weight[i] * worth[i] for i in s)) / (1 + sum(weight[i] for i in s)) for s in slates)


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_lp_is_the_best_slate_of_all(k):
    weight, worth, nothing, mask = table(k)
    wanted = [by_force(weight[b], worth[b], nothing[b], mask[b], k) for b in range(40)]
    np.testing.assert_allclose(best_value(weight, worth, nothing, mask, k), wanted, rtol=1e-6)
    scores = slate_scores(weight, worth, nothing, mask, k)
    best = np.argsort(-scores, axis=1)[:, :k]
    np.testing.assert_allclose(slate_value(weight, worth, nothing, best, mask), wanted, rtol=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_greedy_and_top_are_what_they_say_and_never_better(k):
    weight, worth, nothing, mask = table(10 + k)
    best = best_value(weight, worth, nothing, mask, k)
    for way in ("greedy", "top"):
        scores = slate_scores(weight, worth, nothing, mask, k, way)
        slates = np.argsort(-scores, axis=1)[:, :k]
        assert (slate_value(weight, worth, nothing, slates, mask) <= best + 1e-9).all()
    top = np.argsort(-slate_scores(weight, worth, nothing, mask, k, "top"), axis=1)[:, 0]
    np.testing.assert_array_equal(top, np.where(mask, weight * worth, -np.inf).argmax(axis=1))
    first = np.argsort(-slate_scores(weight, worth, nothing, mask, k, "greedy"), axis=1)[:, 0]
    np.testing.assert_array_equal(
        first, np.where(mask, (nothing[:, None] + weight * worth) / (1 + weight), -np.inf).argmax(axis=1)
    )
    with pytest.raises(ConfigError, match="one of lp, greedy, top, got 'best'"):
        slate_scores(weight, worth, nothing, mask, k, "best")
    assert WAYS == ("lp", "greedy", "top")


def test_a_slate_by_hand():
    """Two items with weights 1 and 3 beside none, worth 4 and 2, waiting worth 1: (1 + 4 + 6) / 5."""
    args = (np.array([[1.0, 3.0]]), np.array([[4.0, 2.0]]), np.array([1.0]))
    mask = np.ones((1, 2), np.bool_)
    assert slate_value(*args, np.array([[0, 1]]), mask)[0] == pytest.approx(11 / 5)
    assert slate_value(*args, np.array([[0, 1]]), np.array([[True, False]]))[0] == pytest.approx(5 / 2)
    assert best_value(*args, mask, 1)[0] == pytest.approx(5 / 2), "the item that is liked less and worth more"


def weights(network):
    """Parameters by name, to be set by hand."""
    return dict(network.named_parameters())


def test_dueling_by_hand():
    """The value of the state, and what an item adds less the mean of what is offered."""
    net = Towers(TOWERS, 3)
    rows = batch(0)
    user, items, mask = net.user(rows.state), torch.from_numpy(rows.items), torch.from_numpy(rows.mask)
    with torch.no_grad():
        weights(net)["worth.bias"] += 0.7
        adds, value = net.score(user, items), net.value(user)
        q = values(net, user, items, mask, True)
        for b in range(len(rows)):
            own = adds[b][mask[b]]
            np.testing.assert_allclose(q[b][mask[b]], value[b] + own - own.mean(), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(values(net, user, items, mask, False), adds)


def test_the_conservative_term_by_hand():
    q = torch.tensor([[1.0, 2.0, 50.0], [0.0, 3.0, 1.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    action = torch.tensor([[0, 1], [1, -1]])
    first, second = np.log(np.exp(1) + np.exp(2)), np.log(1 + np.exp(3) + np.exp(1))
    wanted = ((first - 1) + (first - 2) + (second - 3)) / 3
    assert float(conservative(q, mask, action)) == pytest.approx(wanted, rel=1e-5)


def flat(network, value):
    """Makes a network say ``value`` of the state, and nothing of any item."""
    with torch.no_grad():
        for name, parameter in weights(network).items():
            if name.split(".")[0] in ("wants", "appeal", "worth"):
                parameter.zero_()
        weights(network)["worth.bias"] += value


@pytest.mark.parametrize("sarsa", [None, Exploration(1.0, 0.2)])
def test_targets_are_rewards_and_each_slot_s_share_of_what_comes_after(sarsa):
    made = Dqn(DqnConfig(TOWERS, scale=10.0, sarsa=sarsa))
    flat(made._learned.network, 0.5)
    flat(made._learned.target, 0.3)
    rows = replace(batch(1), between=np.linspace(0, 1, B).astype(np.float32))
    filled = rows.action >= 0
    slots = filled.sum(axis=1)
    offered = np.minimum(rows.next_mask.sum(axis=1), slots)
    ahead = (rows.between + rows.discount * 10 * 0.3 * offered) / np.maximum(slots, 1)
    wanted = np.where(filled, rows.reward + ahead[:, None], 0)
    np.testing.assert_allclose(made._targets(rows), wanted, rtol=1e-5)


@pytest.mark.parametrize("sarsa", [None, Exploration(0.5, 0.2)])
def test_targets_do_not_depend_on_who_shares_the_batch(sarsa):
    """A row padded by empty slots, as a batch with a longer slate pads it, has the same targets."""
    made, rows = Dqn(DqnConfig(TOWERS, sarsa=sarsa)), batch(5)
    none = np.full((B, 2), -1)
    wide = replace(
        rows,
        action=np.concatenate([rows.action, none], axis=1),
        propensity=np.concatenate([rows.propensity, np.ones((B, 2))], axis=1),
        reward=np.concatenate([rows.reward, np.zeros((B, 2), np.float32)], axis=1),
        response=np.concatenate([rows.response, none >= 0], axis=1),
        allowed=np.concatenate([rows.allowed, np.zeros((B, 2, rows.mask.shape[1]), np.bool_)], axis=1),
    )
    np.testing.assert_allclose(made._targets(wide)[:, :K], made._targets(rows), rtol=1e-6)
    assert not made._targets(wide)[:, K:].any()


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_values_stay_within_what_rewards_can_add_up_to(together, slots):
    """Every slot of a slate brings 1, for ever, at a discount of .9: an item is worth 10, however long slates are."""
    rng = np.random.default_rng(0)
    made = Dqn(DqnConfig(TowersConfig(2, 0, hidden=16), pace=Pace(1e-2, lasts=2000, follow=0.1), together=together))
    state = State(np.zeros((32, 1, 2), np.float32), np.full((32, 1), -1), np.zeros((32, 0), np.float32))
    mask, ones = np.ones((32, 5), np.bool_), np.ones((32, slots), np.float32)
    for _ in range(2000):
        items = rng.normal(size=(32, 5, 2)).astype(np.float32)
        action = np.stack([rng.permutation(5)[:slots] for _ in range(32)])
        discount, odds = np.full(32, 0.9, np.float32), np.full((32, slots), 0.2)
        told = made.update(
            Batch(
                state, items, mask, replay_allowed(mask, action), action, odds, ones, ones > 0,
                np.zeros(32, np.float32), discount, state, items, mask,
            )
        )  # fmt: skip
    assert told["value"] == pytest.approx(10 * (slots if together else 1), rel=0.1)


@pytest.mark.parametrize("config", [TOWERS, NetworkConfig(D, F, hidden=8)], ids=["towers", "user network"])
def test_a_few_values_are_those_of_all(config):
    """For the product's network too, whose items are not linear in their vectors."""
    network, rows = network_of(config, 3), batch(6)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
        user, offered = network.user(rows.state), Offered(rows.items, rows.mask)
        columns = torch.from_numpy(rows.action)
        every = values(network, user, offered.items, offered.every, True)
        few = values_of(network, user, offered, columns, True)
    filled = rows.action >= 0
    np.testing.assert_allclose(few.numpy()[filled], every.gather(1, columns.clamp(min=0)).numpy()[filled], rtol=1e-4, atol=1e-5)


def test_expected_slates_are_the_draws():
    """The best at a temperature towards 0, anything where all is uniform, one draw exactly, and near to many draws between."""
    rng = np.random.default_rng(1)
    scores, mask = rng.normal(size=(5, 6)), rng.random((5, 6)) < 0.8
    mask[:, :2] = True
    slots = np.array([1, 2, 2, 1, 2])
    best = np.argsort(np.argsort(-np.where(mask, scores, -np.inf), axis=1), axis=1) < slots[:, None]
    np.testing.assert_allclose(expected_slates(scores, mask, slots, Exploration(1e-6, 0.0)), best, atol=1e-9)
    share = np.where(mask, slots[:, None] / mask.sum(axis=1, keepdims=True), 0)
    np.testing.assert_allclose(expected_slates(scores, mask, slots, Exploration(1.0, 1.0)), share, atol=1e-9)
    # between, a mean field: not far from many draws
    explore = Exploration(0.7, 0.1)
    one = expected_slates(scores, mask, np.ones(5, np.int64), explore)
    np.testing.assert_allclose(one, pick_probabilities(scores, mask, explore))
    drawn = slot_marginals(scores, mask, 2, explore, rng, 4000).sum(axis=1)
    np.testing.assert_allclose(expected_slates(scores, mask, np.full(5, 2), explore), drawn, atol=0.16)


def test_together_the_sum_of_a_slate_learns_from_its_own_error_alone():
    """What the loss and its gradient are, from the values before the step; empty slates teach nothing."""
    rows = batch(4)
    action = rows.action.copy()
    action[0] = -1
    rows = replace(rows, action=action)
    made = Dqn(DqnConfig(TOWERS, scale=4.0, together=True, dueling=False))
    net = made._learned.network
    with torch.no_grad():
        q = net.score(net.user(rows.state), torch.from_numpy(rows.items)).numpy()
    filled = action >= 0
    told = (np.take_along_axis(q, np.maximum(action, 0), axis=1) * filled).sum(axis=1)
    error = made._targets(rows).sum(axis=1) / 4.0 - told
    huber = np.where(abs(error) < 1, error**2 / 2, abs(error) - 0.5)
    some = filled.any(axis=1)
    metrics = made.update(rows)
    assert metrics["value_loss"] == pytest.approx(huber[some].mean(), rel=1e-4)
    np.testing.assert_allclose(made.errors, abs(error) * some, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("together", [False, True])
def test_together_an_item_is_credited_with_all_that_it_does_later(together):
    """Two slots; the first number of an item is what it brings after an empty reward: told whole together, else by half."""
    rng = np.random.default_rng(0)
    made = Dqn(DqnConfig(TowersConfig(1, 0, hidden=8), pace=Pace(1e-2, lasts=1500), together=together, dueling=False))
    for _ in range(1500):
        items = rng.normal(size=(64, 4, 1)).astype(np.float32)
        action = np.stack([rng.permutation(4)[:2] for _ in range(64)])
        later = np.take_along_axis(items[..., 0], action, axis=1).sum(axis=1)
        state = State(np.zeros((64, 1, 1), np.float32), np.full((64, 1), -1), np.zeros((64, 0), np.float32))
        mask, none = np.ones((64, 4), np.bool_), np.zeros((64, 2))
        made.update(
            Batch(
                state,
                items,
                mask,
                replay_allowed(mask, action),
                action,
                np.full((64, 2), 0.25),
                none.astype(np.float32),
                none > 0,
                later,
                np.zeros(64, np.float32),
                state,
                items,
                mask,
                later,
            )
        )
    worth = made.policy.score(state, np.tile(np.array([[0.0], [1.0]], np.float32), (64, 1, 1)), np.ones((64, 2), np.bool_))
    assert worth[0, 1] - worth[0, 0] == pytest.approx(1.0 if together else 0.5, abs=0.12)


def test_the_next_item_is_chosen_by_one_network_and_judged_by_the_other():
    made = Dqn(DqnConfig(TOWERS, dueling=False))
    rows = batch(2)
    nets = made._learned.network, made._learned.target
    with torch.no_grad():
        weights(nets[0])["appeal.weight"] += 1.0
        weights(nets[1])["appeal.weight"] -= torch.arange(D) / 3
        one, two = (n.score(n.user(rows.next_state), torch.from_numpy(rows.next_items)).numpy() for n in nets)
    order = np.argsort(-np.where(rows.next_mask, one, -np.inf), axis=1)
    slots = (rows.action >= 0).sum(axis=1)
    after = [sum(two[b, c] for c in order[b][: slots[b]] if rows.next_mask[b, c]) / max(slots[b], 1) for b in range(B)]
    got = np.where(rows.action >= 0, made._targets(rows) - rows.reward, 0.0)
    np.testing.assert_allclose(got, np.where(rows.action >= 0, (rows.discount * after)[:, None], 0.0), rtol=1e-4, atol=1e-5)


def test_the_loss_of_a_choice_by_hand():
    """Odds 2 and 1 beside 1 for nothing; in the last row a slot is empty, and in the second half of each was taken."""
    shown = torch.tensor([[6 * np.arctanh(np.log(2) / 6), 0.0]] * 4)  # log-odds are held within 6
    filled = torch.tensor([[True, True]] * 3 + [[True, False]])
    taken = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0], [1.0, 0.0]])
    chances = [2 / 4, (2 / 4 * 1 / 4) ** 0.5, 1 / 4, 2 / 3]
    assert float(choice_loss(shown, filled, taken)) == pytest.approx(-np.log(chances).mean(), rel=1e-5)


def test_what_a_pick_counts_by_hand():
    """Ratio times K (1 - p)^(K - 1) times advantage; nothing where it is empty or not trusted."""
    ratio, chance = np.array([[0.5, 2.0, 1.0], [3.0, 3.0, 0.2]]), np.array([[0.25, 0.5, 0.5], [0.5, 0.5, 0.5]])
    advantage = np.array([[2.0, -1.0, 1.0], [1.0, -1.0, -1.0]])
    filled = np.array([[True, True, False], [True, True, True]])
    got = slot_weights(ratio, chance, advantage, filled, 2, trust=1.5)  # ratios above 2.5 rise no more, below .4 fall no more
    np.testing.assert_allclose(got, [[0.5 * 1.5 * 2, 2.0 * 1.0 * -1, 0.0], [0.0, -3.0, 0.0]])
    free = slot_weights(ratio, chance, advantage, filled, 1, trust=0.0)
    np.testing.assert_allclose(free, np.where(filled, ratio * advantage, 0.0))


@pytest.mark.parametrize("critics", [1, 2])
def test_slateq_s_target_by_hand(critics):
    """Of what was taken its reward, of nothing none, and after both the best next slate, weighed with the chances."""
    made = SlateQ(SlateQConfig(TOWERS, slots=2, scale=5.0, critics=critics))
    for critic, off in zip(made._values, [-1.0, 1.0] if critics == 2 else [0.0], strict=True):
        for net in (critic.network, critic.target):
            flat(net, 0.4 + off)  # of none
            with torch.no_grad():
                weights(net)["appeal.weight"][0, 0] = 2.0 - off  # on average an item is worth twice its first number
    flat(made._choice.network, 0.0)
    with torch.no_grad():
        weights(made._choice.network)["appeal.weight"][0, 1] = 1.0  # and is taken by its second
    rows = batch(3)
    rows = replace(rows, response=rows.response & (np.arange(B) > 0)[:, None])
    weight, worth = np.exp(6 * np.tanh(rows.next_items[..., 1] / 6)), 2.0 * rows.next_items[..., 0].astype(float)
    after = [by_force(weight[b], worth[b], 0.4, rows.next_mask[b], 2) if rows.next_mask[b].any() else 0.4 for b in range(B)]
    taken = [[k for k in range(K) if rows.response[b, k] and rows.action[b, k] >= 0] for b in range(B)]
    assert {len(some) for some in taken} == {0, 1, 2}, "none, one and several"
    reward = np.where(rows.action >= 0, rows.reward, 0).sum(axis=1)
    np.testing.assert_allclose(made._target(rows), reward + rows.discount * 5 * np.array(after), rtol=1e-4, atol=1e-5)
    taking = _taken(rows.response, rows.action)
    told = np.mean([_told(values.network, rows, taking).detach().numpy() for values in made._values], axis=0)
    for b, some in enumerate(taken):
        wanted = np.mean([2.0 * rows.items[b, rows.action[b, k], 0] for k in some]) if some else 0.4
        assert told[b] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_a_choice_that_was_sure_can_be_unlearned():
    """Everything is thought to be taken, e^8 times as likely as not, and nothing ever is."""
    made = SlateQ(SlateQConfig(TOWERS, slots=2, pace=Pace(2e-2)))
    flat(made._choice.network, 0.0)
    with torch.no_grad():
        weights(made._choice.network)["appeal.bias"] += 8.0
    for seed in range(300):
        rows = batch(seed, 32, C, 2, whole=True)
        last = made.update(replace(rows, response=rows.response & False))["choice_loss"]
    assert last < 0.3, "it began at 6.4"


def test_the_choice_is_learned_from_what_is_taken():
    """A world in which the first number of an item is the logit that it is taken, beside 0 for none."""
    made, rng = SlateQ(SlateQConfig(TOWERS, slots=2, pace=Pace(1e-2))), np.random.default_rng(0)
    for seed in range(250):
        rows = batch(seed, 64, C, 2, whole=True)
        logit = np.take_along_axis(rows.items[..., 0], np.maximum(rows.action, 0), axis=1)
        odds = np.concatenate([np.exp(logit), np.ones((64, 1))], axis=1)
        pick = (rng.random((64, 1)) > np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
        made.update(replace(rows, response=np.arange(2) == pick[:, None]))
    rows = batch(999, 64, C, 2, whole=True)
    net = made._choice.network
    with torch.no_grad():
        told = net.score(net.user(rows.state), torch.from_numpy(rows.items)).numpy()
    assert np.corrcoef(told.ravel(), rows.items[..., 0].ravel())[0, 1] > 0.95
    assert np.polyfit(rows.items[..., 0].ravel(), told.ravel(), 1)[0] == pytest.approx(1.0, abs=0.2)


def test_the_pace_falls_and_the_copy_follows():
    pace = Pace(0.1, lasts=10)
    assert [pace.at(n) for n in (0, 5, 9, 10, 1000)] == pytest.approx([0.1, 0.05, 0.01, 0.005, 0.005])
    assert Pace(0.1).at(10**6) == 0.1
    made = Dqn(DqnConfig(TOWERS, pace=Pace(1e-2, follow=0.25)))
    before = [p.detach().clone() for p in made._learned.target.parameters()]
    made.update(batch(0))
    for was, slow, fast in zip(before, made._learned.target.parameters(), made._learned.network.parameters(), strict=True):
        torch.testing.assert_close(slow, was + 0.25 * (fast.detach() - was))
    for wrong in ({"rate": 0.0}, {"follow": 0.0}, {"follow": 1.5}, {"decay": -1.0}, {"lasts": -1}):
        with pytest.raises(ConfigError, match="Pace"):
            Pace(**wrong)


def test_a_config_names_its_network():
    for config, kind in ((TOWERS, Towers), (NetworkConfig(D, F, hidden=8), UserNetwork)):
        assert isinstance(network_of(config), kind) and network_config(vars(config)) == config
    with pytest.raises(ConfigError, match="TowersConfig"):
        TowersConfig(D, layers=0)
    for make in (
        lambda: DqnConfig(TOWERS, scale=0.0),
        lambda: DqnConfig(TOWERS, conservative=-1.0),
        lambda: SlateQConfig(TOWERS, slots=0),
        lambda: SlateQConfig(TOWERS, 1, scale=0.0),
        lambda: SlateQConfig(TOWERS, 1, way="best"),
    ):
        with pytest.raises(ConfigError, match=r"DqnConfig|SlateQConfig"):
            make()


def test_slates_that_are_looked_for_otherwise_are_another_version():
    """The same weights, other slates."""
    made = [SlateQ(SlateQConfig(TOWERS, slots=slots, way=way)) for slots, way in ((2, "lp"), (3, "lp"), (2, "top"), (2, "lp"))]
    versions = [one.policy.version for one in made]
    assert len(set(versions)) == 3 and versions[0] == versions[3], versions


def test_dropout_is_the_same_for_the_same_seed_and_drops_no_target():
    made = [Dqn(DqnConfig(TowersConfig(D, F, hidden=16, dropout=0.5), seed=2)) for _ in range(2)]
    for number, one in enumerate(made):
        torch.manual_seed(number)
        before = one._targets(batch(0))
        np.testing.assert_array_equal(before, one._targets(batch(0)))
        for seed in range(4):
            one.update(batch(seed))
    assert made[0].policy.version == made[1].policy.version
    plain = Dqn(DqnConfig(TowersConfig(D, F, hidden=16), seed=2))
    for seed in range(4):
        plain.update(batch(seed))
    assert plain.policy.version != made[0].policy.version


# The replay.


def lived(days, capacity=100, ahead=1, priority=0.0, clicks=5, users=7):
    """A life of short sessions, and what was added day by day."""
    env = Environment(LongTermSatisfaction(LongTermSatisfactionConfig(users, 4, 30, clicks=clicks)), 2, steps=3)
    replay = Replay(capacity, users, env.vectors, 0.9, ahead, priority)
    seen, rng, log = env.reset(0), np.random.default_rng(0), []
    for _ in range(days):
        slates, odds = draw(Noise(rng), seen, 2, Exploration(1.0, 0.3), rng)
        step = env.step(slates)
        replay.add(seen, slates, odds, step)
        log.append((seen, slates, odds, step))
        seen = env.observe()
    return replay, log


class Noise:
    version = "noise"

    def __init__(self, rng):
        self._rng = rng

    def score(self, state, items, mask):
        return self._rng.normal(size=mask.shape).astype(np.float32)

    def state_dict(self):
        return {}

    def about(self):
        return {}


@pytest.mark.parametrize(("days", "capacity"), [(13, 100), (33, 9)])
@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_a_batch_is_what_happened(days, capacity, ahead):
    replay, log = lived(days, capacity, ahead)
    found = set()
    rows = replay.draw(400, np.random.default_rng(1))
    kept = range(max(0, days - capacity), days)
    assert len(replay) == sum(day + 1 < days or bool(log[day][3].left[0]) for day in kept) * 7
    for n in range(400):
        context = rows.state.context[n].tobytes()
        day, user = next(
            (d, u)
            for d in kept
            for u in range(7)
            if log[d][0].state.context[u].tobytes() == context
            and (log[d][1][u] == rows.action[n]).all()
            and np.array_equal(log[d][0].items[u], rows.items[n])
        )
        found.add((day, user))
        seen, _, odds, step = log[day]
        np.testing.assert_allclose(rows.propensity[n], odds[user], rtol=1e-6)
        np.testing.assert_array_equal(rows.reward[n], step.reward[user])
        np.testing.assert_array_equal(rows.response[n], step.response[user])
        np.testing.assert_array_equal(rows.state.history[n], seen.state.history[user])
        between, worth, at = 0.0, 1.0, day
        for number in range(ahead):
            if log[at][3].left[user]:
                worth = 0.0
                break
            if at + 1 == days:
                break
            at, worth = at + 1, worth * 0.9
            known = at + 1 < days or log[at][3].left[user]
            if number + 1 < ahead and known:
                between += worth * log[at][3].reward[user].sum()
            else:
                break
        assert rows.between[n] == pytest.approx(between, rel=1e-4)
        assert rows.discount[n] == pytest.approx(worth, rel=1e-6)
        if worth:
            np.testing.assert_array_equal(rows.next_items[n], log[at][0].items[user])
            np.testing.assert_array_equal(rows.next_state.context[n], log[at][0].state.context[user])
    assert len(found) > 0.7 * len(replay)


def test_what_surprised_is_drawn_more_often():
    replay, _ = lived(12, priority=1.0)
    rng = np.random.default_rng(2)
    rows = replay.draw(3000, rng)
    first = rows.items[..., 0].sum(axis=1)
    often = first == first[0]
    replay.learned(np.where(often, 50.0, 0.5))
    share = (replay.draw(3000, rng).items[..., 0].sum(axis=1) == first[0]).mean()
    assert often.mean() < 0.05 and share > 0.4


def test_a_replay_without_outcomes_says_so():
    env = Environment(LongTermSatisfaction(LongTermSatisfactionConfig(3, 4, 30)), 1)
    replay = Replay(5, 3, env.vectors, 0.9)
    assert len(replay) == 0
    with pytest.raises(ConfigError, match="no decision has an outcome"):
        replay.draw(3, np.random.default_rng(0))
    for wrong in ((0, 3, 0.9), (5, 0, 0.9), (5, 3, 1.1)):
        with pytest.raises(ConfigError, match="Replay"):
            Replay(wrong[0], wrong[1], env.vectors, wrong[2])


class Daily(LongTermSatisfaction):
    """Everybody is offered the same, other items each day, the last place being empty."""

    def offered(self):
        first = int(self.clicks.max()) % 7
        return np.broadcast_to(np.array([first, first + 7, first + 14, -1]), (self.users, 4))


def test_what_all_are_offered_may_change_from_day_to_day():
    env = Environment(Daily(LongTermSatisfactionConfig(6, 4, 30, clicks=6)), 2)
    replay = Replay(50, 6, env.vectors, 0.9)
    seen, rng, log = env.reset(0), np.random.default_rng(0), []
    for _ in range(20):
        slates, odds = draw(Noise(rng), seen, 2, Exploration(), rng)
        log.append(seen.items[0].copy())
        replay.add(seen, slates, odds, env.step(slates))
        seen = env.observe()
    rows = replay.draw(300, rng)
    told = {one.tobytes() for one in log}
    assert len(told) > 3 and {row[:3].tobytes() for row in rows.items} == {one[:3].tobytes() for one in log[:-1]}
    assert not rows.items[:, 3].any() and not rows.mask[:, 3].any() and rows.mask[:, :3].all()


# Learning in a world.


def learner(world, seed=0):
    return SlateQ(SlateQConfig(TowersConfig(world.width, world.context, hidden=32), 2, scale=20.0, seed=seed))


def test_training_is_repeatable_and_beats_what_is_liked_now():
    world = Environment(InterestEvolution(InterestEvolutionConfig(64, 10, 500)), 2)
    told = []
    settings = Training(12_000, warm=2_000, every=16, ahead=10, explore=(0.3, 0.05))
    made = learner(world)
    train(world, made, settings, 0, lambda steps, metrics, policy: told.append((steps, metrics["value"])))
    assert told[-1][0] >= 12_000 and told[-1][1] > told[0][1]
    test = Environment(InterestEvolution(InterestEvolutionConfig(300, 10)), 2)
    assert trial(test, made.policy, 300, 5).mean() > 178, "154 by chance, 164 by what is liked now"
    short = Training(3_000, warm=500, every=64)
    versions = []
    for _ in range(2):
        again = learner(world)
        train(world, again, short, 1)
        versions.append(again.policy.version)
    assert versions[0] == versions[1]


def test_a_policy_is_tried_on_others_than_it_learned_from():
    env = Environment(InterestEvolution(InterestEvolutionConfig(20, 5, 200)), 2)
    first = env.reset(0).state.context[:, :20].copy()
    trial(env, RankPolicy(0.0), 20, 0, days=1)
    assert not (env.world.context() == first).all(axis=1).any()


def test_a_learner_without_errors_has_no_priorities():
    env = Environment(InterestEvolution(InterestEvolutionConfig(8, 5, 200)), 2)
    learns = NeuralLinear(NeuralLinearConfig(TowersConfig(env.width, env.context, hidden=8), draws=9))
    with pytest.raises(ConfigError, match="NeuralLinear does not tell its errors"):
        train(env, learns, Training(200, warm=10, batch=8, priority=0.5), 0)


def test_who_counts_is_not_taught_from_a_replay():
    env = Environment(InterestEvolution(InterestEvolutionConfig(8, 5, 200)), 2)
    learns = LinearThompson(LinearThompsonConfig(env.width, env.context, draws=9))
    with pytest.raises(ConfigError, match=r"LinearThompson counts every decision .* train_once"):
        train(env, learns, Training(200, warm=10, batch=8), 0)


def test_who_needs_a_logged_future_is_told_that_there_is_none():
    env = Environment(InterestEvolution(InterestEvolutionConfig(8, 5, 200)), 2)
    learns = Reinforce(ReinforceConfig(TowersConfig(env.width, env.context, hidden=8)))
    with pytest.raises(ConfigError, match="Reinforce learns from logged futures"):
        train(env, learns, Training(100, warm=10), 0)


@pytest.mark.parametrize("wrong", [{"steps": 3_000}, {"steps": 0}, {"every": 0}, {"explore": (1.2, 0.0)}, {"settled": 0.0}])
def test_trainings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="Training"):
        Training(**wrong)


def test_states_without_a_history_are_read():
    net = Towers(TowersConfig(3, 2, hidden=4))
    empty = State(np.zeros((2, 5, 3), np.float32), np.full((2, 5), -1), np.ones((2, 2), np.float32))
    one = net.user(empty)
    assert torch.isfinite(one).all() and torch.equal(one[0], one[1])
