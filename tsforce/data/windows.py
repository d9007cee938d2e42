"""Windows: contexts and futures cut from transformed series, in model units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tsforce.data.inputs import InputCoder, InputTable
from tsforce.data.panel import IntArray, Panel, ragged_rows
from tsforce.data.transforms import Chain
from tsforce.errors import check_choice

__all__ = ["WINDOW_SCALINGS", "SeriesStore", "WindowBatch", "WindowInputs", "check_window_scaling"]

WINDOW_SCALINGS = ("mean_abs", "standard", "last")


def check_window_scaling(scaling: object) -> str | None:
    """Return the window scaling; None means none."""
    return None if scaling is None else check_choice("window_scaling", scaling, ("auto", None, *WINDOW_SCALINGS))


class WindowInputs(NamedTuple):
    """What windows know beside the target, model units; what ``lags.known_inputs`` takes.

    Attributes
    ----------
    past_exog : (G, B, L, P)
        Up to and with the cutoff.
    future_exog : (G, B, L + H, F)
        Up to and with the last step.
    static : (G, B, K)
    calendar : (G, B, W + H, Q)
        Of the steps themselves, and of W before the cutoff that a recurrent state takes in.
    memory : (G, B, M)
        Rows of the series before the window's first (negative: so many before the series begins), and means of them;
        M = 0 without.
    """

    past_exog: Tensor
    future_exog: Tensor
    static: Tensor
    calendar: Tensor
    memory: Tensor


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows side by side: G groups (series for scope="local", one for "global") of B windows.

    Model units unless said otherwise; model units = (transformed value - centre) / scale.

    Attributes
    ----------
    past : (G, B, L, C)
        The context, up to and with the cutoff; absent values read the mean of those that are there.
    past_mask : (G, B, L, C) bool
        False where the value is absent (before the series' first transformed row).
    future : (G, B, H, C) or None
        Observed values after the cutoff; absent values read 0, missing ones what they were filled with.
    future_mask : (G, B, H, C) bool or None
        False where there is no observed value.
    series : (G, B) int64
        Position of each window's series in the panel.
    centre, scale : (G, B, 1, C)
        Of the window scaling, learnt from `past` only; 0 and 1 without one. A scale of 0: all values are 0 in model
        units, and all model units are the centre.
    inputs : WindowInputs or None
        What is known beside the target; None without inputs.
    """

    past: Tensor
    past_mask: Tensor
    future: Tensor | None
    future_mask: Tensor | None
    series: Tensor
    centre: Tensor
    scale: Tensor
    inputs: WindowInputs | None = None


class SeriesStore:
    """The transformed series of a panel, ready to be cut into windows.

    Parameters
    ----------
    panel : Panel
    chain : Chain
        Learnt transforms of the panel's series, in the panel's order.
    scaling : None, "mean_abs", "standard" or "last"
        Window scaling: divide by the mean absolute value of the context; subtract its mean and divide by its standard
        deviation; or subtract its last value. A context of zeros ("standard": of equal values) has no unit to measure
        what follows in: it teaches nothing, and its forecast is that it stays as it is. The scale is 1 where there are
        too few values to tell, none or (of a deviation) one.
    context_length : int
        L, the observed steps a window shows.
    device : torch.device, optional
    coder : InputCoder, optional
        What was learnt about the panel's inputs, its series in the panel's order.
    scans : sequence of callables, optional
        Means that windows bring with them: from transformed values (N, C) and their numbers (N,) in their series, 1 for
        the first that the transforms leave, to means up to each, (N, C). None: windows have no memory.
    """

    def __init__(
        self,
        panel: Panel,
        chain: Chain,
        scaling: str | None,
        context_length: int,
        device: torch.device | None = None,
        coder: InputCoder | None = None,
        scans: Sequence[Callable[[Tensor, Tensor], Tensor]] | None = None,
    ) -> None:
        self.indptr = panel.indptr
        self.lengths = panel.lengths
        self.chain = chain
        self.scaling = scaling
        self.context_length = context_length
        self.device = device or torch.device("cpu")
        self.first = chain.rows_lost
        self.inputs: InputTable | None = None if coder is None else coder.table(panel, self.device)
        self.warm_up = 0 if coder is None else coder.warm_up
        self.stages: list[Tensor] = [s.to(self.device) for s in chain.stages(panel.complete, panel.indptr)]
        # Which values may be learnt from and fed as truth; what was filled is there for contexts only.
        self.observed: Tensor | None = None
        if len(panel.filled):
            self.observed = torch.from_numpy(~np.isnan(panel.values)).to(self.device)
        # What the targets of windows are taken less: see `less`.
        self.told: Tensor | None = None
        self._means: list[Tensor] | None = None
        if scans is not None:
            number = torch.from_numpy(ragged_rows(np.zeros_like(panel.lengths), panel.lengths) + 1 - self.first)
            self._means = [scan(self.values, number.to(self.device)) for scan in scans]

    @property
    def values(self) -> Tensor:
        """The series after all transforms, (N, C)."""
        return self.stages[-1]

    def less(self, forecasts: Tensor) -> SeriesStore:
        """Return a store whose windows show what forecasts have left of the values after the cutoff.

        Parameters
        ----------
        forecasts : (N, H, C)
            Model units, of the H steps after each row as the cutoff of a window: the most that windows then have.
        """
        found = copy(self)
        found.told = forecasts
        return found

    def _cut(self, stage: Tensor, series: IntArray, rows: IntArray, length: int, first: int) -> tuple[Tensor, Tensor]:
        """Return the rows ``rows + 1 - length .. rows`` of each window, and which of them exist.

        Rows before `first` or after the series' last one read 0.
        """
        begin = rows + 1 - length
        flat = self.indptr[series] + begin
        total = stage.shape[0]
        if length == 0 or flat.size == 0:
            empty = stage.new_zeros((*series.shape, length, stage.shape[1]))
            return empty, empty.bool()
        low, high = int(flat.min()), int(flat.max()) + length - total
        if low < 0 or high > 0:
            pad = stage.new_zeros((max(-low, 0), stage.shape[1])), stage.new_zeros((max(high, 0), stage.shape[1]))
            stage, flat = torch.cat([pad[0], stage, pad[1]]), flat + max(-low, 0)
        # Overlapping rows of one strided view: a window is one contiguous copy.
        size, stride = (stage.shape[0] - length + 1, length, stage.shape[1]), (stage.stride(0), *stage.stride())
        view = stage.as_strided(size, stride)
        cut = view[torch.from_numpy(flat.ravel()).to(self.device)].view(*series.shape, length, stage.shape[1])
        if (begin >= first).all() and (rows < self.lengths[series]).all():
            return cut, torch.ones(1, dtype=torch.bool, device=self.device).expand(cut.shape)
        steps = begin[..., None] + np.arange(length)
        known = (steps >= first) & (steps < self.lengths[series][..., None])
        mask = torch.from_numpy(known).to(self.device)[..., None].expand(cut.shape)
        # Selection, not multiplication: a row that is not to be seen may hold NaN.
        return torch.where(mask, cut, 0.0), mask

    def cut(self, series: IntArray, rows: IntArray, length: int) -> tuple[Tensor, Tensor]:
        """Return the last `length` transformed values up to and with each row, and which of them exist.

        Parameters
        ----------
        series, rows : (...) int64

        Returns
        -------
        values, mask : (..., length, C)
            Before window scaling; absent values read 0.
        """
        return self._cut(self.values, series, rows, length, self.first)

    def levels(self, series: IntArray, rows: IntArray, length: int) -> tuple[Tensor, Tensor]:
        """Return the last `length` original values up to and with each row, and which exist, (..., length, C)."""
        return self._cut(self.stages[0], series, rows, length, 0)

    def inputs_of(self, series: IntArray, rows: IntArray, horizon: int) -> WindowInputs | None:
        """Return what is known beside the target of some windows; absent values read 0.

        Inputs that are known in advance are read up to the last step, past ones up to the row.
        """
        length = self.context_length
        if self.inputs is None:
            if self._means is None:
                return None
            none = self.values.new_zeros(*series.shape, length + horizon, 0)
            memory = self._memory(series, rows - length)
            return WindowInputs(none[:, :, :length], none, none[:, :, 0], none[:, :, :horizon], memory)
        table = self.inputs

        def cut(values: Tensor, at: IntArray, count: int) -> Tensor:
            if values.shape[1] == 0:
                return values.new_zeros(*series.shape, count, 0)
            return self._cut(values, series, at, count, 0)[0]

        return WindowInputs(
            cut(table.past_exog, rows, length),
            cut(table.future_exog, rows + horizon, length + horizon),
            table.static[torch.from_numpy(np.array(series, dtype=np.int64)).to(self.device)],
            cut(table.calendar, rows + horizon, self.warm_up + horizon),
            self._memory(series, rows - length),
        )

    def _memory(self, series: IntArray, rows: IntArray) -> Tensor:
        """Return what windows bring with them of all rows up to and with some, before window scaling, (G, B, M)."""
        if self._means is None:
            return self.values.new_zeros(*series.shape, 0)
        count = torch.from_numpy(rows + 1 - self.first).to(self.values)[..., None]
        place = torch.from_numpy(self.indptr[series] + np.maximum(rows, 0)).to(self.device)
        means = [torch.where(count > 0, mean[place], 0.0) for mean in self._means]
        return torch.cat([count, *means], dim=-1)

    def batch(self, series: IntArray, rows: IntArray, horizon: int = 0, *, truth: bool = True) -> WindowBatch:
        """Return the windows whose cutoffs are the given rows.

        Parameters
        ----------
        series, rows : (G, B) int64
            Series in the panel, and the row of the last visible value.
        horizon : int
            Steps after the cutoff to include.
        truth : bool
            Whether to include their observed targets; if not, no target after a cutoff is read.
        """
        past, past_mask = self.cut(series, rows, self.context_length)
        centre, scale = self._scaling_of(past, past_mask)
        if (rows + 1 - self.context_length < self.first).any():
            # A series that has only begun stands where it was seen: 0 would be a level of its own.
            count = past_mask.sum(dim=2, keepdim=True).clamp(min=1)
            past = torch.where(past_mask, past, past.sum(dim=2, keepdim=True) / count)
        if self.scaling is not None:
            past = _over(past - centre, scale)
        future = future_mask = None
        if horizon and truth:
            future, there = self.cut(series, rows + horizon, horizon)
            future_mask = there
            if self.observed is not None:
                future_mask = there & self._cut(self.observed, series, rows + horizon, horizon, 0)[0].bool()
            if self.scaling is not None:
                future = torch.where(there, _over(future - centre, scale), 0.0)
            if self.told is not None:
                future = future - self.told[torch.from_numpy(self.indptr[series] + rows), :horizon]
        where = torch.from_numpy(np.array(series, dtype=np.int64)).to(self.device)
        inputs = self.inputs_of(series, rows, horizon) if horizon else None
        if inputs is not None and self._means and self.scaling is not None:
            means = inputs.memory[..., 1:].unflatten(-1, (len(self._means), -1))
            means = _over(means - centre, scale).flatten(start_dim=2)
            inputs = inputs._replace(memory=torch.cat([inputs.memory[..., :1], means], dim=-1))
        return WindowBatch(past, past_mask, future, future_mask, where, centre, scale, inputs)

    def _scaling_of(self, past: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return centre and scale of each window from its context, (G, B, 1, C) each."""
        shape = (*past.shape[:2], 1, past.shape[3])
        centre, scale = past.new_zeros(1).expand(shape), past.new_ones(1).expand(shape)
        if self.scaling is None:
            return centre, scale
        count = mask.sum(dim=2, keepdim=True).clamp(min=1)
        if self.scaling == "last":
            return past[:, :, -1:], scale
        if self.scaling == "standard":
            centre = past.sum(dim=2, keepdim=True) / count
            gap = torch.where(mask, past - centre, 0.0)
            scale = ((gap**2).sum(dim=2, keepdim=True) / count).sqrt()
        else:
            scale = past.abs().sum(dim=2, keepdim=True) / count
        # The mean of equal values is off by rounding; such a spread is zero.
        none = scale <= 1e-12 * past.abs().amax(dim=2, keepdim=True)
        # Too few values to tell: none, or one without a deviation.
        few = mask.sum(dim=2, keepdim=True) <= (self.scaling == "standard")
        return centre, torch.where(none, few.to(scale.dtype), scale)

    def to_levels(self, z: Tensor, batch: WindowBatch, rows: IntArray, fed_share: Tensor | None = None) -> Tensor:
        """Return a roll-out in original units; differentiable.

        Parameters
        ----------
        z : (G, B, H, C)
            Model units, after the cutoff, before any value was replaced by an observed one.
        batch : WindowBatch
            The windows that were rolled out.
        rows : (G, B) int64
            Their cutoffs.
        fed_share : (G, B, H, C), optional
            Share of truth that was fed back; None means a closed loop, and then no row after a cutoff is read.
        """
        return self._stages_of(z, batch, rows, fed_share)[0]

    def relabel(self, z: Tensor, batch: WindowBatch, rows: IntArray, fed_share: Tensor | None = None) -> Tensor:
        """Return what the outputs of a roll-out should have been to meet the truth, given what was fed; model units.

        Parameters as in `to_levels`; rows after the cutoff are read: they are the truth.
        """
        horizon = z.shape[2]
        truth = self._cut(self.stages[0], batch.series.cpu().numpy(), rows + horizon, horizon, 0)[0]
        stages = self._stages_of(z, batch, rows, fed_share)
        return _over(self.chain.relabel(truth, stages, batch.series) - batch.centre, batch.scale)

    def _stages_of(self, z: Tensor, batch: WindowBatch, rows: IntArray, fed_share: Tensor | None) -> list[Tensor]:
        """Return a roll-out before the first and after each transform."""
        z = z * batch.scale + batch.centre
        series, horizon = batch.series.cpu().numpy(), z.shape[2]
        tails: list[Tensor | None] = []
        lost = 0
        for stage, transform in zip(self.stages, self.chain.transforms, strict=False):
            lag = transform.rows_lost
            tails.append(self._cut(stage, series, rows, lag, lost)[0] if lag else None)
            lost += lag
        observed: Sequence[Tensor] | None = None
        if fed_share is not None:
            observed = [self._cut(stage, series, rows + horizon, horizon, 0)[0] for stage in self.stages]
        return self.chain.inverse_stages(z, batch.series, tails, observed, fed_share)


def _over(values: Tensor, scale: Tensor) -> Tensor:
    """Return values in units of a scale, 0 where that is 0."""
    flat = scale == 0
    return values / scale if not bool(flat.any()) else torch.where(flat, 0.0, values / torch.where(flat, 1.0, scale))
