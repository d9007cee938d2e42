"""Least squares sample by sample: weights that follow the rows seen, at a cost that no earlier row adds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import blas
from torch import Tensor

from tsforce.dynamics.models.linear import Linear
from tsforce.training.growing import Growing
from tsforce.training.solvers.gram import Gram, whole
from tsforce.training.solvers.least_squares import JITTER, column_moments, followed, solve

__all__ = ["Following"]

FloatArray = npt.NDArray[np.float64]

# Columns from which on a solution starts from the one before: a batch of smaller systems is solved sooner anew. And
# what is kept for it, at most.
_WIDE, _KEPT_BYTES = 64, 2**27
# Share of the solution's size, as the squares measure it, at which the steps towards it end, and how many are worth it.
_EXACT, _MOST_STEPS = 1e-14, 15


class Following:
    """The linear maps of moments that a row of each series is added to at a time.

    Parameters
    ----------
    moments : Growing
        Of the rows so far; copied.
    model : Linear
        Their map, as it was fitted.
    scaling : str or None
        Of the windows that the map is of.
    forget : float
        In (0, 1]: for each row, earlier ones count by this factor less.

    Notes
    -----
    Weights are worked out when they are asked for. The penalty is in units of the columns' variances, and each row
    moves all of these: no update of a factor by one rank is exact. Wide maps without a prior therefore start from the
    weights before, and take the few steps of conjugate gradients that are left once the inverse of a system a few rows
    older, with the new rows added by Sherman and Morrison's formula, stands in for the inverse of theirs (Golub & Van
    Loan 2013, "Matrix computations", sections 2.1.4 and 11.5).
    """

    def __init__(self, moments: Growing, model: Linear, scaling: str | None, forget: float = 1.0) -> None:
        gram = moments.gram
        (n_groups, width), n_targets = gram.x_sum.shape, gram.y_sum.shape[1]
        # Of columns, targets and 1 with each other: a row is one product, and the moments are parts of it.
        every = gram.xx.new_zeros(n_groups, width + n_targets + 1, width + n_targets + 1)
        own = Gram(
            every[:, :width, :width], every[:, :width, width:-1],
            every[:, width:-1, width:-1].diagonal(dim1=1, dim2=2),
            every[:, :width, -1], every[:, width:-1, -1], gram.x_origin, gram.y_origin, every[:, -1, -1],
        )  # fmt: skip
        for part in ("xx", "xy", "yy", "x_sum", "y_sum", "rows"):
            getattr(own, part).copy_(whole(gram.xx) if part == "xx" else getattr(gram, part))
        self._every, self._moments = every, replace(moments, gram=own)
        self._origin = torch.cat([gram.x_origin, gram.y_origin], dim=1)
        self._model, self._scaling, self._forget, self._stale = model, scaling, forget, False
        wide = width >= _WIDE and moments.prior is None and 8 * n_groups * width**2 <= _KEPT_BYTES
        self._near = [_Near(self._moments, g) for g in range(n_groups)] if wide else None

    def take_in(self, groups: npt.NDArray[np.int64], x: Tensor, y: Tensor) -> None:
        """Learn from a row of some groups; of one group for all series, from one of each.

        Parameters
        ----------
        groups : (g,) int64
            Each once.
        x, y : (g, n, D), (g, n, C)
        """
        everyone, place = len(groups) == len(self._origin), torch.from_numpy(groups)
        both = torch.cat([x, y], dim=2) - (self._origin if everyone else self._origin[place])[:, None]
        rows = torch.nn.functional.pad(both, (0, 1), value=1.0)
        if self._forget < 1:
            self._every.mul_(self._forget)
        if self._near is not None:
            for g, own in zip(groups, both[:, :, : x.shape[2]].numpy(), strict=True):
                self._near[g].take_in(own, self._forget)
        if everyone:
            self._every.baddbmm_(rows.mT, rows)
        else:
            self._every.index_add_(0, place, rows.mT @ rows)
        self._stale = True

    def map(self) -> Linear:
        """Return the map of the rows so far."""
        if self._stale:
            self._model, self._stale = self._solved(), False
        return self._model

    def _solved(self) -> Linear:
        moments = self._moments
        if self._near is None:
            return moments.solve(self._scaling, None)
        weight, bias = torch.empty_like(moments.gram.xy), torch.empty_like(moments.gram.y_sum)
        for g, near in enumerate(self._near):
            weight[g], bias[g] = near.solve()
        return followed([Linear(moments.layout, weight, bias)], self._scaling)[0]


class _Near:
    """One group's system of a few rows ago: its inverse, and the weights."""

    def __init__(self, moments: Growing, g: int) -> None:
        # Views, since moments grow in place.
        self._gram = Gram(*(getattr(moments.gram, f.name)[g : g + 1] for f in fields(Gram)))
        self._intercept, self._ridge = bool(moments.intercept[g]), float(moments.ridge[g])
        self._inverse: FloatArray | None = None
        self._weight = np.zeros(0)

    def take_in(self, rows: FloatArray, forget: float) -> None:
        """Let the inverse follow some rows (n, D), relative to the origin, before the moments do."""
        inverse, count = self._inverse, float(self._gram.rows)
        if inverse is None:
            return
        if forget < 1:
            inverse /= forget
        share = 1.0
        if self._intercept:
            rows, share = rows - self._gram.x_sum[0].numpy() / count, count / (count + 1)
        for x in rows:
            moved = inverse @ x
            # In place; the inverse is symmetric, and so is its transpose, which lies as the routine wants it.
            blas.dger(-share / (1 + share * (x @ moved)), moved, moved, a=inverse.T, overwrite_a=True)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Return weight (D, C) and bias (C,)."""
        gram = self._gram
        mean, std, _ = (part[0].numpy() for part in column_moments(gram))
        count = float(gram.rows)
        xx, x_sum, xy = gram.xx[0].numpy(), gram.x_sum[0].numpy(), gram.xy[0].numpy()
        penalty = (self._ridge if self._ridge > 0 else JITTER * count) * std**2
        if self._intercept:
            xy = xy - np.outer(mean, gram.y_sum[0].numpy())
        else:
            x_sum = np.zeros_like(x_sum)

        def times(v: FloatArray) -> FloatArray:
            """Return the product with the centred squares and the penalty."""
            found: FloatArray = xx @ v - x_sum * (mean @ v) + penalty * v
            return found

        found = None if self._inverse is None else _steps(times, self._inverse, self._weight, xy)
        if found is None:
            ((weight, bias),) = solve(gram, [self._ridge], intercept=self._intercept)
            self._weight = weight[0].numpy()
            self._inverse = _inverse(xx - np.outer(x_sum, mean) + np.diag(penalty))
            return weight[0], bias[0]
        self._weight = found
        bias = torch.zeros_like(gram.y_sum[0])
        if self._intercept:
            about = gram.x_origin[0].numpy() + mean
            bias = gram.y_origin[0] + gram.y_sum[0] / count - torch.from_numpy(about @ found)
        return torch.from_numpy(found), bias


def _inverse(system: FloatArray) -> FloatArray | None:
    """Return the inverse of a matrix, None where it is none of a sum of squares to all digits."""
    factor, failed = torch.linalg.cholesky_ex(torch.from_numpy(system))
    return None if bool(failed) else np.ascontiguousarray(torch.cholesky_inverse(factor))


def _steps(
    times: Callable[[FloatArray], FloatArray], inverse: FloatArray, start: FloatArray, wanted: FloatArray
) -> FloatArray | None:
    """Return solutions (D, C) by conjugate gradients from a start; None where they do not lead there soon."""
    found = start.copy()
    for c in range(found.shape[1]):
        weight = found[:, c]
        left = wanted[:, c] - times(weight)
        towards = step = inverse @ left
        size, enough = left @ towards, _EXACT**2 * (wanted[:, c] @ (inverse @ wanted[:, c]))
        for _ in range(_MOST_STEPS):
            if size <= enough:
                break
            moved = times(step)
            share = size / (step @ moved)
            weight += share * step
            left = left - share * moved
            towards = inverse @ left
            size, before = left @ towards, size
            step = towards + (size / before) * step
        else:
            return None
    return found
