from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from statsmodels.tsa.seasonal import seasonal_decompose
from statsmodels.tsa.stattools import acf

from tsforce.scoring import naive as scoring_naive
from tsforce.scoring.metrics import mae, seasonal_naive_scale, smape
from tsforce.scoring.naive import drift, is_seasonal, naive, naive2, seasonal_indices, seasonal_naive

HORIZON = 7


def indptr_of(lengths):
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def ragged(m, seed):
    """Return series of many lengths and scales: clearly, hardly and not seasonal, and too short to tell."""
    rng = np.random.default_rng(seed)
    series = []
    for length in [1, 2, m, 2 * m, 3 * m - 1, 3 * m, 3 * m + 1, 5 * m + 3, 8 * m, 10 * m + 1]:
        for strength in (0.0, 0.1, 0.3, 0.8):
            season = 1 + strength * np.cos(2 * np.pi * np.arange(length) / m)
            level = 10 ** rng.uniform(-3, 9) * (1 + 0.01 * np.arange(length))
            series.append(level * season * rng.uniform(0.8, 1.2, size=length))
    return series


def flat(series):
    return np.concatenate(series), indptr_of([len(one) for one in series])


def autocorrelation_by_loop(y, lag):
    mean = sum(y) / len(y)
    covariance = sum((y[t] - mean) * (y[t + lag] - mean) for t in range(len(y) - lag))
    return covariance / sum((value - mean) ** 2 for value in y)


def is_seasonal_by_loop(y, m):
    if m == 1 or len(y) < 3 * m:
        return False
    r = [autocorrelation_by_loop(y, lag) for lag in range(1, m + 1)]
    return abs(r[-1]) > 1.645 * math.sqrt((1 + 2 * sum(value**2 for value in r[:-1])) / len(y))


def indices_by_loop(y, m):
    ratios = [[] for _ in range(m)]
    half = m // 2
    for t in range(half, len(y) - half):
        window = list(y[t - half : t + half + 1])
        trend = sum(window) / m if m % 2 else (sum(window) - (window[0] + window[-1]) / 2) / m
        ratios[t % m].append(y[t] / trend)
    figure = [sum(position) / len(position) for position in ratios]
    return [value * m / sum(figure) for value in figure]


def naive2_by_loop(y, horizon, m):
    if not is_seasonal_by_loop(y, m):
        return [y[-1]] * horizon
    index, n = indices_by_loop(y, m), len(y)
    return [y[-1] / index[(n - 1) % m] * index[(n + h) % m] for h in range(horizon)]


@pytest.mark.parametrize("m", [1, 2, 4, 5, 12])
def test_naive2_equals_its_slow_twin(m):
    series = ragged(m, seed=m)
    expected = [naive2_by_loop(one, 2 * m + 1, m) for one in series]
    assert_allclose(naive2(*flat(series), 2 * m + 1, m), expected, rtol=1e-10)


@pytest.mark.parametrize("m", [2, 4, 5, 12])
def test_seasonality_test_equals_its_slow_twin_and_finds_both_answers(m):
    series = ragged(m, seed=m)
    answers = is_seasonal(*flat(series), m)
    assert answers.tolist() == [is_seasonal_by_loop(one, m) for one in series]
    assert 0 < answers.sum() < len(answers)


@pytest.mark.parametrize("m", [4, 7])
def test_seasonality_test_equals_one_on_the_autocorrelations_of_statsmodels(m):
    series = [one for one in ragged(m, seed=20 + m) if len(one) >= 3 * m]
    expected = []
    for one in series:
        r = acf(one, nlags=m, fft=False)[1:]
        expected.append(abs(r[-1]) > 1.645 * np.sqrt((1 + 2 * (r[:-1] ** 2).sum()) / len(one)))
    assert is_seasonal(*flat(series), m).tolist() == expected


@pytest.mark.parametrize("m", [2, 4, 5, 7, 12])
def test_seasonal_indices_equal_those_of_statsmodels(m):
    series = [one for one in ragged(m, seed=m) if len(one) >= 2 * m]
    expected = [seasonal_decompose(one, model="multiplicative", period=m).seasonal[:m] for one in series]
    assert_allclose(seasonal_indices(*flat(series), m), expected, rtol=1e-10)


def test_indices_of_some_series_are_theirs_whatever_the_others_hold():
    series = [one for one in ragged(4, seed=3) if len(one) >= 12][:5]
    whole = seasonal_indices(*flat(series), 4)
    series[0], series[3] = np.full(9, np.nan), -series[3]
    assert seasonal_indices(*flat(series), 4, np.array([4, 1, 2])).tolist() == whole[[4, 1, 2]].tolist()


def test_a_season_is_found_alike_however_many_series_are_looked_through_at_once(monkeypatch):
    values, indptr = flat([*ragged(5, seed=4), np.full(40, np.nan), *ragged(5, seed=5)])
    whole = is_seasonal(values, indptr, 5), seasonal_indices(values, indptr, 5)
    monkeypatch.setattr(scoring_naive, "_CHUNK_ROWS", 1)
    for found, expected in zip(
        (is_seasonal(values, indptr, 5), seasonal_indices(values, indptr, 5)), whole, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_seasonal_indices_average_one():
    series = [one for one in ragged(12, seed=1) if len(one) >= 36]
    assert_allclose(seasonal_indices(*flat(series), 12).mean(axis=1), 1.0)


def test_naive2_worked_by_hand():
    # Ten times 1, 3: the 2x2 average is 2 throughout, the indices 0.5 and 1.5. A last row of 1 (index 0.5) is
    # adjusted to 2; the steps after it have indices 1.5, 0.5, 1.5.
    y = [1.0, 3.0] * 10 + [1.0]
    assert_allclose(naive2(y, [0, 21], 3, 2), [[3.0, 1.0, 3.0]])


@pytest.mark.parametrize(
    "forecast",
    [
        naive,
        drift,
        lambda values, indptr, horizon: seasonal_naive(values, indptr, horizon, 4),
        lambda values, indptr, horizon: naive2(values, indptr, horizon, 4),
    ],
)
class TestEveryReferenceForecast:
    def test_forecast_of_one_series_does_not_depend_on_its_neighbours(self, forecast):
        series = ragged(4, seed=5)
        alone = np.concatenate([forecast(*flat([one]), HORIZON) for one in series])
        assert_array_equal(forecast(*flat(series), HORIZON), alone)

    def test_nan_stays_in_its_own_series(self, forecast):
        series = ragged(4, seed=6)
        clean = forecast(*flat(series), HORIZON)
        spoilt = [np.full(len(one), math.nan) if i % 2 else one for i, one in enumerate(series)]
        result = forecast(*flat(spoilt), HORIZON)
        assert_array_equal(result[::2], clean[::2])
        assert np.isnan(result[1::2]).all()

    def test_shape_and_dtype_are_series_by_horizon_in_float64(self, forecast):
        result = forecast(np.arange(9), [0, 4, 9], HORIZON)
        assert result.shape == (2, HORIZON)
        assert result.dtype == np.float64

    def test_series_without_rows_is_answered_with_nan(self, forecast):
        result = forecast([1.0, 2.0], [0, 0, 2, 2], 3)
        assert np.isnan(result).all(axis=1).tolist() == [True, False, True]
        assert forecast([], [0, 0], 3).shape == (1, 3)
        assert forecast([], [0], 3).shape == (0, 3)

    def test_constant_series_is_continued_exactly(self, forecast):
        # 0.1 is no binary fraction, so its mean over 39 rows is not 0.1.
        assert_array_equal(forecast([0.1] * 39 + [0.0] * 20, [0, 39, 59], 5), [[0.1] * 5, [0.0] * 5])

    def test_forecasts_scale_with_the_series(self, forecast):
        values, indptr = flat(ragged(4, seed=8))
        assert_allclose(forecast(1024.0 * values, indptr, 5), 1024.0 * forecast(values, indptr, 5), rtol=1e-12)

    def test_infinite_and_huge_values_raise_no_warning(self, forecast):
        y = np.tile([1.0, 2.0, 3.0, 4.0], 5)
        assert forecast(np.concatenate([[math.inf], y, 1e300 * y]), [0, 21, 41], 3).shape == (2, 3)


@pytest.mark.parametrize("m", [1, 3, 5])
def test_seasonal_naive_equals_a_loop(m):
    series = [np.arange(float(n)) + 10 for n in (1, 2, 3, 4, 5, 9)]
    expected = [[one[-m + h % m] if len(one) >= m else one[-1] for h in range(HORIZON)] for one in series]
    assert_array_equal(seasonal_naive(*flat(series), HORIZON, m), expected)


def test_series_shorter_than_a_season_repeats_its_last_value():
    assert seasonal_naive([1.0, 2.0, 3.0], [0, 3], 2, 4).tolist() == [[3.0, 3.0]]


def test_with_season_length_one_the_seasonal_forecasts_are_naive():
    values, indptr = flat(ragged(3, seed=9))
    expected = naive(values, indptr, HORIZON)
    assert_array_equal(seasonal_naive(values, indptr, HORIZON, 1), expected)
    assert_array_equal(naive2(values, indptr, HORIZON, 1), expected)


def test_drift_equals_a_loop():
    series = ragged(4, seed=10)
    expected = [[y[-1] + h * (y[-1] - y[0]) / max(len(y) - 1, 1) for h in range(1, 4)] for y in series]
    assert_allclose(drift(*flat(series), 3), expected)


def test_drift_of_one_row_is_naive():
    assert drift([4.0], [0, 1], 2).tolist() == [[4.0, 4.0]]


def test_naive2_of_less_than_three_seasons_is_naive():
    # One peak in twelve: the other autocorrelations are small, so that only the length decides.
    y = np.tile([9.0] + [1.0] * 11, 3)
    assert naive2(y[:35], [0, 35], 2, 12).tolist() == [[1.0, 1.0]]
    assert_allclose(naive2(y, [0, 36], 2, 12), [[9.0, 1.0]])


def test_constant_series_has_no_season_whatever_its_mean_rounds_to():
    levels = np.arange(1, 40) / 10
    assert not is_seasonal(np.repeat(levels, 39), indptr_of([39] * len(levels)), 4).any()


def test_naive2_of_a_series_with_negative_values_is_naive():
    y = np.tile([-1.0, 2.0, 3.0, 6.0], 10)
    assert is_seasonal(y, [0, 40], 4).all()
    assert naive2(y, [0, 40], 3, 4).tolist() == [[6.0, 6.0, 6.0]]


def test_naive2_of_a_series_with_some_zeros_stays_seasonal():
    y = np.tile([1.0, 2.0, 3.0, 6.0], 10)
    y[17] = 0.0
    assert_allclose(naive2(y, [0, 40], 4, 4)[0], naive2_by_loop(y, 4, 4))


def test_naive2_of_a_series_that_ends_on_a_day_that_is_always_zero_starts_from_the_day_before():
    y = np.tile([2.0, 4.0, 6.0, 0.0], 10)
    assert_allclose(naive2(y, [0, 40], 5, 4), [[2.0, 4.0, 6.0, 0.0, 2.0]])


def test_naive2_leaves_out_ratios_of_zero_to_zero():
    y = np.concatenate([np.zeros(12), np.tile([2.0, 4.0, 6.0, 8.0], 10)])
    forecast = naive2(y, [0, 52], 4, 4)
    assert is_seasonal(y, [0, 52], 4).all()
    assert np.isfinite(forecast).all()
    assert len(np.unique(forecast)) == 4


def test_naive2_without_a_ratio_at_some_position_is_naive():
    y = np.zeros(40)
    y[0] = y[-1] = 5.0
    assert np.isnan(seasonal_indices(y, [0, 40], 4)).all()
    assert naive2(y, [0, 40], 2, 4).tolist() == [[5.0, 5.0]]


def test_naive2_leaves_its_input_alone():
    values, indptr = flat(ragged(4, seed=12))
    before = values.copy()
    naive2(values, indptr, 3, 4)
    assert_array_equal(values, before)


def m4(folder, group, horizon):
    train = pd.read_parquet(folder / f"m4-{group}-train.parquet")
    test = pd.read_parquet(folder / f"m4-{group}-test.parquet")
    lengths = train.groupby("unique_id", observed=True, sort=False).size()
    assert list(lengths.index) == list(test["unique_id"].unique())
    y = test["y"].to_numpy().reshape(-1, horizon)
    return list(lengths.index), train["y"].to_numpy(), indptr_of(lengths.to_numpy()), y


# Official table of the M4 competition, rows Naive2 (m4-official-results.csv).
@pytest.mark.parametrize(
    ("group", "m", "horizon", "official_smape", "official_mase"),
    [("yearly", 1, 6, 16.342, 3.974), ("weekly", 1, 13, 9.161, 2.777), ("hourly", 24, 48, 18.383, 2.395)],
)
def test_naive2_reproduces_the_official_m4_scores(m4_folder, group, m, horizon, official_smape, official_mase):
    _, values, indptr, y = m4(m4_folder, group, horizon)
    forecast = naive2(values, indptr, horizon, m)
    assert round(smape(y, forecast).mean(), 3) == official_smape
    assert round((mae(y, forecast) / seasonal_naive_scale(values, indptr, m)).mean(), 3) == official_mase


@pytest.mark.parametrize(
    ("group", "m", "horizon"), [("quarterly", 4, 8), ("monthly-sample", 12, 18), ("hourly", 24, 48)]
)
def test_naive2_reproduces_the_official_m4_forecasts(m4_folder, group, m, horizon):
    ids, values, indptr, _ = m4(m4_folder, group, horizon)
    official = pd.read_parquet(m4_folder / "m4-naive2.parquet")
    official = official[official["unique_id"].isin(ids)]
    assert list(official["unique_id"].unique()) == ids
    # The official file has ten significant digits; the sample's training values are good to 1e-7.
    expected = official["y_hat"].to_numpy().reshape(-1, horizon)
    assert_allclose(naive2(values, indptr, horizon, m), expected, rtol=1e-6)
