"""What the index of a measured record says about its rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsforce import NARXRegressor
from tsforce.errors import ArgumentError

RNG = np.random.default_rng(0)
U = RNG.normal(size=300)
Y = np.zeros(300)
for t in range(1, 300):
    Y[t] = 0.95 * Y[t - 1] + U[t - 1]

CLOCKS = {
    "stamps": pd.date_range("2024-01-01", periods=300, freq="s"),
    "stamps of a zone": pd.date_range("2024-03-31", periods=300, freq="h", tz="Europe/Berlin"),
    "durations": pd.to_timedelta(np.arange(300) * 0.01, unit="s"),
    "seconds": pd.Index(np.arange(300) * 0.01),
    "seconds with jitter": pd.Index(np.arange(300) * 0.01 + RNG.uniform(-0.001, 0.001, 300)),
    "rows": pd.RangeIndex(300),
}


def model():
    return NARXRegressor(1, 1, input_delay=1, mode="open_loop")


def record(clock):
    return pd.DataFrame({"valve": U}, index=CLOCKS[clock]), pd.Series(Y, index=CLOCKS[clock], name="level")


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_record_with_a_clock_is_fitted_as_one_without(clock):
    X, y = record(clock)
    expected = model().fit(U[:, None], Y).predict(U[:, None])
    np.testing.assert_array_equal(model().fit(X, y).predict(X), expected)
    np.testing.assert_array_equal(model().fit(X, Y).predict(X), expected)
    other = y.reset_index(drop=True)
    if clock != "rows":
        np.testing.assert_array_equal(model().fit(X, other).predict(X), expected)


@pytest.mark.parametrize("clock", [name for name in CLOCKS if name != "rows"])
def test_missing_and_reversed_rows_are_errors_with_what_to_do(clock):
    X, y = record(clock)
    kept = np.delete(np.arange(300), [50, 51, 100])
    with pytest.raises(ArgumentError, match=r"index of X says that rows are missing in 2 places.*session_sizes="):
        model().fit(X.iloc[kept], y.iloc[kept])
    with pytest.raises(ArgumentError, match=r"index of y says that rows are missing in 2 places"):
        model().fit(X.iloc[kept].to_numpy(), y.iloc[kept])
    with pytest.raises(ArgumentError, match=r"index of X goes back 299 times.*sort_index"):
        model().fit(X[::-1], y[::-1])
    expected = model().fit(U[:, None], Y).predict(U[:, None])
    again = model().fit(X[::-1].sort_index(), y[::-1].sort_index())
    np.testing.assert_array_equal(again.predict(X), expected)
    again = model().fit(X.iloc[kept], y.iloc[kept], session_sizes=[50, 48, 199])
    assert again.predict(X.iloc[:5]).shape == (5,)


@pytest.mark.parametrize("clock", CLOCKS)
def test_rows_of_y_that_are_not_those_of_x_are_an_error(clock):
    X, y = record(clock)
    with pytest.raises(ArgumentError, match="X and y are of different rows: row 0 is") as caught:
        model().fit(X.iloc[:-20], y.iloc[20:])
    assert "y = y.loc[X.index]" in str(caught.value)
    inputs = X.iloc[:-20]
    model().fit(inputs, y.loc[inputs.index])


def test_records_one_below_the_other_may_each_begin_at_0():
    X, y = record("seconds")
    twice, outputs = pd.concat([X, X]), pd.concat([y, y])
    model().fit(twice, outputs, session_sizes=[300, 300])
    with pytest.raises(ArgumentError, match=r"goes back 1 times.*session_sizes="):
        model().fit(twice, outputs)
