"""Profiles: pure, the same one by one as at once, shrunken, and corrected for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longgame.errors import ConfigError, RecordError
from longgame.profiles import Corrections, Population, Profile, ProfileConfig, Tag, Tags, columns, corrections_id
from longgame.profiles.tags import choose
from longgame.types import Event, Item, ItemId, Objective, User, UserId
from tests.kit import at

GENRES = ("Drama", "Horror", "Comedy")


def catalogue(n: int = 60) -> list[Item]:
    """Each has one or two genres, a year, and every third is on sale."""
    genres = [tuple({GENRES[i % 3], GENRES[(i // 3) % 3]}) for i in range(n)]
    return [
        Item(ItemId(f"i{i}"), f"film {i}", {"genres": held, "year": 1950.0 + i, "sale": i % 3 == 0, "title": f"film {i}"})
        for i, held in enumerate(genres)
    ]


def rating(n: int, user: str, item: int, value: float, kind: str = "rating", hours: float | None = None) -> Event:
    return Event(f"{user}/{n}", at(n if hours is None else hours), UserId(user), ItemId(f"i{item}"), kind, value)


@cache
def world() -> tuple[Population, dict[str, list[Event]], dict[str, User]]:
    """Women like drama and men like horror, both by one star; and everybody is of some town of their own."""
    rng, items = np.random.default_rng(0), catalogue()
    people = {f"u{u}": User(UserId(f"u{u}"), {"gender": "F" if u % 2 else "M", "town": f"t{u}"}) for u in range(80)}
    events: dict[str, list[Event]] = {}
    for name, user in people.items():
        dear = "Drama" if user.attributes["gender"] == "F" else "Horror"
        taken = rng.permutation(len(items))[:25].tolist()
        worth = [3.0 + (dear in tuple_of(items[i])) + rng.normal(0, 0.5) for i in taken]
        events[name] = [rating(n, name, i, v) for n, (i, v) in enumerate(zip(taken, worth, strict=True))]
    tags = Tags.of(items)
    return Population.fit(ProfileConfig(), tags, [e for held in events.values() for e in held], people.values()), events, people


def tuple_of(item: Item) -> tuple[str, ...]:
    genres = item.attributes["genres"]
    assert isinstance(genres, tuple)
    return genres


def number(population: Population, name: str) -> int:
    return population.tags.names.index(name)


def profile(*history: Event, user: User | None = None, said: Corrections | None = None) -> Profile:
    return Profile.of(world()[0], user, history, said or Corrections())


def test_tags_are_values_that_many_items_have():
    tags = Tags.of(catalogue())
    assert [name for name in tags.names if name.startswith("genres")] == [f"genres={g}" for g in sorted(GENRES)]
    assert "sale" in tags.names and not any("title" in name for name in tags.names)  # all titles differ
    bands = [tag for tag in tags.chosen if tag.attribute == "year"]
    assert len(bands) == 4 and all(sum(band.of(1950.0 + i) for band in bands) == 1 for i in range(60))
    assert [tags.names[i] for i in tags.rows[ItemId("i4")]] == ["genres=Horror", "year up to 1964.75"]


def test_the_most_frequent_are_kept_and_what_all_have_tells_nothing():
    held = [{"genre": "a"}] * 5 + [{"genre": "b"}] * 4 + [{"genre": "c"}] * 3
    assert choose([{**h, "all": "x"} for h in held], 2, 3) == (Tag("genre", "a"), Tag("genre", "b"))


def test_read_tags_join_those_of_attributes():
    items = catalogue()
    tags = Tags.of(items, read={item.id: ("slow burn",) for item in items[:9]})
    assert "read=slow burn" in tags.names
    assert tags.names.index("read=slow burn") in tags.rows[ItemId("i3")]
    assert tags.names.index("read=slow burn") not in tags.rows[ItemId("i30")]


def test_labels_are_one_clean_line():
    assert Tag("genre", "Dra\x1b[31mma\n" + "x" * 90).label == "Dra [31mma " + "x" * 29


def test_one_event_says_little_and_many_say_more():
    drama, other = (next(i for i, item in enumerate(catalogue()) if tuple_of(item) == (g,)) for g in ("Drama", "Comedy"))
    events = [rating(n, "x", other if n % 2 else drama, 2.0 if n % 2 else 5.0) for n in range(24)]
    column = number(world()[0], "genres=Drama")
    prior, one, many = (profile(*events[:n]) for n in (0, 1, 24))
    assert 0 < one.preference[column] - prior.preference[column] < 0.5
    assert many.preference[column] > 0.8 > one.preference[column]
    assert many.preference[number(world()[0], "genres=Comedy")] < -0.5
    assert prior.evidence[column] == 0 < one.evidence[column] < 0.2 < 0.4 < many.evidence[column] < 1


def test_who_rates_all_alike_prefers_nothing_however_high():
    population = replace(world()[0], items={})  # no item is better than another
    found = Profile.of(population, None, [rating(n, "x", n, 5.0) for n in range(60)])
    assert found.text() == "60 events, higher than usual (all rated)."
    assert found.vector()[-2] > 0.9


def test_people_of_a_group_begin_where_the_group_stands():
    population, _, people = world()
    drama, horror = number(population, "genres=Drama"), number(population, "genres=Horror")
    woman, man, stranger = profile(user=people["u1"]), profile(user=people["u0"]), profile()
    assert woman.preference[drama] > stranger.preference[drama] > man.preference[drama]
    assert man.preference[horror] > stranger.preference[horror] > woman.preference[horror]
    assert {tag.name for tag in population.groups} == {"gender=F", "gender=M"}  # towns are of one person each


def test_the_truth_is_found_of_each_user():
    population, events, people = world()
    columns_ = [number(population, f"genres={g}") for g in ("Drama", "Horror")]
    found = np.array([Profile.of(population, None, events[name]).preference[columns_] for name in people])
    women = np.array([user.attributes["gender"] == "F" for user in people.values()])
    right = np.where(women, found[:, 0] > found[:, 1], found[:, 1] > found[:, 0])
    assert right.mean() > 0.9


def test_events_without_a_value_are_mild_likes_and_dislikes():
    config = ProfileConfig.told(Objective({"click": 1.0, "hide": -1.0}))
    population = Population.fit(config, Tags.of(catalogue()), [], [])
    drama = [i for i, item in enumerate(catalogue()) if tuple_of(item) == ("Drama",)]
    liked = Profile.of(population, None, [rating(n, "x", drama[0], 1.0, "click") for n in range(8)])
    hidden = Profile.of(population, None, [rating(n, "x", drama[0], 1.0, "hide") for n in range(8)])
    column = number(population, "genres=Drama")
    assert liked.preference[column] > 0 > hidden.preference[column] == pytest.approx(-liked.preference[column])
    assert liked.text().endswith("8 events.")


def review(n: int, user: str, item: int, text: str) -> Event:
    return replace(rating(n, user, item, 0.0, "review"), text=text)


def written() -> tuple[Population, dict[str, float], int]:
    """Every other user praises drama and damns horror in words, the others the other way; the scale is that of stars."""
    of = {g: [i for i, item in enumerate(catalogue()) if tuple_of(item) == (g,)] for g in GENRES}
    log = [review(3 * k + n, f"u{u}", of[g][n], "words") for u in range(20) for k, g in enumerate(GENRES) for n in range(3)]
    stars = {"Drama": 4.6, "Horror": 1.4, "Comedy": 3.0}
    tone = {e.id: stars[tuple_of(catalogue()[int(e.item[1:])])[0]] for e in log}
    said = {e.id: 6 - tone[e.id] if int(e.user[1:]) % 2 else tone[e.id] for e in log}
    config = ProfileConfig(by_text=frozenset({"review"}), tastes=0)
    return Population.fit(config, Tags.of(catalogue()), log, [], said=said), said, of["Drama"][0]


def test_a_review_counts_by_what_its_text_says_and_is_no_like():
    population, said, drama = written()
    hates = [review(n, "new", drama, "hateful") for n in range(6)]
    known = replace(population, said={**said, **{e.id: 1.0 for e in hates}})
    column = number(population, "genres=Drama")
    by_text = Profile.of(known, None, hates)
    assert by_text.preference[column] < -0.2 and by_text.tally.rated == 6
    deaf = Profile.of(replace(population, config=ProfileConfig(tastes=0)), None, hates)
    assert deaf.preference[column] > by_text.preference[column], "without it a damning review is a mild like"
    unread = Profile.of(population, None, hates)
    assert unread.preference[column] == pytest.approx(Profile.of(population, None, []).preference[column])
    assert (unread.tally.events, unread.tally.rated) == (6, 0), "what was not read is known to have been, and nothing else"


def test_a_text_without_words_counts_as_before_and_one_with_a_rating_by_its_words():
    config = ProfileConfig(rated=frozenset({"rating"}), by_text=frozenset({"rating", "review"}), tastes=0)
    base = written()[0]
    population = replace(base, config=config, levels={"rating": (3.0, 1.0), "review": (3.0, 1.0)}, said={"x/0": 1.0})
    assert population.worth(replace(rating(0, "x", 99, 5.0), text="awful"))[1] < 0
    assert population.worth(rating(1, "x", 99, 5.0))[1] > 0
    assert population.worth(review(2, "x", 99, ""))[3] > 0, "a review that says nothing is an event like any other"


def test_what_texts_say_is_read_back_and_is_part_of_the_name():
    population, said, _ = written()
    again = Population.load(*population.part(), catalogue())
    assert again.said == said and again.config == population.config and again.version == population.version
    assert replace(population, said={}).version != population.version


event = st.tuples(st.integers(0, 70), st.sampled_from([1.0, 2.5, 5.0]), st.sampled_from(["rating", "view"]), st.floats(0, 9000))


@settings(max_examples=40, deadline=None)
@given(st.lists(event, max_size=30), st.randoms())
def test_one_by_one_in_any_order_equals_all_at_once(drawn, shuffle):
    history = [rating(n, "x", item, value, kind, hours) for n, (item, value, kind, hours) in enumerate(drawn)]
    whole = profile(*history, user=world()[2]["u1"])
    mixed = list(history)
    shuffle.shuffle(mixed)
    grown = profile(user=world()[2]["u1"])
    for one in mixed:
        grown = grown.add(one)
    np.testing.assert_allclose(grown.vector(), whole.vector(), atol=1e-5)
    assert (grown.tally.events, grown.text()) == (len(history), whole.text())
    vector = whole.vector()
    assert vector.shape == (len(columns(world()[0])),) and np.isfinite(vector).all() and np.abs(vector).max(initial=0) <= 1


def test_old_events_fade():
    drama = next(i for i, item in enumerate(catalogue()) if tuple_of(item) == ("Drama",))
    horror = next(i for i, item in enumerate(catalogue()) if tuple_of(item) == ("Horror",))
    old = [rating(n, "x", drama, 5.0, hours=n) for n in range(5)]
    new = [rating(9 + n, "x", horror, 5.0, hours=24 * 720 + n) for n in range(5)]
    found = profile(*old, *new)
    assert found.evidence[number(world()[0], "genres=Horror")] > 3 * found.evidence[number(world()[0], "genres=Drama")]


def test_corrections_hold_after_new_events():
    population, events, people = world()
    drama, comedy = number(population, "genres=Drama"), number(population, "genres=Comedy")
    said = Corrections().remove("genres=Drama").add("genres=Comedy")
    found = Profile.of(population, people["u1"], events["u1"][:5], said)
    for _ in range(2):
        assert found.preference[drama] == found.evidence[drama] == 0
        assert found.preference[comedy] >= np.tanh(1.0) - 1e-9 and found.evidence[comedy] == 1
        assert "Drama" not in found.text() and "says that they like Comedy" in found.text().replace("Says", "says")
        for one in events["u1"][5:]:
            found = found.add(one)
    back = Profile.of(population, people["u1"], events["u1"], said.restore("genres=Drama", "genres=Comedy"))
    assert back.preference[drama] == pytest.approx(Profile.of(population, people["u1"], events["u1"]).preference[drama])


def test_a_forgotten_profile_begins_anew():
    history = [rating(n, "x", n, 5.0) for n in range(10)]
    said = Corrections().forget(at(6))
    found = profile(*history, said=said)
    assert found.tally.events == 3  # those after
    assert found.add(rating(99, "x", 1, 5.0, hours=2)).tally.events == 3


def test_corrections_live_in_a_record_of_their_own():
    said = Corrections().remove("a", "b").add("c").forget(at(3))
    record = said.record(UserId("ann"))
    assert record.id == corrections_id(UserId("ann")) != "ann"
    assert Corrections.of(record) == said and Corrections.of(None) == Corrections()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: Corrections(frozenset("a"), frozenset("a")), "not both"),
        (lambda: Corrections().changed(["a"], ["a"]), "got a in two"),
        (lambda: Corrections().remove(*map(str, range(201))), "at most 200"),
        (lambda: corrections_id(UserId("x" * 250)), "at most 239"),
        (lambda: Tags.of(catalogue()).named(["Dramma"]), "did you mean 'genres=Drama'"),
    ],
)
def test_what_cannot_be_is_refused(wrong, told):
    with pytest.raises(RecordError, match=told):
        wrong()


def test_a_config_must_make_sense():
    with pytest.raises(ConfigError, match="shrink"):
        ProfileConfig(shrink=0.0)
    with pytest.raises(ConfigError, match="half_life"):
        ProfileConfig(half_life=timedelta(0))


def test_tags_go_by_label_where_one_has_it():
    tags = Tags.of(catalogue())
    assert tags.named(["drama", "genres=Horror", "SALE"]) == ("genres=Drama", "genres=Horror", "sale")


def test_what_is_usual_is_read_back_as_it_was():
    population, events, people = world()
    arrays, about = population.part()
    again = Population.load(arrays, about, catalogue())
    one = Profile.of(population, people["u3"], events["u3"])
    two = Profile.of(again, people["u3"], events["u3"])
    np.testing.assert_array_equal(one.vector(), two.vector())
    assert columns(population) == columns(again) and one.told() == two.told()


def test_an_item_of_tomorrow_is_tagged_by_the_same_rules():
    population = world()[0]
    tomorrow = Item(ItemId("new"), "", {"genres": ("Horror", "Unheard"), "year": 1950.0})
    tags = Tags.like(population.tags.chosen, [tomorrow])
    assert [tags.names[i] for i in tags.rows[ItemId("new")]] == ["genres=Horror", "year up to 1964.75"]
    grown = replace(population, tags=tags)
    liked = Profile.of(grown, None, [Event("e", at(0), UserId("x"), ItemId("new"), "rating", 5.0)])
    assert liked.evidence[number(population, "genres=Horror")] > 0 == liked.evidence[number(population, "genres=Drama")]


def test_the_text_says_what_was_counted():
    population, events, people = world()
    told = {name: Profile.of(population, None, events[name]).text() for name in people}
    assert all("25 events" in text and text.endswith(" (all rated).") for text in told.values())
    women = [told[name] for name, user in people.items() if user.attributes["gender"] == "F"]
    likes, less = zip(*(text.partition("ot so much ")[::2] for text in women), strict=True)
    assert sum("Drama" in text for text in likes) > 10 > 3 > sum("Horror" in text for text in likes)
    assert sum("Horror" in text for text in less) > 3 * sum("Drama" in text for text in less)
    assert profile().text() == "No events yet."


def test_tastes_find_what_no_tag_says():
    """Two camps that like every other item each, whatever its tags: told by what others rated, not by the catalogue."""
    rng, items = np.random.default_rng(2), catalogue()
    events, camps = {}, rng.integers(2, size=150)
    for u, camp in enumerate(camps):
        taken = rng.permutation(len(items))[:30].tolist()
        events[f"u{u}"] = [
            rating(n, f"u{u}", i, 3 + (1 if i // 2 % 2 == camp else -1) + rng.normal(0, 0.3)) for n, i in enumerate(taken)
        ]
    config, tags = ProfileConfig(tastes=2), Tags.of(items)
    population = Population.fit(config, tags, [e for held in events.values() for e in held], [])
    new = [rating(n, "new", i, 5.0 if i // 2 % 2 else 1.0) for n, i in enumerate(range(20))]
    loading = population.rows([item.id for item in items])[1]
    found = Profile.of(population, None, new)
    foretold = loading[20:] @ (np.arctanh(found.tastes) * population.tastes.spread)
    camp = np.arange(20, 60) // 2 % 2 == 1
    assert foretold[camp].min() > foretold[~camp].max()
    again = Population.fit(config, tags, [e for held in events.values() for e in held], [], population)
    np.testing.assert_allclose(Profile.of(again, None, new).tastes, found.tastes, atol=0.05)  # columns stay what they were


def test_a_removed_tag_leaves_no_trace_in_tastes():
    population, events, _ = world()
    said = Corrections().remove("genres=Drama")
    without = [e for e in events["u1"] if number(population, "genres=Drama") not in population.tags.rows[e.item]]
    assert 0 < len(without) < len(events["u1"])
    kept = Profile.of(population, None, events["u1"], said).tally.moments
    assert not np.allclose(kept, Profile.of(population, None, events["u1"]).tally.moments)
    np.testing.assert_allclose(kept, population.tally(without).moments, rtol=1e-2)


def test_without_ratings_there_are_no_tastes():
    config = ProfileConfig(rated=frozenset())
    views = [rating(n, f"u{n % 5}", n, 1.0, "view") for n in range(50)]
    population = Population.fit(config, Tags.of(catalogue()), views, [])
    assert not Profile.of(population, None, views).tastes.any()
