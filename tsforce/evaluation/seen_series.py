"""The series of a backtest as a page shows them: history, truth and forecasts as short lists, by errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.scoring.cutoffs import even_draw

__all__ = ["Ahead", "SeenSeries", "see_series"]

# Rows before the first cutoff: so many horizons, and at least so many.
_HORIZONS, _ROWS = 4, 48
# Values that say how long numbers are as text, of each kind; and how long those of bounds are at least.
_SAMPLE, _BOUND_BYTES = 1000, 6.5


@dataclass(frozen=True)
class SeenSeries:
    """Some series of a panel, worst first, as plain lists.

    Attributes
    ----------
    stamps : list of str
        The time axis that `start` and `cutoffs` count on.
    entries : list of dict
        ``at`` (which series of the panel); ``id``; ``error`` (one per model); ``start`` (of `y`, on the time axis);
        ``y`` (history and truth); ``windows``, each a dict of ``cutoff`` (on the time axis), ``forecasts`` (one list
        per model) and ``bounds`` (for each model a list of lower and upper bounds per level). Numbers have five digits,
        None stands for what is missing or not finite.
    n_all : int
        How many there are, those that are not shown too.
    levels : list of list of float
        Of each model.
    """

    stamps: list[str]
    entries: list[dict[str, Any]]
    n_all: int
    levels: list[list[float]]


@dataclass(frozen=True, eq=False)
class Ahead:
    """One forecaster's forecasts of W windows, where none were judged.

    Attributes
    ----------
    yhat : (W, H, C) float64, original units
    bounds : list of (level in percent, lower, upper), the bounds (W, H, C)
    """

    yhat: FloatArray
    bounds: list[tuple[float, FloatArray, FloatArray]]

    def each_level(self) -> list[tuple[float, FloatArray, FloatArray]]:
        """Return the bounds, as ``Judged.each_level`` yields them."""
        return self.bounds


def _rounded(values: Any) -> list[float | None]:
    """Return numbers to five digits; None for what is not finite."""
    found: list[float | None] = []
    for value in np.asarray(values, dtype=np.float64).tolist():
        if value - value != 0.0:
            found.append(None)
            continue
        short = float(f"{value:.5g}")
        # A whole number is written shorter.
        found.append(int(short) if abs(short) < 1e15 and short == int(short) else short)
    return found


def see_series(
    panel: Panel,
    index: WindowIndex,
    models: list[Any],
    errors: FloatArray,
    *,
    channel: int,
    order: FloatArray,
    most: int,
    room: int,
    horizon: int,
) -> SeenSeries:
    """Return the series of some windows, the largest error first; if there are too many, some spread over all errors.

    Parameters
    ----------
    panel : Panel
    index : WindowIndex, W windows
    models : list of Judged or Ahead
    errors : (models, S) float64
        Of the S series that have a window, in order.
    channel : int
        Which target.
    order : (S,) float64
        What they are put in order by; the largest first, NaN last.
    most : int
        How many series at most.
    room : int
        How many bytes at most, about.
    horizon : int
    """
    series, first = np.unique(index.series, return_index=True)
    counts = np.diff([*first, len(index)])
    begin = np.maximum(index.rows[first] + 1 - max(_ROWS, _HORIZONS * horizon), 0)
    last = np.minimum(index.rows[first + counts - 1] + horizon, panel.lengths[series] - 1)
    levels = [[float(level) for level, _, _ in judged.each_level()] for judged in models]
    size = _bytes_of(panel.values[:, channel]) * (last + 1 - begin) + 80.0
    for judged, own_levels in zip(models, levels, strict=True):
        each = _bytes_of(judged.yhat[:, :, channel])
        size += horizon * counts * (each + 2 * len(own_levels) * max(each, _BOUND_BYTES))
    fit = max(1, int(room / float(size.mean())))
    ranked = np.argsort(-np.where(np.isnan(order), -np.inf, order), kind="stable")
    chosen = ranked[even_draw(len(ranked), min(most, fit))]
    ticks = _ticks(panel, series[chosen], begin[chosen], last[chosen] + horizon)
    place = {tick: nth for nth, tick in enumerate(ticks.tolist())}
    stamps = [str(stamp).removesuffix(" 00:00:00") for stamp in panel.clock.stamps(ticks)]
    bounds = [[(low, high) for _, low, high in judged.each_level()] for judged in models]
    entries = []
    for k in chosen.tolist():
        own = panel.values[panel.indptr[series[k]] + np.arange(begin[k], last[k] + 1), channel]
        windows = range(int(first[k]), int(first[k] + counts[k]))
        start = place[int(panel.ticks(series[k : k + 1], begin[k : k + 1])[0])]
        entries.append(
            {
                "at": int(series[k]),
                "id": str(panel.id_list[series[k]]),
                "error": _rounded(errors[:, k]),
                "start": start,
                "y": _rounded(own),
                "windows": [
                    {
                        "cutoff": start + int(index.rows[w] - begin[k]),
                        "forecasts": [_rounded(judged.yhat[w, :, channel]) for judged in models],
                        "bounds": [
                            [[_rounded(low[w, :, channel]), _rounded(high[w, :, channel])] for low, high in pairs]
                            for pairs in bounds
                        ],
                    }
                    for w in windows
                ],
            }
        )
    return SeenSeries(stamps, entries, len(series), levels)


def _bytes_of(values: FloatArray) -> float:
    """Return how long a number and the comma behind it are, on average."""
    flat = values.reshape(-1)
    sample = _rounded(flat[even_draw(len(flat), _SAMPLE)])
    return 1.0 + sum(len(str(value)) for value in sample) / max(1, len(sample))


def _ticks(panel: Panel, series: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """Return the ticks of some rows of each series, so that a series' own stand one behind the other."""
    rows = ragged_rows(first, last + 1 - first)
    ticks = np.unique(panel.ticks(np.repeat(series, last + 1 - first), rows))
    # Of series of every second month some have the even months.
    found: IntArray = ticks[np.lexsort((ticks, ticks % panel.clock.step))]
    return found
