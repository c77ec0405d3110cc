"""The contract of World, run on every implementation, and what the shop promises. A new one adds a line to WORLDS."""

from typing import Any

import numpy as np
import pytest

from longgame.errors import ConfigError
from longgame.rng import derive
from longgame.simulation.feed import Feed, FeedConfig
from longgame.simulation.from_logs import FromLogs, FromLogsConfig
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.simulation.long_term_satisfaction import LongTermSatisfaction, LongTermSatisfactionConfig
from longgame.simulation.market import Market, MarketConfig
from longgame.simulation.sessions import Sessions, SessionsConfig
from longgame.simulation.shop import CATEGORIES, HYPE, QUALITY, Shop, ShopConfig
from longgame.simulation.video import Video, VideoConfig
from tests.logged_kit import lived

USERS, ITEMS, SLOTS = 40, 13, 3
WORLDS: dict[str, Any] = {
    "shop": lambda users=USERS: Shop(ShopConfig(users=users, items=ITEMS)),
    "shop with looks": lambda users=USERS: Shop(ShopConfig(users=users, items=ITEMS, looks=1.0)),
    "interest evolution": lambda users=USERS: InterestEvolution(InterestEvolutionConfig(users, 5, ITEMS)),
    "long-term satisfaction": lambda users=USERS: LongTermSatisfaction(LongTermSatisfactionConfig(users, 5, ITEMS)),
    "video": lambda users=USERS: Video(VideoConfig(users, 5, ITEMS)),
    "feed": lambda users=USERS: Feed(FeedConfig(users, 5, ITEMS, people=4)),
    "sessions": lambda users=USERS: Sessions(
        SessionsConfig(users, ITEMS, flips=4, organic=(0.25, 0.002), bandit=(0.05, 0.004))
    ),
    "market": lambda users=USERS: Market(MarketConfig(users, sellers=4)),
    "from logs": lambda users=USERS: FromLogs(lived(items=ITEMS), FromLogsConfig(users, 5, penalty=1.0)),
    "from logs without times": lambda users=USERS: FromLogs(lived(False, ITEMS), FromLogsConfig(users, 5)),
}


@pytest.fixture(params=WORLDS)
def world(request):
    made = WORLDS[request.param]()
    made.reset(derive(0, "test"))
    return made


def items_of(world):
    """A market has every thing in four modes: more than the 13 that are shown here."""
    return 16 if isinstance(world, Market) else ITEMS


def again(world):
    return FromLogs(world.lived, world.config) if isinstance(world, FromLogs) else type(world)(world.config)


def slates(seed=0, users=USERS, short=True):
    rng = np.random.default_rng(seed)
    got = np.stack([rng.permutation(ITEMS)[:SLOTS] for _ in range(users)])
    if short:
        got[rng.random(users) < 0.3, SLOTS - 1] = -1
        got[0] = -1
    return got


def life(world, seed, days=12):
    world.reset(derive(seed, "life"))
    days_ = []
    for day in range(days):
        here, context = world.here().copy(), world.context().copy()
        outcome = world.step(slates(day))
        days_.append((here, context, {kind: v.copy() for kind, v in outcome.values.items()}))
    return days_


def alike(one, two):
    """Whether two lives are the same: who came when, what was known of them, what they did."""
    flat = [[here, context, *(values[k] for k in sorted(values))] for life in (one, two) for here, context, values in life]
    return all(
        np.array_equal(a, b, equal_nan=a.dtype != np.bool_)
        for day, again in zip(flat[: len(one)], flat[len(one) :], strict=True)
        for a, b in zip(day, again, strict=True)
    )


def test_shapes_and_kinds(world):
    assert world.users == USERS and len(world.catalogue()) == items_of(world)
    assert len({i.id for i in world.catalogue()}) == items_of(world)
    assert world.here().shape == (USERS,) and world.here().dtype == np.bool_
    context = world.context()
    assert context.shape == (USERS, context.shape[1]) and context.dtype == np.float32 and np.isfinite(context).all()
    outcome = world.step(slates())
    assert set(outcome.values) & set(world.objective.rewards), "what the objective counts must be able to happen"
    for values in outcome.values.values():
        assert values.shape == (USERS, SLOTS)


def test_only_those_who_are_here_do_anything_and_only_with_what_they_see(world):
    happened = 0
    for here, _, values in life(world, 1, 40):
        for value in values.values():
            assert np.isnan(value[~here]).all()
            assert np.isnan(value[0]).all(), "an empty slate"
            happened += int((~np.isnan(value)).sum())
    world.reset(derive(1, "life"))
    for day in range(40):
        shown = slates(day)
        for value in world.step(shown).values.values():
            assert np.isnan(value[shown < 0]).all()
    assert happened > 50


def test_a_seed_is_a_population(world):
    one, same, other = (life(world, seed) for seed in (3, 3, 4))
    assert alike(one, same) and not alike(one, other)


def test_the_catalogue_is_the_same_for_every_population(world):
    before = list(world.catalogue())
    life(world, 5)
    assert list(world.catalogue()) == before == list(again(world).catalogue())


def test_what_the_absent_are_shown_changes_nothing(world):
    def run(junk):
        world.reset(derive(7, "absent"))
        found = []
        for day in range(15):
            here, shown = world.here(), slates(day)
            shown[~here] = junk
            found.append((here.copy(), world.context(), world.step(shown).values))
        return found

    assert alike(run(-1), run(ITEMS - 1))


def test_what_is_offered_is_in_the_catalogue_once_and_stays_until_the_next_step(world):
    for day in range(5):
        offered = world.offered()
        assert (
            offered.shape[0] == USERS and offered.dtype == np.int64 and offered.min() >= -1 and offered.max() < items_of(world)
        )
        for row in offered.tolist():
            some = [i for i in row if i >= 0]
            assert len(some) == len(set(some)) > 0
        np.testing.assert_array_equal(world.offered(), offered)
        world.step(slates(day))
    assert world.vectors.shape == (items_of(world), world.vectors.shape[1]) and world.vectors.dtype == np.float32
    assert np.isfinite(world.vectors).all() and (world.vectors.std(axis=0) > 0).any()


def test_who_left_is_gone_until_somebody_new_comes_in_their_place(world):
    gone, renewed = np.zeros(USERS, np.bool_), 0
    for day in range(400):
        here = world.here()
        assert not (here & gone).any()
        left = world.step(slates(day)).left
        assert left.shape == (USERS,) and not (left & ~here).any(), "only who is here leaves"
        gone |= left
        if day > 300 and gone.any():
            kept = world.context()[~gone].copy()
            world.renew(gone)
            np.testing.assert_array_equal(world.context()[~gone], kept)
            renewed += int(gone.sum())
            gone[:] = False
    assert renewed > 10


def test_new_users_are_like_those_of_a_new_population(world):
    """What a user brings in their first days does not depend on whether they came at the beginning."""
    made = WORLDS[next(name for name in WORLDS if isinstance(world, type(WORLDS[name]())))](3000)

    def first(seed):
        kind = max(made.objective.rewards)
        return sum(np.nan_to_num(made.step(slates(seed + day, 3000)).values[kind]).sum(axis=1) > 0 for day in range(6))

    made.reset(derive(1, "old"))
    old = first(10)
    for day in range(30):
        made.step(slates(day, 3000))
    made.renew(np.ones(3000, np.bool_))
    new = first(10)
    error = np.sqrt(old.var() / 3000 + new.var() / 3000)
    assert abs(old.mean() - new.mean()) < 4.5 * error and old.mean() > 0


# The shop.


def crowd(users=20_000, **settings):
    """Customers who need not count their money, unless they are given a budget."""
    made = Shop(ShopConfig(users=users, items=ITEMS, **{"budget": np.inf, **settings}))
    made.reset(derive(1, "crowd"))
    return made


@pytest.mark.parametrize("budget", [np.inf, 20.0])
def test_chances_are_the_frequencies(budget):
    shop = crowd(budget=budget)
    here, shown = shop.here().copy(), slates(2, 20_000)
    click, buy = shop.chances(shown)
    assert not click[shown < 0].any() and not buy[shown < 0].any()
    values = shop.step(shown).values
    clicked, bought = ~np.isnan(values["click"]), ~np.isnan(values["purchase"])
    assert not (bought & ~clicked).any(), "only what was clicked is bought"
    at = here[:, None] & (shown >= 0)
    for lower, upper in ((0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1)):
        for happened, chance, among in ((clicked, click, at), (bought, buy, at & clicked)):
            some = among & (chance > lower) & (chance <= upper)
            n = int(some.sum())
            if n > 100:
                p = chance[some]
                assert abs(happened[some].mean() - p.mean()) < 4.5 * np.sqrt((p * (1 - p)).mean() / n), (lower, n)
    np.testing.assert_allclose(values["purchase"][bought], shop.price[shown[bought]], rtol=1e-6)
    assert (values["click"][clicked] == 1.0).all()


def test_who_knows_the_shop_weighs_purchases_and_what_is_felt():
    shop, shown = crowd(users=50), slates(3, 50, short=False)
    for alone in (False, True):
        click, buy = shop.chances(shown, alone)
        pace = click * buy * shop.config.memory + click * (1 - buy) * shop.config.glimpse
        np.testing.assert_allclose(shop.gain(shown, alone), click * buy)
        np.testing.assert_allclose(shop.felt(shown, alone), pace * (shop.quality[shown] - shop.satisfaction[:, None]))
    first = np.stack([shop.chances(np.full((50, 1), item))[0][:, 0] for item in range(ITEMS)], axis=1)
    np.testing.assert_allclose(shop.chances(shop.offered(), alone=True)[0], first)
    wanted = shop.gain(shop.offered(), True) + 3.0 * shop.felt(shop.offered(), True)
    np.testing.assert_allclose(shop.wise(3.0), wanted)


def test_lower_slots_are_seen_less_and_hype_sells():
    shop = crowd(taste=0.0)
    click, _ = shop.chances(np.tile([4, 5, 6], (len(shop.taste), 1)))
    later, _ = shop.chances(np.tile([5, 4, 6], (len(shop.taste), 1)))
    assert (click[:, 0] > later[:, 1]).all() and (click[:, 2] == later[:, 2]).all()
    plain = crowd(taste=0.0, pull=0.0, push=0.0)
    pair = np.tile([int(shop.hype.argmax()), int(shop.hype.argmin())], (len(shop.taste), 1))
    for chance, without in zip(shop.chances(pair), plain.chances(pair), strict=True):
        odds = np.log(chance / (1 - chance)) - np.log(without / (1 - without))
        assert (odds[:, 0] > odds[:, 1]).all()


def moved(item, kind):
    """Satisfaction before and after, of those who did ``kind`` with one item and nothing else."""
    shop = crowd(users=4000)
    before, here = shop.satisfaction.copy(), shop.here().copy()
    values = shop.step(np.full((4000, 1), item)).values
    clicked, bought = (~np.isnan(values[k][:, 0]) for k in ("click", "purchase"))
    some = {"purchase": bought, "click": clicked & ~bought, "nothing": ~clicked}[kind]
    assert some.sum() > 20 and here.sum() > 100
    return shop, before[some], shop.satisfaction[some], some


@pytest.mark.parametrize("kind", ["purchase", "click", "nothing"])
def test_satisfaction_moves_towards_the_quality_of_what_was_bought_and_a_little_of_what_was_seen(kind):
    for item in (0, 5):
        shop, before, after, _ = moved(item, kind)
        pace = {"purchase": shop.config.memory, "click": shop.config.glimpse, "nothing": 0.0}[kind]
        np.testing.assert_allclose(after, before + pace * (shop.quality[item] - before))


def test_what_is_dearer_than_the_rest_of_the_budget_stays_in_the_cart():
    shop, rich = crowd(budget=25.0, doubt=0.0, regret=0.0), crowd(doubt=0.0)
    shop._payday[:] = 30
    assert shop.budget.mean() == pytest.approx(25.0, rel=0.02) and np.isinf(rich.purse).all()
    before, shown = shop.purse.copy(), slates(2, 20_000)
    values, wanted = shop.step(shown).values, rich.step(shown).values
    bought, cart = (~np.isnan(values[kind]) for kind in ("purchase", "cart"))
    dear = shop.price[shown] > before[:, None]
    np.testing.assert_array_equal(cart, ~np.isnan(wanted["purchase"]))  # the same luck, and no limit
    np.testing.assert_array_equal(bought, cart & ~dear)
    assert (cart & dear).any()
    np.testing.assert_allclose(shop.purse, before - np.nansum(values["purchase"], axis=1))


def test_a_month_brings_a_new_budget_and_what_was_owed_is_taken_from_it():
    shop = crowd(users=500, budget=25.0)
    shop.purse[:250], shop.purse[250:] = -5.0, 7.0
    for day in range(30):
        shop._here[:] = False
        shop.step(np.full((500, 1), -1))
        if day == 14:
            waiting = shop.purse < shop.budget - 5.001
            assert 0.3 < waiting.mean() < 0.7, "paydays are of all days"
    np.testing.assert_allclose(shop.purse, np.where(np.arange(500) < 250, shop.budget - 5.0, shop.budget))
    shop.renew(np.ones(500, np.bool_))
    np.testing.assert_array_equal(shop.purse, shop.budget)


def test_what_is_bought_is_rated_by_its_quality_and_goes_back_for_lack_of_it():
    shop = crowd()
    before, shown = shop.purse.copy(), slates(2, 20_000, short=False)
    values = shop.step(shown).values
    happened = {kind: ~np.isnan(value) for kind, value in values.items()}
    bought, quality = happened["purchase"], shop.quality[shown]
    n = int(bought.sum())
    assert set(happened) == {"click", "cart", "purchase", "rating", "return"} and np.isinf(before).all()
    assert (bought <= happened["cart"]).all() and (happened["cart"] <= happened["click"]).all()
    assert (happened["rating"] <= bought).all() and (happened["return"] <= bought).all()
    left = happened["click"] & ~bought
    assert (happened["cart"] & left).sum() / left.sum() == pytest.approx(0.2, abs=0.04)
    assert happened["rating"].sum() / n == pytest.approx(0.3, abs=0.05)
    wanted = 0.5 * (1 - quality[bought]) ** 2
    assert happened["return"].sum() / n == pytest.approx(wanted.mean(), abs=4.5 * np.sqrt(wanted.mean() / n))
    stars = values["rating"][happened["rating"]]
    assert set(np.unique(stars)) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert np.corrcoef(stars, quality[happened["rating"]])[0, 1] > 0.6


def test_what_goes_back_costs_nothing():
    shop = crowd(budget=200.0, regret=1.0)
    shop.quality[:], shop._payday[:] = 0.0, 30
    before = shop.purse.copy()
    values = shop.step(slates(2, 20_000)).values
    assert (~np.isnan(values["purchase"])).any()
    np.testing.assert_array_equal(values["return"], values["purchase"])
    np.testing.assert_array_equal(shop.purse, before)


def test_a_purchase_makes_its_category_less_interesting_for_days():
    shop, _, _, bought = moved(0, "purchase")
    group = shop.category[0]
    days = 0.5 ** (1 / 3)
    np.testing.assert_allclose(shop.tired[bought, group], days)
    assert not np.delete(shop.tired, group, axis=1).any() and not shop.tired[~bought].any()
    for _ in range(3):
        shop.step(np.full((4000, 1), -1))
    np.testing.assert_allclose(shop.tired[bought, group], days / 2)
    tired, fresh = shop.tired.copy(), np.full((4000, 1), 0)
    now, _ = shop.chances(fresh)
    shop.tired = tired * 0
    rested, _ = shop.chances(fresh)
    assert (now[bought] < rested[bought]).all()


def test_the_satisfied_come_back_and_the_dissatisfied_leave():
    shop = crowd()
    half = np.arange(20_000) < 10_000
    shop.satisfaction[:] = np.where(half, 1.0, 0.0)
    here = shop.here().copy()
    shop.step(np.full((20_000, 1), -1))
    came, low = shop.here(), 0.04
    assert not shop.gone[half].any() and not shop.gone[~half & ~here].any(), "only a visit ends it"
    assert shop.gone[~half & here].mean() == pytest.approx(0.2, abs=0.02)
    assert came[half].mean() == pytest.approx(0.9, abs=0.015)
    stayed = ~half & ~shop.gone
    assert came[stayed].mean() == pytest.approx(low, abs=0.01)
    assert not (came & shop.gone).any()
    gone = shop.gone.copy()
    for _ in range(5):
        shop.step(np.full((20_000, 1), -1))
        assert not shop.here()[gone].any()


def test_the_context_is_the_days_since_the_last_visit():
    shop = crowd(users=300)
    away = np.zeros(300)
    for _ in range(6):
        np.testing.assert_allclose(shop.context()[:, 0], np.log1p(away), rtol=1e-6)
        away = np.where(shop.here(), 1.0, away + 1.0)
        shop.step(np.full((300, 1), -1))


def test_texts_tell_what_an_item_is():
    shop = Shop(ShopConfig(items=300))
    for row, item in enumerate(shop.catalogue()):
        third = [min(int(v[row] * 3), 2) for v in (shop.quality, shop.hype)]
        for words, wanted in ((QUALITY, third[0]), (HYPE, third[1])):
            assert [any(phrase in item.text for phrase in phrases) for phrases in words] == [n == wanted for n in range(3)]
        category = item.attributes["category"]
        assert category == list(CATEGORIES)[shop.category[row]] and any(noun in item.text for noun in CATEGORIES[str(category)])
        assert item.attributes["price"] == shop.price[row]
    assert np.corrcoef(shop.quality, shop.hype)[0, 1] < -0.5, "hype and quality mostly exclude each other"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"users": 0}, {"items": 0}, {"memory": 1.1}, {"glimpse": 0.5}, {"visit": (0.5, 0.1)}, {"leave": -0.1}),
        *({"budget": 0.0}, {"budget": np.nan}, {"doubt": 1.1}, {"rates": -0.1}, {"regret": np.nan}),
    ],
)
def test_shops_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="ShopConfig"):
        ShopConfig(**wrong)
