"""Panel: many series of different lengths as flat arrays, one after another."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.errors import ArgumentError, abbreviate
from tsforce.scoring.ragged import ragged_rows

__all__ = ["Columns", "FloatArray", "IntArray", "Panel", "WindowIndex", "ragged_rows"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """The user's names for the columns of the long frame."""

    id: str = "unique_id"
    time: str = "ds"
    targets: tuple[str, ...] = ("y",)
    past_exog: tuple[str, ...] = ()
    future_exog: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """All of them."""
        return (self.id, self.time, *self.targets, *self.past_exog, *self.future_exog, *self.static)


@dataclass(frozen=True)
class WindowIndex:
    """Which windows to forecast: for each, the series and its cutoff's row.

    Attributes
    ----------
    series : (W,) int64
        Position of the series in the panel, ascending.
    rows : (W,) int64
        Row, counted from the series' first row, of the last value a model may see; ascending within a series.
    """

    series: IntArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True, eq=False)
class Panel:
    """S series as flat arrays: series i owns the rows ``indptr[i]:indptr[i + 1]``, in time order, without gaps.

    Time is kept as ticks: row k of series i has tick ``start[i] + k * clock.step``; ``clock`` turns ticks into
    the user's stamps and back (see ``frequency.Clock``).

    Attributes
    ----------
    ids : array-like of length S
        Series ids with the dtype of the user's column; anything that offers ``take``.
    values : (N, C) float64
        The C targets in original units; NaN where one was not observed.
    indptr : (S + 1,) int64
    start : (S,) int64
        Tick of each series' first row.
    clock : Clock
    columns : Columns
    was_unsorted : bool
        Whether the frame's rows had to be sorted by series and time.
    inputs : (N, P + F) float64
        The P ``past_exog``, then the F ``future_exog`` columns, original units.
    static : tuple of arrays of length S
        One per ``static`` column: float64, or objects (categories).
    kind : "pandas" or "polars"
        What the user handed over, and gets back.
    filled : (N, C) float64
        `values` with a model's own outputs where one was not observed; empty if nothing was filled.
    """

    ids: Any
    values: FloatArray
    indptr: IntArray
    start: IntArray
    clock: Any
    columns: Columns = field(default_factory=Columns)
    was_unsorted: bool = False
    inputs: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    static: tuple[Any, ...] = ()
    kind: str = "pandas"
    filled: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        if self.inputs.shape[1] == 0:
            object.__setattr__(self, "inputs", np.empty((len(self.values), 0)))

    def __getstate__(self) -> dict[str, Any]:
        # What was looked up and cached is no part of the panel: a model that has predicted pickles as one that has not.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def n_series(self) -> int:
        """Number of series S."""
        return len(self.start)

    @property
    def n_channels(self) -> int:
        """Number of targets C."""
        return int(self.values.shape[1])

    @property
    def complete(self) -> FloatArray:
        """The targets, (N, C), with what was filled where they were not observed."""
        return self.filled if len(self.filled) else self.values

    @cached_property
    def lengths(self) -> IntArray:
        """Rows of each series, (S,) int64."""
        return np.diff(self.indptr)

    @cached_property
    def id_list(self) -> list[Hashable]:
        """The ids as Python objects."""
        # One by one, text that pandas keeps with pyarrow takes ten times as long.
        return list(np.asarray(self.ids, dtype=object))

    @cached_property
    def position(self) -> dict[Hashable, int]:
        """Where each id stands in the panel."""
        return {name: i for i, name in enumerate(self.id_list)}

    def last_rows(self) -> WindowIndex:
        """Return one window per series, its cutoff at the series' last row."""
        return WindowIndex(np.arange(self.n_series, dtype=np.int64), self.lengths - 1)

    def ticks(self, series: IntArray, rows: IntArray) -> IntArray:
        """Return the ticks of some rows (which may lie after the last one).

        Raises
        ------
        ArgumentError
            If a row lies behind the last stamp that the user's dtype holds.
        """
        start = self.start[series]
        ticks: IntArray = start + rows * int(self.clock.step)
        # Whole numbers that go past the largest start again from the smallest.
        if ((ticks < start) & (rows > 0)).any():
            raise self.clock.out_of_range()
        return ticks

    def windows(self, index: WindowIndex, length: int | IntArray | None = None) -> Panel:
        """Return a panel with one series per window: its rows up to and with the cutoff.

        Parameters
        ----------
        index : WindowIndex
        length : int or (W,) int64, optional
            Keep at most this many rows, the last ones; all by default.
        """
        # Anything else would silently show the rows of another series.
        assert ((index.series >= 0) & (index.rows >= 0) & (index.rows < self.lengths[index.series])).all()
        counts = index.rows + 1
        if length is not None:
            counts = np.minimum(counts, length)
        first = index.rows + 1 - counts
        rows = ragged_rows(self.indptr[index.series] + first, counts)
        return replace(
            self,
            ids=self.ids.take(index.series),
            values=self.values[rows],
            filled=self.filled[rows] if len(self.filled) else self.filled,
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            start=self.ticks(index.series, first),
            inputs=self.inputs[rows],
            static=tuple(values[index.series] for values in self.static),
        )

    def head(self, stops: IntArray) -> Panel:
        """Return the first ``stops[i]`` rows of each series; a series with none is left out."""
        kept = np.flatnonzero(stops > 0)
        return self.windows(WindowIndex(kept, stops[kept] - 1))

    def take(self, series: Sequence[int] | IntArray) -> Panel:
        """Return the panel of some series, in the order given."""
        chosen = np.asarray(series, dtype=np.int64)
        return self.windows(WindowIndex(chosen, self.lengths[chosen] - 1))

    def followed_by(self, later: Panel) -> Panel:
        """Return this panel's series, each followed by those of its rows in `later` that come after its last row.

        Only series that are in both; `later` may repeat rows of this panel, which are not read again.

        Raises
        ------
        ArgumentError
            If rows are missing in between.
        """
        both = [i for i, name in enumerate(self.id_list) if name in later.position]
        # Clocks may count from different origins, and none before its own.
        begins = self.clock.ticks(later.clock.stamps(later.start).astype(self.clock.dtype))[0]
        ends = self.ticks(np.arange(self.n_series), self.lengths - 1)
        seen = later.clock.ticks(self.clock.stamps(ends).astype(later.clock.dtype))[0]
        step = int(self.clock.step)
        values: list[FloatArray] = []
        inputs: list[FloatArray] = []
        filled: list[FloatArray] = []
        counts = []
        for i in both:
            k = later.position[self.id_list[i]]
            gap = int(begins[k] - ends[i]) // step - 1
            ahead = 0 if gap >= 0 else int(seen[i] - later.start[k]) // int(later.clock.step) + 1
            if gap > 0:
                raise ArgumentError(
                    f"series {str(self.id_list[i])!r}: {gap} rows are missing between the last row that was learnt "
                    f"from and the first one given; the rows must follow one another."
                )
            for parts, array in ((values, "values"), (inputs, "inputs"), (filled, "complete")):
                own, other = getattr(self, array), getattr(later, array)
                first = min(later.indptr[k] + ahead, later.indptr[k + 1])
                parts += [own[self.indptr[i] : self.indptr[i + 1]], other[first : later.indptr[k + 1]]]
            counts.append(len(values[-1]) + len(values[-2]))
        empty = np.empty((0, self.n_channels)), np.empty((0, self.inputs.shape[1]))
        return replace(
            self,
            ids=self.ids.take(both),
            values=np.concatenate([empty[0], *values]),
            inputs=np.concatenate([empty[1], *inputs]),
            filled=np.concatenate([empty[0], *filled]) if len(self.filled) else self.filled,
            indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            start=self.start[both],
            static=tuple(column[both] for column in self.static),
        )

    def preceded_by(self, earlier: Panel) -> tuple[Panel, IntArray]:
        """Return the panel with rows of `earlier` in front of those series that go on from them.

        A series goes on where its first row comes after the first and at most one step after the last row that
        `earlier` has of it. Where both have a row, it is this panel's.

        Parameters
        ----------
        earlier : Panel
            With the same columns.

        Returns
        -------
        panel : Panel
            Values of `earlier` that were filled count as observed here.
        count : (S,) int64
            Rows that were put in front of each series.
        """
        count = np.zeros(self.n_series, dtype=np.int64)
        place = np.array([earlier.position.get(name, -1) for name in self.id_list], dtype=np.int64)
        both = np.flatnonzero(place >= 0)
        if len(both) == 0:
            return self, count
        clock = self.clock_with(earlier)
        begins, before = self.starts_in(clock), earlier.starts_in(clock)
        ahead = (begins[both] - before[place[both]]) // int(clock.step)
        follows = (ahead > 0) & (ahead <= earlier.lengths[place[both]])
        count[both[follows]] = ahead[follows]
        if not count.any():
            return self, count
        indptr = np.concatenate([[0], np.cumsum(self.lengths + count)]).astype(np.int64)
        front = ragged_rows(indptr[:-1], count), ragged_rows(earlier.indptr[np.maximum(place, 0)], count)
        own = ragged_rows(indptr[:-1] + count, self.lengths)

        def joined(before: FloatArray, after: FloatArray) -> FloatArray:
            rows = np.empty((int(indptr[-1]), after.shape[1]))
            rows[front[0]], rows[own] = before[front[1]], after
            return rows

        panel = replace(
            self,
            values=joined(earlier.complete, self.values),
            inputs=joined(earlier.inputs, self.inputs),
            filled=joined(earlier.complete, self.filled) if len(self.filled) else self.filled,
            indptr=indptr,
            start=begins - count * int(clock.step),
            clock=clock,
        )
        return panel, count

    def clock_with(self, earlier: Panel) -> Any:
        """Return this panel's clock, its calendar begun early enough for the rows of another panel."""
        own, other = self.clock, earlier.clock
        if own.offset is None or own.origin <= other.origin:
            return own
        return replace(own, origin=other.origin.as_unit(own.origin.unit))

    def starts_in(self, clock: Any) -> IntArray:
        """Return the ticks of all first rows as another clock counts them."""
        if clock == self.clock:
            return self.start
        ticks: IntArray = clock.ticks(self.clock.stamps(self.start).astype(clock.dtype))[0]
        return ticks

    def extended(self, horizon: int, future: FloatArray | None = None) -> Panel:
        """Return the panel with `horizon` rows more at the end of each series, their targets and past inputs NaN.

        Parameters
        ----------
        horizon : int
        future : (S, horizon, F) float64, optional
            Future inputs of the new rows; NaN by default.
        """
        new = np.full((self.n_series, horizon, self.inputs.shape[1]), np.nan)
        if future is not None:
            new[:, :, len(self.columns.past_exog) :] = future
        counts = self.lengths + horizon
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        values, inputs = (np.full((int(indptr[-1]), part.shape[1]), np.nan) for part in (self.values, self.inputs))
        old = ragged_rows(indptr[:-1], self.lengths)
        values[old], inputs[old] = self.values, self.inputs
        filled = self.filled
        if len(filled):
            filled = np.full_like(values, np.nan)
            filled[old] = self.filled
        inputs[ragged_rows(indptr[:-1] + self.lengths, np.full(self.n_series, horizon))] = new.reshape(
            self.n_series * horizon, new.shape[2]
        )
        return replace(self, values=values, inputs=inputs, indptr=indptr, filled=filled)

    def select(self, past_exog: Sequence[str], future_exog: Sequence[str], static: Sequence[str]) -> Panel:
        """Return the panel with some of its inputs.

        Raises
        ------
        ArgumentError
            If it lacks one of them.
        """
        own = self.columns
        wanted = replace(own, past_exog=tuple(past_exog), future_exog=tuple(future_exog), static=tuple(static))
        if wanted == own:
            return self
        for kind in ("past_exog", "future_exog", "static"):
            missing = [name for name in getattr(wanted, kind) if name not in getattr(own, kind)]
            if missing:
                raise ArgumentError(
                    f"{kind}={list(getattr(wanted, kind))!r}: the data was read without {abbreviate(missing)}; read it "
                    f"with these columns."
                )
        shift = len(own.past_exog)
        columns = [own.past_exog.index(name) for name in wanted.past_exog]
        columns += [shift + own.future_exog.index(name) for name in wanted.future_exog]
        kept = tuple(self.static[own.static.index(name)] for name in wanted.static)
        return replace(self, columns=wanted, inputs=self.inputs[:, columns], static=kept)
