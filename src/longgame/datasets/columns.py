"""Which column plays which part: what the one who imports said, else the names that event logs and catalogues use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from longgame.errors import ConfigError, DataError

_USER = (
    "user userid useridx uid customer customerid customernumber visitor visitorid reviewerid client clientid "
    "member memberid account accountid person personid cookie cookieid session sessionid"
)
_ITEM = (
    "item itemid iid product productid productcode asin parentasin movie movieid film filmid sku article articleid "
    "video videoid content contentid post postid news newsid book bookid isbn track trackid song songid artist artistid"
)
_AT = (
    "at timestamp time ts datetime date eventtime eventtimestamp createdat created occurredat "
    "unixreviewtime unixtime reviewtime"
)

KNOWN: dict[str, dict[str, str]] = {
    "events": {
        "user": _USER,
        "item": _ITEM,
        "at": _AT,
        "kind": "kind event eventtype eventname type action behavior behaviour interaction interactiontype",
        "value": "value rating stars score overall price amount revenue weight playcount watchtime",
        "text": "text review reviewtext reviewbody comment body tag",
        "id": "id eventid interactionid reviewid",
    },
    "items": {
        "item": f"item itemid id {_ITEM}",
        "text": "text title name movietitle producttitle productname itemname headline description summary titlewords",
    },
    "users": {"user": f"user userid id {_USER}"},
}
"""Table -> part -> the column names (lower case, letters and digits only) that are taken for it, the likeliest first."""
NEEDED = {"events": ("user", "item", "at"), "items": ("item",), "users": ("user",)}
_SAID = {"at": "time"}
_SEVERAL = {"items": ("text",)}
"""Parts that may take several columns."""


def plain(name: str) -> str:
    """A column name without what people vary: case, spaces, underscores, hyphens.

    >>> plain("User_ID"), plain("user-id")
    ('userid', 'userid')
    """
    return re.sub(r"[^0-9a-z]", "", name.lower())


def parts(
    table: str, where: Path, columns: Sequence[str], mapping: Mapping[str, str], *, timed: bool = True
) -> dict[str, tuple[str, ...]]:
    """Part -> its columns; without ``timed`` no column is the time.

    Raises DataError if a needed part has none, ConfigError if the mapping names a column that is not there.
    """
    found = _said(table, where, columns, mapping)
    taken = {column for names in found.values() for column in names}
    by_plain: dict[str, str] = {}
    for column in columns:
        by_plain.setdefault(plain(column), column)
    for part, known in KNOWN[table].items():
        if part in found or (part == "at" and not timed):
            continue
        matches = [by_plain[name] for name in dict.fromkeys(known.split()) if name in by_plain]
        matches = [column for column in matches if column not in taken]
        if matches:
            found[part] = tuple(matches) if part in _SEVERAL.get(table, ()) else (matches[0],)
            taken.update(found[part])
    missing = [part for part in NEEDED[table] if part not in found and (timed or part != "at")]
    if missing:
        raise DataError(_missing(table, where, columns, missing, taken))
    return found


def _said(table: str, where: Path, columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, wanted in mapping.items():
        owner, _, part = key.rpartition(".")
        if part not in KNOWN[table] or owner not in ("", table):
            continue
        names = tuple(name.strip() for name in wanted.split(",")) if part in _SEVERAL.get(table, ()) else (wanted,)
        absent = [name for name in names if name not in columns]
        if absent and (owner or part in NEEDED[table]):
            near = difflib.get_close_matches(absent[0], columns, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"{where}: --map {key}={wanted}: there is no column {absent[0]!r}, only {', '.join(columns)}{hint}"
            )
        if not absent:
            found[part] = names
    return found


def has_part(part: str, columns: Sequence[str], table: str = "events") -> bool:
    """Whether a column's name is one that is known for ``part``."""
    return not {plain(column) for column in columns}.isdisjoint(KNOWN[table][part].split())


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raises ConfigError where a key of ``mapping`` is no part of any table."""
    for key in mapping:
        owner, _, part = key.rpartition(".")
        tables = [owner] if owner else list(KNOWN)
        if not any(part in KNOWN.get(table, {}) for table in tables):
            known = sorted({name for table in KNOWN.values() for name in table})
            near = difflib.get_close_matches(part, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"--map {key}=…: no part is called {key!r}; the parts are {', '.join(known)}{hint}")


def _missing(table: str, where: Path, columns: Sequence[str], missing: Sequence[str], taken: set[str]) -> str:
    free = [column for column in columns if column not in taken]
    said = " or the ".join(_SAID.get(part, part) for part in missing)
    flags = [f"--map {part}={_nearest(table, part, free)}" for part in missing]
    hint = ""
    if "at" in missing:
        hint = "; a file without times needs --time-unit line (the order of the lines)"
    elif missing == ["user"] and table == "events":
        hint = "; a catalogue that has times must be called items, as in items.csv"
    return (
        f"{where}: no column is known to be the {said}; the columns are {', '.join(columns)}; "
        f"say which: {' '.join(flags)}{hint}"
    )


def _nearest(table: str, part: str, free: Sequence[str]) -> str:
    """The unused column whose name comes nearest to a known one, else a placeholder."""
    names = KNOWN[table][part].split()
    score = {column: max(difflib.SequenceMatcher(None, plain(column), name).ratio() for name in names) for column in free}
    best = max(score, key=score.__getitem__, default=None)
    return best if best is not None and score[best] >= 0.6 else "COLUMN"
