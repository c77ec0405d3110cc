"""Vectors on disk, by model and hash of the text: what was read once is never read again.

A shelf a model: ``vectors.bin`` holds fixed-size records (hash of the text, vector, checksum). A damaged record is read as
missing and written again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from longgame.language.shelf import Shelf, hashed
from longgame.protocols import LanguageModel
from longgame.shapes import check
from longgame.types import F32, Bool

FORMAT = 1
BATCH = 512
"""Texts between two syncs: what a killed run loses at most."""
_CHUNK = 8192
"""Records checked at a time when a file is opened."""

OnProgress = Callable[[int, int], None]


class VectorCache:
    """Vectors of any number of models under one folder. Cheap to make: files are opened when first used."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._known: dict[str, _Vectors] = {}
        self._passing: dict[str, dict[bytes, F32]] = {}

    def embed(
        self, model: LanguageModel, texts: Sequence[str], on_progress: OnProgress | None = None, batch: int | None = None
    ) -> F32:
        """(n, width), row i for text i; the model reads only what no run has read before, each text once.

        What a model says to be no answer (``answered``) is not kept: this object asks it once, the next run again.

        ``on_progress(done, total)`` counts texts whose vector is safe. Raises ArtefactError if the folder
        holds vectors of another width or another process is writing vectors of this model.
        """
        shelf, passing = self._shelf(model), self._passing.setdefault(model.name, {})
        batch = batch or int(getattr(model, "batch", BATCH))  # a model may say what is dear enough to keep at once
        tell = on_progress or (lambda done, total: None)
        keys = [hashed(text) for text in texts]
        shelf.refresh()
        copies: dict[bytes, int] = {}
        for key in keys:
            copies[key] = copies.get(key, 0) + 1
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in shelf.rows and key not in passing}
        done = len(texts) - sum(copies[key] for key in missing)
        tell(done, len(texts))
        if missing:
            with shelf.writing():
                # Texts of one length share a batch: the encoder pads less.
                todo = sorted(((k, t) for k, t in missing.items() if k not in shelf.rows), key=lambda pair: len(pair[1]))
                done = len(texts) - sum(copies[key] for key, _ in todo)
                for start in range(0, len(todo), batch):
                    part = todo[start : start + batch]
                    vectors, said = _read(model, [text for _, text in part])
                    shelf.append([key for (key, _), kept in zip(part, said, strict=True) if kept], vectors[said])
                    passing.update({part[row][0]: vectors[row] for row in np.flatnonzero(~said).tolist()})
                    done += sum(copies[key] for key, _ in part)
                    tell(done, len(texts))
        known = [row for row, key in enumerate(keys) if key in shelf.rows]
        out = np.zeros((len(keys), model.width), np.float32)
        out[known] = shelf.take([keys[row] for row in known])
        for row, key in enumerate(keys):
            if key not in shelf.rows:
                out[row] = passing[key]
        return out

    def missing(self, model: LanguageModel, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that were never read, each once. Reads nothing with the model; raises as :meth:`embed`."""
        shelf = self._shelf(model)
        shelf.refresh()
        return [text for text in dict.fromkeys(texts) if hashed(text) not in shelf.rows]

    def _shelf(self, model: LanguageModel) -> _Vectors:
        if model.name not in self._known:
            self._known[model.name] = _Vectors(self._folder, model.name, model.width)
        return self._known[model.name]


def embed_in_batches(model: LanguageModel, texts: Sequence[str], on_progress: OnProgress | None = None) -> F32:
    """(n, width) without a cache: what :meth:`VectorCache.embed` gives, kept nowhere."""
    out = np.zeros((len(texts), model.width), np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        out[rows], _ = _read(model, [texts[i] for i in rows])
        if on_progress:
            on_progress(start + len(rows), len(texts))
    return out


def _read(model: LanguageModel, texts: Sequence[str]) -> tuple[F32, Bool]:
    """(n, width), and (n,) whether each is what the model says of the text, not what stands for an answer it did not give."""
    answered = getattr(model, "answered", None)
    vectors, said = answered(texts) if answered else (model.embed(texts), np.ones(len(texts), np.bool_))
    check({"n": len(texts), "D": model.width}, (f"{model.name}.embed", vectors, "n D"))
    return vectors, said


class _Vectors:
    """The vectors of one model. ``rows`` maps the hash of a text to its record."""

    def __init__(self, folder: Path, name: str, width: int) -> None:
        self._shelf = Shelf(folder, name[:64], name, "vectors.bin", {"format": FORMAT, "model": name, "width": width})
        self._width = width
        self._record = np.dtype([("key", "V16"), ("vector", "<f4", (width,)), ("check", "<u4")])
        self._read_to = 0
        self.rows: dict[bytes, int] = {}
        self._shelf.check()

    def refresh(self) -> None:
        """Learn of records that this or another process appended. A record still being written is left for later."""
        whole = self._shelf.size() // self._record.itemsize
        while self._read_to < whole:
            count = min(_CHUNK, whole - self._read_to)
            part = np.fromfile(self._shelf.path, self._record, count, offset=self._read_to * self._record.itemsize)
            for row, (key, good) in enumerate(zip(part["key"].tolist(), self._checks(part), strict=True), self._read_to):
                if good:
                    self.rows.setdefault(key, row)
            self._read_to += count

    def _checks(self, records: npt.NDArray[np.void]) -> list[bool]:
        size = self._record.itemsize
        raw = memoryview(records.tobytes())
        sums = (crc32(raw[at : at + size - 4]) for at in range(0, len(raw), size))
        return [expected == got for expected, got in zip(records["check"].tolist(), sums, strict=True)]

    def writing(self) -> AbstractContextManager[None]:
        """The one writer: sees all that was written before, and cuts off what a killed one left half done."""
        return self._shelf.writing(self._whole)

    def _whole(self) -> int:
        # A reader may have counted a record whose bytes came later: with the lock held all there is, is final.
        self.rows.clear()
        self._read_to = 0
        self.refresh()
        self._read_to = max(self.rows.values(), default=-1) + 1
        return self._read_to * self._record.itemsize

    def append(self, keys: Sequence[bytes], vectors: F32) -> None:
        """Add records; they are on disk when it returns."""
        records = np.zeros(len(keys), self._record)
        records["key"] = np.frombuffer(b"".join(keys), "V16")
        records["vector"] = vectors
        size = self._record.itemsize
        raw = memoryview(records.tobytes())
        records["check"] = [crc32(raw[at : at + size - 4]) for at in range(0, len(raw), size)]
        self._shelf.append(records.tobytes())
        for row, key in enumerate(keys, self._read_to):
            self.rows[key] = row
        self._read_to += len(keys)

    def take(self, keys: Sequence[bytes]) -> F32:
        """(n, width) of texts that are all known."""
        if not keys:
            return np.zeros((0, self._width), np.float32)
        records: npt.NDArray[Any] = np.memmap(self._shelf.path, self._record, "r")
        return np.array(records["vector"][[self.rows[key] for key in keys]], np.float32)
