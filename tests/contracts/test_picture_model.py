"""The contract of ``PictureModel``, for every implementation."""

from collections.abc import Callable

import numpy as np
import pytest

from longgame.language.efficientnet import EfficientNetLite0
from longgame.protocols import PictureModel
from longgame.simulation.pictures import draw
from longgame.simulation.shop import Shop, ShopConfig

MODELS: dict[str, Callable[[], PictureModel]] = {"efficientnet-lite0": EfficientNetLite0}


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest) -> PictureModel:
    if not EfficientNetLite0.installed():
        pytest.skip("the pictures extra is not installed")
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    shop = Shop(ShopConfig(users=1, items=5, looks=1.0))
    return [draw(shop, number) for number in range(5)]


def test_rows_are_units_and_what_is_no_picture_is_zeros(model, files):
    vectors = model.embed([files[0], b"", b"GIF89a and no more", files[1]])
    assert vectors.shape == (4, model.width) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1], atol=1e-5)


def test_a_row_depends_on_its_picture_alone(model, files):
    whole = model.embed(files)
    turned = model.embed(files[::-1])
    np.testing.assert_allclose(turned[::-1], whole, atol=1e-6)
    np.testing.assert_allclose(model.embed(files[2:3])[0], whole[2], atol=1e-6)
    assert (whole @ whole.T)[~np.eye(5, dtype=bool)].max() < 0.999  # other pictures, other vectors


def test_none_is_none(model):
    assert model.embed([]).shape == (0, model.width)
