"""Randomness is an argument. Each draw's generator is derived from what the draw is for."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *keys: str) -> np.random.Generator:
    """A generator for the draw named by ``keys``.

    The same seed and keys give the same stream on any machine and in any order of arrival, so a
    retried request gets the same slate and adding a draw elsewhere moves nothing here.
    """
    digest = hashlib.blake2b("\x1f".join(keys).encode(), digest_size=16).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])
