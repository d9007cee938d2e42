"""Settings of a NARX forecaster that look at the data: what "auto" means for each of them.

Chosen on training rows of M3 and M4 groups, by closed-loop forecasts at cutoffs inside them; docs/defaults.md has the
rules and the tables behind them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsforce.data.panel import IntArray, Panel
from tsforce.data.transforms import Difference, Log, MeanScale, Transform, check_transforms
from tsforce.data.windows import check_window_scaling
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import Family
from tsforce.errors import check_choice
from tsforce.forecasting.arguments import output_lags_of, resolve_lags
from tsforce.training.fit import LINEAR
from tsforce.training.solvers.priors import PRIORS

__all__ = ["is_auto", "is_positive", "lags_for", "prior_for", "scaling_for", "scope_for", "transforms_for"]

# Least and most lags in a row that are taken without being asked for, apart from those of a season.
_FEW, _MANY = 4, 256
# Share of the rows of the median series that lags take.
_SHARE = 4
# Seasons up to which every lag of one is read; of longer ones the lags on both sides of its end.
_DENSE_SEASON = 100
# A series with values of less than this share of its mean has no scale that factors make sense in.
_NEAR_ZERO = 1e-3


def is_auto(value: Any) -> bool:
    """Return whether a setting is left to the data; arrays and transforms are none."""
    return isinstance(value, str) and value == "auto"


def scope_for(scope: Any, kind: Any, lags: Any, transforms: Any, panel: Panel, *, least: int = 0) -> bool:
    """Return whether one model is learnt for all series.

    "auto": each series has its own where that is a linear map, no input tells series apart, and every series has the
    rows for the lags, and for the `least` steps that anything else looks back; else one for all.

    Raises
    ------
    ArgumentError
        If the scope is not known.
    """
    if not is_auto(scope):
        return check_choice("scope", scope, ("auto", "local", "global")) == "global"
    if kind != LINEAR or panel.columns.static:
        return True
    lost = 0 if is_auto(transforms) else sum(t.rows_lost for t in check_transforms(transforms))
    found = (1,) if is_auto(lags) else output_lags_of(lags)
    return bool((panel.lengths < 1 + lost + max(least, *(found or (0,)))).any())


def transforms_for(transforms: Any, kind: Any, panel: Panel, *, pooled: bool, has_lags: bool) -> tuple[Transform, ...]:
    """Return the transforms of the target.

    "auto": for a linear map per series, and for polynomials, none. Else one scale for all series: values divided by the
    mean of their series, and for networks and regressors logarithms, if every value is positive and none is next to 0.
    (A linear map of logarithms would continue no line.)

    Raises
    ------
    ArgumentTypeError
        If they are no transforms.
    """
    if not is_auto(transforms):
        return check_transforms(transforms)
    plain = isinstance(kind, Family) and kind.closed_form and (not pooled or kind != LINEAR)
    if plain or not has_lags:
        return ()
    return (Log(),) if kind != LINEAR and is_positive(panel) else (MeanScale(),)


def is_positive(panel: Panel) -> bool:
    """Return whether logarithms suit every series: all values are positive, and none is next to 0."""
    starts = panel.indptr[:-1]
    with np.errstate(invalid="ignore"):
        low = np.fmin.reduceat(panel.values, starts, axis=0)
        total = np.add.reduceat(np.nan_to_num(panel.values), starts, axis=0)
        count = np.add.reduceat(~np.isnan(panel.values), starts, axis=0)
    return bool((low > _NEAR_ZERO * total / np.maximum(count, 1)).all() and (low > 0).all())


def lags_for(
    lags: Any, horizon: int, season: int, panel: Panel, lost: int, *, pooled: bool, drop: bool, has_inputs: bool
) -> tuple[int, ...]:
    """Return the lags, ascending.

    "auto": ``4 * horizon``, at least 4 and at most a quarter of the rows of the median series; with a season at least
    one more than that (of a season of more than 100 steps, that lag and the one before it). Of models per series, no
    more than leave the shortest as many rows to learn from; the season's only have to leave it one.

    Parameters
    ----------
    lost : int
        Rows that the transforms leave without a value.
    pooled, drop, has_inputs
        As in `resolve_lags`, which takes all else.
    """
    if not is_auto(lags):
        return resolve_lags(lags, has_inputs=has_inputs)
    lengths = _fitted(panel.lengths, lost, pooled=pooled, drop=drop) - lost
    shortest, typical = int(lengths.min()), int(np.median(lengths))
    wanted = max(_FEW, min(4 * horizon, typical // _SHARE, _MANY))
    most = typical // 2 if pooled else (shortest - 1) // 2
    dense = max(1, min(wanted, most))
    bears_season = season > 1 and season + 2 <= (typical if pooled else shortest)
    if not bears_season:
        return tuple(range(1, dense + 1))
    if season <= _DENSE_SEASON:
        return tuple(range(1, max(dense, season + 1) + 1))
    return tuple(sorted({*range(1, dense + 1), season, season + 1}))


def _fitted(lengths: IntArray, lost: int, *, pooled: bool, drop: bool) -> IntArray:
    """Return the lengths that have a say: not those of series that are to be left out."""
    enough = lengths[lengths >= 1 + lost + (0 if pooled else 1)]
    return enough if drop and len(enough) else lengths


def scaling_for(scaling: Any, *, pooled: bool, has_lags: bool) -> str | None:
    """Return the window scaling.

    "auto": none per series and without lags; else each window is taken relative to its last value.

    Raises
    ------
    ArgumentError
        If it is not known.
    """
    if not is_auto(scaling):
        return check_window_scaling(scaling)
    return "last" if pooled and has_lags else None


def prior_for(
    prior: Any, kind: Any, layout: LagLayout, transforms: tuple[Transform, ...], *, pooled: bool, ridge: Any
) -> str:
    """Return what weights are shrunk to.

    "auto": exponential smoothing for linear maps per series of one target that read the last values as they are, whose
    penalty is chosen; a penalty that is given is ridge regression's, and so are the others': they shrink to zero.
    """
    if not is_auto(prior):
        return check_choice("prior", prior, ("auto", *PRIORS))
    levels = not any(isinstance(t, Difference) for t in transforms)
    alone = len(layout.channels) == 1 and 1 in layout.lags and (layout.is_contiguous or not layout.ahead)
    smooths = kind == LINEAR and not pooled and alone and levels and ridge is None
    return "auto" if smooths else "zero"
