"""Masked multi-step losses."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LOSSES", "multi_step_loss"]

LOSSES = ("mae", "mse", "huber", "smape")


def _elementwise(name: str, y: Tensor, yhat: Tensor) -> Tensor:
    gap = yhat - y
    if name == "mae":
        return gap.abs()
    if name == "mse":
        return gap**2
    if name == "huber":  # Huber 1964, threshold 1
        size = gap.abs()
        return torch.where(size <= 1, 0.5 * gap**2, size - 0.5)
    # smape-like: the denominator carries no gradient, or large forecasts would be rewarded for their size.
    return gap.abs() / (y.abs() + yhat.detach().abs() + 1e-8)


def multi_step_loss(name: str, y: Tensor, yhat: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean loss of each group, ``sum w l / sum w``, (G,); 0 where no weight is given.

    Parameters
    ----------
    name : "mae", "mse", "huber" or "smape"
    y, yhat : (G, B, H, C)
        Truth and prediction after the cutoff, in one and the same units; `y` is finite also where it was not observed.
    weight : (G, B, H, C)
        0 where there is no truth.

    Examples
    --------
    >>> y = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1)
    >>> multi_step_loss("mae", y, y + 3, torch.tensor([1.0, 0.0]).view(1, 1, 2, 1)).item()
    3.0
    """
    terms = torch.where(weight > 0, _elementwise(name, y, yhat), 0.0) * weight
    total = weight.sum(dim=(1, 2, 3))
    return terms.sum(dim=(1, 2, 3)) / total.clamp(min=1e-300 if total.dtype == torch.float64 else 1e-30)
