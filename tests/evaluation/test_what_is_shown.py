"""What a backtest shows a model: a rolling training window, and inputs as they were forecast at each cutoff."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import Baseline, Ensemble, Forecaster, NARXForecaster, backtest, compare, compare_modes, tune
from tsforce.errors import ArgumentError, FrameError, FutureExogError, SeriesTooShortError
from tsforce.forecasting.parts import end_fit

H = 4
N = 40
MODELS = {
    "local": NARXForecaster(H, 6, scope="local", season_length=7, mode="open_loop"),
    "global": NARXForecaster(H, 6, season_length=7, mode="open_loop"),
    "drift": Baseline("drift", horizon=H, season_length=7),
    "naive2": Baseline("naive2", horizon=H, season_length=7),
    "ensemble": Ensemble([NARXForecaster(H, 6, scope="local", mode="open_loop"), Baseline("drift", horizon=H)]),
}


@pytest.fixture
def df():
    return make_frame()


# ---- a rolling training window


@pytest.mark.parametrize("name", MODELS)
def test_each_forecast_is_that_of_a_fit_on_the_last_rows_before_its_cutoff(df, name):
    model = MODELS[name]
    bt = backtest(model, df, n_windows=3, step_size=3, train_size=N)
    last = df.groupby("unique_id")["ds"].transform("max")
    for k in range(3):
        cutoff = last - H - 3 * (2 - k)
        learnt = df[(df["ds"] <= cutoff) & (df["ds"] > cutoff - N)]
        want = model.clone_unfitted().fit(learnt).predict().iloc[:, -1]
        assert learnt.groupby("unique_id").size().tolist() == [N] * 3
        rank = bt.frame.groupby("unique_id")["cutoff"].rank("dense")
        np.testing.assert_allclose(bt.frame.loc[rank == k + 1, model.name], want, rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_rows_before_the_training_window_change_no_bit(df, name):
    last = df.groupby("unique_id")["ds"].transform("max")
    begins = last - H - 6 - N + 1
    moved = df.assign(y=df["y"] + np.where(df["ds"] < begins, 500.0, 0.0))
    settings = {"n_windows": 3, "step_size": 3, "train_size": N}
    want, got = (backtest(MODELS[name], given, **settings) for given in (df, moved))
    pd.testing.assert_frame_equal(got.frame, want.frame, check_exact=True)
    one, other = (bt.exposure(baselines=True) for bt in (want, got))
    # Both errors of one ratio see the same rows; their unit, the in-sample scale, is of all.
    np.testing.assert_array_equal(one["gap"][:1], other["gap"][:1])
    assert one["gap"][0] == 1.0


class Recorder(Forecaster):
    """Repeats the mean of what it is shown; records how many rows that were."""

    fits: list = []  # noqa: RUF012

    def __init__(self, horizon=H):
        self.horizon = horizon

    def fit(self, df, y=None, *, mode=None):
        panel = self.read(df)
        Recorder.fits.append(panel.lengths.tolist())
        self.panel_ = panel
        end_fit(self, panel, 1)
        return self

    def predict(self, horizon=None, *, future_df=None, history=None):
        panel = self.panel_ if history is None else self.read(history)
        means = np.array([part.mean() for part in np.split(panel.values[:, 0], panel.indptr[1:-1])])
        yhat = np.repeat(means[:, None], horizon or self.horizon, axis=1)
        return self.write(panel, yhat)


def test_a_training_window_means_refits_unless_others_are_asked_for(df):
    for refit, want in ((None, [[N] * 3] * 4), (True, [[N] * 3] * 4), (2, [[N] * 3] * 2), (False, [[N] * 3])):
        Recorder.fits = []
        bt = backtest(Recorder(), df, n_windows=4, step_size=2, refit=refit, train_size=N)
        assert Recorder.fits == want
        # What it reads begins where the window of its fit does.
        part = bt.frame[bt.frame["unique_id"] == "s1"].groupby("cutoff")["Recorder"].first()
        y = df.loc[df["unique_id"] == "s1", "y"].to_numpy()
        served = {None: 1, True: 1, 2: 2, False: 4}[refit]
        for k, (cutoff, value) in enumerate(part.items()):
            begin = part.index[k - k % served] - N
            assert value == pytest.approx(y[begin:cutoff].mean(), rel=1e-12)


def test_a_window_longer_than_a_series_shows_all_of_it(df):
    Recorder.fits = []
    backtest(Recorder(), df, train_size=80)
    assert Recorder.fits == [[80, 66, 80]]


def test_modes_and_candidates_are_judged_on_a_rolling_window_too(df):
    modes = compare_modes(MODELS["local"], df, ["open_loop"], train_size=N)
    want = backtest(MODELS["local"], df, train_size=N).scores()["mase"].item()
    assert modes.runs["mase"].item() == want
    found = tune(MODELS["local"], df, {"lags": [6]}, n_windows=1, train_size=N)
    assert found.best_score_ == want


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"train_size": 0}, ArgumentError, "train_size=0"),
        ({"train_size": 2.5}, ArgumentError, "train_size=2.5"),
        ({"train_size": 30, "refit": "never"}, ArgumentError, "refit='never' makes none"),
        ({"train_size": 5}, SeriesTooShortError, "a longer window than train_size=5 would leave more"),
    ],
)
def test_bad_training_windows_are_named(df, settings, error, message):
    with pytest.raises(error, match=message):
        backtest(MODELS["local"].clone_unfitted().fit(df), df, **settings)


# ---- inputs as they were forecast


def with_inputs(rows=60, freq="D", names=("a", "b")):
    """Two series driven by an input, and archived forecasts of it: issued every other day, worse the later the day."""
    rng = np.random.default_rng(3)
    stamps = pd.date_range("2024-01-01", periods=rows, freq=freq)
    truth, archive = [], []
    for name in names:
        x = rng.normal(size=rows)
        y = np.zeros(rows)
        for t in range(1, rows):
            y[t] = 0.5 * y[t - 1] + 2.0 * x[t] + 0.1 * rng.normal()
        truth.append(pd.DataFrame({"unique_id": name, "ds": stamps, "y": y, "x": x}))
        for issue in range(0, rows, 2):
            ahead = np.arange(issue + 1, min(issue + 2 + H, rows))
            guess = x[ahead] + 0.3 * (ahead - issue) * rng.normal(size=len(ahead))
            archive.append(pd.DataFrame({"unique_id": name, "ds": stamps[ahead], "vintage": stamps[issue], "x": guess}))
    return pd.concat(truth, ignore_index=True), pd.concat(archive, ignore_index=True)


EXOG = {
    "local": NARXForecaster(H, 3, scope="local", mode="open_loop", future_exog=["x"]),
    "lagged": NARXForecaster(H, 3, mode="open_loop", future_exog=["x"], exog_lags=2),
    "ensemble": Ensemble(
        [NARXForecaster(H, 3, mode="open_loop", future_exog=["x"]), NARXForecaster(H, 2, mode="open_loop", alias="b")]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("name", EXOG)
def test_inputs_after_each_cutoff_are_those_of_the_latest_vintage_up_to_it(name, refit):
    df, archive = with_inputs()
    model = EXOG[name]
    shuffled = archive.sample(frac=1, random_state=0)
    bt = backtest(model, df, n_windows=5, step_size=3, refit=refit, future_vintages=shuffled)
    cutoffs = sorted(bt.frame["cutoff"].unique())
    assert len(cutoffs) == 5
    fitted = model.clone_unfitted().fit(df[df["ds"] <= cutoffs[0]])
    for cutoff in cutoffs:
        known = archive[archive["vintage"] <= cutoff]
        latest = known[known["vintage"] == known["vintage"].max()].drop(columns="vintage")
        history = df[df["ds"] <= cutoff]
        maker = model.clone_unfitted().fit(history) if refit else fitted
        want = maker.predict(H, history=history, future_df=latest[latest["ds"] > cutoff])
        got = bt.frame[bt.frame["cutoff"] == cutoff]
        np.testing.assert_allclose(got[model.name], want[model.name], rtol=1e-9)
    assert (backtest(model, df, n_windows=5, step_size=3).frame[model.name] != bt.frame[model.name]).any()


@pytest.mark.parametrize("name", EXOG)
def test_nothing_that_was_issued_or_measured_after_a_cutoff_changes_a_bit(name):
    df, archive = with_inputs()
    settings = {"n_windows": 3, "step_size": 4, "refit": True}
    want = backtest(EXOG[name], df, future_vintages=archive, **settings)
    column = EXOG[name].name
    for cutoff in sorted(want.frame["cutoff"].unique()):
        wrecked = archive.assign(x=archive["x"].where(archive["vintage"] <= cutoff, np.nan))
        # One issued an hour after the cutoff too.
        late = archive.assign(vintage=cutoff + pd.Timedelta(hours=1), x=1e6).drop_duplicates(["unique_id", "ds"])
        later = df["ds"] > cutoff
        moved = df.assign(x=df["x"].where(~later, 1e6), y=df["y"].where(~later, -1e6))
        one = {"cutoffs": [cutoff], "refit": True}
        for given in (wrecked, pd.concat([archive[archive["vintage"] <= cutoff], late])):
            got = backtest(EXOG[name], moved, future_vintages=given, **one).frame[column]
            np.testing.assert_array_equal(got, want.frame.loc[want.frame["cutoff"] == cutoff, column])


def test_an_archive_of_the_truth_changes_nothing():
    df, archive = with_inputs()
    perfect = archive.drop(columns="x").merge(df[["unique_id", "ds", "x"]], on=["unique_id", "ds"])
    models = {**EXOG, "naive": Baseline("naive")}
    settings = {"n_windows": 3, "step_size": 4}
    plain, same = compare(models, df, **settings), compare(models, df, future_vintages=perfect, **settings)
    pd.testing.assert_frame_equal(same.frame, plain.frame, rtol=1e-9)
    pd.testing.assert_frame_equal(same.exposure(), plain.exposure(), rtol=1e-7)
    pd.testing.assert_frame_equal(same.forcing_response(), plain.forcing_response(), rtol=1e-7)
    pd.testing.assert_frame_equal(same.exposure_summary(), plain.exposure_summary(), rtol=1e-6)


def test_both_errors_of_exposure_read_the_inputs_that_were_known_at_the_cutoff():
    df, archive = with_inputs()
    bt = backtest(EXOG["local"], df, n_windows=5, step_size=3, future_vintages=archive)
    exposure, response = bt.exposure(), bt.forcing_response((1, 0))
    assert exposure["gap"][0] == 1.0
    closed = np.sqrt((exposure["rmse_closed"] ** 2).mean())
    assert response["rmse"].tolist()[1] == pytest.approx(closed)
    # An input that was forecast badly costs a model that is fed observed targets as well.
    plain = backtest(EXOG["local"], df, n_windows=5, step_size=3).exposure()
    assert (exposure["rmse_one_step"] > 1.5 * plain["rmse_one_step"]).all()


def test_whole_number_stamps_and_one_series_without_an_id_have_vintages_too():
    df, archive = with_inputs(names=("a",))
    day = pd.Timestamp("2024-01-01")
    as_numbers = [
        part.assign(**{c: (part[c] - day).dt.days for c in ("ds", "vintage") if c in part}).drop(columns="unique_id")
        for part in (df, archive)
    ]
    want = backtest(EXOG["local"], df, n_windows=3, future_vintages=archive).frame["NARXForecaster"]
    got = backtest(EXOG["local"], as_numbers[0], n_windows=3, future_vintages=as_numbers[1]).frame["NARXForecaster"]
    np.testing.assert_array_equal(got, want)


BAD = {
    "no input": (lambda a: a, {"future_exog": ()}, ArgumentError, "no model has future_exog"),
    "no frame": (lambda a: 3, {}, TypeError, "future_vintages is a builtins.int"),
    "no vintage": (lambda a: a.drop(columns="vintage"), {}, FutureExogError, "lacks column 'vintage'"),
    "no id": (lambda a: a.drop(columns="unique_id"), {}, FutureExogError, "lacks column 'unique_id'"),
    "none before": (
        lambda a: a[a["vintage"] > "2024-02-20"], {}, FutureExogError,
        "no vintage at or before the cutoff 2024-02-1.*series 'a'; give earlier ones, or look at fewer windows",
    ),
    "too short": (
        lambda a: a[a["ds"] - a["vintage"] <= pd.Timedelta(days=2)], {}, FutureExogError,
        "series 'a' has no finite number of 'x' at 2024-02.*each must hold the 4 steps",
    ),
    "not finite": (lambda a: a.assign(x=np.inf), {}, FutureExogError, "no finite number of 'x'"),
    "text": (lambda a: a.assign(x="1"), {}, FrameError, r"future_vintages\['x'\] holds"),
    "twice": (lambda a: pd.concat([a, a]), {}, FrameError, "more than one row.*drop_duplicates"),
    "stamps": (lambda a: a.assign(vintage=3), {}, ArgumentError, r"future_vintages\['vintage'\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_vintages_are_named(case):
    change, settings, error, message = BAD[case]
    df, archive = with_inputs()
    model = EXOG["local"].clone_unfitted().set_params(**settings)
    given = df if not settings else df.drop(columns="x")
    with pytest.raises(error, match=message):
        backtest(model, given, n_windows=3, future_vintages=change(archive))
