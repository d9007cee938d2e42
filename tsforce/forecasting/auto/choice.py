"""How much each candidate is heard for each series: weighed by errors on trial, the same rule for all data.

The forecast is the weighted mean of the middle half of all candidates. A weight falls with a power of the candidate's
error; candidates of one family are alike and share a voice that grows with the root of their number. A series' own
errors say little where it has few windows: they are shrunk to those of series of like length, and these to the whole
panel's. (Whose errors go the same way: ``together.py``.) Combining beats picking (Bates
& Granger 1969, The combination of forecasts, Operational Research Quarterly 20; Timmermann 2006, Forecast combinations,
Handbook of Economic Forecasting 1); the constants were chosen inside the training rows of eleven panels (docs/auto.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsforce.data.panel import FloatArray, IntArray
from tsforce.forecasting.auto.trials import Trial, TrialWindows
from tsforce.scoring.metrics import mean_of_known, sum_by

__all__ = ["POWER", "heaviest", "relative_errors", "shrunk", "spread", "weigh", "weighted_middle"]

# A weight is the error to the power of minus this.
POWER = 3.0
# Forecast steps on trial at which a series' own errors count half.
_HALF = 20.0
# Of all weight, what lies below and above the middle that is heard.
_TAIL = 0.25
# Lengths whose logarithms are so far apart count by exp(-1/2), in steps that are looked at as one; and series of like
# length at which they count half, the panel the other half.
_APART, _STEP, _ALIKE = 0.1, 0.02, 10.0
# What counts as no error at all; and the logarithm of the largest relative error, also that of who was never judged.
_NOTHING, _MOST = 1e-6, 2.0
# Shares below this move nothing, and are not worth a fit.
_LEAST = 0.002
# Windows whose forecasts are sorted at once.
_CHUNK = 20_000


def weigh(trials: Sequence[Trial], windows: TrialWindows, *, each: bool = True) -> FloatArray:
    """Return the weight of each candidate for each series of the windows' panel, (M, S); each series' add up to 1.

    Parameters
    ----------
    trials : sequence of Trial
        The first one is of a reference that forecasts every series.
    windows : TrialWindows
    each : bool
        Whether a series' own errors have a say; else all of a length have the same weights.
    """
    fits: Any = np.stack([trial.fits for trial in trials])
    n_steps = windows.n_windows * windows.truth.shape[1]
    if not each:
        # Who cannot fit a series will be missing there when it is forecast.
        fits, n_steps = np.repeat(fits.any(axis=1)[:, None], fits.shape[1], axis=1), 0 * n_steps
    stands_in = np.array([trial.candidate.stands_in for trial in trials])
    fits[stands_in] &= ~fits[~stands_in].any(axis=0)
    errors = relative_errors([windows.by_series(t.errors) for t in trials])
    score = shrunk(errors, fits, n_steps, windows.panel.lengths)
    alike = Counter(trial.candidate.family for trial in trials if not trial.candidate.stands_in)
    voice = np.array([max(1, alike[trial.candidate.family]) ** -0.5 for trial in trials])
    weight = np.where(np.isfinite(score), voice[:, None] * np.exp(-POWER * (score - score.min(axis=0))), 0.0)
    weight /= weight.sum(axis=0)
    weight[weight < _LEAST] = 0.0
    found: FloatArray = weight / weight.sum(axis=0)
    return found


def heaviest(weight: FloatArray, most: int) -> FloatArray:
    """Return weights, (M, S), of the `most` candidates that are heaviest on all series; each series' add up to 1.

    Examples
    --------
    >>> heaviest(np.array([[0.1, 0.2], [0.6, 0.6], [0.3, 0.2]]), 2).round(3).tolist()
    [[0.0, 0.0], [0.667, 0.75], [0.333, 0.25]]
    """
    panel = weight.mean(axis=1)
    kept: Any = np.argsort(np.argsort(-panel, kind="stable")) < most
    # A series that hears none of these hears what all hear.
    heard = np.where(weight[kept].sum(axis=0) > 0, weight, panel[:, None]) * kept[:, None]
    found: FloatArray = heard / heard.sum(axis=0)
    return found


def weighted_middle(stack: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the weighted mean of the middle half of the candidates for each window, (W, H, C); NaN without a forecast.

    In order of size, what lies below a quarter and above three quarters of the weight is left out: a candidate that
    runs away moves nothing unless it has more than a quarter.

    Parameters
    ----------
    stack : (M, W, H, C) float64
        NaN where a candidate has no forecast: then the others have its weight.
    weight : (M, W) float64
        Where all that have a forecast have none, they are heard alike.

    Examples
    --------
    >>> stack = np.array([1.0, 2.0, 10.0])[:, None, None, None]
    >>> [weighted_middle(stack, np.array(w)[:, None]).item() for w in ([1, 2, 1], [0, 1, 1], [0, 1, 0])]
    [2.0, 6.0, 2.0]
    """
    parts = [
        _weighted_middle(stack[:, first : first + _CHUNK], weight[:, first : first + _CHUNK])
        for first in range(0, stack.shape[1], _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(stack.shape[1:])


def _weighted_middle(stack: FloatArray, weight: FloatArray) -> FloatArray:
    known: Any = ~np.isnan(stack)
    share = np.where(known, weight[:, :, None, None], 0.0)
    share = np.where(share.sum(axis=0) > 0, share, known.astype(np.float64))
    order = np.argsort(stack, axis=0, kind="stable")
    ordered, share = (np.take_along_axis(part, order, axis=0) for part in (stack, share))
    reached = np.cumsum(share, axis=0)
    total = reached[-1]
    # How much of each candidate's weight lies in the middle.
    heard = np.minimum(reached, (1 - _TAIL) * total) - np.maximum(reached - share, _TAIL * total)
    heard = np.where(heard > 1e-9 * total, heard, 0.0)
    with np.errstate(invalid="ignore"):
        found: FloatArray = np.where(heard > 0, heard * ordered, 0.0).sum(axis=0) / heard.sum(axis=0)
    return np.where(known.any(axis=0), found, np.nan)


def relative_errors(errors: Sequence[FloatArray]) -> FloatArray:
    """Return one error per candidate and series, (M, S), from (S, 2) of each: NaN where there is none.

    Half the sum of the error in scales and of sMAPE, each relative to what the first candidate has on the panel, as in
    the OWA of the M competitions; without sMAPE where that is not known.
    """
    stack = np.stack(errors)
    reference = mean_of_known(stack[0], 0)
    return mean_of_known(stack / np.where(reference > 0, reference, 1.0), -1)


def shrunk(errors: FloatArray, fits: Any, n_steps: IntArray, lengths: IntArray) -> FloatArray:
    """Return logarithms of errors of each series, shrunk to others', (M, S); inf where a candidate cannot fit.

    Parameters
    ----------
    errors : (M, S) float64
        NaN where a candidate has none.
    fits : (M, S) bool
    n_steps : (S,) int64
        Forecast steps that a series' errors come from.
    lengths : (S,) int64
        Rows of each series: others of like length say more.
    """
    known: Any = ~np.isnan(errors)
    middle = np.array(
        [np.median(own[seen]) if seen.any() else np.nan for own, seen in zip(errors.T, known.T, strict=True)]
    )
    own = np.log(np.maximum(errors, _NOTHING) / np.maximum(middle, _NOTHING))
    others = _of_like_length(np.clip(own, -_MOST, _MOST), lengths)
    share = np.where(np.isnan(middle), 0.0, n_steps / (n_steps + _HALF))
    found: FloatArray = share * np.nan_to_num(own) + (1 - share) * others
    return np.where(fits, found, np.inf)


def _of_like_length(own: FloatArray, lengths: IntArray) -> FloatArray:
    """Return the mean over series of logarithms of errors, (M, S), those of like length first.

    A mean of logarithms, and a median, are not moved by the few series on which a candidate runs away.
    """
    known: Any = ~np.isnan(own)
    panel = mean_of_known(own, 1)
    panel = np.where(np.isnan(panel), _MOST, panel)[:, None]
    places, which = np.unique(np.round(np.log(lengths) / _STEP), return_inverse=True)
    near = np.exp(-0.5 * ((places[:, None] - places) * _STEP / _APART) ** 2)
    total, count = (sum_by(which, part.T, len(places)).T @ near for part in (np.where(known, own, 0.0), known * 1.0))
    found: FloatArray = ((total + _ALIKE * panel) / (count + _ALIKE))[:, which]
    return found


def spread(weight: FloatArray, lengths: IntArray, everywhere: IntArray) -> FloatArray:
    """Return weights, (M, S), of some series for others: those of the one whose length is nearest.

    Parameters
    ----------
    weight : (M, T) float64
    lengths : (T,) int64
    everywhere : (S,) int64
        Lengths of the series that want weights.

    Examples
    --------
    >>> spread(np.array([[0.1, 0.2], [0.9, 0.8]]), np.array([50, 10]), np.array([11, 300, 29]))[0].tolist()
    [0.2, 0.1, 0.2]
    """
    order = np.argsort(lengths, kind="stable")
    between = (lengths[order][1:] + lengths[order][:-1]) / 2
    found: FloatArray = weight[:, order[np.searchsorted(between, everywhere)]]
    return found
