"""Texts turned by who took what: what is learned on some items holds for others."""

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.alignment import LEAST, aligned, directions
from longgame.models.content import Content, ContentConfig
from longgame.rng import derive
from longgame.types import ItemId, UserId

GROUPS, ITEMS, USERS, WIDTH = 4, 120, 90, 24


def crowd(new: np.ndarray) -> tuple[Interactions, np.ndarray, np.ndarray]:
    """Users take items of one group each; the ``new`` items nobody. A text tells its group faintly beside louder noise."""
    rng = derive(3, "alignment")
    group = np.arange(ITEMS) % GROUPS
    features = rng.standard_normal((ITEMS, WIDTH)).astype(np.float32)
    features[:, :GROUPS] *= 0.2
    features[np.arange(ITEMS), group] += 1.0
    features[:, GROUPS:] *= 2.0
    old = np.setdiff1d(np.arange(ITEMS), new)
    user, item = [], []
    for row in range(USERS):
        own = old[group[old] == row % GROUPS]
        taken = rng.permutation(own)[:12]
        user += [row] * len(taken)
        item += taken.tolist()
    log = Interactions(
        tuple(UserId(str(u)) for u in range(USERS)),
        tuple(ItemId(str(i)) for i in range(ITEMS)),
        np.searchsorted(user, np.arange(USERS + 1)),
        np.array(item),
        np.arange(len(item)),
        np.full(len(item), np.nan),
    )
    return log, features, group


def purity(vectors: np.ndarray, group: np.ndarray, which: np.ndarray) -> float:
    """Share of the ten nearest of each of ``which`` that are of its group."""
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    near = np.argsort(-likeness, axis=1)[which, :10]
    return float((group[near] == group[which][:, None]).mean())


def test_new_items_lie_with_those_that_the_same_people_would_take() -> None:
    new = np.arange(0, ITEMS, 7)
    log, features, group = crowd(new)
    turned = aligned(log, features, 8)
    assert turned is not None and turned.shape == (ITEMS, 8)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=1e-5)
    plain = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert purity(turned, group, new) > purity(plain, group, new) + 0.3
    again = aligned(log, features, 8)
    assert again is not None
    np.testing.assert_array_equal(again, turned)


def test_directions_give_back_how_alike_takers_are() -> None:
    log, _, _ = crowd(np.zeros(0, np.int64))
    some = np.arange(ITEMS)
    taken = np.zeros((USERS, ITEMS))
    taken[log.user, log.item] = 1
    taken /= np.maximum(np.linalg.norm(taken, axis=0), 1)
    numbers = directions(log, some, USERS)  # all that there are
    assert np.abs(numbers @ numbers.T - taken.T @ taken).max() < 1e-6
    few = directions(log, some, 4)
    rest = np.linalg.norm(few @ few.T - taken.T @ taken)
    assert rest < np.linalg.norm(taken.T @ taken)


def test_a_text_that_is_not_there_stays_nothing_and_few_items_teach_nothing() -> None:
    log, features, _ = crowd(np.zeros(0, np.int64))
    features[5] = 0
    turned = aligned(log, features, 4)
    assert turned is not None and not turned[5].any() and turned[6].any()
    features[LEAST - 1 :] = 0
    assert aligned(log, features, 4) is None
    assert aligned(log, np.zeros((ITEMS, 0), np.float32), 4) is None


def test_content_shows_new_items_of_the_right_group() -> None:
    new = np.arange(0, ITEMS, 7)
    log, features, group = crowd(new)
    history = np.array([[int(np.flatnonzero((group == 2) & ~np.isin(np.arange(ITEMS), new))[0])]])

    def share(config: ContentConfig) -> float:
        model = Content(config)
        model.fit(log, features)
        best = new[np.argsort(-model.score(history)[0][new])[:4]]
        return float((group[best] == 2).mean())

    assert share(ContentConfig(aligned=8)) == 1.0 > share(ContentConfig())
    with pytest.raises(ConfigError, match="aligned"):
        ContentConfig(aligned=-1)
