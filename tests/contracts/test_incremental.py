"""The contract of ``Incremental``, for every model of the table that learns on: what came later, without forgetting."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import DataError
from longgame.models import MODELS
from longgame.types import F32, I64, ItemId, UserId
from tests.contracts.test_model import FEATURES, HISTORIES, ITEMS, LOG, MAKERS, interactions

EXACT = (
    "popularity",
    "popularity that fades",
    "item-knn",
    "item-knn of few",
    "item-knn by bm25",
    "user-knn",
    "user-knn of few",
    "user-knn by bm25",
)
"""Of ``test_model.MAKERS``: those whose docstring promises what a fit on the whole log gives."""
NEAR = ("als", "als that fades", "svd", "svd-plus-plus", "time-factors")
"""Those that come near it."""

FIRST = replace(LOG, value=np.random.default_rng(8).integers(1, 6, len(LOG)).astype(np.float32))
GROWN = (*LOG.items, ItemId("i11"), ItemId("i12"))
TAKEN, UNTAKEN = ITEMS, ITEMS + 1
"""New items: some took the one, nobody the other."""
ASKED: I64 = np.concatenate([HISTORIES, [[-1, -1, 4, TAKEN, 2], [UNTAKEN, 3, 6, 6, 0]]])


def later(said: dict[str, list[int]], items: tuple[ItemId, ...] = GROWN) -> Interactions:
    """User -> the items he took, an hour apart, all after ``FIRST``; the users in this order."""
    lengths = [len(took) for took in said.values()]
    item = np.array([i for took in said.values() for i in took], np.int64)
    at = int(FIRST.at.max()) + 3_600_000_000 * (1 + np.arange(len(item), dtype=np.int64))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    value = (1 + (3 * np.arange(len(item))) % 5).astype(np.float32)
    return Interactions(tuple(UserId(user) for user in said), items, offsets, item, at, value)


MORE = later({"new": [4, TAKEN, 9], "u4": [TAKEN, 0], "u0": [2, 9, TAKEN, 5], "quiet": [], "u3": [6]})
"""Of somebody new, of one who had no events (u3), of one who still has none; in another order than the log's."""


def whole(log: Interactions, more: Interactions) -> Interactions:
    """One log of both, put together user by user."""
    users = tuple(dict.fromkeys((*log.users, *more.users)))
    parts: list[list[Any]] = [[], [], []]
    lengths = []
    for user in users:
        rows = [(part, part.user == part.users.index(user)) for part in (log, more) if user in part.users]
        lengths.append(sum(int(own.sum()) for _, own in rows))
        for column, name in zip(parts, ("item", "at", "value"), strict=True):
            column.extend(getattr(part, name)[own] for part, own in rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Interactions(users, more.items, offsets, *(np.concatenate(column) for column in parts))


def grown(features: F32) -> F32:
    return np.concatenate([features, np.random.default_rng(2).standard_normal((2, features.shape[1])).astype(np.float32)])


@pytest.fixture(params=(*EXACT, *NEAR))
def make(request) -> Callable[[], Any]:
    return MAKERS[request.param]


@pytest.fixture
def model(make) -> Any:
    fitted = make()
    fitted.fit(FIRST, FEATURES)
    return fitted


def test_the_suite_knows_every_model_that_learns_on():
    kinds = {name for name, kind in MODELS.items() if hasattr(kind.make(), "update")}
    assert {MAKERS[name]().name for name in (*EXACT, *NEAR)} == kinds


@pytest.mark.parametrize("name", EXACT)
def test_learning_on_equals_learning_at_once_where_that_is_promised(name):
    on: Any = MAKERS[name]()
    at_once = MAKERS[name]()
    on.fit(FIRST, FEATURES)
    on.update(MORE)
    at_once.fit(whole(FIRST, MORE), grown(FEATURES))
    np.testing.assert_allclose(on.score(ASKED), at_once.score(ASKED), rtol=1e-6, atol=1e-9)
    if name.startswith("item-knn"):  # "to the bit"
        np.testing.assert_array_equal(on.score(ASKED), at_once.score(ASKED))


@pytest.mark.parametrize("more", [later({}, LOG.items), later({"u4": [], "u1": []}, LOG.items)], ids=["nobody", "silence"])
def test_an_update_without_events_changes_nothing(model, more):
    before = model.score(HISTORIES)
    model.update(more)
    np.testing.assert_array_equal(model.score(HISTORIES), before)


def test_a_catalogue_that_only_grew_leaves_the_items_that_were_there_alone(request, model):
    before = model.score(HISTORIES)
    model.update(later({}))
    after = model.score(ASKED)
    assert after.shape == (len(ASKED), len(GROWN)) and np.isfinite(after).all()
    if "item-knn by bm25" in request.node.name:  # whose texts are all items: with more of them every user is rarer
        assert np.corrcoef(after[: len(HISTORIES), :ITEMS].ravel(), before.ravel())[0, 1] > 0.98
    else:
        np.testing.assert_allclose(after[: len(HISTORIES), :ITEMS], before, rtol=1e-5, atol=1e-7)


def test_what_is_new_is_learned(model):
    before = model.score(HISTORIES)
    model.update(MORE)
    after = model.score(ASKED)
    assert after.shape == (len(ASKED), len(GROWN)) and after.dtype == np.float32 and np.isfinite(after).all()
    assert not np.array_equal(after[: len(HISTORIES), :ITEMS], before)
    nobody = model.score(np.full((1, 3), -1))[0]
    assert nobody[TAKEN] > nobody[UNTAKEN], "of two new items the one with events comes first for somebody new"


def test_what_was_known_is_not_forgotten(make, model):
    model.update(MORE)
    only = make()
    only.update(MORE)  # one that has learned nothing yet has the empty catalogue, with which every one begins
    assert only.score(ASKED).shape == (len(ASKED), len(GROWN)) and np.isfinite(only.score(ASKED)).all()
    assert not np.allclose(only.score(ASKED), model.score(ASKED), atol=1e-3)


def test_users_are_matched_by_id(make, model):
    """In another order of the users the same is learned; a user's events join those he had, whatever his place."""
    said = {"u4": [TAKEN, 0], "u0": [2, 9, TAKEN, 5], "u3": [6]}
    more = later(said)
    order = [2, 0, 1]
    rows = [np.arange(more.offsets[user], more.offsets[user + 1]) for user in order]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    row = np.concatenate(rows)
    turned = Interactions(
        tuple(more.users[user] for user in order), GROWN, offsets, more.item[row], more.at[row], more.value[row]
    )
    other = make()
    other.fit(FIRST, FEATURES)
    model.update(more)
    other.update(turned)
    np.testing.assert_array_equal(other.score(ASKED), model.score(ASKED))


def test_a_checkpoint_learns_on_as_if_never_stopped(make, model):
    model.update(MORE)
    state = model.state_dict()
    copy = {name: array.copy() for name, array in state.items()}
    other = make()
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.score(ASKED), model.score(ASKED))
    last = later({"u1": [3, TAKEN], "newest": [UNTAKEN, 0, 7], "new": [8]})
    for one in (model, other):
        one.update(last)
    np.testing.assert_array_equal(other.score(ASKED), model.score(ASKED))
    assert set(other.state_dict()) == set(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
        np.testing.assert_array_equal(state[name], copy[name])  # what was handed out does not move


def test_an_update_changes_nothing_that_it_is_given(model):
    more = later({"u4": [TAKEN, 0], "new": [4, 9]})
    columns = {name: getattr(more, name).copy() for name in ("offsets", "item", "at", "value")}
    model.update(more)
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(more, name), column)


@pytest.mark.parametrize(
    "items",
    [LOG.items[:-1], LOG.items[::-1], (*LOG.items[:-1], ItemId("another"), LOG.items[-1])],
    ids=["shorter", "turned", "with one between"],
)
def test_another_catalogue_is_refused_and_leaves_the_model_as_it_was(model, items):
    before = model.score(HISTORIES)
    with pytest.raises(DataError, match=f"must begin with the {ITEMS} items"):
        model.update(later({"u4": [3, 0]}, items))
    np.testing.assert_array_equal(model.score(HISTORIES), before)


def test_a_log_without_events_can_be_learned_on(make):
    model = make()
    model.fit(interactions([0, 0], 0), FEATURES)
    model.update(MORE)
    assert model.score(ASKED).shape == (len(ASKED), len(GROWN)) and np.isfinite(model.score(ASKED)).all()
    assert model.score(np.full((1, 2), -1))[0].std() > 0
