"""Records to and from rows of the log. It knows no database.

A row is what every SQL database keeps of a record, column by column; ``docs/store.md`` has the list.
The candidates of a decision are kept as numbers of words (see ``words``), not as texts: two hundred
of them take 400 bytes while there are fewer than 65,536 words, and 800 after that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from operator import index, itemgetter
from typing import Any, Final

import numpy as np
import orjson

from longgame.errors import RecordError, StoreError
from longgame.types import (
    Attribute,
    Decision,
    DecisionId,
    Event,
    Item,
    ItemId,
    Record,
    Request,
    User,
    UserId,
    Versions,
    microseconds,
    moment,
)

EVENT, DECISION, ITEM, USER = range(4)
"""What ``log.type`` holds. Never renumber: logs on disk hold these."""

COLUMNS: Final = (
    *("seq", "type", "id", "at", "user_id", "item_id"),
    *("kind", "value", "text", "decision_id", "slot", "body"),
)

Row = tuple[
    int,  # type
    str,  # id
    int | None,  # at
    str | None,  # user_id
    str | None,  # item_id
    str | None,  # kind
    float | None,  # value
    str | None,  # text
    str | None,  # decision_id
    int | None,  # slot
    bytes | None,  # body
]
"""A row that has no place in the log yet: COLUMNS without ``seq``."""

Words = Callable[[Any], list[str]]
"""Numbers (n,) -> the words they stand for."""

_LAYOUT: Final = 1
_HEAD: Final = struct.Struct("<BBHIII")
"""Layout, bytes per number, slots wanted, F, K', C."""
_SLOT_LIMIT: Final = 2**31 - 1
_VERSIONS: Final = 4
_WORD_LIMIT: Final = 512
"""Characters. PostgreSQL cannot index a text of more than 2,704 bytes."""


def storable(text: object) -> bool:
    """Whether every database can hold ``text``: PostgreSQL takes no NUL, and none of them half a surrogate pair."""
    if not isinstance(text, str) or "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def instant(at: datetime) -> int:
    """Microseconds of an aware datetime; RecordError for any other value."""
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise RecordError(f"history before: must be a datetime with a time zone, got {at!r}")
    return microseconds(at)


def digest(body: bytes) -> bytes:
    """Tells apart the contents of items and users."""
    return blake2b(body, digest_size=16).digest()


def encode(record: Record, numbers: Mapping[str, int]) -> Row:
    """The row of a record. KeyError if a decision names a word that has no number yet, RecordError if nothing mends it."""
    if type(record) is Event:
        return _event_row(record)
    if type(record) is Decision:
        r = record.request
        at, body = microseconds(r.at), _pack(record, numbers)
        return (DECISION, record.id, at, r.user, None, r.surface, None, r.id, None, None, body)
    if type(record) is Item:
        contents = {
            "attributes": _plain(record.attributes),
            "media": _media(record),
            "text": record.text,
        }
        return (ITEM, record.id, None, None, None, None, None, None, None, None, _json(record, contents))
    if type(record) is User:
        body = _json(record, {"attributes": _plain(record.attributes)})
        return (USER, record.id, None, None, None, None, None, None, None, None, body)
    raise RecordError(f"put: takes Item, User, Event and Decision, got {type(record).__name__} {record!r:.80}")


def _event_row(e: Event) -> Row:
    slot = None if e.slot is None else _whole(f"Event {e.id!r} slot", e.slot, _SLOT_LIMIT)
    at = microseconds(e.at)
    return (EVENT, e.id, at, e.user, e.item, e.kind, float(e.value), e.text or None, e.decision, slot, None)


def _whole(where: str, value: Any, limit: int) -> int:
    try:
        number = index(value)
    except TypeError:
        raise RecordError(f"{where}: must be a whole number, got {value!r}") from None
    if not 0 <= number <= limit:
        raise RecordError(f"{where}: must lie between 0 and {limit}, got {number}")
    return number


def _plain(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Whole numbers become floats, so that 1 and 1.0 are the same contents; flags stay flags."""
    return {str(name): value if isinstance(value, (str, bool, tuple)) else float(value) for name, value in attributes.items()}


def _media(item: Item) -> dict[str, str]:
    for kind, address in item.media.items():
        if not storable(kind) or not storable(address):
            raise RecordError(f"Item {item.id!r} media: must map text to text without NUL, got {kind!r}: {address!r}")
    return dict(item.media)


def _json(record: Item | User, contents: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(contents, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise RecordError(f"{type(record).__name__} {record.id!r}: {error}, got {contents!r:.200}") from None


def words_of(decision: Decision) -> tuple[str, ...]:
    """The words a decision is stored with: its four versions, then its C candidates."""
    v = decision.versions
    return (v.features, v.retriever, v.guards, v.policy, *decision.candidates)


def check_words(words: Iterable[object]) -> None:
    """RecordError unless each can be given a number."""
    for word in words:
        if not storable(word) or len(str(word)) > _WORD_LIMIT:
            limit = f"of at most {_WORD_LIMIT} characters, without NUL"
            raise RecordError(f"Decision candidates and versions: must be text {limit}, got {word!r:.80}")


def check_decision(d: Decision) -> None:
    """RecordError unless the numbers of ``d`` are what they are declared to be."""
    where = f"Decision {d.id!r}"
    numbers = (d.candidates, d.picks, d.propensities, d.request.context)
    if not all(type(part) is tuple for part in numbers):
        raise RecordError(f"{where}: candidates, picks, propensities and context must be tuples, got {d!r:.200}")
    for pick in d.picks:
        if type(pick) is not int:
            _whole(f"{where} pick", pick, _SLOT_LIMIT)
    _whole(f"{where} request.k", d.request.k, 1000)
    for number in d.propensities:
        if not isinstance(number, (int, float)):
            raise RecordError(f"{where} propensity: must be a number, got {number!r}")


def _pack(d: Decision, numbers: Mapping[str, int]) -> bytes:
    """Head, F + K' floats, then as whole numbers: four versions, K' picks, C candidates."""
    check_decision(d)
    context, picks = d.request.context, d.picks
    try:
        words = itemgetter(*words_of(d))(numbers)
    except TypeError:
        raise RecordError(f"Decision {d.id!r}: candidates and versions must be text, got {d!r:.200}") from None
    wide = len(d.candidates) > 0xFFFF or max(words) > 0xFFFF
    whole = np.array(words[:_VERSIONS] + picks + words[_VERSIONS:], "<u4" if wide else "<u2")
    head = _HEAD.pack(_LAYOUT, whole.itemsize, d.request.k, len(context), len(picks), len(d.candidates))
    return head + struct.pack(f"<{len(context) + len(picks)}d", *context, *d.propensities) + whole.tobytes()


def _event(id: str, at: int, user: Any, item: Any, kind: str, value: float, text: Any, decision: Any, slot: Any) -> Event:
    """An event as it was put: judged then and not again, for a request reads a hundred of them."""
    event, put = object.__new__(Event), object.__setattr__
    put(event, "id", id)
    put(event, "at", moment(at))
    put(event, "user", user)
    put(event, "item", item)
    put(event, "kind", kind)
    put(event, "value", value)
    put(event, "text", text or "")
    put(event, "decision", decision)
    put(event, "slot", slot)
    return event


def decode(row: Any, words: Words) -> Record:
    """The record of a stored row (all COLUMNS, ``seq`` first). StoreError if the row cannot have been written here."""
    try:
        _, type_, id, at, user, item, kind, value, text, decision, slot, body = row
        if type_ == EVENT:
            return _event(id, at, user, item, kind, value, text, decision, slot)
        if type_ == DECISION:
            return _unpack(DecisionId(id), (at, UserId(user), kind, text), body, words)
        contents = orjson.loads(body)
        attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in contents["attributes"].items()}
        if type_ == ITEM:
            return Item(ItemId(id), contents["text"], attributes, contents["media"])
        if type_ == USER:
            return User(UserId(id), attributes)
        raise ValueError(f"type {type_} is not known")
    except (ValueError, TypeError, KeyError, IndexError, struct.error, OverflowError) as error:
        raise StoreError(f"log row {row[0]}: cannot be read ({error}); the database is damaged: restore a backup") from error


def _unpack(id: DecisionId, asked: tuple[int, UserId, str, str], body: bytes, words: Words) -> Decision:
    layout, width, k, f, picked, c = _HEAD.unpack_from(body)
    if layout != _LAYOUT:
        raise ValueError(f"decision layout {layout} is not known")
    floats = struct.unpack_from(f"<{f + picked}d", body, _HEAD.size)
    start = _HEAD.size + 8 * (f + picked)
    whole = np.frombuffer(body, "<u2" if width == 2 else "<u4", _VERSIONS + picked + c, start)
    features, retriever, guards, policy = words(whole[:_VERSIONS])
    at, user, surface, request = asked
    return Decision(
        id,
        Request(request, moment(at), user, k, floats[:f], surface),
        tuple(words(whole[_VERSIONS + picked :])),  # type: ignore[arg-type]  # an ItemId is a str
        tuple(whole[_VERSIONS : _VERSIONS + picked].tolist()),
        floats[f:],
        Versions(features, retriever, guards, policy),
    )
