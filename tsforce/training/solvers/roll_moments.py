"""Moments of the roll-outs of linear maps: what the squares of all their errors need of rows, taken once.

A map of lags says h steps ahead ``a_h' x``, x being the lags at the cutoff, newest first, and 1: with w its weights and
b its constant ``a_1 = (w, b)`` and ``a_{h+1} = a_h[0] (w, b) + shift(a_h)``. Over all cutoffs the squares of the errors
of step h are then ``y_h'y_h - 2 a_h'X'y_h + a_h'X'X a_h``. Truths end at a stop: the last cutoffs have none of later
steps, and what they had in X'X is taken off again, step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.training.solvers.looks import Lesson

__all__ = ["RollMoments", "adjoint", "coefficients"]

FloatArray = npt.NDArray[np.float64]

# Bytes of rows at once, and of rows that are kept where they are read again.
_CHUNK_BYTES, _KEPT_BYTES = 2**26, 2**28
_MEDIAN_SIZE = 0.6744897501960817


def coefficients(theta: Tensor, horizon: int) -> Tensor:
    """Return a_1 .. a_H, (G, H, P): what maps say at each step of lags at the cutoff and 1.

    Parameters
    ----------
    theta : (G, P)
        Weights of lags 1, 2, ..., P - 1, and the constant.
    horizon : int

    Examples
    --------
    >>> coefficients(torch.tensor([[0.5, 0.25, 1.0]]), 2).tolist()
    [[[0.5, 0.25, 1.0], [0.5, 0.125, 1.5]]]
    """
    found = [theta]
    for _ in range(1, horizon):
        before = found[-1]
        now = before[:, :1] * theta
        now[:, :-2] += before[:, 1:-1]
        now[:, -1] += before[:, -1]
        found.append(now)
    return torch.stack(found, dim=1)


def adjoint(theta: Tensor, a: Tensor, da: Tensor) -> Tensor:
    """Return the gradient by theta, (G, P), of what has the gradient `da` (G, H, P) by its `coefficients` `a`."""
    gradient = torch.zeros_like(theta)
    back = da[:, -1].clone()
    for h in range(a.shape[1] - 2, -1, -1):
        gradient += a[:, h, :1] * back
        before = da[:, h].clone()
        before[:, 0] += (back * theta).sum(dim=1)
        before[:, 1:-1] += back[:, :-2]
        before[:, -1] += back[:, -1]
        back = before
    return gradient + back


class _Block(NamedTuple):
    """Some rows: of groups `groups`, lags and 1 (g, n, P), truths and where there are any (g, n, H), series (g, n)."""

    groups: slice
    x: Tensor
    y: Tensor
    known: Tensor
    series: IntArray


class RollMoments:
    """Moments of all cutoffs that may be learnt from, of G groups.

    Parameters
    ----------
    lesson : Lesson
        Of one target, lags alone.
    reach : int
        P - 1, the largest lag.
    origin : (G,)
        Taken off all values, so that a level does not swallow what varies about it.
    threshold : float, optional
        k of Huber's loss; None: squares.

    Attributes
    ----------
    xx : (G, P, P)
    xy : (G, P, H)
        With Huber's loss, of truths that `pull_in` has moved.
    yy : (G, H)
        Sums of squares of truths.
    counts : (G, H)
        Cutoffs that have the truth of a step.
    """

    def __init__(self, lesson: Lesson, reach: int, origin: Tensor, threshold: float | None = None) -> None:
        self.lesson, self.origin, self.threshold = lesson, origin, threshold
        cutoffs = lesson.cutoffs
        counts = [np.maximum(b - a + 1, 0) for a, b in zip(cutoffs.first_rows, cutoffs.last_rows, strict=True)]
        self.totals = np.array([own.sum() for own in counts])
        flat = np.concatenate(counts)
        self._series = np.repeat(np.concatenate(cutoffs.series), flat)
        self._rows = ragged_rows(np.concatenate(cutoffs.first_rows), flat)
        self._starts = np.cumsum(self.totals) - self.totals
        self._alone = all(len(own) == 1 for own in cutoffs.series)
        self.reach, self.horizon = reach, lesson.horizon
        groups, width, horizon = len(counts), self.reach + 1, lesson.horizon
        zeros = origin.new_zeros
        self.xx, self.xy = zeros(groups, width, width), zeros(groups, width, horizon)
        self.yy, self.counts = zeros(groups, horizon), zeros(groups, horizon)
        self._limits: Tensor | None = None
        self._kept: list[_Block] | None = [] if self._bytes() <= _KEPT_BYTES and threshold is not None else None
        # Rows whose last known step is 1, 2, ..: of each series one, and of many no more than columns.
        tails = zeros(groups, horizon - 1, 1, width)
        for block in self._read():
            part, x, y, known, _ = block
            self.xx[part].baddbmm_(x.mT, x)
            self.xy[part].baddbmm_(x.mT, y)
            self.yy[part] += (y**2).sum(dim=1)
            self.counts[part] += known.sum(dim=1)
            tails = self._with_tails(tails, block)
            if self._kept is not None:
                self._kept.append(block)
        self.tail = tails.flatten(1, 2)
        last_known = np.repeat(np.arange(1, horizon), tails.shape[2])
        self._unknown = torch.from_numpy(last_known[:, None] < np.arange(1, horizon + 1)).to(self.tail)

    def _bytes(self) -> int:
        return 8 * int(self.totals.sum()) * (self.reach + 2 * self.horizon)

    def _with_tails(self, tails: Tensor, block: _Block) -> Tensor:
        """Return tails (G, H - 1, r, P) with those rows of a block that lack a truth, by their last known step."""
        last_known = block.known.sum(dim=2)
        steps = torch.arange(1, self.horizon, device=last_known.device)
        if self._alone:
            chosen = last_known[:, None] == steps[:, None]
            tails[block.groups, :, 0] += torch.bmm(chosen.to(block.x), block.x)
            return tails
        rows = [torch.cat([tails[0, i], block.x[last_known == step]]) for i, step in enumerate(steps.tolist())]
        short = [torch.linalg.qr(own, mode="r").R if len(own) > own.shape[1] else own for own in rows]
        longest = max((len(own) for own in short), default=1)
        padded = [torch.nn.functional.pad(own, (0, 0, 0, longest - len(own))) for own in short]
        return torch.stack(padded)[None] if padded else tails

    def _read(self) -> Iterator[_Block]:
        """Yield all rows, some groups at a time, of one group some rows at a time."""
        store, horizon = self.lesson.cutoffs.store, self.horizon
        per_row = 8 * (2 * self.reach + 2 * horizon)
        at_once = max(1, _CHUNK_BYTES // per_row)
        first = 0
        while first < len(self.totals):
            widest = np.maximum.accumulate(self.totals[first:])
            fits = int((widest * np.arange(1, len(widest) + 1) <= at_once).sum())
            groups = slice(first, first + max(1, fits))
            totals, starts = self.totals[groups, None], self._starts[groups, None]
            for begin in range(0, int(totals.max(initial=0)), at_once):
                place = np.arange(begin, min(begin + at_once, int(totals.max())))
                there = place < totals
                which = starts + np.minimum(place, np.maximum(totals - 1, 0))
                series, rows = self._series[which], self._rows[which]
                batch = store.batch(series, rows, horizon)
                assert batch.future is not None
                inside = self.lesson.cutoffs.may_be_learnt(series, rows, horizon) & there[..., None]
                known = torch.from_numpy(inside).to(self.origin.device)
                origin = self.origin[groups, None, None]
                mask = torch.from_numpy(there).to(self.origin)[..., None]
                x = torch.cat([(batch.past[:, :, -self.reach :, 0].flip(2) - origin) * mask, mask], dim=2)
                yield _Block(groups, x, torch.where(known, batch.future[..., 0] - origin, 0.0), known, series)
            first = groups.stop

    # ---- errors

    def errors(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return sums of squared errors at each step, (G, H), and half their gradient by `a`, (G, H, P)."""
        gap = torch.baddbmm(self.xy.mT, a, self.xx, beta=-1)
        told = torch.bmm(self.tail, a.mT) * self._unknown
        gap.baddbmm_(told.mT, self.tail, alpha=-1)
        return self.yy + ((gap - self.xy.mT) * a).sum(dim=2), gap

    # ---- Huber's loss

    def pull_in(self, a: Tensor) -> None:
        """Move truths so far that errors of a map end at the threshold (Huber & Dutter 1974).

        Of truths that leave errors psi(r) of r, squares and Huber's loss (times 2) have one gradient, and squares of
        any other map are no less than its Huber loss, up to a constant: what lowers the first lowers the second.
        """
        if self.threshold is None:
            return
        if self._limits is None:
            self._limits = self.threshold * self._scales(a)
        self.xy.zero_()
        self.yy.zero_()
        for part, x, y, known, series in self._blocks():
            yhat = torch.bmm(x, a[part].mT)
            # A group of one series has one limit for all its rows.
            own = torch.from_numpy(series[:, :1] if self._alone else series).to(x.device)
            limit = self._limits[own]
            moved = yhat.add_((y - yhat).clamp_(-limit, limit)).mul_(known)
            self.xy[part].baddbmm_(x.mT, moved)
            self.yy[part] += moved.square_().sum(dim=1)

    def _blocks(self) -> Iterator[_Block]:
        return iter(self._kept) if self._kept is not None else self._read()

    def _scales(self, a: Tensor) -> Tensor:
        """Return the robust scale of each series' errors at each step, (S, H), all series of the store.

        Where it is 0 the mean size; infinite where that is 0, or more than half of the truths one step ahead are equal
        (intermittent demand): what is left would be taken for outliers.
        """
        sizes, series, firsts = [], [], []
        for part, x, y, known, own in self._blocks():
            size = torch.where(known, (y - torch.bmm(x, a[part].mT)).abs(), torch.inf)
            some = known[..., 0].cpu().numpy()
            sizes.append(size.cpu().numpy()[some])
            firsts.append(y[..., 0].cpu().numpy()[some])
            series.append(own[some])
        where = np.concatenate(series)
        scales = np.full((len(self.lesson.cutoffs.store.lengths), self.horizon), np.inf)
        # Rows stand series by series.
        begins = np.flatnonzero(np.diff(where, prepend=-1))
        ends = np.append(begins[1:], len(where))
        all_sizes, first = np.concatenate(sizes), np.concatenate(firsts)
        for begin, end in zip(begins, ends, strict=True):
            target = first[begin:end]
            if (target == np.median(target)).mean() <= 0.5:
                scales[where[begin]] = _scales_of(all_sizes[begin:end])
        return torch.from_numpy(scales).to(self.origin)


def _scales_of(size: FloatArray) -> FloatArray:
    """Return the robust scale of each column of (n, H), its mean where that is 0; infinite entries are no values."""
    count = np.isfinite(size).sum(axis=0)
    ordered, column = np.sort(size, axis=0), np.arange(size.shape[1])
    low, high = (ordered[np.maximum(place, 0), column] for place in ((count - 1) // 2, count // 2 - (count == 0)))
    middle = 0.5 * (low + high) / _MEDIAN_SIZE
    mean = np.where(np.isfinite(size), size, 0.0).sum(axis=0) / np.maximum(count, 1)
    scale = np.where((middle > 0) & (count > 0), middle, mean)
    return np.where(scale > 0, scale, np.inf)
