"""A folder of what one model said, by recipe: what was read once is never read again.

``recipe.json`` says whose it is, one file beside it only ever grows. What is appended is synced before it is reported, so a
killed run loses at most a batch. A torn tail is cut off by the next writer. Readers need no lock; there is one writer at a
time, and a second is told so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from longgame.artefacts import sync_folder, write_whole
from longgame.errors import ArtefactError
from longgame.language.lock import exclusive


def hashed(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Shelf:
    """The folder of one recipe under another. Nothing is written before :meth:`writing`."""

    def __init__(self, folder: Path, name: str, named: str, file: str, recipe: Mapping[str, Any]) -> None:
        """``name`` begins the folder's name, for people; a digest of ``named`` ends it."""
        slug = "".join(c if c.isalnum() or c in "-." else "-" for c in name).strip(".")
        self.home = folder / f"{slug}-{blake2b(named.encode(), digest_size=4).hexdigest()}"
        self.path = self.home / file
        self._recipe = dict(recipe)

    def check(self) -> None:
        """Raises ArtefactError where the folder holds what is of another recipe, or what nobody can tell the recipe of."""
        path = self.home / "recipe.json"
        try:
            found = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            if self.path.exists():
                message = f"{self.home}: holds {self.path.name} but no recipe.json; delete the folder to start anew"
                raise ArtefactError(message) from None
            return
        except ValueError as error:
            raise ArtefactError(f"{path}: is not JSON ({error}); delete {self.home} to start anew") from None
        if found != self._recipe:
            raise ArtefactError(
                f"{path}: is of another recipe: expected {self._recipe}, got {found}; delete {self.home} or rename the model"
            )

    @contextmanager
    def writing(self, whole: Callable[[], int]) -> Iterator[None]:
        """The one writer. ``whole``, called when all that was written is there, says how many bytes of it are good: the rest,
        which a killed writer left half done, is cut off.

        Raises ArtefactError as :meth:`check`, and where another process writes here.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with exclusive(self.home / "lock"):
            self.check()
            if not (self.home / "recipe.json").exists():
                write_whole(self.home / "recipe.json", json.dumps(self._recipe).encode())
            with self.path.open("ab") as file:
                good = whole()
                if self.size() != good:
                    file.truncate(good)
                    os.fsync(file.fileno())
            sync_folder(self.home)
            yield

    def append(self, data: bytes) -> None:
        """Add to the file; it is on disk when this returns. For the one writer."""
        with self.path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def size(self) -> int:
        """Bytes of the file; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
