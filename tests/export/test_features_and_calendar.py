"""Lag transforms, the calendar and maps of each step in exported loops, compared with Python."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from tests.export.families import FAMILIES
from tests.export.test_c_code import needs_compiler, run_of, shaken
from tests.export.test_regressors import differences
from tests.makers import make_frame
from tsforce import Difference, Log, NARXForecaster
from tsforce.data.calendar import calendar_values
from tsforce.errors import ArgumentError
from tsforce.export import c_replay, onnx_graph
from tsforce.export.loop import loop_of
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

TRANSFORMS = {
    "windows": {1: [RollingMean(5), RollingStd(4), RollingMin(3), RollingMax(6)], 3: [RollingQuantile(0.3, 6)]},
    "seasons": {
        1: [SeasonalRollingMean(7, 3), SeasonalRollingMax(2, 2)],
        2: [SeasonalRollingStd(3, 3), SeasonalRollingQuantile(0.5, 2, 4), SeasonalRollingMin(2, 2)],
    },
    "parts": {
        1: [RollingMean(30, min_samples=2), RollingStd(20, min_samples=1)],
        3: [RollingQuantile(0.3, 16, min_samples=3), SeasonalRollingMean(7, 5, min_samples=2)],
    },
    "all rows": {1: [ExpandingMean()], 3: [ExponentiallyWeightedMean(0.3), ExpandingMean()]},
}
SETTINGS = {
    "plain": {},
    "differences": {"target_transforms": [Log(), Difference(7)]},
    "calendar": {"scope": "global", "window_scaling": "standard", "calendar": ["dayofweek", "month"]},
}


def frame():
    return make_frame((90, 70, 120), freq="D")


def fitted(family, transforms, setting):
    settings = {"target_transforms": (), **SETTINGS[setting]}
    model = NARXForecaster(
        5, lags=[1, 3, 7], model=FAMILIES[family], mode="open_loop", max_steps=1, lag_transforms=TRANSFORMS[transforms],
        **settings,
    )  # fmt: skip
    return shaken(model.fit(frame()), 0.02)


def ahead_of(model, name, horizon):
    """What stamps after the end of a series say."""
    coder = model._rolling_.coder
    if coder is None:
        return np.empty((horizon, 0))
    end = frame().groupby("unique_id")["ds"].max()[name]
    return calendar_values(pd.date_range(end, periods=horizon + 1, freq="D")[1:], coder.calendar)


QUICK = [("linear", "windows", "calendar"), ("linear", "all rows", "differences")]
EVERY = [("linear", transforms, setting) for transforms in TRANSFORMS for setting in SETTINGS]
EVERY += [("gru", "parts", "plain"), ("gru", "windows", "differences"), ("gru", "all rows", "calendar")]


@needs_compiler
@pytest.mark.parametrize(
    ("family", "transforms", "setting"),
    [*QUICK, *(pytest.param(*row, marks=pytest.mark.slow) for row in EVERY if row not in QUICK)],
)
def test_features_say_elsewhere_what_they_say_in_python(family, transforms, setting, tmp_path, monkeypatch):
    model = fitted(family, transforms, setting)
    run, loop = run_of(model, tmp_path, "s1")
    expected = model.predict(5)
    expected = expected[expected["unique_id"] == "s1"].iloc[:, 3:].to_numpy()
    # The clock of predict is the frame's own.
    np.testing.assert_allclose(run(None, ahead_of(model, "s1", 5)), expected, rtol=1e-12)
    # Cutoffs at which a series has fewer rows than a window too.
    assert c_replay.compared("the code", run, loop, 1e-12) < 1e-13
    if find_spec("onnx"):
        found = differences(monkeypatch)
        for horizon in (7, None):
            model.export(tmp_path / "model.onnx", horizon=horizon, unique_id="s1")
        assert max(found) < 1e-13


@needs_compiler
@pytest.mark.slow
def test_an_fmu_knows_the_rows_before_its_start_and_takes_the_calendar_as_inputs(tmp_path, monkeypatch):
    found = differences(monkeypatch)
    for fmi in ("2.0", "3.0"):
        fitted("linear", "all rows", "calendar").export(tmp_path / "model.fmu", unique_id="s1", fmi=fmi)
    assert max(found) < 1e-13


STRATEGIES = [("direct", "linear"), ("dirrec", "tree"), ("dirrec", "ridge")]
MODELS = {"linear": lambda: "linear", "tree": lambda: DecisionTreeRegressor(max_depth=4), "ridge": Ridge}
READS = {
    "lags": {},
    "no first lag": {"lags": [2, 5]},
    "inputs": {"past_exog": "p", "future_exog": "f", "exog_lags": {"p": [1, 3], "f": [0, 1]}},
    "features": {"lag_transforms": {1: [RollingMean(4)], 2: [ExpandingMean()]}, "calendar": "dayofweek"},
}


def of_each_step(strategy, model, reads):
    settings = {"lags": 6, "target_transforms": [Difference(1)], **READS[reads]}
    df = make_frame((90,), freq="D")
    draw = np.random.default_rng(0).normal(size=(2, 90))
    df = df.assign(p=draw[0], f=draw[1])[["unique_id", "ds", "y", *(["p", "f"] if reads == "inputs" else [])]]
    return NARXForecaster(4, model=MODELS[model](), strategy=strategy, **settings).fit(df)


@pytest.mark.parametrize(
    ("strategy", "model", "reads"),
    [
        pytest.param(s, m, r, marks=() if (s, m, r) == ("dirrec", "tree", "lags") else pytest.mark.slow)
        for s, m in STRATEGIES
        for r in READS
    ],
)
def test_a_graph_of_all_steps_has_a_map_for_each(strategy, model, reads, tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed (extra onnx)")
    fitted_model, found = of_each_step(strategy, model, reads), differences(monkeypatch)
    # After the last map the first one follows again.
    for horizon in (3, 10):
        fitted_model.export(tmp_path / "model.onnx", horizon=horizon)
    assert max(found) < 1e-13


@needs_compiler
@pytest.mark.parametrize(
    ("strategy", "reads"),
    [
        pytest.param(s, r, marks=() if (s, r) == ("dirrec", "inputs") else pytest.mark.slow)
        for s in ("direct", "dirrec")
        for r in READS
    ],
)
def test_linear_maps_for_each_step_take_turns_in_c(strategy, reads, tmp_path):
    model = of_each_step(strategy, "ridge" if strategy == "dirrec" else "linear", reads)
    run, loop = run_of(model, tmp_path, None)
    # Fifty steps, which begin again with the first map every four.
    assert c_replay.compared("the code", run, loop, 1e-12) < 1e-13


def test_a_map_for_each_step_is_no_step_of_a_loop(tmp_path):
    for model, name in (("linear", "model.onnx"), ("tree", "model.c"), ("tree", "model.fmu")):
        with pytest.raises(ArgumentError, match=r"strategy='direct' has .*horizon=4\. Do that, or .*'recursive'"):
            of_each_step("direct", model, "lags").export(tmp_path / name)


def test_an_expanding_mean_takes_any_number_of_rows(tmp_path):
    onnx = pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed (extra onnx)")
    df = make_frame((90,))
    model = NARXForecaster(4, lags=2, mode="open_loop", lag_transforms={1: [ExpandingMean()]}).fit(df)
    (path,) = model.export(tmp_path / "model.onnx", horizon=4)
    run = onnx_graph.runner(onnx.load(path))
    for rows in (20, 60):
        (found,) = run({"y": df[["y"]].to_numpy()[None, :rows]})
        expected = model.predict(4, history=df[:rows])["NARXForecaster"]
        np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-12)


def test_columns_of_the_calendar_are_what_the_page_on_exports_says():
    model = fitted("linear", "windows", "plain").set_params(
        calendar=["hour", "timeofday", "hourofweek", "dayofmonth", "dayofyear", "weekofyear", "monthend"], lags=2
    )
    loop = loop_of(model.fit(make_frame((90,), freq="6h")))
    given = dict(zip(loop.columns.future_exog, loop.start.future[-1], strict=True))
    # The last stamp is a Sunday, the 30th of June 2024, at 0:00: the 182nd day of a leap year.
    expected = {
        "hour_0": 1, "hour_6": 0, "hourofweek_144": 1, "hourofweek_0": 0, "monthend": 1, "timeofday_cos4": 1,
        "dayofmonth_sin2": np.sin(4 * np.pi * 29 / 31), "dayofyear_cos3": np.cos(6 * np.pi * 181 / 365.25),
        "weekofyear_sin1": np.sin(2 * np.pi * 25 / (365.25 / 7)),
    }  # fmt: skip
    assert {name: given[name] for name in expected} == pytest.approx(expected)
