"""``longgame evaluate language``: what the language model reads in texts that people have judged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.terminal import say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.wiring.reading_texts import Section


def language(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="Folder of judged texts: .txt of id, number and text by tabs; SemEval's .seg.")],
    adapter: Annotated[str | None, typer.Option(help="One that longgame adapt made, shown beside the others.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Reviews read by the small language model, against people's judgement, plainer readers and shuffled vectors beside it."""
    from longgame.language import VectorCache
    from longgame.wiring import reading_texts
    from longgame.wiring.adapting import load_adapter
    from longgame.wiring.workspace import one_thread

    one_thread()
    folder = Path(settings_of(ctx).data.folder)
    adapted = None if adapter is None else load_adapter(folder, adapter)
    sections = reading_texts.language(data, VectorCache(folder / "vectors"), (lambda line: None) if json else say, adapted)
    if json:
        say_json([asdict(section) for section in sections])
    else:
        for section in sections:
            _say(section)


def _say(section: Section) -> None:
    metrics = list(section.rows[0].figures)
    say(f"\n{section.title}: 95 % intervals over texts")
    rows = [(row.name, *(str(row.figures[m]) for m in metrics), f"{row.rate:,.0f}" if row.rate else "") for row in section.rows]
    say_table(("read by", *metrics, "texts/s"), rows)
