"""A forecaster that was fitted to partitions: what it can say, partition by partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from tsforce.data.sorted_rows import counted
from tsforce.distributed.partitions import Partitions, failed_of, told_of
from tsforce.distributed.settled import Settled
from tsforce.distributed.survey import Survey
from tsforce.errors import ArgumentError, PartitionError, PartitionWarning, TsforceError, abbreviate, warn
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.parts import horizon_of, reader_of

__all__ = ["FittedPartitions", "Forecasts", "Results"]


class FittedPartitions:
    """What a fit to partitions has left: ``model.partitions_``.

    ``partitions_[k]`` is the fitted forecaster of the series of partition k, made when it is asked for, and then like
    any other: it can be saved, updated, asked for intervals and paths.

    Attributes
    ----------
    data : Partitions
    settled : Settled
        With what was chosen on all partitions.
    failed : dict of int -> TsforceError
        Partitions that could not be read.
    """

    def __init__(self, model: Forecaster, data: Partitions, settled: Settled, found: Survey) -> None:
        self.model, self.data, self.settled, self.failed = model, data, settled, found.failed
        self._columns = found.columns
        if found.failed:
            warn(
                f"{counted(len(found.failed), 'partition')} of {len(data)} failed, and the others go on "
                f"without: {told_of(data, found.failed)}",
                PartitionWarning,
            )

    def __repr__(self) -> str:
        said = f", {self.settled.said}" if self.settled.said else ""
        return f"{self.model.name} of {counted(len(self), 'partition')} of {self.data!r}{said}"

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, k: int) -> Forecaster:
        if not 0 <= k < len(self):
            raise IndexError(k)
        if k in self.failed:
            raise self.failed[k]
        return self.settled.fit(k, self.data.frame(k))

    def __iter__(self) -> Iterator[Forecaster]:
        return (self[k] for k in range(len(self)))

    def predict(self, horizon: int | None, future_df: Any, level: Any) -> Any:
        """Return the forecasts of all series: nothing is computed before they are asked for."""
        columns = self._columns
        if columns.future_exog and not isinstance(future_df, pd.DataFrame):
            raise ArgumentError(
                f"future_df is a {type(future_df).__name__}: expected one DataFrame with "
                f"{abbreviate(columns.future_exog)} of the steps after the last row of every series."
            )
        if not columns.future_exog:
            future_df = None
        steps = horizon_of(self.settled.template, horizon)
        return self.data.collected(Forecasts(self, steps, future_df, level))


def forecast_of(settled: Settled, k: int, horizon: int, future_df: Any, level: Any, frame: Any) -> pd.DataFrame:
    """Return the forecasts of the series of partition k, whose rows are in `frame`."""
    fitted = settled.fit(k, frame)
    if future_df is None:
        return fitted.predict(horizon, level=level)
    name = reader_of([fitted]).id_col
    own = future_df[future_df[name].isin(fitted.train_end_[name])]
    return fitted.predict(horizon, future_df=own, level=level)


class Results:
    """What is made partition by partition, when it is asked for.

    Iterate over it for one frame of each partition, in order; or write them with `to_parquet`; or, where memory holds
    them, `to_pandas`.
    """

    fitted: FittedPartitions

    def __len__(self) -> int:
        return len(self.fitted)

    def frame(self, k: int) -> pd.DataFrame:
        """Return the rows of partition k."""
        raise NotImplementedError

    def key(self, k: int) -> str:
        """Return what changes when the rows of partition k do."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[pd.DataFrame]:
        failed: dict[int, TsforceError] = {}
        for k in range(len(self)):
            try:
                frame = self.frame(k)
            except TsforceError as error:
                failed[k] = error
            else:
                yield frame
        if failed:
            raise self.error(failed, "the others are there")

    def error(self, failed: dict[int, TsforceError], others: str) -> PartitionError:
        """Return the error of partitions that failed."""
        return failed_of(self.fitted.data, failed, others)

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows as one frame.

        Raises
        ------
        PartitionError
            If some partitions failed.
        """
        frames = list(self)
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def to_parquet(self, folder: Any) -> pd.DataFrame:
        """Write the rows of each partition to a file of its own, and return what was done.

        A file is there whole or not at all. A call that was cut short, or of which a partition failed, goes on where it
        stopped when it is made again: files that it would write as they are stay.

        Parameters
        ----------
        folder : path-like
            Made if it is not there. It may hold what an earlier call has written, which are replaced, and nothing else.

        Returns
        -------
        DataFrame
            partition (what it is made of), file, n_rows, status ("written", or "was there").

        Raises
        ------
        PartitionError
            At the end, if some partitions failed: with their series, and why. The others are written.
        ArgumentError
            If the folder holds something else.
        """
        from tsforce.distributed.folder_writer import write_partitions

        return write_partitions(self, folder)


class Forecasts(Results):
    """Forecasts of the series of all partitions."""

    def __init__(self, fitted: FittedPartitions, horizon: int, future_df: Any, level: Any) -> None:
        self.fitted, self.horizon, self._future_df, self.level = fitted, horizon, future_df, level

    def __repr__(self) -> str:
        return f"Forecasts of {self.horizon} steps: {self.fitted!r}"

    def frame(self, k: int) -> pd.DataFrame:
        """Return the forecasts of partition k."""
        if k in self.fitted.failed:
            raise self.fitted.failed[k]
        return self.work(k)(self.fitted.data.frame(k))

    def work(self, k: int) -> Callable[[Any], pd.DataFrame]:
        """Return what makes the forecasts of partition k of its frame: it can be sent to another process."""
        settled = self.fitted.settled.of(k)
        return partial(forecast_of, settled, k, self.horizon, self._future_df, self.level)

    def key(self, k: int) -> str:
        """Return what changes when the forecasts of partition k do."""
        fitted = self.fitted
        future = None if self._future_df is None else pd.util.hash_pandas_object(self._future_df, index=False).sum()
        return f"{fitted.settled.key(k)} {self.horizon} {self.level!r} {future} {fitted.data.version(k)}"
