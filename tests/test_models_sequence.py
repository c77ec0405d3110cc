"""SequenceModel: it learns order, reads text for what nobody took, and is where a policy starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longgame.algorithms.reinforce import NetworkPolicy, Reinforce, ReinforceConfig
from longgame.arrays import Interactions, State
from longgame.errors import ArtefactError, ConfigError, ShapeError
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import leave_last_out, together
from longgame.models import Popularity
from longgame.models.sequence import SequenceConfig, SequenceModel, _Trainer
from longgame.models.windows import batches, held_out, sequences
from longgame.types import ItemId, UserId

SMALL = SequenceConfig(width=16, hidden=16, heads=2, blocks=1, steps=6, batch=16, epochs=6, patience=2, learning_rate=5e-3)


def log_of(histories, items):
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.concatenate([np.asarray(h, np.int64) for h in histories])
    at = np.arange(len(item), dtype=np.int64) * 1_000_000
    users = tuple(UserId(f"u{u}") for u in range(len(histories)))
    return Interactions(users, tuple(ItemId(f"i{i}") for i in range(items)), offsets, item, at, np.ones(len(item), np.float32))


def markov(users=120, items=30, seed=0):
    """Each item is followed by one of the two after it, round a ring: order is all there is to learn."""
    rng = np.random.default_rng(seed)
    histories = []
    for user in range(users):
        steps = rng.integers(1, 3, 5 + user % 7)
        histories.append((rng.integers(items) + np.cumsum(steps)) % items)
    return log_of(histories, items)


@pytest.fixture(scope="module")
def fitted():
    log, features = markov(), np.random.default_rng(2).standard_normal((30, 5)).astype(np.float32)
    model = SequenceModel(SMALL)
    model.fit(log, features)
    return model, log, features


def test_it_learns_what_popularity_cannot():
    train, validation, test = leave_last_out(markov())
    before = together(train, validation)
    model, popular, none = SequenceModel(SMALL), Popularity(), np.zeros((30, 0), np.float32)
    model.fit(before, none)
    popular.fit(before, none)
    learned, baseline = evaluate_model(model, before, test, 3), evaluate_model(popular, before, test, 3)
    assert learned.recall.mean() > 0.7 > 0.4 > baseline.recall.mean()


def test_a_policy_starts_exactly_where_the_model_stands(fitted):
    model, _, features = fitted
    vectors = model.item_vectors(features)
    histories = np.array([[-1, -1, -1, -1, -1, -1], [-1, -1, 3, 7, 2, 9], [1, 2, 3, 5, 6, 8]])
    state = State(np.concatenate([vectors, np.zeros((1, 16), np.float32)])[histories], histories, np.zeros((3, 0), np.float32))
    items = np.broadcast_to(vectors, (3, *vectors.shape))
    mask = np.ones((3, 30), np.bool_)
    wanted = model.score(histories)
    policy = NetworkPolicy(model.config.network(), model.network_arrays())
    np.testing.assert_allclose(policy.score(state, items, mask), wanted, atol=1e-5)
    start = Reinforce(ReinforceConfig(model.config.network()), model.network_arrays()).policy
    np.testing.assert_allclose(start.score(state, items, mask), wanted, atol=1e-5)


def test_vectors_are_text_plus_residual_and_a_new_item_has_text_only(fitted):
    model, _, features = fitted
    more = np.concatenate([features, features[4:6]])
    vectors = model.item_vectors(more)
    state = model.state_dict()
    np.testing.assert_allclose(vectors[30:], (features[4:6] - state["mean"]) @ state["project"], atol=1e-6)
    np.testing.assert_allclose(vectors[:30], state["items"], atol=1e-6)
    with pytest.raises(ConfigError, match="only grows"):
        model.item_vectors(features[:29])
    with pytest.raises(ShapeError):
        model.item_vectors(features[:, :4])


def test_an_item_nobody_took_is_scored_by_its_text():
    """Two ways round the ring of texts; item 29 reads like item 28 and never occurs."""
    angle = np.arange(30) * 2 * np.pi / 29
    features = np.stack([np.cos(angle), np.sin(angle), np.cos(3 * angle), np.sin(3 * angle)], axis=1).astype(np.float32)
    features[29] = features[28]
    model = SequenceModel(SequenceConfig(**{**vars(SMALL), "text_alone": 0.5}))
    ring = markov(items=29)
    log = Interactions(ring.users, (*ring.items, ItemId("new")), ring.offsets, ring.item, ring.at, ring.value)
    model.fit(log, features)
    assert np.all(model.state_dict()["residual"][29] == 0)
    near, far = model.score(np.array([[24, 25, 27], [9, 10, 12]]))
    assert near[29] > np.median(near) and far[29] < np.median(far)


def test_only_the_last_steps_count_and_repeats_in_a_row_once(fitted):
    model = fitted[0]
    long = np.array([[9, 9, 9, 1, 2, 3, 4, 5, 6]])
    np.testing.assert_allclose(model.score(long), model.score(long[:, 3:]), atol=1e-6)
    np.testing.assert_allclose(model.score(np.array([[1, 1, 2, 2, 2]])), model.score(np.array([[1, 2]])), atol=1e-5)


def test_the_same_seed_is_the_same_model_and_another_is_not(fitted):
    model, log, features = fitted
    same, other = SequenceModel(SMALL), SequenceModel(SequenceConfig(**{**vars(SMALL), "seed": 1}))
    torch.rand(3)  # the global generator plays no part
    same.fit(log, features)
    other.fit(log, features)
    for name, value in same.state_dict().items():
        np.testing.assert_array_equal(value, model.state_dict()[name])
    assert not np.allclose(other.score(np.array([[3]])), model.score(np.array([[3]])))


def test_a_checkpoint_of_another_config_is_refused(fitted):
    model = fitted[0]
    with pytest.raises(ArtefactError, match="width 64"):
        SequenceModel().load_state_dict(model.state_dict())
    with pytest.raises(ArtefactError, match="network"):
        SequenceModel(SequenceConfig(**{**vars(SMALL), "blocks": 2})).load_state_dict(model.state_dict())


def test_a_snapshot_of_the_first_version_projects_texts_as_they_came(fitted):
    model, _, features = fitted
    state = {name: array for name, array in model.state_dict().items() if name != "mean"}
    again = SequenceModel(model.config)
    again.load_state_dict(state)
    more = np.concatenate([features, features[4:6]])
    np.testing.assert_allclose(again.item_vectors(more)[30:], features[4:6] @ state["project"], atol=1e-6)


def test_stopping_early_keeps_the_best_pass(fitted):
    model = fitted[0]
    assert model.best_epoch == 1 + int(np.argmax(model.curve))


@pytest.mark.parametrize("steps", [1, 3, 4, 50])
def test_every_event_is_the_target_once_a_pass(steps):
    log = markov(users=9)
    events = sequences(log)
    seen = []
    for before, target in batches(events, steps, 4, np.random.default_rng(steps)):
        assert before.shape == target.shape and before.shape[1] <= steps
        for reads, says in zip(before, target, strict=True):
            says = says[says >= 0]
            seen += says.tolist()
            assert (reads[1 : len(says)] == says[:-1]).all(), "a step reads what the step before should have said"
    assert sorted(seen) == sorted(log.item.tolist())


def test_repeats_in_a_row_are_one_event_within_a_user_only():
    events = sequences(log_of([[2, 2, 1, 2], [2, 2], []], 3))
    assert events.offsets.tolist() == [0, 3, 4, 4]
    assert events.target.tolist() == [2, 1, 2, 2]
    assert events.before.tolist() == [-1, 2, 1, -1]


def test_held_out_are_last_events_that_were_new_to_their_users():
    log = log_of([[0, 1, 2], [3], [1, 2, 1], [4, 0]], 5)
    train, history, target = held_out(log, np.random.default_rng(0))
    assert target.tolist() == [2, 0]
    assert history.tolist() == [[0, 1], [-1, 4]]
    assert [train.history(u).tolist() for u in range(4)] == [[0, 1], [3], [1, 2, 1], [4]]


@pytest.mark.parametrize(("negatives", "drawn"), [(0, 0), (14, 14), (15, 0), (1500, 0)])
def test_a_draw_stands_for_a_catalogue_of_more_than_twice_as_many_items(negatives, drawn):
    log = markov()  # 30 items, all with events
    assert len(np.unique(log.item)) == 30
    trainer = _Trainer(replace(SMALL, negatives=negatives), log, np.zeros((30, 0), np.float32))
    assert trainer.negatives == drawn
