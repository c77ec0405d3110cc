"""A knowledge graph: read from every layout, kept, checked against the catalogue, turned into vectors, joined to the texts'."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.datasets.triples import read_graph
from longgame.errors import ArtefactError, ConfigError, DataError
from longgame.knowledge.agreement import agreement
from longgame.knowledge.graph import Graph, keep, kept
from longgame.knowledge.vectors import VectorConfig, embed
from longgame.language import Features
from longgame.rng import derive
from longgame.settings import load_settings
from longgame.store import open_store
from longgame.types import Item, ItemId
from longgame.wiring.knowledge import graph_path, joined, keep_graph, without_leaks
from longgame.wiring.training import train
from longgame.wiring.workspace import workspace
from tests.kit import event

GROUPS = 4
DATA = Path(os.environ.get("LONGGAME_DATA", "../shared/data"))


def films(count: int = 24) -> Graph:
    """Four groups of films: a group has a director and a studio of its own, a film an actor alone; all share a country."""
    triples = []
    for n in range(count):
        triples += [
            (f"m{n}", "directed by", f"d{n % GROUPS}"),
            (f"d{n % GROUPS}", "director of", f"m{n}"),
            (f"s{n % GROUPS}", "produced", f"m{n}"),
            (f"m{n}", "actor", f"a{n}"),
            (f"m{n}", "country", "here"),
        ]
    triples.append(("m3", "sequel", "m7"))
    return Graph.of(triples, {ItemId(f"i{n}"): f"m{n}" for n in range(count)})


def catalogue(count: int = 24) -> list[Item]:
    return [Item(ItemId(f"i{n}"), f"film number {n}", {"group": ("x", f"g{n % GROUPS}")}) for n in range(count)]


def test_films_that_share_facts_have_vectors_that_are_alike() -> None:
    made = embed(films(), VectorConfig(8))
    alike = made.vectors @ made.vectors.T
    same = np.equal.outer(np.arange(24) % GROUPS, np.arange(24) % GROUPS)
    assert alike[same].min() > alike[~same].max() + 0.5
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)


def test_vectors_are_the_same_again_and_another_graph_or_recipe_has_another_version() -> None:
    first, second = embed(films()), embed(films())
    np.testing.assert_array_equal(first.vectors, second.vectors)
    others = [embed(films(23)), embed(films(), VectorConfig(8)), embed(films().without(["actor"]))]
    assert len({first.version, *(other.version for other in others)}) == 4


def test_what_neighbours_say_joins_films_that_share_nothing_themselves() -> None:
    triples = [(f"m{n}", "by", f"p{n}") for n in range(8)] + [(f"p{n}", "lives in", f"c{n % 2}") for n in range(8)]
    triples += [(f"m{n}", "type", "film") for n in range(8)]
    graph = Graph.of(triples, {ItemId(f"i{n}"): f"m{n}" for n in range(8)})
    assert embed(graph).vectors.size == 0 or not embed(graph).vectors.any(), "what all share, or one has alone, tells nothing"
    near = embed(graph, VectorConfig(4, hop=0.5)).vectors
    assert (near[0] @ near[2]) > 0.9 > 0 > (near[0] @ near[1])


def test_an_item_without_an_entity_gets_zeros_and_an_empty_graph_no_columns() -> None:
    made = embed(films(), VectorConfig(8))
    rows = made.rows((ItemId("i3"), ItemId("unknown"), ItemId("i1")))
    assert not rows[1].any()
    np.testing.assert_array_equal(rows[[0, 2]], made.vectors[[3, 1]])
    assert embed(Graph.of([], {})).rows((ItemId("i1"),)).shape == (1, 0)


def test_a_relation_said_backwards_counts_once() -> None:
    once = films().once()
    assert {once.relations[r] for r in once.triples[:, 1]} == {"actor", "country", "directed by", "produced", "sequel"}
    assert len(once) == len(films()) - 24


def test_facts_of_items_name_items_by_their_id() -> None:
    said = films().facts([ItemId("i3"), ItemId("i7")])
    assert said[ItemId("i3")]["sequel"] == ("i7",)
    assert said[ItemId("i7")]["~sequel"] == ("i3",)
    assert said[ItemId("i3")]["directed by"] == ("d3",)


def test_a_relation_that_is_what_users_did_is_found() -> None:
    did = [(f"u{n % 5}", ItemId(f"i{n}")) for n in range(20)]
    triples = [(f"u{n % 5}", "liked", f"m{n}") for n in range(20)] + [(f"m{n}", "seen by", f"u{n % 5}") for n in range(9)]
    graph = films()
    names = [(graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in graph.triples.tolist()]
    mixed = Graph.of(names + triples, {ItemId(f"i{n}"): f"m{n}" for n in range(24)})
    assert set(mixed.leaks(did)) == {"liked", "seen by"}
    assert not graph.leaks(did)
    assert mixed.without(mixed.leaks(did)).leaks(did) == ()


def test_a_join_to_the_wrong_items_is_seen() -> None:
    graph, held = films(), {item.id: item.attributes for item in catalogue()}
    right = agreement(embed(graph, VectorConfig(8)), held)
    assert right is not None and right.p <= 0.01 and right.z > 5
    turned = [ItemId(f"i{n}") for n in derive(1, "turned").permutation(24)]
    wrong = agreement(embed(Graph(graph.entities, graph.relations, graph.triples, tuple(turned), graph.entity)), held)
    assert wrong is not None and wrong.p > 0.01
    assert agreement(embed(graph), {}) is None


def test_kept_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "graph.safetensors"
    assert kept(path) is None
    keep(films(), path, {"source": "test"})
    again = kept(path)
    assert again is not None and again.version == films().version and again.items == films().items
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtefactError):
        kept(path)


def write(folder: Path, layout: str) -> Path:
    """The same three facts in one of the layouts; returns what to read."""
    folder.mkdir()
    facts = [("e1", "by", "p1"), ("e2", "by", "p1"), ("e2", "genre", "g")]
    if layout == "atomic":
        (folder / "x.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\n" + lines(facts, "\t"))
        (folder / "x.link").write_text("item_id:token\tentity_id:token\n1\te1\n2\te2\n3\tnowhere\n")
        return folder
    if layout == "kgcn":
        (folder / "kg.txt").write_text(lines(facts, "\t"))
        (folder / "item_index2entity_id.txt").write_text("1\te1\n2\te2\n")
        return folder
    (folder / "facts.csv").write_text(lines(facts, ","))
    return folder / "facts.csv"


def lines(rows: Any, separator: str) -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.mark.parametrize("layout", ["atomic", "kgcn", "triples"])
def test_every_layout_is_read(tmp_path: Path, layout: str) -> None:
    made = read_graph(write(tmp_path / "in", layout))
    assert [made.relations[r] for r in made.triples[:, 1]] == ["by", "by", "genre"]
    linked = {item: made.entities[e] for item, e in zip(made.items, made.entity, strict=True)}
    assert linked == ({e: e for e in ("e1", "e2", "p1", "g")} if layout == "triples" else {"1": "e1", "2": "e2"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("a b c d e\n", "must hold 3 cells"),
        ("e1\tby\tp1\ne2\tby\n", "line 2: must hold head, relation, tail"),
        ("e1\tby\tp1\ne2\t\tp1\n", "line 2: must hold head, relation, tail"),
    ],
)
def test_a_file_that_is_no_facts_is_refused_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "kg.txt").write_text(content)
    with pytest.raises(DataError, match=words):
        read_graph(tmp_path)


def test_links_that_contradict_and_folders_without_facts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no facts"):
        read_graph(tmp_path)
    (tmp_path / "x.kg").write_text("e1\tby\tp1\n")
    (tmp_path / "x.link").write_text("1\te1\n1\tp1\n")
    with pytest.raises(DataError, match="'1' has two entities"):
        read_graph(tmp_path)


def settings(folder: Path, **flags: Any) -> Any:
    where = {"store.url": f"sqlite:///{folder / 'log.db'}", "data.folder": str(folder / "data"), "language.model": "hashing"}
    return load_settings(None, {}, {**where, **flags}).settings


def test_the_graph_is_joined_beside_the_texts(tmp_path: Path) -> None:
    text = Features("text", tuple(item.id for item in catalogue(26)), np.eye(26, dtype=np.float32))
    off, on = settings(tmp_path), settings(tmp_path, **{"knowledge.use": True, "knowledge.width": 5, "knowledge.weight": 0.5})
    assert joined(off, text) is text
    with pytest.raises(ConfigError, match="longgame knowledge PATH"):
        joined(on, text)
    store = open_store("memory:")
    store.put(catalogue(26))
    told = keep_graph(on, store, films(), "test")
    assert (told.linked, told.items, told.doubtful) == (24, 26, False)
    both = joined(on, text)
    np.testing.assert_array_equal(both.vectors[:, :26], text.vectors)
    np.testing.assert_allclose(both.vectors[:24, 26:], 0.5 * embed(films(), VectorConfig(5)).vectors, atol=1e-6)
    assert not both.vectors[24:, 26:].any() and both.version != text.version
    assert joined(on, text).version == both.version
    vectors = next(graph_path(on).parent.glob("vectors-*"))
    vectors.write_bytes(b"torn")
    np.testing.assert_array_equal(joined(on, text).vectors, both.vectors)


def test_a_graph_that_tells_what_users_did_is_kept_without_it_and_never_trained_on(tmp_path: Path) -> None:
    store, on = open_store("memory:"), settings(tmp_path, **{"knowledge.use": True})
    store.put(catalogue())
    likes = [(f"u{n}", "likes", f"m{n}") for n in range(12)]
    graph = Graph.of(
        [*likes, *((f"m{n}", "by", f"d{n % 3}") for n in range(24))], {ItemId(f"i{n}"): f"m{n}" for n in range(24)}
    )
    assert keep_graph(on, store, graph, "test").left_out == ()
    without_leaks(on, store)
    store.put([event(f"e{n}", n, n, user=f"u{n}") for n in range(12)])
    with pytest.raises(ConfigError, match="likes"):
        without_leaks(on, store)
    assert keep_graph(on, store, graph, "test").left_out == ("likes",)
    without_leaks(on, store)


def test_a_graph_that_tells_the_test_events_is_no_part_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGGAME_LANGUAGE__MODEL", "hashing")
    rows = [f"u{u},i{(u + step) % 9},{1_700_000_000 + 600 * step + u}" for u in range(30) for step in range(4)]
    Path("shop.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    Path("facts.tsv").write_text("\n".join(f"u{u}\trated\ti{(u + 3) % 9}" for u in range(30)))
    run = CliRunner()
    assert run.invoke(app, ["knowledge", "facts.tsv"]).exit_code == 0  # nothing of it is an event yet
    assert run.invoke(app, ["import", "shop.csv"]).exit_code == 0
    monkeypatch.setenv("LONGGAME_KNOWLEDGE__USE", "true")
    told = run.invoke(app, ["evaluate", "ranking", "--models", "content", "--k", "3"])
    assert told.exit_code == 2 and "must not say what users did" in told.stderr


def test_an_import_leaves_a_graph_that_was_read_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("shop", "other"):
        Path(folder).mkdir()
        (Path(folder) / "shop.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\na\tby\tx\nb\tby\tx\n")
        (Path(folder) / "shop.link").write_text("item_id:token\tentity_id:token\n1\ta\n2\tb\n")
    Path("shop/shop.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\nu\t1\t1700000000\nu\t2\t1700000001\n")
    run = CliRunner()
    assert run.invoke(app, ["knowledge", "other"]).exit_code == 0
    kept_before = graph_path(load_settings(None, {}, {}).settings).read_bytes()
    told = run.invoke(app, ["import", "shop"])
    assert told.exit_code == 0 and "a graph from other is kept and stays" in told.stdout, told.output
    assert graph_path(load_settings(None, {}, {}).settings).read_bytes() == kept_before


def test_from_files_to_a_recommender_that_knows_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that people type: import keeps the facts, knowledge says what there is, training reads them."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [f"{u}\t{(u * 3 + step * (1 + u % 2)) % 24}\t{881250949 + u * 100 + step}" for u in range(20) for step in range(8)]
    (folder / "x.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n")
    names = [f"{n}\tfilm {n}\tkind{n % GROUPS}" for n in range(24)]
    (folder / "x.item").write_text("\n".join(["item_id:token\ttitle:token_seq\tgroup:token", *names]) + "\n")
    facts = [(f"m{n}", "by", f"d{n % GROUPS}") for n in range(24)]
    (folder / "x.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\n" + lines(facts, "\t"))
    (folder / "x.link").write_text("item_id:token\tentity_id:token\n" + lines([(str(n), f"m{n}") for n in range(24)], "\t"))
    assert "run `longgame knowledge PATH`" in CliRunner().invoke(app, ["knowledge"]).output
    imported = CliRunner().invoke(app, ["import", str(folder), "--json"])
    assert imported.exit_code == 0, imported.output
    assert json.loads(imported.stdout)["knowledge"]["linked"] == 24
    shown = CliRunner().invoke(app, ["knowledge"])
    assert "24 of 24 items" in shown.output and "knowledge.use = true" in shown.output
    flags = {"language.model": "hashing", "knowledge.use": True, "knowledge.width": 4, "policy.steps": 5}
    with workspace(load_settings(None, {}, flags).settings) as ws:
        train(ws)
        loaded = ws.load()
        assert loaded is not None and "facts1-4" in loaded.recommender.features.version


def test_the_published_links_of_movielens_100k_are_doubted() -> None:
    """They are ids of another edition, and nothing else would say so: RUCAIBox/RecSysDatasets, issue 130."""
    if not (DATA / "ml100k").is_dir():
        pytest.skip(f"ml100k is not in {DATA}; point LONGGAME_DATA at the data")
    graph = read_graph(DATA / "ml100k")
    assert len(graph) == 91_631 and len(graph.items) == 1_598
    with next((DATA / "ml100k").glob("*.item")).open(encoding="utf-8") as rows:
        cells = [line.rstrip("\n").split("\t") for line in rows][1:]
    held = {ItemId(row[0]): {"genres": tuple(row[3].split())} for row in cells}
    found = agreement(embed(graph, VectorConfig(16)), held)
    assert found is not None and found.p > 0.01, found


def test_two_items_of_one_entity_both_have_its_facts_and_are_both_seen_to_leak() -> None:
    text = Graph(
        ("E", "M", "U"),
        ("genre", "rated"),
        np.array([[0, 0, 1], [2, 1, 0]]),
        (ItemId("first edition"), ItemId("second edition")),
        np.array([0, 0]),
    )
    said = text.facts([ItemId("first edition"), ItemId("second edition")])
    assert said[ItemId("first edition")]["genre"] == said[ItemId("second edition")]["genre"] == ("M",)
    for edition in ("first edition", "second edition"):
        assert text.leaks([("U", ItemId(edition))]) == ("rated",)
