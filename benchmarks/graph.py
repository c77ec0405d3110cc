"""What a knowledge graph is worth: item vectors with and without it, and with its items shuffled, which is the control.

    python benchmarks/graph.py [--data PATH] [--titles FILE] [--facts FOLDER] [--parts content,cold,sequence,…] [--seeds 3]
        [--json FILE]

PATH is a folder with MovieLens 100K as atomic files and its .kg and .link; without it ``ml100k`` under ``$LONGGAME_DATA`` or
``../shared/data``. The published .link of that set has the film ids of MovieLens 1M, so it joins nearly every film to another
(RUCAIBox/RecSysDatasets issue 130): each film is looked up by title and year in ``--titles`` (``ml1m_text``: id -> a text that
begins with them) and gets the entity of its id there. ``as-published`` is the file as it is.

With ``--facts`` the facts are tags and attributes that ``longgame understand`` read in that data folder (``.longgame``), of any
data, and no graph is needed.

Parts: ``content`` (the model near the history's vectors; its shape, the graph's width and its weight are chosen on the
validation events, then the test is looked at once), ``cold`` (a tenth of the items has no event at all: ranked among
themselves for every user who took one, three draws of the items), ``sequence`` and ``sequence-cold`` (the same with the
supervised network; ``--arms "text,rules,rules shuffled"``: with what rules say in place of the graph), ``rules`` (the same as a
score beside item-kNN's). Each arm stands in a paired test against text alone.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
):  # before numpy loads: beside a busy neighbour two threads are slower than one
    os.environ.setdefault(_name, "1")

import argparse
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.datasets.triples import read_graph
from longgame.evaluation.intervals import crossed, crossed_gap, sign_flip
from longgame.evaluation.ranking import RankingResult, evaluate_model
from longgame.evaluation.splits import Cut, Split, without_items
from longgame.knowledge.book import Rulebook
from longgame.knowledge.columns import rule_columns
from longgame.knowledge.graph import Graph
from longgame.knowledge.rules import parse
from longgame.knowledge.vectors import VectorConfig, embed
from longgame.language import Features, VectorCache
from longgame.models import MODELS
from longgame.models.content import Content, ContentConfig
from longgame.models.sequence import SequenceConfig, SequenceModel
from longgame.protocols import Model
from longgame.retrieval.ruled import RuleRetriever
from longgame.rng import derive
from longgame.state import state_of
from longgame.types import F32, I64, ItemId
from longgame.wiring.reading import read
from longgame.wiring.reading_kept import facts_read
from longgame.wiring.workspace import one_thread

WIDTHS, WEIGHTS = (32, 64, 128), (0.5, 1.0, 1.5)
SHAPES = [ContentConfig(half_life=h, whiten=w) for h in (16.0, 8.0, 4.0) for w in (0.0, 0.5)]
ARMS = ("text", "graph", "both", "shuffled", "as published")
BY_RULES = ("rules", "rules shuffled")
"""Arms of the parts with a network: what the rules say beside the text, and the same of another film."""
Arms = Mapping[str, F32]


@dataclass(frozen=True)
class Data:
    log: Interactions
    split: Split
    text: F32
    graph: Graph
    published: Graph


def plain_title(title: str) -> str:
    """Without what is in brackets, articles, case and signs.

    >>> plain_title("Wrong Trousers, The") == plain_title('"The Wrong Trousers"')
    True
    """
    bare = re.sub(r"\(.*?\)", "", title).strip(' "').lower()
    bare = re.sub(r"^(.*), (the|a|an|la|le|les|il|das|der|die|el|l')$", r"\2 \1", bare)
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(the|a|an) ", "", bare).replace("&", "and"))


def relinked(graph: Graph, titles: Path, films: Mapping[ItemId, tuple[str, str]]) -> Graph:
    """The graph with each film's entity looked up by title and year; ``films`` are the log's: id -> both."""
    known: dict[tuple[str, str], str] = {}
    for id, text in json.loads(titles.read_text("utf-8")).items():
        if found := re.match(r'^\W*(?:the (?:film|movie) )?"?(.{1,80}?)[",]*\s*\((\d{4})\)', text, re.I):
            known.setdefault((plain_title(found[1]), found[2]), id)
    entity = dict(zip(graph.items, graph.entity.tolist(), strict=True))
    pairs = {film: known.get((plain_title(title), year)) for film, (title, year) in films.items()}
    held = {film: entity[ItemId(id)] for film, id in pairs.items() if id is not None and id in entity}
    return replace(graph, items=tuple(held), entity=np.array(list(held.values()), np.int64))


def shuffled(graph: Graph, seed: int) -> Graph:
    """The same facts about the same entities, each item joined to another's."""
    return replace(graph, entity=derive(seed, "graph", "shuffled").permutation(graph.entity))


def data_of(path: Path, titles: Path, cache: Path) -> Data:
    known = read(path, cache=VectorCache(cache / "vectors"), say=print)
    with next(path.glob("*.item")).open(encoding="utf-8") as rows:
        films = {ItemId(r[0]): (r[1], r[2]) for r in (line.rstrip("\n").split("\t") for line in rows)}
    published = read_graph(path)
    graph = relinked(published, titles, films)
    share = np.isin(known.log.item, [i for i, id in enumerate(known.log.items) if id in set(graph.items)]).mean()
    print(f"graph: {len(graph):,} facts, {len(graph.once()):,} said once; {len(graph.items):,} films, {share:.1%} of events")
    return Data(known.log, Cut.of(known.log).split(known.log), known.features, graph, published)


def data_read(path: Path, folder: Path, cache: Path) -> Data:
    """The same with what was read of the items in the place of the graph."""
    known = read(path, cache=VectorCache(cache / "vectors"), say=print)
    graph = facts_read(folder)
    if graph is None:
        raise SystemExit(f"{folder}: no tags or attributes were read there; run `longgame understand --what tags,attributes`")
    print(f"read: {len(graph):,} facts of {len(graph.items):,} items")
    return Data(known.log, Cut.of(known.log).split(known.log), known.features, graph, graph)


def vectors(data: Data, graph: Graph, width: int) -> F32:
    return embed(graph, VectorConfig(width)).rows(data.log.items)


def arms_of(data: Data, width: int, weight: float, seed: int) -> Arms:
    """Each arm's item features; the control's permutation is the seed's."""
    joined: Callable[[Graph], F32] = lambda graph: np.concatenate([data.text, weight * vectors(data, graph, width)], axis=1)  # noqa: E731
    return {
        "text": data.text,
        "graph": vectors(data, data.graph, width),
        "both": joined(data.graph),
        "shuffled": joined(shuffled(data.graph, seed)),
        "as published": joined(data.published),
        **by_rules(data, width, weight, seed),
    }


def by_rules(data: Data, width: int, weight: float, seed: int) -> Arms:
    """The text with the columns of RULES beside it; nothing where there is no graph of films."""
    if "film.film.sequel" not in data.graph.relations:
        return {}
    columns = weight * rule_columns(book(data), data.log.items, width)
    other = columns[derive(seed, "rules", "shuffled").permutation(len(columns))]
    return {name: np.concatenate([data.text, it], axis=1) for name, it in zip(BY_RULES, (columns, other), strict=True)}


def book(data: Data) -> Rulebook:
    """RULES over the films."""
    facts = data.graph.facts(data.log.items)
    return Rulebook([parse(text) for text in RULES], {id: facts.get(id, {}) for id in data.log.items})


def judged(model: Model, train: Interactions, target: Interactions, features: F32) -> RankingResult:
    model.fit(train, features)
    return evaluate_model(model, train, target)


class AmongNew:
    """A model's scores with all but the new items at the bottom."""

    def __init__(self, model: Model, new: I64, count: int) -> None:
        self._model, self._old = model, np.setdiff1d(np.arange(count), new)

    def score(self, histories: I64) -> F32:
        scores = self._model.score(histories).copy()
        scores[:, self._old] = scores.min() - 1
        return scores


def cold(model: Model, data: Data, features: F32, seed: int) -> RankingResult:
    """A tenth of the items without any event; for everyone who took some of them, they are ranked among themselves."""
    everything = Split("all", data.log, data.log.select(np.zeros(len(data.log), np.bool_)), data.log)
    held, new = without_items(everything, 0.1, seed)
    model.fit(held.train, features)
    target = data.log.select(np.isin(data.log.item, new))
    return evaluate_model(AmongNew(model, new, len(data.log.items)), held.train, target)


def report(title: str, found: Mapping[str, Sequence[RankingResult]], out: dict[str, Any], against: str = "text") -> None:
    """Each arm with its interval over users and seeds, and its difference from ``against`` with a paired p."""
    out[title] = {}
    for arm, results in found.items():
        line, kept = f"  {title:<22}{arm:<14}", {}
        for metric in ("ndcg", "recall"):
            columns = [result.column(metric) for result in results]
            value = crossed(_by_user(results, columns), derive(0, "graph", title, arm))
            line += f"  {metric}@10 {value}"
            kept[metric] = asdict(value)
            if arm != against and against in found:
                other = _by_user(found[against], [r.column(metric) for r in found[against]])
                own = _by_user(results, columns)
                gap = crossed_gap(own, other, derive(0, "graph gap", title, arm))
                p = sign_flip(_mean(own) - _mean(other), derive(0, "graph p", title, arm))
                line += f" ({gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p {p:.4f})"
                kept[f"{metric} gap"] = {**asdict(gap), "p": p}
        print(line, flush=True)
        out[title][arm] = kept


def _by_user(results: Sequence[RankingResult], columns: Sequence[Any]) -> Any:
    """(S, U) with NaN of users who have nothing to be judged by in a seed."""
    top = max(int(result.users.max()) for result in results) + 1
    out = np.full((len(results), max(top, 2000)), np.nan)
    for row, (result, column) in enumerate(zip(results, columns, strict=True)):
        out[row, result.users] = column
    some = ~np.isnan(out).all(axis=0)
    return np.where(some, out, np.nan)


RULES = (
    "-> in film.film.sequel",
    "-> in film.film.prequel",
    "-> in ~film.film.sequel",
    "-> in ~film.film.prequel",
    "-> same film.film.directed_by",
    "-> same ~film.writer.film",
    "-> same film.film.subjects",
)
"""Written by hand, before a look at any event: a series goes on, and who made a film, or what it is about, matters."""
VOICES = (0.0, 0.03, 0.1, 0.3, 1.0)


class Voices:
    """Scores of a model, each user's brought to deviation 1, and ``weight`` times what rules say for the history's items."""

    def __init__(self, table: F32, weight: float, model: Model | None, half_life: float = 8.0) -> None:
        self._table, self._weight, self._model, self._half_life = table, weight, model, half_life

    def score(self, histories: I64) -> F32:
        age = np.arange(histories.shape[1])[::-1]
        kept = np.where(histories >= 0, 0.5 ** (age / self._half_life), 0).astype(np.float32)
        out = np.stack([weights @ self._table[items] for weights, items in zip(kept, histories, strict=True)])
        if self._model is None:
            return out
        plain = self._model.score(histories)
        spread: F32 = plain / plain.std(axis=1, keepdims=True) + np.float32(self._weight) * out
        return spread


def rules(data: Data, out: dict[str, Any]) -> None:
    """Rules as a score, alone and beside item-kNN; the weight is chosen on the validation events."""
    catalogue = Features("rules", data.log.items, np.zeros((len(data.log.items), 1), np.float32))
    source = RuleRetriever(book(data), catalogue, np.zeros(0, np.float32))
    table = np.zeros((len(catalogue), len(catalogue)), np.float32)
    for row in range(len(catalogue)):
        table[row] = source.voices(state_of([row], (), catalogue, 1))
    fired = np.asarray((table > 0).any(axis=1))
    print(
        f"  rules: {fired.sum():,} of {len(fired):,} films fire one; {(table > 0).sum() / max(1, fired.sum()):.1f} films each"
    )
    tried = {}
    for weight in VOICES:
        plain = MODELS["item-knn"].make(MODELS["item-knn"].config())
        plain.fit(data.split.train, data.text)
        judge = evaluate_model(Voices(table, weight, plain), data.split.train, data.split.validation)
        tried[weight] = float(judge.ndcg.mean())
    weight = max(tried, key=lambda key: tried[key])
    print(f"  rules: weight {weight} by NDCG on validation: {tried}")
    plain = MODELS["item-knn"].make(MODELS["item-knn"].config())
    before, test = data.split.before, data.split.test
    plain.fit(before, data.text)
    found = {
        "item-knn": [evaluate_model(Voices(table, 0.0, plain), before, test)],
        "rules alone": [evaluate_model(Voices(table, 1.0, None), before, test)],
        "with rules": [evaluate_model(Voices(table, weight, plain), before, test)],
    }
    report("rules", found, out, "item-knn")


def _mean(values: Any) -> Any:
    """(U,) over the seeds that a user has; NaN of one who has none."""
    there = ~np.isnan(values)
    return np.where(there, values, 0).sum(axis=0) / np.where(there.any(axis=0), there.sum(axis=0), np.nan)


def choose(data: Data) -> tuple[dict[str, ContentConfig], int, float]:
    """The model's shape for each arm, and the graph's width and weight, by NDCG on the validation events."""
    train, target = data.split.train, data.split.validation

    def best(features: F32) -> tuple[float, ContentConfig]:
        tried = [(float(judged(Content(shape), train, target, features).ndcg.mean()), shape) for shape in SHAPES]
        return max(tried, key=lambda pair: pair[0])

    found = {}
    for width in WIDTHS:
        graph = vectors(data, data.graph, width)
        for weight in WEIGHTS:
            found[width, weight] = best(np.concatenate([data.text, weight * graph], axis=1))
            print(f"  validation: width {width}, weight {weight}: NDCG {found[width, weight][0]:.4f}", flush=True)
    width, weight = max(found, key=lambda key: found[key][0])
    shapes = {arm: best(features)[1] for arm, features in arms_of(data, width, weight, 0).items()}
    print(f"chosen on validation: width {width}, weight {weight}; shapes {shapes}", flush=True)
    return shapes, width, weight


def main() -> None:
    home = Path(os.environ.get("LONGGAME_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=home / "ml100k")
    parser.add_argument("--titles", type=Path, default=home / "ml1m_text" / "llm_response_item.json")
    parser.add_argument("--facts", type=Path, help="data folder that tags and attributes were read in, in place of a graph")
    parser.add_argument("--parts", default="content,cold,sequence,sequence-cold")
    parser.add_argument("--width", type=int, help="of the graph's vectors; left out: chosen on validation")
    parser.add_argument("--weight", type=float, help="of the graph beside the text; left out: chosen on validation")
    parser.add_argument("--arms", default=",".join(ARMS), help="of the parts with a network, which take long")
    parser.add_argument(
        "--epochs", type=int, default=0, help="passes of the network, the same for all arms; 0: stops by itself"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path("graph"), help="folder for text vectors")
    parser.add_argument("--write-links", type=Path, help="write the corrected joins here, for `longgame knowledge --links`")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    asked = parser.parse_args()
    for needed in (asked.data, asked.facts or asked.titles):
        if not needed.exists():
            raise SystemExit(f"{needed}: there is no such data; say where it is with --data, --titles or LONGGAME_DATA")
    one_thread()
    parts, out = asked.parts.split(","), dict[str, Any]()
    if asked.facts:
        data, arms = data_read(asked.data, asked.facts, asked.cache), [arm for arm in ARMS if arm != "as published"]
    else:
        data, arms = data_of(asked.data, asked.titles, asked.cache), list(ARMS)
    if asked.write_links:
        pairs = zip(data.graph.items, data.graph.entity.tolist(), strict=True)
        rows = "".join(f"{item}\t{data.graph.entities[entity]}\n" for item, entity in pairs)
        asked.write_links.write_text(f"item_id:token\tentity_id:token\n{rows}", "utf-8")
    width, weight, shapes = asked.width, asked.weight, dict[str, ContentConfig]()
    if {"content", "cold"} & set(parts) or (width is None and {"sequence", "sequence-cold"} & set(parts)):
        shapes, width, weight = choose(data)
    out["chosen"] = {"width": width, "weight": weight}
    seeds = [arms_of(data, width, weight, seed) for seed in range(asked.seeds)] if width and weight else []
    some = [arm for arm in asked.arms.split(",") if arm in (*arms, *BY_RULES)]
    passes: dict[str, Any] = {"epochs": asked.epochs, "patience": 0} if asked.epochs else {}
    before, test = data.split.before, data.split.test
    if "rules" in parts:
        rules(data, out)
    if "content" in parts:
        report("content", {a: [judged(Content(shapes[a]), before, test, f[a]) for f in seeds] for a in arms}, out)
    if "cold" in parts:
        report("content, cold", {a: [cold(Content(shapes[a]), data, f[a], s) for s, f in enumerate(seeds)] for a in arms}, out)
    for part in [part for part in ("sequence", "sequence-cold") if part in parts]:
        found: dict[str, list[RankingResult]] = {}
        for seed, features in enumerate(seeds):
            for arm in some:
                began = time.perf_counter()
                model = SequenceModel(SequenceConfig(seed=seed, **passes))
                result = (
                    judged(model, before, test, features[arm]) if part == "sequence" else cold(model, data, features[arm], seed)
                )
                found.setdefault(arm, []).append(result)
                took = time.perf_counter() - began
                print(f"  {part}, {arm}, seed {seed}: NDCG {result.ndcg.mean():.4f}, {took:.0f} s", flush=True)
        report(part, found, out)
    if asked.json:
        asked.json.write_text(json.dumps(out, indent=1), "utf-8")


if __name__ == "__main__":
    main()
