"""C code of a closed loop: compiled, run, and compared with Python."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.tree import DecisionTreeRegressor

import tsforce
from tests.export.families import FAMILIES
from tests.makers import make_frame, sysid_record
from tsforce import Baseline, BoxCox, Difference, Ensemble, Log, MeanScale, NARXForecaster, NARXRegressor, Standardize
from tsforce.errors import ArgumentError, ArgumentTypeError, ExportError, ExportWarning
from tsforce.export import c_replay, exporting
from tsforce.export.c_source import c_source
from tsforce.export.loop import loop_of

needs_compiler = pytest.mark.skipif(
    c_replay.compiler() is None, reason="NOT TESTED: no C compiler (cc, gcc or clang) to compile exported code with"
)
SETTINGS = {
    "plain": {},
    "log_season": {"target_transforms": [Log(), Difference(7)]},
    "boxcox": {"target_transforms": [BoxCox()]},
    "differences": {"target_transforms": [Difference(1), Standardize(), Difference(2)]},
    "last": {"target_transforms": [MeanScale()], "window_scaling": "last"},
    "mean_abs": {"scope": "global", "window_scaling": "mean_abs"},
    "standard": {"scope": "global", "window_scaling": "standard", "context_length": 12},
    "inputs": {"past_exog": ["p"], "future_exog": ["f", "g"], "exog_lags": {"p": [1, 3], "f": [0, 2], "g": [1]}},
    "static": {"scope": "global", "static": ["s", "kind"], "future_exog": "f", "lags": [1, 3, 7]},
    "targets": {"target_col": ["y", "z"], "future_exog": "f"},
}


def frame():
    df = make_frame((90, 70, 120))
    draw = np.random.default_rng(0).normal(size=(3, len(df)))
    size = df["unique_id"].map({"s0": 1.0, "s1": 2.0, "s2": 5.0})
    kind = df["unique_id"].map({"s0": "a", "s1": "b", "s2": "a"})
    df = df.assign(p=draw[0], f=5 + draw[1], g=draw[2], s=size, kind=kind)
    return df.assign(y=df["y"] + 3 * df["f"], z=df["y"].to_numpy()[::-1] + draw[2])


def shaken(model, size=0.05):
    """The model in double precision, its weights moved at random: networks that add nothing yet would prove nothing."""
    torch.manual_seed(0)
    model.model_.double()
    with torch.no_grad():
        for weight in model.model_.parameters():
            weight += size * torch.randn(weight.shape, dtype=torch.float64)
    return model


def fitted(family="linear", setting="plain", **changes):
    settings = {"horizon": 5, "lags": 7, "model": FAMILIES[family], "mode": "open_loop", "max_steps": 1}
    settings |= {"target_transforms": (), **SETTINGS[setting], **changes}
    used = [settings.get(kind, ()) for kind in ("past_exog", "future_exog", "static", "target_col")]
    listed = [name for names in used for name in ([names] if isinstance(names, str) else names)]
    columns = dict.fromkeys(["unique_id", "ds", "y", *listed])
    return NARXForecaster(**settings).fit(frame()[list(columns)])


def run_of(model, tmp_path, unique_id=None, dtype="float64", name="model"):
    loop = loop_of(model, unique_id)
    return c_replay.compiled(c_source(loop, name, dtype), name, dtype, loop, tmp_path), loop


def ahead_of(model, name, horizon):
    """Future inputs after the end of a series, as a frame and as an array."""
    used = [model.future_exog] if isinstance(model.future_exog, str) else list(model.future_exog)
    if not used:
        return {}, np.empty((horizon, 0))
    last = frame().groupby("unique_id")["ds"].max()
    values = np.random.default_rng(1).normal(size=(horizon, 2)) + np.array([5, 0])
    steps = np.arange(1, horizon + 1)
    parts = [
        pd.DataFrame({"unique_id": i, "ds": end + steps, "f": values[:, 0], "g": values[:, 1]})
        for i, end in last.items()
    ]
    future = pd.concat(parts)[["unique_id", "ds", *used]]
    return {"future_df": future}, values[:, : len(used)]


def says_as_python(model, tmp_path, name="s1", horizon=5):
    run, loop = run_of(model, tmp_path, name)
    future, ahead = ahead_of(model, name, horizon)
    expected = model.predict(horizon, **future)
    expected = expected[expected["unique_id"] == name].iloc[:, 3:].to_numpy()
    np.testing.assert_allclose(run(None, ahead), expected, rtol=1e-12)
    # At cutoffs within the training rows, early ones with fewer rows than lags too.
    assert c_replay.compared("the code", run, loop, 1e-12) <= 1e-12


PAIRS = [("linear", "log_season"), ("polynomial", "static"), ("gru", "inputs")]
OTHERS = [("tanh", "boxcox"), ("lstm", "differences"), ("tanh", "static"), *(("linear", s) for s in SETTINGS)]
OTHERS += [(f, s) for f in FAMILIES if f != "linear" for s in ("log_season", "standard", "inputs", "targets")]
OTHERS = [pair for pair in OTHERS if pair not in PAIRS]


@needs_compiler
@pytest.mark.parametrize(("family", "setting"), PAIRS)
def test_a_roll_out_in_c_is_that_of_python(family, setting, tmp_path):
    says_as_python(shaken(fitted(family, setting)), tmp_path)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("family", "setting"), OTHERS)
def test_every_family_with_every_setting_says_in_c_what_it_says_in_python(family, setting, tmp_path, monkeypatch):
    # Optimising, a compiler finds more to warn of.
    monkeypatch.setattr(c_replay, "FLAGS", (*c_replay.FLAGS, "-O2"))
    says_as_python(shaken(fitted(family, setting)), tmp_path)


@needs_compiler
@pytest.mark.parametrize("setting", [pytest.param("plain", marks=pytest.mark.slow), "log_season", "standard"])
def test_single_precision_is_as_near_as_its_digits(setting, tmp_path):
    run, loop = run_of(shaken(fitted("linear", setting)), tmp_path, "s1", "float32")
    assert 0 < c_replay.compared("the code", run, loop, 1e-5) < 2e-6


@needs_compiler
@pytest.mark.parametrize(
    "family", ["linear", *(pytest.param(f, marks=pytest.mark.slow) for f in ("polynomial", "tanh", "gru", "lstm"))]
)
def test_a_simulation_of_ten_thousand_measured_rows_is_that_of_python(family, tmp_path):
    u, y = sysid_record(400)
    model = NARXRegressor(2, 3, input_delay=1, model=FAMILIES[family], mode="open_loop", max_steps=20)
    model.fit(u[:, None], y)
    model.model_.double()
    inputs = sysid_record(10_000, seed=3)[0][:, None]
    expected = model.predict(inputs)[:, None]
    for dtype, most in (("float64", 1e-12), ("float32", 1e-6)):
        run, _ = run_of(model, tmp_path, dtype=dtype, name=f"{family}_{dtype}")
        assert np.abs(run(None, inputs) - expected).max() < most * np.abs(expected).max()


@needs_compiler
def test_records_rest_and_start_in_c_as_in_python(tmp_path):
    u, y = sysid_record(300)
    model = NARXRegressor([1, 3], 2, mode="open_loop").fit(u[:, None], np.c_[y, 2 * y[::-1] + 5])
    inputs, measured = sysid_record(60, seed=3)[0][:, None], np.c_[y, 2 * y[::-1] + 5][:4]
    code = c_source(loop_of(model), "plant")
    (tmp_path / "plant.h").write_text(code.header)
    (tmp_path / "main.c").write_text(
        code.source + "void go(const double *y, const double *u, double *rested, double *started) {"
        "plant m; int i; double mean[2] = {" + ", ".join(map(repr, model.y_mean_.tolist())) + "};"
        "plant_rest(&m, mean, u); for (i = 0; i < 60; i++) plant_step(&m, u + i, rested + 2 * i);"
        "plant_rest(&m, y, u); for (i = 0; i < 4; i++) plant_observe(&m, y + 2 * i, u + i);"
        "for (i = 4; i < 60; i++) plant_step(&m, u + i, started + 2 * i); }"
    )
    subprocess.run(
        [c_replay.compiler(), "-shared", "-fPIC", tmp_path / "main.c", "-o", tmp_path / "main.so", "-lm"], check=True
    )
    rested, started = np.zeros((60, 2)), np.zeros((60, 2))
    go = ctypes.CDLL(str(tmp_path / "main.so")).go
    go(*(ctypes.c_void_p(a.ctypes.data) for a in (measured.copy(), inputs.copy(), rested, started)))
    np.testing.assert_allclose(rested, model.predict(inputs, y_init="rest"), rtol=1e-12)
    np.testing.assert_allclose(started[4:], model.predict(inputs, y_init=measured)[4:], rtol=1e-12)


def wild(family, setting, weight):
    """A map whose roll-outs run away."""
    model = shaken(fitted(family, setting, scope="global"))
    with torch.no_grad():
        parameter = model.model_.skip if hasattr(model.model_, "skip") else model.model_.weight
        parameter[0, -1 if setting != "inputs" else 6] = weight
    return model


@needs_compiler
@pytest.mark.parametrize(
    ("family", "setting", "weight"),
    [
        ("linear", "plain", 1.9), ("linear", "boxcox", 2.5),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in (("linear", "plain", 40.0), ("relu", "inputs", 2.5), ("linear", "log_season", 1.4),
                        ("linear", "standard", 3.0), ("gru", "mean_abs", 2.0))
        ),
    ],
)  # fmt: skip
def test_a_roll_out_that_runs_away_is_held_where_python_holds_it(family, setting, weight, tmp_path):
    model = wild(family, setting, weight)
    run, loop = run_of(model, tmp_path, "s1")
    loop = replace(loop, horizon=30)
    free = replace(loop, guard=replace(loop.guard, factor=np.inf, level_low=None))
    held = [
        (loop.forecast(rows or loop.start, ahead), free.forecast(rows or loop.start, ahead))
        for rows, ahead in c_replay.spans(loop)
    ]
    assert sum(not np.allclose(a, b) for a, b in held) > 3
    assert c_replay.compared("the code", run, loop, 1e-11) < 1e-11


@needs_compiler
def test_a_map_that_cannot_run_away_goes_where_inputs_send_it(tmp_path):
    model = fitted("linear", scope="global", future_exog=["f", "g"])
    model.model_.weight[:, :7] *= 0.5
    run, loop = run_of(model, tmp_path, "s1")
    assert loop.cannot_run_away
    ahead = np.tile([1e6, 0.0], (20, 1))
    expected = loop.forecast(loop.start, ahead)
    assert np.abs(expected).max() > 100 * np.abs(loop.start.y).max()
    np.testing.assert_allclose(run(None, ahead), expected, rtol=1e-11)


@needs_compiler
def test_an_input_that_is_no_number_gives_no_number(tmp_path):
    run, loop = run_of(fitted("linear", "inputs"), tmp_path, "s1")
    ahead = np.ones((6, 2))
    ahead[3] = np.nan
    expected = loop.forecast(loop.start, ahead)
    assert np.isnan(expected[3:]).all()
    np.testing.assert_allclose(run(None, ahead), expected, rtol=1e-12)


@needs_compiler
@pytest.mark.slow
def test_a_model_that_was_saved_and_loaded_exports_the_same_code(tmp_path):
    model = fitted("linear", "inputs")
    model.save(tmp_path / "model.tsforce")
    loaded = tsforce.load(tmp_path / "model.tsforce")
    codes = [one.export(tmp_path / "model.c", unique_id="s1")[0].read_text() for one in (model, loaded)]
    assert codes[0] == codes[1]


@needs_compiler
def test_export_writes_a_source_and_a_header_of_less_than_two_hundred_lines_each(tmp_path):
    files = fitted("linear").export(tmp_path / "sales.c", unique_id="s1")
    assert [file.name for file in files] == ["sales.c", "sales.h"]
    assert all(len(file.read_text().splitlines()) <= 200 for file in files)
    for flags in (["-O2"], ["-O3"], ["-pedantic", "-Wdouble-promotion", "-Wshadow"]):
        call = [c_replay.compiler(), *c_replay.FLAGS, *flags, "-c", str(files[0]), "-o", str(tmp_path / "sales.o")]
        subprocess.run(call, check=True)
    if shutil.which("nm"):
        names = subprocess.run(["nm", "-u", tmp_path / "sales.o"], capture_output=True, text=True, check=True).stdout
        assert set(names.split()) - {"U"} <= {
            "memmove",
            "memcpy",
            "memset",
            "rint",
            "fmin",
            "fmax",
            "__stack_chk_fail",
            "_GLOBAL_OFFSET_TABLE_",
        }


def test_without_a_compiler_code_is_written_and_that_nobody_ran_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(c_replay, "compiler", lambda: None)
    with pytest.warns(ExportWarning, match="no C compiler"):
        fitted().export(tmp_path / "sales.c", unique_id="s1")
    assert (tmp_path / "sales.c").exists()


@needs_compiler
@pytest.mark.parametrize(
    ("found", "instead", "says"),
    [
        ("m->tail0[c]; }", "m->tail0[c] * 1.01; }", "where the model says"),
        ("int held;", "int other;", "does not compile"),
    ],
)
def test_code_that_says_something_else_is_not_written(found, instead, says, tmp_path, monkeypatch):
    def wrong(*given):
        code = c_source(*given)
        assert found in code.source + code.header
        return replace(code, source=code.source.replace(found, instead), header=code.header.replace(found, instead))

    monkeypatch.setattr(exporting, "c_source", wrong)
    with pytest.raises(ExportError, match=says):
        fitted("linear", "differences").export(tmp_path / "sales.c", unique_id="s1")
    assert not list(tmp_path.iterdir())


REFUSED = {
    "several series": (lambda: fitted(), {}, ["3 series", "unique_id='s0'"]),
    "unknown series": (lambda: fitted(), {"unique_id": "tea"}, ["'tea'", "'s0'"]),
    "strategy": (
        lambda: fitted(strategy="direct", model=DecisionTreeRegressor(max_depth=2)),
        {"unique_id": "s1"},
        ["strategy='direct'", "strategy='recursive'"],
    ),
    "corrections": (lambda: fitted(strategy="rectify"), {"unique_id": "s1"}, ["strategy='rectify'"]),
    "own name": (lambda: fitted(), {"unique_id": "s1", "path": "push.c"}, ["'push'", "'model'"]),
    "name": (lambda: fitted(), {"unique_id": "s1", "path": "2024.c"}, ["'2024'", "'model.c'"]),
    "keyword": (lambda: fitted(), {"unique_id": "s1", "path": "double.c"}, ["'double'"]),
    "folder": (lambda: fitted(), {"unique_id": "s1", "path": "there/model.c"}, ["there is no folder"]),
    "format": (lambda: fitted(), {"unique_id": "s1", "path": "model.py"}, ["format='py'", "'c'"]),
    "suffix": (lambda: fitted(), {"unique_id": "s1", "path": "model.h", "format": "c"}, ["ends in .c"]),
    "dtype": (lambda: fitted(), {"unique_id": "s1", "dtype": "half"}, ["dtype='half'", "'float32'"]),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_cannot_be_exported_is_refused_with_what_to_do_instead(row, tmp_path):
    build, changes, says = REFUSED[row]
    arguments = {"path": "model.c", **changes}
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(ArgumentError) as error:
        build().export(**arguments)
    assert [fragment for fragment in says if fragment not in str(error.value)] == []


def test_models_of_other_kinds_are_refused_by_name(tmp_path):
    one = NARXForecaster(5, lags=7, mode="open_loop")
    both = Ensemble({"narx": one, "naive": Baseline("naive")}).fit(make_frame((60,)))
    with pytest.raises(ArgumentTypeError, match=r"Ensemble cannot be exported: NARXForecaster .* model\.members_\["):
        both.export(tmp_path / "model.c")
    with pytest.raises(ArgumentTypeError, match=r"Baseline cannot be exported: .* Fit one"):
        both.members_["naive"].export(tmp_path / "model.c")
    u, y = sysid_record(100)
    with pytest.raises(ArgumentError, match="records of a NARXRegressor have no ids"):
        NARXRegressor(mode="open_loop").fit(u[:, None], y).export(tmp_path / "model.c", unique_id="s1")
