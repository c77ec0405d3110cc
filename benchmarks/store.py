"""How fast the log takes and gives back records, on a real file with ``synchronous=FULL``, and on PostgreSQL.

Run as ``python benchmarks/store.py [--events N] [--seed S] [--json]``. Each line: our figure, the goal, the ratio
(1 or more: the goal is met). The goals are our own; the machine's disk and cores decide much of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from longgame.errors import LonggameError
from longgame.protocols import EventStore
from longgame.store import open_store
from longgame.types import Decision, DecisionId, Event, ItemId, Record, Request, UserId, Versions

START = datetime(2024, 1, 1, tzinfo=UTC)
BATCH, THREADS, CANDIDATES, CATALOGUE, USERS = 1_000, 32, 200, 20_000, 50_000
HEAVY = UserId("user-heavy")
ITEMS = [ItemId(f"item-{n:06}") for n in range(CATALOGUE)]
VERSIONS = Versions("minilm-3", "exact-12", "seen+stock", "reinforce-2024-05-17T08")


@dataclass(frozen=True)
class Figure:
    """One claim, measured. ``ratio`` is 1 or more where the goal is met."""

    store: str
    claim: str
    ours: float
    goal: float
    unit: str

    @property
    def ratio(self) -> float:
        if not self.ours or not self.goal:
            return float("nan")
        return self.goal / self.ours if self.unit in ("ms", "bytes") else self.ours / self.goal


def events(count: int, seed: int, *, random_ids: bool = False) -> Iterator[list[Record]]:
    """Batches of events as they arrive: a tenth of them from one user, the rest from USERS others."""
    rng = random.Random(seed)
    for start in range(0, count, BATCH):
        batch: list[Record] = []
        for n in range(start, min(start + BATCH, count)):
            id = f"{rng.getrandbits(128):032x}" if random_ids else f"click-{n:010}"
            user = HEAVY if n % 10 == 0 else UserId(f"user-{int(rng.random() ** 2 * USERS):06}")
            batch.append(Event(id, START + timedelta(seconds=n), user, ITEMS[rng.randrange(CATALOGUE)], "click"))
        yield batch


def decisions(count: int, seed: int) -> list[Record]:
    """Decisions of ten slots out of 200 candidates."""
    rng = random.Random(seed)
    made: list[Record] = []
    for n in range(count):
        request = Request(f"ask-{n:08}", START + timedelta(seconds=n), UserId(f"user-{n:06}"), 10, (0.5,) * 8, "home")
        candidates, picks = tuple(rng.sample(ITEMS, CANDIDATES)), tuple(rng.sample(range(CANDIDATES), 10))
        made.append(Decision(DecisionId(f"d-{n:08}"), request, candidates, picks, (0.1,) * 10, VERSIONS))
    return made


def ingest(store: EventStore, batches: Iterator[list[Record]]) -> float:
    """Records a second, the making of them not counted."""
    spent, count = 0.0, 0
    for batch in batches:
        begun = time.perf_counter()
        store.put(batch)
        spent += time.perf_counter() - begun
        count += len(batch)
    return count / spent


def latencies(act: Callable[[int], object], count: int) -> tuple[float, float]:
    """Milliseconds of ``act(0) … act(count - 1)``: median and 99th percentile."""
    spent = []
    for n in range(count):
        begun = time.perf_counter()
        act(n)
        spent.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(spent)), float(np.quantile(spent, 0.99))


def read_all(store: EventStore, after: int) -> float:
    """Records a second from cursor ``after`` to the end."""
    count, begun = 0, time.perf_counter()
    while True:
        rows, after = store.read(after, 10_000)
        if not rows:
            return count / (time.perf_counter() - begun)
        count += len(rows)


def single_puts(store: EventStore, threads: int, each: int) -> float:
    """Acknowledged puts of one event a second, from several threads at once."""

    def work(name: int) -> None:
        for n in range(each):
            store.put([Event(f"live-{threads}-{name}-{n}", START, HEAVY, ITEMS[n], "view")])

    workers = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return threads * each / (time.perf_counter() - begun)


def measure(kind: str, url: str, scattered_url: str, count: int, seed: int) -> Iterator[Figure]:
    """Every claim on one database."""
    store = open_store(url)
    try:
        yield Figure(kind, f"ingest, {BATCH} a put, {count:,} events", ingest(store, events(count, seed)), 50_000, "/s")
        for name, user in (("the heaviest user", lambda n: HEAVY), ("any user", lambda n: UserId(f"user-{n * 37:06}"))):
            for share in (1.0, 0.5):
                before = START + timedelta(seconds=count * share)
                middle, worst = latencies(lambda n, u=user, b=before: store.history(u(n), b, 50), 500)  # type: ignore[misc]
                when = "now" if share == 1 else "back then"
                yield Figure(kind, f"last 50 events, {name}, {when}, p50", middle, 1, "ms")
                yield Figure(kind, f"last 50 events, {name}, {when}, p99", worst, 5, "ms")
        yield Figure(kind, "read events", read_all(store, 0), 100_000, "/s")
        _, cursor = store.read(count - 1, 10)
        made = decisions(10_000, seed)
        store.put(made[:BATCH])  # the first ones also number the catalogue
        speed = ingest(store, iter([made[n : n + BATCH] for n in range(BATCH, len(made), BATCH)]))
        yield Figure(kind, f"ingest decisions of {CANDIDATES} candidates", speed, 10_000, "/s")
        yield Figure(kind, f"read decisions of {CANDIDATES} candidates", read_all(store, cursor), 40_000, "/s")
        middle, worst = latencies(lambda n: store.decision(DecisionId(f"d-{n * 19:08}")), 500)
        yield Figure(kind, "one decision by id, p50", middle, 1, "ms")
        one = single_puts(store, 1, 200)
        yield Figure(kind, "puts of one event, 1 thread", one, 250, "/s")
        yield Figure(kind, f"puts of one event, {THREADS} threads", single_puts(store, THREADS, 100), 5_000, "/s")
    finally:
        store.close()
    store = open_store(scattered_url)
    try:
        speed = ingest(store, events(count // 4, seed, random_ids=True))
        yield Figure(kind, f"ingest, random ids, {count // 4:,} events", speed, 50_000, "/s")
    finally:
        store.close()


def bytes_per_decision(folder: Path, seed: int) -> Figure:
    """Of the file, indexes and free space included."""
    url, made = f"sqlite:///{folder / 'size.db'}", decisions(5_000, seed)
    sizes = []
    for part in (made[:1_000], made[1_000:]):
        store = open_store(url)
        store.put(part)
        store.close()  # writes what is in the WAL into the file
        sizes.append((folder / "size.db").stat().st_size)
    return Figure("sqlite", f"file growth a decision of {CANDIDATES}", (sizes[1] - sizes[0]) / 4_000, 1_000, "bytes")


def postgres() -> tuple[str, Callable[[], None]]:
    """A server of our own, or the one that LONGGAME_TEST_POSTGRES names."""
    given = os.environ.get("LONGGAME_TEST_POSTGRES")
    if given:
        return given, lambda: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pgserver.postgres_server import get_server
    server = get_server(tempfile.mkdtemp(prefix="longgame-"), cleanup_mode="delete")
    return server.get_uri(), server.cleanup


def schema(url: str, name: str) -> str:
    """``url`` with a new schema in front; what it held is dropped."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"


def figures(folder: Path, count: int, seed: int) -> Iterator[Figure]:
    """All of them, SQLite first."""
    yield from measure("sqlite", f"sqlite:///{folder / 'log.db'}", f"sqlite:///{folder / 'scattered.db'}", count, seed)
    yield bytes_per_decision(folder, seed)
    try:
        url, stop = postgres()
    except Exception as error:  # the report says why there is no second half
        print(f"postgres: not measured, it did not start: {error!r}", file=sys.stderr)
        return
    try:
        yield from measure("postgres", schema(url, "bench"), schema(url, "bench_scattered"), count, seed)
    finally:
        stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a figure; 0 whatever they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the log")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="longgame-bench-"))
    try:
        for f in figures(folder, chosen.events, chosen.seed):
            if chosen.json:
                print(json.dumps({**asdict(f), "ratio": f.ratio}), flush=True)
            else:
                ours, goal = f"{f.ours:,.{2 if f.ours < 100 else 0}f}", f"{f.goal:,.0f}"
                print(f"{f.store:9} {f.claim:48} {ours:>10} {f.unit:5} goal {goal:>8}  ratio {f.ratio:6.2f}", flush=True)
    except LonggameError as error:
        print(f"stopped: {error}", file=sys.stderr)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
