from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import utilsforecast.losses as oracle
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tsforce.scoring.metrics import (
    abs_error,
    error_scale,
    grown_error_scale,
    mae,
    owa,
    rmse,
    seasonal_naive_scale,
    smape,
    smape_terms,
    squared_error,
)

LENGTHS = [5, 1, 0, 30, 7, 12]
INDPTR = np.concatenate([[0], np.cumsum(LENGTHS)])


@pytest.fixture
def forecasts():
    rng = np.random.default_rng(7)
    y, yhat = rng.normal(size=(2, 5, 6))
    y[0, :2] = yhat[0, :2] = 0.0
    return y, yhat


@pytest.fixture
def values():
    return np.random.default_rng(11).normal(size=INDPTR[-1]) * np.repeat([1e-6, 1, 1, 1e9, 1, 1], LENGTHS)


def scale_by_loop(series, m):
    differences = [abs(series[t] - series[t - m]) for t in range(m, len(series))]
    return sum(differences) / len(differences) if differences else math.nan


def test_elementwise_errors_equal_a_loop(forecasts):
    y, yhat = forecasts
    pairs = list(zip(y.ravel(), yhat.ravel(), strict=True))
    assert_allclose(abs_error(y, yhat).ravel(), [abs(a - f) for a, f in pairs])
    assert_allclose(squared_error(y, yhat).ravel(), [(a - f) ** 2 for a, f in pairs])
    terms = [200 * abs(a - f) / (abs(a) + abs(f)) if a or f else 0.0 for a, f in pairs]
    assert_allclose(smape_terms(y, yhat).ravel(), terms)


@pytest.mark.parametrize(
    ("reduction", "loop"),
    [
        (mae, lambda y, f: sum(abs(a - b) for a, b in zip(y, f, strict=True)) / len(y)),
        (rmse, lambda y, f: math.sqrt(sum((a - b) ** 2 for a, b in zip(y, f, strict=True)) / len(y))),
        (
            smape,
            lambda y, f: sum(200 * abs(a - b) / ((abs(a) + abs(b)) or 1) for a, b in zip(y, f, strict=True)) / len(y),
        ),
    ],
)
def test_reductions_equal_a_loop(forecasts, reduction, loop):
    y, yhat = forecasts
    assert_allclose(reduction(y, yhat), [loop(a, f) for a, f in zip(y, yhat, strict=True)])
    assert_allclose(reduction(y, yhat, axis=0), [loop(a, f) for a, f in zip(y.T, yhat.T, strict=True)])
    assert reduction(y, yhat, axis=None) == pytest.approx(loop(y.ravel(), yhat.ravel()))
    assert float(reduction(y[0], yhat[0])) == pytest.approx(loop(y[0], yhat[0]))


# utilsforecast's smape leaves out the factor 200; its mae and rmse are ours.
@pytest.mark.parametrize(("reduction", "name", "factor"), [(mae, "mae", 1), (rmse, "rmse", 1), (smape, "smape", 200)])
def test_reductions_equal_utilsforecast(forecasts, reduction, name, factor):
    y, yhat = forecasts
    frame = pd.DataFrame({"unique_id": np.repeat(range(5), 6), "y": y.ravel(), "model": yhat.ravel()})
    theirs = getattr(oracle, name)(frame, models=["model"])["model"].to_numpy()
    assert_allclose(reduction(y, yhat), factor * theirs)


@pytest.mark.parametrize("m", [1, 3])
def test_mae_over_scale_is_the_mase_of_utilsforecast(m):
    rng = np.random.default_rng(3)
    lengths, horizon = np.array([9, 20, 5]), 4
    history = rng.normal(size=lengths.sum())
    y, yhat = rng.normal(size=(2, 3, horizon))
    ids = np.arange(3)
    train = pd.DataFrame(
        {
            "unique_id": np.repeat(ids, lengths),
            "ds": np.concatenate([np.arange(n) for n in lengths]),
            "y": history,
        }
    )
    test = pd.DataFrame({"unique_id": np.repeat(ids, horizon), "y": y.ravel(), "model": yhat.ravel()})
    theirs = oracle.mase(test, models=["model"], seasonality=m, train_df=train)["model"].to_numpy()
    scale = seasonal_naive_scale(history, np.concatenate([[0], np.cumsum(lengths)]), m)
    assert_allclose(mae(y, yhat) / scale, theirs)


def test_smape_of_two_zeros_is_zero():
    assert smape_terms([0.0], [0.0]).tolist() == [0.0]
    assert smape([0.0, 0.0], [0.0, 0.0]) == 0.0


def test_smape_of_tiny_values_is_not_taken_for_zero():
    assert smape_terms([5e-324], [0.0]).tolist() == [200.0]


def test_smape_worked_by_hand():
    # |110-100|=10 over 210; |0-5|=5 over 5; |-1-1|=2 over 2; equal; each times 200.
    terms = smape_terms([110.0, 0.0, -1.0, 7.0], [100.0, 5.0, 1.0, 7.0])
    assert_allclose(terms, [2000 / 210, 200, 200, 0])


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("reduction", [mae, rmse, smape])
def test_a_forecast_that_is_not_finite_gives_no_finite_score(reduction, bad):
    scores = reduction([[1.0, 2.0], [1.0, 2.0]], [[1.0, bad], [1.0, 3.0]])
    assert not np.isfinite(scores[0])
    assert np.isfinite(scores[1])


def test_a_forecast_too_large_to_square_scores_inf_without_a_warning():
    assert squared_error([0.0], [1e200]).tolist() == [math.inf]
    assert rmse([0.0, 0.0], [1e200, 0.0]) == math.inf
    assert mae([0.0, 0.0], [1.7e308, 1.7e308]) == math.inf


def test_integers_and_float32_are_scored_in_float64():
    for function in (abs_error, squared_error, smape_terms):
        assert function(np.array([3, 4]), np.array([1, 2], dtype=np.float32)).dtype == np.float64


@pytest.mark.parametrize("m", [1, 2, 12])
def test_scale_equals_a_loop(values, m):
    expected = [scale_by_loop(values[a:b], m) for a, b in itertools.pairwise(INDPTR)]
    assert_allclose(seasonal_naive_scale(values, INDPTR, m), expected, rtol=1e-12)


@given(st.data())
def test_scale_reads_nothing_at_or_after_the_stop(data):
    lengths = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=5))
    stops = [data.draw(st.integers(0, n)) for n in lengths]
    m = data.draw(st.integers(1, 4))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    values = np.random.default_rng(sum(lengths)).normal(size=indptr[-1])
    cut = np.concatenate([values[a : a + s] for a, s in zip(indptr, stops, strict=False)])
    hidden = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths) >= np.repeat(stops, lengths)
    expected = seasonal_naive_scale(cut, np.concatenate([[0], np.cumsum(stops)]), m)
    for filler in (math.nan, math.inf, 1e9):
        blinded = np.where(hidden, filler, values)
        assert_array_equal(seasonal_naive_scale(blinded, indptr, m, stops), expected)


def test_scale_of_one_series_does_not_depend_on_its_neighbours(values):
    together = seasonal_naive_scale(values, INDPTR, 2)
    alone = [seasonal_naive_scale(values[a:b], [0, b - a], 2)[0] for a, b in itertools.pairwise(INDPTR)]
    assert_array_equal(together, alone)


def test_scale_worked_by_hand():
    # m = 2: |4-1|, |2-3|, |9-4| -> 9/3. Constant -> 0. Two rows -> no difference.
    scale = seasonal_naive_scale([1, 3, 4, 2, 9, 5, 5, 5, 1, 2], [0, 5, 8, 10], season_length=2)
    assert_array_equal(scale, [3.0, 0.0, math.nan])


def test_scale_needs_one_row_more_than_the_season():
    series = np.arange(10.0)
    stops = [4, 3, 0, -1]
    scale = seasonal_naive_scale(np.tile(series, 4), [0, 10, 20, 30, 40], season_length=3, stops=stops)
    assert_array_equal(scale, [3.0, math.nan, math.nan, math.nan])


@pytest.mark.parametrize("what", ["values", "two targets", "a missing value", "too few rows before"])
def test_a_scale_that_grows_is_that_of_all_rows(what):
    lengths, first = np.array([30, 12, 9]), np.array([20, 12, 5 if what != "too few rows before" else 2])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    y = np.random.default_rng(0).normal(size=(51, 2) if what == "two targets" else 51)
    if what == "a missing value":
        y[3] = math.nan
    before = error_scale(y, indptr, 3, first)
    expected = error_scale(y, indptr, 3)
    assert not np.allclose(before, expected)
    assert_allclose(grown_error_scale(before, y, indptr, 3, first), expected, rtol=1e-12)


def test_scale_of_no_series_is_empty():
    assert seasonal_naive_scale([], [0], season_length=2).shape == (0,)


def test_owa_worked_by_hand():
    # 12/16 = 0.75 and 3/2 = 1.5, halved sum 1.125.
    assert owa(smape=12.0, mase=3.0, smape_naive2=16.0, mase_naive2=2.0) == 1.125


def test_owa_of_the_m4_winner_is_the_published_one():
    # Totals of the official table: Smyl 11.374 / 1.536, Naive2 13.564 / 1.912; published OWA 0.821.
    assert owa(11.374, 1.536, 13.564, 1.912) == pytest.approx(0.821, abs=5e-4)


def test_owa_against_a_perfect_naive2_is_inf_or_nan():
    assert owa(1.0, 1.0, 0.0, 1.0) == math.inf
    assert math.isnan(owa(0.0, 1.0, 0.0, 1.0))
