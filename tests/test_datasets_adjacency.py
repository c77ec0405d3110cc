"""Adjacency lists: a published split becomes a split in time, duplicates are reported, and names are not guessed at."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from longgame.arrays import Interactions
from longgame.datasets import Options, Report, open_source, sniff, validate
from longgame.errors import ConfigError, DataError
from longgame.types import Event, Item, ItemId

DATA = Path(os.environ.get("LONGGAME_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.txt").write_text("7 30 4 101\n8 4\n")
    (tmp_path / "test.txt").write_text("8 30 5\n7 4\n")
    return tmp_path


def events(folder: Path, **options: str) -> list[Event]:
    made = open_source(folder, "adjacency", Options(**options)).read(Report())  # type: ignore[arg-type]
    return [record for record in made if isinstance(record, Event)]


def test_each_part_is_one_moment_a_day_after_the_one_before(folder: Path) -> None:
    (folder / "valid.txt").write_text("8 9\n")
    days = Counter((event.at, event.user) for event in events(folder))
    assert days == {
        (datetime(2000, 1, 1, tzinfo=UTC), "7"): 3,
        (datetime(2000, 1, 1, tzinfo=UTC), "8"): 1,
        (datetime(2000, 1, 2, tzinfo=UTC), "8"): 1,
        (datetime(2000, 1, 3, tzinfo=UTC), "8"): 2,
        (datetime(2000, 1, 3, tzinfo=UTC), "7"): 1,
    }


def test_within_a_part_the_order_is_that_of_the_file(folder: Path) -> None:
    log = Interactions.of(events(folder), [ItemId(item) for item in ("4", "5", "30", "101")])
    assert [log.items[i] for i in log.history(log.users.index("7"))] == ["30", "4", "101", "4"]


def test_an_item_of_train_and_of_test_is_two_events_and_twice_in_a_part_is_a_duplicate(folder: Path) -> None:
    (folder / "train.txt").write_text("7 30 4 30\n8 4\n7 4\n")
    report = validate(open_source(folder))
    assert (report.read, report.accepted) == (8, 6)
    (rejection,) = report.rejections.values()
    assert rejection.kind == "duplicate: the same user and item as an earlier line" and rejection.count == 2
    assert rejection.first == [
        ("train.txt", 1, "the same user and item as line 1, got '7 30'"),
        ("train.txt", 3, "the same user and item as line 1, got '7 4'"),
    ]
    assert [(e.user, e.item) for e in events(folder) if e.item == "4"] == [("7", "4"), ("8", "4"), ("7", "4")]


def test_a_user_without_items_is_reported_and_the_rest_is_read(folder: Path) -> None:
    (folder / "test.txt").write_text("7\n\n8 30\n")
    report = validate(open_source(folder))
    assert [(r.kind, r.count) for r in report.rejections.values()] == [("line has a user and no items", 1)]
    assert report.accepted == 5


def test_the_notes_say_where_to_cut(folder: Path) -> None:
    assert "--split time --at 2000-01-03" in " ".join(open_source(folder).notes)
    assert "valid.txt" not in " ".join(open_source(folder).notes)
    (folder / "valid.txt").write_text("8 9\n")
    assert "valid.txt 2000-01-02" in " ".join(open_source(folder).notes)


def test_words_are_not_guessed_at_but_may_be_said(folder: Path) -> None:
    assert sniff(folder) == "adjacency"
    (folder / "train.txt").write_text("ann tea milk\n")
    assert sniff(folder) == "table"
    assert [e.item for e in events(folder, kind="purchase") if e.user == "ann"] == ["tea", "milk"]


def test_items_may_have_words(folder: Path) -> None:
    (folder / "items.tsv").write_text("id\ttext\n4\tgreen tea\n99\tnobody's cup\n")
    made = [record for record in open_source(folder).read(Report()) if isinstance(record, Item)]
    assert {item.id: item.text for item in made} == {"4": "green tea", "99": "nobody's cup", "30": "", "101": "", "5": ""}


def test_what_is_missing_is_said(folder: Path) -> None:
    (folder / "test.txt").unlink()
    with pytest.raises(DataError, match=r"train\.txt and test\.txt"):
        open_source(folder, "adjacency")
    with pytest.raises(ConfigError, match="time_unit does not apply"):
        open_source(folder, "adjacency", Options(time_unit="line"))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ml1m_m1", {"train.txt": 796_244, "test.txt": 99_455}),
        ("llm_users", {"train.txt": 74_271, "valid.txt": 55_486, "test.txt": 55_492}),
    ],
)
def test_published_splits_are_read_whole(name: str, parts: dict[str, int]) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not in {DATA}; point LONGGAME_DATA at the data")
    source = open_source(DATA / name)
    assert source.form == "adjacency"
    report = validate(source)
    assert {file: count.accepted for file, count in report.files.items()} == parts and not report.rejected
