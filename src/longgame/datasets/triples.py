"""Files of facts -> a Graph: atomic .kg and .link files, and plain triples with a table that joins items to entities.

    folder with NAME.kg and NAME.link         RecBole's layout: a typed header, tabs
    folder with kg.txt and item_…entity….txt  the layout of KGCN and its kin: no header
    one file of triples                       head, relation, tail by tabs, commas or blanks; items are entities by their id,
                                              or as a second file, item and entity, says

Every line must be whole: of a graph with a torn line nobody knows what else is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from longgame.datasets.files import find_encoding, name_of, reading
from longgame.datasets.report import Reject
from longgame.datasets.rows import delimited
from longgame.errors import DataError
from longgame.knowledge.graph import Graph
from longgame.types import ItemId

_LONGEST = 512
"""Characters in a name."""


def graph_files(path: Path) -> tuple[Path, Path | None] | None:
    """The file of triples and that of links in a folder, or a file of triples and the .link beside it; None: there is none."""
    if path.is_dir():
        inside = sorted(child for child in path.iterdir() if child.is_file())
        facts = [c for c in inside if name_of(c).endswith(".kg")] or [c for c in inside if name_of(c) in ("kg.txt", "kg.tsv")]
        links = [c for c in inside if name_of(c).endswith(".link")]
        links = links or [c for c in inside if name_of(c).startswith("item") and "entity" in name_of(c)]
        if len(facts) > 1 or len(links) > 1:
            several = ", ".join(c.name for c in (facts if len(facts) > 1 else links))
            raise DataError(f"{path}: several files of one sort ({several}); name one, with --links for the items' entities")
        return (facts[0], links[0] if links else None) if facts else None
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    beside = path.with_suffix(".link")
    return path, beside if path.suffix == ".kg" and beside.exists() else None


def read_graph(path: Path, links: Path | None = None) -> Graph:
    """The facts at ``path``. Raises DataError where there are none, or where a line is not a fact."""
    files = graph_files(path)
    if files is None:
        inside = ", ".join(sorted(child.name for child in path.iterdir())[:8]) or "nothing"
        raise DataError(f"{path}: no facts: needs a .kg file or kg.txt, and it holds {inside}; name the file of triples")
    facts, beside = files
    joined = links or beside
    triples = ((head, relation, tail) for head, relation, tail in _rows(facts, ("head", "relation", "tail")))
    return Graph.of(triples, _links(joined) if joined else None)


def _links(path: Path) -> dict[ItemId, str]:
    out: dict[ItemId, str] = {}
    for item, entity in _rows(path, ("item", "entity")):
        if out.setdefault(ItemId(item), entity) != entity:
            raise DataError(f"{path}: item {item!r} has two entities, {out[ItemId(item)]!r} and {entity!r}; keep one")
    return out


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """The cells of each line, as many as ``columns``, none empty; a typed header (``name:token``) is left out."""
    encoding = find_encoding(path, None)
    separator = _separator(path, encoding, len(columns))
    for line, row in delimited(path, encoding, separator, quote=False, columns=columns).rows():
        cells = [] if isinstance(row, Reject) else [str(cell).strip() for cell in row]
        if line == 1 and cells and all(cell.rpartition(":")[2] in ("token", "float") for cell in cells):
            continue
        if len(cells) != len(columns) or not all(cells) or max(map(len, cells)) > _LONGEST or any("\x00" in c for c in cells):
            raise DataError(
                f"{path}, line {line}: must hold {', '.join(columns)}, none empty or longer than {_LONGEST} characters, got "
                f"{str(row)[:80]}; mend the line or remove it"
            )
        yield cells


def _separator(path: Path, encoding: str, cells: int) -> str:
    """Tab, comma or blank: the first that cuts the first line into so many cells."""
    with reading(path, encoding) as text:
        first = text.readline().rstrip("\r\n")
    for separator in ("\t", ",", " "):
        if len(first.split(separator)) == cells:
            return separator
    raise DataError(f"{path}: the first line must hold {cells} cells by tabs, commas or blanks, got {first[:80]!r}")
