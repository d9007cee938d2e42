"""How the result of a backtest is looked at: printed, in a notebook, as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tsforce.above import from_above
from tsforce.data.convert import as_pandas_long
from tsforce.errors import ArgumentError, abbreviate, check_choice
from tsforce.evaluation.narrow_table import narrow_table, wrapped
from tsforce.evaluation.seen_series import SeenSeries, see_series
from tsforce.notebook import card, paragraphs, table

__all__ = ["CanBeLookedAt"]

# What is shown of `scores`.
_SHOWN = {
    "model": "model", "mase": "MASE", "smape": "sMAPE", "mae": "MAE", "rmse": "RMSE", "n_series": "series",
    "n_windows": "windows",
}  # fmt: skip


class CanBeLookedAt:
    """The part of ``BacktestResult`` that shows what the rest computes."""

    def _said(self: Any) -> tuple[str, list[str]]:
        """Return in words what was forecast, and what there is to say of it."""
        n_series = len(np.unique(self._plan.index.series))
        head = (
            f"BacktestResult: {abbreviate(self._models)}, closed loop, horizon {self.horizon}, "
            f"{len(self._plan.index)} windows of {n_series} series, aligned by {self.align}"
        )
        return head, [*([self.verdict] if len(self._models) > 1 else []), *self.notes]

    def __repr__(self: Any) -> str:
        head, said = self._said()
        return "\n".join([wrapped(head), narrow_table(self.scores(), _SHOWN), *map(wrapped, said)])

    def _repr_html_(self: Any) -> str:
        head, said = self._said()
        return card(head, table(self.scores().to_dict("records"), _SHOWN), paragraphs(said))

    def _worst_first(self: Any) -> list[Any]:
        """Return the ids of the series in order of the errors of the best model, the largest first."""
        metric = "mase" if self.scores()["mase"].notna().any() else "mae"
        each = self.scores(by="unique_id")
        each = each[each["model"] == self.ranking(metric)["model"].iloc[0]]
        ordered = each.sort_values(metric, ascending=False, kind="stable", na_position="last")
        return list(ordered[self._panel.columns.id])

    def _seen(self: Any, metric: str, first: str, target: Any, most: int, room: int) -> SeenSeries:
        """Return the series as a page shows them, by the error of the model `first`; see ``see_series``."""
        channel = self._panel.columns.targets.index(target)
        each = self._only(channel).scores(by="unique_id")
        errors = np.stack([each.loc[each["model"] == name, metric].to_numpy() for name in self._models])
        order = errors[list(self._models).index(first)]
        return see_series(
            self._panel, self._plan.index, list(self._models.values()), errors,
            channel=channel, order=order, most=most, room=room, horizon=self.horizon,
        )  # fmt: skip

    def report(self: Any, path: Any, *, title: str | None = None, target: str | None = None) -> Path:
        """Write a page for the browser, one file that needs no other: scores, errors by step and cutoff, every series.

        Extra ``report``. Series stand in order of their errors, the worst first, and can be searched; of more than
        1,000 (fewer if they are long) some are shown, spread evenly over all errors.

        Parameters
        ----------
        path : str or Path
            Where to; ends in .html. A file that is there is replaced.
        title : str, optional
            Heading of the page.
        target : str, optional
            Which of several targets is shown series by series; the first by default.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArgumentError
            If the path does not end in .html, or there is no such folder or target.
        MissingExtraError
            If plotly is not installed.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from tsforce import Baseline, backtest
        >>> from tsforce.datasets import load
        >>> result = backtest(Baseline("seasonal_naive"), load("airpassengers"), horizon=12, n_windows=4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result.report(Path(folder) / "passengers.html").name
        'passengers.html'
        """
        targets = self._panel.columns.targets
        chosen = targets[0] if target is None else check_choice("target", target, targets)
        written: Path = from_above("report_backtest")(self, path, title=title, target=chosen)
        return written

    def plot(
        self: Any,
        kind: str = "horizon",
        *,
        series: Any = None,
        n_series: int | None = None,
        last: int | None = None,
        baselines: bool = False,
        ax: Any = None,
    ) -> Any:
        """Return a figure of the errors at each step, or of the forecasts themselves (extra ``plot``).

        Parameters
        ----------
        kind : "horizon", "windows", "exposure", "coverage" or "pit"
            "horizon": ``exposure()``, closed-loop and one-step errors at each step after the cutoff, repeating the last
            value beside them; MASE at each step where there is nothing but reference methods. "windows": truth and
            forecasts of each window of some series. "exposure": the first, and ``forcing_response()`` beside it.
            "coverage": share of truths within the bounds at each step. "pit": ``pit()``.
        series : id or list of them, optional
            For "windows": which series, at most 4; by default those that the best model has the largest errors on.
        n_series : int, optional
            For "windows": how many of those; 1 by default.
        last : int, optional
            For "windows": time steps to show of each series, the last ones; all by default.
        baselines : bool
            Not for "windows": whether to include reference methods; their one-step errors cost a forecast per row.
        ax : matplotlib Axes, optional
            Two of them for "exposure".

        Raises
        ------
        ArgumentError
            If the kind or the series is not known.

        Examples
        --------
        >>> from tsforce import Baseline, backtest
        >>> from tsforce.datasets import load
        >>> result = backtest(Baseline("seasonal_naive"), load("airpassengers"), horizon=12, n_windows=3)
        >>> figure = result.plot("windows", last=48)
        """
        from tsforce.plotting import plot_backtest, plot_coverage, plot_exposure, plot_horizon, plot_pit

        if check_choice("kind", kind, ("horizon", "windows", "exposure", "coverage", "pit")) == "windows":
            columns = self._panel.columns
            frame = as_pandas_long(self.frame, columns.id, columns.time, columns.targets[0])[0]
            if series is None:
                worst = self._worst_first()[: n_series if isinstance(n_series, int) else 1]
                place = {name: nth for nth, name in enumerate(worst)}
                frame = frame[frame[columns.id].isin(worst)]
                frame = frame.sort_values(columns.id, key=lambda ids: ids.astype(object).map(place), kind="stable")
            return plot_backtest(
                frame,
                series=series,
                n_series=n_series,
                last=last,
                ax=ax,
                id_col=columns.id,
                time_col=columns.time,
                target_col=columns.targets[0],
            )
        for name, value in (("series", series), ("n_series", n_series), ("last", last)):
            if value is None:
                continue
            raise ArgumentError(
                f"{name}={value!r}: errors at each step are pooled over all series; for one series' forecasts say "
                f"plot(kind='windows', {name}=...)."
            )
        if kind in ("coverage", "pit"):
            return plot_coverage(self.by_horizon(), ax=ax) if kind == "coverage" else plot_pit(self.pit(), ax=ax)
        nothing_else = all(judged.is_baseline for judged in self._models.values())
        if kind == "exposure":
            shown = baselines or nothing_else
            return plot_exposure(self.exposure(baselines=shown), self.forcing_response(baselines=shown), ax=ax)
        if not baselines and nothing_else:
            return plot_horizon(self.by_horizon(), ax=ax)
        return plot_horizon(self.exposure(baselines=baselines), ax=ax)
