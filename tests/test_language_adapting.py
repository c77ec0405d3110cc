"""A small language model that learns a closed question: the same seed the same adapter, stopped or not, saved or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame import artefacts
from longgame.cli import app
from longgame.errors import ArtefactError, ConfigError, DataError, ShapeError
from longgame.language.adapter import AdaptConfig, Adapted, Adapter, Recipe, known_as
from longgame.language.adapting import Lessons, Progress, Training
from longgame.language.asked import SEPARATOR, Answers, Asked
from longgame.language.questions import ASPECT_BRIEF, SENTIMENT_BRIEF
from longgame.language.smollm import SmolLM
from longgame.wiring.adapting import lessons_of

needs_weights = pytest.mark.skipif(not SmolLM.installed(), reason="the llm extra or its weights are not installed")
pytest.importorskip("peft", reason="the llm extra is not installed")

GOOD = ("works well", "lovely thing", "i am glad of it", "great buy , and cheap", "never fails", "so bright")
BAD = ("it broke", "useless noise", "i regret it", "poor , and dear", "fails at once", "so dim")
TINY = AdaptConfig(rank=2, above=28, rate=5e-3, epochs=2, batch=4, holdout=0.0)


def lessons(turned: bool = False) -> Lessons:
    """Reviews, or reviews that are judged the other way round, which nobody can know without having learned it."""
    texts = tuple(text for pair in zip(GOOD, BAD, strict=True) for text in pair)
    wanted = np.array([[1, 0], [0, 1]] * len(GOOD), np.float32)
    return Lessons(SENTIMENT_BRIEF, tuple((t,) for t in texts), wanted[:, ::-1] if turned else wanted, texts)


@pytest.fixture(scope="module")
def smol() -> SmolLM:
    return SmolLM()


@pytest.fixture(scope="module")
def made(smol: SmolLM) -> Adapter:
    """What learned that good is bad."""
    training = Training(smol, lessons(turned=True), replace(TINY, epochs=8))
    assert training.run(lambda at: True) and training.step == training.of == 24
    return training.adapter()


def test_lessons_that_are_none_are_refused():
    ok = lessons()
    with pytest.raises(ShapeError, match="of one length, got 12"):
        Lessons(ok.question, ok.parts, ok.wanted[1:], ok.texts)
    with pytest.raises(ShapeError, match=r"answers \(n, 3\)"):
        Lessons(ASPECT_BRIEF, ok.parts, ok.wanted, ok.texts)
    with pytest.raises(DataError, match="8 judged texts or more"):
        Lessons(ok.question, ok.parts[:3], ok.wanted[:3], ok.texts[:3])
    with pytest.raises(DataError, match="add up to 1"):
        Lessons(ok.question, ok.parts, ok.wanted * 2, ok.texts)
    with pytest.raises(DataError, match="not all judged alike"):
        Lessons(ok.question, ok.parts[::2] * 2, ok.wanted[::2].repeat(2, axis=0), ok.texts[::2] * 2)
    assert lessons().digest == ok.digest != lessons(turned=True).digest


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"above": 30}, {"epochs": 0}, {"batch": 0}, {"rate": 0.0}, {"holdout": 0.9}])
def test_a_config_that_is_none_is_refused(wrong: dict):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: must lie in"):
        AdaptConfig(**wrong)


def test_files_become_lessons(tmp_path: Path):
    seg = tmp_path / "a.seg"
    seg.write_text("the $T$ lasts .\nbattery life\n1\nthe $T$ is stiff .\nmouse\n-1\n" * 4)
    got = lessons_of(seg)
    assert got.question is ASPECT_BRIEF and got.parts[0] == ("battery life", "the battery life lasts .", "battery life")
    assert got.wanted[:2].tolist() == [[0, 0, 1], [1, 0, 0]] and got.texts[1] == "the mouse is stiff ."
    assert ASPECT_BRIEF.prompt(*got.parts[1]) == "Aspect: mouse\nReview: the mouse is stiff .\nAspect: mouse\nSentiment:"
    txt = tmp_path / "a.txt"
    txt.write_text("".join(f"{n}\t{score}\ttext {n}\n" for n, score in enumerate((-4, 0, 2, 1, -1, 3, -2, 0.5))))
    assert lessons_of(txt).wanted[:3].tolist() == [[0, 1], [0.5, 0.5], [0.75, 0.25]]
    for path in (tmp_path / "none.seg", tmp_path):
        with pytest.raises(DataError, match="no such file"):
            lessons_of(path)
    (tmp_path / "a.csv").write_text("a")
    with pytest.raises(DataError, match=r"must be \.seg"):
        lessons_of(tmp_path / "a.csv")


@needs_weights
def test_it_learns_and_the_model_beneath_stays_as_it_was(smol: SmolLM, made: Adapter):
    prompts = [SENTIMENT_BRIEF.prompt(text) for text in (*GOOD, *BAD)]
    before = smol.choose(prompts, SENTIMENT_BRIEF.options)
    model = Adapted(smol, made)
    after = model.choose(prompts, SENTIMENT_BRIEF.options)
    turned = np.array([1] * len(GOOD) + [0] * len(BAD))
    assert (after.argmax(axis=1) == turned).mean() > 0.8 > (before.argmax(axis=1) == turned).mean()
    assert np.array_equal(smol.choose(prompts, SENTIMENT_BRIEF.options), before)
    assert model.name == f"{smol.name}+{made.name}" and made.name.startswith("sentiment-brief-")
    for reader in (Asked(model, SENTIMENT_BRIEF), Answers(model, SENTIMENT_BRIEF)):
        assert made.name in reader.name and reader.embed(["lovely"]).shape == (1, reader.width)
    assert np.array_equal(model.states(prompts[:2], (28,)), smol.states(prompts[:2], (28,))), "what lies below is shared"


@needs_weights
def test_stopping_and_going_on_is_never_stopping(smol: SmolLM, tmp_path: Path):
    whole = Training(smol, lessons(), TINY)
    assert whole.run(lambda at: True)
    state: dict = {}
    for steps in range(6):  # as if it were killed after each step
        part = Training(smol, lessons(), TINY)
        if state:
            part.load_state_dict(state)
        assert part.step == steps and part.key == whole.key
        assert part.run(lambda at: False) == (steps == 5)
        artefacts.save(tmp_path / "kept", part.state_dict(), {})
        state, _ = artefacts.load(tmp_path / "kept")
    assert part.adapter().name == whole.adapter().name and part.adapter().recipe == whole.adapter().recipe
    other = Training(smol, lessons(), replace(TINY, seed=1))
    assert other.key != whole.key
    with pytest.raises(ArtefactError, match="of another training"):
        other.load_state_dict({**state, "weight.more": np.zeros(1)})
    assert not other.run(lambda at: False) and other.adapter().name != whole.adapter().name


@needs_weights
def test_the_trained_network_and_the_adapted_model_say_the_same(smol: SmolLM):
    told = replace(TINY, holdout=0.34)
    training = Training(smol, lessons(), told)
    seen: list[bool] = []

    def watch(at: Progress) -> bool:
        seen.append(at.held_out is not None)
        return True

    assert training.run(watch)
    assert len(training.held_out) == 4 and seen == [False, True] * 2
    prompts = [SENTIMENT_BRIEF.prompt(*lessons().parts[row]) for row in training.held_out]
    read = Adapted(smol, training.adapter()).choose(prompts, SENTIMENT_BRIEF.options)
    logits = training.logits(training.held_out)
    np.testing.assert_allclose(read[:, 0] - read[:, 1], logits[:, 0] - logits[:, 1], atol=0.2)
    assert training.adapter().recipe.texts == 8


@needs_weights
def test_an_adapter_is_a_file_that_is_checked(smol: SmolLM, made: Adapter, tmp_path: Path):
    with pytest.raises(ArtefactError, match="no such adapter; there are: none; make one"):
        Adapter.load(tmp_path, made.name)
    path = made.save(tmp_path)
    again = Adapter.load(tmp_path, made.name)
    prompts = [SENTIMENT_BRIEF.prompt("lovely")]
    assert again.name == made.name and again.recipe == made.recipe and again.question is SENTIMENT_BRIEF
    assert again.knows(["it broke", "never seen"]) == 1
    options = SENTIMENT_BRIEF.options
    assert np.array_equal(Adapted(smol, again).choose(prompts, options), Adapted(smol, made).choose(prompts, options))
    for wrong in ("x", f"../{tmp_path.name}/{made.name}"):
        with pytest.raises(ArtefactError, match=f"no such adapter; there are: {made.name}"):
            Adapter.load(tmp_path, wrong)
    path.rename(tmp_path / "renamed.safetensors")
    with pytest.raises(ArtefactError, match=f"contents are those of {made.name}"):
        Adapter.load(tmp_path, "renamed")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes((tmp_path / "renamed.safetensors").read_bytes()[:-100])
    with pytest.raises(ArtefactError, match="not a whole longgame checkpoint"):
        Adapter.load(tmp_path, "torn")
    artefacts.save(tmp_path / "other.safetensors", {"a": np.zeros(2)}, {"adapter": {"base": "x"}})
    with pytest.raises(ArtefactError, match="is no adapter of this version"):
        Adapter.load(tmp_path, "other")


@needs_weights
def test_an_adapter_of_something_else_is_refused(smol: SmolLM, made: Adapter):
    def told(**changed: object) -> Adapter:
        return Adapter(made.weights, Recipe(**{**vars(made.recipe), **changed}), made.seen)

    with pytest.raises(ArtefactError, match="was learned on another-model, got smollm2"):
        Adapted(smol, told(base="another-model"))
    with pytest.raises(ArtefactError, match="put it into the model it is of"):
        Adapted(Adapted(smol, made), made)
    with pytest.raises(ArtefactError, match="answers taste-1234, this version asks aspect-brief"):
        _ = told(question="taste-1234").question
    with pytest.raises(ArtefactError, match="matrices are not those of this network"):
        Adapted(smol, told(config={**made.recipe.config, "above": 27})).choose(["a"], (" b", " c"))
    with pytest.raises(ArtefactError, match="matrices are not those of this network"):
        Adapted(smol, told(config={**made.recipe.config, "rank": 3})).choose(["a"], (" b", " c"))
    assert known_as(["a", "b"]).dtype == np.uint64 and SEPARATOR not in made.name


@needs_weights
def test_the_command_goes_on_where_it_ran_out_of_time(smol: SmolLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SmolLM, "_loaded", smol._loaded)  # loaded once for all tests
    data = tmp_path / "judged"
    data.mkdir()
    cases = [("the $T$ is great .", "screen", 1), ("the $T$ is awful .", "mouse", -1), ("it has a $T$ .", "fan", 0)] * 3
    for part, cut in (("Train", ""), ("Test", " really")):
        told = "".join(f"{text}{cut}\n{aspect}\n{said}\n" for text, aspect, said in cases)
        (data / f"Toys_{part}.seg").write_text(told)
    call = ["adapt", "--data", str(data / "Toys_Train.seg"), "--above", "29", "--rank", "2", "--epochs", "2", "--holdout", ".4"]
    first = CliRunner().invoke(app, [*call, "--minutes", "1e-9"])
    assert first.exit_code == 0, first.output
    assert "out of time after 1 of 2 steps: the same command goes on" in first.stdout and "held-out texts" in first.stdout
    second = CliRunner().invoke(app, call)
    assert second.exit_code == 0 and "goes on after step 1" in second.stdout and "pass 2:" in second.stdout, second.output
    told = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)
    assert told["done"] and told["steps"] == told["of"] == 2 and f"--adapter {told['name']}" in second.stdout
    assert len(list((tmp_path / ".longgame" / "adapters").glob("[!.]*"))) == 2, "the unfinished one, and the same one twice"
    shown = CliRunner().invoke(app, ["evaluate", "language", "--data", str(data), "--adapter", told["name"]])
    assert shown.exit_code == 0, shown.output
    assert f"adapted, {told['name']} + asked" in shown.stdout and "the commonest answer" in shown.stdout
    (data / "Toys_Test.seg").write_text((data / "Toys_Train.seg").read_text())
    known = CliRunner().invoke(app, ["evaluate", "language", "--data", str(data), "--adapter", told["name"]])
    assert "is left out: 9 of these 9 texts" in known.stdout and f"adapted, {told['name']}" not in known.stdout
    none = CliRunner().invoke(app, ["evaluate", "language", "--data", str(data), "--adapter", "mine"])
    assert none.exit_code == 1 and told["name"] in none.stderr, "it says which there are"
    assert CliRunner().invoke(app, [*call, "--minutes", "0"]).exit_code == 2
