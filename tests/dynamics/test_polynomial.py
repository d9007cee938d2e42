"""Polynomial step models: terms, groups, equations in any units, derivatives, state."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle

import pytest
import torch
from torch.func import functional_call, jacrev

from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.lags import LagLayout, TargetFeature
from tsforce.dynamics.models.equation import equation, expand
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.models import Polynomial as Family
from tsforce.training.solvers.jacobians import Fixed, RollOuts
from tsforce.training.solvers.partials import Monomials, n_parameters, partials_of

PLAIN = LagLayout((1, 2, 4))
TWO = LagLayout((1, 2), ("a", "b"), future_exog=(("u", (0, 1)),))
LAYOUTS = {"plain": PLAIN, "two": TWO}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(layout, degree=3, groups=2, terms=5, seed=0):
    """Terms drawn at random, repeated factors and lower degrees among them; the last one of the last group is none."""
    columns, channels = len(layout.columns), len(layout.channels)
    every = list(itertools.combinations_with_replacement(range(columns + 1), degree))[:-1]
    generator = torch.Generator().manual_seed(seed)
    terms = min(terms, len(every))
    chosen = [[every[i] for i in torch.randperm(len(every), generator=generator)[:terms]] for _ in range(groups)]
    chosen[0][0] = (0,) * degree
    chosen[-1][-1] = (columns + 1,) + (columns,) * (degree - 1)
    weight, bias = 0.3 * randn(groups, terms, channels, seed=seed + 1), randn(groups, channels, seed=seed + 2)
    return Polynomial(layout, torch.tensor(chosen), weight, bias)


def by_loop(model, x):
    """Outputs, one product after the other in plain Python."""
    groups, windows, columns = x.shape
    y = torch.zeros(groups, windows, len(model.layout.channels), 1, dtype=torch.float64)
    for g, b, c in itertools.product(*map(range, y.shape[:3])):
        row = [*x[g, b].tolist(), 1.0, 0.0]
        assert len(row) == columns + 2
        products = [math.prod(row[i] for i in term) for term in model.indices[g].tolist()]
        weights = model.weight[g, :, c].tolist()
        y[g, b, c] = model.bias[g, c] + sum(p * w for p, w in zip(products, weights, strict=True))
    return y


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_step_is_the_weighted_sum_of_products(layout, degree, groups):
    model, x = build(layout, degree, groups), randn(groups, 4, len(layout.columns), seed=9)
    y, state = model.step(x, None)
    assert state is None
    torch.testing.assert_close(y, by_loop(model, x))


def test_the_weight_of_a_term_that_fills_up_a_group_never_matters():
    model, x = build(PLAIN), randn(2, 4, 3, seed=9)
    other = copy.deepcopy(model)
    other.weight.data[-1, -1] = 1e30
    assert torch.equal(model.step(x, None)[0], other.step(x, None)[0])
    room = torch.empty(2, 4, 1, 6, dtype=torch.float64)
    assert torch.equal(partials_of(model)(x, room)[1], partials_of(other)(x, room)[1])
    assert bool((room[-1, ..., 4] == 0).all())


def test_some_groups_and_groups_joined_answer_as_before():
    model, x = build(PLAIN, groups=3), randn(3, 4, 3, seed=9)
    y = model.step(x, None)[0]
    chosen = torch.tensor([2, 0])
    assert torch.equal(model.groups(chosen).step(x[chosen], None)[0], y[chosen])
    short = Polynomial(PLAIN, model.indices[:1, :2], model.weight[:1, :2], model.bias[:1])
    joined = short.join([short, model.groups(slice(1, 3))])
    assert joined.indices.shape == model.indices.shape
    torch.testing.assert_close(joined.step(x, None)[0], torch.cat([short.step(x[:1], None)[0], y[1:]]))
    assert joined.terms(0) == short.terms()


def test_terms_are_named_after_the_columns():
    indices = torch.tensor([[[0, 0, 3], [3, 4, 4], [0, 1, 2], [5, 4, 4]]])
    layout = LagLayout((1, 2), future_exog=(("u", (0,)),), static=("size",))
    model = Polynomial(layout, indices, torch.ones(1, 4, 1), torch.zeros(1, 1))
    assert layout.columns == ("y_lag2", "y_lag1", "u_lag0", "size")
    assert model.terms() == ["y_lag2^2 * size", "size", "y_lag2 * y_lag1 * u_lag0"]


# ---- state


def test_weights_and_terms_are_saved_and_come_back():
    model, x = build(TWO), randn(2, 4, len(TWO.columns), seed=9)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = build(TWO, seed=5)
    assert not torch.equal(other.indices, model.indices)
    other.load_state_dict(torch.load(file))
    assert torch.equal(other.step(x, None)[0], model.step(x, None)[0])
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again.step(x, None)[0], model.step(x, None)[0])
    assert again.equation() == model.equation()


# ---- equations


def value_of(terms, values):
    return sum(w * math.prod(values[factor] for factor in factors) for factors, w in terms.items())


@pytest.mark.parametrize("kind", ["polynomial", "linear"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_an_equation_in_original_units_is_the_model_behind_its_scales(layout, kind):
    columns, channels = len(layout.columns), len(layout.channels)
    model = build(layout)
    if kind == "linear":
        model = Linear(layout, randn(2, columns, channels), randn(2, channels, seed=1))
    means, scales = {"y": 3.0, "a": -2.0, "b": 10.0, "u": 0.5}, {"y": 2.0, "a": 0.1, "b": 7.0, "u": 3.0}
    x = randn(2, 1, columns, seed=9)
    factors = [(name.rpartition("_lag")[0], int(name.rpartition("_lag")[2])) for name in layout.columns]
    for group in (0, 1):
        y = model.step(x, None)[0][group, 0, :, 0]
        original = {f: means[f[0]] + scales[f[0]] * v for f, v in zip(factors, x[group, 0].tolist(), strict=True)}
        for channel, plain, told, expected in zip(
            layout.channels, expand(model, group=group), expand(model, means, scales, group=group), y, strict=True
        ):
            own = dict(zip(factors, x[group, 0].tolist(), strict=True))
            assert value_of(plain, own) == pytest.approx(float(expected))
            assert value_of(told, original) == pytest.approx(means[channel] + scales[channel] * float(expected))


def test_equal_products_are_merged():
    """(y - 1)^2 + 2 (y - 1) = y^2 - 1."""
    model = Polynomial(
        LagLayout((1,)), torch.tensor([[[0, 0], [0, 1]]]), torch.tensor([[[1.0], [2.0]]]), torch.zeros(1, 1)
    )
    (terms,) = expand(model, {"y": 1.0})
    y = ("y", 1)
    assert terms == {(): 0.0, (y,): 0.0, (y, y): 1.0}
    assert equation(model, {"y": 1.0}) == "y(t) = y(t-1)^2"


def test_what_rounding_leaves_of_a_coefficient_is_none():
    """(y - m)^2 + 2 m (y - m) + m^2 = y^2, in numbers that are not exact in binary."""
    m = 10.1 / 3
    weight, bias = (torch.tensor(part, dtype=torch.float64) for part in ([[[1.0], [2 * m]]], [[m * m - m]]))
    model = Polynomial(LagLayout((1,)), torch.tensor([[[0, 0], [0, 1]]]), weight, bias)
    model.weight.data[0, 1] *= 1 + 1e-15
    assert equation(model, {"y": m}) == "y(t) = y(t-1)^2"
    model.weight.data[0, 1] *= 1 + 1e-9
    assert equation(model, {"y": m}).startswith("y(t) = y(t-1)^2 + 6.7")


def test_an_equation_reads_as_one_writes_it():
    layout = LagLayout(
        (1, 2), ("a", "b"), (TargetFeature(("mean",), 2, lambda fed: fed[:, :, :, 0].mean(dim=2, keepdim=True)),),
        future_exog=(("u", (0, 1)),), calendar=("weekend",),
    )  # fmt: skip
    names = layout.columns
    assert names == ("a_lag2", "b_lag2", "a_lag1", "b_lag1", "mean", "u_lag1", "u_lag0", "weekend")
    terms = [(2, 8, 8), (0, 0, 3), (5, 6, 6), (4, 7, 8), (9, 8, 8)]
    weight = torch.tensor([[[-1.0, 0.0], [0.5, 1.0], [1234567.0, -0.25], [0.0, 1e-7], [1.0, 1.0]]])
    model = Polynomial(layout, torch.tensor([terms]), weight, torch.tensor([[0.0, -2.0]]))
    assert model.equation().split("\n")[0] == "a(t) = -a(t-1) + 0.5 a(t-2)^2 b(t-1) + 1234567 u(t-1) u(t)^2"
    assert equation(model, digits=4).split("\n") == [
        "a(t) = -a(t-1) + 0.5 a(t-2)^2 b(t-1) + 1.235e+06 u(t-1) u(t)^2",
        "b(t) = a(t-2)^2 b(t-1) - 0.25 u(t-1) u(t)^2 + 1e-07 mean weekend - 2",
    ]
    told = equation(model, names={"a": "level", "u": "valve"}, digits=7).split("\n")[0]
    assert told == "level(t) = -level(t-1) + 0.5 level(t-2)^2 b(t-1) + 1234567 valve(t-1) valve(t)^2"
    empty = Polynomial(LagLayout((1,)), torch.tensor([[[2]]]), torch.ones(1, 1, 1), torch.zeros(1, 1))
    assert empty.equation() == "y(t) = 0"


def test_a_model_that_is_no_sum_has_no_equation():
    start = Linear(PLAIN, randn(1, 3, 1), randn(1, 1))
    with pytest.raises(ArgumentError, match=r"model=Perceptron.*model='linear' or model='polynomial'"):
        equation(Perceptron(PLAIN, (2,), start, torch.tensor([0])))


# ---- derivatives


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_partials_equal_automatic_differentiation(layout, degree):
    model, x = build(layout, degree), randn(2, 3, len(layout.columns), seed=9)
    partials, channels = partials_of(model), len(layout.channels)
    assert isinstance(partials, Monomials)
    width = n_parameters(model)
    room = torch.full((2, 3, channels, width), math.nan, dtype=torch.float64)
    y, by_input = partials(x, room)
    torch.testing.assert_close(y, model.step(x, None)[0][..., 0])
    for g, b in itertools.product(range(2), range(3)):
        own, row = model.groups(slice(g, g + 1)), x[g, b]

        def outputs(parameters, row, own=own):
            return functional_call(own, parameters, (row[None, None],), {"state": None})[0][0, 0, :, 0]

        own.forward = own.step
        by_weights, by_row = jacrev(outputs, argnums=(0, 1))(dict(own.named_parameters()), row)
        flat = torch.cat([by_weights[name].flatten(start_dim=1) for name in ("weight", "bias")], dim=1)
        torch.testing.assert_close(room[g, b], flat)
        torch.testing.assert_close(by_input[g, b], by_row)


def test_partials_equal_finite_differences():
    model, x, step = build(TWO), randn(2, 3, len(TWO.columns), seed=9), 1e-6
    room = torch.empty(2, 3, 2, 12, dtype=torch.float64)
    _, by_input = partials_of(model)(x, room)
    for d in range(x.shape[2]):
        moved = [x.clone(), x.clone()]
        moved[0][..., d] += step
        moved[1][..., d] -= step
        up, down = (model.step(one, None)[0][..., 0] for one in moved)
        torch.testing.assert_close(by_input[..., d], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("given", [None, "mixed"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_gram_matrix_of_a_roll_out_equals_automatic_differentiation(layout, given):
    model, channels, horizon = build(layout), len(layout.channels), 5
    model.weight.data *= 0.3
    past, truth = 0.5 * randn(2, 3, 6, channels), randn(2, 3, horizon, channels, seed=1)
    zero, u = past.new_zeros, randn(2, 3, 6 + horizon, 1, seed=3)
    inputs = (zero(2, 3, 6, 0), u, zero(2, 3, 0), zero(2, 3, horizon, 0)) if layout.has_inputs else None
    share = None if given is None else (randn(*truth.shape, seed=4) > 0).double()
    weight = torch.full_like(truth, 1 / truth[0].numel())
    rolled = RollOuts(past, truth, weight, Fixed(share), inputs=inputs)
    both = rolled.jacobian(model).flatten(1, 3)
    torch.testing.assert_close(rolled.gram(model).tril(), (both.mT @ both).tril())


def test_a_roll_out_is_differentiable_where_weights_are_to_be_learnt():
    model = build(PLAIN)
    for p in model.parameters():
        p.requires_grad_()
    rollout(model, 0.3 * randn(2, 3, 6, 1), 4, ClosedLoop())[0].sum().backward()
    assert bool((model.weight.grad[0] != 0).all())
    # What fills up a group has no gradient.
    assert bool((model.weight.grad[1, -1] == 0).all())


# ---- the family

ERRORS = {
    "degree": ({"degree": 0}, r"degree=0: expected a whole number of at least 1"),
    "kind of degree": ({"degree": 2.0}, r"degree=2\.0: expected a whole number"),
    "terms": ({"n_terms": 0}, r"n_terms=0: expected 'auto' or a whole number of at least 1"),
    "name": ({"n_terms": "all"}, r"n_terms='all': expected 'auto' or"),
    "select": ({"select": "aic"}, r"select='aic'"),
    "tolerance": ({"tolerance": 0.0}, r"tolerance=0\.0: expected a number between 0 and 1"),
}


@pytest.mark.parametrize(("given", "message"), ERRORS.values(), ids=ERRORS)
def test_a_family_says_what_it_does_not_accept(given, message):
    with pytest.raises(ArgumentError, match=message):
        Family(**given)


def test_a_family_builds_a_copy_of_its_start():
    start = build(PLAIN)
    model = Family().build(start, torch.arange(2))
    x = randn(2, 3, 3)
    assert torch.equal(model.step(x, None)[0], start.step(x, None)[0])
    model.weight.data += 1
    assert not torch.equal(model.weight, start.weight)
