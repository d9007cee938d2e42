"""What tab completion shows on an estimator is what a user may call: these names and no others."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

import numpy as np
import pytest

import tsforce
from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, Ensemble, Forecaster, NARXForecaster, NARXRegressor
from tsforce.errors import ArgumentError

SKLEARN = {
    "get_metadata_routing",
    "get_params",
    "set_fit_request",
    "set_params",
    "set_predict_request",
    "set_score_request",
}
FORECASTER = SKLEARN | {
    "clone_unfitted",
    "companion_at",
    "depends_on_seed",
    "export",
    "fit",
    "is_baseline",
    "is_fitted",
    "name",
    "plot",
    "predict",
    "predict_at",
    "predict_forced",
    "read",
    "report",
    "sample_paths",
    "save",
    "score",
    "update",
    "write",
}
# What every forecaster has a value of, a parameter of its own or not.
SETTINGS = {
    "alias",
    "freq",
    "future_exog",
    "horizon",
    "id_col",
    "missing",
    "past_exog",
    "season_length",
    "static",
    "target_col",
    "time_col",
}
LEARNT = {"freq_", "season_length_", "train_end_"}
OF_A_MAP = {"context_length_", "history_", "kept_mode_", "lags_", "mode_", "model_", "ridge_", "short_series_"}
REGRESSOR = SKLEARN | {
    "depends_on_seed",
    "equation",
    "export",
    "fit",
    "linear_part",
    "one_step",
    "partial_fit",
    "predict",
    "predict_ahead",
    "save",
    "score",
    "simulate",
    "set_partial_fit_request",
    "update",
}
OF_A_REGRESSOR = {
    "history_",
    "horizon_",
    "input_lags_",
    "kept_mode_",
    "mode_",
    "model_",
    "n_features_in_",
    "output_lags_",
    "output_names_",
    "ridge_",
    "x_mean_",
    "y_mean_",
    "y_scale_",
}


def naive():
    return Baseline("naive", horizon=2, season_length=1)


ESTIMATORS = {
    "NARXForecaster": (
        lambda: NARXForecaster(2, 3, scope="local", mode="open_loop"),
        FORECASTER | SETTINGS | {"most_likely_paths", "stream"},
        LEARNT | OF_A_MAP | {"window_scaling_", "scope_", "prior_", "target_transforms_"},
    ),
    "Baseline": (naive, FORECASTER | SETTINGS, LEARNT),
    "Ensemble": (
        lambda: Ensemble([naive(), naive()]),
        FORECASTER | SETTINGS,
        LEARNT | {"coverage_", "members_", "short_series_"},
    ),
    "AutoNARX": (
        lambda: AutoNARX(2, season_length=1, budget="fast"),
        FORECASTER | SETTINGS | {"explain", "interval_scores"},
        LEARNT | {"leaderboard_", "members_", "season_lengths_", "short_series_"},
    ),
    "NARXRegressor": (lambda: NARXRegressor(1, 1, mode="open_loop"), REGRESSOR, OF_A_REGRESSOR),
}


def data(model):
    if isinstance(model, Forecaster):
        return (make_frame(lengths=(40, 30)),)
    x = np.random.default_rng(0).normal(size=(60, 1))
    return x, np.convolve(x[:, 0], [0.5, 0.3])[:60]


def shown(model):
    return {name for name in dir(model) if not name.startswith("_")}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_only_what_a_user_may_call_is_shown(name):
    make, methods, learnt = ESTIMATORS[name]
    model = make()
    assert shown(model) == methods | set(model.get_params(deep=False))
    model.fit(*data(model))
    assert shown(model) == methods | set(model.get_params(deep=False)) | learnt


def test_every_public_estimator_is_looked_at():
    found = {n for n in tsforce.__all__ if hasattr(getattr(tsforce, n), "get_params")}
    assert found - {"Forecaster"} == set(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_fitted_attribute_is_documented(name):
    doc = inspect.getdoc(getattr(tsforce, name))
    named = set(re.findall(r"\b\w+_\b", doc.split("Attributes\n")[1].split("Examples\n")[0]))
    assert ESTIMATORS[name][2] - named == set()


def declared(cls):
    """Return what a type checker sees on a class: annotations, properties, and what its methods set on self."""
    names = set()
    for one in cls.__mro__:
        if one.__module__.startswith("tsforce"):
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
            names |= set(vars(one)) | set(inspect.get_annotations(one))
            names |= {
                node.attr
                for node in ast.walk(body)
                if isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and ast.unparse(node.value) == "self"
            }
    return names


@pytest.mark.parametrize("name", ESTIMATORS)
def test_type_checkers_know_every_fitted_attribute(name):
    assert ESTIMATORS[name][2] - declared(getattr(tsforce, name)) == set()
    assert "learnt_nowhere_" not in declared(getattr(tsforce, name))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_fit_that_fails_leaves_nothing_learnt_public_or_private(name):
    model = ESTIMATORS[name][0]()
    before = set(vars(model))
    model.fit(*data(model))
    assert {n for n in set(vars(model)) - before if n.startswith("_")}
    with pytest.raises((ValueError, TypeError)):
        model.fit(*(None for _ in data(model)))
    assert set(vars(model)) == before


# ---- write


@pytest.mark.parametrize("targets", [["y"], ["y", "z"]])
def test_what_a_forecaster_writes_reads_as_its_own_forecasts(targets):
    df = make_frame(lengths=(12, 9)).assign(z=lambda d: -d["y"])
    model = Baseline("naive", horizon=3, target_col=targets, season_length=1).fit(df[["unique_id", "ds", *targets]])
    panel = model.read(df[["unique_id", "ds", *targets]])
    last = panel.values[panel.indptr[1:] - 1]
    yhat = np.repeat(last[:, None], 3, axis=1)
    given = yhat[:, :, 0] if len(targets) == 1 else yhat
    assert model.write(panel, given.tolist()).equals(model.predict())
    cutoffs = df.groupby("unique_id", sort=False)["ds"].max().rename("cutoff").reset_index()
    assert model.write(panel, given, cutoffs=cutoffs).equals(model.predict_at(panel, cutoffs))


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 0), (1, 2), (2, 3, 2), (2, 3, 1, 1), ()])
def test_an_array_of_another_shape_is_not_written(shape):
    model = naive()
    with pytest.raises(ArgumentError, match=r"expected \(windows, steps\): 2 windows"):
        model.write(model.read(make_frame(lengths=(12, 9))), np.zeros(shape))
