"""The contract of a row of ``DATASETS``, on a small sample of each that is written here in the set's own layout."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from longgame.datasets import DATASETS, Options, Report, open_source, sniff, validate
from longgame.errors import ConfigError, DataError
from longgame.store import open_store
from longgame.types import Decision, Event, Item, Record, User

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("LONGGAME_DATA") or REPOSITORY.parent / "shared" / "data")


def movielens_100k(folder: Path) -> None:
    (folder / "u.data").write_text("196\t242\t3\t881250949\n186\t302\t4\t891717742\n196\t302\t1\t878887116\n")
    flags = "|".join("1" if at in (3, 5) else "0" for at in range(19))
    lines = [
        f"242|Misérables, Les (1995)|01-Jan-1995||http://films/1|{flags}",
        f"302|unknown||||1|{'|'.join('0' * 18)}",
    ]
    (folder / "u.item").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "u.user").write_text("196|49|M|writer|55105\n186|39|F|executive|00000\n")


def movielens_1m(folder: Path) -> None:
    (folder / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n1::661::3::978301968\n")
    (folder / "movies.dat").write_text(
        "1193::One Flew: Over the Cuckoo's Nest (1975)::Drama\n661::Été (1996)::Animation|Musical\n", encoding="latin-1"
    )
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")


def movielens_latest(folder: Path) -> None:
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,3,3.5,964981247\n")
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n3,"Boat, The (2001)",(no genres listed)\n'
    )
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n2,3,at sea,1445714994\n")


def atomic(folder: Path) -> None:
    (folder / "shop.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\ta\t3\t881250949\n8\ta\t4\t881250950\n7\tb\t1\t881250950\n"
    )
    (folder / "shop.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "a\tToy \"Story\t1995\tAnimation Children's\nb\tHeat\t\tunknown\n"
    )
    (folder / "shop.user").write_text("user_id:token\tage:float\n7\t30\n8\t41\n")
    (folder / "shop.link").write_text("item_id:token\tentity_id:token\na\tm.1\n")


def open_bandit(folder: Path) -> None:
    header = ",timestamp,item_id,position,click,propensity_score," + ",".join(f"user_feature_{n}" for n in range(4))
    header += ",user-item_affinity_0"
    for policy, salt in (("random", "a"), ("bts", "b")):
        inside = folder / policy / "men"
        inside.mkdir(parents=True)
        rows = [
            f"0,2019-11-24 00:03:13.442536+00:00,1,3,1,{0.33 if salt == 'a' else 0.52},u0,u1,u2,u3,0.0",
            f"1,2019-11-24 00:03:36+00:00,2,1,0,0.25,u0,u1,{salt},u3,0.0",
        ]
        (inside / "men.csv").write_text("\n".join([header, *rows]) + "\n")
        hashed = [salt * 32, salt * 31 + "0", salt * 32]
        items = [f"{n},{n},{n / 2 - 0.3},{hashed[n]}" for n in range(3)]
        (inside / "item_context.csv").write_text("\n".join([",item_id,item_feature_0,item_feature_1", *items]) + "\n")


def sequences(folder: Path) -> None:
    (folder / "sequences.txt").write_text("1 10 11 12\n2 11 13\n")
    (folder / "items.tsv").write_text('item_id\tasin\ttitle_words\n10\tB1\tnail polish 5" red\n11\tB2\tbalm\n12\t0012\tsoap\n')


def adjacency(folder: Path) -> None:
    (folder / "train.txt").write_text("1 10 11 12\n2 11 13\n")
    (folder / "valid.txt").write_text("1 13\n")
    (folder / "test.txt").write_text("2 10\n1 14\n")
    (folder / "items.tsv").write_text("item_id\ttitle\n10\tnail polish\n11\tbalm\n")


def amazon(folder: Path) -> None:
    reviews = [
        {
            "reviewerID": "A1",
            "asin": "B1",
            "reviewText": "It glows.",
            "overall": 5.0,
            "summary": "Bright",
            "unixReviewTime": 1391040000,
        },
        {"reviewerID": "A2", "asin": "B2", "reviewText": "", "overall": 1.0, "summary": "No", "unixReviewTime": 1391040000},
    ]
    (folder / "reviews_Beauty_5.json").write_text("\n".join(map(json.dumps, reviews)) + "\n")
    product = {
        "asin": "B1",
        "title": 'Women\'s "Lamp"',
        "price": 4.5,
        "categories": [["Beauty", "Skin"]],
        "imUrl": "http://x/1.jpg",
    }
    (folder / "meta_Beauty.json").write_text(f"{product!r}\n{{'asin': 'B2'}}\n")


def table(folder: Path) -> None:
    (folder / "events.csv").write_text(
        "customer_id,sku,event,price,date\nu1,a,view,,2024-03-01T12:00:00\nu1,a,purchase,9.5,2024-03-01T12:05:00\n"
        "u2,b,view,,2024-03-02T12:00:00\n"
    )
    (folder / "items.jsonl").write_text(
        '{"sku": "a", "title": "Lamp", "price": 9.5, "tags": ["home", "light"]}\n{"sku": "b"}\n'
    )


Counts = dict[str, int]
SAMPLES: dict[str, tuple[Callable[[Path], None], Counts]] = {
    "ml-100k": (movielens_100k, {"User": 2, "Item": 2, "Event": 3}),
    "ml-1m": (movielens_1m, {"User": 2, "Item": 2, "Event": 3}),
    "ml-latest-small": (movielens_latest, {"Item": 2, "Event": 3}),
    "atomic": (atomic, {"User": 2, "Item": 2, "Event": 3}),
    "obd": (open_bandit, {"Item": 3, "User": 3, "Decision": 4, "Event": 2}),
    "sequences": (sequences, {"Item": 4, "Event": 5}),
    "adjacency": (adjacency, {"Item": 5, "Event": 8}),
    "amazon-beauty": (amazon, {"Item": 2, "Event": 2}),
    "table": (table, {"Item": 2, "Event": 3}),
}


def test_samples_cover_the_table() -> None:
    assert SAMPLES.keys() == DATASETS.keys()


def test_every_set_is_in_the_documentation() -> None:
    text = (REPOSITORY / "docs" / "data.md").read_text()
    assert [name for name in DATASETS if f"`{name}`" not in text] == []


@pytest.fixture(params=SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sample(name: str, tmp_path: Path) -> Path:
    folder = tmp_path / "sample"
    folder.mkdir()
    SAMPLES[name][0](folder)
    return folder


def records(path: Path, form: str | None = None, options: Options | None = None) -> list[Record]:
    return list(open_source(path, form, options or Options()).read(Report()))


def test_it_is_known_by_its_looks(name: str, sample: Path) -> None:
    assert sniff(sample) == name
    assert open_source(sample).form == open_source(sample, name).form == name


def test_preview_is_json_and_names_every_column(name: str, sample: Path) -> None:
    shown = json.loads(json.dumps(open_source(sample).preview()))
    assert shown["form"] == name
    for table in shown["tables"]:
        assert table["first"] and len(table["first"]) <= 5
        for row in table["first"]:
            assert len(row["cells"]) == len(table["columns"])
        assert any(column["read_as"] != "not used" for column in table["columns"])


def test_validate_counts_what_read_gives(name: str, sample: Path) -> None:
    report = validate(open_source(sample))
    made = records(sample)
    assert dict(report.records) == SAMPLES[name][1]
    assert {kind: sum(type(record).__name__ == kind for record in made) for kind in report.records} == SAMPLES[name][1]
    assert report.read == report.accepted and not report.rejections
    assert json.loads(json.dumps(report.as_json()))["read"] == report.read


def test_reading_twice_gives_the_same(sample: Path) -> None:
    source = open_source(sample)
    first = list(source.read(Report()))
    assert list(source.read(Report())) == first == records(sample)


def test_items_come_before_what_names_them(sample: Path) -> None:
    items: set[str] = set()
    for record in records(sample):
        if isinstance(record, Item):
            items.add(record.id)
        elif isinstance(record, Event):
            assert record.item in items
        elif isinstance(record, Decision):
            assert set(record.candidates) <= items


def test_importing_twice_adds_nothing(sample: Path) -> None:
    store = open_store("memory:")
    made = records(sample)
    assert all(store.put(made))
    assert not any(store.put(records(sample)))
    store.close()


def test_another_name_gives_the_same_records(sample: Path, tmp_path: Path) -> None:
    before = records(sample)
    assert records(sample.rename(tmp_path / "moved")) == before


def test_an_empty_file_is_an_error(name: str, sample: Path) -> None:
    for file in sorted(sample.rglob("*")):
        if file.is_file() and file.suffix not in (".link",):
            whole = file.read_bytes()
            file.write_bytes(b"")
            with pytest.raises(DataError, match=r"empty"):
                validate(open_source(sample, name))
            file.write_bytes(whole)


def test_garbage_is_an_error_and_never_a_success(name: str, sample: Path) -> None:
    for file in sorted(sample.rglob("*")):
        if file.is_file() and file.suffix not in (".link",) and file.name != "sequences.txt":
            whole = file.read_bytes()
            file.write_bytes(b"\x00\xff\xfe garbage\n" * 3)
            with pytest.raises(DataError):
                validate(open_source(sample, name))
            file.write_bytes(whole)


def test_the_wrong_folder_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        open_source(tmp_path, name)
    with pytest.raises(DataError, match="no such file or folder"):
        open_source(tmp_path / "nowhere", name)


def test_an_option_that_does_not_apply_is_refused(name: str, sample: Path) -> None:
    if name != "table":
        with pytest.raises(ConfigError, match="separator does not apply"):
            open_source(sample, name, Options(separator=";"))


def test_known_items_are_not_added_again(tmp_path: Path) -> None:
    (tmp_path / "sequences.txt").write_text("1 10 11\n")
    made = records(tmp_path, options=Options(known_items=frozenset({"10"})))
    assert [record.id for record in made if isinstance(record, Item)] == ["11"]


REAL = {
    "ml100k": ("atomic", {"User": 943, "Item": 1682, "Event": 100_000}),
    "beauty": ("sequences", {"Item": 12_101, "Event": 198_502}),
    "obd": ("obd", {"Item": 34, "Decision": 20_000, "Event": 46 + 69}),
}


@pytest.mark.parametrize("folder", REAL)
def test_real_data(folder: str) -> None:
    if not (DATA / folder).is_dir():
        pytest.skip(f"{folder} is not in {DATA}; point LONGGAME_DATA at the data")
    form, counts = REAL[folder]
    source = open_source(DATA / folder)
    assert source.form == form
    report = Report()
    people: set[str] = set()
    made: set[str] = set()
    for record in source.read(report):
        if isinstance(record, Event):
            people.add(record.user)
        made.add(f"{type(record).__name__} {record.id}")
    assert counts.items() <= report.records.items()
    assert report.rejected == 0
    assert len(made) == sum(report.records.values())
    assert folder != "beauty" or len(people) == 22_363


def test_open_bandit_keeps_what_was_logged(tmp_path: Path) -> None:
    open_bandit(tmp_path)
    made = records(tmp_path)
    decisions = [record for record in made if isinstance(record, Decision)]
    assert [decision.versions.policy for decision in decisions] == ["obd/bts"] * 2 + ["obd/random"] * 2
    assert [decision.propensities for decision in decisions] == [(0.52,), (0.25,), (0.33,), (0.25,)]
    assert [decision.shown for decision in decisions] == [("men/1",), ("men/2",)] * 2
    assert decisions[0].candidates == ("men/0", "men/1", "men/2")
    assert [decision.request.surface for decision in decisions[:2]] == ["men/right", "men/left"]
    width = 6 + 3  # u0, u1, {u2, a, b}, u3, and three places
    assert all(len(decision.request.context) == width and sum(decision.request.context) == 5 for decision in decisions)
    clicks = [record for record in made if isinstance(record, Event)]
    assert [(click.decision, click.slot) for click in clicks] == [(decisions[0].id, 0), (decisions[2].id, 0)]


def test_open_bandit_items_do_not_depend_on_which_policy_came_first(tmp_path: Path) -> None:
    open_bandit(tmp_path)
    one = [record for record in records(tmp_path / "random") if isinstance(record, Item)]
    two = [record for record in records(tmp_path / "bts" / "men") if isinstance(record, Item)]
    assert one == two
    assert [item.attributes["item_feature_1"] for item in one] == ["0", "1", "0"]


def test_films_read_the_same_from_every_layout(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    movielens_100k(tmp_path / "a")
    atomic(tmp_path / "b")
    first = next(record for record in records(tmp_path / "a") if isinstance(record, Item))
    assert first.text == "Misérables, Les (1995). Animation, Comedy"
    assert first.attributes == {"title": "Misérables, Les", "year": 1995.0, "genres": ("Animation", "Comedy")}
    items = [record for record in records(tmp_path / "b") if isinstance(record, Item)]
    assert items[0].text == "Toy \"Story (1995). Animation, Children's"
    assert items[1].attributes == {"title": "Heat"}
    person = next(record for record in records(tmp_path / "a") if isinstance(record, User))
    assert person.attributes == {"age": 49.0, "gender": "M", "occupation": "writer", "zip_code": "55105"}
