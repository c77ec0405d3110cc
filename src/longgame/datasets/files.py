"""Opens what people call a text file: plain or gzip, with or without a byte order mark, in an encoding they may not know.

What goes wrong is said once, here, as a DataError with the line and the byte.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from longgame.errors import ConfigError, DataError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive (or an Excel workbook): unpack it, or export it as CSV",
    b"PAR1": "a Parquet file: give it the ending .parquet",
    b"SQLite format 3\x00": "an SQLite database: export the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it, or compress it with gzip",
    b"BZh": "compressed with bzip2: decompress it, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz: decompress it, or compress it with gzip",
    b"%PDF": "a PDF: export the table as CSV",
}


def name_of(path: Path) -> str:
    """The name that decides the form: in lower case, without ``.gz``.

    >>> name_of(Path("Events.CSV.gz"))
    'events.csv'
    """
    return path.name.lower().removesuffix(".gz")


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of a file, decompressed where they begin as gzip does, whatever its name is."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}") from None
    if raw.read(2) == b"\x1f\x8b":
        raw.seek(0)
        return cast(BinaryIO, io.BufferedReader(_Owned(raw)))
    raw.seek(0)
    return raw


class _Owned(gzip.GzipFile):
    """A gzip stream that closes the file it reads."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._raw = raw

    def close(self) -> None:
        super().close()
        self._raw.close()


def find_encoding(path: Path, asked: str | None) -> str:
    """The encoding of a text file: the one asked for, else what its byte order mark says, else UTF-8.

    Raises DataError for an empty file and for what is no text.
    """
    with reading_bytes(path) as raw:
        head = raw.read(16)
    if not head.strip():
        with reading_bytes(path) as raw:
            if not raw.read(1 << 16).strip():
                raise DataError(f"{path}: the file is empty")
    for mark, what in _NOT_TEXT.items():
        if head.startswith(mark):
            raise DataError(f"{path}: {what}")
    if asked is not None:
        try:
            known = codecs.lookup(asked).name
            return "utf-8-sig" if known == "utf-8" and head.startswith(codecs.BOM_UTF8) else known
        except LookupError:
            raise ConfigError(f"encoding: Python knows no encoding {asked!r}; try utf-8, latin-1 or cp1252") from None
    if head.count(0) >= len(head) // 3 and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: every other byte is 0, as in UTF-16 without its mark; try --encoding utf-16-le")
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "utf-8")


@contextmanager
def reading_bytes(path: Path) -> Iterator[BinaryIO]:
    """``open_bytes`` as a context; a torn gzip file raises DataError."""
    try:
        with open_bytes(path) as raw:
            yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is torn or not whole ({error}); fetch it again") from None


@contextmanager
def reading(path: Path, encoding: str) -> Iterator[TextIO]:
    """The text of a file, line ends untouched; bytes that are not ``encoding`` raise DataError with their place."""
    with reading_bytes(path) as raw, io.TextIOWrapper(raw, encoding, newline="") as text:
        try:
            yield text
        except UnicodeDecodeError as error:
            raise DataError(_misfit(path, encoding, error)) from None


def _misfit(path: Path, encoding: str, error: UnicodeDecodeError) -> str:
    """Where the first byte lies that is not ``encoding``: found again line by line, for the decoder works in blocks."""
    mend = "if the whole file is in another encoding say so with --encoding (latin-1, cp1252, …); else mend that line"
    if not encoding.startswith("utf-16"):
        with reading_bytes(path) as raw:
            for number, line in enumerate(raw, 1):
                try:
                    line.decode(encoding)
                except UnicodeDecodeError as found:
                    near = line[max(0, found.start - 10) : found.start + 10].decode("latin-1")
                    byte = f"byte {found.start + 1} is 0x{line[found.start]:02x} (near {near!r})"
                    return f"{path}, line {number}: {byte}, which is not {encoding}; {mend}"
    return f"{path}: not {encoding} ({error.reason}); {mend}"
