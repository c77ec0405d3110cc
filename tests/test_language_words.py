"""The word vectors: the package's own pooling, without importing it, without a network."""

import subprocess
import sys

import numpy as np
import pytest

from longgame.errors import MissingExtra
from longgame.language import WordVectors

needs_words = pytest.mark.skipif(not WordVectors.installed(), reason="the words extra is not installed")


@needs_words
def test_a_text_is_the_mean_of_its_words_in_any_order():
    model = WordVectors()
    one, other, apart, both = model.embed(["polish nail red", "red nail polish", "red", "red red"]).astype(np.float64)
    assert one @ other > 0.95  # not 1: a word at the start of a text is another token
    assert apart @ both > 0.95


@needs_words
def test_vectors_are_those_of_the_package():
    code = """
import os, sys, warnings
import numpy as np
from longgame.language import WordVectors
texts = ["The Godfather part II", "argan oil shampoo 250ml", "Am\\u00e9lie"]
ours = WordVectors().embed(texts)
assert "wordllama" not in sys.modules and "requests" not in sys.modules
from safetensors import safe_open
from tokenizers import Tokenizer
import wordllama
from wordllama.inference import WordLlamaInference
folder = os.path.dirname(wordllama.__file__)
with safe_open(folder + "/weights/l2_supercat_256.safetensors", framework="numpy") as file:
    table = file.get_tensor("embedding.weight")
tokenizer = Tokenizer.from_file(folder + "/tokenizers/l2_supercat_tokenizer_config.json")
print(float(np.abs(WordLlamaInference(table, tokenizer).embed(texts, norm=True) - ours).max()))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout) < 1e-6


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("longgame.language.words.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"wordllama.*longgame\[words\]"):
        WordVectors().embed(["a"])
    assert not WordVectors.installed()
