"""Regressors of scikit-learn and LightGBM in exported loops: compared with what their own predict says."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import HuberRegressor, LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from tests.export.test_c_code import needs_compiler, run_of
from tests.makers import make_frame, sysid_record
from tsforce import Difference, NARXForecaster, NARXRegressor
from tsforce.errors import ArgumentError, ExportError
from tsforce.export import c_replay, fmu, onnx_files, onnx_loop, trees


def boosted(**settings):
    lightgbm = pytest.importorskip("lightgbm", reason="NOT TESTED: LightGBM is not installed (extra lightgbm)")
    return lightgbm.LGBMRegressor(n_estimators=20, min_child_samples=5, verbose=-1, random_state=0, **settings)


KINDS = {
    "histograms": lambda: HistGradientBoostingRegressor(max_iter=20),
    "forest": lambda: RandomForestRegressor(8),
    "two layers": lambda: MLPRegressor(hidden_layer_sizes=(5, 4), activation="tanh", max_iter=100, tol=0.1),
    "lightgbm": boosted,
    "least squares": LinearRegression,
    "scaled": lambda: make_pipeline(StandardScaler(), Ridge()),
    "huber": HuberRegressor,
    "tree": lambda: DecisionTreeRegressor(max_depth=4),
    "extra trees": lambda: ExtraTreesRegressor(8),
    "gradient boosting": lambda: GradientBoostingRegressor(n_estimators=20, loss="huber"),
    "from zero": lambda: GradientBoostingRegressor(n_estimators=20, init="zero"),
    "poisson": lambda: HistGradientBoostingRegressor(max_iter=20, loss="poisson"),
    "scaled layers": lambda: make_pipeline(
        MinMaxScaler(), StandardScaler(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=100, tol=0.1)
    ),
    "lightgbm poisson": lambda: boosted(objective="poisson"),
    "lightgbm dart": lambda: boosted(boosting_type="dart"),
    "lightgbm forest": lambda: boosted(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
}
# Of values that cannot be negative.
COUNTS = ("poisson", "lightgbm poisson")


def fitted(model, rows=90, **settings):
    settings = {"mode": "open_loop", "lags": 7, "window_scaling": None, "target_transforms": (), **settings}
    return NARXForecaster(5, model=model, **settings).fit(make_frame((rows,)))


def differences(monkeypatch):
    """What exports find, as shares of the size of forecasts."""
    found = []

    def compared(*given):
        found.append(c_replay_compared(*given))

    c_replay_compared = c_replay.compared
    for module in (c_replay, fmu, onnx_files):
        monkeypatch.setattr(module, "compared", compared)
    return found


@needs_compiler
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if i < 2 else pytest.mark.slow) for i, kind in enumerate(KINDS)],
)
def test_a_loop_of_a_regressor_says_elsewhere_what_it_says_in_python(kind, tmp_path, monkeypatch):
    model = fitted(KINDS[kind](), target_transforms=() if kind in COUNTS else [Difference(1)])
    found = differences(monkeypatch)
    model.export(tmp_path / "model.c")
    if find_spec("onnx"):
        model.export(tmp_path / "model.onnx", horizon=7)
        model.export(tmp_path / "model.onnx")
    assert max(found) < 1e-14
    assert len(found) >= 1


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["histograms", "forest", "two layers", "lightgbm"])
def test_single_precision_takes_the_branches_of_double(kind, tmp_path, monkeypatch):
    model, found = fitted(KINDS[kind](), target_transforms=[Difference(1)]), differences(monkeypatch)
    model.export(tmp_path / "model.c", dtype="float32")
    if find_spec("onnx"):
        model.export(tmp_path / "model.onnx", horizon=7, dtype="float32")
    assert max(found) < 1e-6


@needs_compiler
@pytest.mark.slow
def test_inputs_groups_of_steps_and_several_targets_go_through_trees(tmp_path, monkeypatch):
    df = make_frame((90,))
    rng = np.random.default_rng(0)
    df = df.assign(z=df["y"].to_numpy()[::-1] + rng.normal(size=90), p=rng.normal(size=90), f=rng.normal(size=90))
    settings = {"lags": 4, "mode": "open_loop", "past_exog": "p", "future_exog": "f", "exog_lags": {"p": [1, 3]}}
    found = differences(monkeypatch)
    for regressor in (RandomForestRegressor(5), LinearRegression()):
        model = NARXForecaster(5, target_col=["y", "z"], model=regressor, **settings).fit(df)
        assert model.model_.layout.n_step_groups > 1
        model.export(tmp_path / "model.c")
        if find_spec("onnx"):
            model.export(tmp_path / "model.onnx", horizon=5)
    assert max(found) < 1e-13


@needs_compiler
@pytest.mark.slow
def test_a_simulation_by_trees_is_an_fmu(tmp_path, monkeypatch):
    u, y = sysid_record(300)
    model = NARXRegressor(2, 3, input_delay=1, model=HistGradientBoostingRegressor(max_iter=20), mode="open_loop")
    found = differences(monkeypatch)
    model.fit(u[:, None], y).export(tmp_path / "plant.fmu")
    assert len(found) == 2
    assert max(found) < 1e-12


@needs_compiler
@pytest.mark.slow
def test_an_input_that_is_no_number_gives_none(tmp_path):

    df = make_frame((90,)).assign(f=np.random.default_rng(0).normal(size=90))
    settings = {"lags": 4, "mode": "open_loop", "future_exog": "f"}
    run, loop = run_of(NARXForecaster(5, model=RandomForestRegressor(5), **settings).fit(df), tmp_path)
    ahead = np.zeros((5, 1))
    ahead[2] = np.nan
    expected = loop.forecast(loop.start, ahead)
    assert np.isnan(expected[2:]).all()
    np.testing.assert_allclose(run(None, ahead), expected, rtol=1e-12)


def test_thresholds_of_single_precision_divide_its_numbers_as_those_of_double_do():
    thresholds = np.random.default_rng(0).normal(size=1000)
    near = thresholds.astype(np.float32)
    down = trees.rounded_down(thresholds, "float32")
    for x in (near, np.nextafter(near, np.float32(-9)), np.nextafter(near, np.float32(9))):
        np.testing.assert_array_equal(x.astype(float) <= thresholds, x <= down.astype(np.float32))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"linear_tree": True}, "linear_tree=True"),
        ({"zero_as_missing": True}, "zero_as_missing=True"),
        ({"reg_sqrt": True}, "'regression sqrt'"),
        ({"objective": "cross_entropy"}, "'cross_entropy'"),
    ],
)
def test_settings_of_lightgbm_that_are_not_written_are_refused(settings, says):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(80, 2))
    with pytest.raises(ArgumentError, match=says):
        trees.forest_of(boosted(**settings).set_params(n_estimators=2, n_jobs=1).fit(x, x[:, 0]), 1)


def test_settings_of_scikit_learn_that_are_not_written_are_refused():
    x = np.random.default_rng(0).integers(0, 4, size=(80, 2)).astype(float)
    other = GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(x, x[:, 0])
    with pytest.raises(ArgumentError, match=r"init=LinearRegression\(\).*init=None"):
        trees.forest_of(other, 1)
    categories = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(x, x[:, 0])
    with pytest.raises(ArgumentError, match="without categories"):
        trees.forest_of(categories, 1)


@pytest.mark.parametrize(
    "regressor", [KNeighborsRegressor(), MLPRegressor(loss="poisson", hidden_layer_sizes=(3,), tol=1e9)]
)
def test_what_only_a_converter_knows_is_no_c(regressor, tmp_path):
    with pytest.raises(
        ArgumentError, match=rf"model={type(regressor).__name__}\(\.\.\.\) cannot be written as C.*ONNX"
    ):
        fitted(regressor).export(tmp_path / "model.c")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_a_converter_makes_is_compared_with_the_regressor(tmp_path, monkeypatch):
    pytest.importorskip("skl2onnx", reason="NOT TESTED: skl2onnx is not installed (extra onnx)")
    found = differences(monkeypatch)
    fitted(KNeighborsRegressor()).export(tmp_path / "model.onnx", horizon=7)
    assert found[0] < 1e-12
    with pytest.raises(ArgumentError, match=r"SVR\(\.\.\.\) cannot be exported in float64.*dtype='float32'"):
        fitted(SVR()).export(tmp_path / "svr.onnx", horizon=7)
    with pytest.raises(ExportError, match="what skl2onnx makes of the regressor; fit one of linear models"):
        fitted(KNeighborsRegressor(weights="distance")).export(tmp_path / "knn.onnx", horizon=7)
    fitted(SVR()).export(tmp_path / "svr.onnx", horizon=7, dtype="float32")
    fitted(AdaBoostRegressor(n_estimators=5)).export(tmp_path / "ada.onnx", horizon=7, dtype="float32")
    assert max(found[1:]) < 1e-6


def test_what_a_converter_makes_wrong_is_not_written(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed (extra onnx)")
    monkeypatch.setattr(onnx_loop, "converted", lambda graph, x, model, group: graph.cut(x, 0, 1))
    with pytest.raises(ExportError, match=r"the ONNX graph was not written: .* what skl2onnx makes .*; fit one of"):
        fitted(KNeighborsRegressor()).export(tmp_path / "model.onnx", horizon=3)
    assert not list(tmp_path.iterdir())


@needs_compiler
def test_trees_that_are_not_those_of_the_model_are_not_written(tmp_path, monkeypatch):
    made = trees._of_sklearn
    monkeypatch.setattr(
        trees, "_of_sklearn", lambda tree, factor: made(tree, factor)._replace(left=made(tree, 1).right)
    )
    model = fitted(RandomForestRegressor(5))
    for dtype, advice in (("float64", "Please report"), ("float32", "dtype='float64'")):
        with pytest.raises(ExportError, match=advice):
            model.export(tmp_path / "model.c", dtype=dtype)
    assert not list(tmp_path.iterdir())
