"""The contract of ``Model``, for every implementation, on a log whose axes all have another length."""

from collections.abc import Callable

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ConfigError, ShapeError
from longgame.models import MODELS, Ease, ItemKNN, ItemKNNConfig, Popularity, PopularityConfig
from longgame.protocols import Model
from longgame.types import F32, I64, ItemId, UserId

ITEMS, TEXT, STEPS, ROWS = 11, 3, 5, 4
COLD = [9, 10]
"""Items that nobody took."""


def sequence(**settings) -> Model:
    from longgame.models.sequence import SequenceConfig, SequenceModel

    settings = {"width": 6, "hidden": 8, "steps": 4, "batch": 3, "epochs": 3, "patience": 2} | settings
    return SequenceModel(SequenceConfig(**settings))


def ensemble(**settings) -> Model:
    from longgame.models.ensemble import EnsembleConfig

    small = {"width": 6, "hidden": 8, "steps": 4, "batch": 3, "epochs": 3, "patience": 2}
    settings = {"members": ("sequence", "item-knn", "ease"), "settings": {"sequence": small}} | settings
    return MODELS["ensemble"].make(EnsembleConfig(**settings))


def small(name: str, **settings) -> Callable[[], Model]:
    return lambda: MODELS[name].make(MODELS[name].config(**settings))


MAKERS: dict[str, Callable[[], Model]] = {
    "popularity": Popularity,
    "popularity that fades": lambda: Popularity(PopularityConfig(half_life=0.5)),
    "item-knn": lambda: ItemKNN(ItemKNNConfig(half_life=2.0)),
    "item-knn of few": lambda: ItemKNN(ItemKNNConfig(neighbours=2, half_life=np.inf, shrinkage=0.0)),
    "item-knn by bm25": lambda: ItemKNN(ItemKNNConfig(weighting="bm25", reach=np.inf)),
    "user-knn": small("user-knn", half_life=2.0),
    "user-knn of few": small("user-knn", neighbours=2, weighting="cosine", neighbour_half_life=4.0),
    "user-knn by bm25": small("user-knn", neighbours=3, weighting="bm25"),
    "content": small("content"),
    "content near any": small("content", pool="max", centre=False, recent=3),
    "slim": small("slim", l1=0.1, l2=1.0, tolerance=1e-6),
    "slim with negative weights": small("slim", l1=0.01, l2=0.5, negative=True, tolerance=1e-6, half_life=3.0),
    "als": small("als", width=4),
    "als that fades": small("als", width=6, half_life=2.0, by_count=1.0, unobserved=0.5),
    "bpr": small("bpr", width=4, epochs=5),
    "bpr that stops": small("bpr", width=4, epochs=5, patience=1, half_life=2.0),
    "bpr under a push": small("bpr", width=4, epochs=5, adversary=0.5),
    "svd": small("svd", width=4, passes=8),
    "svd-plus-plus": small("svd-plus-plus", width=4, passes=8),
    "time-factors": small("time-factors", width=4, passes=8),
    "ease": Ease,
    "sequence": sequence,
    "sequence without refit": lambda: sequence(refit=False),
    "sequence of augmented histories": lambda: sequence(augment=("crop", "mask", "reorder", "substitute"), strength=0.5),
    "sequence of gated blocks and drawn negatives": lambda: sequence(gated=True, negatives=2),
    "sequence with its texts apart": lambda: sequence(joint="subspace", text_width=2),
    "sequence taught more": lambda: sequence(contrast=0.1, pretrain=1, unlabelled=0.5, adversary=0.3),
    "lightgcn": small("lightgcn", width=4, epochs=4, batch=7),
    "lightgcn with users": small("lightgcn", width=4, layers=3, epochs=3, patience=1, user_vectors=True, without_own=False),
    "neumf": small("neumf", width=4, hidden=6, steps=4, epochs=3, patience=2),
    "deepfm": small("deepfm", width=4, hidden=6, steps=4, epochs=3, patience=2),
    "deepfm to the end": small("deepfm", width=4, hidden=8, layers=3, steps=3, epochs=2, patience=0),
    "gru4rec": small("gru4rec", width=4, hidden=6, steps=4, epochs=3, patience=2),
    "gru4rec of two tables and drawn negatives": small(
        "gru4rec", width=4, hidden=5, layers=2, tied=False, negatives=3, steps=3, epochs=2, patience=0
    ),
    "youtube": small("youtube", width=4, hidden=6, steps=4, candidates=3, ranking_width=3, epochs=3, patience=2),
    "youtube that fades": small(
        "youtube", width=4, hidden=8, layers=2, steps=3, half_life=2.0, last=False, negatives=3, epochs=2, patience=0
    ),
    "youtube without ranking": small("youtube", width=4, hidden=6, ranking=False, example_age=False, epochs=2, patience=1),
    "ensemble": ensemble,
    "ensemble of one kind": lambda: ensemble(members=("sequence", "sequence")),
    "sequence to the end": lambda: sequence(patience=0, dropout=0.0, text_alone=0.0),
}


def interactions(lengths: list[int], seed: int, items: int = ITEMS) -> Interactions:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    item = np.minimum(rng.integers(0, items - len(COLD), n), rng.integers(0, items - len(COLD), n))
    at = np.sort(rng.integers(0, 10**12, n)).astype(np.int64)
    users = tuple(UserId(f"u{u}") for u in range(len(lengths)))
    return Interactions(users, tuple(ItemId(f"i{i}") for i in range(items)), offsets, item, at, np.ones(n, np.float32))


LOG = interactions([9, 1, 4, 0, 13, 6, 2], 0)
FEATURES: F32 = np.random.default_rng(1).standard_normal((ITEMS, TEXT)).astype(np.float32)
HISTORIES: I64 = np.array([[-1, 3, 0, 2, 5], [-1, -1, -1, -1, -1], [8, 7, 1, 0, 4], [-1, -1, -1, -1, 10]])


@pytest.fixture(params=MAKERS)
def make(request) -> Callable[[], Model]:
    return MAKERS[request.param]


@pytest.fixture
def model(make) -> Model:
    fitted: Model = make()
    fitted.fit(LOG, FEATURES)
    return fitted


def test_the_suite_knows_every_model_of_the_table():
    assert {make().name for make in MAKERS.values()} == {kind.make().name for kind in MODELS.values()} == set(MODELS)


def test_scores_are_finite_float32_and_one_per_item(model):
    scores = model.score(HISTORIES)
    assert scores.shape == (ROWS, ITEMS) and scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert model.score(np.zeros((0, STEPS), np.int64)).shape == (0, ITEMS)


def test_a_row_does_not_depend_on_its_neighbours(model):
    alone = np.concatenate([model.score(HISTORIES[row : row + 1]) for row in range(ROWS)])
    np.testing.assert_allclose(model.score(HISTORIES), alone, rtol=1e-5, atol=1e-6)


def test_where_the_padding_stands_does_not_matter(model):
    histories = np.array([[3, 0, 2], [8, 8, 7]])
    padded = np.array([[-1, 3, -1, 0, 2, -1], [8, 8, -1, -1, -1, 7]])
    np.testing.assert_allclose(model.score(padded), model.score(histories), rtol=1e-5, atol=1e-6)


def test_an_empty_history_is_scored_alike_however_empty(model):
    none, padded = model.score(np.zeros((1, 0), np.int64)), model.score(np.full((1, 3), -1))
    np.testing.assert_allclose(none, padded, rtol=1e-5, atol=1e-6)
    assert none.std() > 0, "somebody new still gets an order of the items"


def test_items_that_came_after_the_fit_say_nothing(model):
    np.testing.assert_allclose(
        model.score(np.array([[3, ITEMS, 2, ITEMS + 5]])), model.score(np.array([[3, 2]])), rtol=1e-5, atol=1e-6
    )


def test_what_was_learned_is_replaced(make, model):
    again = make()
    again.fit(interactions([3, 8], 5, items=6), FEATURES[:6, :2])
    assert again.score(HISTORIES[:, :3]).shape == (ROWS, 6)
    again.fit(LOG, FEATURES)
    np.testing.assert_array_equal(again.score(HISTORIES), model.score(HISTORIES))


def test_fitting_does_not_change_the_global_generator_or_what_it_is_given(make):
    import torch

    log, features, histories = interactions([6, 3, 5], 3), FEATURES.copy(), HISTORIES.copy()
    before, item, offsets = torch.random.get_rng_state(), log.item.copy(), log.offsets.copy()
    model = make()
    model.fit(log, features)
    model.score(histories)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(features, FEATURES)
    np.testing.assert_array_equal(histories, HISTORIES)
    np.testing.assert_array_equal(log.item, item)
    np.testing.assert_array_equal(log.offsets, offsets)


def test_state_rebuilds_the_model_to_the_bit(make, model):
    state = model.state_dict()
    copy = {name: value.copy() for name, value in state.items()}
    other = make()
    other.load_state_dict(state)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.score(HISTORIES), model.score(HISTORIES))
    assert set(other.state_dict()) == set(state)
    for name, value in state.items():
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, copy[name])
        value.fill(0)  # a copy, both ways
    np.testing.assert_array_equal(other.score(HISTORIES), model.score(HISTORIES))


def test_another_order_of_the_catalogue_is_another_order_of_the_scores(make, model):
    order = np.random.default_rng(4).permutation(ITEMS)  # new position -> old position
    place = np.argsort(order)
    items = tuple(LOG.items[i] for i in order)
    log = Interactions(LOG.users, items, LOG.offsets, place[LOG.item], LOG.at, LOG.value)
    other = make()
    other.fit(log, FEATURES[order])
    histories = np.where(HISTORIES >= 0, place[HISTORIES], -1)
    # Sums are in another order, and how far that moves a score depends on the processor: scores here are 1 to 10 long.
    np.testing.assert_allclose(other.score(histories), model.score(HISTORIES)[:, order], rtol=1e-3, atol=2e-3)


def test_a_model_that_learned_nothing_is_one_of_an_empty_catalogue(make):
    assert make().score(HISTORIES).shape == (ROWS, 0)


def test_a_log_without_events_and_one_event_are_logs(make):
    model = make()
    model.fit(interactions([0, 0], 0), FEATURES)
    assert np.isfinite(model.score(HISTORIES)).all()
    model.fit(interactions([1], 0), FEATURES)
    assert np.isfinite(model.score(HISTORIES)).all()


def test_histories_have_two_axes(model):
    with pytest.raises(ShapeError, match="histories"):
        model.score(np.zeros(3, np.int64))


def test_text_may_be_absent(make):
    model = make()
    model.fit(LOG, FEATURES[:, :0])
    assert np.isfinite(model.score(HISTORIES)).all()


def test_nobody_learns_from_what_was_left_out(make, model):
    """Rows taken from the log must not move a score: the model only knows what it was given."""
    keep = np.ones(len(LOG), np.bool_)
    keep[LOG.offsets[1:][np.diff(LOG.offsets) > 2] - 1] = False
    changed = Interactions(LOG.users, LOG.items, LOG.offsets, np.where(keep, LOG.item, 8), LOG.at, LOG.value)
    first, second = make(), make()
    first.fit(LOG.select(keep), FEATURES)
    second.fit(changed.select(keep), FEATURES)
    np.testing.assert_array_equal(first.score(HISTORIES), second.score(HISTORIES))


def test_settings_that_cannot_work_are_refused_when_made():
    from longgame.models import EaseConfig
    from longgame.models.sequence import SequenceConfig

    for settings in (
        lambda: PopularityConfig(half_life=-1),
        lambda: ItemKNNConfig(neighbours=0),
        lambda: ItemKNNConfig(half_life=0),
        lambda: ItemKNNConfig(shrinkage=float("nan")),
        lambda: EaseConfig(penalty=0),
        lambda: SequenceConfig(text_alone=1),
        lambda: SequenceConfig(epochs=0),
        lambda: SequenceConfig(hidden=63),
    ):
        with pytest.raises(ConfigError):
            settings()
