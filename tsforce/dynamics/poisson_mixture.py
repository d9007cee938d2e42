"""Counts drawn by quantiles: a gamma rate, then a Poisson count, each a function of one uniform number."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gamma_quantile", "negative_binomial_draw", "poisson_quantile"]

# Of the search for a gamma quantile: quadratic from a start that is right to a few per cent.
_STEPS = 30
_EPS = 1e-12


def negative_binomial_draw(mean: Tensor, shape: Tensor, numbers: Tensor) -> Tensor:
    """Return counts of mean `mean` and variance ``mean + shape mean^2``, from uniform numbers (..., 2) in [0, 1).

    Examples
    --------
    >>> u = torch.tensor([[0.5, 0.5], [0.9, 0.99]], dtype=torch.float64)
    >>> negative_binomial_draw(torch.tensor(4.0).double(), torch.tensor(0.5).double(), u).tolist()
    [3.0, 15.0]
    """
    size = 1 / shape
    rate = gamma_quantile(size.expand(numbers.shape[:-1]), numbers[..., 0]) * mean * shape
    return poisson_quantile(rate, numbers[..., 1])


def gamma_quantile(size: Tensor, u: Tensor) -> Tensor:
    """Return the quantile of a gamma law of shape `size` and scale 1, float64, by bisection of its logarithm.

    Examples
    --------
    >>> round(gamma_quantile(torch.tensor(1.0).double(), torch.tensor(0.5).double()).item(), 6)
    0.693147
    """
    u = u.clamp(_EPS, 1 - _EPS)
    # For small values P(size, x) is x^size / Gamma(size + 1), and more than that for none: a lower bound.
    low = (u.log() + torch.lgamma(size + 1)) / size
    high = torch.log(size + 40 * (1 + size.sqrt()))
    # exp(-800) is 0: a rate that small has no count.
    low, high = low.clamp(min=-700.0), torch.maximum(high, low)
    x = 0.5 * (low + high)
    for _ in range(_STEPS):
        value = x.exp()
        gap = torch.special.gammainc(size, value) - u
        low, high = torch.where(gap < 0, x, low), torch.where(gap < 0, high, x)
        slope = torch.exp(size * x - value - torch.lgamma(size))
        ahead = x - gap / slope
        # Newton's step where it stays between what is known (at the end it stays where it is), else half the way.
        x = torch.where((ahead >= low) & (ahead <= high), ahead, 0.5 * (low + high))
        if bool(((high - low < _EPS) | (gap.abs() < _EPS * u)).all()):
            break
    return x.exp()


def poisson_quantile(rate: Tensor, u: Tensor) -> Tensor:
    """Return the smallest count whose distribution function is at least `u`, float64.

    Examples
    --------
    >>> poisson_quantile(torch.tensor([0.1, 3.0, 3.0]).double(), torch.tensor([0.5, 0.4, 0.5]).double()).tolist()
    [0.0, 2.0, 3.0]
    """
    u = u.clamp(max=1 - _EPS)
    # Doubles tell no larger counts apart.
    rate = rate.clamp(max=1e15)
    # Below `low` is too few, `high` is enough.
    low, high = torch.full_like(rate, -1.0), torch.ceil(rate + 10 * (rate.sqrt() + 5))
    while bool((high - low > 1).any()):
        middle = torch.ceil(0.5 * (low + high))
        enough = torch.special.gammaincc(middle + 1, rate) >= u
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high
