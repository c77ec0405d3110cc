"""``longgame evaluate language``: what a language model is worth on sets that are judged, with it, without it, shuffled."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.terminal import say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.evaluation.intervals import Estimate
    from longgame.wiring.reading_texts import Section


def language(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="Folder of judged sets, or of such folders; docs/evaluation.md has the forms.")],
    only: Annotated[
        str | None, typer.Option(help="Forms by commas, as in snippets,choices; all there are if left out.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Dealings of what is judged; three for a claim.")] = 1,
    adapter: Annotated[str | None, typer.Option(help="One that longgame adapt made, shown beside the others.")] = None,
    adapt: Annotated[
        float | None, typer.Option(help="Minutes to teach the small model aspects in, each seed; it is not taught if left out.")
    ] = None,
    objects: Annotated[int, typer.Option(min=10, help="Items that are written of.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a language model is worth on judged sets: with it, without it, and with texts of something else."""
    from longgame.errors import ConfigError
    from longgame.wiring.ablations import ablations, forms_of
    from longgame.wiring.adapting import load_adapter
    from longgame.wiring.language import threads_of
    from longgame.wiring.reading_texts import Wish
    from longgame.wiring.workspace import one_thread

    if adapter is not None and adapt is not None:
        raise ConfigError("evaluate language: --adapter names one that is there, --adapt makes one; leave one of them out")
    forms = forms_of(only)
    one_thread()
    settings = settings_of(ctx)
    folder = Path(settings.data.folder)
    adapted = None if adapter is None else load_adapter(folder, adapter)
    quiet = (lambda line: None) if json else say
    sections = ablations(
        data, Wish(folder, seeds, adapted, adapt, objects, threads_of(settings), settings.language.small, quiet), forms
    )
    if json:
        say_json([asdict(section) for section in sections])
    else:
        for section in sections:
            _say(section)


def _say(section: Section) -> None:
    metrics = list(section.rows[0].figures)
    rates = any(row.rate for row in section.rows)
    say(f"\n{section.title}, {section.form}: {section.about}")
    rows = [
        (row.name, row.told, *(_figure(row.figures[m]) for m in metrics), *([f"{row.rate:,.0f}" if row.rate else ""] * rates))
        for row in section.rows
    ]
    say_table(("told by", "language model", *metrics, *([section.unit] * rates)), rows)


def _figure(told: Estimate) -> str:
    """Without its interval where there is none; nothing where it does not apply."""
    from math import isfinite

    if not isfinite(told.value):
        return ""
    return str(told) if isfinite(told.low) else f"{told.value:.4f}"
