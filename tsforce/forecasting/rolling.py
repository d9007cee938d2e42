"""A fitted step model and what it stands behind, ready to be rolled out over any windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.inputs import InputCoder
from tsforce.data.panel import IntArray, Panel, WindowIndex
from tsforce.data.transforms import Chain, Transform
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.forcing import Forcing, OpenLoop
from tsforce.errors import (
    ContextWarning,
    DivergenceWarning,
    SeriesTooShortError,
    UnseenSeriesError,
    abbreviate,
    warn,
)
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.fit import Fitted
from tsforce.training.guard import Guard
from tsforce.training.missing import gaps_of
from tsforce.training.problem import Problem

__all__ = ["Part", "Rolling", "warn_of_excursions"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Part:
    """Windows that are rolled out together.

    Attributes
    ----------
    store, guard : SeriesStore, Guard
        Of the series that `index` refers to.
    index : WindowIndex
    groups : (S,) int64 or None
        The model's group for each series of the store; None: one for all.
    """

    store: SeriesStore
    guard: Guard
    index: WindowIndex
    groups: IntArray | None


@dataclass(frozen=True, eq=False)
class Rolling:
    """What a forecast needs of a fit.

    Attributes
    ----------
    model : StepModel
    chain, guard : Chain, Guard
        What the transforms and the guard learnt of each fitted series.
    coder : InputCoder or None
    scaling : str or None
        Window scaling.
    context_length : int
    position : dict of id -> int
        Where each fitted series stands in `chain`, `guard` and, for scope="local", among the model's groups.
    pooled : bool
        One model for all series: it may forecast one that was not fitted.
    """

    model: Any
    chain: Chain
    guard: Guard
    coder: InputCoder | None
    scaling: str | None
    context_length: int
    position: dict[Any, int]
    pooled: bool

    @staticmethod
    def of(fitted: Fitted, problem: Problem) -> Rolling:
        """Return what a fit has left to roll out."""
        learnt, position = fitted.learnt, {name: i for i, name in enumerate(problem.panel.id_list)}
        return Rolling(
            fitted.model, learnt.chain, learnt.guard, learnt.coder, problem.scaling, problem.context_length, position,
            problem.pooled,
        )  # fmt: skip

    def forecast(
        self, panel: Panel, index: WindowIndex, horizon: int, forcing: Forcing | None = None
    ) -> tuple[FloatArray, dict[str, int]]:
        """Return forecasts (W, H, C) in original units, and how many windows were clipped and values clamped.

        Parameters
        ----------
        panel : Panel
        index : WindowIndex, W windows
        horizon : int
        forcing : Forcing, optional
            ``ClosedLoop()`` by default; anything else reads the panel's rows after the cutoffs.

        Raises
        ------
        SeriesTooShortError
            If a window has no row that the differences leave.
        UnseenSeriesError
            If a series was not fitted, and each has a model of its own.

        Warns
        -----
        DivergenceWarning
            If forecasts leave the range that their series have shown.
        """
        yhat = np.empty((len(index), horizon, panel.n_channels))
        counts = {"clipped_windows": 0, "clamped_values": 0}
        outside = 0
        for here, part in self.parts(panel, index, horizon):
            store, now = part.store, part.index
            yhat[here], met = forecast_windows(
                store, self.model, part.guard, now, horizon, groups=part.groups, forcing=forcing
            )
            outside += int(met.outside.any(axis=1).sum())
            counts["clipped_windows"] += int(met.held.any(axis=1).sum())
            last = store.indptr[now.series] + now.rows
            first = np.maximum(last + 1 - self.context_length - store.first, store.indptr[now.series])
            counts["clamped_values"] += store.chain.count_clamped(store.stages, store.indptr, first, last)
        self.warn_of_contexts(panel, index, counts["clamped_values"])
        if outside:
            warn_of_excursions(outside, counts["clipped_windows"], len(index), self.guard.factor)
        return yhat, counts

    def joined(self, tail: Panel, panel: Panel, index: WindowIndex) -> tuple[Panel, WindowIndex]:
        """Return a panel whose series go on from the last rows that were learnt from, if they do, and its windows.

        Parameters
        ----------
        tail : Panel
            The last rows of each fitted series.
        panel : Panel
        index : WindowIndex
            Windows of `panel`; the same ones come back.
        """
        whole, count = panel.preceded_by(tail)
        return whole, WindowIndex(index.series, index.rows + count[index.series])

    def warn_of_contexts(self, panel: Panel, index: WindowIndex, n_clamped: int) -> None:
        """Warn of windows that start before their lags do, and of values that a transform had to move."""
        need = self.model.layout.reach + self.chain.rows_lost
        short = index.rows + 1 < need
        if short.any():
            names = abbreviate(dict.fromkeys(panel.id_list[i] for i in index.series[short]))
            warn(
                f"series {names}: as few as {int(index.rows[short].min()) + 1} rows up to the cutoff, where lags and "
                f"differences reach back over {need}; the mean of what is there stands for the rest. Give a longer "
                f"history, or take fewer lags.",
                ContextWarning,
            )
        if n_clamped:
            names = ", ".join(repr(t) for t in self.chain.transforms if type(t).clamped is not Transform.clamped)
            warn(
                f"{n_clamped} observed values lie below what {names} learnt from: each is read as a thousandth of the "
                f"smallest value learnt, which is far from the others on that scale. Fit on rows that hold such "
                f"values, or without {names}.",
                ContextWarning,
            )

    def parts(self, panel: Panel, index: WindowIndex, horizon: int) -> Iterator[tuple[BoolArray, Part]]:
        """Yield which windows are rolled out together, and what that takes; raises as `forecast` does."""
        if self.model.layout.looks_ahead and (panel.lengths[index.series] - 1 - index.rows < horizon).any():
            # Steps after the frame's end: the calendar knows them; future inputs are NaN there, and so is the forecast.
            panel = panel.extended(horizon)
        used = np.unique(index.series)
        known = np.array([self.position.get(panel.id_list[i], -1) for i in used], dtype=np.int64)
        lost = self.chain.rows_lost
        short = index.series[index.rows < lost]
        if len(short):
            names = abbreviate(dict.fromkeys(panel.id_list[i] for i in short))
            raise SeriesTooShortError(
                f"series {names}: a forecast needs at least {lost + 1} rows up to the cutoff, for the differences; "
                f"give a longer history."
            )
        unseen = used[known < 0]
        if len(unseen) and not self.pooled:
            raise UnseenSeriesError(
                f"series {abbreviate(panel.id_list[i] for i in unseen)} was not fitted, and scope='local' has one "
                f"model per fitted series. Fit it too, or use scope='global'."
            )
        fresh = np.isin(index.series, unseen)
        if not fresh.all():
            learnt = np.zeros(panel.n_series, dtype=np.int64)
            learnt[used] = np.maximum(known, 0)
            part = WindowIndex(index.series[~fresh], index.rows[~fresh])
            chain, guard = self.chain.take(learnt), self.guard.take(learnt)
            store = self._store(self._filled(panel, part, chain, guard, learnt), chain, learnt)
            yield ~fresh, Part(store, guard, part, None if self.pooled else learnt)
        if fresh.any():
            # What an unseen series has to teach its transforms is what it shows up to each cutoff.
            series, rows = index.series[fresh], index.rows[fresh]
            alone = panel.windows(WindowIndex(series, np.minimum(rows + horizon, panel.lengths[series] - 1)))
            chain = Chain.learn(self.chain.transforms, alone.values, alone.indptr, rows + 1)
            each = WindowIndex(np.arange(len(rows)), rows)
            guard = Guard.learn(
                self._store(alone, chain, None), each.series, each.rows + 1, factor=self.guard.factor
            )  # fmt: skip
            store = self._store(self._filled(alone, each, chain, guard, None), chain, None)
            yield fresh, Part(store, guard, each, None)

    def _store(self, panel: Panel, chain: Chain, learnt: IntArray | None) -> SeriesStore:
        device = next(self.model.parameters()).device if isinstance(self.model, torch.nn.Module) else None
        coder = self.coder
        if coder is not None and learnt is not None:
            coder = coder.take(learnt)
        return SeriesStore(panel, chain, self.scaling, self.context_length, device, coder, self.model.layout.scans)

    def store_of(self, panel: Panel, *, learnt: bool = True) -> SeriesStore:
        """Return the series of a panel as the model reads them: those that were fitted, each with what it learnt.

        Not `learnt`: the chain is of this panel's series already.
        """
        if not learnt:
            return self._store(panel, self.chain, None)
        place = np.array([self.position[name] for name in panel.id_list], dtype=np.int64)
        return self._store(panel, self.chain.take(place), place)

    def rows_read(self, steps: int = 0) -> int | None:
        """Return how many last rows a forecast reads of a series, `steps` after its cutoff; None: all."""
        return None if self.model.layout.recurrences else self.context_length + self.chain.rows_lost + steps

    # ---- missing values

    def fill(self, panel: Panel) -> Panel:
        """Return the panel of fitted series with the model's own outputs wherever a target is missing."""
        learnt = np.array([self.position[name] for name in panel.id_list], dtype=np.int64)
        blank = replace(panel, filled=np.empty((0, 0)))
        return self._filled(blank, panel.last_rows(), self.chain.take(learnt), self.guard.take(learnt), learnt)

    def _filled(self, panel: Panel, index: WindowIndex, chain: Chain, guard: Guard, learnt: IntArray | None) -> Panel:
        """Return the panel with own outputs where a target is missing, in every gap that some windows have seen.

        Gap by gap: each is rolled out from the row before it, and fed what was observed of the other targets within it.
        Nothing after a gap is read. What a forecast cannot be made for, before the differences have begun, repeats the
        last value.
        """
        if len(panel.filled) or not np.isnan(panel.values).any():
            return panel
        last_rows = np.full(panel.n_series, -1, dtype=np.int64)
        np.maximum.at(last_rows, index.series, index.rows)
        filled = panel.values.copy()
        panel = replace(panel, filled=filled)
        series, first, length, number = gaps_of(panel, last_rows)
        lost = chain.rows_lost
        for nth in range(int(number.max(initial=-1)) + 1):
            for steps in np.unique(length[number == nth]):
                now = (number == nth) & (length == steps)
                own, cutoffs = series[now], first[now] - 1
                rows = (panel.indptr[own] + cutoffs)[:, None] + np.arange(1, steps + 1)
                yhat = np.repeat(filled[rows[:, :1] - 1], steps, axis=1)
                able = np.flatnonzero(cutoffs >= lost)
                if len(able):
                    ends = WindowIndex(own[able], cutoffs[able] + steps)
                    seen = panel.windows(ends, self.rows_read(int(steps)))
                    who = own[able] if learnt is None else learnt[own[able]]
                    store = self._store(seen, chain.take(own[able]), None if learnt is None else who)
                    at = WindowIndex(np.arange(len(able)), seen.lengths - 1 - steps)
                    groups = None if self.pooled else who
                    yhat[able], _ = forecast_windows(
                        store, self.model, guard.take(own[able]), at, int(steps), groups=groups, forcing=OpenLoop()
                    )
                absent = np.isnan(filled[rows])
                filled[rows] = np.where(absent, yhat, filled[rows])
        return panel


def warn_of_excursions(outside: int, held: int, total: int, factor: float, *, what: str = "forecasts") -> None:
    """Warn of forecasts that are far outside what their series have shown, held there or not."""
    left = "the map or its inputs lead there, and they were left as they are"
    if held == outside:
        left = "they ran away and were held there"
    elif held:
        left = f"{held} of them ran away and were held there"
    warn(
        f"{outside} of {total} {what} go further out than what their series have shown by more than {factor:g} "
        f"times its range, return from a history at a new level, or are not finite: {left}. Look for wild values in "
        f"the training rows and the history, or fit again where a level is new; scope='local', a larger ridge or fewer "
        f"lags tame a model that runs away. If the forecasts are right, guard=None leaves all as they are.",
        DivergenceWarning,
    )
