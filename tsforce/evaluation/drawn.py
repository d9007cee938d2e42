"""What sample paths after the windows of a backtest say of the truth, window by window: paths are scored and let go."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.forecasting.base import Forecaster
from tsforce.scoring.path_scores import crps, energy_score, pinball_loss, pit_values

__all__ = ["DECILES", "Drawn"]

# Probabilities of the quantiles that paths are judged at.
DECILES = tuple(k / 10 for k in range(1, 10))


@dataclass(frozen=True, eq=False)
class Drawn:
    """Scores of the paths of W windows, original units; NaN where there is no truth or no path.

    Attributes
    ----------
    crps, crps_plain : (W, H, C) float64
        By the fair and by the plain estimator.
    pinball : (W, H, C) float64
        Mean over the deciles.
    pit : (W, H, C) float64
        Where the truth stands among the paths, in (0, 1).
    energy : (W, C) float64
        Of whole horizons, fair estimator.
    """

    crps: FloatArray
    crps_plain: FloatArray
    pinball: FloatArray
    pit: FloatArray
    energy: FloatArray

    @staticmethod
    def blank(shape: tuple[int, ...]) -> Drawn:
        """Return scores that are NaN, of forecasts of some shape (W, H, C)."""
        of_steps, of_windows = np.full(shape, np.nan), np.full((shape[0], shape[2]), np.nan)
        return Drawn(of_steps, of_steps.copy(), of_steps.copy(), of_steps.copy(), of_windows)

    def fill(
        self,
        places: Any,
        model: Forecaster,
        panel: Panel,
        index: WindowIndex,
        yhat: FloatArray,
        truth: FloatArray,
        n_paths: int,
        rows: Panel,
    ) -> None:
        """Put the scores of some windows at their places.

        Parameters
        ----------
        places : (V,) int64
        model : Forecaster
            The clone that made the forecasts `yhat`, (V, H, C), after the windows `index` of `panel`.
        truth : (V, H, C) float64
            NaN where there is none.
        n_paths : int
        rows : Panel
            What the model learnt from, where it keeps no rows of its own.
        """
        for part, paths in model._paths_at(panel, index, yhat, n_paths, 0, rows):
            # (V, C, H) and (V, C, P, H): the scores' order.
            y, drawn = np.moveaxis(truth[part], 2, 1), np.moveaxis(paths, 3, 1)
            quantiles = np.moveaxis(np.quantile(drawn, DECILES, axis=2), 0, 2)
            now = places[part]
            for room, found in (
                (self.crps, crps(y, drawn)),
                (self.crps_plain, crps(y, drawn, "plain")),
                (self.pinball, pinball_loss(y[:, :, None], quantiles, np.array(DECILES)[:, None]).mean(axis=2)),
                (self.pit, pit_values(y, drawn, random_state=0)),
            ):
                room[now] = np.moveaxis(found, 1, 2)
            self.energy[now] = energy_score(y, drawn)

    def some(self, chosen: Any) -> Drawn:
        """Return the scores of some windows."""
        return Drawn(*(getattr(self, part.name)[chosen] for part in fields(self)))

    def of_channels(self, chosen: slice) -> Drawn:
        """Return the scores of some targets."""
        return Drawn(*(getattr(self, part.name)[..., chosen] for part in fields(self)))
