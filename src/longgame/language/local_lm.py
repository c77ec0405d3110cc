"""A causal language model of one's own in the place of SmolLM2: a GGUF file, or a folder as ``transformers`` saves one.

Its network must be a body, ``model``, whose last state a linear head turns into scores, as Llama, Qwen and Gemma 3 are.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from longgame.errors import ConfigError, MissingExtra
from longgame.language.gguf_once import read_once
from longgame.language.smollm import TOKENS, SmolLM
from longgame.precision import Precision, number, resolved

RECIPE = 1
"""Names how it is asked. Change that, and it must change."""
_THOUGHT = (0.6, 0.8)
"""Of the way up: where SmolLM2 thinks of an answer (docs/experiments.md). Of another model it is a guess."""
_CHUNK = 1 << 24
_SCALES = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Of a config: what is done to scores behind the head."""
_WRONG = (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError, AssertionError, struct.error, SafetensorError)
"""What loading raises for files that are damaged or of another kind."""


def fingerprint(files: Sequence[Path]) -> str:
    """Twelve digits that name what files hold, and their names."""
    told = blake2b(digest_size=6)
    for path in files:
        told.update(path.name.encode())
        with path.open("rb") as file:
            while part := file.read(_CHUNK):
                told.update(part)
    return told.hexdigest()


class LocalLM(SmolLM):
    """Asked like a :class:`SmolLM`. No adapter is of it."""

    def __init__(self, path: Path | str, precision: Precision = "auto", threads: int = 1) -> None:
        """Raises ConfigError where ``path`` is no .gguf file and no folder with a config.json."""
        super().__init__(precision, threads)
        self._path = Path(path)
        if not (self._path.suffix == ".gguf" and self._path.is_file()) and not (self._path / "config.json").is_file():
            raise ConfigError(
                f"language.small: must be a .gguf file, or a folder with the config.json of a language model, got {str(path)!r}"
            )

    @cached_property
    def name(self) -> str:
        """The file's name and contents: another file under the same name is another model."""
        files = [self._path] if self._path.is_file() else sorted(p for p in self._path.iterdir() if p.is_file())
        title = self._path.stem if self._path.is_file() else self._path.name
        return f"{title}-{fingerprint(files)}-{RECIPE}-{resolved(self._precision)}"

    @cached_property
    def width(self) -> int:  # type: ignore[override]  # a number there, read from the file here
        return int(self._config.hidden_size)

    @cached_property
    def layers(self) -> int:  # type: ignore[override]  # a number there, read from the file here
        return int(self._config.num_hidden_layers)

    @property
    def thought(self) -> tuple[int, ...]:  # type: ignore[override]  # numbers there, read from the file here
        return tuple(dict.fromkeys(max(1, round(share * self.layers)) for share in _THOUGHT))

    @cached_property
    def reach(self) -> int:  # type: ignore[override]  # a number there, read from the file here
        """A layer that looks back so far only forgets the beginning of what is longer."""
        return int(getattr(self._config, "sliding_window", None) or TOKENS)

    def _up_to(self, last: int) -> Any:
        return self._loaded[0].model  # whose layers may depend on their number

    @property
    def _where(self) -> Mapping[str, Any]:
        if self._path.is_file():
            return {"pretrained_model_name_or_path": str(self._path.parent), "gguf_file": self._path.name}
        return {"pretrained_model_name_or_path": str(self._path)}

    @cached_property
    def _config(self) -> Any:
        for package in ("torch", "transformers", "gguf"):
            if find_spec(package) is None:
                raise MissingExtra(f"language.small = {self._path}", package, "llm")
        from transformers import AutoConfig

        try:
            with redirect_stderr(StringIO()), read_once():
                config = AutoConfig.from_pretrained(**self._where, local_files_only=True).get_text_config()
            for scale in _SCALES:
                if getattr(config, scale, None) not in (None, 1.0):
                    raise ValueError(f"its scores are changed by {scale}, which is not followed here")
            return config
        except _WRONG as error:
            raise self._unread(error) from None

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The network and its tokenizer."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        config, hushed = self._config, logging
        hushed.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers has no types there
        try:
            with redirect_stderr(StringIO()), read_once():
                tokenizer = AutoTokenizer.from_pretrained(**self._where, local_files_only=True)
                network: Any = AutoModelForCausalLM.from_pretrained(
                    **self._where, config=config, local_files_only=True, dtype=number(self._precision)
                )
            # The hooks go in, as SmolLM's do.
            network.eval().model(torch.tensor([[0]]), output_hidden_states=True)
            assert network.lm_head is not None
        except _WRONG as error:
            raise self._unread(error) from None
        return network, tokenizer

    def _unread(self, error: Exception) -> ConfigError:
        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return ConfigError(f"language.small: {self._path} cannot be read as a language model by transformers: {first}")
