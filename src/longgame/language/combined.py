"""Several readers of one text, side by side: each knows something that the others do not.

A sentence encoder knows what is meant, word vectors which words there are whatever their order, and spelling the names that
neither has ever met. On descriptions of films the three together find more of the films that the same people took than any
one of them (``benchmarks/text_neighbours.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longgame.errors import ConfigError
from longgame.protocols import LanguageModel
from longgame.types import F32


class Combined:
    """A ``protocols.LanguageModel`` of other ones, each as loud as the others."""

    def __init__(self, readers: Sequence[LanguageModel]) -> None:
        if len({reader.name for reader in readers}) < max(2, len(readers)):
            told = ", ".join(reader.name for reader in readers) or "none"
            raise ConfigError(f"Combined: needs two readers or more, each another one, got {told}")
        self._readers = tuple(readers)

    @property
    def name(self) -> str:
        return "combined-" + "-".join(reader.name for reader in self._readers)

    @property
    def width(self) -> int:
        return sum(reader.width for reader in self._readers)

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), unit rows but where a reader has nothing to say of a text; zeros where none has."""
        parts = [reader.embed(texts) for reader in self._readers]
        out: F32 = (np.concatenate(parts, axis=1) / np.sqrt(len(parts))).astype(np.float32)
        return out
