"""Pictures of a catalogue: found, read once, bounded, joined to the texts, and kept; and the shop that draws them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.errors import ConfigError
from longgame.language import VectorCache
from longgame.language.pictures import BYTES, Unreadable, pixels
from longgame.settings import Settings, load_settings
from longgame.simulation.pictures import draw
from longgame.simulation.shop import QUALITY, Shop, ShopConfig
from longgame.store import open_store
from longgame.types import Item, ItemId
from longgame.wiring import pictures as module
from longgame.wiring.pictures import find, fused, read, told, vectors
from longgame.wiring.workspace import workspace

RUNNER = CliRunner()
ITEMS = 70
SETTINGS = """
[language]
model = "hashing"
[pictures]
use = true
folder = "shots"
width = 5
"""


class Grid:
    """Four by four pixels are a vector: a model that costs nothing and tells colours apart."""

    name, width = "grid-1", 48
    shown = 0

    def embed(self, pictures):
        out = np.zeros((len(pictures), 48), np.float32)
        for row, data in enumerate(pictures):
            try:
                seen = pixels(data, 4).reshape(-1).astype(np.float32)
            except Unreadable:
                continue
            Grid.shown += 1
            out[row] = seen / np.linalg.norm(seen)
        return out


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_model", Grid)
    monkeypatch.setattr(Grid, "shown", 0)
    (tmp_path / "longgame.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture(scope="module")
def drawn() -> list[bytes]:
    shop = Shop(ShopConfig(users=1, items=ITEMS, looks=1.0))
    return [draw(shop, number) for number in range(ITEMS)]


def put(items: list[Item]) -> None:
    store = open_store("sqlite:///longgame.db")
    store.put(items)
    store.close()


def catalogue(drawn: list[bytes], files: int = ITEMS) -> list[Item]:
    """The shop's items in the log, and the first ``files`` of their pictures."""
    items = list(Shop(ShopConfig(users=1, items=ITEMS, looks=1.0)).catalogue())
    shots = Path("shots")
    shots.mkdir(exist_ok=True)
    for item, data in list(zip(items, drawn, strict=True))[:files]:
        (shots / item.media["image"]).write_bytes(data)
    put(items)
    return items


def settings() -> Settings:
    return load_settings().settings


def run(*words: str):
    return RUNNER.invoke(app, list(words), catch_exceptions=False)


def answer(*words: str) -> dict:
    result = run("understand", "--what", "pictures", *words, "--json")
    assert result.exit_code == 0, result.output
    out: dict = json.loads(result.output)["pictures"]
    return out


def test_planned_read_once_and_never_again(drawn):
    catalogue(drawn)
    plan = answer("--plan")
    assert (plan["pictures"], plan["items"], plan["bytes"]) == (ITEMS, ITEMS, sum(map(len, drawn)))
    first = answer()
    assert (first["new"], first["seen"], first["left"], first["without"]) == (ITEMS, ITEMS, 0, {})
    Grid.shown = 0
    second = answer()
    assert second["new"] == Grid.shown == 0 and second["seen"] == ITEMS
    assert second["fusion"] == first["fusion"]
    assert answer("--plan")["pictures"] == 0


def test_a_budget_stops_after_a_batch_and_the_rest_is_read_later(drawn):
    catalogue(drawn)
    first = answer("--budget", "0")
    assert 0 < first["new"] < ITEMS and first["left"] == ITEMS - first["new"] and first["fusion"] == ""
    said = run("understand", "--what", "pictures").output
    assert f"{ITEMS - first['new']} new" in said and "joined to the texts by grid-1" in said


def test_a_killed_run_loses_at_most_a_batch(drawn, monkeypatch):
    catalogue(drawn)
    whole = Grid.embed

    def killed(self, pictures):
        if Grid.shown >= 64:
            raise KeyboardInterrupt
        return whole(self, pictures)

    monkeypatch.setattr(Grid, "embed", killed)
    with pytest.raises(KeyboardInterrupt):
        read(settings())
    monkeypatch.setattr(Grid, "embed", whole)
    assert read(settings()).new == ITEMS - 64


def test_every_missing_picture_has_a_reason(drawn, folder):
    items = catalogue(drawn)
    shots = folder / "shots"
    (shots / "broken.jpg").write_bytes(drawn[0][:1500])
    (folder / "secret.jpg").write_bytes(drawn[0])
    (shots / "link.jpg").symlink_to(folder / "secret.jpg")
    (shots / "vast.jpg").write_bytes(b"")
    os.truncate(shots / "vast.jpg", BYTES + 1)
    wrong = {
        "../secret.jpg": "outside of pictures.folder",
        str(folder / "secret.jpg"): "outside of pictures.folder",
        "link.jpg": "outside of pictures.folder",
        "gone.jpg": "no such file",
        "https://example.com/a.jpg": "an address, which is not fetched",
        "": "no picture is named",
        ".": "no file",
        "a" * 5000: "cannot be opened",
        "vast.jpg": "more than 20,000,000 bytes",
        "broken.jpg": "cannot be read as a picture",
    }
    bad = [Item(ItemId(f"bad{n}"), "a thing", {}, {"image": path} if path else {}) for n, path in enumerate(wrong)]
    put(bad)
    done = answer()
    expected: dict[str, int] = {}
    for why in wrong.values():
        expected[why] = expected.get(why, 0) + 1
    assert done["without"] == expected and done["seen"] == ITEMS
    assert "broken: " in told(settings(), bad[-1]) and told(settings(), items[0]) == items[0].media["image"]
    assert "picture: gone.jpg: no such file" in run("understand", "--show", "bad3").output


def test_a_changed_file_is_read_anew(drawn, folder):
    items = catalogue(drawn)
    cache = VectorCache(folder / "v")
    before = vectors(settings(), items, cache).vectors
    path = folder / "shots" / items[0].media["image"]
    path.write_bytes(drawn[1])
    os.utime(path, ns=(1, 1))
    after = vectors(settings(), items, cache).vectors
    np.testing.assert_array_equal(after[0], before[1])
    np.testing.assert_array_equal(after[1:], before[1:])


def test_what_is_damaged_is_made_again(drawn, folder):
    catalogue(drawn)
    first = read(settings())
    for path in (folder / ".longgame" / "pictures-read").iterdir():
        path.write_bytes(b"{half")
    second = read(settings())
    assert second.fusion == first.fusion and second.new == 0


def test_they_join_the_texts_and_a_new_item_keeps_the_recipe(drawn):
    items = catalogue(drawn, files=60)
    with workspace(settings()) as ws:
        text = ws.text()
        assert text.vectors.shape == (ITEMS, 64 + 5)
        assert text.vectors[:, 64:].any(axis=1).all()  # those without a picture too
        assert (np.linalg.norm(text.vectors[60:, 64:], axis=1) < 0.99).any()
        new = Item(ItemId("new"), "A popular kettle for kitchen.", {}, items[0].media)
        ws.store.put([new])
        grown = ws.text()
    assert grown.version == text.version and len(grown) == ITEMS + 1
    np.testing.assert_array_equal(grown.vectors[:ITEMS], text.vectors)
    np.testing.assert_allclose(grown.vectors[ITEMS, 64:], text.vectors[0, 64:], atol=1e-6)


def test_it_is_learned_anew_once_a_tenth_is_new(drawn):
    catalogue(drawn, files=60)
    first = read(settings()).fusion
    catalogue(drawn, files=64)
    assert read(settings()).fusion == first
    catalogue(drawn)
    assert read(settings()).fusion != first


def test_other_settings_are_another_recipe_and_off_is_off(drawn, folder):
    items = catalogue(drawn)
    with workspace(settings()) as ws:
        on = ws.text()
    (folder / "longgame.toml").write_text(SETTINGS.replace("width = 5", "width = 5\nweight = 2.0"))
    with workspace(settings()) as ws:
        assert ws.text().version != on.version
        plain = ws.text()
    (folder / "longgame.toml").write_text(SETTINGS.replace("use = true", "use = false"))
    with workspace(settings()) as ws:
        off = ws.text()
        assert off.vectors.shape[1] == 64
        np.testing.assert_array_equal(off.vectors, plain.vectors[:, :64])
        assert fused(settings(), off, items, ws.cache) is off


def test_pictures_that_are_wanted_and_not_there(drawn):
    catalogue(drawn, files=1)
    with workspace(settings()) as ws, pytest.raises(ConfigError, match="fewer than two items have a picture"):
        ws.text()
    done = answer()
    assert done["seen"] == 1 and done["fusion"] == ""


def test_the_shop_draws_into_the_folder_of_the_settings(folder):
    result = run("simulate", "--users", "5", "--items", "12", "--days", "2", "--looks", "1", "--log", "--draw")
    assert result.exit_code == 0 and "12 pictures drawn in shots" in result.output
    assert len(list((folder / "shots").iterdir())) == 12
    assert answer()["seen"] == 12
    refused = run("simulate", "--draw")
    assert refused.exit_code == 2 and "--looks is above 0" in refused.stderr


def test_pictures_are_the_same_each_time_and_tell_colour(drawn):
    shop = Shop(ShopConfig(users=1, items=ITEMS, looks=1.0))
    assert drawn[3] == draw(shop, 3) != drawn[4]
    seen = np.array([pixels(data, 24)[9:15, 9:15].mean(axis=(0, 1)) for data in drawn])
    red, blue = (seen[shop.colour == n].mean(axis=0) for n in (0, 3))
    assert red[0] > blue[0] + 40 and blue[2] > red[2] + 40


def test_with_looks_texts_are_silent_on_quality_and_without_nothing_is_other():
    plain, shown = (Shop(ShopConfig(users=30, items=40, looks=looks)) for looks in (0.0, 1.0))
    words = [word for kinds in QUALITY for word in kinds]
    assert all(any(w in item.text for w in words) and not item.media for item in plain.catalogue())
    assert not any(w in item.text for item in shown.catalogue() for w in words)
    np.testing.assert_array_equal(plain.quality, shown.quality)
    np.testing.assert_array_equal(plain.taste, shown.taste)
    slates = np.tile(np.arange(40), (30, 1))
    assert not plain.liking.any() and (plain.chances(slates)[0] != shown.chances(slates)[0]).any()
    with pytest.raises(ConfigError, match="looks: must be 0 or more"):
        ShopConfig(looks=-1.0)


def test_paths_are_found_without_opening_known_files(drawn, monkeypatch):
    items = catalogue(drawn)
    first = find(settings(), items)
    monkeypatch.setattr(module, "content", lambda data: pytest.fail("a known file was opened"))
    assert find(settings(), items) == first
