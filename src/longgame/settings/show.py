"""Settings as a commented TOML file and as the page ``docs/configuration.md``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from longgame.settings.load import FILE, PREFIX, sections
from longgame.settings.tree import Settings
from longgame.settings.values import toml_value

_HEAD = f"""# Configuration

One file, `{FILE}`, in the folder the command runs in (or `longgame --config FILE …`). Every key has a default, so no
file is needed to begin. Flags win over environment variables, which win over the file, which wins over the defaults.
`longgame config check` shows the value of every key and where it came from; `longgame config show --defaults`
prints a file with all of them to start from. A key that does not exist, or a value of the wrong type, stops the
command with exit code 2 and says which, where and what to write instead.

In the environment a key is `{PREFIX}SECTION__KEY`: `{PREFIX}SERVE__PORT=9000`,
`{PREFIX}OBJECTIVE__REWARDS='{{click = 1.0, purchase = 5.0}}'`. A table or a list replaces the default as a whole. Times
are seconds or text such as `"30m"`, `"12h"`, `"7d"`. Paths are relative to the folder the command runs in.

This page is rendered from the settings themselves (`longgame config reference`) and a test holds it to them.
"""


def as_toml(settings: Settings) -> str:
    """A file that says ``settings`` and what each key means."""
    parts = []
    for name, section in sections():
        held = getattr(settings, name)
        lines = [f"# {_summary(section)}", f"[{name}]"]
        for key, field in section.model_fields.items():
            lines += [f"# {line}" for line in (field.description or "").splitlines()]
            lines.append(f"{key} = {toml_value(getattr(held, key))}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def reference() -> str:
    """The page ``docs/configuration.md``."""
    parts = [_HEAD]
    for name, section in sections():
        parts.append(f"## [{name}]\n\n{_summary(section)}\n\n| key | default | may be | meaning |\n|---|---|---|---|")
        rows = []
        for key, field in section.model_fields.items():
            default = toml_value(field.get_default(call_default_factory=True))
            rows.append(f"| `{key}` | `{default}` | {_may_be(field)} | {' '.join((field.description or '').split())} |")
        parts[-1] += "\n" + "\n".join(rows) + "\n"
    return "\n".join(parts)


def secret(text: str) -> str:
    """A URL without its password.

    >>> secret("postgresql://me:hush@host/log")
    'postgresql://me:***@host/log'
    """
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", text)


def _summary(section: Any) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _may_be(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    name = _NAMES.get(getattr(kind, "__name__", ""), "a table" if "Mapping" in str(kind) else "a list of texts")
    bounds = " and ".join(part for part in map(_bound, field.metadata) if part)
    return f"{name}, {bounds}" if bounds else name


_NAMES = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "timedelta": "a time span"}


def _bound(rule: Any) -> str:
    for kind, words, name in ((Ge, "at least", "ge"), (Gt, "above", "gt"), (Le, "at most", "le"), (Lt, "below", "lt")):
        if isinstance(rule, kind):
            return f"{words} {getattr(rule, name)}"
    return ""
