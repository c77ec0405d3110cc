"""Objects that are valid against a JSON schema, whatever a model would have said.

At each token what would leave the schema is left out (llguidance: Moskal et al., Microsoft, MIT licence) and of the rest the
likeliest is taken; so what comes is valid, ends, and is the same for the same prompt. It need not be true: see ``checks``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.types import Bool

TOKENS = 400
"""Of an object, at most."""
BATCH = 16
"""Prompts whose objects are kept at once."""
_FEATURE = "writing by a schema"


class GreedyWriter(ABC):
    """A ``protocols.Writer`` on this machine: what is left to a model is to run it."""

    batch = BATCH
    extra = "generate"
    """That brings its packages."""

    @staticmethod
    def installed() -> bool:
        """Whether the packages of writing are here; those of the model are the model's to know. Imports none of them."""
        return all(find_spec(package) for package in ("llguidance", "jsonschema"))

    @property
    @abstractmethod
    def name(self) -> str:
        """Names the model, and that it writes so."""

    @abstractmethod
    def _vocabulary(self) -> Any:
        """The model's tokens, as llguidance has them."""

    @abstractmethod
    def _written(self, prompts: Sequence[str], grammar: str) -> list[str]:
        """What is written for each prompt within ``TOKENS``."""

    def generate(self, prompts: Sequence[str], schema: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
        """For each prompt the likeliest object of the schema, token by token; None where it was not ended within ``TOKENS``.

        Raises ConfigError for a schema that is none, or is not of an object; MissingExtra.
        """
        grammar = self._grammar(schema)
        return [_object(text, schema) for text in self._written(prompts, grammar)]

    def _grammar(self, schema: Mapping[str, Any]) -> str:
        for package in ("llguidance", "jsonschema"):
            if find_spec(package) is None:
                raise MissingExtra(_FEATURE, package, self.extra)
        from jsonschema import Draft202012Validator, SchemaError
        from llguidance import LLMatcher

        if schema.get("type") != "object":
            raise ConfigError(f"generate: the schema's type must be object, got {schema.get('type')!r}")
        try:
            Draft202012Validator.check_schema(schema)
            # No blanks where none are needed: a small model would go on with them.
            told: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
            grammar = str(LLMatcher.grammar_from_json_schema(json.dumps(schema), told))
        except (SchemaError, ValueError) as error:
            raise ConfigError(f"generate: is no JSON schema: {str(error).splitlines()[0]}") from None
        if wrong := LLMatcher.validate_grammar(grammar, self._tokens):
            raise ConfigError(f"generate: the schema cannot be followed: {str(wrong).splitlines()[0]}")
        return grammar

    @cached_property
    def _tokens(self) -> Any:
        return self._vocabulary()

    def _matcher(self, grammar: str) -> Any:
        """What follows an object as it is written. It is found whole at the end: llguidance knows when that is."""
        from llguidance import LLMatcher

        return LLMatcher(self._tokens, grammar)


def _object(text: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What was ended is believed by nobody: parsed, and held against the schema by another library than wrote it."""
    from jsonschema import Draft202012Validator

    try:
        found = json.loads(text)
    except ValueError:
        return None
    wrong = next(iter(Draft202012Validator(schema).iter_errors(found)), None)
    if wrong is not None:
        raise ConfigError(f"generate: the schema cannot be followed to the letter: {wrong.message[:200]}")
    assert isinstance(found, dict)
    return found


def allowed(bits: bytes, width: int) -> Bool:
    """(width,) which tokens may come next, from a bit each."""
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=width, bitorder="little").astype(np.bool_)
