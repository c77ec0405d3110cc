"""Tables and pages of what policies bring in worlds."""

import json

import numpy as np
import pytest

from longgame.evaluation.returns import Arm, Study, curves, markdown, page


def study(best="oracle", seeds=3):
    rng = np.random.default_rng(0)
    low, high = 10 + rng.random(seeds), 50 + rng.random(seeds)
    half = (low + high) / 2
    steps = np.array([100, 200, 300])
    curve = np.stack([low, (low + half) / 2, half], axis=1)
    arms = [
        Arm("random", low, "any slate"),
        Arm("mind <b>", half, "learned", steps, curve, np.full(seeds, 7.0)),
        Arm("oracle", high, "knows"),
    ]
    return Study("a world & more", arms, best=best)


def test_the_share_of_the_way_is_seed_by_seed():
    made = study()
    shares = [made.share(arm) for arm in made.arms]
    for share, wanted in zip(shares, (0.0, 0.5, 1.0), strict=True):
        assert share is not None and share.value == pytest.approx(wanted) and share.low == pytest.approx(wanted)
    assert study(best="").share(made.arms[1]) is None


def test_the_interval_is_student_s():
    arm = Arm("x", np.array([1.0, 2.0, 3.0]))
    assert arm.estimate.value == 2.0
    assert arm.estimate.high - 2.0 == pytest.approx(4.3027 / np.sqrt(3), rel=1e-3)


def test_the_table_and_the_page_hold_every_policy_escaped():
    told = markdown(study())
    assert told.splitlines()[0].startswith("| policy |") and "| 50% | 3 | 7 |" in told
    html = page("Title", [study(), study(best="")], {"seeds": "3"})
    assert html == page("Title", [study(), study(best="")], {"seeds": "3"})
    assert "mind &lt;b&gt;" in html and "<b>" not in html and "a world &amp; more" in html and html.count("<svg viewBox") > 2
    assert "script" not in html


def test_nothing_learned_is_no_curve():
    made = study()
    assert curves(Study("w", [made.arms[0]]), "c") is None


def test_json_holds_everything():
    told = json.loads(json.dumps(study().to_json()))
    assert [arm["name"] for arm in told["arms"]] == ["random", "mind <b>", "oracle"]
    assert told["arms"][1]["share"]["value"] == pytest.approx(0.5) and np.array(told["arms"][1]["curve"]).shape == (3, 3)
