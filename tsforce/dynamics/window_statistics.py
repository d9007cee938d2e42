"""Statistics of windows: what the lag transforms that have one are made of."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from tsforce.dynamics.lags import TargetFeature
from tsforce.dynamics.recurrence import PartialWindow, Recurrence
from tsforce.dynamics.schedules import check_whole, is_number
from tsforce.errors import ArgumentError

__all__ = [
    "LagTransform",
    "Seasonal",
    "Windowed",
    "WindowedMax",
    "WindowedMean",
    "WindowedMin",
    "WindowedQuantile",
    "WindowedStd",
]


@dataclass(frozen=True)
class LagTransform:
    """Base of the lag transforms: what makes one column of the past of each target.

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.lag_transforms import LagTransform, RollingMean
    >>> isinstance(RollingMean(3), LagTransform), RollingMean(3).named(1)
    (True, 'rolling_mean_lag1_window_size3')
    >>> model = NARXForecaster(12, lags=2, lag_transforms={1: [RollingMean(3)]})  # of the values up to one step before
    """

    def feature(self, lag: int, names: tuple[str, ...]) -> TargetFeature | PartialWindow | Recurrence:
        """Return the columns at a lag, one for each target, under names of their own."""
        raise NotImplementedError

    def named(self, lag: int) -> str:
        """Return the name of the column at a lag, as mlforecast has it."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return f"{words}_lag{lag}" + "".join(f"_{name}{v}" for name, v in asdict(self).items() if v is not None)


class Windowed(LagTransform):
    """A statistic of `window_size` values, `apart` steps from one to the next: of a stretch of `span` values."""

    window_size: int
    min_samples: int | None
    least = 1

    def __post_init__(self) -> None:
        check_whole(f"{type(self).__name__}: window_size", self.window_size, self.least)
        object.__setattr__(self, "window_size", int(self.window_size))
        if self.min_samples is None:
            return
        check_whole(f"{type(self).__name__}: min_samples", self.min_samples, 1)
        if self.min_samples > self.window_size:
            raise ArgumentError(
                f"{type(self).__name__}: min_samples={self.min_samples} are more than window_size={self.window_size}; "
                f"give fewer, or leave it out."
            )
        object.__setattr__(self, "min_samples", int(self.min_samples))

    @property
    def apart(self) -> int:
        """Steps from one value to the next."""
        return 1

    @property
    def span(self) -> int:
        """Steps from the first value to the last, both counted."""
        return 1 + (self.window_size - 1) * self.apart

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Weights of the stretch, oldest first, where the statistic is a linear map of it; else None."""
        return None

    def of(self, stretch: Tensor) -> Tensor:
        """Return the statistic (..., C) of stretches (..., span, C), oldest first."""
        return self.statistic(stretch[..., :: self.apart, :])

    def of_some(self, stretch: Tensor, there: Tensor) -> Tensor:
        """Return the statistic of those rows of stretches that there are, (..., span), one at least of each window."""
        return self.partial(stretch[..., :: self.apart, :], there[..., :: self.apart, None])

    def feature(self, lag: int, names: tuple[str, ...]) -> TargetFeature | PartialWindow:
        """Return the columns at a lag, whose windows are full unless fewer values are enough."""
        # A deviation takes two values.
        enough = self.window_size if self.min_samples is None else max(self.min_samples, self.least)
        if enough < self.window_size:
            return PartialWindow(names, lag + (enough - 1) * self.apart, lag, self.span, self.of_some)
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

    def partial(self, values: Tensor, there: Tensor) -> Tensor:
        """Return the statistic of those values that there are, (..., window_size, 1)."""
        raise NotImplementedError


class Seasonal(Windowed):
    """A statistic of values that are one season apart."""

    season_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(f"{type(self).__name__}: season_length", self.season_length, 1)
        object.__setattr__(self, "season_length", int(self.season_length))

    @property
    def apart(self) -> int:
        """A season."""
        return self.season_length


class WindowedMean(Windowed):
    """The mean of a window."""

    def statistic(self, values: Tensor) -> Tensor:
        """Return the mean."""
        return values.mean(dim=-2)

    def partial(self, values: Tensor, there: Tensor) -> Tensor:
        """Return the mean of those that there are."""
        return torch.where(there, values, 0.0).sum(dim=-2) / there.sum(dim=-2)

    @property
    def weights(self) -> tuple[float, ...]:
        """The same weight for each value."""
        inside = [0.0] * self.span
        inside[:: self.apart] = [1 / self.window_size] * self.window_size
        return tuple(inside)


class WindowedStd(Windowed):
    """The standard deviation of a sample of a window."""

    least = 2

    def statistic(self, values: Tensor) -> Tensor:
        """Return the standard deviation of a sample."""
        return self._root(values.var(dim=-2, correction=1))

    def partial(self, values: Tensor, there: Tensor) -> Tensor:
        """Return the standard deviation of a sample of those that there are."""
        count = there.sum(dim=-2, keepdim=True)
        mean = torch.where(there, values, 0.0).sum(dim=-2, keepdim=True) / count
        squares = torch.where(there, (values - mean) ** 2, 0.0).sum(dim=-2)
        return self._root(squares / (count[..., 0, :] - 1).clamp(min=1))

    @staticmethod
    def _root(variance: Tensor) -> Tensor:
        # The root has no slope at 0.
        moves = variance > 0
        return torch.where(moves, torch.where(moves, variance, 1.0).sqrt(), 0.0)


class WindowedMin(Windowed):
    """The smallest of a window."""

    def statistic(self, values: Tensor) -> Tensor:
        """Return the smallest."""
        return values.amin(dim=-2)

    def partial(self, values: Tensor, there: Tensor) -> Tensor:
        """Return the smallest of those that there are."""
        return torch.where(there, values, torch.inf).amin(dim=-2)


class WindowedMax(Windowed):
    """The largest of a window."""

    def statistic(self, values: Tensor) -> Tensor:
        """Return the largest."""
        return values.amax(dim=-2)

    def partial(self, values: Tensor, there: Tensor) -> Tensor:
        """Return the largest of those that there are."""
        return torch.where(there, values, -torch.inf).amax(dim=-2)


class WindowedQuantile(Windowed):
    """The quantile, linear between two values of a window."""

    p: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.p) and 0 <= self.p <= 1):
            raise ArgumentError(f"{type(self).__name__}: p={self.p!r}: expected a number from 0 to 1.")

    def statistic(self, values: Tensor) -> Tensor:
        """Return the quantile, linear between two values."""
        # Not torch.quantile, which takes 16 million values at most.
        last = values.shape[-2] - 1
        low = int(self.p * last)
        ordered = values.sort(dim=-2).values
        below, above = ordered[..., low, :], ordered[..., min(low + 1, last), :]
        return below + (self.p * last - low) * (above - below)

    def partial(self, values: Tensor, there: Tensor) -> Tensor:
        """Return the quantile, linear between two values of those that there are."""
        ordered = torch.where(there, values, torch.inf).sort(dim=-2).values
        last = (there.sum(dim=-2, keepdim=True) - 1).expand_as(ordered[..., :1, :])
        place = self.p * last.to(values.dtype)
        low = place.long()
        below, above = (ordered.gather(-2, at) for at in (low, torch.minimum(low + 1, last)))
        return (below + (place - low) * (above - below))[..., 0, :]


@dataclass(frozen=True)
class _AtLag:
    """A transform of what was fed up to a lag: what the buffer holds after its stretch is not read."""

    transform: Windowed

    def __call__(self, fed: Tensor) -> Tensor:
        return self.transform.of(fed[..., : self.transform.span, :])
