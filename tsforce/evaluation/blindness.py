"""check_blind: whether forecasts, or columns made for them, know what lies after their cutoffs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.convert import as_pandas_long, in_kind
from tsforce.data.frame import locate_rows, resolve_cutoffs, stamps_at, window_frame
from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.errors import ArgumentError, ArgumentTypeError, abbreviate
from tsforce.evaluation.backtest import judge
from tsforce.evaluation.backtest_windows import plan_windows
from tsforce.evaluation.narrow_table import narrow_table, wrapped
from tsforce.evaluation.overwritten import KINDS, MISSING, VALUES, Late
from tsforce.forecasting.arguments import check_columns
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.intervals import Intervals, bounds_at, check_levels
from tsforce.forecasting.parts import horizon_of, values_of
from tsforce.forecasting.side_by_side import forecasts_at
from tsforce.notebook import card, paragraphs, table

__all__ = ["BlindnessCheck", "check_blind"]

BoolArray = npt.NDArray[np.bool_]

_ABSENT = "no rows"
# Shares of the largest forecast of a window by which rounding may move one where windows are put together otherwise:
# networks compute in float32.
_ROUNDING = 1e-3
_COLUMNS = ("what", "column", "unique_id", "cutoff", "steps", "overwritten", "before", "after")
_SHOWN = {"what": "what", "column": "column", "unique_id": "series", "cutoff": "cutoff", "steps": "steps",
          "before": "before", "after": "after"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class BlindnessCheck:
    """What moved when rows after cutoffs were overwritten; print it, or ask ``is_blind``.

    Attributes
    ----------
    name : str
        Of the forecaster.
    leaks : DataFrame
        One row for each thing of a series that moved at a cutoff: ``what`` ("forecast", "bound" of an interval,
        "column" that `prepare` made, "error"), ``column``, ``unique_id``, ``cutoff``, ``steps`` (after the cutoff; rows
        up to it are 0 and below), ``overwritten`` (with what), and the value that moved most, ``before`` and ``after``.
        Empty if the forecaster is blind.
    reads : DataFrame
        Where something moved: ``column``, what was overwritten and is read, and ``rows``, how many rows after the
        cutoff the furthest one lies.
    notes : tuple of str
        What could not be tried.
    n_forecasts : int
        Forecasts that were looked at.
    """

    name: str
    leaks: pd.DataFrame
    reads: pd.DataFrame
    notes: tuple[str, ...]
    n_forecasts: int

    @property
    def is_blind(self) -> bool:
        """Whether nothing moved."""
        return len(self.leaks) == 0

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.is_blind:
            return (
                f"{self.name} is blind: {self.n_forecasts} forecasts did not move when the rows after their cutoffs "
                f"were other values, NaN or extremes, or were not there."
            )
        said = []
        for what, part in self.leaks.groupby("what", sort=False):
            names = "" if what in ("forecast", "error") else f" {abbreviate(dict.fromkeys(part['column']))}"
            said.append(f"{what}{names} (series {abbreviate(dict.fromkeys(map(str, part['unique_id'])), limit=3)})")
        read = " and ".join(f"{row.column!r} up to {row.rows} rows after it" for row in self.reads.itertuples())
        reads = f": it reads {read}" if read else ""
        return f"{self.name} is not blind after the cutoff{reads}. What moves: {'; '.join(said)}."

    def __repr__(self) -> str:
        rows = "" if self.is_blind else f"\n{narrow_table(self.leaks, _SHOWN)}"
        return "\n".join(wrapped(text) for text in (self.verdict, *self.notes)) + rows

    def _repr_html_(self) -> str:
        leaks = "" if self.is_blind else table(self.leaks.to_dict("records"), _SHOWN)
        return card(f"check_blind: {self.name}", paragraphs([self.verdict, *self.notes]), leaks)


def check_blind(
    model: Forecaster,
    df: Any,
    *,
    horizon: int | None = None,
    n_windows: int = 2,
    step_size: int | None = None,
    cutoffs: Any = None,
    align: str = "auto",
    level: Any = None,
    prepare: Callable[[Any], Any] | None = None,
    unknown: Sequence[str] = (),
) -> BlindnessCheck:
    """Return what of a forecaster's forecasts depends on rows after their cutoffs: nothing should.

    Rows after each cutoff are overwritten with other values, with NaN and with extremes, and are taken away. Forecasts
    may not move by one bit (where rows are taken away: by more than rounding). Future inputs count as known over the
    horizon, and are overwritten after it.

    Parameters
    ----------
    model : Forecaster
        Any subclass of ``Forecaster``, with its transforms, regressor and features. Never changed: a clone is fitted
        on the rows up to each series' first cutoff, unless it is fitted and has seen none after that.
    df : DataFrame
        Long frame, of a size that can be forecast some ten times.
    horizon, n_windows, step_size, cutoffs, align
        As in ``backtest``.
    level : float or sequence of float, optional
        Levels of prediction intervals: their bounds may not move either.
    prepare : function from frame to frame, optional
        What makes the frame that the model sees from `df`: a function that adds features, say, or applies a fitted
        scikit-learn transformer. The columns it gives back may not move up to the cutoff, and over the horizon those
        may not that the model takes as known (``future_exog``). To check a function alone, give any model, such as
        ``Baseline("naive")``.
    unknown : sequence of str
        Columns of `df` beside the target and ``past_exog`` that nobody knows after a cutoff, and `prepare` reads:
        numbers, which are overwritten too.

    Returns
    -------
    BlindnessCheck
        ``is_blind``, ``verdict`` in words, ``leaks`` as a frame.

    Raises
    ------
    ArgumentError
        If an argument is not accepted, no window fits, or the forecaster says something else when asked twice.
    FrameError
        With every fault of the frame.

    Examples
    --------
    >>> from tsforce import Baseline, check_blind
    >>> from tsforce.datasets import load
    >>> df = load("airpassengers")
    >>> check_blind(Baseline("seasonal_naive", horizon=12), df).is_blind
    True
    >>> centred = lambda frame: frame.assign(y=frame["y"].rolling(3, center=True, min_periods=1).mean())
    >>> found = check_blind(Baseline("naive", horizon=12), df, prepare=centred)
    >>> found.reads.to_numpy().tolist()
    [['y', 1]]
    """
    if not isinstance(model, Forecaster):
        raise ArgumentTypeError(
            f"model is a {type(model).__name__}; expected a Forecaster such as NARXForecaster(...). A function that "
            f"makes features is given as prepare=, beside any model: check_blind(Baseline('naive'), df, prepare=f)."
        )
    levels = check_levels(level)
    made = df if prepare is None else prepare(df)
    panel = model.read(made)
    steps = horizon_of(model, horizon, panel=panel)
    plan = plan_windows(panel, steps, n_windows=n_windows, step_size=step_size, cutoffs=cutoffs, align=align)
    with warnings.catch_warnings():
        # What wild rows after a cutoff make a forecaster say is no news; what it says of these rows, `backtest` tells.
        warnings.simplefilter("ignore")
        judged = judge(model, panel, plan, steps, False, None)
        plan = plan.some(judged.covered)
        if len(plan.index) == 0:
            raise ArgumentError(
                f"{model.name} has fitted none of the series with a window; give longer ones, or fewer windows."
            )
        probe = _Probe(judged.fitted[0], panel, steps, levels, df, made, prepare, tuple(unknown))
        return probe.run(plan.index, plan.number)


class _Move(NamedTuple):
    """One number that moved: of a window's step (1..H), or of a row up to the cutoff (0 and below)."""

    what: str
    column: str
    series: int
    cutoff: int
    step: int
    before: float
    after: float


class _Said(NamedTuple):
    """What a forecaster says of some windows: forecasts (W, H, C), bounds (2, L, W, H, C)."""

    yhat: FloatArray
    bounds: FloatArray


@dataclass(frozen=True, eq=False)
class _Probe:
    """A fitted forecaster and the rows it is asked about, which are shown to it again after being overwritten."""

    model: Forecaster
    panel: Panel
    horizon: int
    levels: Intervals | None
    df: Any
    made: Any
    prepare: Callable[[Any], Any] | None
    unknown: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def run(self, index: WindowIndex, number: IntArray) -> BlindnessCheck:
        """Return what moves, of windows that are made one number after the other."""
        everything: dict[str, list[_Move]] = {kind: [] for kind in (_ABSENT, *KINDS)}
        reads: dict[str, int] = {}
        whole = self._said(self.panel, index)
        if _differ(whole, self._said(self.panel, index)).any():
            raise ArgumentError(
                f"{self.model.name} says something else when it is asked twice about the same rows, so that nothing "
                f"can be told from what moves. Fix its draws, such as with random_state=0."
            )
        if type(self.model).predict_at is not Forecaster.predict_at:
            everything[_ABSENT] = self._without_rows(index, whole)
        for k in np.unique(number):
            stops = np.full(self.panel.n_series, np.iinfo(np.int64).max // 2)
            stops[index.series[number == k]] = index.rows[number == k]
            seen = index.rows <= stops[index.series]
            early = WindowIndex(index.series[seen], index.rows[seen])
            told = self._said(self.panel, early)
            found = {kind: self._moves(Late(stops, kind, self._columns()), early, told) for kind in KINDS}
            if not seen.all():
                # Beside windows that see what is overwritten: one must not learn from another.
                late = Late(stops, VALUES, self._columns())
                found[VALUES] += self._moves(late, index, whole, keep=seen)
            for kind, moves in found.items():
                everything[kind] += moves
            read = next((kind for kind in KINDS if any(move.what != "error" for move in found[kind])), None)
            if read is not None:
                for column in self._columns():
                    reach = self._reach(Late(stops, read, (column,)), (index, whole, seen), (early, told, None))
                    if reach:
                        reads[column] = max(reads.get(column, 0), reach)
        leaks = pd.DataFrame(self._rows_of(everything), columns=list(_COLUMNS))
        table = pd.DataFrame({"column": list(reads), "rows": list(reads.values())})
        return BlindnessCheck(
            self.model.name, leaks, table, tuple(dict.fromkeys(self.notes)), len(index) * whole.yhat[0].size
        )

    # ---- what is overwritten

    def _columns(self) -> tuple[str, ...]:
        """Return the columns that are overwritten: those of them that are in the frame."""
        columns = self.panel.columns
        names = (*columns.targets, *columns.past_exog, *columns.future_exog, *self.unknown)
        if self.prepare is None:
            return tuple(dict.fromkeys(names[: len(names) - len(self.unknown)]))
        return tuple(name for name in dict.fromkeys(names) if name in self._frame[0].columns)

    def _known_ahead(self, column: str) -> int:
        return self.horizon if column in self.panel.columns.future_exog else 0

    @property
    def _frame(self) -> tuple[pd.DataFrame, str]:
        columns = self.panel.columns
        return as_pandas_long(self.df, columns.id, columns.time, columns.targets[0])

    def _overwritten(self, late: Late) -> Panel:
        """Return the panel after its late rows were overwritten."""
        panel = self.panel
        series = np.repeat(np.arange(panel.n_series), panel.lengths)
        rows = np.arange(len(series)) - panel.indptr[series]
        values, inputs = panel.values.copy(), panel.inputs.copy()
        for array, names in (
            (values, panel.columns.targets),
            (inputs, (*panel.columns.past_exog, *panel.columns.future_exog)),
        ):
            for number, name in enumerate(names):
                if name in late.columns:
                    array[:, number] = late.over(array[:, number], series, rows, self._known_ahead(name))
        return replace(panel, values=values, inputs=inputs)

    def _prepared(self, late: Late) -> Any:
        """Return what `prepare` makes of the frame after its late rows were overwritten."""
        assert self.prepare is not None
        frame, kind = self._frame
        series, rows = locate_rows(self.panel, frame)
        check_columns("unknown", late.columns)
        new = {
            name: late.over(frame[name].to_numpy(dtype=np.float64), series, rows, self._known_ahead(name))
            for name in late.columns
        }
        return self.prepare(in_kind(frame.assign(**new), kind))

    # ---- what moves

    def _moves(self, late: Late, index: WindowIndex, told: _Said, keep: BoolArray | None = None) -> list[_Move]:
        """Return what moves of some windows when rows are overwritten; `keep` says which of them may not."""
        moves: list[_Move] = []
        try:
            if self.prepare is None:
                panel, own = self._overwritten(late), index
            else:
                made = self._prepared(late)
                moves += self._columns_moved(made, late.stops)
                if late.kind == MISSING:
                    # No frame is read whose target ends in NaN.
                    return moves
                panel = self.model.read(made)
                own = resolve_cutoffs(panel, window_frame(self.panel, index, {}))
            said = self._said(panel, own)
        except Exception as error:
            if late.kind == MISSING and isinstance(error, ValueError):
                self.notes.append(f"NaN after the cutoff could not be tried: {type(error).__name__}: {error}")
                return moves
            return [*moves, _failed(error, index)]
        if len(own) != len(index):
            raise ArgumentError("prepare leaves out rows up to the cutoff that it keeps for other values after it.")
        return moves + self._forecasts_moved(index, told, said, _differ(told, said), keep)

    def _without_rows(self, index: WindowIndex, told: _Said) -> list[_Move]:
        """Return what moves where the rows after each cutoff are not there at all."""
        try:
            frame = Forecaster.predict_at(self.model, self.panel, index, self.horizon)
        except Exception as error:
            return [_failed(error, index)]
        yhat = values_of(self.model, frame, self.horizon)
        room = _ROUNDING * np.nanmax(np.abs(told.yhat), axis=(1, 2), keepdims=True, initial=0.0)
        close = (np.abs(yhat - told.yhat) <= room) | np.isnan(yhat) | (yhat == told.yhat)
        said = _Said(np.where(close, told.yhat, yhat), told.bounds)
        return self._forecasts_moved(index, told, said, _differ(told, said), None)

    def _said(self, panel: Panel, index: WindowIndex) -> _Said:
        yhat = forecasts_at(self.model, panel, index, self.horizon)
        if self.levels is None:
            return _Said(yhat, np.empty((2, 0, *yhat.shape)))
        found = bounds_at(self.model, panel, index, yhat, self.levels, self.panel)
        return _Said(yhat, np.stack([found.low, found.high]))

    def _forecasts_moved(
        self, index: WindowIndex, told: _Said, said: _Said, differ: BoolArray, keep: BoolArray | None
    ) -> list[_Move]:
        moves = []
        levels = () if self.levels is None else self.levels.levels
        sides = ("forecast", *((f"{side}-{level:g}") for side in ("lo", "hi") for level in levels))
        before, after = (np.concatenate([x.yhat[None], x.bounds.reshape(-1, *x.yhat.shape)]) for x in (told, said))
        for side, window, step, channel in np.argwhere(differ):
            if keep is None or keep[window]:
                where = (side, window, step, channel)
                column = self.panel.columns.targets[channel]
                what, column = ("bound", f"{column}-{sides[side]}") if side else ("forecast", column)
                series, cutoff = int(index.series[window]), int(index.rows[window])
                moves.append(_Move(what, column, series, cutoff, int(step) + 1, before[where], after[where]))
        return moves

    def _columns_moved(self, made: Any, stops: IntArray) -> list[_Move]:
        """Return what moved of the columns that `prepare` has made, up to the cutoff or as far as they are known."""
        columns = self.panel.columns
        moves = []
        tables = []
        for frame in (self.made, made):
            table, _ = as_pandas_long(frame, columns.id, columns.time, columns.targets[0])
            tables.append(table.set_axis(pd.MultiIndex.from_arrays(locate_rows(self.panel, table)), axis=0))
        before, after = tables[0], tables[1].reindex(tables[0].index)
        series, rows = (before.index.get_level_values(k).to_numpy() for k in (0, 1))
        for name in before.columns:
            if name in (columns.id, columns.time):
                continue
            held = rows <= stops[series] + self._known_ahead(name)
            old, new = before[name], after[name] if name in after.columns else before[name].where(False)
            same = (old == new) | (old.isna() & new.isna())
            for k in np.flatnonzero(held & ~same.to_numpy(dtype=bool)):
                step, cutoff = int(rows[k] - stops[series[k]]), int(stops[series[k]])
                moves.append(_Move("column", str(name), int(series[k]), cutoff, step, old.iloc[k], new.iloc[k]))
        return moves

    def _reach(self, late: Late, *tried: tuple[WindowIndex, _Said, BoolArray | None]) -> int:
        """Return how far after the cutoff the last row lies that something depends on; 0 if nothing does."""

        def moved(first: int) -> bool:
            part = replace(late, first=first)
            return any(m.what != "error" for case in tried for m in self._moves(part, *case))

        held = late.stops < self.panel.lengths
        nearest, beyond = 0, int((self.panel.lengths - late.stops)[held].max())
        if not moved(1):
            return 0
        nearest = 1
        while beyond - nearest > 1:
            middle = (nearest + beyond) // 2
            nearest, beyond = (middle, beyond) if moved(middle) else (nearest, middle)
        return nearest

    def _rows_of(self, found: dict[str, list[_Move]]) -> list[dict[str, Any]]:
        """Return one row of the table for each thing of a series that moved at a cutoff."""
        things: dict[tuple[Any, ...], list[tuple[str, _Move]]] = {}
        for kind, moves in found.items():
            for move in moves:
                things.setdefault(move[:4], []).append((kind, move))
        rows = []
        for (what, column, series, cutoff), moves_of in sorted(things.items(), key=lambda item: item[0][2:]):
            steps = sorted({move.step for _, move in moves_of})
            most = max((move for _, move in moves_of), key=_size)
            stamp = stamps_at(self.panel, WindowIndex(np.array([series]), np.array([cutoff])))[0]
            span = str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
            kinds = ", ".join(dict.fromkeys(kind for kind, _ in moves_of))
            name = self.panel.id_list[series]
            values = (what, column, name, stamp, span, kinds, most.before, most.after)
            rows.append(dict(zip(_COLUMNS, values, strict=True)))
        return rows


def _failed(error: Exception, index: WindowIndex) -> _Move:
    """Return what is said of a forecaster that fails where it is shown other rows after the cutoffs of some windows."""
    text = f"{type(error).__name__}: {error}"
    return _Move("error", text, int(index.series[0]), int(index.rows[0]), 0, np.nan, np.nan)


def _size(move: _Move) -> float:
    """Return how far something moved; to what is no number, less than to any."""
    try:
        size = abs(float(move.after) - float(move.before))
    except (TypeError, ValueError):
        return -1.0
    return -1.0 if np.isnan(size) else size


def _differ(told: _Said, said: _Said) -> BoolArray:
    """Return which numbers are not the same to the bit, (1 + 2 L, W, H, C)."""
    before, after = (np.concatenate([x.yhat[None], x.bounds.reshape(-1, *x.yhat.shape)]) for x in (told, said))
    different: BoolArray = (before != after) & ~(np.isnan(before) & np.isnan(after))
    return different
