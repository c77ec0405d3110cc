"""GRU4Rec: the network against its formulas written out, what it learns, and what of it can be relied on."""

import numpy as np
import pytest
import torch

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import leave_last_out
from longgame.models import Popularity
from longgame.models.gru4rec import GRU4Rec, GRU4RecConfig, RecurrentNetwork
from longgame.types import ItemId, UserId

SMALL = GRU4RecConfig(width=12, hidden=16, steps=8, epochs=14, patience=0, learning_rate=0.02, weight_decay=0.01, average=0.9)


def log_of(histories, items):
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.array([i for h in histories for i in h], np.int64)
    at = np.concatenate([np.arange(len(h)) for h in histories]).astype(np.int64)
    users, catalogue = tuple(UserId(f"u{n}") for n in range(len(histories))), tuple(ItemId(f"i{i}") for i in range(items))
    return Interactions(users, catalogue, offsets, item, at, np.ones(len(item), np.float32))


def markov(users=120, items=24, each=10, stray=0.1):
    """After an item mostly comes the next one in a circle, seldom any other."""
    rng = np.random.default_rng(0)
    histories = []
    for _ in range(users):
        history = [int(rng.integers(items))]
        while len(history) < each:
            history.append(int(rng.integers(items)) if rng.random() < stray else (history[-1] + 1) % items)
        histories.append(history)
    return log_of(histories, items)


def fitted(config=SMALL, log=None):
    log = markov() if log is None else log
    model = GRU4Rec(config)
    model.fit(log, np.zeros((len(log.items), 0), np.float32))
    return model


def by_the_paper(network, rows, layers):
    """The state after the last of ``rows``: ICLR 2016, section 2, with PyTorch's place of the reset gate."""
    inputs = [network.read[row] for row in rows]
    state = torch.zeros(network.gru.hidden_size)
    for layer in range(layers):
        to, through, b, c = (getattr(network.gru, f"{n}_l{layer}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        state, outputs = torch.zeros(network.gru.hidden_size), []
        for x in inputs:
            (r, z, new), (r2, z2, old) = (to @ x + b).chunk(3), (through @ state + c).chunk(3)
            reset, update = torch.sigmoid(r + r2), torch.sigmoid(z + z2)
            state = (1 - update) * torch.tanh(new + reset * old) + update * state
            outputs.append(state)
        inputs = outputs
    return network.out(state)


@pytest.mark.parametrize(("layers", "tied"), [(1, True), (2, False)])
def test_a_history_is_read_from_its_beginning_as_the_formulas_say(layers, tied):
    config = GRU4RecConfig(width=5, hidden=7, layers=layers, tied=tied, steps=6, epochs=2, patience=0)
    model = fitted(config)
    network = model._network
    position = model._warm.position.tolist()
    history = [3, 9, 4]
    with torch.no_grad():
        user = by_the_paper(network, [len(position), *(position.index(item) for item in history)], layers)
        vectors = network.read[:-1] if tied else network.sought
        want = (vectors @ user + network.bias).numpy()
    got = model.score(np.array([[-1, -1, *history], [7, 1, 2, 8, 8]]))[0, position]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_history_that_is_cut_has_no_beginning_as_no_window_of_training_has():
    config = GRU4RecConfig(width=5, hidden=7, steps=3, epochs=2, patience=0)
    model = fitted(config)
    network = model._network
    position = model._warm.position.tolist()
    with torch.no_grad():
        user = by_the_paper(network, [position.index(item) for item in (9, 4, 2)], 1)
        want = (network.read[:-1] @ user + network.bias).numpy()
    got = model.score(np.array([[3, 9, 4, 2], [-1, -1, 9, 4]]))[0, position]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_tied_items_have_one_table_and_untied_ones_two():
    tied, apart = (RecurrentNetwork(6, GRU4RecConfig(width=3, tied=tied)) for tied in (True, False))
    assert tied.items.shape == apart.items.shape == (6, 3)
    assert tied.sought is None
    assert apart.sought is apart.items


@pytest.mark.parametrize("negatives", [0, 6])
def test_it_learns_what_comes_next(negatives):
    log = markov()
    train, valid, _ = leave_last_out(log)
    config = GRU4RecConfig(**{**vars(SMALL), "negatives": negatives})
    mine = evaluate_model(fitted(config, train), train, valid, 3).ndcg.mean()
    popular = Popularity()
    popular.fit(train, np.zeros((24, 0), np.float32))
    assert mine > 0.7 > 3 * evaluate_model(popular, train, valid, 3).ndcg.mean()


def test_it_remembers_more_than_the_last_item():
    """What comes after the fixed middle is told by the first item only."""
    histories = [[first, 2, 3, 4 + first] for first in (0, 1) * 60]
    scores = fitted(log=log_of(histories, 6)).score(np.array([[0, 2, 3], [1, 2, 3]]))
    assert scores[0, 4] > scores[0, 5]
    assert scores[1, 5] > scores[1, 4]


def test_only_the_last_steps_are_read():
    model = fitted()
    long = np.array([[5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 8], [9, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8]])
    np.testing.assert_array_equal(*model.score(long))


def test_items_without_events_stand_below_all_others_and_say_nothing():
    log = markov()
    keep = log.item != 5
    model = fitted(log=log.select(keep))
    scores = model.score(np.array([[3, 4], [-1, -1]]))
    assert np.isfinite(scores).all()
    assert (np.delete(scores, 5, axis=1) > scores[:, [5]]).all()
    np.testing.assert_allclose(model.score(np.array([[3, 5, 4]])), scores[:1], rtol=1e-4, atol=1e-5)


def test_drawing_more_items_than_there_are_is_the_whole_softmax():
    whole, drawn = (fitted(GRU4RecConfig(**{**vars(SMALL), "negatives": n, "epochs": 2})) for n in (0, 10_000))
    rows = np.array([[1, 2, 3]])
    np.testing.assert_allclose(whole.score(rows), drawn.score(rows), rtol=1e-3, atol=1e-3)


def test_one_seed_is_one_model_to_the_bit():
    one, again = (fitted(GRU4RecConfig(**{**vars(SMALL), "epochs": 2, "patience": 1})) for _ in range(2))
    other = fitted(GRU4RecConfig(**{**vars(SMALL), "epochs": 2, "patience": 1, "seed": 1}))
    assert all((value == again.state_dict()[name]).all() for name, value in one.state_dict().items())
    rows = np.array([[1, 2, 3]])
    assert not np.array_equal(one.score(rows), other.score(rows))


def test_training_stops_by_held_out_events_and_says_so():
    told = []
    config = GRU4RecConfig(**{**vars(SMALL), "patience": 2})
    model = GRU4Rec(config, lambda number, metrics: told.append(metrics))
    model.fit(markov(), np.zeros((24, 0), np.float32))
    assert 1 <= model.best_epoch <= config.epochs
    assert "ndcg" in told[0]
    assert "refit loss" in told[-1]


def test_arrays_of_another_config_are_refused():
    state = fitted(GRU4RecConfig(width=4, hidden=5, epochs=1, patience=0)).state_dict()
    with pytest.raises(ArtefactError, match=r"network\.read"):
        GRU4Rec(GRU4RecConfig(width=5, hidden=5)).load_state_dict(state)
    with pytest.raises(ArtefactError, match="tie"):
        GRU4Rec(GRU4RecConfig(width=4, hidden=5)).load_state_dict({n: a for n, a in state.items() if n != "tie"})


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 0},
        {"layers": 0},
        {"negatives": -1},
        {"dropout": 1},
        {"hidden_dropout": -0.1},
        {"average": 1},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1},
        {"patience": -1},
    ],
)
def test_settings_that_cannot_work_are_refused_when_made(settings):
    with pytest.raises(ConfigError, match="GRU4RecConfig"):
        GRU4RecConfig(**settings)
