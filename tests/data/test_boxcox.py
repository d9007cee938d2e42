"""BoxCox against scipy, its inverse, and the edges of its range."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import boxcox, boxcox_llf

from tsforce import NARXForecaster
from tsforce.data.transforms import BoxCox, Chain

# Logarithms of the outermost values: of the floor, or of a thousand times the largest where the power is negative.
END = (float(np.log(1e-9)), float(np.log(1e6)))


def learn(*series):
    values = np.concatenate(series)[:, None]
    counts = np.array([len(s) for s in series])
    return BoxCox().learn(values, counts)[:, :, 0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_power_has_the_largest_likelihood_of_the_grid(seed, scale):
    rng = np.random.default_rng(seed)
    series = [scale * np.exp(rng.normal(size=60)), scale * (5 + rng.random(40)) ** 2, scale * rng.gamma(3.0, size=90)]
    powers = learn(*series)[2]
    grid = np.round(np.arange(-1, 2.05, 0.1), 1)
    for y, power in zip(series, powers, strict=True):
        likelihoods = [boxcox_llf(k, y / scale) for k in grid]
        assert max(likelihoods) - boxcox_llf(power, y / scale) < 1e-8


@pytest.mark.parametrize("power", [-1.0, -0.5, 0.0, 0.3, 1.0, 2.0])
def test_forward_equals_scipy_and_inverse_takes_it_back(power):
    y = np.random.default_rng(1).gamma(4.0, 10.0, size=50)
    params = torch.tensor([0.0, 1e-9, power, END[power < 0]], dtype=torch.float64)
    z = BoxCox().forward(torch.from_numpy(y), params)
    np.testing.assert_allclose(z, boxcox(y, lmbda=power), rtol=1e-10)
    np.testing.assert_allclose(BoxCox().inverse(z, params), y, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e4, 1e6])
def test_the_inverse_takes_back_what_was_learnt_in_any_unit(unit):
    wave = np.sin(np.arange(60.0))
    series = unit / (1 + 0.3 * wave), unit * np.exp(wave), unit * np.sqrt(2 + wave), unit * np.full(60, 3.0)
    params = learn(*series)
    assert params[2, 0] < 0 < params[2, 2]
    assert params[2, 3] == 1, "equal values have no likeliest power"
    y, params = torch.from_numpy(np.stack(series)), torch.from_numpy(params)[..., None]
    np.testing.assert_allclose(BoxCox().inverse(BoxCox().forward(y, params), params), y, rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e4, 1e6])
def test_forecasts_of_a_negative_power_do_not_depend_on_the_unit(unit):
    y = 1 / (1 + 0.3 * np.sin(np.arange(67) * 2 * np.pi / 7))

    def forecast(scale):
        df = pd.DataFrame({"ds": np.arange(60), "y": scale * y[:60]})
        model = NARXForecaster(7, 7, mode="open_loop", ridge=0, window_scaling=None, target_transforms=[BoxCox()])
        return model.fit(df).predict()["NARXForecaster"].to_numpy() / scale

    np.testing.assert_allclose(forecast(unit), y[60:], rtol=1e-3)


def test_gradients_of_both_directions():
    for power in (-0.5, 0.0, 0.4, 2.0):
        params = torch.tensor([0.0, 1e-9, power, END[power < 0]], dtype=torch.float64)
        y = torch.tensor([0.8, 1.0, 1.3], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda v, p=params: BoxCox().forward(v, p), y)
        z = torch.tensor([-0.2, 0.1, 0.3], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda v, p=params: BoxCox().inverse(v, p), z)


def test_forecasts_beyond_the_range_stay_finite():
    for power in (-1.0, 0.5, 2.0):
        params = torch.tensor([0.0, 1e-9, power, END[power < 0]], dtype=torch.float64)
        assert torch.isfinite(BoxCox().inverse(torch.tensor([-1e6, 1e6], dtype=torch.float64), params)).all()


def test_constant_and_nonpositive_series_have_finite_parameters():
    params = learn(np.full(10, 3.0), np.array([-2.0, 0.0, 5.0, 1.0]), np.array([7.0]))
    assert np.isfinite(params).all()
    assert params[0].tolist() == [0, 3, 0]


def test_rows_after_the_stops_teach_nothing():
    y = np.random.default_rng(0).gamma(3.0, size=40)
    poisoned = y.copy()
    poisoned[30:] = np.nan
    indptr, stops = np.array([0, 40]), np.array([30])
    a = Chain.learn([BoxCox()], y[:, None], indptr, stops).params[0]
    b = Chain.learn([BoxCox()], poisoned[:, None], indptr, stops).params[0]
    np.testing.assert_array_equal(a, b)
