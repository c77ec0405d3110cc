"""A server that reads the descriptions that were made: paid once, and entered with the catalogue's own texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.language.remote import Remote
from longgame.settings import load_settings
from longgame.store import open_store
from longgame.types import Item, ItemId
from longgame.wiring.workspace import workspace
from tests.endpoint_kit import Handler, serving

pytestmark = pytest.mark.skipif(not Remote.installed(), reason="the remote extra is not installed")

TOML = """
[language]
model = "remote"
width = 4
[reading]
chooser = "none"
writer = "template"
tags = 4
describe = true
[remote]
model = "m"
width = 8
price = 2.0
"""


def embeds(h: Handler, asked: dict[str, Any]) -> None:
    rows = [[float(text.count(letter) + 1) for letter in "aeioustr"] for text in asked["input"]]
    data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
    usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
    h.say(200, json.dumps({"object": "list", "model": "m", "data": data, "usage": usage}).encode())


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_a_server_reads_of_descriptions_is_paid_once_and_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "longgame.toml").write_text(TOML)
    store = open_store("sqlite:///longgame.db")
    store.put(Item(ItemId(f"i{n}"), f"{'red' if n % 2 else 'blue'} tale {n}", {"kind": "ab"[n % 3 == 0]}) for n in range(30))
    store.close()
    with serving(embeds) as server:
        monkeypatch.setenv("LONGGAME_REMOTE__URL", server.url)
        run("understand")
        run("understand", "--what", "tags,descriptions")
        assert run("understand", "--plan")["texts"] == 30, "the descriptions, and nothing else"
        before = len(server.asked)
        with workspace(load_settings(tmp_path / "longgame.toml", {"LONGGAME_REMOTE__URL": server.url}, {}).settings) as ws:
            assert ws.text().vectors.shape == (30, 16)
            assert len(server.asked) > before
            paid = len(server.asked)
            assert ws.text().vectors.shape == (30, 16) and len(server.asked) == paid, "read once"
        accounts = run("understand", "--ledger")
    texts = sum(len(body["input"]) for _, body in server.asked[before:])
    assert texts == 30 and sum(one["ledger"]["calls"] for one in accounts) == paid
    (vectors,) = [one["ledger"] for one in accounts if one["what"] == "vectors"]
    assert (vectors["calls"], vectors["read"]) == (2, 60) and vectors["money"] == pytest.approx(2e-6 * 60)
