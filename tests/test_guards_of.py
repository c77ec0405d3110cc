"""A rule of the settings that would never refuse anything is an error, not silence."""

from __future__ import annotations

from typing import Any

import pytest

from longgame.errors import ConfigError
from longgame.settings import load_settings
from longgame.settings.tree import Settings
from longgame.types import Item, ItemId
from longgame.wiring.parts import guards_of

ITEMS = [Item(ItemId("a"), "red", {"category": ("x",), "price": 3.0}), Item(ItemId("b"), "blue", {"stock": 0.0})]


def settings(**guards: Any) -> Settings:
    return load_settings(None, {}, {f"guards.{name}": value for name, value in guards.items()}).settings


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        (
            {"at_most": {"categori": 2}},
            ["guards.at_most.categori", "'categori'", "category, price, stock", "did you mean 'category'"],
        ),
        ({"at_most": {"category": 2, "brand": 1}}, ["guards.at_most.brand", "correct the settings, or import"]),
        ({"in_stock": "stok"}, ["guards.in_stock", "'stok'", "did you mean 'stock'"]),
    ],
)
def test_a_rule_on_an_attribute_that_no_item_has_is_refused(guards: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        guards_of(settings(**guards), ITEMS)
    assert all(word in str(caught.value) for word in words), caught.value


def test_rules_on_attributes_that_some_item_has_are_made() -> None:
    made = settings(at_most={"category": 2}, in_stock="stock", already_seen=False)
    guards, rules = guards_of(made, ITEMS)
    assert [len(guards), len(rules)] == [1, 1]
    assert guards_of(settings(at_most={"categori": 2}, in_stock="stok"), []), "an empty catalogue has no attributes yet"
