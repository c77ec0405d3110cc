"""The page and the Markdown of a ranking table: whole, self-contained, safe with any name, the same twice."""

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from longgame.errors import MissingExtra
from longgame.evaluation import figures, paper
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.report import markdown, page
from longgame.evaluation.table import METRICS, Bucket, Comparison, RankingTable, Row

VOID = {"meta", "link", "br", "img", "hr", "input", "path", "rect", "use", "line", "circle"}
HOSTILE = (
    '</title><script>alert(1)</script><img src=x onerror="x"> $\\frac{1}{ | `rm` id="figure_1" 推薦 Zz00001zZ \x00\x1b\ud800'
)


def estimate(value, half=0.01):
    return Estimate(value, value - half, value + half, 100, 100.0)


def row(name, ndcg, **changes):
    values = dict.fromkeys(METRICS, estimate(0.25)) | {"ndcg": estimate(ndcg), "popularity lift": estimate(-3.0 + 100 * ndcg)}
    lengths = tuple(Bucket(f"{n} events", 50 * n, estimate(ndcg + n / 100)) for n in (1, 2, 3))
    counts = tuple(Bucket(label, 40, estimate(ndcg / n)) for n, label in enumerate(("new", "1 to 4 events", "5+ events"), 1))
    gap = {"history length": estimate(0.02), "country": estimate(0.005)}
    made = Row(name, f"what {name} is", 3, 12.5, 4321, values, 0.0012, {"history length": lengths}, counts, gap, {"width": 64})
    return replace(made, **changes)


def failed(name, why):
    return Row(name, name, 0, 0.0, 0, {}, 0.0, {}, (), {}, {"width": 8}, why)


COMPARED = (
    Comparison("ease", "popularity", "ndcg", estimate(0.0123, 0.002), 0.0001, 0.0004),
    Comparison("als", "popularity", "ndcg", estimate(-0.003), 0.4, 0.4),
)


def table(*rows, comparisons=COMPARED, data="beauty"):
    rows = rows or (row("popularity", 0.01), row("ease", 0.04), row("als", 0.03), failed("svd", "nothing is rated"))
    return RankingTable(data, "each user's last event", 10, 22363, 0, 12101, 153776, rows, comparisons)


class Checked(HTMLParser):
    """Every element is closed where it was opened, no id twice, no script; collects the text and the attributes."""

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.ids: list[str | None] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has a handler"
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src"):
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.text.append(data)


def test_the_page_is_whole_and_needs_nothing_beside_itself():
    text = page(table())
    found = Checked(text)
    assert text.startswith("<!doctype html>")
    assert not {"script", "link", "img", "iframe", "image"} & set(found.seen)
    assert not re.search(r"https?://|url\((?!#)|@import|//[a-z]", text)
    assert len(found.ids) == len(set(found.ids))
    assert found.links
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert all(target in found.ids for target in re.findall(r"url\(#([^)]+)\)", text))
    assert found.seen.count("figure") == found.seen.count("figcaption") == 4


def test_every_model_metric_and_figure_is_there():
    found = Checked(page(table()))
    text = " ".join(found.text)
    for name in ("popularity", "ease", "als", "svd", "what ease is", "nothing is rated", "country", "new", "5+ events"):
        assert name in text
    for metric in METRICS:
        assert metric in text
    for figure in ("22,363", "12,101", "153,776", "0.0400", "[0.0300, 0.0500]", "4,321", "12.5 s", "0.0012", "+0.0123"):
        assert figure in text
    for figure in ("[+0.0103, +0.0143]", "< 0.001", "0.400", '"width": 64', '"width": 8'):
        assert figure in text


def test_models_are_sorted_and_the_best_is_bold_by_what_is_better():
    text = page(table(row("a", 0.02), row("b", 0.05), row("c", 0.031)))
    assert [text.index(f'<th scope="row">{name}<small>') for name in "bca"] == sorted(
        text.index(f'<th scope="row">{name}<small>') for name in "abc"
    )
    assert "<b>0.0500</b>" in text
    assert "<b>0.1</b>" in text  # lift: -1.0, 2.0 and 0.1, the nearest to 0
    assert "<b>0.250</b>" not in text  # all alike
    low = row("a", 0.02)
    low = replace(low, metrics={**low.metrics, "gini": estimate(0.1), "calibration": estimate(0.9), "coverage": estimate(0.1)})
    text = page(table(low, row("b", 0.05)))
    assert "<b>0.100</b>" in text  # the lower Gini
    assert text.count("<b>0.250</b>") == 2  # the lower calibration, and the higher coverage


def test_names_of_strangers_do_no_harm():
    mean = row(HOSTILE, 0.06)
    mean = replace(
        mean,
        title=HOSTILE,
        groups={HOSTILE: (Bucket(HOSTILE, 3, estimate(0.1)),), "history length": (Bucket(HOSTILE, 3, estimate(0.1)),)},
        popularity=(Bucket(HOSTILE, 3, estimate(0.1)),),
        gap={HOSTILE: estimate(0.1)},
        config={HOSTILE: HOSTILE},
    )
    compared = (Comparison(HOSTILE, "ease", "ndcg", estimate(0.1), 0.01, 0.02),)
    made = table(mean, row("ease", 0.03), failed(HOSTILE, HOSTILE), comparisons=compared, data=HOSTILE)
    text = page(made)
    found = Checked(text)
    assert not {"script", "img"} & set(found.seen)
    assert len(found.ids) == len(set(found.ids))
    assert text.encode()  # no half of a character
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert "推薦" in text
    words = markdown(replace(made, rows=made.rows[:2]))
    assert words.encode()
    assert "<script>" not in words.replace("\\<script\\>", "")
    rows = [line for line in words.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows[:2]} == {8 + 1}
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows[:4]}) == 1


def test_the_same_table_gives_the_same_bytes():
    many = table(*(row(f"model {n}", 0.01 + n / 1000) for n in range(14)))
    assert page(many) == page(many)
    assert markdown(many) == markdown(many)


def test_the_reader_s_own_settings_of_matplotlib_change_nothing():
    import matplotlib

    plain = page(table())
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "red"}):
        assert page(table()) == plain


def test_more_models_than_colours_are_all_named_and_eight_are_drawn_as_lines():
    names = [f"model-{n:02}" for n in range(20)]
    made = {plot.name: plot for plot in figures.plots(table(*(row(name, 0.01 + n / 1000) for n, name in enumerate(names))))}
    assert all(name in made["coverage"].svg and name in made["gaps"].svg for name in names)
    assert [name for _, name in made["history"].legend] == names[:-9:-1]
    assert "currentColor" in made["history"].svg
    assert paper.INK not in made["history"].svg


def test_a_table_without_comparisons_plots_or_figures_works():
    bare = row("ease", 0.03, groups={}, popularity=(), gap={})
    bare = replace(bare, metrics={"ndcg": estimate(0.03)})
    text = page(table(bare, comparisons=()))
    Checked(text)
    assert "<figure" not in text
    assert "Paired comparisons" not in text
    assert "mrr" not in text
    nothing = table(failed("svd", "nothing is rated"), comparisons=())
    Checked(page(nothing))
    assert "nothing is rated" in page(nothing)
    assert "nothing is rated" in markdown(nothing)


def test_numbers_that_are_none_are_left_out():
    nan, endless = Estimate(np.nan, np.nan, np.nan, 0, 0.0), Estimate(0.5, -np.inf, np.inf, 1, 1.0)
    exact = Estimate(0.375, 0.375, 0.375, 1, 1.0)
    odd = row("odd", 0.03, popularity=(Bucket("new", 0, nan), Bucket("1+ events", 9, endless)), gap={"country": nan})
    odd = replace(odd, metrics={**odd.metrics, "coverage": exact, "gini": endless, "diversity": nan, "novelty": nan})
    for text in (page(table(odd, row("ease", 0.02))), markdown(table(odd, row("ease", 0.02)))):
        assert not re.search(r"\b(nan|inf)\b", text)
        assert "0.375" in text
        assert "[0.375" not in text
    none = row("none", 0.03)
    Checked(page(table(replace(none, metrics={**none.metrics, "ndcg": nan}), row("ease", 0.02))))


def test_markdown_holds_the_table_with_intervals():
    text = markdown(table())
    assert "| model | recall@10 | ndcg@10 | mrr | hit@10 | seeds | fit, s | numbers |" in text
    assert "**0.0400** [0.0300, 0.0500]" in text
    assert "| ease | popularity | ndcg@10 | +0.0123 [+0.0103, +0.0143] | < 0.001 | < 0.001 |" in text
    assert "- svd has no figures: nothing is rated" in text
    assert "| als | 0.0200 [0.0100, 0.0300] | 0.0050 [-0.0050, 0.0150] |" in text


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"longgame\[report\]"):
        page(table())
    assert "ease" in markdown(table())
