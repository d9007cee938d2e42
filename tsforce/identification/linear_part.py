"""The linear part of a fitted model of a dynamic system, at an operating point."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tsforce.dynamics.companion import linearise
from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError

__all__ = ["LinearPart", "check_inputs", "linear_part_of"]

FloatArray = npt.NDArray[np.float64]

# Rows of constant inputs after which a system that comes to rest is near it; Newton's steps from there, and how near
# in units of the output's spread they are to bring it. Rest farther than that many of them from the mean is none: an
# integrator that rounding has made slightly stable comes to it after very long.
_ROWS, _STEPS, _NEAR, _FAR = 1000, 50, 1e-9, 100


class LinearPart(NamedTuple):
    """How a model answers small changes around an operating point, original units.

    ``y[t] - outputs = sum_l a[l - 1] (y[t - l] - outputs) + sum_k b[k] (u[t - k] - inputs)``, to first order, at rest.

    Attributes
    ----------
    a : (p, C, C) float64
        By the outputs 1 .. p rows before: ``a[l - 1, i, j]`` of output i by output j.
    b : (q, C, m) float64
        By the inputs 0 .. q - 1 rows before.
    inputs : (m,) float64
    outputs : (C,) float64

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce import NARXRegressor
    >>> u = np.random.default_rng(0).normal(size=(300, 1))
    >>> y = np.zeros(300)
    >>> for t in range(1, 300):
    ...     y[t] = 0.5 * y[t - 1] + u[t - 1, 0]
    >>> part = NARXRegressor(output_lags=1, input_lags=1, input_delay=1, mode="open_loop").fit(u, y).linear_part()
    >>> part.a.round(6).ravel().tolist(), part.b.round(6).ravel().tolist()
    ([0.5], [0.0, 1.0])
    """

    a: FloatArray
    b: FloatArray
    inputs: FloatArray
    outputs: FloatArray


def check_inputs(name: str, value: Any, count: int) -> FloatArray:
    """Return a value for each of so many inputs, (count,).

    Raises
    ------
    ArgumentError
        If it is not that.
    """
    try:
        inputs = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        inputs = np.empty(0)
    if inputs.shape != (count,) or not np.isfinite(inputs).all():
        raise ArgumentError(f"{name}={value!r}: expected {count} numbers, one for each input.")
    return inputs


def linear_part_of(regressor: Any, at: Any = None) -> LinearPart:
    """Return the linear part of a fitted ``NARXRegressor``.

    Parameters
    ----------
    regressor : NARXRegressor
    at : float or array_like, (m,), optional
        Values of the inputs, original units: the operating point is where the model comes to rest at them. By default
        inputs and outputs at their training means. A linear model has one linear part, wherever it is taken.

    Raises
    ------
    ArgumentError
        If `at` does not name a value for each input, the model has no linear part of this form, or does not come to
        rest there.
    """
    layout, coder = regressor.model_.layout, regressor._rolling_.coder
    centre, spread = coder.centre[0], coder.spread[0]
    mean, scale = np.atleast_1d(regressor.y_mean_), np.atleast_1d(regressor.y_scale_)
    inputs, z = centre.copy(), np.zeros(len(mean))
    if at is not None:
        inputs = check_inputs("at", at, len(centre))
        names = getattr(regressor, "feature_names_in_", None)
        still = np.tile(inputs, (_ROWS, 1))
        rest = regressor.simulate(still if names is None else pd.DataFrame(still, columns=names), "rest").y
        z = (np.reshape(rest, (_ROWS, len(mean)))[-1] - mean) / scale
    v = (inputs - centre) / spread
    output, by_fed, by_known = _derivatives(regressor, z, v)
    for _ in range(0 if at is None else _STEPS):
        error = output - z
        if not np.isfinite(error).all() or np.abs(error).max() < _NEAR:
            break
        # The pseudo-inverse leaves an integrator where it stands.
        z = z + np.linalg.pinv(np.eye(len(z)) - by_fed.sum(axis=0)) @ error
        output, by_fed, by_known = _derivatives(regressor, z, v)
    if at is not None and not (np.abs(output - z).max() < _NEAR and np.abs(z).max() < _FAR):
        raise ArgumentError(
            f"at={at!r}: the model does not come to rest at these inputs; choose some within its training range, or "
            f"leave at= out for the training means."
        )
    a = by_fed * scale[:, None] / scale
    b = _by_input(layout, by_known) * scale[:, None] / spread
    return LinearPart(a, b, inputs, mean + scale * z)


def _derivatives(regressor: Any, z: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the output (C,) and its derivatives (p, C, C), (C, Dk) where all is constant, model units."""
    model = regressor.model_
    columns = [c for c, (_, lags) in enumerate(model.layout.future_exog) for _ in lags]
    dtype = next((p.dtype for p in model.parameters()), torch.float64) if isinstance(model, torch.nn.Module) else None
    past = torch.from_numpy(np.tile(z, (1, 1, model.layout.reach, 1))).to(dtype or torch.float64)
    found = linearise(model, past, torch.from_numpy(v[None, None, columns]).to(past) if columns else None)
    if found is None:
        raise ArgumentError(
            f"model={regressor.model!r} has no linear part in lags of outputs and inputs: it is made of steps, or "
            f"keeps a state of its own. step_response needs none."
        )
    output, by_fed, by_known = (part[0, 0].numpy() for part in found)
    return output, by_fed.transpose(1, 0, 2), by_known


def _by_input(layout: LagLayout, by_known: FloatArray) -> FloatArray:
    """Return derivatives by offset and input, (q, C, m), from those by column, (C, Dk)."""
    of_column = [(c, lag) for c, (_, lags) in enumerate(layout.future_exog) for lag in reversed(lags)]
    most = max((lag for _, lag in of_column), default=0)
    b = np.zeros((most + 1, by_known.shape[0], len(layout.future_exog)))
    for column, (c, lag) in enumerate(of_column):
        b[lag, :, c] = by_known[:, column]
    return b
