"""Several critics, pushed states and clipped rewards: by hand, and what they are for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longgame.algorithms.committee import Committee, CommitteeConfig
from longgame.algorithms.critic import Pace
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.linucb import LinUcb, LinUcbConfig
from longgame.algorithms.ppo import Ppo, PpoConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.robust import Clipped, cautious, clipped, pushed, some_rows
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.simulation import Environment, Training, train
from longgame.simulation.interest_evolution import InterestEvolution, InterestEvolutionConfig
from longgame.slate import replay_allowed
from tests.kit import B, D, F, batch

TOWERS = TowersConfig(D, F, hidden=8)


def test_clipped_rewards_by_hand():
    rows = batch(1)
    rows = replace(rows, reward=rows.reward * 4 - 2, future=np.array([9, -9, 0.1, 9, 9, 9], np.float32), between=0.5)
    got = clipped(rows, 0.7)
    np.testing.assert_array_equal(got.reward, np.clip(rows.reward, -0.7, 0.7))
    assert got.future is rows.future and got.between is rows.between, "sums are clipped where they are added up"
    assert got.action is rows.action and rows.reward.max() > 0.7, "the rows that came are as they were"


def test_a_push_by_hand():
    """The loss 3 a - 4 b rises along (3, -4) / 5: a vector of length 13 goes a tenth of that; one without a say stays."""
    user = torch.tensor([[5.0, 12.0], [1.0, 1.0]], requires_grad=True)
    loss = 3 * user[0, 0] - 4 * user[0, 1]
    got = pushed(user, loss, 0.1)
    np.testing.assert_allclose(got.detach(), [[5 + 1.3 * 0.6, 12 - 1.3 * 0.8], [1.0, 1.0]], rtol=1e-5)
    got.sum().backward()
    np.testing.assert_array_equal(user.grad, np.ones((2, 2)))  # the push itself is a constant


def test_what_critics_agree_on_by_hand():
    worth = np.array([[[1.0, 4.0]], [[3.0, 4.0]]], np.float32)
    np.testing.assert_allclose(cautious(worth, 0.5), [[2 - 0.5, 4.0]])
    np.testing.assert_allclose(cautious(worth, 0.0), [[2.0, 4.0]])


def test_rows_that_say_nothing():
    rows, keep = batch(2), np.arange(B) % 2 == 0
    got = some_rows(rows, keep)
    assert (got.action[~keep] == -1).all() and not got.reward[~keep].any() and (got.propensity[~keep] == 1).all()
    for name in ("action", "reward", "propensity", "response"):
        np.testing.assert_array_equal(getattr(got, name)[keep], getattr(rows, name)[keep])


def test_one_critic_is_dqn():
    one, two = Committee(CommitteeConfig(DqnConfig(TOWERS), 1)), Dqn(DqnConfig(TOWERS))
    for seed in range(3):
        assert one.update(batch(seed)) == two.update(batch(seed))
    rows = batch(9, whole=True)
    got, wanted = (made.policy.score(rows.state, rows.items, rows.mask) for made in (one, two))
    np.testing.assert_allclose(got - got[:, :1], wanted - wanted[:, :1], atol=1e-5)  # but for what dueling takes off


def test_what_dueling_takes_off_is_no_disagreement():
    """A number that a critic adds to all items alike, which its values do not have, does not part it from the others."""
    made = Committee(CommitteeConfig(DqnConfig(TOWERS), 3, 2.0))
    rows = batch(9, whole=True)
    before = made.policy.score(rows.state, rows.items, rows.mask)
    with torch.no_grad():
        for name, weight in made._critics[1].learned.target.named_parameters():
            if name == "appeal.bias":
                weight.add_(5.0)
    np.testing.assert_allclose(made.policy.score(rows.state, rows.items, rows.mask), before, atol=1e-5)


@pytest.mark.parametrize("critics", [2, 5])
def test_every_row_has_an_error(critics):
    """A replay by priority would bury a row whose error is 0 because nobody looked at it."""
    made = Committee(CommitteeConfig(DqnConfig(TOWERS), critics))
    halves = made._halves(4000)
    share = 0.5 + 0.5**critics / critics  # its own half, and its part of what nobody drew
    assert halves.any(axis=0).all()
    np.testing.assert_allclose(halves.mean(axis=1), share, atol=0.04)
    rows = batch(1, 48, whole=True)
    made.update(rows)
    assert (made.errors > 0).all() and len(made.errors) == 48
    assert (made._halves(4000) != halves).any(), "drawn anew"


def shelf(seed: int, shown: tuple[float, ...], b: int = 64) -> Batch:
    """Four items, shown with these chances, of which the first brings a half, the second 1 and the others nothing."""
    rng = np.random.default_rng(seed)
    items, mask = np.broadcast_to(np.eye(4, dtype=np.float32), (b, 4, 4)), np.ones((b, 4), np.bool_)
    action = rng.choice(4, size=(b, 1), p=shown)
    reward = np.array([0.5, 1.0, 0.0, 0.0], np.float32)[action]
    state, none = (
        State(np.zeros((b, 1, 4), np.float32), np.full((b, 1), -1), np.zeros((b, 0), np.float32)),
        np.zeros(b, np.float32),
    )
    return Batch(
        state, items, mask, replay_allowed(mask, action), action, np.full((b, 1), 0.25), reward, reward > 0, none, none,
        state, items, mask,
    )  # fmt: skip


def test_critics_differ_where_nobody_has_seen_anything_and_caution_stays_away():
    """Items 2 and 3 were never shown: what critics say of them is what they began with."""
    network = TowersConfig(4, 0, hidden=8)
    made = {c: Committee(CommitteeConfig(DqnConfig(network, Pace(2e-2, follow=0.5), dueling=False), 5, c)) for c in (0.0, 3.0)}
    for seed in range(120):
        for one in made.values():
            one.update(shelf(seed, (0.5, 0.5, 0.0, 0.0)))
    rows = shelf(0, (1.0, 0.0, 0.0, 0.0), 1)
    plain, careful = (one.policy.score(rows.state, rows.items, rows.mask)[0] for one in made.values())
    np.testing.assert_allclose(plain[:2], [0.5, 1.0], atol=0.1)
    np.testing.assert_allclose(careful[:2], plain[:2], atol=0.1)
    assert (plain[2:] - careful[2:] > 3 * (plain[:2] - careful[:2]).max()).all(), (plain, careful)
    assert careful.argmax() == 1


def test_forged_rewards_move_a_clipped_learner_little():
    """Half of what item 0 brought is forged to be 100; Huber's loss alone is led to 1.5, clipped at 1 it is .75 beside 1."""
    made = Dqn(DqnConfig(TowersConfig(4, 0, hidden=8), Pace(2e-2, follow=0.5), dueling=False))
    held = Clipped(Dqn(made.config), 1.0)
    for seed in range(200):
        rows = shelf(seed, (0.25, 0.25, 0.25, 0.25))
        forged = (rows.action == 0) & (np.arange(len(rows))[:, None] % 2 == 0)
        rows = replace(rows, reward=np.where(forged, np.float32(100), rows.reward))
        made.update(rows)
        held.update(rows)
    few = shelf(0, (1.0, 0.0, 0.0, 0.0), 1)
    led, kept = (one.policy.score(few.state, few.items, few.mask)[0] for one in (made, held))
    assert led.argmax() == 0 and kept.argmax() == 1, (led, kept)


def test_a_pushed_learner_s_values_depend_less_on_small_moves():
    """Of the user's vector: how far the worst push moves a value, for one of its own length."""
    far = {}
    for push in (0.0, 0.1):
        network = TowersConfig(D, F, hidden=16)
        made = Dqn(DqnConfig(network, Pace(1e-2, follow=0.5), dueling=False, push=push, seed=1))
        for seed in range(200):
            rows = batch(seed % 8, 48)
            made.update(replace(rows, discount=rows.discount * 0))
        slow, rows = made.learned.target, batch(3, 48, whole=True)
        user = slow.user(rows.state).detach().requires_grad_()
        (slope,) = torch.autograd.grad(slow.score(user, torch.from_numpy(rows.items))[:, 0].sum(), user)
        far[push] = float((slope.norm(dim=1) * user.norm(dim=1)).mean().detach())
    assert far[0.1] < 0.6 * far[0.0], far


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: CommitteeConfig(DqnConfig(TOWERS), 0), "CommitteeConfig"),
        (lambda: CommitteeConfig(DqnConfig(TOWERS), 2, -1.0), "CommitteeConfig"),
        (lambda: DqnConfig(TOWERS, push=-0.1), "DqnConfig"),
        (lambda: Clipped(Dqn(DqnConfig(TOWERS)), 0.0), "Clipped"),
    ],
)
def test_what_cannot_be_is_refused(make, match):
    with pytest.raises(ConfigError, match=match):
        make()


def test_who_learns_from_clipped_rewards_still_says_what_it_is():
    """An algorithm that counts is told of each row once, and one that is on-policy lives so, whatever their rewards are."""
    assert Clipped(LinUcb(LinUcbConfig(D, F)), 1.0).counts
    made = Ppo(PpoConfig(TOWERS))
    assert Clipped(made, 1.0).lives_by == made.lives_by
    assert not hasattr(Clipped(made, 1.0), "counts")


def test_days_that_a_replay_adds_up_are_clipped_one_by_one():
    """Minutes watched come to 4 a video; at a limit of .5 four slates of two slots are worth 3 at most, not 24."""
    world = Environment(InterestEvolution(InterestEvolutionConfig(16, 5)), 2)
    met = []

    class Told:
        policy = RankPolicy(0.0)
        clips_rewards = 0.5

        def update(self, batch):
            met.append(batch)
            return {}

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    train(world, Told(), Training(steps=400, warm=100, every=50, ahead=4), 0)
    most = max(float(batch.between.max()) for batch in met)
    assert 0.5 < most <= 3 and max(float(batch.reward.max()) for batch in met) == 0.5
