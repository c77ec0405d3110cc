"""SmolLM as a writer: objects that are valid against a JSON schema, whatever the model would have said.

At each token what would leave the schema is left out (llguidance: Moskal et al., Microsoft, MIT licence) and of the rest the
likeliest is taken; so what comes is valid, ends, and is the same for the same prompt. It need not be true: see ``checks``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.language.smollm import SmolLM

if TYPE_CHECKING:
    import torch

TOKENS = 400
"""Of an object, at most."""
BATCH = 16
"""Prompts that are written for together."""
_FEATURE = "writing by a schema"


class SmolLMWriter:
    """A ``protocols.Writer``. Shares the network of a :class:`SmolLM`, and its ledger: a prompt is a call."""

    batch = BATCH

    def __init__(self, model: SmolLM | None = None) -> None:
        self._model = model or SmolLM()

    @staticmethod
    def installed() -> bool:
        """Whether its own packages are here; those of the model are the model's to know. Imports none of them."""
        return all(find_spec(package) for package in ("llguidance", "jsonschema"))

    @property
    def name(self) -> str:
        return f"{self._model.name}+llguidance-greedy-1"

    @property
    def ledger(self) -> Any:
        return self._model.ledger

    def generate(self, prompts: Sequence[str], schema: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
        """For each prompt the likeliest object of the schema, token by token; None where it was not ended within ``TOKENS``.

        Raises ConfigError for a schema that is none, or is not of an object; MissingExtra.
        """
        grammar = self._grammar(schema)
        out: list[Mapping[str, Any] | None] = [None] * len(prompts)
        tokens = self._model.tokens(prompts)
        order = sorted(range(len(prompts)), key=lambda row: len(tokens[row]))
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            for row, text in zip(rows, self._write([tokens[row] for row in rows], grammar), strict=True):
                out[row] = self._object(text, schema)
        return out

    def _object(self, text: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
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

    def _grammar(self, schema: Mapping[str, Any]) -> str:
        for package in ("llguidance", "jsonschema"):
            if find_spec(package) is None:
                raise MissingExtra(_FEATURE, package, "generate")
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
        if wrong := LLMatcher.validate_grammar(grammar, self._tokenizer):
            raise ConfigError(f"generate: the schema cannot be followed: {str(wrong).splitlines()[0]}")
        return grammar

    @cached_property
    def _tokenizer(self) -> Any:
        from llguidance.hf import from_tokenizer

        network, tokenizer = self._model.loaded
        return from_tokenizer(tokenizer, n_vocab=int(network.config.vocab_size))

    def _write(self, tokens: list[list[int]], grammar: str) -> list[str]:
        """One text a prompt. Prompts are padded at their left; what is padding is not attended to."""
        import torch
        from llguidance import LLMatcher

        network, tokenizer = self._model.loaded
        began, wide = time.perf_counter(), max(map(len, tokens))
        seen = torch.tensor([[0] * (wide - len(row)) + [1] * len(row) for row in tokens])
        part = torch.tensor([[0] * (wide - len(row)) + row for row in tokens])
        place = (seen.cumsum(1) - 1).clamp(min=0)
        matchers = [LLMatcher(self._tokenizer, grammar) for _ in tokens]
        written: list[list[int]] = [[] for _ in tokens]
        cache, going = None, list(range(len(tokens)))
        with torch.inference_mode():
            for _ in range(TOKENS):
                out = network(part, attention_mask=seen, position_ids=place, past_key_values=cache, logits_to_keep=1)
                cache, scores = out.past_key_values, out.logits[:, -1].float()
                for row in going:
                    scores[row].masked_fill_(~_allowed(matchers[row].compute_bitmask(), scores.shape[1]), -torch.inf)
                taken = scores.argmax(-1).tolist()
                for row in list(going):
                    matchers[row].consume_token(taken[row])
                    if taken[row] != tokenizer.eos_token_id:
                        written[row].append(taken[row])
                    if matchers[row].is_stopped():
                        going.remove(row)
                if not going:
                    break
                part = torch.tensor(taken)[:, None]
                seen = torch.cat([seen, torch.ones((len(tokens), 1), dtype=seen.dtype)], dim=1)
                place = place[:, -1:] + 1
        self._model.ledger.add(len(tokens), sum(map(len, tokens)), sum(map(len, written)), time.perf_counter() - began)
        return [tokenizer.decode(row) for row in written]


def _allowed(bits: bytes, width: int) -> torch.Tensor:
    """(width,) which tokens may come next, from a bit each."""
    import torch

    flags = np.unpackbits(np.frombuffer(bits, np.uint8), count=width, bitorder="little")
    return torch.from_numpy(flags).bool()
