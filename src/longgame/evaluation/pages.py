"""Pages of one file that hold tables and plots: escaped, without scripts, read by day and by night."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from longgame.evaluation.paper import Plot, visible

_STYLE = """
:root{color-scheme:light dark;--line:#8885;--soft:#8882;--paper:#fff;--ink:#1b1b1f;--quiet:#5c5c66}
@media(prefers-color-scheme:dark){:root{--paper:#16161a;--ink:#e9e9ee;--quiet:#a6a6b2}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:92rem;padding:1.2rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.4rem 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem}
p,figcaption,li{max-width:46rem}.quiet,small,figcaption{color:var(--quiet)}
dl.facts{display:flex;flex-wrap:wrap;gap:.4rem 2rem;margin:0}.facts dt{font-size:.8rem;color:var(--quiet)}
.facts dd{margin:0;font-weight:600}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch;border:1px solid var(--line);border-radius:.4rem;margin:.6rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem;width:100%}
th,td{padding:.4rem .6rem;text-align:right;vertical-align:top;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child>*{border-bottom:0}
th:first-child,.text{text-align:left}thead th{background:var(--soft);font-weight:600}
tbody th{position:sticky;left:0;background:var(--paper);font-weight:600;min-width:9.5rem;max-width:15rem;white-space:normal;
  overflow-wrap:anywhere}
th small,td small{display:block;font-size:.75rem;font-weight:400}td[colspan]{white-space:normal;min-width:14rem}
td.best{background:var(--soft)}
figure{margin:.8rem 0 1.6rem}figure svg{width:100%;min-width:34rem;height:auto;display:block;max-width:60rem}
.plot{overflow-x:auto}
.legend{display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;list-style:none;padding:0;margin:.4rem 0;font-size:.88rem}
.legend svg{width:.8rem;min-width:0;height:.8rem;display:inline-block;margin-right:.4rem}
.legend li{overflow-wrap:anywhere}
details{margin:.4rem 0}summary{cursor:pointer}
pre{overflow-x:auto;background:var(--soft);padding:.7rem;border-radius:.4rem;font-size:.82rem}
@media print{.scroll{overflow:visible}}
"""


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page of ``parts``, which are HTML already; the same parts give the same bytes."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def figure(plot: Plot) -> str:
    """A plot with its title, its legend and what is said below it."""
    swatch = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" rx="2" fill="{}"/></svg>'
    keys = "".join(f"<li>{swatch.format(colour or 'currentColor')}{escaped(name)}</li>" for colour, name in plot.legend)
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    label = f"{plot.title}. The numbers are in the tables below."
    return (
        f"<h2>{escaped(plot.title)}</h2><figure>{legend}"
        f'<div class="plot" role="img" aria-label="{escaped(label)}">{plot.svg}</div>'
        f"<figcaption>{escaped(plot.caption)}</figcaption></figure>"
    )


def table_of(head: Iterable[str], body: Iterable[str], label: str) -> str:
    """Cells of the head and rows of cells, all HTML, as a table that can be scrolled; ``label`` is for who hears it."""
    rows = "".join(f"<tr>{row}</tr>\n" for row in body)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(label)}"><table>'
        f"<thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>"
    )


def escaped(text: object, lines: bool = False) -> str:
    """Escaped for HTML, in elements and in attributes, without control characters; on one line, unless ``lines`` are wanted."""
    parts = str(text).split("\n") if lines else [str(text)]
    return "\n".join(html.escape(visible(part)) for part in parts)
