"""The plots of a ranking table, as SVG to be put into a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from longgame.evaluation.paper import INK, LETTER, LINES, MARKERS, PALETTE, Paper, Plot, arms, drawing, legend
from longgame.evaluation.table import Bucket, RankingTable, Row


def plots(table: RankingTable) -> list[Plot]:
    """Those that the table has figures for. Raises MissingExtra without matplotlib."""
    rows = ranked(table)
    with drawing():
        if not rows:
            return []
        drawn = [
            _accuracy_against_coverage(rows, table.k),
            _by_history(rows, table.k),
            _by_popularity(rows, table.k),
            _gaps(rows),
        ]
    return [plot for plot in drawn if plot is not None]


def ranked(table: RankingTable) -> list[Row]:
    """The rows with figures, best NDCG first."""
    rows = [row for row in table.rows if not row.error and "ndcg" in row.metrics]
    return sorted(rows, key=lambda row: (-np.nan_to_num(row.metrics["ndcg"].value, nan=-np.inf), row.name))


def _accuracy_against_coverage(rows: Sequence[Row], k: int) -> Plot | None:
    some = [row for row in rows if "coverage" in row.metrics and np.isfinite(row.metrics["ndcg"].value)]
    if not some:
        return None
    paper = Paper("coverage", 4.6)
    coverage, ndcg = ([row.metrics[name] for row in some] for name in ("coverage", "ndcg"))
    x, y = (np.array([e.value for e in side]) for side in (coverage, ndcg))
    across, up = arms(coverage), arms(ndcg)
    for place in range(len(some)):
        colour, marker = (PALETTE[place], MARKERS[place]) if place < LINES else (INK, ".")
        paper.axes.errorbar(
            x[[place]], y[[place]], up[:, [place]], across[:, [place]], marker, color=colour, elinewidth=0.9, capsize=2,
            alpha=1.0 if place < LINES else 0.6,
        )  # fmt: skip
    paper.axes.set_xlabel("coverage: share of the catalogue that is shown to somebody")
    paper.axes.set_ylabel(f"NDCG@{k}")
    least, most = float((y - up[0]).min()), float((y + up[1]).max())
    room = 0.08 * (most - least) or 0.01
    paper.axes.set_xlim(-0.03, min(1.3, max(0.1, 1.35 * float((x + across[1]).max()))))
    paper.axes.set_ylim(max(0.0, least - room), most + room)
    paper.axes.set_xticks([tick for tick in paper.axes.get_xticks() if 0 <= tick <= 1])  # room for names is no coverage
    _name_points(paper, x, y, up, [row.name for row in some])
    caption = (
        "Up is more accurate, right shows more of the catalogue. Lines are 95 % intervals: over users and seeds for NDCG, "
        "over seeds for coverage, which is exact for one run."
    )
    return Plot("coverage", "Accuracy against coverage", caption, paper.svg())


def _name_points(paper: Paper, x: Any, y: Any, arms: Any, names: Sequence[str]) -> None:
    """Each name beside its point, where it covers no other name or interval: near if there is room, else with a thread."""
    points, lowest, highest = (
        paper.axes.transData.transform(np.column_stack([x, height])) * 72 / paper.figure.dpi
        for height in (y, y - arms[0], y + arms[1])
    )
    frame = paper.axes.get_window_extent()
    right, low, high = (float(side) * 72 / paper.figure.dpi for side in (frame.x1, frame.y0, frame.y1))
    boxes = [
        (px - 3, px + 3, min(py - 3, lo), max(py + 3, hi))
        for (px, py), lo, hi in zip(points, lowest[:, 1], highest[:, 1], strict=True)
    ]
    steps = sorted(range(-20, 21), key=abs)
    for place in sorted(range(len(names)), key=lambda i: (-points[i][1], points[i][0])):
        px, py = points[place]
        wide = 72 * LETTER * min(30, len(names[place])) + 4
        tries = [(side, 11 * step / 2) for step in steps for side in (7.0, -7.0 - wide)]
        for dx, dy in tries:
            box = (px + dx, px + dx + wide, py + dy - 5, py + dy + 5)
            inside = box[0] > 50 and box[1] < right + 12 and box[2] > low and box[3] < high
            if inside and not any(box[0] < b[1] and b[0] < box[1] and box[2] < b[3] and b[2] < box[3] for b in boxes):
                break
        else:
            dx, dy, box = 7.0, 0.0, (px + 7, px + 7 + wide, py - 5, py + 5)
        boxes.append(box)
        thread = (
            {"arrowstyle": "-", "color": INK, "alpha": 0.35, "lw": 0.6, "shrinkA": 0, "shrinkB": 3} if abs(dy) > 8 else None
        )
        paper.axes.annotate(
            paper.mark(names[place]), (x[place], y[place]), (dx if dx > 0 else -7.0, dy), textcoords="offset points",
            ha="left" if dx > 0 else "right", va="center", fontsize=8, arrowprops=thread,
        )  # fmt: skip


def _by_history(rows: Sequence[Row], k: int) -> Plot | None:
    buckets = {row.name: row.groups.get("history length", ()) for row in rows}
    caption = (
        f"The {LINES} best models by NDCG, with 95 % intervals over users. Below each length: how many users have it. "
        "Few users, wide intervals: read the left and the right end with care."
    )
    return _lines("history", "By length of the user's history", caption, buckets, (f"NDCG@{k}", "events in the user's history"))


def _by_popularity(rows: Sequence[Row], k: int) -> Plot | None:
    buckets = {row.name: row.popularity for row in rows}
    caption = (
        f"The {LINES} best models by NDCG: how often a held-out event is among the first {k}, by how often its item was seen "
        "in training. New items, left of the line, were never seen. Below each count: how many held-out events there are."
    )
    return _lines(
        "popularity", "By popularity of the item", caption, buckets, (f"recall@{k}", "events on the item in training")
    )


def _lines(name: str, title: str, caption: str, buckets: Mapping[str, Sequence[Bucket]], axes: tuple[str, str]) -> Plot | None:
    """A line for each of the first models; the bucket "new" stands apart, for it does not continue the others."""
    some = [(model, own) for model, own in buckets.items() if own][:LINES]
    if not some:
        return None
    labels = list(dict.fromkeys(bucket.label for _, own in some for bucket in own))
    count = {bucket.label: bucket.count for _, own in reversed(some) for bucket in own}
    paper = Paper(name, 3.9, bottom=0.85)
    for place, (_, own) in enumerate(some):
        shift = (place - (len(some) - 1) / 2) * 0.6 / LINES  # side by side, so that intervals do not hide each other
        known = [bucket for bucket in own if np.isfinite(bucket.estimate.value)]
        for line in ([b for b in known if b.label == "new"], [b for b in known if b.label != "new"]):
            x = np.array([labels.index(bucket.label) for bucket in line]) + shift
            estimates = [bucket.estimate for bucket in line]
            if not line:
                continue
            paper.axes.errorbar(
                x, np.array([e.value for e in estimates]), arms(estimates), color=PALETTE[place], marker=MARKERS[place],
                linewidth=1.2, elinewidth=0.8, linestyle="-" if place < 4 else "--",
            )  # fmt: skip
    paper.ticks([label.removesuffix(" events") for label in labels], [count[label] for label in labels])
    if "new" in labels:
        paper.axes.axvline(labels.index("new") + 0.5, color=INK, linestyle=":", linewidth=0.9)
    paper.axes.set_ylim(bottom=0)
    paper.axes.set_ylabel(axes[0])
    paper.axes.text(0.5, -0.17, axes[1], transform=paper.axes.transAxes, ha="center", va="top")
    return Plot(name, title, caption, paper.svg(), legend([model for model, _ in some]))


def _gaps(rows: Sequence[Row]) -> Plot | None:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.gap))[:LINES]
    some = [row for row in rows if row.gap]
    if not kinds:
        return None
    step = 0.2 + 0.09 * len(kinds)
    longest = max(min(30, len(row.name)) for row in some)
    paper = Paper("gaps", 0.85 + step * len(some), left=0.3 + LETTER * longest)
    for place, kind in enumerate(kinds):
        own = [(i, row.gap[kind]) for i, row in enumerate(some) if kind in row.gap and np.isfinite(row.gap[kind].value)]
        if not own:
            continue
        shift = (place - (len(kinds) - 1) / 2) * 0.7 / len(kinds)
        values, height = np.array([gap.value for _, gap in own]), np.array([i for i, _ in own]) + shift
        reach = arms([gap for _, gap in own])
        paper.axes.errorbar(values, height, None, reach, MARKERS[place], color=PALETTE[place], elinewidth=0.9, capsize=2)
    paper.axes.set_yticks(range(len(some)), [paper.mark(row.name) for row in some])
    paper.axes.set_ylim(len(some) - 0.4, -0.6)
    paper.axes.set_xlim(left=0)
    paper.axes.set_xlabel("NDCG of the best served group less that of the worst served")
    caption = (
        "How unequally groups of users are served; left is more even. A model that serves nobody has no gap, so read it with "
        "the NDCG. 95 % intervals, simultaneous over all pairs of groups; groups of fewer than 30 users are left out."
    )
    return Plot("gaps", "Gap between groups of users", caption, paper.svg(), legend(kinds))
