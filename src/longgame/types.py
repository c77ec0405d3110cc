"""The nouns that are records. Everything else is a function from some of these to others.

Axis letters, used in every comment, docstring and check in the package:

    B rows in a batch      C candidates per row     K slots in a slate
    T history steps        D width of an item vector    F context features
    N rows of a log        I items in the catalogue     U users

Here are the records (Item, User, Event, Request, Decision): things that exist or happened, frozen,
JSON-able, idempotent by id, never edited. ``arrays`` has the nouns the maths runs on. All times are
aware datetimes in records and whole microseconds since the Unix epoch (UTC) in arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NewType

import numpy as np
import numpy.typing as npt

from longgame.errors import ConfigError, RecordError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)
DecisionId = NewType("DecisionId", str)

Attribute = str | float | bool | tuple[str, ...]
"""What an attribute may hold: a category, a number, a flag, or several categories."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Whole microseconds since the Unix epoch.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (at - EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The aware datetime that lies ``at`` microseconds after the Unix epoch."""
    return EPOCH + timedelta(microseconds=at)


def _text(where: str, value: object, *, empty: bool = False, limit: int = 0) -> None:
    if not isinstance(value, str):
        raise RecordError(f"{where}: must be text, got {type(value).__name__} {value!r}")
    if not empty and not value:
        raise RecordError(f"{where}: must not be empty")
    if limit and len(value) > limit:
        raise RecordError(f"{where}: at most {limit} characters, got {len(value)} ({value[:40]!r}…)")
    # PostgreSQL refuses both; the other stores would keep them, and then the log could not move house.
    if "\x00" in value:
        raise RecordError(f"{where}: must not hold a NUL character, got {value[:40]!r}; remove it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RecordError(f"{where}: holds half of a surrogate pair, got {value[:40]!r}; decode it anew") from None


def _id(where: str, value: object) -> None:
    _text(where, value, limit=256)


def _moment(where: str, at: object) -> None:
    if not isinstance(at, datetime):
        raise RecordError(f"{where}: must be a datetime, got {type(at).__name__} {at!r}")
    if at.tzinfo is None:
        raise RecordError(f"{where}: has no time zone, got {at.isoformat()}; say which, for instance tzinfo=UTC")
    try:
        at.astimezone(UTC)
    except OverflowError:  # a log keeps moments in UTC: one that has none there could be written and never read
        raise RecordError(f"{where}: must lie in the years 1 to 9999 in UTC too, got {at.isoformat()}") from None


def _finite(where: str, value: object) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RecordError(f"{where}: must be a finite number, got {value!r}")


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be shown. Written again with other contents, the newest holds."""

    id: ItemId
    text: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict)
    """Kind of medium ("image", "audio") to its path or address."""

    def __post_init__(self) -> None:
        _id("Item.id", self.id)
        _text(f"Item {self.id!r} text", self.text, empty=True)
        _attributes(f"Item {self.id!r}", self.attributes)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody things are shown to. Written again with other contents, the newest holds."""

    id: UserId
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _id("User.id", self.id)
        _attributes(f"User {self.id!r}", self.attributes)


def _attributes(where: str, attributes: Mapping[str, Attribute]) -> None:
    for name, value in attributes.items():
        _text(f"{where} attribute name", name, limit=256)
        at = f"{where} attribute {name!r}"
        if isinstance(value, str):
            _text(at, value, empty=True)
        elif isinstance(value, tuple):
            for part in value:
                _text(at, part, empty=True)
        else:
            _finite(at, value)


@dataclass(frozen=True, slots=True)
class Event:
    """A user did something with an item. With ``decision`` set, it is feedback on that decision's ``slot``.

    ``kind`` is the product's own word ("click", "purchase", "rating"); ``value`` is its size in the
    product's own unit (a rating, a price, seconds watched); ``text`` is what the user wrote with it.
    """

    id: str
    at: datetime
    user: UserId
    item: ItemId
    kind: str
    value: float = 1.0
    text: str = ""
    decision: DecisionId | None = None
    slot: int | None = None

    def __post_init__(self) -> None:
        _id("Event.id", self.id)
        _moment("Event.at", self.at)
        _id("Event.user", self.user)
        _id("Event.item", self.item)
        _text("Event.kind", self.kind, limit=64)
        _finite("Event.value", self.value)
        if self.text:
            _text("Event.text", self.text)
        if self.decision is not None:
            _id("Event.decision", self.decision)
        if self.slot is not None and (self.slot < 0 or self.decision is None):
            raise RecordError(f"Event {self.id!r} slot: needs a decision and must be 0 or more, got {self.slot}")


@dataclass(frozen=True, slots=True)
class Request:
    """One call for a slate. ``id`` is chosen by the caller, so a retry is not a new draw."""

    id: str
    at: datetime
    user: UserId
    k: int
    """Slots wanted, 1 to 1000."""
    context: tuple[float, ...] = ()
    """F numbers that describe the moment: always the same ones in the same order."""
    surface: str = ""
    """Where the slate appears ("home", "cart")."""

    def __post_init__(self) -> None:
        _id("Request.id", self.id)
        _moment("Request.at", self.at)
        _id("Request.user", self.user)
        if not 1 <= self.k <= 1000:
            raise RecordError(f"Request.k: must lie between 1 and 1000, got {self.k}")
        for number in self.context:
            _finite("Request.context", number)
        _text("Request.surface", self.surface, empty=True, limit=64)


@dataclass(frozen=True, slots=True)
class Versions:
    """What made a decision: each names a recipe or an artefact that can be loaded again."""

    features: str
    retriever: str
    guards: str
    policy: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was shown, out of what, how likely, and by which versions. Durable before the reply."""

    id: DecisionId
    request: Request
    candidates: tuple[ItemId, ...]
    """C eligible items, in retrieval order: the guards have already spoken."""
    picks: tuple[int, ...]
    """K' <= K positions in ``candidates``, slot by slot."""
    propensities: tuple[float, ...]
    """K' probabilities: P(pick k | picks before k), under the slate rules."""
    versions: Versions

    def __post_init__(self) -> None:
        _id("Decision.id", self.id)
        where = f"Decision {self.id!r}"
        if len(self.picks) != len(self.propensities):
            raise RecordError(f"{where}: {len(self.picks)} picks but {len(self.propensities)} propensities")
        if len(set(self.picks)) != len(self.picks):
            raise RecordError(f"{where}: an item is picked twice, got picks {self.picks}")
        if self.picks and not 0 <= min(self.picks) <= max(self.picks) < len(self.candidates):
            raise RecordError(f"{where}: picks must be positions in {len(self.candidates)} candidates, got {self.picks}")
        if not all(0.0 < p <= 1.0 for p in self.propensities):
            raise RecordError(f"{where}: every propensity must lie in (0, 1], got {self.propensities}")

    @property
    def shown(self) -> tuple[ItemId, ...]:
        """The items of the slate, slot by slot."""
        return tuple(self.candidates[i] for i in self.picks)


Record = Item | User | Event | Decision


@dataclass(frozen=True)
class Objective:
    """What counts, for how long, and how far ahead. The reward is never stored: it is computed from events."""

    rewards: Mapping[str, float] = field(default_factory=lambda: {"click": 1.0})
    """Reward per event kind; a kind that is not named counts nothing."""
    by_value: frozenset[str] = frozenset()
    """Kinds whose reward is multiplied by the event's value (a price, seconds watched)."""
    window: timedelta = timedelta(hours=1)
    """How long after a decision its feedback counts."""
    discount: float = 0.0
    """What a reward a day later is worth now, in [0, 1): 0 is myopic."""
    floor: Mapping[str, float] = field(default_factory=dict)
    """Smallest value at which a kind counts at all: {"rating": 4.0} makes a 3-star rating worth nothing."""
    by_text: frozenset[str] = frozenset()
    """Kinds whose value, where there is a text, is what the text says in the unit of ratings, not what was sent with it."""

    def __post_init__(self) -> None:
        if not 0 <= self.discount < 1:
            raise ConfigError(f"Objective.discount: must lie in [0, 1), got {self.discount}")
        if self.window <= timedelta(0):
            raise ConfigError(f"Objective.window: must be longer than nothing, got {self.window}")
        for kind, reward in self.rewards.items():
            _finite(f"Objective.rewards[{kind!r}]", reward)

    def reward(self, kind: str, value: float) -> float:
        """The reward of one event."""
        base = self.rewards.get(kind, 0.0)
        if base == 0.0 or value < self.floor.get(kind, -math.inf):
            return 0.0
        return base * value if kind in self.by_value else base

    @property
    def horizon(self) -> timedelta:
        """How long a log must go on after a decision before its future can be told: until the discount falls to 5 %."""
        return timedelta(days=math.log(0.05) / math.log(self.discount)) if self.discount > 0 else timedelta(0)
