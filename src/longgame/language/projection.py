"""Wide text vectors -> narrow item vectors. Fitted once on a catalogue, saved, and used for new items as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from longgame.errors import ArtefactError, ConfigError
from longgame.language.features import Features
from longgame.shapes import check
from longgame.types import F32

NARROW = 1e-6
"""Share of the widest direction's variance under which a direction is left out."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Centre, rotate, rescale. Part of the recipe: its digest is in the version of what it made."""

    mean: F32
    """(X,) of the wide vectors"""
    matrix: F32
    """(X, D)"""

    def __post_init__(self) -> None:
        check({}, ("Projection.mean", self.mean, "X"), ("Projection.matrix", self.matrix, "X D"))

    @property
    def version(self) -> str:
        """``pca-D-digest`` of the arrays."""
        raw = self.mean.astype("<f4").tobytes() + self.matrix.astype("<f4").tobytes()
        return f"pca-{self.matrix.shape[1]}-{blake2b(raw, digest_size=4).hexdigest()}"

    def apply(self, vectors: F32) -> F32:
        """(n, X) -> (n, D) unit rows; a row of zeros, which is no text, stays zeros."""
        check({"X": len(self.mean)}, ("vectors", vectors, "n X"))
        narrow = (vectors - self.mean) @ self.matrix
        norm = np.linalg.norm(narrow, axis=1, keepdims=True)
        known = vectors.any(axis=1, keepdims=True) & (norm > 0)
        return np.where(known, narrow / np.where(norm > 0, norm, 1), 0).astype(np.float32)

    def features(self, features: Features) -> Features:
        """The same items with narrow vectors, and a version that says so."""
        return Features(f"{features.version}+{self.version}", features.ids, self.apply(features.vectors))

    def state_dict(self) -> dict[str, F32]:
        return {"mean": self.mean, "matrix": self.matrix}

    @staticmethod
    def load(state: Mapping[str, np.ndarray[Any, Any]]) -> Projection:
        """From what :meth:`state_dict` gave. Raises ArtefactError if arrays are missing."""
        if missing := {"mean", "matrix"} - set(state):
            raise ArtefactError(f"Projection.load: needs the arrays 'mean' and 'matrix', got none named {sorted(missing)}")
        return Projection(np.array(state["mean"], np.float32), np.array(state["matrix"], np.float32))


def reduce(features: Features, width: int = 64, whiten: float = 0.5) -> Projection:
    """The ``width`` directions in which the catalogue varies most, fitted on the items that have a text.

    The last numbers of a vector that are no part of its text (``Features.beside``) come out as they are, behind the others.
    ``whiten`` evens the directions out: 0 keeps their variances, 1 makes all equal. No randomness is in it.
    Directions in which nothing varies come out as columns of zeros.
    """
    most, beside = features.width - features.beside, features.beside
    if not 1 <= width <= most:
        raise ConfigError(f"reduce.width: must lie between 1 and the features' {most}, got {width}")
    if not 0 <= whiten <= 1:
        raise ConfigError(f"reduce.whiten: must lie in [0, 1], got {whiten}")
    words = features.vectors[:, :most]
    told = words[words.any(axis=1)].astype(np.float64)
    mean = told.mean(axis=0) if len(told) else np.zeros(most)
    centred = told - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / max(1, len(told)))
    variances, directions = variances[::-1][:width], directions[:, ::-1][:, :width]
    # An eigenvector's sign is the library's choice: make the largest entry positive.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.where(directions[largest, np.arange(width)] < 0, -1.0, 1.0)
    kept = variances > NARROW * max(float(variances[0]), 1e-12)
    scale = np.where(kept, np.where(kept, variances, 1.0) ** (-whiten / 2), 0.0)
    matrix = np.zeros((features.width, width + beside))
    matrix[:most, :width], matrix[most:, width:] = directions * scale, np.eye(beside)
    return Projection(np.append(mean, np.zeros(beside)).astype(np.float32), matrix.astype(np.float32))
