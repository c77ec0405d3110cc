"""POST /v1/recommend under open-loop load: goals p50 at most 5 ms, p99 at most 20 ms, at 300 requests a second.

    python benchmarks/serving.py                                   # a synthetic log of MovieLens 100K's size
    python benchmarks/serving.py --data PATH                       # any data set that `longgame import` reads
    python benchmarks/serving.py --folder DIR --command 'longgame serve --port {port}'    # a workspace of your own

The real server runs as a process of its own; requests leave on schedule, whether the ones before them are answered or
not, and latency counts from the scheduled moment, so that a server that stalls cannot hide it. The generator shares the
machine with the server. No reply is faster than a sync of the disk, so that is measured and printed beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

GOALS = {50: 5.0, 99: 20.0}
"""Percentile -> milliseconds."""
ITEMS, USERS, EVENTS = 1682, 943, 100_000
"""MovieLens 100K."""
WARM_UP = 2.0
"""Seconds at the start that are not counted."""


@dataclass
class Seen:
    """What came back."""

    latency: list[float] = field(default_factory=list)
    """Milliseconds from the scheduled moment to the whole reply."""
    late: list[float] = field(default_factory=list)
    """Milliseconds by which the generator itself left late."""
    errors: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="import this first")
    parser.add_argument("--folder", type=Path, help="the workspace; a new one if left out")
    parser.add_argument("--command", default=f"{sys.executable} {Path(__file__).resolve()} --stand-in --port {{port}}")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--stand-in", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.stand_in:
        stand_in(said.port)
        return
    with tempfile.TemporaryDirectory(prefix="longgame-http-", dir=Path.cwd()) as fresh:
        folder = said.folder or Path(fresh)
        if said.folder is None:
            prepare(folder, said.data)
        print(f"disk: a sync takes {sync_time(folder):.1f} ms in the middle")
        users = users_of(folder)
        with server(said.command, folder) as (port, busy):
            before = busy()
            seen = asyncio.run(load(port, said.rate, said.seconds, said.k, users))
            spent = busy() - before
        report(seen, said.rate, spent / (said.rate * (WARM_UP + said.seconds)) * 1e3)


def prepare(folder: Path, data: Path | None) -> None:
    """A log to serve from."""
    if data is not None:
        command = [sys.executable, "-m", "longgame", "import", str(data.resolve()), "--json"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return
    from datetime import UTC, datetime, timedelta

    import numpy as np

    from longgame.store import open_store
    from longgame.types import Event, Item, ItemId, User, UserId

    rng, start = np.random.default_rng(1), datetime(2020, 1, 1, tzinfo=UTC)
    store = open_store(f"sqlite:///{folder / 'longgame.db'}")
    store.put(Item(ItemId(f"i{n}"), f"word{n % 97} word{n % 31} word{n % 7}") for n in range(ITEMS))
    store.put(User(UserId(f"u{n}")) for n in range(USERS))
    who, what = (USERS * rng.random(EVENTS) ** 1.5).astype(int), (ITEMS * rng.random(EVENTS) ** 2).astype(int)
    store.put(
        Event(f"e{n}", start + timedelta(minutes=n), UserId(f"u{u}"), ItemId(f"i{i}"), "click")
        for n, (u, i) in enumerate(zip(who, what, strict=True))
    )
    store.close()


def users_of(folder: Path) -> list[str]:
    """Whom to ask for."""
    from longgame.store import open_store

    store = open_store(f"sqlite:///{folder / 'longgame.db'}")
    users = [str(user.id) for user in store.users()]
    store.close()
    return users


def stand_in(port: int) -> None:
    """Serve the log in the working folder without training: hashed texts, EASE, and a policy that follows their order."""
    from longgame.algorithms.rank import RankPolicy
    from longgame.arrays import Interactions
    from longgame.guards import AlreadySeen
    from longgame.language import HashingModel, understand
    from longgame.models import Ease
    from longgame.recommender import Recommender
    from longgame.retrieval import Blend, ExactIndex, ModelRetriever, VectorRetriever
    from longgame.serving.http import create_app
    from longgame.serving.server import run
    from longgame.serving.service import Live, Service
    from longgame.store import open_store
    from longgame.types import Event

    store = open_store("sqlite:///longgame.db")
    features = understand(store.items(), HashingModel(64))
    log = Interactions.of((r for _, r in store.read(0, 10**9)[0] if isinstance(r, Event)), features.ids)
    ease = Ease()
    ease.fit(log, features.vectors)
    near = VectorRetriever(features, ExactIndex(features.vectors))
    blend = Blend([("ease", ModelRetriever(ease, features), 2.0), ("near", near, 1.0)])
    live = Live(Recommender(features, blend, RankPolicy(), (AlreadySeen(),)))
    run(create_app(Service(store, live)), "127.0.0.1", port)
    store.close()


@contextmanager
def server(command: str, folder: Path) -> Iterator[tuple[int, Callable[[], float]]]:
    """Run ``command`` in ``folder`` until it is ready; its port, and how much processor time it has used."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    # One thread a process: two that share a core with anything else collapse.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(shlex.split(command.format(port=port)), cwd=folder, env=environment)
    try:
        wait_until_ready(process, port)
        yield port, lambda: processor_seconds(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def processor_seconds(pid: int) -> float:
    """What a process has used so far; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_ready(process: subprocess.Popen[bytes], port: int, patience: float = 120.0) -> None:
    """Returns once /health/ready says 200."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit(f"the server was not ready within {patience:g} s")


async def load(port: int, rate: float, seconds: float, k: int, users: list[str]) -> Seen:
    """Send on schedule and note what comes."""
    seen, idle, tasks = Seen(), list[Connection](), set[asyncio.Task[None]]()
    begin = time.perf_counter() + 0.2
    for number in range(int(rate * (WARM_UP + seconds))):
        due = begin + number / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        body = orjson.dumps({"id": uuid.uuid4().hex, "user": users[number * 7919 % len(users)], "k": k})
        task = asyncio.create_task(_one(port, body, due, due >= begin + WARM_UP, seen, idle))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=30)
    for connection in idle:
        connection[1].close()
    return seen


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _one(port: int, body: bytes, due: float, counted: bool, seen: Seen, idle: list[Connection]) -> None:
    left = time.perf_counter()
    try:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        good = head.startswith(b"HTTP/1.1 200")
        idle.append((reader, writer))
    except (OSError, asyncio.IncompleteReadError):
        good = False
    if counted:
        seen.latency.append((time.perf_counter() - due) * 1e3)
        seen.late.append((left - due) * 1e3)
        seen.errors += not good


def sync_time(folder: Path) -> float:
    """Milliseconds, the median of 50."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(50):
            file.write(b"\0" * 4096)
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def report(seen: Seen, rate: float, spent: float) -> None:
    """Our figures beside the goals."""
    ordered = sorted(seen.latency)
    at = {p: ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 90, 99)}
    late = sorted(seen.late)[len(seen.late) * 99 // 100]
    print(f"{len(ordered):,} requests at {rate:g}/s: {seen.errors} errors; the generator left at most {late:.1f} ms late (p99)")
    print(f"the server used {spent:.2f} ms of processor time a request")
    for percentile, value in at.items():
        goal = GOALS.get(percentile)
        told = f"  goal {goal:g} ms, ratio {goal / value:.2f}" if goal else ""
        print(f"p{percentile}  {value:7.2f} ms{told}")
    print(f"max  {ordered[-1]:7.2f} ms")


if __name__ == "__main__":
    main()
