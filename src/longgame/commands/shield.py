"""``longgame evaluate shield``: how often hostile reviews and titles get what they want of the small language model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from longgame.commands.terminal import say, say_json, say_table, settings_of


def shield(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="Folder of judged texts: .txt of id, number and text by tabs.")],
    examples: Annotated[int, typer.Option(min=60, help="Judged texts the line between the answers is learned from.")] = 300,
    outright: Annotated[int, typer.Option(min=1, help="Ask for the answer outright of one attack in so many.")] = 4,
    families: Annotated[bool, typer.Option("--families", help="Every family of attacks on a line of its own.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The attack set against the reader of reviews: without the shield, behind its rules, behind what is learned besides."""
    from longgame.language import VectorCache
    from longgame.wiring import shielding
    from longgame.wiring.workspace import one_thread

    one_thread()
    folder = Path(settings_of(ctx).data.folder) / "vectors"
    told = shielding.evaluate(data, VectorCache(folder), examples, outright, (lambda line: None) if json else say)
    if json:
        say_json(asdict(told))
        return
    honest = told.honest
    say(
        f"\nhonest reviews: the rules refuse {honest.refused:,} of {honest.texts:,}; of {honest.judged:,} that nothing was "
        f"learned from, {honest.wary:,} are refused in all\nPearson on these {honest.pearson[0]:.3f} without the shield, "
        f"{honest.pearson[1]:.3f} behind it; of {honest.others:,} texts of another source "
        f"{honest.refused_of_others:,} are refused"
    )
    wide = {"all", "known families", "families held out"}
    for reader in dict.fromkeys(line.reader for line in told.lines):
        say(f"\n{reader}: 95 % intervals over attacks")
        rows = [line for line in told.lines if line.reader == reader and (families or line.group in wide)]
        cells = [(r.guard, r.group, str(r.success.n), *(_percent(e) for e in (r.refused, r.crossed, r.success))) for r in rows]
        say_table(("behind", "attacks", "n", "refused", "crossed", "success"), cells)


def _percent(told: object) -> str:
    from longgame.evaluation.intervals import Estimate

    assert isinstance(told, Estimate)
    return f"{told.value:.1%} [{told.low:.1%}, {told.high:.1%}]"
