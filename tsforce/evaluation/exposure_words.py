"""Figures of exposure beyond its errors by step, and what all of them say in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.evaluation.exposure import Exposure

__all__ = ["Response", "Spread", "describe_exposure"]

# Up to the first, errors are called about equal; up to the second, what a map does to an error per step is nothing.
_CLOSE, _NEUTRAL = 0.05, 0.01
# Most of what the truth brings.
_MOST = 0.8


@dataclass(frozen=True)
class Response:
    """Errors at one forcing ratio, in units of the seasonal-naive scale, pooled over windows, steps, series, targets.

    Attributes
    ----------
    rmse, mae : float
    n_windows, n_left_out : int
        Windows that were pooled; that have no scale.
    """

    rmse: float
    mae: float
    n_windows: int
    n_left_out: int


@dataclass(frozen=True)
class Spread:
    """What the one-step map does to small errors along closed-loop forecasts; NaN where there is no such map.

    Attributes
    ----------
    radius_median, radius_max : float
        Spectral radius of the companion map, over windows and steps.
    growth : float
        Mean log growth per step of an error in a random direction; the median over windows.
    n_windows : int
        How many were looked at.
    """

    radius_median: float
    radius_max: float
    growth: float
    n_windows: int


def describe_exposure(
    name: str,
    exposure: Exposure,
    response: Mapping[float, Response],
    spread: Spread,
    *,
    mode: Any,
) -> str:
    """Return one paragraph about one model.

    Parameters
    ----------
    name : str
    exposure : Exposure
    response : dict of forcing ratio -> Response
        With 1 and 0 among the ratios.
    spread : Spread
    mode : str, Forcing or None
        What the model was trained in; None: in nothing that could be changed.
    """
    closed, one, gap = exposure.rmse_closed, exposure.rmse_one_step, exposure.gap
    steps = np.flatnonzero(exposure.n_windows > 0)
    if len(steps) == 0:
        return f"{name}: no window has a scale to measure errors by."
    first, last = int(steps[0]), int(steps[-1])
    drift, naive = _first(closed > 2 * one), _first(closed >= exposure.rmse_naive)
    ends = sorted({first, last})

    def at_ends(values: npt.NDArray[np.float64], digits: int) -> str:
        return " and ".join(f"{values[step]:.{digits}f}" for step in ends)

    said = [
        f"{name}: at step {' and '.join(str(step + 1) for step in ends)} its closed-loop error is {at_ends(closed, 3)} "
        f"in units of the seasonal-naive scale; one step ahead, at the same targets, it is {at_ends(one, 3)}. That is "
        f"an exposure gap of {at_ends(gap, 2)}: compare it between modes, never with 1, which even the true model of a "
        f"noisy series exceeds.",
        "At no step is the closed-loop error above twice the one-step error;"
        if drift is None
        else f"At step {drift}, for the first time, the closed-loop error is above twice the one-step error;",
        "it beats repeating the last value at every step."
        if naive is None
        else f"at step {naive}, for the first time, it is no better than repeating the last value.",
    ]
    if exposure.diverged_share > 0:
        said.append(f"{_percent(exposure.diverged_share)} of the windows diverged.")
    said += [_of_response(response, int(exposure.n_windows.max())), _of_spread(spread)]
    said.append(
        _advice(response[0].rmse > (1 + _CLOSE) * response[1].rmse, naive, exposure.diverged_share, spread, mode=mode)
    )
    return " ".join(sentence for sentence in said if sentence)


def _first(condition: npt.NDArray[np.bool_]) -> int | None:
    steps = np.flatnonzero(condition)
    return int(steps[0]) + 1 if len(steps) else None


def _percent(share: float) -> str:
    return f"{round(100 * share, 1):g} %"


def _of_response(response: Mapping[float, Response], n_windows: int) -> str:
    """Return what a share of the truth is worth."""
    one, closed = response[1].rmse, response[0].rmse
    between = sorted((ratio for ratio in response if 0 < ratio < 1), reverse=True)
    if not np.isfinite([found.rmse for found in response.values()]).all():
        return ""
    figures = "".join(f", {response[ratio].rmse:.3f} if {_percent(ratio)} do" for ratio in between)
    looked = response[1].n_windows
    some = f" (of {looked} of {n_windows} windows)" if looked < n_windows else ""
    said = (
        f"Over all steps{some} its error is {one:.3f} if every observed target comes in on the way{figures}, "
        f"{closed:.3f} if none does"
    )
    if closed <= (1 + _CLOSE) * one:
        return f"{said}: it hardly matters."
    enough = min(r for r in response if closed - response[r].rmse >= _MOST * (closed - one))
    if enough == 1 and between:
        return f"{said}: even {_percent(between[0])} of them bring less than {_percent(_MOST)} of what all bring."
    return f"{said}: {_percent(enough)} of them bring at least {_percent(_MOST)} of what all bring."


def _of_spread(spread: Spread) -> str:
    """Return what becomes of small errors."""
    if spread.n_windows == 0:
        return ""
    change = float(np.expm1(spread.growth))
    if abs(spread.growth) <= _NEUTRAL:
        said = "neither grow nor shrink over the horizon"
    else:
        said = f"{'grow' if change > 0 else 'shrink'} by {_percent(abs(change))} per step over the horizon"
    long_run = ""
    if spread.growth <= _NEUTRAL and spread.radius_median > 1 + _NEUTRAL:
        long_run = ", yet in the long run they would grow"
    elif spread.growth > _NEUTRAL and spread.radius_median < 1 - _NEUTRAL:
        long_run = ", yet in the long run they would shrink"
    return (
        f"Small errors in what it is fed {said}{long_run}: its one-step map has a spectral radius of "
        f"{spread.radius_median:.3f} at the median of steps and {spread.radius_max:.3f} at most ({spread.n_windows} "
        f"windows)."
    )


def _advice(costs: bool, naive: int | None, diverged: float, spread: Spread, *, mode: Any) -> str:
    """Return what may help; `costs`: whether its own outputs cost it something."""
    tries = []
    expands = spread.n_windows > 0 and max(spread.growth, spread.radius_median - 1) > _NEUTRAL
    if mode is not None and (costs or expands):
        # "auto" has looked at the curriculum already.
        tried = {"auto": "curriculum"}.get(mode, mode) if isinstance(mode, str) else None
        others = " or ".join(repr(other) for other in ("closed_loop", "curriculum") if other != tried)
        tries.append(f"mode={others}, which trains on own outputs (compare_modes says what that gains)")
    if expands or diverged > 0:
        tries.append("more ridge or fewer lags" if expands else "fewer lags")
    if naive is not None:
        tries.append("other lags, a Difference, or inputs known over the horizon")
    elif not expands and costs:
        tries.append("inputs known over the horizon (future_exog, calendar)")
    if not tries:
        return "Own outputs cost it little: what is left is the one-step error."
    return f"To try: {'; '.join(tries)}."
