"""A log without decisions becomes batches: rewards, futures, propensities and what a state may know."""

from datetime import timedelta

import numpy as np
import pytest

from longgame.algorithms.reinforce import NetworkPolicy, Reinforce, ReinforceConfig
from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.learning.organic import PolicyScorer, actions, organic_batches
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.types import ItemId, Objective, UserId

DAY = 86_400_000_000
ITEMS, WIDTH, STEPS = 7, 3, 4
LIKED = Objective({"rating": 1.0}, frozenset(), timedelta(hours=1), 0.5, {"rating": 4.0})
VECTORS = np.random.default_rng(0).standard_normal((ITEMS, WIDTH)).astype(np.float32)


def log_of(rows):
    """Rows of a user: (item, day, rating)."""
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    flat = [row for user in rows for row in user]
    users, items = tuple(UserId(f"u{u}") for u in range(len(rows))), tuple(ItemId(f"i{i}") for i in range(ITEMS))
    item, day, value = (np.array(column) for column in zip(*flat, strict=True))
    return Interactions(users, items, offsets, item.astype(np.int64), day.astype(np.int64) * DAY, value.astype(np.float32))


LOG = log_of([[(0, 0, 5), (1, 1, 4), (2, 3, 1), (1, 4, 5), (3, 4, 5)], [(4, 0, 5)], [(5, 2, 3), (6, 100, 5)]])


class Tilted:
    """A behaviour whose score of item i is i, whatever the history; it keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def score(self, histories):
        self.asked.append(histories)
        return np.tile(np.arange(ITEMS, dtype=np.float32), (len(histories), 1))


def only_batch(log=LOG, objective=LIKED, **settings):
    rows = actions(log, objective)
    return rows, next(organic_batches(rows, VECTORS, Tilted(), STEPS, 99, np.random.default_rng(0), **settings))


def test_rewards_and_futures_are_those_of_the_objective():
    rows = actions(LOG, LIKED)
    assert rows.reward.tolist() == [1, 1, 0, 1, 1, 1, 0, 1]
    after = 0.5 * 2  # what days 4 and 4 are worth on day 3: half a day's discount each
    assert rows.future.tolist() == [0.5 * (1 + 0.25 * after), 0.25 * after, after, 1, 0, 0, 0.5**98, 0]
    assert rows.discount.tolist() == [0.5, 0.25, 0.5, 1, 0, 0, 0.5**98, 0]


def test_first_events_repeats_and_events_near_the_end_of_the_log_are_not_learned_from():
    assert actions(LOG, LIKED).told.tolist() == [False, True, True, False, True, False, False, False]
    myopic = Objective({"rating": 1.0}, floor={"rating": 4.0})
    assert actions(LOG, myopic).told.tolist() == [False, True, True, False, True, False, False, True]


def test_a_row_knows_what_came_before_and_its_candidates_are_what_was_new():
    _, batch = only_batch()
    row = int(np.flatnonzero(batch.action[:, 0] == 3)[0])
    assert batch.state.items[row].tolist() == [0, 1, 2, 1]
    assert batch.next_state.items[row].tolist() == [1, 2, 1, 3]
    assert batch.mask[row].tolist() == [False, False, False, True, True, True, True]
    assert batch.next_mask[row].tolist() == [False, False, False, False, True, True, True]
    np.testing.assert_allclose(batch.propensity[row, 0], np.exp(3) / np.exp([3, 4, 5, 6]).sum())
    np.testing.assert_array_equal(batch.state.history[row, 2], VECTORS[2])
    assert (batch.reward[row, 0], batch.future[row], batch.discount[row]) == (1, 0, 0)


def test_sampled_candidates_hold_every_action():
    _, batch = only_batch(sample=1)
    assert batch.items.shape[1] <= 4
    _, whole = only_batch()
    acted, meant = (np.take_along_axis(b.items, b.action[:, :, None], axis=1)[:, 0] for b in (batch, whole))
    np.testing.assert_array_equal(acted, meant)
    assert (batch.propensity >= whole.propensity).all()


def test_a_later_event_changes_nothing_before_it():
    changed = log_of([[(0, 0, 5), (1, 1, 4), (2, 3, 1), (1, 4, 5), (5, 4, 1)], [(4, 0, 5)], [(5, 2, 3), (6, 100, 5)]])
    myopic = Objective({"rating": 1.0}, floor={"rating": 4.0})
    asked = []
    for log in (LOG, changed):
        behaviour = Tilted()
        next(organic_batches(actions(log, myopic), VECTORS, behaviour, STEPS, 99, np.random.default_rng(0)))
        asked.append(behaviour.asked[0])
    np.testing.assert_array_equal(asked[0], asked[1])


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="size"):
        next(organic_batches(actions(LOG, LIKED), VECTORS, Tilted(), STEPS, 0, np.random.default_rng(0)))


def test_a_policy_scores_the_catalogue_as_the_model_it_starts_from():
    config = SequenceConfig(width=8, hidden=8, blocks=1, steps=STEPS, epochs=1, patience=0)
    model = SequenceModel(config)
    model.fit(LOG, VECTORS)
    policy = NetworkPolicy(config.network(), model.network_arrays())
    histories = np.array([[-1, 0, 0, 3, -1, 2], [1, 2, 3, 4, 5, 6]])
    got = PolicyScorer(policy, model.item_vectors(VECTORS), STEPS).score(histories)
    np.testing.assert_allclose(got, model.score(histories), atol=1e-5)


def test_the_policy_learns_to_prefer_what_is_liked():
    """Everybody takes either item after any history, and only the even ones are liked."""
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(60):
        order = rng.permutation(ITEMS)[:4]
        rows.append([(int(i), day, 5 if i % 2 == 0 else 1) for day, i in enumerate(order)])
    log, network = log_of(rows), NetworkConfig(WIDTH, hidden=8, steps=STEPS)
    learner = Reinforce(ReinforceConfig(network, learning_rate=1e-2, top_k=2), to_arrays(UserNetwork(network)))
    rewards = actions(log, Objective({"rating": 1.0}, floor={"rating": 4.0}))
    for number in range(15):
        for batch in organic_batches(rewards, VECTORS, Tilted(), STEPS, 64, np.random.default_rng(number)):
            assert np.isfinite(list(learner.update(batch).values())).all()
    scores = PolicyScorer(learner.policy, VECTORS, STEPS).score(np.array([[-1, 1], [2, 3]]))
    assert (scores[:, ::2].mean(axis=1) > scores[:, 1::2].mean(axis=1) + 0.5).all()
