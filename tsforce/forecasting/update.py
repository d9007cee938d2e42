"""What an update of a fitted forecaster has changed, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsforce.data.later_rows import Grown
from tsforce.data.panel import FloatArray, WindowIndex, ragged_rows
from tsforce.errors import abbreviate
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.side_by_side import forecasts_at
from tsforce.scoring.metrics import mean_in_scales

__all__ = ["Update", "error_at_new_rows", "in_scales"]

# Last new rows of a series whose errors are looked at where each costs a forecast of its own.
_MOST = 100


@dataclass(frozen=True)
class Update:
    """What ``update`` has changed.

    Attributes
    ----------
    name : str
        Of the forecaster.
    rows : int
        New rows that were taken in, of all series.
    n_series : int
        Series that had some.
    new_series : tuple
        Ids of series that were not known before.
    way : str
        "moments" (least squares of all rows, from moments that grow), "least squares" (from the rows themselves),
        "steps" (of training, from the weights it had), "fitted again", "state" (nothing but what is read last) or
        "members" (each in its own way).
    change : float
        Size of the change of the weights, relative to theirs; of an ensemble that is combined by weights half of the
        share that has moved. NaN where there are none to compare.
    error_before : float
        Mean absolute error one step ahead at the new rows, before they were learnt from, in units of each series'
        seasonal-naive scale. NaN where none can be taken.
    members : dict of str -> Update
        Of an ensemble.
    """

    name: str
    rows: int
    n_series: int
    way: str
    new_series: tuple[Any, ...] = ()
    change: float = float("nan")
    error_before: float = float("nan")
    members: dict[str, Update] = field(default_factory=dict)

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.name}: no new row, nothing has changed."
        new = f", {len(self.new_series)} of them new ({abbreviate(self.new_series, limit=3)})" * bool(self.new_series)
        words = [f"{self.name}: {self.rows} new rows of {self.n_series} series{new}, by {self.way}."]
        if np.isfinite(self.error_before):
            words.append(f"One step ahead their error was {self.error_before:.3g} seasonal-naive scales.")
        if np.isfinite(self.change):
            words.append(f"Weights have changed by {100 * self.change:.3g} %.")
        return " ".join(words)


def in_scales(errors: FloatArray, model: Forecaster, series: Any) -> float:
    """Return the mean over series of absolute errors (W, C), in the scales of a fitted forecaster; NaN without.

    `series` (W,) are positions among the series that it was fitted to.
    """
    scale = np.array(list(model._naive_scale_.values()))
    relative = mean_in_scales(errors, scale[series])
    known = np.isfinite(relative)
    if not known.any():
        return float("nan")
    count, total = np.bincount(series[known]), np.bincount(series[known], relative[known])
    return float((total[count > 0] / count[count > 0]).mean())


def error_at_new_rows(model: Forecaster, now: Grown) -> float:
    """Return the one-step error of a fitted forecaster at the last new rows of the series it knows."""
    panel, known = now.panel, np.arange(now.n_known)
    counts = np.minimum(now.counts[known], _MOST)
    series = np.repeat(known, counts)
    rows = ragged_rows(panel.lengths[known] - 1 - counts, counts)
    seen = rows >= 0
    index = WindowIndex(series[seen], rows[seen])
    if len(index) == 0:
        return float("nan")
    yhat = forecasts_at(model, panel, index, 1)[:, 0]
    truth = panel.values[panel.indptr[index.series] + index.rows + 1]
    return in_scales(np.abs(truth - yhat), model, index.series)
