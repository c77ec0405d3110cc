"""Pictures from anywhere: what is let in, what is refused and why, and the network that reads them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longgame.errors import ArtefactError, DataError
from longgame.language import VectorCache, efficientnet
from longgame.language import pictures as module
from longgame.language.efficientnet import EfficientNetLite0
from longgame.language.pictures import ByContent, Unreadable, content, pixels

needs_weights = pytest.mark.skipif(not EfficientNetLite0.installed(), reason="the pictures extra is not installed")
RED, BLUE = (200, 0, 0), (0, 0, 200)


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def halves(size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Red on the left, blue on the right."""
    out = Image.new("RGB", size, RED)
    out.paste(BLUE, (size[0] // 2, 0, *size))
    return out


def test_the_square_in_the_middle_is_seen():
    wide = Image.new("RGB", (300, 100), BLUE)
    wide.paste(RED, (100, 0, 200, 100))
    seen = pixels(saved(wide), 32)
    assert seen.shape == (32, 32, 3) and seen.dtype == np.uint8
    assert (np.abs(seen.astype(int) - RED) < 3).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_form_that_is_named_is_read(form):
    seen = pixels(saved(halves(), form), 32)
    assert seen[16, 4, 0] > 150 > seen[16, 4, 2] and seen[16, -4, 2] > 150 > seen[16, -4, 0]


def test_a_picture_that_lies_on_its_side_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: left is right
    seen = pixels(saved(halves(), "JPEG", exif=exif, quality=95), 32)
    assert seen[16, 4, 2] > 150 and seen[16, -4, 0] > 150


def test_what_is_seen_through_is_white_behind():
    assert (pixels(saved(Image.new("RGBA", (40, 40), (*RED, 0))), 8) == 255).all()
    palette = Image.new("P", (40, 40), 0)
    assert (pixels(saved(palette, transparency=0), 8) == 255).all()
    half = pixels(saved(Image.new("RGBA", (40, 40), (0, 0, 0, 128))), 8)
    assert (np.abs(half.astype(int) - 127) < 3).all()


def test_of_an_animation_the_first_picture_is_seen():
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    seen = pixels(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), 8)
    assert (np.abs(seen.astype(int) - RED) < 3).all()


def test_sixteen_bits_of_grey_keep_their_shades():
    deep = Image.fromarray(np.full((20, 20), 128 * 256, np.uint16))
    assert (np.abs(pixels(saved(deep), 8).astype(int) - 128) < 3).all()
    assert pixels(saved(Image.new("1", (9, 9), 1)), 4).min() == 255
    assert pixels(saved(Image.new("CMYK", (9, 9)), "JPEG"), 4).shape == (4, 4, 3)


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose head promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no JPEG, PNG"),  # its decoder would start a program
        (saved(halves(), "TIFF"), "no JPEG, PNG"),
        (saved(halves((400, 400)), "JPEG")[:2000], "broken: "),
        (saved(halves((400, 400)))[:200], "broken: "),
        (bomb(8000), "8,000 x 8,000 pixels, at most 50,000,000"),
        (bomb(60_000), "broken: .*exceeds limit|60,000 x 60,000"),
        (bomb(300), "broken: "),
    ],
    ids=["empty", "svg", "eps", "tiff", "half a jpeg", "half a png", "large", "bomb", "short data"],
)
def test_what_is_refused_says_why(data, why):
    with pytest.raises(Unreadable, match=why):
        pixels(data, 32)


def test_too_many_bytes_are_not_even_opened(monkeypatch):
    monkeypatch.setattr(module, "BYTES", 100)
    with pytest.raises(Unreadable, match="at most 100 are read"):
        pixels(saved(halves()), 32)


class Mean:
    """Three numbers of a picture: a model that costs nothing."""

    name, width = "mean-1", 3

    def embed(self, pictures):
        return np.array([pixels(data, 4).mean(axis=(0, 1)) for data in pictures], np.float32).reshape(-1, 3) / 255


def test_one_contents_is_read_once_whatever_its_names(tmp_path: Path):
    data = [saved(Image.new("RGB", (9, 9), colour)) for colour in (RED, BLUE)]
    paths = [tmp_path / name for name in ("a.png", "b.png", "copy of a.png")]
    for path, held in zip(paths, (*data, data[0]), strict=True):
        path.write_bytes(held)
    keys = [content(path.read_bytes()) for path in paths]
    reader = ByContent(Mean(), dict(zip(keys, paths, strict=True)))
    vectors = VectorCache(tmp_path / "cache").embed(reader, keys)
    np.testing.assert_allclose(vectors[:, 0] * 255, [200, 0, 200], atol=1)
    assert reader.read == 2
    again = ByContent(Mean(), dict(zip(keys, paths, strict=True)))
    np.testing.assert_array_equal(VectorCache(tmp_path / "cache").embed(again, keys), vectors)
    assert again.read == 0


def test_a_file_that_changes_under_the_reader_poisons_nothing(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(Image.new("RGB", (9, 9), RED)))
    reader = ByContent(Mean(), {content(path.read_bytes()): path})
    path.write_bytes(saved(Image.new("RGB", (9, 9), BLUE)))
    with pytest.raises(DataError, match="changed while it was read"):
        reader.embed(list(reader._files))
    path.unlink()
    with pytest.raises(DataError, match="went away"):
        reader.embed(list(reader._files))


@needs_weights
def test_photographs_are_what_they_are():
    """ImageNet's classes of photographs that come with installed packages: a military uniform, a palace, a daisy."""
    data = Path(pytest.importorskip("matplotlib").__file__).parent / "mpl-data/sample_data/grace_hopper.jpg"
    photos = {652: data}
    sklearn = Path(pytest.importorskip("sklearn").__file__).parent / "datasets/images"
    photos |= {698: sklearn / "china.jpg", 985: sklearn / "flower.jpg"}
    model = EfficientNetLite0()
    for wanted, path in photos.items():
        if not path.exists():
            pytest.skip(f"{path.name} did not come with its package")
        best = np.argsort(-model.classes(path.read_bytes()))[:3]
        assert wanted in best, f"{path.name}: {best}"


@needs_weights
def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(efficientnet, "_SHA256", "0" * 64)
    with pytest.raises(ArtefactError, match="not the file that was checked"):
        EfficientNetLite0().embed([saved(halves())])
