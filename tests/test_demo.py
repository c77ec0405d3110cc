"""The whole of longgame through the entry points that people type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from longgame.rng import derive

ENV = {**{k: v for k, v in os.environ.items() if not k.startswith("LONGGAME_")}, "PYTHONUNBUFFERED": "1"}


def longgame(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "longgame", *arguments], cwd=folder, env=ENV, capture_output=True, text=True, timeout=300
    )


def test_the_tiny_demo_runs_to_its_table_and_serves(tmp_path):
    done = longgame(
        tmp_path, "demo", "--size", "tiny", "--port", "0", "--visits", "30", "--json", "--folder", str(tmp_path / "d")
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told["policies"]) == ["random", "popularity", "myopic", "learned"]
    for row in told["policies"].values():
        assert row["return"]["low"] <= row["return"]["value"] <= row["return"]["high"] and row["return"]["value"] > 0
    assert told["served"]["visits"] == 30 and told["served"]["clicks"] >= told["served"]["purchases"]
    above = told["policies"]["learned"]["return"]["low"] > told["policies"]["myopic"]["return"]["high"]
    assert ("NOT" not in told["conclusion"]) == above
    assert (tmp_path / "d" / "registry" / "current.json").exists()


CONFIG = """
[objective]
rewards = { click = 1.0 }
window = "1s"
[language]
model = "hashing"
[policy]
steps = 10
[learner]
poll = "1s"
block = 80
updates = 24
[gate]
min_effective_n = 20
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A folder with a small product: films of two kinds, users who like one kind."""
    folder = tmp_path_factory.mktemp("product")
    rng = derive(0, "product")
    kinds = ["space war", "love story"]
    items = [f'f{i},"{kinds[i % 2]} number {i}",{kinds[i % 2].split()[0]}' for i in range(60)]
    rows = [
        f"u{u},f{2 * rng.integers(30) + (u % 2 if rng.random() < 0.8 else 1 - u % 2)},{1_700_000_000 + 60 * n + u},view"
        for u in range(60)
        for n in range(12)
    ]
    (folder / "data").mkdir()
    (folder / "data" / "items.csv").write_text("\n".join(["item_id,title,genre", *items]))
    (folder / "data" / "events.csv").write_text("\n".join(["user_id,item_id,timestamp,event", *rows]))
    (folder / "longgame.toml").write_text(CONFIG)
    for command in (["import", "data"], ["understand"], ["train"]):
        done = longgame(folder, *command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    return folder


def test_a_second_understanding_computes_nothing(product):
    told = json.loads(longgame(product, "understand", "--json").stdout)
    assert told["new"] == 0 and told["items"] == 60


def test_evaluate_prints_the_baselines_unasked(product):
    told = json.loads(longgame(product, "evaluate", "--json").stdout)
    assert [row["name"] for row in told["ranking"]["rows"]] == ["popularity", "item-knn", "ease", "sequence"]
    for row in told["ranking"]["rows"]:
        assert 0 <= row["metrics"]["ndcg"]["low"] <= row["metrics"]["ndcg"]["high"] <= 1


def test_training_again_without_decisions_is_refused_by_the_gate_with_a_reason(product):
    done = longgame(product, "train")
    assert done.returncode == 0 and "not published: refused: too little evidence" in done.stdout, done.stdout


def call(url: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"content-type": "application/json"}), timeout=30) as reply:
        told: dict = json.loads(reply.read())
    return told


def test_feedback_over_http_brings_a_new_policy_live(product):
    """Everybody turns to love stories: what is served must follow, by the gate's leave, without a restart."""
    with (product / "serve.log").open("w") as log:
        command = [sys.executable, "-m", "longgame", "serve", "--port", "0"]
        server = subprocess.Popen(command, cwd=product, env=ENV, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[3]
        before = call(f"{url}/v1/policy")
        shares, n, deadline = [], 0, time.monotonic() + 150
        while call(f"{url}/v1/policy") == before:
            assert time.monotonic() < deadline, (product / "serve.log").read_text()
            if n >= 1000:  # enough was said: the learner, which shares the cores, may take its time
                time.sleep(0.5)
                continue
            for _ in range(50):
                reply = call(f"{url}/v1/recommend", {"id": f"r{n}", "user": f"new{n % 40}", "k": 3})
                shown = [item["id"] for item in reply["items"]]
                loved = [i for i in shown if int(i[1:]) % 2 == 1]
                shares.append(len(loved) / len(shown))
                events = [
                    {"id": f"c{n}{i}", "user": f"new{n % 40}", "item": i, "kind": "click", "decision": f"r{n}"} for i in loved
                ]
                if events:
                    call(f"{url}/v1/events", {"events": events})
                n += 1
        after = call(f"{url}/v1/policy")
        assert after["snapshot"] > before["snapshot"]
        late = [call(f"{url}/v1/recommend", {"id": f"late{u}", "user": f"fresh{u}", "k": 3}) for u in range(60)]
        odd = np.mean([int(item["id"][1:]) % 2 for reply in late for item in reply["items"]])
        assert odd > np.mean(shares[:50])
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert server.stdout is not None
        server.stdout.close()
    policies = json.loads(longgame(product, "evaluate", "--no-ranking", "--json").stdout)
    assert policies["decisions"] > 50 and {"random", "supervised"} < {row["policy"] for row in policies["policies"]}


def test_a_training_that_was_stopped_ends_as_one_that_was_not(product, tmp_path):
    """Runs after the decisions above are in the log: the second epoch is cut off, and made up for."""
    from longgame.settings import load_settings
    from longgame.wiring.training import train
    from longgame.wiring.workspace import workspace

    class Cut(Exception):
        pass

    def cut(line: str) -> None:
        if line.startswith("epoch 2"):
            raise Cut

    flags = {"store.url": f"sqlite:///{product / 'longgame.db'}", "data.folder": str(product / ".longgame")}
    settings = load_settings(product / "longgame.toml", {}, flags).settings
    with workspace(settings) as ws:
        straight = train(ws, epochs=3).policy
        with pytest.raises(Cut):
            train(ws, epochs=3, say=cut)
        lines: list[str] = []
        assert train(ws, epochs=3, say=lines.append).policy == straight
        assert "continues after epoch 2" in lines
