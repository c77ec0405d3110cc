"""One cell -> an id, a number, a text or an attribute. Text files give text; JSON and Parquet give values of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from longgame.datasets.columns import plain
from longgame.datasets.report import Reject
from longgame.datasets.rows import Row
from longgame.datasets.times import MISSING
from longgame.types import Attribute

Converter = Callable[[Any], Attribute | None]
"""A cell -> the attribute's value, None where there is none. Raises Reject."""
_LISTS = frozenset({"genre", "genres", "category", "categories", "tag", "tags", "class", "keywords"})
_EMPTY_LISTS = frozenset({"(no genres listed)", "unknown"})


def missing(cell: Any) -> bool:
    """Whether a cell holds no value: empty, null, NaN."""
    return cell is None or (cell.strip() in MISSING if cell.__class__ is str else cell != cell)


def ident(part: str, cell: Any) -> str:
    """The id in a cell. Whole floats lose their point: an id column with gaps becomes floats in many tools."""
    if cell.__class__ is str:
        cell = cell.strip()
        if cell not in MISSING:
            return str(cell)
    elif cell.__class__ is int:
        return str(cell)
    elif cell.__class__ is float and cell.is_integer():
        return str(int(cell))
    if missing(cell):
        raise Reject(f"{part} is missing", f"the {part} is {cell!r}", f"give every row its {part}, or leave the row out")
    if isinstance(cell, (list, dict)):
        raise Reject(f"{part} is no id", f"the {part} is {cell!r}", f"the {part} must be one text or whole number")
    return str(cell)


def number(column: str, cell: Any) -> float:
    """The number in a cell; not a number, NaN and infinities are refused."""
    try:
        found = float(cell)
    except (TypeError, ValueError):
        comma = isinstance(cell, str) and cell.count(",") == 1
        mend = "write numbers with a point, 3.5 for 3,5" if comma else "write a plain number"
        raise Reject(f"{column} is not a number", f"column {column!r}: must be a number, got {cell!r}", mend) from None
    if found - found != 0:
        mend = "leave the row out, or give it a number"
        raise Reject(f"{column} is not finite", f"column {column!r}: must be a finite number, got {cell!r}", mend)
    return found


def text(cell: Any) -> str:
    """The text in a cell; lists are joined."""
    if missing(cell):
        return ""
    if isinstance(cell, (list, tuple)):
        return " ".join(text(part) for part in cell)
    return orjson.dumps(cell).decode() if isinstance(cell, dict) else str(cell).strip()


def converter(column: str, sample: Sequence[Any]) -> tuple[str, Converter]:
    """How a column of attributes is read ("number", "flag", "list", "text") and what reads it, judged from its cells."""
    cells = [cell for cell in sample if not missing(cell)]
    if any(isinstance(cell, list) for cell in cells):
        return "list", _list
    if plain(column) in _LISTS and any("|" in str(cell) for cell in cells):
        return "list", _list
    if cells and all(isinstance(cell, bool) for cell in cells):
        return "flag", lambda cell: None if missing(cell) else bool(cell)
    if cells and all(_plain_number(cell) for cell in cells):
        return "number", lambda cell: None if missing(cell) else number(column, cell)
    return "text", lambda cell: text(cell) or None


def _plain_number(cell: Any) -> bool:
    """Whether a cell is a number and not a code such as a postcode with leading zeros."""
    if isinstance(cell, (list, dict, bool)):
        return False
    shown = str(cell).strip()
    if len(shown) > 1 and shown[0] == "0" and shown[1].isdigit():
        return False
    try:
        return abs(float(shown)) < 1e300
    except ValueError:
        return False


def _list(cell: Any) -> tuple[str, ...] | None:
    if not isinstance(cell, (list, tuple)):
        cell = text(cell).split("|")
    found = tuple(part for part in (text(part) for part in cell) if part and part not in _EMPTY_LISTS)
    return found or None


def attributes(row: Row, converters: Sequence[tuple[int, str, Converter]]) -> dict[str, Attribute]:
    """The attributes in a row; those without a value are left out."""
    found = {name: read(row[index]) for index, name, read in converters}
    return {name: value for name, value in found.items() if value is not None}
