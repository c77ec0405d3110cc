"""Files -> items, users, events, decisions: a table of data sets, one file each.

    source = open_source(Path("shop.csv"))      # sniffs the form; DataError says what is wrong with the layout
    source.preview()                            # how each column is read
    validate(source)                            # goes through every row, writes nothing; DataError or a Report
    store.put(source.read(report))              # the same rows again, as records

Nothing here writes to a log: the command line does.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from longgame.datasets import (
    adjacency,
    amazon_reviews,
    atomic,
    movielens_1m,
    movielens_100k,
    movielens_latest,
    open_bandit,
    sequences,
    table,
)
from longgame.datasets import downloads as official
from longgame.datasets.downloads import Download
from longgame.datasets.report import Report
from longgame.datasets.source import Options, Source, validate
from longgame.errors import ConfigError, DataError

__all__ = ["DATASETS", "DataSet", "Download", "Options", "Report", "Source", "open_source", "sniff", "validate"]


@dataclass(frozen=True)
class DataSet:
    """One row of the table: a form of data, and the public set in that form where there is one to fetch."""

    title: str
    licence: str
    matches: Callable[[Path], bool]
    """Whether a file or folder looks like it. Reads names, and a line at most."""
    open: Callable[[Path, Options], Source]
    """Raises DataError where the layout is not what it must be."""
    homepage: str = ""
    downloads: tuple[Download, ...] = ()
    """Empty where there is nothing to fetch: the form is for files of your own."""


_GROUPLENS = "GroupLens: research use, no redistribution, commercial use only with permission; see its README"

DATASETS: dict[str, DataSet] = {
    "ml-100k": DataSet(
        "MovieLens 100K: 100,000 ratings of 1,682 films by 943 people",
        _GROUPLENS,
        movielens_100k.matches,
        movielens_100k.open_movielens_100k,
        "https://grouplens.org/datasets/movielens/100k/",
        (official.movielens("ml-100k", "0e33842e24a9c977be4e0107933c0723"),),
    ),
    "ml-1m": DataSet(
        "MovieLens 1M: 1,000,209 ratings of some 3,900 films by 6,040 people",
        _GROUPLENS,
        movielens_1m.matches,
        movielens_1m.open_movielens_1m,
        "https://grouplens.org/datasets/movielens/1m/",
        (official.movielens("ml-1m", "c4d9eecfca2ab87c1945afe126590906"),),
    ),
    "ml-latest-small": DataSet(
        "MovieLens latest, small: some 100,000 ratings and 3,600 tags; 20M, 25M and 32M have the same layout",
        _GROUPLENS,
        movielens_latest.matches,
        movielens_latest.open_movielens_latest,
        "https://grouplens.org/datasets/movielens/latest/",
        (official.movielens("ml-latest-small"),),
    ),
    "atomic": DataSet(
        "Atomic files (RecBole): NAME.inter, NAME.item, NAME.user with typed headers",
        "that of the set the files hold",
        atomic.matches,
        atomic.open_atomic,
        "https://recbole.io/docs/user_guide/data/atomic_files.html",
    ),
    "obd": DataSet(
        "Open Bandit: decisions of a fashion shop with their propensities, 10,000 a policy, campaign men",
        "CC BY 4.0 (ZOZO, Inc.)",
        open_bandit.matches,
        open_bandit.open_open_bandit,
        "https://research.zozo.com/data.html",
        official.open_bandit(),
    ),
    "sequences": DataSet(
        "Amazon-style sequences: sequences.txt (user item item …) and items.tsv with item texts",
        "that of the set the files hold",
        sequences.matches,
        sequences.open_sequences,
    ),
    "adjacency": DataSet(
        "Adjacency lists (LightGCN, BARS): train.txt, test.txt and perhaps valid.txt, user item item …, without times",
        "that of the set the files hold",
        adjacency.matches,
        adjacency.open_adjacency,
    ),
    "amazon-beauty": DataSet(
        "Amazon 2014 reviews, Beauty, 5-core: 198,502 reviews with text, and the products",
        "none stated by the publisher (J. McAuley, UCSD): research; do not redistribute",
        amazon_reviews.matches,
        amazon_reviews.open_amazon_reviews,
        "https://jmcauley.ucsd.edu/data/amazon/",
        official.amazon("Beauty"),
    ),
    "table": DataSet(
        "Files of your own: CSV, TSV, JSON Lines, Parquet; a file, or a folder with events, items and users",
        "yours",
        table.matches,
        table.open_table,
    ),
}
"""Name -> data set, in the order in which a path is tried: the particular before the general."""


def sniff(path: Path) -> str:
    """The name of the form that ``path`` has. Raises DataError where there is nothing, or nothing known."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder{_near(path)}")
    for name, form in DATASETS.items():
        if form.matches(path):
            return name
    if path.is_dir():
        inside = sorted(child.name for child in path.iterdir())
        raise DataError(f"{path}: none of the known forms; it holds {', '.join(inside[:8]) or 'nothing'}; see docs/data.md")
    raise DataError(
        f"{path}: the ending {path.suffix or '(none)'} is not known; give --form table or rename it (.csv, .jsonl, .parquet)"
    )


def _near(path: Path) -> str:
    names = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, 1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""


def open_source(path: Path, form: str | None = None, options: Options = Options()) -> Source:  # noqa: B008 - frozen
    """Open what lies at ``path`` as ``form``, or as what it looks like.

    Raises DataError where the files are not what they must be, ConfigError for an unknown form or an option that does
    not apply.
    """
    if form is not None and form not in DATASETS:
        close = difflib.get_close_matches(form, DATASETS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"form: must be one of {', '.join(DATASETS)}, got {form!r}{hint}")
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder{_near(path)}")
    path = _inside(path)
    return DATASETS[form or sniff(path)].open(path, options)


def _inside(path: Path) -> Path:
    """A folder that holds one folder and no file is an unpacked archive: the data lies inside."""
    while path.is_dir():
        children = list(path.iterdir())
        if len(children) != 1 or not children[0].is_dir():
            break
        path = children[0]
    return path
