"""``longgame knowledge``: facts about the items, from files into the data folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longgame.commands.terminal import say, say_json, settings_of

if TYPE_CHECKING:
    from longgame.wiring.knowledge import Told


def knowledge(
    ctx: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="A folder or a file of facts; left out: what is kept.")] = None,
    links: Annotated[Path | None, typer.Option(help="A file of item and entity, where ids are not one.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a knowledge graph and keep it, or say what is kept, and whether it is joined to the right items."""
    from longgame.datasets.triples import read_graph
    from longgame.errors import ConfigError
    from longgame.store import open_store
    from longgame.wiring.knowledge import graph_of, graph_path, keep_graph, told
    from longgame.wiring.workspace import one_thread

    settings = settings_of(ctx)
    if path is None and links is not None:
        raise ConfigError("--links: says which entities the items of a graph are; give the PATH of the graph too")
    graph = read_graph(path, links) if path is not None else graph_of(settings)
    if graph is None:
        raise ConfigError(f"{graph_path(settings)}: no graph is kept yet; run `longgame knowledge PATH` on a folder of facts")
    one_thread()
    store = open_store(settings.store.url)
    try:
        source = f"{path} with {links}" if links is not None else str(path)
        found = keep_graph(settings, store, graph, source) if path is not None else told(settings, store, graph)
    finally:
        store.close()
    if json:
        say_json(as_json(found))
        return
    for line in lines(found, settings.knowledge.use):
        say(line)


def as_json(found: Told) -> dict[str, Any]:
    return {**asdict(found), "doubtful": found.doubtful}


def lines(found: Told, used: bool) -> list[str]:
    """What is said of a graph to people."""
    counts = (
        f"knowledge: {found.facts:,} facts, {found.once:,} of them said once, {found.relations} relations between "
        f"{found.entities:,} entities; {found.linked:,} of {found.items:,} items have one"
    )
    out = [counts]
    if found.left_out:
        out.append(f"left out, for they say what users did: {', '.join(found.left_out)}")
    if found.agreement is not None:
        how = f"z {found.agreement.z:.1f}, p {found.agreement.p:.3f}, {found.agreement.items:,} items"
        if found.doubtful:
            out.append(
                f"warning: the facts agree with the items' attributes no better than joined at random ({how}): the links are "
                "probably ids of another catalogue; correct them before knowledge.use = true"
            )
        else:
            out.append(f"the facts agree with the items' attributes ({how})")
    if used:
        out.append(
            "next: `longgame train`; until then the live policy takes no new items in, if these facts are not those it learned"
        )
    if not used and not found.doubtful and found.linked:
        out.append("next: knowledge.use = true in the settings puts them beside the texts, at the next `longgame train`")
    return out
