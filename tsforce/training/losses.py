"""Masked multi-step losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray

__all__ = ["HEAD_LOSSES", "LOSSES", "THRESHOLD", "multi_step_loss", "robust_scales", "weighted_mean"]

FloatArray = npt.NDArray[np.float64]

LOSSES = ("mae", "mse", "huber", "smape")
# Of models with a head.
HEAD_LOSSES = ("nll", "crps")
# Huber's k, in robust scales.
THRESHOLD = 2.0
# From a tensor of some windows to that of the batch which they are of.
Batch = Callable[[Tensor], Tensor]
# Of normally distributed residuals, whose median size is this part of their standard deviation.
_MEDIAN_SIZE = 0.6744897501960817


def robust_scales(size: FloatArray, ends: IntArray) -> FloatArray:
    """Return the robust scale s = 1.4826 median |r| of the residuals of each part, (S,); 0 of an empty one.

    Parameters
    ----------
    size : (n,)
        Absolute residuals, part after part.
    ends : (S,) int64
        Where each part ends.

    Examples
    --------
    >>> robust_scales(np.array([1.0, 2.0, 30.0, 5.0]), np.array([3, 4])).round(4).tolist()
    [2.9652, 7.413]
    """
    parts = [size] if len(ends) == 1 else np.split(size, ends[:-1])
    return np.array([_median(part) if len(part) else 0.0 for part in parts]) / _MEDIAN_SIZE


def _median(size: FloatArray) -> float:
    """Return numpy's median, which would take several times as long to be called."""
    half = len(size) // 2
    ordered = np.partition(size, half)
    return float(ordered[half] if len(size) % 2 else 0.5 * (ordered[:half].max() + ordered[half]))


def _itself(windows: Tensor) -> Tensor:
    return windows


def _elementwise(name: str, y: Tensor, yhat: Tensor, known: Tensor, threshold: float, batch: Batch) -> Tensor:
    gap = yhat - y
    if name == "mae":
        return gap.abs()
    if name == "mse":
        return gap**2
    if name == "huber":
        size = gap.abs()
        limit = threshold * _batch_scales(batch(size.detach()), batch(known))
        return torch.where(size <= limit, 0.5 * gap**2, limit * (size - 0.5 * limit))
    # smape-like: the denominator carries no gradient, or large forecasts would be rewarded for their size.
    return gap.abs() / (y.abs() + yhat.detach().abs() + 1e-8)


def _batch_scales(size: Tensor, known: Tensor) -> Tensor:
    """Return the robust scale of each group and target, (G, 1, 1, C); the mean size where more than half are 0."""
    flat, there = size.flatten(1, 2), known.flatten(1, 2)  # (G, B * H, C)
    ordered = torch.where(there, flat, torch.inf).sort(dim=1).values
    count = there.sum(dim=1, keepdim=True)
    last = flat.shape[1] - 1
    lower, upper = (ordered.gather(1, place.clamp(0, last)) for place in ((count - 1) // 2, count // 2))
    scale = (lower + upper) / (2 * _MEDIAN_SIZE)
    mean = torch.where(there, flat, 0.0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    return torch.where(scale > 0, scale, mean)[:, :, None]


def multi_step_loss(
    name: str,
    y: Tensor,
    yhat: Tensor,
    weight: Tensor,
    threshold: float = THRESHOLD,
    *,
    total: Tensor | None = None,
    batch: Batch = _itself,
) -> Tensor:
    """Return the weighted mean loss of each group, ``sum w l / sum w``, (G,); 0 where no weight is given.

    Parameters
    ----------
    name : "mae", "mse", "huber" or "smape"
    y, yhat : (G, B, H, C)
        Truth and prediction after the cutoff, in one and the same units; `y` is finite also where it was not observed.
    weight : (G, B, H, C)
        0 where there is no truth.
    threshold : float
        Of "huber" (Huber 1964), in robust scales: 1.4826 times the median absolute error of each group and target over
        all that is given here, which is taken as it is and carries no gradient.
    total : (G,), optional
        As in `weighted_mean`.
    batch : function
        From a tensor of these windows to that of the whole batch, of which they are a part.

    Examples
    --------
    >>> y = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1)
    >>> multi_step_loss("mae", y, y + 3, torch.tensor([1.0, 0.0]).view(1, 1, 2, 1)).item()
    3.0
    """
    return weighted_mean(_elementwise(name, y, yhat, weight > 0, threshold, batch), weight, total)


def weighted_mean(terms: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """Return ``sum w l / sum w`` of each group, (G,), of terms and weights (G, B, H, C); 0 where no weight is given.

    Of windows that are a part of a batch, `total` (G,) is its sum of weights: the means of all parts add up to that of
    the batch.
    """
    terms = torch.where(weight > 0, terms, 0.0) * weight
    total = weight.sum(dim=(1, 2, 3)) if total is None else total
    return terms.sum(dim=(1, 2, 3)) / total.clamp(min=1e-300 if total.dtype == torch.float64 else 1e-30)
