"""Draws of several channels that go together, as errors do: a normal copula."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["correlated", "mixing_of", "polar", "ranks"]

# Share of each channel's own, so that channels that say the same have a factor.
_OWN = 1e-6
_MOST = 1 - 2.0**-24


def mixing_of(errors: Tensor) -> Tensor:
    """Return lower triangular factors (G, C, C) of the correlations between the channels of errors (G, N, C).

    Correlations are of normal scores of ranks: outliers count as the largest error does. Rows on which a channel is
    NaN are left out; a channel whose errors are all equal goes with no other.

    Examples
    --------
    >>> up = torch.arange(9.0)
    >>> errors = torch.stack([up, up.exp(), -up], dim=1)[None]
    >>> factor = mixing_of(errors)[0]
    >>> (factor @ factor.T).round().tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    channels = errors.shape[2]
    every = torch.eye(channels, dtype=torch.float64).repeat(len(errors), 1, 1)
    if channels > 1:
        for own, rows in zip(every, errors.double().cpu(), strict=True):
            whole = rows[~rows.isnan().any(dim=1)].T.contiguous()
            ordered = whole.sort(dim=1).values
            # Equal errors have the middle of their ranks.
            twice = sum(torch.searchsorted(ordered, whole, right=right) for right in (False, True))
            scores = torch.special.ndtri((twice + 1) / (2 * (whole.shape[1] + 1)))
            size = scores.square().sum(dim=1, keepdim=True).sqrt()
            scores = torch.where(size > 1e-9, scores / size, 0.0)
            found = scores @ scores.T * (1 - _OWN)
            own.copy_(torch.linalg.cholesky(found.fill_diagonal_(1.0)))
    return every.to(errors)


def correlated(numbers: Tensor, factor: Tensor) -> Tensor:
    """Return pairs of standard normal numbers (..., C, 2), correlated over channels, from pairs of uniform ones.

    Parameters
    ----------
    numbers : (..., C, 2)
        Uniform in [0, 1), independent.
    factor : (..., C, C)
        From `mixing_of`.
    """
    radius = torch.sqrt(-2 * torch.log1p(-numbers[..., 0]))
    angle = 2 * math.pi * numbers[..., 1]
    return factor @ torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)


def ranks(normal: Tensor) -> Tensor:
    """Return uniform numbers from normal ones, each from one; they rise together."""
    drawn: Tensor = torch.special.ndtr(normal).clamp(max=_MOST)
    return drawn


def polar(normal: Tensor) -> Tensor:
    """Return pairs of uniform numbers from pairs (..., 2) of normal ones: what Box and Muller would make these of."""
    size = -torch.expm1(-0.5 * normal.square().sum(dim=-1))
    turn = torch.atan2(normal[..., 1], normal[..., 0]) / (2 * math.pi)
    return torch.stack([size, turn - turn.floor()], dim=-1).clamp(max=_MOST)
