"""Where a public data set lies, and what its bytes must be. Only addresses and checksums their owners publish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

GROUPLENS = "https://files.grouplens.org/datasets/movielens"
OPEN_BANDIT = "https://raw.githubusercontent.com/st-tech/zr-obp/master/obd"
SNAP = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"


@dataclass(frozen=True)
class Download:
    """One file at its official address."""

    url: str
    path: str = ""
    """Where it goes inside the set's folder; the name in the address if empty."""
    checksum: str = ""
    """ "md5:…" or "sha256:…" as its owner publishes it, empty where none is published."""
    checksum_url: str = ""
    """An official address that gives the checksum, for a set whose contents change."""
    limit: int = 1 << 30
    """Bytes at most, so that a wrong address cannot fill the disk."""
    unpack: Literal["", "zip"] = ""

    @property
    def file(self) -> str:
        """The name of the file as it is fetched."""
        return self.path or urlsplit(self.url).path.rsplit("/", 1)[-1]


def movielens(name: str, md5: str = "") -> Download:
    """GroupLens publishes the MD5 of each archive beside it, under the archive's name and ``.md5``."""
    url = f"{GROUPLENS}/{name}.zip"
    return Download(
        url, checksum=f"md5:{md5}" if md5 else "", checksum_url="" if md5 else f"{url}.md5", limit=64 << 20, unpack="zip"
    )


def open_bandit() -> tuple[Download, ...]:
    """The small sample (10,000 rows a policy) of the campaign "men", in the repository of its authors."""
    paths = [f"{policy}/men/{file}" for policy in ("random", "bts") for file in ("men.csv", "item_context.csv")]
    return tuple(Download(f"{OPEN_BANDIT}/{path}", path, limit=64 << 20) for path in paths)


def amazon(category: str) -> tuple[Download, ...]:
    """The 5-core reviews of one category and its products, as they lie at Stanford."""
    return tuple(Download(f"{SNAP}/{name}") for name in (f"reviews_{category}_5.json.gz", f"meta_{category}.json.gz"))
