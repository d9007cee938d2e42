"""Frames of sample paths: written, and read back as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.convert import as_pandas_long, in_kind
from tsforce.data.frame import write_forecasts
from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.data.read_columns import check_result_names
from tsforce.errors import FrameError

__all__ = ["PathTable", "read_paths", "write_paths"]


def write_paths(
    panel: Panel,
    index: WindowIndex,
    values: FloatArray,
    name: str,
    *,
    counts: dict[str, int],
    scenarios: Sequence[str] | None = None,
) -> Any:
    """Return the frame of sample paths (W, P, H, C) in the user's kind, ordered as `index`, then by path, then horizon.

    Parameters and errors are those of ``write_forecasts``; the column ``path`` (1..P) comes after ``horizon``.
    """
    _, n_paths, horizon, n_channels = values.shape
    one = write_forecasts(
        replace(panel, kind="pandas"), index, values[:, 0], name, with_cutoff=False, scenarios=scenarios
    )
    before, written = list(one.columns[:-n_channels]), list(one.columns[-n_channels:])
    check_result_names({"id_col": panel.columns.id, "time_col": panel.columns.time}, ["path"], written)
    shape = len(index), n_paths, horizon

    def for_each_path(values: Any) -> Any:
        return np.broadcast_to(values.reshape(-1, 1, horizon), shape).ravel()

    # Of dtypes that numpy does not have only rows can be taken, for a multiple of the time.
    data = {
        column: for_each_path(one[column].to_numpy())
        if isinstance(one[column].dtype, np.dtype)
        else one[column].array.take(for_each_path(np.arange(len(one))))
        for column in before
    }
    data["path"] = np.broadcast_to(np.arange(1, n_paths + 1)[:, None], shape).ravel()
    for channel, column in enumerate(written):
        data[column] = np.ascontiguousarray(values[..., channel]).ravel()
    frame = pd.DataFrame(data, copy=False)
    frame.attrs.update(counts)
    return in_kind(frame, panel.kind)


@dataclass(frozen=True, eq=False)
class PathTable:
    """Sample paths as an array, and what stood beside them.

    Attributes
    ----------
    values : (W, P, H, C) float64
        Original units; windows are series, or series of scenarios.
    frame : pandas DataFrame
        The frame that it was read from.
    window_columns : list of str
        Scenario, if there is one, and id.
    names : list of str
        Columns of the C targets.
    kind : "pandas" or "polars"
    """

    values: FloatArray
    frame: pd.DataFrame
    window_columns: list[str]
    names: list[str]
    kind: str

    def by_step(self, columns: dict[str, FloatArray]) -> Any:
        """Return a frame with a row for each window and step: ids, stamps, ``horizon`` and columns of (W, H)."""
        _, n_paths, horizon, _ = self.values.shape
        before = list(self.frame.columns[: self.frame.columns.get_loc("path")])
        first = np.arange(len(self.values))[:, None] * n_paths * horizon + np.arange(horizon)
        return self._written(before, first.ravel(), columns)

    def by_path(self, columns: dict[str, FloatArray]) -> Any:
        """Return a frame with a row for each window and path: ids, ``path`` and columns of (W, P)."""
        first = np.arange(0, len(self.frame), self.values.shape[2])
        return self._written([*self.window_columns, "path"], first, columns)

    def _written(self, before: list[str], rows: Any, columns: dict[str, FloatArray]) -> Any:
        data = {column: self.frame[column].array.take(rows) for column in before}
        return in_kind(pd.DataFrame(data | {name: values.ravel() for name, values in columns.items()}), self.kind)


def read_paths(paths: Any) -> PathTable:
    """Return the sample paths of a frame as `write_paths` writes it; whole series may have been left out.

    Raises
    ------
    FrameError
        If columns are missing, or rows are in another order or have been left out.
    """
    columns = [str(column) for column in getattr(paths, "columns", ())]
    if "horizon" not in columns or columns[-1] == "path" or columns[columns.index("horizon") + 1] != "path":
        raise FrameError(
            f"paths has the columns {columns!r}; expected the frame of sample_paths: unique_id, ds, horizon, path and "
            f"what was drawn, in this order."
        )
    at = columns.index("horizon")
    frame, kind = as_pandas_long(paths, columns[at - 2], columns[at - 1], columns[at + 2])
    steps, number = frame["horizon"].to_numpy(), frame["path"].to_numpy()
    horizon, n_paths = (int(part.max(initial=0)) for part in (steps, number))
    block = np.arange(1, n_paths + 1)[:, None], np.arange(1, horizon + 1)
    if not len(frame) or len(frame) % (n_paths * horizon):
        raise _out_of_order()
    if (number.reshape(-1, n_paths, horizon) != block[0]).any() or (
        steps.reshape(-1, n_paths, horizon) != block[1]
    ).any():
        raise _out_of_order()
    names = columns[at + 2 :]
    values = np.stack([frame[name].to_numpy(np.float64) for name in names], axis=-1)
    return PathTable(values.reshape(-1, n_paths, horizon, len(names)), frame, columns[: at - 1], names, kind)


def _out_of_order() -> FrameError:
    return FrameError(
        "paths: expected the rows of sample_paths, for each series all paths and of each path all steps, one after the "
        "other. Leave rows out after summing up, or whole series; restore the order by sorting by id, path, horizon."
    )
