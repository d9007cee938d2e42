"""Sample paths: draws of what may come, step by step, each fed back before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.data.path_frame import write_paths
from tsforce.dynamics.draws import key_of, uniform
from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.models.corrected import Corrected
from tsforce.dynamics.models.each_step import EachStep
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.error_paths import paths_at_once
from tsforce.forecasting.parts import check_fitted, horizon_of
from tsforce.forecasting.path_residuals import RESIDUAL_ROWS, one_step_residuals
from tsforce.forecasting.rolling import Rolling, warn_of_excursions
from tsforce.forecasting.saving import check_rows_kept
from tsforce.forecasting.side_by_side import SideBySide
from tsforce.training.closed_loop import forecast_windows

__all__ = ["DrawsPaths"]

# Bytes of shocks and outputs that are drawn at once, and paths of a series.
_CHUNK_BYTES, _PATHS = 32 * 2**20, 5000
# What a fit that was fed observed rows alone was called.
_LEARNT_FROM_TRUTH = frozenset({"open_loop", OpenLoop.__name__})
# From the id of a series to what its paths are drawn with.
Drawn = Callable[[Any], FloatArray]


class DrawsPaths(SideBySide):
    """What forecasters have that roll one step model out: sample paths."""

    _rolling_: Rolling
    kept_mode_: Any

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
        """Return draws of whole futures: closed-loop roll-outs in which each step is fed back with an error.

        (Of a map for each step, as of ``strategy="direct"``, and of a network or regressor that learnt from its own
        outputs, they are drawn as ``Forecaster.sample_paths`` says: what such a model does with an error that it is fed
        was never learnt.)

        An error is drawn from the one-step errors of the training rows in model units, of the series' own where there
        are enough; those of several targets are drawn together. What is fed back is the output with its error; the
        transforms are inverted after that. Without errors a path is the forecast of ``predict``. A model with a head
        (``NARXForecaster(head=...)``) is fed draws of its laws in their place.

        Parameters
        ----------
        n_paths, horizon, future_df, history, random_state
            As in ``Forecaster.sample_paths``; draws depend on the step too, and more paths go on from fewer.
        block_length : int, optional
            Steps whose errors are drawn as they followed each other, the end of the training rows going on at their
            start (circular blocks: Politis & Romano 1992), at most the horizon. By default the cube root of the number
            of errors (Hall, Horowitz & Jing 1995): errors of a map that a ridge has shrunk lean the same way for a
            while, and paths of errors drawn one by one spread too little. 1 draws them one by one. Not of a head.

        Returns
        -------
        DataFrame
            As from ``Forecaster.sample_paths``.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If an argument is not accepted, or no training row has an error to draw.
        UnseenSeriesError, FutureExogError
            As from ``predict``.

        Warns
        -----
        DivergenceWarning
            If paths leave the range that their series have shown by far.

        Notes
        -----
        Errors are of the last 2000 training rows of each series, as they are, outliers too; their mean is kept in so
        far as it is more than chance, as where a map of all series errs on one side of some. Those of a linear map
        per series are widened for the parameters that were fitted to them. The parameters themselves are taken as they
        were learnt. Series are drawn independently of each other.

        Examples
        --------
        >>> from tsforce import Log, NARXForecaster
        >>> from tsforce.datasets import load
        >>> model = NARXForecaster(12, 24, scope="local", target_transforms=[Log()]).fit(load("airpassengers"))
        >>> paths = model.sample_paths(200)
        >>> paths.columns.tolist(), len(paths)
        (['unique_id', 'ds', 'horizon', 'path', 'NARXForecaster'], 2400)
        """
        check_fitted(self)
        count = check_count("n_paths", n_paths)
        random_state = check_count("random_state", random_state, least=0)
        block = None if block_length is None else check_count("block_length", block_length)
        if self._errs_in_the_past():
            return super().sample_paths(
                count, horizon=horizon, future_df=future_df, history=history, random_state=random_state,
                block_length=block,
            )  # fmt: skip
        if not isinstance(self._rolling_.model, Headed):
            check_rows_kept(self, "_learnt_from_", "sample_paths")
        steps = horizon_of(self, horizon)
        panel, index, scenarios = self._asked_windows(steps, future_df, history)
        drawn = self._drawn(steps, count, random_state, block)
        if drawn is None:
            raise ArgumentError("no training row has a one-step error to draw; fit on longer series.")
        whole, windows = self._rolling_.joined(self._rows_, panel, index)
        values, counts = _draw(self._rolling_, drawn, whole, windows, steps, count)
        return write_paths(panel, index, values, self.name, counts=counts, scenarios=scenarios)

    def _drawn(self, steps: int, count: int, random_state: int, block: int | None) -> Drawn | None:
        """Return what paths of each series are drawn with; None without any error to draw.

        Errors of training rows, (P, H, C); of a model with a head uniform numbers, (P, H, C, 2).
        """
        model = self._rolling_.model
        if isinstance(model, Headed):
            if block is not None:
                raise ArgumentError(
                    f"block_length={block}: paths of head={model.head.name!r} are drawn from its laws, step by step, "
                    f"not in blocks of errors; leave block_length out."
                )
            shape = count, steps, len(model.layout.channels), 2

            def numbers(name: Any) -> FloatArray:
                key = torch.tensor([key_of(random_state, "paths", name)])
                own: FloatArray = uniform(key, [1], *shape)[0].numpy()
                return own

            return numbers
        own_steps = horizon_of(self, None)
        residuals = one_step_residuals(self._rolling_, self._residual_rows(), own_steps, self._ridge_of_maps())

        def errors(name: Any) -> FloatArray:
            own = residuals.of(self._rolling_.position.get(name, -1))
            return residuals.values[_picked(key_of(random_state, "paths", name), *own, steps, count, block)]

        return errors if len(residuals.values) else None

    def _errs_in_the_past(self) -> bool:
        """Return whether errors at past cutoffs are drawn, since what one does to later steps was not learnt.

        Each step has a map of its own, or the model was fed its own outputs, which have none, and is no linear map,
        which answers to an error as to anything else.
        """
        model = self._rolling_.model
        if isinstance(model, Headed | Linear):
            return False
        return isinstance(model, EachStep | Corrected) or not _LEARNT_FROM_TRUTH.issuperset(self._kept_modes())

    def _kept_modes(self) -> list[str]:
        kept = self.kept_mode_
        return [kept] if isinstance(kept, str) else list(kept.values())

    def _paths_at(
        self, panel: Panel, index: WindowIndex, yhat: FloatArray, n_paths: int, random_state: int, rows: Panel | None
    ) -> Iterator[tuple[slice, FloatArray]]:
        steps = yhat.shape[1]
        drawn = None if self._errs_in_the_past() else self._drawn(steps, n_paths, random_state, None)
        if drawn is None:
            yield from super()._paths_at(panel, index, yhat, n_paths, random_state, rows)
            return
        panel = self.read(panel)
        for part in paths_at_once(len(index), n_paths * steps * panel.n_channels):
            own = WindowIndex(index.series[part], index.rows[part])
            whole, windows = self._rolling_.joined(self._rows_, panel, own)
            yield part, _draw(self._rolling_, drawn, whole, windows, steps, n_paths)[0]

    def _residual_rows(self) -> Panel:
        """Return the last rows that were learnt from, of which the errors are taken."""
        panel: Panel = self._learnt_from_
        return panel.windows(panel.last_rows(), length=self._rolling_.rows_read(RESIDUAL_ROWS))

    def _ridge_of_maps(self) -> FloatArray | None:
        """Return the ridge of each series' own map, None where there are none."""
        return None


def _draw(
    rolling: Rolling, drawn: Drawn, panel: Panel, index: WindowIndex, horizon: int, n_paths: int
) -> tuple[FloatArray, dict[str, int]]:
    """Return paths (W, P, H, C) in original units, and how many of them were clipped."""
    values = np.empty((len(index), n_paths, horizon, panel.n_channels))
    at_once = max(1, _CHUNK_BYTES // (16 * n_paths * horizon * panel.n_channels))
    outside = held = 0
    for here, part in rolling.parts(panel, index, horizon):
        place = np.flatnonzero(here)
        for start in range(0, len(place), at_once):
            now = slice(start, start + at_once)
            shocks = np.stack([drawn(panel.id_list[i]) for i in index.series[place[now]]])
            own = WindowIndex(part.index.series[now], part.index.rows[now])
            for first in range(0, n_paths, _PATHS):
                paths = slice(first, first + _PATHS)
                found, met = forecast_windows(
                    part.store, rolling.model, part.guard, own, horizon, groups=part.groups, shocks=shocks[:, paths]
                )
                values[place[now], paths] = found.reshape(len(own), -1, *found.shape[1:])
                outside += int(met.outside.any(axis=1).sum())
                held += int(met.held.any(axis=1).sum())
    rolling.warn_of_contexts(panel, index, 0)
    if outside:
        warn_of_excursions(outside, held, len(index) * n_paths, rolling.guard.factor, what="paths")
    return values, {"clipped_paths": held}


def _picked(key: int, first: int, count: int, horizon: int, n_paths: int, block: int | None) -> IntArray:
    """Return which of `count` errors from the first one on are drawn at each step of the paths of a series, (P, H)."""
    length = min(horizon, max(1, round(count ** (1 / 3))) if block is None else block)
    begin = (uniform(torch.tensor([key]), [0], n_paths, -(-horizon // length))[0].numpy() * count).astype(np.int64)
    steps = np.arange(horizon)
    picked: IntArray = first + (begin[:, steps // length] + steps % length) % count
    return picked
