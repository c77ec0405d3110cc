"""``longgame evaluate ratings``: models that foretell ratings on ratings held out, plain biases beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.terminal import cut_of, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.evaluation.ratings import RatingTable


def ratings(
    ctx: typer.Context,
    models: Annotated[str, typer.Option(help="Names by commas, or all that foretell ratings.")] = "all",
    folds: Annotated[int, typer.Option(min=2, help="Parts that ratings are dealt to; each is held out once.")] = 5,
    split: Annotated[str, typer.Option(help="folds: drawn at random; time: the latest are held out.")] = "folds",
    share: Annotated[float, typer.Option(help="With --split time: share of the ratings, the latest, held out.")] = 0.1,
    kind: Annotated[str | None, typer.Option(help="Kind of the events that are ratings.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the folds.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Errors of SVD, SVD++ and time-aware factors on ratings they were not fitted on, with intervals."""
    from longgame.errors import ConfigError
    from longgame.wiring import rating
    from longgame.wiring.workspace import one_thread, workspace

    if split not in ("folds", "time"):
        raise ConfigError(f"--split: must be folds or time, got {split!r}")
    cut = cut_of(split, None, share) if split == "time" else None
    wish = rating.Wish(rating.named(models), folds, cut, kind, seed)
    one_thread()
    with workspace(settings_of(ctx)) as ws:
        table = rating.ratings(ws, wish, (lambda line: None) if json else say)
    if json:
        say_json(table.to_json())
    else:
        _say_table(table)


def _say_table(table: RatingTable) -> None:
    say(
        f"\n{table.split}: {table.ratings:,} ratings of {table.users:,} users held out, each foretold without it; "
        "95 % intervals over users"
    )
    say_table(
        ("model", "RMSE", "MAE", f"RMSE less {table.rows[0].name}", "fit"),
        [
            (row.name, str(row.rmse), str(row.mae), str(row.gap) if number else "", f"{sum(row.seconds):.1f} s")
            for number, row in enumerate(table.rows)
        ],
    )
