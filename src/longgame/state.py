"""History -> State. One function, used by serving, by learning and by the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from longgame.arrays import State
from longgame.errors import RecordError
from longgame.language.features import Features
from longgame.protocols import ItemIndex
from longgame.types import Event, Request


def events_read(steps: int) -> int:
    """How many of a user's last events a state of ``steps`` steps looks at: more, for repeats become one step."""
    return 4 * steps


def recent_positions(events: Iterable[Event], index: ItemIndex) -> list[int]:
    """Catalogue positions of the events' items, in their order; unknown items and repeats in a row are left out."""
    positions: list[int] = []
    for event in events:
        position = index.get(event.item, -1)
        if position >= 0 and (not positions or positions[-1] != position):
            positions.append(position)
    return positions


def state_of(positions: Sequence[int], context: Sequence[float], features: Features, steps: int) -> State:
    """The last ``steps`` positions and a context as a State of one user: history (T, D), newest last."""
    items = np.full(steps, -1, np.int64)
    recent = positions[-steps:]
    if recent:
        items[steps - len(recent) :] = recent
    return State(features.take(items), items, np.asarray(context, np.float32))


def build_state(request: Request, history: Sequence[Event], features: Features, steps: int) -> State:
    """What the policy may know when ``request`` arrives. ``history`` is oldest first.

    Raises RecordError where an event does not lie strictly before the request: the future must not leak.
    """
    if history and max(e.at for e in history) >= request.at:
        late = next(e for e in history if e.at >= request.at)
        raise RecordError(f"build_state: history must lie strictly before the request, got event {late.id!r} at {late.at}")
    return state_of(recent_positions(history[-events_read(steps) :], features.index), request.context, features, steps)
