"""Values as TOML writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from longgame.settings.spans import duration_text


def toml_value(value: Any) -> str:
    """A setting's value as one writes it in the file.

    >>> toml_value({"click": 1.0, "add to cart": 2.0})
    '{ click = 1.0, "add to cart" = 2.0 }'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, timedelta):
        return f'"{duration_text(value)}"'
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {toml_value(held)}" for name, held in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml_value(part) for part in value)}]"
    return repr(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
