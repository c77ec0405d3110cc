"""Objects that a model wrote, on disk, by recipe and hash of the prompt: what was written once is never written again.

One folder a recipe: ``recipe.json`` says which writer and schema they are of, ``objects.jsonl`` holds a line each (hash,
object, checksum) and only ever grows. A batch is synced before it is reported, so a killed run loses at most one; a torn tail
is cut off by the next writer, a damaged line elsewhere counts as missing. One writer at a time, and a second is told so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

from longgame.artefacts import sync_folder, write_whole
from longgame.errors import ArtefactError
from longgame.language.cache import OnProgress
from longgame.language.lock import exclusive
from longgame.protocols import Writer

BATCH = 16
"""Objects between two syncs."""


class ObjectCache:
    """Objects of one writer and one schema under a folder."""

    def __init__(self, folder: Path | str, writer: Writer, schema: Mapping[str, Any]) -> None:
        told = json.dumps([writer.name, schema], sort_keys=True)
        slug = "".join(c if c.isalnum() or c in "-." else "-" for c in writer.name)[:48].strip(".")
        self._home = Path(folder) / f"{slug}-{blake2b(told.encode(), digest_size=4).hexdigest()}"
        self._path = self._home / "objects.jsonl"
        self._writer, self._schema = writer, schema
        self._recipe = {"format": 1, "writer": writer.name, "schema": schema}

    def generate(self, prompts: Sequence[str], on_progress: OnProgress | None = None) -> list[Mapping[str, Any] | None]:
        """An object for each prompt, None where the writer came to none; what no run asked before is asked, each once.

        Where a writer tells of single prompts that it came to none (``written``: a server may answer the next time), that is
        not kept: the next run asks again.

        ``on_progress(done, total)`` counts prompts whose object is safe. Raises ArtefactError while another process writes.
        """
        tell = on_progress or (lambda done, total: None)
        held = self._held()
        write = getattr(self._writer, "written", None) or self._writer.generate
        kept_too = write == self._writer.generate  # that one always comes to the same, so that None is kept as well
        todo = [text for text in dict.fromkeys(prompts) if _key(text) not in held]
        done = sum(_key(text) in held for text in prompts)
        tell(done, len(prompts))
        if todo:
            self._home.mkdir(parents=True, exist_ok=True)
            with exclusive(self._home / "lock"):
                self._repair()
                held = self._held()
                todo = sorted((text for text in todo if _key(text) not in held), key=len)
                size = getattr(self._writer, "batch", BATCH)
                for first in range(0, len(todo), size):
                    part = todo[first : first + size]
                    found = {_key(text): one for text, one in zip(part, write(part, self._schema), strict=True)}
                    self._append({key: one for key, one in found.items() if kept_too or one is not None})
                    held.update(found)
                    tell(sum(_key(text) in held for text in prompts), len(prompts))
        return [held[_key(text)] for text in prompts]

    def missing(self, prompts: Sequence[str]) -> list[str]:
        """Those of the prompts that no run has asked, each once."""
        held = self._held()
        return [text for text in dict.fromkeys(prompts) if _key(text) not in held]

    def _held(self) -> dict[str, Mapping[str, Any] | None]:
        try:
            recipe = json.loads((self._home / "recipe.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            recipe = None
        if recipe != self._recipe:
            raise ArtefactError(f"{self._home}: holds objects of another recipe; delete the folder to start anew")
        lines = self._path.read_bytes().split(b"\n")[:-1] if self._path.exists() else []
        return dict(filter(None, map(_parsed, lines)))

    def _repair(self) -> None:
        if not (self._home / "recipe.json").exists():
            write_whole(self._home / "recipe.json", json.dumps(self._recipe).encode())
        if self._path.exists():
            raw = self._path.read_bytes()
            whole = raw.rfind(b"\n") + 1
            if whole != len(raw):
                os.truncate(self._path, whole)

    def _append(self, found: Mapping[str, Mapping[str, Any] | None]) -> None:
        fresh = not self._path.exists()
        with self._path.open("ab") as file:
            for key, one in found.items():
                told = json.dumps({"key": key, "object": one}, ensure_ascii=True)
                file.write(f"{told}\t{crc32(told.encode()):08x}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            sync_folder(self._home)


def _parsed(line: bytes) -> tuple[str, Mapping[str, Any] | None] | None:
    told, _, check = line.rpartition(b"\t")
    if f"{crc32(told):08x}".encode() != check:
        return None
    found = json.loads(told)
    return str(found["key"]), found["object"]


def _key(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
