"""NARXRegressor: simulation equals a plain loop, records do not mix, scikit-learn's tools take it as one of theirs."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import tsforce
from tests.makers import as_it_stands, grouped
from tsforce import ClosedLoop, NARXForecaster, NARXRegressor, OpenLoop, Training
from tsforce.errors import ArgumentError, ContextWarning, DivergenceWarning, SeriesTooShortError
from tsforce.forcing import ProfessorForcing
from tsforce.models import GRU, MLP


def system(rows, *, seed=0, noise=0.05, outputs=1):
    """A stable second-order system with two inputs, measured with noise."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(rows, 2)) * [2.0, 0.5] + [10.0, -1.0]
    y = np.zeros((rows, outputs))
    for t in range(rows):
        past = [y[t - k] if t >= k else np.zeros(outputs) for k in (1, 2)]
        y[t] = 1.2 * past[0] - 0.5 * past[1] + np.roll(past[0], 1) * (0.1 if outputs > 1 else 0.0)
        y[t] += 0.4 * (u[max(t - 1, 0), 0] - 10) - 0.8 * np.tanh(u[t, 1] + 1) * np.arange(1, outputs + 1)
    y = 50 + 3 * (y + rng.normal(size=y.shape) * noise)
    return u, y[:, 0] if outputs == 1 else y


def rows_of(model, X, y, record_starts=(0,), measured=True):
    """Lag vectors of every row in model units, by hand; before a record's start the system rests.

    At its first output where that was measured before the row; at the training mean where none was.
    """
    X = (X - model.x_mean_) / model.x_std
    y = (np.asarray(y).reshape(len(X), -1) - model.y_mean_) / model.y_scale_
    out = []
    for start, stop in zip(record_starts, [*record_starts[1:], len(X)], strict=True):
        for t in range(start, stop):
            rest = y[start] if measured and t > start else np.zeros(y.shape[1])
            fed = [y[t - k] if t - k >= start else rest for k in sorted(model.output_lags_)[::-1]]
            given = [X[max(t - k, start), f] for f in range(X.shape[1]) for k in sorted(model.input_lags_)[::-1]]
            out.append(np.concatenate([*fed, given]))
    return np.array(out)


def answer(model, x):
    """One step of a linear map or a perceptron with one hidden layer, in numpy."""
    if hasattr(model.model_, "skip"):
        skip, bias = (p.numpy()[0] for p in (model.model_.skip, model.model_.bias))
        inner, outer = (w.numpy()[0] for w in model.model_.weights)
        bend = np.tanh if model.model_.activation == "tanh" else lambda z: np.maximum(z, 0)
        return x @ skip + bias + bend(x @ inner + model.model_.biases[0].numpy()[0]) @ outer
    return x @ model.model_.weight.numpy()[0] + model.model_.bias.numpy()[0]


def plain_loop(model, X, y_init=None):
    """The simulation of one record, row by row."""
    y = np.zeros((len(X), len(model.y_mean_))) + model.y_mean_
    given = 0
    if y_init is not None:
        given = len(y_init)
        y[:given] = np.asarray(y_init).reshape(given, y.shape[1])
    for t in range(given, len(X)):
        row = rows_of(model, X[: t + 1], y[: t + 1], measured=given > 0)[-1]
        y[t] = answer(model, row) * model.y_scale_ + model.y_mean_
    return y


def fitted(*, sizes=None, outputs=1, rows=240, **kwargs):
    X, y = system(rows, outputs=outputs)
    model = NARXRegressor(**grouped({"max_steps": 4, **kwargs})).fit(X, y, session_sizes=sizes)
    model.x_std = X.std(axis=0)
    return model


# ---- equal to something else

KINDS = {
    "least squares": {"mode": "open_loop"},
    "gaps and delay": {"output_lags": [1, 4], "input_lags": [0, 3], "input_delay": 1, "mode": "open_loop"},
    "squares of roll-outs": {"mode": "closed_loop", "output_lags": 3, "input_lags": 1},
    "network": {"model": "mlp", "mode": "closed_loop"},
    "float32": {"model": MLP((8,)), "mode": "curriculum", "batch_size": 16},
    "two outputs": {"outputs": 2, "mode": "open_loop"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:y_init has 1 rows:tsforce.errors.ContextWarning")
def test_predict_is_a_plain_loop(kind):
    model = fitted(**KINDS[kind])
    X, y = system(60, seed=1, outputs=len(model.y_mean_))
    rtol = 1e-4 if kind == "float32" else 1e-9
    for n0 in (0, 1, 7):
        want = plain_loop(model, X, y[:n0])
        got = model.predict(X, y_init=y[:n0])
        assert got.shape == y.shape
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=rtol)
        np.testing.assert_array_equal(got[:n0], y[:n0])


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_reads_measured_outputs_up_to_the_row_before(kind):
    model = fitted(**KINDS[kind])
    X, y = system(60, seed=1, outputs=len(model.y_mean_))
    want = answer(model, rows_of(model, X, y)) * model.y_scale_ + model.y_mean_
    got = model.one_step(X, y)
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-4 if kind == "float32" else 1e-9)
    np.testing.assert_array_equal(got, model.predict_ahead(X, y, 1))
    # The row itself is not among them.
    late = y.copy()
    late[30:] += 5
    np.testing.assert_array_equal(model.one_step(X, late)[:31], got[:31])


@pytest.mark.parametrize("steps", [1, 2, 9, 60, 100])
@pytest.mark.filterwarnings("ignore:y_init has . rows:tsforce.errors.ContextWarning")
def test_predict_ahead_is_a_simulation_from_every_row(steps):
    model = fitted(mode="open_loop", output_lags=3)
    X, y = system(60, seed=1)
    got = model.predict_ahead(X, y, steps)
    for t in (0, 1, 8, 9, 30, 59):
        known = max(t + 1 - steps, 0)
        want = model.predict(X[: t + 1], y_init=y[:known] if known else "rest")[-1]
        np.testing.assert_allclose(got[t], want, rtol=1e-10)


def test_predict_ahead_in_chunks_is_the_same(monkeypatch):
    model = fitted(mode="open_loop")
    X, y = system(60, seed=1)
    whole = model.predict_ahead(X, y, 7, session_sizes=[20, 40])
    monkeypatch.setattr("tsforce.identification.simulator._AT_ONCE", 50)
    np.testing.assert_allclose(model.predict_ahead(X, y, 7, session_sizes=[20, 40]), whole, rtol=1e-12)


def test_open_loop_is_least_squares_on_the_rows_of_an_arx_model():
    X, y = system(200)
    model = NARXRegressor([1, 3], 2, input_delay=1, mode="open_loop").fit(X, y, session_sizes=[120, 80])
    rows, want = [], []
    for start, stop in ((0, 120), (120, 200)):
        for t in range(start + 3, stop):
            rows.append([1.0, y[t - 3], y[t - 1], X[t - 2, 0], X[t - 1, 0], X[t - 2, 1], X[t - 1, 1]])
            want.append(y[t])
    weights = np.linalg.lstsq(np.array(rows), np.array(want), rcond=None)[0]
    scale = np.concatenate([[1, 1], np.repeat(model.y_scale_[0] / X.std(axis=0), 2)])
    np.testing.assert_allclose(model.model_.weight.numpy()[0, :, 0] * scale, weights[1:], rtol=1e-7)
    Xt, yt = system(50, seed=4)
    one = [weights @ [1, yt[t - 3], yt[t - 1], *Xt[t - 2 : t, 0], *Xt[t - 2 : t, 1]] for t in range(3, 50)]
    np.testing.assert_allclose(model.one_step(Xt, yt)[3:], one, rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("linear", {"mode": "open_loop"}),
        ("linear", {"mode": "closed_loop", "solver": "levenberg_marquardt"}),
        ("linear", {"mode": "auto", "solver": "adamw"}),
        (MLP((4,), "tanh"), {"mode": "closed_loop", "solver": "levenberg_marquardt"}),
        (GRU(4), {"mode": "curriculum", "solver": "adamw", "batch_size": 16}),
        (LinearRegression(), {"mode": "closed_loop"}),
    ],
    ids=["least squares", "squares", "auto", "network", "gru", "regressor"],
)
def test_it_is_the_forecaster_on_the_same_panel(kind, options):
    X, y = system(160)
    z = (y - y.mean()) / y.std()
    shared = {"model": kind, "validation": False, "max_steps": 4, "ridge": 0.0, **options}
    frame = pd.DataFrame({"unique_id": np.repeat([0, 1], [90, 70]), "ds": [*range(90), *range(70)], "y": z})
    frame[["x0", "x1"]] = X
    twin = NARXForecaster(
        12, 2, future_exog=["x0", "x1"], exog_lags=[1, 2], **as_it_stands(window_scaling=None), **grouped(shared)
    ).fit(frame)  # fmt: skip
    model = NARXRegressor(2, 2, input_delay=1, horizon=12, **grouped(shared)).fit(X, y, session_sizes=[90, 70])
    at = twin.predict_at(frame, pd.DataFrame({"unique_id": [1], "cutoff": [57]}))["NARXForecaster"]
    got = model.predict(X[90:], y_init=y[90 : 90 + 58])[58:]
    np.testing.assert_allclose((got - y.mean()) / y.std(), at, rtol=1e-9, atol=1e-12)
    if not isinstance(kind, LinearRegression):
        for own, other in zip(model.model_.parameters(), twin.model_.parameters(), strict=True):
            np.testing.assert_array_equal(own.numpy(), other.numpy())


def test_float32_and_whole_numbers_are_read_as_what_they_are():
    X, y = system(120)
    X32, y32 = X.astype(np.float32), y.astype(np.float32)
    narrow = NARXRegressor(mode="open_loop").fit(X32, y32)
    wide = NARXRegressor(mode="open_loop").fit(X32.astype(float), y32.astype(float))
    np.testing.assert_array_equal(narrow.predict(X32), wide.predict(X32.astype(float)))
    assert narrow.predict(X32).dtype == np.float64
    whole = NARXRegressor(mode="open_loop").fit(X.round().astype(int), y.round().astype(int))
    same = NARXRegressor(mode="open_loop").fit(X.round(), y.round())
    np.testing.assert_array_equal(whole.predict(X.round().astype(int)), same.predict(X.round()))


def test_outputs_come_back_in_the_shape_they_were_fitted_in():
    X, y = system(80)
    flat, column = NARXRegressor(mode="open_loop").fit(X, y), NARXRegressor(mode="open_loop").fit(X, y[:, None])
    assert flat.predict(X).shape == (80,)
    assert column.predict(X).shape == (80, 1)
    np.testing.assert_array_equal(column.predict(X, y_init=y[:5])[:, 0], flat.predict(X, y_init=y[:5, None]))


# ---- records


def test_records_do_not_mix():
    X, y = system(200)
    sizes = [60, 100, 40]
    model = NARXRegressor(3, 4, mode="open_loop").fit(X, y, session_sizes=sizes)
    calls = {
        "predict": lambda X, y: model.predict(X, session_sizes=sizes),
        "one_step": lambda X, y: model.one_step(X, y, session_sizes=sizes),
        "ahead": lambda X, y: model.predict_ahead(X, y, 9, session_sizes=sizes),
    }
    other_X, other_y = X.copy(), y.copy()
    other_X[60:160] = 7.0
    other_y[60:160] = -40.0
    for call in calls.values():
        before, after = call(X, y), call(other_X, other_y)
        np.testing.assert_array_equal(before[:60], after[:60])
        np.testing.assert_array_equal(before[160:], after[160:])
        assert (before[60:160] != after[60:160]).any()


def test_records_together_are_records_alone():
    X, y = system(200)
    sizes, edges = [60, 100, 40], [0, 60, 160, 200]
    model = NARXRegressor(3, 4, mode="open_loop").fit(X, y, session_sizes=sizes)
    heads = [None, y[60:65], []]
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    alone = [model.predict(X[p], y_init=h) for p, h in zip(parts, heads, strict=True)]
    np.testing.assert_allclose(model.predict(X, y_init=heads, session_sizes=sizes), np.concatenate(alone), rtol=1e-12)
    for steps in (1, 30, 50, 150):
        alone = [model.predict_ahead(X[p], y[p], steps) for p in parts]
        together = model.predict_ahead(X, y, steps, session_sizes=sizes)
        np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-12)


def test_a_fit_sees_no_lag_across_a_border():
    X, y = system(160)
    flipped = np.r_[80:160, 0:80]
    one = NARXRegressor(mode="closed_loop", max_steps=5, training=Training(validation=False)).fit(
        X, y, session_sizes=[80, 80]
    )
    other = NARXRegressor(mode="closed_loop", max_steps=5, training=Training(validation=False)).fit(
        X[flipped], y[flipped], session_sizes=[80, 80]
    )
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-7)
    joined = NARXRegressor(mode="closed_loop", max_steps=5, training=Training(validation=False)).fit(X, y)
    assert np.abs(joined.predict(X) - one.predict(X)).max() > 1e-6


def test_measured_rows_may_be_all_of_a_record_but_not_of_all():
    X, y = system(60)
    model = fitted(mode="open_loop")
    both = model.predict(X, y_init=[y[:20], y[20:25]], session_sizes=[20, 40])
    np.testing.assert_array_equal(both[:25], y[:25])
    with pytest.warns(ContextWarning, match=r"all 60 rows, .* Pass y_init=y\[:2\], or call one_step\(X, y\)"):
        whole = model.predict(X, y)
    np.testing.assert_array_equal(whole, model.predict(X, y_init=y[:2]))
    with pytest.warns(ContextWarning, match="all 60 rows"):
        whole = model.predict(X, [y[:20], y[20:]], session_sizes=[20, 40])
    np.testing.assert_array_equal(whole, model.predict(X, [y[:2], y[20:22]], session_sizes=[20, 40]))


def test_without_measured_outputs_a_simulation_goes_on_where_the_record_ended():
    for kind in ({"mode": "open_loop"}, {"outputs": 2, "mode": "open_loop"}, {"model": "mlp", "mode": "closed_loop"}):
        X, y = system(300, outputs=kind.get("outputs", 1))
        options = {k: v for k, v in kind.items() if k != "outputs"}
        model = NARXRegressor(3, 2, max_steps=4, **options).fit(X[:200], y[:200])
        want = model.predict(X[190:], y_init=y[190:200])[10:]
        np.testing.assert_allclose(model.predict(X[200:]), want, rtol=1e-6 if "model" in kind else 1e-12)


def test_the_inputs_that_were_learnt_from_are_simulated_from_where_their_record_began():
    X, y = system(300)
    y = y + 100.0 * 0.9 ** np.arange(300)
    model = NARXRegressor(1, 2, mode="open_loop").fit(X, y)
    np.testing.assert_allclose(model.predict(X), model.predict(np.r_[X[:1], X], y_init=y[:1])[1:], rtol=1e-10)
    assert abs(model.predict(X)[0] - y[0]) < 30 < abs(model.predict(X, "rest")[0] - y[0])


def test_rest_is_at_the_training_mean_and_what_several_records_start_from():
    X, y = system(300)
    one = NARXRegressor(2, 2, mode="open_loop").fit(X, y)
    one.x_std = X.std(axis=0)
    np.testing.assert_allclose(one.predict(X[50:90], "rest"), plain_loop(one, X[50:90])[:, 0], rtol=1e-9)
    several = NARXRegressor(2, 2, mode="open_loop").fit(X, y, session_sizes=[200, 100])
    np.testing.assert_array_equal(several.predict(X[50:90]), several.predict(X[50:90], "rest"))
    pieces = one.predict(X[:60], session_sizes=[20, 40])
    np.testing.assert_allclose(pieces[20:], one.predict(X[20:60], "rest"), rtol=1e-12)
    with pytest.raises(ArgumentError, match=r"y_init='rset'.*rest"):
        one.predict(X, "rset")


def test_before_a_start_shorter_than_the_lags_stands_its_first_row_and_that_is_said():
    X, y = system(60)
    model = fitted(mode="open_loop", output_lags=3)
    with pytest.warns(ContextWarning, match="y_init has 1 rows, where the model reads 3 rows back"):
        got = model.predict(X, y_init=y[:1])
    rested = model.predict(np.r_[np.tile(X[:1], (2, 1)), X], y_init=np.r_[y[0], y[0], y[:1]])[2:]
    np.testing.assert_allclose(got, rested, rtol=1e-12)


def test_scorers_by_name_simulate_a_test_fold_from_the_end_of_its_training_fold():
    u = np.repeat(np.random.default_rng(0).uniform(-1, 1, 60), 10)[:, None]
    y = np.zeros(600)
    for t in range(2, 600):
        y[t] = 1.96 * y[t - 1] - 0.9604 * y[t - 2] + 0.08 * u[t - 1, 0]
    model = NARXRegressor(2, 1, input_delay=1, mode="open_loop")
    for scoring in ("r2", "neg_root_mean_squared_error"):
        found = cross_validate(model, u, 50 + y, cv=TimeSeriesSplit(4), scoring=scoring)["test_score"]
        assert (found > (0.999 if scoring == "r2" else -0.01 * y.std())).all()


def test_a_wrapper_that_transforms_outputs_but_not_their_start_is_said():
    X, y = system(200)
    inner = NARXRegressor(2, 2, mode="open_loop")
    model = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X[:150], y[:150])
    with pytest.warns(ContextWarning, match="TransformedTargetRegressor hands y_init on as it is"):
        model.predict(X[150:], y_init=y[150:152])
    start = model.transformer_.transform(y[150:152, None])
    repaired = model.transformer_.inverse_transform(model.regressor_.predict(X[150:], start)[:, None])[:, 0]
    np.testing.assert_allclose(repaired, inner.fit(X[:150], y[:150]).predict(X[150:], y[150:152]), rtol=1e-9)
    # Without a start there is nothing in another unit.
    model.predict(X[150:])


def test_score_starts_from_as_many_rows_as_the_largest_lag_and_scores_the_rest():
    model = fitted(mode="open_loop", output_lags=2, input_lags=5)
    X, y = system(90, seed=2)
    yhat = model.predict(X, y_init=y[:4])
    assert model.score(X, y) == pytest.approx(r2_score(y[4:], yhat[4:]))
    weight = np.arange(90) % 3
    assert model.score(X, y, sample_weight=weight) == pytest.approx(r2_score(y[4:], yhat[4:], sample_weight=weight[4:]))
    two = model.predict(X, y_init=[y[:4], y[50:54]], session_sizes=[50, 40])
    scored = np.r_[4:50, 54:90]
    assert model.score(X, y, session_sizes=[50, 40]) == pytest.approx(r2_score(y[scored], two[scored]))
    assert model.score(X, y) > 0.95


# ---- what a fit does


@pytest.mark.slow
def test_training_on_own_outputs_simulates_better_where_outputs_were_measured_with_noise():
    X, y = system(300, noise=1.0)
    Xt, yt = system(300, seed=9, noise=0.0)
    scores = {mode: NARXRegressor(mode=mode).fit(X, y).score(Xt, yt) for mode in ("open_loop", "closed_loop")}
    auto = NARXRegressor().fit(X, y)
    assert scores["closed_loop"] > scores["open_loop"] + 0.01
    assert auto.kept_mode_ in ("closed_loop", "curriculum")
    assert auto.score(Xt, yt) > scores["open_loop"] + 0.01
    assert auto.mode_ == "auto"


@pytest.mark.parametrize(
    ("options", "mode", "solver"),
    [
        ({}, "open_loop", "least squares"),
        ({}, OpenLoop(), "least squares"),
        ({"model": "polynomial"}, "open_loop", "least squares"),
        ({}, "closed_loop", "Levenberg-Marquardt"),
        ({"model": "polynomial"}, ClosedLoop(), "Levenberg-Marquardt"),
        ({"model": "mlp"}, "open_loop", "Levenberg-Marquardt"),
        ({"model": "mlp", "loss": "mae"}, "open_loop", "AdamW"),
        ({"model": "mlp", "learning_rate": 0.01}, "open_loop", "AdamW"),
        ({"model": MLP((4,))}, "open_loop", "AdamW"),
        ({"model": MLP((200, 200), "tanh")}, "open_loop", "AdamW"),
        ({"model": GRU(3)}, "closed_loop", "AdamW"),
        ({"model": GRU(3)}, ProfessorForcing(), "AdamW"),
        ({"solver": "adamw"}, "open_loop", "AdamW"),
        ({"model": Ridge()}, "open_loop", "one-step rows"),
    ],
)
def test_the_solver_goes_with_the_model(options, mode, solver):
    X, y = system(60)
    own = {"max_steps": 1, "validation": False, "horizon": 4, "batch_size": 4, **options}
    model = NARXRegressor(1, 1, **grouped(own)).fit(X, y, mode=mode)
    assert solver in model.history_.solver
    assert model.mode_ == ("open_loop" if mode == OpenLoop() else "closed_loop" if mode == ClosedLoop() else mode)


@pytest.mark.parametrize(
    ("lags", "sizes", "horizon"),
    [(2, [1000], 50), (20, [1000], 80), (2, [1000, 100], 50), (2, [1000, 3], 50), (2, [12], 3), (1, [3], 1)],
)
def test_the_automatic_horizon(lags, sizes, horizon):
    X, y = system(sum(sizes))
    assert NARXRegressor(lags, 1, mode="open_loop").fit(X, y, session_sizes=sizes).horizon_ == horizon


def test_names_of_columns_are_those_of_the_frames():
    X, y = system(80, outputs=2)
    frame, outputs = pd.DataFrame(X, columns=["valve", "pump"]), pd.DataFrame(y, columns=["level", "flow"])
    model = NARXRegressor(1, 1, mode="open_loop").fit(frame, outputs)
    assert model.model_.layout.columns == ("level_lag1", "flow_lag1", "valve_lag0", "pump_lag0")
    assert model.feature_names_in_.tolist() == ["valve", "pump"]


def test_only_least_squares_draws_nothing():
    assert not NARXRegressor(mode="open_loop").depends_on_seed()
    assert not NARXRegressor(model="polynomial").depends_on_seed("open_loop")
    assert not NARXForecaster(1, model="polynomial").depends_on_seed("open_loop")
    assert NARXForecaster(1, model="polynomial").depends_on_seed("closed_loop")
    assert NARXRegressor().depends_on_seed()
    assert NARXRegressor(model="mlp").depends_on_seed("open_loop")
    X, y = system(100)
    a, b, c = (
        NARXRegressor(
            model="mlp", mode="open_loop", training=Training(validation=False), max_steps=2, random_state=seed
        )
        .fit(X, y)
        .predict(X)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_a_failed_fit_is_not_fitted_and_no_fit_changes_a_parameter():
    X, y = system(60)
    model = NARXRegressor(mode="open_loop").fit(X, y)
    before = repr(model.get_params())
    with pytest.raises(ArgumentError):
        model.fit(X, y, session_sizes=[10, 10])
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert repr(model.get_params()) == before


def test_a_simulation_that_runs_away_is_clipped_and_said_so_once():
    model = fitted(mode="open_loop", output_lags=1, input_lags=1)
    model.model_.weight[0, 0, 0] = 1.5
    X, y = system(80)
    still = X.copy()
    still[:5] = X.mean(axis=0)
    with pytest.warns(DivergenceWarning, match="2 of 3 records") as caught:
        far = model.predict(still, session_sizes=[2, 39, 39])
    assert len(caught) == 1
    seen = system(240)[1]
    assert seen.min() - 10.001 * np.ptp(seen) <= far.min() <= far.max() <= seen.max() + 10.001 * np.ptp(seen)
    assert np.abs(far - model.y_mean_).max() > 10 * np.ptp(seen)
    simulated = model.simulate(still, session_sizes=[2, 39, 39])
    assert simulated.clipped.tolist() == [False, True, True]
    np.testing.assert_array_equal(simulated.y, far)
    with pytest.warns(DivergenceWarning, match="of 41 roll-outs"):
        model.predict_ahead(X, y, 40)


# ---- scikit-learn's tools


def test_pickle_and_clone():
    X, _ = system(80)
    model = fitted(model="mlp")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    copy = clone(model)
    assert repr(copy) == repr(model)
    with pytest.raises(NotFittedError):
        copy.predict(X)


def test_in_a_pipeline_whose_steps_give_frames():
    X, y = system(150)
    pipe = make_pipeline(PolynomialFeatures(include_bias=False), NARXRegressor(mode="open_loop"))
    pipe.set_output(transform="pandas")
    pipe.fit(pd.DataFrame(X, columns=["a", "b"]), y)
    assert pipe[-1].feature_names_in_.tolist() == ["a", "b", "a^2", "a b", "b^2"]
    frame = pd.DataFrame(X, columns=["a", "b"])
    assert pipe.score(frame, y) > 0.9
    got = pipe.predict(frame, y_init=y[:3])
    np.testing.assert_array_equal(got[:3], y[:3])


def test_behind_transformed_targets():
    X, y = system(150)
    inner = NARXRegressor(mode="open_loop")
    model = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, y)
    np.testing.assert_allclose(model.predict(X), clone(inner).fit(X, y).predict(X), rtol=1e-8)


def test_a_grid_search_over_folds_of_time_finds_the_lags():
    X, y = system(400, noise=0.01)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), NARXRegressor(mode="open_loop")),
        {"narxregressor__output_lags": [1, 2], "narxregressor__input_lags": [1, 2]},
        cv=TimeSeriesSplit(3),
    ).fit(X, y)
    assert search.best_params_ == {"narxregressor__output_lags": 2, "narxregressor__input_lags": 2}
    assert search.best_score_ > 0.98


def test_halving_spends_steps_of_training():
    X, y = system(120)
    search = HalvingRandomSearchCV(
        NARXRegressor(model="mlp", mode="open_loop", training=Training(validation=False)),
        {"output_lags": [1, 2], "input_lags": [1, 2], "random_state": [0, 1]},
        resource="max_steps", max_resources=8, min_resources=2, factor=2, n_candidates=4,
        cv=TimeSeriesSplit(2), random_state=0,
    ).fit(X, y)  # fmt: skip
    assert search.best_estimator_.max_steps == 8
    assert search.n_candidates_ == [4, 2, 1]


def test_metadata_routing_passes_sessions_and_starts():
    X, y = system(160)
    plain = NARXRegressor(mode="open_loop").fit(X, y, session_sizes=[100, 60])
    want = plain.predict(X, y_init=[y[:3], None], session_sizes=[100, 60])
    with sklearn.config_context(enable_metadata_routing=True):
        last = NARXRegressor(mode="open_loop")
        last.set_fit_request(session_sizes=True, mode=False)
        last.set_predict_request(session_sizes=True, y_init=True)
        last.set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler(), last).fit(X, y, session_sizes=[100, 60])
        got = pipe.predict(X, y_init=[y[:3], None], session_sizes=[100, 60])
        np.testing.assert_allclose(got, want, rtol=1e-8)
        weight = (np.arange(160) > 80).astype(float)
        scored = cross_val_score(last, X, y, cv=TimeSeriesSplit(2), params={"sample_weight": weight})
    by_hand = []
    for train, test in TimeSeriesSplit(2).split(X):
        model = NARXRegressor(mode="open_loop").fit(X[train], y[train])
        by_hand.append(model.score(X[test], y[test], sample_weight=weight[test]))
    np.testing.assert_allclose(scored, by_hand, rtol=1e-12)


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_searches_in_parallel(backend):
    X, y = system(150)
    search = GridSearchCV(NARXRegressor(mode="open_loop"), {"output_lags": [1, 2]}, cv=TimeSeriesSplit(2), n_jobs=2)
    with parallel_config(backend, n_jobs=2):
        together = clone(search).fit(X, y).cv_results_["mean_test_score"]
    search.set_params(n_jobs=None)
    np.testing.assert_allclose(together, search.fit(X, y).cv_results_["mean_test_score"], rtol=1e-10)


# ---- what is refused

FIT = {
    "output_lags negative": ({"output_lags": -1}, {}, "output_lags=-1"),
    "output_lags with 0": ({"output_lags": [0, 1]}, {}, r"output_lags=\[0, 1\].*numbers of at least 1"),
    "output_lags twice": ({"output_lags": [1, 1]}, {}, r"output_lags=\[1, 1\].*distinct"),
    "output_lags 0 in a list": ({"output_lags": [0]}, {}, r"output_lags=\[0\]: .* L for 1\.\.L \(0: none"),
    "output_lags text": ({"output_lags": "auto"}, {}, "output_lags='auto'"),
    "output_lags fraction": ({"output_lags": 1.5}, {}, "output_lags=1.5"),
    "input_lags 0": ({"input_lags": 0}, {}, "input_lags=0: .*input_delay"),
    "input_lags negative": ({"input_lags": [-1, 0]}, {}, r"input_lags=\[-1, 0\].*at least 0"),
    "input_lags twice": ({"input_lags": [2, 2]}, {}, "distinct"),
    "input_delay": ({"input_delay": -1}, {}, "input_delay=-1"),
    "horizon": ({"horizon": 0}, {}, "horizon=0: expected 'auto' or a whole number"),
    "validation 1": ({"validation": 1.0}, {}, r"validation=1\.0: expected 'auto', False or a share"),
    "validation count": ({"validation": 4}, {}, "validation=4"),
    "validation True": ({"validation": True}, {}, "validation=True"),
    "model": ({"model": "forest"}, {}, "model='forest' is not known"),
    "a forecaster": ({"model": NARXForecaster(3)}, {}, "forecaster itself"),
    "mode": ({"mode": "open"}, {}, "mode='open' is not known"),
    "solver": ({"solver": "sgd"}, {}, "solver='sgd'"),
    "loss": ({"loss": "rmse"}, {}, "loss='rmse'"),
    "ridge": ({"ridge": -1}, {}, "ridge=-1"),
    "max_steps": ({"max_steps": 0}, {}, "max_steps=0"),
    "device of a regressor": ({"model": Ridge(), "device": "meta"}, {}, "runs on the CPU"),
    "solver of a regressor": ({"model": Ridge(), "solver": "adamw"}, {}, "solver='adamw' is for models with a grad"),
    "sizes that do not add up": ({}, {"session_sizes": [20, 30]}, "add up to 50: .*add up to the 60 rows"),
    "sizes with 0": ({}, {"session_sizes": [0, 60]}, "whole numbers of at least 1"),
    "sizes as fractions": ({}, {"session_sizes": [30.0, 30.0]}, "whole numbers"),
    "sizes as a table": ({}, {"session_sizes": [[30, 30]]}, "whole numbers"),
    "no sizes": ({}, {"session_sizes": []}, "whole numbers"),
}


@pytest.mark.parametrize("case", FIT)
def test_bad_arguments_of_fit(case):
    parameters, arguments, message = FIT[case]
    X, y = system(60)
    with pytest.raises(ArgumentError, match=message):
        NARXRegressor(**grouped({"mode": "open_loop", **parameters})).fit(X, y, **arguments)


def test_rows_that_cannot_be_learnt_from():
    X, y = system(60)
    with pytest.raises(ValueError, match="1 sample"):
        NARXRegressor().fit(X[:1], y[:1])
    with pytest.raises(SeriesTooShortError, match="largest lag, 40, needs at least 41 rows"):
        NARXRegressor(40).fit(X, y, session_sizes=[30, 30])
    with pytest.raises(ValueError, match="NaN"):
        NARXRegressor().fit(np.where(np.arange(60)[:, None] == 3, np.nan, X), y)
    with pytest.raises(ValueError, match="NaN"):
        NARXRegressor().fit(X, np.where(np.arange(60) == 3, np.nan, y))
    with pytest.raises(ArgumentError, match="y holds 'a': expected numbers"):
        NARXRegressor().fit(X, np.array(["a", *["b"] * 59]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NARXRegressor().fit(X, y[:-1])


AFTER = {
    "too many inputs": (lambda m, X, y: m.predict(np.c_[X, X]), ValueError, "4 features"),
    "NaN in X": (lambda m, X, y: m.predict(np.full_like(X, np.nan)), ValueError, "NaN"),
    "y_init too long": (lambda m, X, y: m.predict(X[:5], y_init=y[:6]), ArgumentError, r"\(6,\): .* n0 at most 5"),
    "y_init too wide": (lambda m, X, y: m.predict(X, y_init=np.ones((2, 2))), ArgumentError, r"\(2, 2\): .*\(n0, 1\)"),
    "y_init a number": (lambda m, X, y: m.predict(X, y_init=3.0), ArgumentError, r"shape \(\)"),
    "y_init NaN": (lambda m, X, y: m.predict(X, y_init=[np.nan]), ArgumentError, "y_init holds NaN"),
    "y_init text": (lambda m, X, y: m.predict(X, y_init=["a"]), ArgumentError, "y_init holds 'a'"),
    "y_init of one record": (
        lambda m, X, y: m.predict(X, y_init=y[:3], session_sizes=[30, 30]), ArgumentError, "for 1 records.*are 2",
    ),
    "y_init of three records": (
        lambda m, X, y: m.predict(X, y_init=[y[:3]] * 3, session_sizes=[30, 30]), ArgumentError, "for 3 records",
    ),
    "y_init of the second": (
        lambda m, X, y: m.predict(X, y_init=[None, y], session_sizes=[30, 30]), ArgumentError, "record 1",
    ),
    "sizes": (lambda m, X, y: m.predict(X, session_sizes=[5]), ArgumentError, "session_sizes"),
    "steps 0": (lambda m, X, y: m.predict_ahead(X, y, 0), ArgumentError, "steps=0"),
    "steps half": (lambda m, X, y: m.predict_ahead(X, y, 1.5), ArgumentError, "steps=1.5"),
    "two outputs": (lambda m, X, y: m.one_step(X, np.c_[y, y]), ArgumentError, "y has 2 outputs, .* fitted to 1"),
    "nothing to score": (lambda m, X, y: m.score(X[:2], y[:2]), SeriesTooShortError, "none is left to score"),
}  # fmt: skip


@pytest.mark.parametrize("case", AFTER)
def test_bad_arguments_after_fit(case):
    call, error, message = AFTER[case]
    X, y = system(60)
    with pytest.raises(error, match=message):
        call(fitted(mode="open_loop"), X, y)


WAYS = [
    [50.0, 51.0], (50, 51), [[50.0], [51.0]], np.array([50.0, 51.0]), [np.array([50.0, 51.0])], pd.Series([50.0, 51.0]),
]  # fmt: skip


@pytest.mark.parametrize("y_init", WAYS, ids=range(6))
def test_ways_to_write_measured_first_outputs(y_init):
    X, _ = system(30)
    model = fitted(mode="open_loop")
    np.testing.assert_array_equal(model.predict(X, y_init=y_init), model.predict(X, y_init=np.array([[50.0], [51.0]])))


def test_it_is_public():
    assert tsforce.NARXRegressor is NARXRegressor
