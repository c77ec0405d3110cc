"""A language model with no weights: hashed words and pieces of words.

Tests and a first run need no download, and where the real encoder is not installed this one keeps
everything working: titles that share words, or most of the letters of a word, come out near each
other. It knows no synonyms and no second language; that is the encoder's work.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from longgame.errors import ConfigError
from longgame.types import F32, F64

_WORDS = re.compile(r"\w+")
_PROBES = 4
"""Signed places a whole word takes: with one, two words that collide would be the same word."""
_PIECE = 3
"""Letters in a piece. A word's pieces together weigh as much as the word itself."""


class HashingModel:
    """Texts -> unit rows, the same on any machine.

    >>> model = HashingModel(64)
    >>> a, b, c = model.embed(["red nail polish", "nail polish, blue", "argan oil shampoo"])
    >>> bool(a @ b > 0.5 > a @ c)
    True
    """

    def __init__(self, width: int = 64) -> None:
        if width < 2:
            raise ConfigError(f"HashingModel.width: must be at least 2, got {width}")
        self._width = width

    @property
    def name(self) -> str:
        return f"hashing-1-{self._width}"

    @property
    def width(self) -> int:
        return self._width

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width), unit rows, zeros for a text without a visible character."""
        vocabulary: dict[str, int] = {}
        words: list[int] = []
        ends = [0]
        for text in texts:
            words += [vocabulary.setdefault(word, len(vocabulary)) for word in _words(text)]
            ends.append(len(words))
        if not words:
            return np.zeros((len(texts), self._width), np.float32)
        from scipy import sparse  # 90 ms that `import longgame.language` need not pay

        # Rows are summed in the order of their own words, so a row does not depend on its neighbours, to the last bit.
        counts = sparse.csr_array((np.ones(len(words)), words, ends), shape=(len(texts), len(vocabulary)))
        out: F64 = np.asarray(counts @ self._word_vectors(list(vocabulary)), np.float64)
        norm = np.linalg.norm(out, axis=1, keepdims=True)
        return (out / np.where(norm > 0, norm, 1)).astype(np.float32)

    def _word_vectors(self, vocabulary: list[str]) -> F64:
        """(words, width): the word in a few signed places, and each of its pieces in one."""
        rows: list[int] = []
        hashes: list[int] = []
        weights: list[float] = []
        for row, word in enumerate(vocabulary):
            whole = word.encode("utf-8", "surrogatepass")
            padded = f"\x02{word}\x03"
            pieces = {padded[i : i + _PIECE] for i in range(len(padded) - _PIECE + 1)}
            here = [crc32(whole, probe) for probe in range(1, _PROBES + 1)]
            here += sorted(crc32(piece.encode("utf-8", "surrogatepass")) for piece in pieces)
            rows += [row] * len(here)
            hashes += here
            weights += [_PROBES**-0.5] * _PROBES + [len(pieces) ** -0.5] * len(pieces)
        code = np.array(hashes, np.int64)
        place = np.array(rows, np.int64) * self._width + (code >> 1) % self._width
        signed = np.array(weights) * (1 - 2 * (code & 1))
        sums: F64 = np.bincount(place, weights=signed, minlength=len(vocabulary) * self._width).astype(np.float64)
        return sums.reshape(-1, self._width)


def _words(text: str) -> list[str]:
    folded = (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()
    return _WORDS.findall(folded) or folded.split()
