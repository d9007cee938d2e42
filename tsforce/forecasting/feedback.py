"""What a forecaster's own outputs do to its later ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsforce.data.frame import resolve_cutoffs, window_frame, write_forecasts
from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.forced import check_ratio, draw_truths, forced_forecasts
from tsforce.forecasting.parts import check_fitted, horizon_of, values_of

__all__ = ["SeesFeedback"]


class SeesFeedback:
    """The part of a forecaster that shows what feeding its outputs back does."""

    def predict_forced(
        self: Any, df: Any, cutoffs: Any, horizon: int | None = None, *, forcing_ratio: float, random_state: int = 0
    ) -> Any:
        """Return forecasts that are fed some observed targets after each cutoff: what a share of the truth is worth.

        After each step the observed target comes in with probability `forcing_ratio`; where it does, the forecaster
        goes on from there as from a new cutoff, its own outputs standing where no truth came in. 1 gives one-step
        forecasts of the same targets, 0 is ``predict_at``.

        Parameters
        ----------
        df : DataFrame
            Long frame. Rows of the target after a cutoff are read where the truth comes in and nowhere else, those of
            past inputs as far as that row.
        cutoffs, horizon
            As in ``predict_at``.
        forcing_ratio : float
            Share of observed targets fed back, in [0, 1]; of several targets, all or none of a step.
        random_state : int
            Draws depend on it, the series' id, the cutoff and the step alone. A larger ratio adds truths to those of a
            smaller one.

        Returns
        -------
        DataFrame
            As from ``predict_at``. NaN after a value that is not finite was fed back.

        Raises
        ------
        ArgumentError
            If the ratio or the random state is not accepted.

        Notes
        -----
        Costs up to horizon / 2 rounds of ``predict_at`` (ratio 1: a single one), each of all windows at once where the
        forecaster takes them, else of one window per series.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> df = load("airpassengers")
        >>> model = Baseline("naive", horizon=4).fit(df)
        >>> for ratio in (0, 0.5, 1):
        ...     print(model.predict_forced(df, ["1959-12-01"], forcing_ratio=ratio)["naive"].tolist())
        [405.0, 405.0, 405.0, 405.0]
        [405.0, 405.0, 391.0, 391.0]
        [405.0, 417.0, 391.0, 419.0]
        """
        check_fitted(self)
        ratio = check_ratio(forcing_ratio)
        random_state = check_count("random_state", random_state, least=0)
        panel, steps = self.read(df), horizon_of(self, horizon)
        index = resolve_cutoffs(panel, cutoffs)
        truths = draw_truths(panel, index, steps, ratio, random_state)
        if not truths[:, :-1].any():
            return self.predict_at(panel, index, steps)

        def forecast(fed: Panel, windows: WindowIndex, ahead: int) -> FloatArray:
            return values_of(self, self.predict_at(fed, windows, ahead), ahead)

        yhat = forced_forecasts(forecast, panel, index, truths, copies=self._takes_copies)
        return write_forecasts(panel, index, yhat, self.name, with_cutoff=True)

    def companion_at(self: Any, df: Any, cutoffs: Any, horizon: int | None = None) -> Any:
        """Return what the one-step map does to small errors along the closed-loop forecasts of many windows.

        Parameters
        ----------
        df, cutoffs, horizon
            As in ``predict_at``.

        Returns
        -------
        DataFrame
            unique_id, cutoff, radius_median, radius_max (spectral radius of the companion map over the steps looked
            at), growth (mean log growth per step of an error in a random direction); model units, that is after
            transforms: differences of a Difference. NaN where there is no such map: for forecasters that are no step
            model with a gradient, such as trees, reference methods and ensembles.

        Notes
        -----
        What the map is: ``tsforce.dynamics.companion.companion``. Eigenvalues are taken at all steps of all windows
        while that costs a few seconds; of many lags at fewer steps, spread evenly, then of fewer windows (the others'
        rows are NaN).

        Examples
        --------
        >>> import pandas as pd
        >>> from tsforce import NARXForecaster
        >>> halved = pd.DataFrame({"ds": range(40), "y": [8 * 0.5**t for t in range(40)]})
        >>> model = NARXForecaster(2, [1], scope="local", window_scaling=None, mode="open_loop", ridge=0).fit(halved)
        >>> model.companion_at(halved, [10])["radius_max"].round(6).tolist()
        [0.5]
        """
        check_fitted(self)
        panel, steps = self.read(df), horizon_of(self, horizon)
        index = resolve_cutoffs(panel, cutoffs)
        found = self._companion(panel, index, steps)
        return window_frame(panel, index, dict(zip(("radius_median", "radius_max", "growth"), found.T, strict=True)))

    def _companion(self, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
        """Return the columns of `companion_at`, (W, 3)."""
        del panel, horizon
        return np.full((len(index), 3), np.nan)
