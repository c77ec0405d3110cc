"""What the server does, without HTTP: a decision is made from the log, is durable, and only then an answer.

It has no clock and starts no thread; ``http`` does both. :meth:`Service.recommend` is the whole flow in order. The edge
calls its two halves, :meth:`Service.decide` and :meth:`Service.keep`, from where each belongs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from longgame.errors import LonggameError, RecordError
from longgame.profiles import NOBODY, Corrections, Population, Profile, Worded
from longgame.protocols import EventStore
from longgame.recommender import Recommender
from longgame.serving.profiles import Change, Profiles
from longgame.state import events_read
from longgame.types import Decision, DecisionId, Event, Item, ItemId, Request, User, UserId

REMEMBERED = 20_000
"""Newest decisions whose slates are kept in memory, so that feedback on them need not ask the store."""


class RequestConflict(RecordError):
    """A request id is used again for another request."""


class NotReady(LonggameError):
    """No recommender is loaded yet."""


@dataclass(frozen=True)
class Live:
    """A recommender and where it came from, replaced as one."""

    recommender: Recommender
    snapshot: int = 0
    """Its number in the registry; 0 if it came from elsewhere."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """What the gate said when it was published."""


@dataclass(frozen=True)
class Outcome:
    """What became of one row of a batch."""

    status: Literal["accepted", "duplicate", "rejected"]
    reason: str = ""
    """Why it was rejected: where, what, how to mend it."""


ACCEPTED, DUPLICATE = Outcome("accepted"), Outcome("duplicate")


@dataclass(frozen=True, slots=True)
class _Slate:
    """As much of a decision as feedback is held against."""

    user: UserId
    shown: tuple[ItemId, ...]


class Service:
    """One log and one recommender at a time. Safe to call from several threads."""

    def __init__(self, store: EventStore, live: Live | None = None, history: int = 200, worded: Worded = NOBODY) -> None:
        """``history``: newest events of a user that guards see; the state never gets fewer than it looks at. ``worded``:
        sentences that a model wrote of what users lean to."""
        self.store = store
        self._live = live
        self._history = history
        self._slates: OrderedDict[str, _Slate] = OrderedDict()
        self._lock = threading.Lock()
        self._profiles = Profiles(store, history)
        self.worded = worded

    @property
    def live(self) -> Live | None:
        """What decides now."""
        return self._live

    def swap(self, live: Live) -> None:
        """Decide with ``live`` from now on. A request that is under way ends with the one it began with."""
        self._live = live  # one reference: a reader has the old one or the new one, whole

    def recommend(self, request: Request) -> Decision:
        """The slate for ``request``, durable when it returns. The same id again gives the same decision."""
        kept = self.keep([self.decide(request)])[0]
        if isinstance(kept, Exception):
            raise kept
        return kept

    def decide(self, request: Request) -> Decision:
        """A decision that is not in the log yet, or the one that is, where none can be made now.

        Raises NotReady without a recommender and RecordError where the request does not suit it.
        """
        live = self._live
        try:
            if live is None:
                raise NotReady("recommend: no policy is published yet; run `longgame train`, or wait for the learner")
            made = live.recommender
            history = self.store.history(request.user, request.at, max(self._history, events_read(made.steps)))
            if made.in_state:
                user, said = self.store.user(request.user), self._profiles.corrections(request.user)
                request = made.informed(request, history, user, said)
            return made.decide(request, history)
        except (RecordError, NotReady):
            # A retry is answered from the log even if today's recommender would not take it.
            known = self.store.decision(DecisionId(request.id))
            if known is None:
                raise
            return self._matching(known, request)

    def profile(self, user: UserId, now: datetime) -> Profile:
        """What is known of a user. Raises NotReady where nothing was learned of what is usual yet."""
        return self._profiles.of(user, now, self._population())

    def correct(self, user: UserId, change: Change) -> Corrections:
        """Change what a user said of their profile; durable when it returns."""
        return self._profiles.correct(user, change, self._population())

    def _population(self) -> Population:
        population = self._live.recommender.profiles if self._live is not None else None
        if population is None:
            raise NotReady("profile: nothing was learned of what is usual yet; run `longgame train`")
        return population

    def keep(self, decisions: Sequence[Decision]) -> list[Decision | Exception]:
        """Make decisions durable in one write. For each: itself; or, where its id was taken, the one in the log.

        Or RequestConflict where that one answers another request, or what kept it from being written.
        """
        try:
            new = self.store.put(decisions)
        except RecordError as error:  # all or nothing: one that cannot be stored must not take the others with it
            return [error] if len(decisions) == 1 else [self.keep([decision])[0] for decision in decisions]
        return [self._kept(decision, fresh) for decision, fresh in zip(decisions, new, strict=True)]

    def _kept(self, decision: Decision, fresh: bool) -> Decision | Exception:
        if not fresh:
            known = self.store.decision(decision.id)
            assert known is not None, decision.id  # a log forgets nothing
            try:
                decision = self._matching(known, decision.request)
            except RequestConflict as error:
                return error
        self._remember(decision)
        return decision

    def feedback(self, events: Sequence[Event]) -> list[Outcome]:
        """Append events; what became of each. Those that fit are durable when it returns, whatever the others are.

        Feedback names a decision of the same user and an item that it showed; its slot may be left out.
        """
        outcomes: list[Outcome] = []
        fit: list[Event] = []
        slates: dict[str, _Slate | None] = {}
        for event in events:
            try:
                fit.append(self._placed(event, slates))
                outcomes.append(ACCEPTED)
            except RecordError as error:
                outcomes.append(Outcome("rejected", str(error)))
        new = iter(self.store.put(fit)) if fit else iter(())
        return [o if o is not ACCEPTED else ACCEPTED if next(new) else DUPLICATE for o in outcomes]

    def upsert(self, records: Iterable[Item | User]) -> list[Outcome]:
        """Write items or users anew; "duplicate" where the log already holds the same contents."""
        return [ACCEPTED if new else DUPLICATE for new in self.store.put(records)]

    def _placed(self, event: Event, slates: dict[str, _Slate | None]) -> Event:
        """The event with its slot, held against the decision it names. Raises RecordError where it does not fit."""
        if event.decision is None:
            return event
        where = f"Event {event.id!r}"
        if event.decision not in slates:
            slates[event.decision] = self._slate(event.decision)
        slate = slates[event.decision]
        if slate is None:
            raise RecordError(
                f"{where} decision: the log holds no decision {event.decision!r}; "
                "send the id of an answered request, or leave it out"
            )
        if slate.user != event.user:
            raise RecordError(f"{where} user: decision {event.decision!r} was made for {slate.user!r}, got {event.user!r}")
        if event.item not in slate.shown:
            raise RecordError(
                f"{where} item: decision {event.decision!r} did not show {event.item!r}; "
                "leave decision and slot out if the user found it elsewhere"
            )
        slot = slate.shown.index(event.item)
        if event.slot is None:
            return replace(event, slot=slot)
        if event.slot != slot:
            raise RecordError(f"{where} slot: {event.item!r} was in slot {slot} of {event.decision!r}, got {event.slot}")
        return event

    def _slate(self, id: DecisionId) -> _Slate | None:
        slate = self._slates.get(id)
        if slate is None:
            decision = self.store.decision(id)
            return None if decision is None else self._remember(decision)
        return slate

    def _remember(self, decision: Decision) -> _Slate:
        slate = _Slate(decision.request.user, decision.shown)
        with self._lock:
            self._slates[decision.id] = slate
            if len(self._slates) > REMEMBERED:
                self._slates.popitem(last=False)
        return slate

    def _matching(self, known: Decision, request: Request) -> Decision:
        """The decision in the log, if it answers ``request``: a retry may name another time, and nothing else.

        The profile's numbers behind the caller's own are none of theirs, and may have moved since.
        """
        made = self._live.recommender if self._live is not None else None
        numbers = len(made.profile_columns) if made is not None else 0
        own = made.context - numbers if made is not None else 0
        widths = {own, own + numbers} if numbers else set()

        def asked(r: Request) -> Request:
            return replace(r, at=request.at, context=r.context[:own] if len(r.context) in widths else r.context)

        now, before = asked(request), asked(known.request)
        if now != before:
            names = [name for name in ("user", "k", "context", "surface") if getattr(now, name) != getattr(before, name)]
            told = ", ".join(f"{name} {getattr(before, name)!r} and now {getattr(now, name)!r}" for name in names)
            raise RequestConflict(f"Request.id {request.id!r}: is taken by another request, with {told}; give each its own id")
        return known
