"""Where vectors of items begin: drawn from the items' ids, so that the order of the catalogue is nothing a model can feel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from longgame.rng import derive
from longgame.types import F32, ItemId


def drawn(ids: Sequence[ItemId], width: int, seed: int, purpose: str) -> F32:
    """(n, width) normal draws of standard deviation ``width**-0.5``, one stream for each id and ``purpose``."""
    rows = [derive(seed, purpose, id).standard_normal(width, np.float32) for id in ids]
    return np.array(rows, np.float32).reshape(len(ids), width) * np.float32(width**-0.5)
