"""GGUF files are parsed once a load, not three times, and without a memory map for each word.

``transformers`` opens such a file for the configuration, the tokenizer and the weights, and asks ``gguf`` for the table of
tensors' names once for every module of the network. Of a small model that was most of the time that loading took.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np


@contextmanager
def read_once() -> Iterator[None]:
    """While this holds, ``gguf`` keeps what it parsed; what is read is the same to the bit."""
    import gguf

    module: Any = gguf  # its names are taken anew at every load, and put back below
    reader, names = gguf.GGUFReader, gguf.get_tensor_name_map

    class Plain(reader):  # type: ignore[misc, valid-type]  # a class that is held in a variable
        """Its bytes as a plain array over the same map: a slice of a ``memmap`` is a hundred times as dear."""

        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = np.asarray(mapped)

    module.GGUFReader, module.get_tensor_name_map = lru_cache(maxsize=1)(Plain), lru_cache(maxsize=1)(names)
    try:
        yield
    finally:
        module.GGUFReader, module.get_tensor_name_map = reader, names
