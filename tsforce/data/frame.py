"""The long-frame contract: read a user's frame into a Panel with one report of every fault, and write forecasts.

Together with ``columns.py``, ``frequency.py`` and ``datasets.py`` the only place where pandas is touched; other layers
pass frames through. Rows in messages are counted from 0, as by ``df.iloc``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.convert import as_pandas_long, in_kind, long_first
from tsforce.data.frequency import Clock, check_freq, infer_offset
from tsforce.data.gaps_and_duplicates import duplicate_faults, input_faults, target_faults, time_faults
from tsforce.data.panel import Columns, FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.data.read_columns import (
    check_names,
    check_result_names,
    read_ids,
    read_input,
    read_stamps,
    read_static,
    read_target,
)
from tsforce.data.sorted_rows import SortedRows, place
from tsforce.data.zones import as_learnt
from tsforce.errors import (
    ArgumentError,
    FrameError,
    UnseenSeriesError,
    UnusedColumnWarning,
    abbreviate,
    warn,
)

__all__ = [
    "as_stamps",
    "cutoff_rows",
    "forecast_columns",
    "last_stamps",
    "locate_rows",
    "panel_to_frame",
    "read_forecasts",
    "read_panel",
    "resolve_cutoffs",
    "series_frame",
    "stamps_at",
    "window_frame",
    "write_forecasts",
]


def read_panel(
    df: Any,
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str | Sequence[str] = "y",
    freq: Any = "infer",
    past_exog: Sequence[str] = (),
    future_exog: Sequence[str] = (),
    static: Sequence[str] = (),
    missing_allowed: bool = False,
    learnt: Any = None,
) -> Panel:
    """Return the panel of a long frame, sorted by series and time, leading NaN of the target trimmed.

    Parameters
    ----------
    df : DataFrame
        Long frame of pandas or polars: series id, time stamp (or whole-number step), target in original units; or with
        the time in its index; or a Series. Without the default id column ``unique_id`` it is one series, named "y".
        Never modified.
    id_col, time_col : str
    target_col : str or sequence of str
        Several are the channels of one target.
    freq : str, offset or int
        "infer", a pandas alias or offset, or the step of whole-number stamps.
    past_exog, future_exog, static : sequence of str
        Columns of inputs: known up to the cutoff, known over the horizon, constant within each series.
    missing_allowed : bool
        Whether the target may be NaN between observed values: such rows are kept.
    learnt : dtype, optional
        Of the stamps that a model was fitted to: others are converted to its zone.

    Returns
    -------
    Panel
        Series in order of first appearance; categorical ids in category order.

    Raises
    ------
    ArgumentTypeError
        If `df` is none of these.
    ArgumentError
        If `freq` is no frequency.
    FrameError
        With every fault that was found: each with series, first offending row, count and repair. Faults of whole
        columns hide those of single rows, which cannot be looked for before the columns are sound.

    Warns
    -----
    UnusedColumnWarning
        If the frame has columns that no argument names.
    """
    if isinstance(df, Panel):
        return df.select(past_exog, future_exog, static)
    targets = (target_col,) if isinstance(target_col, str) else tuple(target_col)
    columns = Columns(id_col, time_col, targets, tuple(past_exog), tuple(future_exog), tuple(static))
    given = df
    df, kind = as_pandas_long(df, id_col, time_col, targets[0])
    offset = check_freq(freq)
    faults = check_names(df, columns)
    names = list(df.columns)
    # Columns that are there are looked at even where others are not: one report for all.
    sound = [name for name in (id_col, time_col, *targets) if len(df) and names.count(name) == 1]
    codes, ids = np.zeros(len(df), dtype=np.int64), pd.Index(["y"])
    if id_col in sound:
        codes, ids = read_ids(df[id_col], faults)
    stamps = read_stamps(df[time_col], offset, faults) if time_col in sound else None
    stamps = as_learnt(stamps, learnt, time_col, faults)
    observed = [read_target(df[name], faults) for name in targets if name in sound]
    single = [name for name in names if names.count(name) == 1]
    found = [read_input(df[name], faults) for name in (*past_exog, *future_exog) if len(df) and name in single]
    fixed = [
        read_static(
            df[name], np.maximum(codes, 0), 0 if ids is None else len(ids), faults, id_col if id_col in names else None
        )
        for name in static
        if len(df) and name in single and ids is not None
    ]
    try:
        if faults:
            raise FrameError(faults)
        inputs = np.stack(found, axis=1) if found else np.empty((len(df), 0))
        panel = _assemble(df, columns, codes, ids, stamps, np.stack(observed, axis=1), offset, inputs, missing_allowed)
    except FrameError as error:
        # Repairs are statements for a long pandas frame.
        raise FrameError([*long_first(given, id_col, time_col, targets[0]), *error.faults]) from None
    panel = replace(panel, static=tuple(fixed), kind=kind)
    unused = [name for name in df.columns if name not in columns.named]
    if unused:
        what = f"columns {abbreviate(unused)} are" if len(unused) > 1 else f"column {abbreviate(unused)} is"
        warn(f"{what} named by no argument and ignored.", UnusedColumnWarning)
    return panel


def _assemble(
    df: pd.DataFrame,
    columns: Columns,
    codes: IntArray,
    ids: Any,
    stamps: Any,
    target: Any,
    offset: Any,
    inputs: Any,
    missing_allowed: bool,
) -> Panel:
    """Sort, choose the clock, look for faults between rows, trim; the columns by themselves are sound."""
    raw = stamps.asi8 if isinstance(stamps, pd.DatetimeIndex) else stamps.to_numpy(np.int64)
    ordered = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (raw[1:] >= raw[:-1]))
    order: IntArray | None = None
    if not ordered.all():
        order = np.lexsort((raw, codes)).astype(np.int64)
        codes, raw, target, stamps, inputs = codes[order], raw[order], target[order], stamps[order], inputs[order]
    indptr = np.searchsorted(codes, np.arange(len(ids) + 1)).astype(np.int64)
    rows = SortedRows(columns, columns.id in df.columns, ids, codes, indptr, stamps, raw, order, df.index)
    leading, infinite, faults = target_faults(rows, target, missing_allowed=missing_allowed)
    faults += input_faults(rows, inputs, (*columns.past_exog, *columns.future_exog), leading)
    freq, told_by = offset, ""
    if offset is None and not isinstance(stamps, pd.DatetimeIndex):
        freq = 1
    elif offset is None:
        longest = int(np.argmax(np.diff(indptr)))
        freq = infer_offset(stamps[indptr[longest] : indptr[longest + 1]])
        told_by = f" (told by series {str(ids[longest])!r}, the one with most rows)"
        if freq is None:
            raise FrameError([*infinite, *duplicate_faults(rows), _no_frequency(rows, longest), *faults])
    clock = Clock.for_stamps(stamps, freq)
    ticks, on_grid = clock.ticks(stamps)
    # In the order in which the repairs have to be typed: rows are filled in between finite values.
    faults = [*infinite, *time_faults(rows, clock, ticks, on_grid, told_by), *faults]
    if faults:
        raise FrameError(faults)
    counts = np.diff(indptr) - leading
    if leading.any():
        kept_rows = ragged_rows(indptr[:-1] + leading, counts)
        target, inputs = target[kept_rows], inputs[kept_rows]
    kept = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    start = ticks[indptr[:-1] + leading]
    return Panel(ids, target, kept, start, clock, columns, was_unsorted=order is not None, inputs=inputs)


def _no_frequency(rows: SortedRows, longest: int) -> str:
    first = int(rows.indptr[longest])
    row = place(first if rows.order is None else int(rows.order[first]), rows.labels)
    stamps = rows.stamps[first : int(rows.indptr[longest + 1])]
    shown = ", ".join(map(str, stamps.unique()[:4])) + (", ..." if stamps.nunique() > 4 else "")
    return (
        f"the frequency of {rows.columns.time!r} cannot be told from series {str(rows.ids[longest])!r}, the one with "
        f"most rows ({len(stamps)}, first {row}): {shown}. Say it with freq=, such as freq='h', 'D', 'W-SUN' or 'MS'."
    )


def panel_to_frame(panel: Panel) -> pd.DataFrame:
    """Return the long frame of a panel: the user's columns and dtypes, sorted by series and time."""
    series = np.repeat(np.arange(panel.n_series), panel.lengths)
    within = np.arange(len(series)) - panel.indptr[series]
    columns = panel.columns
    data = {columns.id: panel.ids.take(series), columns.time: panel.clock.stamps(panel.ticks(series, within))}
    for channel, name in enumerate(columns.targets):
        data[name] = panel.values[:, channel]
    for number, name in enumerate((*columns.past_exog, *columns.future_exog)):
        data[name] = panel.inputs[:, number]
    for name, values in zip(columns.static, panel.static, strict=True):
        data[name] = values[series]
    return pd.DataFrame(data)


def forecast_columns(name: str, targets: Sequence[str]) -> tuple[str, ...]:
    """Return what the forecasts of some targets are called.

    Examples
    --------
    >>> forecast_columns("mlp", ["y"]), forecast_columns("mlp", ["u", "v"])
    (('mlp',), ('mlp-u', 'mlp-v'))
    """
    return (name,) if len(targets) == 1 else tuple(f"{name}-{target}" for target in targets)


def read_forecasts(frame: Any, name: str, targets: Sequence[str], horizon: int) -> FloatArray:
    """Return the values that `write_forecasts` has written, (W, H, C) float64."""
    columns = [frame[column].to_numpy() for column in forecast_columns(name, targets)]
    values: FloatArray = np.stack(columns, axis=-1).astype(np.float64, copy=False)
    return values.reshape(-1, horizon, len(columns))


def write_forecasts(
    panel: Panel,
    index: WindowIndex,
    yhat: Any,
    name: str,
    *,
    with_cutoff: bool,
    counts: dict[str, int] | None = None,
    scenarios: Sequence[str] | None = None,
    bounds: Any = None,
) -> Any:
    """Return the frame of some forecasts in the user's kind, ordered as `index`, then by horizon.

    The column of a forecast is called `name`; of several targets, each `name` and the target's, joined by "-".

    Parameters
    ----------
    panel : Panel
        Whose series and clock the windows refer to.
    index : WindowIndex, W windows
    yhat : (W, H, C) or, of one target, (W, H) float64
        Original units, after the cutoff.
    name : str
    with_cutoff : bool
        Whether to add the column ``cutoff``.
    counts : dict, optional
        Kept in ``frame.attrs`` under the same keys, such as the number of clipped windows (pandas only).
    scenarios : sequence of str, optional
        Names for as many equal parts of the windows: the column ``scenario`` in front.
    bounds : Bounds, optional
        Of prediction intervals: their columns come after each target's, what they were taken from into ``attrs``.

    Raises
    ------
    ArgumentError
        If two columns would have one name.
    """
    horizon, columns, written = yhat.shape[1], panel.columns, forecast_columns(name, panel.columns.targets)
    own = ["scenario"] * (scenarios is not None) + ["cutoff"] * with_cutoff + ["horizon"]
    each = [{} if bounds is None else bounds.columns(name, c) for c, name in enumerate(written)]
    every = [column for name, more in zip(written, each, strict=True) for column in (name, *more)]
    check_result_names({"id_col": columns.id, "time_col": columns.time}, own, every)
    channels = np.asarray(yhat).reshape(len(index) * horizon, -1)
    ticks = panel.ticks(index.series[:, None], index.rows[:, None] + np.arange(1, horizon + 1))
    data = {} if scenarios is None else {"scenario": np.repeat(list(scenarios), len(channels) // len(scenarios))}
    data |= {
        panel.columns.id: panel.ids.take(np.repeat(index.series, horizon)),
        panel.columns.time: panel.clock.stamps(ticks.ravel()),
    }
    if with_cutoff:
        data["cutoff"] = stamps_at(panel, index).repeat(horizon)
    data["horizon"] = np.tile(np.arange(1, horizon + 1), len(index))
    for column, values, more in zip(written, channels.T, each, strict=True):
        data[column] = np.ascontiguousarray(values)
        data |= more
    frame = pd.DataFrame(data, copy=False)
    frame.attrs.update(counts or {})
    if bounds is not None:
        frame.attrs["intervals"] = bounds.sources
    return in_kind(frame, panel.kind)


def stamps_at(panel: Panel, index: WindowIndex) -> Any:
    """Return the stamps of the windows' cutoffs, a pandas Index of length W."""
    return panel.clock.stamps(panel.ticks(index.series, index.rows))


def locate_rows(panel: Panel, df: Any) -> tuple[IntArray, IntArray]:
    """Return the series and the row within it of every row of the frame that a panel was read from, (N,) each.

    Rows of a series before its first observed target have negative numbers.
    """
    columns = panel.columns
    df, _ = as_pandas_long(df, columns.id, columns.time, columns.targets[0])
    series = np.zeros(len(df), dtype=np.int64)
    if columns.id in df.columns:
        series = np.array([panel.position[name] for name in df[columns.id]], dtype=np.int64)
    return series, _rows_at(panel, as_stamps(panel, df[columns.time]), series)


def series_frame(panel: Panel, values: dict[str, Any]) -> pd.DataFrame:
    """Return a frame with one row per series: the id column and the given columns of length S."""
    return pd.DataFrame({panel.columns.id: panel.ids, **values})


def last_stamps(panel: Panel) -> pd.DataFrame:
    """Return the id column and ``cutoff``: the stamp of each series' last row."""
    return series_frame(panel, {"cutoff": stamps_at(panel, panel.last_rows())})


def window_frame(panel: Panel, index: WindowIndex, values: dict[str, Any]) -> Any:
    """Return a frame with one row per window, of the user's kind: the id column, ``cutoff``, the given columns."""
    stamps = {panel.columns.id: panel.ids.take(index.series), "cutoff": stamps_at(panel, index)}
    return in_kind(pd.DataFrame({**stamps, **values}), panel.kind)


def cutoff_rows(panel: Panel, stamps: pd.DataFrame) -> IntArray:
    """Return the row of each series of the panel that a stamp per series stands for, (S,) int64.

    Parameters
    ----------
    panel : Panel
    stamps : DataFrame
        The id column and ``cutoff``, as in a forecaster's ``train_end_``. Series that the panel lacks are ignored.

    Returns
    -------
    (S,) int64
        Possibly after the series' last row; negative before its first; -1 for a series that `stamps` does not name.
    """
    named = {name: i for i, name in enumerate(stamps.iloc[:, 0])}
    where = np.array([named.get(name, -1) for name in panel.id_list], dtype=np.int64)
    found = np.flatnonzero(where >= 0)
    rows = np.full(panel.n_series, -1, dtype=np.int64)
    if len(found):
        rows[found] = _rows_at(panel, as_stamps(panel, stamps["cutoff"].iloc[where[found]]), found)
    return rows


def resolve_cutoffs(panel: Panel, cutoffs: Any) -> WindowIndex:
    """Return the windows that `cutoffs` asks for.

    Parameters
    ----------
    panel : Panel
    cutoffs : WindowIndex, DataFrame, or stamps
        Stamps (one or several) hold for every series whose rows they lie within; a frame with the id column and
        ``cutoff`` names them per series. A stamp between two rows stands for the row before it, and so does one less
        than a step after the last row; what stands for the same row twice is one window.

    Returns
    -------
    WindowIndex
        Ordered by series (as in the panel), then by row.

    Raises
    ------
    ArgumentError
        If a stamp lies within the rows of no series, or a frame's cutoff outside those of its own; if none is given,
        or they are of another kind than the panel's stamps.
    UnseenSeriesError
        If the frame names a series that the panel does not have.
    """
    if isinstance(cutoffs, WindowIndex):
        return cutoffs
    if hasattr(cutoffs, "columns"):
        columns = panel.columns
        return _cutoffs_by_series(panel, as_pandas_long(cutoffs, columns.id, "cutoff", columns.targets[0])[0])
    given: Iterable[Any] = [cutoffs] if pd.api.types.is_scalar(cutoffs) else cutoffs
    stamps = as_stamps(panel, given)
    rows = _rows_at(panel, stamps, np.arange(panel.n_series)[:, None])
    series, which = np.nonzero((rows >= 0) & (rows < panel.lengths[:, None]))
    lost = np.setdiff1d(np.arange(len(stamps)), which)
    if len(stamps) == 0 or len(lost):
        shown = abbreviate(stamps[lost]) if len(lost) else "none"
        first, last = _span(panel)
        raise ArgumentError(
            f"cutoffs: {shown} lies within the rows of no series; expected stamps from {first} to {last}."
        )
    return _in_order(series, rows[series, which])


def _span(panel: Panel) -> tuple[Any, Any]:
    """Return the panel's first and last stamp."""
    ends = panel.ticks(np.arange(panel.n_series), panel.lengths - 1)
    first, last = panel.clock.stamps(np.array([panel.start.min(), ends.max()]))
    return first, last


def _in_order(series: IntArray, rows: IntArray) -> WindowIndex:
    pairs = np.unique(np.stack([series, rows], axis=1).astype(np.int64), axis=0)
    return WindowIndex(pairs[:, 0], pairs[:, 1])


def _rows_at(panel: Panel, stamps: Any, series: IntArray) -> IntArray:
    """Return the row of a series that each stamp stands for; negative before the first, too large after the last."""
    ticks, _ = panel.clock.ticks(stamps)
    rows: IntArray = (ticks - panel.start[series]) // panel.clock.step
    return rows


def _cutoffs_by_series(panel: Panel, cutoffs: pd.DataFrame) -> WindowIndex:
    id_col = panel.columns.id
    missing = [name for name in (id_col, "cutoff") if name not in cutoffs.columns]
    if missing or len(cutoffs) == 0:
        raise ArgumentError(
            f"cutoffs is a frame without {abbreviate(missing or ['rows'])}; expected {id_col!r} and 'cutoff'."
        )
    unseen = dict.fromkeys(name for name in cutoffs[id_col] if name not in panel.position)
    if unseen:
        raise UnseenSeriesError(
            f"cutoffs names series {abbreviate(unseen)}, which the data does not have; it has "
            f"{abbreviate(panel.id_list, limit=3)}. Leave them out, or give their rows in df."
        )
    series = np.array([panel.position[name] for name in cutoffs[id_col]], dtype=np.int64)
    rows = _rows_at(panel, as_stamps(panel, cutoffs["cutoff"]), series)
    outside = np.flatnonzero((rows < 0) | (rows >= panel.lengths[series]))
    if len(outside):
        k = int(outside[0])
        own = panel.windows(WindowIndex(series[k : k + 1], panel.lengths[series[k : k + 1]] - 1))
        first, last = _span(own)
        raise ArgumentError(
            f"cutoffs: {len(outside)} of {len(cutoffs)} lie before their series' first row or after its last, first "
            f"{cutoffs['cutoff'].iloc[k]} for series {str(cutoffs[id_col].iloc[k])!r} in "
            f"{place(k, cutoffs.index)}; expected {first} to {last}."
        )
    return _in_order(series, rows)


def as_stamps(panel: Panel, given: Any, what: str = "cutoffs") -> Any:
    """Return stamps of the user as an Index of the panel's dtype."""
    kind = panel.clock.dtype
    given = pd.Index(given)
    try:
        if isinstance(panel.clock.freq, int):
            if len(given) and not pd.api.types.is_integer_dtype(given.dtype):
                raise TypeError
            return given.astype(np.int64)
        if pd.api.types.is_numeric_dtype(given.dtype):
            raise TypeError
        stamps = pd.DatetimeIndex(given)
        if isinstance(kind, pd.DatetimeTZDtype) and stamps.tz is None:
            stamps = stamps.tz_localize(kind.tz)
        stamps = stamps.astype(kind)
        if stamps.hasnans:
            raise ValueError
    except (TypeError, ValueError) as error:
        expected = "whole numbers" if isinstance(panel.clock.freq, int) else f"time stamps ({kind})"
        raise ArgumentError(
            f"{what}: {abbreviate(given, limit=3)} ({given.dtype}) do not fit the stamps of {panel.columns.time!r}; "
            f"expected {expected}."
        ) from error
    return stamps
