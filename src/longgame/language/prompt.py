"""Item -> the text a language model reads.

What sellers write is data: it is cleaned of characters that are invisible or steer a display, bounded
in length, and nothing in it is ever obeyed. Change anything here and ``RECIPE`` must change with it.
"""

from __future__ import annotations

import re
import unicodedata

from longgame.types import Item

RECIPE = "item-1"
"""Names this prompt. It is part of every features version."""
TEXT_LIMIT = 1000
"""Characters kept of an item's own text."""
ATTRIBUTES_LIMIT = 300
"""Characters kept of its categories."""

# Controls, zero-width and direction marks, variation and tag characters, halves of surrogate pairs. Not the
# two joiners, which Persian, Hindi and emoji need.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]+"
)


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Visible characters only, single spaces, at most ``limit`` characters.

    >>> clean("Nail \\x1b[31m polish\\u202e,\\n red")
    'Nail [31m polish , red'
    """
    # Four times the limit is enough to fill it after cleaning, and bounds the work on a hostile megabyte.
    seen = text[: 4 * limit]
    if not seen.isascii():
        seen = unicodedata.normalize("NFC", seen)
    return " ".join(_UNSEEN.sub(" ", seen).split())[:limit].rstrip()


def describe(item: Item) -> str:
    """The text, then the categories by name: flags that are set and categories, never numbers.

    >>> describe(Item("1", "Toy Story", {"genre": ("Animation", "Comedy"), "year": 1995.0, "classic": True}))
    'Toy Story. classic. genre: Animation, Comedy'
    """
    parts = []
    for name, value in sorted(item.attributes.items()):
        if value is True:
            parts.append(clean(name, 64))
        elif isinstance(value, (str, tuple)):
            words = value if isinstance(value, str) else ", ".join(value)
            if told := clean(words, ATTRIBUTES_LIMIT):
                parts.append(f"{clean(name, 64)}: {told}")
    categories = ". ".join(parts)[:ATTRIBUTES_LIMIT].rstrip()
    return ". ".join(part for part in (clean(item.text), categories) if part)
