"""What plots are drawn on: matplotlib's SVG, to be put into a page and coloured by it.

Axes and letters take the page's own colour, so that they are read by day and by night. Names are written by strangers and
never reach matplotlib, which would read ``$`` as mathematics and warn of letters that its font lacks: it draws marks of its
own, which are replaced by the escaped names afterwards.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from longgame.errors import MissingExtra
from longgame.evaluation.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Becomes the page's own colour."""
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", INK, "#8a8a8a")
"""Told apart by people who see colours differently (Okabe and Ito, "Color Universal Design", 2008); yellow, which white
paper swallows, is left out for a grey."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = len(PALETTE)
"""Models that are drawn as lines, the best by NDCG: more could not be told apart."""
_WIDTH, LETTER = 7.2, 0.072
"""Inches: of a plot, and of a letter, about."""
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # text stays text: no font file, and a reader can search and copy it
    "svg.hashsalt": "longgame",
    "font.size": 9,
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.markersize": 5,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Plot:
    """One picture, and what is said below it."""

    name: str
    """Unique in the page, of letters and dashes."""
    title: str
    caption: str
    svg: str
    """Holds no name that is not escaped, and no address."""
    legend: tuple[tuple[str, str], ...] = ()
    """Colour, "" for the page's own -> whose it is, not escaped."""


@contextmanager
def drawing() -> Iterator[None]:
    """Within it plots are drawn in one style, whatever the reader's settings are. Raises MissingExtra without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("the page with plots", "matplotlib", "report") from None
    style: Any = {**matplotlib.rcParamsDefault, **_STYLE}
    with matplotlib.rc_context(style):
        yield


class Paper:
    """A figure of ``height`` inches, its names, and the way from it to SVG."""

    def __init__(self, name: str, height: float, left: float = 0.75, bottom: float = 0.55) -> None:
        from matplotlib.figure import Figure

        self.name, self.names = name, [""]
        self.figure: Figure = Figure(figsize=(_WIDTH, height))
        top, right = 0.15, 0.2
        box = (left / _WIDTH, bottom / height, 1 - (left + right) / _WIDTH, 1 - (bottom + top) / height)
        self.axes: Axes = self.figure.add_axes(box)

    def mark(self, text: str, most: int = 30) -> str:
        """What stands for ``text`` while matplotlib draws."""
        self.names.append(text if len(text) <= most else text[: most - 1] + "…")
        return f"Zz{len(self.names) - 1:05d}zZ"

    def ticks(self, labels: Sequence[str], counts: Sequence[int]) -> None:
        """Names below the places 0, 1, ... of the x axis, and how many each stands for."""
        self.axes.set_xticks(range(len(labels)), [""] * len(labels))
        self.axes.set_xlim(-0.5, len(labels) - 0.5)
        for place, (label, count) in enumerate(zip(labels, counts, strict=True)):
            for depth, text, opacity in ((-0.03, self.mark(label, 14), 1.0), (-0.085, f"{count:,}", 0.65)):
                where = self.axes.get_xaxis_transform()
                self.axes.text(place, depth, text, transform=where, ha="center", va="top", alpha=opacity)

    def svg(self) -> str:
        """Without what a page needs no second time: the document's head, metadata with addresses, its own fonts."""
        out = io.StringIO()
        self.figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = out.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r'\s(xmlns(:\w+)?="[^"]*")', "", text).replace("xlink:href", "href")
        text = re.sub(r'\bid="', f'id="{self.name}-', text)
        text = re.sub(r'(url\(|href=")#', rf"\1#{self.name}-", text)
        text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text).replace(INK, "currentColor")
        text = re.sub(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
        return re.sub(r"Zz(\d{5})zZ", lambda found: html.escape(visible(self.names[int(found[1])])), text)


def visible(text: str) -> str:
    """Without control characters, which no page may hold, and on one line."""
    return "".join(
        " " if ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 else letter for letter in text
    )


def arms(estimates: Sequence[Estimate]) -> Any:
    """(2, n) how far each interval reaches down and up; 0 where it is not known or without end."""
    arms = np.array([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])
    return np.where(np.isfinite(arms), np.maximum(arms, 0.0), 0.0)


def legend(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Colour -> name, in the order of the palette."""
    return tuple(("" if colour == INK else colour, name) for colour, name in zip(PALETTE, names, strict=False))
