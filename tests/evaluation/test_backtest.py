"""backtest: what a model may know, which windows are looked at, and the scores, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from tests.makers import make_frame, wreck_after
from tsforce import Baseline, Difference, Ensemble, Forecaster, Log, NARXForecaster, backtest, compare
from tsforce.data.frame import last_stamps
from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    DivergenceWarning,
    FrameError,
    HorizonWarning,
    SeriesTooShortError,
)
from tsforce.forecasting.parts import horizon_of

H = 5
MODELS = {
    "local": NARXForecaster(
        H, 6, scope="local", target_transforms=[Log(), Difference(7)], season_length=7, mode="open_loop"
    ),
    "global": NARXForecaster(H, 6, scope="global", season_length=7, mode="open_loop"),
    "naive2": Baseline("naive2", horizon=H, season_length=7),
    "ensemble": Ensemble([NARXForecaster(H, 6, scope="local", mode="open_loop"), Baseline("drift", horizon=H)]),
}


@pytest.fixture
def df():
    return make_frame()


class Spy(Forecaster):
    """A third-party forecaster: fit and predict only; records what it is shown. Repeats the mean of what it learnt."""

    fits: list = []  # noqa: RUF012

    def __init__(self, horizon=H):
        self.horizon = horizon

    def fit(self, df, y=None, *, mode=None):
        panel = self.read(df)
        Spy.fits.append((mode, dict(zip(panel.id_list, panel.lengths.tolist(), strict=True))))
        self.mean_ = panel.values.mean()
        self.panel_ = panel
        self.mode_ = mode or "spied"
        self.train_end_ = last_stamps(panel)
        return self

    def predict(self, horizon=None, *, history=None):
        panel = self.panel_ if history is None else self.read(history)
        yhat = np.full((panel.n_series, horizon_of(self, horizon)), self.mean_)
        return self.write(panel, yhat)


@pytest.fixture(autouse=True)
def no_fits():
    Spy.fits = []


# ---- the frame


@pytest.mark.parametrize("name", MODELS)
def test_the_frame_holds_forecasts_made_at_each_cutoff_beside_the_truth(df, name):
    model = MODELS[name]
    bt = backtest(model, df, n_windows=3, step_size=4)
    frame = bt.frame
    assert frame.columns.tolist() == ["unique_id", "ds", "cutoff", "horizon", "y", model.name]
    assert len(frame) == 3 * 3 * H
    assert (frame["ds"] == frame["cutoff"] + frame["horizon"]).all()
    merged = frame.merge(df, on=["unique_id", "ds"], suffixes=("", "_true"))
    assert (merged["y"] == merged["y_true"]).all()
    assert not model.is_fitted
    first = frame.groupby("unique_id")["cutoff"].min()
    learnt = df[df["ds"] <= df["unique_id"].map(first)]
    fitted = model.clone_unfitted().fit(learnt)
    for cutoff, part in frame.groupby(["unique_id", "cutoff"]):
        history = df[(df["unique_id"] == cutoff[0]) & (df["ds"] <= cutoff[1])]
        want = fitted.predict(history=history).iloc[:, -1]
        np.testing.assert_allclose(part[model.name], want, rtol=1e-9)


# What is wrecked is what a later window learns from, and says so.
@pytest.mark.filterwarnings("ignore::tsforce.errors.DivergenceWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("refit", [False, True, 2])
# Of the later windows, whose contexts hold the wrecked rows.
@pytest.mark.filterwarnings("ignore::tsforce.errors.ContextWarning")
@pytest.mark.filterwarnings("ignore::tsforce.errors.OffsetWarning")
def test_rows_after_the_cutoffs_change_no_bit_of_forecasts_or_choices(df, name, refit):
    want = backtest(MODELS[name], df, n_windows=3, step_size=4, refit=refit).frame
    for k, cutoff in enumerate(sorted({-13, -9, -5})):
        ends = {n: part["ds"].max() + cutoff for n, part in df.groupby("unique_id")}
        got = backtest(MODELS[name], wreck_after(df, ends), n_windows=3, step_size=4, refit=refit).frame
        keep = want.groupby("unique_id")["cutoff"].rank("dense") <= k + 1
        pd.testing.assert_series_equal(got[MODELS[name].name][keep], want[MODELS[name].name][keep], check_exact=True)


def test_the_last_window_of_a_backtest_equals_predict_on_the_rows_before_it(df):
    model = MODELS["local"]
    bt = backtest(model, df, refit=True)
    ends = {n: part["ds"].max() - H for n, part in df.groupby("unique_id")}
    fc = model.clone_unfitted().fit(df[df["ds"] <= df["unique_id"].map(ends)]).predict()
    np.testing.assert_array_equal(bt.frame["NARXForecaster"], fc["NARXForecaster"])


# ---- what a model may know


def test_refit_false_learns_once_at_each_series_first_cutoff(df):
    backtest(Spy(), df, n_windows=4, step_size=3)
    assert Spy.fits == [(None, {"s0": 76, "s1": 56, "s2": 106})]


def test_refit_true_learns_at_every_cutoff_and_k_at_every_kth(df):
    backtest(Spy(), df, n_windows=4, step_size=3, refit=True)
    assert [f[1]["s0"] for f in Spy.fits] == [76, 79, 82, 85]
    Spy.fits = []
    backtest(Spy(), df, n_windows=5, step_size=3, refit=2)
    assert [f[1]["s0"] for f in Spy.fits] == [73, 79, 85]


def test_a_fitted_model_that_has_seen_no_later_row_is_used_as_it_is(df):
    early = df[df["ds"] <= df["unique_id"].map({"s0": 76, "s1": 50, "s2": 106})]
    model = Spy().fit(early)
    Spy.fits = []
    backtest(model, df, n_windows=4, step_size=3)
    assert Spy.fits == []


def test_a_fitted_model_that_has_seen_one_later_row_is_fitted_anew_in_its_own_mode(df):
    late = df[df["ds"] <= df["unique_id"].map({"s0": 76, "s1": 57, "s2": 106})]
    model = Spy().fit(late, mode="curriculum")
    Spy.fits = []
    backtest(model, df, n_windows=4, step_size=3)
    assert Spy.fits == [("curriculum", {"s0": 76, "s1": 56, "s2": 106})]
    assert model.mean_ == pytest.approx(late["y"].mean())


def test_refit_never_marks_what_is_in_sample(df):
    seen = {"s0": 83, "s1": 70, "s2": 90}
    model = NARXForecaster(H, 6, mode="open_loop").fit(df[df["ds"] <= df["unique_id"].map(seen)])
    bt = backtest(model, df, n_windows=2, step_size=4, refit="never")
    want = bt.frame["ds"] <= bt.frame["unique_id"].map(seen)
    assert (bt.frame["in_sample"] == want).all()
    assert bt.scores()["in_sample"].item() is True
    assert "in sample" in repr(bt)
    clean = backtest(model, df, n_windows=2, step_size=4)
    assert "in_sample" not in clean.frame
    assert "in_sample" not in clean.scores()


def test_refit_never_needs_a_fitted_model(df):
    with pytest.raises(NotFittedError):
        backtest(Spy(), df, refit="never")


# ---- windows


def test_integer_stamps_align_by_series_and_time_stamps_by_calendar():
    ints = make_frame((60, 40))
    assert backtest(Baseline("naive"), ints, horizon=3).align == "series"
    stamps = make_frame((60, 40), freq="D")
    assert backtest(Baseline("naive"), stamps, horizon=3).align == "calendar"


def test_calendar_cutoffs_are_one_set_and_a_series_is_scored_where_it_has_truth():
    df = make_frame((60, 40), freq="D")
    df = df[~((df["unique_id"] == "s1") & (df["ds"] > "2024-06-24"))]
    bt = backtest(Baseline("naive"), df, horizon=4, n_windows=3, step_size=4, align="calendar")
    cut = bt.frame.groupby("unique_id")["cutoff"].unique()
    assert [str(c.date()) for c in cut["s0"]] == ["2024-06-18", "2024-06-22", "2024-06-26"]
    assert [str(c.date()) for c in cut["s1"]] == ["2024-06-18", "2024-06-22"]
    assert (bt.frame.groupby(["unique_id", "cutoff"]).size() == [4, 4, 4, 4, 2]).all()
    assert bt.frame["y"].notna().all()
    by = backtest(Baseline("naive"), df, horizon=4, n_windows=3, step_size=4, align="series")
    assert len(by.frame) == 24
    assert any("ragged ends" in note for note in by.notes)


def test_explicit_cutoffs_win(df):
    bt = backtest(Baseline("naive"), df, horizon=3, n_windows=9, cutoffs=[30, 40])
    assert bt.align == "cutoffs"
    assert sorted(set(bt.frame["cutoff"])) == [30, 40]
    own = pd.DataFrame({"unique_id": ["s2", "s0"], "cutoff": [100, 20]})
    bt = backtest(Baseline("naive"), df, horizon=3, cutoffs=own)
    assert bt.frame[["unique_id", "cutoff"]].drop_duplicates().to_numpy().tolist() == [["s0", 20], ["s2", 100]]
    assert bt.left_out == ["s1"]


def test_a_series_without_a_window_is_left_out_and_listed():
    df = make_frame((60, 5))
    bt = backtest(Baseline("naive"), df, horizon=5)
    assert bt.left_out == ["s1"]
    assert set(bt.frame["unique_id"]) == {"s0"}
    assert "'s1'" in repr(bt)


def test_a_series_that_a_model_drops_is_left_out_and_listed():
    df = make_frame((60, 14))
    model = NARXForecaster(5, 12, scope="local", short_series="drop", mode="open_loop")
    bt = backtest(model, df)
    assert set(bt.frame["unique_id"]) == {"s0"}
    assert bt.left_out == ["s1"]
    with pytest.raises(SeriesTooShortError):
        backtest(model.set_params(short_series="raise"), df)


@pytest.mark.parametrize("freq", [None, "D"])
@pytest.mark.parametrize("step", [None, 2])
def test_fewer_windows_than_asked_for_are_noted_with_how_many_fit(freq, step):
    df = make_frame((60,), freq=freq)
    bt = backtest(Baseline("naive"), df, horizon=3, n_windows=40, step_size=step)
    # Cutoffs from the first row on, the last window ending at the last row: rows 0 .. 56.
    most = {None: 56 // 3 + 1, 2: 56 // 2 + 1}[step]
    assert bt.frame["cutoff"].nunique() == most
    note = bt.notes[0]
    assert f"n_windows=40 with step_size={step or 3} and horizon=3 take {(step or 3) * 39 + 4} rows" in note
    assert f"there are 60: no more than n_windows={most} fit, or step_size=1." in note
    assert note in " ".join(repr(bt).split())
    fitting = (
        compare([Baseline("naive")], df, horizon=3, n_windows=most, step_size=step),
        backtest(Baseline("naive"), df, horizon=3, n_windows=40, step_size=1),
    )
    assert not any("n_windows" in note for result in fitting for note in result.notes)


def test_series_with_fewer_windows_than_others_are_noted():
    df = make_frame((60, 12), freq="D")
    for align in ("series", "calendar"):
        bt = backtest(Baseline("naive"), df, horizon=3, n_windows=5, align=align)
        assert bt.scores(by="unique_id")["n_windows"].tolist() == [5, 3]
        assert any("fewer windows than n_windows=5, down to 3, in 1 of 2 series" in note for note in bt.notes)
    bt = backtest(Baseline("naive"), df, horizon=3, cutoffs=["2024-06-20", "2024-06-30"])
    assert any("2 cutoffs of last rows are left out" in note for note in bt.notes)


@pytest.mark.parametrize("refit", [False, True])
def test_where_windows_leave_too_few_rows_to_learn_from_they_are_named_as_the_way_out(refit):
    df = make_frame((60,))
    model = NARXForecaster(3, 14, mode="open_loop")
    with pytest.raises(SeriesTooShortError, match="Lower the largest lag") as caught:
        backtest(model, df, n_windows=16, refit=refit)
    assert "up to the first cutoff, 12 of 60" in str(caught.value)
    assert "fewer windows than n_windows=16 or a step_size below 3 would leave more" in str(caught.value)
    with pytest.raises(SeriesTooShortError, match="later cutoffs would leave more"):
        compare([model], df, cutoffs=[10, 50], refit=refit)
    with pytest.raises(SeriesTooShortError, match="a horizon below 50 would leave more"):
        backtest(NARXForecaster(50, 14, mode="open_loop"), df)


BAD = [
    ({"n_windows": 0}, ArgumentError, "n_windows=0"),
    ({"step_size": 0}, ArgumentError, "step_size=0"),
    ({"horizon": 0}, ArgumentError, "horizon=0"),
    ({"align": "calender"}, ArgumentError, "Did you mean 'calendar'"),
    ({"refit": "always"}, ArgumentError, "'never'"),
    ({"refit": -1}, ArgumentError, "refit=-1"),
    ({"refit": 0}, ArgumentError, "refit=0"),
    ({"horizon": 200}, ArgumentError, "no window fits"),
    ({"cutoffs": [90000]}, ArgumentError, "cutoffs"),
    ({"cutoffs": [120]}, ArgumentError, "no window fits"),
    ({"season_length": 0}, ArgumentError, "season_length=0"),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD)
def test_bad_arguments_are_named(df, settings, error, message):
    with pytest.raises(error, match=message):
        backtest(Baseline("naive"), df, **{"horizon": 3, **settings})


def test_something_that_is_no_forecaster_is_refused(df):
    with pytest.raises(ArgumentTypeError, match="expected a Forecaster"):
        backtest("naive", df)


def test_a_model_named_like_a_column_is_refused(df):
    with pytest.raises(ArgumentError, match="alias="):
        backtest(Baseline("naive", alias="cutoff"), df, horizon=3)


# ---- scores


def test_scores_equal_a_plain_loop(df):
    bt = backtest(MODELS["global"], df, n_windows=3, step_size=4)
    frame, name = bt.frame, "NARXForecaster"
    rows = []
    for unique_id, part in frame.groupby("unique_id"):
        y, f = part["y"].to_numpy(), part[name].to_numpy()
        past = df.loc[(df["unique_id"] == unique_id) & (df["ds"] <= part["cutoff"].min()), "y"].to_numpy()
        scale = np.mean([abs(past[t] - past[t - 7]) for t in range(7, len(past))])
        mae = np.mean(np.abs(y - f))
        smape = np.mean(200 * np.abs(y - f) / (np.abs(y) + np.abs(f)))
        rows.append((unique_id, smape, mae / scale, mae, np.sqrt(np.mean((y - f) ** 2))))
    table = pd.DataFrame(rows, columns=["unique_id", "smape", "mase", "mae", "rmse"])
    got = bt.scores(by="unique_id")
    pd.testing.assert_frame_equal(got[table.columns], table)
    total = bt.scores().iloc[0]
    for metric in ("smape", "mase", "mae", "rmse"):
        assert total[metric] == pytest.approx(table[metric].mean())
    assert total[["n_series", "n_windows", "season_length", "n_left_out"]].tolist() == [3, 9, 7, 0]


def test_scores_by_cutoff_and_by_horizon_pool_the_same_errors(df):
    bt = backtest(MODELS["global"], df, n_windows=3, step_size=4)
    error = (bt.frame["y"] - bt.frame["NARXForecaster"]).abs()
    by_cutoff = bt.scores(by="cutoff")
    np.testing.assert_allclose(by_cutoff["mae"], error.groupby(bt.frame["cutoff"]).mean())
    by_horizon = bt.by_horizon()
    np.testing.assert_allclose(by_horizon["mae"], error.groupby(bt.frame["horizon"]).mean())
    np.testing.assert_allclose(by_horizon["rmse"] ** 2, (error**2).groupby(bt.frame["horizon"]).mean())
    assert by_horizon["n_windows"].tolist() == [9] * H


class GivesUp(Spy):
    """Forecasts two steps, and says nothing of the others."""

    def predict(self, horizon=None, *, history=None):
        panel = self.panel_ if history is None else self.read(history)
        yhat = np.full((panel.n_series, horizon_of(self, horizon)), self.mean_)
        yhat[:, 2:] = np.nan
        return self.write(panel, yhat)


def test_a_model_that_is_missing_at_some_steps_has_no_score(df):
    """What gives up where it is hard is not the best."""
    said = compare({"whole": Spy(), "gives_up": GivesUp()}, df, n_windows=2)
    scores = said.scores().set_index("model")[["smape", "mase", "mae", "rmse"]]
    assert scores.loc["gives_up"].isna().all()
    assert scores.loc["whole"].notna().all()
    steps = said.by_horizon().set_index(["model", "horizon"])["mae"]
    assert steps["gives_up"].isna().tolist() == [False, False, True, True, True]
    np.testing.assert_array_equal(steps["gives_up"][:2], steps["whole"][:2])


def test_a_series_without_a_scale_is_left_out_of_mase_and_counted(df):
    flat = df.assign(y=np.where((df["unique_id"] == "s1") & (df["ds"] <= 60), 4.0, df["y"]))
    bt = backtest(Baseline("naive", season_length=7), flat, horizon=3)
    whole = backtest(Baseline("naive", season_length=7), flat[flat["unique_id"] != "s1"], horizon=3)
    total = bt.scores().iloc[0]
    assert total["n_left_out"] == 0 or total["n_left_out"] == 1
    flat2 = df.assign(y=np.where((df["unique_id"] == "s1") & (df["ds"] <= 67), 4.0, df["y"]))
    bt = backtest(Baseline("naive", season_length=7), flat2, horizon=3)
    total = bt.scores().iloc[0]
    assert total["n_left_out"] == 1
    assert total["n_series"] == 3
    assert total["mase"] == pytest.approx(whole.scores()["mase"].item())
    assert np.isnan(bt.scores(by="unique_id")["mase"].iloc[1])
    assert bt.by_horizon()["mase"].notna().all()
    assert bt.exposure(baselines=True)["n_left_out"].tolist() == [1, 1, 1]


def test_the_scale_of_mase_is_the_same_whatever_lags_a_model_reads(df):
    short, long = (NARXForecaster(H, lags, mode="open_loop") for lags in (1, 24))
    bt = compare({"short": short, "long": long, "naive": Baseline("naive")}, df, n_windows=2, season_length=7)
    scores = bt.scores(by="unique_id")
    scale = (scores["mae"] / scores["mase"]).to_numpy().reshape(3, -1)
    first = bt.frame.groupby("unique_id")["cutoff"].min()
    y = [df.loc[(df["unique_id"] == name) & (df["ds"] <= last), "y"].to_numpy() for name, last in first.items()]
    np.testing.assert_allclose(scale, [[np.abs(one[7:] - one[:-7]).mean() for one in y]] * 3)


def test_a_series_shorter_than_a_season_is_measured_by_changes_from_row_to_row():
    df = make_frame((45, 120), freq="D")
    bt = backtest(Baseline("naive"), df, horizon=3, n_windows=2, season_length=52)
    errors = (bt.frame["y"] - bt.frame["naive"]).abs().groupby(bt.frame["unique_id"]).mean()
    y = {name: part["y"].to_numpy()[:-6] for name, part in df.groupby("unique_id")}
    scales = [np.abs(np.diff(y["s0"])).mean(), np.abs(y["s1"][52:] - y["s1"][:-52]).mean()]
    np.testing.assert_allclose(bt.scores(by="unique_id")["mase"], errors / scales)
    assert bt.scores()["n_left_out"].item() == 0
    assert bt.exposure(baselines=True)["n_windows"].tolist() == [4, 4, 4]
    (note,) = bt.notes
    assert "scale of 1 series: no more than season_length=52 rows" in note


def test_a_search_that_has_a_scale_compares_and_scores_are_of_it():
    # 45 weeks: no season of 52 fits.
    rng = np.random.default_rng(0)
    weeks = pd.date_range("2024-01-07", periods=45, freq="W")
    df = pd.concat(
        [
            pd.DataFrame({"unique_id": f"s{k}", "ds": weeks, "y": 100 + np.arange(45) + 5 * rng.normal(size=45)})
            for k in range(12)
        ]
    )
    model = NARXForecaster(6, 6, max_steps=2).fit(df.groupby("unique_id").head(39))
    assert not any("nothing was compared" in note for note in model.history_.notes)
    assert 0 < -model.score(df) < 10


def test_nothing_is_said_of_steps_that_no_window_measured():
    flat = make_frame((40,)).assign(y=4.0)
    bt = backtest(Baseline("naive"), flat, horizon=3)
    summary = bt.exposure_summary(baselines=True).iloc[0]
    assert (summary["drift_horizon"], summary["naive_horizon"]) == ("not measured", "not measured")
    assert bt.exposure_report(baselines=True) == "naive: no window has a scale to measure errors by."
    # The only window reaches 2 rows beyond the last.
    df = make_frame((60,), freq="D")
    bt = backtest(Baseline("seasonal_naive", season_length=7), df, horizon=5, cutoffs=[df["ds"].iloc[-4]])
    assert bt.exposure(baselines=True)["n_windows"].tolist() == [1, 1, 1, 0, 0]
    assert bt.exposure_summary(baselines=True)["drift_horizon"].item() == "> 3"


def test_by_takes_only_known_names(df):
    with pytest.raises(ArgumentError, match="'unique_id', 'cutoff'"):
        backtest(Baseline("naive"), df, horizon=3).scores(by="series")


# ---- exposure


def test_exposure_equals_a_plain_loop(df):
    model = NARXForecaster(H, 6, scope="local", season_length=7, ridge=1.0, mode="open_loop")
    bt = backtest(model, df, n_windows=3, step_size=4)
    first = bt.frame.groupby("unique_id")["cutoff"].min()
    fitted = model.clone_unfitted().fit(df[df["ds"] <= df["unique_id"].map(first)])
    errors = {"closed": [], "one": [], "naive": []}
    for (unique_id, cutoff), part in bt.frame.groupby(["unique_id", "cutoff"]):
        series = df[df["unique_id"] == unique_id]
        past = series.loc[series["ds"] <= first[unique_id], "y"].to_numpy()
        scale = np.mean(np.abs(past[7:] - past[:-7]))
        one = [
            fitted.predict(1, history=series[series["ds"] < target])["NARXForecaster"].item() for target in part["ds"]
        ]
        last = series.loc[series["ds"] == cutoff, "y"].item()
        y = part["y"].to_numpy()
        errors["closed"].append((y - part["NARXForecaster"].to_numpy()) / scale)
        errors["one"].append((y - np.array(one)) / scale)
        errors["naive"].append((y - last) / scale)
    rms = {k: np.sqrt(np.mean(np.square(v), axis=0)) for k, v in errors.items()}
    got = bt.exposure()
    np.testing.assert_allclose(got["rmse_closed"], rms["closed"], rtol=1e-8)
    np.testing.assert_allclose(got["rmse_one_step"], rms["one"], rtol=1e-8)
    np.testing.assert_allclose(got["rmse_naive"], rms["naive"], rtol=1e-8)
    np.testing.assert_allclose(got["gap"], rms["closed"] / rms["one"], rtol=1e-8)
    assert got["gap"].iloc[0] == 1.0
    assert got["n_windows"].tolist() == [9] * H


def test_exposure_uses_the_clone_that_made_each_window(df):
    bt = backtest(Spy(), df, n_windows=2, step_size=5, refit=True)
    frame = bt.exposure()
    # a forecaster that ignores its history errs the same from any step
    np.testing.assert_allclose(frame["gap"], 1.0)


def test_the_gap_is_one_up_to_the_smallest_lag_or_difference(df):
    model = NARXForecaster(H, [3, 4], scope="local", ridge=1.0, target_transforms=[Difference(7)], mode="open_loop")
    gap = backtest(model, df, n_windows=3).exposure()["gap"].to_numpy()
    np.testing.assert_allclose(gap[:3], 1.0, rtol=1e-9)
    assert abs(gap[3] - 1) > 1e-6


def test_drift_and_naive_horizons_are_first_steps_or_beyond(df):
    bt = backtest(NARXForecaster(H, 6, scope="local", ridge=1.0, mode="open_loop"), df, n_windows=3)
    e = bt.exposure()
    summary = bt.exposure_summary().iloc[0]
    worse = np.flatnonzero(e["rmse_closed"] > 2 * e["rmse_one_step"])
    assert summary["drift_horizon"] == (worse[0] + 1 if len(worse) else f"> {H}")
    lost = np.flatnonzero(e["rmse_closed"] >= e["rmse_naive"])
    assert summary["naive_horizon"] == (lost[0] + 1 if len(lost) else f"> {H}")
    assert summary["diverged_share"] == 0


def test_diverged_windows_are_counted():
    df = pd.DataFrame({"unique_id": "s", "ds": range(60), "y": 1.3 ** np.minimum(np.arange(60), 40)})
    model = NARXForecaster(20, 1, scope="local", ridge=0.0, mode="open_loop")
    with pytest.warns(DivergenceWarning, match="held there"):
        bt = backtest(model, df, cutoffs=[20, 30])
    with pytest.warns(DivergenceWarning, match="left as they are"):
        assert bt.exposure_summary()["diverged_share"].item() > 0


def test_baselines_are_left_out_of_exposure_unless_asked_for(df):
    bt = backtest(Baseline("naive"), df, horizon=3)
    assert bt.exposure().empty
    assert bt.exposure(baselines=True)["model"].unique().tolist() == ["naive"]
    assert bt.exposure_summary().empty


# ---- compare


def test_compare_equals_backtests_one_by_one(df):
    both = compare(MODELS, df, n_windows=3, step_size=4, season_length=7)
    for name, model in MODELS.items():
        alone = backtest(model, df, n_windows=3, step_size=4, season_length=7)
        np.testing.assert_array_equal(both.frame[name], alone.frame[model.name])
        got = both.scores().set_index("model").loc[name, ["smape", "mase", "mae", "rmse"]]
        np.testing.assert_allclose(got.astype(float), alone.scores().iloc[0][got.index].astype(float))
    assert both.exposure()["model"].unique().tolist() == ["local", "global", "ensemble"]


def test_compare_keeps_to_windows_that_every_model_covers():
    df = make_frame((60, 14))
    models = {
        "long": NARXForecaster(5, 12, scope="local", short_series="drop", mode="open_loop"),
        "naive": Baseline("naive"),
    }
    bt = compare(models, df)
    assert set(bt.frame["unique_id"]) == {"s0"}
    assert bt.left_out == ["s1"]


def test_compare_refuses_equal_names_and_unequal_horizons(df):
    with pytest.raises(ArgumentError, match="alias="):
        compare([NARXForecaster(3, 2, mode="open_loop"), NARXForecaster(3, 4, mode="open_loop")], df)
    with pytest.raises(ArgumentError, match=r"different horizons, \[3, 4\]"):
        compare([NARXForecaster(3, 2, mode="open_loop"), NARXForecaster(4, 4, alias="b", mode="open_loop")], df)
    for what, other in (("id_col", "shop"), ("time_col", "day"), ("target_col", "sold"), ("freq", 2)):
        models = [Baseline("naive"), Baseline("drift", freq=1).set_params(**{what: other})]
        with pytest.raises(ArgumentError, match=f"the models differ in {what}.*naive: .*drift: {other}"):
            compare(models if what != "freq" else [Baseline("naive", freq=1), models[1]], df, horizon=3)
        with pytest.raises(ArgumentError, match=f"differ in {what}"):
            compare(
                [Ensemble([models[1]]), *models[:1]]
                if what != "freq"
                else [Ensemble([models[1]]), Baseline("naive", freq=1)],
                df,
                horizon=3,
            )
    with pytest.raises(ArgumentError, match="at least one"):
        compare({}, df)
    with pytest.raises(ArgumentTypeError, match="expected a Forecaster"):
        compare({"a": 1}, df)


def test_models_of_the_same_other_columns_are_compared_in_any_order(df):
    renamed = df.rename(columns={"unique_id": "shop", "ds": "day", "y": "sold"})
    names = {"id_col": "shop", "time_col": "day", "target_col": "sold"}
    models = [Baseline("naive", **names), Ensemble([NARXForecaster(3, 4, mode="open_loop", **names)])]
    want = compare([Baseline("naive"), Ensemble([NARXForecaster(3, 4, mode="open_loop")])], df)
    for listed in (models, models[::-1]):
        got = compare(listed, renamed).frame
        np.testing.assert_array_equal(got["Ensemble"], want.frame["Ensemble"])
    # A frequency that one of them names holds for all.
    monthly = make_frame((60,), freq="MS")
    known = [Baseline("naive"), NARXForecaster(3, 4, mode="open_loop", freq="MS")]
    assert compare(known, monthly).frame["cutoff"].nunique() == 1


@pytest.mark.parametrize("turn", [1, -1])
def test_reference_methods_take_missing_values_beside_a_model_that_does(turn):
    df = make_frame((80,))
    gone = [30, 31, 50, 68]
    df.loc[gone, "y"] = np.nan
    model = NARXForecaster(7, 7, scope="local", mode="open_loop", missing="own_output")
    others = [Baseline("seasonal_naive", season_length=7), Baseline("naive"), Baseline("drift"), Baseline("ets")]
    bt = compare([model, *others][::turn], df, cutoffs=[51, 60, 69, 73], horizon=7)
    assert np.isfinite(bt.scores()["mae"]).all()
    y = df["y"].to_numpy()
    for cutoff, part in bt.frame.groupby("cutoff"):
        last = y[:cutoff].copy()
        for k in gone:
            if k < cutoff:
                last[k] = last[k - 7]
        steps = part["horizon"].to_numpy() - 1
        np.testing.assert_array_equal(part["seasonal_naive"], last[-7:][steps])
        forward = pd.Series(y[:cutoff]).ffill().to_numpy()
        np.testing.assert_array_equal(part["naive"], np.repeat(forward[-1], len(part)))
    # Alone each says what is wrong with the frame, and beside models that take none too.
    for models in (others, [*others, NARXForecaster(7, 7, mode="open_loop")]):
        with pytest.raises(FrameError, match="missing value"):
            compare(models, df, horizon=7)
    both = Ensemble([Baseline("naive"), model]).fit(df)
    assert np.isfinite(both.predict()["Ensemble"]).all()


def test_without_a_horizon_one_season_is_forecast_and_that_is_said(df):
    monthly = make_frame((60,), freq="MS")
    model = Baseline("naive").fit(monthly)
    with pytest.warns(HorizonWarning, match="naive forecasts one season, 12 steps"):
        assert len(model.predict()) == 12
    for judged in (
        lambda: backtest(Baseline("naive"), monthly),
        lambda: compare([Baseline("naive"), Baseline("drift")], monthly),
    ):
        with pytest.warns(HorizonWarning, match="one season, 12 steps"):
            assert judged().horizon == 12
    with pytest.warns(HorizonWarning, match="one season, 4 steps"):
        assert len(Baseline("naive", season_length=4).fit(monthly).predict()) == 4
    assert len(Baseline("naive", horizon=3).fit(monthly).predict()) == 3


def test_a_frame_in_the_place_of_the_horizon_is_told_its_name(df):
    frame = df.iloc[:3]
    for model in (Baseline("naive"), NARXForecaster(3, 4, mode="open_loop"), Ensemble([Baseline("naive", horizon=2)])):
        with pytest.raises(ArgumentTypeError, match=r"horizon is a DataFrame.*predict\(future_df=") as caught:
            model.fit(df).predict(frame)
        assert "unique_id" not in str(caught.value)
    with pytest.raises(ArgumentError, match=r"n_windows=<DataFrame>: expected"):
        backtest(Baseline("naive"), df, horizon=3, n_windows=frame)


@pytest.mark.parametrize(("scope", "short"), [("local", 1), ("global", 2)])
def test_series_that_are_dropped_have_no_say_in_automatic_lags(scope, short):
    lost = 2 if scope == "global" else 0
    steps = [Difference(lost)] if lost else []
    long, few = make_frame((80, 72), seed=1), make_frame((short,) * 9, ids=[f"few{k}" for k in range(9)])
    model = NARXForecaster(4, scope=scope, short_series="drop", mode="open_loop", target_transforms=steps, ridge=1.0)
    mixed = model.clone_unfitted().fit(pd.concat([few, long], ignore_index=True))
    alone = model.clone_unfitted().fit(long)
    assert mixed.short_series_ == [f"few{k}" for k in range(9)]
    assert len(alone.lags_) >= 15
    assert mixed.lags_ == alone.lags_
