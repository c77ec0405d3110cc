"""``longgame understand``: the catalogue's texts and pictures into vectors, tags, attributes and descriptions, once each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longgame.commands.pictures import look
from longgame.commands.reviews import say_reviews
from longgame.commands.terminal import progress, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.settings import Settings
    from longgame.wiring.reading_items import Forecast, Read
    from longgame.wiring.understanding import Done

KINDS = ("vectors", "pictures", "tags", "attributes", "descriptions", "profiles")


def understand(
    ctx: typer.Context,
    what: Annotated[
        str, typer.Option(help="By commas: vectors, pictures, tags, attributes, descriptions, profiles; or reviews.")
    ] = "vectors",
    model: Annotated[str | None, typer.Option(help="minilm, e5, words, combined, hashing or remote.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it will take, and stop.")] = False,
    budget: Annotated[str | None, typer.Option(help="Read for so long at most, as in 30m; the rest waits.")] = None,
    show: Annotated[str | None, typer.Option(help="Say what was read of this item, and from what; read nothing.")] = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="Say what each recipe has cost so far; read nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every item's text and picture, or every review, with the models for it. What was read is not read again."""
    settings = settings_of(ctx, {"language.model": model})
    if ledger:
        _say_ledger(settings, json)
        return
    if what == "reviews":
        if show is None:
            say_reviews(settings, plan, _seconds(budget), json)
            return
        what = "vectors"  # an item is shown with all that is known of it
    kinds, seconds = _kinds(what), _seconds(budget)
    if show is not None:
        from longgame.wiring.reading_items import show as shown

        _say_item(shown(settings, show), json)
        return
    said: dict[str, Any] = {}
    if "vectors" in kinds:
        if plan:
            said = _plan_vectors(settings, json)
        else:
            said, spent = _vectors(settings, seconds, json)
            seconds = None if seconds is None else max(0.0, seconds - spent)
    if "pictures" in kinds:
        said["pictures"], spent = look(settings, plan, seconds, json)
        seconds = None if seconds is None else max(0.0, seconds - spent)
    for name, told in _items(settings, [kind for kind in kinds if kind not in ("vectors", "pictures")], plan, seconds, json):
        said[name] = told
    if json:
        say_json(said)


def _kinds(what: str) -> list[str]:
    from longgame.errors import ConfigError

    named = {kind.strip() for kind in what.split(",") if kind.strip()}
    if not named or named - set(KINDS):
        raise ConfigError(f"--what: must be some of {', '.join(KINDS)} by commas, or reviews, got {what!r}")
    return [kind for kind in KINDS if kind in named]


def _seconds(budget: str | None) -> float | None:
    from longgame.errors import ConfigError
    from longgame.settings import duration

    try:
        return None if budget is None else duration(float(budget) if budget.isdigit() else budget).total_seconds()
    except ValueError as wrong:
        raise ConfigError(f"--budget: {wrong}, got {budget!r}") from None


def _vectors(settings: Settings, seconds: float | None, json: bool) -> tuple[dict[str, Any], float]:
    from longgame.wiring import understanding

    with progress("understand", "texts", quiet=json) as advance:
        done = understanding.understand(settings, seconds, advance, lambda line: typer.echo(line, err=True))
    rate = done.new / done.seconds if done.new else 0.0
    told = {"model": done.model, "items": done.items, "new": done.new, "cached": done.items - done.new - done.left}
    if done.features is not None:
        told |= {"features": done.features.version, "width": done.features.width}
    ledger = {"ledger": asdict(done.ledger) | {"tokens": done.ledger.tokens}} if done.ledger else {}
    if not json:
        _say_vectors(done, rate)
    return {**told, "left": done.left, "texts_per_second": round(rate, 1), **ledger}, done.seconds


def _say_vectors(done: Done, rate: float) -> None:
    cached = done.items - done.new - done.left
    say(f"{done.items:,} items with {done.model}: {done.new:,} new, {cached:,} cached, {rate:,.0f} texts/s")
    if done.ledger:
        used = done.ledger
        cost = f", {used.money:,.4f} by remote.price" if used.money else ""
        say(f"{used.calls:,} calls, {used.failed:,} of them failed, {used.tokens:,} tokens as the server counts{cost}")
    if done.left:
        say(f"{done.left:,} items are left: the same command goes on")
    if not done.items:
        say("the catalogue is empty: longgame import PATH")


def _plan_vectors(settings: Settings, json: bool) -> dict[str, Any]:
    from longgame.wiring import understanding

    told = understanding.plan(settings)
    if json:
        return asdict(told)
    say(
        f"{told.items:,} items with {told.model}: {told.texts:,} texts to read, {told.characters:,} characters, about "
        f"{told.tokens:,} tokens"
    )
    if told.seconds is not None:
        say(f"about {told.seconds:,.0f} s on this machine now, by a sample of the texts")
    if told.calls is not None:
        cost = f", about {told.cost:,.4f} by remote.price" if told.cost is not None else ""
        say(f"{told.calls:,} calls if none fails{cost}; the server was not asked")
    return {}


def _items(settings: Settings, kinds: list[str], plan: bool, seconds: float | None, json: bool) -> list[tuple[str, Any]]:
    """What is read of items beside vectors, and of users; said or given back."""
    if not kinds:
        return []
    from longgame.wiring.portraits import Portraits
    from longgame.wiring.reading_items import Reader
    from longgame.wiring.reading_models import Models
    from longgame.wiring.workspace import one_thread

    one_thread()
    models, out = Models(settings, lambda line: typer.echo(line, err=True)), list[tuple[str, Any]]()
    items = Reader(settings, lambda line: typer.echo(line, err=True), models) if set(kinds) - {"profiles"} else None
    if items is not None and not items.items:
        if not json:
            say("the catalogue is empty: longgame import PATH")
        return [(kind, {"users" if kind == "profiles" else "items": 0}) for kind in kinds]
    for kind in kinds:
        reader = items if kind != "profiles" and items is not None else Portraits(settings, models)
        if plan:
            told = reader.plan(kind)
            out.append((kind, _object(told)))
            if not json:
                say(f"{kind} by {told.version}")
                say(f"  {told.calls:,} prompts, {told.tokens:,} tokens or so, {_price(told)}")
            continue
        with progress(kind, "prompts", quiet=json) as advance:
            done = reader.read(kind, seconds, advance)
        seconds = None if seconds is None else max(0.0, seconds - done.seconds)
        out.append((kind, _object(done)))
        if not json:
            used = done.ledger
            say(f"{kind} by {done.version}")
            if done.left:
                say(f"  {done.left:,} prompts are left: the same command goes on")
            else:
                about, made = ("users", "sentences") if kind == "profiles" else ("items", kind)
                say(f"  {done.items:,} {about}, {done.found:,} {made}: {done.note}")
            cost = f", {used.money:,.4f} by remote.price" if used.money else ""
            took = f"{used.seconds:,.0f} s of them; {done.seconds:,.0f} s in all"
            say(f"  {used.calls:,} calls, {used.tokens:,} tokens{cost}, {took}")
    return out


def _object(told: Forecast | Read) -> dict[str, Any]:
    """What JSON has of it: users are no items."""
    out = asdict(told)
    return {"users" if name == "items" else name: value for name, value in out.items()} if told.what == "profiles" else out


def _say_ledger(settings: Settings, json: bool) -> None:
    from longgame.wiring.ledgers import accounts

    found = accounts(settings)
    if json:
        say_json([asdict(one) for one in found])
        return
    if not found:
        say("nothing was read yet: longgame understand")
        return
    rows = [
        (one.what, one.version, one.last, f"{one.runs:,}", f"{used.calls:,}", f"{used.failed:,}", f"{used.tokens:,}",
         f"{used.seconds:,.0f}", f"{used.money:,.4f}")
        for one in found
        for used in [one.ledger]
    ]  # fmt: skip
    say_table(("what", "by", "last", "runs", "calls", "failed", "tokens", "seconds", "remote.price"), rows)


def _price(told: Forecast) -> str:
    if told.seconds is not None:
        return f"{told.seconds:,.0f} s here and now"
    cost = f", about {told.cost:,.4f} by remote.price" if told.cost is not None else ""
    return f"of a server, which was not asked{cost}"


def _say_item(told: dict[str, Any], json: bool) -> None:
    if json:
        say_json(told)
        return
    from longgame.language.prompt import clean

    say(clean(f"{told['item']}: {told['text']}"))  # a seller's text must not steer the terminal
    for name, value in told["own"].items():
        say(clean(f"{name}: {', '.join(value) if isinstance(value, tuple) else value}"))
    if told["picture"]:
        say(clean(f"picture: {told['picture']}"))
    for what in ("tags", "attributes"):
        if what in told:
            say(f"{what} by {told[what]['version']}")
            for one in told[what]["found"]:
                span = one["evidence"]
                by = f'{span["part"]} says "{span["words"]}"' if span else "the model, from: " + told["read as"]
                name = f"{one['name']} = {one['value']}" if "value" in one else one["name"]
                say(f"  {one['confidence']:.2f}  {name}  ({by})")
    for one in told.get("descriptions", {}).get("found", []):
        say(f"description by {told['descriptions']['version']}")
        say(f"  {one['text']}  (by the {one['by']})")
        for trouble in one["troubles"]:
            say(f"  the model's was not used: it {trouble}")
    if said := told.get("reviews", {}).get("found"):
        say(f"reviews by {told['reviews']['version']}")
        for name, one in {"on the whole": said["found"], **said["aspects"]}.items():
            sure = "" if one["deviation"] is None else f" ± {one['deviation']:.2f}"
            say(clean(f"  {name}: {one['mean']:.2f}{sure}, {one['count']:,} voices"))
    if not set(told) & {"tags", "attributes", "descriptions", "reviews"}:
        say("nothing was read of it beside vectors: longgame understand --what tags,attributes,descriptions")
