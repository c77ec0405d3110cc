"""The main job on real input: import, understand, train, evaluate, serve, then recommendations over HTTP with feedback.

Run as ``python benchmarks/live.py [--data ../shared/data/ml100k] [--requests 1000] [--evaluate]``. It runs the commands that
the tutorial shows, in a new folder, and prints what they print. The users are the data's own; whether one likes a film is
drawn from their ratings and the film's (the film's share of ratings of 4 or more, times the user's share in its genres).
At the end the policy must have changed by the gate's leave, and the answers with it; it prints both, and likes a slate in the
first and the last third.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from longgame.datasets import Report, open_source
from longgame.rng import derive
from longgame.types import Event, Item

CONFIG = """\
[objective]
rewards = { like = 1.0 }
window = "2s"

[learner]
poll = "1s"
block = 128
"""
SHOWN = 3


def run(command: Sequence[str], folder: Path) -> None:
    """One command as somebody types it, and what it prints."""
    print(f"\n$ longgame {shlex.join(command)}", flush=True)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "longgame", *command], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    print(f"({time.perf_counter() - begun:.1f} s)", flush=True)


class Likes:
    """The chance that a user likes an item, from the ratings of both."""

    def __init__(self, path: Path) -> None:
        records = list(open_source(path).read(Report()))
        genres: dict[str, tuple[str, ...]] = {r.id: _genres(r) for r in records if isinstance(r, Item)}
        self.users = sorted({r.user for r in records if isinstance(r, Event)})
        self._genres = genres
        self._film: dict[str, list[float]] = defaultdict(lambda: [1.0, 4.0])  # likes, ratings; shrunk to a quarter
        self._taste: dict[tuple[str, str], list[float]] = defaultdict(lambda: [1.0, 4.0])
        for r in records:
            if isinstance(r, Event):
                liked = float(r.value >= 4)
                held = [self._film[r.item], *(self._taste[r.user, g] for g in genres.get(r.item, ()))]
                for share in held:
                    share[0], share[1] = share[0] + liked, share[1] + 1

    def chance(self, user: str, item: str) -> float:
        tastes = [self._taste[user, g] for g in self._genres[item]] or [[1.0, 4.0]]
        taste = float(np.mean([t[0] / t[1] for t in tastes]))
        film = self._film[item]
        return film[0] / film[1] * taste


def _genres(item: Item) -> tuple[str, ...]:
    return next((v for v in item.attributes.values() if isinstance(v, tuple)), ())


def call(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else orjson.dumps(body)
    with urllib.request.urlopen(urllib.request.Request(url, data, {"content-type": "application/json"}), timeout=30) as reply:
        return orjson.loads(reply.read())


def slates(url: str, users: Sequence[str], run_id: str) -> list[list[str]]:
    """The answer to some users, without feedback."""
    asked = [call(f"{url}/v1/recommend", {"id": f"{run_id}-{u}", "user": u, "k": 5}) for u in users]
    return [[item["id"] for item in reply["items"]] for reply in asked]


def recommend(url: str, likes: Likes, requests: int) -> np.ndarray[Any, Any]:
    """Ask and answer ``requests`` times; likes a slate, in order."""
    rng, counts = derive(0, "live"), np.zeros(requests)
    for n in range(requests):
        user = likes.users[rng.integers(len(likes.users))]
        reply = call(f"{url}/v1/recommend", {"id": f"live-{n}", "user": user, "k": 10})
        liked = [item["id"] for item in reply["items"] if rng.random() < likes.chance(user, item["id"])]
        counts[n] = len(liked)
        events = [{"id": f"like-{n}-{i}", "user": user, "item": i, "kind": "like", "decision": f"live-{n}"} for i in liked]
        if events:
            call(f"{url}/v1/events", {"events": events})
        time.sleep(0.03)  # users do not all come at once, and windows must close for anything to be learned
    return counts


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The server, ready."""
    print("\n$ longgame serve --port 0 &", flush=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "longgame", "serve", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True,
        stderr=(folder / "serve.log").open("w"), env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert server.stdout is not None
    line = server.stdout.readline().strip()
    print(line)
    return server, next(word for word in line.split() if word.startswith("http"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LONGGAME_DATA", "../shared/data")) / "ml100k")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--evaluate", action="store_true", help="run `longgame evaluate` too (minutes)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longgame-live-") as name:
        folder = Path(name)
        (folder / "longgame.toml").write_text(CONFIG)
        print(f"$ cat longgame.toml\n{CONFIG}", end="")
        run(["import", str(given.data.resolve())], folder)
        run(["understand"], folder)
        run(["train"], folder)
        if given.evaluate:
            run(["evaluate"], folder)
        server, url = serve(folder)
        try:
            converse(url, Likes(given.data), given.requests)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        print("\n$ grep learner serve.log")
        print(
            "".join(line for line in (folder / "serve.log").read_text().splitlines(True) if "learner" in line or "live" in line)
        )
        run(["evaluate", "--no-ranking"], folder)


def converse(url: str, likes: Likes, requests: int) -> None:
    """What was live and answered before and after, and what users thought of it."""
    some, before = likes.users[:SHOWN], call(f"{url}/v1/policy")
    first = slates(url, some, "before")
    counts = recommend(url, likes, requests)
    deadline = time.monotonic() + 120
    while (after := call(f"{url}/v1/policy")) == before and time.monotonic() < deadline:
        time.sleep(1)
    last = slates(url, some, "after")
    third = requests // 3
    print(f"\n{requests} recommendations, {int(counts.sum())} likes")
    print(f"policy before: {orjson.dumps(before).decode()}\npolicy after:  {orjson.dumps(after).decode()}")
    for user, one, two in zip(some, first, last, strict=True):
        print(f"user {user}: {' '.join(one)}  ->  {' '.join(two)}")
    print(f"likes a slate of 10: first third {counts[:third].mean():.2f}, last third {counts[-third:].mean():.2f}")


if __name__ == "__main__":
    main()
