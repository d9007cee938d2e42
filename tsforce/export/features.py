"""Lag transforms as code is written from them: which statistic, of which rows."""

from __future__ import annotations

from dataclasses import dataclass

from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.recurrence import PartialWindow, Recurrence
from tsforce.dynamics.target_features import ExponentiallyWeightedMean
from tsforce.dynamics.window_statistics import (
    Windowed,
    WindowedMax,
    WindowedMean,
    WindowedMin,
    WindowedQuantile,
    WindowedStd,
)

__all__ = ["Running", "Window", "features_of", "running_of"]

_KINDS = {
    WindowedMean: "mean",
    WindowedStd: "deviation",
    WindowedMin: "smallest",
    WindowedMax: "largest",
    WindowedQuantile: "quantile",
}


@dataclass(frozen=True)
class Window:
    """A statistic of a window.

    Attributes
    ----------
    kind : str
        "mean", "deviation", "smallest", "largest" or "quantile".
    lag, span, apart : int
        The window ends `lag` rows before the one that is predicted, is `span` rows long, and every `apart`-th counts.
    enough : int
        Rows of the window that a series must have; where it has fewer, all are read as they stand in the context.
    p : float
        Of a quantile.
    """

    kind: str
    lag: int
    span: int
    apart: int
    enough: int
    p: float

    @property
    def size(self) -> int:
        """Values of a full window."""
        return 1 + (self.span - 1) // self.apart


@dataclass(frozen=True)
class Running:
    """A mean of all rows up to a lag.

    Attributes
    ----------
    lag : int
    alpha : float
        The weight of the last one; 0: that of all others.
    """

    lag: int
    alpha: float


def features_of(layout: LagLayout) -> tuple[Window | Running, ...]:
    """Return the features of a layout, all of which are lag transforms."""
    found: list[Window | Running] = []
    for f in layout.features:
        if isinstance(f, Recurrence):
            owner = f.keep.__self__  # type: ignore[attr-defined]
            found.append(Running(f.reach, owner.alpha if isinstance(owner, ExponentiallyWeightedMean) else 0.0))
            continue
        partial = isinstance(f, PartialWindow)
        owner = f.function.__self__ if partial else f.function.transform  # type: ignore[union-attr]
        assert isinstance(owner, Windowed)
        kind = next(name for base, name in _KINDS.items() if isinstance(owner, base))
        lag = f.lag if isinstance(f, PartialWindow) else f.reach - owner.span + 1
        enough = f.reach - lag + 1 if partial else owner.span
        found.append(Window(kind, lag, owner.span, owner.apart, enough, getattr(owner, "p", 0.0)))
    return tuple(found)


def running_of(layout: LagLayout) -> tuple[Running, ...]:
    """Return those that are means of all rows."""
    return tuple(one for one in features_of(layout) if isinstance(one, Running))
