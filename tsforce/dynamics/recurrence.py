"""Statistics that know where their series begins: what of them lies before a window, the window brings with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["PartialWindow", "Recurrence"]


@dataclass(frozen=True)
class Recurrence:
    """A mean of every target over all its values up to a lag: ``s_n = keep(n) s_{n-1} + (1 - keep(n)) y_n``.

    It starts at the first value of a series, s_1 = y_1. A window brings the mean before its first row, so that the lag
    buffer is all that has to be read: nothing is carried from one step to the next.

    Attributes
    ----------
    names : tuple of str
        One per target.
    reach : int
        The lag: values up to that many steps before the step that is predicted.
    keep : callable
        From the number n of a value in its series, 2 or more, to the share of the mean before it that is kept.

    Examples
    --------
    >>> mean = Recurrence(("mean",), 1, lambda n: (n - 1) / n)
    >>> mean.over(torch.tensor([[[[1.0], [2.0], [6.0]]]])).item()
    3.0
    """

    names: tuple[str, ...]
    reach: int
    keep: Callable[[Tensor], Tensor]
    weights: None = None

    def over(self, fed: Tensor, count: Tensor | None = None, before: Tensor | None = None) -> Tensor:
        """Return the mean after the last of some values that follow one another, (G, B, C).

        Parameters
        ----------
        fed : (G, B, T, C)
            Oldest first, model units.
        count : (G, B, 1), optional
            Values of the series before the first of them; negative: so many rows come before the series begins. 0 by
            default.
        before : (G, B, C), optional
            The mean of those, model units.
        """
        number = torch.arange(1, fed.shape[2] + 1, dtype=fed.dtype, device=fed.device)
        if count is not None:
            number = number + count
        kept = self._kept(number)
        # What is left of each value after all that come later.
        after = torch.cat([kept[..., 1:], torch.ones_like(kept[..., :1])], dim=-1).flip(-1).cumprod(-1).flip(-1)
        found = (((1 - kept) * after)[..., None] * fed).sum(dim=2)
        if count is None or before is None:
            return found
        found = found + (kept[..., :1] * after[..., :1]) * before
        # Before a series begins, its context reads the mean of what is there.
        return torch.where(number[..., -1:] < 1, fed[:, :, -1], found)

    def scan(self, values: Tensor, number: Tensor) -> Tensor:
        """Return the mean after each of some values, series after series, (N, C).

        Parameters
        ----------
        values : (N, C)
        number : (N,)
            Of each value in its series, from 1; less than that for rows before its first.
        """
        kept = self._kept(number.to(values.dtype))
        found, rest = torch.where(kept[:, None] < 1, (1 - kept)[:, None] * values, 0.0), kept[:, None]
        # Twice as far back with every pass (Hillis & Steele 1986); a series keeps nothing of the one before it.
        far = 1
        longest = int(number.max()) if len(number) else 0
        while far < longest:
            earlier = torch.where(rest[far:] > 0, rest[far:] * found[:-far], 0.0)
            found = torch.cat([found[:far], found[far:] + earlier])
            rest = torch.cat([rest[:far], rest[far:] * rest[:-far]])
            far *= 2
        return found

    def _kept(self, number: Tensor) -> Tensor:
        kept = torch.where(number > 1, self.keep(number.clamp(min=2)), 0.0)
        return torch.where(number < 1, 1.0, kept)


@dataclass(frozen=True)
class PartialWindow:
    """A statistic of a window that need not be full: of as many of its values as the series has.

    Attributes
    ----------
    names : tuple of str
        One per target.
    reach : int
        How many steps the series must have.
    lag, span : int
        The window ends that many steps before the step that is predicted, and is so many steps long.
    function : callable
        From stretches (G, B, span, C), oldest first, and which of their rows there are (G, B, span), to (G, B, C).
    """

    names: tuple[str, ...]
    reach: int
    lag: int
    span: int
    function: Callable[[Tensor, Tensor], Tensor]
    weights: None = None

    def over(self, fed: Tensor, count: Tensor | None = None) -> Tensor:
        """Return the statistic of the last of some values; parameters as in ``Recurrence.over``."""
        stretch = fed[:, :, -self.span :]
        length = stretch.shape[2]
        number = torch.arange(fed.shape[2] - length + 1, fed.shape[2] + 1, dtype=fed.dtype, device=fed.device)
        there = ((number if count is None else number + count) >= 1).expand(stretch.shape[:3])
        # Before a series has enough of them, its context reads the mean of what is there.
        there = there | (there.sum(dim=2, keepdim=True) < self.reach - self.lag + 1)
        front = self.span - length
        return self.function(pad(stretch, (0, 0, front, 0)), pad(there, (front, 0)))
