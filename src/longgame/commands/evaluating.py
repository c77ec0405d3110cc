"""``longgame evaluate``: models on held-out events, policies on the log, plain baselines beside both."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.rating import ratings
from longgame.commands.terminal import cut_of, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.evaluation.table import RankingTable
    from longgame.wiring.evaluating import PolicyRow

app = typer.Typer(
    help="Models on held-out events and policies on the log; baselines beside both. Without a command: both, in short.",
    invoke_without_command=True,
)
app.command("ratings")(ratings)

K = Annotated[int, typer.Option(min=1, help="Length of the ranking.")]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of each model with randomness in it; three for a claim.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def evaluate(
    ctx: typer.Context,
    k: K = 10,
    seeds: Seeds = 1,
    ranking: Annotated[bool, typer.Option(help="Rank held-out events with the baselines and the sequence model.")] = True,
    json: Json = False,
) -> None:
    """Rank each user's last event among the whole catalogue, and estimate policies on the logged decisions."""
    if ctx.invoked_subcommand is not None:
        return
    from longgame.wiring import evaluating
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    with workspace(settings_of(ctx)) as ws:
        wish = evaluating.Wish(k=k, seeds=seeds)
        table = evaluating.ranking(ws, wish, (lambda line: None) if json else say) if ranking else None
        policies, judged = evaluating.off_policy(ws)
    if json:
        told = table.to_json() if table else None
        say_json({"ranking": told, "policies": [asdict(p) for p in policies], "decisions": judged})
        return
    if table:
        _say_table(table)
    _say_policies(policies, judged)


@app.command("ranking")
def rank(
    ctx: typer.Context,
    models: Annotated[str, typer.Option(help="Names by commas, or all; baselines come unasked.")] = "sequence",
    k: K = 10,
    seeds: Seeds = 1,
    split: Annotated[str, typer.Option(help="leave-one-out: each user's last; time: the latest.")] = "leave-one-out",
    at: Annotated[str | None, typer.Option(help="With --split time: where the test begins, as in 2024-03-01.")] = None,
    share: Annotated[float, typer.Option(help="With --split time and without --at: share of the events in the test.")] = 0.1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that fit models at the same time.")] = 1,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    json: Json = False,
) -> None:
    """The honest table: any models beside the baselines, accuracy and all that it does not show, with errors and tests."""
    from longgame.artefacts import write_whole
    from longgame.wiring import evaluating
    from longgame.wiring.configs import plain
    from longgame.wiring.workspace import one_thread, workspace

    settings = settings_of(ctx)
    quiet = (lambda line: None) if json else say
    wish = evaluating.Wish(evaluating.named(models, quiet), k, seeds, cut_of(split, at, share), workers)
    one_thread()
    with workspace(settings) as ws:
        table = evaluating.ranking(ws, wish, quiet)
    if html is not None:
        from longgame.evaluation.report import page

        write_whole(html, page(table).encode())
    if json:
        say_json(plain(table.to_json()))
        return
    _say_table(table)
    if html is not None:
        say(f"\nwritten to {html}")


@app.command("policies")
def policies_(ctx: typer.Context, json: Json = False) -> None:
    """What the live policy, the supervised one and chance would earn a slate, estimated on logged decisions."""
    from longgame.wiring import evaluating
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    with workspace(settings_of(ctx)) as ws:
        policies, judged = evaluating.off_policy(ws)
    if json:
        say_json({"policies": [asdict(p) for p in policies], "decisions": judged})
    else:
        _say_policies(policies, judged)


def _say_table(table: RankingTable) -> None:
    from longgame.evaluation.table import ACCURACY, METRICS

    told = {name: name if name == "mrr" else f"{name}@{table.k}" for name in METRICS}
    say(
        f"\n{table.split}: {table.users:,} users ranked among all {table.items:,} items they had not seen; "
        f"fitted on {table.events:,} events; 95 % intervals over users and seeds"
    )
    rows = [row for row in table.rows if not row.error]
    head = ("model", *(told[name] for name in ACCURACY), "runs", "fit")
    say_table(head, [(r.name, *(str(r.metrics[m]) for m in ACCURACY), str(r.seeds), f"{r.seconds:.1f} s") for r in rows])
    others = [name for name in METRICS if name not in ACCURACY and any(name in row.metrics for row in rows)]
    say()
    say_table(
        ("model", *others),
        [(r.name, *(f"{r.metrics[m].value:.3f}" if m in r.metrics else "" for m in others)) for r in rows],
    )
    say("(" + "; ".join(f"{name}: {METRICS[name]}" for name in others) + ")")
    if table.comparisons:
        say()
    for c in table.comparisons:
        say(f"{c.model} less {c.against}: {told[c.metric]} {_gap(c.gap)}, p {c.p:.4f}, after Holm {c.holm:.4f}")
    for row in table.rows:
        if row.error:
            say(f"{row.name} has no figures: {row.error}")


def _gap(gap: object) -> str:
    value, low, high = (getattr(gap, name) for name in ("value", "low", "high"))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"


def _say_policies(policies: list[PolicyRow], judged: int) -> None:
    if not policies:
        say("\nNo logged decision with a closed window yet: serve, and send feedback, to have policies judged on the log.")
        return
    say(f"\nReward of a slate on {judged:,} held-out decisions, 95 % intervals (effective decisions):")
    head = ("policy", "IPS", "SNIPS", "doubly robust", "slot by slot")
    told = [
        (p.policy, *(f"{e} ({e.effective_n:.0f})" for e in (p.estimates[n] for n in ("ips", "snips", "dr", "slots"))))
        for p in policies
    ]
    say_table(head, told)
