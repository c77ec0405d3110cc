"""A recommender in a world: the steps of the world become the records that serving writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from longgame.arrays import Candidates, State
from longgame.protocols import EventStore, World
from longgame.recommender import Recommender
from longgame.rng import derive
from longgame.state import events_read, recent_positions, state_of
from longgame.types import F64, I64, Decision, Event, ItemId, Record, Request, UserId

START = datetime.fromisoformat("2030-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Returns:
    """What a policy earned: per user, undiscounted, over the whole run."""

    reward: F64
    """(B,) sum of rewards"""
    visits: I64
    """(B,) slates asked for"""


def rollout(
    recommender: Recommender,
    world: World,
    days: int,
    k: int,
    seed: int,
    store: EventStore | None = None,
    start: datetime = START,
    run: str = "run",
) -> Returns:
    """Let a new population live with ``recommender`` for ``days`` days, and log it where a ``store`` is given.

    What is retrieved and not offered by the world today is no candidate: an assortment is known before a decision is made.
    Decisions are those that ``recommender.decide`` makes from the log: one request a user and day, its feedback in
    the minutes after. What users look at by themselves (``protocols.Browsing``) is logged in the seconds before. ``run`` makes
    the ids of users, requests and events, so two runs can share a log.
    """
    world.reset(derive(seed, "rollout", run))
    objective, ids = world.objective, [i.id for i in world.catalogue()]
    place = {item: row for row, item in enumerate(ids)}
    history: list[list[Event]] = [[] for _ in range(world.users)]
    reward, visits = np.zeros(world.users), np.zeros(world.users, np.int64)
    for day in range(days):
        here, slates = np.flatnonzero(world.here()), np.full((world.users, k), -1, np.int64)
        records: list[Record] = []
        for user, event in _browsed(world, here, ids, start + timedelta(days=day), run):
            history[user].append(event)
            records.append(event)
        decisions = _decide(recommender, world, here, history, start + timedelta(days=day), k, run)
        for user, decision in zip(here.tolist(), decisions, strict=True):
            slates[user, : len(decision.picks)] = [place[i] for i in decision.shown]
        outcome = world.step(slates)
        for user, decision in zip(here.tolist(), decisions, strict=True):
            records.append(decision)
            for kind, values in outcome.values.items():
                for slot in np.flatnonzero(~np.isnan(values[user])).tolist():
                    event = _feedback(decision, kind, slot, float(values[user, slot]))
                    reward[user] += objective.reward(kind, event.value)
                    history[user].append(event)
                    records.append(event)
            history[user].sort(key=lambda e: (e.at, e.id))
        visits[here] += 1
        if store is not None and records:
            store.put(records)
    return Returns(reward, visits)


def _decide(
    recommender: Recommender, world: World, here: I64, history: list[list[Event]], day: datetime, k: int, run: str
) -> list[Decision]:
    """``recommender.decide`` for all who are here at once."""
    context, steps, features = world.context(), recommender.steps, recommender.features
    offered = world.offered()
    requests, states, found = [], [], []
    for user in here.tolist():
        at = day + timedelta(seconds=user % 40_000)
        request = Request(f"{run}/{user}/{day:%Y%m%d}", at, UserId(f"{run}/{user}"), k, tuple(context[user].tolist()), "shop")
        request = recommender.informed(request, history[user], None)
        state = state_of(
            recent_positions(history[user][-events_read(steps) :], features.index), request.context, features, steps
        )
        requests.append(request)
        states.append(state)
        found.append(_of(recommender.eligible(request, history[user], state), offered[user], len(features.ids)))
    return recommender.draw(requests, State.stack(states), found) if requests else []


def _asks(day: datetime, user: int) -> datetime:
    """When a user who is here asks for a slate."""
    return day + timedelta(seconds=user % 40_000)


def _browsed(world: World, here: I64, ids: list[ItemId], day: datetime, run: str) -> Iterator[tuple[int, Event]]:
    """What those who are here looked at since their last slate, a second apart, the last a second before they ask."""
    if not hasattr(world, "browsed"):
        return
    views = world.browsed()
    for user in here.tolist():
        seen = views[user][views[user] >= 0].tolist()
        for number, item in enumerate(seen):
            at, name = _asks(day, user) - timedelta(seconds=len(seen) - number), f"{run}/{user}/{day:%Y%m%d}/view/{number}"
            yield user, Event(name, at, UserId(f"{run}/{user}"), ids[item], "view")


def _of(found: Candidates, offered: I64, items: int) -> Candidates:
    """Those of the candidates that are offered; all of them where the catalogue is."""
    return found if len(offered) == items else found.keep(np.isin(found.positions, offered))


def _feedback(decision: Decision, kind: str, slot: int, value: float) -> Event:
    request = decision.request
    after = timedelta(seconds=10 * (slot + 1) + (5 if kind != "click" else 0))
    return Event(
        f"{request.id}/{slot}/{kind}",
        request.at + after,
        request.user,
        decision.shown[slot],
        kind,
        value,
        "",
        decision.id,
        slot,
    )
