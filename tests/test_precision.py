"""Numbers as wide as the processor multiplies fast."""

import sys

import pytest

from longgame.errors import ConfigError
from longgame.precision import checked, native, number


@pytest.fixture(autouse=True)
def afresh():
    native.cache_clear()
    yield
    native.cache_clear()


@pytest.mark.parametrize(
    ("has", "wanted"),
    [
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"neon": True, "bf16": True}, "bfloat16"),
        ({}, "float32"),
    ],
)
def test_what_the_processor_has_decides(has, wanted, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert native() == wanted
    assert number("auto") is getattr(torch, wanted)
    assert number("bfloat16") is torch.bfloat16, "who says which gets it"


def test_without_torch_it_still_has_a_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert native() == "float32"


def test_a_precision_that_is_none_is_refused():
    assert checked("auto", "MiniLM") == "auto"
    with pytest.raises(ConfigError, match=r"MiniLM\.precision.*auto, bfloat16, float32.*'int8'"):
        checked("int8", "MiniLM")  # type: ignore[arg-type] # the error is what is tested
