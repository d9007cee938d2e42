"""Sample paths of any forecaster: its forecasts, and errors that it made at past cutoffs.

Between two cutoffs a forecaster learns the steps in between, and changes its mind about those to come: its error at the
first cutoff is the sum of such revisions over the horizon (Heath & Jackson 1994, Modeling the evolution of demand
forecasts, IIE Transactions 26). A path adds up revisions of several pasts, each stretch of them as it was. That takes
no more of the forecaster than errors at cutoffs that follow each other, and makes many futures of few rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.data.path_frame import write_paths
from tsforce.dynamics.draws import key_of, uniform
from tsforce.errors import ArgumentError, IntervalWarning, abbreviate, warn
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.calibration import Calibration
from tsforce.forecasting.intervals import calibration_of, learnt_rows
from tsforce.forecasting.parts import check_fitted, horizon_of, values_of
from tsforce.scoring.metrics import has_scale

if TYPE_CHECKING:
    from tsforce.forecasting.base import Forecaster

__all__ = ["ErrorPaths", "error_paths", "paths_at_once"]

# A series with fewer errors of its own than this draws from those of all, by their scale.
_FEW = 20
# Numbers of the paths that are judged at a time.
_AT_ONCE = 8 * 2**20
# Errors of a series for each cutoff of a stretch: more of them let stretches be longer, up to whole horizons.
_PER_CUTOFF = 10
# The mean error is kept in so far as its square is more than so many times that of its chance.
_CHANCE = 2.0


class ErrorPaths:
    """What every forecaster has: sample paths from its errors at past cutoffs."""

    def sample_paths(
        self,
        n_paths: int = 500,
        *,
        horizon: int | None = None,
        future_df: Any = None,
        history: Any = None,
        random_state: int = 0,
        block_length: int | None = None,
    ) -> Any:
        """Return draws of whole futures: the forecast, and errors of forecasts at past cutoffs, in original units.

        The errors are those of intervals, ``predict(level=)``: closed loop, of clones that had not learnt from the rows
        that they forecast. Those of several targets are drawn together; what was never negative has no negative paths.

        Parameters
        ----------
        n_paths : int
            Paths for each series.
        horizon, future_df, history
            As in ``predict``; scenarios, name -> frame, are drawn with the same errors.
        random_state : int
            Draws depend on it, the series' id and the number of the path alone: a series drawn alone is drawn as among
            others.
        block_length : int, optional
            Steps whose errors are taken as they followed each other, at most the horizon. By default a tenth of the
            cutoffs: with ten for each step of the horizon, errors of whole horizons.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), path (1..n_paths), <name>; original units, ordered by series, path, horizon
            (of several targets, a column <name>-<target> for each). What to make of it: ``tsforce.paths``.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If an argument is not accepted.

        Warns
        -----
        IntervalWarning
            If there is no error to draw for a series: its paths are NaN.

        Examples
        --------
        >>> from tsforce import Baseline
        >>> from tsforce.datasets import load
        >>> paths = Baseline("ets", horizon=12).fit(load("airpassengers")).sample_paths(200)
        >>> paths.columns.tolist(), len(paths)
        (['unique_id', 'ds', 'horizon', 'path', 'ets'], 2400)
        """
        model = cast("Forecaster", self)
        check_fitted(model)
        count = check_count("n_paths", n_paths)
        random_state = check_count("random_state", random_state, least=0)
        block = None if block_length is None else check_count("block_length", block_length)
        steps = horizon_of(model, horizon)
        several = isinstance(future_df, Mapping)
        if several and not future_df:
            raise ArgumentError("future_df is an empty dict; give at least one scenario, name -> frame.")
        scenarios = dict(future_df) if several else {"": future_df}
        given = {} if history is None else {"history": history}
        frames = [
            model.predict(steps, **given, **({} if frame is None else {"future_df": frame}))
            for frame in scenarios.values()
        ]
        panel = learnt_rows(model) if history is None else model.read(history)
        panel = panel.take(np.tile(np.arange(panel.n_series), len(frames)))
        yhat = np.concatenate([values_of(model, frame, steps) for frame in frames])
        index = panel.last_rows()
        values = error_paths(model, panel, index, yhat, count, random_state, block)
        return write_paths(
            panel, index, values, model.name, counts={}, scenarios=list(scenarios) if several else None
        )  # fmt: skip

    def _paths_at(
        self, panel: Panel, index: WindowIndex, yhat: FloatArray, n_paths: int, random_state: int, rows: Panel | None
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Yield some of the windows at a time, and the paths (V, P, H, C) about their forecasts, which are in `yhat`.

        `rows` as for intervals.
        """
        for part in paths_at_once(len(index), n_paths * yhat[0].size if len(yhat) else 1):
            own = WindowIndex(index.series[part], index.rows[part])
            yield part, error_paths(cast("Forecaster", self), panel, own, yhat[part], n_paths, random_state, None, rows)


def paths_at_once(n_windows: int, numbers: int) -> Iterator[slice]:
    """Yield as many windows at a time as memory takes, each having paths of so many numbers."""
    step = max(1, _AT_ONCE // numbers)
    for start in range(0, n_windows, step):
        yield slice(start, min(start + step, n_windows))


def error_paths(
    model: Forecaster,
    panel: Panel,
    index: WindowIndex,
    yhat: FloatArray,
    n_paths: int,
    random_state: int,
    block: int | None,
    rows: Panel | None = None,
) -> FloatArray:
    """Return paths (W, P, H, C) about the forecasts (W, H, C) after some windows, original units.

    Parameters
    ----------
    rows : Panel, optional
        What the model learnt from, where it keeps no rows of its own.
    """
    steps = yhat.shape[1]
    calibration = calibration_of(model, steps, rows)
    scale, floor = calibration.of_windows(panel, index)
    pooled = _of_all(calibration, steps)
    values, none = np.empty((len(index), n_paths, *yhat.shape[1:])), []
    last, urn = -2, pooled
    for window, series in enumerate(index.series):
        name = panel.id_list[series]
        place = calibration.position.get(name, -1)
        if place != last:
            last, urn = place, pooled if place < 0 else _urn_of(calibration, place, steps, block, pooled)
        unit = scale[window] if urn.in_scales else np.ones_like(scale[window])
        if not len(urn.errors) or (urn.in_scales and not has_scale(unit).all()):
            values[window], unit = np.nan, np.full_like(unit, np.nan)
            none.append(name)
            continue
        drawn = urn.draw(key_of(random_state, "paths", name), n_paths)
        values[window] = np.maximum(yhat[window] + unit * drawn, floor[window])
    if none:
        warn(
            f"series {abbreviate(dict.fromkeys(none))}: no error at past cutoffs to draw from, and the paths are NaN. "
            f"Fit on more rows or more series.",
            IntervalWarning,
        )
    return values


@dataclass(frozen=True, eq=False)
class _Urn:
    """Errors to draw from.

    Attributes
    ----------
    errors : (N, H, C) float64
        Over whole horizons.
    after : (N, H, C) float64
        The errors at the cutoffs `length` steps later, as far as they are of the same steps.
    length : int
        Steps of a stretch.
    shift : (H, C) float64
        What is added to each path, so that their mean is that of the errors in so far as it is more than chance.
    in_scales : bool
        In units of each series' scale, else in original ones.
    """

    errors: FloatArray
    after: FloatArray
    length: int
    shift: FloatArray
    in_scales: bool

    def draw(self, key: int, n_paths: int) -> FloatArray:
        """Return errors of paths, (P, H, C)."""
        count, horizon, _ = self.errors.shape
        stretches = -(-horizon // self.length)
        nth = (uniform(torch.tensor([key]), [0], n_paths, stretches)[0].numpy() * count).astype(np.int64)
        return self._sum([(self.errors[own], self.after[own]) for own in nth.T]) + self.shift

    def _sum(self, drawn: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
        """Return the sum of what was learnt in each stretch of the horizon."""
        horizon = self.errors.shape[1]
        total = drawn[0][0].copy()
        for number, (_, after) in enumerate(drawn[:-1], start=1):
            at = number * self.length
            total[..., at:, :] += drawn[number][0][..., : horizon - at, :] - after[..., : horizon - at, :]
        return total

    def centred(self, mean: FloatArray) -> _Urn:
        """Return an urn whose paths have this mean, (H, C)."""
        stretches = -(-self.errors.shape[1] // self.length)
        own = self._sum([(self.errors.mean(axis=0), self.after.mean(axis=0))] * stretches)
        return _Urn(self.errors, self.after, self.length, mean - own, self.in_scales)


def _urn_of(calibration: Calibration, place: int, steps: int, block: int | None, pooled: _Urn) -> _Urn:
    """Return the errors that a fitted series draws from: its own, or where they are few those of all."""
    own = _own(calibration, place, steps, block)
    enough = len(pooled.errors) >= _FEW and has_scale(calibration.scale[place]).all()
    few = len(own.errors) < (_FEW if enough else 1)
    return pooled if few else own


def _own(calibration: Calibration, place: int, steps: int, block: int | None) -> _Urn:
    errors, rows = calibration.errors[:, place, :steps], calibration.rows[:, place]
    whole = np.flatnonzero(~np.isnan(errors).any(axis=(1, 2)))
    stride, none = _stride(rows), np.zeros(errors.shape[1:])
    cutoffs = max(1, len(whole) // _PER_CUTOFF) if block is None else -(-block // stride)
    length = cutoffs * stride
    if length < steps:
        # Where one clone hands over to the next, cutoffs may be nearer to each other.
        on = whole[whole + cutoffs < len(rows)]
        on = on[rows[on + cutoffs] - rows[on] == length]
        after = np.zeros((len(on), steps, errors.shape[-1]))
        after[:, : steps - length] = errors[on + cutoffs, : steps - length]
        if len(on):
            return _Urn(errors[on], after, length, none, False).centred(_mean_of(errors, stride))
    urn = _Urn(errors[whole], np.zeros_like(errors[whole]), steps, none, False)
    return urn.centred(_mean_of(errors, stride)) if len(whole) else urn


def _of_all(calibration: Calibration, steps: int) -> _Urn:
    """Return the errors over whole horizons of all series, in units of each one's scale."""
    unit = np.where(has_scale(calibration.scale), calibration.scale, np.nan)[:, None]
    errors = (calibration.errors[:, :, :steps] / unit).reshape(-1, steps, calibration.scale.shape[1])
    errors = errors[~np.isnan(errors).any(axis=(1, 2))]
    return _Urn(errors, np.zeros_like(errors), steps, np.zeros(errors.shape[1:]), True)


def _stride(rows: IntArray) -> int:
    """Return the rows from one cutoff of a series to the next."""
    return int(np.diff(rows[rows >= 0]).max(initial=1))


def _mean_of(errors: FloatArray, stride: int) -> FloatArray:
    """Return the mean of errors (K, H, C) at each step, shrunk to 0 in so far as it may be chance.

    A positive-part James-Stein estimate over the steps, errors of step h being worth a hth of their number.
    """
    known = ~np.isnan(errors)
    count = known.sum(axis=0)
    mean = np.where(known, errors, 0.0).sum(axis=0) / np.maximum(count, 1)
    spread = np.where(known, errors - mean, 0.0)
    variance = (spread**2).sum(axis=0) / np.maximum(count, 1)
    worth = np.maximum(count * stride / np.arange(1, len(mean) + 1)[:, None], 1.0)
    ratio = np.divide(mean**2 * worth, variance, out=np.full_like(mean, np.inf), where=variance > 0).mean(axis=0)
    return np.asarray(mean * np.maximum(1.0 - _CHANCE / np.maximum(ratio, 1e-9), 0.0))
