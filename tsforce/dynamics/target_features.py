"""Lag transforms: statistics of a target's own past, recomputed at every step from what was fed.

Names and definitions as in mlforecast and coreforecast: ``{1: [RollingMean(12)]}`` is the mean of the twelve values up
to the one before the step that is predicted, ``{12: [RollingMean(3)]}`` of the three up to twelve steps before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.lags import TargetFeature
from tsforce.dynamics.recurrence import Recurrence
from tsforce.dynamics.schedules import check_whole, is_number
from tsforce.errors import ArgumentError, ArgumentTypeError, abbreviate

__all__ = [
    "ExpandingMean",
    "ExponentiallyWeightedMean",
    "LagTransform",
    "RollingMax",
    "RollingMean",
    "RollingMin",
    "RollingQuantile",
    "RollingStd",
    "SeasonalRollingMax",
    "SeasonalRollingMean",
    "SeasonalRollingMin",
    "SeasonalRollingQuantile",
    "SeasonalRollingStd",
    "target_features",
]


@dataclass(frozen=True)
class LagTransform:
    """Base of the lag transforms: what makes one column of the past of each target."""

    def feature(self, lag: int, names: tuple[str, ...]) -> TargetFeature | Recurrence:
        """Return the columns at a lag, one for each target, under names of their own."""
        raise NotImplementedError

    def named(self, lag: int) -> str:
        """Return the name of the column at a lag, as mlforecast has it."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return f"{words}_lag{lag}" + "".join(f"_{name}{value}" for name, value in asdict(self).items())


class _Rolling(LagTransform):
    """A statistic of `window_size` values, `apart` steps from one to the next: of a stretch of `span` values."""

    window_size: int
    least = 1

    def __post_init__(self) -> None:
        check_whole(f"{type(self).__name__}: window_size", self.window_size, self.least)
        object.__setattr__(self, "window_size", int(self.window_size))

    @property
    def apart(self) -> int:
        return 1

    @property
    def span(self) -> int:
        return 1 + (self.window_size - 1) * self.apart

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Weights of the stretch, oldest first, where the statistic is a linear map of it; else None."""
        return None

    def of(self, stretch: Tensor) -> Tensor:
        """Return the statistic (..., C) of stretches (..., span, C), oldest first."""
        return self.statistic(stretch[..., :: self.apart, :])

    def feature(self, lag: int, names: tuple[str, ...]) -> TargetFeature:
        weights = self.weights
        return TargetFeature(
            names,
            self.span + lag - 1,
            _AtLag(self),
            None if weights is None else (*weights, *(lag - 1) * (0.0,)),
        )

    def statistic(self, values: Tensor) -> Tensor:
        """Return the statistic (..., C) of values (..., window_size, C)."""
        raise NotImplementedError


class _Seasonal(_Rolling):
    season_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(f"{type(self).__name__}: season_length", self.season_length, 1)
        object.__setattr__(self, "season_length", int(self.season_length))

    @property
    def apart(self) -> int:
        return self.season_length


class _Mean(_Rolling):
    def statistic(self, values: Tensor) -> Tensor:
        return values.mean(dim=-2)

    @property
    def weights(self) -> tuple[float, ...]:
        inside = [0.0] * self.span
        inside[:: self.apart] = [1 / self.window_size] * self.window_size
        return tuple(inside)


class _Std(_Rolling):
    least = 2

    def statistic(self, values: Tensor) -> Tensor:
        variance = values.var(dim=-2, correction=1)
        # The root has no slope at 0.
        moves = variance > 0
        return torch.where(moves, torch.where(moves, variance, 1.0).sqrt(), 0.0)


class _Min(_Rolling):
    def statistic(self, values: Tensor) -> Tensor:
        return values.amin(dim=-2)


class _Max(_Rolling):
    def statistic(self, values: Tensor) -> Tensor:
        return values.amax(dim=-2)


class _Quantile(_Rolling):
    p: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.p) and 0 <= self.p <= 1):
            raise ArgumentError(f"{type(self).__name__}: p={self.p!r}: expected a number from 0 to 1.")

    def statistic(self, values: Tensor) -> Tensor:
        # Not torch.quantile, which takes 16 million values at most.
        last = values.shape[-2] - 1
        low = int(self.p * last)
        ordered = values.sort(dim=-2).values
        below, above = ordered[..., low, :], ordered[..., min(low + 1, last), :]
        return below + (self.p * last - low) * (above - below)


@dataclass(frozen=True)
class RollingMean(_Mean):
    """Mean of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 1.

    Examples
    --------
    >>> RollingMean(3).named(1)
    'rolling_mean_lag1_window_size3'
    """

    window_size: int


@dataclass(frozen=True)
class RollingStd(_Std):
    """Standard deviation of a sample (over n - 1), of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 2.

    Examples
    --------
    >>> RollingStd(3).named(1)
    'rolling_std_lag1_window_size3'
    """

    window_size: int


@dataclass(frozen=True)
class RollingMin(_Min):
    """Smallest of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 1.

    Examples
    --------
    >>> RollingMin(3).named(1)
    'rolling_min_lag1_window_size3'
    """

    window_size: int


@dataclass(frozen=True)
class RollingMax(_Max):
    """Largest of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 1.

    Examples
    --------
    >>> RollingMax(3).named(1)
    'rolling_max_lag1_window_size3'
    """

    window_size: int


@dataclass(frozen=True)
class RollingQuantile(_Quantile):
    """Quantile, linear between two values, of the last `window_size` values.

    Parameters
    ----------
    p : float
        From 0, the smallest, to 1, the largest; 0.5 is the median.
    window_size : int
        At least 1.

    Examples
    --------
    >>> RollingQuantile(0.5, 3).named(1)
    'rolling_quantile_lag1_p0.5_window_size3'
    """

    p: float
    window_size: int


@dataclass(frozen=True)
class SeasonalRollingMean(_Seasonal, _Mean):
    """Mean of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.

    Examples
    --------
    >>> SeasonalRollingMean(12, 3).named(1)
    'seasonal_rolling_mean_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int


@dataclass(frozen=True)
class SeasonalRollingStd(_Seasonal, _Std):
    """Standard deviation of a sample (over n - 1), of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 2.

    Examples
    --------
    >>> SeasonalRollingStd(12, 3).named(1)
    'seasonal_rolling_std_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int


@dataclass(frozen=True)
class SeasonalRollingMin(_Seasonal, _Min):
    """Smallest of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.

    Examples
    --------
    >>> SeasonalRollingMin(12, 3).named(1)
    'seasonal_rolling_min_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int


@dataclass(frozen=True)
class SeasonalRollingMax(_Seasonal, _Max):
    """Largest of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.

    Examples
    --------
    >>> SeasonalRollingMax(12, 3).named(1)
    'seasonal_rolling_max_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int


@dataclass(frozen=True)
class SeasonalRollingQuantile(_Seasonal, _Quantile):
    """Quantile, linear between two values, of the last `window_size` values, one season apart.

    Parameters
    ----------
    p : float
        From 0, the smallest, to 1, the largest; 0.5 is the median.
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.

    Examples
    --------
    >>> SeasonalRollingQuantile(0.5, 12, 3).named(1)
    'seasonal_rolling_quantile_lag1_p0.5_season_length12_window_size3'
    """

    p: float
    season_length: int
    window_size: int


class _Running(LagTransform):
    """A mean of all values of a series: see `Recurrence`."""

    def keep(self, number: Tensor) -> Tensor:
        """Return the share of the mean before it that a value of that number in its series leaves."""
        raise NotImplementedError

    def feature(self, lag: int, names: tuple[str, ...]) -> Recurrence:
        return Recurrence(names, lag, self.keep)


@dataclass(frozen=True)
class ExpandingMean(_Running):
    """Mean of all values of the series so far.

    Examples
    --------
    >>> ExpandingMean().named(1)
    'expanding_mean_lag1'
    """

    def keep(self, number: Tensor) -> Tensor:
        """Return ``(n - 1) / n``."""
        return (number - 1) / number


@dataclass(frozen=True)
class ExponentiallyWeightedMean(_Running):
    """Exponentially weighted mean of all values so far: ``s_1 = y_1, s_n = alpha y_n + (1 - alpha) s_{n-1}``.

    Parameters
    ----------
    alpha : float
        Above 0, at most 1: the weight of the last value.

    Examples
    --------
    >>> ExponentiallyWeightedMean(0.3).named(1)
    'exponentially_weighted_mean_lag1_alpha0.3'
    """

    alpha: float

    def __post_init__(self) -> None:
        if not (is_number(self.alpha) and 0 < self.alpha <= 1):
            raise ArgumentError(f"{type(self).__name__}: alpha={self.alpha!r}: expected a number above 0, at most 1.")

    def keep(self, number: Tensor) -> Tensor:
        """Return ``1 - alpha``."""
        return torch.full_like(number, 1 - self.alpha)


def target_features(lag_transforms: Any, channels: tuple[str, ...]) -> tuple[TargetFeature | Recurrence, ...]:
    """Return the target features that lag transforms stand for, one column for each target.

    Parameters
    ----------
    lag_transforms : None or dict of lag -> list of LagTransform
        A single one stands for a list of one.
    channels : tuple of str
        Names of the targets.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If lags or transforms are none, or a transform comes twice at a lag.
    """
    if lag_transforms is None:
        return ()
    example = "{1: [RollingMean(12)]} of tsforce.lag_transforms"
    if not isinstance(lag_transforms, Mapping):
        raise ArgumentTypeError(
            f"lag_transforms={_shown(lag_transforms)}: expected a dict of lag -> list of transforms, such as {example}."
        )
    found = []
    for lag, given in lag_transforms.items():
        check_whole("lag_transforms: lag", lag, 1)
        transforms = [given] if isinstance(given, LagTransform) else given
        if isinstance(transforms, str) or not isinstance(transforms, Iterable):
            raise ArgumentTypeError(f"lag_transforms[{lag}]={_shown(given)}: expected a list, such as {example}.")
        for transform in transforms:
            if not isinstance(transform, LagTransform):
                raise ArgumentTypeError(
                    f"lag_transforms[{lag}] holds {_shown(transform)}: expected transforms such as {example}."
                )
            named = tuple(f"{channel}_{transform.named(int(lag))}" for channel in channels)
            found.append(transform.feature(int(lag), named))
    names = [name for feature in found for name in feature.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(f"lag_transforms has {abbreviate(twice)} twice; name each transform once at a lag.")
    return tuple(found)


@dataclass(frozen=True)
class _AtLag:
    """A transform of what was fed up to a lag: what the buffer holds after its stretch is not read."""

    transform: _Rolling

    def __call__(self, fed: Tensor) -> Tensor:
        return self.transform.of(fed[..., : self.transform.span, :])


def _shown(item: object) -> str:
    return f"the class {item.__name__}" if isinstance(item, type) else repr(item)
