"""Reference methods behind the Forecaster contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np

from tsforce.data.panel import Panel, WindowIndex
from tsforce.errors import check_choice
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.intervals import check_levels
from tsforce.forecasting.later_errors import calibrations_after
from tsforce.forecasting.learnt_baselines import LEARNT, learn, learnt_forecasts
from tsforce.forecasting.parts import begin_fit, check_fitted, end_fit, horizon_of, later_rows_of, season_length_for
from tsforce.forecasting.side_by_side import SideBySide
from tsforce.forecasting.update import Update, error_at_new_rows
from tsforce.scoring import naive as methods
from tsforce.training.missing import seasonal_fill

__all__ = ["METHODS", "Baseline"]

METHODS = ("naive", "seasonal_naive", "drift", "naive2", *LEARNT)
# Rows of history at once.
_CHUNK_ROWS = 4_000_000


class Baseline(SideBySide):
    """A reference forecast: naive, seasonal naive, drift, the M competitions' Naive2, Theta, smoothing, ARIMA.

    Parameters
    ----------
    method : str
        "naive", "seasonal_naive", "drift", "naive2": ``tsforce.scoring.naive`` has formulas and sources. "theta",
        "dynamic_theta" (the dynamic optimised Theta model), "ets" (the exponential smoothing model of lowest AICc),
        "ets_combined" (the mean of all such models, the likelier the heavier, which forecasts better), "ces" (complex
        exponential smoothing without a season or with one of three kinds, by AICc): ``tsforce.smoothing``, all series
        side by side, some thousand per second. "arima" (the seasonal ARIMA model of lowest AICc of six): statsmodels,
        one series after another, a third of a second each and one or two with a season of 12, for small panels. Of
        those from "theta" on, `fit` learns the parameters; level, trend and season are read from the rows up to each
        cutoff. A series that `fit` could learn nothing of, or did not see, is learnt from its own rows up to the
        cutoff. Naive2 answers for windows of fewer than 4 rows or of equal values, or with too few rows for the model
        that was learnt; ``attrs["fallbacks"]`` of the forecasts counts such windows.
    horizon : int, optional
        Steps that ``predict`` gives by default; one season without it, with a warning.
    season_length : int, optional
        By default what goes with the frequency.
    freq : "infer", pandas alias or offset, or int
    alias : str, optional
        Name of the forecast's column; the method's name by default.
    n_jobs : int
        Processes among which `fit` shares the series, 2,000 (of "arima" 20) at a time, where it learns anything; -1 for
        one per core. The numbers are the same.
    verbose : bool
        Whether such a `fit` counts the finished series on stderr.
    id_col, time_col, target_col : str
        Names of the columns in the long frame.

    Attributes
    ----------
    season_length_ : int
    freq_ : str, int or offset
    train_end_ : DataFrame
        The id column and ``cutoff``: the last row of each series.

    Notes
    -----
    A frame with missing values is refused, except beside a model that takes them (``compare``, ``Ensemble``): then the
    value one season before stands for each, for "naive" and "drift" the one before it.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> Baseline("seasonal_naive", horizon=2).fit(load("airpassengers")).predict()["seasonal_naive"].tolist()
    [417.0, 391.0]
    >>> Baseline("theta", horizon=2).fit(load("airpassengers")).predict()["theta"].round().tolist()
    [440.0, 428.0]
    """

    is_baseline = True
    _series_apart = True

    def __init__(
        self,
        method: str,
        *,
        horizon: int | None = None,
        season_length: int | None = None,
        freq: Any = "infer",
        alias: str | None = None,
        n_jobs: int = 1,
        verbose: bool = False,
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: Any = "y",
    ) -> None:
        self.method = method
        self.horizon = horizon
        self.season_length = season_length
        self.freq = freq
        self.alias = alias
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col

    @property
    def name(self) -> str:
        """Name of the forecast's column: `alias`, else the method."""
        return self.alias or self.method

    def fit(self, df: Any, y: None = None, *, mode: Any = None) -> Self:
        """Keep the series, and learn their smoothing parameters if the method has any; `mode` changes nothing.

        Parameters
        ----------
        df : DataFrame
            Long frame.
        y : None
            scikit-learn's slot; the target is a column of `df`.
        mode : any
            Accepted so that baselines and models can be fitted alike.
        """
        begin_fit(self, y)
        return self._fit_on(df, mode, None)

    def _settled(self) -> Any:
        # A series that was too short to learn from may not be by now.
        known = self.method in LEARNT and all(part.known.all() for part in self._learnt_)
        return self._learnt_ if known else None

    def _fit_on(self, panel: Any, mode: Any, settled: Any) -> Self:
        # States are read from the rows up to a cutoff in any case.
        del mode
        check_choice("method", self.method, METHODS)
        if not (isinstance(self.n_jobs, int) and self.n_jobs == -1):
            check_count("n_jobs", self.n_jobs, other="-1 for one process per core")
        if self.horizon is not None:
            horizon_of(self)
        panel = self.read(panel)
        season = season_length_for(self, panel)
        if self.method in LEARNT:
            self._learnt_ = settled or self._learn(panel, season)
        end_fit(self, panel, season)
        return self

    def _learn(self, panel: Panel, season: int) -> list[Any]:
        """Return what a method learns of the series of a panel, one after another for each target."""
        given = self._filled(panel, season)
        return [
            learn(self.method, values, given.indptr, season, n_jobs=self.n_jobs, verbose=self.verbose)
            for values in np.ascontiguousarray(given.values.T)
        ]

    def update(self, df: Any) -> Update:
        """Take in rows that came after those learnt from: forecasts go on from them.

        Smoothing parameters stay as they were learnt; those of new series are learnt.

        Parameters
        ----------
        df : DataFrame
            As in ``NARXForecaster.update``.

        Returns
        -------
        Update

        Raises
        ------
        ArgumentError, FrameError
            As from ``NARXForecaster.update``.
        """
        check_fitted(self)
        now = later_rows_of(self, df)
        rows, names = now.counts, tuple(now.panel.id_list[now.n_known :])
        if not rows.any():
            return Update(self.name, 0, 0, "state")
        before, calibrations = error_at_new_rows(self, now), calibrations_after(self, now)
        if names and self.method in LEARNT:
            fresh = self._learn(now.panel.take(np.arange(now.n_known, now.panel.n_series)), self.season_length_)
            self._learnt_ = [
                type(old)(*(np.concatenate(pair) for pair in zip(old, new, strict=True)))
                for old, new in zip(self._learnt_, fresh, strict=True)
            ]
        self._calibrations_ = calibrations
        end_fit(self, now.panel, self.season_length_)
        return Update(self.name, int(rows.sum()), int((rows > 0).sum()), "state", names, error_before=before)

    def predict(
        self, horizon: int | None = None, *, future_df: Any = None, history: Any = None, level: Any = None
    ) -> Any:
        """Return forecasts after the last training row of each series, or the last row of `history`.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon. Of a method that
            learns, ``attrs["fallbacks"]`` counts the series that Naive2 answered for.
        """
        check_fitted(self)
        levels = check_levels(level)
        steps = horizon_of(self, horizon)
        panel = self._rows_ if history is None else self.read(history)
        return self._frame(panel, panel.last_rows(), steps, with_cutoff=False, levels=levels)

    def _check_missing(self, panel: Panel) -> None:
        # Beside a model that takes missing values a reference method takes them too: it fills them as it forecasts.
        del panel

    def _horizon_of(self, horizon: int | None) -> int | None:
        # A baseline is trained for no horizon, so none is too long for it.
        return super()._horizon_of(None) if horizon is None else check_count("horizon", horizon)

    def _ahead(self, panel: Panel, index: WindowIndex, horizon: int) -> Any:
        panel, before = panel.preceded_by(self._rows_)
        index = WindowIndex(index.series, index.rows + before[index.series])
        season = self.season_length_
        panel = self._filled(panel, season)
        # The others look further back than one season.
        length = {"naive": 1, "seasonal_naive": season}.get(self.method)
        rows = np.minimum(index.rows + 1, length) if length else index.rows + 1
        chunk = np.cumsum(rows) // _CHUNK_ROWS
        place = np.array([self._rows_.position.get(name, -1) for name in panel.id_list], dtype=np.int64)[index.series]
        parts, fallbacks = [], 0
        for number in np.unique(chunk):
            now = chunk == number
            seen = panel.windows(WindowIndex(index.series[now], index.rows[now]), length)
            channels = []
            for channel, values in enumerate(seen.values.T):
                if self.method == "naive":
                    yhat = methods.naive(values, seen.indptr, horizon)
                elif self.method == "drift":
                    yhat = methods.drift(values, seen.indptr, horizon)
                elif self.method == "seasonal_naive":
                    yhat = methods.seasonal_naive(values, seen.indptr, horizon, season)
                elif self.method == "naive2":
                    yhat = methods.naive2(values, seen.indptr, horizon, season)
                else:
                    yhat, count = learnt_forecasts(
                        self.method, values, seen.indptr, horizon, season, self._learnt_[channel], place[now]
                    )
                    fallbacks += count
                channels.append(yhat)
            parts.append(np.stack(channels, axis=-1))
        return np.concatenate(parts), {"fallbacks": fallbacks} if self.method in LEARNT else {}

    def _filled(self, panel: Panel, season: int) -> Panel:
        """Return the panel without missing values: an earlier one stands for each."""
        if not np.isnan(panel.values).any():
            return panel
        return replace(panel, values=seasonal_fill(panel, 1 if self.method in ("naive", "drift") else season))
