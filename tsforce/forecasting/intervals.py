"""Conformal prediction intervals for any forecaster: what is asked for, and the bounds of some forecasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tsforce.data.frame import cutoff_rows
from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.errors import ArgumentError, check_choice
from tsforce.forecasting.calibration import Calibration
from tsforce.forecasting.past_forecasts import calibrate

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["Bounds", "Intervals", "bounds_at", "calibration_of", "check_levels", "learnt_rows"]


@dataclass(frozen=True)
class Intervals:
    """Which prediction intervals: what ``level=`` takes in place of numbers, to say more than levels.

    Parameters
    ----------
    levels : float or sequence of float
        In percent, such as ``[80, 95]``.
    over : "step" or "path"
        Whether a level is how often the truth of each step lies within its bounds, or how often the whole path to the
        horizon does: bands for all steps at once are wider.
    scale : "all" or "recent"
        What widths go with: how much a series has moved from season to season so far, or by half how much it has lately
        (weights halve every 10 rows, or every season if that is longer): wider after restless times, narrower after
        calm ones. Where there are many series, how much recent moves count is found from their errors either way.
    whole : bool
        Whether bounds of series that hold whole numbers alone are whole: the lowest and the highest within.

    Raises
    ------
    ArgumentError
        If an argument is not accepted.

    Examples
    --------
    >>> from tsforce import Baseline, Intervals
    >>> from tsforce.datasets import load
    >>> model = Baseline("seasonal_naive", horizon=12).fit(load("airpassengers"))
    >>> width = {}
    >>> for over in ("step", "path"):
    ...     forecast = model.predict(level=Intervals(80, over=over))
    ...     width[over] = (forecast["seasonal_naive-hi-80"] - forecast["seasonal_naive-lo-80"]).mean()
    >>> bool(width["path"] > width["step"])
    True
    """

    levels: Any
    over: str = "step"
    scale: str = "all"
    whole: bool = False

    def __post_init__(self) -> None:
        check_choice("over", self.over, ("step", "path"))
        check_choice("scale", self.scale, ("all", "recent"))
        if not isinstance(self.whole, (bool, np.bool_)):
            raise ArgumentError(f"whole={self.whole!r}: expected True or False.")
        # Ascending, each once, however they were given.
        object.__setattr__(self, "levels", _in_order(self.levels))


def _in_order(level: Any) -> tuple[float, ...]:
    given = [level] if isinstance(level, (int, float, np.number, str)) else list(level)
    for one in given:
        if isinstance(one, (bool, np.bool_, str)) or not isinstance(one, (int, float, np.number)) or not 0 < one < 100:
            raise ArgumentError(f"level={level!r}: expected percents between 0 and 100, such as level=[80, 95].")
    if not given:
        raise ArgumentError("level is empty: expected percents between 0 and 100, such as level=[80, 95].")
    return tuple(sorted({float(one) for one in given}))


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of some forecasts.

    Attributes
    ----------
    asked : Intervals
        L levels.
    low, high : (L, W, H, C) float64, original units
        NaN where the errors are too few for the level.
    sources : dict of str -> str
        For each level, as the columns spell it, what its bounds were taken from, for the frame's ``attrs``.
    """

    asked: Intervals
    low: FloatArray
    high: FloatArray
    sources: dict[str, str]

    @staticmethod
    def blank(asked: Intervals, shape: tuple[int, ...]) -> Bounds:
        """Return bounds that are NaN, of forecasts of some shape (W, H, C)."""
        low, high = (np.full((len(asked.levels), *shape), np.nan) for _ in range(2))
        return Bounds(asked, low, high, {})

    @property
    def levels(self) -> tuple[float, ...]:
        """In percent, ascending."""
        found: tuple[float, ...] = self.asked.levels
        return found

    def some(self, chosen: Any) -> Bounds:
        """Return those of some windows."""
        return replace(self, low=self.low[:, chosen], high=self.high[:, chosen])

    def of_channels(self, chosen: slice) -> Bounds:
        """Return those of some targets."""
        return replace(self, low=self.low[..., chosen], high=self.high[..., chosen])

    def columns(self, name: str, channel: int) -> dict[str, FloatArray]:
        """Return the columns of one target's bounds, flat, in the order of the frame."""
        return {
            f"{name}-{side}-{level:g}": bound[k, :, :, channel].reshape(-1)
            for k, level in enumerate(self.levels)
            for side, bound in (("lo", self.low), ("hi", self.high))
        }


def check_levels(level: Any) -> Intervals | None:
    """Return what is asked for; None for None.

    Raises
    ------
    ArgumentError
        If a level is no number between 0 and 100.
    """
    return level if level is None or isinstance(level, Intervals) else Intervals(level)


def bounds_at(
    model: Forecaster,
    panel: Panel,
    index: WindowIndex,
    yhat: FloatArray,
    asked: Intervals,
    rows: Panel | None = None,
) -> Bounds:
    """Return the bounds of a fitted forecaster's forecasts after some windows.

    Parameters
    ----------
    model : Forecaster
        Calibrated once for its horizon, or the one asked for if that is longer; what was found stays with it.
    panel, index : Panel, WindowIndex
        The W windows.
    yhat : (W, H, C) float64, original units
    asked : Intervals
        From `check_levels`.
    rows : Panel, optional
        What the model learnt from, where it keeps no rows of its own.

    Warns
    -----
    IntervalWarning
        If there are too few errors for a level: says the highest that there are enough for.
    """
    how = {"whole_path": asked.over == "path", "recent": asked.scale == "recent", "whole": asked.whole}
    ends = cutoff_rows(panel, model.train_end_)
    found = calibration_of(model, yhat.shape[1], rows).bounds(panel, index, yhat, asked.levels, ends=ends, **how)
    return Bounds(asked, *found)


def calibration_of(model: Forecaster, steps: int, rows: Panel | None = None) -> Calibration:
    """Return a fitted forecaster's errors at past cutoffs, over its horizon or that many steps, the longer of both.

    They are found once, and stay with it. `rows` as in `bounds_at`.
    """
    horizon = max(steps, model._horizon_of(None) or 0)
    kept: dict[int, Calibration] = model.__dict__.setdefault("_calibrations_", {})
    if horizon not in kept:
        kept[horizon] = calibrate(model, learnt_rows(model, rows), horizon)
    return kept[horizon]


def learnt_rows(model: Forecaster, rows: Panel | None = None) -> Panel:
    """Return the rows that a fitted forecaster learnt from: those that it keeps, else its part of `rows`."""
    learnt = getattr(model, "_learnt_from_", None)
    if learnt is not None:
        found: Panel = learnt
        return found
    if rows is None:
        raise ArgumentError(
            f"level=: this {type(model).__name__} keeps none of the rows that it was fitted on, and intervals are "
            f"calibrated on them. Was it loaded from a file? save(path, training_rows=True) keeps them, and after a "
            f"first predict(level=) a file holds the bounds. Is it a class of yours? End its fit with "
            f"tsforce.forecasting.parts.end_fit. Or call predict_at(df, ..., level=) or backtest(..., level=), which "
            f"are given the rows."
        )
    return rows.head(np.clip(cutoff_rows(rows, model.train_end_) + 1, 0, rows.lengths))
