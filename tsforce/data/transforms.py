"""Target transforms: learnt in numpy on rows up to the cutoff, applied and inverted by torch with gradient.

A transform is a frozen description (``Log()``, ``Difference(24)``); what it learns per series lives in a `Chain`.
Elementwise transforms invert each step by itself. ``Difference(d)`` inverts on the value d steps earlier *that was
fed*: the observed level where the truth was fed back, the model's own level where its output was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, ragged_rows
from tsforce.errors import ArgumentError, ArgumentTypeError

__all__ = ["BoxCox", "Chain", "Difference", "Log", "MeanScale", "Standardize", "Transform", "check_transforms"]

FloatArray = npt.NDArray[np.float64]

# How far below the smallest training value (plus offset) the logarithm still tells values apart.
_LOG_FLOOR = 1e-3
# Powers that BoxCox looks at, and the relative spread below which values are equal but for rounding.
_POWERS = tuple(round(-1 + 0.1 * step, 1) for step in range(31))
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Transform:
    """Base of the target transforms.

    Subclasses with ``rows_lost = 0`` are elementwise: they implement `learn`, `forward` and `inverse`.
    """

    n_params: ClassVar[int] = 0

    @property
    def rows_lost(self) -> int:
        """Rows at the start of a series that have no transformed value."""
        return 0

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return what the transform learns, (n_params, S, C).

        Parameters
        ----------
        values : (N, C) float64
            Rows up to the cutoff only, series after series, in the units the transform reads.
        counts : (S,) int64
            Rows of each series, at least 1.
        """
        del values
        return np.empty((0, len(counts), 1))

    def forward(self, y: Tensor, params: Tensor) -> Tensor:
        """Return `y` transformed; `params` (n_params, ...) broadcasts against it."""
        raise NotImplementedError

    def inverse(self, z: Tensor, params: Tensor) -> Tensor:
        """Return `z` back in the units `forward` reads."""
        raise NotImplementedError

    def clamped(self, y: Tensor, params: Tensor) -> Tensor:
        """Return True where `forward` had to move `y` into its domain first."""
        del params
        return torch.zeros_like(y, dtype=torch.bool)


def _learn_from_known(transform: Transform, values: FloatArray, counts: IntArray) -> FloatArray:
    """Return what a transform learns from the values that are not NaN; a series without any teaches as one of zeros."""
    absent = np.isnan(values)
    if not absent.any():
        return transform.learn(values, counts)
    series = np.repeat(np.arange(len(counts)), counts)
    learnt = []
    for own, gone in zip(values.T, absent.T, strict=True):
        left = np.bincount(series[~gone], minlength=len(counts))
        at = np.searchsorted(series[~gone], np.flatnonzero(left == 0))
        learnt.append(transform.learn(np.insert(own[~gone], at, 0.0)[:, None], np.maximum(left, 1)))
    return np.concatenate(learnt, axis=2)


def _segment_mean(values: FloatArray, counts: IntArray) -> FloatArray:
    starts = np.cumsum(counts) - counts
    mean: FloatArray = np.add.reduceat(values, starts, axis=0) / counts[:, None]
    return mean


@dataclass(frozen=True)
class Log(Transform):
    """Natural logarithm of ``y + offset``.

    The offset is learnt per series: 0 if every row up to the cutoff is positive, else ``1 - min y``. A later value at
    or below ``-offset`` has no logarithm: anything under a thousandth of the smallest ``y + offset`` that was learnt
    is clamped to that, and counted.

    Examples
    --------
    >>> from tsforce import Log, NARXForecaster
    >>> NARXForecaster(horizon=12, target_transforms=[Log()]).target_transforms
    [Log()]
    """

    n_params: ClassVar[int] = 2

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return offset and floor per series, (2, S, C)."""
        return np.stack(_learn_offset(values, counts))

    def forward(self, y: Tensor, params: Tensor) -> Tensor:
        """Return ``log(max(y + offset, floor))``."""
        return torch.log(torch.maximum(y + params[0], params[1]))

    def inverse(self, z: Tensor, params: Tensor) -> Tensor:
        """Return ``exp(z) - offset``."""
        return torch.exp(z) - params[0]

    def clamped(self, y: Tensor, params: Tensor) -> Tensor:
        """Return True where ``y + offset`` lies under the floor."""
        return y + params[0] < params[1]


def _learn_offset(values: FloatArray, counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return what makes every value positive, and the smallest ``y + offset`` that is told apart, (S, C) each."""
    low = np.minimum.reduceat(values, np.cumsum(counts) - counts, axis=0)
    offset = np.where(low > 0, 0.0, 1.0 - low)
    # Not low + offset, which rounds to 0 for a very negative low.
    floor = np.where(low > 0, np.maximum(_LOG_FLOOR * low, np.finfo(np.float64).tiny), _LOG_FLOOR)
    return offset, floor


@dataclass(frozen=True)
class BoxCox(Transform):
    """Box and Cox's power transform of ``y + offset``: ``(x ** k - 1) / k``, the logarithm for k = 0.

    The power k is learnt per series: of -1, -0.9, ..., 2 the one with the largest profile log-likelihood,
    ``(k - 1) sum log x - n / 2 log var`` of the transformed values (Box & Cox 1964). Offset and clamping as in `Log`.

    Examples
    --------
    >>> from tsforce import BoxCox, NARXForecaster
    >>> NARXForecaster(horizon=12, target_transforms=[BoxCox()]).target_transforms
    [BoxCox()]
    """

    n_params: ClassVar[int] = 4

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return offset, floor, power and the logarithm of the outermost ``y + offset`` per series, (4, S, C)."""
        offset, floor = _learn_offset(values, counts)
        x = values + np.repeat(offset, counts, axis=0)
        # Likelihoods do not depend on the unit, powers of large numbers overflow: measure in geometric means.
        log = np.log(np.maximum(x, np.repeat(floor, counts, axis=0)))
        log -= np.repeat(_segment_mean(log, counts), counts, axis=0)
        best = np.full(offset.shape, -np.inf)
        power = np.ones(offset.shape)
        for k in _POWERS:
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                z = log if k == 0 else np.expm1(k * log) / k
                gap = z - np.repeat(_segment_mean(z, counts), counts, axis=0)
                # sum log x is 0 in these units, which leaves the variance.
                spread = _segment_mean(gap**2, counts)
                # What rounding leaves of equal values has no likeliest power.
                likelihood = np.where(spread > _ROUNDING**2, -np.log(spread), np.nan)
            better = np.isfinite(likelihood) & (likelihood > best)
            best, power = np.where(better, likelihood, best), np.where(better, k, power)
        # Where forecasts stop short, in the series' own unit: the end that a power's range has.
        high = np.log(np.maximum.reduceat(values, np.cumsum(counts) - counts, axis=0) + offset) - np.log(_LOG_FLOOR)
        return np.stack([offset, floor, power, np.where(power < 0, high, np.log(floor))])

    def forward(self, y: Tensor, params: Tensor) -> Tensor:
        """Return the transformed values."""
        log, k = torch.log(torch.maximum(y + params[0], params[1])), params[2]
        return torch.where(k == 0, log, torch.expm1(k * log) / torch.where(k == 0, 1.0, k))

    def inverse(self, z: Tensor, params: Tensor) -> Tensor:
        """Return ``(1 + k z) ** (1 / k) - offset``; beyond the end of what exists, the outermost value.

        That is the floor, or a thousand times the largest ``y + offset`` that was learnt where the power is negative.
        """
        k = params[2]
        safe = torch.where(k == 0, 1.0, k)
        # A power that is not 0 has a range with one end; forecasts beyond it stop short of it.
        inside = torch.maximum(1 + safe * z, torch.exp(k * params[3]))
        return torch.where(k == 0, torch.exp(z), torch.exp(torch.log(inside) / safe)) - params[0]

    def clamped(self, y: Tensor, params: Tensor) -> Tensor:
        """Return True where ``y + offset`` lies under the floor."""
        return y + params[0] < params[1]


@dataclass(frozen=True)
class Standardize(Transform):
    """Subtract the series' mean and divide by its standard deviation (1 where it is 0), both of rows up to the cutoff.

    Examples
    --------
    >>> from tsforce import NARXForecaster, Standardize
    >>> NARXForecaster(horizon=12, target_transforms=[Standardize()]).target_transforms
    [Standardize()]
    """

    n_params: ClassVar[int] = 2

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return mean and standard deviation per series, (2, S, C)."""
        mean = _segment_mean(values, counts)
        apart = values - np.repeat(mean, counts, axis=0)
        # The mean of equal values is off by rounding; such a spread is zero.
        spread = (unit := np.abs(apart).max(initial=0.0) or 1.0) * np.sqrt(_segment_mean((apart / unit) ** 2, counts))
        return np.stack([mean, np.where(spread > 1e-12 * np.abs(mean), spread, 1.0)])

    def forward(self, y: Tensor, params: Tensor) -> Tensor:
        """Return ``(y - mean) / std``."""
        return (y - params[0]) / params[1]

    def inverse(self, z: Tensor, params: Tensor) -> Tensor:
        """Return ``z * std + mean``."""
        return z * params[1] + params[0]


@dataclass(frozen=True)
class MeanScale(Transform):
    """Divide by the mean absolute value of the series' rows up to the cutoff (1 where it is 0).

    Examples
    --------
    >>> from tsforce import MeanScale, NARXForecaster
    >>> NARXForecaster(horizon=12, target_transforms=[MeanScale()]).target_transforms
    [MeanScale()]
    """

    n_params: ClassVar[int] = 1

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return the mean absolute value per series, (1, S, C)."""
        scale = _segment_mean(np.abs(values), counts)
        return np.where(scale > 0, scale, 1.0)[None]

    def forward(self, y: Tensor, params: Tensor) -> Tensor:
        """Return ``y / scale``."""
        return y / params[0]

    def inverse(self, z: Tensor, params: Tensor) -> Tensor:
        """Return ``z * scale``."""
        return z * params[0]


@dataclass(frozen=True)
class Difference(Transform):
    """Subtract the value `lag` steps earlier; learns nothing.

    Parameters
    ----------
    lag : int
        1 for changes from step to step, the season length for seasonal differences.

    Raises
    ------
    ArgumentError
        If `lag` is not a whole number of at least 1.

    Examples
    --------
    >>> from tsforce import Difference, NARXForecaster
    >>> NARXForecaster(horizon=12, target_transforms=[Difference(12)]).target_transforms
    [Difference(lag=12)]
    """

    lag: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.lag, bool) or not isinstance(self.lag, (int, np.integer)) or self.lag < 1:
            raise ArgumentError(f"Difference({self.lag!r}): the lag is a whole number of at least 1.")
        object.__setattr__(self, "lag", int(self.lag))

    @property
    def rows_lost(self) -> int:
        """The first `lag` rows have no difference."""
        return self.lag

    def learn(self, values: FloatArray, counts: IntArray) -> FloatArray:
        """Return an empty (0, S, C) array."""
        return np.empty((0, len(counts), values.shape[1]))

    def forward(self, y: Tensor, params: Tensor) -> Tensor:
        """Return ``y_t - y_{t-lag}`` along the first axis of one or many joined series; the first `lag` rows are 0.

        Joined series: rows whose partner belongs to another series are for the caller to mask.
        """
        del params
        z = torch.zeros_like(y)
        z[self.lag :] = y[self.lag :] - y[: -self.lag]
        return z

    def invert(self, z: Tensor, tail: Tensor, observed: Tensor | None, fed_share: Tensor | None) -> Tensor:
        """Return levels from differences along a roll-out.

        Parameters
        ----------
        z : (..., H, C)
            Predicted differences, after the cutoff.
        tail : (..., lag, C)
            The last `lag` observed levels, up to and with the cutoff.
        observed : (..., H, C) or None
            Observed levels after the cutoff; needed where truth was fed.
        fed_share : (..., H, C) or None
            Share of truth fed back at each step; None means 0 throughout, a closed loop.

        Returns
        -------
        (..., H, C)
            Level at t = z_t + base, where the base is the level at ``t - lag`` that was fed: observed where
            `fed_share` is 1, own where it is 0, blended between (forcing.md, Units).
        """
        lag, horizon = self.lag, z.shape[-2]
        assert fed_share is None or observed is not None
        base, blocks = tail, []
        # Within one block of `lag` steps no base depends on an output of the same block.
        for start in range(0, horizon, lag):
            step = slice(start, min(start + lag, horizon))
            level = z[..., step, :] + base[..., : step.stop - start, :]
            blocks.append(level)
            base = level
            if fed_share is not None and observed is not None:
                share = fed_share[..., step, :]
                truth = torch.where(share > 0, observed[..., step, :], 0.0)
                base = torch.where(share >= 1, truth, share * truth + (1 - share) * level)
        return torch.cat(blocks, dim=-2)


def check_transforms(transforms: Any) -> tuple[Transform, ...]:
    """Return the transforms as a tuple.

    Raises
    ------
    ArgumentTypeError
        If one is no Transform object, or this is no list, with what to write instead.
    """
    accepted = "a list of transform objects: Log(), BoxCox(), Difference(1), Difference(24), Standardize(), MeanScale()"
    if isinstance(transforms, Transform):
        return (transforms,)
    if isinstance(transforms, (type, str)) or not isinstance(transforms, Iterable):
        raise ArgumentTypeError(f"target_transforms={_shown(transforms)}; expected {accepted}, or () for none.")
    given = tuple(transforms)
    for item in given:
        if not isinstance(item, Transform):
            raise ArgumentTypeError(f"target_transforms holds {_shown(item)}; expected {accepted}.")
    return given


def _shown(item: object) -> str:
    return f"the class {item.__name__}" if isinstance(item, type) else repr(item)


@dataclass(frozen=True, eq=False)
class Chain:
    """Transforms in order, with what each learnt per series.

    Attributes
    ----------
    transforms : tuple of Transform
    params : tuple of (n_params, S, C) float64
    """

    transforms: tuple[Transform, ...]
    params: tuple[FloatArray, ...]

    @property
    def rows_lost(self) -> int:
        """Rows at the start of each series without a transformed value."""
        return sum(t.rows_lost for t in self.transforms)

    @staticmethod
    def learn(transforms: Sequence[Transform], values: FloatArray, indptr: IntArray, stops: IntArray) -> Chain:
        """Return the chain learnt from the first ``stops[i]`` rows of each series.

        Parameters
        ----------
        values : (N, C) float64
            Original units; rows at or after a stop are not read.
        indptr : (S + 1,) int64
        stops : (S,) int64
            More than `rows_lost` each.
        """
        assert (stops > sum(t.rows_lost for t in transforms)).all()
        assert (stops <= np.diff(indptr)).all()
        rows = values[ragged_rows(indptr[:-1], stops)]
        counts, lost, params = stops.copy(), 0, []
        for number, transform in enumerate(transforms):
            valid = ragged_rows(np.cumsum(counts) - counts + lost, counts - lost)
            learnt = _learn_from_known(transform, rows[valid], counts - lost)
            params.append(learnt)
            if number + 1 < len(transforms):
                spread = torch.from_numpy(np.repeat(learnt, counts, axis=1))
                rows = transform.forward(torch.from_numpy(rows), spread).numpy()
            lost += transform.rows_lost
        return Chain(tuple(transforms), tuple(params))

    def take(self, series: IntArray) -> Chain:
        """Return the chain of some series, repeats allowed."""
        return Chain(self.transforms, tuple(p[:, series] for p in self.params))

    def stages(self, values: FloatArray, indptr: IntArray) -> list[Tensor]:
        """Return the values before the first and after each transform, K + 1 tensors of (N, C).

        Rows without a value (the first ones, under Difference) read 0.
        """
        counts = np.diff(indptr)
        # Values may come from read-only memory (a joblib worker's), which torch warns about.
        stages, lost = [torch.from_numpy(values if values.flags.writeable else values.copy())], 0
        for transform, learnt in zip(self.transforms, self.params, strict=True):
            spread = torch.from_numpy(np.repeat(learnt, counts, axis=1) if learnt.shape[0] else learnt)
            z = transform.forward(stages[-1], spread)
            lost += transform.rows_lost
            if lost:
                z[torch.from_numpy(ragged_rows(indptr[:-1], np.minimum(counts, lost)))] = 0.0
            stages.append(z)
        return stages

    def count_clamped(self, stages: Sequence[Tensor], indptr: IntArray, first: IntArray, last: IntArray) -> int:
        """Return how many values had to be moved into a transform's domain.

        Parameters
        ----------
        stages : from `stages`
        indptr : (S + 1,) int64
        first, last : (W,) int64
            Flat rows of the first and last value that each window reads.
        """
        total = lost = 0
        for transform, learnt, before in zip(self.transforms, self.params, stages, strict=False):
            if type(transform).clamped is not Transform.clamped:
                spread = torch.from_numpy(np.repeat(learnt, np.diff(indptr), axis=1)).to(before.device)
                flags = transform.clamped(before, spread).any(dim=-1).cpu().numpy()
                # Rows without a value read 0, which is no value of the series.
                flags[ragged_rows(indptr[:-1], np.minimum(np.diff(indptr), lost))] = False
                upto = np.concatenate([[0], np.cumsum(flags)])
                total += int((upto[last + 1] - upto[first]).sum())
            lost += transform.rows_lost
        return total

    def inverse(
        self,
        z: Tensor,
        series: Tensor,
        tails: Sequence[Tensor | None],
        observed: Sequence[Tensor] | None = None,
        fed_share: Tensor | None = None,
    ) -> Tensor:
        """Return a roll-out in original units, (G, B, H, C); differentiable. Parameters as in `inverse_stages`."""
        return self.inverse_stages(z, series, tails, observed, fed_share)[0]

    def inverse_stages(
        self,
        z: Tensor,
        series: Tensor,
        tails: Sequence[Tensor | None],
        observed: Sequence[Tensor] | None = None,
        fed_share: Tensor | None = None,
    ) -> list[Tensor]:
        """Return a roll-out before the first and after each transform, K + 1 tensors (G, B, H, C); differentiable.

        The first is in original units, the last is `z`.

        Parameters
        ----------
        z : (G, B, H, C)
            After the last transform.
        series : (G, B) int64
            Whose parameters to use.
        tails : one per transform
            For a Difference, the last `lag` observed values before it, (G, B, lag, C), up to and with the cutoff.
        observed : one per stage, (G, B, H, C) each, optional
            Observed values after the cutoff at each stage; needed where `fed_share` is above 0.
        fed_share : (G, B, H, C), optional
            None means a closed loop.
        """
        stages = [z]
        for k in range(len(self.transforms) - 1, -1, -1):
            transform = self.transforms[k]
            if isinstance(transform, Difference):
                tail = tails[k]
                assert tail is not None
                z = transform.invert(z, tail, None if observed is None else observed[k], fed_share)
            else:
                params = torch.from_numpy(self.params[k]).to(z.device)[:, series]  # (n_params, G, B, C)
                z = transform.inverse(z, params[:, :, :, None, :])
            stages.append(z)
        return stages[::-1]

    def relabel(self, truth: Tensor, stages: Sequence[Tensor], series: Tensor) -> Tensor:
        """Return what a roll-out's outputs should have been to meet the truth, given what was fed, (G, B, H, C).

        Parameters
        ----------
        truth : (G, B, H, C)
            Original units.
        stages : from `inverse_stages`
            The roll-out.
        series : (G, B) int64

        Notes
        -----
        After a Difference the right output is not the difference of the truth, but the way from the level that was fed
        to the truth (forcing.md, executor 3). The level that was fed is the roll-out's own level less its difference.
        """
        value = truth
        for k, transform in enumerate(self.transforms):
            if isinstance(transform, Difference):
                value = value - (stages[k] - stages[k + 1])
            else:
                params = torch.from_numpy(self.params[k]).to(value.device)[:, series]
                value = transform.forward(value, params[:, :, :, None, :])
        return value
