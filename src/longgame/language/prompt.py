"""Item -> the text a language model reads.

What sellers write is data: the shield takes it first (``language.shield``), nothing in it is ever obeyed. Change anything here
and ``RECIPE`` must change with it.
"""

from __future__ import annotations

from longgame.language.shield import clean as clean
from longgame.language.shield import shielded_name
from longgame.types import Item

RECIPE = "item-2"
"""Names this prompt. It is part of every features version."""
TEXT_LIMIT = 1000
"""Characters kept of an item's own text."""
ATTRIBUTES_LIMIT = 300
"""Characters kept of its categories."""


def describe(item: Item) -> str:
    """The text, then the categories by name: flags that are set and categories, never numbers.

    >>> describe(Item("1", "Toy Story", {"genre": ("Animation", "Comedy"), "year": 1995.0, "classic": True}))
    'Toy Story. classic. genre: Animation, Comedy'
    """
    parts = []
    for name, value in sorted(item.attributes.items()):
        if value is True:
            parts.append(shielded_name(name, 64))
        elif isinstance(value, (str, tuple)):
            words = value if isinstance(value, str) else ", ".join(value)
            if told := shielded_name(words, ATTRIBUTES_LIMIT):
                parts.append(f"{shielded_name(name, 64)}: {told}")
    categories = ". ".join(parts)[:ATTRIBUTES_LIMIT].rstrip()
    return ". ".join(part for part in (shielded_name(item.text, TEXT_LIMIT), categories) if part)
