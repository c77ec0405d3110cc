"""LightGCN, NeuMF and DeepFM against the papers' formulas written out plainly, and each learning what popularity cannot."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import leave_last_out
from longgame.models import MODELS, Popularity
from longgame.models.deepfm import DeepFM, DeepFMConfig, HistoryFields, ItemFields, bucket
from longgame.models.lightgcn import Graph, LightGCN, LightGCNConfig, _Trainer
from longgame.models.neumf import HistoryVectors, ItemVectors, NeuMF, NeuMFConfig
from longgame.models.pairs import PairModel, Tower, logits, negatives, summed
from longgame.types import ItemId, UserId

TAKEN = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], np.float32)
"""Users by items."""


def log_of(histories, items):
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.array([i for h in histories for i in h], np.int64)
    at = np.concatenate([np.arange(len(h)) for h in histories]).astype(np.int64)
    users, catalogue = tuple(UserId(f"u{n}") for n in range(len(histories))), tuple(ItemId(f"i{i}") for i in range(items))
    return Interactions(users, catalogue, offsets, item, at, np.ones(len(item), np.float32))


def groups(users=120, items=40, each=9):
    """Users of two kinds, each taking items of its own half."""
    rng, half = np.random.default_rng(0), items // 2
    return log_of([(rng.permutation(half)[:each] + half * (user % 2)).tolist() for user in range(users)], items)


def chains(users=150, items=24, each=10):
    """After an item comes the next one in a circle: who reads the last item knows what comes."""
    first = np.random.default_rng(0).integers(0, items, users)
    return log_of([[(start + step) % items for step in range(each)] for start in first.tolist()], items)


# LightGCN


def by_the_paper(items, users, layers):
    """Final vectors of users and items by the matrix of the whole graph, eq. 6-8, in float64."""
    none = np.zeros((3, 3))
    adjacency = np.block([[none, TAKEN], [TAKEN.T, none]])
    root = np.diag(adjacency.sum(axis=1) ** -0.5)
    layer = np.vstack([users, items]).astype(np.float64)
    total = layer.copy()
    for _ in range(layers):
        layer = root @ adjacency @ root @ layer
        total += layer
    return total[:3] / (layers + 1), total[3:] / (layers + 1)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("own", [False, True])
def test_lightgcn_spreads_as_the_matrix_of_the_graph_does(layers, own):
    rng = np.random.default_rng(layers)
    items, users = (rng.standard_normal((3, 2)).astype(np.float32) for _ in range(2))
    final_items, final_users, to_user = Graph(csr_array(TAKEN)).final(items, users if own else None, layers)
    want_users, want_items = by_the_paper(items, users if own else np.zeros_like(users), layers)
    np.testing.assert_allclose(final_items, want_items, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(final_users, want_users, rtol=1e-5, atol=1e-6)
    folded = TAKEN @ to_user / np.sqrt(TAKEN.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(folded, want_users - (users / (layers + 1) if own else 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("without_own", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_lightgcn_gradient_is_that_of_the_loss_written_out(layers, own, without_own):
    log = log_of([[0, 2], [0, 1], [2]], 3)
    settings = {"width": 2, "layers": layers, "user_vectors": own, "without_own": without_own, "penalty": 0.3}
    trainer = _Trainer(log, LightGCNConfig(**settings))
    user, item, other = np.array([0, 1, 2, 1]), np.array([2, 1, 2, 0]), np.array([1, 2, 0, 2])
    counts = np.array([1, 1, 1, 0], np.float32)
    loss, gradients = trainer.gradients(user, item, other, counts)

    start = [torch.tensor(w.detach().numpy().astype(np.float64), requires_grad=True) for w in trainer._weights]
    taken = torch.tensor(TAKEN, dtype=torch.float64)
    adjacency = torch.zeros(6, 6, dtype=torch.float64)
    adjacency[:3, 3:], adjacency[3:, :3] = taken, taken.T
    root = adjacency.sum(1) ** -0.5
    spread = root[:, None] * adjacency * root
    layer = torch.cat([start[1] if own else torch.zeros(3, 2, dtype=torch.float64), start[0]])
    held = [layer]
    for _ in range(layers):
        held.append(spread @ held[-1])
    final = torch.stack(held).mean(0)
    wanted, vectors = final[user], final[3:]
    if without_own:
        wanted = wanted - spread[user, 3 + item][:, None] * (torch.stack(held[:-1]).sum(0) / (layers + 1))[3:][item]
    losses = functional.softplus(-(wanted * (vectors[item] - vectors[other])).sum(1)) * torch.tensor(counts)
    squares = start[0][item].square().sum() + start[0][other].square().sum() + (start[1][user].square().sum() if own else 0)
    ((losses.sum() + 0.3 * squares / 2) / 4).backward()
    assert loss == pytest.approx(losses.sum().item(), rel=1e-5)
    for got, weight in zip(gradients, start, strict=True):
        assert weight.grad is not None
        np.testing.assert_allclose(got, weight.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_lightgcn_scores_a_history_as_its_final_vector_and_lets_it_fade():
    log = log_of([[0, 2], [0, 1], [2]], 3)
    model = LightGCN(LightGCNConfig(width=2, epochs=3, patience=0))
    model.fit(log, np.zeros((3, 0), np.float32))
    trainer = _Trainer(log, model.config)
    for epoch in range(3):
        trainer.epoch(epoch)
    items, users, _ = trainer._graph.final(trainer._items, None, 2)
    np.testing.assert_allclose(model.score(log.padded(np.arange(3))), users @ items.T, atol=5e-6)
    state = model.state_dict()
    fading = LightGCN(LightGCNConfig(width=2, half_life=1.0))
    fading.load_state_dict(state)
    add = state["from_history"]
    want = (0.5 * add[0] + add[1]) / np.sqrt(1.5) @ state["items"].T
    np.testing.assert_allclose(fading.score(np.array([[0, 1]]))[0], want, atol=5e-6)


# What NeuMF and DeepFM share


def test_a_running_sum_is_the_sum_of_each_history():
    table, history = torch.randn(5, 3), torch.tensor([[5, 1, 4, 1], [2, 0, 5, 5]])
    wanted = torch.tensor([[True, True, False, True], [False, True, False, False]])
    got, count = summed(table, history, wanted)
    want = [[], [1], [1, 4, 1], [2, 0]]
    assert count.tolist() == [len(w) for w in want]
    for row, items in zip(got, want, strict=True):
        torch.testing.assert_close(row, table[items].sum(0) / max(len(items), 1) ** 0.5)


def test_negatives_are_of_no_item_of_the_window():
    before, target = np.array([[9, 1, 2], [3, 9, 9]]), np.array([[1, 2, 5], [4, 9, 9]])
    others, fair = negatives(before, target, 9, 200, np.random.default_rng(0))
    assert others.shape == fair.shape == (4, 200)
    assert set(others[:3][fair[:3] > 0].tolist()) == {0, 3, 4, 6, 7, 8}
    assert set(others[3][fair[3] > 0].tolist()) == {0, 1, 2, 5, 6, 7, 8}
    _, none = negatives(np.array([[2, 0]]), np.array([[0, 1]]), 2, 5, np.random.default_rng(0))
    assert not none.any(), "everything was taken, so nothing is against it"


def one_history(items):
    """A history (1, 3) of rows, and its last step wanted."""
    return torch.tensor([[items, 0, 2]]), torch.tensor([[False, False, True]])


def test_neumf_is_the_plain_network_with_its_first_layer_split():
    config = NeuMFConfig(width=3, hidden=4)
    factors, numbers = (np.random.default_rng(n).standard_normal((5, 3)).astype(np.float32) for n in (1, 2))
    torch.manual_seed(0)
    users, items, tower = HistoryVectors(5, config).eval(), ItemVectors(factors, numbers, config), Tower(4, 2)
    users.history.data, items.bias.data = torch.randn(5, 3), torch.randn(5)
    got = logits(tower, users(*one_history(5)), items(), torch.arange(5)[None])[0]

    pooled = users.history[[0, 2]].sum(0) / 2**0.5
    user_g, user_m = users.product(pooled), users.perceptron(pooled)
    first = torch.cat([users.first.weight, items.first.weight], dim=1)  # W_1 (H, 2D)
    top = tower.above
    for item in range(5):
        joined = torch.cat([user_m, items.numbers[item]])
        z = functional.relu(top[0](functional.relu(first @ joined + items.first.bias)))
        plain = (user_g * items.factors[item]).sum() + top[1](z)[0] + items.bias[item]
        torch.testing.assert_close(got[item], plain)


def test_deepfm_is_the_double_sum_over_all_fields_and_the_plain_perceptron():
    config, d = DeepFMConfig(width=3, hidden=4), 3
    torch.manual_seed(0)
    text = np.random.default_rng(1).standard_normal((5, 2)).astype(np.float32)
    start = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
    users, items, tower = (
        HistoryFields(5, config).eval(),
        ItemFields(start, text, np.array([1, 9, 2, 5, 0]), config),
        Tower(4, 2),
    )
    for weight in (*users.parameters(), *items.parameters()):
        weight.data = torch.randn(weight.shape)
    got = logits(tower, users(*one_history(5)), items(), torch.arange(5)[None])[0]

    history = users.history[[0, 2]].sum(0) / 2**0.5
    popular = [0, 3, 1, 2, 0]  # powers of two in 1, 9, 2, 5, 0
    first = torch.cat([users.matrix, items.matrix])  # (6D, H)
    for item in range(5):
        of_item = [items.own[item], items.text[item] @ items.project, items.popularity[popular[item]]]
        fields = [history, users.last[2], users.length[1], *of_item]
        total = sum(field[d] for field in fields)
        for f in range(6):
            for g in range(f + 1, 6):
                total = total + fields[f][:d] @ fields[g][:d]
        x = torch.cat([field[:d] for field in fields]) @ first + items.offset
        plain = total + tower.above[1](functional.relu(tower.above[0](functional.relu(x))))[0]
        torch.testing.assert_close(got[item], plain, rtol=1e-4, atol=1e-4)


def test_buckets_double():
    assert bucket(torch.tensor([0, 1, 2, 3, 4, 7, 8, 2**40])).tolist() == [0, 0, 1, 1, 2, 2, 3, 31]


# Learning

SMALL: dict[str, dict[str, Any]] = {
    "lightgcn": {"width": 8, "epochs": 30, "patience": 0},
    "neumf": {"width": 8, "hidden": 8, "epochs": 30, "patience": 0, "learning_rate": 0.01},
    "deepfm": {"width": 8, "hidden": 8, "epochs": 30, "patience": 0, "learning_rate": 0.01},
}


def ndcg(model, log):
    train, valid, _ = leave_last_out(log)
    model.fit(train, np.zeros((len(log.items), 0), np.float32))
    return float(evaluate_model(model, train, valid, 5).ndcg.mean())


@pytest.mark.parametrize("name", SMALL)
def test_each_learns_who_is_alike(name):
    log = groups()
    assert ndcg(MODELS[name].make(MODELS[name].config(**SMALL[name])), log) > 1.4 * ndcg(Popularity(), log)


def test_deepfm_reads_the_last_item():
    assert ndcg(DeepFM(DeepFMConfig(**SMALL["deepfm"])), chains()) > 0.9


def test_deepfm_tells_items_without_events_by_their_texts():
    text = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)  # items 0-19, 20-39
    log = groups()
    keep = ~np.isin(log.item, [19, 39])
    model = DeepFM(DeepFMConfig(**SMALL["deepfm"]))
    model.fit(log.select(keep), text)
    scores = model.score(np.array([[0, 1, 2, 3], [20, 21, 22, 23]]))
    assert scores[0, 19] > scores[0, 39] and scores[1, 39] > scores[1, 19]


@pytest.mark.parametrize("name", ["neumf", "deepfm"])
def test_training_stops_by_held_out_events_and_says_so(name):
    told = []
    config = MODELS[name].config(**SMALL[name] | {"patience": 2})
    model = MODELS[name].make(config, lambda number, metrics: told.append(metrics))
    model.fit(groups(), np.zeros((40, 0), np.float32))
    assert isinstance(model, PairModel) and 1 <= model.best_epoch <= 30
    assert "ndcg" in told[0] and "refit loss" in told[-1]


@pytest.mark.parametrize(
    "settings",
    [
        lambda: LightGCNConfig(layers=0),
        lambda: LightGCNConfig(learning_rate=0),
        lambda: LightGCNConfig(penalty=float("nan")),
        lambda: NeuMFConfig(negatives=0),
        lambda: NeuMFConfig(hidden=3, layers=3),
        lambda: NeuMFConfig(dropout=1),
        lambda: DeepFMConfig(width=0),
        lambda: DeepFMConfig(weight_decay=-1),
        lambda: DeepFMConfig(patience=-1),
    ],
)
def test_settings_that_cannot_work_are_refused_when_made(settings):
    with pytest.raises(ConfigError):
        settings()


def test_arrays_of_another_config_are_refused():
    model = NeuMF(NeuMFConfig(**SMALL["neumf"] | {"epochs": 1}))
    model.fit(groups(), np.zeros((40, 0), np.float32))
    state = model.state_dict()
    with pytest.raises(ArtefactError, match="users"):
        NeuMF(NeuMFConfig(width=9, hidden=8)).load_state_dict(state)
    with pytest.raises(ArtefactError, match=r"items\.bias"):
        model.load_state_dict({name: array for name, array in state.items() if name != "items.bias"})
