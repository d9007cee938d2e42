"""Some series of all partitions, the same ones however they lie in them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.frame import panel_to_frame
from tsforce.data.panel import Panel
from tsforce.distributed.partitions import Hashes, Partitions, hashed
from tsforce.distributed.survey import Survey
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.parts import reader_of

__all__ = ["sample_of"]


def sample_of(model: Forecaster, data: Partitions, found: Survey, most: int) -> Panel:
    """Return at most so many series: those whose ids have the smallest hashes, in their order.

    Two passes: one for the hashes, one for the rows of these series. Partitions of `found` that fail on the way are put
    among those that have failed.

    Parameters
    ----------
    model : Forecaster
        As which a frame is read.
    data : Partitions
    found : Survey
    most : int
    """
    reader, inputs = reader_of([model]), model._inputs()
    least = found.ask(data, partial(_smallest, reader, inputs, most))
    wanted = np.sort(np.concatenate(list(least.values())))[:most]
    frames = found.ask(data, partial(_rows_of, reader, inputs, wanted))
    rows = [frame for frame in frames.values() if frame is not None]
    panel = reader._read(pd.concat(rows, ignore_index=True), inputs)
    return panel.take(np.argsort(_hashes(panel), kind="stable"))


def _hashes(panel: Panel) -> Hashes:
    return hashed(pd.Series(panel.ids))[0]


def _smallest(reader: Forecaster, inputs: Any, most: int, frame: Any) -> Hashes:
    return np.sort(_hashes(reader._read(frame, inputs)))[:most]


def _rows_of(reader: Forecaster, inputs: Any, wanted: Hashes, frame: Any) -> pd.DataFrame | None:
    panel = reader._read(frame, inputs)
    mine = np.flatnonzero(np.isin(_hashes(panel), wanted))
    return panel_to_frame(panel.take(mine)) if len(mine) else None
