"""User-kNN, content, SLIM, ALS and BPR against figures worked out by hand or from the papers' own formulas."""

import subprocess
import sys

import numpy as np
import pytest

from longgame.arrays import Interactions
from longgame.errors import ConfigError, MissingExtra
from longgame.models import MODELS, ItemKNN, ItemKNNConfig
from longgame.models.als import Als, AlsConfig
from longgame.models.bpr import Bpr, BprConfig, _descend
from longgame.models.compiled import compiled
from longgame.models.content import Content, ContentConfig
from longgame.models.histories import seen_matrix
from longgame.models.slim import Slim, SlimConfig, _elastic_nets
from longgame.models.user_knn import UserKNN, UserKNNConfig
from longgame.retrieval import top, top_unseen
from longgame.types import ItemId, UserId

DAY = 86_400_000_000
ITEMS = 7
NO_TEXT = np.zeros((ITEMS, 0), np.float32)
HISTORIES = [[0, 1, 2], [0, 1], [2, 3, 0, 4], [5], [1, 3, 3, 4], [4, 2, 1, 0, 5], []]
"""Item 6 is nobody's."""


def log_of(histories, items=ITEMS, names=None, first=0):
    offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    item = np.array([i for h in histories for i in h], np.int64)
    names = names or range(len(histories))
    when = first + DAY * np.array([place for h in histories for place in range(len(h))], np.int64)
    users, catalogue = tuple(UserId(f"u{n}") for n in names), tuple(ItemId(f"i{i}") for i in range(items))
    return Interactions(users, catalogue, offsets, item, when, np.ones(len(item), np.float32))


LOG = log_of(HISTORIES)
TAKEN = np.zeros((len(HISTORIES), ITEMS))
for _user, _history in enumerate(HISTORIES):
    TAKEN[_user, _history] = 1


def groups(seed=0, users=120, items=40, each=8):
    """Users of two kinds, each taking items of its own half."""
    rng = np.random.default_rng(seed)
    half = items // 2
    return [(rng.permutation(half)[:each] + half * (user % 2)).tolist() for user in range(users)]


def bm25(length):
    return 2.2 / (1.2 * (0.25 + 0.75 * length) + 1)


# User-kNN


def test_user_knn_adds_up_what_the_nearest_took():
    model = UserKNN(UserKNNConfig(neighbours=2, weighting="cosine", power=2.0, shrinkage=0.0))
    model.fit(LOG, NO_TEXT)
    asked = np.array([1, 1, 0, 0, 0, 0, 0])
    like = (TAKEN @ asked) / np.maximum(np.sqrt(2 * TAKEN.sum(axis=1)), 1)
    like[np.argsort(-like)[2:]] = 0  # users 1 and 0
    np.testing.assert_allclose(model.score(np.array([[0, 1]])), [like**2 @ TAKEN], atol=3e-6)


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_user_knn_weighs_items_by_rarity(weighting):
    model = UserKNN(UserKNNConfig(neighbours=99, weighting=weighting, power=1.0, shrinkage=0.5))
    model.fit(LOG, NO_TEXT)
    rare = np.log(len(HISTORIES) / np.maximum(TAKEN.sum(axis=0), 1))
    asked = np.array([0, 1, 0, 1, 0, 0, 0])
    if weighting == "tfidf":
        one, many = asked * rare, TAKEN * rare
        like = many @ one / (np.linalg.norm(one) * np.linalg.norm(many, axis=1) + 0.5)
    else:
        typical = TAKEN.sum() / len(TAKEN)
        own, theirs = bm25(2 / typical), bm25(TAKEN.sum(axis=1) / typical)
        like = own * theirs * (TAKEN @ (asked * rare**2))
    np.testing.assert_allclose(model.score(np.array([[3, 1]])), [like @ TAKEN], rtol=1e-4, atol=3e-6)


def test_user_knn_histories_fade_on_both_sides():
    log = log_of([[0, 1], [2, 3]], items=4)
    config = UserKNNConfig(half_life=1.0, neighbour_half_life=1.0, weighting="cosine", power=1.0, shrinkage=0.0)
    model = UserKNN(config)
    model.fit(log, NO_TEXT)
    length = np.sqrt(1.25)
    near, far = 0.5 / length**2, 0.5 / length**2  # history 0 then 3: 3 is new here and there, 0 half here and half there
    got = model.score(np.array([[0, 3]]))[0]
    np.testing.assert_allclose(got, [near / 4, near / 2, far, 2 * far], atol=3e-6)


# Item-kNN by other weights


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_item_knn_hears_less_from_who_took_much(weighting):
    model = ItemKNN(ItemKNNConfig(half_life=np.inf, reach=np.inf, shrinkage=0.5, weighting=weighting))
    model.fit(LOG, NO_TEXT)
    count = TAKEN.sum(axis=0)
    voice = np.log(ITEMS / np.maximum(TAKEN.sum(axis=1), 1)) ** 2 * (TAKEN.sum(axis=1) > 0)
    pairs = TAKEN.T @ (voice[:, None] * TAKEN)
    if weighting == "tfidf":
        length = np.sqrt(np.diag(pairs))
        wanted = pairs / (np.outer(length, length) + 0.5)
    else:
        share = bm25(count / (count.sum() / 6))  # six items have events
        wanted = pairs * np.outer(share, share)
    np.fill_diagonal(wanted, 0)
    for item in range(ITEMS):
        np.testing.assert_allclose(model.score(np.array([[item]]))[0], wanted[item], rtol=1e-4, atol=3e-6)


# Content


TEXTS = np.array([[2, 0.1, 1], [2, 0.2, 0.9], [2, 1, 0], [2, 0.9, 0.1], [2, 0.5, 0.5], [2, 0.4, 0.6], [0, 0, 0]], np.float32)


def test_content_is_the_fading_mean_of_the_history_along_the_texts():
    model = Content(ContentConfig(half_life=1.0, centre=False))
    model.fit(LOG, TEXTS)
    unit = TEXTS[:6] / np.linalg.norm(TEXTS[:6], axis=1, keepdims=True)
    taste = unit[0] / 2 + unit[2]
    got = model.score(np.array([[0, 2]]))[0]
    np.testing.assert_allclose(got[:6], unit @ (taste / np.linalg.norm(taste)), atol=3e-6)
    assert got[6] == 0, "an item without a text is like nothing"
    nearest = Content(ContentConfig(pool="max", half_life=1.0, recent=2, centre=False))
    nearest.fit(LOG, TEXTS)
    wanted = np.maximum(unit @ unit[0] / 2, unit @ unit[2])
    np.testing.assert_allclose(nearest.score(np.array([[3, 0, 2]]))[0, :6], wanted, atol=3e-6)


def test_content_takes_off_what_all_texts_share():
    plain, centred = Content(ContentConfig(centre=False)), Content(ContentConfig(whiten=0.0))
    for model in (plain, centred):
        model.fit(LOG, TEXTS)
    history = np.array([[0]])
    assert plain.score(history)[0, 2] > 0.7, "two is nearly all of every vector's length"
    assert centred.score(history)[0, 2] < 0 < 0.9 < centred.score(history)[0, 1]


def test_content_reaches_an_item_without_events_and_falls_back_to_popularity():
    model = Content()
    model.fit(log_of([[0, 1], [0]], items=7), np.roll(TEXTS, 1, axis=0))  # item 0 has no text, items 2 to 6 no events
    assert model.score(np.array([[1]]))[0].argsort()[-2] == 2
    for histories in (np.full((1, 2), -1), np.array([[0]])):
        assert model.score(histories)[0].argsort()[::-1][:2].tolist() == [0, 1]


# SLIM


@pytest.mark.parametrize("negative", [False, True])
def test_slim_weights_are_the_least_of_the_elastic_net(negative):
    """The conditions of Karush, Kuhn and Tucker of eq. 4, column by column; two sweeps of kinds, sparse and dense A'A."""
    l1, l2 = 0.3, 0.7
    for histories, items in ((HISTORIES, ITEMS), (HISTORIES, 40)):
        log = log_of(histories, items=items)
        model = Slim(SlimConfig(l1=l1, l2=l2, negative=negative, tolerance=1e-7))
        model.fit(log, np.zeros((items, 0), np.float32))
        weights = model.score(np.arange(items)[:, None]).astype(np.float64)[:ITEMS, :ITEMS]  # row: what was taken
        together = TAKEN.T @ TAKEN
        pull = together - together @ weights - l2 * weights  # minus the slope of the smooth part
        met = (together > 0) & ~np.eye(ITEMS, dtype=bool)
        some = met & (np.abs(weights) > 1e-4)
        assert some.sum() > 6
        np.testing.assert_allclose(pull[some], l1 * np.sign(weights[some]), atol=1e-4)
        none = met & ~some
        assert (pull[none] <= l1 + 1e-4).all() and (not negative or (np.abs(pull[none]) <= l1 + 1e-4).all())
        assert (weights[~met] < 1e-5).all() and (negative or weights.min() >= 0)


def test_slim_leaves_fewer_weights_the_higher_their_price():
    counts = []
    for l1 in (0.1, 1.0, 5.0):
        model = Slim(SlimConfig(l1=l1, l2=1.0))
        model.fit(log_of(groups(), items=40), np.zeros((40, 0), np.float32))
        counts.append(len(model.state_dict()["weight"]))
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_compiled_loop_of_slim_is_the_loop_that_stands_there():
    together = (seen_matrix(LOG).T @ seen_matrix(LOG)).tocsr()
    together.sort_indices()
    fast, slow = np.zeros((3, ITEMS), np.float32), np.zeros((3, ITEMS), np.float32)
    lengths, prices = together.diagonal().astype(np.float32), np.array([0.1, 0.5, -np.inf, 1e-6], np.float32)
    given = together.indptr, together.indices, together.data, np.zeros((0, 0), np.float32), lengths, 2, prices, 100
    compiled(_elastic_nets)(*given, fast)
    _elastic_nets(*given, slow)
    assert np.count_nonzero(slow) > 3
    np.testing.assert_allclose(fast, slow, atol=1e-5)


# ALS

UNOBSERVED = 0.3 * 6 * 6 / float(TAKEN.sum())
"""So that a is .3: six users and six items have events."""


def test_als_users_and_items_solve_each_other_at_the_end():
    """The normal equations of eq. 1 hold on both sides, with the prices of section 3.2."""
    config = AlsConfig(width=3, unobserved=UNOBSERVED, penalty=0.05, by_count=0.7, iterations=200, steps=6)
    model = Als(config)
    model.fit(LOG, NO_TEXT)
    state = model.state_dict()
    users, items = state["users"].astype(np.float64), state["items"].astype(np.float64)
    for own, other, taken in ((users, items, TAKEN), (items, users, TAKEN.T)):
        some = taken.sum(axis=1) > 0
        count = taken.sum(axis=1) + 0.3 * 6  # six users and six items have events
        price = 0.05 * count**0.7 * count[some].sum() / (count[some] ** 0.7).sum()
        for row in np.flatnonzero(some):
            normal = other.T @ (taken[row][:, None] * other) + 0.3 * other.T @ other + price[row] * np.eye(3)
            np.testing.assert_allclose(normal @ own[row], taken[row] @ other, atol=1e-4)
    assert not items[6].any() and not users[6].any()
    np.testing.assert_allclose(model.user_vectors(np.array([[2, 3, 0, 4]]))[0], users[2], atol=1e-4)
    np.testing.assert_allclose(model.score(np.array([[2, 3, 0, 4]]))[0], users[2] @ items.T, atol=1e-4)


def test_als_history_fades_when_scored():
    model = Als(AlsConfig(width=3, half_life=1.0, unobserved=UNOBSERVED, penalty=0.05, by_count=1.0))
    model.fit(LOG, NO_TEXT)
    items = model.item_vectors.astype(np.float64)
    weight = np.array([0.25, 0, 0.5, 1, 0, 0, 0])  # 0, then 2, then 3
    price = 0.05 * (weight.sum() + 0.3 * 6)
    normal = items.T @ (weight[:, None] * items) + 0.3 * items.T @ items + price * np.eye(3)
    wanted = np.linalg.solve(normal, weight @ items)
    np.testing.assert_allclose(model.user_vectors(np.array([[0, 2, 3]]))[0], wanted, atol=1e-5)


def test_als_price_means_the_same_at_every_v():
    """Of rows that all say as much of themselves nothing is left for v to do."""
    scores = []
    for by_count in (0.0, 0.5, 1.0):
        model = Als(AlsConfig(width=4, by_count=by_count))
        model.fit(log_of([[0, 1], [1, 2], [2, 3], [3, 0]], items=4), NO_TEXT[:4])
        scores.append(model.score(np.array([[0, 1]])))
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-5)
    np.testing.assert_allclose(scores[1], scores[2], atol=1e-5)


def test_als_learns_on():
    """A new item taken by one group's users is that group's after an update, and what was known stays as it was."""
    histories = groups()
    log = log_of(histories, items=40)
    model = Als(AlsConfig(width=8))
    model.fit(log, np.zeros((40, 0), np.float32))
    first, second = np.array([histories[0]]), np.array([histories[1]])
    before = model.score(first)
    takers = list(range(0, 60, 2))
    model.update(log_of([[40]] * len(takers) + [[40, 3, 5]], items=41, names=[*takers, "new"]))
    assert model.score(first).shape == (1, 41)
    assert model.score(first)[0, 40] > 0.2 > 0.05 > model.score(second)[0, 40]
    assert np.corrcoef(model.score(first)[0, :40], before[0])[0, 1] > 0.99
    anew = Als(AlsConfig(width=8))
    anew.fit(log_of([[*h, 40] if u in takers else h for u, h in enumerate(histories)] + [[40, 3, 5]], items=41), NO_TEXT)
    assert np.corrcoef(model.score(first)[0], anew.score(first)[0])[0, 1] > 0.95


# BPR


def test_bpr_takes_the_step_of_the_paper():
    rng = np.random.default_rng(3)
    users, items = rng.standard_normal((2, 3)).astype(np.float32), rng.standard_normal((4, 3)).astype(np.float32)
    bias = np.array([0.1, -0.2, 0.3, 0.0], np.float32)
    w, h, g, b = users[1].copy(), items[2].copy(), items[0].copy(), bias.copy()
    apart = w @ (h - g) + b[2] - b[0]
    wrong = 1 / (1 + np.exp(apart))
    seen = np.array([0, 1, 3]), np.array([1, 2, 3])  # user 1 took 2 and 3
    given = np.array([1]), np.array([2]), np.array([[3, 2, 0]]), *seen, users, items, bias, np.float32(0.1), np.float32(0.01)
    loss = compiled(_descend)(*given)
    assert loss == pytest.approx(np.log1p(np.exp(-apart)), rel=1e-5)
    np.testing.assert_allclose(users[1], w + 0.1 * (wrong * (h - g) - 0.01 * w), rtol=1e-5)
    np.testing.assert_allclose(items[2], h + 0.1 * (wrong * w - 0.01 * h), rtol=1e-5)
    np.testing.assert_allclose(items[0], g + 0.1 * (-wrong * w - 0.01 * g), rtol=1e-5)
    np.testing.assert_allclose(
        bias[[2, 0]], [b[2] + 0.1 * (wrong - 0.01 * b[2]), b[0] - 0.1 * (wrong + 0.01 * b[0])], rtol=1e-5
    )
    assert _descend(np.array([0]), np.array([1]), np.array([[1, 1]]), *given[3:]) == 0, "all draws were his own"


def test_bpr_learns_and_places_somebody_new():
    losses = []
    model = Bpr(BprConfig(width=8, epochs=30), lambda number, metrics: losses.append(metrics["loss"]))
    model.fit(log_of(groups(), items=41), np.zeros((41, 0), np.float32))
    assert losses[-1] < losses[0] / 3
    for start in (0, 20):
        scores = model.score(np.array([[start + 2, start + 9, start + 4]]))[0]
        own = np.isin(np.arange(41), np.arange(start, start + 20))
        assert scores[own].min() > scores[~own].max()


def test_bpr_stops_by_held_out_events():
    model = Bpr(BprConfig(width=8, epochs=12, patience=3))
    model.fit(log_of(groups(each=12), items=40), np.zeros((40, 0), np.float32))
    assert 1 <= model.best_epoch <= 12


# Everybody's best


def test_the_best_of_everybody_are_the_best_of_each():
    log = log_of(groups(users=31), items=40)
    model = Als(AlsConfig(width=8))
    model.fit(log, np.zeros((40, 0), np.float32))
    found = top_unseen(model.score, log, 5, batch=7)
    for user in range(31):
        scores = model.score(log.history(user)[None])[0]
        scores[log.history(user)] = -np.inf
        assert found[user].tolist() == top(scores, 5).tolist()
    np.testing.assert_array_equal(top_unseen(model.score, log, 5, batch=4, threads=3), found)
    np.testing.assert_array_equal(top_unseen(model.score, log, 5, np.array([30, 2])), found[[30, 2]])


def test_of_equal_scores_the_first_item_wins_and_the_seen_never():
    log = log_of([[0, 2], [], [1, 3, 4, 5]], items=6)
    flat = lambda histories: np.tile(np.array([1, 2, 2, 2, 1, 1], np.float32), (len(histories), 1))
    assert top_unseen(flat, log, 4).tolist() == [[1, 3, 4, 5], [1, 2, 3, 0], [2, 0, -1, -1]]
    assert top_unseen(flat, log, 99).shape == (3, 6) and top_unseen(flat, log, 0).shape == (3, 0)
    assert top_unseen(flat, log, 4, np.zeros(0, np.int64)).shape == (0, 4)


# Odds and ends


@pytest.mark.parametrize(
    "settings",
    [
        lambda: UserKNNConfig(neighbours=0),
        lambda: MODELS["user-knn"].config(weighting="jaccard"),
        lambda: UserKNNConfig(power=0),
        lambda: MODELS["item-knn"].config(weighting="okapi"),
        lambda: MODELS["content"].config(pool="sum"),
        lambda: ContentConfig(whiten=2),
        lambda: SlimConfig(l2=0),
        lambda: SlimConfig(l1=float("nan")),
        lambda: AlsConfig(penalty=0),
        lambda: AlsConfig(by_count=1.5),
        lambda: AlsConfig(width=0),
        lambda: BprConfig(learning_rate=0),
        lambda: BprConfig(epochs=0),
    ],
)
def test_settings_that_cannot_work_are_refused_when_made(settings):
    with pytest.raises(ConfigError):
        settings()


def test_a_loop_without_numba_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtra, match=r"numba.*longgame\[factors\]"):
        compiled(lambda: 0)


def test_a_look_at_the_table_compiles_and_loads_nothing():
    code = """
import sys
from longgame.models import MODELS
for name in ("user-knn", "content", "slim", "als", "bpr"):
    MODELS[name].config()
print([m for m in ("torch", "numba", "scipy", "implicit") if m in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
