"""Forward regression with orthogonal least squares: which monomials explain a target, one after the other.

The term that comes next is the one whose part orthogonal to all before it explains most of what is left (error
reduction ratio; Billings, Chen & Korenberg 1989, "Identification of MIMO non-linear systems using a forward-regression
orthogonal estimator"). Here from moments alone: rows are read once, whatever the number of terms.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.errors import ArgumentError
from tsforce.training.solvers.gram import Gram
from tsforce.training.solvers.triangle import Triangle

__all__ = ["Candidates", "Moments", "Path", "forward", "forward_by_rows", "information"]

FloatArray = npt.NDArray[np.float64]

# Numbers in the moments of one model at most, 200 MB.
_MOST_MOMENTS = 25_000_000
# Numbers in the monomials of rows at once: they should stay in cache.
_AT_ONCE = 800_000
# What rounding leaves of a variance, as a share of the mean square, is none.
_ROUNDING = 1e-13


class Candidates:
    """All monomials of D columns up to a degree P: products of exactly P of D + 1, the last of which is 1.

    Attributes
    ----------
    terms : (M, P) int64
        Columns of each but the constant, ascending; lower degrees first, then by column.
    place : (M,) int64
        Where each stands among all products of P columns in lexicographic order.

    Raises
    ------
    ArgumentError
        If there are too many.

    Examples
    --------
    >>> Candidates(2, 2).terms.tolist()
    [[0, 2], [1, 2], [0, 0], [0, 1], [1, 1]]
    """

    def __init__(self, columns: int, degree: int) -> None:
        count = math.comb(columns + degree, degree) - 1
        if math.comb(columns + 2 * degree, 2 * degree) > _MOST_MOMENTS:
            raise ArgumentError(
                f"degree={degree} makes {count} candidate terms of {columns} columns of the lag vector, too many to "
                f"compare all; use fewer lags and inputs, or a lower degree."
            )
        self.columns, self.degree = columns, degree
        size = columns + 1
        every = np.array(list(itertools.combinations_with_replacement(range(size), degree)), dtype=np.int64)
        self._codes = every @ size ** np.arange(degree)[::-1]
        self._last = every[:, -1]
        degrees = (every < columns).sum(axis=1)
        self.place: IntArray = np.argsort(degrees, kind="stable")[1:]
        self.terms: IntArray = every[self.place]
        # Block c holds the moments of products that end at column c with those that begin no earlier.
        self._heads = [np.flatnonzero(self._last == c) for c in range(size)]
        self._starts = np.searchsorted(every[:, 0], np.arange(size))
        self._among = np.empty(len(every), dtype=np.int64)
        for head in self._heads:
            self._among[head] = np.arange(len(head))
        widths = len(every) - self._starts
        self._widths = widths
        self._offsets = np.concatenate([[0], np.cumsum([len(h) * w for h, w in zip(self._heads, widths, strict=True)])])

    def products(self, x: Tensor) -> Tensor:
        """Return all products of P of the columns of `x` (n, D) and of 1, in lexicographic order, (products, n)."""
        own = torch.cat([x.T, torch.ones_like(x[:, :1]).T])
        found = own
        for degree in range(2, self.degree + 1):
            # Those that begin with a column: its products with all shorter ones that begin no earlier.
            widths = [math.comb(len(own) - i + degree - 2, degree - 1) for i in range(len(own))]
            longer = own.new_empty(sum(widths), own.shape[1])
            for column, width, room in zip(own, widths, longer.split(widths), strict=True):
                torch.mul(found[len(found) - width :], column, out=room)
            found = longer
        return found

    def sums(self, x: Tensor, y: Tensor, weight: Tensor | None) -> tuple[FloatArray, FloatArray]:
        """Return the sums over rows of all products of 2 P columns, as `where` finds them, and of the terms with `y`.

        No product is summed twice: of 2 P columns there are fewer than entries in the Gram matrix of products of P.

        Parameters
        ----------
        x : (n, D)
        y : (n, C)
        weight : (n,) or None
        """
        found, with_y = x.new_zeros(int(self._offsets[-1])), x.new_zeros(len(self._codes), y.shape[1])
        sizes = [len(head) for head in self._heads]
        rooms = found.split(np.diff(self._offsets).tolist())
        blocks = [room.view(size, -1) for room, size in zip(rooms, sizes, strict=True)]
        order = torch.from_numpy(np.concatenate(self._heads)).to(x.device)
        at_once = max(64, _AT_ONCE // len(self._codes))
        for start in range(0, len(x), at_once):
            part = slice(start, start + at_once)
            tails = self.products(x[part])
            # What the weight is to be given to once.
            heads, targets = tails[order], y[part]
            if weight is not None:
                heads, targets = heads.mul_(weight[part]), targets * weight[part, None]
            with_y.addmm_(tails, targets)
            for block, own, first in zip(blocks, heads.split(sizes), self._starts.tolist(), strict=True):
                block.addmm_(own, tails[first:].T)
        return found.cpu().numpy(), with_y.cpu().numpy()[self.place]

    def where(self, first: IntArray, second: IntArray) -> IntArray:
        """Return the positions in `sums` of the product of terms, (..., P) each."""
        first, second = np.broadcast_arrays(first, second)
        both = np.sort(np.concatenate([first, second], axis=-1), axis=-1)
        powers = (self.columns + 1) ** np.arange(self.degree)[::-1]
        head, tail = (
            np.searchsorted(self._codes, part @ powers) for part in np.split(both, [self.degree], axis=-1)
        )  # fmt: skip
        block = self._last[head]
        found: IntArray = self._offsets[block] + self._among[head] * self._widths[block] + tail - self._starts[block]
        return found


class Moments:
    """Moments of the monomials of lag vectors and of targets, summed over the rows of one group.

    Parameters
    ----------
    candidates : Candidates
    x : (n, D)
    y : (n, C)
    intercept : bool
        Whether there will be one; without, moments of targets are about 0.
    weight : (n,), optional
        At least 0, of each row.

    Attributes
    ----------
    rows : float
        Sum of the weights.
    x_sum : (M,)
        Of the candidates.
    xy : (M, C)
        Of the candidates with the targets less `y_origin`.
    yy, y_sum, y_origin : (C,)
        Of the targets less their origin, and what that is.
    """

    def __init__(
        self, candidates: Candidates, x: Tensor, y: Tensor, *, intercept: bool = True, weight: Tensor | None = None
    ) -> None:
        self.candidates, self.intercept = candidates, intercept
        self.rows = float(len(x) if weight is None else weight.sum())
        weights = torch.ones_like(y[:, 0]) if weight is None else weight
        origin = weights @ y / max(self.rows, 1e-300) if intercept else torch.zeros_like(weights @ y)
        y = y - origin
        self.sums, self.xy = candidates.sums(x, y, weight)
        one = np.full(candidates.degree, candidates.columns)
        self.x_sum: FloatArray = self.sums[candidates.where(candidates.terms, one)]
        self.yy: FloatArray = (weights @ y.square()).cpu().numpy()
        self.y_sum: FloatArray = (weights @ y).cpu().numpy()
        self.y_origin: FloatArray = origin.cpu().numpy()

    def with_others(self, first: IntArray, second: IntArray) -> FloatArray:
        """Return the moments of some candidates with some others, by their numbers."""
        terms = self.candidates.terms
        found: FloatArray = self.sums[self.candidates.where(terms[first], terms[second])]
        return found

    def gram(self, chosen: IntArray, width: int) -> Gram:
        """Return the moments of some candidates for ``least_squares.solve``, as the first of `width` columns.

        The others are 0.
        """
        k, channels = len(chosen), len(self.yy)
        xx, xy, x_sum = np.zeros((width, width)), np.zeros((width, channels)), np.zeros(width)
        xx[:k, :k] = self.with_others(chosen[:, None], chosen[None])
        xy[:k], x_sum[:k] = self.xy[chosen], self.x_sum[chosen]
        parts = (xx, xy, self.yy, x_sum, self.y_sum, np.zeros(width), self.y_origin, np.array(self.rows))
        return Gram(*(torch.from_numpy(part)[None] for part in parts))


@dataclass(frozen=True, eq=False)
class Path:
    """Terms in the order in which they were chosen.

    Attributes
    ----------
    order : (K,) int64
        Their numbers among the candidates.
    left : (1 + K, C) float64
        Share of each target's variance (mean square, without an intercept) that is left after so many terms.
    rounding : float
        A share that is none.
    """

    order: IntArray
    left: FloatArray
    rounding: float = _ROUNDING


def forward(moments: Moments, most: int, *, ridge: float = 0.0, tolerance: float = 1e-8) -> Path:
    """Return at most `most` terms in the order of forward regression by orthogonal least squares.

    Each is the one that lowers the sum of squares most, summed over targets in units of their variances: the error
    reduction ratio of each target, added up. Ties go to the lower degree.

    Parameters
    ----------
    moments : Moments
    most : int
    ridge : float
        Added to the diagonal of X'X of columns scaled to unit standard deviation, as in ``least_squares.solve``; what
        is then lowered is the sum of squares and the penalty (regularised orthogonal least squares: Chen, Chng &
        Alkadhimi 1996).
    tolerance : float
        A candidate of whose variance no more than this share is left beside the terms chosen before is none: what
        moments say of it is rounding.

    Notes
    -----
    A Cholesky factor of the correlations grows by the column of the term that is chosen: after K terms of M candidates
    the work is K^2 M, and no row was read for it.
    """
    rows, number = max(moments.rows, 1e-300), np.arange(len(moments.x_sum))
    mean = moments.x_sum / rows if moments.intercept else np.zeros(len(number))
    second = moments.with_others(number, number) / rows
    variance = second - mean**2
    varies = variance > _ROUNDING * second
    std = np.sqrt(np.where(varies, variance, 1.0))
    spread = np.sqrt(moments.yy / rows)
    # A target that does not vary has nothing to be explained.
    told = spread > math.sqrt(_ROUNDING) * np.abs(moments.y_origin)
    spread = np.where(told, spread, 1.0)
    centred = moments.xy - mean[:, None] * moments.y_sum
    slope = np.where(told, centred / rows / std[:, None] / spread, 0.0)
    full = 1.0 + ridge / rows
    alone = np.where(varies, full, 0.0)
    left = [told.astype(np.float64)]
    order: list[int] = []
    factor = np.empty((len(number), 0))
    for _ in range(min(most, len(number))):
        able = alone > tolerance * full
        if not able.any():
            break
        gain = np.where(able[:, None], slope**2 / np.where(able, alone, 1.0)[:, None], 0.0)
        best = int(np.argmax(gain.sum(axis=1)))
        if gain[best].sum() <= 0:
            break
        row = moments.with_others(number, np.array(best)) / rows - mean * mean[best]
        column = row / std / std[best]
        column[best] = full
        column -= factor @ factor[best]
        column /= math.sqrt(alone[best])
        slope = slope - column[:, None] * (slope[best] / math.sqrt(alone[best]))
        alone = np.where(varies, alone - column**2, 0.0)
        alone[best] = 0.0
        factor = np.concatenate([factor, column[:, None]], axis=1)
        order.append(best)
        left.append(np.maximum(left[-1] - gain[best], 0.0))
    return Path(np.array(order, dtype=np.int64), np.stack(left))


def forward_by_rows(
    moments: Moments, x: Tensor, y: Tensor, most: int, *, ridge: float = 0.0, tolerance: float = 1e-8
) -> Path:
    """Return what `forward` does, from a triangle of the rows, which has twice the digits of their moments.

    Parameters
    ----------
    moments, most, ridge
        As in `forward`, which has been here before: centres and scales are taken from it.
    x, y : (n, D), (n, C)
        The rows.
    tolerance : float
        As in `forward`; its square is what is asked for here.

    Notes
    -----
    Modified Gram-Schmidt, each candidate twice. After K terms of M candidates the work is K M^2, beside M^2 a row.
    """
    candidates, rows = moments.candidates, max(moments.rows, 1e-300)
    mean = moments.x_sum / rows if moments.intercept else np.zeros(len(moments.x_sum))
    number = np.arange(len(mean))
    second = moments.with_others(number, number) / rows
    variance = second - mean**2
    varies = variance > _ROUNDING * second
    scale = np.sqrt(np.where(varies, variance, 1.0) * rows)
    place = torch.from_numpy(candidates.place)
    at_once = max(64, _AT_ONCE // len(candidates.place))
    parts = ((candidates.products(a)[place].T, b) for a, b in zip(x.split(at_once), y.split(at_once), strict=True))
    y_centre = torch.from_numpy(moments.y_origin + (moments.y_sum / rows if moments.intercept else 0.0))
    triangle = Triangle(
        parts, torch.from_numpy(mean), torch.from_numpy(scale), y_centre, intercept=moments.intercept
    )  # fmt: skip
    columns, seen = triangle.x.numpy(), triangle.y.numpy()
    total = (triangle.y_left.numpy() ** 2).sum(axis=0)
    told = total > _ROUNDING**2 * rows * moments.y_origin**2
    unit = np.where(told, np.sqrt(np.where(told, total, 1.0)), np.inf)
    # A penalty is a row for each column.
    columns = np.concatenate([columns, math.sqrt(ridge / rows) * np.eye(len(number))])
    seen = np.concatenate([seen / unit, np.zeros((len(number), len(unit)))])
    beyond = np.where(told, 1.0, 0.0) - (seen**2).sum(axis=0)
    full, able = 1.0 + ridge / rows, varies.copy()
    left = [told.astype(np.float64)]
    order: list[int] = []
    for _ in range(min(most, len(number))):
        alone = (columns**2).sum(axis=0)
        able &= alone > tolerance**2 * full
        if not able.any():
            break
        gain = np.where(able[:, None], (columns.T @ seen) ** 2 / np.where(able, alone, 1.0)[:, None], 0.0)
        best = int(np.argmax(gain.sum(axis=1)))
        if gain[best].sum() <= 0:
            break
        axis = columns[:, best] / math.sqrt(alone[best])
        for _ in range(2):
            columns = columns - np.outer(axis, axis @ columns)
            seen = seen - np.outer(axis, axis @ seen)
        able[best] = False
        order.append(best)
        left.append(np.maximum(beyond, 0.0) + (seen**2).sum(axis=0))
    return Path(np.array(order, dtype=np.int64), np.stack(left), _ROUNDING**2)


def information(path: Path, rows: float, n_candidates: int) -> FloatArray:
    """Return the extended Bayesian information criterion of the first 0, 1, ... K terms of a path, (1 + K,).

    Chen & Chen (2008, "Extended Bayesian information criteria for model selection with large model spaces", with
    gamma = 1): beside the price of a weight, that of having looked for it among so many. Infinite where there are not
    more rows than weights.
    """
    channels, count = path.left.shape[1], np.arange(len(path.left))
    fit = rows * np.log(np.maximum(path.left, path.rounding)).sum(axis=1)
    looks = np.array([math.log(math.comb(n_candidates, k)) for k in count.tolist()])
    price = channels * count * math.log(max(rows, 1.0)) + 2 * looks
    found: FloatArray = np.where(count + 1 < rows, fit + price, np.inf)
    return found
