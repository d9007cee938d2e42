"""Robust least squares: Huber's loss by reweighting, on moments of which only outlying rows are changed.

Rows with residuals beyond k robust scales s get the weight k s / |r|, all others 1 (Huber 1964, "Robust estimation of a
location parameter"; reweighting: Holland & Welsch 1977, "Robust regression using iteratively reweighted least-squares";
both are statsmodels' ``RLM(HuberT(k))``). So X'WX is X'X less what few rows had in it, and a round costs the rows whose
weight changed. Columns are standardised over weighted rows, and a ridge is weighed against their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.training.solvers.gram import CANCELLED, Anchor, Gram, has_shifts
from tsforce.training.solvers.lag_rows import LagVectors, Shifts
from tsforce.training.solvers.least_squares import Solutions, maps_of, solve_with_digits
from tsforce.training.solvers.priors import Prior
from tsforce.training.solvers.row_weights import TOLERANCE, RowWeights, Squared

__all__ = ["fit_huber"]

FloatArray = npt.NDArray[np.float64]


def fit_huber(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    ridges: Sequence[float | Tensor],
    *,
    threshold: float,
    pooled: bool,
    intercept: bool | npt.NDArray[np.bool_],
    horizon: int = 1,
    first: int = 0,
    prior: Prior | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[list[Linear], Squared]:
    """Return the linear maps of Huber's loss for each ridge, and where it was given up for squares.

    Parameters
    ----------
    store, series, stops, layout, ridges, pooled, intercept, horizon, first, prior
        As in ``least_squares.fit_linear``.
    threshold : float
        k: residuals beyond k robust scales (1.4826 times the median absolute residual of their series and target, from
        the current fit) count by their size, others by their square.
    tolerance : float
        Weights of rows that would move by no more than this share of them stay.

    Notes
    -----
    Weights are found under the middle ridge and held for the others. Every target has weights of its own. A scale that
    is 0 is replaced by the mean absolute residual. Squares stay where more than half of a series' targets are equal,
    where there is nothing but rounding to measure outliers by, and where Huber's residuals are off on average beyond
    luck: what is rare and on one side is no accident (promotions, intermittent demand). Rows in which an input is not
    what it is in nine of ten keep the weight 1. Rows that read a target more than 20 robust standard deviations from
    its median have less weight from the start, by the square of that, under Huber's loss and the squares in its place.
    """
    squared = Squared()
    stops_of = dict(zip(series.tolist(), stops.tolist(), strict=True))

    def solved(
        gram: Gram,
        members: list[IntArray],
        ridges: Sequence[float | Tensor],
        *,
        intercept: bool,
        anchor: Anchor | None,
    ) -> Solutions:
        rows = [
            _rows(store, own, np.array([stops_of[i] for i in own.tolist()]), layout, horizon, first) for own in members
        ]
        return _solved(gram, rows, ridges, intercept, anchor, threshold, tolerance, squared)

    models = maps_of(
        solved, store, series, stops, layout, ridges, pooled=pooled, intercept=intercept, horizon=horizon, first=first,
        prior=prior,
    )  # fmt: skip
    return models, squared


def _rows(
    store: SeriesStore, series: IntArray, stops: IntArray, layout: LagLayout, horizon: int, first: int
) -> Shifts | LagVectors:
    if has_shifts(store, layout) and not layout.ahead:
        return Shifts(store, series, stops, layout)
    return LagVectors(store, series, stops, layout, horizon, first)


def _solved(
    gram: Gram,
    rows: list[Shifts | LagVectors],
    ridges: Sequence[float | Tensor],
    intercept: bool,
    anchor: Anchor | None,
    threshold: float,
    tolerance: float,
    squared: Squared,
) -> list[tuple[Tensor, Tensor]]:
    """Return weight (G, D, C) and bias (G, C) for each ridge, of groups with given moments and rows."""
    found = []
    whole = Gram(*(getattr(gram, f.name).cpu() for f in fields(Gram)))
    middle = ridges[len(ridges) // 2]
    for c in range(gram.y_sum.shape[1]):
        own = replace(
            whole, xy=whole.xy[..., c : c + 1], yy=whole.yy[:, c : c + 1], y_sum=whole.y_sum[:, c : c + 1],
            y_origin=whole.y_origin[:, c : c + 1],
        )  # fmt: skip
        aim = anchor and anchor.target(c)
        task = _Task(own, rows, c, middle, intercept, aim, threshold, tolerance)
        task.settle(squared)
        others = [ridge for ridge in ridges if ridge is not middle]
        again = solve_with_digits(task.gram, others, task.rooted, intercept=intercept, anchor=aim) if others else []
        again.insert(len(ridges) // 2, task.solution)
        found.append(again)
    return [
        (torch.cat([w for w, _ in parts], dim=2), torch.cat([b for _, b in parts], dim=1))
        for parts in zip(*found, strict=True)
    ]


class _Task:
    """One target of groups: moments that follow the weights of rows.

    Attributes
    ----------
    gram : Gram
        Of weighted rows.
    solution : weight (G, D, 1), bias (G, 1)
        Under the ridge with which weights are found.
    rooted : G callables
        The rows of each group with the roots of their weights, for a triangle.
    """

    def __init__(
        self,
        plain: Gram,
        rows: list[Shifts | LagVectors],
        channel: int,
        ridge: float | Tensor,
        intercept: bool,
        anchor: Anchor | None,
        threshold: float,
        tolerance: float,
    ) -> None:
        self.rows, self.intercept, self.anchor = rows, intercept, anchor
        self.gram = Gram(*(getattr(plain, f.name).clone() for f in fields(Gram)))
        self.ridge = torch.as_tensor(ridge, dtype=torch.float64).cpu().expand(len(rows))
        self.y = [part.y[:, channel] for part in rows]
        self.weights = [
            RowWeights(y, part.ends, threshold, tolerance, part.prior, part.always)
            for y, part in zip(self.y, rows, strict=True)
        ]
        self.rooted = [partial(self._rooted, g) for g in range(len(rows))]
        self.solution = torch.zeros_like(plain.xy), torch.zeros_like(plain.y_sum)
        # Groups whose moments are taken by rows: changes have cost them their digits.
        self.exact = np.zeros(len(rows), dtype=bool)
        energy = plain.xx.diagonal(dim1=1, dim2=2)
        self._varies = self._variation(plain) > 1e-13 * energy
        # What was told to vary by rounding alone.
        self._constant = energy == 0
        self._least = CANCELLED * energy

    @staticmethod
    def _variation(gram: Gram) -> Tensor:
        return gram.xx.diagonal(dim1=1, dim2=2) - gram.x_sum**2 / gram.rows.clamp(min=1e-300)[:, None]

    def settle(self, squared: Squared) -> None:
        """Reweight until the weights have settled; squares again where they must not be."""
        moving = list(range(len(self.rows)))
        for g in moving:
            wild = np.flatnonzero(self.weights[g].prior < 1)
            if len(wild):
                self._change(g, wild, self.weights[g].prior[wild] - 1)
        self._check_digits(moving)
        start = {f.name: getattr(self.gram, f.name).clone() for f in fields(Gram)}
        residuals = self._solve(moving)
        squares = self.solution[0].clone(), self.solution[1].clone()
        while moving:
            for g in list(moving):
                changed, change = self.weights[g].update(residuals[g])
                if not self.weights[g].goes_on:
                    moving.remove(g)
                elif not self.exact[g]:
                    self._change(g, changed, change)
            if moving:
                self._check_digits(moving)
                residuals |= self._solve(moving)
        for g, weights in enumerate(self.weights):
            if squared.counts(weights, residuals[g]):
                weights.weight[:] = weights.prior
                for name, moments in start.items():
                    getattr(self.gram, name)[g] = moments[g]
                for now, first in zip(self.solution, squares, strict=True):
                    now[g] = first[g]

    def _check_digits(self, groups: list[int]) -> None:
        """Take moments by rows of groups whose rows, taken off again, have cost them their digits."""
        lost = (self._variation(self.gram)[groups] < self._least[groups]) & self._varies[groups]
        self.exact[groups] |= lost.any(dim=1).numpy()
        for g in groups:
            if self.exact[g]:
                self._by_rows(g)

    def _solve(self, groups: list[int]) -> dict[int, FloatArray]:
        """Solve some groups under the weights of now, and return their residuals."""
        whole = len(groups) == len(self.rows)
        part = self.gram if whole else Gram(*(getattr(self.gram, f.name)[groups] for f in fields(Gram)))
        rows = [self.rooted[g] for g in groups]
        anchor = self.anchor and self.anchor.groups(groups)
        ((weight, bias),) = solve_with_digits(part, [self.ridge[groups]], rows, intercept=self.intercept, anchor=anchor)
        self.solution[0][groups], self.solution[1][groups] = weight, bias
        return {
            g: self.y[g] - self.rows[g].told(w[:, 0].numpy(), float(b))
            for g, w, b in zip(groups, weight, bias, strict=True)
        }

    def _change(self, g: int, index: IntArray, change: FloatArray) -> None:
        """Add rows of a group to its moments so many times over."""
        gram, dw = self.gram, torch.from_numpy(change)
        x = (self.rows[g].some(index) - gram.x_origin[g]).masked_fill(self._constant[g], 0.0)
        y = torch.from_numpy(self.y[g][index]) - gram.y_origin[g]
        weighted = (x * dw[:, None]).mT
        gram.xx[g].addmm_(weighted, x)
        gram.xy[g, :, 0].addmv_(weighted, y)
        gram.yy[g] += (dw * y**2).sum()
        gram.x_sum[g] += weighted.sum(dim=1)
        gram.y_sum[g] += (dw * y).sum()
        gram.rows[g] += dw.sum()

    def _by_rows(self, g: int) -> None:
        """Take the moments of a group from all its rows."""
        gram, weight, y = self.gram, torch.from_numpy(self.weights[g].weight), torch.from_numpy(self.y[g])
        if self.intercept:
            gram.y_origin[g] = (weight * y).sum() / weight.sum()
            gram.x_origin[g] = torch.stack([weight[i] @ x for i, x in self.rows[g].pieces()]).sum(dim=0) / weight.sum()
        for f in fields(Gram):
            if not f.name.endswith("origin"):
                getattr(gram, f.name)[g] = 0.0
        y = y - gram.y_origin[g]
        for i, x in self.rows[g].pieces():
            x = (x - gram.x_origin[g]).masked_fill(self._constant[g], 0.0)
            weighted = (x * weight[i, None]).mT
            gram.xx[g] += weighted @ x
            gram.xy[g, :, 0] += weighted @ y[i]
            gram.x_sum[g] += weighted.sum(dim=1)
        gram.yy[g], gram.y_sum[g] = (weight * y**2).sum(), (weight * y).sum()
        gram.rows[g] = weight.sum()

    def _rooted(self, g: int) -> Iterable[tuple[Tensor, ...]]:
        """Yield lag vectors and targets of a group with the roots of their weights, for a triangle."""
        root, y = torch.from_numpy(np.sqrt(self.weights[g].weight)), torch.from_numpy(self.y[g])[:, None]
        for i, x in self.rows[g].pieces():
            yield x, y[i], root[i]
