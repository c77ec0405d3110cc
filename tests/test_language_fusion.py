"""Texts and pictures as one vector, and what is missing told by what is there."""

from dataclasses import replace

import numpy as np
import pytest

from longgame.artefacts import load, save
from longgame.errors import DataError
from longgame.language import Features
from longgame.language.fusion import LEAST, Fusion
from longgame.language.ridge import Ridge
from longgame.rng import derive
from longgame.types import F32, ItemId

COUNT, WORDS, SHOTS = 240, 20, 30


def rows(vectors: np.ndarray, version: str) -> Features:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Features(version, tuple(ItemId(f"i{n}") for n in range(len(vectors))), unit.astype(np.float32))


@pytest.fixture(scope="module")
def both() -> tuple[Features, Features, F32]:
    """Texts that tell three things, pictures that tell two of them and two of their own; and what is told."""
    rng = derive(3, "fusion")
    facts = rng.standard_normal((COUNT, 5))
    text = facts[:, :3] @ rng.standard_normal((3, WORDS)) + 0.2 * rng.standard_normal((COUNT, WORDS))
    shot = facts[:, 1:] @ rng.standard_normal((4, SHOTS)) + 0.2 * rng.standard_normal((COUNT, SHOTS)) + 3
    return rows(text, "text-1"), rows(shot, "shot-1"), facts.astype(np.float32)


def without(of: Features, missing: np.ndarray) -> Features:
    return replace(of, vectors=np.where(missing[:, None], 0, of.vectors).astype(np.float32))


def off(vectors: F32, facts: F32, learned: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Mean squared error of each fact, of ``judged`` rows by what ridge regression learned from ``learned`` ones."""
    told = Ridge.fit(vectors[learned], facts[learned].astype(np.float64)).predict(vectors[judged])
    out: np.ndarray = ((told - facts[judged]) ** 2).mean(axis=0)
    return out


def test_both_tell_what_neither_does_alone(both):
    text, shot, facts = both
    made = Fusion.fit(text, shot, 8)
    vectors = made.features(text, shot)
    assert vectors.vectors.shape == (COUNT, WORDS + 8) and vectors.ids == text.ids
    known, new = np.arange(COUNT) < 160, np.arange(COUNT) >= 160
    fused = off(vectors.vectors, facts, known, new)
    assert (fused < 0.3).all()
    assert off(text.vectors, facts, known, new)[3:].min() > 0.7  # only pictures tell them
    assert off(shot.vectors, facts, known, new)[0] > 0.7  # only texts tell it


@pytest.mark.parametrize("lacks", ["picture", "text"])
def test_what_is_missing_costs_what_it_alone_tells_and_no_more(both, lacks):
    """A model of items with both reads items that lack one as well as a model of the other alone; with zeros it does not."""
    text, shot, facts = both
    known, new = np.arange(COUNT) < 160, np.arange(COUNT) >= 160
    words, shots = (without(text, new), shot) if lacks == "text" else (text, without(shot, new))
    made = Fusion.fit(words, shots, 8)
    alone = made.projection.apply(shot.vectors) if lacks == "text" else text.vectors
    there = slice(1, 5) if lacks == "text" else slice(0, 3)  # facts that what is left tells
    plain = off(alone, facts, known, new)[there].sum()
    complete = off(made.features(words, shots).vectors, facts, known, new)[there].sum()
    zeros = off(made.features(words, shots, complete=False).vectors, facts, known, new)[there].sum()
    assert complete < 1.1 * plain
    assert zeros > 1.3 * complete


def test_a_guess_is_shorter_than_what_was_seen(both):
    text, shot, _ = both
    new = np.arange(COUNT) >= 160
    made = Fusion.fit(text, without(shot, new), 8)
    length = np.linalg.norm(made.features(text, without(shot, new)).vectors[:, WORDS:], axis=1)
    np.testing.assert_allclose(length[~new], 1, atol=1e-5)
    assert 0.2 < length[new].mean() < 0.95


def test_a_row_with_neither_stays_zeros_and_weight_is_of_the_picture(both):
    text, shot, _ = both
    nothing = np.arange(COUNT) == 7
    words, shots = without(text, nothing), without(shot, nothing)
    one, three = (Fusion.fit(words, shots, 8, weight).features(words, shots) for weight in (1.0, 3.0))
    assert not one.vectors[7].any()
    np.testing.assert_allclose(three.vectors[:, WORDS:], 3 * one.vectors[:, WORDS:], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(three.vectors[:, :WORDS], one.vectors[:, :WORDS])
    assert one.version != three.version


def test_too_few_to_learn_from(both):
    text, shot, _ = both
    few = np.arange(COUNT) >= LEAST - 1
    made = Fusion.fit(text, without(shot, few), 8)
    assert made.from_text is None
    assert not made.features(text, without(shot, few)).vectors[few, WORDS:].any()
    with pytest.raises(DataError, match="two items with a picture or more, got 1 of 240"):
        Fusion.fit(text, without(shot, np.arange(COUNT) != 0))


@pytest.mark.parametrize("few", [False, True])
def test_it_is_kept_and_read_back_the_same(both, tmp_path, few):
    text, shot, _ = both
    shots = without(shot, np.arange(COUNT) >= (5 if few else 200))
    made = Fusion.fit(text, shots, 8, 2.0)
    save(tmp_path / "fusion.safetensors", made.state_dict(), made.about())
    again = Fusion.load(*load(tmp_path / "fusion.safetensors"))
    assert again.version == made.version
    np.testing.assert_array_equal(again.features(text, shots).vectors, made.features(text, shots).vectors)
