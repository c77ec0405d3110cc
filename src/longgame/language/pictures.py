"""Pictures of any sort, sent by anybody -> pixels of one size; and their vectors in the cache that texts' vectors lie in.

A catalogue's pictures come from sellers, so a file is taken for hostile until it is decoded: its bytes and its pixels are
bounded before anything is unpacked, and only decoders of pictures are asked (Pillow has others: one of them starts a program).
What cannot be read is a missing picture with a reason, and stops nothing.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from longgame.errors import DataError, MissingExtra
from longgame.protocols import PictureModel
from longgame.types import F32

if TYPE_CHECKING:
    from PIL import Image

U8 = npt.NDArray[np.uint8]

BYTES = 20_000_000
"""Of a file, at most."""
PIXELS = 50_000_000
"""Of a picture, at most: more is a poster or a bomb."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""That are read, whatever a file's name says."""
CROP = 0.875
"""Share of the shorter side that is seen: the square in the middle, as ImageNet's networks are judged."""
BATCH = 64
"""Pictures between two syncs of the cache."""


class Unreadable(DataError):
    """Not a picture, or not one that is let in. What was got, in a few words."""


def pixels(data: bytes, side: int) -> U8:
    """Bytes of a file -> (side, side, 3) red, green and blue of the square in its middle, upright, on white.

    Of an animation the first picture. Raises Unreadable with the reason, MissingExtra without Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("reading pictures", "pillow", "pictures") from None
    if not data:
        raise Unreadable("the file is empty")
    if len(data) > BYTES:
        raise Unreadable(f"the file has {len(data):,} bytes, at most {BYTES:,} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken metadata is no matter of ours, and a bomb is told by its size below
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                wide, high = opened.size
                if wide * high > PIXELS:
                    raise Unreadable(f"the picture has {wide:,} x {high:,} pixels, at most {PIXELS:,} are read")
                return _square(opened, side)
    except (Unreadable, MemoryError):
        raise
    # Decoders raise what they like at broken files (OSError, SyntaxError, struct.error, …): none of it may stop a catalogue.
    except Exception as trouble:
        told = " ".join(str(trouble).split())
        raise Unreadable("no JPEG, PNG, WebP, GIF or BMP" if "cannot identify" in told else f"broken: {told[:120]}") from None


def _square(opened: Image.Image, side: int) -> U8:
    from PIL import Image, ImageOps

    opened.draft("RGB", (2 * side, 2 * side))  # a JPEG of many pixels is unpacked smaller, at a quarter of the work
    if opened.mode.startswith("I"):  # 16 bits of grey
        upright = ImageOps.exif_transpose(Image.fromarray((np.asarray(opened).astype(np.int64) >> 8).astype(np.uint8)))
    else:
        upright = ImageOps.exif_transpose(opened)
    seen = upright.convert("RGBA") if upright.has_transparency_data else upright.convert("RGB")
    if seen.mode == "RGBA":
        seen = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    wide, high = seen.size
    half = max(min(wide, high) * CROP, 1) / 2
    box = (wide / 2 - half, high / 2 - half, wide / 2 + half, high / 2 + half)
    return np.asarray(seen.resize((side, side), Image.Resampling.BICUBIC, box=box), np.uint8)


def content(data: bytes) -> str:
    """What a picture's vector is known by: the hash of its bytes, whatever its name."""
    return blake2b(data, digest_size=16).hexdigest()


class ByContent:
    """Pictures as :class:`longgame.language.VectorCache` wants texts: by the hash of their bytes, read when needed."""

    batch = BATCH

    def __init__(self, model: PictureModel, files: Mapping[str, Path]) -> None:
        """``files``: hash of the bytes -> where they lie."""
        self._model, self._files = model, files
        self.read = 0
        """Pictures that the model was shown."""

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def width(self) -> int:
        return self._model.width

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, width) of hashes. Raises DataError where a file is not what was hashed: its vector would be another's."""
        data = []
        for known in texts:
            path = self._files[known]
            try:
                found = path.read_bytes()
            except OSError as trouble:
                raise DataError(f"{path}: went away while it was read ({trouble.strerror}); run the same again") from None
            if content(found) != known:
                raise DataError(f"{path}: changed while it was read; run the same again")
            data.append(found)
        self.read += len(data)
        return self._model.embed(data)
