"""Simulation of measured records: what a fitted map of standardised outputs says of arrays of inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.errors import DivergenceWarning, warn
from tsforce.forecasting.rolling import Rolling
from tsforce.identification.record_starts import Before
from tsforce.identification.records import rested_panel
from tsforce.training.closed_loop import forecast_windows

__all__ = ["Simulation", "Simulator", "warn_of_clipping"]

BoolArray = npt.NDArray[np.bool_]

# Values of forecasts kept at once where many steps are rolled out for the last one's sake.
_AT_ONCE = 2**22
# Records this many times as long as the shortest are no longer simulated beside it, where it is padded to their length.
_ALIKE = 2


class Simulation(NamedTuple):
    """What a model says of some records, and where it left the range of what it has learnt from.

    Attributes
    ----------
    y : (n,) or (n, C) float64
        Original units.
    clipped : (S,) bool
        Records whose simulation ran away and was held by the guard.
    """

    y: FloatArray
    clipped: BoolArray


@dataclass(frozen=True, eq=False)
class Simulator:
    """From inputs and measured outputs of S records, one below the other, to outputs.

    Attributes
    ----------
    rolling : Rolling
        Of one pooled series that stands for any record.
    mean, scale : (C,) float64
        Model units are (output - mean) / scale.
    """

    rolling: Rolling
    mean: FloatArray
    scale: FloatArray

    def simulate(
        self, X: FloatArray, sizes: IntArray, heads: list[FloatArray], before: Before | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Return simulated outputs of all records side by side, and which records met the guard.

        Parameters
        ----------
        X : (n, F)
        sizes : (S,) int64
            Rows of each record.
        heads : S arrays (n0, C)
            Outputs measured at the first rows of each, n0 of its own; they come back as they are.
        before : Before, optional
            What stands before the first row of every record; by default its first measured output, or the training
            mean, and its first inputs.

        Returns
        -------
        y : (n, C) float64
            Original units.
        clipped : (S,) bool
        """
        measured = np.array([len(head) for head in heads])
        left, first = sizes - measured, np.cumsum(sizes) - sizes
        out = np.empty((len(X), len(self.mean)))
        out[ragged_rows(first, measured)] = np.concatenate(heads)
        clipped = np.zeros(len(sizes), dtype=bool)
        for some in _alike(left):
            given, horizon = measured[some], int(left[some].max())
            # A record that ends earlier goes on at its last inputs, which nobody will see.
            panel, rest = self._rested(
                X[ragged_rows(first[some], sizes[some])], sizes[some], [heads[i] for i in some], given + horizon, before
            )
            index = WindowIndex(np.arange(len(some)), rest + given - 1)
            parts = list(self._roll(panel, index, horizon))
            yhat, held = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
            own = np.arange(horizon) < left[some, None]
            out[ragged_rows((first + measured)[some], left[some])] = yhat[own] * self.scale + self.mean
            clipped[some] = (held & own).any(axis=1)
        return out, clipped

    def ahead(self, X: FloatArray, y: FloatArray, sizes: IntArray, steps: int) -> tuple[FloatArray, BoolArray]:
        """Return each row from outputs measured up to `steps` rows before it, and which roll-outs met the guard.

        Rows that have fewer before them are simulated from the start of their record, where outputs are the training
        mean. Rows behind it look back on the first measured output where their lags reach back over it.

        Parameters
        ----------
        X, y : (n, F), (n, C)
        sizes : (S,) int64
        steps : int

        Returns
        -------
        y : (n, C) float64
            Original units.
        clipped : (W,) bool
        """
        horizon, first = min(steps, int(sizes.max())), np.cumsum(sizes) - sizes
        heads, rows = np.split(y, first[1:]), np.maximum(sizes, horizon)
        panel, rest = self._rested(X, sizes, heads, rows)
        # Before the first row nothing is measured yet, its own output least of all.
        blank, _ = self._rested(X, sizes, [head[:0] for head in heads], rows)
        counts = np.maximum(sizes - horizon, 0) + 1
        series = np.repeat(np.arange(len(sizes)), counts)
        number = ragged_rows(np.zeros_like(counts), counts)
        out = np.empty_like(y)
        clipped = []
        series, number = series[number > 0], number[number > 0]
        for yhat, held, part in self._roll(panel, WindowIndex(series, rest - 1 + number), horizon):
            own, nth = series[part], number[part]
            out[first[own] + nth + horizon - 1] = yhat[:, -1]
            clipped.append(held.any(axis=1))
        every = WindowIndex(np.arange(len(sizes)), np.full(len(sizes), rest - 1))
        for yhat, held, part in self._roll(blank, every, horizon):
            # The rows up to the horizon have but one window to be taken from.
            for own, path in zip(every.series[part], yhat, strict=True):
                most = min(horizon, int(sizes[own]))
                out[first[own] : first[own] + most] = path[:most]
            clipped.append(held.any(axis=1))
        return out * self.scale + self.mean, np.concatenate(clipped)

    def _rested(
        self,
        X: FloatArray,
        sizes: IntArray,
        measured: list[FloatArray],
        rows: IntArray,
        before: Before | None = None,
    ) -> tuple[Panel, int]:
        """Return records in model units behind as many rows of rest as a context shows; and how many those are."""
        rest, layout = self.rolling.context_length, self.rolling.model.layout
        names = tuple(name for name, _ in layout.future_exog)
        scaled = [(own - self.mean) / self.scale for own in measured]
        if before is not None:
            before = before._replace(outputs=(before.outputs - self.mean) / self.scale)
        return rested_panel(X, sizes, scaled, rows, rest, names, layout.channels, before), rest

    def _roll(self, panel: Panel, index: WindowIndex, horizon: int) -> Iterator[tuple[FloatArray, BoolArray, slice]]:
        """Yield forecasts (W, H, C) in model units, and which steps (W, H) were held, chunk by chunk of the windows."""
        if len(index) == 0:
            return
        at_once = max(1, _AT_ONCE // (horizon * panel.n_channels))
        for _, part in self.rolling.parts(panel, index, horizon):
            for start in range(0, len(index), at_once):
                now = slice(start, start + at_once)
                some = WindowIndex(index.series[now], index.rows[now])
                yhat, met = forecast_windows(part.store, self.rolling.model, part.guard, some, horizon, groups=None)
                yield yhat, met.held, now


def warn_of_clipping(what: str, clipped: BoolArray, factor: float) -> None:
    """Warn of records or roll-outs that were held by a guard of some factor, if any were."""
    if clipped.any():
        how = f"{factor:g} times the range of the training outputs and of those given" if np.isfinite(factor) else "all"
        warn(
            f"{clipped.sum()} of {len(clipped)} {what} ran away, beyond {how}, and were clipped there: the model is "
            f"not stable in closed loop, or what it was given is far from what it was fitted to. Fit it with "
            f"mode='closed_loop', raise ridge, or take fewer lags; if it is right out there, widen the guard or switch "
            f"it off, guard=None.",
            DivergenceWarning,
        )


def _alike(left: IntArray) -> list[IntArray]:
    """Return the records that have rows left to simulate, in groups of similar length, each in the order given."""
    groups, rest = [], np.flatnonzero(left)
    while len(rest):
        near = left[rest] < _ALIKE * left[rest].min()
        groups.append(rest[near])
        rest = rest[~near]
    return groups
