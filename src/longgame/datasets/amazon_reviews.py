"""Amazon reviews of 2014 (McAuley): reviews_NAME.json.gz, an object a line, and meta_NAME.json.gz with the products.

The reviews are JSON Lines. The products are Python literals, not JSON; they are parsed as literals, never run.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longgame.datasets.cells import ident, text
from longgame.datasets.files import find_encoding, name_of, reading
from longgame.datasets.records import events, id_key, sentences
from longgame.datasets.report import Reject
from longgame.datasets.rows import Row, RowFile, Rows, json_lines
from longgame.datasets.source import Column, Options, Source, Table
from longgame.errors import DataError
from longgame.types import Attribute, Item, ItemId

_REVIEW = ("reviewerID", "asin", "overall", "unixReviewTime")
_META = ("asin", "title", "description", "brand", "categories", "price", "imUrl")


def _named(path: Path, start: str) -> bool:
    return name_of(path).startswith(start) and name_of(path).endswith((".json", ".jsonl")) and path.is_file()


def matches(path: Path) -> bool:
    """Whether ``path`` is a reviews_*.json file, gzip or not, or a folder that holds one."""
    return any(_named(child, "reviews_") for child in path.iterdir()) if path.is_dir() else _named(path, "reviews_")


def open_amazon_reviews(path: Path, options: Options) -> Source:
    """The ratings with what was written, and the products where a meta_*.json file lies beside."""
    options.only("amazon-beauty", "encoding")
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    reviews = [child for child in inside if _named(child, "reviews_") or child == path]
    if not reviews or (path.is_dir() and not matches(path)):
        raise DataError(f"{path}: Amazon reviews need a file reviews_NAME.json or reviews_NAME.json.gz")
    tables = [_products(child, options.encoding) for child in inside if _named(child, "meta_")]
    tables += [_reviews(child, options) for child in reviews]
    return Source("amazon-beauty", path, tuple(tables), options.known_items)


def _reviews(path: Path, options: Options) -> Table:
    file = json_lines(path, options.encoding)
    absent = [name for name in _REVIEW if name not in file.columns]
    if absent:
        raise DataError(f"{path}: an Amazon review has {', '.join(_REVIEW)}; {', '.join(absent)} is missing")
    place = {name: at for at, name in enumerate(file.columns)}
    wrote = [place[name] for name in ("summary", "reviewText") if name in place]

    def rows() -> Rows:
        for line, row in file.rows():
            if isinstance(row, Reject):
                yield line, row
            else:
                yield line, [*(row[place[name]] for name in _REVIEW), sentences(*(text(row[at]) for at in wrote))]

    whole = RowFile(path, ("user", "item", "rating", "timestamp", "text"), rows, file.layout)
    return events(whole, Options(), "amazon")


def _products(path: Path, encoding: str | None) -> Table:
    known = find_encoding(path, encoding)

    def rows() -> Rows:
        with reading(path, known) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _literal(line)

    def make(line: int, row: Row) -> Item:
        found: dict[str, Any] = dict(zip(_META, row, strict=True))
        categories = tuple(dict.fromkeys(str(part) for path in found["categories"] or () for part in path))
        about = sentences(text(found["title"]), text(found["brand"]), ", ".join(categories), text(found["description"]))
        media = {"image": str(found["imUrl"])} if found["imUrl"] else {}
        return Item(ItemId(ident("item", found["asin"])), about, _attributes(found, categories), media)

    columns = (Column("asin", "item"), *(Column(name, "text and attributes") for name in _META[1:]))
    return Table("items", path, columns, rows, make, key=id_key, facts={"encoding": known, "lines": "Python literals"})


def _attributes(found: Mapping[str, Any], categories: tuple[str, ...]) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {name: text(found[name]) for name in ("title", "brand") if text(found[name])}
    if categories:
        attributes["categories"] = categories
    if isinstance(found["price"], (int, float)):
        attributes["price"] = float(found["price"])
    return attributes


def _literal(line: str) -> Row | Reject:
    try:
        found = ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return Reject("line is no product", f"got {line.strip()[:60]!r}", "each line must be one Python or JSON object")
    return [found.get(name) for name in _META]
