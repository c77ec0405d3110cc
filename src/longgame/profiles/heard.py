"""What one event says of how much its item was liked: its value, or what was read in its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from longgame.types import Event


@dataclass(frozen=True)
class Heard:
    """Kinds of event that tell, and what was read of those that tell in words."""

    rated: frozenset[str]
    """Kinds whose value says it."""
    by_text: frozenset[str] = frozenset()
    """Kinds whose text says it, where there is one."""
    said: Mapping[str, float] = field(default_factory=dict)
    """Event id -> what its text says, on the scale of ratings."""

    def value(self, event: Event) -> float | None:
        """What the event says; None where it says nothing of it, or nobody has read it yet."""
        if event.text and event.kind in self.by_text:
            return self.said.get(event.id)
        return event.value if event.kind in self.rated else None

    def unread(self, event: Event) -> bool:
        """Whether it says something in words that is not known: refused, taken back, or come since reviews were read.

        Such an event is no like: somebody met the item, and that is all.
        """
        return bool(event.text) and event.kind in self.by_text and event.id not in self.said
