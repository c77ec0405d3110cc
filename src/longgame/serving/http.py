"""The HTTP API: bodies in, decisions out. Sync inside, async at the edge.

A decision is computed on the event loop, since it is a millisecond of processor time and threads would only fight over
the interpreter; but in a thread where the log is on another machine, for then it waits for a network that may be slow.
What waits for the disk waits in a thread, and decisions that arrive together share one commit.
FastAPI routes and describes; bodies are read and checked here, once, so that their size is bounded, each row of a batch
is judged for itself, and every error is a problem in one shape. The clock is read here and nowhere below.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Http
from starlette.responses import Response

from longgame.errors import LonggameError, RecordError
from longgame.profiles import Corrections, Tags
from longgame.serving import wire, wire_profiles
from longgame.serving.describe import ABOUT, ROUTES, describe
from longgame.serving.problems import Problem, problem_of
from longgame.serving.reload import Reloader
from longgame.serving.service import Live, NotReady, Outcome, Service
from longgame.serving.writer import Writer
from longgame.types import Decision, DecisionId, Event, Item, User, UserId

BATCHES = 4
"""Threads for batches of rows."""
DECISIONS = 8
"""Threads in which decisions wait for a log on another machine: as many as the store keeps connections."""
STORE_PATIENCE = 2.0
"""Seconds within which the store must answer for the server to be ready."""

Answer = TypeVar("Answer")
Clock = Callable[[], datetime]


def create_app(
    service: Service,
    *,
    limits: wire.Limits | None = None,
    context: Sequence[str] = (),
    reloader: Reloader | None = None,
    clock: Clock = lambda: datetime.now(UTC),
    remote: bool = False,
) -> FastAPI:
    """The application. ``context`` names the numbers a request brings; ``reloader`` runs as long as the app does.

    ``remote`` says that the log is behind a network: one slow answer of it must not stop all others.
    """
    api = Api(service, limits or wire.Limits(), tuple(context), reloader, clock, remote)
    app = FastAPI(title="longgame", version="1", description=ABOUT, lifespan=api.lifespan)
    for route in ROUTES:
        app.add_api_route(
            route.path.replace("{user}", "{user:path}"),  # an id may hold a slash
            _guarded(getattr(api, route.name)),
            methods=[route.method],
            **describe(route),
        )
    app.add_exception_handler(HTTPException, _refused)
    return app


class Api:
    """The routes' handlers; each is named as in ``describe.ROUTES``."""

    def __init__(
        self,
        service: Service,
        limits: wire.Limits,
        context: tuple[str, ...],
        reloader: Reloader | None,
        clock: Clock,
        remote: bool,
    ) -> None:
        self._service, self._limits, self._context = service, limits, context
        self._reloader, self._clock = reloader, clock
        self._writer = Writer(service.keep)
        self._pool = ThreadPoolExecutor(BATCHES, "longgame-batch")
        # Not the batches' threads: a long import must not hold up decisions.
        self._deciders = ThreadPoolExecutor(DECISIONS, "longgame-decide") if remote else None

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """The reloader runs within it; at its end every write that began is finished."""
        task = asyncio.create_task(self._reloader.run()) if self._reloader else None
        yield
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._writer.close()
        await asyncio.to_thread(self._pool.shutdown)
        if self._deciders is not None:
            await asyncio.to_thread(self._deciders.shutdown)

    async def recommend(self, http: Http) -> Response:
        body = wire.parse_body(wire.RecommendBody, wire.parse_json(await self._read(http)))
        request = body.record(self._clock(), self._limits, self._context)
        if self._deciders is None:
            decision = self._service.decide(request)
        else:
            decision = await asyncio.get_running_loop().run_in_executor(self._deciders, self._service.decide, request)
        return _json(_slate(await self._writer.keep(decision)))

    async def events(self, http: Http) -> Response:
        return await self._batch("events", wire.EventBody, http)

    async def items(self, http: Http) -> Response:
        return await self._batch("items", wire.ItemBody, http)

    async def users(self, http: Http) -> Response:
        return await self._batch("users", wire.UserBody, http)

    async def profile(self, http: Http) -> Response:
        return _json(await self._pooled(self._profile, _user(http), self._clock()))

    async def correct_profile(self, http: Http) -> Response:
        body = wire.parse_body(wire_profiles.CorrectionBody, wire.parse_json(await self._read(http)))
        return _json(await self._pooled(self._correct, _user(http), body.change, self._clock()))

    async def forget_profile(self, http: Http) -> Response:
        now = self._clock()
        return _json(await self._pooled(self._correct, _user(http), lambda said, tags: said.forget(now), now))

    def _correct(self, user: UserId, change: Callable[[Corrections, Tags], Corrections], now: datetime) -> dict[str, Any]:
        self._service.correct(user, change)
        return self._profile(user, now)

    def _profile(self, user: UserId, now: datetime) -> dict[str, Any]:
        return {"user": user, **self._service.profile(user, now).told(self._service.worded)}

    async def policy(self, http: Http) -> Response:
        live = self._service.live
        if live is None:
            raise NotReady("policy: none is published yet; run `longgame train`, or wait for the learner")
        return _json(_policy(live, self._context))

    async def live(self, http: Http) -> Response:
        return _json({"live": True})

    async def ready(self, http: Http) -> Response:
        live = self._service.live
        reasons = [] if live else ["no policy is published yet; run `longgame train`, or wait for the learner"]
        try:
            # Not in the pool: long batches must not make a healthy server look ill.
            await asyncio.wait_for(asyncio.to_thread(self._service.store.decision, DecisionId("health")), STORE_PATIENCE)
        except TimeoutError:
            reasons.append(f"the store did not answer within {STORE_PATIENCE:g} s")
        except LonggameError as error:
            reasons.append(str(error))
        warnings = [self._reloader.warning] if self._reloader and self._reloader.warning else []
        body = {"ready": not reasons, "snapshot": live and live.snapshot, "reasons": reasons, "warnings": warnings}
        return _json(body, 503 if reasons else 200)

    async def _batch(self, name: str, kind: type[Any], http: Http) -> Response:
        data = await self._read(http)
        return await self._pooled(self._judge, name, kind, data, self._clock())

    def _judge(self, name: str, kind: type[Any], data: bytes, now: datetime) -> Response:
        """Every row for itself: those that fit are written as one, the others say why."""
        rows = wire.parse_rows(name, data, self._limits)
        records: list[Event | Item | User] = []
        outcomes: list[Outcome | None] = []
        for row in rows:
            try:
                records.append(kind.model_validate(row).record(now, self._limits))
                outcomes.append(None)
            except (ValidationError, Problem, RecordError) as error:
                outcomes.append(Outcome("rejected", wire.row_reason(error)))
        write: Callable[[Any], list[Outcome]] = self._service.feedback if name == "events" else self._service.upsert
        written = iter(write(records) if records else ())
        return _json(_results(rows, [outcome or next(written) for outcome in outcomes]))

    async def _read(self, http: Http) -> bytes:
        """The body, or Problem 413 as soon as it is too long."""
        most = self._limits.body
        declared = http.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        try:
            async for part in http.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
        except ClientDisconnect:
            raise Problem(400, "cut-off", "the connection ended before the body did") from None
        return b"".join(parts)

    async def _pooled(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


def _guarded(handler: Callable[[Http], Awaitable[Response]]) -> Callable[[Http], Awaitable[Response]]:
    """The handler, with every error turned into its problem."""

    async def guarded(http: Http) -> Response:
        try:
            return await handler(http)
        except Exception as error:
            return problem_of(error).response()

    return guarded


async def _refused(http: Http, error: Exception) -> Response:
    return problem_of(error).response()


def _too_large(most: int) -> Problem:
    return Problem(413, "too-large", f"the body is larger than {most:,} bytes", "body", "send it in several calls")


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _user(http: Http) -> UserId:
    return UserId(http.path_params["user"])


def _slate(decision: Decision) -> dict[str, Any]:
    shown = zip(decision.shown, decision.propensities, strict=True)
    return {
        "id": decision.id,
        "user": decision.request.user,
        "at": decision.request.at,
        "items": [{"id": item, "slot": slot, "propensity": odds} for slot, (item, odds) in enumerate(shown)],
        "versions": asdict(decision.versions),
    }


def _policy(live: Live, context: Sequence[str]) -> dict[str, Any]:
    recommender = live.recommender
    return {
        "snapshot": live.snapshot,
        "versions": asdict(recommender.versions),
        "temperature": recommender.explore.temperature,
        "uniform": recommender.explore.uniform,
        "candidates": recommender.candidates,
        "context": list(context),
        "proof": dict(live.proof),
    }


def _results(rows: Sequence[Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    counts = dict.fromkeys(("accepted", "duplicate", "rejected"), 0)
    results = []
    for row, outcome in zip(rows, outcomes, strict=True):
        counts[outcome.status] += 1
        id = row.get("id") if isinstance(row, dict) else None
        result = {"id": id if isinstance(id, str) else "", "status": outcome.status}
        results.append({**result, "reason": outcome.reason} if outcome.reason else result)
    return {**counts, "results": results}
