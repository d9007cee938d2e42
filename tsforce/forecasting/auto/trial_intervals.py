"""How good the intervals of each candidate would be: its errors on trial bound each other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.panel import FloatArray, WindowIndex
from tsforce.errors import IntervalWarning
from tsforce.forecasting.auto.trials import Trial, TrialWindows
from tsforce.forecasting.calibration import respected
from tsforce.forecasting.past_forecasts import calibration_from
from tsforce.scoring.interval_scores import covered, interval_score
from tsforce.scoring.metrics import error_scale, has_scale, mean_of_known

__all__ = ["interval_scores"]


def interval_scores(trials: Sequence[Trial], windows: TrialWindows, levels: Sequence[float], season: int) -> Any:
    """Return coverage, width and MSIS of bounds of each candidate's forecasts on trial.

    Those of every other series are bounded by the errors of the rest, and the other way round; of a single series
    those of every other window.

    Parameters
    ----------
    trials : sequence of Trial
    windows : TrialWindows
    levels : sequence of float
        In percent, ascending.
    season : int

    Returns
    -------
    DataFrame
        candidate, and for each level coverage-80, width-80 and msis-80 (in seasonal-naive errors); NaN where errors are
        too few for the level.
    """
    learnt = windows.learnt
    scale = error_scale(learnt.values, learnt.indptr, season, learnt.lengths)
    scale = np.where(has_scale(scale), scale, np.nan)[windows.index.series][:, None]
    rows = []
    for trial in trials:
        low, high = _bounds(trial.yhat, windows, levels, season)
        row: dict[str, Any] = {"candidate": trial.candidate.name}
        for level, below, above in zip(levels, low, high, strict=True):
            found = {
                "coverage": covered(windows.truth, below, above),
                "width": (above - below) / scale,
                "msis": interval_score(windows.truth, below, above, level / 100) / scale,
            }
            row |= {f"{name}-{level:g}": float(mean_of_known(part.ravel(), 0)) for name, part in found.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _bounds(yhat: FloatArray, windows: TrialWindows, levels: Sequence[float], season: int) -> FloatArray:
    """Return lower and upper bounds of forecasts on trial, (2, L, W, H, C)."""
    panel, index = windows.panel, windows.index
    found = np.full((2, len(levels), *yhat.shape), np.nan)
    half = (index.series if panel.n_series > 1 else windows.number) % 2
    same = np.diff(index.series) == 0
    apart = int(np.median(np.diff(index.rows)[same])) if same.any() else yhat.shape[1]
    for own in (half == 0, half == 1):
        here, there = (WindowIndex(index.series[part], index.rows[part]) for part in (own, ~own))
        if len(here) and len(there):
            errors = calibration_from(panel, there, yhat[~own], 0, season, np.full(panel.n_series, apart))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IntervalWarning)
                # Series go on after these cutoffs: what they had shown by then is what counts.
                floor, counts = respected(windows.learnt)
                errors = replace(errors, lengths=np.zeros_like(panel.lengths), floor=floor, counts=counts)
                found[0][:, own], found[1][:, own], _ = errors.bounds(panel, here, yhat[own], levels)
    return found
