"""What an item is known by: its text, standardised, beside an identity."""

import numpy as np
import pytest
import torch

from longgame.errors import ConfigError
from longgame.models.item_vectors import ItemVectors, Standard
from longgame.models.sequence import SequenceConfig
from longgame.types import ItemId

IDS = [ItemId(f"i{row}") for row in range(9)]


def texts() -> np.ndarray:
    """Crowded round one direction, and one item without text."""
    rng = np.random.default_rng(2)
    out = (rng.standard_normal((9, 5)) * [3, 1, 0.3, 0.1, 0] + [9, 9, 9, 9, 9]).astype(np.float32)
    out[4] = 0.0
    return out


def test_standard_texts_differ_alike_in_every_direction():
    features, some = texts(), np.array([0, 1, 2, 3, 4, 5, 6, 7])
    standard = Standard.of(features, some, 8)(features)
    assert standard.shape == (9, 4), "the fifth direction tells nothing apart"
    told = standard[[0, 1, 2, 3, 5, 6, 7]]
    np.testing.assert_allclose(told.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(told.T @ told / 7, np.eye(4) / 4, atol=1e-3)
    assert not standard[4].any() and standard[8].any(), "an item that was not learned from has a vector all the same"
    assert Standard.of(features, some, 2)(features).shape == (9, 2)
    assert Standard.of(np.zeros((9, 5), np.float32), some, 2)(features).shape == (9, 0)


def test_in_a_subspace_the_text_stands_unchanged_beside_the_identity():
    vectors, text = ItemVectors(IDS, 2, 5, "subspace", 0), torch.randn(9, 2)
    out = vectors(text, torch.arange(9), 0.0)
    torch.testing.assert_close(out[:, :2], text)
    assert out[:, 2:].std() > 0.2
    out.square().sum().backward()
    assert vectors.project.grad is None and vectors.residual.grad is not None
    assert not vectors.residual.grad[:, :2].any() and vectors.residual.grad[:, 2:].any()


def test_projected_texts_and_identities_share_all_numbers():
    vectors = ItemVectors(IDS, 2, 5, "projected", 0)
    vectors(torch.randn(9, 2), torch.arange(9), 0.0).square().sum().backward()
    assert vectors.project.grad is not None and vectors.residual.grad is not None and vectors.residual.grad.all()
    alone = vectors(torch.zeros(9, 2), torch.arange(9), 0.999)
    assert not alone.any(), "left out, an item without text is nothing"
    order = torch.tensor([3, 1])
    again = ItemVectors([IDS[3], IDS[1]], 2, 5, "projected", 0)
    torch.testing.assert_close(again.residual, vectors.residual[order])


def test_a_subspace_needs_room_for_the_identity():
    with pytest.raises(ConfigError, match="less than width"):
        SequenceConfig(width=8, joint="subspace", text_width=8)
    with pytest.raises(ConfigError, match="projected, subspace"):
        SequenceConfig(joint="glued")
