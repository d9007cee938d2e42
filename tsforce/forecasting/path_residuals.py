"""One-step errors of training rows: what sample paths are drawn with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex, ragged_rows
from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.lags import known_inputs, lag_vector
from tsforce.dynamics.models.base import WarmsUp
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.rollout import rollout
from tsforce.forecasting.past_errors import beyond_chance
from tsforce.forecasting.rolling import Rolling
from tsforce.training.closed_loop import as_dtype, chunks, dtype_of

__all__ = ["RESIDUAL_ROWS", "Residuals", "one_step_residuals"]

# Last training rows of each series whose errors are kept to draw from.
RESIDUAL_ROWS = 2000
# A series that shares its model with others, and has fewer errors of its own than this, draws from those of all.
_FEW = 20
# Largest factor that makes up for what a fit has taken from its errors.
_MOST_WIDENED = 3.0


@dataclass(frozen=True, eq=False)
class Residuals:
    """One-step errors, observed less output, of some series one after another.

    Attributes
    ----------
    values : (N, C) float64
        Model units, in order of time; their mean over each series is 0, but for what is more than chance.
    first, count : (S,) int64
        Where the errors that each fitted series draws from begin, and how many they are.
    """

    values: FloatArray
    first: IntArray
    count: IntArray

    def of(self, position: int) -> tuple[int, int]:
        """Return where the errors of a fitted series begin, and how many; -1 is a series that was not fitted."""
        return (0, len(self.values)) if position < 0 else (int(self.first[position]), int(self.count[position]))


def one_step_residuals(rolling: Rolling, panel: Panel, horizon: int, ridge: FloatArray | None) -> Residuals:
    """Return the one-step errors of the last training rows.

    Parameters
    ----------
    rolling : Rolling
    panel : Panel
        The last training rows of all fitted series, in the order of the fit, with what the first of them reads.
    horizon : int
        H, the steps for which a model with a state is rolled out from each context.
    ridge : (S,) float64, optional
        Penalty of each series' linear map. Its errors are then widened by ``sqrt(n / (n - p))``, p being the effective
        number of its parameters, ``tr((X'X + ridge)^-1 X'X)`` and the intercept: rows that were learnt from have
        smaller errors than rows to come (Stine 1987, Estimating properties of autoregressive forecasts, Journal of the
        American Statistical Association 82).

    Notes
    -----
    Each row is forecast from the row before it, from a context as a forecast sees it, and window by window in the units
    of that context. Where a state takes the context in, that costs as much as so many steps: there a cutoff serves the
    H rows after it, fed observed targets, which are in its units as the errors of a path's steps are. Rows on which a
    target was not observed, or whose context has no unit, have no error.
    """
    steps = horizon if isinstance(rolling.model, WarmsUp) else 1
    least = rolling.chain.rows_lost + rolling.model.layout.reach
    counts = np.maximum(panel.lengths - least, 0)
    cutoffs = -(-counts // steps)
    series = np.repeat(np.arange(panel.n_series), cutoffs)
    index = WindowIndex(series, least - 1 + steps * ragged_rows(np.zeros_like(cutoffs), cutoffs))
    found = np.full((len(index), steps, panel.n_channels), np.nan)
    for here, part in rolling.parts(panel, index, steps) if len(index) else ():
        own = found[here]
        dtype = dtype_of(rolling.model)
        for chunk in chunks(part.store, rolling.model, part.index, steps, part.groups):
            with torch.inference_mode():
                batch = part.store.batch(chunk.series, chunk.rows, steps)
                assert batch.future is not None
                assert batch.future_mask is not None
                past, inputs, future = batch.past.to(dtype), as_dtype(batch.inputs, dtype), batch.future.to(dtype)
                z, _ = rollout(
                    chunk.model, past, steps, OpenLoop(), future=future, future_mask=batch.future_mask, inputs=inputs
                )
                known = batch.future_mask & (batch.scale != 0)
                error = torch.where(known, (batch.future - z).double(), torch.nan)
                if ridge is not None and isinstance(chunk.model, Linear):
                    now = known_inputs(chunk.model.layout, inputs, 1)
                    x = lag_vector(chunk.model.layout, past, past.shape[2], None if now is None else now[:, :, 0])
                    learnt = known[:, :, 0].all(dim=2) & torch.from_numpy(chunk.real).to(known.device)
                    wider = _widening(x, learnt, torch.from_numpy(ridge[chunk.series[:, 0]]))
                    error = error * wider[:, None, None, None]
            own[chunk.where[chunk.real]] = error.cpu().numpy()[chunk.real]
        found[here] = own
    errors, series = found.reshape(-1, panel.n_channels), np.repeat(series, steps)
    whole = ~np.isnan(errors).any(axis=1)
    errors, series = errors[whole], series[whole]
    count = np.bincount(series, minlength=panel.n_series)
    first = np.concatenate([[0], np.cumsum(count)])[:-1]
    for channel in errors.T:
        mean, square = (
            np.bincount(series, part, panel.n_series) / np.maximum(count, 1) for part in (channel, channel**2)
        )
        channel -= (mean - beyond_chance(mean, square - mean**2, count))[series]
    few = count < (_FEW if rolling.pooled else 1)
    return Residuals(errors, np.where(few, 0, first), np.where(few, len(errors), count))


def _widening(x: Tensor, learnt: Tensor, ridge: Tensor) -> Tensor:
    """Return by how much errors of G linear maps are widened, (G,); from lag vectors (G, B, D), and which count."""
    known = learnt[..., None].to(x.dtype)
    count = known.sum(dim=1, keepdim=True).clamp(min=1)
    x = torch.where(learnt[..., None], x, 0.0)
    x = (x - x.sum(dim=1, keepdim=True) / count) * known
    gram = x.mT @ x
    spread = (gram.diagonal(dim1=1, dim2=2) / count[:, 0]).sqrt()
    unit = torch.where(spread > 0, 1 / spread, 0.0)
    gram = unit[:, :, None] * gram * unit[:, None]
    eye = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    n = count[:, 0, 0].to(gram.dtype)
    # Collinear columns at ridge 0 have one parameter between them: so small a penalty tells that, and changes no other.
    penalty = ridge.to(gram) + 1e-9 * n
    lower = torch.linalg.cholesky(gram + penalty[:, None, None] * eye)
    inverse = torch.linalg.solve_triangular(lower, eye.expand_as(gram), upper=False)
    effective = 1 + gram.shape[1] - penalty * inverse.square().sum(dim=(1, 2))
    factor: Tensor = (n / (n - effective).clamp(min=1e-9)).sqrt().clamp(max=_MOST_WIDENED)
    return factor
