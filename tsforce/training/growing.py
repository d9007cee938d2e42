"""Least squares that goes on: moments of all rows so far, to which later ones are added.

Their size is that of the weights squared, however many rows they stand for; a solution costs no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.training.solvers.gram import Gram, accumulate, by_length
from tsforce.training.solvers.least_squares import followed, solve, solve_with_digits
from tsforce.training.solvers.priors import Prior

__all__ = ["Growing", "moment_bytes"]

# The rows of some series, as ``Triangle`` takes them: for columns that moments cannot tell apart.
RowsOf = Callable[[IntArray], Iterable[tuple[Tensor, ...]]]


def moment_bytes(n_groups: int, layout: LagLayout) -> int:
    """Return the memory that the moments of a linear map take."""
    return 8 * n_groups * len(layout.columns) * (len(layout.columns) + len(layout.channels) + 2)


@dataclass(frozen=True, eq=False)
class Growing:
    """The moments that linear maps of G groups are the solution of, and what was chosen of them.

    Attributes
    ----------
    layout : LagLayout
    pooled : bool
    intercept : (G,) bool
    ridge : (G,) float64
    prior : Prior or None
    gram : Gram
        About origins that stay as they were at first.
    fades : bool
        Whether earlier rows count for less than one.
    """

    layout: LagLayout
    pooled: bool
    intercept: npt.NDArray[np.bool_]
    ridge: npt.NDArray[np.float64]
    prior: Prior | None
    gram: Gram
    fades: bool = False

    @staticmethod
    def of(
        store: SeriesStore,
        stops: IntArray,
        layout: LagLayout,
        *,
        pooled: bool,
        intercept: npt.NDArray[np.bool_],
        ridge: npt.NDArray[np.float64],
        prior: Prior | None,
    ) -> Growing:
        """Return the moments of the rows before `stops` of all series of a store.

        Parameters
        ----------
        store, stops, layout, pooled
            As in ``gram.accumulate``.
        intercept, ridge : (G,)
        prior : Prior or None
        """
        every = np.arange(len(stops))
        if pooled:
            gram = accumulate(store, every, stops, layout, pooled=True, intercept=bool(intercept[0]))
            return Growing(layout, pooled, intercept, ridge, prior, gram)
        order, parts = [], []
        for one in (True, False):
            some = np.flatnonzero(intercept == one)
            for part in by_length(stops[some]):
                order.append(some[part])
                parts.append(accumulate(store, some[part], stops[some[part]], layout, pooled=False, intercept=one))
        back = torch.from_numpy(np.argsort(np.concatenate(order)))
        gram = Gram(*(torch.cat([getattr(p, f.name) for p in parts])[back] for f in fields(Gram)))
        return Growing(layout, pooled, intercept, ridge, prior, gram)

    def add(self, groups: IntArray, x: Tensor, y: Tensor, weight: Tensor | None = None) -> Growing:
        """Return the moments with rows of some groups in addition.

        Parameters
        ----------
        groups : (g,) int64
            Each at most once.
        x, y : (g, n, D), (g, n, C)
        weight : (g, n), optional
            Of the rows; 1 by default.
        """
        gram, place = self.gram, torch.from_numpy(groups)
        x, y = x - gram.x_origin[place][:, None], y - gram.y_origin[place][:, None]
        w = x.new_ones(x.shape[:2]) if weight is None else weight
        weighted = x * w[..., None]
        whole = len(groups) == len(gram.rows)
        new = {
            "xy": weighted.mT @ y,
            "yy": (w[..., None] * y**2).sum(dim=1),
            "x_sum": weighted.sum(dim=1),
            "y_sum": (w[..., None] * y).sum(dim=1),
            "rows": w.sum(dim=1),
        }
        sums = {
            name: getattr(gram, name) + part if whole else getattr(gram, name).index_add(0, place, part)
            for name, part in new.items()
        }
        # The largest part, which would be written twice.
        if whole:
            sums["xx"] = torch.baddbmm(gram.xx, weighted.mT, x)
        else:
            sums["xx"] = gram.xx.index_add(0, place, weighted.mT @ x)
        return replace(self, gram=replace(gram, **sums))

    def faded(self, share: Tensor) -> Growing:
        """Return the moments of which a share (G,) is left."""
        gram = self.gram
        sums = {
            name: getattr(gram, name) * share.reshape(-1, *[1] * (getattr(gram, name).ndim - 1))
            for name in ("xx", "xy", "yy", "x_sum", "y_sum", "rows")
        }
        return replace(self, gram=replace(gram, **sums), fades=True)

    def solve(self, scaling: str | None, rows: RowsOf | None) -> Linear:
        """Return the linear maps of the moments.

        Parameters
        ----------
        scaling : str or None
            Of the windows that the maps are of.
        rows : function from positions of groups to rows, or None
            Called for groups whose columns moments cannot tell apart with enough digits; None: moments say it all.
        """
        gram = self.gram
        weight, bias = torch.empty_like(gram.xy), torch.empty_like(gram.y_sum)
        parts = [(one, np.flatnonzero(self.intercept == one)) for one in (True, False)]
        parts = [(one, own) for one, own in parts if len(own)]
        prior = self.prior
        if prior is not None and prior.looks_at_all and not self.pooled:
            prior = prior.learnt(_some(gram, own) for _, own in parts)
        for one, own in parts:
            for where, part in _some(gram, own).pieces():
                groups, place = own[where], torch.from_numpy(own[where])
                ridge = [torch.from_numpy(self.ridge[groups]).to(part.rows)]
                how: dict[str, Any] = {"intercept": one, "anchor": prior and prior.anchor(part)}
                if self.fades or rows is None:
                    # Of rows that faded at each update nothing but their moments is left.
                    ((weight[place], bias[place]),) = solve(part, ridge, **how)
                else:
                    of_each = _RowsOfEach(rows, groups)
                    ((weight[place], bias[place]),) = solve_with_digits(part, ridge, of_each, **how)
        return followed([Linear(self.layout, weight, bias)], scaling)[0]


@dataclass(frozen=True)
class _RowsOfEach(Sequence[Callable[[], Iterable[tuple[Tensor, ...]]]]):
    """What makes the rows of each group, looked up by the few that are asked for."""

    rows: RowsOf
    groups: IntArray

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: Any) -> Any:
        return partial(self.rows, self.groups[[place]])


def _some(gram: Gram, groups: Sequence[int] | IntArray) -> Gram:
    """Return the moments of some groups."""
    if len(groups) == len(gram.rows):
        return gram
    return gram.groups(torch.as_tensor(np.asarray(groups)))
