"""What a user said of their own profile. It holds whatever they do afterwards, until they say otherwise.

It is kept in the log as a record of its own, a ``User`` under a reserved id: a product that writes its users anew, as
imports do every night, does not know of corrections and must not wipe them out. The newest holds, as of any user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from longgame.errors import RecordError
from longgame.types import Attribute, User, UserId, microseconds

RESERVED = "longgame/profile/"
"""How the id of such a record begins."""
MOST = 200
"""Tags that a user may remove or add."""


@dataclass(frozen=True)
class Corrections:
    """By names of tags, not their numbers: a tag keeps its correction though the catalogue's tags change."""

    removed: frozenset[str] = frozenset()
    """Nothing is concluded about these."""
    added: frozenset[str] = frozenset()
    """Liked, because the user says so."""
    since: int = 0
    """microseconds: what was done up to then is forgotten in the profile."""

    def __post_init__(self) -> None:
        if both := self.removed & self.added:
            raise RecordError(f"Corrections: a tag is removed or added, not both, got {', '.join(sorted(both))}")
        if max(len(self.removed), len(self.added)) > MOST:
            raise RecordError(f"Corrections: at most {MOST} tags removed and {MOST} added, got more; restore some")

    def remove(self, *names: str) -> Corrections:
        """The same, and nothing concluded about ``names`` from now on."""
        return replace(self, removed=self.removed | set(names), added=self.added - set(names))

    def add(self, *names: str) -> Corrections:
        """The same, with ``names`` liked from now on."""
        return replace(self, added=self.added | set(names), removed=self.removed - set(names))

    def restore(self, *names: str) -> Corrections:
        """The same, with ``names`` concluded from events again."""
        return replace(self, removed=self.removed - set(names), added=self.added - set(names))

    def changed(self, remove: Iterable[str] = (), add: Iterable[str] = (), restore: Iterable[str] = ()) -> Corrections:
        """All three at once. Raises RecordError where a tag is named in two of them."""
        sides = [set(names) for names in (remove, add, restore)]
        twice = sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
        if twice:
            raise RecordError(
                f"corrections: a tag has one place of remove, add and restore, got {', '.join(sorted(twice))} in two"
            )
        return self.remove(*sides[0]).add(*sides[1]).restore(*sides[2])

    def forget(self, at: datetime) -> Corrections:
        """The same corrections over a profile that begins anew after ``at``."""
        return replace(self, since=microseconds(at))

    def record(self, user: UserId) -> User:
        """What the log keeps."""
        attributes: dict[str, Attribute] = {
            "removed": tuple(sorted(self.removed)),
            "added": tuple(sorted(self.added)),
            "since": float(self.since),
        }
        return User(corrections_id(user), attributes)

    @staticmethod
    def of(record: User | None) -> Corrections:
        """The inverse of :meth:`record`; none where there is no record."""
        held: Mapping[str, Attribute] = record.attributes if record else {}
        since = held.get("since", 0.0)
        return Corrections(
            frozenset(_names(held.get("removed"))),
            frozenset(_names(held.get("added"))),
            int(since) if isinstance(since, (int, float)) else 0,
        )


UNCORRECTED = Corrections()
"""Of a user who said nothing."""


def corrections_id(user: UserId) -> UserId:
    """The id of the record that holds a user's corrections. Raises RecordError where the user's own id is too long."""
    if len(user) + len(RESERVED) > 256:
        raise RecordError(f"profile of {user[:40]!r}…: corrections need a user id of at most {256 - len(RESERVED)} characters")
    return UserId(RESERVED + user)


def _names(value: Attribute | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
