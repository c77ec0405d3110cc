"""What an operator may set, where each value came from, and how both are shown. Settings are an argument, never a global."""

from __future__ import annotations

from longgame.settings.base import Section
from longgame.settings.load import FILE, Loaded, load_settings
from longgame.settings.show import as_toml, reference
from longgame.settings.spans import duration, duration_text
from longgame.settings.tree import SOURCES, Settings

__all__ = [
    "FILE",
    "SOURCES",
    "Loaded",
    "Section",
    "Settings",
    "as_toml",
    "duration",
    "duration_text",
    "load_settings",
    "reference",
]
