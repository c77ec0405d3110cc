from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from longgame.cli import COMMANDS, GROUPS, app
from longgame.commands import terminal
from longgame.settings import load_settings
from longgame.store import open_store
from longgame.types import Event, Item, ItemId
from longgame.wiring.understanding import understand
from tests.endpoint_kit import Handler, serving

EVENTS = (
    "customer,product,when,what,stars\nu1,a,2024-01-01T10:00:00Z,view,1\nu2,b,2024-01-02T10:00:00Z,buy,2\nu1,b,nonsense,buy,3\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def answer(*words: str | Path) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


@pytest.fixture
def events(folder: Path) -> Path:
    path = folder / "shop.csv"
    path.write_text(EVENTS)
    return path


MAP = ("--map", "user=customer", "--map", "item=product", "--map", "at=when", "--map", "kind=what", "--map", "value=stars")


def test_every_command_helps_and_says_what_it_does():
    names = [name for name, _ in (*GROUPS, *COMMANDS)]
    listed = run("--help").output
    for name in names:
        assert re.search(rf"^  {name} +\w", listed, re.MULTILINE)
        assert run(name, "--help").exit_code == 0
    assert run("--version").output.strip() == "0.1.0"


def test_a_slip_is_a_usage_error():
    result = run("confg")
    assert result.exit_code == 2 and "config" in result.output
    assert run("config", "check", "--jsn").exit_code == 2


def test_config_check_says_where_values_came_from(folder: Path, monkeypatch: pytest.MonkeyPatch):
    Path("longgame.toml").write_text('[serve]\nport = 9\n[store]\nurl = "postgresql://me:hush@host/log"\n')
    monkeypatch.setenv("LONGGAME_SERVE__MAX_K", "7")
    content = answer("config", "check")
    settings = content["settings"]
    assert settings["serve.port"] == {"value": "9", "from": "longgame.toml"}
    assert settings["serve.max_k"] == {"value": "7", "from": "environment"}
    assert settings["serve.host"]["from"] == "default"
    result = run("config", "check")
    assert re.search(r"^serve\.port +9 +longgame\.toml$", result.output, re.MULTILINE)
    assert "hush" not in result.output and "\x1b" not in result.output
    assert "port = 9" in run("config", "show").output and "port = 8000" in run("config", "show", "--defaults").output


def test_a_wrong_setting_is_one_line_and_exit_code_2(folder: Path):
    (folder / "my.toml").write_text("[serve]\nprot = 1\n")
    result = run("--config", "my.toml", "config", "check")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == "error: my.toml: serve.prot: there is no such key; did you mean serve.port?\n"
    assert run("--config", "nix.toml", "config", "check").exit_code == 2
    debug = run("--debug", "--config", "my.toml", "config", "check")
    assert debug.exit_code == 1 and type(debug.exception).__name__ == "ConfigError"


def test_an_import_is_previewed_judged_and_written_once(events: Path):
    result = run("import", events, *MAP)
    assert result.exit_code == 0, result.output
    assert re.search(r"^customer +user +u1 \| u2 \| u1$", result.output, re.MULTILINE)
    assert "read 3 rows, accepted 2, rejected 1" in result.output and "line 4" in result.output
    assert "2 new Event records" in result.output
    again = answer("import", events, *MAP)
    assert again["report"]["rejected"] == 1 and again["log"]["Event"] == {"new": 0, "duplicate": 2}
    store = open_store("sqlite:///longgame.db")
    found = [record for _, record in store.read(0, 100)[0] if isinstance(record, Event)]
    store.close()
    assert [(e.user, e.item, e.kind, e.value) for e in found] == [("u1", "a", "view", 1.0), ("u2", "b", "buy", 2.0)]


def test_a_dry_run_and_a_wrong_file_leave_no_log(folder: Path, events: Path):
    assert answer("import", events, *MAP, "--dry-run")["report"]["accepted"] == 2
    bad = folder / "bad.csv"
    bad.write_text("user,item,at\nu1,a,nonsense\n")
    for words in (
        ("import", bad, "--time-unit", "iso"),
        ("import", "nix.csv"),
        ("import", events),
        ("import", events, "--map", "user"),
        ("import", events, *MAP, "--form", "tabel"),
    ):
        result = run(*words)
        assert result.exit_code == 2, (words, result.output)
        assert result.stderr.startswith("error: ") and "Traceback" not in result.output
    assert not (folder / "longgame.db").exists()


def test_understand_reads_a_text_once(events: Path):
    run("import", events, *MAP)
    first, second = (answer("understand", "--model", "hashing") for _ in range(2))
    assert (first["items"], first["new"], first["cached"]) == (2, 2, 0)
    assert (second["items"], second["new"], second["cached"]) == (2, 0, 2)
    assert "0 new, 2 cached" in run("understand", "--model", "hashing").output
    result = run("understand", "--model", "hash")
    assert result.exit_code == 2 and "'hash'" in result.stderr


def catalogue() -> None:
    store = open_store("sqlite:///longgame.db")
    store.put([Item(ItemId("a"), "red nail " * 4 + "red"), Item(ItemId("b"), "a" * 41)])
    store.close()


def test_understand_says_beforehand_what_it_will_take_and_stops_at_its_budget(events: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    plan = answer("understand", "--model", "hashing", "--plan")
    assert (
        (plan["items"], plan["texts"], plan["characters"], plan["tokens"]) == (2, 2, 80, 21)
        and plan["seconds"] >= 0
        and plan["calls"] is None
    )
    assert not Path(".longgame/vectors").exists(), "a plan writes nothing"
    monkeypatch.setattr("longgame.language.cache.VectorCache.embed.__defaults__", (None, 1))
    done = understand(load_settings(None, {}, {"language.model": "hashing"}).settings, budget=0.0)
    assert (done.new, done.left, done.features) == (1, 1, None), "a batch, however little time there is"
    part = answer("understand", "--model", "hashing", "--budget", "1h")
    assert (part["new"], part["left"]) == (1, 0) and part["features"].startswith("hashing")
    assert answer("understand", "--model", "hashing")["left"] == 0
    assert answer("understand", "--model", "hashing", "--plan")["texts"] == 0
    assert "about 0 s" in run("understand", "--model", "hashing", "--plan").output
    result = run("understand", "--model", "hashing", "--budget", "soon")
    assert result.exit_code == 2 and "--budget" in result.stderr and "'soon'" in result.stderr


def test_understand_by_a_server_says_what_is_not_set_and_asks_nothing_for_a_plan(events: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue()
    result = run("understand", "--model", "remote")
    assert result.exit_code == 2 and "remote.model" in result.stderr and "remote.width" in result.stderr
    for name, value in {"MODEL": "m", "WIDTH": "8", "PRICE": "2.0", "URL": "http://127.0.0.1:9/v1", "TRIES": "1"}.items():
        monkeypatch.setenv(f"LONGGAME_REMOTE__{name}", value)
    plan = answer("understand", "--model", "remote", "--plan")
    assert (plan["texts"], plan["calls"], plan["seconds"]) == (2, 1, None) and plan["cost"] == pytest.approx(42e-6)
    monkeypatch.setenv("LONGGAME_REMOTE__BATCHES", "true")
    plan = answer("understand", "--model", "remote", "--plan")
    assert plan["calls"] == 2 and plan["cost"] == pytest.approx(21e-6)
    monkeypatch.delenv("LONGGAME_REMOTE__BATCHES")
    result = run("understand", "--model", "remote")
    assert result.exit_code == 1 and "see that the server runs" in result.stderr and "Traceback" not in result.output


def test_understand_of_an_empty_log():
    assert "import" in run("understand", "--model", "hashing").output


def test_doctor_says_what_is_missing_and_how_to_mend_it(events: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    checks = {check["name"]: check for check in answer("doctor")["checks"]}
    assert checks["store"]["status"] == "warn" and "import" in checks["store"]["mend"]
    assert checks["registry"]["status"] == "warn" and "longgame train" in checks["registry"]["mend"]
    assert {checks[name]["status"] for name in ("python", "packages", "encoder")} == {"ok"}
    assert not Path("longgame.db").exists()
    run("import", events, *MAP)
    result = run("doctor")
    assert result.exit_code == 0 and "has a catalogue" in result.output


def test_doctor_asks_a_server_only_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch):
    told = {"MODEL": "m", "WIDTH": "3", "CHAT": "c", "TRIES": "1", "BATCHES": "true"}
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "remote")
    for name, value in told.items():
        monkeypatch.setenv(f"LONGGAME_REMOTE__{name}", value)

    def both(h: Handler, asked: dict[str, Any]) -> None:
        vectors = {"data": [{"index": 0, "embedding": [1.0, 0.0, 0.0]}]}
        tops = [{"token": "positive", "logprob": -0.25}, {"token": "negative", "logprob": -2.0}]
        message = {"choices": [{"message": {"content": "positive"}, "logprobs": {"content": [{"top_logprobs": tops}]}}]}
        h.say(200, orjson.dumps(vectors if "input" in asked else message))

    with serving(both) as server:
        monkeypatch.setenv("LONGGAME_REMOTE__URL", server.url)
        checks = {check["name"]: check for check in answer("doctor")["checks"]}
        assert not server.asked and "would be asked" in checks["encoder"]["found"] and "--remote" in checks["chat"]["mend"]
        checks = {check["name"]: check for check in answer("doctor", "--remote")["checks"]}
        assert "width 3" in checks["encoder"]["found"] and "positive -0.25, negative -2.00" in checks["chat"]["found"]
        assert len(server.asked) == 2
    result = run("doctor", "--remote", "--json")
    failed = {check["name"] for check in orjson.loads(result.stdout)["checks"] if check["status"] == "fail"}
    assert result.exit_code == 1 and failed == {"encoder", "chat"}


def test_a_plan_counts_no_item_without_a_text(events: Path):
    store = open_store("sqlite:///longgame.db")
    store.put([Item(ItemId("a"), ""), Item(ItemId("b"), "red")])
    store.close()
    assert answer("understand", "--model", "hashing", "--plan")["texts"] == 1


def test_doctor_fails_where_the_store_cannot_be_reached(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    Path("longgame.db").write_text("this is no database, whatever its name says" * 100)
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (store,) = [c for c in orjson.loads(result.stdout)["checks"] if c["name"] == "store"]
    assert store["status"] == "fail" and "not a database" in store["found"]


def test_data_list_and_get(folder: Path):
    names = {row["name"] for row in answer("data", "list")}
    assert {"ml-100k", "table"} <= names
    assert "licence:" in run("data", "list").output
    result = run("data", "get", "nix")
    assert result.exit_code == 2 and "ml-100k" in result.stderr
    (folder / ".longgame" / "datasets" / "ml-100k").mkdir(parents=True)
    assert answer("data", "get", "ml-100k")["fresh"] is False


def test_progress_is_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    clock = iter([0.0, 1.0, 4.0, 5.0, 8.0])
    monkeypatch.setattr("longgame.commands.terminal.time.monotonic", lambda: next(clock))
    with terminal.progress("write", "rows") as advance:
        for done in (100, 500, 600, 900):
            advance(done, 1000)
    assert capsys.readouterr().err == "write: 500 of 1,000 rows, 100/s, 5 s left\nwrite: 900 of 1,000 rows, 100/s, 1 s left\n"


def test_the_script_itself(events: Path):
    good = subprocess.run([sys.executable, "-m", "longgame", "import", str(events), *MAP], capture_output=True, text=True)
    assert good.returncode == 0 and "\x1b" not in good.stdout + good.stderr
    bad = subprocess.run([sys.executable, "-m", "longgame", "import", "nix"], capture_output=True, text=True)
    assert bad.returncode == 2 and bad.stdout == "" and bad.stderr == "error: nix: there is no such file or folder\n"


def test_simulate_leaves_the_log_alone_unless_told(folder: Path, monkeypatch: pytest.MonkeyPatch):
    small = ("simulate", "--users", "5", "--items", "20", "--days", "2")
    assert answer(*small)["store"] is None
    assert records() == []
    monkeypatch.setenv("LONGGAME_STORE__URL", "sqlite:///simulated.db")
    assert answer(*small, "--log")["store"] and answer(*small, "--log")["store"], "runs of one shop may share a log"
    other = run(*small, "--log", "--seed", "1")  # its items have the same ids and other texts
    assert other.exit_code == 2 and "the life of another shop" in other.stderr


def test_simulate_does_not_write_where_real_users_are(events: Path):
    run("import", events, *MAP)
    before = records()
    result = run("simulate", "--users", "5", "--items", "20", "--days", "2", "--log")
    assert result.exit_code == 2 and result.stderr.startswith("error: simulate --log: ")
    assert "Event 'row/" in result.stderr and "leave --log out" in result.stderr
    assert records() == before


def test_evaluate_without_anybody_to_rank_says_so(events: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    run("import", events, *MAP)
    result = run("evaluate")
    assert result.exit_code == 2 and "nan" not in result.output
    assert "three events" in result.stderr and "--no-ranking" in result.stderr
    assert run("evaluate", "--no-ranking").exit_code == 0


def records() -> list[Any]:
    store = open_store("sqlite:///longgame.db")
    found = store.read(0, 10_000)[0]
    store.close()
    return found
