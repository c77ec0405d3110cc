"""The softmax over a catalogue, whole and sampled, against torch's own and against the sum that it estimates."""

import numpy as np
import pytest
import torch

from longgame.models import softmax


def parts(targets=5, items=7, width=3):
    generator = torch.Generator().manual_seed(0)
    shapes = ((targets, width), (items, width), (items,))
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


def test_the_whole_softmax_is_torchs_cross_entropy(monkeypatch):
    monkeypatch.setattr(softmax, "_SLICE", 14)  # two rows at a time
    ours = parts()
    theirs = [value.detach().clone().requires_grad_() for value in ours]
    target = torch.tensor([0, 6, 2, 2, 5])
    loss = softmax.backward(ours[0], ours[1], ours[2], target, weight=3.0)
    wanted = torch.nn.functional.cross_entropy(theirs[0] @ theirs[1].T + theirs[2], target)
    (3 * wanted).backward()
    assert loss / 5 == pytest.approx(float(wanted.detach()), rel=1e-5)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_products_in_bfloat16_are_near():
    ours, low = parts(40, 90, 16), parts(40, 90, 16)
    target = torch.arange(40)
    loss = softmax.backward(ours[0], ours[1], ours[2], target)
    assert softmax.backward(low[0], low[1], low[2], target, dtype=torch.bfloat16) == pytest.approx(loss, rel=0.01)
    for mine, other in zip(ours, low, strict=True):
        assert torch.nn.functional.cosine_similarity(mine.grad.flatten(), other.grad.flatten(), dim=0) > 0.999


def test_a_draw_of_everything_is_the_whole_softmax():
    ours, theirs = parts(), parts()
    target = np.array([0, 6, 2, 2, 5])
    drawn = softmax.draw(target, np.full(7, 1 / 7), 7, np.random.default_rng(0))
    assert drawn.column.tolist() == list(range(7))
    np.testing.assert_allclose(drawn.log_chance, 0.0, atol=1e-9)
    chance = torch.from_numpy(drawn.log_chance.astype(np.float32))
    told = softmax.backward(ours[0], ours[1], ours[2], torch.from_numpy(drawn.target), log_chance=chance)
    assert told == pytest.approx(softmax.backward(theirs[0], theirs[1], theirs[2], torch.from_numpy(target)), rel=1e-5)
    torch.testing.assert_close(ours[0].grad, theirs[0].grad)


def test_an_item_is_drawn_as_often_as_its_chance_says():
    rng, share = np.random.default_rng(3), np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    there, told = np.zeros(6), np.full(6, np.nan)
    for _ in range(4000):
        drawn = softmax.draw(rng.choice(6, 3, p=share), share, 2, rng)
        there[drawn.column] += 1
        told[drawn.column] = np.exp(drawn.log_chance)
    np.testing.assert_allclose(there / 4000, told, atol=0.03)
    assert (np.diff(told) <= 0).all() and told[0] > 0.9, "what is often a target is often among them"


def test_the_sampled_sum_is_right_on_average():
    """Of exp(score) over the catalogue, which a loss without the correction would not give."""
    rng, scores = np.random.default_rng(5), np.random.default_rng(6).normal(size=30)
    share = rng.dirichlet(np.full(30, 0.5))
    sums = []
    for _ in range(6000):
        drawn = softmax.draw(rng.choice(30, 4, p=share), share, 8, rng)
        sums.append((np.exp(scores[drawn.column]) / np.exp(drawn.log_chance)).sum())
    assert np.mean(sums) == pytest.approx(np.exp(scores).sum(), rel=0.03)
