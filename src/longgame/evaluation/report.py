"""The ranking table for people: one HTML page that needs nothing beside itself, and Markdown for a document.

The page has no script and names no address, so it can be sent, kept and opened anywhere. The names in it may be any
stranger's (of data, of groups of users), and all are escaped.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from longgame.evaluation.figures import Plot, plots, ranked, visible
from longgame.evaluation.intervals import Estimate
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

_STYLE = """
:root{color-scheme:light dark;--line:#8885;--soft:#8882;--paper:#fff;--ink:#1b1b1f;--quiet:#5c5c66}
@media(prefers-color-scheme:dark){:root{--paper:#16161a;--ink:#e9e9ee;--quiet:#a6a6b2}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:92rem;padding:1.2rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.4rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem}
p,figcaption,li{max-width:46rem}.quiet,small,figcaption{color:var(--quiet)}
dl.facts{display:flex;flex-wrap:wrap;gap:.4rem 2rem;margin:0}.facts dt{font-size:.8rem;color:var(--quiet)}
.facts dd{margin:0;font-weight:600}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch;border:1px solid var(--line);border-radius:.4rem;margin:.6rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem;width:100%}
th,td{padding:.4rem .6rem;text-align:right;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child>*{border-bottom:0}
th:first-child,.text{text-align:left}thead th{background:var(--soft);font-weight:600}
tbody th{position:sticky;left:0;background:var(--paper);font-weight:600;min-width:9.5rem;max-width:15rem;white-space:normal;
  overflow-wrap:anywhere}
th small,td small{display:block;font-size:.75rem;font-weight:400}td[colspan]{white-space:normal;min-width:14rem}
td.best{background:var(--soft)}
figure{margin:.8rem 0 1.6rem}figure svg{width:100%;min-width:34rem;height:auto;display:block;max-width:60rem}
.plot{overflow-x:auto}
.legend{display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;list-style:none;padding:0;margin:.4rem 0;font-size:.88rem}
.legend svg{width:.8rem;min-width:0;height:.8rem;display:inline-block;margin-right:.4rem}
.legend li{overflow-wrap:anywhere}
details{margin:.4rem 0}summary{cursor:pointer}
pre{overflow-x:auto;background:var(--soft);padding:.7rem;border-radius:.4rem;font-size:.82rem}
@media print{.scroll{overflow:visible}}
"""


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
    told = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<dl class="facts">{told}</dl>',
        f"<p>{_HOW.format(k=table.k)}</p>",
        _main_table(table),
        _meanings(table),
        _comparisons(table),
        *(_figure(plot) for plot in pictures),
        _numbers_behind(table),
        _configs(table),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


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
        cells = [f'<th scope="row">{_text(row.name)}<small>{_text(row.title)}</small></th>']
        cells += [_cell(row.metrics.get(metric), _digits(metric), row.name in best[metric]) for metric in known]
        spread = f"{row.spread:.4f}" if row.spread is not None else _NOTHING
        cells += [f"<td>{text}</td>" for text in (row.seeds, spread, f"{row.seconds:,.1f} s", f"{row.numbers:,}")]
        body.append("".join(cells))
    for row in table.rows:
        if row not in rows:
            name = f'<th scope="row">{_text(row.name)}<small>{_text(row.title)}</small></th>'
            why = _text(row.error or "no NDCG was measured")
            body.append(f'{name}<td class="text" colspan="{len(head) - 1}">no figures: {why}</td>')
    return _table([f'<th scope="col" title="{_text(what)}">{_text(name)}</th>' for name, what in head], body, "All metrics")


def _meanings(table: RankingTable) -> str:
    known = _known(ranked(table))
    told = {m: f"{METRICS[m]}; {BETTER.get(m, 'higher')} is better, all else being equal" for m in known}
    lines = "".join(f"<li><b>{_text(_name(m, table.k))}</b>: {_text(what)}</li>" for m, what in told.items())
    return f"<details><summary>What the columns say</summary><ul>{lines}</ul></details>" if known else ""


def _comparisons(table: RankingTable) -> str:
    if not table.comparisons:
        return ""
    head = ["model", "less", "metric", "difference", "p", "p after Holm"]
    body = []
    for c in table.comparisons:
        gap = _cell(c.gap, 4, c.holm < 0.05, signed=True)
        texts = "".join(f'<td class="text">{_text(text)}</td>' for text in (c.against, _name(c.metric, table.k)))
        body.append(f'<th scope="row">{_text(c.model)}</th>{texts}{gap}<td>{_text(_p(c.p))}</td><td>{_text(_p(c.holm))}</td>')
    heads = [f'<th scope="col"{" class=text" if name in ("less", "metric") else ""}>{name}</th>' for name in head]
    shown = _table(heads, body, "Comparisons")
    return f"<h2>Paired comparisons</h2><p>{_text(_PAIRED)}</p>{shown}"


def _figure(plot: Plot) -> str:
    swatch = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" rx="2" fill="{}"/></svg>'
    keys = "".join(f"<li>{swatch.format(colour or 'currentColor')}{_text(name)}</li>" for colour, name in plot.legend)
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    label = f"{plot.title}. The numbers are in the tables below."
    return (
        f"<h2>{_text(plot.title)}</h2><figure>{legend}"
        f'<div class="plot" role="img" aria-label="{_text(label)}">{plot.svg}</div>'
        f"<figcaption>{_text(plot.caption)}</figcaption></figure>"
    )


def _numbers_behind(table: RankingTable) -> str:
    """Every model's figures by group and by popularity, and the gaps: the plots show some models, these tables all."""
    rows, k = ranked(table), table.k
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.groups))
    said = [(f"NDCG@{k} by {kind}", {row.name: row.groups.get(kind, ()) for row in rows}) for kind in kinds]
    said.append((f"Recall@{k} of held-out events by popularity of the item", {row.name: row.popularity for row in rows}))
    out = [_buckets(title, own) for title, own in said]
    if gaps := _kinds(rows):
        body = [
            f'<th scope="row">{_text(row.name)}</th>' + "".join(_cell(row.gap.get(kind), 4) for kind in gaps) for row in rows
        ]
        head = [f'<th scope="col">{_text(name)}</th>' for name in ("model", *gaps)]
        title = "NDCG of the best served group less that of the worst served"
        out.append(f"<details><summary>{title}</summary>{_table(head, body, title)}</details>")
    shown = "".join(out)
    return f"<h2>The numbers behind the plots</h2>{shown}" if shown else ""


def _buckets(title: str, own: Mapping[str, Sequence[Bucket]]) -> str:
    count = {bucket.label: bucket.count for buckets in reversed(list(own.values())) for bucket in buckets}
    labels = list(dict.fromkeys(bucket.label for buckets in own.values() for bucket in buckets))
    if not labels:
        return ""
    head = ['<th scope="col">model</th>']
    head += [f'<th scope="col">{_text(label)}<small>{count[label]:,}</small></th>' for label in labels]
    body = []
    for name, buckets in own.items():
        found = {bucket.label: bucket.estimate for bucket in buckets}
        body.append(f'<th scope="row">{_text(name)}</th>' + "".join(_cell(found.get(label), 4) for label in labels))
    return f"<details><summary>{_text(title)}</summary>{_table(head, body, title)}</details>"


def _configs(table: RankingTable) -> str:
    if not table.rows:
        return ""
    parts = []
    for row in table.rows:
        content = json.dumps(row.config, indent=1, default=str, ensure_ascii=False)
        parts.append(f"<details><summary>{_text(row.name)}</summary><pre>{_text(content, lines=True)}</pre></details>")
    return "<h2>Configurations</h2>" + "".join(parts)


def _table(head: Iterable[str], body: Iterable[str], label: str) -> str:
    rows = "".join(f"<tr>{row}</tr>\n" for row in body)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{_text(label)}"><table>'
        f"<thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>"
    )


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


def _text(text: object, lines: bool = False) -> str:
    """Escaped for HTML, in elements and in attributes, without control characters; on one line, unless ``lines`` are wanted."""
    parts = str(text).split("\n") if lines else [str(text)]
    return "\n".join(html.escape(visible(part)) for part in parts)


def _plain(text: str) -> str:
    """Escaped for Markdown, in and out of tables, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(visible(text).split()))


def _grid(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rule = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *body))
