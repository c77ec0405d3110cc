"""What training may be given beside the log: augmented histories, further objectives, and a push to stand."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from longgame.errors import ConfigError
from longgame.evaluation.ranking import evaluate_model
from longgame.evaluation.splits import leave_last_out, together
from longgame.models.adversary import resist
from longgame.models.augment import Augmentation, crop, mask, neighbours, reorder, substitute
from longgame.models.bpr import Bpr, BprConfig, _descend
from longgame.models.compiled import compiled
from longgame.models.histories import seen_matrix
from longgame.models.objectives import disagreement, info_nce, push, trust
from longgame.models.sequence import SequenceConfig, SequenceModel, _Trainer
from longgame.models.untaken import Untaken
from tests.kit import log_of
from tests.test_models_sequence import SMALL, markov

ROWS = np.array([[-1, 3, 1, 4, 0, 5, 9, 2, 6, -1, -1], [7, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1], [-1] * 11])
NO_TEXT = np.zeros((10, 0), np.int64)


def many(operator, *more, share=0.5, draws=200):
    return [operator(ROWS, share, np.random.default_rng(seed), *more) for seed in range(draws)]


# Augmentation


def test_crop_keeps_a_run_wherever_it_begins():
    starts = set()
    for out in many(crop):
        kept = np.flatnonzero(out[0] >= 0)
        assert len(kept) == 4 and kept[-1] - kept[0] == 3, "8 events, half of them lost"
        np.testing.assert_array_equal(out[0, kept], ROWS[0, kept])
        assert (out[1] >= 0).sum() == 1 and (out[2] == -1).all()
        starts.add(int(kept[0]))
    assert starts == {1, 2, 3, 4, 5}


def test_mask_hides_any_of_them():
    hidden = set()
    for out in many(mask):
        assert ((out == ROWS) | (out == -1)).all()
        assert (out >= 0).sum(axis=1).tolist() == [4, 1, 0]
        hidden |= set(np.flatnonzero(out[0] != ROWS[0]).tolist())
    assert hidden == set(range(1, 9))
    assert (mask(ROWS, 0.3, np.random.default_rng(0))[1] == ROWS[1]).all(), ".3 of two events is none"


def test_reorder_moves_a_run_only():
    orders = set()
    for out in many(reorder):
        assert sorted(out[0]) == sorted(ROWS[0])
        moved = np.flatnonzero(out[0] != ROWS[0])
        assert not len(moved) or moved[-1] - moved[0] <= 3, "four of eight events"
        assert (out[1:] == ROWS[1:]).all(), "a run of one event"
        orders.add(tuple(out[0]))
    assert len(orders) > 50


def test_substitute_takes_neighbours_by_text():
    near = np.stack([np.arange(10) + 10, np.arange(10) + 20], axis=1)
    near[3] = -1  # an item without a text
    given = set()
    for out in many(substitute, near):
        other = out != ROWS
        assert (out[other] % 10 == ROWS[other]).all() and out[0, 1] == 3
        assert other[0].sum() in (3, 4) and other[1].sum() == 1 and not other[2].any()
        given |= set(out[other].tolist())
    assert given == {n + m for n in (1, 4, 0, 5, 9, 2, 6, 7, 8) for m in (10, 20)}
    np.testing.assert_array_equal(substitute(ROWS, 0.9, np.random.default_rng(0), NO_TEXT), ROWS)


def test_neighbours_are_the_nearest_others_that_were_met():
    angle = np.array([0.0, 0.1, 0.25, 3.0, 3.2, 1.5, 0.05])
    text = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    text[5] = 0.0
    near = neighbours(text, np.array([0, 1, 2, 3, 4, 5]), 2)
    assert near[[0, 1, 2]].tolist() == [[1, 2], [0, 2], [1, 0]]
    assert near[[3, 4], 0].tolist() == [4, 3]
    assert (near[[5, 6]] == -1).all(), "no text; not met"
    assert neighbours(text, np.array([2]), 2).shape == (7, 0)


def test_inputs_are_read_changed_and_targets_stay_unless_they_could_be_read():
    before = np.array([[-1, 3, 1, 4, 0, 5, 9, 2]] * 400)
    target = np.array([[3, 1, 4, 0, 5, 9, 2, 6]] * 400)
    for name in ("crop", "mask", "substitute"):
        near = np.tile(np.arange(10)[::-1, None], (1, 1)) + 10
        read, told = Augmentation((name,), 0.5, near).inputs(before, target, np.random.default_rng(1))
        np.testing.assert_array_equal(told, target)
        assert 120 < (read == before).all(axis=1).sum() < 280, "half of them are left alone"
    read, told = Augmentation(("reorder",), 0.6, NO_TEXT).inputs(before, target, np.random.default_rng(1))
    assert (told < 0).any() and (told[:, -1] >= 0).all()
    for row, says in zip(read, told, strict=True):
        for step in np.flatnonzero(says >= 0):
            assert sorted(row[: step + 1]) == sorted(before[0, : step + 1]), "a step reads the past, in whatever order"


def test_each_row_is_changed_by_one_operator():
    rows = np.tile(np.arange(10), (300, 1))
    out = Augmentation(("crop", "reorder"), 0.5, NO_TEXT).view(rows, np.random.default_rng(0))
    cropped = (out < 0).any(axis=1)
    assert 100 < cropped.sum() < 200
    assert (np.sort(out[~cropped], axis=1) == rows[~cropped]).all()


# Objectives


def test_info_nce_is_the_formula():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    views = np.concatenate([first, second])
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    like = np.exp(views @ views.T / 0.2)
    wanted = np.mean([-np.log(like[n, (n + 4) % 8] / (like[n].sum() - like[n, n])) for n in range(8)])
    got = info_nce(torch.from_numpy(first), torch.from_numpy(second))
    assert float(got) == pytest.approx(wanted)
    same = torch.from_numpy(first)
    assert float(info_nce(same, same)) < wanted


def test_disagreement_is_a_divergence_that_teaches_the_student_only():
    rng = np.random.default_rng(1)
    student, teacher = (torch.from_numpy(rng.standard_normal((3, 5))).requires_grad_() for _ in range(2))
    q, p = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (student.detach().numpy(), teacher.detach().numpy()))
    loss = disagreement(student, teacher)
    assert float(loss.detach()) == pytest.approx(float((p * np.log(p / q)).sum() / 3))
    loss.backward()
    assert teacher.grad is None and student.grad is not None
    np.testing.assert_allclose(student.grad.numpy(), (q - p) / 3, atol=1e-12)
    assert [trust(n) for n in (0, 5, 9)] == pytest.approx([np.exp(-5), 1, 1])


def test_a_push_has_its_length_and_goes_up():
    gradient = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(push(gradient, 0.5), torch.tensor([[0.3, 0.4], [0.0, 0.0]]))


# BPR under a push


def test_the_first_draw_that_the_user_has_not_taken():
    taken = seen_matrix(log_of([[2, 0, 2], [], [4]], 5))
    others = np.array([[2, 0, 3], [0, 2, 0], [4, 4, 1], [2, 1, 3], [0, 2, 2]])
    assert Untaken(taken).first(np.array([0, 0, 2, 1, 0]), others).tolist() == [3, -1, 1, 2, -1]


def factors(seed=3, width=4):
    rng = np.random.default_rng(seed)
    shapes = ((2, width), (3, width), (3,))
    users, items, bias = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return users, items, bias


def plain_loss(factors, b, c):
    w, h, g = factors
    return torch.nn.functional.softplus(-(b - c + w @ (h - g)))


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_an_adversarial_step_goes_down_both_losses(weight):
    users, items, bias = factors()
    w, h, g, b, c = (torch.tensor(x, requires_grad=True) for x in (users[1], items[2], items[0], bias[2], bias[0]))
    loss = plain_loss((w, h, g), b, c)
    up = torch.autograd.grad(loss, (w, h, g), retain_graph=True)
    pushed = [x + 0.5 * d / d.norm() for x, d in zip((w, h, g), up, strict=True)]
    worse = plain_loss(pushed, b, c)
    assert float(worse.detach()) > float(loss.detach()), "the push is the worst of its length, to the first order"
    (loss + weight * worse + 0.005 * torch.cat([w, h, g, b[None], c[None]]).square().sum()).backward()
    prices = np.array([0.01, 0.5, weight], np.float32)
    told = compiled(resist)(np.array([1, 0]), np.array([2, 1]), np.array([0, -1]), users, items, bias, np.float32(0.1), prices)
    assert told == pytest.approx(float(loss.detach()), rel=1e-5)
    for after, x in ((users[1], w), (items[2], h), (items[0], g), (bias[2], b), (bias[0], c)):
        assert x.grad is not None
        np.testing.assert_allclose(after, (x - 0.1 * x.grad).detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(users[0], factors()[0][0])
    np.testing.assert_array_equal(items[1], factors()[1][1])


def test_without_weight_it_is_the_step_of_bpr():
    ours, theirs = factors(), factors()
    seen = np.array([0, 0, 1]), np.array([1])
    compiled(_descend)(np.array([1]), np.array([2]), np.array([[1, 0]]), *seen, *theirs, np.float32(0.1), np.float32(0.01))
    prices = np.array([0.01, 0.5, 0.0], np.float32)
    compiled(resist)(np.array([1]), np.array([2]), np.array([0]), *ours, np.float32(0.1), prices)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def scores(config, log, features=None):
    model = Bpr(config) if isinstance(config, BprConfig) else SequenceModel(config)
    model.fit(log, np.zeros((len(log.items), 0), np.float32) if features is None else features)
    return model.score(np.array([[-1, 3, 5], [8, 9, 11]]))


def test_the_push_begins_in_the_second_half_of_the_passes():
    log = markov()
    one, two = (scores(BprConfig(width=8, epochs=passes), log) for passes in (1, 2))
    hard = [scores(BprConfig(width=8, epochs=passes, adversary=0.5), log) for passes in (1, 2)]
    np.testing.assert_array_equal(hard[0], one)
    assert not np.allclose(hard[1], two)
    none = scores(BprConfig(width=8, epochs=2, adversary=0.0, adversary_weight=3.0), log)
    np.testing.assert_array_equal(none, two)


# The sequence model


ON: dict[str, Any] = {
    "augment": ("crop", "mask", "reorder", "substitute"),
    "contrast": 0.1,
    "pretrain": 1,
    "unlabelled": 0.5,
    "adversary": 0.3,
}
TEXT = np.random.default_rng(2).standard_normal((30, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def plain():
    return scores(SMALL, markov(), TEXT)


@pytest.mark.parametrize("name", ON)
def test_an_option_changes_what_is_learned_and_the_model_still_learns(name, plain):
    config = dataclasses.replace(SMALL, **{name: ON[name]})
    out = scores(config, markov(), TEXT)
    assert not np.allclose(out, plain, atol=1e-3)
    np.testing.assert_array_equal(out, scores(config, markov(), TEXT))
    train, validation, test = leave_last_out(markov())
    before, model = together(train, validation), SequenceModel(dataclasses.replace(config, epochs=12, patience=0))
    model.fit(before, TEXT)
    assert evaluate_model(model, before, test, 3).recall.mean() > 0.6, "the most popular items: below 0.4"


def test_options_that_are_off_change_nothing(plain):
    """Their other settings are then not looked at: the model is the same to the last bit."""
    off = dataclasses.replace(SMALL, strength=0.7, adversary_weight=5.0)
    np.testing.assert_array_equal(scores(off, markov(), TEXT), plain)


def test_a_push_raises_the_loss_and_its_gradient_is_weighed(monkeypatch):
    log, config = markov(), dataclasses.replace(SMALL, adversary=0.2)
    trainer = _Trainer(config, log, TEXT)
    trainer.epoch(0)
    trainer.descent.network.eval()
    told, rows = [], (np.array([[-1, 3, 5, 6], [2, 4, 5, -1]]), np.array([[3, 5, 6, 7], [4, 5, 7, -1]]))
    gradients, honest = [], trainer._said

    def said(reader, before, target, rng, weight=1.0):
        told.append(honest(reader, before, target, rng, weight))
        grad = trainer.descent.network.catalogue.residual.grad
        assert grad is not None
        gradients.append(grad.clone())
        return told[-1]

    monkeypatch.setattr(trainer, "_said", said)
    for weight in (1.0, 0.5, 0.0):
        trainer.config = dataclasses.replace(config, adversary_weight=weight, text_alone=0.0)
        trainer.descent.network.zero_grad()
        assert trainer._next(*rows, np.random.default_rng(0)) == told[-2] < told[-1]
    whole, half, none = (gradients[n + 1] - gradients[n] for n in (0, 2, 4))
    torch.testing.assert_close(half, whole / 2, rtol=1e-3, atol=1e-7)
    assert float(whole.abs().max()) > 0 and float(none.abs().max()) == 0


def test_contrast_tells_users_apart_before_any_label():
    """After passes of contrast alone, two views of a history are nearer each other than before."""
    log = markov()
    config = dataclasses.replace(SMALL, dropout=0.0, text_alone=0.0, pretrain=1)
    trainer = _Trainer(config, log, TEXT)
    losses = [trainer._pass(("pretrain", str(number)), trainer._contrast_step) for number in range(4)]
    assert losses[-1] < losses[0]


def test_windows_that_teach_nothing_are_passed_over():
    """Contrast needs two windows of two events; agreement needs none."""
    log = log_of([[1], [2], [0, 3]], 5)
    for name in ("contrast", "pretrain", "unlabelled"):
        settings: dict[str, Any] = {name: 1}
        config = dataclasses.replace(SMALL, patience=0, epochs=2, **settings)
        assert np.isfinite(SequenceModel(config).score(np.zeros((1, 2), np.int64))).all()
        model = SequenceModel(config)
        model.fit(log, TEXT[:5])
        assert np.isfinite(model.score(np.array([[1, 2]]))).all()


def test_settings_that_cannot_work_are_refused():
    wrong: dict[str, Any] = {"augment": ("shuffle",), "strength": 1.0, "contrast": -1, "adversary": float("nan")}
    for name, value in wrong.items():
        with pytest.raises(ConfigError):
            SequenceConfig(**{name: value})
    with pytest.raises(ConfigError, match="adversary"):
        BprConfig(adversary=-0.1)
    listed: Any = ["crop"]  # as JSON has it
    assert SequenceConfig(augment=listed).augment == ("crop",)
