"""A catalogue's pictures, in a product's folder: which can be read and why others cannot, their vectors, and the fusion kept.

Paths come from a catalogue or over HTTP, so none leads out of the folder that the settings name, and no address is fetched. A
picture's vector lies in the cache under the hash of its bytes; which bytes a file holds is asked anew when its size or time
changed. The fusion is learned once and kept: a new item must not change the recipe that logged decisions were made by.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longgame.artefacts import load, save, write_whole
from longgame.errors import ArtefactError, ConfigError, DataError
from longgame.language import Features, VectorCache, describe
from longgame.language.efficientnet import SIDE, EfficientNetLite0
from longgame.language.fusion import Fusion
from longgame.language.pictures import BYTES, ByContent, Unreadable, content, pixels
from longgame.protocols import PictureModel
from longgame.settings import Settings
from longgame.store import open_store
from longgame.types import Bool, Item
from longgame.wiring.budget import Budget, Spent, Tell
from longgame.wiring.language import described, descriptions_of, language_model
from longgame.wiring.ledgers import entered

KIND = "image"
"""Of ``Item.media``."""
CHANGED = 0.1
"""Share of the items with a picture that may be new before the fusion is learned anew."""
_SAMPLE = 12
"""Pictures that are read to see how fast the model is on this machine."""


@dataclass(frozen=True)
class Looked:
    """Where an item's picture is, or why there is none."""

    known: str = ""
    """Hash of its bytes; empty where there is no file that could be read."""
    why: str = ""
    path: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What reading the pictures will take."""

    model: str
    items: int
    pictures: int
    """Files, each contents once, that were not read before."""
    bytes: int
    seconds: float
    """On this machine as it is now, as a sample says."""


@dataclass(frozen=True)
class Done:
    """What reading them took."""

    model: str
    items: int
    new: int
    """Pictures the model was shown."""
    seen: int
    """Items with a vector."""
    without: Mapping[str, int]
    """Why the others have none, with how many."""
    left: int
    """Items that the budget did not reach."""
    seconds: float
    fusion: str
    """Version of how they join the texts; empty where it was not learned."""


def root(settings: Settings) -> Path:
    """The folder that paths of pictures begin in."""
    return Path(settings.pictures.folder or Path(settings.data.folder) / "pictures")


def find(settings: Settings, items: Sequence[Item]) -> list[Looked]:
    """Each item's picture. Files whose size and time are as they were are not opened again."""
    path = _kept(settings) / "files.json"
    try:
        read_back = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        read_back = None
    known: dict[str, list[object]] = read_back if isinstance(read_back, dict) else {}  # damaged: a look at all files
    base = root(settings).resolve()
    before = dict(known)
    out = [_look(base, item.media.get(KIND, ""), known) for item in items]
    if known != before:
        write_whole(path, json.dumps(known).encode())
    return out


def _look(base: Path, address: str, known: dict[str, list[object]]) -> Looked:
    if not address:
        return Looked(why="no picture is named")
    if "://" in address:
        return Looked(why="an address, which is not fetched")
    try:
        path = (base / address).resolve()
        if not path.is_relative_to(base):
            return Looked(why="outside of pictures.folder")
        told = path.stat()
        if not path.is_file():
            return Looked(why="no file")
        now: list[object] = [told.st_size, told.st_mtime_ns]
        held = known.get(str(path), [])
        if held[:2] == now and len(held) == 3:
            return Looked(str(held[2]), path=path)
        if told.st_size > BYTES:
            return Looked(why=f"more than {BYTES:,} bytes", path=path)
        known[str(path)] = [*now, content(path.read_bytes())]
    except FileNotFoundError:
        return Looked(why="no such file")
    except (OSError, ValueError):  # no right to read it, a name too long, a NUL
        return Looked(why="cannot be opened")
    return Looked(str(known[str(path)][2]), path=path)


def told(settings: Settings, item: Item) -> str:
    """What is known of one item's picture, in words."""
    found = find(settings, [item])[0]
    named = item.media.get(KIND, "")
    if found.path is None or not found.known:
        return f"{named}: {found.why}" if named else found.why
    try:
        pixels(found.path.read_bytes(), SIDE)
    except Unreadable as trouble:
        return f"{named}: {trouble}"
    return named


def _model() -> PictureModel:
    return EfficientNetLite0()


def _cache(settings: Settings) -> VectorCache:
    return VectorCache(Path(settings.data.folder) / "vectors")


def _kept(settings: Settings) -> Path:
    return Path(settings.data.folder) / "pictures-read"


def _items(settings: Settings) -> list[Item]:
    store = open_store(settings.store.url)
    try:
        return list(store.items())
    finally:
        store.close()


def _files(found: Sequence[Looked]) -> dict[str, Path]:
    return {one.known: one.path for one in found if one.known and one.path is not None}


def plan(settings: Settings) -> Plan:
    """Nothing is kept but which files there are; a few pictures are read."""
    items, model = _items(settings), _model()
    files = _files(find(settings, items))
    todo = _cache(settings).missing(ByContent(model, files), list(files))
    data = [files[known].read_bytes() for known in todo[:: max(1, len(todo) // _SAMPLE)][:_SAMPLE]]
    seconds = 0.0
    if data:
        model.embed(data[:1])  # loading is no part of it
        began = time.perf_counter()
        model.embed(data)
        seconds = (time.perf_counter() - began) * len(todo) / len(data)
    return Plan(model.name, len(items), len(todo), sum(files[known].stat().st_size for known in todo), seconds)


def vectors(settings: Settings, items: Sequence[Item], cache: VectorCache, tell: Tell | None = None) -> Features:
    """(I, P) of the items' pictures, zeros where there is none. What was read before is not read again."""
    return _vectors(items, find(settings, items), _model(), cache, tell)[0]


def _vectors(
    items: Sequence[Item], found: Sequence[Looked], model: PictureModel, cache: VectorCache, tell: Tell | None
) -> tuple[Features, int]:
    reader = ByContent(model, _files(found))
    rows = [row for row, one in enumerate(found) if one.known]
    out = np.zeros((len(items), model.width), np.float32)
    out[rows] = cache.embed(reader, [found[row].known for row in rows], tell)
    return Features(model.name, tuple(item.id for item in items), out), reader.read


def read(settings: Settings, budget: float | None = None, tell: Tell = lambda done, total: None) -> Done:
    """Reads what was not read before, for ``budget`` seconds at most, to the end of the batch that is under way then, and
    learns how pictures join the texts, where that is not known or a tenth of the pictures is new. Texts that were not read
    yet are read for it, unless a server would have to."""
    bound, items, model = Budget(budget, tell), _items(settings), _model()
    found, cache = find(settings, items), _cache(settings)
    without = dict(Counter(one.why for one in found if not one.known))
    try:
        with entered(settings, "pictures", lambda: model.name, lambda: bound.ledger, bound):
            pictures, new = _vectors(items, found, model, cache, bound)
    except Spent:
        left = sum(bool(one.known) for one in found) - bound.done
        return Done(model.name, len(items), bound.done - bound.held, bound.done, without, left, bound.passed, "")
    seen: Bool = np.asarray(pictures.vectors.any(axis=1))
    if broken := sum(bool(one.known) and not seen[row] for row, one in enumerate(found)):
        without["cannot be read as a picture"] = broken
    version = ""
    if seen.sum() >= 2:
        version = _fusion(settings, _texts(settings, items, cache), pictures, anew=True).version
    return Done(model.name, len(items), new, int(seen.sum()), without, 0, bound.passed, version)


def _texts(settings: Settings, items: Sequence[Item], cache: VectorCache) -> Features:
    from longgame.language import understand
    from longgame.language.remote import Remote

    model = language_model(settings)
    todo = [*(describe(item) for item in items), *descriptions_of(settings, items)[1].values()]
    if isinstance(model, Remote) and cache.missing(model, todo):
        raise ConfigError(
            f"understand --what pictures: {model.name} has not read the whole catalogue, and reading it costs; run `longgame "
            "understand`, and then this again"
        )
    return described(settings, items, understand(items, model, cache), cache, model, lambda done, total: None)


def fused(settings: Settings, text: Features, items: Sequence[Item], cache: VectorCache) -> Features:
    """The texts' vectors with the pictures' beside them, where the settings want them.

    Raises ConfigError where they want pictures and no item has one that can be read.
    """
    if not settings.pictures.use:
        return text
    pictures = vectors(settings, items, cache)
    try:
        return _fusion(settings, text, pictures).features(text, pictures)
    except DataError:
        raise ConfigError(
            "pictures.use is true, and fewer than two items have a picture that can be read; `longgame understand --what "
            "pictures` says why, or set pictures.use = false"
        ) from None


def _fusion(settings: Settings, text: Features, pictures: Features, anew: bool = False) -> Fusion:
    """The one that is kept, if it is of the same texts and settings; ``anew``: and if a tenth of its pictures is not new."""
    path = _kept(settings) / "fusion.safetensors"
    s, now = settings.pictures, int(pictures.vectors.any(axis=1).sum())
    if path.exists():
        with suppress(ArtefactError, KeyError):  # half a file, or of another version: made again below
            arrays, about = load(path)
            same = about["text"] == text.version and about["picture"] == pictures.version
            same = same and about["width"] == s.width and about["weight"] == s.weight
            if same and (not anew or abs(now - about["seen"]) <= CHANGED * about["seen"]):
                return Fusion.load(arrays, about)
    made = Fusion.fit(text, pictures, s.width, s.weight)
    save(path, made.state_dict(), {**made.about(), "width": s.width, "seen": now})
    return made
