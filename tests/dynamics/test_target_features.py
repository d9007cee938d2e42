"""Lag transforms: their definitions, in lag vectors of every step, and their gradient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tsforce.dynamics.companion import companion, linearise
from tsforce.dynamics.far_out import stays_near
from tsforce.dynamics.forcing import ClosedLoop, OpenLoop
from tsforce.dynamics.gain import feedback_gain
from tsforce.dynamics.lags import LagLayout, known_inputs, lag_vector, lag_vectors
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.parallel import full_depth, parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.dynamics.target_features import target_features
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.lag_transforms import (
    ExpandingMean,
    ExponentiallyWeightedMean,
    RollingMax,
    RollingMean,
    RollingMin,
    RollingQuantile,
    RollingStd,
    SeasonalRollingMax,
    SeasonalRollingMean,
    SeasonalRollingMin,
    SeasonalRollingQuantile,
    SeasonalRollingStd,
)

# Each with what pandas has for it, of a window of values.
ORACLES = [
    (RollingMean(4), 1, lambda w: w.mean()),
    (RollingStd(4), 1, lambda w: w.std()),
    (RollingMin(4), 1, lambda w: w.min()),
    (RollingMax(3), 1, lambda w: w.max()),
    (RollingQuantile(0.3, 4), 1, lambda w: w.quantile(0.3)),
    (RollingQuantile(1.0, 3), 1, lambda w: w.max()),
    (SeasonalRollingMean(3, 2), 3, lambda w: w.mean()),
    (SeasonalRollingStd(2, 3), 2, lambda w: w.std()),
    (SeasonalRollingMin(2, 3), 2, lambda w: w.min()),
    (SeasonalRollingMax(5, 2), 5, lambda w: w.max()),
    (SeasonalRollingQuantile(0.75, 2, 3), 2, lambda w: w.quantile(0.75)),
]
NAMES = [type(transform).__name__ for transform, _, _ in ORACLES]


class Map:
    """A linear map whose weights may have a gradient."""

    def __init__(self, layout, weight):
        self.layout, self.weight = layout, weight

    def init_state(self, past):
        return None

    def step(self, x, state):
        return (x @ self.weight)[..., None], state


def from_scratch(transform, apart, oracle, values, lag):
    """The statistic for the step after `values`, by pandas."""
    seen = pd.Series(values[: len(values) - lag + 1][::-1][::apart][: transform.window_size])
    assert len(seen) == transform.window_size
    return oracle(seen)


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize(("transform", "apart", "oracle"), ORACLES, ids=NAMES)
def test_every_step_of_a_roll_out_reads_what_pandas_computes_from_scratch(transform, apart, oracle, lag):
    features = target_features({lag: [transform]}, ("a", "b"))
    layout = LagLayout((1, 2), ("a", "b"), features)
    rng = np.random.default_rng(0)
    past = torch.from_numpy(rng.normal(size=(1, 3, layout.reach + 1, 2)))
    weight = torch.from_numpy(0.3 * rng.normal(size=(1, len(layout.columns), 2)))
    yhat, _ = rollout(Linear(layout, weight, torch.zeros(1, 2).double()), past, 9, ClosedLoop())
    values = torch.cat([past, yhat], dim=2)[0].numpy()
    for h in range(9):
        now = past.shape[2] + h
        for w in range(3):
            x = np.concatenate([
                values[w, now - 2], values[w, now - 1],
                [from_scratch(transform, apart, oracle, values[w, :now, c], lag) for c in range(2)],
            ])  # fmt: skip
            np.testing.assert_allclose(values[w, now], x @ weight[0].numpy(), rtol=1e-12, atol=1e-12)


def test_values_are_those_of_coreforecast():
    """Printed by coreforecast 0.0.20, whose classes have these names, for the last row of each transform."""
    y = torch.tensor([1.0, 2.0, 4.0, 8.0, 3.0, 5.0]).double().view(1, 1, 6, 1)
    expected = {
        RollingStd(3): 2.64575131,
        RollingQuantile(0.3, 3): 3.6,
        SeasonalRollingMean(2, 2): 3.5,
        RollingMean(3): 5.0,
    }
    layout = LagLayout((), features=target_features({1: list(expected)}, ("y",)))
    # The statistic at lag 1 of the last of six values.
    np.testing.assert_allclose(lag_vector(layout, y, 5).flatten(), list(expected.values()), rtol=1e-8)


def test_means_of_all_values_are_those_of_coreforecast_and_pandas():
    """The first rows of each printed by coreforecast 0.0.20, the others by pandas."""
    y = torch.tensor([1.0, 2.0, 4.0, 8.0, 3.0]).double().view(1, 1, 5, 1)
    features = target_features({1: [ExponentiallyWeightedMean(0.3), ExpandingMean()]}, ("y",))
    x = torch.cat([lag_vector(LagLayout((), features=features), y, now) for now in range(1, 6)], dim=1)[0]
    np.testing.assert_allclose(x[:, 0], [1, 1.3, 2.11, 3.877, 3.6139], rtol=1e-12)
    np.testing.assert_allclose(x[:, 1], [1, 1.5, 7 / 3, 3.75, 3.6], rtol=1e-12)


# From coreforecast 0.0.20: [1, 2, 4, 8, 3, 5] at lag 1 for every row from the second on.
PARTIAL = {
    RollingStd(4, min_samples=1): [
        np.nan,
        0.7071067811865476,
        1.5275252316519465,
        3.095695936834452,
        2.6299556396765835,
    ],
    RollingQuantile(0.3, 4, min_samples=1): [1.0, 1.3, 1.6, 1.9, 2.9],
    RollingMean(4, min_samples=2): [np.nan, 1.5, 2.3333333333333335, 3.75, 4.25],
    SeasonalRollingMean(2, 3, min_samples=1): [1.0, 2.0, 2.5, 5.0, 2.6666666666666665],
    SeasonalRollingMean(2, 3, min_samples=2): [np.nan, np.nan, 2.5, 5.0, 2.6666666666666665],
    RollingMin(3, min_samples=1): [1.0, 1.0, 1.0, 2.0, 3.0],
    RollingMax(3, min_samples=1): [1.0, 2.0, 4.0, 8.0, 8.0],
}


@pytest.mark.parametrize("transform", PARTIAL, ids=lambda t: t.named(1))
@pytest.mark.parametrize("absent", [0, 3])
def test_windows_that_need_not_be_full_are_those_of_coreforecast(transform, absent):
    y = torch.tensor([*[99.0] * absent, 1.0, 2.0, 4.0, 8.0, 3.0, 5.0]).double().view(1, 1, -1, 1)
    (feature,) = target_features({1: [transform]}, ("y",))
    layout = LagLayout((), features=(feature,))
    memory = torch.tensor([[[-float(absent)]]]).double()
    expected = np.array(PARTIAL[transform])
    known = np.flatnonzero(~np.isnan(expected))
    assert known[0] + 1 == feature.reach == layout.reach
    assert layout.context == transform.span
    got = [lag_vector(layout, y, absent + 1 + int(k), memory).item() for k in known]
    np.testing.assert_allclose(got, expected[known], rtol=1e-12)


@pytest.mark.parametrize("transform", PARTIAL, ids=lambda t: t.named(1))
def test_gradients_through_windows_that_are_not_full_are_those_of_finite_differences(transform):
    (feature,) = target_features({1: [transform]}, ("y",))
    count = torch.tensor([[[-1.0]]]).double()
    fed = torch.randn(1, 1, 4, 1, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda fed: feature.over(fed, count), (fed,))


@pytest.mark.parametrize(
    ("transform", "oracle"),
    [
        (ExpandingMean(), lambda y: y.expanding().mean()),
        (ExponentiallyWeightedMean(0.05), lambda y: y.ewm(alpha=0.05, adjust=False).mean()),
        (ExponentiallyWeightedMean(1), lambda y: y),
    ],
)
def test_means_that_a_window_brings_with_it_are_those_from_scratch(transform, oracle):
    """Of series after series, one with a value that is no number, of which none of the others hears."""
    rng = np.random.default_rng(0)
    (mean,) = target_features({2: [transform]}, ("a", "b"))
    parts = [rng.normal(size=(n, 2)) for n in (7, 1, 40, 12)]
    parts[1][:] = np.inf
    number = torch.from_numpy(np.concatenate([np.arange(1, len(part) + 1) for part in parts]))
    found = np.split(mean.scan(torch.from_numpy(np.concatenate(parts)), number).numpy(), [7, 8, 48])
    for i in (0, 2, 3):
        np.testing.assert_allclose(found[i], oracle(pd.DataFrame(parts[i])), rtol=1e-12, atol=1e-13)
    # What comes after the first rows is the same with these summed up before it.
    y = torch.from_numpy(parts[2])[None, None]
    for count in (1, 5, 39):
        over = mean.over(
            y[:, :, count:], torch.full((1, 1, 1), float(count)), torch.from_numpy(found[2][[[count - 1]]])
        )
        torch.testing.assert_close(over[0, 0], torch.from_numpy(found[2][-1]))


def test_a_mean_begins_with_its_series_inside_a_window():
    (mean,) = target_features({1: [ExpandingMean()]}, ("y",))
    fed = torch.tensor([9.0, 9.0, 1.0, 2.0]).view(1, 1, 4, 1)
    assert mean.over(fed, torch.tensor([[[-2.0]]]), torch.zeros(1, 1, 1)).item() == 1.5
    # Where nothing has been seen it reads what stands there, as lags do.
    assert mean.over(fed[:, :, :2], torch.tensor([[[-2.0]]]), torch.zeros(1, 1, 1)).item() == 9


@pytest.mark.parametrize("transform", [ExpandingMean(), ExponentiallyWeightedMean(0.4)])
def test_gradients_through_means_of_all_values_are_those_of_finite_differences(transform):
    layout = LagLayout((1,), features=target_features({1: [transform], 3: [transform]}, ("y",)))
    draw = torch.Generator().manual_seed(3)
    past = torch.randn(1, 2, 4, 1, generator=draw).double().requires_grad_()
    memory = torch.tensor([[[5.0, 0.3, -0.2], [0.0, 0.0, 0.0]]]).double()
    none = torch.zeros(1, 2, 9, 0).double()
    inputs = (none[:, :, :4], none, none[:, :, 0], none[:, :, :5], memory)

    def forecasts(weight, past):
        return rollout(Map(layout, weight), past, 5, ClosedLoop(), inputs=inputs)[0]

    weight = torch.tensor([[[0.5], [0.4], [-0.3]]]).double().requires_grad_()
    assert torch.autograd.gradcheck(forecasts, (weight, past))
    # Several steps at once are those one by one, as a recurrent network's warm-up takes them.
    known = known_inputs(layout, inputs, 1, 1)
    both = lag_vectors(layout, past, 3, 2, known)
    each = [lag_vector(layout, past, 3 + w, known[:, :, w]) for w in range(2)]
    assert torch.equal(both, torch.stack(each, dim=2))


def test_what_looks_at_one_step_alone_does_not_judge_means_of_all_values():
    layout = LagLayout((1,), features=target_features({1: [ExpandingMean()]}, ("y",)))
    model = Linear(layout, torch.tensor([[[0.5], [0.4]]]), torch.zeros(1, 1))
    past = torch.ones(1, 1, 3, 1)
    assert not stays_near(model, past).any()
    assert companion(model, past, 2) is None
    assert linearise(model, past) is None
    with pytest.raises(ArgumentError, match="'y_expanding_mean_lag1': they know where their series begins"):
        feedback_gain(model, past, past, past.bool())


def test_columns_are_named_as_in_mlforecast_after_their_target():
    features = target_features({1: RollingMean(12), 12: [RollingQuantile(0.5, 3), SeasonalRollingStd(7, 2)]}, ("y",))
    assert [name for feature in features for name in feature.names] == [
        "y_rolling_mean_lag1_window_size12",
        "y_rolling_quantile_lag12_p0.5_window_size3",
        "y_seasonal_rolling_std_lag12_season_length7_window_size2",
    ]
    assert [feature.reach for feature in features] == [12, 14, 19]


@pytest.mark.parametrize("transform", [transform for transform, _, _ in ORACLES], ids=NAMES)
def test_weights_are_told_where_a_transform_is_a_linear_map_of_what_it_reads(transform):
    (feature,) = target_features({3: [transform]}, ("a", "b"))
    fed = torch.randn(2, 4, feature.reach, 2).double()
    if feature.weights is None:
        assert not type(transform).__name__.endswith("Mean")
        doubled = feature.function(2 * fed) - feature.function(fed.flip(0)) - feature.function(2 * fed - fed.flip(0))
        assert doubled.abs().max() > 1e-3
    else:
        told = torch.einsum("r,gbrc->gbc", torch.tensor(feature.weights).double(), fed)
        torch.testing.assert_close(feature.function(fed), told)


@pytest.mark.parametrize("transform", [transform for transform, _, _ in ORACLES], ids=NAMES)
def test_gradients_through_the_loop_are_those_of_finite_differences(transform):
    layout = LagLayout((1,), features=target_features({1: [transform], 2: [transform]}, ("y",)))
    past = torch.randn(1, 2, layout.reach, 1, generator=torch.Generator().manual_seed(3)).double()

    def forecasts(weight, past):
        return rollout(Map(layout, weight), past, 5, ClosedLoop())[0]

    weight = torch.tensor([[[0.5], [0.4], [-0.3]]]).double().requires_grad_()
    assert torch.autograd.gradcheck(forecasts, (weight, past.requires_grad_()))


def test_parallel_passes_give_the_roll_out():
    transforms = {1: [RollingMean(3), RollingStd(3)], 4: [RollingMax(2)]}
    layout = LagLayout((2,), features=target_features(transforms, ("y",)))
    weight = torch.tensor([[[0.5], [0.3], [0.2], [0.1]]]).double()
    model = Linear(layout, weight, torch.zeros(1, 1).double())
    past, future = torch.randn(1, 3, 8, 1).double(), torch.zeros(1, 3, 6, 1).double()
    each, _ = rollout(model, past, 6, ClosedLoop())
    torch.testing.assert_close(parallel_rollout(model, past, 6, ClosedLoop(), future=future)[0], each)


def test_parallel_passes_are_as_deep_as_means_of_all_values_reach():
    """Own outputs, truth for longer than the lag, own outputs again: a mean of all has forgotten none of them."""
    layout = LagLayout((), features=target_features({1: [ExpandingMean()]}, ("y",)))
    model = Linear(layout, torch.tensor([[[0.9]]]).double(), torch.ones(1, 1).double())
    past, future = torch.randn(1, 2, 4, 1).double(), torch.randn(1, 2, 9, 1).double()
    known = torch.ones(1, 2, 9, 1, dtype=torch.bool)
    known[:, :, :3] = known[:, :, 5:7] = False
    memory = (*(torch.zeros(1, 2, n, 0).double() for n in (4, 13)), past[:, :, 0, :0], past[:, :, :, :0])
    inputs = (*memory, torch.zeros(1, 2, 2).double())
    how = {"future": future, "future_mask": known, "inputs": inputs}
    each, share = rollout(model, past, 9, OpenLoop(), **how)
    torch.testing.assert_close(parallel_rollout(model, past, 9, OpenLoop(), **how)[0], each)
    assert full_depth(layout, share) == 6
    windows = LagLayout((), features=target_features({1: [RollingMean(1)]}, ("y",)))
    assert full_depth(windows, share) == 4


def test_the_deviation_of_equal_values_is_zero_and_has_no_gradient():
    flat = torch.full((1, 1, 4, 1), 3.0, requires_grad=True)
    found = RollingStd(4).of(flat)
    found.sum().backward()
    assert found.item() == 0
    assert flat.grad.abs().max() == 0


def test_at_a_level_statistics_of_place_stand_there_and_those_of_spread_at_zero():
    layout = LagLayout((1, 2), ("a", "b"), target_features({2: [RollingMax(3), RollingStd(2)]}, ("a", "b")))
    assert layout.at_level(torch.tensor([[5.0, 7.0]])).tolist() == [[5, 7, 5, 7, 5, 7, 0, 0]]
    assert layout.n_target_columns == len(layout.columns) == 8


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([RollingMean(3)], ArgumentTypeError, r"expected a dict of lag -> list of transforms, such as \{1: \[RollingM"),
        ({0: [RollingMean(3)]}, ArgumentError, r"lag_transforms: lag=0: expected a whole number of at least 1"),
        ({"1": [RollingMean(3)]}, ArgumentError, r"lag='1': expected a whole number"),
        ({1: "mean"}, ArgumentTypeError, r"lag_transforms\[1\]='mean': expected a list"),
        ({1: [RollingMean]}, ArgumentTypeError, r"lag_transforms\[1\] holds the class RollingMean"),
        ({1: [len]}, ArgumentTypeError, r"expected transforms such as \{1"),
        ({2: [RollingMean(3), RollingMean(3)]}, ArgumentError, r"'y_rolling_mean_lag2_window_size3' twice"),
    ],
)
def test_what_is_no_lag_transform_is_refused_with_the_way_to_write_it(given, error, words):
    with pytest.raises(error, match=words):
        target_features(given, ("y",))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RollingMean(0), "RollingMean: window_size=0: expected a whole number of at least 1"),
        (lambda: RollingStd(1), "RollingStd: window_size=1: expected a whole number of at least 2"),
        (lambda: RollingMax(True), "window_size=True"),
        (lambda: RollingMin(2.5), "window_size=2.5"),
        (lambda: RollingQuantile(1.5, 3), "RollingQuantile: p=1.5: expected a number from 0 to 1"),
        (lambda: SeasonalRollingQuantile(0.5, 0, 3), "season_length=0"),
        (lambda: SeasonalRollingMean(7, "3"), "window_size='3'"),
        (lambda: RollingMean(3, min_samples=4), "min_samples=4 are more than window_size=3"),
        (lambda: RollingMean(3, min_samples=0), "RollingMean: min_samples=0: expected a whole number of at least 1"),
        (lambda: ExponentiallyWeightedMean(0), "alpha=0: expected a number above 0, at most 1"),
        (lambda: ExponentiallyWeightedMean(True), "alpha=True"),
    ],
)
def test_a_transform_names_the_argument_that_is_not_accepted(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()
