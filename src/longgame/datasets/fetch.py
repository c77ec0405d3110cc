"""Fetches a public data set from its official address, or says exactly what to fetch by hand and where to put it.

A set's folder appears whole, by a rename, or not at all: that it exists means everything in it was checked.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from longgame.datasets import DATASETS, DataSet
from longgame.datasets.downloads import Download
from longgame.errors import ConfigError, DataError

_BLOCK = 1 << 16
_EXPANSION = 40
"""How many times larger than the archive its contents may be."""
_MEMBERS = 10_000

Progress = Callable[[str, int, int | None], None]
"""Hears the name of the file, the bytes so far, and the bytes in all where the server says."""


@dataclass(frozen=True)
class Limits:
    """How long a fetch may take."""

    stall: float = 30.0
    """Seconds without a byte."""
    total: float = 1800.0
    """Seconds for one file."""


def listing() -> list[dict[str, str]]:
    """The table of data sets for ``longgame data list``."""
    return [
        {
            "name": name,
            "title": data.title,
            "licence": data.licence,
            "homepage": data.homepage,
            "get": ", ".join(download.url for download in data.downloads) or "bring your own files",
            "checksum": ", ".join(_checked(download) for download in data.downloads),
        }
        for name, data in DATASETS.items()
    ]


def _checked(download: Download) -> str:
    return download.checksum or download.checksum_url or "none published"


@dataclass(frozen=True)
class Fetched:
    """A set that lies whole in its folder."""

    folder: Path
    unchecked: tuple[str, ...] = ()
    """Files whose owner publishes no checksum, or whose checksum could not be reached."""
    fresh: bool = True
    """False where it lay there already."""


def get(name: str, folder: Path, *, progress: Progress = lambda file, done, total: None, limits: Limits = Limits()) -> Fetched:
    """Fetch the set called ``name`` into ``folder / name``; if it is there already, nothing is fetched.

    A file that lies in ``folder / (name + ".download")`` under its own name is checked and used instead of fetched.
    Raises ConfigError for a name without a download, DataError where it cannot be fetched or is not what it must be.
    """
    if name not in DATASETS or not DATASETS[name].downloads:
        fetchable = ", ".join(known for known, data in DATASETS.items() if data.downloads)
        raise ConfigError(f"data get: must be one of {fetchable}, got {name!r}")
    return fetch(name, DATASETS[name], folder, progress=progress, limits=limits)


def fetch(name: str, data: DataSet, folder: Path, *, progress: Progress, limits: Limits) -> Fetched:
    """``get`` for any row of the table."""
    target = folder / name
    if target.exists():
        return Fetched(target, fresh=False)
    draft, waiting = folder / f"{name}.part", folder / f"{name}.download"
    unchecked: list[str] = []
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        waiting.mkdir(exist_ok=True)
        for download in data.downloads:
            file = waiting / download.file
            checksum = download.checksum or _published(download, limits)
            if not checksum:
                unchecked.append(download.file)
            if file.exists():
                _verify(file, checksum, f"{file}, which was there already", "remove it")
            else:
                _download(name, download, file, checksum, progress, limits)
            _unpack(download, file, draft)
        draft.rename(target)
        shutil.rmtree(waiting)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Fetched(target, tuple(unchecked))


def by_hand(name: str, download: Download, file: Path) -> str:
    """What to do where there is no network."""
    check = f" (its checksum must be {download.checksum})" if download.checksum else ""
    return f"by hand: fetch {download.url}{check}, put it at {file}, and run `longgame data get {name}` again"


def _download(name: str, download: Download, file: Path, checksum: str, progress: Progress, limits: Limits) -> None:
    part = file.with_name(file.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _stream(download.url, part, download.limit, lambda done, total: progress(download.file, done, total), limits)
        _verify(part, checksum, download.url, "try again later; the address may serve something else than it did")
        part.replace(file)
    except _Refused as error:
        raise DataError(f"{download.url}: {error}; {by_hand(name, download, file)}") from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise DataError(f"{download.url}: cannot be fetched ({why}); {by_hand(name, download, file)}") from None
    finally:
        part.unlink(missing_ok=True)


class _Refused(Exception):
    """What came is not taken."""


def _stream(url: str, part: Path, limit: int, progress: Callable[[int, int | None], None], limits: Limits) -> None:
    if not url.startswith(("https://", "http://")):
        raise _Refused("only http and https addresses are fetched")
    ends = time.monotonic() + limits.total
    with urllib.request.urlopen(url, timeout=limits.stall) as answer, part.open("wb") as out:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        done = 0
        # read1 hands over what has come, so that the clock is looked at even where bytes only trickle.
        while block := answer.read1(_BLOCK):
            done += len(block)
            if done > limit:
                raise _Refused(f"is larger than the {limit:,} bytes it may have")
            if time.monotonic() > ends:
                raise _Refused(f"took longer than {limits.total:g} seconds")
            out.write(block)
            progress(done, total)
        if total is not None and done != total:
            raise _Refused(f"the connection ended after {done:,} of {total:,} bytes")
        out.flush()
        os.fsync(out.fileno())


def _verify(file: Path, checksum: str, where: str, mend: str) -> None:
    """Raises DataError where the checksum of ``file`` is not ``checksum``."""
    kind, _, expected = checksum.partition(":")
    if not expected:
        return
    digest = hashlib.new(kind, usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise DataError(f"{where}: the {kind} checksum must be {expected}, got {digest.hexdigest()}; {mend}")


def _published(download: Download, limits: Limits) -> str:
    """The MD5 that lies beside a file whose contents change; "" where the address cannot be reached."""
    if not download.checksum_url:
        return ""
    try:
        with urllib.request.urlopen(download.checksum_url, timeout=limits.stall) as answer:
            text = answer.read(4096).decode("ascii", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    found = re.search(r"\b[0-9a-f]{32}\b", text)
    return f"md5:{found[0]}" if found else ""


def _unpack(download: Download, file: Path, folder: Path) -> None:
    if download.unpack == "zip":
        unzip(file, folder)
    else:
        target = folder / download.file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def unzip(file: Path, folder: Path) -> None:
    """Unpack plain files from ``file`` into ``folder``.

    Raises DataError for a torn archive, for a member that would land outside, and for one that grows out of bounds.
    """
    bound = _EXPANSION * file.stat().st_size + (1 << 20)
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > _MEMBERS or sum(member.file_size for member in members) > bound:
                raise DataError(
                    f"{file}: the archive unpacks to more than {bound:,} bytes or {_MEMBERS:,} files; it is refused"
                )
            for member in members:
                target = folder / _safe(file, member)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as out:
                    bound -= _copy(source, out, bound, file)
    # NotImplementedError and RuntimeError are what zipfile raises for a compression it does not know and for a password.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{file}: no whole zip archive ({error}); remove it and fetch it again") from None


def _safe(file: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    inside = PurePosixPath(member.filename.replace("\\", "/"))
    link = (member.external_attr >> 16) & 0o170000 == 0o120000
    if inside.is_absolute() or ".." in inside.parts or ":" in member.filename or link:
        raise DataError(f"{file}: the archive holds {member.filename!r}, which leads outside its folder; it is refused")
    return inside


def _copy(source: IO[bytes], out: IO[bytes], bound: int, file: Path) -> int:
    done = 0
    while block := source.read(_BLOCK):
        done += len(block)
        if done > bound:
            raise DataError(f"{file}: the archive unpacks to more than it says; it is refused")
        out.write(block)
    return done
