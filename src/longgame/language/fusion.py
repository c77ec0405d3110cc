"""Texts and pictures as one vector, learned so that an item which lacks one of the two is placed by the other.

A picture's vector is narrowed to its directions of most variance, as texts' are, and stands beside the text's. Where one of
the two is missing, what stands there is what the other says of it. That is learned by dropping modalities: each item that has
both teaches once with its picture withheld and once with its text, and what must be told is what was withheld. For linear maps
under squared error the best answer has a closed form, ridge regression from one to the other, so no drawing of masks is needed
(Ngiam et al., "Multimodal Deep Learning", ICML 2011, train networks by the drawing). And what a linear model makes of an item
completed like this is what it would best have made of the part that is there: the best linear guess of W a + V b from a is
W a + V times the best linear guess of b from a. So models need to know nothing of what is missing.

A guess is shorter than what was seen, by as much as the one says little of the other: it is not stretched to unit length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from longgame.artefacts import digest
from longgame.errors import DataError
from longgame.language.features import Features
from longgame.language.projection import Projection, reduce
from longgame.language.ridge import Ridge
from longgame.shapes import check

LEAST = 32
"""Items with both, under which nothing is learned of the one from the other: what is missing stays zeros."""


@dataclass(frozen=True, eq=False)
class Fusion:
    """How text vectors (I, X) and picture vectors (I, P) become item vectors (I, X + D). Fitted once, and kept."""

    text: str
    """Version of the text vectors it reads."""
    picture: str
    """Version of the picture vectors."""
    projection: Projection
    """P -> D"""
    from_text: Ridge | None
    """Text -> picture."""
    from_picture: Ridge | None
    """Picture -> text."""
    weight: float
    """Of the picture, beside 1 of the text."""

    @staticmethod
    def fit(text: Features, pictures: Features, width: int = 64, weight: float = 1.0) -> Fusion:
        """From rows of the same items; zeros are what is missing. Raises DataError where fewer than two have a picture."""
        check({"I": len(text), "P": pictures.width}, ("pictures", pictures.vectors, "I P"))
        seen, said = pictures.vectors.any(axis=1), text.vectors.any(axis=1)
        if seen.sum() < 2:
            raise DataError(f"Fusion.fit: needs two items with a picture or more, got {int(seen.sum())} of {len(text)}")
        # More directions than pictures there are not, and of the last ones only noise is known.
        projection = reduce(pictures, min(width, pictures.width, max(1, int(seen.sum()) // 2)))
        both = np.flatnonzero(seen & said)
        from_text = from_picture = None
        if len(both) >= LEAST:
            narrow, words = projection.apply(pictures.vectors[both]), text.vectors[both]
            from_text = Ridge.fit(words, narrow.astype(np.float64))
            from_picture = Ridge.fit(narrow, words.astype(np.float64))
        return Fusion(text.version, pictures.version, projection, from_text, from_picture, weight)

    def features(self, text: Features, pictures: Features, complete: bool = True) -> Features:
        """(I, X + D); a row with neither is zeros. Without ``complete`` what is missing stays zeros."""
        sizes = {"I": len(text), "P": len(self.projection.mean)}
        check(sizes, ("pictures", pictures.vectors, "I P"))
        words, narrow = text.vectors.copy(), self.projection.apply(pictures.vectors)
        said, seen = text.vectors.any(axis=1), pictures.vectors.any(axis=1)
        if complete and self.from_text is not None and self.from_picture is not None:
            blind, mute = np.flatnonzero(said & ~seen), np.flatnonzero(seen & ~said)
            if len(blind):
                narrow[blind] = self.from_text.predict(text.vectors[blind])
            if len(mute):
                words[mute] = self.from_picture.predict(narrow[mute])
        both = np.concatenate([words, np.float32(self.weight) * narrow], axis=1).astype(np.float32)
        return Features(f"{text.version}+{self.version}", text.ids, both)

    @cached_property
    def version(self) -> str:
        return f"{self.picture}x{self.weight:g}-{digest(self.state_dict())}"

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        out: dict[str, np.ndarray[Any, Any]] = {f"projection.{k}": v for k, v in self.projection.state_dict().items()}
        for name, ridge in (("from_text", self.from_text), ("from_picture", self.from_picture)):
            out |= {f"{name}.{k}": v for k, v in ridge.state_dict().items()} if ridge is not None else {}
        return out

    def about(self) -> dict[str, Any]:
        """What is needed beside the arrays."""
        return {"text": self.text, "picture": self.picture, "weight": self.weight}

    @staticmethod
    def load(state: Mapping[str, np.ndarray[Any, Any]], about: Mapping[str, Any]) -> Fusion:
        """The inverse of :meth:`state_dict` and :meth:`about`. Raises ArtefactError where arrays are missing."""

        def part(name: str) -> dict[str, np.ndarray[Any, Any]]:
            return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}

        from_text, from_picture = (Ridge.load(part(name)) if part(name) else None for name in ("from_text", "from_picture"))
        made = Projection.load(part("projection"))
        return Fusion(str(about["text"]), str(about["picture"]), made, from_text, from_picture, float(about["weight"]))
