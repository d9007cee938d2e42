"""Streams: sample by sample the forecasts of predict on the rows so far."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tests.makers import make_frame
from tsforce import Difference, Log, MeanScale, NARXForecaster
from tsforce.errors import ArgumentError, FutureExogError
from tsforce.lag_transforms import ExpandingMean, RollingStd

H = 4
OPEN = {"mode": "open_loop", "ridge": 10.0}
CASES = {
    "levels": {"lags": 7, "scope": "local"},
    "sparse lags": {"lags": [1, 7], "scope": "local"},
    "differences": {"lags": 7, "scope": "local", "target_transforms": [Log(), Difference(7), Difference(1)]},
    "one for all": {"lags": 7, "scope": "global", "target_transforms": [MeanScale()], "window_scaling": "last"},
    "scaled windows": {"lags": 5, "scope": "global", "window_scaling": "standard", "context_length": 9},
    "lag transform": {"lags": 3, "scope": "local", "lag_transforms": {1: [RollingStd(5)]}},
    "polynomial": {"lags": 2, "scope": "global", "model": "polynomial"},
    "calendar": {"lags": 3, "scope": "local", "calendar": ["dayofweek"]},
    "direct": {"lags": 3, "scope": "local", "strategy": "direct"},
    "regressor": {"lags": 3, "model": Ridge(), "ridge": "auto"},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_series", [1, 3])
def test_forecasts_are_those_of_predict_on_the_rows_so_far(name, n_series):
    df = make_frame((60, 50, 55)[:n_series], freq="D" if name == "calendar" else None)
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    model = NARXForecaster(H, **OPEN | CASES[name]).fit(df[to_end >= 20])
    stream = model.stream()
    assert stream.ids == [f"s{i}" for i in range(n_series)]
    # More samples than the ring has room for.
    for left in range(19, -1, -1):
        stream.observe(df.loc[to_end == left, "y"].to_numpy())
        if left % 5 == 0:
            expected = model.predict(history=df[to_end >= left])[model.name].to_numpy()
            got = stream.forecast()
            assert got.shape == ((H,) if n_series == 1 else (n_series, H))
            np.testing.assert_allclose(got.ravel(), expected, rtol=1e-12)
    assert stream.n_observed == 20


def test_inputs_come_with_the_sample_and_those_known_ahead_with_the_forecast():
    df = make_frame((60, 50))
    rng = np.random.default_rng(0)
    df = df.assign(past=rng.normal(size=len(df)), ahead=rng.normal(size=len(df)))
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    model = NARXForecaster(H, 3, scope="local", past_exog=["past"], future_exog=["ahead"], **OPEN)
    model.fit(df[to_end >= 20])
    stream = model.stream()
    for left in range(19, H - 1, -1):
        now = df[to_end == left]
        stream.observe(now["y"], now[["past", "ahead"]])
    later = df[to_end < H]
    got = stream.forecast(future=later["ahead"].to_numpy().reshape(2, H, 1))
    expected = model.predict(history=df[to_end >= H], future_df=later)[model.name]
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-12)
    with pytest.raises(FutureExogError, match="'ahead'"):
        stream.forecast()
    with pytest.raises(ArgumentError, match="'past', 'ahead'"):
        stream.observe([1.0, 2.0])


def test_a_value_that_is_missing_is_the_forecast_of_its_step():
    df = make_frame((60,))
    df.loc[[51, 52, 56], "y"] = np.nan
    model = NARXForecaster(H, 5, scope="local", missing="own_output", **OPEN).fit(df[:45])
    stream = model.stream()
    for y in df["y"][45:]:
        stream.observe(y)
    np.testing.assert_allclose(stream.forecast(), model.predict(history=df)[model.name], rtol=1e-12)
    refuses = NARXForecaster(H, 5, scope="local", **OPEN).fit(df[:45]).stream()
    with pytest.raises(ArgumentError, match="own_output"):
        refuses.observe(np.nan)


def test_what_the_guard_holds_it_holds_here_too():
    rows = 60
    y = 2.0 ** np.arange(rows) * 1e-9
    df = make_frame((rows,)).assign(y=y)
    model = NARXForecaster(40, 1, scope="local", mode="open_loop", ridge=0.0, prior="zero").fit(df[:40])
    stream = model.stream()
    with pytest.warns(Warning, match="go further out"):
        expected = model.predict()[model.name]
    with pytest.warns(Warning, match="go further out"):
        np.testing.assert_allclose(stream.forecast(), expected, rtol=1e-12)


def test_a_thousand_samples_take_no_more_memory_than_one():
    df = make_frame((60,))
    model = NARXForecaster(H, 7, scope="local", target_transforms=[Difference(7)], **OPEN).fit(df)
    stream = model.stream()

    def size():
        rings = [stream._values, *stream._quick._rings]
        return sum(ring._data.nbytes for ring in rings)

    before = size()
    for k in range(1000):
        stream.observe(50 + np.sin(k))
    assert size() == before


def test_other_shapes_and_all_rows_are_refused():
    model = NARXForecaster(H, 3, scope="local", **OPEN).fit(make_frame((60, 50)))
    with pytest.raises(ArgumentError, match=r"shape \(3,\); expected \(2, 1\)"):
        model.stream().observe([1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="without inputs"):
        model.stream().observe([1.0, 2.0], [[1.0], [2.0]])
    with pytest.raises(ArgumentError, match="not finite"):
        model.stream().observe([1.0, np.inf])
    remembers = NARXForecaster(H, 3, scope="local", lag_transforms={1: [ExpandingMean()]}, **OPEN)
    with pytest.raises(ArgumentError, match="reach back to the first"):
        remembers.fit(make_frame((60,))).stream()
