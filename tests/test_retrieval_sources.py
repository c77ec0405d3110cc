import numpy as np
import pytest

from longgame.arrays import Candidates, State
from longgame.errors import ConfigError
from longgame.language import Features
from longgame.retrieval import Blend, ExactIndex, FreshRetriever, ModelRetriever, VectorRetriever
from longgame.retrieval.sources import candidates, taste
from longgame.types import ItemId
from tests.contracts.test_retriever import Taste, catalogue, state_of


class Listed:
    """Names the positions it was given, in that order."""

    def __init__(self, features: Features, positions: list[int], version: str = "listed") -> None:
        self.features, self.positions, self.version = features, positions, version

    def retrieve(self, state: State, n: int) -> Candidates:
        found = np.array(self.positions[:n], np.int64)
        return candidates(self.features, found, -np.arange(len(found), dtype=np.float32), "listed")


def test_taste_halves_with_age_and_ignores_padding():
    a, b = np.eye(3, dtype=np.float32)[:2]
    mean = taste(np.stack([np.zeros(3, np.float32), a, a, b]), half_life=2)
    np.testing.assert_allclose(mean[0] / mean[1], 0.5**0.5 + 0.5, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(mean), 1, rtol=1e-6)
    assert not taste(np.zeros((4, 3), np.float32), 2).any()
    assert not taste(np.zeros((0, 3), np.float32), 2).any()


def test_near_is_near():
    features = Features(
        "r", tuple(map(ItemId, "abcde")), np.array([[1, 0], [0, 1], [0.8, 0.6], [-1, 0], [0.6, 0.8]], np.float32)
    )
    got = VectorRetriever(features, ExactIndex(features.vectors)).retrieve(state_of(features, [0]), 3)
    assert got.ids == ("a", "c", "e")
    assert got.sources == ("near",)


def test_a_model_is_asked_only_about_items_it_knows():
    features = catalogue(20)
    retriever = ModelRetriever(Taste(15), features)
    got = retriever.retrieve(state_of(features, [3, 17, 19]), 50)
    assert sorted(got.positions.tolist()) == list(range(15))
    assert got.sources == ("taste",)
    assert got.ids == retriever.retrieve(state_of(features, [3, -1, -1]), 50).ids
    with pytest.raises(ConfigError, match="knows 21"):
        ModelRetriever(Taste(21), features)


def test_a_models_version_is_its_arrays_or_what_its_maker_says():
    features, changed = catalogue(20), Taste(15)
    changed.weights = changed.weights + 1
    versions = {ModelRetriever(m, features).version for m in (Taste(15), changed, Taste(14), Taste(15))}
    assert len(versions) == 3
    assert ModelRetriever(Taste(15), features, "run-7").version == "run-7"


def test_fresh_items_are_only_the_fresh_ones_and_nobody_waits_for_ever():
    features = catalogue(30)
    retriever = FreshRetriever(features, np.array([29, 20, 11, 20, 4]))
    warm = retriever.retrieve(state_of(features, [4]), 3)
    assert set(warm.positions.tolist()) <= {4, 11, 20, 29}
    assert warm.positions[0] == 4
    first = set()
    for moment in range(40):
        state = State(np.zeros((2, 5), np.float32), np.full(2, -1, np.int64), np.array([moment, 1], np.float32))
        got = retriever.retrieve(state, 2)
        assert len(got) == 2
        first.add(int(got.positions[0]))
    assert first == {4, 11, 20, 29}
    assert len(FreshRetriever(features, np.empty(0, np.int64)).retrieve(state_of(features, [4]), 3)) == 0
    with pytest.raises(ConfigError, match="30 to 30"):
        FreshRetriever(features, np.array([30]))


def test_a_blend_gives_each_source_its_share_best_first():
    features = catalogue(40)
    state = state_of(features, [1])
    parts = [("a", Listed(features, list(range(20))), 0.5), ("b", Listed(features, list(range(20, 40))), 0.25)]
    got = Blend(parts).retrieve(state, 9)
    assert got.positions.tolist() == [0, 1, 20, 2, 3, 21, 4, 5, 22]
    assert got.origin.tolist() == [0, 0, 1, 0, 0, 1, 0, 0, 1]
    assert got.sources == ("a", "b")
    np.testing.assert_array_equal(got.scores, [0, -1, 0, -2, -3, -1, -4, -5, -2])


def test_what_a_dry_source_leaves_goes_to_the_others_by_share():
    features = catalogue(40)
    parts = [
        ("dry", Listed(features, [0, 1]), 6),
        ("b", Listed(features, list(range(2, 20))), 2),
        ("c", Listed(features, list(range(20, 40))), 1),
    ]
    got = Blend(parts).retrieve(state_of(features, [1]), 14)
    assert np.bincount(got.origin).tolist() == [2, 8, 4]
    assert len(Blend(parts).retrieve(state_of(features, [1]), 40)) == 40


def test_an_item_named_twice_is_credited_to_who_named_it_first_and_costs_no_turn():
    features = catalogue(40)
    got = Blend([("a", Listed(features, [5, 6, 7, 8]), 1), ("b", Listed(features, [5, 6, 9, 7]), 1)]).retrieve(
        state_of(features, [1]), 6
    )
    assert got.positions.tolist() == [5, 6, 7, 9, 8]
    assert got.origin.tolist() == [0, 1, 0, 1, 0]


def test_a_blends_version_follows_its_parts():
    features = catalogue(10)
    a, b = Listed(features, [1]), Listed(features, [2], "other")
    versions = {
        Blend([("a", a, 1)]).version,
        Blend([("b", a, 1)]).version,
        Blend([("a", b, 1)]).version,
        Blend([("a", a, 1), ("b", b, 2)]).version,
        Blend([("a", a, 1), ("b", b, 1)]).version,
    }
    assert len(versions) == 5
    assert Blend([("a", a, 1), ("b", b, 2)]).version == Blend([("a", a, 2), ("b", b, 4)]).version


@pytest.mark.parametrize("shares", [[0.0], [-1.0], [float("nan")], [float("inf")], []])
def test_bad_blends_are_refused(shares):
    with pytest.raises(ConfigError, match="Blend"):
        Blend([(f"s{i}", Listed(catalogue(3), [1]), share) for i, share in enumerate(shares)])
    with pytest.raises(ConfigError, match="name of its own"):
        Blend([("a", Listed(catalogue(3), [1]), 1), ("a", Listed(catalogue(3), [1]), 1)])


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan")])
def test_half_life_must_be_positive(half_life):
    features = catalogue(3)
    with pytest.raises(ConfigError, match="half_life"):
        VectorRetriever(features, ExactIndex(features.vectors), half_life)
    with pytest.raises(ConfigError, match="half_life"):
        FreshRetriever(features, np.array([1]), half_life)
