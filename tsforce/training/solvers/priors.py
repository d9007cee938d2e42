"""What linear maps are shrunk to: the weights of a forecast that needs no fitting, in place of zero.

A map that tells of lags ``y[t] = sum_j w_j y[t-j]`` is the polynomial ``A(B) = 1 - sum_j w_j B^j`` of the backshift
operator. Naive forecasts are ``1 - B``, seasonal naive ones ``1 - B^m``; simple exponential smoothing is
``(1 - B) / (1 - theta B)`` (Muth 1960), and with a season the airline model ``(1 - B)(1 - B^m) / ((1 - theta B)(1 -
Theta B^m))`` (Box & Jenkins 1970, section 9.2). Shrinking to such a point, lags further away more strongly, is the
Minnesota prior (Litterman 1986, "Forecasting with Bayesian vector autoregressions").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.transforms import Difference, Transform
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError
from tsforce.training.solvers.gram import Anchor, Gram

__all__ = ["PRIORS", "Prior"]

FloatArray = npt.NDArray[np.float64]

PRIORS = ("zero", "naive", "seasonal_naive", "smoothing", "seasonal_smoothing", "pooled")
# Smoothing of level (1 - theta) and season (1 - Theta) that are tried.
_THETAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SEASONAL = (0.0, 0.3, 0.5, 0.7, 0.85, 0.95)


def _product(*factors: FloatArray) -> FloatArray:
    found = np.ones(1)
    for factor in factors:
        found = np.convolve(found, factor)
    return found


def _unit(lag: int) -> FloatArray:
    """Return the coefficients of ``1 - B^lag``, lowest power first."""
    found = np.zeros(lag + 1)
    found[0], found[lag] = 1.0, -1.0
    return found


def _roots_left(kind: str, season: int, transforms: tuple[Transform, ...]) -> FloatArray:
    """Return the factor of a prior for levels that differences of the target leave to the map."""
    wanted = {"naive": {1}, "seasonal_naive": {season}, "smoothing": {1}, "seasonal_smoothing": {1, season}}[kind]
    left = [_unit(lag) for lag in sorted(wanted)]
    for difference in (t.lag for t in transforms if isinstance(t, Difference)):
        for i, factor in enumerate(left):
            quotient, rest = np.polydiv(factor[::-1], _unit(difference)[::-1])
            if not rest.any() and len(quotient):
                left[i] = np.asarray(quotient[::-1], dtype=np.float64)
                break
        else:
            raise ArgumentError(
                f"prior={kind!r} is a map of levels, and Difference({difference}) takes from them what it does not; "
                f"leave that difference out, or use prior='zero'."
            )
    return _product(*left)


@dataclass(frozen=True)
class Prior:
    """Weights of the own lags of a target, by their polynomial ``numerator / ((1 - theta B)(1 - Theta B^m))``.

    Attributes
    ----------
    kind : str
        One of `PRIORS`.
    layout : LagLayout
    season : int
        m.
    transforms : tuple of Transform
        Of the target: what differences take, the map does not have to.
    decay : float
        Penalties grow with the distance of a lag from the nearest of 1 and the seasonal ones, to this power.
    held : float
        Penalty of the intercept, in shares of the number of rows: see `Anchor`.
    common : (D, C) tensor or None
        Of "pooled", in units of the series: the map of all of them, once it is learnt.
    """

    kind: str
    layout: LagLayout
    season: int
    transforms: tuple[Transform, ...] = ()
    decay: float = 0.0
    held: float = 0.0
    common: Tensor | None = None

    @staticmethod
    def of(
        kind: str,
        layout: LagLayout,
        season: int,
        transforms: tuple[Transform, ...],
        scaling: str | None,
        held: float = 0.0,
    ) -> Prior:
        """Return a prior for the targets that a map sees.

        Raises
        ------
        ArgumentError
            If differences, window scaling and lags do not go with it.
        """
        prior = Prior(kind, layout, season, transforms, held=held)
        if kind not in ("zero", "pooled"):
            moved = abs(float(prior._candidates[0].sum()) - 1) > 1e-6
            if scaling in ("last", "standard") and moved:
                raise ArgumentError(
                    f"prior={kind!r} of differences is no map that a shift passes through, as "
                    f"window_scaling={scaling!r} needs; use window_scaling=None, or leave the Difference out."
                )
        return prior

    @cached_property
    def factors(self) -> Tensor:
        """Factors of the penalty of the columns, (D,)."""
        layout = self.layout
        seasons = range(self.season, layout.reach + 1, self.season) if self.season > 1 else ()
        near = np.array([1, *seasons])
        lags = np.repeat(np.array(layout.lags[::-1]), len(layout.channels))
        away = np.abs(lags[:, None] - near).min(axis=1)
        found = np.ones(len(layout.columns))
        found[: len(lags)] = (1.0 + away) ** self.decay
        return torch.from_numpy(found)

    @property
    def is_pooled(self) -> bool:
        """Whether it is learnt from all series, which has to be done first."""
        return self.kind == "pooled"

    def learnt(self, grams: Iterable[Gram]) -> Prior:
        """Return the prior that has seen the moments of all series."""
        return replace(self, common=_common(grams, self.layout))

    def anchor(self, gram: Gram) -> Anchor:
        """Return what weights of the groups of some moments are pulled to."""
        n_lags = len(self.layout.lags)
        x_level = gram.x_origin.clone()
        x_level[:, : n_lags * len(self.layout.channels)] = gram.y_origin.repeat(1, n_lags)
        return Anchor(self._weights(gram).to(gram.xy), self.factors.to(gram.xy), self.held, x_level, gram.y_origin)

    def _weights(self, gram: Gram) -> Tensor:
        layout, channels = self.layout, len(self.layout.channels)
        if self.kind == "zero" or (self.is_pooled and self.common is None):
            return torch.zeros_like(gram.xy)
        if self.common is not None:
            std, y_std = _units(gram, self.layout)
            return self.common * y_std[:, None] / std[:, :, None]
        candidates = self._candidates
        own = [c + channels * np.arange(len(layout.lags)) for c in range(channels)]
        found = torch.zeros_like(gram.xy)
        for c, places in enumerate(own):
            if len(candidates) == 1:
                best = torch.zeros(len(found), dtype=torch.int64)
            else:
                best = _squares_left(gram, candidates, torch.from_numpy(places), c).argmin(dim=1)
            found[:, places, c] = candidates[best]
        return found

    @cached_property
    def _candidates(self) -> Tensor:
        """Weights of the used lags, oldest first, of every smoothing that is tried, (K, L)."""
        left = _roots_left(self.kind, self.season, self.transforms)
        thetas: tuple[float, ...] = (0.0,)
        seasonal: tuple[float, ...] = (0.0,)
        if self.kind in ("smoothing", "seasonal_smoothing"):
            thetas = _THETAS
        if self.kind == "seasonal_smoothing" and self.season > 1:
            seasonal = _SEASONAL
        return torch.from_numpy(np.stack([self._cut(left, a, b) for a, b in itertools.product(thetas, seasonal)]))

    def _cut(self, left: FloatArray, theta: float, seasonal: float) -> FloatArray:
        """Return the weights that the used lags can have: the expansion's, changed least so that `left` divides it."""
        used, reach = np.array(self.layout.lags), self.layout.reach
        whole = np.zeros(reach + 1)
        whole[: min(len(left), reach + 1)] = left[: reach + 1]
        for lag, share in ((1, theta), (self.season, seasonal)):
            for j in range(lag, reach + 1):
                whole[j] += share * whole[j - lag]
        weights = -whole[used]
        remainders = _remainders(left, reach)
        need = remainders[0] - weights @ remainders[used]
        if len(need):
            rows = remainders[used].T
            change, *_ = np.linalg.lstsq(rows, need, rcond=None)
            if np.abs(rows @ change - need).max() > 1e-8:
                raise ArgumentError(
                    f"prior={self.kind!r} cannot be had from lags={list(self.layout.lags)!r}: it needs "
                    f"{len(left) - 1} lags or more, 1 and the season's among them; add them, or use prior='zero'."
                )
            weights = weights + change
        found: FloatArray = weights[::-1].copy()
        return found


def _remainders(divisor: FloatArray, most: int) -> FloatArray:
    """Return the remainders of B^0 ... B^most by a polynomial of degree d with constant 1, (most + 1, d)."""
    degree = len(divisor) - 1
    found = np.zeros((most + 1, degree))
    if degree == 0:
        return found
    current = np.zeros(degree)
    for power in range(most + 1):
        if power < degree:
            current = np.eye(degree)[power]
        else:
            top = current[-1]
            current = np.concatenate([[0.0], current[:-1]]) - top * divisor[:-1] / divisor[-1]
        found[power] = current
    return found


def _squares_left(gram: Gram, candidates: Tensor, places: Tensor, channel: int) -> Tensor:
    """Return what each candidate leaves of the targets' squares about their mean error, (G, K)."""
    xx = gram.xx[:, places][:, :, places]
    xx = torch.tril(xx) + torch.tril(xx, -1).mT
    rows = gram.rows[:, None]
    mean, y_mean = gram.x_sum[:, places] / rows, gram.y_sum[:, channel, None] / rows
    xx = xx - rows[..., None] * mean[:, :, None] * mean[:, None, :]
    xy = gram.xy[:, places, channel] - rows * mean * y_mean
    w = candidates.to(xx)
    return ((w @ xx) * w).sum(dim=2) - 2 * xy @ w.mT


def _units(gram: Gram, layout: LagLayout) -> tuple[Tensor, Tensor]:
    """Return the units of columns and targets of every group, (G, D) and (G, C): lags have that of their target."""
    rows, channels = gram.rows[:, None], len(layout.channels)
    y_var = (gram.yy - gram.y_sum**2 / rows) / rows
    var = (gram.xx.diagonal(dim1=1, dim2=2) - gram.x_sum**2 / rows) / rows
    lags = len(layout.lags)
    var[:, : lags * channels] = y_var.repeat(1, lags)
    units = [torch.where(v > 0, v, 1.0).sqrt() for v in (var, y_var)]
    return units[0], units[1]


def _common(grams: Iterable[Gram], layout: LagLayout) -> Tensor:
    """Return the weights of one map for all series, each in units of its own, (D, C)."""
    xx, xy, n = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for gram in grams:
        rows = gram.rows[:, None, None]
        std, y_std = _units(gram, layout)
        whole = torch.tril(gram.xx) + torch.tril(gram.xx, -1).mT
        own = whole - gram.x_sum[:, :, None] * gram.x_sum[:, None, :] / rows
        xx = xx + (own / std[:, :, None] / std[:, None, :]).sum(dim=0)
        own = gram.xy - gram.x_sum[:, :, None] * gram.y_sum[:, None, :] / rows
        xy = xy + (own / std[:, :, None] / y_std[:, None, :]).sum(dim=0)
        n = n + gram.rows.sum()
    jitter = 1e-10 * n * torch.eye(len(xx), dtype=xx.dtype)
    return torch.cholesky_solve(xy, torch.linalg.cholesky(xx + jitter))
