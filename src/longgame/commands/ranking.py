"""How a terminal shows the honest table of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from longgame.commands.terminal import say, say_table

if TYPE_CHECKING:
    from longgame.evaluation.intervals import Estimate
    from longgame.evaluation.table import RankingTable, Row


FEW = 30
"""Users below which it is said that there are few."""


def say_ranking(table: RankingTable) -> None:
    """Accuracy, what it does not show, groups of users, and who is surely better than the best baseline."""
    from longgame.evaluation.beyond import SMALLEST_GROUP
    from longgame.evaluation.table import ACCURACY, METRICS

    told = {name: name if name == "mrr" else f"{name}@{table.k}" for name in METRICS}
    rows = [row for row in table.rows if not row.error]
    several = any(row.seeds > 1 for row in rows)
    new = f" ({table.newcomers:,} of them without any event before)" if table.newcomers else ""
    seeds = ", and over seeds where a model has several" if several else ""
    say(
        f"\n{table.split}: {table.users:,} users{new} ranked among all {table.items:,} items less those they had seen; "
        f"fitted on {table.events:,} events; 95 % intervals over users{seeds}"
    )
    if table.users < FEW:
        say(f"so few users tell little: below {FEW} an interval is hardly one")
    head = ("model", *(told[name] for name in ACCURACY), "seeds", *(("spread",) if several else ()), "fit")
    say_table(head, [_accuracy(row, ACCURACY, several) for row in rows])
    others = [name for name in METRICS if name not in ACCURACY and any(name in row.metrics for row in rows)]
    say()
    say_table(
        ("model", *(told[name] for name in others)),
        [(r.name, *(_short(r.metrics[m]) if m in r.metrics else "" for m in others)) for r in rows],
    )
    say("(" + "; ".join(f"{name}: {METRICS[name]}" for name in others) + ")")
    groups = list(dict.fromkeys(name for row in rows for name in row.gap))
    missing = [name for row in rows[:1] for name in row.groups if name not in row.gap]
    fresh = {b.count for row in rows for b in row.popularity if b.label == "new"}
    if fresh:
        say(f"\n{told['recall']} of the {max(fresh):,} held-out events on items that had none before")
        own = [(row.name, [b.estimate for b in row.popularity if b.label == "new"]) for row in rows]
        say_table(("model", "recall, new items"), [(name, str(found[0]) if found else "") for name, found in own])
    if missing:
        say(f"\nNo gap between groups by {', '.join(missing)}: fewer than two of them have {SMALLEST_GROUP} users or more.")
    if groups:
        say(f"\n{told['ndcg']} of the best served group less that of the worst served, groups by")
        say_table(("model", *groups), [(r.name, *(_between(r, g) if g in r.gap else "" for g in groups)) for r in rows])
        say("(where users have several held-out events, who has more of them has the higher figure: part of a gap may be that)")
    if table.comparisons:
        say()
    for c in table.comparisons:
        say(f"{c.model} less {c.against}: {told[c.metric]} {_gap(c.gap)}, p {_p(c.p)}, after Holm {_p(c.holm)}")
    for row in table.rows:
        if row.error:
            say(f"{row.name} has no figures: {row.error}")


def _accuracy(row: Row, metrics: Sequence[str], several: bool) -> tuple[str, ...]:
    spread = (f"{row.spread:.4f}" if row.spread is not None else "",) if several else ()
    return (row.name, *(str(row.metrics[m]) for m in metrics), str(row.seeds), *spread, f"{row.seconds:.1f} s")


def _between(row: Row, name: str) -> str:
    """The gap, and which groups it is between."""
    from longgame.evaluation.beyond import SMALLEST_GROUP

    large = [bucket for bucket in row.groups[name] if bucket.count >= SMALLEST_GROUP]
    best, worst = (pick(large, key=lambda bucket: bucket.estimate.value).label for pick in (max, min))
    return f"{_short(row.gap[name])} {best} over {worst}"


def _short(estimate: Estimate) -> str:
    """To three digits; what has no interval has none."""
    if estimate.low == estimate.high:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _p(p: float) -> str:
    """No p of sign flips is known below one over their number."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _gap(gap: Estimate) -> str:
    return f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
