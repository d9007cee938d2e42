"""Pictures of intervals and sample paths: coverage by step, PIT histograms, bundles of paths."""

from __future__ import annotations

import re
from typing import Any

from tsforce.errors import ArgumentError, abbreviate
from tsforce.plotting.canvas import check_frame, draw_legend, draw_line, new_axes
from tsforce.plotting.chosen import check_last, name_panels, rows_of, series_panels, series_to_draw
from tsforce.plotting.forecasts import label_time

__all__ = ["plot_coverage", "plot_paths", "plot_pit"]

_COVERAGE = re.compile(r"coverage-([0-9.]+)")


def plot_coverage(frame: Any, *, ax: Any = None) -> Any:
    """Return a figure of the share of truths within the bounds at each step, one line per model and level.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.by_horizon()`` of a backtest with `level`.
    ax : matplotlib Axes, optional

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is no such frame.

    Examples
    --------
    >>> from tsforce import Baseline, backtest
    >>> from tsforce.datasets import load
    >>> from tsforce.plotting import plot_coverage
    >>> result = backtest(Baseline("seasonal_naive"), load("airpassengers"), horizon=6, n_windows=3, level=80)
    >>> figure = plot_coverage(result.by_horizon())  # also: result.plot("coverage")
    """
    check_frame("frame", frame, "model", "horizon")
    levels = [float(found[1]) for name in frame.columns if (found := _COVERAGE.fullmatch(str(name)))]
    if not levels:
        raise ArgumentError("no intervals were judged; ask for them: backtest(..., level=[80, 95]).")
    own = ax is None
    ax = new_axes(ax, figsize=(8, 4.5))
    models = list(dict.fromkeys(frame["model"]))
    for level in levels:
        ax.axhline(level / 100, color="0.6", linewidth=1)
    for number, model in enumerate(models):
        rows = frame[frame["model"] == model]
        for nth, level in enumerate(levels):
            # Of one model lines differ by their markers: filled, then hollow.
            fill = {"markerfacecolor": "white"} if nth % 2 else {}
            draw_line(ax, rows["horizon"], rows[f"coverage-{level:g}"], number, label=f"{model}, {level:g} %", **fill)
    ax.set_ylim(min(0.5, ax.get_ylim()[0]), 1.02)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("step after the cutoff")
    ax.set_ylabel("share of truths within the bounds")
    draw_legend(ax, own)
    return ax.figure


def plot_pit(frame: Any, *, ax: Any = None) -> Any:
    """Return a figure of where truths lie among the sample paths: a histogram for each model, flat if all is well.

    Parameters
    ----------
    frame : DataFrame
        As from ``BacktestResult.pit()``.
    ax : matplotlib Axes or several, optional
        One for each model.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is no such frame, or there are not as many axes as models.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.plotting import plot_pit
    >>> bins = pd.DataFrame({"model": "ets", "low": [0.0, 0.5], "high": [0.5, 1.0], "share": [0.4, 0.6], "n": 90})
    >>> figure = plot_pit(bins)  # also: result.plot("pit")
    """
    check_frame("frame", frame, "model", "low", "high", "share", "n")
    models = list(dict.fromkeys(frame["model"]))
    if ax is None:
        size = {"figsize": (2.2 + 2.6 * len(models), 3.4), "sharey": True, "squeeze": False}
        panels = list(new_axes(None, ncols=len(models), **size)[0])
    else:
        panels = list(ax) if hasattr(ax, "__len__") else [ax]
    if len(panels) != len(models):
        raise ArgumentError(f"ax: expected {len(models)} axes, one for each model; got {len(panels)}.")
    for panel, model in zip(panels, models, strict=True):
        rows = frame[frame["model"] == model]
        width = rows["high"] - rows["low"]
        panel.bar(rows["low"], rows["share"], width=width, align="edge", color="C0", edgecolor="white", linewidth=0.8)
        panel.axhline(1 / len(rows), color="black", linewidth=1)
        panel.set_title(f"{model}, n = {rows['n'].iloc[0]}", loc="left", fontsize="medium")
        panel.set_xlim(0, 1)
        panel.set_xlabel("place among the paths")
    panels[0].set_ylabel("share of truths")
    return panels[0].figure


def plot_paths(
    history: Any,
    paths: Any,
    *,
    series: Any = None,
    n_series: int | None = None,
    last: int | None = None,
    n_shown: int = 30,
    ax: Any = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
) -> Any:
    """Return a figure of series: what was observed, some sample paths, and the fan that all of them fill.

    Parameters
    ----------
    history : DataFrame
        Long frame; without the id column it is one series. Rows after the cutoff are drawn too: the truth.
    paths : DataFrame
        As from ``sample_paths``, of one target and without scenarios.
    series : id or list of them, optional
        Which, at most 4, one panel each; by default the first of `paths`.
    n_series : int, optional
        How many of the first ones; 1 by default.
    last : int, optional
        Rows to show up to the cutoff, the last ones; by default 4 times the horizon, at least 48.
    n_shown : int
        Paths that are drawn as lines: the first ones.
    ax : matplotlib Axes, optional
        Takes one series.
    id_col, time_col, target_col : str
        Names of the columns in both frames.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If a frame is no such frame, or there is no such series.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> from tsforce.plotting import plot_paths
    >>> df = load("airpassengers")
    >>> paths = Baseline("seasonal_naive", horizon=12).fit(df).sample_paths(50)
    >>> figure = plot_paths(df, paths, last=36, n_shown=10)
    """
    check_frame("history", history, time_col, target_col)
    check_frame("paths", paths, id_col, time_col, "horizon", "path")
    models = [name for name in paths.columns if name not in (id_col, time_col, "horizon", "path")]
    if len(models) != 1:
        raise ArgumentError(f"paths: expected one column of draws; there are {abbreviate(models)}. Keep one of them.")
    known = list(paths[id_col].unique())
    chosen = series_to_draw(series, n_series, known, ax, 1)
    check_last(last)
    panels = series_panels(chosen, ax)
    for panel, name in zip(panels, chosen, strict=True):
        rows, own = rows_of(history, id_col, name).sort_values(time_col), paths[paths[id_col] == name]
        _draw_paths(panel, rows, own, models[0], n_shown, last, time_col, target_col)
    return name_panels(panels, chosen, target_col, ax)


def _draw_paths(
    ax: Any, rows: Any, own: Any, model: str, n_shown: int, last: int | None, time_col: str, target_col: str
) -> None:
    """Draw the rows and the paths of one series."""
    ahead = own[own["path"] == own["path"].iloc[0]][time_col]
    horizon = len(ahead)
    draws = own[model].to_numpy().reshape(-1, horizon)
    rows = rows[rows[time_col] <= ahead.iloc[-1]]
    before = int((rows[time_col] < ahead.iloc[0]).sum())
    rows = rows.iloc[max(0, before - (last or max(48, 4 * horizon))) :]
    by_step = own.groupby("horizon")[model]
    for level in (95, 80, 50):
        low, high = (by_step.quantile(0.5 + side * level / 200) for side in (-1, 1))
        ax.fill_between(ahead, low, high, color="C1", alpha=0.2, linewidth=0, label=f"{level} % of the paths")
    for number, draw in enumerate(draws[:n_shown]):
        ax.plot(
            ahead,
            draw,
            color="C1",
            linewidth=0.6,
            alpha=0.6,
            **({} if number else {"label": f"{model}, {len(draws[:n_shown])} paths"}),
        )
    ax.plot(rows[time_col], rows[target_col], color="black", linewidth=1, label="observed")
    if before:
        ax.axvline(rows[rows[time_col] < ahead.iloc[0]][time_col].iloc[-1], color="0.6", linewidth=1, label="cutoff")
    label_time(ax, ahead, time_col)
