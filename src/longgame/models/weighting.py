"""What one entry of a table of who took what is worth: the weightings of text retrieval, with users or items as the texts.

A row is a text and a column a word: a word that is in every text tells little (idf), a text of many words says less with each
of them (length). All are for tables of ones, or of ones that fade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from longgame.types import F64, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Weighting = Literal["cosine", "tfidf", "bm25"]
WEIGHTINGS: tuple[Weighting, ...] = ("cosine", "tfidf", "bm25")

SATURATION = 1.2
"""BM25's k1."""
LENGTH = 0.75
"""BM25's b: 0, length counts for nothing; 1, a text's words share one vote."""


def rarity(count: I64, texts: int) -> F64:
    """(m,) texts that a word is in -> (m,) log of one over their share of ``texts``; 0 for a word that is in none."""
    out: F64 = np.log(np.where(count > 0, texts / np.maximum(count, 1), 1.0))
    return out


def bm25(entry: F64, length: F64) -> F64:
    """What an entry counts in a text of ``length``, 1 being the typical one; 1 for an entry of 1 in a text of that length.

    (k1 + 1) x / (k1 (1 - b + b length) + x): Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, eq. 3.15.
    """
    out: F64 = (SATURATION + 1) * entry / (SATURATION * (1 - LENGTH + LENGTH * length) + entry)
    return out


def weighted(taken: csr_array, weighting: Weighting, rare: F64, typical: float) -> csr_array:
    """The rows (n, m) weighted; ``rare`` (m,) is :func:`rarity` of the columns, ``typical`` the mean length of a text.

    ``cosine``: as they are. ``tfidf``: times rarity. ``bm25``: :func:`bm25` times rarity.
    """
    out = taken.astype(np.float64)
    if weighting == "bm25":
        out.data = bm25(out.data, np.repeat(out.sum(axis=1) / max(typical, 1e-300), np.diff(out.indptr)))
    if weighting != "cosine":
        out.data *= rare[out.indices]
    return out
