import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longgame.errors import ArtefactError, ConfigError, DataError, ShapeError
from longgame.language import Features, HashingModel, Projection, VectorCache, describe, numeric_columns, reduce, understand
from longgame.language.prompt import ATTRIBUTES_LIMIT, TEXT_LIMIT, clean
from longgame.types import Item, ItemId

IDS = tuple(ItemId(name) for name in ("c", "a", "b", "e", "d"))


def _features() -> Features:
    return Features("recipe", IDS, np.arange(1, 16, dtype=np.float32).reshape(5, 3))


def test_rows_positions_and_take():
    features = _features()
    assert features.positions([ItemId("b"), ItemId("?"), ItemId("c")]).tolist() == [2, -1, 0]
    np.testing.assert_array_equal(features.rows([ItemId("b"), ItemId("?")]), [[7, 8, 9], [0, 0, 0]])
    taken = features.take(np.array([[4, -1], [0, 0], [-1, 2]]))
    assert taken.shape == (3, 2, 3)
    np.testing.assert_array_equal(taken[0], [[13, 14, 15], [0, 0, 0]])
    assert features.take(np.empty((0, 4), np.int64)).shape == (0, 4, 3)
    assert features.positions([]).dtype == np.int64
    assert (len(features), features.width, features.index[ItemId("e")]) == (5, 3, 3)


def test_features_are_frozen_and_their_own_copy():
    source = np.ones((5, 3), np.float32)
    features = Features("r", IDS, source)
    source[:] = 7
    assert features.vectors.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        features.vectors[0] = 2
    features.take(np.array([0]))[:] = 9
    assert features.vectors.max() == 1


def test_bad_features_are_refused():
    with pytest.raises(ShapeError, match="axis I is 4"):
        Features("r", IDS, np.ones((4, 3), np.float32))
    with pytest.raises(DataError, match="'a' more than once"):
        Features("r", (ItemId("a"), ItemId("b"), ItemId("a")), np.ones((3, 2), np.float32))
    with pytest.raises(DataError, match="finite"):
        Features("r", IDS, np.full((5, 3), np.nan, np.float32))


def test_no_items_at_all():
    features = understand([], HashingModel(6))
    assert features.vectors.shape == (0, 6)
    assert features.rows([ItemId("x")]).tolist() == [[0] * 6]
    assert features.take(np.array([-1])).tolist() == [[0] * 6]


def test_understanding_keeps_order_and_names_the_recipe(tmp_path):
    items = [Item(ItemId(str(i)), text) for i, text in enumerate(["red polish", "", "blue polish", "red polish"])]
    with_cache = understand(items, HashingModel(8), VectorCache(tmp_path))
    told: list[tuple[int, int]] = []
    without = understand(items, HashingModel(8), on_progress=lambda *t: told.append(t))
    np.testing.assert_array_equal(with_cache.vectors, without.vectors)
    assert with_cache.ids == ("0", "1", "2", "3")
    assert not with_cache.vectors[1].any()
    assert told == [(4, 4)]
    grown = understand([*items, Item(ItemId("9"), "new")], HashingModel(8))
    assert grown.version == with_cache.version == "hashing-1-8+item-2"
    np.testing.assert_array_equal(grown.vectors[:4], with_cache.vectors)


@given(st.text(max_size=200), st.text(max_size=50))
def test_described_text_is_bounded_printable_and_stable(text, attribute):
    text, attribute = (t.encode("utf-8", "ignore").decode().replace("\0", "") for t in (text, attribute))
    told = describe(Item(ItemId("1"), text * 30, {"kind": attribute, "n": 3.0, "tags": (attribute,) * 40}))
    assert len(told) <= TEXT_LIMIT + ATTRIBUTES_LIMIT + 2
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in told)
    assert clean(told, 5000) == told or not told.isascii()


def test_describe_orders_attributes_and_leaves_numbers_out():
    item = Item(ItemId("1"), " Toy\x00 Story\n".replace("\x00", ""), {"z": "last", "new": True, "old": False, "a": ("x", "y")})
    assert describe(item) == "Toy Story. a: x, y. new. z: last"
    assert describe(Item(ItemId("1"), "", {"a": ""})) == ""


def test_numeric_columns_are_standardised_and_missing_is_the_mean():
    items = [
        Item(ItemId("1"), "", {"price": 1.0, "flag": True, "one": 5.0, "kind": "x"}),
        Item(ItemId("2"), "", {"price": 3.0, "flag": False, "one": 5.0}),
        Item(ItemId("3"), "", {"flag": False}),
    ]
    names, table = numeric_columns(items)
    assert names == ("flag", "one", "price")
    np.testing.assert_allclose(table[:, 2], [-1, 1, 0])
    np.testing.assert_allclose(table[:, 1], 0)
    np.testing.assert_allclose(table[:, 0].mean(), 0, atol=1e-7)
    names, table = numeric_columns([])
    assert names == () and table.shape == (0, 0)


def _wide(count: int = 40, width: int = 11) -> Features:
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((count, width)) * np.linspace(2, 0.1, width) + 0.5).astype(np.float32)
    vectors[7 % count] = 0
    return Features("wide", tuple(ItemId(str(i)) for i in range(count)), vectors)


def test_reduction_keeps_what_varies_and_new_items_use_the_same_matrix():
    wide = _wide()
    projection = reduce(wide, 6)
    narrow = projection.features(wide)
    assert narrow.vectors.shape == (40, 6)
    assert narrow.version == f"wide+{projection.version}"
    norms = np.linalg.norm(narrow.vectors, axis=1)
    np.testing.assert_allclose(norms, np.arange(40) != 7, atol=1e-5)
    np.testing.assert_allclose(projection.apply(wide.vectors[3:4]), narrow.vectors[3:4], atol=1e-6)
    again = Projection.load({name: array.copy() for name, array in projection.state_dict().items()})
    assert again.version == projection.version == reduce(wide, 6).version
    assert reduce(wide, 5).version != projection.version


def test_reduction_of_fewer_items_than_directions_is_finite():
    few = _wide(4, 11)
    out = reduce(few, 9).apply(few.vectors)
    assert np.isfinite(out).all()
    assert not reduce(few, 9).matrix[:, 3:].any()
    assert not reduce(Features("none", (), np.zeros((0, 5), np.float32)), 2).apply(np.ones((1, 5), np.float32)).any()


def test_bad_reductions_are_refused():
    with pytest.raises(ConfigError, match="width"):
        reduce(_wide(), 12)
    with pytest.raises(ConfigError, match="whiten"):
        reduce(_wide(), 3, whiten=2)
    with pytest.raises(ArtefactError, match="matrix"):
        Projection.load({"mean": np.zeros(3)})


def test_hashing_width_is_checked():
    with pytest.raises(ConfigError, match="width"):
        HashingModel(1)
