"""``longgame simulate`` and ``longgame demo``: policies in worlds whose truth is known."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longgame.commands.terminal import say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.settings import Settings
    from longgame.wiring.demo import DemoSize, Table
    from longgame.wiring.workspace import Workspace


def demo(
    ctx: typer.Context,
    size: Annotated[str, typer.Option(help="tiny (half a minute), small or full.")] = "small",
    folder: Annotated[
        Path | None, typer.Option(help="Where the demo's log and policies go; a new temporary folder if not named.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port to serve on; 0 takes any free one.")] = 8000,
    serve: Annotated[bool, typer.Option(help="Serve the shop at the end, with simulated customers.")] = True,
    visits: Annotated[
        int, typer.Option(min=0, help="Visits of simulated customers after which to end; 0 goes on until Ctrl-C.")
    ] = 200,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build a shop, log a simple policy, read the texts, learn, prove, publish, show the table, and serve it."""
    import tempfile

    from longgame.errors import ConfigError
    from longgame.wiring.demo import SIZES, demo_settings
    from longgame.wiring.demo import demo as run
    from longgame.wiring.workspace import one_thread, workspace

    if size not in SIZES:
        raise ConfigError(f"demo: --size must be one of {', '.join(SIZES)}, got {size!r}")
    one_thread()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="longgame-demo-") as temporary:
        place = folder or Path(temporary)
        if (place / "longgame.db").exists():
            raise ConfigError(f"demo: {place} holds the log of another run; name an empty folder")
        place.mkdir(parents=True, exist_ok=True)
        settings = demo_settings(place, settings_of(ctx))
        with workspace(settings) as ws:
            tell = (lambda line: None) if json else (lambda line: say(f"[{time.perf_counter() - begun:5.1f} s] {line}"))
            table = run(ws, SIZES[size], tell)
            if not json:
                _show(table)
            served = _serve(ws, settings, SIZES[size], port, visits, tell) if serve else {}
    seconds = time.perf_counter() - begun
    if json:
        _show_json(table, served, seconds)
        return
    if served:
        say(f"served {served['visits']} visits on {served['url']}: {served['clicks']} clicks, {served['purchases']} purchases")
    say(f"done in {seconds:.0f} s")


def _serve(ws: Workspace, settings: Settings, size: DemoSize, port: int, visits: int, tell: Any) -> dict[str, Any]:
    from longgame.commands.customers import serve_with_customers

    return serve_with_customers(ws, settings, size, port, visits, tell)


def _show(table: Table) -> None:
    say("")
    say(f"Purchases per customer in {table.days} days, mean over {table.returns['random'].n} seeds with a 95 % interval:")
    head = ("policy", "purchases", "95 % interval", "visits")
    rows = [
        (name, f"{e.value:.2f}", f"[{e.low:.2f}, {e.high:.2f}]", f"{table.visits[name].value:.1f}")
        for name, e in table.returns.items()
    ]
    say_table(head, rows)
    say(table.conclusion)
    say("")


def _show_json(table: Table, served: dict[str, Any], seconds: float) -> None:
    verdicts = [asdict(verdict) for verdict in table.verdicts]
    rows = {name: {"return": asdict(e), "visits": asdict(table.visits[name])} for name, e in table.returns.items()}
    said = {"policies": rows, "gate": verdicts, "conclusion": table.conclusion, "served": served}
    say_json({**said, "seconds": round(seconds, 1)})


WorldName = Annotated[
    str, typer.Option(help="shop, video, feed, market, sessions, interest-evolution, long-term-satisfaction, or log.")
]
LogData = Annotated[
    Path | None,
    typer.Option(help="With --world log: ratings that the world is learned from. Without --algorithm: how like them it is."),
]
LikedFrom = Annotated[
    float | None,
    typer.Option(help="With --world log: the rating that counts as liked; what parts them evenly if left out."),
]
DoubtPrice = Annotated[
    float, typer.Option(min=0, help="With --world log: likes that a deviation of 1 between its raters costs.")
]


def simulate(
    ctx: typer.Context,
    world: WorldName = "shop",
    data: LogData = None,
    liked: LikedFrom = None,
    penalty: DoubtPrice = 0.0,
    algorithm: Annotated[
        str | None, typer.Option(help="slateq, dqn, linucb, ...: learns in the world, and is tried there beside chance.")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="Users of the world; with --algorithm, users it is tried on.")] = 500,
    items: Annotated[
        int | None,
        typer.Option(min=1, help="Items that are offered; 150 in the shop, 10 to 20 in other worlds if left out."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Days to simulate; 30, or where sessions have an end until all have left.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Slots of a slate.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="With --algorithm: decisions that are learned from.")] = 60_000,
    seeds: Annotated[int, typer.Option(min=1, help="With --algorithm: runs, each with users of its own.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the world and of its users; the first one.")] = 0,
    looks: Annotated[
        float, typer.Option(min=0, help="Above 0 items have pictures, which tell quality and a colour that customers go by.")
    ] = 0.0,
    log: Annotated[
        bool,
        typer.Option("--log/--no-log", help="Write items, decisions and feedback into the log of the settings, in 2030."),
    ] = False,
    draw: Annotated[
        bool, typer.Option("--draw/--no-draw", help="Draw the pictures of --looks into the folder that the settings name.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let simulated users live with a simple policy, logged as serving would with --log, or with one that learns there."""
    from longgame.wiring.demo import simulate as run
    from longgame.wiring.workspace import workspace
    from longgame.wiring.worlds import OFFERED

    world, algorithm = world.lower().replace("_", "-"), algorithm.lower() if algorithm else None
    items = items or OFFERED.get(world, 10)
    _data_goes_with_log(world, data, liked, penalty)
    if data is not None and algorithm is None:
        _hold_against(data, liked, penalty > 0 or log or looks > 0 or draw, seed, json)
        return
    if algorithm is not None or world != "shop":
        _must_be_learnable(world, algorithm, log or looks > 0)
        assert algorithm is not None
        _learn_in(_Life(world, items, data, liked, penalty), algorithm, users, k, days, steps, seeds, seed, json)
        return
    _must_fit(k, items, draw, looks)
    with workspace(settings_of(ctx)) as ws:
        after = _only_simulated(ws, seed) if log else None
        told = run(ws, users, items, days or 30, k, seed, log, looks, draw, after)
    if json:
        say_json(told)
    else:
        _show_life(told, users, days or 30, k, log, draw)


def _must_fit(k: int, items: int, draw: bool, looks: float) -> None:
    """Raises ConfigError for slates that hold all there is, and for drawings of items that have no pictures."""
    from longgame.errors import ConfigError

    if draw and not looks:
        raise ConfigError("simulate --draw: items have pictures where --looks is above 0, got 0; say --looks 1")
    if k >= items:
        raise ConfigError(f"simulate: --k must be below --items, else every slate holds all there is, got {k} and {items}")


def _show_life(told: dict[str, Any], users: int, days: int, k: int, log: bool, draw: bool) -> None:
    say(
        f"{told['decisions']:,} decisions of {users:,} customers over {days} days: "
        f"{told['purchases']:.2f} purchases and {told['visits']:.2f} visits a customer"
    )
    if log:
        say(f"logged in {told['store']}")
        say(
            'to learn from it: context.names = ["log_days_away"], objective.rewards = { purchase = 1.0 }, '
            'objective.window = "12h", objective.discount = 0.95'
        )
        if k > 1:
            say("to prove a policy on it say --k 1: of longer slates the gate must ask what made the log, which nobody kept")
    if draw:
        say(f"{told['drawn']:,} pictures drawn in {told['pictures']}")


def _must_be_learnable(world: str, algorithm: str | None, simple: bool) -> None:
    """Raises ConfigError where there is no such world, nothing that learns, or an option of the ``simple`` policy's."""
    from longgame.errors import ConfigError
    from longgame.wiring.worlds import LOG, WORLDS

    if world not in (*WORLDS, LOG):
        raise ConfigError(f"simulate: --world must be one of {', '.join((*WORLDS, LOG))}, got {world!r}")
    if algorithm is None or simple:
        why = "--log and --looks go with the simple policy of the shop" if simple else f"--world {world} needs --algorithm"
        raise ConfigError(f"simulate: {why}; say --algorithm slateq, dqn or ppo, without --log and --looks")


@dataclass(frozen=True)
class _Life:
    """A world as it is asked for."""

    world: str
    items: int
    data: Path | None
    liked: float | None
    penalty: float


def _data_goes_with_log(world: str, data: Path | None, liked: float | None, penalty: float) -> None:
    """Raises ConfigError where one is there without the other."""
    from longgame.errors import ConfigError

    if (world == "log") != (data is not None):
        raise ConfigError(f"simulate: --world log and --data go together, got --world {world} and --data {data}")
    if world != "log" and (liked is not None or penalty):
        raise ConfigError(f"simulate: --liked and --penalty go with --world log, got --world {world}")


def _hold_against(data: Path, liked: float | None, more: bool, seed: int, json: bool) -> None:
    """How like a log a world is that was learned from it. Raises ConfigError for options of which nothing comes there."""
    from longgame.errors import ConfigError
    from longgame.simulation.behaviour import Fitting
    from longgame.simulation.held_out import check
    from longgame.simulation.logged import told
    from longgame.wiring.workspace import one_thread

    if more:
        why = "without --algorithm a world from a log is only held against it"
        raise ConfigError(f"simulate: {why}; leave out --penalty, --log, --looks and --draw, or say --algorithm")
    one_thread()
    ratings = told(data, liked)
    found = check(ratings, Fitting(seed=seed))
    if json:
        say_json(asdict(found))
        return
    say(f"{found.name}: {len(ratings.log):,} ratings of {len(ratings.log.users):,} users; liked is {ratings.liked:g} or more")
    head = ("held out", "cases", "share", "AUC", "plain", "log loss", "plain", "off by")
    rows = []
    for row in found.rows:
        figures = (row.auc, row.plain_auc, row.loss, row.plain_loss, row.off)
        rows.append((row.what, f"{row.cases:,}", f"{row.share:.3f}", *(f"{x:.3f}" for x in figures)))
    say_table(head, rows)
    least, most = found.doubt.error
    say(f"squared error where it doubts least {least:.2f}, where it doubts most {most:.2f} (in variances of the ratings)")
    picks = ", ".join(f"{share:.3f} at a penalty of {penalty:g}" for penalty, share in found.doubt.picked.items())
    say(f"liked among each user's best held-out picks: {picks}; {found.doubt.any:.3f} among any")


def _learn_in(
    life: _Life, algorithm: str, users: int, k: int, days: int | None, steps: int, seeds: int, seed: int, json: bool
) -> None:
    from longgame.wiring.workspace import one_thread
    from longgame.wiring.worlds import from_log, named, study

    one_thread()
    tell = (lambda line: None) if json else say
    made = from_log(life.data, life.items, life.penalty, life.liked, seed) if life.data else named(life.world, life.items)
    done = study(life.world, made, algorithm, users, k, days, steps, seeds, tell, seed)
    if json:
        say_json(done.to_json())
        return
    say("")
    rows = []
    for arm in done.arms:
        e = arm.estimate
        interval = f"[{e.low:,.1f}, {e.high:,.1f}]" if seeds > 1 else "one seed"
        rows.append((arm.name, f"{e.value:,.1f}", interval, f"{arm.seconds.mean():.0f}" if len(arm.seconds) else ""))
    say_table(("policy", "a user brings", "95 % interval", "learned in, s"), rows)


def _only_simulated(ws: Workspace, seed: int) -> datetime | None:
    """The newest time of a log that was simulated: what is added must come later, or its windows would never close.

    Raises ConfigError where the log holds what real users did: the learner would take both for one world, and times in 2030
    would close every window that is open today; and where it holds the life of another seed, whose items have the same ids.
    """
    from longgame.errors import ConfigError
    from longgame.types import Decision, Event

    after, newest = 0, None
    while True:
        records, end = ws.store.read(after, 10_000)
        if end == after:
            return newest
        after = end
        for _, record in records:
            if not isinstance(record, (Decision, Event)):
                continue
            at = record.request.at if isinstance(record, Decision) else record.at
            newest = at if newest is None else max(newest, at)
            if record.id.startswith("simulate-") and not record.id.startswith(f"simulate-{seed}/"):
                raise ConfigError(
                    f"simulate --log: the log holds the life of another shop, got {record.id!r}, not of --seed {seed}; its "
                    "items have the same ids; name another: LONGGAME_STORE__URL=sqlite:///other.db longgame simulate --log"
                )
            if not record.id.startswith("simulate-"):
                raise ConfigError(
                    "simulate --log: the log must hold nothing but what was simulated, got "
                    f"{type(record).__name__} {record.id!r}; leave --log out, or name another log: "
                    "LONGGAME_STORE__URL=sqlite:///simulated.db longgame simulate --log"
                )
