"""What policies bring in worlds whose truth is known: returns with their errors, beside chance, plain policies and an oracle.

A return is the mean over many users of what they bring until they leave, one number a seed: seeds differ in the population and
in what was learned, so that the interval (Student's, over seeds) holds both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from longgame.evaluation.intervals import Estimate, over_seeds
from longgame.evaluation.pages import document, escaped, figure, table_of
from longgame.evaluation.paper import INK, LINES, MARKERS, PALETTE, Paper, Plot, drawing, legend
from longgame.types import F64, I64


@dataclass(frozen=True)
class Arm:
    """One policy in one world."""

    name: str
    returns: F64
    """(S,) one a seed"""
    what: str = ""
    """What it is, in a few words."""
    steps: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """(n,) decisions after which it was tried while it learned"""
    curve: F64 = field(default_factory=lambda: np.zeros((0, 0)))
    """(S, n) what it brought then"""
    seconds: F64 = field(default_factory=lambda: np.zeros(0))
    """(S,) what learning took"""

    @property
    def estimate(self) -> Estimate:
        """Mean and interval over seeds."""
        return over_seeds(self.returns)


@dataclass(frozen=True)
class Study:
    """All policies in one world, from the plainest to the one that knows the truth."""

    world: str
    arms: Sequence[Arm]
    chance: str = "random"
    """The arm that is 0 on the way to the best."""
    best: str = ""
    """The arm that is 1; empty where nobody knows one."""

    def share(self, arm: Arm) -> Estimate | None:
        """How far of the way from chance to the best, seed by seed: 1 is there. None where there is no best."""
        found = {other.name: other.returns for other in self.arms}
        if self.best not in found or self.chance not in found or len(arm.returns) != len(found[self.chance]):
            return None
        low = found[self.chance]
        return over_seeds((arm.returns - low) / (found[self.best] - low))

    def to_json(self) -> dict[str, Any]:
        """Everything, for a machine."""
        rows = []
        for arm in self.arms:
            share = self.share(arm)
            told = {"name": arm.name, "what": arm.what, "return": asdict(arm.estimate), "returns": arm.returns.tolist()}
            curve = {"steps": arm.steps.tolist(), "curve": arm.curve.tolist(), "seconds": arm.seconds.tolist()}
            rows.append({**told, **curve, "share": None if share is None else asdict(share)})
        return {"world": self.world, "arms": rows}


def markdown(study: Study) -> str:
    """The table, for docs and terminals."""
    lines = [
        "| policy | return | 95 % interval | of the way | seeds | learned in, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for arm in study.arms:
        name, value, interval, share, seeds, seconds = _row(study, arm)
        lines.append(f"| {name} | {value} | {interval} | {share} | {seeds} | {seconds} |")
    return "\n".join(lines)


def _row(study: Study, arm: Arm) -> tuple[str, str, str, str, str, str]:
    e, share = arm.estimate, study.share(arm)
    interval = f"[{e.low:,.1f}, {e.high:,.1f}]" if np.isfinite([e.low, e.high]).all() else "–"
    way = "–" if share is None else f"{share.value:.0%}"
    seconds = f"{arm.seconds.mean():,.0f}" if len(arm.seconds) else "–"
    return arm.name, f"{e.value:,.1f}", interval, way, str(len(arm.returns)), seconds


def page(title: str, studies: Sequence[Study], about: Mapping[str, str], measure: str = "return") -> str:
    """Tables and learning curves as one HTML file; ``measure`` heads the figures. Raises MissingExtra without matplotlib."""
    told = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in about.items())
    parts = [f"<h1>{escaped(title)}</h1>", f'<dl class="facts">{told}</dl>']
    names = ("policy", measure, "95 % interval", "of the way", "seeds", "learned in, s")
    heads = [f'<th scope="col">{name}</th>' for name in names]
    with drawing():
        for number, study in enumerate(studies):
            body = []
            for arm in study.arms:
                first, *cells = _row(study, arm)
                what = f"<small>{escaped(arm.what)}</small>"
                body.append(f'<th scope="row">{escaped(first)}{what}</th>' + "".join(f"<td>{escaped(c)}</td>" for c in cells))
            parts += [f"<h2>{escaped(study.world)}</h2>", table_of(heads, body, study.world)]
            plot = curves(study, f"curve-{number}")
            parts.append(figure(plot) if plot else "")
    return document(title, parts)


def curves(study: Study, name: str) -> Plot | None:
    """Learning curves with their intervals over seeds, and what does not learn as lines across; None where nothing learned."""
    learned = [arm for arm in study.arms if len(arm.steps)][: LINES // 2]
    flat = [arm for arm in study.arms if not len(arm.steps)][: LINES - len(learned)]
    if not learned:
        return None
    paper = Paper(name, 3.9)
    for place, arm in enumerate(learned):
        found = [over_seeds(arm.curve[:, n]) for n in range(len(arm.steps))]
        low, high = (np.array([getattr(e, side) for e in found]) for side in ("low", "high"))
        middle = np.array([e.value for e in found])
        wide = np.isfinite(low) & np.isfinite(high)
        paper.axes.plot(arm.steps, middle, color=PALETTE[place], marker=MARKERS[place], linewidth=1.4)
        paper.axes.fill_between(
            arm.steps, np.where(wide, low, middle), np.where(wide, high, middle), color=PALETTE[place], alpha=0.2
        )
    for place, arm in enumerate(flat, start=len(learned)):
        paper.axes.axhline(arm.estimate.value, color=PALETTE[place] if place < LINES else INK, linestyle="--", linewidth=1.0)
    paper.axes.set_xlabel("decisions lived through")
    paper.axes.set_ylabel("return of a user")
    caption = "Tried without exploration on users of their own while learning went on; bands are 95 % intervals over seeds."
    return Plot(name, f"Learning curves: {study.world}", caption, paper.svg(), legend([arm.name for arm in (*learned, *flat)]))
