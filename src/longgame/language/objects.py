"""Objects that a model wrote, on disk, by recipe and hash of the prompt: what was written once is never written again.

A shelf for each writer and schema: ``objects.jsonl`` holds a line each (hash, object, checksum), null where the writer came to
none. A damaged line counts as missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from longgame.language.cache import OnProgress
from longgame.language.shelf import Shelf, hashed
from longgame.protocols import Writer

BATCH = 16
"""Objects between two syncs."""
TRIES = 3
"""Runs that ask a writer which may answer the next time: whoever pays for each should not pay for ever."""


class ObjectCache:
    """Objects of one writer and one schema under a folder."""

    def __init__(self, folder: Path | str, writer: Writer, schema: Mapping[str, Any]) -> None:
        told = json.dumps([writer.name, schema], sort_keys=True)
        recipe = {"format": 1, "writer": writer.name, "schema": schema}
        self._shelf = Shelf(Path(folder), writer.name[:48], told, "objects.jsonl", recipe)
        self._writer, self._schema = writer, schema

    def generate(self, prompts: Sequence[str], on_progress: OnProgress | None = None) -> list[Mapping[str, Any] | None]:
        """An object for each prompt, None where the writer came to none; what no run asked before is asked, each once.

        Where a writer tells of single prompts that it came to none (``written``: a server may answer the next time), the next
        run asks again, until ``TRIES`` have.

        ``on_progress(done, total)`` counts prompts whose object is safe. Raises ArtefactError while another process writes.
        """
        tell = on_progress or (lambda done, total: None)
        held = self._held()
        write = getattr(self._writer, "written", None) or self._writer.generate
        todo = [text for text in dict.fromkeys(prompts) if _key(text) not in held]
        done = sum(_key(text) in held for text in prompts)
        tell(done, len(prompts))
        if todo:
            with self._shelf.writing(self._whole):
                held = self._held()
                todo = sorted((text for text in todo if _key(text) not in held), key=len)
                size = getattr(self._writer, "batch", BATCH)
                for first in range(0, len(todo), size):
                    part = todo[first : first + size]
                    found = {_key(text): one for text, one in zip(part, write(part, self._schema), strict=True)}
                    self._append(found)
                    held.update(found)
                    tell(sum(_key(text) in held for text in prompts), len(prompts))
        return [held[_key(text)] for text in prompts]

    def missing(self, prompts: Sequence[str]) -> list[str]:
        """Those of the prompts that no run has asked, each once."""
        held = self._held()
        return [text for text in dict.fromkeys(prompts) if _key(text) not in held]

    def _held(self) -> dict[str, Mapping[str, Any] | None]:
        """What need not be asked."""
        self._shelf.check()
        path = self._shelf.path
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        told = list(filter(None, map(_parsed, lines)))
        tries = TRIES if hasattr(self._writer, "written") else 1  # one that is no server always comes to the same
        vain = Counter(key for key, one in told if one is None)
        return {key: one for key, one in told if one is not None or vain[key] >= tries}

    def _whole(self) -> int:
        return self._shelf.path.read_bytes().rfind(b"\n") + 1

    def _append(self, found: Mapping[str, Mapping[str, Any] | None]) -> None:
        told = [json.dumps({"key": key, "object": one}, ensure_ascii=True) for key, one in found.items()]
        self._shelf.append(b"".join(f"{line}\t{crc32(line.encode()):08x}\n".encode() for line in told))


def _parsed(line: bytes) -> tuple[str, Mapping[str, Any] | None] | None:
    told, _, check = line.rpartition(b"\t")
    if f"{crc32(told):08x}".encode() != check:
        return None
    found = json.loads(told)
    return str(found["key"]), found["object"]


def _key(text: str) -> str:
    return hashed(text).hex()
