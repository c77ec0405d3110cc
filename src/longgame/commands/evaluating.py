"""``longgame evaluate``: models on held-out events, policies on the log, plain baselines beside both."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from longgame.commands.terminal import say, say_json, say_table, settings_of


def evaluate(
    ctx: typer.Context,
    k: Annotated[int, typer.Option(min=1, help="Length of the ranking.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the supervised network; three for a claim.")] = 1,
    ranking: Annotated[bool, typer.Option(help="Rank held-out events with every model.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank each user's last event among the whole catalogue, and estimate policies on the logged decisions."""
    from longgame.wiring import evaluating
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    with workspace(settings_of(ctx)) as ws:
        rows = evaluating.ranking(ws, k, seeds, (lambda line: None) if json else say) if ranking else []
        policies, judged = evaluating.off_policy(ws)
    if json:
        say_json({"k": k, "ranking": [asdict(r) for r in rows], "policies": [asdict(p) for p in policies], "decisions": judged})
        return
    if rows:
        say(f"\nLast event of every user among all unseen items, 95 % intervals over users, {seeds} seed(s) of the network:")
        table = [(r.model, *(str(r.metrics[m]) for m in ("recall", "ndcg", "mrr")), f"{r.coverage:.3f}") for r in rows]
        say_table(("model", f"Recall@{k}", f"NDCG@{k}", "MRR", f"coverage@{k}"), table)
    if policies:
        say(f"\nReward of a slate on {judged:,} held-out decisions, 95 % intervals (effective decisions):")
        head = ("policy", "IPS", "SNIPS", "doubly robust", "slot by slot")
        told = [
            (p.policy, *(f"{e} ({e.effective_n:.0f})" for e in (p.estimates[n] for n in ("ips", "snips", "dr", "slots"))))
            for p in policies
        ]
        say_table(head, told)
    else:
        say("\nNo logged decision with a closed window yet: serve, and send feedback, to have policies judged on the log.")
