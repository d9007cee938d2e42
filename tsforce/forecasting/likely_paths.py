"""The most likely paths of a forecaster whose laws are bins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tsforce.data.convert import in_kind
from tsforce.data.path_frame import write_paths
from tsforce.dynamics.beam import likeliest
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.heads.quantised import Quantised
from tsforce.errors import ArgumentError
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.parts import check_fitted, horizon_of
from tsforce.forecasting.rolling import Part
from tsforce.training.closed_loop import as_dtype, dtype_of, repeated_windows

__all__ = ["HasLikelyPaths"]


class HasLikelyPaths:
    """The part of a forecaster that searches paths by their probability."""

    def most_likely_paths(
        self: Any,
        n_paths: int = 5,
        *,
        width: int = 64,
        horizon: int | None = None,
        future_df: Any = None,
        history: Any = None,
    ) -> Any:
        """Return the most likely whole futures of a model with ``head="quantised"``, by beam search.

        The most likely path is no forecast of each step: where two futures are about as likely, the mean lies between
        them, and the path is one of the two (docs/heads.md).

        Parameters
        ----------
        n_paths : int
            How many at most.
        width : int
            Of hypotheses that end alike, as far back as the lags reach, the `n_paths` likeliest are kept, and so many
            endings: exact where there are no more. 1 with one path goes on from the likeliest bin each time (greedy).
        horizon, future_df, history
            As in `predict`.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon, path (1 the most likely), <name>, log_probability (of the whole path, of bins given
            the rows up to the cutoff); original units. Where there are fewer paths than asked for, fewer come back.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If the head has no bins, or there are several targets.

        Notes
        -----
        Each series is searched by itself, in one roll-out of at most ``n_paths * width`` hypotheses. Paths are bins
        that training rows have filled, so no guard holds them.

        Examples
        --------
        >>> import pandas as pd
        >>> from tsforce import NARXForecaster, Training
        >>> from tsforce.models import Quantised
        >>> df = pd.DataFrame({"ds": range(60), "y": [1.0, 2.0, 4.0] * 20})
        >>> model = NARXForecaster(
        ...     3, [1], model="mlp", head=Quantised(n_bins=3), window_scaling=None, max_steps=40, mode="open_loop",
        ...     training=Training(validation=False, learning_rate=0.05),
        ... ).fit(df)
        >>> model.most_likely_paths(1)["NARXForecaster"].round(6).tolist()
        [1.0, 2.0, 4.0]
        """
        check_fitted(self)
        count, wide = check_count("n_paths", n_paths), check_count("width", width)
        model = self._rolling_.model
        if not (isinstance(model, Headed) and isinstance(model.head, Quantised)):
            raise ArgumentError(
                "most_likely_paths searches over bins: fit with head='quantised'. Of other models, draw paths with "
                "sample_paths."
            )
        if len(model.layout.channels) > 1:
            raise ArgumentError(
                f"most_likely_paths is for one target, and this model has {len(model.layout.channels)}: fit each by "
                f"itself, target_col={model.layout.channels[0]!r}."
            )
        steps = horizon_of(self, horizon)
        panel, index, scenarios = self._asked_windows(steps, future_df, history)
        whole, windows = self._rolling_.joined(self._rows_, panel, index)
        values = np.full((len(index), count, steps, 1), np.nan)
        logs = np.full((len(index), count), -np.inf)
        for here, part in self._rolling_.parts(whole, windows, steps):
            for place, i in enumerate(np.flatnonzero(here)):
                own, log = _of_window(model, part, place, steps, count, wide)
                values[i, : len(own), :, 0], logs[i, : len(own)] = own, log
        frame = write_paths(replace(panel, kind="pandas"), index, values, self.name, counts={}, scenarios=scenarios)
        frame["log_probability"] = np.repeat(logs.ravel(), steps)
        frame = frame[frame["log_probability"] != -np.inf].reset_index(drop=True)
        return in_kind(frame, panel.kind)


def _of_window(model: Headed, part: Part, place: int, steps: int, n_paths: int, width: int) -> Any:
    """Return the likeliest paths after one window, (P, H) in original units, and their log-probabilities (P,)."""
    series, rows = (side[place : place + 1][None] for side in (part.index.series, part.index.rows))
    own: Any = model if part.groups is None else model.groups(torch.from_numpy(part.groups[series[0]]))
    dtype = dtype_of(model)
    with torch.inference_mode():
        batch = part.store.batch(series, rows, steps, truth=False)
        z, logs = likeliest(own, batch.past.to(dtype), as_dtype(batch.inputs, dtype), steps, n_paths, width)
        copies = len(z)
        levels = part.store.to_levels(
            z.double()[None, :, :, None], repeated_windows(batch, copies), np.repeat(rows, copies, axis=1)
        )
    return levels[0, :, :, 0].cpu().numpy(), logs.cpu().numpy()
