"""The error tree. Bad input raises one of these at the boundary, with what, where, what was got and how to mend it.

LonggameError
├── RecordError (ValueError)        a record cannot be what it claims to be
├── ShapeError (ValueError)         an array's axes do not fit the others
├── ConfigError (ValueError)        a setting, flag or hyper-parameter is wrong
├── DataError (ValueError)          a file cannot be read as the data it should hold
├── StoreError                      the log could not be read or written
├── ArtefactError                   a checkpoint, vector cache or snapshot is missing, torn or of another recipe
├── RemoteError                     a server that is asked over the network cannot be had, refuses, or answers nonsense
└── MissingExtra (ImportError)      an optional dependency is not installed; the message names the extra
"""

from __future__ import annotations


class LonggameError(Exception):
    """Anything longgame raises on purpose. The command line prints it without a traceback."""


class RecordError(LonggameError, ValueError):
    """A record cannot be what it claims to be."""


class ShapeError(LonggameError, ValueError):
    """An array's axes do not fit the others."""


class ConfigError(LonggameError, ValueError):
    """A setting, flag or hyper-parameter is wrong."""


class DataError(LonggameError, ValueError):
    """A file cannot be read as the data it should hold."""


class StoreError(LonggameError):
    """The log could not be read or written."""


class ArtefactError(LonggameError):
    """A checkpoint, vector cache or snapshot is missing, torn or of another recipe."""


class RemoteError(LonggameError):
    """A server that is asked over the network cannot be had, refuses, or answers nonsense; or a bound on asking is reached."""


class MissingExtra(LonggameError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it, or says how else to get it."""

    def __init__(self, feature: str, package: str, extra: str, how: str | None = None) -> None:
        install = f"pip install 'longgame[{extra}]'"
        super().__init__(f"{feature} needs the package {package!r}: {how or install}")
