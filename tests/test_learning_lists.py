"""Lists of a network's own, rewarded by what came next: chances and losses by hand, states of a log, and what is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from longgame.algorithms.actor import list_log_probs
from longgame.errors import ConfigError, ShapeError
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import leave_last_out
from longgame.learning.lists import ListConfig, _states, learn_lists, list_loss
from longgame.learning.organic import PolicyScorer
from longgame.models.windows import sequences
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.slate import Exploration, replay_allowed, slot_log_probs
from tests.kit import log_of

ITEMS = 16
NETWORK = NetworkConfig(ITEMS, 0, hidden=16, steps=6)
VECTORS = np.eye(ITEMS, dtype=np.float32)
START = to_arrays(UserNetwork(NETWORK, 1))


def in_order(users: int = 60) -> list[list[int]]:
    """Everybody goes round: what comes next is the next item, for seven items from anywhere."""
    return [[(u + n) % ITEMS for n in range(7)] for u in range(users)]


def test_chances_of_lists_are_those_of_the_sampler():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 6)) * 2
    lists = np.array([[rng.permutation(6)[:4] for _ in range(5)] for _ in range(3)])
    told = list_log_probs(torch.log_softmax(torch.from_numpy(scores), 1), torch.from_numpy(lists)).numpy()
    for n in range(3):
        many, mask = np.repeat(scores[n : n + 1], 5, axis=0), np.ones((5, 6), np.bool_)
        wanted = slot_log_probs(many.astype(np.float32), replay_allowed(mask, lists[n]), lists[n], Exploration(1.0, 0.0))
        np.testing.assert_allclose(told[n], wanted, atol=1e-5)


def test_a_pick_of_what_is_left_after_a_sure_one_has_a_gradient():
    logit = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    list_log_probs(torch.log_softmax(logit, 1), torch.tensor([[[0, 1, 2]]])).sum().backward()
    assert logit.grad is not None
    assert bool(torch.isfinite(logit.grad).all())


def test_the_loss_of_lists_by_hand():
    """Two lists of two slots: the first brings 1 at its second slot, so both of its slots have brought 1, and the other's none.

    Apart from the mean of the *other* list: 1 and -1, whose deviation is 1; so minus the first's log-chances plus the other's.
    """
    gains = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    logp = torch.tensor([[[-1.0, -2.0], [-4.0, -8.0]]])
    assert float(list_loss(logp, gains)) == pytest.approx((3.0 - 12.0) / 2, abs=1e-4)
    assert float(list_loss(logp, gains * 0)) == 0.0, "where all lists are worth the same nothing is learned"


def test_every_event_with_a_history_is_told_of_about_once_and_knows_what_was_had():
    histories = [[12, 13, 14, 12, 15], [4], list(range(12)), [5, 5, 5]]
    stream = _states(sequences(log_of(histories, ITEMS)), 6, 2, ITEMS, np.random.default_rng(0))
    told = set()
    for _ in range(40):
        before, which, seen, target = next(stream)
        row, column = np.nonzero(which)
        assert len(row) == len(seen) == len(target) > 0
        for r, c, had, took in zip(row, column, seen, target.tolist(), strict=True):
            last = int(before[r, c])
            assert had[last], "the newest item was had"
            assert not had[took], "what was had is no target"
            history = next(h for h in histories if last in h and took in h and len(h) > 1)
            place = history.index(took)
            assert set(np.flatnonzero(had).tolist()) == set(history[:place])
            read = [i for i in before[r, : c + 1].tolist() if i >= 0]
            assert read == history[:place][-len(read) :]
            assert len(read) >= min(place, NETWORK.steps // 2 + 1)
            told.add((len(history), place))
    assert told == {(5, p) for p in (1, 2, 4)} | {(12, p) for p in range(1, 12)}


@pytest.mark.parametrize(("lists", "imitate"), [(1.0, 0.0), (0.0, 1.0)])
def test_the_next_item_is_learned_from_lists_alone_and_by_imitation_alone(lists, imitate):
    train, test, _ = leave_last_out(log_of(in_order(), ITEMS))

    def ndcg(arrays) -> float:
        from longgame.algorithms.reinforce import NetworkPolicy

        scorer = PolicyScorer(NetworkPolicy(NETWORK, arrays), VECTORS, NETWORK.steps)
        return float(evaluate_model(scorer, train, test, 5).ndcg.mean())

    config = ListConfig(updates=60, rate=1e-2, batch=16, slots=5, states=64, lists=lists, imitate=imitate, average=0.9, look=30)
    seen: list[int] = []
    made = learn_lists(config, NETWORK, START, VECTORS, train, lambda n, policy: seen.append(n))
    assert seen == [30, 60]
    assert ndcg(START) < 0.5
    assert ndcg(made.state_dict()) > 0.8
    again = learn_lists(config, NETWORK, START, VECTORS, train)
    assert again.version == made.version, "the same arguments give the same policy"


def test_who_may_show_what_was_had_learns_to_keep_from_it():
    """Over the whole catalogue the network must unlearn what was had; over what is left it need not, and leaves it alone."""
    log = log_of(in_order(), ITEMS)
    config = ListConfig(updates=40, rate=1e-2, batch=16, lists=0.0, average=0.0)
    policies = [learn_lists(replace(config, unseen=unseen), NETWORK, START, VECTORS, log) for unseen in (True, False)]
    histories = np.array([h[:6] for h in in_order(16)])
    shares = []
    for policy in policies:
        scores = PolicyScorer(policy, VECTORS, NETWORK.steps).score(histories).astype(float)
        odds = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        shares.append(np.take_along_axis(odds, histories, axis=1).sum(axis=1).mean())
    assert shares[1] < 0.5 * shares[0]


def test_the_windows_are_the_same_with_and_without_lists(monkeypatch):
    from longgame.learning import lists as module

    seen: dict[float, list[np.ndarray]] = {}

    def loss(config, network, items, batch, rng, true=module._loss):
        seen.setdefault(config.lists, []).append(batch[0])
        return true(config, network, items, batch, rng)

    monkeypatch.setattr(module, "_loss", loss)
    for lists in (0.0, 0.3):
        learn_lists(ListConfig(updates=12, batch=16, slots=5, lists=lists), NETWORK, START, VECTORS, log_of(in_order(), ITEMS))
    for one, other in zip(seen[0.0], seen[0.3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_is_refused():
    log = log_of(in_order(4), ITEMS)
    for wrong, said in (({"group": 1}, "group 2"), ({"lists": 0.0, "imitate": 0.0}, "nothing"), ({"rate": 0.0}, "rate")):
        with pytest.raises(ConfigError, match=said):
            ListConfig(**wrong)
    with pytest.raises(ConfigError, match="slots"):
        learn_lists(ListConfig(slots=ITEMS), NETWORK, START, VECTORS, log)
    with pytest.raises(ConfigError, match="context"):
        learn_lists(ListConfig(), replace(NETWORK, context=2), START, VECTORS, log)
    with pytest.raises(ShapeError, match="vectors"):
        learn_lists(ListConfig(), NETWORK, START, VECTORS[:, :3], log)
    with pytest.raises(ConfigError, match="no state"):
        learn_lists(ListConfig(), NETWORK, START, VECTORS, log_of([[1], [2, 2]], ITEMS))
