"""Errors of simulations: against plain arithmetic, and against scikit-learn's R2."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import r2_score

from tsforce.errors import ArgumentError
from tsforce.scoring.simulation import fit_percent, nrmse, simulation_rmse


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    y = rng.normal(5, 2, size=(60, 2))
    return y, y + rng.normal(size=y.shape)


def test_the_three_figures_are_those_of_a_loop(pair):
    y, yhat = pair
    for c in range(2):
        kept = list(zip(y[7:, c], yhat[7:, c], strict=True))
        mean = math.fsum(a for a, _ in kept) / len(kept)
        error = math.sqrt(math.fsum((a - b) ** 2 for a, b in kept) / len(kept))
        spread = math.sqrt(math.fsum((a - mean) ** 2 for a, _ in kept) / len(kept))
        assert simulation_rmse(y[:, c], yhat[:, c], skip=7) == pytest.approx(error, rel=1e-12)
        assert nrmse(y[:, c], yhat[:, c], skip=7) == pytest.approx(error / spread, rel=1e-12)
        assert fit_percent(y[:, c], yhat[:, c], skip=7) == pytest.approx(100 * (1 - error / spread), rel=1e-12)


def test_several_outputs_are_scored_each_by_itself(pair):
    y, yhat = pair
    for score in (simulation_rmse, nrmse, fit_percent):
        both = score(y, yhat, skip=3)
        assert both.shape == (2,)
        assert both == pytest.approx([float(score(y[:, c], yhat[:, c], skip=3)) for c in range(2)], rel=1e-12)


def test_r2_is_one_less_the_square_of_nrmse(pair):
    y, yhat = pair
    np.testing.assert_allclose(1 - nrmse(y, yhat) ** 2, r2_score(y, yhat, multioutput="raw_values"), rtol=1e-12)


def test_samples_that_are_skipped_are_not_looked_at(pair):
    y, yhat = (part[:, 0].copy() for part in pair)
    before = fit_percent(y, yhat, skip=10)
    y[:10], yhat[:10] = np.nan, 1e9
    assert fit_percent(y, yhat, skip=10) == before


def test_the_fit_is_100_when_exact_0_for_the_mean_and_never_finite_for_a_diverged_simulation(pair):
    y = pair[0][:, 0]
    assert fit_percent(y, y) == 100
    assert fit_percent(y, np.full(len(y), y.mean())) == pytest.approx(0)
    diverged = np.where(np.arange(len(y)) > 50, np.inf, y)
    assert fit_percent(y, diverged) == -np.inf
    assert simulation_rmse(y, diverged) == np.inf
    assert np.isnan(fit_percent(y, np.where(np.arange(len(y)) > 50, np.nan, y)))


@pytest.mark.parametrize(
    ("y", "yhat", "skip", "message"),
    [
        ([1.0, 2.0], [1.0], 0, r"y has shape \(2,\) and yhat \(1,\)"),
        ([[1.0], [2.0]], [1.0, 2.0], 0, r"y has shape \(2, 1\) and yhat \(2,\)"),
        ([1.0, 2.0], [1.0, 2.0], 2, "skip=2: expected a whole number from 0 to 1"),
        ([1.0, 2.0], [1.0, 2.0], -1, "skip=-1"),
        ([1.0, 2.0], [1.0, 2.0], 0.5, "skip=0.5"),
        ([1.0, 2.0], [1.0, 2.0], True, "skip=True"),
    ],
)
def test_bad_arguments_are_named(y, yhat, skip, message):
    for score in (simulation_rmse, nrmse, fit_percent):
        with pytest.raises(ArgumentError, match=message):
            score(y, yhat, skip=skip)
