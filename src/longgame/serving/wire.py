"""The bodies that HTTP carries, with the words and examples that OpenAPI shows, and how they become records.

The shape of a body is checked here, by pydantic; what a record may hold is checked by the record itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from longgame.errors import RecordError
from longgame.profiles import RESERVED
from longgame.serving.problems import Problem, invalid
from longgame.types import Attribute, DecisionId, Event, Item, ItemId, Request, User, UserId

_LAST = 4_102_444_800
"""Seconds from 1970 to 2100. A larger number is a time in another unit."""


@dataclass(frozen=True)
class Limits:
    """How much a caller may ask for at once."""

    body: int = 16_000_000
    """Bytes."""
    batch: int = 10_000
    """Rows."""
    k: int = 100
    """Slots."""
    ahead: timedelta = timedelta(minutes=5)
    """How far a caller's clock may run ahead: one time in the far future would close every open decision's window."""


class Body(BaseModel):
    """What a caller sends: no other keys, no guessing at types."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


Time = float | int | str | None


class RecommendBody(Body):
    """A call for a slate."""

    id: str
    """Your id for this call. A retry with the same id gets the same slate, and is logged once."""
    user: str
    """Whom the slate is for. An unknown user is welcome."""
    k: int = 10
    """Slots wanted."""
    at: Time = None
    """When it is: ISO 8601 with a zone, or Unix seconds. The server's clock where it is left out."""
    context: list[float] | dict[str, float] = Field(default_factory=list)
    """Numbers that describe the moment: in the order of `context.names`, or by those names."""
    surface: str = ""
    """Where the slate appears ("home", "cart")."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "req-1", "user": "u1", "k": 3, "surface": "home"}]})

    def record(self, now: datetime, limits: Limits, names: Sequence[str]) -> Request:
        """The Request it stands for. Raises Problem or RecordError."""
        if not 1 <= self.k <= limits.k:
            raise invalid("k", f"must lie between 1 and {limits.k}, got {self.k}", "ask for fewer slots, or raise serve.max_k")
        at = moment_of(self.at, now, limits.ahead)
        return Request(self.id, at, UserId(self.user), self.k, _context(self.context, names), self.surface)


class EventBody(Body):
    """Something a user did with an item. With `decision` it is feedback on that slate."""

    id: str
    """Your id for this event. The same id again is a duplicate and counts once."""
    user: str
    item: str
    kind: str
    """Your own word: "view", "click", "purchase", "rating"."""
    value: float = 1.0
    """Its size in your own unit: a price, seconds watched, stars."""
    at: Time = None
    """When it happened, as in a request."""
    text: str = ""
    """What the user wrote with it."""
    decision: str | None = None
    """Id of the recommend call that showed the item."""
    slot: int | None = None
    """Slot it was shown in; found from the item where it is left out."""

    def record(self, now: datetime, limits: Limits) -> Event:
        """The Event it stands for. Raises Problem or RecordError."""
        at = moment_of(self.at, now, limits.ahead)
        decision = None if self.decision is None else DecisionId(self.decision)
        user, item = UserId(self.user), ItemId(self.item)
        return Event(self.id, at, user, item, self.kind, self.value, self.text, decision, self.slot)


Attributes = dict[str, str | bool | float | list[str]]


class ItemBody(Body):
    """Something that can be shown. Sent again with other contents, the newest holds."""

    id: str
    text: str = ""
    """Title and description: what the language model reads."""
    attributes: Attributes = Field(default_factory=dict)
    """Categories (text or list of texts), numbers and flags."""
    media: dict[str, str] = Field(default_factory=dict)
    """Kind of medium to its address."""

    def record(self, now: datetime, limits: Limits) -> Item:
        """The Item it stands for."""
        return Item(ItemId(self.id), self.text, _attributes(self.attributes), dict(self.media))


class UserBody(Body):
    """Somebody things are shown to. Sent again with other contents, the newest holds."""

    id: str
    attributes: Attributes = Field(default_factory=dict)

    def record(self, now: datetime, limits: Limits) -> User:
        """The User it stands for. Raises Problem for an id under which corrections of profiles are kept."""
        if self.id.startswith(RESERVED):
            mend = "correct a profile with PUT /v1/users/{user}/profile"
            raise invalid("id", f"must not begin with {RESERVED!r}, got {_short(self.id)}", mend)
        return User(UserId(self.id), _attributes(self.attributes))


class EventsBody(Body):
    """Events, each judged for itself."""

    events: list[EventBody]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"events": [{"id": "e1", "user": "u1", "item": "i7", "kind": "click", "decision": "req-1", "slot": 0}]}
            ]
        }
    )


class ItemsBody(Body):
    """Items, each judged for itself."""

    items: list[ItemBody]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"id": "i7", "text": "Red nail polish", "attributes": {"price": 7.5, "category": ["nails"]}}]}
            ]
        }
    )


class UsersBody(Body):
    """Users, each judged for itself."""

    users: list[UserBody]

    model_config = ConfigDict(json_schema_extra={"examples": [{"users": [{"id": "u1", "attributes": {"country": "PT"}}]}]})


class Reply(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Shown(Reply):
    """One slot of a slate."""

    id: str
    """The item."""
    slot: int
    """0 is the first."""
    propensity: float
    """Probability that it was picked here, given the slots before."""


class RecommendReply(Reply):
    """A slate. It is in the log, for good, before you read this."""

    id: str
    """Send it as `decision` with every event that the slate leads to."""
    user: str
    at: datetime
    """The moment the decision was made for; a retry keeps the first one."""
    items: list[Shown]
    """Fewer than k, or none, where candidates run out."""
    versions: dict[str, str]
    """What made the decision: features, retriever, guards, policy."""


class RowReply(Reply):
    """What became of one row."""

    id: str
    status: str
    """accepted; duplicate (it was known, nothing changed); rejected."""
    reason: str = ""
    """Why it was rejected."""


class BatchReply(Reply):
    """What became of a batch: one result a row, in its order. Accepted rows are durable."""

    accepted: int
    duplicate: int
    rejected: int
    results: list[RowReply]


class LiveReply(Reply):
    """The process answers."""

    live: bool


class ReadyReply(Reply):
    """Whether requests can be answered."""

    ready: bool
    snapshot: int | None
    """Number of the policy that is live."""
    reasons: list[str]
    """Why it is not ready."""
    warnings: list[str]
    """What is wrong though it answers, for instance a published policy that could not be loaded."""


class PolicyReply(Reply):
    """What decides now."""

    snapshot: int
    """Its number in the registry; 0 if it came from elsewhere."""
    versions: dict[str, str]
    temperature: float
    uniform: float
    candidates: int
    context: list[str]
    """Names of the context numbers a request must bring."""
    proof: dict[str, Any]
    """What the gate said when it was published."""


class ProblemReply(Reply):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    """What must hold, and what was got."""
    where: str = ""
    """The field of the request."""
    mend: str = ""
    """What to do about it."""


AnyBody = TypeVar("AnyBody", bound=Body)


def parse_json(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises Problem."""
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "not-json", f"the body is not JSON: {error}", mend="send a JSON object in UTF-8") from None
    if not isinstance(content, dict):
        raise invalid("body", f"must be a JSON object, got {type(content).__name__}")
    return content


def parse_body(kind: type[AnyBody], content: Mapping[str, Any]) -> AnyBody:
    """``content`` as a ``kind``. Raises Problem with the field."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        where, what = explained(error)
        field = kind.model_fields.get(where.partition(".")[0].partition("[")[0])
        raise invalid(
            where, what, (field.description or "") if field else f"the keys are {', '.join(kind.model_fields)}"
        ) from None


def parse_rows(name: str, data: bytes, limits: Limits) -> list[Any]:
    """The rows of ``{name: [...]}``, not looked at yet. Raises Problem."""
    content = parse_json(data)
    rows = content.get(name)
    if not isinstance(rows, list) or len(content) > 1:
        raise invalid(name, f'the body must be {{"{name}": [...]}} and nothing else, got the keys {sorted(content)}')
    if len(rows) > limits.batch:
        raise Problem(413, "too-large", f"at most {limits.batch} rows, got {len(rows)}", name, "send them in several calls")
    return rows


def explained(error: ValidationError) -> tuple[str, str]:
    """The first thing wrong: its field, and what must hold with what was got."""
    problem = error.errors(include_url=False)[0]
    inside = [part for part in problem["loc"] if not (isinstance(part, str) and part in _BRANCHES)]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inside).lstrip(".")
    if problem["type"] == "missing":
        return where, "is needed and missing"
    if problem["type"] == "extra_forbidden":
        return where, "there is no such key"
    what = problem["msg"].removeprefix("Input ").replace("should", "must")
    return where, f"{what}, got {_short(problem['input'])}"


_BRANCHES = {"float", "int", "str", "bool", "list[float]", "dict[str,float]", "list[str]"}
"""Names that pydantic gives the branches of a union: no part of a path."""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def moment_of(at: Time, now: datetime, ahead: timedelta) -> datetime:
    """An aware datetime from what a caller sent; ``now`` where that is nothing. Raises Problem."""
    if at is None:
        return now
    mend = "send ISO 8601 with a zone (2030-01-31T12:00:00Z), Unix seconds, or nothing for now"
    if isinstance(at, str):
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            raise invalid("at", f"must be ISO 8601 or Unix seconds, got {_short(at)}", mend) from None
        if moment.tzinfo is None:
            raise invalid("at", f"has no time zone, got {at!r}", "add one: Z for UTC, or +01:00")
        moment = moment.astimezone(UTC)
    elif 0 <= at < _LAST:
        moment = datetime.fromtimestamp(at, UTC)
    else:
        unit = "milliseconds" if at >= _LAST else "a time before 1970"
        raise invalid(
            "at", f"must be Unix seconds between 1970 and 2100, got {at!r}, which looks like {unit}", "divide by 1000"
        )
    if moment > now + ahead:
        what = f"lies {moment - now} ahead of the server's clock, which says {now.isoformat()}; got {at!r}"
        raise invalid("at", what, "set the clocks, or leave `at` out")
    return moment


def _context(given: list[float] | dict[str, float], names: Sequence[str]) -> tuple[float, ...]:
    if isinstance(given, list):
        return tuple(given)
    if set(given) != set(names):
        raise invalid("context", f"must have exactly the names {list(names)}, got {sorted(given)}", "see context.names")
    return tuple(given[name] for name in names)


def _attributes(given: Attributes) -> dict[str, Attribute]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def row_reason(error: Exception) -> str:
    """Why a row is rejected, in one line."""
    if isinstance(error, ValidationError):
        where, what = explained(error)
        return f"{where}: {what}"
    if isinstance(error, Problem):
        return f"{error.where}: {error.what}" + (f"; {error.mend}" if error.mend else "")
    assert isinstance(error, RecordError), error
    return str(error)
