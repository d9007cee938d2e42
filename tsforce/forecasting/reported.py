"""What forecasters have that can be shown as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsforce.above import from_above
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
        """
        check_fitted(self)
        if not hasattr(self, "_rows_"):
            raise ArgumentError(
                f"report shows the rows that forecasts start from, and {self.name} keeps none. Judge it by a backtest, "
                f"whose result has a report too: tsforce.backtest(model, df).report(path)."
            )
        written: Path = from_above("report_forecast")(
            self, path, horizon=horizon, future_df=future_df, level=level, title=title
        )
        return written

    def _rows_to_show(self: Any) -> Panel:
        """Return the rows learnt from, or what is kept of them: each series up to where its forecast starts."""
        kept: Panel = self._rows_
        learnt = getattr(self, "_learnt_from_", kept)
        ends = [panel.clock.stamps(panel.ticks(*_last(panel))).tolist() for panel in (kept, learnt)]
        return learnt if learnt.id_list == kept.id_list and ends[0] == ends[1] else kept


def _last(panel: Panel) -> tuple[IntArray, IntArray]:
    index = panel.last_rows()
    return index.series, index.rows
