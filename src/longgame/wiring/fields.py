"""The page ``docs/model-settings.md``: every field of every model's config, with its default, what is searched, its meaning."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import MISSING, fields
from typing import Any

from longgame.models import MODELS
from longgame.models.space import OneOf, Range, Real, Whole

_HEAD = """# Model settings

What each model's config holds, for `longgame.models.MODELS[name].config(field=value)`, for `tuned.json`, and for who reads what
`longgame tune` prints. *Searched* is what the search tries; fields without it keep what they have. What the models are is in
[models.md](models.md).

This page is rendered from the configs themselves (`longgame config models`) and a test holds it to them.
"""


_SEED = "All that is drawn derives from it."


def page() -> str:
    """Needs the packages of all models. Raises MissingExtra where one is not there."""
    return _HEAD + "".join(_section(name) for name in MODELS)


def _section(name: str) -> str:
    config = MODELS[name].load()[0]
    told, space = {"seed": _SEED, **_meanings(config)}, getattr(config, "SPACE", {})
    rows = [
        f"| `{field.name}` | `{_default(field)}` | {_searched(space.get(field.name))} | {told.get(field.name, '')} |"
        for field in fields(config)  # type: ignore[arg-type]  # a dataclass: every config is
    ]
    if not rows:
        return ""
    return "\n".join(["", f"## {name}", "", "| field | default | searched | meaning |", "|---|---|---|---|", *rows, ""])


def _meanings(config: Any) -> dict[str, str]:
    """Field -> the text below it, also where it was inherited."""
    out: dict[str, str] = {}
    for kind in reversed(config.__mro__[:-1]):
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(tree, ast.ClassDef)
        for line, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(below, ast.Expr):
                value = below.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    out[line.target.id] = " ".join(value.value.replace("``", "`").replace("|", "\\|").split())
    return out


def _default(field: Any) -> str:
    value = field.default if field.default is not MISSING else field.default_factory()
    return repr(value).replace("np.float64", "").replace("|", "\\|")


def _searched(held: Range | None) -> str:
    if isinstance(held, OneOf):
        return ", ".join(str(value) for value in held.values)
    if isinstance(held, (Real, Whole)):
        return f"{held.low:g} to {held.high:g}{', by its logarithm' if held.log else ''}"
    return ""
