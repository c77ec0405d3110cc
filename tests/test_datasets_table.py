"""The general reader: every separator and form, every way a file can be wrong, and what the report says of it."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longgame.datasets import Options, Report, Source, open_source, validate
from longgame.datasets.times import UNITS, unit_of
from longgame.errors import ConfigError, DataError
from longgame.types import Event, Item, ItemId, User

HEADER = "user_id,item_id,rating,timestamp\n"
ROWS = "u1,a,3,881250949\nu1,b,4,881250950\nu2,a,1,891717742\n"


def write(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def opened(folder: Path, text: str | bytes, name: str = "events.csv", options: Options | None = None) -> Source:
    return open_source(write(folder, text, name), None, options or Options())


def events(source: Source) -> list[Event]:
    return [record for record in source.read(Report()) if isinstance(record, Event)]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    source = opened(tmp_path, (HEADER + ROWS).replace(",", separator))
    assert [(e.user, e.item, e.value, e.kind) for e in events(source)] == [
        ("u1", "a", 3.0, "rating"),
        ("u1", "b", 4.0, "rating"),
        ("u2", "a", 1.0, "rating"),
    ]
    assert validate(source).accepted == 3


def test_every_form_gives_the_same_events(tmp_path: Path) -> None:
    wanted = events(opened(tmp_path, HEADER + ROWS))
    rows = [dict(zip(HEADER.strip().split(","), line.split(","), strict=True)) for line in ROWS.split()]
    typed = [{**row, "rating": float(row["rating"]), "timestamp": int(row["timestamp"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "events.parquet")
    others = [
        opened(tmp_path, b"\xef\xbb\xbf" + (HEADER + ROWS).encode(), "bom.csv"),
        opened(tmp_path, (HEADER + ROWS).encode("utf-16"), "wide.csv"),
        opened(tmp_path, gzip.compress((HEADER + ROWS).encode()), "events.csv.gz"),
        opened(tmp_path, (HEADER + ROWS).replace("\n", "\r\n"), "windows.csv"),
        opened(tmp_path, "\n".join(map(json.dumps, typed)), "events.jsonl"),
        open_source(tmp_path / "events.parquet"),
    ]
    for source in others:
        assert [(e.user, e.item, e.value, e.at) for e in events(source)] == [(e.user, e.item, e.value, e.at) for e in wanted]
    assert [e.id for e in events(others[0])] == [e.id for e in wanted]


@pytest.mark.parametrize(
    ("cell", "unit"),
    [
        ("1709294400", "seconds"),
        ("1709294400.0", "seconds"),
        ("1709294400000", "milliseconds"),
        ("1709294400000000", "microseconds"),
        ("1709294400000000000", "nanoseconds"),
        ("2024-03-01T12:00:00Z", "ISO 8601"),
        ("2024-03-01T13:00:00+01:00", "ISO 8601"),
        ("2024-03-01 12:00:00", "no time zone given: taken as UTC"),
    ],
)
def test_times_are_read_in_their_unit_and_the_preview_says_so(tmp_path: Path, cell: str, unit: str) -> None:
    source = opened(tmp_path, f"user,item,time\nu,a,{cell}\n")
    assert events(source)[0].at == datetime(2024, 3, 1, 12, tzinfo=UTC)
    assert unit in source.preview()["tables"][0]["time"]


@settings(deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)), st.sampled_from(sorted(UNITS)))
def test_the_unit_of_a_number_cannot_be_confused(at: datetime, unit: str) -> None:
    assert unit_of(int(at.replace(tzinfo=UTC).timestamp()) * UNITS[unit]) == unit


Case = tuple[str | bytes, Options, str]
PLAIN = Options()
STRUCTURE: dict[str, Case] = {
    "empty": ("", PLAIN, "the file is empty"),
    "blank": (" \n\n", PLAIN, "the file is empty"),
    "header only": (HEADER, PLAIN, "has a header .* but no rows"),
    "no user": ("who,item,time\nu,a,1709294400\n", PLAIN, "to be the user; the columns are who, item, time.*--map user="),
    "near": ("usr_id,item_id,time\nu,a,1709294400\n", PLAIN, "--map user=usr_id"),
    "no time": ("user,item,rating\nu,a,3\n", PLAIN, "known to be the time; .*--time-unit line"),
    "one column": ("a\nb\nc\n", PLAIN, "there is one column, 'a'; none of comma, tab, semicolon, pipe gives more"),
    "two colons": ("user::item::time\nu::a::1709294400\n", PLAIN, "two colons gives 3 columns: --separator '::'"),
    "wrong separator": ("user;item;time\nu;a;1709294400\n", Options(separator=","), "gives 3 columns: --separator ';'"),
    "no header": ("1,2,3,881250949\n4,5,3,881250949\n", PLAIN, "holds values .*, not names"),
    "named twice": ("user,user,item,time\nu,v,a,1709294400\n", PLAIN, "names 'user' more than once"),
    "mixed units": ("user,item,time\nu,a,1709294400\nu,b,1709294400000\n", PLAIN, r"mixes seconds .* and milliseconds"),
    "mixed forms": ("user,item,time\nu,a,1709294400\nu,b,2024-03-01\n", PLAIN, "mixes seconds .* and iso"),
    "no unit": ("user,item,time\nu,a,12\nu,b,13\n", PLAIN, "holds '12': in no unit is that between 1990 and 2100"),
    "no time at all": ("user,item,time\nu,a,noon\n", PLAIN, "'noon', which is no time"),
    "wrong unit": ("user,item,time\nu,a,1709294400000\n", Options(time_unit="seconds"), "--time-unit milliseconds"),
    "open quote": ('user,item,time\n"u,a,1709294400\nu,b,3\n', PLAIN, "line 2: a field cannot be read .*--no-quotes"),
    "mixed encodings": (b"user,item,time\nu,a,1709294400\nu,caf\xe9,3\n", PLAIN, r"line 3: byte 6 is 0xe9 .*--encoding"),
    "torn gzip": (gzip.compress(b"user,item,time\n" + b"u,a,1709294400\n" * 99)[:40], PLAIN, "gzip file is torn"),
    "two separators": ("user\titem\ttime\nu,a,1709294400\n", PLAIN, r"header has 3 columns, but none .* \(line 2 has 1\)"),
    "no mark": ((HEADER + ROWS).encode("utf-16-le"), PLAIN, "--encoding utf-16-le"),
    "a zip": (b"PK\x03\x04 not text", PLAIN, "a zip archive"),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_a_file_with_the_wrong_structure_is_an_error_that_says_how_to_mend_it(tmp_path: Path, case: str) -> None:
    text, options, message = STRUCTURE[case]
    with pytest.raises(DataError, match=message) as caught:
        validate(opened(tmp_path, text, options=options))
    assert "events.csv" in str(caught.value)


REJECTED = {
    "nan": ("u,a,nan,881250949", "rating is not finite", "'nan'"),
    "infinite": ("u,a,inf,881250949", "rating is not finite", "'inf'"),
    "words": ("u,a,good,881250949", "rating is not a number", "'good'"),
    "decimal comma": ('u,a,"3,5",881250949', "rating is not a number", "'3,5'"),
    "no rating": ("u,a,,881250949", "rating is not a number", "''"),
    "no user": (",a,3,881250949", "user is missing", "''"),
    "null item": ("u,null,3,881250949", "item is missing", "'null'"),
    "negative time": ("u,a,3,-5", "time is negative", "'-5'"),
    "no time": ("u,a,3,", "time is missing", "''"),
    "ancient": ("u,a,3,86400", "time lies outside 1990 to 2100", "'86400'"),
    "noon": ("u,a,3,noon", "time cannot be read", "'noon'"),
    "short": ("u,a,3", "row is too short", "3 cells"),
    "long": ("u,a,3,881250949,x", "row is too long", "5 cells"),
    "nul": ("u,a\x00,3,881250949", "Event.item: must not hold a NUL character", "NUL"),
    "long id": (f"{'u' * 300},a,3,881250949", "Event.user: at most 256 characters", "300"),
    "repeated": ("u1,a,3,881250949", "duplicate: the same user, item", "as line 2"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_bad_row_is_rejected_with_its_line_and_the_others_are_read(tmp_path: Path, case: str) -> None:
    row, kind, got = REJECTED[case]
    source = opened(tmp_path, HEADER + ROWS + row + "\n")
    report = validate(source)
    assert (report.read, report.accepted, report.rejected) == (4, 3, 1)
    (rejection,) = report.rejections.values()
    assert rejection.kind.startswith(kind)
    file, line, reason = rejection.first[0]
    assert (file, line) == ("events.csv", 5)
    assert got in reason
    assert f"events.csv, line 5: {reason}" in report.text()


def test_milliseconds_deep_in_a_column_of_seconds_stop_everything(tmp_path: Path) -> None:
    rows = "".join(f"u{n},a,3,{881250949 + n}\n" for n in range(1500))
    with pytest.raises(DataError, match=r"line 1502: .*read as seconds, but '1709294400000' is a time in milliseconds"):
        validate(opened(tmp_path, HEADER + rows + "u,a,3,1709294400000\n"))


def test_all_rows_rejected_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"all 2 rows are refused: 2 × rating is not finite \(line 2.*'nan'"):
        validate(opened(tmp_path, HEADER + "u,a,nan,881250949\nu,b,nan,881250950\n"))


def test_only_the_first_of_many_is_shown(tmp_path: Path) -> None:
    report = validate(opened(tmp_path, HEADER + ROWS + ",a,3,881250949\n" * 9))
    (rejection,) = report.rejections.values()
    assert rejection.count == 9 and len(rejection.first) == 5
    assert "… and 4 more" in report.text()


def test_duplicate_ids_name_the_first_line(tmp_path: Path) -> None:
    text = "event_id,user,item,time\nx,u,a,1709294400\ny,u,a,1709294400\nx,v,b,1709294401\n"
    source = opened(tmp_path, text)
    (rejection,) = validate(source).rejections.values()
    assert rejection.first == [("events.csv", 4, "the same id as line 2, got 'x'")]
    assert [event.id for event in events(source)] == ["x", "y"]


def test_duplicates_are_found_across_chunks(tmp_path: Path) -> None:
    rows = [f"e{n},u,a,{1709294400 + n}" for n in range(20_000)]
    rows += [rows[1], rows[10_000], rows[19_999]]
    report = validate(opened(tmp_path, "event_id,user,item,time\n" + "\n".join(rows)))
    (rejection,) = report.rejections.values()
    assert [reason for _, _, reason in rejection.first] == [
        "the same id as line 3, got 'e1'",
        "the same id as line 10002, got 'e10000'",
        "the same id as line 20001, got 'e19999'",
    ]


def test_a_grown_file_adds_only_its_new_rows_and_another_file_of_that_name_is_not_lost(tmp_path: Path) -> None:
    first = {event.id for event in events(opened(tmp_path, HEADER + ROWS))}
    grown = {event.id for event in events(opened(tmp_path, HEADER + ROWS + "u9,a,2,891717743\n"))}
    other = {event.id for event in events(opened(tmp_path, HEADER + "v1,a,3,881250949\n"))}
    assert first < grown and len(grown) == 4
    assert not other & grown


def test_ties_in_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = "".join(f"u,{item},3,881250949\n" for item in "zyxwabc")
    ordered = sorted(events(opened(tmp_path, HEADER + rows)), key=lambda event: (event.at, event.id))
    assert "".join(event.item for event in ordered) == "zyxwabc"


def test_columns_can_be_mapped(tmp_path: Path) -> None:
    text = "who,what,when,did,stars,said\nu,a,1709294400,bought,4,fine\n"
    mapping = {"user": "who", "item": "what", "at": "when", "kind": "did", "value": "stars", "text": "said"}
    source = opened(tmp_path, text, options=Options(mapping))
    (event,) = events(source)
    assert (event.user, event.item, event.kind, event.value, event.text) == ("u", "a", "bought", 4.0, "fine")
    read_as = {column["name"]: column["read_as"] for column in source.preview()["tables"][0]["columns"]}
    assert read_as["who"] == "user" and "Unix seconds" in read_as["when"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options({"usr": "who"}), "no part is called 'usr'.*did you mean 'user'"),
        (Options({"user": "user_ids"}), "no column 'user_ids'.*did you mean 'user_id'"),
        (Options(time_unit="fortnights"), "time unit: must be one of"),
        (Options(encoding="klingon"), "Python knows no encoding 'klingon'"),
    ],
)
def test_a_wrong_option_is_an_error(tmp_path: Path, options: Options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(tmp_path, HEADER + ROWS, options=options)


def test_what_is_said_is_heeded(tmp_path: Path) -> None:
    latin = opened(tmp_path, "user,item,time\nu,café,1709294400\n".encode("latin-1"), options=Options(encoding="latin-1"))
    assert events(latin)[0].item == "café"
    bare = Options(columns=("user", "item", "rating", "time"), kind="stars")
    assert events(opened(tmp_path, ROWS, options=bare))[0].kind == "stars"
    lines = events(opened(tmp_path, "user,item\nu,a\nu,b\n", options=Options(time_unit="line")))
    assert lines[0].at < lines[1].at
    old = opened(tmp_path, "user,item,time\nu,a,86400\n", options=Options(time_unit="seconds"))
    assert events(old)[0].at == datetime(1970, 1, 2, tzinfo=UTC)
    quotes = opened(tmp_path, 'user,item,time\nu,"a,1709294400\n', options=Options(quote=False))
    assert events(quotes)[0].item == '"a'


def test_a_folder_of_events_items_and_users(tmp_path: Path) -> None:
    write(tmp_path, HEADER + ROWS)
    write(
        tmp_path, "id;title;description;price;genres;image_url\na;Lamp;It glows;9.5;home|light;l.jpg\nb;Box;;;;\n", "items.csv"
    )
    write(tmp_path, '{"id": "u1", "age": 30, "vip": true, "zip": "01234"}\n{"id": "u2"}\n', "users.jsonl")
    write(tmp_path, "Notes on the data.\n", "notes.txt")
    source = open_source(tmp_path)
    made = list(source.read(Report()))
    item = next(record for record in made if isinstance(record, Item))
    assert item == Item(
        item.id, "Lamp. It glows", {"title": "Lamp", "price": 9.5, "genres": ("home", "light")}, {"image": "l.jpg"}
    )
    person = next(record for record in made if isinstance(record, User))
    assert person.attributes == {"age": 30.0, "vip": True, "zip": "01234"}
    assert any("notes.txt" in note for note in source.preview()["notes"])
    assert validate(source).records == {"User": 2, "Item": 2, "Event": 3}


def test_a_log_without_its_user_does_not_pass_for_a_catalogue(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"to be the user.*a catalogue that has times must be called items"):
        opened(tmp_path, "visitor_no,item,time\nu,a,1709294400\n", "march.csv")


def test_a_log_without_its_item_does_not_pass_for_people(tmp_path: Path) -> None:
    rows = "".join(f"{n % 3},{n},shown {n}\n" for n in range(30))
    with pytest.raises(DataError, match="known to be the item or the time"):
        opened(tmp_path, "user,page,headline\n" + rows, "shown.csv")


def test_a_catalogue_alone(tmp_path: Path) -> None:
    source = opened(tmp_path, "product_id,title\na,Lamp\nb,Box\na,Lamp again\n", "goods.csv")
    report = validate(source)
    assert report.records == {"Item": 2}
    assert next(iter(report.rejections.values())).first[0][2] == "the same id as line 2, got 'a'"


def test_items_named_only_by_events_are_added_and_the_report_says_so(tmp_path: Path) -> None:
    source = opened(tmp_path, HEADER + ROWS)
    report = validate(source)
    assert report.records == {"Item": 2, "Event": 3}
    assert report.notes == ["2 items are named only by events: added without text"]


def test_quoted_line_ends_are_one_row_and_lines_stay_true(tmp_path: Path) -> None:
    text = 'user,item,time,review\nu,a,1709294400,"two\nlines, one row"\nu,b,-1,x\n'
    source = opened(tmp_path, text)
    assert events(source)[0].text == "two\nlines, one row"
    assert next(iter(validate(source).rejections.values())).first[0][1] == 4


def test_bad_json_lines_are_rejected(tmp_path: Path) -> None:
    good = '{"user": "u", "item": "a", "time": 1709294400}\n'
    report = validate(opened(tmp_path, good + "{'user': 'u'}\n[1]\n" + '{"item": "a", "time": 1709294400}\n', "events.jsonl"))
    assert [rejection.kind for rejection in report.rejections.values()] == [
        "line is not JSON",
        "line is not an object",
        "user is missing",
    ]
    with pytest.raises(DataError, match="a JSON array, not JSON Lines"):
        opened(tmp_path, f"[{good}]", "events.jsonl")
    with pytest.raises(DataError, match="none of the first lines holds a JSON object"):
        opened(tmp_path, "nonsense\n", "events.jsonl")


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    columns = {
        "user_id": pa.array([1.0, None, 3.0]),
        "item_id": pa.array([10, 11, 12]),
        "ts": pa.array([1709294400123456789, 1709294400000000000, None], pa.timestamp("ns")),
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    source = open_source(tmp_path / "log.parquet")
    (event,) = events(source)
    assert (event.user, event.item, event.at) == ("1", "10", datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC))
    assert {rejection.kind for rejection in validate(source).rejections.values()} == {"user is missing", "time is missing"}
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "log.parquet").read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_source(tmp_path / "torn.parquet")


def test_a_path_that_is_nothing(tmp_path: Path) -> None:
    write(tmp_path, HEADER + ROWS)
    with pytest.raises(DataError, match=r"did you mean .*events\.csv"):
        open_source(tmp_path / "event.csv")
    with pytest.raises(ConfigError, match="did you mean 'table'"):
        open_source(tmp_path, "tabel")
    with pytest.raises(DataError, match=r"the ending \.xls is not known"):
        opened(tmp_path, "x", "sheet.xls")


@settings(deadline=None)  # it writes a file each time, on whatever disk there is
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), st.text(max_size=12)), min_size=1, max_size=8))
def test_no_contents_break_the_reader(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str, str]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = "user,item,time\nu,a,1709294400\n" + "\n".join(",".join(row) for row in cells)
    try:
        report = validate(opened(folder, text.encode("utf-8", "replace")))
    except DataError:
        return
    assert report.accepted >= 1 and report.read == report.accepted + report.rejected


def test_json_lines_of_the_shape_that_http_takes_are_read_part_by_part(tmp_path: Path) -> None:
    rows = [
        {
            "id": "a",
            "text": "Red polish",
            "attributes": {"price": 7.5, "category": ["nails", "gifts"], "title": "Red", "sale": True},
        },
        {"id": "b", "text": "Oil", "attributes": {"price": 3}, "media": {"image": "b.png", "video": "b.mp4"}, "price": "low"},
        {"id": "c", "text": "Soap", "attributes": {}, "media": {}},
        {"id": "d", "text": "Brush", "attributes": None},
    ]
    source = opened(tmp_path, "\n".join(map(json.dumps, rows)), "items.jsonl")
    a, b, c, d = (record for record in source.read(Report()) if isinstance(record, Item))
    assert a == Item(
        ItemId("a"), "Red polish", {"attributes.price": 7.5, "category": ("nails", "gifts"), "title": "Red", "sale": True}
    )
    assert b.attributes == {"price": "low", "attributes.price": 3.0} and b.media == {"image": "b.png", "video": "b.mp4"}
    assert c == Item(ItemId("c"), "Soap") and d == Item(ItemId("d"), "Brush")
    read_as = {column["name"]: column["read_as"] for column in source.preview()["tables"][0]["columns"]}
    assert read_as["attributes.category"] == "attribute (list)" and read_as["media.video"] == "media (video)"
    people = opened(tmp_path, '{"id": "u1", "attributes": {"country": "PT"}}\n', "users.jsonl")
    assert [r.attributes for r in people.read(Report()) if isinstance(r, User)] == [{"country": "PT"}]
