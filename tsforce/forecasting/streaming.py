"""Forecasts sample by sample: what a fitted map reads of the past is kept, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tsforce.data.panel import FloatArray, IntArray, Panel
from tsforce.data.transforms import Difference, Transform
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError, FutureExogError
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.rolling import Rolling
from tsforce.training.following import Following
from tsforce.training.guard import Guard
from tsforce.training.solvers.lag_rows import rows_of

__all__ = ["Stream"]


class Stream:
    """A fitted forecaster that is shown one sample at a time, at a cost and memory that do not grow.

    From ``NARXForecaster.stream()``. It begins at the last rows that were learnt from. Weights are those that the
    forecaster had, or, if it learns, those of all rows so far.

    Parameters
    ----------
    rolling : Rolling
    rows : Panel
        The last rows of every series.
    horizon : int
    fills : bool
        Whether own outputs stand for values that are missing.
    learner : Following, optional
        What learns from each sample.

    Attributes
    ----------
    ids : list
        The series, in the order of all arrays.
    n_observed : int
        Samples so far.

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.datasets import load
    >>> df = load("airpassengers")
    >>> model = NARXForecaster(12, 24, mode="open_loop").fit(df[:132])
    >>> stream = model.stream()
    >>> for y in df["y"][132:]:
    ...     _ = stream.observe(y)
    >>> bool(abs(stream.forecast() - model.predict(history=df)["NARXForecaster"]).max() < 1e-9)
    True
    """

    def __init__(
        self, rolling: Rolling, rows: Panel, horizon: int, *, fills: bool, learner: Following | None = None
    ) -> None:
        # The row before the last one too where that one is learnt from.
        need = rolling.rows_read(0 if learner is None else 1)
        if need is None:
            raise ArgumentError(
                "stream: lag_transforms of all rows (ExpandingMean, ExponentiallyWeightedMean) reach back to the first "
                "one, and a stream keeps the last ones alone; fit without them, or call predict(history=df)."
            )
        self.ids = rows.id_list
        self.n_observed = 0
        self._rolling, self._rows, self._horizon, self._fills = rolling, rows, horizon, fills
        self._lengths, self._need, self._learner = rows.lengths, need, learner
        n_inputs = rows.inputs.shape[1]
        self._values = _Ring(rows.complete, rows.indptr, need)
        self._inputs = _Ring(rows.inputs, rows.indptr, need) if n_inputs else None
        self._quick = _Quick.of(rolling, rows)

    def observe(self, y: Any, x: Any = None) -> Stream:
        """Take the next sample of every series in, learn from it if the stream does, and return the stream itself.

        Parameters
        ----------
        y : float, or array-like (S,) or (S, C)
            Original units, of the series in the order of ``ids``. With ``missing="own_output"`` NaN is filled by the
            forecast of that step.
        x : array-like (E,) of one series, or (S, E), optional
            The inputs of the same step: ``past_exog``, then ``future_exog``, in the order of the constructor's.

        Raises
        ------
        ArgumentError
            If there are other numbers than series and columns, or one is not finite.
        """
        new = self._checked(y, (len(self.ids), self._rows.n_channels), "y", "series, targets")
        missing = np.isnan(new)
        if missing.any():
            if self._learner is not None:
                raise ArgumentError(f"y={y!r} holds NaN: a stream that learns takes none; use stream() without learn=.")
            if not self._fills:
                raise ArgumentError(
                    f"y={y!r} holds NaN: give a value, or fit with missing='own_output', which stands for it."
                )
            known = None if self._inputs is None else self._checked_inputs(x)[:, None, self._n_past :]
            new = np.where(missing, self._ahead(1, known)[:, 0], new)
        if self._inputs is not None:
            self._inputs.push(self._checked_inputs(x))
        elif x is not None:
            raise ArgumentError("x: the forecaster was fitted without inputs; leave it out.")
        self._values.push(new)
        lags = None if self._quick is None else self._quick.push(new)
        self._lengths = np.minimum(self._lengths + 1, self._need)
        self.n_observed += 1
        if self._learner is not None:
            self._learn(self._learner, lags)
        return self

    def forecast(self, horizon: int | None = None, *, future: Any = None) -> FloatArray:
        """Return the forecasts after the last sample, those of ``predict`` on the rows so far.

        Parameters
        ----------
        horizon : int, optional
            The forecaster's own by default.
        future : array-like (H, F) of one series, or (S, H, F), optional
            The ``future_exog`` of the steps ahead.

        Returns
        -------
        (H,) of one series, else (S, H); of several targets (H, C) or (S, H, C)
            Original units.

        Raises
        ------
        FutureExogError
            If inputs that must be known over the horizon are not given.
        """
        steps = self._horizon if horizon is None else check_count("horizon", horizon)
        n_future = len(self._rows.columns.future_exog)
        known = None
        if n_future:
            if future is None:
                raise FutureExogError(
                    f"future_exog={list(self._rows.columns.future_exog)!r} must be known over the horizon: give "
                    f"forecast(future=array) of {steps} steps and {n_future} columns."
                )
            known = self._checked(future, (len(self.ids), steps, n_future), "future", "series, steps, columns")
        elif future is not None:
            raise ArgumentError("future: the forecaster was fitted without future_exog; leave it out.")
        yhat = self._ahead(steps, known)
        if self._rows.n_channels == 1:
            yhat = yhat[:, :, 0]
        return yhat[0] if len(self.ids) == 1 else yhat

    @property
    def _n_past(self) -> int:
        return len(self._rows.columns.past_exog)

    def _learn(self, learner: Following, lags: tuple[FloatArray, FloatArray] | None) -> None:
        """Learn from the sample that came last: from its lags (S, D) and itself (S, 1), else from the last rows."""
        if lags is not None:
            x, y = (torch.from_numpy(part)[:, None] for part in lags)
            own = np.arange(len(x))
        else:
            store = self._rolling.store_of(self._panel())
            # Of a series that has just begun lags are not all there.
            own = np.flatnonzero(store.lengths - 1 - store.first >= self._rolling.model.layout.reach)
            batch = store.batch(own[:, None], store.lengths[own][:, None] - 2, horizon=1)
            x, y = rows_of(self._rolling.model.layout, batch, 1)
        if self._rolling.pooled:
            x, y, own = x.reshape(1, -1, x.shape[2]), y.reshape(1, -1, y.shape[2]), np.zeros(1, dtype=np.int64)
        learner.take_in(own, x, y)
        if self.n_observed % self._need == 0:
            self._follow_range()

    def _follow_range(self) -> None:
        """Let the guard know the last rows, before they are gone."""
        store = self._rolling.store_of(self._panel())
        guard = self._rolling.guard
        met = Guard.learn(store, np.arange(len(store.lengths)), store.lengths, factor=guard.factor)
        self._rolling = replace(self._rolling, guard=guard.joined(met))
        if self._quick is not None:
            self._quick.holds(self._rolling)

    def _ahead(self, steps: int, known: FloatArray | None) -> FloatArray:
        """Return forecasts (S, H, C)."""
        if self._learner is not None and self.n_observed:
            model = self._learner.map()
            if model is not self._rolling.model:
                self._rolling = replace(self._rolling, model=model)
                if self._quick is not None:
                    self._quick.maps(self._rolling)
        if self._quick is not None:
            found = self._quick.forecast(steps)
            if found is not None:
                return found[:, :, None]
        if self._learner is not None:
            self._follow_range()
        panel = self._panel()
        index = panel.last_rows()
        if known is not None:
            panel = panel.extended(steps, known)
        return self._rolling.forecast(panel, index, steps)[0]

    def _panel(self) -> Panel:
        """Return the last rows of all series as a panel."""
        rows = self._rows
        start = rows.ticks(np.arange(rows.n_series), rows.lengths + self.n_observed - self._lengths)
        indptr = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        values, inputs = self._values.flat(self._lengths), np.empty((0, 0))
        if self._inputs is not None:
            inputs = self._inputs.flat(self._lengths)
        return replace(rows, values=values, indptr=indptr, start=start, inputs=inputs, filled=np.empty((0, 0)))

    def _checked_inputs(self, x: Any) -> FloatArray:
        columns = (*self._rows.columns.past_exog, *self._rows.columns.future_exog)
        if x is None:
            raise ArgumentError(f"x: the forecaster reads {list(columns)!r}; give observe(y, x) their values.")
        return self._checked(x, (len(self.ids), len(columns)), "x", "series, columns")

    def _checked(self, given: Any, shape: tuple[int, ...], name: str, axes: str) -> FloatArray:
        found = np.array(given, dtype=np.float64)
        if found.size != np.prod(shape) or found.shape not in (shape, shape[1:], shape[:-1], shape[1:-1]):
            raise ArgumentError(f"{name} has the shape {found.shape}; expected {shape} ({axes}).")
        if np.isinf(found).any() or (name != "y" and np.isnan(found).any()):
            raise ArgumentError(f"{name} holds a value that is not finite; expected numbers.")
        return found.reshape(shape)


class _Ring:
    """The last rows of S series side by side: the newest is written behind the others, which move once in a while."""

    def __init__(self, rows: FloatArray, indptr: IntArray, size: int) -> None:
        n_series, width = len(indptr) - 1, rows.shape[1]
        self.size, self._end = size, size
        self._data = np.zeros((n_series, 2 * size + 1, width))
        for own, first, stop in zip(self._data, indptr[:-1], indptr[1:], strict=True):
            last = rows[max(first, stop - size) : stop]
            own[size - len(last) : size] = last

    def push(self, new: FloatArray) -> None:
        """Take in a row of each series, (S, width)."""
        if self._end == self._data.shape[1]:
            self._data[:, : self.size] = self._data[:, self._end - self.size : self._end]
            self._end = self.size
        self._data[:, self._end] = new
        self._end += 1

    def last(self, count: int) -> FloatArray:
        """Return a view of the last rows, (S, count, width)."""
        return self._data[:, self._end - count : self._end]

    def flat(self, lengths: IntArray) -> FloatArray:
        """Return the last rows of each series, so many, one series after the other."""
        whole = self.last(self.size)
        if (lengths == self.size).all():
            return whole.reshape(-1, whole.shape[2]).copy()
        return np.concatenate([own[self.size - n :] for own, n in zip(whole, lengths, strict=True)])


class _Quick:
    """The closed loop of linear maps of one target's lags in numpy, for series whose whole context is there."""

    def __init__(self, rolling: Rolling, rows: Panel) -> None:
        chain, reach = rolling.chain, rolling.model.layout.reach
        place = np.array([rolling.position[name] for name in rows.id_list], dtype=np.int64)
        self._place, self._reach, self._lags = place, reach, reach - np.array(rolling.model.layout.lags[::-1])
        self.maps(rolling)
        self.holds(rolling)
        self._one = len(place) == 1
        self._relative = rolling.scaling == "last"
        self._chain, self._series = chain.take(place), torch.arange(len(place))[None]
        self._params = [torch.from_numpy(p) for p in self._chain.params]
        stages = self._chain.stages(rows.values, rows.indptr)
        lags = [t.rows_lost for t in chain.transforms]
        sizes = [max(lag, 1) for lag in lags] + [max(reach, 1)]
        self._rings = [_Ring(s.numpy(), rows.indptr, size) for s, size in zip(stages, sizes, strict=True)]
        # Rows for which a transform has moved a value that is read: what is said of these, the plain way says.
        self._moved = 0
        self._may_move = [type(t).clamped is not Transform.clamped for t in chain.transforms]

    @staticmethod
    def of(rolling: Rolling, rows: Panel) -> _Quick | None:
        """Return what forecasts quickly, None where the map, or what is there of the past, is not plain."""
        model = rolling.model
        layout = model.layout
        plain = isinstance(model, Linear) and model.weight.dtype == torch.float64 and model.weight.device.type == "cpu"
        plain = (
            plain and not layout.features and not layout.has_inputs and len(layout.channels) == 1 and not layout.ahead
        )
        plain = plain and layout.n_step_groups == 1 and rolling.scaling in (None, "last") and layout.reach > 0
        whole = bool((rows.lengths >= rolling.context_length + rolling.chain.rows_lost).all())
        if not plain or not whole or np.isnan(rows.values).any():
            return None
        return _Quick(rolling, rows)

    def maps(self, rolling: Rolling) -> None:
        """Take over the weights of a roll-out."""
        weight = rolling.model.weight.detach().numpy()[:, :, 0]
        spread = np.zeros((len(weight), self._reach))
        spread[:, self._lags] = weight
        group = np.zeros_like(self._place) if rolling.pooled else self._place
        self._weight, self._bias = spread[group], rolling.model.bias.detach().numpy()[group, 0]

    def holds(self, rolling: Rolling) -> None:
        """Take over the bounds of a roll-out."""
        guard = rolling.guard.take(self._place)
        self._low, self._high = guard.low, guard.high
        self._level_low, self._level_high = guard.level_low, guard.level_high
        self._guarded = bool(np.isfinite(guard.factor))

    def push(self, new: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Take in a value of each series, (S, 1), original units, and return its lags (S, D) and itself, as fed."""
        past = self._rings[-1].last(self._reach)[:, :, 0]
        level = past[:, -1:] if self._relative else 0.0
        lags = past[:, self._lags] - level
        self._moved = max(0, self._moved - 1)
        for k, transform in enumerate(self._chain.transforms):
            if isinstance(transform, Difference):
                later = new - self._rings[k].last(transform.lag)[:, 0]
            else:
                value = torch.from_numpy(new)
                if self._may_move[k] and bool(transform.clamped(value, self._params[k]).any()):
                    self._moved = self._reach + self._chain.rows_lost
                later = transform.forward(value, self._params[k]).numpy()
            self._rings[k].push(new)
            new = later
        self._rings[-1].push(new)
        return lags, new - level

    def forecast(self, steps: int) -> FloatArray | None:
        """Return forecasts (S, H); None where the guard, or a value that was moved, has a say."""
        if self._moved:
            return None
        reach, weight = self._reach, self._weight
        past = self._rings[-1].last(reach)[:, :, 0]
        level = past[:, -1:] if self._relative else 0.0
        fed = np.empty((len(past), reach + steps))
        fed[:, :reach] = past - level
        if self._one:
            row, w, b = fed[0], weight[0], self._bias[0]
            for h in range(steps):
                row[reach + h] = row[h : h + reach] @ w + b
        else:
            for h in range(steps):
                fed[:, reach + h] = np.einsum("sr,sr->s", fed[:, h : h + reach], weight) + self._bias
        z: FloatArray = fed[:, reach:] + level
        if self._guarded:
            seen = np.concatenate([past[:, -1:], z], axis=1)
            if not ((seen >= self._low) & (seen <= self._high)).all():
                return None
        if not self._chain.transforms:
            return z
        tails = [
            torch.from_numpy(ring.last(t.lag))[None] if isinstance(t, Difference) else None
            for t, ring in zip(self._chain.transforms, self._rings, strict=False)
        ]
        levels: FloatArray = self._chain.inverse(torch.from_numpy(z)[None, :, :, None], self._series, tails).numpy()[
            0, :, :, 0
        ]
        low, high = self._level_low, self._level_high
        if not self._guarded or low is None or high is None or ((levels >= low) & (levels <= high)).all():
            return levels
        return None
