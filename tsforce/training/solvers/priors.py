"""What linear maps are shrunk to: the weights of a forecast that needs no fitting, in place of zero.

A map that tells of lags ``y[t] = sum_j w_j y[t-j]`` is the polynomial ``A(B) = 1 - sum_j w_j B^j`` of the backshift
operator. Naive forecasts are ``1 - B``, seasonal naive ones ``1 - B^m``; simple exponential smoothing is
``(1 - B) / (1 - theta B)`` (Muth 1960), and with a season the airline model ``(1 - B)(1 - B^m) / ((1 - theta B)(1 -
Theta B^m))`` (Box & Jenkins 1970, section 9.2). Shrinking to such a point, lags further away more strongly, is the
Minnesota prior (Litterman 1986, "Forecasting with Bayesian vector autoregressions"). A map of a later step (the direct
strategy) is shrunk to what the map of one step says of it, fed its own outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.transforms import Difference, Transform
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError
from tsforce.training.solvers.gram import Anchor, Gram, whole

__all__ = ["PRIORS", "Prior"]

FloatArray = npt.NDArray[np.float64]

PRIORS = ("zero", "naive", "seasonal_naive", "smoothing", "seasonal_smoothing", "pooled")
# Smoothing of level (1 - theta) and season (1 - Theta) that are tried.
_THETAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SEASONAL = (0.0, 0.3, 0.5, 0.7, 0.85, 0.95)
# What kind="auto" takes: penalties grow with this power of the distance; a season where it leaves less than this share
# of the squares.
_DECAY, _SEASONAL_GAIN = 1.0, 0.75
# And half of a drift whose square is so many times its variance, where all series drift clearly. What all of them say
# is the mean of such squares, each counted as `_CLEAR` at most and, beside them, as many series as `_UNSEEN` of
# `_EXPECTED`: 1 is what noise alone gives. (The last is no drift at all.)
_SHARPNESS = 1.5
_DRIFT, _CLEAR, _UNSEEN, _EXPECTED, _NONE = 2.5, 4.0, 3.0, 1.5, 1e12
# Factor of the penalty of inputs.
_INPUTS = 1e-3
# Rows that what all series say about smoothing counts for beside those of a series.
_PANEL = 20.0


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
        One of `PRIORS`, or "auto": of each group the smoothing that leaves least, as its rows and those of all say.
    layout : LagLayout
    season : int
        m.
    transforms : tuple of Transform
        Of the target: what differences take, the map does not have to.
    decay : float
        Penalties grow with the distance of a lag from the nearest of 1 and the seasonal ones, to this power.
    held : float or None
        Penalty of the intercept, in shares of the number of rows: see `Anchor`. None: of each group by how clear its
        drift is.
    common : tensor or None
        What was learnt from all series: of "pooled" their map, in units of each; of "auto" the mean logarithm (K, C) of
        what each of K candidates leaves of a row's squares.
    drift : float
        Half of a drift is left where its square is so many times its variance.
    """

    kind: str
    layout: LagLayout
    season: int
    transforms: tuple[Transform, ...] = ()
    decay: float = 0.0
    held: float | None = 0.0
    common: Tensor | None = None
    drift: float = _DRIFT

    @staticmethod
    def of(
        kind: str,
        layout: LagLayout,
        season: int,
        transforms: tuple[Transform, ...],
        scaling: str | None,
        held: float | None = 0.0,
    ) -> Prior:
        """Return a prior for the targets that a map sees.

        Raises
        ------
        ArgumentError
            If differences, window scaling and lags do not go with it.
        """
        if layout.ahead and kind not in ("zero", "pooled") and not (layout.is_contiguous and layout.lags[0] == 1):
            raise ArgumentError(
                f"prior={kind!r} of later steps reads all lags up to the largest, and lags={list(layout.lags)!r} leave "
                f"some out: give lags={layout.lags[-1]}, prior='zero', or strategy='recursive'."
            )
        prior = Prior(kind, layout, season, transforms, held=held, decay=_DECAY if kind == "auto" else 0.0)
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
        # Of a later step those a season before it, of what is known at the cutoff.
        near = np.array([1, *(lag - layout.ahead for lag in seasons if lag > layout.ahead)])
        lags = np.repeat(np.array(layout.lags[::-1]), len(layout.channels))
        away = np.abs(lags[:, None] - near).min(axis=1)
        # What inputs tell is no matter of smoothing: they are hardly held where lags are held to it.
        found = np.full(len(layout.columns), _INPUTS)
        found[: layout.n_target_columns] = 1.0
        found[: len(lags)] *= (1.0 + away) ** self.decay
        return torch.from_numpy(found)

    @property
    def _has_season_lags(self) -> bool:
        return self.season > 1 and {1, self.season, self.season + 1} <= set(self.layout.lags)

    @property
    def looks_at_all(self) -> bool:
        """Whether something of it is learnt from all series, which has to be done first."""
        return self.kind in ("pooled", "auto") and self.common is None

    def learnt(self, grams: Iterable[Gram]) -> Prior:
        """Return the prior that has seen the moments of all series."""
        return self.taught([self.told_by(grams)])

    def told_by(self, grams: Iterable[Gram]) -> dict[str, Tensor]:
        """Return sums over the moments of some series, which add up to what `taught` takes."""
        if self.kind == "pooled":
            return _sums_of_common(grams, self.layout)
        rows, logs, clear = [], [], []
        for _, gram in (piece for some in grams for piece in some.pieces()):
            own = gram.rows[:, None, None] * self._logs_left(gram)
            rows.append(gram.rows.sum())
            logs.append(own.sum(dim=0))
            clear.append(self._clearness(gram, self._smoothings(gram, own)).clamp(max=_CLEAR).flatten())
        squares = torch.cat(clear)
        return {
            "rows": torch.stack(rows).sum(), "logs": torch.stack(logs).sum(dim=0), "squares": squares.sum(),
            "n": torch.tensor(len(squares)),
        }  # fmt: skip

    def taught(self, told: Sequence[dict[str, Tensor]]) -> Prior:
        """Return the prior that knows what some parts of all series have told, in their order."""
        sums = {name: sum((part[name] for part in told[1:]), told[0][name]) for name in told[0]}
        if self.kind == "pooled":
            return replace(self, common=_common(sums["xx"], sums["xy"], sums["n"]))
        n = int(sums["n"])
        mean = (float(sums["squares"]) + _UNSEEN * _EXPECTED) / (n + _UNSEEN)
        # Of drifts drawn at random (1 + their variance is the mean), as many times more as is noise.
        return replace(self, common=sums["logs"] / sums["rows"], drift=_DRIFT * mean / max(mean - 1, 1e-3))

    def _logs_left(self, gram: Gram) -> Tensor:
        """Return the logarithm of the share of squares that each candidate leaves, (G, K, C)."""
        channels, n_lags = len(self.layout.channels), len(self.layout.lags)
        own = [slice(c, n_lags * channels, channels) for c in range(channels)]
        return torch.stack(
            [_share_left(gram, self._candidates.to(gram.xy), places, c) for c, places in enumerate(own)], dim=2
        ).log()

    def anchor(self, gram: Gram) -> Anchor:
        """Return what weights of the groups of some moments are pulled to."""
        weight = self._weights(gram).to(gram.xy)
        held = self._held(gram, weight) if self.held is None else torch.as_tensor(self.held)
        return Anchor(
            weight, self.factors.to(gram.xy), held.to(gram.rows).expand(len(weight)), self._x_level(gram), gram.y_origin
        )

    def _held(self, gram: Gram, weight: Tensor) -> Tensor:
        """Return a penalty of the intercept for each group, (G,), by how clear a drift is beside some weights.

        It is shrunk by ``|t|^3 / (|t|^3 + drift^1.5)``, t being how many of its standard errors it is away from 0.
        """
        held = (self.drift / self._clearness(gram, weight)) ** _SHARPNESS
        return held.clamp(max=_NONE).mean(dim=1)

    def _x_level(self, gram: Gram) -> Tensor:
        """Return where lags are at the level of their target, and inputs where they are, (G, D)."""
        found = gram.x_origin.clone()
        found[:, : self.layout.n_target_columns] = self.layout.at_level(gram.y_origin)
        return found

    def _clearness(self, gram: Gram, weight: Tensor) -> Tensor:
        """Return the square of how many standard errors the mean is away from 0 of what some weights leave, (G, C)."""
        rows, dx = gram.rows[:, None], gram.x_origin - self._x_level(gram)
        # About the level: moments of what is left, of all columns together.
        told, moved = torch.einsum("gd,gdc->gc", gram.x_sum, weight), torch.einsum("gd,gdc->gc", dx, weight)
        left = gram.y_sum - told - rows * moved
        squares = (weight * (gram.times(weight) - 2 * gram.xy)).sum(dim=1) + moved * (2 * told + rows * moved)
        squares, mean = gram.yy + squares - 2 * moved * gram.y_sum, left / rows
        # Few rows tell a drift's error badly; one row does not at all.
        error = (squares / rows - mean**2).clamp(min=0) / (rows - 3).clamp(min=1e-6)
        return torch.where((rows > 1) & (mean != 0), mean**2 / error, 0.0)

    def _weights(self, gram: Gram) -> Tensor:
        if self.kind in ("zero", "pooled"):
            # One map of all series has no other to be pulled to.
            if self.common is None:
                return torch.zeros_like(gram.xy)
            std, y_std = _units(gram, self.layout)
            return self.common * y_std[:, None] / std[:, :, None]
        return self._smoothings(gram, gram.rows[:, None, None] * self._logs_left(gram))

    def _smoothings(self, gram: Gram, logs: Tensor) -> Tensor:
        """Return the weights of the candidate of each group that some logarithms times rows, (G, K, C), speak for."""
        channels, found = len(self.layout.channels), torch.zeros_like(gram.xy)
        if self.kind == "auto":
            logs = logs + (0.0 if self.common is None else _PANEL * self.common)
            logs[:, self._n_plain :] -= np.log(_SEASONAL_GAIN) * (gram.rows[:, None, None] + _PANEL)
        best, candidates = logs.argmin(dim=1), self._candidates.to(gram.xy)
        for c in range(channels):
            found[:, c : len(self.layout.lags) * channels : channels, c] = candidates[best[:, c]]
        return found

    @property
    def _n_plain(self) -> int:
        """How many of the candidates come first, those that one of the others has to be clearly better than."""
        return len(_THETAS) if self.kind == "auto" else len(self._candidates)

    @property
    def _candidates(self) -> Tensor:
        """Weights of the used lags, oldest first, of every smoothing that is tried, (K, L)."""
        return _candidates_of(replace(self, held=0.0, common=None, drift=0.0, decay=0.0))

    def _cut(self, left: FloatArray, remainders: FloatArray, theta: float, seasonal: float) -> FloatArray:
        """Return the weights that the used lags can have: the expansion's, changed least so that `left` divides it."""
        used, reach = np.array(self.layout.lags), self.layout.reach - self.layout.ahead
        whole = np.zeros(reach + 1)
        whole[: min(len(left), reach + 1)] = left[: reach + 1]
        for lag, share in ((1, theta), (self.season, seasonal)):
            for j in range(lag, reach + 1):
                whole[j] += share * whole[j - lag]
        weights = -whole[used]
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
        found: FloatArray = _steps_later(weights, self.layout.ahead)[::-1].copy()
        return found


@lru_cache(maxsize=64)
def _candidates_of(prior: Prior) -> Tensor:
    """Return the candidates of a prior that has learnt nothing: of a kind, lags, season and transforms."""
    if prior.kind == "auto":
        kinds = ("smoothing", "seasonal_smoothing") if prior._has_season_lags else ("smoothing",)
        return torch.cat([replace(prior, kind=kind)._candidates for kind in kinds])
    left = _roots_left(prior.kind, prior.season, prior.transforms)
    thetas: tuple[float, ...] = (0.0,)
    seasonal: tuple[float, ...] = (0.0,)
    if prior.kind in ("smoothing", "seasonal_smoothing"):
        thetas = _THETAS
    if prior.kind == "seasonal_smoothing" and prior.season > 1:
        seasonal = _SEASONAL
    # The same for all of them.
    remainders = _remainders(left, prior.layout.reach - prior.layout.ahead)
    pairs = itertools.product(thetas, seasonal)
    return torch.from_numpy(np.stack([prior._cut(left, remainders, a, b) for a, b in pairs]))


def _steps_later(weights: FloatArray, ahead: int) -> FloatArray:
    """Return what a map with weights of lags 1, 2, ... says of the step so many later, fed its own outputs."""
    told = weights
    for _ in range(ahead):
        told = told[0] * weights + np.append(told[1:], 0.0)
    return told


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


def _share_left(gram: Gram, candidates: Tensor, places: slice, channel: int) -> Tensor:
    """Return what share of the targets' squares (1e-12 at least) candidates leave about their mean, (G, K)."""
    rows, y_sum = gram.rows[:, None], gram.y_sum[:, channel, None]
    w, xx = candidates.to(gram.xx), gram.xx[:, places, places]
    # Of a symmetric matrix from its lower triangle.
    squares = 2 * ((w @ xx.tril()) * w).sum(dim=2) - xx.diagonal(dim1=1, dim2=2) @ (w**2).mT
    told = gram.x_sum[:, places] @ w.mT
    with_y = gram.xy[:, places, channel] @ w.mT - told * y_sum / rows
    own = gram.yy[:, channel, None] - y_sum**2 / rows
    left = squares - told**2 / rows - 2 * with_y + own
    return torch.where(own > 0, left / own, 1.0).clamp(min=1e-12)


def _units(gram: Gram, layout: LagLayout) -> tuple[Tensor, Tensor]:
    """Return the units of columns and targets of every group, (G, D) and (G, C): lags have that of their target."""
    rows, channels = gram.rows[:, None], len(layout.channels)
    y_var = (gram.yy - gram.y_sum**2 / rows) / rows
    var = (gram.xx.diagonal(dim1=1, dim2=2) - gram.x_sum**2 / rows) / rows
    lags = len(layout.lags)
    var[:, : lags * channels] = y_var.repeat(1, lags)
    units = [torch.where(v > 0, v, 1.0).sqrt() for v in (var, y_var)]
    return units[0], units[1]


def _sums_of_common(grams: Iterable[Gram], layout: LagLayout) -> dict[str, Tensor]:
    """Return the moments of all series together, each in units of its own: xx (D, D), xy (D, C) and rows."""
    xx, xy, n = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for gram in grams:
        rows = gram.rows[:, None, None]
        std, y_std = _units(gram, layout)
        own = whole(gram.xx) - gram.x_sum[:, :, None] * gram.x_sum[:, None, :] / rows
        xx = xx + (own / std[:, :, None] / std[:, None, :]).sum(dim=0)
        own = gram.xy - gram.x_sum[:, :, None] * gram.y_sum[:, None, :] / rows
        xy = xy + (own / std[:, :, None] / y_std[:, None, :]).sum(dim=0)
        n = n + gram.rows.sum()
    return {"xx": xx, "xy": xy, "n": n}


def _common(xx: Tensor, xy: Tensor, n: Tensor) -> Tensor:
    """Return the weights of one map for all series, each in units of its own, (D, C)."""
    jitter = 1e-10 * n * torch.eye(len(xx), dtype=xx.dtype, device=xx.device)
    return torch.cholesky_solve(xy, torch.linalg.cholesky(xx + jitter))
