"""Pictures of the shop's items, drawn: what a thing is by its outline, its colour, how well it is made by its surface.

A good thing has a clean outline and a sheen; a bad one is pale, blotched and scratched. The badge has a dot for each step of
the price. Where a thing lies, how large, how turned and on what ground differs from item to item and tells nothing. The same
shop has the same pictures.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longgame.errors import MissingExtra
from longgame.rng import derive
from longgame.simulation.shop import CATEGORIES, COLOURS, Shop
from longgame.types import F64

if TYPE_CHECKING:
    from PIL import Image

SIDE = 224
"""Pixels of a side; drawn twice as large."""
BLOTCHES = 160
"""Of the worst thing."""
SCRATCHES = 26
PRICES = (10.0, 16.0, 25.0, 40.0)
"""From each on the badge has one dot more."""

Points = list[tuple[float, float]]
_CIRCLE: Points = [(math.cos(a * math.pi / 20), math.sin(a * math.pi / 20)) for a in range(40)]


def _disc(x: float, y: float, r: float, tall: float = 1.0) -> Points:
    return [(x + r * a, y + r * tall * b) for a, b in _CIRCLE]


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


OUTLINES: dict[str, tuple[Points, ...]] = {
    "lighting": (
        [(-0.3, -0.9), (0.3, -0.9), (0.75, 0.0), (-0.75, 0.0)],
        _box(-0.07, 0.0, 0.07, 0.8),
        _disc(0, 0.85, 0.4, 0.25),
    ),
    "kitchen": (_disc(-0.25, 0.1, 0.62), _box(0.25, 0.0, 1.0, 0.2)),
    "garden": (_box(-0.5, -0.3, 0.4, 0.8), [(0.4, 0.1), (1.0, -0.55), (1.0, -0.3), (0.4, 0.4)], _disc(-0.05, -0.45, 0.4, 0.5)),
    "sport": (_box(-0.6, -0.1, 0.6, 0.1), _box(-0.95, -0.5, -0.55, 0.5), _box(0.55, -0.5, 0.95, 0.5)),
    "travel": (
        _box(-0.7, -0.45, 0.7, 0.8),
        _box(-0.3, -0.8, -0.18, -0.45),
        _box(0.18, -0.8, 0.3, -0.45),
        _box(-0.3, -0.85, 0.3, -0.72),
    ),
    "audio": (
        _disc(-0.6, 0.25, 0.32, 1.5),
        _disc(0.6, 0.25, 0.32, 1.5),
        _box(-0.7, -0.6, -0.52, 0.2),
        _box(0.52, -0.6, 0.7, 0.2),
        _box(-0.7, -0.75, 0.7, -0.58),
    ),
    "toys": (
        [(0.0, -0.95), (0.65, -0.1), (0.0, 0.5), (-0.65, -0.1)],
        _box(-0.04, 0.45, 0.04, 0.95),
        _disc(0.12, 0.8, 0.12),
        _disc(-0.12, 0.65, 0.12),
    ),
    "office": (_box(-0.6, -0.8, 0.6, 0.8), _disc(-0.6, -0.5, 0.12), _disc(-0.6, 0.0, 0.12), _disc(-0.6, 0.5, 0.12)),
}
"""In a square from -1 to 1, down the second number: polygons that are one together."""


def draw(shop: Shop, number: int) -> bytes:
    """A JPEG of an item. Raises MissingExtra without Pillow."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise MissingExtra("drawing pictures", "pillow", "pictures") from None
    rng = derive(shop.config.seed, "shop", "picture", str(number))
    size = 2 * SIDE
    category = list(CATEGORIES)[int(shop.category[number])]
    shape = Image.new("L", (size, size), 0)
    scale, turn = size * rng.uniform(0.3, 0.38), rng.uniform(-0.25, 0.25)
    middle = size * (0.5 + rng.uniform(-0.06, 0.06, 2))
    for outline in OUTLINES[category]:
        ImageDraw.Draw(shape).polygon([_placed(x, y, scale, turn, middle) for x, y in outline], fill=255)
    surface = _surface(tuple(COLOURS.values())[int(shop.colour[number])], float(shop.quality[number]), size, rng)
    ground = np.full((size, size, 3), rng.uniform(205, 245, 3)) + rng.normal(0, 2, (size, size, 1))
    out = Image.composite(surface, _image(ground), shape)
    _edge(out, shape, float(shop.quality[number]))
    _badge(out, sum(shop.price[number] >= price for price in PRICES))
    held = io.BytesIO()
    out.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(held, "JPEG", quality=90)
    return held.getvalue()


def write(shop: Shop, folder: Path) -> int:
    """Every picture of the shop under its name in ``folder``, which is made. How many there are now."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(shop.catalogue()):
        (folder / item.media["image"]).write_bytes(draw(shop, number))
    return len(shop.catalogue())


def _placed(x: float, y: float, scale: float, turn: float, middle: F64) -> tuple[float, float]:
    across, down = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    return float(middle[0] + scale * across), float(middle[1] + scale * down)


def _surface(colour: tuple[int, int, int], quality: float, size: int, rng: np.random.Generator) -> Image.Image:
    """A sheen as strong as the thing is good; pale, with blotches and scratches, as it is bad."""
    from PIL import ImageDraw

    poor = 1.0 - quality
    down, across = np.mgrid[0:size, 0:size] / size
    light = 1.0 + 0.45 * quality * np.cos(3.0 * (across + down) + rng.uniform(0, 6.3))
    pale = np.array(colour) * (1 - 0.3 * poor) + 190 * 0.3 * poor
    out = _image(pale * light[:, :, None] + rng.normal(0, 3 + 12 * poor, (size, size, 1)))
    pen = ImageDraw.Draw(out)
    for _ in range(rng.poisson(BLOTCHES * poor**1.5)):
        (x, y), r, tone = rng.uniform(0, size, 2), rng.uniform(3, 14), rng.uniform(-60, 60)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_tone(pale + tone))
    for _ in range(rng.poisson(SCRATCHES * poor)):
        (x, y), (i, j) = rng.uniform(0, size, 2), rng.normal(0, 60, 2)
        pen.line((x, y, x + i, y + j), fill=_tone(pale * 0.45), width=3)
    return out


def _tone(colour: F64) -> tuple[int, int, int]:
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue


def _edge(out: Image.Image, shape: Image.Image, quality: float) -> None:
    """A dark line around the thing, as wide as it is well finished."""
    from PIL import Image, ImageChops, ImageFilter

    inner = shape.filter(ImageFilter.MinFilter(1 + 2 * round(1 + 4 * quality)))
    out.paste(Image.new("RGB", out.size, (40, 40, 44)), mask=ImageChops.subtract(shape, inner))


def _badge(out: Image.Image, dots: int) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(out)
    pen.rectangle((12, 12, 132, 44), fill=(250, 248, 240), outline=(90, 90, 90), width=2)
    for dot in range(dots):
        pen.ellipse((20 + 28 * dot, 19, 38 + 28 * dot, 37), fill=(60, 60, 60))


def _image(values: F64) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
