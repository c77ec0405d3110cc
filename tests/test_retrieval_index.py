import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from longgame.errors import ConfigError, MissingExtra, ShapeError
from longgame.retrieval import ExactIndex, HnswIndex, ann, choose_index, top


def _clustered(count: int, width: int = 16, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, width))
    vectors = centres[rng.integers(0, 40, count)] + 0.7 * rng.standard_normal((count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(arrays(np.float32, st.integers(0, 30), elements=st.integers(-3, 3).map(np.float32)), st.integers(-1, 40))
def test_top_is_a_stable_sort_cut_off(scores, n):
    assert top(scores, n).tolist() == np.argsort(-scores, kind="stable")[: max(n, 0)].tolist()


def test_exact_is_the_inner_product_in_order():
    vectors, queries = _clustered(53), _clustered(7, seed=1) * 3
    positions, scores = ExactIndex(vectors).search(queries, 9)
    assert positions.shape == scores.shape == (7, 9)
    np.testing.assert_allclose(scores, -np.sort(-(queries @ vectors.T), axis=1)[:, :9], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(queries @ vectors.T, positions, 1), scores, atol=1e-5)


def test_queries_do_not_depend_on_their_neighbours():
    index, queries = ExactIndex(_clustered(501)), _clustered(7, seed=1)
    together = index.search(queries, 20)
    for row in range(7):
        alone = index.search(queries[row : row + 1], 20)
        np.testing.assert_array_equal(alone[0][0], together[0][row])
        np.testing.assert_array_equal(alone[1][0], together[1][row])


@pytest.mark.parametrize("make", [ExactIndex, HnswIndex])
def test_edges_of_an_index(make):
    if make is HnswIndex:
        pytest.importorskip("faiss")
    empty = make(np.zeros((0, 4), np.float32))
    assert empty.search(np.ones((2, 4), np.float32), 3)[0].shape == (2, 0)
    few = make(np.eye(4, dtype=np.float32)[:3])
    positions, scores = few.search(np.array([[0, 0.5, 0.2, 0]], np.float32), 10)
    assert positions.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(scores, [[0.5, 0.2, 0]])
    assert few.search(np.zeros((0, 4), np.float32), 2)[0].shape == (0, 2)
    assert few.search(np.ones((1, 4), np.float32), 0)[0].shape == (1, 0)
    with pytest.raises(ShapeError, match="axis D"):
        few.search(np.ones((1, 3), np.float32), 2)
    assert len(few) == 3


def test_exact_and_approximate_agree():
    pytest.importorskip("faiss")
    vectors, queries = _clustered(6000, 24), _clustered(50, 24, seed=2)
    exact, exact_scores = ExactIndex(vectors).search(queries, 100)
    found, scores = HnswIndex(vectors).search(queries, 100)
    recall = np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(exact, found, strict=True)])
    assert recall >= 0.95
    assert (np.diff(scores, axis=1) <= 0).all()
    np.testing.assert_allclose(scores[:, 0], exact_scores[:, 0], atol=1e-5)


def test_the_graph_is_the_same_every_time():
    pytest.importorskip("faiss")
    vectors, queries = _clustered(700), _clustered(5, seed=2)
    a, b = (HnswIndex(vectors).search(queries, 30) for _ in range(2))
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])


def test_many_equal_vectors_come_in_order_of_position():
    vectors = np.repeat(_clustered(1), 333, axis=0)
    assert ExactIndex(vectors).search(vectors[:1], 50)[0][0].tolist() == list(range(50))


def test_the_choice_of_index(monkeypatch):
    pytest.importorskip("faiss")
    vectors = _clustered(300)
    assert isinstance(choose_index(vectors), ExactIndex)
    monkeypatch.setattr(ann, "EXACT_UP_TO", 299)
    assert isinstance(choose_index(vectors), HnswIndex)
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert isinstance(choose_index(vectors), ExactIndex)
    with pytest.raises(MissingExtra, match=r"longgame\[ann\]"):
        HnswIndex(vectors)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="links=1"):
        HnswIndex(_clustered(3), links=1)
