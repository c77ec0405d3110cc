"""Rules held against a catalogue: of which items does each speak, for one who did this and that."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from longgame.errors import ConfigError
from longgame.knowledge.rules import Condition, Rule
from longgame.types import Attribute, ItemId

Facts = Mapping[ItemId, Mapping[str, Attribute]]
"""Item -> its attributes."""
Done = tuple[str, ItemId]
"""Kind of event, and the item it was done with."""


class Rulebook:
    """Some rules and what they need to know of the items, looked up once. Pure from then on."""

    def __init__(self, rules: Sequence[Rule], facts: Facts, where: str = "rules") -> None:
        """Raises ConfigError where a rule names an attribute that no item has, or compares one that is no number: it would
        never speak, and nobody would know. An empty catalogue has no attributes yet, and no rule is refused for it.
        """
        self.rules = tuple(rules)
        _check(self.rules, facts, where)
        self._facts = facts
        self._targets = [frozenset(i for i, held in facts.items() if _all(rule.then, held)) for rule in rules]
        self._when = [frozenset(i for i, held in facts.items() if _all(rule.when, held)) for rule in rules]
        wanted = {name for rule in rules for name in (*rule.same, *rule.named)}
        self._values = {name: {i: _values(held.get(name)) for i, held in facts.items()} for name in wanted}
        self._sharing: dict[str, dict[str, set[ItemId]]] = {}
        for name in {name for rule in rules for name in rule.same}:
            table = self._sharing.setdefault(name, {})
            for item, values in self._values[name].items():
                for value in values:
                    table.setdefault(value, set()).add(item)
        names = sorted({name for rule in rules for name in rule.names})
        told = [rule.text for rule in rules]
        told += [f"{i}={held[n]!r}" for i, held in sorted(facts.items()) for n in names if n in held]
        self.version = hashlib.blake2b("\x1f".join(told).encode(), digest_size=4).hexdigest()

    def targets(self, rule: int) -> frozenset[ItemId]:
        """Items that meet the conditions after the arrow, whoever did what; all of them where there is none."""
        return self._targets[rule]

    def starts(self, rule: int) -> frozenset[ItemId]:
        """Items that meet the conditions before the arrow; all of them where there is none."""
        return self._when[rule]

    def unmet(self, rule: int) -> list[str]:
        """Which conditions of a rule no item meets, in words, and on which side none meets all, where each is met."""
        out = []
        sides = (("before", self.rules[rule].when, self.starts(rule)), ("after", self.rules[rule].then, self.targets(rule)))
        for side, conditions, met in sides:
            alone = [one for one in conditions if not any(one.holds(held) for held in self._facts.values())]
            out += [f"no item has {one.name} {one.sign} {one.value}{self._hint(one)}" for one in alone]
            if conditions and not met and not alone:
                out.append(f"no item meets all that stands {side} the arrow")
        return out

    def _hint(self, condition: Condition) -> str:
        held = {value for one in self._facts.values() for value in _values(one.get(condition.name))}
        near = difflib.get_close_matches(condition.value, held, 1) if condition.sign == "=" else []
        return f", did you mean {near[0]}?" if near else ""

    def values(self, name: str, item: ItemId) -> tuple[str, ...]:
        """Of an attribute that some rule joins by; none of an item that lacks it. Raises KeyError for another name."""
        return self._values[name].get(item, ())

    def fires(self, rule: int, done: Done) -> bool:
        """Whether one deed meets what stands before the arrow. An item that is not in the catalogue meets nothing."""
        kinds = self.rules[rule].kinds
        return (not kinds or done[0] in kinds) and done[1] in self._when[rule]

    def spoken(self, rule: int, item: ItemId) -> frozenset[ItemId]:
        """The items that a rule speaks of after a deed with ``item`` that fired it."""
        told, said = self._targets[rule], self.rules[rule]
        for name in said.same:
            table = self._sharing[name]
            told &= frozenset[ItemId]().union(*(table[value] for value in self.values(name, item)))
        for name in said.named:
            told &= frozenset(ItemId(value) for value in self.values(name, item))
        return told

    def said(self, rule: int, done: Iterable[Done]) -> frozenset[ItemId] | None:
        """The items that a rule speaks of for who did all that; None where nothing fired it."""
        fired = dict.fromkeys(deed[1] for deed in done if self.fires(rule, deed))
        if not fired:
            return None
        if not (self.rules[rule].same or self.rules[rule].named):
            return self._targets[rule]
        return frozenset[ItemId]().union(*(self.spoken(rule, item) for item in fired))


def _all(conditions: Iterable[Condition], held: Mapping[str, Attribute]) -> bool:
    return all(condition.holds(held) for condition in conditions)


def _values(value: Attribute | None) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else (str(value),)


def _check(rules: Sequence[Rule], facts: Facts, where: str) -> None:
    numbers: dict[str, bool] = {}
    for held in facts.values():
        for name, value in held.items():
            numbers[name] = numbers.get(name, False) or isinstance(value, (int, float))
    for rule in rules if facts else ():
        for name in sorted(rule.names):
            if name not in numbers:
                near = difflib.get_close_matches(name, numbers, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                has = ", ".join(sorted(numbers)[:20]) or "none"
                raise ConfigError(
                    f"{where}: {rule.text!r}: must name attributes of the items, got {name!r}; they have {has}; {hint}correct "
                    "the rule, or import items or a graph that has it"
                )
            if name in rule.ordered and not numbers[name]:
                raise ConfigError(f"{where}: {rule.text!r}: compares {name!r}, which is a number of no item; use = or !=")
