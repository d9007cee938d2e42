"""Rows that came after those that were learnt from, put behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel, ragged_rows
from tsforce.errors import FrameError, abbreviate

__all__ = ["Grown", "grown"]


class Grown(NamedTuple):
    """A panel that later rows were put behind.

    Attributes
    ----------
    panel : Panel
        The series that were learnt from, in their order, then new ones.
    first : (S,) int64
        Row of each series from which on rows are new: its number of rows before, 0 of a new series.
    n_known : int
        How many series were learnt from.
    """

    panel: Panel
    first: IntArray
    n_known: int

    @property
    def counts(self) -> IntArray:
        """New rows of each series, (S,)."""
        return self.panel.lengths - self.first


def grown(learnt: Panel, given: Panel) -> Grown:
    """Return the rows that were learnt from, each series followed by those of its rows that come after them.

    Parameters
    ----------
    learnt : Panel
    given : Panel
        With the same columns: new rows alone, or the longer series, whose earlier rows must be those that were learnt
        from. Its other series are new.

    Raises
    ------
    FrameError
        If rows are missing in between, lie before those that were learnt from, or are not what was learnt.
    """
    place = np.array([learnt.position.get(name, -1) for name in given.id_list], dtype=np.int64)
    clock = given.clock_with(learnt)
    step = int(clock.step)
    known = np.flatnonzero(place >= 0)
    # Rows of `given` before (negative) or after the first one that was learnt from.
    ahead = (given.starts_in(clock)[known] - learnt.starts_in(clock)[place[known]]) // step
    lengths = learnt.lengths[place[known]]
    faults = _faults(given, known, ahead, lengths)
    early = np.maximum(-ahead, 0)
    # Rows that both have: from `early` on in `given`, from `late` on in `learnt`.
    late = np.maximum(ahead, 0)
    shared = np.clip(np.minimum(lengths - late, given.lengths[known] - early), 0, None)
    faults += _changed(learnt, given, place[known], known, late, early, shared)
    if faults:
        raise FrameError(faults)
    fresh = np.flatnonzero(place < 0)
    n_known, n_series = learnt.n_series, learnt.n_series + len(fresh)
    source, skipped = np.zeros(n_series, dtype=np.int64), np.zeros(n_series, dtype=np.int64)
    taken = np.zeros(n_series, dtype=np.int64)
    old = np.zeros(n_series, dtype=np.int64)
    old[:n_known] = learnt.lengths
    rows_of = np.concatenate([place[known], n_known + np.arange(len(fresh))])
    source[rows_of] = np.concatenate([known, fresh])
    skipped[rows_of] = np.concatenate([early + shared, np.zeros(len(fresh), dtype=np.int64)])
    taken[rows_of] = given.lengths[source[rows_of]] - skipped[rows_of]
    indptr = np.concatenate([[0], np.cumsum(old + taken)]).astype(np.int64)
    ends, first_new = np.cumsum(old), given.indptr[source] + skipped
    bounds = np.stack([ends - old, ends, first_new, first_new + taken], axis=1).tolist()

    def joined(before: FloatArray, after: FloatArray) -> FloatArray:
        if not before.shape[1]:
            return np.empty((int(indptr[-1]), 0))
        # Whole series at a time: to find a place for each row takes three times as long.
        return np.concatenate([part for a, b, c, d in bounds for part in (before[a:b], after[c:d])])

    if len(fresh):
        start = np.concatenate([learnt.starts_in(clock), given.starts_in(clock)[fresh]])
        ids = learnt.ids.append(given.ids.take(fresh))
        static = tuple(np.concatenate([a, b[fresh]]) for a, b in zip(learnt.static, given.static, strict=True))
    else:
        start, ids, static, clock = learnt.start, learnt.ids, learnt.static, learnt.clock
    panel = replace(
        learnt,
        ids=ids,
        values=joined(learnt.values, given.values),
        inputs=joined(learnt.inputs, given.inputs),
        filled=joined(learnt.filled, given.complete) if len(learnt.filled) else learnt.filled,
        indptr=indptr,
        start=start,
        clock=clock,
        static=static,
    )
    return Grown(panel, old, n_known)


def _faults(given: Panel, known: IntArray, ahead: IntArray, lengths: IntArray) -> list[str]:
    """Return what is wrong with where the rows of known series begin."""
    faults = []
    gap = ahead > lengths
    if gap.any():
        k = int(np.flatnonzero(gap)[0])
        names = abbreviate(given.id_list[i] for i in known[gap])
        faults.append(
            f"series {names}: rows are missing between the last one that was learnt from and the first one given, "
            f"{int(ahead[k] - lengths[k])} in the first of these. Give them too: df[df[{given.columns.time!r}] > the "
            f"series' stamp in train_end_]; what was not measured is filled in by tsforce.fill_gaps."
        )
    before = ahead < 0
    if before.any():
        names = abbreviate(given.id_list[i] for i in known[before])
        faults.append(
            f"series {names}: rows lie before the first one that was learnt from. What was learnt cannot go back: "
            f"give the rows after the stamps in train_end_ alone, or fit again on all rows: fit(df)."
        )
    return faults


def _changed(
    learnt: Panel, given: Panel, own: IntArray, other: IntArray, late: IntArray, early: IntArray, shared: IntArray
) -> list[str]:
    """Return what is wrong with rows that both panels have of the same series."""
    if not shared.any():
        return []
    ours, theirs = ragged_rows(learnt.indptr[own] + late, shared), ragged_rows(given.indptr[other] + early, shared)
    different = np.zeros(len(ours), dtype=bool)
    for before, after in ((learnt.values, given.values), (learnt.inputs, given.inputs)):
        a, b = before[ours], after[theirs]
        different |= ((a != b) & ~(np.isnan(a) & np.isnan(b))).any(axis=1)
    if not different.any():
        return []
    k = int(np.flatnonzero(different)[0])
    series = np.repeat(np.arange(len(shared)), shared)
    i, row = int(other[series[k]]), int(theirs[k] - given.indptr[other[series[k]]])
    stamp = given.clock.stamps(given.ticks(np.array([i]), np.array([row])))[0]
    return [
        f"{int(different.sum())} rows up to the last one that was learnt from are not what was learnt, the first that "
        f"of {stamp} in series {str(given.id_list[i])!r}: it cannot be unlearnt. Give the rows after the stamps in "
        f"train_end_ alone, or fit again on all rows: fit(df)."
    ]
