"""Records as they are given: lists, rows of each, a label for each row, folds of searches; and what is cut at gaps."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    cross_val_score,
)

import tsforce
from tsforce import NARXRegressor
from tsforce.errors import ArgumentError, ContextWarning
from tsforce.sysid import identification_report, without_gaps

SIZES = [100, 80, 60]
SESSIONS = np.repeat(["b", "a", "b"], SIZES)


def records(sizes=SIZES, inputs=1, outputs=1, noise=0.1, seed=0):
    """Records that each start at 0, by one linear system."""
    rng = np.random.default_rng(seed)
    X, y = [], []
    for size in sizes:
        u, state = rng.normal(size=(size, inputs)), np.zeros((size, outputs))
        for t in range(1, size):
            state[t] = 0.8 * state[t - 1] + u[t - 1].sum() * np.arange(1, outputs + 1)
        X.append(u)
        y.append((state + noise * rng.normal(size=state.shape))[:, : outputs or None])
    return (X, y) if outputs > 1 else (X, [own[:, 0] for own in y])


def arx(**settings):
    return NARXRegressor(**{"output_lags": 1, "input_lags": 1, "input_delay": 1, "mode": "open_loop"} | settings)


def by_hand(X, y):
    """Least squares on the rows whose lags are in their record, by another library."""
    rows = [np.column_stack([own[:-1], u[:-1]]) for u, own in zip(X, y, strict=True)]
    return LinearRegression().fit(np.concatenate(rows), np.concatenate([own[1:] for own in y]))


def coefficients(model):
    part = model.linear_part()
    return np.array([*part.a.ravel(), *part.b[1].ravel()])


# ---- lists


def as_frames(X, y):
    columns = [f"u{k}" for k in range(X[0].shape[1])]
    return [pd.DataFrame(u, columns=columns) for u in X], [pd.Series(own, name="level") for own in y]


LISTS = {
    "arrays": lambda X, y: (X, y),
    "tuples": lambda X, y: (tuple(X), tuple(y)),
    "frames": as_frames,
    "outputs as columns": lambda X, y: (X, [own[:, None] for own in y]),
    "frames of polars": lambda X, y: ([pl.DataFrame(u, schema=["u0"]) for u in X], [pl.Series("y", own) for own in y]),
    "plain lists": lambda X, y: ([u.tolist() for u in X], [own.tolist() for own in y]),
    "one record": lambda X, y: (X[:1], y[:1]),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop"])
def test_a_list_of_records_is_the_records_one_below_the_other(kind, mode):
    X, y = LISTS[kind](*records())
    sizes = [len(u) for u in X]
    one_X, one_y = (np.concatenate([np.asarray(own) for own in part]) for part in (X, y))
    settings = {"mode": mode, "horizon": 5, "max_steps": 3}
    model, other = arx(**settings).fit(X, y), arx(**settings).fit(one_X, one_y, session_sizes=sizes)
    one_X = one_X if "feature_names_in_" not in vars(model) else pd.DataFrame(one_X, columns=model.feature_names_in_)
    if hasattr(one_X, "columns"):
        other = arx(**settings).fit(one_X, one_y, session_sizes=sizes)
    starts = [np.asarray(own)[:2] for own in y]
    calls = {
        "predict": ([], {}),
        "predict from starts": ([starts], {}),
        "one_step": ([], {}),
        "predict_ahead": ([7], {}),
    }
    for name, (arguments, _) in calls.items():
        method = name.split()[0]
        listed, whole = ([X], [one_X]) if method == "predict" else ([X, y], [one_X, one_y])
        got = getattr(model, method)(*listed, *arguments)
        want = getattr(other, method)(*whole, *arguments, session_sizes=sizes)
        assert [len(own) for own in got] == sizes
        np.testing.assert_array_equal(np.concatenate(got), want)
    assert model.score(X, y) == other.score(one_X, one_y, session_sizes=sizes)
    weights = np.random.default_rng(1).random(len(one_y))
    assert model.score(X, y, np.split(weights, np.cumsum(sizes)[:-1])) == other.score(one_X, one_y, weights, sizes)


def test_an_array_of_records_of_one_length_is_a_list_of_them():
    X, y = records([60, 60, 60])
    model = arx().fit(np.stack(X), np.stack(y))
    np.testing.assert_allclose(coefficients(model), by_hand(X, y).coef_, rtol=1e-9)
    np.testing.assert_array_equal(np.stack(model.predict(np.stack(X))), np.stack(model.predict(X)))


def test_lists_of_several_outputs_and_inputs_in_a_report():
    X, y = records(inputs=2, outputs=2)
    model = arx().fit(X, y)
    got = identification_report(model, X, y)
    want = identification_report(model, np.concatenate(X), np.concatenate(y), session_sizes=SIZES)
    labelled = identification_report(model, np.concatenate(X), np.concatenate(y), sessions=SESSIONS)
    for report in (want, labelled):
        pd.testing.assert_frame_equal(got.scores, report.scores)
        pd.testing.assert_frame_equal(got.simulation, report.simulation)


def test_new_records_of_an_update_are_a_list_too():
    X, y = records()
    model = arx().fit(X[:2], y[:2]).update(X[2:], y[2:])
    np.testing.assert_allclose(coefficients(model), by_hand(X, y).coef_, rtol=1e-9)


def test_a_list_of_rows_stays_one_record():
    X, y = records([60])
    rows = arx().fit(X[0].tolist(), y[0].tolist())
    arrays = arx().fit(list(X[0]), list(y[0]))
    want = arx().fit(X[0], y[0])
    for model in (rows, arrays):
        np.testing.assert_array_equal(model.predict(X[0].tolist()), want.predict(X[0]))
    both = arx().fit(list(np.column_stack([X[0], X[0] ** 2])), list(np.column_stack([y[0], y[0]])))
    assert both.n_features_in_ == len(both.output_names_) == 2


X3, Y3 = records()
BAD_LISTS = {
    "other numbers": ((X3, Y3[:2]), "a list of 3 records, and y of 2"),
    "other rows": ((X3, [*Y3[:2], Y3[2][:-1]]), r"record 2 has 60 rows in X and shape \(59,\) in y"),
    "y in one": ((X3, np.concatenate(Y3)), r"y is one array.*session_sizes=\[100, 80, 60\]"),
    "y as a series": ((X3, pd.Series(np.concatenate(Y3))), "y is one array"),
    "X in one": ((np.concatenate(X3), Y3), "y is a list of 3 records, and X is one table"),
    "other inputs": (([*X3[:2], np.hstack([X3[2]] * 2)], Y3), "record 2 of X has 2 inputs, record 0 has 1"),
    "other outputs": ((X3, [*Y3[:2], Y3[2][:, None]]), r"record 2 of y has the shape \(60, 1\), record 0 has \(100,\)"),
    "no table": (([*X3[:2], X3[2][:, 0]], Y3), r"record 2 of X has the shape \(60,\): expected a table"),
    "other names": (
        ([pd.DataFrame(X3[0], columns=["u"]), X3[1]], Y3[:2]),
        r"record 1 of X has no names, record 0 has \['u'\]",
    ),
    "vectors": (([u[:, 0] for u in X3], Y3), r"\[u\[:, None\] for u in X\]"),
    "vectors of one length": (([X3[0][:60, 0], X3[2][:, 0]], [Y3[0][:60], Y3[2]]), r"\[u\[:, None\] for u in X\]"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_records_that_do_not_fit_together_are_told_which(case):
    (X, y), message = BAD_LISTS[case]
    with pytest.raises(ArgumentError, match=message):
        arx().fit(X, y)


def test_borders_are_given_once():
    X, y = np.concatenate(X3), np.concatenate(Y3)
    with pytest.raises(ArgumentError, match="X is a list of records, and session_sizes= say where"):
        arx().fit(X3, Y3, session_sizes=SIZES)
    with pytest.raises(ArgumentError, match="session_sizes= and sessions= say where records end"):
        arx().fit(X, y, session_sizes=SIZES, sessions=SESSIONS)


# ---- a label for each row


@pytest.mark.parametrize(
    "labels",
    [SESSIONS, SESSIONS.tolist(), pd.Series(SESSIONS), np.repeat([1.5, np.nan, 2], SIZES), [None] * 100 + [1] * 140],
)
def test_another_label_begins_a_record(labels):
    X, y = np.concatenate(X3), np.concatenate(Y3)
    sizes = SIZES if labels[239] != labels[100] else [100, 140]
    model, other = arx().fit(X, y, sessions=labels), arx().fit(X, y, session_sizes=sizes)
    calls = [("predict", (X,)), ("one_step", (X, y)), ("predict_ahead", (X, y, 5)), ("score", (X, y))]
    for method, arguments in calls:
        got = getattr(model, method)(*arguments, sessions=labels)
        np.testing.assert_array_equal(got, getattr(other, method)(*arguments, session_sizes=sizes))


def test_labels_are_one_for_each_row():
    with pytest.raises(ArgumentError, match=r"sessions has the shape \(239,\): expected \(240,\)"):
        arx().fit(np.concatenate(X3), np.concatenate(Y3), sessions=SESSIONS[1:])


# ---- folds

FOLDS = {
    "one record out": LeaveOneGroupOut(),
    "groups": GroupKFold(3),
    "predefined": PredefinedSplit(np.repeat([0, 1, 2], SIZES)),
}


@pytest.mark.parametrize("folds", FOLDS)
@pytest.mark.parametrize("scoring", [None, "r2"])
def test_a_search_by_labels_fits_records_that_end_where_they_do(folds, scoring):
    X, y, groups = np.concatenate(X3), np.concatenate(Y3), np.repeat([0, 1, 2], SIZES)
    search = GridSearchCV(arx(), {"output_lags": [1, 2]}, cv=FOLDS[folds], scoring=scoring, error_score="raise")
    search.fit(X, y, groups=None if folds == "predefined" else groups, sessions=groups)
    want = []
    for k in range(3):
        train = [i for i in range(3) if i != k]
        model = arx().fit([X3[i] for i in train], [Y3[i] for i in train])
        np.testing.assert_allclose(coefficients(model), by_hand([X3[i] for i in train], [Y3[i] for i in train]).coef_)
        want.append(
            model.score(X3[k], Y3[k]) if scoring is None else sklearn.metrics.r2_score(Y3[k], model.predict(X3[k]))
        )
    got = [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)]
    assert sorted(got) == pytest.approx(sorted(want), rel=1e-9)


def test_labels_reach_the_score_by_metadata_routing():
    X, y, groups = np.concatenate(X3), np.concatenate(Y3), np.repeat([0, 1, 0], SIZES)
    with sklearn.config_context(enable_metadata_routing=True):
        model = arx().set_fit_request(sessions=True).set_score_request(sessions=True)
        params = {"groups": groups, "sessions": np.repeat(["a", "b", "c"], SIZES)}
        got = cross_val_score(model, X, y, cv=LeaveOneGroupOut(), params=params, error_score="raise")
    one, two = [X3[0], X3[2]], [Y3[0], Y3[2]]
    # Both records that are left out stand side by side, and are two.
    assert got[0] == pytest.approx(arx().fit(X3[1], Y3[1]).score([X3[0], X3[2]], [Y3[0], Y3[2]]), rel=1e-9)
    assert got[1] == pytest.approx(arx().fit(one, two).score(X3[1], Y3[1]), rel=1e-9)


def test_a_search_over_a_list_leaves_whole_records_out():
    search = GridSearchCV(arx(), {"output_lags": [1, 2]}, cv=KFold(3), error_score="raise").fit(X3, Y3)
    want = [arx().fit(X3[:k] + X3[k + 1 :], Y3[:k] + Y3[k + 1 :]).score(X3[k : k + 1], Y3[k : k + 1]) for k in range(3)]
    assert [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)] == pytest.approx(want, rel=1e-9)


def test_sizes_of_more_rows_are_those_of_the_only_records_that_fit():
    want = arx().fit([X3[0], X3[2]], [Y3[0], Y3[2]])
    X, y = np.concatenate([X3[0], X3[2]]), np.concatenate([Y3[0], Y3[2]])
    with pytest.warns(
        ContextWarning, match=r"of 240 rows, and X has 160: taken for the records of 100, 60 rows.*sessions="
    ):
        model = arx().fit(X, y, session_sizes=SIZES)
    np.testing.assert_array_equal(coefficients(model), coefficients(want))
    with pytest.warns(ContextWarning, match="taken for the records of 60 rows"):
        alike = arx().fit(X3[2], Y3[2], session_sizes=[60, 80, 60])
    np.testing.assert_array_equal(coefficients(alike), coefficients(arx().fit(X3[2], Y3[2])))


@pytest.mark.parametrize("sizes", [[60, 100, 60], [50, 70], [160, 100, 60], [200], [40, 120, 100, 60]])
def test_sizes_that_may_be_of_several_choices_are_refused(sizes):
    X, y = np.concatenate([X3[0], X3[2]]), np.concatenate([Y3[0], Y3[2]])
    with pytest.raises(ArgumentError, match=r"add up to the 160 rows of X. Where folds .* give sessions="):
        arx().fit(X, y, session_sizes=sizes)


def test_a_search_by_sizes_warns_of_what_it_takes_them_for():
    X, y = np.concatenate(X3), np.concatenate(Y3)
    search = GridSearchCV(arx(), {"output_lags": [1]}, cv=LeaveOneGroupOut(), scoring="r2", error_score="raise")
    with pytest.warns(ContextWarning, match="taken for the records of"):
        search.fit(X, y, groups=np.repeat([0, 1, 2], SIZES), session_sizes=SIZES)
    np.testing.assert_array_equal(coefficients(search.best_estimator_), coefficients(arx().fit(X3, Y3)))


# ---- gaps


def with_gaps(X, y):
    """Inputs and outputs with holes at rows 40, 41, 120 and 175 of all, in copies."""
    X, y = np.concatenate(X), np.concatenate(y)
    X[40, -1], X[41, 0] = np.nan, np.inf
    y[120], y[175] = np.nan, -np.inf
    return X, y


PIECES = [slice(0, 40), slice(42, 100), slice(100, 120), slice(121, 175), slice(176, 180), slice(180, 240)]


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", ["arrays", "frames", "nullable frames", "lists"])
def test_records_are_cut_where_something_is_missing(outputs, kind):
    X, y = with_gaps(*records(inputs=2, outputs=outputs))
    stamps = pd.date_range("2024-01-01", periods=240, freq="h")
    if kind == "lists":
        X, y = X.tolist(), y.tolist()
    if kind in ("frames", "nullable frames"):
        X = pd.DataFrame(X, columns=["valve", "steam"], index=stamps)
        y = pd.DataFrame(y.reshape(240, -1), index=stamps).rename(columns=lambda c: f"level{c}")
    before = [np.array(rows, dtype=np.float64) for rows in (X, y)]
    if kind == "nullable frames":
        X = X.convert_dtypes()
    got_X, got_y, sizes = without_gaps(X, y, session_sizes=SIZES)
    assert sizes.tolist() == [40, 58, 20, 54, 4, 60]
    kept = np.concatenate([np.arange(240)[piece] for piece in PIECES])
    np.testing.assert_array_equal(np.asarray(got_X, dtype=float), before[0][kept])
    np.testing.assert_array_equal(np.asarray(got_y), before[1][kept])
    if "frames" in kind:
        assert list(got_X.columns) == ["valve", "steam"]
        assert got_X.index.equals(stamps[kept])
        assert got_y.index.equals(stamps[kept])
    assert without_gaps(X, y, session_sizes=SIZES, shortest=20)[2].tolist() == [40, 58, 20, 54, 60]


def test_no_lag_reaches_over_a_gap():
    X, y = with_gaps(*records())
    cut_X, cut_y, sizes = without_gaps(X, y, sessions=SESSIONS)
    model = arx().fit(cut_X, cut_y, session_sizes=sizes)
    pieces = [X[piece] for piece in PIECES], [y[piece] for piece in PIECES]
    np.testing.assert_allclose(coefficients(model), by_hand(*pieces).coef_, rtol=1e-9)
    ends = np.cumsum(sizes)[:-1]
    alone = [model.one_step(*both) for both in zip(np.split(cut_X, ends), np.split(cut_y, ends), strict=True)]
    np.testing.assert_allclose(model.one_step(cut_X, cut_y, session_sizes=sizes), np.concatenate(alone), rtol=1e-9)


def test_pieces_that_lags_do_not_fit_in_are_no_harm():
    X, y = records([200])
    X, y = X[0], y[0].copy()
    y[1:20:2] = np.nan
    cut_X, cut_y, sizes = without_gaps(X, y)
    assert sizes.tolist() == [1] * 10 + [180]
    for mode in ("open_loop", "closed_loop", "auto"):
        settings = {"output_lags": 3, "mode": mode, "horizon": 5, "max_steps": 3}
        model = arx(**settings).fit(cut_X, cut_y, session_sizes=sizes)
        alone = arx(**settings).fit(X[20:], y[20:])
        assert model.score(cut_X, cut_y, session_sizes=sizes) > 0.9
        if mode == "open_loop":
            np.testing.assert_allclose(coefficients(model), coefficients(alone), rtol=1e-9)


def test_without_y_inputs_alone_are_cut_and_nothing_left_is_said():
    X, y, sizes = without_gaps([[1.0], [np.nan], [2.0]])
    assert (X.tolist(), y, sizes.tolist()) == ([[1.0], [2.0]], None, [1, 1])
    with pytest.raises(
        ArgumentError, match=r"2 rows without NaN or infinity, in pieces of at most 1 rows: .*shortest=2"
    ):
        without_gaps([[1.0], [np.nan], [2.0]], shortest=2)
    with pytest.raises(ArgumentError, match="X has 2 rows and y 3"):
        without_gaps([[1.0], [2.0]], [1.0, 2.0, 3.0])


def test_a_list_of_records_is_cut_to_one_table():
    X, y = records()
    y[1] = y[1].copy()
    y[1][3] = np.nan
    got_X, _, sizes = without_gaps(X, y)
    assert (len(got_X), sizes.tolist()) == (239, [100, 3, 76, 60])


METHODS = {
    "fit": lambda model, X, y, **borders: model.fit(X, y, **borders),
    "predict": lambda model, X, y, **borders: model.predict(X, **borders),
    "one_step": lambda model, X, y, **borders: model.one_step(X, y, **borders),
    "predict_ahead": lambda model, X, y, **borders: model.predict_ahead(X, y, 3, **borders),
    "score": lambda model, X, y, **borders: model.score(X, y, **borders),
    "update": lambda model, X, y, **borders: model.update(X, y, **borders),
    "identification_report": lambda model, X, y, **borders: identification_report(model, X, y, **borders),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("border", [{}, {"session_sizes": SIZES}, {"sessions": SESSIONS}, "list", "frame"])
def test_an_error_names_the_rows_and_a_repair_that_runs(method, border):
    X, y = records(inputs=2, outputs=2)
    model = arx().fit(X, y)
    X, y = with_gaps(X, y)
    listed, borders = border == "list", border if isinstance(border, dict) else {}
    if border == "frame":
        X, y = pd.DataFrame(X, columns=["valve", "steam"]), pd.DataFrame(y, columns=["level", "flow"])
        model.fit(X.iloc[180:], y.iloc[180:])
    if listed:
        X, y = (np.split(rows, np.cumsum(SIZES)[:-1]) for rows in (X, y))
    with pytest.raises(ValueError, match=r"NaN or infinity: X in rows 40, 41 of") as caught:
        METHODS[method](model, X, y, **borders)
    message = str(caught.value)
    assert ("'valve', 'steam'" if border == "frame" else "'x0', 'x1'") in message
    assert ("y in rows 120, 175 of" in message) == (method != "predict")
    first, second = re.search(r"cut the record there: (.*\)), then (.*)\.$", message).groups()
    names = {"X": X, "y": y, "tsforce": tsforce, "model": model, "identification_report": identification_report}
    exec(first, names | borders, names)
    call = second if method == "identification_report" else f"model.{second}"
    done = eval(call, names)
    if method == "fit":
        pieces = [slice(a, b) for a, b in [(0, 40), (42, 100), (100, 120), (121, 175), (176, 180), (180, 240)]]
        if not borders and not listed:
            pieces[1:3], pieces[4:6] = [slice(42, 120)], [slice(176, 240)]
            pieces = [slice(0, 40), slice(42, 120), slice(121, 175), slice(176, 240)]
        table, outputs = (np.concatenate(rows) if listed else np.asarray(rows) for rows in (X, y))
        whole = arx().fit([table[p] for p in pieces], [outputs[p] for p in pieces])
        np.testing.assert_allclose(coefficients(done), coefficients(whole), rtol=1e-9)


def test_many_rows_are_counted_and_one_column_is_not_named():
    X, y = records([100])
    y[0][10:30] = np.nan
    with pytest.raises(ArgumentError, match=r"infinity: y in rows 10, 11, 12, 13, 14 \(and 15 more\); expected"):
        arx().fit(X[0], y[0])
