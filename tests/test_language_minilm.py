import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from longgame.errors import ConfigError, MissingExtra
from longgame.language import MiniLM
from longgame.language import minilm as module
from longgame.language.workers import cores
from longgame.settings import load_settings
from longgame.wiring.language import threads_of

needs_weights = pytest.mark.skipif(not MiniLM.installed(), reason="the language extra is not installed")


@needs_weights
def test_float32_is_the_reference_implementation():
    """Our padding-free forward pass against transformers' own BERT, mean pooling."""
    transformers = pytest.importorskip("transformers")
    import torch

    texts = ["short", "a somewhat longer title with seven words", "word " * 300, "red nail polish e55"]
    model = MiniLM("float32")
    _, tokenizer = model._loaded
    config = transformers.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    reference = transformers.BertModel(config, add_pooling_layer=False).eval()
    from safetensors.torch import load

    spec = importlib.util.find_spec("all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).with_name("model.zip")) as archive:
        state = load(archive.read("model.safetensors"))
    missing = reference.load_state_dict(state, strict=False).missing_keys
    assert not missing
    for text, ours in zip(texts, model.embed(texts), strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            vector = reference(ids).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(ours, vector / np.linalg.norm(vector), atol=2e-5)


@needs_weights
def test_bfloat16_agrees_with_float32():
    texts = [f"title number {i} about {'cats' if i % 3 else 'trains'} and {'rain ' * (i % 17)}" for i in range(90)]
    a, b = MiniLM("bfloat16").embed(texts), MiniLM("float32").embed(texts)
    assert (a * b).sum(axis=1).min() > 0.999


@needs_weights
def test_attention_over_short_texts_is_attention():
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.manual_seed(0)
    for length in (1, 3, 10, 64):
        q, k, v = torch.randn(3, 5, 12, length, 32)
        np.testing.assert_allclose(module._products(q, k, v), scaled_dot_product_attention(q, k, v), atol=1e-5)


def test_a_container_uses_no_more_cores_than_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    share = tmp_path / "cpu.max"
    monkeypatch.setattr("longgame.language.workers._SHARE", str(share))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for told, count in (("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("6400000 100000", 8), ("", 8)):
        share.write_text(told)
        assert cores() == count
    share.unlink()
    assert cores() == 8
    assert threads_of(load_settings(None, {}, {}).settings) == 8
    assert threads_of(load_settings(None, {}, {"language.threads": 3}).settings) == 3


def test_vectors_are_the_same_for_any_number_of_threads():
    texts = [f"title number {i} " + "and more " * (i % 23) for i in range(300)]
    np.testing.assert_array_equal(MiniLM(threads=1).embed(texts), MiniLM(threads=3).embed(texts))


@needs_weights
def test_thread_count_is_left_as_it_was():
    import torch

    before = torch.get_num_threads()
    MiniLM(threads=before + 1).embed(["a"])
    assert torch.get_num_threads() == before


def test_bad_arguments_name_the_value():
    with pytest.raises(ConfigError, match=r"precision.*'int4'"):
        MiniLM("int4")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"threads.*0"):
        MiniLM(threads=0)


def test_missing_weights_name_the_extra(monkeypatch):
    monkeypatch.setattr(module, "_WEIGHTS", "no_such_package_of_weights")
    assert not MiniLM.installed()
    with pytest.raises(MissingExtra, match=r"longgame\[language\]"):
        MiniLM().embed(["a"])


def test_imports_stay_light_and_silent():
    heavy = "{'torch', 'transformers', 'tokenizers', 'faiss', 'usearch', 'scipy', 'safetensors'}"
    code = f"import sys, longgame.language, longgame.retrieval; print(*set(sys.modules) & {heavy})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@needs_weights
def test_embedding_says_nothing_on_the_console():
    code = "from longgame.language import MiniLM; MiniLM().embed(['a', 'longer text'])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
