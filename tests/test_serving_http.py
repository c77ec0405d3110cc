from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from longgame.errors import ArtefactError, StoreError
from longgame.protocols import EventStore
from longgame.serving.http import create_app
from longgame.serving.reload import Reloader
from longgame.serving.service import Live, Service
from longgame.serving.wire import Limits
from longgame.store import open_store
from longgame.types import Decision, UserId
from tests.serving_kit import START, fill, recommender, shop

NOW = START + timedelta(days=1)


@pytest.fixture
def store() -> Iterator[EventStore]:
    store = open_store("memory:")
    fill(store)
    yield store
    store.close()


Call = Callable[..., httpx.Response]


@contextmanager
def client(service: Service, **options: Any) -> Iterator[Call]:
    """Calls the application in this process, one call after the other."""
    app = create_app(service, clock=lambda: NOW, **options)

    async def send(method: str, path: str, **body: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            return await http.request(method, path, **body)

    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        try:
            yield lambda method, path, **body: runner.run(send(method, path, **body))
        finally:
            runner.run(lifespan.__aexit__(None, None, None))


@pytest.fixture
def call(store: EventStore) -> Iterator[Call]:
    with client(Service(store, Live(recommender(store), 7, {"gain": 0.2})), limits=Limits(body=20_000, batch=50, k=20)) as call:
        yield call


def problem(reply: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = reply.json()
    assert body["status"] == status and body["title"] and body["detail"] and body["type"].startswith("urn:longgame:")
    for word in words:
        assert word in reply.text
    return body


def test_recommend_answers_with_what_it_logged(call: Call, store: EventStore):
    body = {"id": "r1", "user": "u3", "k": 4, "surface": "home"}
    reply = call("POST", "/v1/recommend", json=body)
    assert reply.status_code == 200
    (decision,) = [r for _, r in store.read(0, 10_000)[0] if isinstance(r, Decision)]
    content = reply.json()
    assert content["id"] == "r1" and content["user"] == "u3"
    assert datetime.fromisoformat(content["at"]) == NOW == decision.request.at
    assert [(i["id"], i["slot"], i["propensity"]) for i in content["items"]] == [
        (item, slot, odds) for slot, (item, odds) in enumerate(zip(decision.shown, decision.propensities, strict=True))
    ]
    assert content["versions"]["policy"] == "rank-1"
    assert call("POST", "/v1/recommend", json=body).json() == content
    problem(call("POST", "/v1/recommend", json={**body, "user": "u4"}), 409, "id-conflict", "u3", "u4")


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        ({"user": "u1"}, "id", "needed"),
        ({"id": "r", "user": 5}, "user", "string"),
        ({"id": "r", "user": "u1", "kk": 5}, "kk", "no such key"),
        ({"id": "r", "user": "u1", "k": "5"}, "k", "integer"),
        ({"id": "r", "user": "u1", "k": 21}, "k", "between 1 and 20"),
        ({"id": "r", "user": "u1", "k": 0}, "k", "between 1 and 20"),
        ({"id": "", "user": "u1"}, "Request.id", "empty"),
        ({"id": "r" * 257, "user": "u1"}, "Request.id", "256"),
        ({"id": "r", "user": "u1\x00"}, "Request.user", "NUL"),
        ({"id": "r", "user": "u1", "at": 1_700_000_000_000}, "at", "milliseconds"),
        ({"id": "r", "user": "u1", "at": "2019-12-31T12:00:00"}, "at", "zone"),
        ({"id": "r", "user": "u1", "at": "yesterday"}, "at", "ISO 8601"),
        ({"id": "r", "user": "u1", "at": NOW.timestamp() + 3600}, "at", "ahead of the server's clock"),
        ({"id": "r", "user": "u1", "context": [1.0]}, "Request.context", "takes 0 numbers"),
        ({"id": "r", "user": "u1", "context": {"hour": 1.0}}, "context", "names"),
        ({"id": "r", "user": "u1", "context": ["a"]}, "context[0]", "number"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(call: Call, store: EventStore, body: dict[str, Any], where: str, words: str):
    before = store.read(0, 10_000)[1]
    assert problem(call("POST", "/v1/recommend", json=body), 422, words)["where"] == where
    assert store.read(0, 10_000)[1] == before


def test_times_are_read_as_they_are_written(call: Call):
    for n, at in enumerate((NOW.timestamp() - 60, "2020-01-01T23:59:00Z", "2020-01-02T00:59:00+01:00")):
        reply = call("POST", "/v1/recommend", json={"id": f"r{n}", "user": "u1", "at": at}).json()
        assert datetime.fromisoformat(reply["at"]) == NOW - timedelta(minutes=1)


def test_a_context_may_go_by_name(store: EventStore):
    with client(Service(store, Live(recommender(store, context=2))), context=("hour", "rain")) as call:
        assert (
            call("POST", "/v1/recommend", json={"id": "r", "user": "u1", "context": {"rain": 1, "hour": 7}}).status_code == 200
        )
        found = store.read(400, 10_000)[0][-1][1]
        assert isinstance(found, Decision) and found.request.context == (7.0, 1.0)
        problem(call("POST", "/v1/recommend", json={"id": "q", "user": "u1"}), 422, "takes 2 numbers")


def test_every_refusal_is_a_problem(call: Call):
    problem(call("POST", "/v1/recommend", content=b"{"), 400, "not JSON")
    problem(call("POST", "/v1/recommend", content=b'{"id": NaN}'), 400, "not JSON")
    problem(call("POST", "/v1/recommend", content=b"[]"), 422, "JSON object")
    problem(call("POST", "/v1/recommend", content=b" " * 20_001), 413, "20,000 bytes")
    problem(call("POST", "/v1/events", json={"events": [{}] * 51}), 413, "at most 50 rows")
    problem(call("POST", "/v1/events", json={"event": []}), 422, "events")
    problem(call("GET", "/nowhere"), 404, "openapi.json")
    problem(call("GET", "/v1/recommend"), 405)


def test_a_body_without_a_length_is_bounded_too(store: EventStore):
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1000

    with client(Service(store), limits=Limits(body=20_000)) as call:
        problem(call("POST", "/v1/events", content=endless()), 413)


def test_rows_of_a_batch_are_judged_one_by_one(call: Call, store: EventStore):
    shown = call("POST", "/v1/recommend", json={"id": "r1", "user": "u3", "k": 2}).json()["items"]
    click = {"user": "u3", "item": shown[1]["id"], "kind": "click", "decision": "r1"}
    rows: list[Any] = [
        {"id": "a", **click, "slot": 1},
        {"id": "b", **click},
        {"id": "c", **click, "slot": 0},
        {"id": "d", **click, "decision": "nix"},
        {"id": "e", **click, "at": 1e12},
        {"id": "f", **click, "value": "7"},
        {"id": "g", "user": "u3"},
        "h",
        {"id": "i", "user": "u3", "item": "i1", "kind": "rating", "value": 4, "text": "good"},
        {"id": "a", **click, "slot": 1},
    ]
    reply = call("POST", "/v1/events", json={"events": rows})
    assert reply.status_code == 200
    content = reply.json()
    assert (content["accepted"], content["duplicate"], content["rejected"]) == (3, 1, 6)
    statuses = [r["status"] for r in content["results"]]
    assert statuses == ["accepted", "accepted", *["rejected"] * 6, "accepted", "duplicate"]
    assert [r["id"] for r in content["results"]] == ["a", "b", "c", "d", "e", "f", "g", "", "i", "a"]
    for result, words in zip(
        content["results"][2:8], ("slot", "no decision", "milliseconds", "value", "item", ""), strict=True
    ):
        assert words in result["reason"] and result["reason"]
    again = call("POST", "/v1/events", json={"events": rows}).json()
    assert (again["accepted"], again["duplicate"], again["rejected"]) == (0, 4, 6)
    kept = {e.id: e for e in store.history(UserId("u3"), NOW + timedelta(1), 50) if e.decision}
    assert set(kept) == {"a", "b"} and kept["b"].slot == 1


def test_items_and_users_are_upserted(call: Call, store: EventStore):
    items = [
        {"id": "i0", "text": "new words", "attributes": {"price": 3, "sale": True, "tags": ["a", "b"]}},
        {"id": "x", "media": {"image": "x.png"}},
        {"id": "y", "attributes": {"price": {}}},
    ]
    content = call("PUT", "/v1/items", json={"items": items}).json()
    assert [r["status"] for r in content["results"]] == ["accepted", "accepted", "rejected"]
    held = {item.id: item for item in store.items()}
    assert held["i0"].attributes == {"price": 3.0, "sale": True, "tags": ("a", "b")} and held["x"].media == {"image": "x.png"}  # type: ignore[index]
    assert call("PUT", "/v1/items", json={"items": items}).json()["duplicate"] == 2
    users = [{"id": "u0", "attributes": {"country": "PT"}}, {"id": ""}]
    assert [r["status"] for r in call("PUT", "/v1/users", json={"users": users}).json()["results"]] == ["accepted", "rejected"]


def test_the_live_policy_is_shown(call: Call):
    content = call("GET", "/v1/policy").json()
    assert content["snapshot"] == 7 and content["proof"] == {"gain": 0.2} and content["versions"]["guards"] == "seen"
    assert call("GET", "/health/live").json() == {"live": True}
    ready = call("GET", "/health/ready")
    assert ready.status_code == 200 and ready.json() == {"ready": True, "snapshot": 7, "reasons": [], "warnings": []}


class Broken:
    """A store that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            raise StoreError("store postgresql://secret@host: could not connect: gone; start the server")

        return refuse


def test_it_is_not_ready_without_a_policy_or_a_store(store: EventStore):
    with client(Service(store)) as call:
        reply = call("GET", "/health/ready")
        assert reply.status_code == 503 and "longgame train" in reply.json()["reasons"][0]
        problem(call("POST", "/v1/recommend", json={"id": "r", "user": "u"}), 503, "not-ready", "/health/ready")
        problem(call("GET", "/v1/policy"), 503)
        assert call("GET", "/health/live").status_code == 200
    with client(Service(Broken(), Live(recommender(store)))) as call:
        reply = call("GET", "/health/ready")
        assert reply.status_code == 503 and "could not connect" in reply.json()["reasons"][0]
        for method, path, body in (
            ("POST", "/v1/recommend", {"id": "r", "user": "u"}),
            ("PUT", "/v1/items", {"items": [{"id": "i"}]}),
        ):
            reply = call(method, path, json=body)
            problem(reply, 503, "store-unavailable")
            assert "secret" not in reply.text and reply.headers["retry-after"]


def test_what_nobody_foresaw_shows_no_trace(store: EventStore, caplog: pytest.LogCaptureFixture):
    service = Service(store, Live(recommender(store)))
    service.decide = lambda request: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with client(service) as call:
        body = problem(call("POST", "/v1/recommend", json={"id": "r", "user": "u"}), 500)
    assert "ZeroDivision" not in str(body) and "Traceback" in caplog.text
    assert body["detail"].split()[-1] in caplog.text


def test_a_published_policy_goes_live_and_a_bad_one_stays_out(store: EventStore):
    live = Live(recommender(store), 1)
    finds: list[Any] = [ArtefactError("parts/x: torn"), None, Live(recommender(store, 2.0), 2)]
    service = Service(store, live)

    def poll() -> Live | None:
        found = finds.pop(0)
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]

    reloader = Reloader(service, poll)

    async def play() -> None:
        await reloader.look()
        assert service.live is live and reloader.warning == "parts/x: torn"
        await reloader.look()
        assert service.live is live and not reloader.warning
        await reloader.look()
        assert service.live is not None and service.live.snapshot == 2

    asyncio.run(play())


def test_the_reloader_runs_with_the_app_and_its_warning_is_shown(store: EventStore):
    polled = threading.Event()

    def poll() -> Live | None:
        polled.set()
        raise ArtefactError("parts/x: torn")

    service = Service(store, Live(recommender(store)))
    with client(service, reloader=Reloader(service, poll, 0.001)) as call:
        for _ in range(1000):
            warnings = call("GET", "/health/ready").json()["warnings"]
            if warnings:
                break
        assert polled.is_set() and warnings == ["parts/x: torn"]


def test_openapi_describes_every_route_with_its_body(call: Call):
    document = call("GET", "/openapi.json").json()
    assert set(document["paths"]) == {
        *("/v1/recommend", "/v1/events", "/v1/items", "/v1/users", "/v1/policy", "/health/live", "/health/ready"),
        "/v1/users/{user}/profile",
    }
    text = (Path(__file__).parent.parent / "docs" / "serving.md").read_text()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"] and operation["description"] and "200" in operation["responses"]
            assert ("requestBody" in operation) == (method in ("post", "put"))
            assert f"{method.upper()} {path}" in text
    body = document["paths"]["/v1/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["examples"] and body["required"] == ["id", "user"] and body["properties"]["k"]["description"]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The shop in a process of its own."""
    root = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serving_kit", str(folder)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def all_at_once(url: str, count: int, then: Callable[[list[str]], None]) -> list[str]:
    """Ids that were answered with 200, out of ``count`` requests sent together; ``then`` hears of each."""
    answered: list[str] = []

    async def play() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:

            async def one(n: int) -> None:
                try:
                    reply = await http.post("/v1/recommend", json={"id": f"r{n}", "user": f"u{n % 20}"})
                except httpx.TransportError:
                    return
                if reply.status_code == 200:
                    answered.append(reply.json()["id"])
                    then(answered)

            await asyncio.gather(*(one(n) for n in range(count)))

    asyncio.run(play())
    return answered


def test_an_answered_decision_survives_kill_9(tmp_path: Path):
    shop(tmp_path).close()
    with served(tmp_path) as (url, process):

        def kill(answered: list[str]) -> None:
            if len(answered) == 60:
                os.kill(process.pid, signal.SIGKILL)

        answered = all_at_once(url, 120, kill)
    assert 60 <= len(answered) < 120
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    logged = {r.id for _, r in store.read(0, 10_000)[0] if isinstance(r, Decision)}
    store.close()
    assert set(answered) <= logged


def test_a_stop_finishes_what_it_began(tmp_path: Path):
    shop(tmp_path).close()
    with served(tmp_path) as (url, process):

        def stop(answered: list[str]) -> None:
            if len(answered) == 1:
                process.send_signal(signal.SIGTERM)

        answered = all_at_once(url, 30, stop)
        assert process.wait(20) in (0, -signal.SIGTERM)
    assert len(answered) == 30


class Slow:
    """A store whose histories wait until they are let go."""

    def __init__(self, store: EventStore) -> None:
        self._store, self.asked, self.go = store, threading.Event(), threading.Event()

    def history(self, *arguments: Any) -> Any:
        self.asked.set()
        assert self.go.wait(20), "nobody else was served meanwhile"
        return self._store.history(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_slow_store_elsewhere_holds_up_its_own_request_and_no_other(store: EventStore):
    slow = Slow(store)
    app = create_app(Service(slow, Live(recommender(store))), clock=lambda: NOW, remote=True)

    async def play() -> None:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            waits = [asyncio.create_task(http.post("/v1/recommend", json={"id": f"r{n}", "user": "u1"})) for n in range(12)]
            while not slow.asked.is_set():
                await asyncio.sleep(0.01)
            assert (await http.get("/health/live")).json() == {"live": True}
            assert (await http.get("/health/ready")).status_code == 200
            assert (await http.put("/v1/users", json={"users": [{"id": "u1"}]})).status_code == 200
            assert not any(task.done() for task in waits)
            slow.go.set()
            assert {(await task).status_code for task in waits} == {200}

    asyncio.run(play())


@pytest.mark.parametrize(
    ("url", "remote"),
    [("memory:", False), ("sqlite:///a.db", False), ("postgresql://me@host/log", True), ("postgres://h/l", True)],
)
def test_decisions_wait_in_threads_where_the_log_is_elsewhere(
    store: EventStore, url: str, remote: bool, monkeypatch: pytest.MonkeyPatch
):
    from longgame.commands import serving
    from longgame.settings import load_settings

    asked: dict[str, Any] = {}
    monkeypatch.setattr("longgame.serving.http.create_app", lambda *_, **options: asked.update(options))
    monkeypatch.setattr("longgame.serving.server.run", lambda *_: None)
    monkeypatch.setattr(serving, "poller", lambda ws: lambda: None)
    settings = load_settings(None, {}, {"store.url": url}).settings
    serving.run(SimpleNamespace(store=store), settings)  # type: ignore[arg-type]
    assert asked["remote"] is remote
