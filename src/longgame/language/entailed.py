"""Whether what is stated of an item stands in the item's own records: the judge of descriptions, and of their tags before.

``checks`` and ``descriptions.judged`` decide what is used, from facts that were prepared for a writer. This one goes back to
the records: a value is entailed where its words stand, in their order, in the item's text, in one of its attributes, or in the
names of items that it is said to be near.
"""

from __future__ import annotations

from collections.abc import Sequence

from longgame.language.vocabulary import fold
from longgame.types import Item


def entailed(value: str, item: Item, near: Sequence[str] = ()) -> bool:
    """Whether the records say ``value``.

    >>> item = Item("1", "Jaws", {"genre": ("Thriller", "Horror"), "year": 1975.0})
    >>> entailed("thrillers", item), entailed("1975", item), entailed("comedy", item)
    (True, True, False)
    """
    wanted = f" {fold(value)} "
    return bool(wanted.strip()) and any(wanted in f" {fold(told)} " for told in records(item, near))


def records(item: Item, near: Sequence[str] = ()) -> list[str]:
    """All that is on record of an item, as texts; a number without its decimals where it has none, a flag as its "yes"."""
    out = [item.text, *near]
    for value in item.attributes.values():
        if isinstance(value, bool):
            out.append("yes" if value else "no")
        elif isinstance(value, int | float):
            out.append(f"{value:g}")
        else:
            out += [value] if isinstance(value, str) else list(value)
    return out
