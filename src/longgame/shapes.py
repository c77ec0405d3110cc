"""One check for every array that crosses a module boundary, over the alphabet of axes in ``types``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from longgame.errors import ShapeError


def check(known: dict[str, int], *arrays: tuple[str, npt.NDArray[np.generic[Any]], str]) -> dict[str, int]:
    """Bind axis letters to sizes; the same letter must have the same size everywhere.

    >>> check({}, ("a", np.zeros((2, 3)), "B C"), ("b", np.zeros(2), "B"))
    {'B': 2, 'C': 3}
    >>> check({}, ("a", np.zeros((2, 3)), "B C"), ("b", np.zeros(4), "B"))
    Traceback (most recent call last):
        ...
    longgame.errors.ShapeError: b: axis B is 4, but it is 2 elsewhere (got shape (4,), expected "B")
    """
    sizes = dict(known)
    for name, array, axes in arrays:
        letters = axes.split()
        if not isinstance(array, np.ndarray):
            raise ShapeError(
                f'{name}: must be an array (expected "{axes}"), got a {type(array).__name__}; numpy.asarray makes one'
            )
        got = f'(got shape {array.shape}, expected "{axes}")'
        if array.ndim != len(letters):
            raise ShapeError(f"{name}: has {array.ndim} axes, not {len(letters)} {got}")
        for letter, size in zip(letters, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(f"{name}: axis {letter} is {size}, but it is {sizes[letter]} elsewhere {got}")
    return sizes
