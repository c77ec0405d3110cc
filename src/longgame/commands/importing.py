"""``longgame import``: files into the log. A first pass judges every row and writes nothing; a second one writes."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longgame.commands.terminal import progress, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.datasets import Report, Source
    from longgame.knowledge.graph import Graph
    from longgame.protocols import EventStore
    from longgame.settings import Settings
    from longgame.wiring.knowledge import Told

BATCH = 5_000
"""Records a commit."""


def import_(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    form: Annotated[str | None, typer.Option(help="One of `longgame data list`; judged from the files if left out.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="part=column, as in user=customer_id. Repeatable.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Text encoding, as in latin-1.")] = None,
    separator: Annotated[str | None, typer.Option(help="What stands between two cells.")] = None,
    columns: Annotated[str | None, typer.Option(help="Names of the columns of a file without a header, by commas.")] = None,
    quotes: Annotated[bool, typer.Option(help="Whether cells may be in quotation marks.")] = True,
    time_unit: Annotated[str | None, typer.Option(help="iso, seconds, milliseconds, …, or line: the order of lines.")] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of every event in a file without a column for it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge every row, write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a file or folder into the log. Every row is judged first; nothing is written if the file is wrong."""
    from longgame.commands.knowledge import as_json, lines
    from longgame.datasets import Options, open_source, validate
    from longgame.datasets.triples import graph_files, read_graph
    from longgame.store import open_store

    said: dict[str, Any] = {
        "mapping": _mapping(map_ or []),
        "encoding": encoding,
        "separator": _separator(separator),
        "columns": tuple(name.strip() for name in columns.split(",")) if columns else (),
        "quote": quotes,
        "time_unit": time_unit,
        "kind": kind,
    }
    settings = settings_of(ctx)
    source = open_source(path, form, Options(**said))
    if not json:
        _preview(source)
    with progress("check", "records", quiet=json) as advance:
        report = validate(source, lambda rows: advance(rows, None))
    graph = read_graph(path) if path.is_dir() and graph_files(path) else None
    log: dict[str, dict[str, int]] = {}
    found: Told | None = None
    if not dry_run:
        store = open_store(settings.store.url)  # only now: a file that is wrong leaves no log behind
        try:
            known = frozenset(item.id for item in store.items())
            source = open_source(path, form, Options(**said, known_items=known))
            report, log = _write(store, source, sum(report.records.values()), json)
            found = _keep(settings, store, graph, path, json) if graph is not None else None
        finally:
            store.close()
    if json:
        kept = {"knowledge": as_json(found)} if found else {}
        say_json({"dry_run": dry_run, "report": report.as_json(), "log": log, **kept})
        return
    say(report.text())
    if dry_run:
        say("dry run: nothing was written")
    for noun, counts in log.items():
        say(f"log: {counts['new']:,} new {noun} records, {counts['duplicate']:,} were there already")
    for line in lines(found, settings.knowledge.use) if found else ():
        say(line)


def _keep(settings: Settings, store: EventStore, graph: Graph, path: Path, quiet: bool) -> Told | None:
    """Keeps the graph that lies in the folder, but not in the place of one that was said to be read from elsewhere."""
    from longgame.wiring.knowledge import keep_graph, source_of
    from longgame.wiring.workspace import one_thread

    if (other := source_of(settings)) not in (None, str(path)):
        if not quiet:
            say(f"knowledge: a graph from {other} is kept and stays; `longgame knowledge {path}` takes the one in this folder")
        return None
    one_thread()
    return keep_graph(settings, store, graph, str(path))


def _write(store: EventStore, source: Source, total: int, quiet: bool) -> tuple[Report, dict[str, dict[str, int]]]:
    """Write what was judged; returns its report and, by noun, how many records were new to the log."""
    from longgame.datasets import Report

    report = Report()
    new: Counter[str] = Counter()
    done = 0
    records = source.read(report)
    with progress("write", "records", quiet) as advance:
        while batch := list(islice(records, BATCH)):
            for record, fresh in zip(batch, store.put(batch), strict=True):
                new[type(record).__name__] += fresh
            done += len(batch)
            advance(done, total)
    return report, {noun: {"new": new[noun], "duplicate": n - new[noun]} for noun, n in report.records.items()}


def _preview(source: Source) -> None:
    preview = source.preview()
    for table in preview["tables"]:
        facts = {k: v for k, v in table.items() if k not in ("what", "file", "columns", "first")}
        told = ", ".join(f"{name} {value}" for name, value in facts.items())
        say(f"{table['file']}: {table['what']}, form {preview['form']}" + (f" ({told})" if told else ""))
        _columns(table)
    for note in preview["notes"]:
        say(f"note: {note}")


def _columns(table: dict[str, Any]) -> None:
    """Columns as rows, since they are many and their values long: name, how it is read, its first values."""
    rows = []
    for number, column in enumerate(table["columns"]):
        cells = [str(line["cells"][number]) for line in table["first"] if number < len(line["cells"])]
        rows.append((column["name"], column["read_as"], " | ".join(cell[:24] for cell in cells[:3])))
    say_table(("column", "read as", "first values"), rows)


def _mapping(said: list[str]) -> dict[str, str]:
    from longgame.errors import ConfigError

    out: dict[str, str] = {}
    for pair in said:
        part, sign, column = pair.partition("=")
        if not (part and sign and column):
            raise ConfigError(f"--map {pair}: write part=column, as in --map user=customer_id")
        out[part] = column
    return out


def _separator(said: str | None) -> str | None:
    r"""A shell passes \t as two characters."""
    return None if said is None else said.replace("\\t", "\t")
