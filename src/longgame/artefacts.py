"""Arrays plus JSON on disk: appear whole, are checked when read, and never run code (rule 9)."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from longgame.errors import ArtefactError

Arrays = Mapping[str, np.ndarray[Any, Any]]


def digest(arrays: Arrays, **decides: float) -> str:
    """Eight hexadecimal digits that name these arrays and the numbers that decide beside them: other contents, other name."""
    arrays = {**arrays, **{name: np.array([value]) for name, value in decides.items()}}
    hasher = hashlib.blake2b(digest_size=4)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hasher.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()


def shaped(arrays: Arrays, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A copy of the array of that name. Raises ArtefactError where it is missing or of another shape."""
    got = arrays.get(name)
    if got is None or got.shape != shape:
        found = "nothing" if got is None else f"shape {got.shape}"
        raise ArtefactError(f"checkpoint: {name} must have shape {shape}, got {found}")
    return np.array(got)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Write aside, sync, rename: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)


def save(path: Path, arrays: Arrays, about: Mapping[str, Any]) -> None:
    """Arrays and the JSON that says what they are, in one safetensors file, so that neither exists alone."""
    from safetensors.numpy import save as encode

    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    write_whole(path, encode(contiguous, metadata={"about": json.dumps(about)}))


def load(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """What :func:`save` wrote. Raises ArtefactError where the file is missing, torn or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise ArtefactError(f"{path}: there is no such checkpoint") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ArtefactError(f"{path}: not a whole longgame checkpoint ({error}); remove it and make it again") from error
