"""Inputs beside the target, as the numbers a model reads: standardised columns, indicators, calendar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.calendar import calendar_columns, calendar_values
from tsforce.data.panel import IntArray, Panel, ragged_rows
from tsforce.errors import ArgumentError, UnknownCategoryWarning, abbreviate, warn

__all__ = ["InputCoder", "InputTable"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InputTable:
    """The inputs of a panel in model units.

    Attributes
    ----------
    past_exog, future_exog : (N, P), (N, F)
    static : (S, K)
    calendar : (N, Q)
    """

    past_exog: Tensor
    future_exog: Tensor
    static: Tensor
    calendar: Tensor

    @property
    def width(self) -> int:
        """Columns of all four."""
        return sum(part.shape[1] for part in (self.past_exog, self.future_exog, self.static, self.calendar))


@dataclass(frozen=True, eq=False)
class InputCoder:
    """What was learnt about the inputs: their means and spreads, and the categories of static columns.

    Attributes
    ----------
    centre, spread : (S, E) float64, or (1, E) for all series together
        Of past_exog, then future_exog. A column that does not vary has spread 1.
    numbers : tuple of (mean, standard deviation) or None
        Per static column; None for one of categories.
    categories : tuple of tuple
        Per static column; empty for a numeric one.
    calendar : tuple of str
    static_names : tuple of str
    warm_up : int
        Steps before the cutoff whose calendar is read too: those that a recurrent state takes in.
    """

    centre: FloatArray
    spread: FloatArray
    numbers: tuple[tuple[float, float] | None, ...]
    categories: tuple[tuple[Any, ...], ...]
    calendar: tuple[str, ...]
    static_names: tuple[str, ...]
    warm_up: int = 0

    @staticmethod
    def learn(panel: Panel, stops: IntArray, calendar: tuple[str, ...], *, pooled: bool) -> InputCoder:
        """Return what the rows before `stops` teach; static columns have no rows, and are learnt whole.

        Parameters
        ----------
        panel : Panel
        stops : (S,) int64
        calendar : tuple of str
        pooled : bool
            One scale for all series (scope="global"), else one for each.
        """
        rows = panel.inputs[ragged_rows(panel.indptr[:-1], stops)]
        if pooled or not rows.shape[1]:
            centre, spread = rows.mean(axis=0, keepdims=True), rows.std(axis=0, keepdims=True)
        else:
            starts, counts = np.cumsum(stops) - stops, stops[:, None]
            centre = np.add.reduceat(rows, starts, axis=0) / counts
            square = np.add.reduceat((rows - np.repeat(centre, stops, axis=0)) ** 2, starts, axis=0)
            spread = np.sqrt(square / counts)
        # What rounding leaves of a constant's spread is none.
        spread = np.where(spread > 1e-12 * np.abs(centre), spread, 1.0)
        numbers: list[tuple[float, float] | None] = []
        categories: list[tuple[Any, ...]] = []
        for values in panel.static:
            if values.dtype.kind == "f":
                spread_of = float(values.std())
                numbers.append((float(values.mean()), spread_of if spread_of > 1e-12 * abs(values.mean()) else 1.0))
                categories.append(())
            else:
                numbers.append(None)
                categories.append(tuple(sorted(dict.fromkeys(values.tolist()), key=str)))
        return InputCoder(centre, spread, tuple(numbers), tuple(categories), calendar, panel.columns.static)

    def with_scales_of(self, panel: Panel, stops: IntArray, *, pooled: bool) -> InputCoder:
        """Return the same static codes and calendar with scales learnt from other rows."""
        other = InputCoder.learn(replace(panel, static=()), stops, self.calendar, pooled=pooled)
        return replace(self, centre=other.centre, spread=other.spread)

    def take(self, series: IntArray) -> InputCoder:
        """Return the coder of some series, repeats allowed."""
        if len(self.centre) == 1:
            return self
        return replace(self, centre=self.centre[series], spread=self.spread[series])

    @property
    def static_columns(self) -> tuple[str, ...]:
        """Names of the static columns that a model reads: one per number, one per category."""
        return tuple(
            column
            for name, known in zip(self.static_names, self.categories, strict=True)
            for column in ([f"{name}_{value}" for value in known] or [name])
        )

    @property
    def calendar_columns(self) -> tuple[str, ...]:
        """Names of the calendar columns that a model reads."""
        return calendar_columns(self.calendar)

    def table(self, panel: Panel, device: torch.device) -> InputTable:
        """Return the inputs of a panel whose series are this coder's, in model units.

        Warns
        -----
        UnknownCategoryWarning
            If a static column holds a category that was not learnt.
        """
        lengths = panel.lengths
        if len(self.centre) == 1:
            rows = (panel.inputs - self.centre) / self.spread
        else:
            rows = (panel.inputs - self.centre.repeat(lengths, axis=0)) / self.spread.repeat(lengths, axis=0)
        n_past = len(panel.columns.past_exog)
        stamped = np.empty((len(rows), 0))
        if self.calendar:
            series = np.repeat(np.arange(panel.n_series), lengths)
            within = np.arange(len(rows)) - panel.indptr[series]
            stamped = calendar_values(panel.clock.stamps(panel.ticks(series, within)), self.calendar)
        parts = (rows[:, :n_past], rows[:, n_past:], self._static(panel), stamped)
        return InputTable(*(torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in parts))

    def _static(self, panel: Panel) -> FloatArray:
        parts = [np.empty((panel.n_series, 0))]
        for name, values, number, known in zip(
            self.static_names, panel.static, self.numbers, self.categories, strict=True
        ):
            if number is not None and values.dtype.kind != "f":
                raise ArgumentError(
                    f"static column {name!r} held numbers when the model was fitted, and holds {values[0]!r} now; give "
                    f"numbers."
                )
            if number is not None:
                parts.append((values.astype(np.float64)[:, None] - number[0]) / number[1])
                continue
            place = {value: k for k, value in enumerate(known)}
            code = np.array([place.get(value, -1) for value in values.tolist()])
            if (code < 0).any():
                fresh = dict.fromkeys(values[code < 0].tolist())
                warn(
                    f"column {name!r} holds {abbreviate(fresh)}, which no fitted series had; read as none of the known "
                    f"categories.",
                    UnknownCategoryWarning,
                )
            # One row more than categories: an unknown one (-1) is all zeros.
            parts.append(np.eye(len(known) + 1, len(known))[code])
        return np.concatenate(parts, axis=1)
