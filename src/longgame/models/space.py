"""What may be tuned: for each field of a config the range that is searched. ``evaluation.tuning`` does the searching.

A config declares its own, as a class variable ``SPACE``; fields that are not in it keep the value they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longgame.errors import ConfigError


@dataclass(frozen=True)
class Real:
    """A number between two bounds, both included."""

    low: float
    high: float
    log: bool = False
    """Whether the search goes by ratios, not by differences."""

    def __post_init__(self) -> None:
        _ordered(self.low, self.high, self.log)


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds, both included."""

    low: int
    high: int
    log: bool = False
    """Whether the search goes by ratios, not by differences."""

    def __post_init__(self) -> None:
        _ordered(self.low, self.high, self.log)


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[bool | int | float | str, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("OneOf: needs at least one value, got none")


Range = Real | Whole | OneOf
Space = Mapping[str, Range]
"""Field of a config -> what is searched."""


def _ordered(low: float, high: float, log: bool) -> None:
    if not low < high or (log and low <= 0):
        raise ConfigError(f"search range: low must be under high, and above 0 where log, got {low} to {high}, log={log}")
