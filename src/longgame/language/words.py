"""Static word vectors: a text is the mean of the vectors of its words. Meaning without a network, in microseconds.

The vectors are WordLlama's (Miller, 2024; MIT licence), the token embeddings of Llama 2 trained anew to be averaged.
They and the tokenizer lie in the package and are read from its files: importing the package
would set up logging for the whole process, and asking it for a model may download one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from longgame.errors import MissingExtra
from longgame.types import F32, F64

WIDTH = 256
TOKENS = 1024
"""Tokens read of a text; the rest is not seen."""
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_FEATURE = "the word vectors"


class WordVectors:
    """Texts -> (n, 256) unit rows, the same on any machine: the order of words counts for nothing. Mostly English."""

    @staticmethod
    def installed() -> bool:
        """Whether its packages are here. Imports none of them."""
        return all(find_spec(package) for package in ("wordllama", "tokenizers"))

    @property
    def name(self) -> str:
        return f"words-l2-supercat-{WIDTH}"

    @property
    def width(self) -> int:
        return WIDTH

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, 256), unit rows, zeros for a text without a visible character. Raises MissingExtra at the first call."""
        vectors, tokenizer = self._loaded
        vocabulary: dict[int, int] = {}
        words: list[int] = []
        ends = [0]
        for text in texts:
            seen = text if text.isascii() else text.encode("utf-8", "replace").decode()
            tokens = tokenizer.encode(seen, add_special_tokens=False).ids if seen.strip() else []
            words += [vocabulary.setdefault(token, len(vocabulary)) for token in tokens]
            ends.append(len(words))
        if not words:
            return np.zeros((len(texts), WIDTH), np.float32)
        from scipy import sparse  # 90 ms that `import longgame.language` need not pay

        # Rows are summed in the order of their own words, so a row does not depend on its neighbours, to the last bit.
        counts = sparse.csr_array((np.ones(len(words)), words, ends), shape=(len(texts), len(vocabulary)))
        out: F64 = np.asarray(counts @ vectors[list(vocabulary)].astype(np.float64), np.float64)
        norm = np.linalg.norm(out, axis=1, keepdims=True)
        return (out / np.where(norm > 0, norm, 1)).astype(np.float32)

    @cached_property
    def _loaded(self) -> tuple[F32, Any]:
        """(tokens, 256) float16 vectors and the tokenizer."""
        try:
            from safetensors import safe_open
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtra(_FEATURE, "tokenizers", "words") from None
        found = find_spec("wordllama")  # found, not imported
        if found is None or found.origin is None:
            raise MissingExtra(_FEATURE, "wordllama", "words")
        folder = Path(found.origin).parent
        with safe_open(folder / _WEIGHTS, framework="numpy") as file:
            vectors = file.get_tensor("embedding.weight")
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.enable_truncation(TOKENS)
        return vectors, tokenizer
