"""One pass over partitions: how long series are and by which clock they go, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.panel import Columns, IntArray, Panel
from tsforce.distributed.partitions import Partitions
from tsforce.errors import TsforceError
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.parts import INPUT_KINDS, reader_of

__all__ = ["Survey", "columns_read", "survey"]


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of all series once each partition was read.

    Attributes
    ----------
    lengths : dict of int -> (S,) int64
        Rows of the series of each partition that could be read.
    clock : Clock
        Of the series with most rows.
    columns : Columns
    last : Timestamp or int
        Stamp of the last row of all.
    failed : dict of int -> TsforceError
        Why the others could not.
    """

    lengths: dict[int, IntArray]
    clock: Any
    columns: Columns
    last: Any
    failed: dict[int, TsforceError]

    @property
    def going(self) -> list[int]:
        """The partitions that have not failed so far."""
        return [k for k in self.lengths if k not in self.failed]

    def ask(self, data: Partitions, work: Callable[[Any], Any]) -> dict[int, Any]:
        """Return what is made of each partition that has not failed so far; one that does now is put among the others.

        Raises
        ------
        TsforceError
            If no partition is left.
        """
        told = {}
        for k, found in data.map(work, self.going):
            if isinstance(found, TsforceError):
                self.failed[k] = found
            else:
                told[k] = found
        if not told:
            raise next(iter(self.failed.values()))
        return told

    @cached_property
    def panel(self) -> Panel:
        """Return a panel of all series whose values are not there: for what looks at their lengths alone."""
        lengths = np.concatenate(list(self.lengths.values()))
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        values = np.broadcast_to(np.nan, (int(indptr[-1]), len(self.columns.targets)))
        start = np.zeros(len(lengths), dtype=np.int64)
        return Panel(pd.RangeIndex(len(lengths)), values, indptr, start, self.clock, self.columns)


def columns_read(model: Forecaster) -> Columns:
    """Return the columns that a forecaster reads of a frame."""
    reader = reader_of([model])
    inputs = {kind: model._inputs()[kind] for kind in INPUT_KINDS}
    return Columns(reader.id_col, reader.time_col, reader._targets(), **inputs)


def survey(model: Forecaster, data: Partitions) -> Survey:
    """Return what one pass over partitions tells.

    Where partitions go by different clocks it is that of the series with most rows, and the others are read again by
    it: what is wrong with them is then told by it.

    Raises
    ------
    TsforceError
        If no partition can be read: that of the first.
    """
    columns = columns_read(model)
    data.look_at(columns)
    reader, inputs = reader_of([model]), model._inputs()
    told = dict(data.map(partial(_lengths, reader, inputs), range(len(data))))
    found = {k: part for k, part in told.items() if not isinstance(part, TsforceError)}
    if not found:
        raise next(iter(told.values()))
    longest = max(found, key=lambda k: (int(found[k][0].max()), -k))
    clock = found[longest][1]
    again = [k for k in told if k not in found or found[k][1].freq != clock.freq]
    if again and model_freq(model) == "infer":
        other = reader.clone_unfitted().set_params(freq=clock.freq)
        told |= data.map(partial(_lengths, other, inputs), again)
    failed = {k: part for k, part in told.items() if isinstance(part, TsforceError)}
    read = {k: part for k, part in told.items() if k not in failed}
    last = max(part[2] for part in read.values())
    return Survey({k: part[0] for k, part in read.items()}, clock, columns, last, failed)


def model_freq(model: Forecaster) -> Any:
    """Return the frequency that a forecaster was given."""
    return reader_of([model]).freq


def _lengths(reader: Forecaster, inputs: Any, frame: Any) -> tuple[IntArray, Any, Any]:
    panel = reader._read(frame, inputs)
    ends = panel.ticks(np.arange(panel.n_series), panel.lengths - 1)
    return panel.lengths, panel.clock, panel.clock.stamps(ends[[int(ends.argmax())]])[0]
