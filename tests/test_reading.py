"""What evaluation knows of a log beside the log: texts that tell something, groups of users, what lists are mixed of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from longgame.language import HashingModel
from longgame.types import Item, ItemId, User
from longgame.wiring.reading import _groups, _mix, _telling, read
from tests.kit import log_of

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def atomic(folder: Path) -> Path:
    """A data set in RecBole's atomic files."""
    folder.mkdir(parents=True)
    rows = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for number in range(12):
        rows.append(f"u{number % 3}\ti{number % 4}\t{1 + number % 5}\t{(NOW + timedelta(days=number)).timestamp():.0f}")
    (folder / f"{folder.name}.inter").write_text("\n".join(rows) + "\n")
    items = ["item_id:token\tmovie_title:token_seq\tclass:token_seq"]
    items += [f"i{n}\tFilm {n}\t{'Drama Comedy' if n % 2 else 'Drama'}" for n in range(4)]
    (folder / f"{folder.name}.item").write_text("\n".join(items) + "\n")
    users = ["user_id:token\tage:token\tgender:token"]
    users += [f"u{n}\t{20 + n}\t{'F' if n else 'M'}" for n in range(3)]
    (folder / f"{folder.name}.user").write_text("\n".join(users) + "\n")
    return folder


def test_a_data_set_is_read_with_all_that_it_says(tmp_path: Path):
    told: list[str] = []
    known = read(atomic(tmp_path / "films"), HashingModel(), say=told.append)
    assert known.name == "films" and len(known.log) == 12 and known.features.shape[0] == 4 and known.features.any()
    assert list(known.groups["gender"]) == ["M", "F", "F"] or sorted(known.groups["gender"]) == ["F", "F", "M"]
    assert "3 users, 4 items, 12 events" in told[0]


def test_texts_that_are_all_the_same_tell_nothing():
    same, different = np.ones((3, 5), np.float32), np.eye(3, 5, dtype=np.float32)
    assert _telling(same).shape == (3, 0) and _telling(different).shape == (3, 5)


def test_lists_are_mixed_of_the_attribute_that_most_items_have():
    items = [
        Item(ItemId("a"), "", {"genres": ("Drama", "Comedy"), "asin": "x1", "year": 1990.0}),
        Item(ItemId("b"), "", {"genres": ("Drama",), "asin": "x2", "studio": "S"}),
        Item(ItemId("c"), "", {"genres": ("Drama", "Comedy"), "asin": "x3", "studio": "T"}),
        Item(ItemId("d"), "", {"asin": "x4"}),
    ]
    mix, name = _mix(items)
    assert name == "genres", "asin tells each item from all others, and is no kind"
    assert mix is not None and mix.tolist() == [[0.5, 0.5], [0, 1], [0.5, 0.5], [0, 0]]
    assert _mix([Item(ItemId("a"), "", {"year": 1.0}), Item(ItemId("b"), "")]) == (None, "")


def test_groups_of_users_are_words_of_few_values():
    log = log_of([[0], [1], [2]], 3)
    users = {u: User(u, {"plan": p, "age": 30.0, "name": u}) for u, p in zip(log.users, ("free", "paid", "free"), strict=True)}
    del users[log.users[2]]
    groups = _groups(log, users)
    assert groups == {"plan": ["free", "paid", ""], "name": ["u0", "u1", ""]}
