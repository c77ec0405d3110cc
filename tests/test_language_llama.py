"""llama.cpp in the process: the same file, asked and written with as the network here does; and what is said without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from longgame.errors import ConfigError, MissingExtra
from longgame.language.llama import LlamaCpp
from longgame.language.llama_writer import LlamaCppWriter
from longgame.language.local_lm import LocalLM
from longgame.language.questions import SENTIMENT
from longgame.language.smollm import SmolLM, packaged
from longgame.profiles import Leaning
from longgame.profiles.portraits import SCHEMA, judged
from longgame.settings import load_settings
from longgame.wiring.reading_models import Models

needs_llama = pytest.mark.skipif(
    not (LlamaCpp.installed() and SmolLM.installed()), reason="the extra llama, which a compiler builds, is not installed"
)
REVIEWS = ["lovely , a joy to use .", "it broke after a day .", "does what it says"]


@needs_llama
def test_it_answers_as_the_network_here_does_with_the_same_file():
    model, other = LlamaCpp(packaged()), LocalLM(packaged(), "float32")
    prompts = [SENTIMENT.prompt(text) for text in REVIEWS]
    told = model.choose(prompts, SENTIMENT.options)
    np.testing.assert_allclose(told, other.choose(prompts, SENTIMENT.options), atol=0.3)  # it rounds what goes in, too
    assert model.ledger.calls == 3 and model.ledger.read < sum(len(model.tokens(one, begins=True)) for one in prompts)
    alone = LlamaCpp(packaged()).choose(prompts[2:], SENTIMENT.options)
    np.testing.assert_allclose(told[2:], alone, atol=0.05)  # whatever was read before
    assert model.tokens("<|im_end|>") != [model.loaded.token_eos()], "what looks like a control token is spelled out"
    with pytest.raises(ConfigError, match="begin with different tokens"):
        model.choose(prompts, (" good", " good"))


@needs_llama
def test_it_writes_what_the_schema_allows():
    writer = LlamaCppWriter(LlamaCpp(packaged()))
    leaning = Leaning("likes", ("Mystery", "Drama", "War"))
    (found,) = writer.generate([leaning.prompt()], SCHEMA)
    assert found is not None and set(found) == {"sentence"} and judged(found, leaning)[0]
    assert writer.generate([leaning.prompt()], SCHEMA) == [found] and writer.ledger.written > 0
    with pytest.raises(ConfigError, match="must be object"):
        writer.generate(["x"], {"type": "array"})


@needs_llama
def test_a_file_that_it_cannot_read_is_said(tmp_path: Path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"x" * 100)
    with pytest.raises(ConfigError, match=r"bad\.gguf cannot be read as a language model by llama\.cpp"):
        LlamaCpp(tmp_path / "bad.gguf").choose(["a"], (" b", " c"))


def test_what_is_no_file_for_it_is_said_and_what_is_another_has_another_name(tmp_path: Path):
    for name in ("none.gguf", "model.bin"):
        with pytest.raises(ConfigError, match=r"must be a \.gguf file"):
            LlamaCpp(tmp_path / name)
    (tmp_path / "a.gguf").write_bytes(b"one")
    first = LlamaCpp(tmp_path / "a.gguf").name
    (tmp_path / "a.gguf").write_bytes(b"two")
    assert first.startswith("a-") and LlamaCpp(tmp_path / "a.gguf").name != first


def test_it_is_asked_for_by_name_alone_and_missed_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    settings = load_settings(None, {}, {"reading.chooser": "llama.cpp", "reading.writer": "llama.cpp"}).settings
    monkeypatch.setattr(LlamaCpp, "installed", staticmethod(lambda: False))
    for who in ("chooser", "writer"):
        with pytest.raises(MissingExtra, match=r"longgame\[llama\]"):
            getattr(Models(settings), who)
    monkeypatch.setattr(LlamaCpp, "installed", staticmethod(lambda: True))
    own = load_settings(None, {}, {"reading.writer": "llama.cpp", "language.small": "nothing.gguf"}).settings
    with pytest.raises(ConfigError, match=r"nothing\.gguf"):
        _ = Models(own).writer
