"""SmolLM as a writer: prompts go through the network together, each object along its own grammar (``writing``)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from longgame.language.smollm import SmolLM
from longgame.language.writing import BATCH, TOKENS, GreedyWriter, allowed


class SmolLMWriter(GreedyWriter):
    """A ``protocols.Writer``. Shares the network of a :class:`SmolLM`, and its ledger: a prompt is a call."""

    def __init__(self, model: SmolLM | None = None) -> None:
        self._model = model or SmolLM()

    @property
    def name(self) -> str:
        return f"{self._model.name}+llguidance-greedy-1"

    @property
    def ledger(self) -> Any:
        return self._model.ledger

    def _vocabulary(self) -> Any:
        from llguidance.hf import from_tokenizer

        network, tokenizer = self._model.loaded
        return from_tokenizer(tokenizer, n_vocab=int(network.config.vocab_size))

    def _written(self, prompts: Sequence[str], grammar: str) -> list[str]:
        """Those of like length together."""
        out, tokens = [""] * len(prompts), self._model.tokens(prompts)
        order = sorted(range(len(prompts)), key=lambda row: len(tokens[row]))
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            for row, text in zip(rows, self._write([tokens[row] for row in rows], grammar), strict=True):
                out[row] = text
        return out

    def _write(self, tokens: list[list[int]], grammar: str) -> list[str]:
        """One text a prompt. Prompts are padded at their left; what is padding is not attended to."""
        import torch

        network, tokenizer = self._model.loaded
        began, wide = time.perf_counter(), max(map(len, tokens))
        seen = torch.tensor([[0] * (wide - len(row)) + [1] * len(row) for row in tokens])
        part = torch.tensor([[0] * (wide - len(row)) + row for row in tokens])
        place = (seen.cumsum(1) - 1).clamp(min=0)
        matchers = [self._matcher(grammar) for _ in tokens]
        written: list[list[int]] = [[] for _ in tokens]
        cache, going = None, list(range(len(tokens)))
        with torch.inference_mode():
            for _ in range(TOKENS):
                out = network(part, attention_mask=seen, position_ids=place, past_key_values=cache, logits_to_keep=1)
                cache, scores = out.past_key_values, out.logits[:, -1].float()
                for row in going:
                    scores[row].masked_fill_(
                        ~torch.from_numpy(allowed(matchers[row].compute_bitmask(), scores.shape[1])), -torch.inf
                    )
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
