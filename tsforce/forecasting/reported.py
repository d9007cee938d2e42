"""How a fitted forecaster shows its rows and forecasts: as a page, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tsforce.above import from_above
from tsforce.data.convert import as_pandas_long
from tsforce.data.frame import panel_to_frame
from tsforce.data.panel import IntArray, Panel
from tsforce.errors import ArgumentError
from tsforce.forecasting.parts import check_fitted

__all__ = ["HasReport"]


class HasReport:
    """The part of a forecaster that writes a page about itself and its forecasts."""

    def report(
        self: Any,
        path: Any,
        *,
        horizon: int | None = None,
        future_df: Any = None,
        level: Any = None,
        title: str | None = None,
    ) -> Path:
        """Write a page for the browser, one file that needs no other: every series, its forecast, and what was learnt.

        Extra ``report``. Of ``AutoNARX`` it has all candidates, and for each series which of them are heard and how
        they did on trial; series then stand in order of their errors on trial, the worst first. Of more than 1,000
        series (fewer if they are long) some are shown.

        Parameters
        ----------
        path : str or Path
            Where to; ends in .html. A file that is there is replaced.
        horizon, future_df, level
            As in ``predict``.
        title : str, optional
            Heading of the page.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If the path does not end in .html or there is no such folder, or this forecaster keeps no rows to show.
        MissingExtraError
            If plotly is not installed.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> model = Baseline("seasonal_naive", horizon=12).fit(load("airpassengers"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.report(Path(folder) / "passengers.html", title="Next year").name
        'passengers.html'
        """
        self._check_rows("report")
        written: Path = from_above("report_forecast")(
            self, path, horizon=horizon, future_df=future_df, level=level, title=title
        )
        return written

    def plot(
        self: Any,
        *,
        series: Any = None,
        n_series: int | None = None,
        last: int | None = None,
        horizon: int | None = None,
        future_df: Any = None,
        level: Any = None,
        ax: Any = None,
    ) -> Any:
        """Return a figure of series and their forecasts (extra ``plot``).

        Parameters
        ----------
        series : id or list of them, optional
            Which, at most 4, one panel each; by default the first ones, of ``AutoNARX`` those with the largest errors
            on trial.
        n_series : int, optional
            How many of those; by default up to 4.
        last : int, optional
            Rows to show before the forecast, the last ones; by default 4 times the horizon, at least 48.
        horizon, future_df, level
            As in ``predict``; bounds are drawn as bands.
        ax : matplotlib Axes, optional
            Takes one series.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If there is no such series, or more than can be drawn; or this forecaster keeps no rows to show.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> model = Baseline("seasonal_naive", horizon=12).fit(load("airpassengers"))
        >>> figure = model.plot(last=36)
        """
        from tsforce.plotting import plot_forecast

        self._check_rows("plot")
        panel = self._rows_to_show()
        columns = panel.columns
        forecast = as_pandas_long(
            self.predict(horizon, future_df=future_df, level=level), columns.id, columns.time, columns.targets[0]
        )[0]
        if series is None and hasattr(self, "_worst_first"):
            worst = self._worst_first()[: n_series if isinstance(n_series, int) else 4]
            forecast = pd.concat([forecast[forecast[columns.id] == name] for name in worst])
        return plot_forecast(
            panel_to_frame(panel), forecast, series=series, n_series=n_series, last=last, ax=ax,
            id_col=columns.id, time_col=columns.time, target_col=columns.targets[0],
        )  # fmt: skip

    def _check_rows(self: Any, call: str) -> None:
        check_fitted(self)
        if not hasattr(self, "_rows_"):
            raise ArgumentError(
                f"{call} shows the rows that forecasts start from, and {self.name} keeps none. Judge it by a backtest, "
                f"whose result has one too: tsforce.backtest(model, df).{call}(...)."
            )

    def _rows_to_show(self: Any) -> Panel:
        """Return the rows learnt from, or what is kept of them: each series up to where its forecast starts."""
        kept: Panel = self._rows_
        learnt = getattr(self, "_learnt_from_", kept)
        ends = [panel.clock.stamps(panel.ticks(*_last(panel))).tolist() for panel in (kept, learnt)]
        return learnt if learnt.id_list == kept.id_list and ends[0] == ends[1] else kept


def _last(panel: Panel) -> tuple[IntArray, IntArray]:
    index = panel.last_rows()
    return index.series, index.rows
