"""The contract of ``LanguageModel``, for every implementation."""

from collections.abc import Callable

import numpy as np
import pytest

from longgame.language import HashingModel, MiniLM, WordVectors
from longgame.language.asked import Asked
from longgame.language.combined import Combined
from longgame.language.multilingual import MultilingualE5
from longgame.language.questions import SENTIMENT
from longgame.language.smollm import SmolLM
from longgame.protocols import LanguageModel

MODELS: dict[str, Callable[[], LanguageModel]] = {
    "hashing-32": lambda: HashingModel(32),
    "hashing-200": lambda: HashingModel(200),
    "minilm-bfloat16": lambda: MiniLM("bfloat16"),
    "minilm-float32": lambda: MiniLM("float32"),
    "words": WordVectors,
    "combined": lambda: Combined((MiniLM("float32"), WordVectors(), HashingModel(64))),
    "multilingual": MultilingualE5,
    "asked": lambda: Asked(SmolLM("float32"), SENTIMENT),
}
ROUNDING = {"minilm-bfloat16": 5e-4, "minilm-float32": 1e-5, "combined": 1e-5, "asked": 1e-5}
"""1 - cosine that a row may move by with its neighbours; nothing for the rest."""

TEXTS = [
    "red nail polish",
    "",
    "a film about two brothers who rob a bank and are chased through the desert, " * 7,
    "  \t\n ",
    "Amélie 👍🏽",
    "red nail polish",
    "nail polish red shimmer 15 ml",
    "x" * 3000,
    "映画 七人の侍",
    "!!!",
    "half a pair \ud83d",
]


@pytest.fixture(params=MODELS, scope="module")
def named(request: pytest.FixtureRequest) -> tuple[str, LanguageModel]:
    if request.param.startswith(("minilm", "combined")) and not MiniLM.installed():
        pytest.skip("the language extra is not installed")
    if request.param in ("words", "combined") and not WordVectors.installed():
        pytest.skip("the words extra is not installed")
    if request.param == "multilingual" and not MultilingualE5.installed():
        pytest.skip("the multilingual extra is not installed")
    if request.param == "asked" and not SmolLM.installed():
        pytest.skip("the llm extra or its weights are not installed")
    return request.param, MODELS[request.param]()


def test_rows_are_units_and_blanks_are_zeros(named):
    _, model = named
    vectors = model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), model.width)
    assert vectors.dtype == np.float32
    blank = [not text.strip() for text in TEXTS]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.where(blank, 0, 1), atol=1e-5)


def test_a_row_does_not_depend_on_its_neighbours(named):
    name, model = named
    together = model.embed(TEXTS)
    rng = np.random.default_rng(3)
    for order in ([6, 0, 2], [3, 4], rng.permutation(len(TEXTS)).tolist(), [8]):
        apart = model.embed([TEXTS[i] for i in order])
        blank = np.array([not TEXTS[i].strip() for i in order])
        cosine = (apart * together[order]).sum(axis=1)
        if name in ROUNDING:
            assert (cosine[~blank] >= 1 - ROUNDING[name]).all()
        else:
            np.testing.assert_array_equal(apart, together[order])


def test_same_text_same_vector_and_a_second_instance_agrees(named):
    name, model = named
    first = model.embed(TEXTS)
    np.testing.assert_allclose(first[0], first[5], atol=0 if "hashing" in name else 2e-3)
    again = MODELS[name]()
    assert (again.name, again.width) == (model.name, model.width)
    np.testing.assert_array_equal(again.embed(TEXTS), first)


def test_no_texts(named):
    assert named[1].embed([]).shape == (0, named[1].width)


def test_similar_texts_are_nearer_than_others(named):
    name, model = named
    if name == "asked":
        pytest.skip("near is who gets the same answer, not who means the same")
    titles = ["The Godfather part II", "The Godfather", "Toy Story 2", "argan oil shampoo", "shampoo with argan oil 250ml"]
    near = model.embed(titles)
    near = near @ near.T - 2 * np.eye(5, dtype=np.float32)
    assert near.argmax(axis=1)[[0, 1, 3, 4]].tolist() == [1, 0, 4, 3]


def test_names_tell_models_apart():
    assert len({make().name for make in MODELS.values()}) == len(MODELS)
