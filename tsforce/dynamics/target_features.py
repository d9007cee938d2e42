"""Lag transforms: statistics of a target's own past, recomputed at every step from what was fed.

Names and definitions as in mlforecast and coreforecast: ``{1: [RollingMean(12)]}`` is the mean of the twelve values up
to the one before the step that is predicted, ``{12: [RollingMean(3)]}`` of the three up to twelve steps before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.lags import TargetFeature
from tsforce.dynamics.recurrence import PartialWindow, Recurrence
from tsforce.dynamics.schedules import check_whole, is_number
from tsforce.dynamics.window_statistics import (
    LagTransform,
    Seasonal,
    WindowedMax,
    WindowedMean,
    WindowedMin,
    WindowedQuantile,
    WindowedStd,
)
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
class RollingMean(WindowedMean):
    """Mean of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> RollingMean(3).named(1)
    'rolling_mean_lag1_window_size3'
    """

    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class RollingStd(WindowedStd):
    """Standard deviation of a sample (over n - 1), of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 2.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> RollingStd(3).named(1)
    'rolling_std_lag1_window_size3'
    """

    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class RollingMin(WindowedMin):
    """Smallest of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> RollingMin(3).named(1)
    'rolling_min_lag1_window_size3'
    """

    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class RollingMax(WindowedMax):
    """Largest of the last `window_size` values.

    Parameters
    ----------
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> RollingMax(3).named(1)
    'rolling_max_lag1_window_size3'
    """

    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class RollingQuantile(WindowedQuantile):
    """Quantile, linear between two values, of the last `window_size` values.

    Parameters
    ----------
    p : float
        From 0, the smallest, to 1, the largest; 0.5 is the median.
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> RollingQuantile(0.5, 3).named(1)
    'rolling_quantile_lag1_p0.5_window_size3'
    """

    p: float
    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class SeasonalRollingMean(Seasonal, WindowedMean):
    """Mean of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> SeasonalRollingMean(12, 3).named(1)
    'seasonal_rolling_mean_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class SeasonalRollingStd(Seasonal, WindowedStd):
    """Standard deviation of a sample (over n - 1), of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 2.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> SeasonalRollingStd(12, 3).named(1)
    'seasonal_rolling_std_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class SeasonalRollingMin(Seasonal, WindowedMin):
    """Smallest of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> SeasonalRollingMin(12, 3).named(1)
    'seasonal_rolling_min_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class SeasonalRollingMax(Seasonal, WindowedMax):
    """Largest of the last `window_size` values, one season apart.

    Parameters
    ----------
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> SeasonalRollingMax(12, 3).named(1)
    'seasonal_rolling_max_lag1_season_length12_window_size3'
    """

    season_length: int
    window_size: int
    min_samples: int | None = None


@dataclass(frozen=True)
class SeasonalRollingQuantile(Seasonal, WindowedQuantile):
    """Quantile, linear between two values, of the last `window_size` values, one season apart.

    Parameters
    ----------
    p : float
        From 0, the smallest, to 1, the largest; 0.5 is the median.
    season_length : int
        Steps from one value to the next.
    window_size : int
        At least 1.
    min_samples : int, optional
        Values that are enough, where a series has no more; all of the window by default.

    Examples
    --------
    >>> SeasonalRollingQuantile(0.5, 12, 3).named(1)
    'seasonal_rolling_quantile_lag1_p0.5_season_length12_window_size3'
    """

    p: float
    season_length: int
    window_size: int
    min_samples: int | None = None


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


def target_features(
    lag_transforms: Any, channels: tuple[str, ...]
) -> tuple[TargetFeature | PartialWindow | Recurrence, ...]:
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


def _shown(item: object) -> str:
    return f"the class {item.__name__}" if isinstance(item, type) else repr(item)
