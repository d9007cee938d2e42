"""Professor forcing: the discriminator learns, the model's term is its formula, and a weight of 0 is open loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tests.makers import make_frame
from tests.reference import roll
from tsforce import NARXForecaster
from tsforce.data.frame import read_panel
from tsforce.data.transforms import Standardize
from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import ClosedLoop, OpenLoop
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.forcing import ProfessorForcing, RollOutLength, StepWeights
from tsforce.training.by_gradient import Phase, fit_by_gradient
from tsforce.training.history import History
from tsforce.training.problem import Problem
from tsforce.training.solvers.gradient import Settings
from tsforce.training.solvers.professor import Professor

G, B, L, H, LAGS = 2, 6, 5, 4, 5
KEYS = torch.tensor([3, 4])
LAYOUT = LagLayout((1, 3))
# Heard whatever its accuracy, and never learning: a fixed critic.
FIXED = ProfessorForcing(low=0.0, high=0.0)


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PAST, FUTURE = draw(G, B, L, 1), draw(G, B, H, 1, seed=1)
KNOWN = torch.ones_like(FUTURE, dtype=torch.bool)


def model(weight=None):
    weight = 0.5 * draw(G, 2, 1, seed=2) if weight is None else weight
    made = Linear(LAYOUT, weight.detach(), draw(G, 1, seed=3))
    del made.weight
    made.weight = weight
    return made


def professor(policy=FIXED, horizon=H, keys=KEYS):
    return Professor(policy, keys, horizon, 1, torch.float64)


def term(policy, weight=None, known=KNOWN, made=None, keep=slice(None)):
    own = model(weight)
    past, future, known = PAST[:, keep], FUTURE[:, keep], known[:, keep]
    forced, _ = rollout(own, past, H, policy, future=future, future_mask=known)
    return (made or professor(policy)).term(own, past, forced, known)


def test_the_term_is_its_formula():
    """Every window by hand: both roll-outs, their scale, three layers, and the logarithm of being taken for forced."""
    for both in (False, True):
        policy = ProfessorForcing(weight=0.7, both=both, low=0.0, high=0.0)
        made, own = professor(policy), model()
        got = term(policy, made=made)
        for g in range(G):
            seen = {"forced": [], "free": []}
            for b in range(B):
                past, future = PAST[g, b, :, 0].tolist(), FUTURE[g, b, :, 0].tolist()
                weight = [own.weight[g, 0, 0].item(), 0.0, own.weight[g, 1, 0].item()]
                for kind, share in (("forced", [1] * H), ("free", [0] * H)):
                    seen[kind].append(roll(weight, own.bias[g, 0].item(), past, H, future, share) - past[-1])
            size = np.sqrt(np.mean(np.square(seen["forced"])))

            def logit(window, g=g, size=size, layers=made.layers):
                x = window / size
                for number, (weight, bias) in enumerate(layers):
                    x = np.maximum(x, 0) if number else x
                    x = x @ weight[g].detach().numpy() + bias[g, 0].detach().numpy()
                return x[0]

            right = [logit(w) > 0 for w in seen["forced"]] + [logit(w) <= 0 for w in seen["free"]]
            assert made.accuracy[g].item() == pytest.approx(np.mean(right))
            wanted = np.mean([np.log1p(np.exp(-logit(w))) for w in seen["free"]])
            if both:
                wanted += np.mean([np.log1p(np.exp(logit(w))) for w in seen["forced"]])
            assert got[g].item() == pytest.approx(0.7 * wanted, rel=1e-9)


@pytest.mark.parametrize("both", [False, True])
def test_its_gradient_matches_finite_differences(both):
    """The scale of the forced outputs is a number, not a path for gradient."""
    policy = ProfessorForcing(both=both, low=0.0, high=0.0)
    weight = (0.5 * draw(G, 2, 1, seed=2)).requires_grad_()
    made = professor(policy)
    term(policy, weight, made=made).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in made.parameters)
    forced, _ = rollout(model(), PAST, H, OpenLoop(), future=FUTURE)
    size = (forced - PAST[:, :, -1:]).pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt().detach()

    def value(w):
        own = model(w)
        forced, _ = rollout(own, PAST, H, OpenLoop(), future=FUTURE)
        free, _ = rollout(own, PAST, H, ClosedLoop())
        yes, no = (made.logits(made.windows(z, PAST, size)) for z in (forced, free))
        total = torch.nn.functional.softplus(-no).mean(dim=1)
        return (total + torch.nn.functional.softplus(yes).mean(dim=1) * both).sum().item()

    for g in range(G):
        for d in range(2):
            step = torch.zeros(G, 2, 1, dtype=torch.float64)
            step[g, d] = 1e-6
            at = weight.detach()
            by_difference = (value(at + step) - value(at - step)) / 2e-6
            assert weight.grad[g, d, 0].item() == pytest.approx(by_difference, rel=1e-5, abs=1e-7)


def test_the_discriminator_learns_to_tell_fixed_roll_outs_apart():
    """One group's two kinds differ in how rough they are; the other's are the same, and stay at chance."""
    made = professor(ProfessorForcing(learning_rate=0.01))
    forced, free = draw(G, 200, H), 0.2 * draw(G, 200, 1, seed=1).expand(-1, -1, H)
    free = torch.stack([free[0], forced[1]])
    counts = torch.ones(G, 200, dtype=torch.bool)
    made.learn(forced, free, counts)
    assert abs(made.accuracy[0].item() - 0.5) < 0.2
    for _ in range(300):
        made.learn(forced, free, counts)
    assert made.accuracy[0].item() > 0.9
    assert made.accuracy[1].item() == 0.5
    fresh = draw(G, 200, H, seed=8), 0.2 * draw(G, 200, 1, seed=9).expand(-1, -1, H)
    told = (made.logits(fresh[0])[0] > 0).double().mean() + (made.logits(fresh[1])[0] <= 0).double().mean()
    assert told.item() / 2 > 0.85


def test_each_learns_only_while_the_other_is_worth_it():
    """The model listens above `low`, the discriminator learns below `high`, each group by its own accuracy."""
    forced, free = draw(G, 50, H) + 9, draw(G, 50, H, seed=1) - 9
    free = torch.stack([free[0], forced[1]])  # the second group cannot be told apart
    counts = torch.ones(G, 50, dtype=torch.bool)
    made = professor(ProfessorForcing(high=0.9))
    for _ in range(200):
        made.learn(forced, free, counts)
    assert made.accuracy[0] >= 0.9
    before = [p.detach().clone() for p in made.parameters]
    made.learn(forced, free, counts)
    for p, old in zip(made.parameters, before, strict=True):
        assert torch.equal(p[0], old[0])
    assert any(not torch.equal(p[1], old[1]) for p, old in zip(made.parameters, before, strict=True))
    # H = 1: both kinds are one and the same, and there is nothing to hear.
    past, future, known = PAST, FUTURE[:, :, :1], KNOWN[:, :, :1]
    out, _ = rollout(model(), past, 1, OpenLoop(), future=future)
    own = professor(ProfessorForcing(low=0.5), horizon=1)
    assert own.term(model(), past, out, known).tolist() == [0, 0]
    assert own.accuracy.tolist() == [0.5, 0.5]


def test_a_window_that_lacks_a_target_is_not_shown():
    known = KNOWN.clone()
    known[:, 4:, 1] = False
    torch.testing.assert_close(term(FIXED, known=known), term(FIXED, keep=slice(0, 4)), rtol=1e-12, atol=0)
    none = professor(FIXED)
    assert term(FIXED, known=torch.zeros_like(KNOWN), made=none).tolist() == [0, 0]
    assert none.accuracy.tolist() == [0, 0]


def test_a_group_does_not_depend_on_its_neighbours():
    policy = ProfessorForcing(low=0.0)
    both, alone = professor(policy), professor(policy, keys=KEYS[1:])
    own = model()
    part = Linear(LAYOUT, own.weight[1:], own.bias[1:])
    for seed in range(5):
        past, future = draw(G, B, L, 1, seed=10 + seed), draw(G, B, H, 1, seed=20 + seed)
        results = []
        for made, group, rows in ((both, own, slice(None)), (alone, part, slice(1, 2))):
            forced, _ = rollout(group, past[rows], H, OpenLoop(), future=future[rows])
            results.append(made.term(group, past[rows], forced, KNOWN[rows]))
        torch.testing.assert_close(results[0][1:], results[1], rtol=1e-10, atol=1e-12)


# ---- in training

SETTINGS = Settings(max_steps=20, batch_size=6, learning_rate=0.01, looks=5)


def problem(lengths=(60, 45, 80), *, pooled=False):
    panel = read_panel(make_frame(lengths))
    layout = LagLayout(tuple(range(1, LAGS + 1)))
    return Problem(panel, (Standardize(),), None, LAGS, layout, H, 7, pooled, True, torch.device("cpu"))


def mlp(start, keys):
    return Perceptron(start.layout, (8, 8), start, keys, dtype=torch.float64)


def fit(p, forcing, *, history=None, settings=SETTINGS):
    return fit_by_gradient(
        p, np.full(p.panel.n_series, 1.0), mlp, [Phase(forcing, settings)], n_validation=2, random_state=0,
        history=history or History("test"),
    )  # fmt: skip


def weights(fitted):
    return torch.cat([p.detach().flatten(start_dim=1) for p in fitted.model.parameters()], dim=1)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_weight_of_zero_is_open_loop_to_the_bit(pooled):
    p = problem(pooled=pooled)
    assert torch.equal(weights(fit(p, ProfessorForcing(weight=0))), weights(fit(p, OpenLoop())))


def test_a_discriminator_that_is_never_heard_is_open_loop_to_the_bit():
    p, history = problem(), History("x")
    unheard = fit(p, ProfessorForcing(low=1.0), history=history)
    assert torch.equal(weights(unheard), weights(fit(p, OpenLoop())))
    assert "the model learnt from it in 0% of the batches" in history.notes[-1]


@pytest.mark.parametrize("space", ["model", "level"])
@pytest.mark.slow
def test_series_together_equal_each_alone_and_runs_repeat(space):
    p, forcing = problem(), ProfessorForcing(low=0.4)
    settings = Settings(max_steps=20, batch_size=6, learning_rate=0.01, looks=5, loss_space=space)
    together = fit(p, forcing, settings=settings)
    assert torch.equal(weights(together), weights(fit(p, forcing, settings=settings)))
    assert not torch.equal(weights(together), weights(fit(p, OpenLoop(), settings=settings)))
    for i in range(3):
        alone = fit(p.take(np.array([i])), forcing, settings=settings)
        torch.testing.assert_close(weights(together)[i : i + 1], weights(alone), rtol=1e-8, atol=1e-9)
        assert (together.steps[:, i] == alone.steps[:, 0]).all()


@pytest.mark.parametrize("around", [RollOutLength, StepWeights])
def test_it_goes_on_inside_another_policy(around):
    p, history = problem(pooled=True), History("x")
    inside = fit(p, around(ProfessorForcing(low=0.0)), history=history)
    assert not torch.equal(weights(inside), weights(fit(p, around(OpenLoop()))))
    assert any(note.startswith("professor forcing, run 'choose'") for note in history.notes)


@pytest.mark.slow
def test_the_adversary_alone_teaches_a_damped_oscillator_to_go_on():
    """No one-step loss at all: what is fed truth swings on, free running dies away, until the two look alike."""
    layout = LagLayout((1, 2))
    weight = (0.9 * torch.tensor([[[-1.0], [2 * np.cos(0.5)]]], dtype=torch.float64)).requires_grad_()
    made = Linear(layout, weight.detach(), torch.zeros(1, 1, dtype=torch.float64))
    del made.weight
    made.weight = weight
    adversary = Professor(ProfessorForcing(), torch.tensor([1]), 12, 1, torch.float64)
    optimiser = torch.optim.Adam([weight], lr=1e-3)

    def windows(seed, count=64):
        phase = 6.3 * uniform(torch.tensor([seed]), (0,), count)[..., None]
        y = torch.sin(0.5 * torch.arange(14) + phase)[..., None]
        return y[:, :, :2], y[:, :, 2:]

    def error():
        past, future = windows(-1, 500)
        return (rollout(made, past, 12, ClosedLoop())[0] - future).abs().mean().item()

    start = error()
    for seed in range(400):
        past, future = windows(seed)
        forced, _ = rollout(made, past, 12, OpenLoop(), future=future)
        optimiser.zero_grad()
        adversary.term(made, past, forced, torch.ones_like(future, dtype=torch.bool)).sum().backward()
        optimiser.step()
    assert start > 0.3
    assert error() < 0.3 * start


@pytest.mark.slow
def test_the_term_is_in_units_of_the_loss():
    """It adds the same share to a loss of any size."""
    shares, losses = [], []
    for loss in ("mae", "mse"):
        plain, heard = History("plain"), History("heard")
        settings = Settings(max_steps=1, batch_size=6, learning_rate=1e-12, looks=1, loss=loss)
        fit(problem((60,)), OpenLoop(), history=plain, settings=settings)
        fit(problem((60,)), FIXED, history=heard, settings=settings)
        without, with_term = (next(r.loss for r in h.records if np.isfinite(r.loss)) for h in (plain, heard))
        shares.append(with_term / without)
        losses.append(without)
    assert losses[1] < 0.9 * losses[0]
    assert shares[0] > 1.01
    assert shares[1] == pytest.approx(shares[0], rel=1e-6)


def test_a_regressor_is_refused():
    with pytest.raises(
        ArgumentError, match="a regressor that is fitted on rows does not have; use a model with a gradient"
    ):
        NARXForecaster(4, 5, model=Ridge(), season_length=7, mode=ProfessorForcing()).fit(make_frame())
