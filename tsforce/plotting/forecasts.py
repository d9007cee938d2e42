"""Pictures of forecasts, backtests and trainings."""

from __future__ import annotations

import re
from typing import Any

from tsforce.errors import ArgumentError, abbreviate, check_choice
from tsforce.plotting.canvas import MARKERS, STYLES, check_frame, draw_legend, draw_line, new_axes
from tsforce.plotting.chosen import (
    MOST_PANELS,
    check_last,
    check_series,
    name_panels,
    rows_of,
    series_panels,
    series_to_draw,
)

__all__ = [
    "plot_backtest",
    "plot_choice",
    "plot_exposure",
    "plot_forecast",
    "plot_history",
    "plot_horizon",
    "plot_modes",
]

_BOUND = re.compile(r"(.+)-(lo|hi)-([0-9.]+)")
_METRICS = {"smape": "sMAPE (%)", "mase": "MASE", "mae": "MAE (original units)", "rmse": "RMSE (original units)"}


def _models(frame: Any, *named: str) -> list[str]:
    """Return the columns of a frame of forecasts that hold one, in order."""
    others = {*named, "cutoff", "horizon", "in_sample"}
    models = [name for name in frame.columns if name not in others and not _is_bound(frame, name)]
    if not models:
        raise ArgumentError(
            f"the frame has no column of forecasts beside {abbreviate(frame.columns, limit=12)}. Name the columns that "
            f"are none with id_col=, time_col=, target_col=."
        )
    return models


def _is_bound(frame: Any, name: Any) -> bool:
    """Return whether a column holds the bounds of another one's intervals."""
    found = _BOUND.fullmatch(str(name))
    return found is not None and found[1] in frame.columns


def _draw_bounds(ax: Any, ahead: Any, time_col: str, model: Any, number: int) -> None:
    """Draw the intervals of a model, the widest first, all in its colour: the more certain, the darker."""
    found = (_BOUND.fullmatch(str(name)) for name in ahead.columns)
    levels = sorted({float(match[3]) for match in found if match and match[1] == str(model)}, reverse=True)
    for order, level in enumerate(levels):
        # Each has a shade of its own in the legend, where they do not lie on each other.
        shade = min(0.15 + 0.2 * order, 0.6)
        low, high = (ahead[f"{model}-{side}-{level:g}"] for side in ("lo", "hi"))
        label = f"{model}, {level:g} %"
        ax.fill_between(ahead[time_col], low, high, color=f"C{number % 10}", alpha=shade, linewidth=0, label=label)


def label_time(ax: Any, stamps: Any, time_col: str) -> None:
    """Label the time axis: dates as short as they can be, steps as whole numbers."""
    if stamps.dtype.kind != "M":
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel(f"step ({time_col})")
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = stamps.dt.tz
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    ax.set_xlabel(f"time ({time_col}{'' if zone is None else f', {zone}'})")


def plot_forecast(
    history: Any,
    forecast: Any,
    *,
    series: Any = None,
    n_series: int | None = None,
    last: int | None = None,
    ax: Any = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
) -> Any:
    """Return a figure of what was observed, and of each model's forecasts after the cutoff.

    Parameters
    ----------
    history : DataFrame
        Long frame; without the id column it is one series. Rows after the cutoff are drawn too, up to the last step
        of the forecast: the truth, where it is known.
    forecast : DataFrame
        As ``predict`` returns it: the id and time columns, ``horizon``, one column per model; the bounds of intervals
        are drawn as bands.
    series : id or list of them, optional
        Which, at most 4, one panel each; by default the first ones of `forecast`.
    n_series : int, optional
        How many of the first ones; by default up to 4.
    last : int, optional
        Rows to show up to the cutoff, the last ones; by default 4 times the horizon, at least 48.
    ax : matplotlib Axes, optional
        Takes one series.
    id_col, time_col, target_col : str
        Names of the columns in both frames.

    Raises
    ------
    ArgumentError
        If a series or a column is not there, more are asked for than can be drawn, or one has several cutoffs.
    ArgumentTypeError
        If one is no pandas DataFrame.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> from tsforce.plotting import plot_forecast
    >>> df = load("airpassengers")
    >>> figure = plot_forecast(df, Baseline("seasonal_naive", horizon=12).fit(df).predict(), last=36)
    >>> len(figure.axes[0].lines[0].get_xdata())
    36
    """
    check_frame("history", history, time_col, target_col)
    check_frame("forecast", forecast, id_col, time_col)
    known = list(forecast[id_col].unique())
    chosen = series_to_draw(series, n_series, known, ax, MOST_PANELS)
    if id_col in history.columns:
        there = list(history[id_col].unique())
        for name in chosen:
            check_series("history", name, there)
    check_last(last)
    models = _models(forecast, id_col, time_col, target_col)
    panels = series_panels(chosen, ax)
    for panel, name in zip(panels, chosen, strict=True):
        ahead = rows_of(forecast, id_col, name).sort_values(time_col)
        if "cutoff" in ahead.columns and ahead["cutoff"].nunique() > 1:
            raise ArgumentError(
                f"forecast has {ahead['cutoff'].nunique()} cutoffs for series {name!r}; expected one. Keep one, "
                f"forecast[forecast['cutoff'] == ...], or draw all of them with plot_backtest."
            )
        rows = rows_of(history, id_col, name).sort_values(time_col)
        rows = rows[rows[time_col] <= ahead[time_col].iloc[-1]]
        n_past = int((rows[time_col] < ahead[time_col].iloc[0]).sum())
        rows = rows.iloc[max(0, n_past - (last or max(48, 4 * len(ahead)))) :]
        panel.plot(rows[time_col], rows[target_col], color="black", linewidth=1, label="observed")
        past = rows[rows[time_col] < ahead[time_col].iloc[0]]
        if len(past):
            panel.axvline(past[time_col].iloc[-1], color="0.6", linewidth=1, label="cutoff")
        for number, model in enumerate(models, start=1):
            _draw_bounds(panel, ahead, time_col, model, number)
            draw_line(panel, ahead[time_col], ahead[model], number, label=model)
        label_time(panel, ahead[time_col], time_col)
    return name_panels(panels, chosen, target_col, ax)


def plot_backtest(
    frame: Any,
    *,
    series: Any = None,
    n_series: int | None = None,
    last: int | None = None,
    ax: Any = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
) -> Any:
    """Return a figure of series: the truth, and each model's forecasts of each window.

    Parameters
    ----------
    frame : DataFrame
        The id and time columns, ``cutoff``, the target, one column per model, as in ``BacktestResult.frame``.
    series : id or list of them, optional
        Which, at most 4, one panel each; by default the first.
    n_series : int, optional
        How many of the first ones; 1 by default.
    last : int, optional
        Time steps to show of each, the last ones; all by default.
    ax : matplotlib Axes, optional
        Takes one series.
    id_col, time_col, target_col : str
        Names of the columns.

    Raises
    ------
    ArgumentError
        If the series or a column is not there.
    ArgumentTypeError
        If it is no pandas DataFrame.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> from tsforce.plotting import plot_backtest
    >>> result = backtest(Baseline("seasonal_naive"), load("airpassengers"), horizon=12, n_windows=3)
    >>> figure = plot_backtest(result.frame)  # also: result.plot("windows"), with the worst series first
    >>> figure.savefig("windows.png")  # doctest: +SKIP
    """
    check_frame("frame", frame, id_col, time_col, "cutoff", target_col)
    known = list(frame[id_col].unique())
    chosen = series_to_draw(series, n_series, known, ax, 1)
    check_last(last)
    models = _models(frame, id_col, time_col, target_col)
    panels = series_panels(chosen, ax)
    for panel, name in zip(panels, chosen, strict=True):
        rows = rows_of(frame, id_col, name).sort_values(["cutoff", time_col])
        if last is not None:
            rows = rows[rows[time_col].isin(rows[time_col].drop_duplicates().nlargest(last))]
        _draw_windows(panel, rows, models, time_col, target_col)
        label_time(panel, rows[time_col], time_col)
    return name_panels(panels, chosen, target_col, ax)


def _draw_windows(ax: Any, rows: Any, models: list[str], time_col: str, target_col: str) -> None:
    """Draw the truth of one series, and the forecasts of its windows."""
    # Where no window covers a stamp the truth is not in the frame: no line is drawn across.
    window = rows.groupby("cutoff")[time_col].max().reset_index()
    apart = window["cutoff"] > window[time_col].cummax().shift().fillna(window["cutoff"].iloc[0])
    truth = rows.drop_duplicates(time_col).sort_values(time_col)
    stretch = truth["cutoff"].map(dict(zip(window["cutoff"], apart.cumsum(), strict=True)))
    for number, (_, part) in enumerate(truth.groupby(stretch)):
        label = {} if number else {"label": "observed"}
        ax.plot(part[time_col], part[target_col], color="black", linewidth=1, **label)
    for number, (cutoff, part) in enumerate(rows.groupby("cutoff")):
        ax.axvline(cutoff, color="0.8", linewidth=1, **({} if number else {"label": "cutoffs"}))
        for which, model in enumerate(models, start=1):
            draw_line(ax, part[time_col], part[model], which, **({} if number else {"label": model}))


def plot_choice(frame: Any, *, reference: str = "seasonal_naive", ax: Any = None) -> Any:
    """Return a figure of candidates: the error of each on trial, and its share of the forecast.

    Parameters
    ----------
    frame : DataFrame
        candidate, error, weight; as in ``AutoNARX.leaderboard_`` or ``AutoNARX.explain(...).frame``.
    reference : str
        What errors are relative to.
    ax : matplotlib Axes, optional

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is no such frame.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.plotting import plot_choice
    >>> names = ["linear", "ets", "seasonal_naive"]
    >>> tried = pd.DataFrame({"candidate": names, "error": [0.8, 0.9, 1.0], "weight": [0.6, 0.4, 0.0]})
    >>> figure = plot_choice(tried)  # also: AutoNARX(...).fit(df).plot()
    """
    check_frame("frame", frame, "candidate", "error", "weight")
    rows = frame[frame["error"].notna() | (frame["weight"] > 0)].sort_values("error", ascending=False)
    ax = new_axes(ax, figsize=(8, 1.2 + 0.28 * max(4, len(rows))))
    # A candidate that ran away would leave no room for the others.
    shown = rows["error"].clip(upper=2.0).fillna(0.0)
    ax.barh(range(len(rows)), shown, color=["C0" if weight > 0 else "0.8" for weight in rows["weight"]])
    for place, (error, weight) in enumerate(zip(shown, rows["weight"], strict=True)):
        if weight >= 0.005:
            ax.annotate(f"{100 * weight:.0f} %", (error, place), xytext=(3, 0), textcoords="offset points", va="center")
    ax.axvline(1.0, color="black", linewidth=1)
    ax.set_yticks(range(len(rows)), [str(name) for name in rows["candidate"]], fontsize="small")
    ax.set_xlabel(f"error at cutoffs inside the rows, relative to {reference}; in per cent: weight")
    return ax.figure


def plot_horizon(frame: Any, *, metric: str = "mase", ax: Any = None) -> Any:
    """Return a figure of the error at each step after the cutoff, one line per model.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.exposure()``: closed-loop errors, one-step errors of the same targets in grey, and
        repeating the last value as the reference. Or as from ``BacktestResult.by_horizon()``: one metric.
    metric : "smape", "mase", "mae" or "rmse"
        Which column of ``by_horizon()`` to draw.
    ax : matplotlib Axes, optional

    Raises
    ------
    ArgumentError
        If the frame is neither, or the metric is not known.

    Examples
    --------
    >>> from tsforce import Baseline, compare
    >>> from tsforce.datasets import load
    >>> from tsforce.plotting import plot_horizon
    >>> both = [Baseline("naive"), Baseline("seasonal_naive")]
    >>> result = compare(both, load("airpassengers"), horizon=12, n_windows=4)
    >>> figure = plot_horizon(result.by_horizon(), metric="mae")
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['naive', 'seasonal_naive']
    """
    check_choice("metric", metric, _METRICS)
    check_frame("frame", frame)
    exposure = "rmse_closed" in frame.columns
    if not {"model", "horizon", "rmse_closed" if exposure else metric} <= set(frame.columns):
        raise ArgumentError(
            f"the frame has the columns {abbreviate(frame.columns, limit=12)}; expected those of "
            f"BacktestResult.exposure() or .by_horizon()."
        )
    if not len(frame):
        raise ArgumentError("the frame has no row; exposure() leaves reference methods out, so try by_horizon().")
    ax = new_axes(ax, figsize=(7, 4.5))
    for number, (model, part) in enumerate(frame.groupby("model", sort=False)):
        if not exposure:
            draw_line(ax, part["horizon"], part[metric], number, label=model)
            continue
        line = draw_line(ax, part["horizon"], part["rmse_closed"], number, label=f"{model}: closed loop")
        (faint,) = ax.plot(
            part["horizon"], part["rmse_one_step"], line.get_linestyle(), color=line.get_color(), alpha=0.4
        )
    if exposure:
        faint.set_label("the same models, one step (faint)")
        # Which windows count does not depend on the model: the reference is the same in every part.
        ax.plot(
            part["horizon"], part["rmse_naive"], color="0.7", linewidth=3, zorder=1, label="naive: last value repeated"
        )
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("steps after the cutoff")
    ax.set_ylabel("RMSE (seasonal-naive scale)" if exposure else _METRICS[metric])
    ax.set_ylim(bottom=0)
    ax.legend(fontsize="small")
    return ax.figure


def plot_exposure(exposure: Any, response: Any, *, ax: Any = None) -> Any:
    """Return a figure of two panels: the errors at each step, and the error when a share of the truth comes in.

    Parameters
    ----------
    exposure : DataFrame
        As from ``BacktestResult.exposure()``: drawn as by `plot_horizon`.
    response : DataFrame
        As from ``BacktestResult.forcing_response()``: the error of the same models over the forcing ratio, from one
        step ahead (1) on the left to closed loop (0) on the right.
    ax : two matplotlib Axes, optional

    Raises
    ------
    ArgumentError
        If one is no such frame, or `ax` are not two.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> from tsforce.plotting import plot_exposure
    >>> result = backtest(Baseline("naive"), load("airpassengers"), horizon=6, n_windows=2)
    >>> response = result.forcing_response((1, 0), baselines=True)
    >>> figure = plot_exposure(result.exposure(baselines=True), response)  # also: result.plot("exposure")
    >>> len(figure.axes)
    2
    """
    check_frame("exposure", exposure, "model", "horizon", "rmse_closed", "rmse_one_step", "rmse_naive")
    check_frame("response", response, "model", "forcing_ratio", "rmse")
    if ax is not None and (not hasattr(ax, "__len__") or len(ax) != 2):
        raise ArgumentError(
            "ax: this picture has two panels; expected two matplotlib Axes, as from plt.subplots(1, 2)[1]."
        )
    left, right = new_axes(None, nrows=1, ncols=2, figsize=(11, 4.5)) if ax is None else ax
    figure = plot_horizon(exposure, ax=left)
    for number, (model, part) in enumerate(response.groupby("model", sort=False)):
        part = part.sort_values("forcing_ratio")
        draw_line(right, part["forcing_ratio"], part["rmse"], number, label=model)
    right.set_xlim(1.03, -0.03)
    right.set_xticks(sorted(set(response["forcing_ratio"])))
    right.set_xlabel("forcing ratio: share of the truth that comes in\n(1: one step ahead, 0: closed loop)")
    right.set_ylabel("RMSE over all steps (seasonal-naive scale)")
    right.set_ylim(bottom=0)
    right.legend(fontsize="small")
    return figure


def plot_modes(horizons: Any, *, ax: Any = None) -> Any:
    """Return a figure of the closed-loop error at each step, one line per mode, one-step error beside it in grey.

    Parameters
    ----------
    horizons : DataFrame
        mode, seed, horizon, rmse_closed, rmse_one_step, as in ``ModeComparison.horizons``; seeds are averaged.
    ax : matplotlib Axes, optional

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.plotting import plot_modes
    >>> errors = pd.DataFrame({"mode": ["open_loop"] * 2 + ["closed_loop"] * 2, "seed": 0, "horizon": [1, 2, 1, 2]})
    >>> errors = errors.assign(rmse_closed=[1.0, 1.9, 1.1, 1.4], rmse_one_step=[1.0, 1.0, 1.1, 1.1])
    >>> figure = plot_modes(errors)  # also: compare_modes(...).plot()
    """
    ax = new_axes(ax, figsize=(7, 4.5))
    mean = horizons.groupby(["mode", "horizon"], sort=False)[["rmse_closed", "rmse_one_step"]].mean().reset_index()
    for number, (mode, part) in enumerate(mean.groupby("mode", sort=False)):
        style, marker = STYLES[number % len(STYLES)], MARKERS[number % len(MARKERS)]
        every = max(1, len(part) // 12)
        label = f"trained {mode}: closed loop"
        (line,) = ax.plot(part["horizon"], part["rmse_closed"], style, marker=marker, markevery=every, label=label)
        (faint,) = ax.plot(part["horizon"], part["rmse_one_step"], style, color=line.get_color(), alpha=0.4)
        if number == 0:
            faint.set_label("the same models, one step (faint)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("steps after the cutoff")
    ax.set_ylabel("RMSE (seasonal-naive scale)")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize="small")
    return ax.figure


def plot_history(frame: Any, *, ax: Any = None) -> Any:
    """Return a figure of both validation errors, the forced loss and the forcing ratio over the steps of training.

    Parameters
    ----------
    frame : DataFrame
        As in ``history_.frame``.
    ax : matplotlib Axes, optional

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from tsforce import NARXForecaster
    >>> from tsforce.plotting import plot_history
    >>> df = pd.DataFrame({"ds": range(60), "y": np.sin(np.arange(60.0))})
    >>> model = NARXForecaster(5, 3, max_steps=4).fit(df, mode="closed_loop")
    >>> figure = plot_history(model.history_.frame)  # also: model.history_.plot()
    """
    own = ax is None
    ax = new_axes(ax, figsize=(7, 4.5))
    part = frame[frame["run"] == frame["run"].iloc[0]] if len(frame) else frame
    # Phases one behind the other: each counts its steps from 0.
    turn = part["mode"].ne(part["mode"].shift())
    before = part.groupby(turn.cumsum())["step"].max().cumsum().shift(fill_value=0)
    part = part.assign(step=part["step"] + turn.cumsum().map(before))
    for at, name in zip(part.loc[turn, "step"], part.loc[turn, "mode"], strict=True):
        ax.axvline(at, color="0.8", linewidth=1)
        ax.annotate(
            name,
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(1, 3),
            textcoords="offset points",
            va="bottom",
            color="0.4",
            fontsize="small",
        )
    for column, style, marker in (("closed_loop", "-", "o"), ("one_step", "--", "s"), ("loss", ":", None)):
        if len(part) and part[column].notna().any():
            label = {
                "closed_loop": "closed-loop validation (seasonal-naive scale)",
                "one_step": "one-step validation (the same)",
                "loss": "forced loss (model units)",
            }
            ax.plot(part["step"], part[column], style, marker=marker, markersize=4, label=label[column])
    ax.set_xlabel("training step")
    ax.set_ylabel("error")
    ax.set_ylim(bottom=0)
    right = ax.twinx()
    right.step(part["step"], part["forcing_ratio"], where="post", color="0.6", linewidth=1)
    right.set_ylabel("forcing ratio (share of truth)", color="0.4")
    right.set_ylim(-0.02, 1.02)
    draw_legend(ax, own)
    return ax.figure
