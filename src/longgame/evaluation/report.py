"""The ranking table for people: one HTML page that needs nothing beside itself, and Markdown for a document.

The page has no script and names no address, so it can be sent, kept and opened anywhere. The names in it may be any
stranger's (of data, of groups of users), and all are escaped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from longgame.evaluation.figures import plots, ranked
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.pages import document, escaped, figure, table_of
from longgame.evaluation.paper import visible
from longgame.evaluation.table import ACCURACY, METRICS, Bucket, RankingTable, Row

BETTER: Mapping[str, str] = {
    **dict.fromkeys((*ACCURACY, "coverage", "diversity", "novelty", "serendipity"), "higher"),
    **dict.fromkeys(("gini", "calibration"), "lower"),
    "popularity lift": "nearer to 0",
}
"""Metric -> which way is better, all else being equal."""
_DIGITS: Mapping[str, int] = {
    **dict.fromkeys((*ACCURACY, "serendipity"), 4),
    "acquainted": 4,
    "novelty": 2,
    "popularity lift": 1,
}
_NOTHING = "–"
_HOW = (
    "Every model ranks the whole catalogue for each user, less what the user has seen; nothing is sampled. Models are sorted "
    "by NDCG@{k}. Below each figure stands its 95 % interval, over users and seeds together (coverage and Gini: over seeds). "
    "The best figure of a column is bold; the comparisons say which differences are more than luck."
)
_PAIRED = (
    "The same users, paired: differences with a 95 % bootstrap interval over users, and the two-sided p of random sign flips. "
    "Holm's correction is for all comparisons of one metric; bold where it leaves p below 0.05."
)


def page(table: RankingTable) -> str:
    """The whole table as one HTML file; the same table gives the same bytes. Raises MissingExtra without matplotlib."""
    pictures = plots(table)
    title = f"Recommenders on {table.data}"
    facts = {
        "split": table.split,
        "length of a list": str(table.k),
        "users ranked": f"{table.users:,}" + (f", {table.newcomers:,} of them without a history" if table.newcomers else ""),
        "items": f"{table.items:,}",
        "events learned from": f"{table.events:,}",
    }
    told = "".join(f"<div><dt>{name}</dt><dd>{escaped(value)}</dd></div>" for name, value in facts.items())
    parts = [
        f"<h1>{escaped(title)}</h1>",
        f'<dl class="facts">{told}</dl>',
        f"<p>{_HOW.format(k=table.k)}</p>",
        _main_table(table),
        _meanings(table),
        _comparisons(table),
        *(figure(plot) for plot in pictures),
        _numbers_behind(table),
        _configs(table),
    ]
    return document(title, parts)


def markdown(table: RankingTable) -> str:
    """The table, the comparisons and the gaps as Markdown, every figure with its interval; no heading of its own."""
    rows = ranked(table)
    told = (
        f"{_plain(table.data)}, {_plain(table.split)}: {table.users:,} users{_newcomers(table)}, ranked among all "
        f"{table.items:,} items less those they had seen; fitted on {table.events:,} events. 95 % intervals over users, and "
        "over seeds where a model has several; the best of a column is bold."
    )
    parts = [told]
    known = _known(rows)
    best = {metric: _best(rows, metric) for metric in known}
    for some, more in (([m for m in known if m in ACCURACY], True), ([m for m in known if m not in ACCURACY], False)):
        if some:
            head = ["model", *(_name(m, table.k) for m in some), *(["seeds", "fit, s", "numbers"] if more else [])]
            body = [
                [_plain(row.name), *(_marked(row, m, best[m]) for m in some)]
                + ([str(row.seeds), f"{row.seconds:.1f}", f"{row.numbers:,}"] if more else [])
                for row in rows
            ]
            parts.append(_grid(head, body))
    if table.comparisons:
        body = [
            [_plain(c.model), _plain(c.against), _name(c.metric, table.k), _signed(c.gap), _p(c.p), _p(c.holm)]
            for c in table.comparisons
        ]
        parts.append(_grid(["model", "less", "metric", "difference", "p", "p after Holm"], body))
    kinds = _kinds(rows)
    if kinds:
        body = [[_plain(row.name), *(_spelled(row.gap.get(kind), 4) for kind in kinds)] for row in rows]
        parts.append(_grid(["NDCG gap between groups by", *(_plain(kind) for kind in kinds)], body))
    failed = [f"- {_plain(row.name)} has no figures: {_plain(row.error)}" for row in table.rows if row.error]
    return "\n\n".join(parts + (["\n".join(failed)] if failed else [])) + "\n"


def _newcomers(table: RankingTable) -> str:
    return f" ({table.newcomers:,} of them without a history)" if table.newcomers else ""


def _main_table(table: RankingTable) -> str:
    rows = ranked(table)
    known = _known(rows)
    best = {metric: _best(rows, metric) for metric in known}
    head = [("model", ""), *((_name(metric, table.k), METRICS[metric]) for metric in known)]
    head += [("seeds", "runs averaged"), ("spread", "standard deviation of the NDCG between seeds")]
    head += [("fit", "seconds to fit one"), ("numbers", "floating-point numbers that a fitted model holds")]
    body = []
    for row in rows:
        cells = [f'<th scope="row">{escaped(row.name)}<small>{escaped(row.title)}</small></th>']
        cells += [_cell(row.metrics.get(metric), _digits(metric), row.name in best[metric]) for metric in known]
        spread = f"{row.spread:.4f}" if row.spread is not None else _NOTHING
        cells += [f"<td>{text}</td>" for text in (row.seeds, spread, f"{row.seconds:,.1f} s", f"{row.numbers:,}")]
        body.append("".join(cells))
    for row in table.rows:
        if row not in rows:
            name = f'<th scope="row">{escaped(row.name)}<small>{escaped(row.title)}</small></th>'
            why = escaped(row.error or "no NDCG was measured")
            body.append(f'{name}<td class="text" colspan="{len(head) - 1}">no figures: {why}</td>')
    return table_of(
        [f'<th scope="col" title="{escaped(what)}">{escaped(name)}</th>' for name, what in head], body, "All metrics"
    )


def _meanings(table: RankingTable) -> str:
    known = _known(ranked(table))
    told = {m: f"{METRICS[m]}; {BETTER.get(m, 'higher')} is better, all else being equal" for m in known}
    lines = "".join(f"<li><b>{escaped(_name(m, table.k))}</b>: {escaped(what)}</li>" for m, what in told.items())
    return f"<details><summary>What the columns say</summary><ul>{lines}</ul></details>" if known else ""


def _comparisons(table: RankingTable) -> str:
    if not table.comparisons:
        return ""
    head = ["model", "less", "metric", "difference", "p", "p after Holm"]
    body = []
    for c in table.comparisons:
        gap = _cell(c.gap, 4, c.holm < 0.05, signed=True)
        texts = "".join(f'<td class="text">{escaped(text)}</td>' for text in (c.against, _name(c.metric, table.k)))
        body.append(
            f'<th scope="row">{escaped(c.model)}</th>{texts}{gap}<td>{escaped(_p(c.p))}</td><td>{escaped(_p(c.holm))}</td>'
        )
    heads = [f'<th scope="col"{" class=text" if name in ("less", "metric") else ""}>{name}</th>' for name in head]
    shown = table_of(heads, body, "Comparisons")
    return f"<h2>Paired comparisons</h2><p>{escaped(_PAIRED)}</p>{shown}"


def _numbers_behind(table: RankingTable) -> str:
    """Every model's figures by group and by popularity, and the gaps: the plots show some models, these tables all."""
    rows, k = ranked(table), table.k
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.groups))
    said = [(f"NDCG@{k} by {kind}", {row.name: row.groups.get(kind, ()) for row in rows}) for kind in kinds]
    said.append((f"Recall@{k} of held-out events by popularity of the item", {row.name: row.popularity for row in rows}))
    out = [_buckets(title, own) for title, own in said]
    if gaps := _kinds(rows):
        body = [
            f'<th scope="row">{escaped(row.name)}</th>' + "".join(_cell(row.gap.get(kind), 4) for kind in gaps) for row in rows
        ]
        head = [f'<th scope="col">{escaped(name)}</th>' for name in ("model", *gaps)]
        title = "NDCG of the best served group less that of the worst served"
        out.append(f"<details><summary>{title}</summary>{table_of(head, body, title)}</details>")
    shown = "".join(out)
    return f"<h2>The numbers behind the plots</h2>{shown}" if shown else ""


def _buckets(title: str, own: Mapping[str, Sequence[Bucket]]) -> str:
    count = {bucket.label: bucket.count for buckets in reversed(list(own.values())) for bucket in buckets}
    labels = list(dict.fromkeys(bucket.label for buckets in own.values() for bucket in buckets))
    if not labels:
        return ""
    head = ['<th scope="col">model</th>']
    head += [f'<th scope="col">{escaped(label)}<small>{count[label]:,}</small></th>' for label in labels]
    body = []
    for name, buckets in own.items():
        found = {bucket.label: bucket.estimate for bucket in buckets}
        body.append(f'<th scope="row">{escaped(name)}</th>' + "".join(_cell(found.get(label), 4) for label in labels))
    return f"<details><summary>{escaped(title)}</summary>{table_of(head, body, title)}</details>"


def _configs(table: RankingTable) -> str:
    if not table.rows:
        return ""
    parts = []
    for row in table.rows:
        content = json.dumps(row.config, indent=1, default=str, ensure_ascii=False)
        parts.append(f"<details><summary>{escaped(row.name)}</summary><pre>{escaped(content, lines=True)}</pre></details>")
    return "<h2>Configurations</h2>" + "".join(parts)


def _cell(estimate: Estimate | None, digits: int, bold: bool = False, signed: bool = False) -> str:
    if estimate is None or math.isnan(estimate.value):
        return f"<td>{_NOTHING}</td>"
    value, interval = _figures(estimate, digits, signed)
    below = f"<small>{interval}</small>" if interval else ""
    return f'<td class="best"><b>{value}</b>{below}</td>' if bold else f"<td>{value}{below}</td>"


def _figures(estimate: Estimate, digits: int, signed: bool = False) -> tuple[str, str]:
    """Value and interval as text; no interval where the number is exact or nothing is known of its error."""
    sign = "+" if signed else ""
    value, low, high = (f"{number:{sign}.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    if estimate.low == estimate.high or not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return value, ""
    return value, f"[{low}, {high}]"


def _spelled(estimate: Estimate | None, digits: int) -> str:
    if estimate is None or math.isnan(estimate.value):
        return _NOTHING
    return " ".join(_figures(estimate, digits)).strip()


def _signed(estimate: Estimate) -> str:
    return " ".join(_figures(estimate, 4, signed=True)).strip()


def _marked(row: Row, metric: str, best: frozenset[str]) -> str:
    estimate = row.metrics.get(metric)
    if estimate is None or math.isnan(estimate.value):
        return _NOTHING
    value, interval = _figures(estimate, _digits(metric))
    return f"{f'**{value}**' if row.name in best else value} {interval}".strip()


def _best(rows: Sequence[Row], metric: str) -> frozenset[str]:
    """The models with the best figure as it is printed; none where all are alike, for then it says nothing."""
    values = {row.name: round(row.metrics[metric].value, _digits(metric)) for row in rows if metric in row.metrics}
    worth = {"higher": lambda v: -v, "lower": lambda v: v, "nearer to 0": abs}[BETTER.get(metric, "higher")]
    cost = {name: worth(value) for name, value in values.items() if math.isfinite(value)}
    if len(cost) < 2 or len(set(cost.values())) < 2:
        return frozenset()
    return frozenset(name for name, one in cost.items() if one == min(cost.values()))


def _known(rows: Sequence[Row]) -> list[str]:
    return [metric for metric in METRICS if any(metric in row.metrics for row in rows)]


def _kinds(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(kind for row in rows for kind in row.gap))


def _digits(metric: str) -> int:
    return _DIGITS.get(metric, 3)


def _name(metric: str, k: int) -> str:
    return metric if metric == "mrr" else f"{metric}@{k}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _plain(text: str) -> str:
    """Escaped for Markdown, in and out of tables, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(visible(text).split()))


def _grid(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rule = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *body))
