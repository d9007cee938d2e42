"""One model's forecasts of the windows of a backtest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import FloatArray, IntArray
from tsforce.evaluation.clones import Clones
from tsforce.evaluation.drawn import Drawn
from tsforce.evaluation.shown import Shown
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.intervals import Bounds

__all__ = ["Judged"]

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """One model's forecasts of the windows of a plan.

    Attributes
    ----------
    yhat : (W, H, C) float64
        Original units; NaN in windows that are not covered.
    covered : (W,) bool
        False where the model left the series out.
    fitted : Clones
        That made them.
    shown : Shown
        Which clone made each window, and what it was shown.
    learnt : (S,) int64 or None
        For refit="never": the last row of each series that was learnt from.
    is_baseline : bool
    season_length : int
        That the first clone was fitted with.
    bounds : Bounds, optional
        Of its prediction intervals; NaN in windows that are not covered.
    drawn : Drawn, optional
        Scores of its sample paths.
    """

    yhat: FloatArray
    covered: BoolArray
    fitted: Clones
    shown: Shown
    learnt: IntArray | None
    is_baseline: bool
    season_length: int
    bounds: Bounds | None = None
    drawn: Drawn | None = None

    def season_for(self, asked: Any) -> int:
        """Return the season length of scores: what is asked for, by default that of the first clone."""
        return self.season_length if asked is None else check_count("season_length", asked)

    def some(self, chosen: BoolArray) -> Judged:
        """Return the forecasts of some windows."""
        bounds = None if self.bounds is None else self.bounds.some(chosen)
        drawn = None if self.drawn is None else self.drawn.some(chosen)
        shown = self.shown.some(chosen)
        return replace(
            self, yhat=self.yhat[chosen], covered=self.covered[chosen], shown=shown, bounds=bounds, drawn=drawn
        )

    def of_channel(self, channel: int) -> Judged:
        """Return the forecasts of one target of several."""
        one = slice(channel, channel + 1)
        bounds = None if self.bounds is None else self.bounds.of_channels(one)
        drawn = None if self.drawn is None else self.drawn.of_channels(one)
        return replace(self, yhat=self.yhat[:, :, one], bounds=bounds, drawn=drawn)

    def columns(self, names: Sequence[str]) -> dict[str, FloatArray]:
        """Return the columns of the forecasts of all targets, called `names`, and of their bounds, flat."""
        found: dict[str, FloatArray] = {}
        for channel, name in enumerate(names):
            found[name] = self.yhat[:, :, channel].reshape(-1)
            if self.bounds is not None:
                found |= self.bounds.columns(name, channel)
        return found

    def each_level(self) -> Iterator[tuple[float, FloatArray, FloatArray]]:
        """Yield each level in percent, its lower and its upper bounds, (W, H, C)."""
        if self.bounds is not None:
            yield from zip(self.bounds.levels, self.bounds.low, self.bounds.high, strict=True)
