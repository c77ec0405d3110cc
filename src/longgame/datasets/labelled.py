"""Texts that people have judged, for measuring what a language model reads in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.errors import DataError
from longgame.types import F64, I64


@dataclass(frozen=True)
class Scored:
    """Texts with a number each: how much they like it, 0 being neither."""

    texts: tuple[str, ...]
    scores: F64
    """(n,)"""


@dataclass(frozen=True)
class Aspects:
    """Texts with one of their parts each, and what they say of it."""

    texts: tuple[str, ...]
    aspects: tuple[str, ...]
    label: I64
    """(n,) 0 negative, 1 neutral, 2 positive"""


def is_scored(path: Path) -> bool:
    """Whether the first line that says anything looks like one of :func:`scored`."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        parts = next((line for line in lines if line.strip()), "").split("\t", 2)
    try:
        return len(parts) == 3 and bool(np.isfinite(float(parts[1])))
    except ValueError:
        return False


def scored(path: Path) -> Scored:
    """Lines of id, number and text, separated by tabs. Raises DataError."""
    texts, scores = [], []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        parts = line.split("\t", 2)
        try:
            scores.append(float(parts[1]))
            texts.append(parts[2])
            if not np.isfinite(scores[-1]):
                raise ValueError
        except (IndexError, ValueError):
            raise DataError(f"{path}, line {number}: must be id, number and text by tabs, got {line[:60]!r}") from None
    return Scored(tuple(texts), np.array(scores))


def aspects(path: Path) -> Aspects:
    """SemEval's segments, three lines a case: a text with ``$T$`` for the part, the part, -1, 0 or 1. Raises DataError."""
    lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    texts, parts, label = [], [], []
    for first in range(0, len(lines) - 2, 3):
        text, part, said = lines[first : first + 3]
        if said not in ("-1", "0", "1") or "$T$" not in text:
            raise DataError(f"{path}, line {first + 1}: must be a text with $T$, a part, and -1, 0 or 1, got {said!r}")
        texts.append(text.replace("$T$", part))
        parts.append(part)
        label.append(int(said) + 1)
    if not texts:
        raise DataError(f"{path}: holds no case; needs three lines each, a text with $T$, a part, and -1, 0 or 1")
    return Aspects(tuple(texts), tuple(parts), np.array(label, np.int64))
