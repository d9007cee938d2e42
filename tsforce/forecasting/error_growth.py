"""The companion map along the forecasts of a fitted step model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tsforce.data.panel import IntArray, Panel, WindowIndex
from tsforce.data.windows import WindowBatch
from tsforce.dynamics.companion import companion, map_shape
from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.rollout import rollout
from tsforce.forecasting.rolling import Part, Rolling
from tsforce.scoring.cutoffs import even_draw
from tsforce.training.closed_loop import as_dtype, dtype_of

__all__ = ["companion_of"]

FloatArray = npt.NDArray[np.float64]

# Bytes of derivatives at once.
_CHUNK_BYTES = 32 * 2**20
# What eigenvalues may cost for each window, up to a number of windows: matrices times size cubed, about .03 seconds.
# What derivatives may cost in all: values that come out squared, times those that go in, times steps, a few seconds.
# A few of both are always taken.
_WORK, _MOST_WINDOWS, _LEAST = 1e7, 100, 8
_MOST_DERIVATIVES = 3e9


def companion_of(rolling: Rolling, panel: Panel, index: WindowIndex, horizon: int) -> FloatArray:
    """Return the median and largest radius and the growth of each window, (W, 3); NaN where there is no map.

    As many radii are taken as cost a few seconds in all, at steps that are spread evenly; where one for each window
    costs more, so are the windows that are looked at, and the others' rows are NaN.

    Parameters
    ----------
    rolling : Rolling
    panel : Panel
        No row of the target after a cutoff is read.
    index : WindowIndex, W windows
    horizon : int
    """
    found = np.full((len(index), 3), np.nan)
    for here, part in rolling.parts(panel, index, horizon):
        chosen = np.arange(len(part.index))
        model, batch = _windows(rolling, part, chosen[:1], horizon)
        rows, size = map_shape(model, batch.past)
        n_maps = max(_LEAST, int(min(len(chosen), _MOST_WINDOWS) * _WORK / size**3))
        most = min(n_maps, max(_LEAST, int(_MOST_DERIVATIVES / (rows**2 * size * horizon))))
        chosen = even_draw(len(chosen), most)
        at_once = max(1, int(_CHUNK_BYTES / (8 * horizon * rows * size)))
        for start in range(0, len(chosen), at_once):
            now = chosen[start : start + at_once]
            model, batch = _windows(rolling, part, now, horizon)
            dtype = dtype_of(model)
            past, inputs = batch.past.to(dtype), as_dtype(batch.inputs, dtype)
            with torch.inference_mode():
                z, fed = rollout(model, past, horizon, ClosedLoop(), inputs=inputs)
                hold = part.guard.look(z, fed, model, batch)
            maps = companion(
                model, past, horizon, inputs=inputs, bounds=None if hold is None else hold.bounds,
                looks=max(1, n_maps // len(chosen)),
            )  # fmt: skip
            if maps is None:
                return found
            radius = maps.radius.reshape(len(now), -1)
            each = (radius.quantile(0.5, dim=1), radius.amax(dim=1), maps.growth.flatten())
            found[np.flatnonzero(here)[now]] = torch.stack(each, dim=1).numpy()
    return found


def _windows(rolling: Rolling, part: Part, chosen: IntArray, horizon: int) -> tuple[Any, WindowBatch]:
    """Return some windows, and the model that forecasts them: for scope="local", a group for each window."""
    series, rows = part.index.series[chosen], part.index.rows[chosen]
    if part.groups is None:
        return rolling.model, part.store.batch(series[None], rows[None], horizon, truth=False)
    model = rolling.model.groups(torch.from_numpy(part.groups[series]))
    return model, part.store.batch(series[:, None], rows[:, None], horizon, truth=False)
