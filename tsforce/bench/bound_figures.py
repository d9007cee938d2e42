"""What the rows of a competition say of prediction intervals, where a run was asked for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tsforce.forecasting.intervals import Intervals
from tsforce.scoring.interval_scores import covered, interval_score

__all__ = ["bound_columns", "bound_figures"]


def bound_columns(asked: Intervals | None) -> tuple[str, ...]:
    """Return the columns of the levels that a run was asked for.

    Examples
    --------
    >>> bound_columns(Intervals(95))
    ('coverage-95', 'width-95', 'msis-95', 'level_cpu_s')
    """
    if asked is None:
        return ()
    each = [f"{kind}-{level:g}" for level in asked.levels for kind in ("coverage", "width", "msis")]
    return (*each, "level_cpu_s")


def bound_figures(
    forecasts: Any, name: str, asked: Intervals, truth: Any, scale: Any
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the figures of each level, and how many series have no bounds.

    Coverage is over all values; width and MSIS (Makridakis, Spiliotis & Assimakopoulos 2020) are means over series of
    each series' own mean over its scale. Series without bounds count in none of them, series without a scale in
    coverage alone.

    Parameters
    ----------
    forecasts : DataFrame
        With the bounds of S series, H rows each.
    name : str
        The forecaster's.
    asked : Intervals
    truth : (S, H), original units
    scale : (S,)
        Of MASE; 0 or NaN where a series has none.
    """
    figures: dict[str, float] = {}
    missing: dict[str, int] = {}
    for level in asked.levels:
        low, high = (forecasts[f"{name}-{side}-{level:g}"].to_numpy().reshape(truth.shape) for side in ("lo", "hi"))
        bounded = ~np.isnan(low).any(axis=1)
        scaled = bounded & (scale > 0)
        inside = covered(truth[bounded], low[bounded], high[bounded])
        truth_, low_, high_, unit = (part[scaled] for part in (truth, low, high, scale))
        score = interval_score(truth_, low_, high_, level / 100).mean(axis=1) / unit
        figures |= {
            f"coverage-{level:g}": _mean(inside),
            f"width-{level:g}": _mean((high_ - low_).mean(axis=1) / unit),
            f"msis-{level:g}": _mean(score),
        }
        missing[f"without {level:g} % bounds"] = int((~bounded).sum())
    return figures, missing


def _mean(values: Any) -> float:
    return float(values.mean()) if values.size else math.nan
