"""In which numbers matrices are multiplied: what the processor at hand is fast in.

bfloat16 is three to four times as fast as float32 where the processor multiplies in it (AVX512-BF16, AMX, recent ARM).
Where it does not, each number is widened first, and the same work takes ten times as long and more.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from longgame.errors import ConfigError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "bfloat16", "float32"]
"""auto: as :func:`native` says."""
_FAST = ("avx512_bf16", "amx_bf16", "bf16")
"""What torch calls the instructions: two of x86, one of ARM."""


@cache
def native() -> Literal["bfloat16", "float32"]:
    """bfloat16 where this processor multiplies in it, else float32; float32 too where torch is not installed."""
    try:
        import torch
    except ImportError:
        return "float32"
    told = getattr(torch.cpu, "get_capabilities", None)  # not in older torch
    has = told() if told else {}
    return "bfloat16" if any(has.get(name) for name in _FAST) else "float32"


def resolved(precision: Precision) -> Literal["bfloat16", "float32"]:
    """What auto comes to here."""
    return native() if precision == "auto" else precision


def number(precision: Precision) -> torch.dtype:
    """torch's name of it."""
    import torch

    return torch.bfloat16 if resolved(precision) == "bfloat16" else torch.float32


def checked(precision: Precision, where: str) -> Precision:
    """Raises ConfigError, naming ``where`` it was said, for a precision that there is not."""
    if precision not in get_args(Precision):
        raise ConfigError(f"{where}.precision: must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    return precision
