"""Texts that work on their reader, told from opinions by what the reader thinks of them: learned from a set of attacks.

Rules (``suspicion``) know the attacks that somebody thought of. The vectors that a review is judged by hold more: that it is
about the answer, not about the thing. A ridge regression learns it from attacks and, beside each, from the same carrier with an
honest opinion as long, alone, and with other sentences, so that neither the carrier nor its length tells them apart; honest
texts, the product's reviews among them, say where the line must lie for nearly all of them to pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longgame.errors import ArtefactError
from longgame.language.attacks import Attack, honest
from longgame.language.cache import OnProgress, VectorCache, embed_in_batches
from longgame.language.ridge import Ridge
from longgame.language.shield import clean
from longgame.protocols import LanguageModel
from longgame.types import F32, F64, Bool

SPARED = 0.995
"""Share that must pass of the product's own reviews, and of other honest texts, judged by what was learned without them."""
_PARTS = 3


@dataclass(frozen=True)
class Wary:
    """What was learned. Made by :meth:`fit`."""

    head: Ridge
    """Vectors -> 1 for an attack, 0 for an opinion."""
    line: float
    """Beyond it a text is refused."""

    @staticmethod
    def fit(own: F32, attacked: F32, honest: F32) -> Wary:
        """From (n, d) vectors of the product's reviews, (m, d) of attacks, and (l, d) of other honest texts."""
        vectors = np.concatenate([own, attacked, honest])
        wanted = np.concatenate([np.zeros(len(own)), np.ones(len(attacked)), np.zeros(len(honest))])[:, None]
        part = np.arange(len(vectors)) % _PARTS
        out: F64 = np.zeros(len(vectors))
        for number in range(_PARTS):
            held = part == number
            out[held] = Ridge.fit(vectors[~held], wanted[~held]).predict(vectors[held])[:, 0]
        passing = (out[: len(own)], out[len(own) + len(attacked) :])
        line = max(float(np.quantile(some, SPARED)) for some in passing if len(some))
        return Wary(Ridge.fit(vectors, wanted), line)

    def refuses(self, vectors: F32) -> Bool:
        """(n, d) -> (n,) True where a text is no opinion."""
        out: Bool = self.head.predict(vectors)[:, 0] > self.line
        return out

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        return {**self.head.state_dict(), "line": np.array(self.line)}

    @staticmethod
    def load(state: Mapping[str, np.ndarray[Any, Any]]) -> Wary:
        """The inverse of :meth:`state_dict`. Raises ArtefactError."""
        if "line" not in state:
            raise ArtefactError(f"checkpoint: line must be there, got {', '.join(sorted(state))}")
        return Wary(Ridge.load(state), float(state["line"]))


def learn(
    readers: Sequence[LanguageModel],
    own: F32,
    attacks: Sequence[Attack],
    limit: int,
    cache: VectorCache | None = None,
    on_progress: OnProgress | None = None,
) -> Wary:
    """From the vectors that ``readers`` made of the product's reviews, and what they make of attacks that nothing shields."""
    hostile = as_they_stand(readers, [attack.text for attack in attacks], limit, cache, on_progress)
    beside = [*(attack.control for attack in attacks), *honest()]
    return Wary.fit(own, hostile, as_they_stand(readers, beside, limit, cache, on_progress))


def as_they_stand(
    readers: Sequence[LanguageModel],
    texts: Sequence[str],
    limit: int,
    cache: VectorCache | None = None,
    on_progress: OnProgress | None = None,
) -> F32:
    """(n, sum of their widths) what readers make of texts that are cleaned alone: to measure and to learn, for nothing else."""
    told = [clean(text, limit) for text in texts]
    parts = []
    for reader in readers:
        bare: LanguageModel = reader.unshielded() if hasattr(reader, "unshielded") else reader
        parts.append(embed_in_batches(bare, told, on_progress) if cache is None else cache.embed(bare, told, on_progress))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(texts), 0), np.float32)
