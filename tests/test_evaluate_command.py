"""``longgame evaluate``: what is said before anything is fitted, what is kept, and what is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from longgame.cli import app


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small log in which everybody goes round a circle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    rows = [f"u{u},i{(u + step) % 12},{1_700_000_000 + 600 * step + u}" for u in range(120) for step in range(5 + u % 2 * 3)]
    Path("shop.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    assert run("import", "shop.csv").exit_code == 0
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def rank(*words: str) -> Result:
    return run("evaluate", "ranking", "--models", "popularity", "--k", "3", *words)


def test_where_the_page_cannot_be_written_nothing_is_fitted(imported: Path):
    for place in ("nowhere/table.html", "."):
        result = rank("--html", place)
        assert result.exit_code == 2 and "--html: must name a file" in result.stderr
    assert not list(imported.rglob("runs/*"))


def test_without_matplotlib_the_page_is_refused_before_anything_is_fitted(imported: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = rank("--html", "table.html")
    assert result.exit_code == 2 and "matplotlib" in result.stderr
    assert not list(imported.rglob("runs/*"))


def test_runs_are_kept_and_found_again(imported: Path):
    first = rank("--html", "table.html", "--json")
    kept = sorted(imported.rglob("runs/*.safetensors"))
    assert first.exit_code == 0 and len(kept) == 3 and (imported / "table.html").stat().st_size > 10_000
    assert rank("--json").stdout == first.stdout, "the seconds of the first fit among it"
    assert sorted(imported.rglob("runs/*.safetensors")) == kept
    rank("--split", "time")
    assert len(sorted(imported.rglob("runs/*.safetensors"))) == 6, "another split is another run"


def test_the_table_has_groups_and_intervals_of_what_accuracy_does_not_show(imported: Path):
    shown = rank().stdout
    assert "best served group less that of the worst served" in shown and "history length" in shown
    novelty = next(line for line in shown.splitlines() if line.startswith("model") and "novelty" in line)
    row = shown.splitlines()[shown.splitlines().index(novelty) + 1]
    assert "[" in row


def test_a_model_named_is_there_a_second_time_with_new_items_by_their_texts(imported: Path):
    Path("items.csv").write_text("item,text\n" + "\n".join(f"i{i},{'red' if i % 2 else 'blue'} thing {i}" for i in range(14)))
    assert run("import", "items.csv").exit_code == 0
    result = run("evaluate", "ranking", "--models", "item-knn", "--k", "3", "--lift", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)["rows"]}
    assert set(rows) == {"popularity", "item-knn", "ease", "item-knn-lifted"}
    assert not rows["item-knn-lifted"]["error"]


def test_all_leaves_out_what_the_log_cannot_tell(imported: Path):
    told = run("evaluate", "ranking", "--models", "all", "--k", "3", "--split", "time")
    assert told.exit_code == 0, told.output
    for name in ("svd", "svd-plus-plus", "time-factors"):
        assert f"{name} is left out: nothing is rated" in told.stdout
    assert "has no figures" not in told.stdout


def test_the_hint_to_leave_the_ranking_out_stands_where_it_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    Path("shop.csv").write_text("user,item,timestamp\nu1,i1,1700000000\nu2,i1,1700000001\n")
    assert run("import", "shop.csv").exit_code == 0
    assert "--no-ranking" in run("evaluate").stderr
    assert "--no-ranking" not in rank().stderr
    policies = json.loads(run("evaluate", "--no-ranking", "--json").stdout)
    assert policies["ranking"] is None


def test_what_was_tuned_is_said(imported: Path):
    assert run("tune", "--models", "item-knn", "--trials", "2", "--k", "3").exit_code == 0
    again = run("tune", "--models", "item-knn", "--trials", "2", "--k", "3")
    assert "nothing new was tried" in again.stdout
    told = rank("--json")
    titles = {row["name"]: row["title"] for row in json.loads(told.stdout)["rows"]}
    assert titles["item-knn"].endswith(", tuned") and not titles["ease"].endswith(", tuned")
    assert "uses what `longgame tune` found for item-knn; the others have their defaults" in rank().stdout


def test_an_empty_test_is_said_before_anything_is_fitted(imported: Path):
    result = rank("--split", "time", "--at", "2030-01-01")
    assert result.exit_code == 2 and "the test is empty" in result.stderr and "2023-11-14" in result.stderr
    assert not list(imported.rglob("runs/*"))
    both = rank("--split", "time", "--at", "2023-11-14", "--share", "0.2")
    assert both.exit_code == 2 and "leave one of them out" in both.stderr


def test_newcomers_and_new_items_are_counted(imported: Path):
    Path("more.csv").write_text("user,item,timestamp\nnew,i1,1700100000\nu1,i13,1700100001\nu2,i13,1700100002\n")
    assert run("import", "more.csv").exit_code == 0
    shown = rank("--split", "time", "--at", "2023-11-16").stdout
    assert "(1 of them without any event before)" in shown and "acquainted@3" in shown
    assert "recall@3 of the 2 held-out events on items that had none before" in shown
    assert "No gap between groups by history length" in shown


def test_only_what_was_liked_is_wanted_where_that_is_asked_for(imported: Path):
    rows = [f"u{u},i{(u + 9) % 12},{1_700_090_000 + u},{5 if u % 3 else 1}" for u in range(120)]
    Path("rated.csv").write_text("\n".join(["user,item,timestamp,rating", *rows]))
    assert run("import", "rated.csv").exit_code == 0
    everything, liked = (json.loads(rank("--json", *more).stdout) for more in ((), ("--liked", "4")))
    assert everything["users"] == 120 and liked["users"] == 80
    assert liked["split"].endswith("worth 4 or more")
    nothing = rank("--liked", "9")
    assert nothing.exit_code == 2 and "the test is empty" in nothing.stderr


def test_a_list_is_no_longer_than_the_catalogue(imported: Path):
    shown = run("evaluate", "ranking", "--models", "popularity", "--k", "500").stdout
    assert "--k 500 is more than the catalogue has: 12, all of it, is taken" in shown and "ndcg@12" in shown


def test_untuned_baselines_and_few_users_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    Path("shop.csv").write_text("user,item,timestamp\n" + "".join(f"u,i{n},{1_700_000_000 + n}\n" for n in range(5)))
    assert run("import", "shop.csv").exit_code == 0
    shown = rank().stdout
    assert "all models have their defaults, the baselines too" in shown and "so few users tell little" in shown
    tuned = run("tune", "--models", "popularity", "--trials", "2", "--k", "3")
    assert "1 users to judge by" in tuned.stdout


def test_a_search_that_is_interrupted_has_what_was_found_before(imported: Path, monkeypatch: pytest.MonkeyPatch):
    from longgame.models.ease import Ease

    def interrupt(self, log, features):
        raise KeyboardInterrupt

    monkeypatch.setattr(Ease, "fit", interrupt)
    result = run("tune", "--models", "popularity,ease", "--trials", "2", "--k", "3")
    assert result.exit_code != 0 and "interrupted: " in result.stdout
    told = json.loads((imported / ".longgame" / "tuned.json").read_text())
    assert set(told["models"]) == {"popularity"}


def test_a_tuned_value_that_cannot_be_is_laid_to_its_file(imported: Path):
    assert run("tune", "--models", "ease", "--trials", "1", "--k", "3").exit_code == 0
    file = imported / ".longgame" / "tuned.json"
    told = json.loads(file.read_text())
    told["models"]["ease"]["values"]["penalty"] = -5
    file.write_text(json.dumps(told))
    result = rank()
    assert result.exit_code != 0 and "tuned.json: ease" in result.stderr and "penalty" in result.stderr
