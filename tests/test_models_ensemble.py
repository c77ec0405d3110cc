"""Several models as one, and items that nobody took yet."""

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ArtefactError, ConfigError
from longgame.models import MODELS, ItemKNN, Popularity
from longgame.models.ensemble import EnsembleConfig, selected
from longgame.models.lift import Lift, Lifted, standardised
from longgame.models.windows import held_out
from longgame.types import F32, ItemId, UserId

GROUPS, SIZE, COLD = 6, 8, 2
"""Groups of items that are taken together; the last two of a group are not taken by anybody."""


def grouped(users: int = 90, length: int = 7, seed: int = 0) -> tuple[Interactions, F32]:
    """Each user stays in one group, and an item's text says which group it is of."""
    rng = np.random.default_rng(seed)
    items = tuple(ItemId(f"i{i}") for i in range(GROUPS * SIZE))
    rows = [u % GROUPS * SIZE + rng.permutation(SIZE - COLD)[: length - 1] for u in range(users)]
    counts = [len(r) for r in rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n = int(offsets[-1])
    at = np.arange(n, dtype=np.int64)
    log = Interactions(
        tuple(UserId(f"u{u}") for u in range(users)), items, offsets, np.concatenate(rows), at, np.ones(n, np.float32)
    )
    centre = rng.standard_normal((GROUPS, 12))
    text = np.repeat(centre, SIZE, axis=0) + 0.3 * rng.standard_normal((len(items), 12))
    return log, text.astype(np.float32)


def ensemble(*members: str, **settings):
    return MODELS["ensemble"].make(EnsembleConfig(members, **settings))


def test_standardised_rows_have_mean_0_and_deviation_1_and_a_silent_row_is_0():
    out = standardised(np.array([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]], np.float32))
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(out[0].std(), 1, rtol=1e-6)
    assert not out[1].any()


def test_the_weights_are_chosen_as_by_hand():
    """Three users, three items; each member alone puts two of the three events first, only both together all."""
    first = np.array([[3, 0, 0], [0, 3, 0], [0, 1, 0]], np.float32)
    second = np.array([[0, 1, 0], [0, 3, 0], [0, 0, 3]], np.float32)
    weights = selected([first, second], np.full((3, 1), -1), np.array([0, 1, 2]), 6)
    np.testing.assert_allclose(weights, [0.5, 0.5])


def test_what_the_history_holds_is_no_rival():
    good = np.array([[9.0, 1.0, 0.0]], np.float32)
    bad = np.array([[0.0, 1.0, 2.0]], np.float32)
    np.testing.assert_allclose(selected([bad, good], np.array([[0]]), np.array([1]), 1), [0, 1])


def test_a_member_that_says_nothing_is_dropped_and_one_that_is_wrong_too():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 5, 300)
    right = np.eye(5, dtype=np.float32)[target] + 0.5 * rng.standard_normal((300, 5)).astype(np.float32)
    weight = selected([right, -right, 0 * right], np.full((300, 1), -1), target, 10)
    np.testing.assert_allclose(weight, [1, 0, 0])


def test_it_hears_the_member_that_knows():
    log, text = grouped()
    model = ensemble("popularity", "item-knn")
    model.fit(log, text)
    assert model.weights["item-knn"] > 3 * model.weights["popularity"]
    history = log.history(0)[None, :3]
    assert model.score(history)[0].argmax() // SIZE == 0


def test_a_member_that_refuses_is_left_out_and_all_that_refuse_are_an_error():
    log, text = grouped()
    model = ensemble("ease", "item-knn", settings={"ease": {"largest": 5}})
    model.fit(log, text)
    assert "at most 5 items" in model.left_out[0] and model.weights["ease"] == 0
    again = ensemble("ease", "item-knn", settings={"ease": {"largest": 5}})
    again.load_state_dict(model.state_dict())
    history = log.history(1)[None]
    np.testing.assert_array_equal(again.score(history), model.score(history))
    with pytest.raises(ConfigError, match="no member could be fitted"):
        ensemble("ease", settings={"ease": {"largest": 5}}).fit(log, text)


def test_members_are_checked_when_it_is_made():
    for config in (
        lambda: EnsembleConfig(()),
        lambda: EnsembleConfig(("ensemble",)),
        lambda: EnsembleConfig(("ease",), {"slim": {}}),
    ):
        with pytest.raises(ConfigError):
            config()
    log, text = grouped()
    with pytest.raises(ConfigError, match="'nobody'"):
        ensemble("nobody").fit(log, text)
    with pytest.raises(ConfigError, match="always the same"):
        ensemble("ease", "ease").fit(log, text)
    model = ensemble("ease", "item-knn")
    model.fit(log, text)
    with pytest.raises(ArtefactError, match="2 members"):
        ensemble("ease", "item-knn").load_state_dict({"weights": np.ones(3), "items": np.array([1])})


def test_new_items_stand_with_their_like():
    log, text = grouped()
    plain, model = ItemKNN(), ensemble("item-knn", "popularity")
    plain.fit(log, text)
    model.fit(log, text)
    cold = np.array([g * SIZE + SIZE - 1 - c for g in range(GROUPS) for c in range(COLD)])
    history = np.stack([np.arange(3) + g * SIZE for g in range(GROUPS)])
    group = cold // SIZE
    own = group[None] == np.arange(GROUPS)[:, None]
    scores = model.score(history)[:, cold]
    assert scores[own].min() > scores[~own].max()
    assert np.ptp(plain.score(history)[:, cold]) < 1e-6, "without the lift all are alike"
    best = np.argsort(-model.score(history), axis=1)[:, : SIZE + 1]
    assert np.isin(cold, best).any(), "they come among the first"


def test_any_model_can_be_lifted_and_is_itself_where_nothing_is_new():
    log, text = grouped()
    history = np.stack([np.arange(3) + g * SIZE for g in range(GROUPS)])
    for make in (ItemKNN, Popularity, MODELS["ease"].make):
        plain, model = make(), Lifted(make)
        plain.fit(log, text)
        model.fit(log, text)
        cold = SIZE - 1
        scores = model.score(history)[:, cold]
        assert scores.argmax() == 0 and model.name == plain.name
        other = Lifted(make)
        other.load_state_dict(model.state_dict())
        np.testing.assert_array_equal(other.score(history), model.score(history))
    keep = np.bincount(log.item, minlength=len(log.items)) > 0
    place = np.cumsum(keep) - 1
    known = Interactions(log.users, tuple(np.array(log.items)[keep]), log.offsets, place[log.item], log.at, log.value)
    plain, model = ItemKNN(), Lifted(ItemKNN)
    plain.fit(known, text[keep])
    model.fit(known, text[keep])
    np.testing.assert_array_equal(plain.score(place[history]), model.score(place[history]))


def test_there_is_no_lift_without_texts_or_events():
    log, text = grouped()
    scores = np.zeros((2, len(log.items)), np.float32)
    history, target = np.zeros((2, 1), np.int64), np.array([1, 2])
    assert Lift.learn(scores, history, target, log, np.zeros_like(text)) is None
    assert Lift.learn(scores[:0], history[:0], target[:0], log, text) is None


def test_of_events_at_one_moment_any_may_be_held_out():
    """Without an order the last row is no more the last than any other."""
    n = 40
    offsets = np.arange(0, 5 * n + 1, 5)
    item = np.tile(np.arange(5), n)
    at = np.tile(np.array([0, 7, 7, 7, 7]), n)
    users = tuple(UserId(f"u{u}") for u in range(n))
    log = Interactions(users, tuple(ItemId(f"i{i}") for i in range(5)), offsets, item, at, np.ones(5 * n, np.float32))
    train, history, target = held_out(log, np.random.default_rng(0))
    assert set(target.tolist()) == {1, 2, 3, 4} and len(train) == 4 * n
    for row, wanted in zip(history, target, strict=True):
        assert sorted([*row.tolist(), wanted]) == [0, 1, 2, 3, 4]
        assert np.array_equal(row, np.sort(row)), "the rest keeps its order"


@pytest.mark.parametrize("scale", [2.0**-13, 2.0**13])
def test_new_items_stand_where_they_do_whatever_the_scale_of_the_scores(scale):
    """A model's scores say nothing across models: what is learned of new items must not depend on how large they are."""

    class Scaled(ItemKNN):
        def score(self, histories):
            return super().score(histories) * np.float32(scale)

    log, features = grouped()
    plain, scaled = Lifted(ItemKNN), Lifted(Scaled)
    plain.fit(log, features)
    scaled.fit(log, features)
    history = log.padded(np.arange(5))
    np.testing.assert_allclose(scaled.score(history), plain.score(history), atol=1e-4)
