"""``longgame profile``: what is known of a user, and what they say to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from longgame.commands.terminal import say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.profiles import Worded
    from longgame.serving.profiles import Change
    from longgame.settings import Settings

app = typer.Typer(help="What is known of a user, and their corrections.", no_args_is_help=True, rich_markup_mode=None)

User = Annotated[str, typer.Argument(help="Id of the user.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def show(
    ctx: typer.Context,
    user: User,
    tags: Annotated[int, typer.Option(min=1, help="Tags shown from either end.")] = 5,
    json: Json = False,
) -> None:
    """A user's profile: in words, by tags, and what they corrected."""
    _say(user, _looked_up(settings_of(ctx), user, None), tags, json)


@app.command()
def correct(
    ctx: typer.Context,
    user: User,
    remove: Annotated[list[str] | None, typer.Option(help="Tag that nothing is to be concluded about.")] = None,
    add: Annotated[list[str] | None, typer.Option(help="Tag that is liked.")] = None,
    restore: Annotated[list[str] | None, typer.Option(help="Tag of which that is taken back.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Begin anew: what was done up to now does not count.")] = False,
    json: Json = False,
) -> None:
    """Keep what a user says of their tags; it holds whatever they do later, until they say otherwise."""
    from datetime import UTC, datetime

    from longgame.errors import ConfigError

    if not (remove or add or restore or forget):
        raise ConfigError("profile correct: needs --remove, --add, --restore or --forget, got none; say what is to change")

    def change(said: Any, tags: Any) -> Any:
        changed = said.changed(*(tags.named(given or ()) for given in (remove, add, restore)))
        return changed.forget(datetime.now(UTC)) if forget else changed

    _say(user, _looked_up(settings_of(ctx), user, change), 5, json)


def sentences(settings: Settings) -> Worded:
    """What a model worded of what users lean to. A file that is none is said, and profiles are told as they are counted."""
    from longgame.errors import ArtefactError
    from longgame.profiles import NOBODY
    from longgame.wiring.reading_kept import portraits_read

    try:
        return portraits_read(settings)
    except ArtefactError as error:
        typer.echo(f"profiles are told as they are counted: {error}", err=True)
        return NOBODY


def _looked_up(settings: Settings, user: str, change: Change | None) -> dict[str, Any]:
    """The profile, after the change if there is one."""
    from datetime import UTC, datetime

    from longgame.serving.profiles import Profiles
    from longgame.types import UserId
    from longgame.wiring.workspace import workspace

    with workspace(settings) as ws:
        population, profiles = ws.population(), Profiles(ws.store, settings.serve.history)
        if change is not None:
            profiles.correct(UserId(user), change, population)
        return profiles.of(UserId(user), datetime.now(UTC), population).told(sentences(settings))


def _say(user: str, told: dict[str, Any], most: int, json: bool) -> None:
    if json:
        say_json({"user": user, **told})
        return
    say(f"{user}: {told['text']}")
    tags = told["tags"]
    shown = tags if len(tags) <= 2 * most else [*tags[:most], *tags[-most:]]
    rows = [(tag["name"], f"{tag['preference']:+.2f}", f"{tag['evidence']:.2f}", tag["said"]) for tag in shown]
    say_table(("tag", "preference", "evidence", "said"), rows)
    if since := told["corrections"]["since"]:
        say(f"begins anew after {since}")
