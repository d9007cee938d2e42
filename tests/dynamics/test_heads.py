"""Heads: likelihoods, scores and draws against scipy; gradients; what a model with a head starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from tsforce.dynamics.forcing import ClosedLoop, OpenLoop
from tsforce.dynamics.heads import HEADS
from tsforce.dynamics.heads.base import Sample
from tsforce.dynamics.heads.gaussian import Gaussian
from tsforce.dynamics.heads.headed import headed
from tsforce.dynamics.heads.joint_draws import correlated, mixing_of, polar, ranks
from tsforce.dynamics.heads.negative_binomial import NegativeBinomial
from tsforce.dynamics.heads.quantised import NOTHING, Quantised
from tsforce.dynamics.heads.student_t import StudentT
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import GRU, MLP
from tsforce.dynamics.models.families import Linear as LinearFamily
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.poisson_mixture import gamma_quantile, negative_binomial_draw, poisson_quantile
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError

RAW, Y = np.random.default_rng(0).normal(size=(40, 1, 3)), 3 * np.random.default_rng(1).normal(size=(40, 1))
TABLE = torch.full((1, 1, 1), 0.7, dtype=torch.float64)
ALONE = torch.ones(1, 1, 1, dtype=torch.float64)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def laws(head, raw=RAW):
    return head.law(torch.from_numpy(raw[..., : head.n_raw]), TABLE)


def scipy_law(head, law):
    p = law[:, 0].numpy().T
    return stats.norm(p[0], p[1]) if head == Gaussian() else stats.t(p[2], p[0], p[1])


@pytest.mark.parametrize("head", [Gaussian(), StudentT()])
def test_likelihood_and_score_are_those_of_scipy_and_of_the_integral(head):
    law, y = laws(head), torch.from_numpy(Y)
    np.testing.assert_allclose(head.nll(law, y, TABLE)[:, 0], -scipy_law(head, law).logpdf(Y[:, 0]), rtol=1e-10)
    for k in range(6):
        own = scipy_law(head, law[k : k + 1])
        below = integrate.quad(lambda x, own=own: own.cdf(x)[0] ** 2, -np.inf, Y[k, 0])[0]
        above = integrate.quad(lambda x, own=own: own.sf(x)[0] ** 2, Y[k, 0], np.inf)[0]
        assert head.crps(law, y, TABLE)[k, 0].item() == pytest.approx(below + above, rel=1e-6)


def test_the_score_of_a_t_law_is_right_from_heavy_tails_to_nearly_normal_ones():
    z = np.array([-300.0, -5.0, -0.1, 0.0, 2.0, 40.0])
    for freedom in (2.01, 3.0, 30.0, 1e4):
        law = torch.tensor([[0.0, 1.0, freedom]], dtype=torch.float64).expand(6, 3)
        own = stats.t(freedom)
        inside = z * (2 * own.cdf(z) - 1) + 2 * own.pdf(z) * (freedom + z**2) / (freedom - 1)
        ratio = np.exp(special.betaln(0.5, freedom - 0.5) - 2 * special.betaln(0.5, freedom / 2))
        want = inside - 2 * freedom**0.5 / (freedom - 1) * ratio
        np.testing.assert_allclose(StudentT().crps(law, torch.from_numpy(z), TABLE), want, rtol=1e-7)


def test_the_likelihood_of_counts_is_scipys_in_their_own_units(rng):
    raw, unit = RAW[..., :2] * 0.3 + 1, torch.full((40, 1), 12.0, dtype=torch.float64)
    head, counts = NegativeBinomial(), rng.integers(0, 60, size=(40, 1))
    law = head.law(torch.from_numpy(raw), TABLE)
    mean, shape = (part.numpy() for part in law.unbind(dim=-1))
    want = stats.nbinom(1 / shape, 1 / (1 + 12 * mean * shape)).logpmf(counts)
    np.testing.assert_allclose(-head.nll(law, torch.from_numpy(counts / 12), TABLE, unit), want, rtol=1e-9)
    # The mean is the point: that of least squares, but near 0 and below, where it stays positive.
    np.testing.assert_allclose(mean[raw[..., 0] > 0.5], raw[raw[..., 0] > 0.5][:, 0], rtol=1e-5)
    far = head.law(torch.tensor([[[-3.0, 0.0]], [[90.0, 0.0]]]), TABLE.float())[..., 0].flatten()
    assert far[0] > 0
    assert far[1].item() == pytest.approx(90)


def test_cross_entropy_is_that_of_the_bin_a_value_falls_into():
    head = Quantised(n_bins=4)
    sample = Sample(*(torch.zeros(1, 2, 1).double(),) * 3, torch.tensor([1.0, 1, 2, 5, np.nan]).double().view(1, 5, 1))
    _, table = head.begin(Linear(LagLayout((1,)), torch.ones(1, 1, 1).double(), torch.zeros(1, 1).double()), sample)
    assert table[0, 0, :4].tolist() == [1, 2, 5, 5]
    y = torch.tensor([[0.0], [1.4], [1.6], [3.4], [3.6], [99.0]]).double()
    assert head.token(y, table[0]).flatten().tolist() == [0, 0, 1, 1, 2, 2]
    law = head.law(torch.tensor([[0.0, 1.0, 2.0, -1e4]]).double().expand(6, 1, 4), table[0])
    p = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(head.nll(law, y, table[0])[:, 0], -np.log(p[[0, 0, 1, 1, 2, 2]]), rtol=1e-12)
    assert law[0, 0, 0].item() == pytest.approx(p @ [1, 2, 5])
    assert law[0, 0, -1] < NOTHING


def test_the_score_of_bins_is_that_of_their_values_weighted(rng):
    head, centres, weight = Quantised(n_bins=4), np.array([-1.0, 0.0, 2.5]), np.array([0.2, 0.5, 0.3])
    table = torch.tensor([[[-1.0, 0.0, 2.5, 2.5, -0.5, 1.0, np.inf]]]).double()
    logs = torch.from_numpy(np.append(np.log(weight), -1e4)).expand(40, 1, 4)
    far = np.abs(centres - Y) @ weight - 0.5 * weight @ np.abs(centres[:, None] - centres) @ weight
    np.testing.assert_allclose(head.crps(head.law(logs, table), torch.from_numpy(Y), table)[:, 0], far, rtol=1e-12)


@pytest.mark.parametrize(
    ("mean", "shape"), [(0.05, 4.0), (0.5, 0.001), (3.0, 0.5), (20.0, 0.1), (1000.0, 1.0), (3e4, 0.2)]
)
def test_the_score_of_counts_is_the_sum_over_them_in_model_units(mean, shape):
    own = stats.nbinom(1 / shape, 1 / (1 + mean * shape))
    counts = np.array([0.0, *own.ppf([0.1, 0.5, 0.9]), 2 * own.ppf(0.9999) + 1])
    k = np.arange(2 * counts[-1] + 100)
    want = ((own.cdf(k) - (k >= counts[:, None])) ** 2).sum(axis=1)
    law, unit = torch.tensor([[[mean / 7, shape]]]).double().expand(5, 1, 2), torch.full((5, 1), 7.0).double()
    found = NegativeBinomial().crps(law, torch.from_numpy(counts[:, None] / 7), TABLE, unit)[:, 0]
    # One by one near 0, else in stretches.
    np.testing.assert_allclose(7 * found, want, rtol=1e-2 if mean > 100 else 1e-4)


def test_scores_of_counts_of_all_sizes_at_once_are_those_of_each_alone(rng):
    # Laws that lie within 10 to 10,000 counts, which are summed together with those of about their width.
    mean, shape = np.exp(rng.uniform(-2, 6, size=60)), np.exp(rng.uniform(-4, 0.5, size=60))
    law = torch.from_numpy(np.stack([mean, shape], axis=-1))[:, None].requires_grad_()
    y, unit = torch.from_numpy(rng.poisson(mean).astype(float))[:, None], torch.ones(60, 1).double()
    head, other = NegativeBinomial(), law.detach().flip(0)
    together = head.crps(law, y, TABLE, unit, other)
    slope = torch.autograd.grad(together.sum(), law)[0]
    for k in range(60):
        one = law[k : k + 1].detach().requires_grad_()
        alone = head.crps(one, y[k : k + 1], TABLE, unit[k : k + 1], other[k : k + 1])
        assert together[k].item() == pytest.approx(alone.item(), rel=1e-12)
        np.testing.assert_allclose(slope[k], torch.autograd.grad(alone.sum(), one)[0][0], rtol=1e-9, atol=1e-12)


def test_the_score_of_counts_is_that_of_scoringrules():
    # crps_negbinom(y, 1 / shape, 1 / (1 + mean shape)) of scoringrules 0.10.0.
    y, mean, shape, want = np.array([
        [0, 3, 0.5, 1.564453125], [2, 3, 0.5, 0.588453125], [7, 3, 0.5, 2.967560965],
        [25, 20, 0.1, 3.4012813830244912], [900, 1000, 1, 213.2551955865377],
    ]).T  # fmt: skip
    law, unit = torch.from_numpy(np.stack([mean, shape], axis=-1))[:, None], torch.ones(5, 1).double()
    found = NegativeBinomial().crps(law, torch.from_numpy(y[:, None]), TABLE, unit)[:, 0]
    np.testing.assert_allclose(found, want, rtol=1e-3)


@pytest.mark.parametrize("head", [Quantised(n_bins=3), NegativeBinomial()])
def test_scores_of_two_laws_are_on_average_that_of_their_mixture(head):
    table = torch.tensor([[[0.0, 1.0, 4.0, 0.5, 2.0]]]).double() if head.name == "quantised" else TABLE
    law = head.law(torch.from_numpy(RAW[:2, :, : head.n_raw]), table)
    y, unit = torch.tensor([[2.0]]).double(), torch.ones(1, 1).double()
    each = [head.crps(law[i : i + 1], y, table, unit, law[j : j + 1]).item() for i in (0, 1) for j in (0, 1)]
    k = np.arange(200)
    if head.name == "quantised":
        inside = law[:, 0, 1:].exp().numpy().cumsum(axis=1)
        upto = inside[:, np.searchsorted([0.0, 1.0, 4.0], k, side="right").clip(max=3) - 1]
    else:
        mean, shape = (part[:, 0, None].numpy() for part in law.unbind(dim=-1))
        upto = stats.nbinom(1 / shape, 1 / (1 + mean * shape)).cdf(k)
    assert np.mean(each) == pytest.approx(((upto.mean(axis=0) - (k >= 2)) ** 2).sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["quantised", "negative_binomial"])
def test_draws_that_jump_carry_the_gradient_of_their_mean(name, rng):
    head, raw = HEADS[name], torch.from_numpy(rng.normal(size=(1, 6, 1, HEADS[name].n_raw))).requires_grad_()
    table = torch.from_numpy(np.sort(rng.normal(size=(1, 1, 127)))) if name == "quantised" else TABLE
    model = headed(start(rng, groups=1), head, table, ALONE)
    draws = model.draws(torch.from_numpy(rng.uniform(size=(1, 6, 3, 1, 2))), torch.ones(1, 6, 1, 1).double())
    law = head.law(raw, table)
    drawn = draws(1, law)
    torch.testing.assert_close(drawn.detach(), draws(1, law.detach()), rtol=0, atol=1e-12)
    (own,), (point,) = (torch.autograd.grad(y.sum(), raw, retain_graph=True) for y in (drawn, law[..., 0]))
    assert point.abs().max() > 0
    torch.testing.assert_close(own, point)


def test_bins_hold_equally_many_values_and_frequent_values_have_their_own(rng):
    values = torch.from_numpy(np.concatenate([np.zeros(500), rng.exponential(size=500)]))
    centres, edges, width = Quantised(n_bins=20)._bins(values)
    here = width > NOTHING
    token = Quantised(n_bins=20).token(values[:, None], torch.cat([centres, edges])[None])[:, 0]
    counts = torch.bincount(token, minlength=20)
    assert counts[0] == 500
    assert (counts[1 : int(here.sum())] - 50).abs().max() <= 1
    for k in range(int(here.sum())):
        assert centres[k].item() == pytest.approx(values[token == k].mean().item(), abs=1e-12)


@pytest.mark.parametrize("name", HEADS)
def test_gradients_of_every_loss_are_those_of_finite_differences(name, rng):
    head = Quantised(n_bins=3) if name == "quantised" else HEADS[name]
    table = torch.tensor([[[-1.0, 0.0, 2.0, -0.5, 1.0]]]).double() if name == "quantised" else TABLE
    raw, y = torch.from_numpy(RAW[:5, :, : head.n_raw].copy()).requires_grad_(), torch.from_numpy(Y[:5])
    unit = torch.full((5, 1), 3.0).double()
    y = (y.abs() * 3).round() / 3 if head.of_counts else y
    assert torch.autograd.gradcheck(lambda r: head.nll(head.law(r, table), y, table, unit), raw)
    assert torch.autograd.gradcheck(lambda r: head.crps(head.law(r, table), y, table, unit), raw)
    if head.smooth:
        u = torch.from_numpy(rng.uniform(size=(5, 1, 2)))
        assert torch.autograd.gradcheck(lambda r: head.draw(head.law(r, table), u, table), raw)
    else:
        other = raw.detach().flip(0).requires_grad_()

        def of_both(r, s):
            return head.crps(head.law(r, table), y, table, unit, head.law(s, table))

        assert torch.autograd.gradcheck(of_both, (raw, other))


def test_no_draw_of_a_t_law_has_a_gradient_that_is_no_number():
    law = torch.tensor([[0.0, 1.0, 5.0]], requires_grad=True)
    StudentT().draw(law, torch.zeros(1, 2), TABLE).sum().backward()
    assert law.grad.isfinite().all()


@pytest.mark.parametrize("head", [Gaussian(), StudentT()])
def test_draws_have_the_law(head, rng):
    law = torch.tensor([0.5, 2.0, 3.0][: head.n_raw]).double().expand(4000, 1, -1)
    drawn = head.draw(law, torch.from_numpy(rng.uniform(size=(4000, 1, 2))), TABLE)[:, 0].numpy()
    own = stats.norm(0.5, 2) if head == Gaussian() else stats.t(3, 0.5, 2)
    assert stats.kstest(drawn, own.cdf).pvalue > 0.01


def test_draws_of_bins_are_as_frequent_as_they_are_likely(rng):
    head, table = Quantised(n_bins=3), torch.tensor([[-1.0, 0.0, 2.0, -0.5, 1.0]]).double()
    law = head.law(torch.tensor([[0.0, 1.0, -1e4]]).double().expand(4000, 1, 3), table)
    drawn = head.draw(law, torch.from_numpy(rng.uniform(size=(4000, 1, 2))), table)
    assert (drawn == 0).double().mean().item() == pytest.approx(np.e / (1 + np.e), abs=0.025)
    assert set(drawn.unique().tolist()) == {-1.0, 0.0}


def test_counts_are_drawn_by_the_quantiles_of_scipy(rng):
    u = torch.from_numpy(rng.uniform(size=400))
    size = torch.from_numpy(10 ** rng.uniform(-1, 4, 400))
    np.testing.assert_allclose(gamma_quantile(size, u), stats.gamma(size.numpy()).ppf(u.numpy()), rtol=2e-6)
    rate = torch.from_numpy(10 ** rng.uniform(-3, 5, 400))
    np.testing.assert_array_equal(poisson_quantile(rate, u), stats.poisson(rate.numpy()).ppf(u.numpy()))
    # What runs away ends.
    assert poisson_quantile(*torch.tensor([np.inf, 0.5]).double()) > 1e14
    drawn = negative_binomial_draw(*torch.tensor([4.0, 0.5]).double(), torch.from_numpy(rng.uniform(size=(4000, 2))))
    bins = np.arange(13)
    seen = np.bincount(drawn.long().clamp(max=12).numpy(), minlength=13)
    own = stats.nbinom(2, 1 / 3)
    want = np.append(own.pmf(bins[:-1]), own.sf(11)) * 4000
    assert stats.chisquare(seen, want).pvalue > 0.01


def test_what_errors_have_in_common_is_found_from_ranks_of_whole_rows(rng):
    want = np.array([[1.0, 0.8, -0.5], [0.8, 1.0, -0.2], [-0.5, -0.2, 1.0]])
    errors = torch.from_numpy(rng.multivariate_normal(np.zeros(3), want, size=(2, 3000)))
    errors[1] = errors[1].sinh() * torch.tensor([1.0, 100.0, 1e-3])
    errors[0, :5, 1], errors[0, 7, 0] = np.nan, 1e6
    factor = mixing_of(errors)
    np.testing.assert_allclose(factor @ factor.mT, np.stack([want, want]), atol=0.05)
    one = mixing_of(errors[1:] * torch.tensor([1.0, 0.0, 1.0]))[0]
    assert (one @ one.T)[1].tolist() == [0, 1, 0]
    # Of nothing, or of one row, nothing is known.
    for few in (errors[:1, :5], errors[:1, 10:11]):
        assert mixing_of(few)[0].tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("way", [ranks, polar])
def test_numbers_that_go_together_are_uniform_each_and_draws_correlated(way, rng):
    numbers = torch.from_numpy(rng.uniform(size=(4000, 2, 2)))
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.6]]).double()
    drawn = way(correlated(numbers, factor))
    for c, part in np.ndindex(2, 2):
        assert stats.kstest(drawn[:, c, part].numpy(), "uniform").pvalue > 0.01
    assert abs(stats.spearmanr(drawn[:, 0, 0], drawn[:, 0, 1]).statistic) < 0.05
    normal = stats.norm.ppf(drawn[..., 0]) if way is ranks else Gaussian().draw(
        torch.tensor([0.0, 1.0]).double().expand(4000, 2, 2), drawn, TABLE
    ).numpy()  # fmt: skip
    assert np.corrcoef(normal.T)[0, 1] == pytest.approx(0.8, abs=0.03)
    if way is polar:
        # What is mixed by nothing is what it was.
        torch.testing.assert_close(polar(correlated(numbers, torch.eye(2).double())), numbers)
        t = StudentT().draw(torch.tensor([0.0, 1.0, 4.0]).double().expand(4000, 2, 3), drawn, TABLE)
        assert stats.kstest(t[:, 1].numpy(), stats.t(4).cdf).pvalue > 0.01
        assert np.sin(np.pi / 2 * stats.kendalltau(t[:, 0], t[:, 1]).statistic) == pytest.approx(0.8, abs=0.05)


def start(rng, groups=2, channels=1):
    layout = LagLayout((1, 3), tuple(f"y{c}" for c in range(channels)))
    weight = torch.from_numpy(rng.normal(size=(groups, 2 * channels, channels)) * 0.3)
    return Linear(layout, weight, torch.from_numpy(rng.normal(size=(groups, channels))))


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("family", [LinearFamily(), MLP((4,)), GRU(3)])
def test_a_model_with_a_head_starts_as_least_squares_with_the_spread_of_its_errors(name, family, rng):
    first, head = start(rng, channels=2), HEADS[name]
    x = torch.from_numpy(rng.normal(size=(2, 400, 4)) + 2)
    mean = first.step(x, None)[0][..., 0]
    if head.of_counts:
        first.bias += 5
        mean = mean + 5
    y = mean + 0.5 * torch.from_numpy(rng.normal(size=(2, 400, 2)))
    wide, table = head.begin(first, Sample(y - mean, y, torch.ones_like(y), y))
    keys = torch.tensor([1, 2])
    model = headed(family.build(wide, keys, dtype=torch.float64), head, table, mixing_of(y - mean))
    with torch.no_grad():
        law, _ = model.step(x, model.init_state(x[:, :, None]))
    tolerance = 0.25 if name == "quantised" else 2e-6
    assert (law[..., 0] - mean).abs().quantile(0.99) < tolerance
    if name in ("gaussian", "student_t"):
        spread = law[..., 1] * (1 if name == "gaussian" else (10 / 8) ** 0.5)
        np.testing.assert_allclose(spread.mean(dim=1), (y - mean).square().mean(dim=1).sqrt(), rtol=1e-6)
    one = model.groups(torch.tensor([1]))
    torch.testing.assert_close(one.step(x[1:], one.init_state(x[1:, :, None]))[0], law[1:])


def test_a_roll_out_feeds_points_or_draws_and_returns_laws_where_asked(rng):
    first = start(rng, groups=1)
    wide, table = Gaussian().begin(first, Sample(*(torch.ones(1, 5, 1).double(),) * 4))
    model, past = headed(wide, Gaussian(), table, ALONE), torch.from_numpy(rng.normal(size=(1, 3, 4, 1)))
    points, _ = rollout(model, past, 5, ClosedLoop())
    torch.testing.assert_close(points, rollout(first, past, 5, ClosedLoop())[0])
    whole, _ = rollout(model, past, 5, ClosedLoop(), laws=True)
    torch.testing.assert_close(whole[..., 0], points)
    assert (whole[..., 1] == table[..., 0]).all()
    numbers = torch.from_numpy(rng.uniform(size=(1, 3, 5, 1, 2)))
    drawn, _ = rollout(model, past, 5, ClosedLoop(), pick=model.draws(numbers))
    # By hand: normal numbers as shocks of the linear map.
    radius = torch.sqrt(-2 * torch.log1p(-numbers[..., 0])) * torch.cos(2 * torch.pi * numbers[..., 1])
    torch.testing.assert_close(drawn, rollout(first, past, 5, ClosedLoop(), shocks=radius * table[..., 0])[0])
    # Fed with truth, draws are made all the same and returned, but not fed.
    truth = torch.zeros_like(drawn)
    forced, _ = rollout(model, past, 5, OpenLoop(), future=truth, pick=model.draws(numbers))
    one, _ = rollout(first, past, 5, OpenLoop(), future=truth)
    torch.testing.assert_close(forced, one + radius * table[..., 0])


@pytest.mark.parametrize("n_bins", [1, 2.0, True, "many"])
def test_a_number_of_bins_that_is_none_is_refused(n_bins):
    with pytest.raises(ArgumentError, match="n_bins"):
        Quantised(n_bins=n_bins)
