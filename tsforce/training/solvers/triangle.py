"""Least squares from rows: a triangle in place of their moments, where these would lose digits.

X'X has the square of the condition number of X: of lags that say nearly the same, such as those of an output that is
sampled fast, it keeps nothing to tell them apart by. A QR factorisation of the rows, some at a time (Golub & Van Loan
2013, section 5.2), keeps it; the time is that of the moments, several times over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Triangle"]

# Rows that are factorised at once, at least, in widths of the triangle.
_AT_ONCE = 4
# A scaled column that varies by less is a constant and its rounding.
_CONSTANT = 1e-10


class Triangle:
    """The triangle R of the rows [1, x, y] of one group, centred and scaled: R'R is the matrix of their moments.

    Parameters
    ----------
    rows : iterable of (x (n, D), y (n, C)) or (x, y, root (n,))
        float64; with the square roots of the rows' weights where these differ.
    centre, scale : (D,)
        Taken off, and divided by.
    y_centre : (C,)
    intercept : bool
        Whether there is a column of ones, which takes what is left of means out of all others.

    Attributes
    ----------
    x : (D, D)
        Of the columns alone: upper triangle.
    y : (D, C)
        What they see of the targets.
    n_rows : int
    """

    def __init__(
        self, rows: Iterable[tuple[Tensor, ...]], centre: Tensor, scale: Tensor, y_centre: Tensor, *, intercept: bool
    ) -> None:
        self.centre, self.scale, self.y_centre, self.intercept = centre, scale, y_centre, intercept
        size = int(intercept) + len(centre) + len(y_centre)
        self._r, self.n_rows = centre.new_zeros(size, size), 0
        self.add(rows)

    def add(self, rows: Iterable[tuple[Tensor, ...]]) -> None:
        """Take in more rows, as the constructor does: the triangle is that of all of them."""
        first, width, size = int(self.intercept), len(self.centre), len(self._r)
        r, waiting = self._r, [self._r[:0]]
        for x, y, *root in rows:
            ones = x.new_ones(len(x), first)
            whole = torch.cat([ones, (x - self.centre) / self.scale, y - self.y_centre], dim=1)
            waiting.append(whole * root[0][:, None] if root else whole)
            self.n_rows += len(x)
            if sum(map(len, waiting)) >= _AT_ONCE * size:
                r, waiting = _triangular(torch.cat([r, *waiting])), [waiting[0]]
        r = _triangular(torch.cat([r, *waiting]))
        self._r, self._head = r, r[:first]
        body = r[first : first + width]
        self.x, self.y = body[:, first : first + width], body[:, first + width :]
        self.y_left = r[first:, first + width :]

    def solve(self, ridges: Sequence[float], *, again: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Return weight (D, C) and bias (C,) for each ridge, as ``least_squares.solve`` does.

        Columns that the others make up are told from rounding as by numpy's ``lstsq``, and share their weight.

        Parameters
        ----------
        ridges : sequence of float
        again : bool
            Penalise in standard deviations of all rows, which those added after the first moved away from `scale`.
        """
        spread = torch.ones_like(self.scale)
        if again:
            own = ((self.x**2).sum(dim=0) / max(self.n_rows, 1)).sqrt()
            spread = torch.where(own > _CONSTANT, own, spread)
        u, s, vt = torch.linalg.svd(self.x / spread)
        seen = u.mT @ self.y
        kept = s > torch.finfo(s.dtype).eps * max(self.n_rows, len(s)) * s.amax()
        solved = (vt.mT @ (torch.where(kept, s / (s**2 + ridge), 0.0)[:, None] * seen) for ridge in ridges)
        return [self._levels(weight / spread[:, None]) for weight in solved]

    def _levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weight and bias of the columns as they are, from those of scaled ones."""
        bias = torch.zeros_like(self.y_centre)
        if self.intercept:
            head = self._head[0]
            left = (head[1 + len(weight) :] - head[1 : 1 + len(weight)] @ weight) / head[0]
            bias = self.y_centre + left - (self.centre / self.scale) @ weight
        return weight / self.scale[:, None], bias


def _triangular(rows: Tensor) -> Tensor:
    triangle: Tensor = torch.linalg.qr(rows, mode="r").R
    return triangle
