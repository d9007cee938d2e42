"""A closed loop as ONNX graphs, run by onnxruntime, or by onnx's own reference, and compared with Python."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from tests.export.families import FAMILIES
from tests.makers import make_frame, sysid_record
from tsforce import BoxCox, Difference, Log, NARXForecaster, NARXRegressor
from tsforce.errors import ArgumentError, ExportError, MissingExtraError
from tsforce.export import c_replay, onnx_files, onnx_graph
from tsforce.export.loop import loop_of

SETTINGS = {
    "plain": {},
    "log_season": {"target_transforms": [Log(), Difference(7)]},
    "boxcox": {"target_transforms": [BoxCox()]},
    "last": {"window_scaling": "last"},
    "mean_abs": {"window_scaling": "mean_abs", "scope": "global"},
    "standard": {"window_scaling": "standard", "scope": "global"},
    "future": {"future_exog": "f", "exog_lags": {"f": [0, 2]}},
    "both": {"future_exog": "f", "past_exog": "p", "exog_lags": {"f": [1], "p": [1, 3]}},
}


@pytest.fixture
def runtime():
    pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed (extra onnx)")


def frame(inputs):
    df = make_frame((90,))
    draw = np.random.default_rng(0).normal(size=(2, len(df)))
    df = df.assign(f=5 + draw[0], p=draw[1])
    df["y"] += 3 * df["f"]
    return df[["unique_id", "ds", "y", *inputs]]


def fitted(family, setting, shake=0.05, **changes):
    """A fitted model whose weights were moved at random: networks that add nothing yet would prove nothing."""
    settings = {"target_transforms": (), "window_scaling": None, **SETTINGS[setting], **changes}
    inputs = [settings[kind] for kind in ("future_exog", "past_exog") if kind in settings]
    model = NARXForecaster(5, lags=7, model=FAMILIES[family], mode="open_loop", max_steps=1, **settings)
    model.fit(frame(inputs))
    torch.manual_seed(0)
    model.model_.double()
    with torch.no_grad():
        for weight in model.model_.parameters():
            weight += shake * torch.randn(weight.shape, dtype=torch.float64)
    return model


def difference(model, path, monkeypatch, **options):
    """The largest difference to Python that export found, as a share of the size of forecasts."""
    found = []

    def compared(*given):
        found.append(c_replay.compared(*given))

    monkeypatch.setattr(onnx_files, "compared", compared)
    files = model.export(path, **options)
    assert len(files) == (2 if options.get("horizon") is None else 1)
    return found[0]


PAIRS = [("linear", "log_season"), ("linear", "both")]
EVERY = [("linear", setting) for setting in SETTINGS]
EVERY += [(family, setting) for family in FAMILIES if family != "linear" for setting in ("mean_abs", "both")]
EVERY += [("gru", "future"), ("polynomial", "standard")]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("family", "setting"),
    [*PAIRS, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in EVERY if pair not in PAIRS)],
)
def test_a_whole_horizon_and_a_step_say_what_python_says(family, setting, tmp_path, monkeypatch):
    model = fitted(family, setting)
    for horizon in (7, None):
        for dtype, most in (("float64", 1e-13), ("float32", 3e-6)):
            assert difference(model, tmp_path / "model.onnx", monkeypatch, dtype=dtype, horizon=horizon) < most


@pytest.mark.usefixtures("runtime")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "weight"), [("plain", 1.9), ("plain", 40.0), ("boxcox", 2.5), ("standard", 3.0), ("both", 2.5)]
)
def test_roll_outs_that_run_away_are_held_where_python_holds_them(setting, weight, tmp_path, monkeypatch):
    model = fitted("relu", setting, scope="global")
    with torch.no_grad():
        model.model_.skip[0, 6] = weight
    loop = loop_of(model)
    assert not loop.cannot_run_away
    for horizon in (50, None):
        assert difference(model, tmp_path / "model.onnx", monkeypatch, horizon=horizon) < 1e-11


@pytest.mark.usefixtures("runtime")
def test_a_map_that_cannot_run_away_is_held_where_its_first_step_is_far_from_its_context(tmp_path, monkeypatch):
    model = fitted("linear", "plain", shake=0.0)
    model.model_.weight[:] = 0.0
    model.model_.weight[0, -1] = 0.5
    model.model_.bias[:] = 1e5
    assert loop_of(model).cannot_run_away
    loop = loop_of(model)
    assert loop.forecast(loop.start, loop.start.future[:1]).max() < 1e4
    for horizon in (7, None):
        assert difference(model, tmp_path / "model.onnx", monkeypatch, horizon=horizon) < 1e-13


@pytest.mark.usefixtures("runtime")
def test_a_batch_is_forecast_as_each_of_it_alone(tmp_path):
    model = fitted("linear", "future")
    (path,) = model.export(tmp_path / "model.onnx", horizon=4)
    loop, n = loop_of(model), loop_of(model).n_rows
    rows = [loop.known.take(slice(first, first + n + 4)) for first in (0, 11, 30)]
    given = {"y": np.stack([one.y[:n] for one in rows]), "future": np.stack([one.future for one in rows])}
    import onnx

    (found,) = onnx_graph.runner(onnx.load(path))(given)
    assert found.shape == (3, 4, 1)
    for one, forecast in zip(rows, found, strict=True):
        expected = loop.forecast(one.take(slice(0, n)), one.future[n:])
        np.testing.assert_allclose(forecast, expected, rtol=1e-12)


@pytest.mark.usefixtures("runtime")
@pytest.mark.slow
@pytest.mark.parametrize("family", ["linear", "polynomial", "tanh", "gru", "lstm"])
def test_a_simulation_of_ten_thousand_measured_rows_is_that_of_python(family, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed (extra onnx)")
    u, y = sysid_record(400)
    model = NARXRegressor(2, 3, input_delay=1, model=FAMILIES[family], mode="open_loop", max_steps=20)
    model.fit(u[:, None], y)
    inputs = sysid_record(10_000, seed=3)[0][:, None]
    step, begin = (
        runtime.InferenceSession(str(path)) for path in model.export(tmp_path / "plant.onnx", dtype="float32")
    )
    start = loop_of(model).start
    needed = {one.name for one in begin.get_inputs()}
    given = {k: v[None].astype("float32") for k, v in start._asdict().items() if k in needed}
    state = dict(zip([one.name for one in begin.get_outputs()], begin.run(None, given), strict=True))
    rows = np.concatenate([start.future, inputs]).astype("float32")
    reads = next(one.shape[1] for one in step.get_inputs() if one.name == "future")
    names, found = [one.name for one in step.get_inputs()], []
    for k in range(len(start.y), len(rows)):
        state["future"] = rows[None, k + 1 - reads : k + 1]
        forecast, *after = step.run(None, {name: state[name] for name in names})
        state = {one.name.removesuffix("_out"): v for one, v in zip(step.get_outputs()[1:], after, strict=True)}
        found.append(forecast[0, 0, 0])
    model.model_.double()
    expected = model.predict(inputs)
    assert np.abs(np.array(found) - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.usefixtures("runtime")
def test_a_graph_knows_the_last_rows_that_were_learnt_from(tmp_path):
    import onnx

    model = fitted("linear", "future")
    (path,) = model.export(tmp_path / "model.onnx", horizon=3)
    (entry,) = onnx.load(path).metadata_props
    rows = json.loads(entry.value)
    assert np.ravel(rows["y"]).tolist() == frame(["f"])["y"].to_list()[-7:]
    assert np.ravel(rows["future"]).tolist() == frame(["f"])["f"].to_list()[-7:]


@pytest.mark.usefixtures("runtime")
def test_a_graph_that_says_something_else_is_not_written(tmp_path, monkeypatch):
    made = onnx_files.Unrolled._backward

    def wrong(self, transform, params, value):
        return self.graph("Mul", made(self, transform, params, value), 1.01)

    monkeypatch.setattr(onnx_files.Unrolled, "_backward", wrong)
    with pytest.raises(ExportError, match="the ONNX graph was not written: 1 steps after a cutoff it says"):
        fitted("linear", "log_season").export(tmp_path / "model.onnx", horizon=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("runtime")
def test_a_series_shorter_than_its_context_is_refused(tmp_path):
    model = NARXForecaster(2, lags=3, scope="global", mode="open_loop", context_length=50).fit(make_frame((40,)))
    with pytest.raises(ArgumentError, match=r"40 rows, where a forecast looks at 50.* export to C"):
        model.export(tmp_path / "model.onnx")


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tsforce\[onnx\]'"):
        fitted("linear", "plain").export(tmp_path / "model.onnx", horizon=3)


def test_horizons_of_a_graph_are_whole_numbers(tmp_path):
    with pytest.raises(ArgumentError, match=r"horizon=1\.5"):
        fitted("linear", "plain").export(tmp_path / "model.onnx", horizon=1.5)
