"""Spans of time as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(value: object) -> timedelta:
    """ "30m", "12h", "1h30m", "7d" or a number of seconds; ValueError for anything else.

    >>> duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return timedelta(seconds=value)
        if isinstance(value, str) and re.fullmatch(r"(\d+[smhd])+", value):
            return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", value)))
    except (OverflowError, ValueError):
        pass
    raise ValueError('must be a number of seconds or text such as "30m", "12h" or "7d"')


def duration_text(span: timedelta) -> str:
    """The shortest text that :func:`duration` reads back.

    >>> duration_text(timedelta(minutes=90))
    '90m'
    """
    seconds = span.total_seconds()
    unit = next((u for u in "dhm" if seconds % _UNITS[u] == 0 and seconds), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return span


Duration = Annotated[timedelta, BeforeValidator(duration), AfterValidator(_positive)]
