"""Pictures: what they show of the frames they are handed, how axes are labelled, and that grey is enough."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, NARXForecaster, backtest, compare
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.plotting import plot_backtest, plot_forecast, plot_history, plot_horizon

plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.usefixtures("no_window_stays_open")

H = 4


@pytest.fixture(scope="module")
def df():
    return make_frame((40, 30, 35, 25, 20))


@pytest.fixture(scope="module")
def forecast(df):
    models = [Baseline(m, horizon=H, season_length=7).fit(df) for m in ("naive", "drift", "seasonal_naive")]
    frames = [model.predict() for model in models]
    return frames[0].merge(frames[1]).merge(frames[2])


@pytest.fixture(scope="module")
def bt(df):
    linear = NARXForecaster(H, 7, scope="local", mode="open_loop")
    return compare({"linear": linear, "seven": linear, "last": Baseline("naive")}, df, n_windows=3, season_length=7)


def drawn(ax):
    """The lines of an axes by label; those without one are left out."""
    return {line.get_label(): line for line in ax.lines if not str(line.get_label()).startswith("_")}


def labels_of_the_legend(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def nothing_is_cut_off(figure):
    """Nothing that is drawn reaches beyond the edges of the figure."""
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


# ---- plot_forecast


def test_intervals_are_bands_from_bound_to_bound_the_widest_behind(df):
    fan = Baseline("naive", horizon=H, season_length=7).fit(df).predict(level=[50, 80])
    figure = plot_forecast(df, fan, series=["s0"])
    (ax,) = figure.axes
    assert list(drawn(ax)) == ["observed", "cutoff", "naive"]
    assert [band.get_label() for band in ax.collections] == ["naive, 80 %", "naive, 50 %"]
    # In the legend each shade stands by itself.
    wide, narrow = (band.get_facecolor()[0, 3] for band in ax.collections)
    assert narrow > 2 * wide
    own = fan[fan["unique_id"] == "s0"]
    for band, level in zip(ax.collections, (80, 50), strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.max() == own[f"naive-hi-{level}"].max()
        assert heights.min() == own[f"naive-lo-{level}"].min()


def test_a_backtest_with_intervals_draws_forecasts_as_lines_and_no_bounds(df):
    result = compare({"last": Baseline("naive")}, df, horizon=H, season_length=7, level=50)
    assert list(drawn(result.plot("windows").axes[0])) == ["observed", "cutoffs", "last"]


def test_a_forecast_is_drawn_after_the_history_of_each_of_the_first_four_series(df, forecast):
    figure = plot_forecast(df, forecast)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["s0", "s1", "s2", "s3"]
    for ax in figure.axes:
        lines, name = drawn(ax), ax.get_title(loc="left")
        assert list(lines) == ["observed", "cutoff", "naive", "drift", "seasonal_naive"]
        history = df[df["unique_id"] == name]
        np.testing.assert_array_equal(lines["observed"].get_ydata(), history["y"])
        own = forecast[forecast["unique_id"] == name]
        np.testing.assert_array_equal(lines["drift"].get_xdata(), own["ds"])
        np.testing.assert_array_equal(lines["drift"].get_ydata(), own["drift"])
        assert set(lines["cutoff"].get_xdata()) == {len(history)}
        assert ax.get_ylabel() == "y (original units)"
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "", "step (ds)"]
    assert labels_of_the_legend(figure) == ["observed", "cutoff", "naive", "drift", "seasonal_naive"]
    nothing_is_cut_off(figure)


def test_models_are_told_apart_without_colour(df, forecast, bt):
    for figure in (plot_forecast(df, forecast), plot_backtest(bt.frame), plot_horizon(bt.by_horizon())):
        lines = [line for name, line in drawn(figure.axes[0]).items() if name not in ("cutoff", "cutoffs")]
        looks = {(line.get_linestyle(), line.get_marker()) for line in lines}
        assert len(looks) == len(lines)


@pytest.mark.parametrize(("last", "rows"), [(1, 1), (10, 10), (99, 30), (None, 30)])
def test_history_is_as_long_as_asked_for(df, forecast, last, rows):
    (ax,) = plot_forecast(df, forecast, series="s1", last=last).axes
    assert len(drawn(ax)["observed"].get_xdata()) == rows


def test_long_histories_are_cut_to_four_horizons_but_at_least_48_rows():
    df = make_frame((300,))
    for horizon, rows in ((4, 48), (30, 120)):
        (ax,) = plot_forecast(df, Baseline("naive", horizon=horizon).fit(df).predict()).axes
        assert len(drawn(ax)["observed"].get_xdata()) == rows


def test_truth_after_the_cutoff_is_drawn_where_it_is_known(df):
    model = Baseline("naive", horizon=H).fit(df)
    (ax,) = plot_forecast(df, model.predict_at(df, [15]), series=["s2"]).axes
    assert drawn(ax)["observed"].get_xdata().tolist() == list(range(1, 20))
    assert set(drawn(ax)["cutoff"].get_xdata()) == {15}


def test_rows_may_come_in_any_order(df, forecast):
    shuffled = plot_forecast(df.sample(frac=1, random_state=0), forecast.sample(frac=1, random_state=0), series=["s0"])
    for name, line in drawn(plot_forecast(df, forecast, series=["s0"]).axes[0]).items():
        np.testing.assert_array_equal(line.get_ydata(), drawn(shuffled.axes[0])[name].get_ydata())


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_get_ticks_that_can_be_read_and_the_zone_is_named(zone):
    df = make_frame((90,), freq="h")
    df["ds"] = df["ds"].dt.tz_localize(zone)
    (ax,) = plot_forecast(df, Baseline("naive", horizon=24).fit(df).predict()).axes
    ax.figure.canvas.draw()
    assert ax.get_xlabel() == ("time (ds)" if zone is None else "time (ds, Europe/Berlin)")
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert 3 <= len(ticks) <= 10
    assert "30" in ticks
    nothing_is_cut_off(ax.figure)


def test_users_names_of_columns_are_on_the_axes_and_one_series_needs_no_id(df):
    own = df[df["unique_id"] == "s0"].rename(columns={"ds": "week", "y": "sales"}).drop(columns="unique_id")
    fc = Baseline("naive", horizon=H, time_col="week", target_col="sales").fit(own).predict()
    (ax,) = plot_forecast(own, fc, time_col="week", target_col="sales").axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step (week)", "sales (original units)")
    assert list(drawn(ax)) == ["observed", "cutoff", "naive"]


def test_many_long_names_still_fit_into_the_figure(df, forecast):
    for number in range(7):
        forecast = forecast.assign(**{f"a rather long name of model number {number}": forecast["naive"] + number})
    nothing_is_cut_off(plot_forecast(df, forecast, series=["s0"]))


# ---- plot_backtest


def test_each_window_is_drawn_over_the_truth(bt):
    figure = plot_backtest(bt.frame, series="s1")
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "s1"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step (ds)", "y (original units)")
    assert labels_of_the_legend(figure) == ["observed", "cutoffs", "linear", "seven", "last"]
    rows = bt.frame[bt.frame["unique_id"] == "s1"]
    # One line of truth, then a cutoff and three models per window.
    assert len(ax.lines) == 1 + 3 * (1 + 3)
    np.testing.assert_array_equal(drawn(ax)["observed"].get_ydata(), rows["y"])
    first = rows[rows["cutoff"] == rows["cutoff"].min()]
    np.testing.assert_array_equal(drawn(ax)["last"].get_ydata(), first["last"])
    nothing_is_cut_off(figure)


@pytest.mark.parametrize(("step", "stretches"), [(2, [8]), (4, [12]), (6, [4, 4, 4])])
def test_truth_is_no_line_where_no_window_shows_it(df, step, stretches):
    frame = backtest(Baseline("naive"), df, horizon=4, n_windows=3, step_size=step).frame
    (ax,) = plot_backtest(frame).axes
    truth = [len(line.get_xdata()) for line in ax.lines if line.get_color() == "black"]
    assert truth == stretches


# ---- plot_horizon


def test_exposure_is_drawn_closed_loop_and_one_step_with_naive_as_the_reference(bt):
    exposure = bt.exposure()
    figure = plot_horizon(exposure)
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("steps after the cutoff", "RMSE (seasonal-naive scale)")
    assert list(drawn(ax)) == [
        "linear: closed loop",
        "seven: closed loop",
        "the same models, one step (faint)",
        "naive: last value repeated",
    ]
    assert len(ax.lines) == 2 * 2 + 1
    seven = exposure[exposure["model"] == "seven"]
    np.testing.assert_array_equal(drawn(ax)["seven: closed loop"].get_ydata(), seven["rmse_closed"])
    np.testing.assert_array_equal(drawn(ax)["the same models, one step (faint)"].get_ydata(), seven["rmse_one_step"])
    np.testing.assert_array_equal(drawn(ax)["naive: last value repeated"].get_ydata(), seven["rmse_naive"])
    assert ax.get_ylim()[0] == 0
    nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    ("metric", "label"), [("mase", "MASE"), ("smape", "sMAPE (%)"), ("mae", "MAE (original units)")]
)
def test_scores_by_step_are_drawn_for_every_model(bt, metric, label):
    (ax,) = plot_horizon(bt.by_horizon(), metric=metric).axes
    assert ax.get_ylabel() == label
    assert list(drawn(ax)) == ["linear", "seven", "last"]
    last = bt.by_horizon().query("model == 'last'")
    np.testing.assert_array_equal(drawn(ax)["last"].get_ydata(), last[metric])


# ---- BacktestResult.plot, plot_history, given axes, bad arguments


def test_a_backtest_draws_its_exposure_its_windows_and_its_scores(bt, df):
    assert "linear: closed loop" in drawn(bt.plot().axes[0])
    assert "last: closed loop" not in drawn(bt.plot().axes[0])
    assert "last: closed loop" in drawn(bt.plot(baselines=True).axes[0])
    (ax,) = bt.plot("windows", series="s3").axes
    assert ax.get_title(loc="left") == "s3"
    alone = backtest(Baseline("naive"), df, horizon=3, season_length=7)
    assert alone.plot().axes[0].get_ylabel() == "MASE"


def test_a_backtest_under_other_names_of_columns_is_drawn(df):
    own = df.rename(columns={"unique_id": "shop", "ds": "week", "y": "sales"})
    names = {"id_col": "shop", "time_col": "week", "target_col": "sales"}
    (ax,) = backtest(Baseline("naive", **names), own, horizon=3).plot("windows").axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step (week)", "sales (original units)")
    assert list(drawn(ax)) == ["observed", "cutoffs", "naive"]


def test_phases_of_training_are_named_above_the_axes_and_the_legend_fits():
    modes = ["open_loop"] * 3 + ["curriculum"] * 3
    frame = pd.DataFrame({"run": "final", "mode": modes, "step": [0, 10, 20] * 2, "forcing_ratio": 1.0})
    frame = frame.assign(loss=1.0, one_step=0.5, closed_loop=0.7)
    figure = plot_history(frame)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["open_loop", "curriculum"]
    assert drawn(ax)["forced loss (model units)"].get_xdata().tolist() == [0, 10, 20, 20, 30, 40]
    assert len(labels_of_the_legend(figure)) == 3
    nothing_is_cut_off(figure)


def test_pictures_draw_into_given_axes_with_a_legend_inside_them(df, forecast, bt):
    for draw in (
        lambda ax: plot_forecast(df, forecast, ax=ax),
        lambda ax: plot_backtest(bt.frame, ax=ax),
        lambda ax: plot_horizon(bt.exposure(), ax=ax),
        lambda ax: bt.plot(ax=ax),
        lambda ax: bt.plot("windows", ax=ax),
    ):
        figure, axes = plt.subplots(1, 2)
        assert draw(axes[0]) is figure
        assert axes[0].lines
        assert axes[0].get_legend() is not None
        assert not figure.legends
        assert not axes[1].lines


def test_drawing_changes_no_frame(df, forecast, bt):
    copies = [frame.copy() for frame in (df, forecast, bt.frame)]
    plot_forecast(df, forecast)
    plot_backtest(bt.frame)
    for frame, copy in zip((df, forecast, bt.frame), copies, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda df, fc, bt: plot_forecast(df, fc, series=["s9"]),
            "series: there is no series 's9'; expected one of 's0'",
        ),
        (lambda df, fc, bt: plot_forecast(df, fc, series=[]), "series names 0 series; a figure takes 1 to 4"),
        (lambda df, fc, bt: plot_forecast(df, fc, series=["s0", "s1", "s2", "s3", "s4"]), "series names 5 series"),
        (
            lambda df, fc, bt: plot_forecast(df, fc, series=["s0", "s1"], ax=plt.gca()),
            "series names 2 series; ax= takes one",
        ),
        (lambda df, fc, bt: plot_forecast(df[df["unique_id"] != "s0"], fc), "history: there is no series 's0'"),
        (lambda df, fc, bt: plot_forecast(df, fc, last=0), "last=0: expected None or a whole number"),
        (lambda df, fc, bt: plot_forecast(df, fc.iloc[:, :3]), "no column of forecasts beside 'unique_id', 'ds'"),
        (
            lambda df, fc, bt: plot_forecast(df.set_index("ds"), fc),
            "history has no column 'ds'; it has 'unique_id', 'y'",
        ),
        (lambda df, fc, bt: plot_forecast(df, fc, id_col="shop"), "forecast has no column 'shop'"),
        (lambda df, fc, bt: plot_backtest(df), "frame has no column 'cutoff'"),
        (lambda df, fc, bt: plot_forecast(df, bt.frame), "3 cutoffs for series 's0'; expected one"),
        (lambda df, fc, bt: plot_backtest(bt.frame, series="s9"), "series: there is no series 's9'"),
        (lambda df, fc, bt: plot_horizon(bt.by_horizon(), metric="mpe"), "metric='mpe' is not known"),
        (lambda df, fc, bt: plot_horizon(bt.scores()), "expected those of"),
        (lambda df, fc, bt: plot_horizon(bt.exposure().iloc[:0]), "has no row"),
        (lambda df, fc, bt: bt.plot("window"), "Did you mean 'windows'"),
        (lambda df, fc, bt: bt.plot("windows", series="s9"), "there is no series 's9'"),
        (lambda df, fc, bt: bt.plot(series="s1"), "kind='windows'"),
    ],
)
def test_bad_arguments_are_named(df, forecast, bt, draw, message):
    with pytest.raises(ArgumentError, match=message.replace("(", r"\(")):
        draw(df, forecast, bt)


@pytest.mark.parametrize("given", [pd.Series([1.0, 2.0]), [1.0, 2.0], {"y": [1.0]}])
def test_what_is_no_pandas_frame_is_refused(forecast, given):
    for draw in (lambda: plot_forecast(given, forecast), lambda: plot_backtest(given), lambda: plot_horizon(given)):
        with pytest.raises(ArgumentTypeError, match=rf"{type(given).__name__}; expected a long pandas DataFrame"):
            draw()


def test_nothing_warns_about_columns_of_unusual_kinds(df, forecast):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numbered = {"unique_id": df["unique_id"].str[1:].astype(int)}
        ahead = {"unique_id": forecast["unique_id"].str[1:].astype(int)}
        figure = plot_forecast(df.assign(**numbered), forecast.assign(**ahead), series=2)
        assert figure.axes[0].get_title(loc="left") == "2"
        as_category = plot_forecast(df.astype({"unique_id": "category"}), forecast.astype({"unique_id": "category"}))
        assert len(as_category.axes) == 4


# ---- the same arguments everywhere


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_windows_of_a_backtest_are_those_of_the_worst_series_by_default(bt):
    each = bt.scores(by="unique_id")
    own = each[each["model"] == bt.ranking()["model"].iloc[0]]
    worst = own.sort_values("mase", ascending=False)["unique_id"].tolist()
    assert titles(bt.plot("windows")) == worst[:1]
    assert titles(bt.plot("windows", n_series=3)) == worst[:3]
    assert titles(bt.plot("windows", series=["s3", "s0"])) == ["s3", "s0"]


@pytest.mark.parametrize("last", [1, 6])
def test_so_many_of_the_last_steps_are_drawn(bt, df, forecast, last):
    (ax,) = bt.plot("windows", series="s1", last=last).axes
    assert len(drawn(ax)["observed"].get_xdata()) == min(last, 3 * H)
    model = Baseline("naive", horizon=H, season_length=7).fit(df)
    (ax,) = model.plot(series="s1", last=last).axes
    assert len(drawn(ax)["observed"].get_xdata()) == last


def test_a_forecaster_draws_its_rows_and_forecasts(df):
    model = NARXForecaster(H, 7, scope="local", mode="open_loop").fit(df)
    figure = model.plot(level=80, n_series=2)
    assert titles(figure) == ["s0", "s1"]
    ahead = model.predict()
    line = drawn(figure.axes[1])["NARXForecaster"]
    np.testing.assert_array_equal(line.get_ydata(), ahead[ahead["unique_id"] == "s1"]["NARXForecaster"])
    # Rows that no forecast reads are there, too.
    assert len(drawn(figure.axes[0])["observed"].get_xdata()) == 40
    assert len(figure.axes[0].collections) == 1


@pytest.mark.slow
def test_an_automatic_choice_draws_the_series_that_it_does_worst_on(df):
    model = AutoNARX(H, season_length=7, budget="fast").fit(df)
    errors = {}
    for name in df["unique_id"].unique():
        heard = model.explain(name).frame
        errors[name] = (heard["error"] * heard["weight"]).sum() / heard["weight"][heard["error"].notna()].sum()
    worst = sorted(errors, key=lambda name: -errors[name])
    assert titles(model.plot(n_series=2)) == worst[:2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_series": 0}, "n_series=0: expected None or a whole number"),
        ({"n_series": 5}, "n_series asks for 5 series; a figure takes 1 to 4"),
        ({"series": "s0", "n_series": 2}, "leave one out"),
        ({"last": 0}, "last=0: expected None"),
    ],
)
def test_what_cannot_be_drawn_is_said_by_every_picture_of_series(df, forecast, bt, given, message):
    for draw in (
        lambda: plot_forecast(df, forecast, **given),
        lambda: plot_backtest(bt.frame, **given),
        lambda: bt.plot("windows", **given),
        lambda: Baseline("naive", horizon=H).fit(df).plot(**given),
    ):
        with pytest.raises(ArgumentError, match=message):
            draw()


@pytest.mark.parametrize("given", [{"n_series": 2}, {"last": 3}])
def test_pictures_of_pooled_errors_take_no_series(bt, given):
    (name,) = given
    with pytest.raises(ArgumentError, match=f"plot\\(kind='windows', {name}="):
        bt.plot(**given)
