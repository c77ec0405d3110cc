"""A log whose truth is known: who likes what, when sessions end and who comes back."""

from functools import lru_cache

import numpy as np

from longgame.arrays import Interactions
from longgame.models.svd import SvdConfig
from longgame.simulation.behaviour import Fitting
from longgame.simulation.logged import Told, learned
from longgame.types import Item, ItemId, UserId

HOUR, DAY = 3_600_000_000, 86_400_000_000
QUIT, BACK, LIKED, BEGIN = (0.4, 0.1), (0.5, 0.1), 4.0, 18_262 * DAY
SMALL = Fitting(raters=3, rater=SvdConfig(width=4, penalty=0.1))


def life(users=150, items=80, days=40, seed=0, times=True):
    """Two kinds of users and of items: the first like the first (5 stars, else 2), the second the second, with a fifth of
    noise. A session ends after each event, the sooner where it was not liked (``QUIT``, by liked); who left is back on each of
    the first two days with the first chance of ``BACK``, later with the other."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, float]] = []
    for one in range(users):
        now, free = BEGIN, rng.permutation(items).tolist()
        while free and now < BEGIN + days * DAY:
            while free:
                thing = free.pop()
                fits = (one % 2 == thing % 2) != (rng.random() < 0.2)
                rows.append((one, now, thing, 5.0 if fits else 2.0))
                now += HOUR // 60
                if rng.random() < QUIT[int(fits)]:
                    break
            away = 1
            while rng.random() > BACK[int(away > 2)]:
                away += 1
            now += DAY * away
    user, at, item, value = (np.array(column) for column in zip(*rows, strict=True))
    offsets = np.searchsorted(user, np.arange(users + 1)).astype(np.int64)
    moments = at.astype(np.int64) if times else np.zeros(len(at), np.int64)
    names = tuple(UserId(f"u{u}") for u in range(users)), tuple(ItemId(f"i{i}") for i in range(items))
    return Interactions(*names, offsets, item.astype(np.int64), moments, value.astype(np.float32))


def told(times=True, items=80):
    log = life(items=items, times=times)
    things = tuple(Item(id, f"{'odd' if number % 2 else 'even'} thing number {number}") for number, id in enumerate(log.items))
    return Told("life", log, things, np.zeros((len(log.users), 2), np.float32), LIKED)


@lru_cache
def lived(times=True, items=80):
    return learned(told(times, items), SMALL)


def written(folder):
    """The same as files that ``longgame import`` reads."""
    log = told().log
    rows = zip(log.user.tolist(), log.item.tolist(), (log.at // 1_000_000).tolist(), log.value.tolist(), strict=True)
    lines = ["user_id,item_id,timestamp,rating", *(f"u{u},i{i},{at},{value:g}" for u, i, at, value in rows)]
    (folder / "events.csv").write_text("\n".join(lines), "utf-8")
    items = ["item_id,title", *(f"{item.id},{item.text}" for item in told().items)]
    (folder / "items.csv").write_text("\n".join(items), "utf-8")
    return folder
