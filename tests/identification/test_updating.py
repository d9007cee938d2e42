"""Later rows taken in by least squares: the same as a fit on all rows, whatever they are cut into."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from tests.identification.test_regressor import system
from tsforce import NARXRegressor, Training
from tsforce.errors import ArgumentError
from tsforce.models import Polynomial

OPEN = {"mode": "open_loop"}
KINDS = {
    "linear": {},
    "two outputs": {"outputs": 2},
    "gaps and delay": {"output_lags": [1, 4], "input_lags": [0, 3], "input_delay": 1},
    "no output lags": {"output_lags": 0, "input_lags": 3},
    "auto that keeps open loop": {"mode": "auto", "training": Training(validation=False)},
}


def both_ways(options, cuts, rows=260, sizes=None):
    options = OPEN | options
    X, y = system(rows, outputs=options.pop("outputs", 1))
    whole = NARXRegressor(**options).fit(X, y, session_sizes=sizes)
    edges = [*cuts, rows]
    grown = NARXRegressor(**options).fit(X[: cuts[0]], y[: cuts[0]], session_sizes=None if sizes is None else sizes[:1])
    for k, (start, stop) in enumerate(itertools.pairwise(edges)):
        own = None if sizes is None else [sizes[k + 1]]
        assert grown.update(X[start:stop], y[start:stop], session_sizes=own) is grown
    return X, y, whole, grown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [[100], [60, 61, 64, 200]])
def test_rows_taken_in_give_the_fit_on_all_of_them(kind, cuts):
    X, y, whole, grown = both_ways(KINDS[kind], cuts)
    # But for the first row, before which the one rests at the mean of all rows, the other at that of its first ones.
    np.testing.assert_allclose(grown.one_step(X, y)[1:], whole.one_step(X, y)[1:], rtol=1e-10)
    np.testing.assert_allclose(grown.predict(X, y[:5]), whole.predict(X, y[:5]), rtol=1e-10)
    # Both go on from the last row.
    np.testing.assert_allclose(grown.predict(X[:9] + 1), whole.predict(X[:9] + 1), rtol=1e-10)


def test_partial_fit_fits_first_and_updates_then():
    X, y = system(260)
    whole, grown = NARXRegressor(**OPEN).fit(X, y), NARXRegressor(**OPEN)
    for rows in (slice(0, 100), slice(100, 101), slice(101, 260)):
        assert grown.partial_fit(X[rows], y[rows]) is grown
    np.testing.assert_allclose(grown.predict(X, y[:5]), whole.predict(X, y[:5]), rtol=1e-10)
    assert not hasattr(NARXRegressor(model="mlp"), "partial_fit")


def test_records_taken_in_do_not_reach_into_others():
    X, y, whole, grown = both_ways({}, [100, 160], sizes=[100, 60, 100])
    np.testing.assert_allclose(grown.one_step(X, y)[1:], whole.one_step(X, y)[1:], rtol=1e-10)
    np.testing.assert_array_equal(grown.predict(X[:9]), grown.predict(X[:9], "rest"))


def test_the_ridge_counts_in_standard_deviations_of_all_rows():
    """By hand: columns of all rows standardised, the penalty added to their products (as scikit-learn's Ridge)."""
    X, y = system(300)
    y[200:] *= 3
    model = NARXRegressor(1, [1], ridge=50.0, **OPEN).fit(X[:200], y[:200]).update(X[200:], y[200:])
    A, b = np.column_stack([y[:-1], X[:-1]]), y[1:]
    Z = (A - A.mean(axis=0)) / A.std(axis=0)
    w = np.linalg.solve(Z.T @ Z + 50.0 * np.eye(3), Z.T @ (b - b.mean()))
    np.testing.assert_allclose(model.one_step(X, y)[1:], b.mean() + Z @ w, rtol=1e-10)


def test_a_polynomial_keeps_its_terms_and_solves_for_their_weights():
    X, y = system(400, noise=0.5)
    model = NARXRegressor(1, [1], model=Polynomial(2, n_terms=4), **OPEN).fit(X[:150], y[:150])
    terms, scale = model.model_.terms(), (model.y_mean_, model.y_scale_)
    model.update(X[150:], y[150:])
    assert model.model_.terms() == terms
    assert scale == (model.y_mean_, model.y_scale_)
    u, z = (X - X[:150].mean(axis=0)) / X[:150].std(axis=0), (y - scale[0]) / scale[1]
    columns = {"y_lag1": z[:-1], "x0_lag1": u[:-1, 0], "x1_lag1": u[:-1, 1]}
    powers = {f"{k}^2": v**2 for k, v in columns.items()}
    A = np.column_stack([np.prod([(columns | powers)[f] for f in t.split(" * ")], axis=0) for t in terms])
    A = np.column_stack([A, np.ones(len(A))])
    want = A @ np.linalg.lstsq(A, z[1:], rcond=None)[0] * scale[1] + scale[0]
    np.testing.assert_allclose(model.one_step(X, y)[1:], want, rtol=1e-9)


def test_badly_conditioned_rows_keep_their_digits():
    u = np.repeat(np.random.default_rng(0).uniform(-1, 1, 30), 100)[:, None]
    y = np.zeros(3000)
    for t in range(2, 3000):
        y[t] = 1.999 * y[t - 1] - 0.999001 * y[t - 2] + 1e-6 * u[t - 1, 0]
    model = NARXRegressor(2, 1, input_delay=1, **OPEN).fit(u[:1000], y[:1000]).update(u[1000:], y[1000:])
    assert np.abs(model.predict(u, y[:2]) - y).max() < 1e-4 * y.std()


def test_where_new_rows_have_been_a_simulation_may_go():
    u = np.random.default_rng(0).normal(size=(400, 1))
    y = np.zeros(400)
    for t in range(1, 400):
        y[t] = 0.5 * y[t - 1] + u[t - 1, 0] ** 2 * u[t - 1, 0]
    model = NARXRegressor(1, 1, input_delay=1, model="polynomial", guard=2.0, **OPEN)
    model.fit(u[:200], y[:200]).update(50 * u[200:], 50.0**3 * y[200:])
    assert np.isfinite(model.predict(50 * u[200:], 50.0**3 * y[200:201])).all()


def test_update_is_refused_where_no_equations_stand_behind_the_weights():
    X, y = system(200)
    robust = {"mode": "open_loop", "loss": "huber"}
    for options in ({"mode": "closed_loop"}, {"model": "mlp", "mode": "open_loop"}, robust):
        model = NARXRegressor(max_steps=2, **options).fit(X, y)
        before = model.predict(X)
        with pytest.raises(ArgumentError, match=r"least squares; this model was trained otherwise\. Fit it again"):
            model.update(X, y)
        np.testing.assert_array_equal(model.predict(X), before)
    with pytest.raises(NotFittedError):
        NARXRegressor().update(X, y)


def test_an_updated_model_pickles_and_goes_on():
    X, y = system(200)
    model = NARXRegressor(**OPEN).fit(X[:100], y[:100]).update(X[100:150], y[100:150])
    again = pickle.loads(pickle.dumps(model)).update(X[150:], y[150:])
    np.testing.assert_array_equal(again.predict(X, y[:2]), model.update(X[150:], y[150:]).predict(X, y[:2]))
