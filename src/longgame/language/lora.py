"""Small matrices beside those of a network: what is learned when the network itself stays as it is.

A product ``W x`` becomes ``W x + 2 B A x``, with A and B of a rank far below W's (Hu et al., LoRA, ICLR 2022). ``peft``
puts them in. What comes out is a network of its own that shares every weight with the one it was made from: no second copy,
and the first one answers as before.
"""

from __future__ import annotations

from copy import deepcopy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, MissingExtra
from longgame.rng import derive

if TYPE_CHECKING:
    import torch

PLACES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Matrices of a layer that get a pair: all of them."""
SCALE = 2
"""What B A x is multiplied by."""


def widened(network: Any, layers: range, rank: int) -> tuple[Any, dict[str, torch.nn.Parameter]]:
    """A network with pairs of matrices in ``layers``, and the pairs by name.

    "14.self_attn.q_proj.A" is (rank, in), "14.self_attn.q_proj.B" (out, rank). Until they are filled, B is 0 and the network
    answers as the one it was made from. Raises MissingExtra.
    """
    if find_spec("peft") is None:
        raise MissingExtra("adapting a language model", "peft", "llm")
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    shared: dict[int, Any] = {id(held): held for held in (*network.parameters(), *network.buffers())}
    own = deepcopy(network, shared)
    config = LoraConfig(
        r=rank,
        lora_alpha=SCALE * rank,
        lora_dropout=0.0,
        target_modules=list(PLACES),
        layers_to_transform=list(layers),
        layers_pattern="layers",
    )
    with torch.random.fork_rng(devices=[]):  # peft draws what is then filled: nobody else's draws may depend on it
        inject_adapter_in_model(config, own)
    pairs = {_short(name): held for name, held in own.named_parameters() if ".lora_" in name}
    return own.eval(), pairs


def _short(name: str) -> str:
    told = name.replace(".lora_A.default.weight", ".A").replace(".lora_B.default.weight", ".B")
    return told.removeprefix("model.layers.")


def begin(pairs: dict[str, torch.nn.Parameter], seed: int) -> None:
    """A uniform within one over the root of its width, as peft draws it; B zero. In float32, and free to learn."""
    import torch

    for name, held in pairs.items():
        rows, width = held.shape
        drawn = derive(seed, "lora", name).uniform(-1, 1, (rows, width)) / np.sqrt(width) if name.endswith(".A") else None
        first = np.zeros((rows, width)) if drawn is None else drawn
        held.data = torch.from_numpy(first.astype(np.float32))
        held.requires_grad_(True)


def fill(pairs: dict[str, torch.nn.Parameter], weights: Arrays, dtype: torch.dtype, where: str) -> None:
    """Put learned matrices in. Raises ArtefactError, naming ``where`` they are from, where they do not fit the network."""
    import torch

    wrong = sorted(pairs.keys() ^ weights.keys()) or [n for n, held in pairs.items() if tuple(held.shape) != weights[n].shape]
    if wrong:
        raise ArtefactError(
            f"{where}: its matrices are not those of this network ({wrong[0]}, {len(wrong)} in all); make it again"
        )
    for name, held in pairs.items():
        held.data = torch.from_numpy(np.array(weights[name], np.float32)).to(dtype)
        held.requires_grad_(False)


def taken(pairs: dict[str, torch.nn.Parameter]) -> dict[str, np.ndarray[Any, Any]]:
    """The matrices as arrays, in float32."""
    return {name: held.detach().float().numpy().copy() for name, held in pairs.items()}
