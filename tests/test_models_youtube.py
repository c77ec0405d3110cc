"""YouTube's two stages: each against its formulas by hand, both learning, and how they stand together."""

from typing import Any

import numpy as np
import pytest
import torch

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import leave_last_out
from longgame.models import Popularity
from longgame.models.warm import Warm
from longgame.models.youtube import YouTube, YouTubeConfig, _halves, _Passes
from longgame.models.youtube_candidates import Part, Windows, candidate_network, pooled
from longgame.models.youtube_ranking import Found, fewer, lists, watch_time_loss, watch_times
from longgame.types import ItemId, UserId

SMALL: dict[str, Any] = {
    "width": 12,
    "hidden": 24,
    "steps": 8,
    "candidates": 6,
    "ranking_width": 8,
    "ranking_hidden": 16,
    "epochs": 12,
    "patience": 0,
    "learning_rate": 0.02,
    "weight_decay": 0.01,
    "average": 0.9,
}


def log_of(histories, items, values=None):
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.array([i for h in histories for i in h], np.int64)
    at = np.concatenate([np.arange(len(h)) for h in histories]).astype(np.int64)
    users, catalogue = tuple(UserId(f"u{n}") for n in range(len(histories))), tuple(ItemId(f"i{i}") for i in range(items))
    value = np.ones(len(item), np.float32) if values is None else np.array(values, np.float32)[item]
    return Interactions(users, catalogue, offsets, item, at, value)


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


def fitted(log=None, **settings):
    log = markov() if log is None else log
    model = YouTube(YouTubeConfig(**{**SMALL, **settings}))
    model.fit(log, np.zeros((len(log.items), 0), np.float32))
    return model


def first_stage(model):
    """The same model with its second stage switched off."""
    alone = YouTube(YouTubeConfig(**{**vars(model.config), "ranking": False}))
    alone.load_state_dict(model.state_dict())
    return alone


HISTORIES = np.array([[-1, 3, 4, 5], [20, 21, 22, 23], [-1, -1, -1, -1], [7, 8, 15, 16]])


# What is learned from


def test_a_step_is_told_what_came_before_it_and_nothing_else():
    log = log_of([[4, 2, 2, 7], [], [1], [5, 3, 1, 0, 6]], 8)
    warm = Warm.of(log)
    windows = Windows(log, warm, 3)
    seen = []
    for part in windows.parts(np.random.default_rng(0)):
        for (window, step), target, event in zip(np.argwhere(part.told).tolist(), part.target, part.event, strict=True):
            before = [int(warm.position[row]) for row in part.rows[window, : step + 1] if row < len(warm)]
            user, length = windows.user[event], windows.length[event]
            history = [4, 2, 7] if user == 0 else log.history(user).tolist()  # a repeat in a row is taken once
            assert history[length] == warm.position[target]
            assert before == history[length - len(before) : length] and len(before) >= min(length, 1)
            seen.append((user, length))
    assert sorted(seen) == [(0, 0), (0, 1), (0, 2), (2, 0), *((3, n) for n in range(5))]


def test_the_age_of_an_example_is_its_share_of_the_time_of_the_log():
    log = log_of([[0, 1, 2], [3, 4, 5, 6, 7]], 8)
    windows = Windows(log, Warm.of(log), 5)
    np.testing.assert_allclose(windows.age, [1, 0.75, 0.5, 1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize("half_life", [np.inf, 1.5])
def test_means_fade_and_leave_out_what_is_not_there(half_life):
    table = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    rows = torch.tensor([[4, 1, 0, 3], [2, 4, 4, 4]])
    wanted = torch.tensor([[True, False, True, True], [True, False, False, False]])
    mean, last = pooled(table, rows, wanted, half_life)
    w = [2 ** (-back / half_life) for back in range(3)]
    want = [
        torch.zeros(3),
        (table[0] + w[1] * table[1]) / (1 + w[1]),
        (table[3] + w[1] * table[0] + w[2] * table[1]) / sum(w),
        table[2],
    ]
    torch.testing.assert_close(mean, torch.stack(want))
    torch.testing.assert_close(last, torch.stack([torch.zeros(3), table[0], table[3], table[2]]))


def test_the_first_stage_is_a_tower_over_mean_last_length_and_age():
    config = YouTubeConfig(width=2, hidden=3, half_life=np.inf)
    network = candidate_network(4, config)
    torch.nn.init.normal_(network.history, generator=torch.Generator().manual_seed(0))
    length, age = torch.tensor([[0.5, 0.25, 0.7]]), torch.tensor([0.25])
    with torch.no_grad():
        got = network(torch.tensor([[1, 3]]), torch.tensor([[False, True]]), length, age)[0]
        table = network.history
        x = torch.cat([(table[1] + table[3]) / 2, table[3], length[0], torch.tensor([0.25, 0.0625, 0.5])])
        first, out = network.tower
        torch.testing.assert_close(got, out(torch.relu(first(x))))


# Weighted logistic regression


def test_the_loss_weighs_what_was_taken_by_its_watch_time():
    logits = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.0, 3.0]])
    taken = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    weight = torch.tensor([[4.0, 1.0, 1.0], [0.0, 1.0, 0.0]])  # the second one's own item was no candidate; one draw failed
    want = 4 * np.log1p(np.exp(-0.5)) + np.log1p(np.exp(-1.0)) + np.log1p(np.exp(2.0)) + np.log1p(np.exp(0.0))
    assert float(watch_time_loss(logits, taken, weight)) == pytest.approx(want / 4)


def test_the_odds_it_learns_are_watch_time_over_what_was_not_taken():
    """Section 4.2: of N impressions of one kind k are taken, and the best logit is ln(sum(T) / (N - k))."""
    taken, weight = torch.zeros(20), torch.ones(20)
    taken[:3], weight[:3] = 1.0, torch.tensor([2.0, 5.0, 30.0])
    logit = torch.tensor(np.log(37 / 17), dtype=torch.float32, requires_grad=True)
    watch_time_loss(logit.expand(20), taken, weight).backward()
    assert logit.grad is not None
    assert float(logit.grad) == pytest.approx(0, abs=1e-6)


def test_watch_times_are_values_that_are_positive_and_differ():
    assert watch_times(np.array([2.0, 5.0], np.float32)).tolist() == [2, 5]
    for value in ([3.0, 3.0], [0.0, 5.0], [-1.0, 2.0], [np.nan, 2.0], []):
        assert (watch_times(np.array(value, np.float32)) == 1).all()


def test_what_was_not_taken_is_drawn_from_the_candidates():
    found = Found(torch.tensor([[5, 2, 7, 1, 0], [3, 8, 6, 1, 0]]), -torch.arange(10.0).reshape(2, 5))
    told = np.array([[True, True, False]])
    part = Part(np.array([[9, 2, 7]]), np.array([[2, 7, 9]]), told, np.array([0, 1]))
    shown, weight = lists(found, part, np.array([4.0, 6.0], np.float32), 4, np.random.default_rng(0))
    assert shown.row[0, 0] == 2 and weight[0].tolist() == [4, 1, 1, 1, 0], "2 and 7 are in the window: three are left"
    assert set(shown.row[0, 1:4].tolist()) == {5, 1, 0}
    assert weight[1].tolist() == [0, 1, 1, 1, 1], "7 is no candidate here"
    assert set(shown.row[1, 1:].tolist()) < {3, 8, 6, 1, 0}
    place = {5: 0.0, 2: 0.2, 7: 0.4, 1: 0.6, 0: 0.8}
    np.testing.assert_allclose(shown.place[0].numpy(), [place[row] for row in shown.row[0].tolist()], rtol=1e-6)
    np.testing.assert_allclose(shown.likely[0].numpy(), [-5 * place[row] for row in shown.row[0].tolist()], rtol=1e-6)


def test_fewer_steps_are_some_of_them():
    told = np.array([[True] * 50, [True] * 50])
    came = np.arange(100).reshape(2, 50)
    part = fewer(Part(came, came, told, np.arange(100)), 0.3, np.random.default_rng(0))
    assert 15 < len(part.target) < 45 and (part.target == part.event).all()


def test_nobodys_lists_are_made_by_who_was_fitted_on_him():
    log, config = markov(users=6), YouTubeConfig(**{**SMALL, "epochs": 1})
    warm = Warm.of(log)
    halves = _halves(config, log, warm, 1, _Passes(lambda number, metrics: None), candidate_network(len(warm), config))
    assert sorted(halves.half.tolist()) == [0, 0, 0, 1, 1, 1]
    changed = log.item.copy()
    changed[halves.half[log.user] == 0] = changed[halves.half[log.user] == 0][::-1]
    other = Interactions(log.users, log.items, log.offsets, changed, log.at, log.value)
    again = _halves(config, other, warm, 1, _Passes(lambda number, metrics: None), candidate_network(len(warm), config))
    same = [torch.equal(a.items, b.items) for a, b in zip(halves.networks, again.networks, strict=True)]
    assert same == [True, False]


# Both together


@pytest.mark.parametrize("settings", [{}, {"ranking": False}, {"last": False, "half_life": 0.7, "negatives": 6}])
def test_it_learns_what_comes_next(settings):
    train, valid, _ = leave_last_out(markov())
    mine = evaluate_model(fitted(train, **settings), train, valid, 3).ndcg.mean()
    popular = Popularity()
    popular.fit(train, np.zeros((24, 0), np.float32))
    assert mine > 0.65 > 3 * evaluate_model(popular, train, valid, 3).ndcg.mean()


def test_the_second_stage_is_worth_something_by_itself():
    """A first stage that reads a plain mean cannot tell the last item; the second one can."""
    train, valid, _ = leave_last_out(markov(stray=0.3))
    model = fitted(train, last=False, half_life=np.inf, candidates=12)
    both, one = (evaluate_model(m, train, valid, 3).ndcg.mean() for m in (model, first_stage(model)))
    assert both > one + 0.1


def test_candidates_are_the_first_of_the_first_stage_and_stand_above_the_rest():
    model = fitted(markov(), epochs=3)
    scores, before = model.score(HISTORIES), first_stage(model).score(HISTORIES)
    for row, alone in zip(scores, before, strict=True):
        order = np.argsort(-alone)
        some, rest = order[:6], order[6:]
        assert (row[some] > 0).all() and (row[rest] < 0).all()
        assert (np.diff(row[rest]) <= 0).all(), "the rest is in the order of the first stage"
    assert (np.argsort(-scores)[:, :6] != np.argsort(-before)[:, :6]).any(), "the second stage has its own order"


def test_more_candidates_than_items_are_all_items():
    model = fitted(epochs=1, candidates=1000)
    assert (model.score(HISTORIES) > 0).all()


def test_what_is_watched_longer_stands_first():
    """Two items come next equally often; one is watched ten times as long."""
    rng = np.random.default_rng(0)
    histories = [[int(rng.integers(3)), int(rng.integers(3, 5))] for _ in range(300)]
    for long, short in ((3, 4), (4, 3)):
        values = np.full(5, 1.0)
        values[long] = 10.0
        model = fitted(log_of(histories, 5, values), candidates=5, epochs=15)
        scores = model.score(np.array([[0], [1], [2]]))
        assert (scores[:, long] > 3 * scores[:, short]).all()
        alone = first_stage(model).score(np.array([[0], [1], [2]]))
        assert np.abs(alone[:, long] - alone[:, short]).max() < 0.5, "the first stage knows nothing of it"


def test_items_without_events_stand_below_all_others():
    log = markov()
    model = fitted(log.select(log.item != 5), epochs=1)
    scores = model.score(np.array([[3, 4], [-1, -1], [5, 5]]))
    assert np.isfinite(scores).all()
    assert (np.delete(scores, 5, axis=1) > scores[:, [5]]).all()


def test_one_seed_is_one_model_to_the_bit():
    one, again = (fitted(epochs=2, patience=1) for _ in range(2))
    other = fitted(epochs=2, patience=1, seed=1)
    assert all((value == again.state_dict()[name]).all() for name, value in one.state_dict().items())
    assert not np.array_equal(one.score(HISTORIES), other.score(HISTORIES))


def test_both_stages_are_stopped_by_held_out_events_and_say_so():
    told = []
    model = YouTube(YouTubeConfig(**{**SMALL, "patience": 2}), lambda number, metrics: told.append((number, metrics)))
    model.fit(markov(), np.zeros((24, 0), np.float32))
    assert 1 <= model.best_candidates_epoch <= 12 and 1 <= model.best_ranking_epoch <= 12
    assert [number for number, _ in told] == list(range(len(told)))
    assert "ndcg" in told[0][1] and "refit loss" in told[-1][1]


def test_arrays_of_another_config_are_refused():
    state = fitted(epochs=1).state_dict()
    with pytest.raises(ArtefactError, match=r"candidates\.history"):
        YouTube(YouTubeConfig(**{**SMALL, "width": 5})).load_state_dict(state)
    with pytest.raises(ArtefactError, match=r"ranking\."):
        YouTube(YouTubeConfig(**SMALL)).load_state_dict({n: a for n, a in state.items() if not n.startswith("ranking.")})
    with pytest.raises(ArtefactError, match="unit"):
        YouTube(YouTubeConfig(**SMALL)).load_state_dict({n: a for n, a in state.items() if n != "unit"})


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 0},
        {"untaken": 0},
        {"candidates": 1},
        {"negatives": -1},
        {"hidden": 3, "layers": 3},
        {"dropout": 1},
        {"average": 1},
        {"learning_rate": 0},
        {"half_life": 0},
        {"weight_decay": -1},
        {"patience": -1},
    ],
)
def test_settings_that_cannot_work_are_refused_when_made(settings):
    with pytest.raises(ConfigError, match="YouTubeConfig"):
        YouTubeConfig(**settings)
