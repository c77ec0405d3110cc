"""What a language model is worth on sets of the known forms: each recognised, judged with it, without it and shuffled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longgame.cli import app
from longgame.datasets.catalogue import catalogue, has_texts
from longgame.datasets.personas import is_shown, persona_ratings, rated_file, shown
from longgame.errors import ConfigError, DataError
from longgame.evaluation.choices import Choices, choices
from longgame.evaluation.distilled import directions, distilled
from longgame.evaluation.encoding import encoding
from longgame.evaluation.language import classes, scores
from longgame.evaluation.neighbours import NEAR, Truth, nearest, neighbours, unit
from longgame.evaluation.newcomers import States, shuffled
from longgame.evaluation.objects import Written, objects
from longgame.language import HashingModel, MiniLM
from longgame.language.descriptions import facts
from longgame.language.entailed import entailed
from longgame.rng import derive
from longgame.types import Item, ItemId
from longgame.wiring.ablations import FORMS, ablations, forms_of
from longgame.wiring.reading_texts import Wish
from tests.kit import log_of

KINDS = ("space opera with robots", "period drama of manners", "western about a feud")


def persona_folder(folder: Path, users: int = 24, items: int = 30, known: float = 0.66) -> Path:
    """Ratings by three kinds of persona, each of its own taste; a share of them is ``known``."""
    rng = np.random.default_rng(3)
    taste = rng.normal(0, 1, (3, items))
    rows = [
        f"{i},{u},{5 + 2 * taste[u % 3, i] + rng.normal(0, 0.3):.2f}"
        for i in range(items)
        for u in range(users)
        if rng.random() < known
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "llm_ratings.csv").write_text("\n".join(["item,user,rating", *rows]) + "\n")
    told = [f'"P{u}","who likes a {KINDS[u % 3]}"' for u in range(users)]
    (folder / "personas.csv").write_text("\n".join(['"name","description"', *told]) + "\n")
    return folder


def shown_folder(folder: Path, users: int = 30, films: int = 24) -> Path:
    """Users of two tastes, to whom films of both are shown; the language model is right three times of four."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    told = [f'{i},Film {i},Drama,{3 + i % 2},"of kind {"ab"[i % 2]}"' for i in range(films)]
    (folder / "movie_detail.csv").write_text("\n".join(["movie_id,title,genres,rating,summary", *told]) + "\n")
    own = [[i for i in range(films) if i % 2 == u % 2] for u in range(users)]
    taken = [rng.permutation(liked)[:6].tolist() for liked in own]
    (folder / "train.txt").write_text("".join(f"{u} {' '.join(map(str, items))}\n" for u, items in enumerate(taken)))
    rows = []
    for u in range(users):
        for i in (i for i in range(films) if i not in taken[u]):
            likes = int(i % 2 == u % 2)
            says = likes if rng.random() < 0.75 else 1 - likes
            rows.append(f"{u},1,Film {i},{likes},3.5,{says},{says},{2 + 2 * says}")
    rows.append("0,1,Nobody knows it,1,3.5,1,1,4")
    head = "user,page,title,held_out_positive,shown_mean_rating,llm_align,llm_watch,llm_rating"
    (folder / "decisions.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def film_folder(folder: Path, films: int = 2 * NEAR + 20) -> Path:
    """Events without times and descriptions beside them: who took a film took others of its kind."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for u in range(60):
        liked = [i for i in range(films) if i % 3 == u % 3]
        lines.append(f"{u} {' '.join(map(str, rng.permutation(liked)[:25].tolist()))}")
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    (folder / "test.txt").write_text("\n".join(f"{u} {rng.integers(films)}" for u in range(60)) + "\n")
    told = {str(i): f"Film number {i} is a {KINDS[i % 3]}, told slowly." for i in range(films)}
    (folder / "llm_response_item.json").write_text(json.dumps(told))
    (folder / "item_map.txt").write_text("".join(f"{i} {i}\n" for i in range(films)))
    return folder


def rated_folder(folder: Path, users: int = 60, films: int = 40) -> Path:
    """Every other user loves westerns, the others dramas, and each says so in stars."""
    rng = np.random.default_rng(11)
    folder.mkdir(parents=True, exist_ok=True)
    genres = ["Western", "Drama"]
    told = [f"{i},Film {i},{genres[i % 2]}" for i in range(films)]
    (folder / "items.csv").write_text("\n".join(["item,title,genres", *told]) + "\n")
    rows = [
        f"{u},{i},{(4.5 if i % 2 == u % 2 else 2.0) + rng.normal(0, 0.8):.1f},{1_600_000_000 + 3600 * n}"
        for u in range(users)
        for n, i in enumerate(rng.permutation(films)[:16].tolist())
    ]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating,timestamp", *rows]) + "\n")
    return folder


def test_each_form_is_recognised_and_no_other(tmp_path: Path):
    rated, users, films = persona_folder(tmp_path / "r"), shown_folder(tmp_path / "u"), film_folder(tmp_path / "f")
    (tmp_path / "empty").mkdir()
    for folder, wanted in (
        (rated, {"ratings"}),
        (users, {"choices"}),
        (films, {"neighbours", "encoding", "objects"}),
        (rated_folder(tmp_path / "s"), {"neighbours", "encoding", "objects", "profiles"}),
        (tmp_path / "empty", set()),
    ):
        assert {name for name, form in FORMS.items() if form.there(folder)} == wanted
    (rated / "llm_ratings.csv").rename(rated / "said.csv")
    assert rated_file(rated) == rated / "said.csv", "by its columns, beside personas.csv"
    (rated / "personas.csv").unlink()
    assert rated_file(rated) is None, "a table of ratings by people is no such set"


def test_what_is_read_is_what_the_files_say(tmp_path: Path):
    told = persona_ratings(persona_folder(tmp_path / "r"))
    assert len(told.personas) == len(told.log.users) == 24 and told.personas[4].startswith("P4. who likes a period drama")
    first = (tmp_path / "r" / "llm_ratings.csv").read_text().splitlines()[1].split(",")
    user, item = told.log.users.index(first[1]), told.log.items.index(first[0])
    row = np.flatnonzero((told.log.user == user) & (told.log.item == item))
    assert told.log.value[row] == pytest.approx([float(first[2])])
    seen = shown(shown_folder(tmp_path / "u"))
    assert seen.texts[3] == "Film 3. Drama. of kind b" and len(seen.log.items) == 24
    assert (seen.chosen == (seen.item % 2 == seen.user % 2)).all(), "a title that nothing tells of is left out"
    assert not any(i in seen.log.history(u) for u, i in zip(seen.user.tolist(), seen.item.tolist(), strict=True))
    made = catalogue(film_folder(tmp_path / "f"))
    log, items = made.taken()
    assert [item.id for item in items] == list(log.items) and "western" in next(i for i in items if i.id == "2").text


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("llm_ratings.csv", "item,user\n1,2\n", "lacks the columns rating"),
        ("llm_ratings.csv", "item,user,rating\n", "no row under its header"),
        ("llm_ratings.csv", "item,user,rating\n1,2,good\n", "row 1: must hold numbers.*'good'"),
        ("llm_ratings.csv", "item,user,rating\n1,99,3\n2,1,4\n", "24 personas, and there is a user 99"),
    ],
)
def test_files_of_personas_that_are_not_what_they_must_be(tmp_path: Path, file: str, text: str, said: str):
    folder = persona_folder(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(DataError, match=said):
        persona_ratings(folder)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("train.txt", "0 a b\n", "line 1: must be a user and items"),
        ("movie_detail.csv", "movie_id,title,genres,summary\n-1,Film 1,a,b\n", "0 or more"),
        ("movie_detail.csv", "movie_id,title,genres,summary\n1,Other,a,b\n", "none of its titles"),
    ],
)
def test_files_of_what_was_shown_that_are_not_what_they_must_be(tmp_path: Path, file: str, text: str, said: str):
    folder = shown_folder(tmp_path)
    (folder / file).write_text(text)
    assert is_shown(folder)
    with pytest.raises(DataError, match=said):
        shown(folder)


def test_descriptions_that_are_none_are_refused(tmp_path: Path):
    folder = film_folder(tmp_path)
    (folder / "item_map.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match="line 1: must be a name and an item"):
        catalogue(folder)
    (folder / "llm_response_item.json").write_text("[1]")
    with pytest.raises(DataError, match="JSON object of texts"):
        catalogue(folder)
    (folder / "llm_response_item.json").unlink()
    assert not has_texts(folder)


def test_the_nearest_are_the_first_of_the_likeliest():
    rng = np.random.default_rng(0)
    told = rng.integers(0, 7, (230, 230)).astype(np.float64)
    own = nearest(230, lambda rows: told[rows])
    beside = told.copy()
    np.fill_diagonal(beside, -np.inf)
    slow = np.argsort(-beside, axis=1, kind="stable")[:, :NEAR]
    np.testing.assert_array_equal(own, np.sort(slow, axis=1))
    few = nearest(230, lambda rows: (told[rows] == 6) * 1.0, least=0.0)
    assert ((few >= 0).sum(axis=1) == ((told == 6) & ~np.eye(230, dtype=bool)).sum(axis=1).clip(max=NEAR)).all()


def test_neighbours_by_text_are_found_and_by_other_texts_are_not(tmp_path: Path):
    log, items = catalogue(film_folder(tmp_path)).taken()
    reader = HashingModel(64).embed([item.text for item in items])
    rows = {row.name: row for row in neighbours(log, {"reader": reader}, {"none": reader[::-1].copy()}, seeds=2)}
    found = {name: row.figures[f"recall@{NEAR}"].value for name, row in rows.items()}
    assert found["reader, aligned"] > 0.6 > found["reader, aligned, texts of other items"]
    assert rows["reader, aligned, texts of other items"].told == "shuffled" and rows["the most taken items"].told == "without"
    assert {row.told for row in rows.values()} == {"with", "without", "shuffled"}
    truth = Truth.of(log)
    assert np.nanmean(truth.by_vectors(unit(reader))) == pytest.approx(found["reader, as it is"])
    with pytest.raises(DataError, match=f"needs {2 * NEAR} items"):
        Truth.of(log_of([[0, 1, 2]], 5))


def test_a_held_out_item_teaches_nothing(tmp_path: Path):
    """The test of the test: an item whose takers are another kind's is found by its text, not by them."""
    log, items = catalogue(film_folder(tmp_path)).taken()
    kind = np.array([int(item.id) % 3 for item in items])
    own = np.eye(3, dtype=np.float32)[kind]
    recall = Truth.of(log).by_alignment(np.concatenate([own, own[:, ::-1]], axis=1), 3, 0)
    noise = np.random.default_rng(0).normal(0, 1, (len(items), 6)).astype(np.float32)
    assert np.nanmean(recall) > np.nanmean(Truth.of(log).by_alignment(noise, 3, 0)) + 0.2


def test_choices_know_what_answers_and_places_tell(tmp_path: Path):
    seen = shown(shown_folder(tmp_path))
    rng = np.random.default_rng(1)
    places = {"place": rng.normal(0, 1, len(seen.user)) - 0.5 * seen.chosen}
    rows = {row.name: row for row in choices(seen, places, {"content": rng.normal(0, 1, len(seen.user))}, folds=3, seeds=2)}
    value = {name: row.figures["balanced accuracy"].value for name, row in rows.items()}
    assert value["its answer outright: it takes it"] == pytest.approx(0.75, abs=0.08)
    assert value["recommenders and its answers"] > value["recommenders alone"] + 0.05
    assert abs(value["all columns of other rows"] - 0.5) < 0.1
    assert rows["recommenders alone"].told == "without" and rows["recommenders, texts, its answers"].told == "with"
    assert value["recommenders, texts and answers of other rows"] < value["recommenders, texts, its answers"] - 0.05
    with pytest.raises(DataError, match="needs 20 users"):
        Choices(np.arange(5), np.array([True, False, True, False, True]))
    with pytest.raises(DataError, match="chosen and that were not"):
        Choices(np.arange(30), np.ones(30, np.bool_))


def test_what_personas_say_helps_where_it_is_what_they_rate_by(tmp_path: Path):
    told = persona_ratings(persona_folder(tmp_path, users=90, items=24, known=0.2))  # too few for factors alone
    rng = np.random.default_rng(2)
    kind = np.eye(3)[[int(u) % 3 for u in told.log.users]]
    vectors = (kind + rng.normal(0, 0.01, kind.shape)).astype(np.float32)
    assert directions(vectors).shape == (len(told.log.users), 3) and directions(np.ones((4, 3), np.float32)).shape == (4, 0)
    rows = {row.name: row for row in distilled(told.log, vectors, count=3, seeds=2)}
    rmse = {name: row.figures["rmse"].value for name, row in rows.items()}
    assert rmse["svd, and what personas say"] < rmse["svd, and what other personas say"]
    assert rmse["svd, and what personas say"] < rmse["svd, price chosen"] < rmse["plain biases"]
    assert all(row.rate and row.rate > 0 for row in rows.values())
    assert {row.told for row in distilled(told.log, None, count=2)} == {"without"}


def test_an_encoder_is_held_against_a_reference():
    texts = [f"lamp number {i} of {KINDS[i % 3]}" for i in range(80)]
    reader, other = HashingModel(32), HashingModel(64)
    same = encoding("same", "with", reader.embed, texts, reader.embed(texts), rounds=2)
    assert same.figures["cosine"].value == pytest.approx(1, abs=1e-6) and same.figures["same 10 nearest"].value == 1
    assert same.rate and same.rate > 0
    wide = encoding("wide", "without", other.embed, texts, reader.embed(texts), rounds=1)
    assert np.isnan(wide.figures["cosine"].value) and 0 < wide.figures["same 10 nearest"].value < 1


def written(n: int, lie: bool = False) -> list[Written]:
    out = []
    for i in range(n):
        item = Item(ItemId(str(i)), f"Lamp{i}", {"genre": (f"colour{i}", "glass"), "year": 1900.0 + i})
        says = f"Lamp{i} has the genre colour{i} and glass and the year {1900 + i}."
        stated = ["gold" if lie else f"colour{i}", "glass"]
        out.append(Written(item, (), facts(item), {"description": says, "attributes": stated}))
    return out


def test_objects_are_held_against_the_records():
    rows = {row.name: row.figures for row in objects(written(20))}
    good, other = rows["the model's words, checked"], rows["the first, beside other items"]
    assert good["valid"].value == good["entailed"].value == good["words entailed"].value == good["by the model"].value == 1
    assert other["entailed"].value == 0 == other["words entailed"].value, "no item says what another is"
    assert rows["the template"]["entailed"].value == 1 and rows["the template"]["by the model"].value == 0
    assert good["entailed"].low < 1, "twenty of twenty is not certainty"
    rows = {row.name: row.figures for row in objects(written(20, lie=True))}
    assert rows["the model's words as they come"]["entailed"].value == 0
    checked = rows["the model's words, checked"]
    assert checked["entailed"].value == 1 and checked["by the model"].value == 0
    broken = [Written(w.item, w.near, w.known, None if i < 5 else w.object) for i, w in enumerate(written(20))]
    assert objects(broken)[0].figures["valid"].value == 0.75
    with pytest.raises(DataError, match="needs 10 items"):
        objects(written(9))


def test_an_attribute_is_entailed_by_whole_words_of_one_record():
    item = Item(ItemId("1"), "Red pencil sharpener", {"genre": ("War", "Sci-Fi"), "new": True})
    assert all(entailed(value, item) for value in ("red", "pencil sharpeners", "sci-fi", "yes"))
    assert not any(entailed(value, item) for value in ("pen", "red sharpener", "warrior", "", "sharpener war"))
    assert entailed("eraser", item, ["Blue eraser"]) and not entailed("eraser", item)


def test_dealings_are_drawn_together_with_the_texts():
    rng = np.random.default_rng(1)
    wanted = rng.normal(0, 1.5, 90)
    good = (wanted[:, None] + rng.normal(0, 0.7, (90, 2))).astype(np.float32)
    one, three = (scores({"good": good}, wanted, seeds=n, plain={"plain": good[::-1].copy()})[0] for n in (1, 3))
    assert one.figures["pearson"].value != three.figures["pearson"].value
    assert [row.told for row in scores({"good": good}, wanted, plain={"plain": good})] == ["with", "without", "shuffled"]
    label = rng.integers(0, 3, 90)
    told = [np.eye(3)[label], np.eye(3)[(label + (rng.random(90) < 0.2)) % 3]]
    rows = {row.name: row for row in classes({"noise": good}, label, {"noise": good}, label, told={"seeds": told})}
    assert 0.85 < rows["seeds"].figures["accuracy"].value < 1 and rows["noise, shuffled"].told == "shuffled"


def test_a_folder_of_no_form_says_which_there_are(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing here\n")
    with pytest.raises(DataError, match=r"(?s)one of these is needed:.*snippets: .*choices: decisions.csv"):
        ablations(tmp_path, Wish(tmp_path / ".longgame"))
    with pytest.raises(DataError, match="holds no set"):
        ablations(tmp_path / "nowhere", Wish(tmp_path))
    with pytest.raises(ConfigError, match="did you mean 'choices'"):
        forms_of("choises")
    assert forms_of(" ratings, choices ") == ["ratings", "choices"] and forms_of(None) == []
    small = persona_folder(tmp_path / "few", users=2, items=1)
    (small / "llm_ratings.csv").write_text("item,user,rating\n0,0,3\n0,1,3\n")
    with pytest.raises(DataError, match="values that differ"):
        ablations(small, Wish(tmp_path / ".longgame"))


@pytest.mark.skipif(not MiniLM.installed(), reason="the language extra is not installed")
def test_the_command_judges_every_set_of_a_folder_of_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("longgame.wiring.ablations.TEXTS", 64)  # each is read some dozen times
    persona_folder(tmp_path / "sets" / "personas")
    shown_folder(tmp_path / "sets" / "users")
    film_folder(tmp_path / "sets" / "films")
    (tmp_path / "sets" / "empty").mkdir()
    call = ["evaluate", "language", "--data", "sets", "--only", "neighbours,ratings,choices,encoding"]
    got = CliRunner().invoke(app, [*call, "--json"])
    assert got.exit_code == 0, got.output
    sections = {(s["title"], s["form"]): s for s in json.loads(got.stdout)}
    forms = [("films", "neighbours"), ("films", "encoding"), ("personas", "ratings"), ("users", "choices")]
    assert list(sections) == forms
    for section in sections.values():
        assert {row["told"] for row in section["rows"]} == {"with", "without", "shuffled"} and section["about"]
    assert "1 dealing" in sections["films", "neighbours"]["about"] and sections["users", "choices"]["unit"] == "choices/s"
    shown_ = CliRunner().invoke(app, ["evaluate", "language", "--data", "sets/users", "--seeds", "2"])
    assert shown_.exit_code == 0 and "users, choices: " in shown_.stdout and "over users and 2 dealings" in shown_.stdout
    both = CliRunner().invoke(app, ["evaluate", "language", "--data", "sets", "--adapter", "a", "--adapt", "1"])
    assert both.exit_code == 2 and "leave one of them out" in both.stderr


def test_a_tag_by_another_name_is_no_fact():
    item = Item(ItemId("1"), "naked bee moisturizing hand cream")
    assert [fact.values for fact in facts(item, ["moisturizer", "hand cream"]) if fact.name == "tags"] == [("hand cream",)]


def test_profiles_tell_new_users_apart_and_those_of_others_do_not(tmp_path: Path):
    folder = rated_folder(tmp_path / "s")
    (section,) = ablations(folder, Wish(tmp_path / "data"), ["profiles"])
    told = {row.told: row.figures for row in section.rows if row.name != "without profiles at all"}
    assert section.form == "profiles" and "18 new users" in section.about
    own, base, other = (told[name]["auc, new"].value for name in ("with", "without", "shuffled"))
    assert own > base + 0.1 and own > other + 0.1, "what a user said tells of two tastes what no average does"
    assert told["with"]["points, new"].low > 0 and not np.isfinite(told["without"]["points, new"].value)


def test_too_few_ratings_are_an_error_that_says_how_many_are_needed(tmp_path: Path):
    with pytest.raises(DataError, match="40 users"):
        ablations(rated_folder(tmp_path / "s", users=20), Wish(tmp_path / "data"), ["profiles"])


def test_nobody_gets_their_own_profile_where_profiles_are_shuffled():
    states = States.of([(u, 3 if u % 3 else u, 99) for u in range(12)])
    own = np.arange(12.0, dtype=np.float32)[:, None]
    for seed in range(30):
        other = shuffled(own, states, derive(seed, "t"))
        assert (other != own).all() and sorted(other.ravel().tolist()) == sorted(own.ravel().tolist())


def test_a_folder_of_sets_that_looks_like_one_is_gone_through(tmp_path: Path):
    shown_folder(tmp_path / "users")
    (tmp_path / "items.csv").write_text("item,shelf\n1,a\n2,b\n")
    heard: list[str] = []
    sections = ablations(tmp_path, Wish(tmp_path / ".data", say=heard.append), ["encoding", "choices"])
    assert [s.form for s in sections] == ["choices"] and any("encoding is left out" in line for line in heard)
