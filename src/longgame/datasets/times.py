"""Reads a column of times: ISO 8601, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970.

The four units cannot be confused: between 1990 and 2100 their numbers do not overlap. A column must keep to one unit;
the one who imports can name it, and then the years are not held to that span.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from longgame.datasets.report import Reject
from longgame.errors import ConfigError, DataError
from longgame.types import EPOCH

UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
"""Unit of a number -> how many of it make a second."""
CHOICES = ("iso", *UNITS, "line")
"""What ``Options.time_unit`` may be; "line" takes the order of the lines for time."""
LINE_START = datetime(2000, 1, 1, tzinfo=UTC)
"""The first instant where a file has an order but no times."""
_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_LOW, _HIGH = 631_152_000, 4_102_444_800
MISSING = frozenset({"", "nan", "NaN", "NAN", "null", "NULL", "None", "NaT", "<NA>", "\\N"})
"""What stands for an absent value in exported text."""
_NO_TIME = "give every row a time, or leave the row out"
_FORMS = "write ISO 8601 (2024-03-01T12:00:00Z) or a Unix time"


def _number(cell: Any) -> float | int | None:
    """The number in a cell, exact where it is whole; None where it is no number."""
    try:
        return int(cell) if cell.__class__ is not float else cell
    except (ValueError, TypeError):
        try:
            return float(cell)
        except (ValueError, TypeError):
            return None


def unit_of(number: float) -> str | None:
    """The unit in which ``number`` lies between 1990 and 2100, None if there is none.

    >>> unit_of(881250949), unit_of(1700000000000), unit_of(12)
    ('seconds', 'milliseconds', None)
    """
    return next((unit for unit, scale in UNITS.items() if _LOW * scale <= number < _HIGH * scale), None)


def iso(cell: Any) -> datetime | None:
    """An aware datetime from ISO 8601 text, a datetime or a date; without a zone it is UTC. None if it is none of them."""
    if isinstance(cell, str):
        try:
            at = datetime.fromisoformat(cell.strip())
        except ValueError:
            return None
    elif isinstance(cell, datetime):
        at = cell
    elif isinstance(cell, date):
        at = datetime(cell.year, cell.month, cell.day)
    else:
        return None
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        return None


@dataclass(frozen=True)
class Clock:
    """How one column of times is read."""

    column: str
    unit: str
    read: Callable[[Any], datetime]
    """A cell -> the moment; raises Reject."""
    note: str


def _refuse(column: str, cell: Any, unit: str) -> Reject:
    """Why ``cell``, which is not a time in ``unit``, is refused."""
    if cell is None or (isinstance(cell, str) and cell.strip() in MISSING) or cell != cell:
        return Reject("time is missing", f"column {column!r} has no time, got {cell!r}", _NO_TIME)
    number = _number(cell)
    other = unit_of(number) if number is not None else ("iso" if iso(cell) is not None else None)
    if number is not None and number < 0:
        return Reject("time is negative", f"column {column!r}: a time lies in or after 1970, got {cell!r}", _NO_TIME)
    if other is not None and other != unit:
        reason = f"column {column!r} is read as {unit}, but {cell!r} is a time in {other}"
        return Reject("times in two units", reason, "convert the column to one unit", fatal=True)
    if number is None and iso(cell) is None:
        return Reject("time cannot be read", f"column {column!r}: not a time, got {cell!r}", _FORMS)
    reason = f"column {column!r}: {cell!r} lies outside the years 1990 to 2100"
    return Reject("time lies outside 1990 to 2100", reason, f"if it is right, name the unit: --time-unit {unit}")


def _read_iso(column: str, explicit: bool) -> Callable[[Any], datetime]:
    def read(cell: Any) -> datetime:
        at = iso(cell)
        if at is None or not (explicit or _FIRST <= at < _LAST):
            raise _refuse(column, cell, "iso")
        if at < EPOCH:
            raise Reject("time is negative", f"column {column!r}: a time lies in or after 1970, got {cell!r}", _NO_TIME)
        return at

    return read


def _read_number(column: str, unit: str, explicit: bool) -> Callable[[Any], datetime]:
    scale = UNITS[unit]
    low, high = (0, math.inf) if explicit else (_LOW * scale, _HIGH * scale)

    def read(cell: Any) -> datetime:
        number = _number(cell)
        if number is None or not low <= number < high:
            raise _refuse(column, cell, unit)
        if scale == 1 and number.__class__ is int and number < _HIGH:
            return datetime.fromtimestamp(number, UTC)
        whole = number.__class__ is int
        try:
            return EPOCH + timedelta(microseconds=number * 1_000_000 // scale if whole else round(number / scale * 1e6))
        except OverflowError:
            raise _too_late(column, cell, unit, number) from None

    return read


def _too_late(column: str, cell: Any, unit: str, number: float) -> Reject:
    fits = unit_of(number)
    hint = f"--time-unit {fits}" if fits else _FORMS
    return Reject("time unit is wrong", f"column {column!r}: {cell!r} {unit} is past the year 9999", hint, fatal=True)


def clock(where: str, column: str, sample: Sequence[Any], unit: str | None) -> Clock:
    """How to read ``column``, judged from the cells in ``sample``, or as ``unit`` says. Raises DataError."""
    if unit is not None and unit not in CHOICES:
        raise ConfigError(f"time unit: must be one of {', '.join(CHOICES)}, got {unit!r}")
    explicit = unit is not None
    unit = unit or _infer(where, column, sample)
    if unit == "iso":
        zoneless = any(_zoneless(cell) for cell in sample)
        note = "ISO 8601, no time zone given: taken as UTC" if zoneless else "ISO 8601"
        return Clock(column, unit, _read_iso(column, explicit), note)
    note = f"Unix {unit}, " + ("as you said" if explicit else "judged by their size")
    return Clock(column, unit, _read_number(column, unit, explicit), note)


def _zoneless(cell: Any) -> bool:
    if isinstance(cell, str):
        try:
            return datetime.fromisoformat(cell.strip()).tzinfo is None
        except ValueError:
            return False
    return isinstance(cell, date) and getattr(cell, "tzinfo", None) is None


def _infer(where: str, column: str, sample: Sequence[Any]) -> str:
    units: dict[str, Any] = {}
    odd: Any = None
    for cell in sample:
        number = _number(cell)
        unit = unit_of(number) if number is not None else ("iso" if iso(cell) is not None else None)
        if unit is not None:
            units.setdefault(unit, cell)
        elif odd is None and cell is not None and str(cell).strip() not in MISSING and not (number is not None and number < 0):
            odd = cell
    if len(units) > 1:
        seen = " and ".join(f"{unit} ({cell!r})" for unit, cell in units.items())
        raise DataError(f"{where}: column {column!r} mixes {seen}; convert it to one unit")
    if units:
        return next(iter(units))
    if odd is not None and _number(odd) is not None:
        raise DataError(
            f"{where}: column {column!r} holds {odd!r}: in no unit is that between 1990 and 2100; "
            f"say what it counts with --time-unit, one of {', '.join(CHOICES)}"
        )
    if odd is not None:
        raise DataError(f"{where}: column {column!r} holds {odd!r}, which is no time; {_FORMS}")
    raise DataError(f"{where}: column {column!r} holds no time that can be read in its first rows; {_FORMS}")
