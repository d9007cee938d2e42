"""Backtests of partitions: what a forecaster would have said of each, learnt from all up to the first cutoffs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.panel import Columns, Panel
from tsforce.distributed.fitted import FittedPartitions, Results
from tsforce.distributed.fitting import partitions_of
from tsforce.distributed.partitions import Partitions
from tsforce.distributed.settling import settle
from tsforce.distributed.survey import model_freq, survey
from tsforce.errors import ArgumentError, TsforceError
from tsforce.evaluation.backtest import judge
from tsforce.evaluation.backtest_result import BacktestResult
from tsforce.evaluation.backtest_windows import Plan, plan_windows
from tsforce.evaluation.score_terms import OF_ERRORS
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.intervals import check_levels
from tsforce.forecasting.parts import horizon_of, own_horizon, reader_of

__all__ = ["Backtests", "backtest_partitions"]


class Heads(Partitions):
    """The rows of partitions up to the first cutoff of each series, as panels.

    Parameters
    ----------
    data : Partitions
        That were looked at.
    cut : function from a frame to the panel of these rows
    """

    def __init__(self, data: Partitions, cut: Callable[[Any], Panel]) -> None:
        super().__init__(data.choices)
        self.data, self.cut = data, cut

    def __repr__(self) -> str:
        return repr(self.data)

    def look_at(self, columns: Columns) -> None:
        """Do nothing: the data was looked at."""

    def __len__(self) -> int:
        return len(self.data)

    def frame(self, k: int) -> Any:
        """Return the panel of partition k."""
        return self.cut(self.data.frame(k))

    def map(self, work: Callable[[Any], Any], some: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield what is made of the panels of some partitions."""
        return self.data.map(partial(_of_head, self.cut, work), some)

    def ids(self, k: int) -> list[Any]:
        """Return the ids of the series of partition k."""
        return self.data.ids(k)

    def name(self, k: int) -> str:
        """Return what partition k is called in messages."""
        return self.data.name(k)

    def version(self, k: int) -> str:
        """Return what changes when the rows of partition k do."""
        return self.data.version(k)

    def sizes(self) -> list[int]:
        """Return the rows of each piece of the data."""
        return self.data.sizes()

    def read(self, pieces: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
        """Return some columns of some pieces of the data."""
        return self.data.read(pieces, names)

    def piece_name(self, piece: int) -> str:
        """Return what a piece of the data is called."""
        return self.data.piece_name(piece)

    def columns_of(self, piece: int) -> dict[str, str]:
        """Return the columns of a piece of the data."""
        return self.data.columns_of(piece)


def _of_head(cut: Callable[[Any], Panel], work: Callable[[Any], Any], frame: Any) -> Any:
    return work(cut(frame))


def _windows(
    reader: Forecaster, inputs: Any, horizon: int, windows: dict[str, Any], last: Any, frame: Any
) -> tuple[Panel, Plan]:
    """Return the panel of a partition, and its windows."""
    panel = reader._read(frame, inputs)
    return panel, plan_windows(panel, horizon, last=last, **windows)


def _head(windows: Callable[[Any], tuple[Panel, Plan]], frame: Any) -> Panel:
    panel, plan = windows(frame)
    return panel.head(plan.first_rows(panel.n_series) + 1)


def backtest_partitions(
    model: Forecaster,
    df: Any,
    horizon: int | None,
    windows: dict[str, Any],
    season_length: int | None,
    level: Any,
    idle: Sequence[str],
) -> Backtests:
    """Return the backtest of partitions; see ``tsforce.backtest``.

    Raises
    ------
    ArgumentError
        If something is asked for that goes with a frame in memory alone: `idle` names it.
    """
    if idle:
        raise ArgumentError(
            f"{', '.join(f'{name}=' for name in idle)} goes with a frame in memory, and this is data in partitions: "
            f"learnt once, at the first cutoff. Leave it out, or give the series of one partition."
        )
    check_levels(level)
    data = partitions_of(df)
    model = model.clone_unfitted()
    found = survey(model, data)
    steps = horizon_of(model, horizon) if horizon is not None or own_horizon(model) else None
    if steps is None:
        raise ArgumentError(f"{model.name} has no horizon of its own; say how many steps with horizon=.")
    reader, inputs = reader_of([model]), model._inputs()
    if model_freq(model) == "infer":
        reader = reader.clone_unfitted().set_params(freq=found.clock.freq)
    plan = partial(_windows, reader, inputs, steps, windows, found.last)
    heads = Heads(data, partial(_head, plan))
    seen = survey(model, heads)
    fitted = FittedPartitions(model, data, settle(model, None, heads, seen), seen)
    return Backtests(fitted, heads, plan, steps, windows, season_length, level)


class Backtests(Results):
    """What a forecaster would have said of the last windows of the series of all partitions.

    Iterate over it for the frame of each partition (``results()``: the `BacktestResult`), as `BacktestResult.frame` is.
    """

    def __init__(
        self,
        fitted: FittedPartitions,
        heads: Heads,
        plan: Callable[[Any], tuple[Panel, Plan]],
        horizon: int,
        windows: dict[str, Any],
        season_length: int | None,
        level: Any,
    ) -> None:
        self.fitted, self.horizon, self.level = fitted, horizon, level
        self._heads, self._plan, self._windows, self._season_length = heads, plan, windows, season_length
        self._scores: dict[int, pd.DataFrame] = {}

    def __repr__(self) -> str:
        return f"Backtest of {self.horizon} steps: {self.fitted!r}"

    def result(self, k: int) -> BacktestResult:
        """Return the backtest of partition k."""
        if k in self.fitted.failed:
            raise self.fitted.failed[k]
        panel, plan = self._plan(self.fitted.data.frame(k))
        model = self.fitted.settled.fit(k, panel.head(plan.first_rows(panel.n_series) + 1))
        judged = judge(model, panel, plan, self.horizon, None, None, levels=check_levels(self.level))
        season = judged.season_for(self._season_length)
        found = BacktestResult.build(panel, plan, self.horizon, {model.name: judged}, season)
        self._scores[k] = found.scores(by="unique_id").assign(season_length=season)
        return found

    def frame(self, k: int) -> pd.DataFrame:
        """Return the forecasts of partition k beside the truth."""
        return self.result(k).frame

    def key(self, k: int) -> str:
        """Return what changes when the rows of partition k do."""
        fitted = self.fitted
        asked = f"backtest {self.horizon} {self._windows!r} {self._season_length} {self.level!r}"
        return f"{fitted.settled.key(k)} {asked} {fitted.data.version(k)}"

    def scores(self, by: str | None = None) -> pd.DataFrame:
        """Return the scores of all series together, or with ``by="unique_id"`` of each: as `BacktestResult.scores`.

        Raises
        ------
        PartitionError
            If some partitions failed.
        """
        if by not in (None, "unique_id"):
            raise ArgumentError(f"by={by!r}: expected None or 'unique_id'.")
        failed: dict[int, TsforceError] = {}
        for k in range(len(self)):
            try:
                if k not in self._scores:
                    self.result(k)
            except TsforceError as error:
                failed[k] = error
        if failed:
            raise self.error(failed, "and scores are of all")
        each = pd.concat([self._scores[k] for k in range(len(self))], ignore_index=True)
        if by is not None:
            return each.drop(columns="season_length")
        metrics = each.columns[2 : each.columns.get_loc("n_windows")]
        row: dict[str, Any] = {"model": self.fitted.model.name}
        for metric in metrics:
            values = each[metric].to_numpy()
            if metric == "mase" or metric not in OF_ERRORS:
                values = values[~np.isnan(values)]
            row[metric] = float(values.mean()) if len(values) else np.nan
        row |= {"n_series": len(each), "n_windows": int(each["n_windows"].sum())}
        row |= {"season_length": int(each["season_length"].iloc[0]), "n_left_out": int(each["mase"].isna().sum())}
        return pd.DataFrame([row])
