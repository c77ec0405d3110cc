"""Simulated customers of a served shop: real requests over HTTP, real feedback, in a thread beside the server."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from longgame.rng import derive
from longgame.simulation.shop import Shop, ShopConfig
from longgame.wiring.demo import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from longgame.settings import Settings
    from longgame.wiring.demo import DemoSize
    from longgame.wiring.workspace import Workspace


def serve_with_customers(
    ws: Workspace, settings: Settings, size: DemoSize, port: int, visits: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Serve ``ws`` while customers visit; ends after ``visits`` of them, or at Ctrl-C where it is 0."""
    from longgame.commands.serving import run

    served = settings.model_copy(update={"serve": settings.serve.model_copy(update={"port": port})})
    told: dict[str, Any] = {"visits": 0, "clicks": 0, "purchases": 0, "url": ""}
    trouble: list[Exception] = []

    def started(url: str) -> None:
        told["url"] = url
        tell(f"serving on {url} (API: {url}/docs); simulated customers are visiting" + ("" if visits else "; Ctrl-C ends it"))
        threading.Thread(target=visit, args=(url,), daemon=True).start()

    def visit(url: str) -> None:
        try:
            _visits(url, Shop(ShopConfig(users=100, items=size.items, seed=CATALOGUE)), visits, told)
        except Exception as error:
            trouble.append(error)
        os.kill(os.getpid(), signal.SIGINT)

    with contextlib.suppress(KeyboardInterrupt):  # how the customers, or somebody at the keyboard, end it
        run(ws, served, started)
    if trouble:
        raise trouble[0]
    return told


def _visits(url: str, world: Shop, visits: int, told: dict[str, Any]) -> None:
    """One day of the world after another: who is here asks for a slate, and reacts to it as the world says."""
    world.reset(derive(7, "customers"))
    place = {item.id: row for row, item in enumerate(world.catalogue())}
    day = 0
    while not visits or told["visits"] < visits:
        slates = np.full((world.users, 4), -1, np.int64)
        now, context = datetime.now(UTC), world.context()
        asked: dict[int, str] = {}
        for user in np.flatnonzero(world.here()).tolist():
            if visits and told["visits"] >= visits:
                break
            told["visits"] += 1
            id = f"visit/{now.timestamp():.0f}/{day}/{user}"
            body = {"id": id, "user": f"visitor/{user}", "k": 4, "context": context[user].tolist(), "surface": "shop"}
            items = _post(f"{url}/v1/recommend", body)["items"]
            slates[user, : len(items)] = [place[item["id"]] for item in items]
            asked[user] = id
        outcome = world.step(slates)
        events = []
        for user, id in asked.items():
            for kind, values in outcome.values.items():
                for slot in np.flatnonzero(~np.isnan(values[user])).tolist():
                    if kind in ("click", "purchase"):
                        told[f"{kind}s"] += 1
                    events.append(
                        {
                            "id": f"{id}/{slot}/{kind}",
                            "at": (datetime.now(UTC) - timedelta(milliseconds=1)).isoformat(),
                            "user": f"visitor/{user}",
                            "item": world.catalogue()[slates[user, slot]].id,
                            "kind": kind,
                            "value": float(values[user, slot]),
                            "decision": id,
                            "slot": slot,
                        }
                    )
        if events:
            _post(f"{url}/v1/events", {"events": events})
        day += 1


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, orjson.dumps(body), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return orjson.loads(reply.read())
