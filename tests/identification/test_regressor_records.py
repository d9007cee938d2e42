"""NARXRegressor on records of unequal length and size, on named outputs, and scored on the same rows as another."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from tests.identification.test_regressor import system
from tests.makers import grouped
from tsforce import NARXRegressor
from tsforce.errors import ArgumentError, ValidationWarning
from tsforce.identification import simulator

LINE = {"mode": "open_loop"}


# ---- unequal records


def test_a_short_record_costs_a_long_one_no_training_steps():
    X, y = system(403, noise=0.5)
    options = {"mode": "closed_loop", "max_steps": 3, "validation": False}
    both = NARXRegressor(**grouped(options)).fit(X, y, session_sizes=[400, 3])
    alone = NARXRegressor(**grouped(options)).fit(X[:400], y[:400])
    assert both.horizon_ == alone.horizon_ == 50
    np.testing.assert_allclose(both.predict(X[:400]), alone.predict(X[:400], "rest"), atol=0.3)


@pytest.mark.parametrize("mode", ["open_loop", "auto"])
def test_a_record_at_rest_does_not_decide_what_is_chosen(mode):
    X, y = system(400, noise=2.0)
    still_X = np.tile(X.mean(axis=0), (100, 1))
    still = y.mean() + 1e-6 * np.random.default_rng(0).normal(size=100)
    options = {"mode": mode, "ridge": "auto", "max_steps": 3}
    model = NARXRegressor(4, 6, **grouped(options)).fit(np.r_[X, still_X], np.r_[y, still], session_sizes=[400, 100])
    errors = model.history_.frame["closed_loop"].dropna()
    # In units of its own steps alone, those of the record at rest are about a hundred thousand.
    assert len(errors)
    assert errors.max() < 3


@pytest.mark.filterwarnings("ignore:y_init:tsforce.errors.ContextWarning")
def test_records_are_simulated_beside_those_of_their_length(monkeypatch):
    rolled = []
    inner = simulator.forecast_windows

    def spy(store, model, guard, index, horizon, **more):
        rolled.append(len(index) * horizon)
        return inner(store, model, guard, index, horizon, **more)

    monkeypatch.setattr(simulator, "forecast_windows", spy)
    sizes = [10, 900, *[12, 19] * 20, 8]
    X, y = system(sum(sizes), outputs=2)
    model = NARXRegressor(**LINE).fit(X, y, session_sizes=sizes)
    edges = np.cumsum([0, *sizes])
    # The second has no row left to simulate.
    heads = [None, y[10:910], *[y[a : a + k % 3] for k, a in enumerate(edges[2:-1])]]
    for y_init in (None, heads):
        rolled.clear()
        got = model.predict(X, y_init, session_sizes=sizes)
        assert sum(rolled) < 2 * sum(sizes)
        starts = [None] * len(sizes) if y_init is None else y_init
        alone = [
            y[a:b] if head is not None and len(head) == b - a else model.predict(X[a:b], head)
            for (a, b), head in zip(itertools.pairwise(edges), starts, strict=True)
        ]
        np.testing.assert_allclose(got, np.concatenate(alone), rtol=1e-12)


def test_first_outputs_of_all_records_may_be_one_array():
    X, y = system(90, outputs=2)
    model = NARXRegressor(**LINE).fit(X, y)
    sizes, heads = [30, 60], np.stack([y[:4], y[30:34]])
    want = model.predict(X, list(heads), session_sizes=sizes)
    np.testing.assert_array_equal(model.predict(X, heads, session_sizes=sizes), want)
    np.testing.assert_array_equal(model.predict(X[:30], heads[:1]), want[:30])
    with pytest.raises(ArgumentError, match="for 2 records, but there are 1"):
        model.predict(X, heads)


@pytest.mark.parametrize("sizes", [None, [30, 60]])
def test_one_row_of_several_outputs_is_two_dimensional_and_the_message_says_so(sizes):
    X, y = system(90, outputs=2)
    model = NARXRegressor(**LINE).fit(X, y)
    y_init = y[0] if sizes is None else [y[0], y[30]]
    with pytest.raises(ArgumentError, match=r"shape \(2,\): .* One row of outputs is written \[\[\.\.\.\]\], or y\[:1"):
        model.predict(X, y_init, session_sizes=sizes)


# ---- nothing to choose by

CHOOSING = {
    "auto": {},
    "closed loop": {"mode": "closed_loop"},
    "ridge": {"mode": "open_loop", "ridge": "auto"},
    "terms": {"mode": "open_loop", "model": "polynomial"},
    "rounds": {"mode": "closed_loop", "model": Ridge()},
}
NOT_CHOOSING = {
    "least squares": {"mode": "open_loop"},
    "rows": {"mode": "open_loop", "model": Ridge()},
    "switched off": {"validation": False},
    "long enough": {"validation": 0.5},
}


@pytest.mark.parametrize("case", CHOOSING)
def test_records_too_short_to_hold_anything_out_are_warned_of_once(case):
    X, y = system(24)
    model = NARXRegressor(1, 1, **grouped({"validation": 0.99, "max_steps": 1, **CHOOSING[case]}))
    with pytest.warns(ValidationWarning, match="validation=0.99: nothing could be held out") as caught:
        model.fit(X, y, session_sizes=[12, 12])
    assert len(caught) == 1


@pytest.mark.parametrize("case", NOT_CHOOSING)
def test_a_fit_that_chooses_nothing_or_can_does_not_warn(case):
    X, y = system(24)
    NARXRegressor(1, 1, **grouped({"validation": 0.99, "max_steps": 1, **NOT_CHOOSING[case]})).fit(
        X, y, session_sizes=[12, 12]
    )


# ---- scores


def test_weights_of_another_length_are_refused_and_point_to_sizes_of_records():
    X, y = system(60)
    model = NARXRegressor(**LINE).fit(X, y)
    with pytest.raises(ArgumentError, match=r"shape \(2,\): expected \(60,\).*session_sizes="):
        model.score(X, y, [40, 20])


def test_rows_that_are_skipped_are_given_and_not_scored():
    X, y = system(90)
    model = NARXRegressor(2, 3, **LINE).fit(X, y)
    yhat = model.predict(X, [y[:7], y[50:57]], session_sizes=[50, 40])
    scored = np.r_[7:50, 57:90]
    got = model.score(X, y, session_sizes=[50, 40], skip=7)
    assert got == pytest.approx(r2_score(y[scored], yhat[scored]), rel=1e-12)
    assert model.score(X, y, skip=2) == model.score(X, y)
    with pytest.raises(ArgumentError, match="skip=1: the model reads 2 rows back"):
        model.score(X, y, skip=1)
    with pytest.raises(ArgumentError, match="skip='all'"):
        model.score(X, y, skip="all")


def test_a_search_over_lags_scores_all_on_the_same_rows():
    X, y = system(120)
    shown = []

    def same_rows(model, X, y):
        shown.append(model.score(X, y, skip=8))
        return shown[-1]

    cv = TimeSeriesSplit(2)
    search = GridSearchCV(NARXRegressor(**LINE), {"output_lags": [1, 8]}, scoring=same_rows, cv=cv, refit=False)
    search.fit(X, y)
    for number, lags in enumerate((1, 8)):
        for fold, (train, test) in enumerate(cv.split(X)):
            model = NARXRegressor(lags, **LINE).fit(X[train], y[train])
            want = r2_score(y[test][8:], model.predict(X[test], y[test][:8])[8:])
            assert search.cv_results_[f"split{fold}_test_score"][number] == pytest.approx(want, rel=1e-12)


# ---- names of outputs


@pytest.mark.parametrize(
    ("wrap", "names"),
    [
        (lambda y: y[:, 0], ("y",)),
        (lambda y: y, ("y0", "y1")),
        (lambda y: pd.DataFrame(y), ("y0", "y1")),
        (lambda y: pd.Series(y[:, 0]), ("y",)),
        (lambda y: pd.Series(y[:, 0], name="level"), ("level",)),
        (lambda y: pd.DataFrame(y[:, :1], columns=["level"]), ("level",)),
        (lambda y: pd.DataFrame(y, columns=["level", "flow"]), ("level", "flow")),
    ],
    ids=["array", "two", "nameless frame", "nameless series", "series", "frame of one", "frame"],
)
def test_outputs_go_by_their_names(wrap, names):
    X, y = system(60, outputs=2)
    model = NARXRegressor(1, 1, **LINE).fit(X, wrap(y))
    assert model.output_names_ == model.model_.layout.channels == names
    assert [line.split("(t) =")[0] for line in model.equation().splitlines()] == list(names)


def test_outputs_in_another_order_are_refused():
    X, y = system(60, outputs=2)
    y = pd.DataFrame(y, columns=["level", "flow"])
    other = y[["flow", "level"]]
    model = NARXRegressor(1, 1, **LINE).fit(X, y)
    calls = (
        lambda y: model.score(X, y),
        lambda y: model.one_step(X, y),
        lambda y: model.predict_ahead(X, y, 3),
        lambda y: model.predict(X, y[:3]),
        lambda y: model.predict(X, [None, y[:3]], session_sizes=[30, 30]),
    )
    for call in calls:
        with pytest.raises(ArgumentError, match=r"columns \['flow', 'level'\].*fitted are \['level', 'flow'\]"):
            call(other)
        np.testing.assert_array_equal(call(y), call(y.rename(columns="new {}".format)))


@pytest.mark.parametrize(
    ("inputs", "outputs", "twice"),
    [
        (["level", "pump"], ["level", "flow"], "'level'"),
        (["y0", "y1"], None, "'y0', 'y1'"),
        (None, ["x1", "level"], "'x1'"),
    ],
)
def test_two_columns_of_one_name_are_named(inputs, outputs, twice):
    X, y = system(60, outputs=2)
    X = X if inputs is None else pd.DataFrame(X, columns=inputs)
    y = y if outputs is None else pd.DataFrame(y, columns=outputs)
    with pytest.raises(ArgumentError, match=f"^{twice}: more than one column"):
        NARXRegressor(1, 1, **LINE).fit(X, y)


def test_an_equation_is_refused_in_the_words_of_the_user():
    X, y = system(60)
    model = NARXRegressor(1, 1, model="mlp", mode="open_loop", max_steps=1).fit(X, y)
    with pytest.raises(ArgumentError, match="model='mlp' cannot be written down"):
        model.equation()
    with pytest.raises(ArgumentError, match=r"names='valve' is not known; accepted: 'y', 'x0', 'x1'"):
        NARXRegressor(1, 1, **LINE).fit(X, y).equation(names={"valve": "u"})
