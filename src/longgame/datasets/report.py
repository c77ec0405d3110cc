"""What became of every row of an import: read, accepted, rejected, and for each kind of rejection where and why.

It counts; it decides nothing. ``source`` fills it, the command line prints it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from longgame.errors import RecordError

_SHOWN = 5
_GOT = re.compile(r", got .*", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Reject(Exception):
    """One row is refused: its kind groups rows in the report, its reason shows the value, its mend says what to do.

    With ``fatal`` the row shows that the file as a whole was read wrongly, and nothing of it may be imported.
    """

    def __init__(self, kind: str, reason: str, mend: str = "", *, fatal: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.mend = mend
        self.fatal = fatal

    @staticmethod
    def of(error: RecordError) -> Reject:
        """The same refusal by a record's own checks; values are left out of its kind, so that rows group."""
        reason = str(error)
        return Reject(_QUOTED.sub("…", _GOT.sub("", reason)), reason)


@dataclass
class Rejection:
    """Every row that was refused for the same kind of reason."""

    kind: str
    mend: str
    count: int = 0
    first: list[tuple[str, int, str]] = field(default_factory=list)
    """(file, line, reason with the offending value) of the first few"""


@dataclass
class Count:
    """Rows of one file."""

    read: int = 0
    accepted: int = 0

    @property
    def rejected(self) -> int:
        return self.read - self.accepted


@dataclass
class Report:
    """What an import, or a rehearsal of one, did with every row."""

    files: dict[str, Count] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    """Records made, by noun ("Item", "User", "Event", "Decision")."""
    rejections: dict[str, Rejection] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        return sum(count.read for count in self.files.values())

    @property
    def accepted(self) -> int:
        return sum(count.accepted for count in self.files.values())

    @property
    def rejected(self) -> int:
        return self.read - self.accepted

    def count(self, file: str) -> Count:
        """The counts of ``file``, to add to."""
        return self.files.setdefault(file, Count())

    def reject(self, file: str, line: int, reject: Reject) -> None:
        """Note one refused row."""
        rejection = self.rejections.setdefault(reject.kind, Rejection(reject.kind, reject.mend))
        rejection.count += 1
        if len(rejection.first) < _SHOWN:
            rejection.first.append((file, line, reject.reason))

    def as_json(self) -> dict[str, Any]:
        """Everything above in JSON's own types."""
        return {
            "read": self.read,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "files": {
                name: {"read": count.read, "accepted": count.accepted, "rejected": count.rejected}
                for name, count in self.files.items()
            },
            "records": dict(self.records),
            "rejections": [
                {
                    "kind": rejection.kind,
                    "count": rejection.count,
                    "mend": rejection.mend,
                    "first": [{"file": file, "line": line, "reason": reason} for file, line, reason in rejection.first],
                }
                for rejection in self.rejections.values()
            ],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """The report as lines for a terminal."""
        made = ", ".join(f"{number:,} {noun}" for noun, number in self.records.items())
        lines = [f"read {self.read:,} rows, accepted {self.accepted:,}, rejected {self.rejected:,}"]
        lines += [f"records: {made}"] if made else []
        lines += [f"  {name}: read {c.read:,}, accepted {c.accepted:,}" for name, c in self.files.items()]
        for rejection in self.rejections.values():
            lines.append(f"rejected {rejection.count:,}: {rejection.kind}")
            lines += [f"  {file}, line {line}: {reason}" for file, line, reason in rejection.first]
            if rejection.count > len(rejection.first):
                lines.append(f"  … and {rejection.count - len(rejection.first):,} more")
            lines += [f"  to mend: {rejection.mend}"] if rejection.mend else []
        return "\n".join(lines + [f"note: {note}" for note in self.notes])
