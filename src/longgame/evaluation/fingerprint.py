"""Which code made a figure: what is kept on disk is found again only while nothing that decides its value has changed."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

_DECIDES = (
    "models",
    "evaluation/ranking.py",
    "evaluation/tuning.py",
    "retrieval/everybody.py",
    "retrieval/exact.py",
    "language/features.py",
    "language/projection.py",
    "language/ridge.py",
    "spectral.py",
    "networks.py",
    "precision.py",
    "arrays.py",
    "shapes.py",
    "rng.py",
)
"""Files and folders of the package that models are made of and judged by."""


@cache
def code() -> str:
    """A name for the code of all models together: another one after any change, to any of them.

    Coarse on purpose, for models are made of each other and of shared parts. Read once a process, when first asked for.
    """
    root = Path(__file__).parent.parent
    hasher = blake2b(digest_size=8)
    for name in _DECIDES:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            hasher.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return hasher.hexdigest()
