"""Popularity, item-kNN and EASE against figures worked out by hand or from the papers' own formulas."""

import subprocess
import sys

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models import Ease, EaseConfig, ItemKNN, ItemKNNConfig, Popularity, PopularityConfig
from longgame.models.histories import matrix, recent
from longgame.types import ItemId, UserId

DAY = 86_400_000_000
NO_TEXT = np.zeros((4, 0), np.float32)


def log_of(histories, items=4, at=None):
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.array([i for h in histories for i in h], np.int64)
    when = np.arange(len(item), dtype=np.int64) if at is None else np.asarray(at, np.int64)
    users = tuple(UserId(f"u{u}") for u in range(len(histories)))
    return Interactions(
        users, tuple(ItemId(f"i{i}") for i in range(items)), offsets, item, when, np.ones(len(item), np.float32)
    )


def test_popularity_counts_and_fades():
    log = log_of([[0, 1], [0, 2]], at=[0, 2 * DAY, 0, DAY])
    plain, fading = Popularity(), Popularity(PopularityConfig(half_life=1.0))
    plain.fit(log, NO_TEXT)
    fading.fit(log, NO_TEXT)
    assert plain.score(np.array([[3]])).tolist() == [[1.0, 0.5, 0.5, 0.0]]
    np.testing.assert_allclose(fading.score(np.array([[3]])), [[0.5, 1.0, 0.5, 0.0]])


def test_knn_is_the_shrunk_cosine_with_older_history_counting_less():
    log = log_of([[0, 1], [0, 1, 2], [2, 0]])
    model = ItemKNN(ItemKNNConfig(neighbours=4, half_life=1.0, reach=np.inf, shrinkage=1.0))
    model.fit(log, NO_TEXT)
    zero_one, zero_two, one_two = 2 / (6**0.5 + 1), 2 / (6**0.5 + 1), 1 / (2 + 1)
    np.testing.assert_allclose(model.score(np.array([[0]])), [[0, zero_one, zero_two, 0]], atol=2e-6)
    np.testing.assert_allclose(model.score(np.array([[0, 1]]))[0, 2], zero_two / 2 + one_two, atol=2e-6)


def test_knn_pairs_count_less_the_farther_apart_and_against_their_order():
    log = log_of([[0, 1, 2], [2, 2, 0]])
    model = ItemKNN(ItemKNNConfig(reach=1.0, backward=0.5, shrinkage=0.0))
    model.fit(log, NO_TEXT)
    length = np.sqrt([2, 1, 2])
    after = np.array([[0, 1 / 2, 1 / 4], [0, 0, 1 / 2], [1 / 2 + 1 / 4, 0, 0]])  # row: the earlier item
    wanted = (after + after.T / 2) / np.outer(length, length)
    for item in range(3):
        np.testing.assert_allclose(model.score(np.array([[item]]))[0, :3], wanted[item], atol=2e-6)


def test_knn_keeps_the_nearest_and_all_that_tie_with_the_last():
    log = log_of([[0, 1], [0, 1], [0, 2], [0, 3]])
    model = ItemKNN(ItemKNNConfig(neighbours=1, reach=np.inf, shrinkage=0.0))
    model.fit(log, NO_TEXT)
    assert (model.score(np.array([[0]]))[0] > 1e-3).tolist() == [False, True, False, False]
    tied = log_of([[0, 2], [0, 3], [1, 2], [1, 3]])
    model.fit(tied, NO_TEXT)
    assert (model.score(np.array([[0]]))[0] > 1e-3).tolist() == [False, False, True, True]


def test_ease_is_the_closed_form_of_the_paper():
    log = log_of([[0, 1, 3], [0, 1], [2, 1], [3, 3, 0]])
    model = Ease(EaseConfig(penalty=0.7))
    model.fit(log, NO_TEXT)
    x = np.array([[1, 1, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]], np.float64)
    p = np.linalg.inv(x.T @ x + 0.7 * np.eye(4))
    b = np.eye(4) - p / np.diag(p)  # eq. 8
    np.testing.assert_allclose(model.score(np.array([[0, 3], [3, 1]])), [b[0] + b[3], b[1] + b[3]], atol=3e-6)
    fading = Ease(EaseConfig(penalty=0.7, half_life=1.0))
    fading.fit(log, NO_TEXT)
    np.testing.assert_allclose(fading.score(np.array([[0, 3]])), [b[0] / 2 + b[3]], atol=3e-6)


def test_ease_refuses_a_catalogue_that_would_not_fit_and_says_what_to_use():
    model = Ease(EaseConfig(largest=3))
    with pytest.raises(ConfigError, match=r"at most 3 items, got 4.*item-knn"):
        model.fit(log_of([[0]]), NO_TEXT)


@pytest.mark.parametrize("model", [ItemKNN(), Ease()], ids=lambda m: m.name)
def test_where_nothing_speaks_popularity_decides(model):
    model.fit(log_of([[0, 1], [1, 0], [1, 2], [1]], items=4), NO_TEXT)
    assert np.argsort(-model.score(np.full((1, 2), -1))[0], kind="stable").tolist() == [1, 0, 2, 3]


def test_recent_keeps_the_end():
    histories = np.array([[-1, 5, -1, 5, 6], [1, 2, 3, 4, 5], [-1, -1, -1, -1, -1]])
    assert recent(histories, 3).tolist() == [[-1, 5, 6], [3, 4, 5], [-1, -1, -1]]
    assert recent(np.zeros((2, 0), np.int64), 3).tolist() == [[-1], [-1]]


def test_matrix_weighs_each_item_by_its_newest_event():
    got = matrix(np.array([[2, -1, 0, 2], [-1, -1, -1, 1]]), 3, half_life=1.0).toarray()
    np.testing.assert_allclose(got, [[0.5, 0, 1.0], [0, 1.0, 0]])


def test_the_package_imports_without_torch_and_scipy():
    code = "import sys, longgame.models; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_item_knn_reads_no_order_where_the_log_has_none():
    histories = [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1], [3, 1, 0]]
    still = log_of(histories, at=np.zeros(14))
    turned = log_of([h[::-1] for h in histories], at=np.zeros(14))
    one, other = ItemKNN(ItemKNNConfig(half_life=1.0, reach=1.0)), ItemKNN(ItemKNNConfig(half_life=1.0, reach=1.0))
    one.fit(still, NO_TEXT)
    other.fit(turned, NO_TEXT)
    asked = np.array([[0, 2], [2, 0]])
    np.testing.assert_array_equal(one.score(asked)[0], one.score(asked)[1])
    np.testing.assert_allclose(one.score(asked), other.score(asked), rtol=1e-6)
    again = ItemKNN(one.config)
    again.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(again.score(asked), one.score(asked))


def test_an_item_knn_of_before_it_knew_of_order_loads():
    model = ItemKNN()
    model.fit(log_of([[0, 1, 2], [1, 2, 3]]), NO_TEXT)
    old = {name: array for name, array in model.state_dict().items() if name != "ordered"}
    again = ItemKNN()
    again.load_state_dict(old)
    np.testing.assert_array_equal(again.score(np.array([[0, 1]])), model.score(np.array([[0, 1]])))
