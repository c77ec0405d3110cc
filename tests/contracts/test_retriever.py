"""The contract of ``Retriever``, for every implementation, over catalogues and histories that are awkward on purpose."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from longgame.arrays import State
from longgame.knowledge.book import Rulebook
from longgame.knowledge.rules import parse
from longgame.language import Features
from longgame.protocols import Retriever
from longgame.retrieval import Blend, ExactIndex, FreshRetriever, HnswIndex, ModelRetriever, VectorRetriever
from longgame.retrieval.ruled import RuleRetriever
from longgame.types import F32, I64, Attribute, ItemId

D, F = 5, 2


class Taste:
    """A Model that scores by a fixed weight and, for items in the history, by how late they came."""

    def __init__(self, size: int) -> None:
        self.weights = np.sin(np.arange(size, dtype=np.float32) * 7)

    @property
    def name(self) -> str:
        return "taste"

    def fit(self, log: Any, features: F32) -> None:
        raise NotImplementedError

    def score(self, histories: I64) -> F32:
        assert histories.max(initial=-1) < len(self.weights)
        out = np.repeat(self.weights[None], len(histories), axis=0)
        for row, history in zip(out, histories, strict=True):
            row[history[history >= 0]] += np.float32(0.5)
        return out

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"weights": self.weights}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.weights = state["weights"]


def catalogue(size: int) -> Features:
    """Of every 7 items, two are alike and one has no text."""
    vectors = np.random.default_rng(size).standard_normal((size, D)).astype(np.float32)
    vectors[3::7] = vectors[2::7][: len(vectors[3::7])]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[5::7] = 0
    return Features(f"r{size}", tuple(ItemId(f"i{n:04d}") for n in range(size)), vectors)


def near(features: Features) -> Retriever:
    return VectorRetriever(features, ExactIndex(features.vectors))


def graph(features: Features) -> Retriever:
    pytest.importorskip("faiss")
    return VectorRetriever(features, HnswIndex(features.vectors), half_life=2)


def model(features: Features) -> Retriever:
    return ModelRetriever(Taste(max(1, len(features) - 3)), features)


def fresh(features: Features) -> Retriever:
    return FreshRetriever(features, np.arange(len(features) - 1, -1, -2))


def ruled(features: Features) -> Retriever:
    facts: dict[ItemId, dict[str, Attribute]] = {
        id: {"group": str(n % 3), "next": (f"i{n + 1:04d}",)} for n, id in enumerate(features.ids)
    }
    book = Rulebook([parse("-> same group"), parse("group = 1 -> in next")], facts)
    return RuleRetriever(book, features, np.ones(len(features) // 2, np.float32))


def blend(features: Features) -> Retriever:
    return Blend([("near", near(features), 3), ("liked", model(features), 1.5), ("new", fresh(features), 1)])


RETRIEVERS: dict[str, Callable[[Features], Retriever]] = {
    "near": near,
    "graph": graph,
    "model": model,
    "fresh": fresh,
    "rules": ruled,
    "blend": blend,
    "blend of blends": lambda f: Blend([("all", blend(f), 2), ("near", near(f), 1)]),
}
COLD_IS_EMPTY = {"near", "graph", "rules"}

HISTORIES = {
    "empty": [-1, -1, -1],
    "none at all": [],
    "one": [-1, -1, 2],
    "full, repeated": [1, 4, 4, 0, 1, 4],
    "padding inside": [3, -1, 2, -1],
    "only items without a text": [5, 5],
    "the newest items": [-1, 0, -2, -3],  # counted from the end, see state_of
}


def state_of(features: Features, history: list[int]) -> State:
    items = np.array([h if h >= -1 else len(features) + h + 1 for h in history], np.int64)
    items = np.minimum(items, len(features) - 1)
    return State(features.take(items), items, np.array([0.5, -2], np.float32))


@pytest.fixture(params=RETRIEVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("size", [1, 6, 47])
@pytest.mark.parametrize("n", [0, 1, 10, 200])
def test_candidates_are_distinct_consistent_and_at_most_n(name, history, size, n):
    features = catalogue(size)
    state = state_of(features, HISTORIES[history])
    got = RETRIEVERS[name](features).retrieve(state, n)
    assert len(got) <= min(n, size)
    assert len(set(got.positions.tolist())) == len(got)
    assert got.ids == tuple(features.ids[p] for p in got.positions)
    np.testing.assert_array_equal(got.vectors, features.vectors[got.positions])
    assert got.positions.dtype == np.int64 and got.scores.dtype == np.float32 and got.origin.dtype == np.int64
    assert np.isfinite(got.scores).all()
    assert len(got) == 0 or 0 <= got.origin.min() <= got.origin.max() < len(got.sources)
    for source in range(len(got.sources)):
        if not name.startswith("blend of"):
            assert (np.diff(got.scores[got.origin == source]) <= 0).all()
    if n and history in ("one", "full, repeated") and (name, size) != ("rules", 1):  # a rule speaks of others
        assert len(got)
    if n and history.startswith(("empty", "none")):
        assert (len(got) == 0) == (name in COLD_IS_EMPTY)


@pytest.mark.parametrize("history", HISTORIES)
def test_retrieval_is_pure(name, history):
    features = catalogue(47)
    retriever = RETRIEVERS[name](features)
    state = state_of(features, HISTORIES[history])
    before = state.history.copy(), state.items.copy(), state.context.copy()
    first = retriever.retrieve(state, 12)
    retriever.retrieve(state_of(features, [7, 8, 9]), 5)
    for other in (retriever.retrieve(state, 12), RETRIEVERS[name](features).retrieve(state, 12)):
        assert other.ids == first.ids
        np.testing.assert_array_equal(other.scores, first.scores)
        np.testing.assert_array_equal(other.origin, first.origin)
    for old, new in zip(before, (state.history, state.items, state.context), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fewer_are_the_first_of_more(name):
    features = catalogue(47)
    retriever = RETRIEVERS[name](features)
    state = state_of(features, [3, 9, 11])
    assert retriever.retrieve(state, 9).ids == retriever.retrieve(state, 20).ids[:9]


def test_padding_in_front_changes_nothing(name):
    features = catalogue(47)
    retriever = RETRIEVERS[name](features)
    assert (
        retriever.retrieve(state_of(features, [-1, -1, 3, 9]), 9).ids == retriever.retrieve(state_of(features, [3, 9]), 9).ids
    )


def test_version_names_the_recipe(name):
    assert RETRIEVERS[name](catalogue(47)).version == RETRIEVERS[name](catalogue(47)).version
    assert RETRIEVERS[name](catalogue(47)).version != RETRIEVERS[name](catalogue(46)).version


def test_versions_differ_between_retrievers():
    assert len({make(catalogue(47)).version for make in RETRIEVERS.values()}) == len(RETRIEVERS)
