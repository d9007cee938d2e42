"""The way of a frame is straight: read once, written once; on the way all is arrays."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import tsforce.data.frame
from tests.makers import make_frame
from tsforce import Baseline, Ensemble, NARXForecaster, backtest, compare

H = 8


def narx(**settings):
    return NARXForecaster(H, 10, scope="local", mode="open_loop", **settings)


def entries(work):
    """How often each function of the module of frames is called from outside of it."""
    found, here = Counter(), tsforce.data.frame.__file__

    def look(frame, event, argument):
        del argument
        code, caller = frame.f_code, frame.f_back
        inner = caller is not None and caller.f_code.co_filename == here
        if event == "call" and code.co_filename == here and not inner:
            found[code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
    return dict(found)


READ, WRITTEN = {"read_panel": 1}, {"write_forecasts": 1}


def test_a_backtest_reads_once_and_writes_once():
    df = make_frame()
    fitted, fresh = narx().fit(df.groupby("unique_id").head(40)), narx()
    both = READ | WRITTEN | {"forecast_columns": 1}
    assert entries(lambda: backtest(fitted, df, n_windows=3)) == both | {"cutoff_rows": 1}
    learnt = {"series_frame": 1, "last_stamps": 1}  # the fitted attributes ridge_ and train_end_
    assert entries(lambda: backtest(fresh, df, n_windows=3)) == both | learnt


def test_a_comparison_reads_once_and_writes_once():
    df = make_frame()
    models = {"a": narx(), "b": narx(), "c": Ensemble([Baseline("naive", horizon=H), Baseline("drift", horizon=H)])}
    found = entries(lambda: compare(models, df, n_windows=3))
    # An ensemble keeps coverage_ beside its members' and its own ends.
    assert found == READ | WRITTEN | {"series_frame": 3, "last_stamps": 5, "forecast_columns": 3}


def test_a_fit_reads_and_a_forecast_writes():
    df = make_frame()
    model = narx()
    assert entries(lambda: model.fit(df)) == READ | {"series_frame": 1, "last_stamps": 1}
    assert entries(model.predict) == WRITTEN
    assert entries(lambda: model.predict_at(df, [60])) == READ | WRITTEN | {"resolve_cutoffs": 1}


def test_nothing_is_read_or_written_to_measure_exposure():
    result = backtest(narx(), make_frame(), n_windows=3)
    assert entries(result.exposure) == {}


@pytest.mark.parametrize("base", [Baseline, NARXForecaster])
def test_a_predict_at_of_a_subclass_own_is_what_is_judged(base):
    class Doubled(base):
        def predict_at(self, df, cutoffs, horizon=None):
            found = super().predict_at(df, cutoffs, horizon)
            return found.assign(**{self.name: 2 * found[self.name]})

    settings = {"method": "drift"} if base is Baseline else {"lags": 10, "scope": "local", "mode": "open_loop"}
    df = make_frame()
    plain, doubled = (make(horizon=H, alias="m", **settings) for make in (base, Doubled))
    one, two = (backtest(model, df, n_windows=3) for model in (plain, doubled))
    pd.testing.assert_frame_equal(two.frame, one.frame.assign(m=2 * one.frame["m"]))
    both = Ensemble([plain, doubled], combine="mean", alias="m")
    np.testing.assert_allclose(backtest(both, df, n_windows=3).frame["m"], 1.5 * one.frame["m"], rtol=1e-12)
