"""``longgame evaluate``: models on held-out events, policies on the log, plain baselines beside both."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.language import language
from longgame.commands.ranking import say_ranking
from longgame.commands.rating import ratings
from longgame.commands.shield import shield
from longgame.commands.terminal import At, Share, Split, cut_of, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.wiring.evaluating import PolicyRow

app = typer.Typer(
    help="Models on held-out events and policies on the log; baselines beside both. Without a command: both, in short.",
    invoke_without_command=True,
)
app.command("ratings")(ratings)
app.command("language")(language)
app.command("shield")(shield)

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
    from longgame.errors import DataError
    from longgame.wiring import evaluating
    from longgame.wiring.configs import plain
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    with workspace(settings_of(ctx)) as ws:
        wish = evaluating.Wish(k=k, seeds=seeds)
        try:
            table = evaluating.ranking(ws, wish, (lambda line: None) if json else say) if ranking else None
        except DataError as error:
            raise DataError(f"{error}; or leave the ranking out with --no-ranking") from None
        policies, judged = evaluating.off_policy(ws)
    if json:
        told = plain(table.to_json()) if table else None
        say_json({"ranking": told, "policies": [asdict(p) for p in policies], "decisions": judged})
        return
    if table:
        say_ranking(table)
    _say_policies(policies, judged)


@app.command("ranking")
def rank(
    ctx: typer.Context,
    models: Annotated[str, typer.Option(help="Names by commas, or all; baselines come unasked.")] = "sequence",
    k: K = 10,
    seeds: Seeds = 1,
    split: Split = None,
    at: At = None,
    share: Share = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that fit models at the same time.")] = 1,
    liked: Annotated[float | None, typer.Option(help="Only held-out events of this value or more are wanted.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Each model twice, once with new items scored by their texts.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    json: Json = False,
) -> None:
    """The honest table: any models beside the baselines, accuracy and all that it does not show, with errors and tests."""
    from longgame.wiring import evaluating
    from longgame.wiring.configs import names_of, plain
    from longgame.wiring.workspace import one_thread, workspace

    settings = settings_of(ctx)
    quiet = (lambda line: None) if json else say
    names = None if models == "all" else tuple(names_of(models))
    wish = evaluating.Wish(names, k, seeds, cut_of(split, at, share), workers, liked, lift)
    if html is not None:
        _must_be_writable(html)
    one_thread()
    with workspace(settings) as ws:
        table = evaluating.ranking(ws, wish, quiet)
    if json:
        say_json(plain(table.to_json()))
    else:
        say_ranking(table)
    if html is not None:
        from longgame.artefacts import write_whole
        from longgame.evaluation.report import page

        write_whole(html, page(table).encode())
        quiet(f"\nwritten to {html}")


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


def _must_be_writable(html: Path) -> None:
    """Before models are fitted for an hour, whether the page can be drawn and has where to go. Raises ConfigError."""
    import os

    from longgame.errors import ConfigError
    from longgame.evaluation.paper import drawing

    with drawing():
        pass
    folder = html.absolute().parent
    if html.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"--html: must name a file in a folder that is there and can be written to, got {html}")


def _say_policies(policies: list[PolicyRow], judged: int) -> None:
    if not policies:
        say(
            "\nNothing is published, or no logged decision has a closed window yet: run `longgame train`, serve, and send "
            "feedback, to have policies judged on the log."
        )
        return
    if not judged:
        say("\nNo policy can be judged on this log: the registry has not the policies that made its held-out decisions.")
        return
    say(f"\nReward of a slate on {judged:,} held-out decisions, 95 % intervals (effective decisions):")
    head = ("policy", "IPS", "SNIPS", "doubly robust", "slot by slot")
    told = [
        (p.policy, *(f"{e} ({e.effective_n:.0f})" for e in (p.estimates[n] for n in ("ips", "snips", "dr", "slots"))))
        for p in policies
    ]
    say_table(head, told)
