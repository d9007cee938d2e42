"""Which candidates are right together: weights of a panel that know whose errors go the same way.

Weights by each candidate's own error count one opinion as often as it is held: five forecasts near the last value are
five voices. Stacking (Breiman 1996, Stacked regressions, Machine Learning 24; its weights not negative, adding up to 1)
looks at the errors of the combination instead. Alone it follows the trials too closely, so it is held near the weights
that there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from tsforce.data.panel import FloatArray
from tsforce.forecasting.auto.trials import Trial, TrialWindows
from tsforce.scoring.metrics import has_scale

__all__ = ["heard_together", "stacked_weights"]

# How much weights hold against errors, in mean squared errors of a candidate; and the windows at which twice as much.
_HELD, _FEW = 0.1, 300.0
# Rounds of reweighting, and where Huber's loss has its corner, in mean absolute errors.
_ROUNDS, _CORNER = 12, 1.0
# Scales beyond which an error counts as that many.
_FAR = 50.0


def heard_together(weight: FloatArray, trials: Sequence[Trial], windows: TrialWindows) -> FloatArray:
    """Return weights of each series, (M, S), moved as the whole panel's move when errors are seen together.

    Parameters
    ----------
    weight : (M, S) float64
        Of each candidate for each series of the windows' panel; each series' add up to 1.
    trials : sequence of M Trial
    windows : TrialWindows
        Series that are judged by squares say nothing here, and keep their weights: the least absolute error of
        demand that is mostly 0 is 0.

    Returns
    -------
    (M, S) float64
        Each series' add up to 1; what was 0 is.
    """
    scale = windows.scale[windows.index.series][:, None]
    counts = has_scale(scale).all(axis=(1, 2)) & ~windows.squared[windows.index.series]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.stack([(windows.truth - trial.yhat) / scale for trial in trials])
    errors = _complete(np.clip(errors, -_FAR, _FAR), weight[:, windows.index.series])
    errors = errors[:, counts].reshape(len(trials), -1)
    errors = errors[:, np.isfinite(errors).all(axis=0)]
    if not errors.size or not errors.any():
        return weight
    panel: FloatArray = weight.mean(axis=1)
    moved = stacked_weights(errors, panel, _HELD * (1 + _FEW / counts.sum()))
    found: FloatArray = weight * np.divide(moved, panel, out=np.zeros_like(panel), where=panel > 0)[:, None]
    total = found.sum(axis=0)
    # A series that only hears what the panel does not keeps its own.
    return np.where((total > 0) & ~windows.squared, found / np.where(total > 0, total, 1.0), weight)


def stacked_weights(errors: FloatArray, near: FloatArray, held: float) -> FloatArray:
    """Return the weights, (M,), of the least error of the combination, held near some.

    Minimises the mean of Huber's loss of ``w'e``, whose corner is the mean of ``|w'e|``, and ``penalty |w - near|^2``
    over ``w >= 0, sum w = 1`` by least squares reweighted; the penalty is `held` times the mean diagonal of the
    weighted ``e e'``, whatever the units.

    Parameters
    ----------
    errors : (M, N) float64
        Of each candidate.
    near : (M,) float64
        Add up to 1.
    held : float

    Examples
    --------
    Two that are always wrong alike, and one that is wrong the other way, all by as much:

    >>> errors = np.array([[1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> stacked_weights(errors, np.full(3, 1 / 3), held=0.01).round(2).tolist()
    [0.25, 0.25, 0.5]
    """
    weight, n_candidates = near, len(near)
    for _ in range(_ROUNDS):
        size = np.abs(weight @ errors)
        gram = (errors / np.maximum(size, _CORNER * size.mean() + 1e-12)) @ errors.T / errors.shape[1]
        unit = np.trace(gram) / n_candidates
        root = np.linalg.cholesky(gram / unit + held * np.eye(n_candidates))
        # The last row holds the sum at 1, by far the strongest wish.
        rows = np.vstack([root.T, np.full(n_candidates, 1e3)])
        weight = nnls(rows, np.append(np.linalg.solve(root, held * near), 1e3))[0]
        weight = weight / weight.sum()
    return weight


def _complete(errors: FloatArray, weight: FloatArray) -> Any:
    """Return errors, (M, W, H, C), with those of the others' combination where a candidate has no forecast."""
    known = ~np.isnan(errors)
    share = weight[:, :, None, None] * known
    total = share.sum(axis=0)
    with np.errstate(invalid="ignore"):
        others = (share * np.nan_to_num(errors)).sum(axis=0) / total
    return np.where(known, errors, others)
