"""score and ClosedLoopSplit: closed-loop errors as scikit-learn's searches see them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from tests.forecasting.test_inputs import frame
from tests.makers import make_frame, sysid_record
from tsforce import Baseline, ClosedLoopSplit, Ensemble, Forecaster, NARXForecaster, NARXRegressor, backtest
from tsforce.data.frame import last_stamps
from tsforce.errors import ArgumentError, ArgumentTypeError

H = 4


def narx(**settings):
    return NARXForecaster(**{"horizon": H, "lags": 7, "season_length": 7, "mode": "open_loop"} | settings)


def head(df, rows):
    return df.groupby("unique_id", sort=False).head(rows).reset_index(drop=True)


MODELS = [narx(), narx(scope="local"), Baseline("naive2", horizon=H, season_length=7), Ensemble([narx(), narx(lags=3)])]


@pytest.mark.parametrize("freq", [None, "D", "W-SUN", "MS", "B"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_score_is_the_error_of_a_backtest_over_the_rows_that_follow(model, freq):
    df = make_frame((60, 60, 60), freq=freq)
    learnt = head(df, 60 - 2 * H - 1)
    model = model.clone_unfitted().fit(learnt)
    tail = df.merge(learnt[["unique_id", "ds"]], how="left", indicator=True)
    later = tail[tail["_merge"] == "left_only"].drop(columns="_merge")
    got = model.score(later)
    assert got == pytest.approx(model.score(df), rel=1e-12)
    errors = []
    for name, part in df.groupby("unique_id", sort=False):
        y = part["y"].to_numpy()
        n = 60 - 2 * H - 1
        scale = np.abs(y[7:n] - y[: n - 7]).mean()
        mine = []
        for start in range(n - 1, 59, H):
            stamps = pd.DataFrame({"unique_id": [name], "cutoff": [part["ds"].iloc[start]]})
            yhat = model.predict_at(df, stamps)[model.name].to_numpy()[: 59 - start]
            mine += np.abs(y[start + 1 : start + 1 + H] - yhat).tolist()
        assert len(mine) == 2 * H + 1
        errors.append(np.mean(mine) / scale)
    assert got == pytest.approx(-np.mean(errors), rel=1e-9)


def test_a_score_reads_future_inputs_from_the_frame():
    df = frame()[["unique_id", "ds", "y", "price"]]
    cut = df["ds"].max() - pd.Timedelta(days=H)
    model = narx(future_exog="price").fit(df[df["ds"] <= cut])
    good = model.score(df[df["ds"] > cut])
    wrong = df.assign(price=df["price"] + 5.0 * (df["ds"] > cut))
    assert model.score(wrong[wrong["ds"] > cut]) < good


def test_what_cannot_be_scored_is_named():
    df = make_frame((60, 50))
    model = narx().fit(head(df, 40))
    with pytest.raises(ArgumentError, match="no row after"):
        model.score(head(df, 40))
    with pytest.raises(ArgumentError, match="'s0': 5 rows are missing"):
        model.score(df[df["ds"] > 45])
    with pytest.raises(ArgumentTypeError, match="target is a column"):
        model.score(df, df["y"])
    level = df.assign(y=np.where(df["unique_id"] == "s0", 1.0, 2.0))
    with pytest.raises(ArgumentError, match="scale"):
        Baseline("naive", horizon=H).fit(head(level, 40)).score(level)


@pytest.mark.parametrize("align", ["series", "calendar"])
def test_folds_are_the_windows_of_a_backtest(align):
    df = make_frame((60, 50, 70), freq="D").sample(frac=1, random_state=1)
    split = ClosedLoopSplit(H, 3, align=align)
    result = backtest(Baseline("naive"), df, horizon=H, n_windows=3, align=align)
    folds = list(split.split(df))
    assert len(folds) == split.get_n_splits() == 3
    for (train, test), (_, fold) in zip(folds, result.frame.groupby("cutoff"), strict=True):
        seen, scored = df.iloc[train], df.iloc[test]
        assert not set(train) & set(test)
        key = ["unique_id", "ds"]
        assert sorted(map(tuple, scored[key].to_numpy())) == sorted(map(tuple, fold[key].to_numpy()))
        for name, part in scored.groupby("unique_id"):
            assert seen.loc[seen["unique_id"] == name, "ds"].max() == part["ds"].min() - pd.Timedelta(days=1)


def test_a_search_picks_what_backtests_best():
    df = make_frame((120, 120, 120))
    cv = ClosedLoopSplit(H, 3)
    search = GridSearchCV(narx(), {"lags": [1, 7, 14], "mode": ["open_loop"]}, cv=cv).fit(df)
    for lags, mean in zip((1, 7, 14), search.cv_results_["mean_test_score"], strict=True):
        by_hand = []
        for train, test in cv.split(df):
            by_hand.append(narx(lags=lags).fit(df.iloc[train]).score(df.iloc[test]))
        assert mean == pytest.approx(np.mean(by_hand), rel=1e-12)
    assert search.best_params_["lags"] != 1
    assert search.best_estimator_.predict().shape[0] == 3 * H


def test_ensembles_can_be_cross_validated():
    scores = cross_val_score(Ensemble([narx(), narx(lags=3)]), make_frame(), cv=ClosedLoopSplit(H, 2))
    assert (scores < 0).all()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"horizon": 0}, "horizon=0"), ({"n_windows": 0}, "n_windows=0"), ({"align": "end"}, "'series', 'calendar'")],
)
def test_bad_folds_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        list(ClosedLoopSplit(**{"horizon": H} | settings).split(make_frame()))


class Last(Forecaster):
    """A forecaster of the smallest kind: no rows kept, no scale."""

    def __init__(self, horizon):
        self.horizon = horizon

    def fit(self, df, y=None, *, mode=None):
        self.train_end_ = last_stamps(self.read(df))
        return self

    def predict(self, horizon=None, *, future_df=None, history=None):
        panel = self.read(history)
        last = panel.values[panel.indptr[1:] - 1]
        return self.write(panel, np.repeat(last, horizon, axis=1))


def test_a_forecaster_that_keeps_nothing_is_scored_from_the_frame():
    df = make_frame((60, 60))
    naive = Baseline("naive", horizon=H, season_length=1).fit(head(df, 50))
    assert Last(H).fit(head(df, 50)).score(df) == pytest.approx(naive.score(df), rel=1e-12)


@pytest.mark.parametrize("freq", ["D", "MS", "W-SUN"])
@pytest.mark.parametrize(("fitted", "scored"), [("ns", "s"), ("s", "ns"), ("us", "ms")])
def test_stamps_of_another_resolution_are_the_same_stamps(freq, fitted, scored):
    df = make_frame((60, 50), freq=freq)
    model = narx().fit(head(df, 40).assign(ds=lambda f: f["ds"].dt.as_unit(fitted)))
    plain = narx().fit(head(df, 40)).score(df)
    other = df.assign(ds=df["ds"].dt.as_unit(scored))
    assert model.score(other) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("freq", [None, "D"])
def test_a_rolling_training_window_keeps_the_last_rows_before_each_cutoff(freq):
    df = make_frame((40, 30), freq=freq)
    whole = list(ClosedLoopSplit(4, 3).split(df))
    for (train, test), (rolled, same_test) in zip(whole, ClosedLoopSplit(4, 3, train_size=12).split(df), strict=True):
        assert test.tolist() == same_test.tolist()
        last = df.iloc[train].groupby("unique_id").tail(12).index
        assert rolled.tolist() == sorted(last)
    with pytest.raises(ArgumentError, match="train_size=0"):
        next(ClosedLoopSplit(4, train_size=0).split(df))


@pytest.mark.parametrize("kind", [np.asarray, lambda a: pd.DataFrame(a, columns=["u"])])
def test_a_measured_record_is_cut_in_time_for_the_regressor(kind):
    u, y = sysid_record(300)
    inputs, model = kind(u[:, None]), NARXRegressor(2, 2, mode="open_loop")
    cv = ClosedLoopSplit(40, 3, step_size=30, train_size=120)
    folds = [(train[[0, -1]].tolist(), len(train), test[[0, -1]].tolist()) for train, test in cv.split(inputs, y)]
    assert folds == [([80, 199], 120, [200, 239]), ([110, 229], 120, [230, 269]), ([140, 259], 120, [260, 299])]
    search = GridSearchCV(model, {"output_lags": [1, 2]}, cv=cv, error_score="raise").fit(inputs, y)
    want = [
        model.fit(u[a : a + 120, None], y[a : a + 120]).score(u[b : b + 40, None], y[b : b + 40])
        for a, b in ((80, 200), (110, 230), (140, 260))
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][1], np.mean(want))
    assert search.best_params_ == {"output_lags": 2}
    several = np.repeat([0, 1], 150)
    with pytest.raises(ArgumentError, match=r"groups name 2 records.*LeaveOneGroupOut\(\)"):
        next(cv.split(inputs, y, several))
    with pytest.raises(
        ArgumentError, match="n_windows=9 with step_size=40 and horizon=40 take 361 rows, and the record"
    ):
        next(ClosedLoopSplit(40, 9).split(inputs, y))


def test_what_cannot_be_cut_is_named():
    with pytest.raises(ArgumentTypeError, match=r"ndarray without a y.*search.fit\(X, y\)"):
        next(ClosedLoopSplit(4).split(np.zeros((40, 1))))
    for freq in (None, "D"):
        with pytest.raises(ArgumentError, match=r"a fold has no window: n_windows=20.*no more than n_windows=9 fit"):
            next(ClosedLoopSplit(4, 20).split(make_frame((40,), freq=freq)))
