"""What a model of a system does to a step, to a sine, and when it is left alone: responses and roots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.errors import ArgumentError, ArgumentTypeError, DivergenceWarning, warn
from tsforce.forecasting.arguments import check_count, check_number
from tsforce.identification.identification_report import default_names, of_pipeline
from tsforce.identification.linear_part import check_inputs

__all__ = ["FrequencyResponse", "Stability", "StepResponse", "frequency_response", "stability", "step_response"]

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# Rows of constant inputs before a step, at least; and what of the response the output may still move by itself.
_SETTLE, _STILL = 200, 0.01
# Roots so near the unit circle are on it but for rounding. A limit there is taken from so far outside, in units of the
# root; what grows towards it does so by half at least from twice as far, and is no rounding error of the coefficients.
_ROUNDING, _OUTSIDE, _GROWS = 1e-9, 1e-6, 1.5


@dataclass(frozen=True, eq=False)
class StepResponse:
    """What outputs do after a step of each input, everything else as it was.

    Attributes
    ----------
    frame : DataFrame
        output, input, step (rows since the input rose), time, response: the change of the output, original units; NaN
        where the model runs away without a step.
    figures : DataFrame
        output, input, size, gain (last response / size), rise_time (from 10 to 90 % of the last response), overshoot
        (percent), settling_time (until within 2 % for good), from_rest (whether the output had come to rest before the
        step). Times are NaN where the response has not settled at its end, and the gain too where it runs away.
    dt : float

    Notes
    -----
    Of a model that is not linear this is the response to a step of this size from these inputs, and no other.

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce import NARXRegressor
    >>> from tsforce.sysid import step_response
    >>> u = np.random.default_rng(0).normal(size=(300, 1))
    >>> y = np.zeros(300)
    >>> for t in range(1, 300):
    ...     y[t] = 0.5 * y[t - 1] + u[t - 1, 0]
    >>> model = NARXRegressor(output_lags=1, input_lags=1, input_delay=1, mode="open_loop").fit(u, y)
    >>> found = step_response(model, 40, dt=0.1)
    >>> found.figures[["gain", "rise_time", "overshoot", "settling_time"]].round(2).to_numpy().tolist()
    [[2.0, 0.32, 0.0, 0.6]]
    """

    frame: pd.DataFrame
    figures: pd.DataFrame
    dt: float

    def __repr__(self) -> str:
        return f"StepResponse\n{self.figures.to_string(index=False)}"

    def plot(self, ax: Any = None) -> Any:
        """Return a figure of the responses (extra ``plot``).

        Parameters
        ----------
        ax : matplotlib Axes, optional
        """
        from tsforce.plotting import plot_step_response

        return plot_step_response(self.frame, ax=ax)


def step_response(
    model: Any, n_steps: int = 100, *, size: Any = 1.0, at: Any = None, settle: int | None = None, dt: float = 1.0
) -> StepResponse:
    """Return what a model's outputs do after a step of each input, simulated from rest.

    Parameters
    ----------
    model : fitted estimator
        With ``predict(X)``, its simulation of one record from a start of its own: ``NARXRegressor``, of any kind.
    n_steps : int
        Rows of the response.
    size : float or array_like, (m,)
        Height of the step of each input, in its units. It matters unless the model is linear.
    at : float or array_like, (m,), optional
        Inputs before the step; by default their training means.
    settle : int, optional
        Rows of constant inputs before the step, in which the model comes to rest; 200, or `n_steps` if that is more.
    dt : float
        Time from row to row.

    Raises
    ------
    ArgumentError
        If an argument is not accepted.

    Warns
    -----
    DivergenceWarning
        If the model runs away: its simulation is not finite or, of one with ``simulate``, was clipped.

    Examples
    --------
    >>> from tsforce import NARXRegressor
    >>> u = np.random.default_rng(0).normal(size=(300, 1))
    >>> y = np.zeros(300)
    >>> for t in range(1, 300):
    ...     y[t] = 0.5 * y[t - 1] + u[t - 1, 0]
    >>> model = NARXRegressor(output_lags=1, input_lags=1, input_delay=1, mode="open_loop").fit(u, y)
    >>> step_response(model, 5).frame["response"].round(6).tolist()
    [0.0, 1.0, 1.5, 1.75, 1.875]
    """
    n_steps = check_count("n_steps", n_steps, least=2)
    settle = max(_SETTLE, n_steps) if settle is None else check_count("settle", settle)
    check_number("dt", dt, auto=False, above_zero=True)
    before = _operating_inputs(model, at)
    sizes = check_inputs("size", np.repeat(size, len(before)) if np.ndim(size) == 0 else size, len(before))
    if (sizes == 0).any():
        raise ArgumentError(f"size={size!r}: a step of 0 tells nothing; expected a height for each input.")
    flat = np.tile(before, (settle + n_steps, 1))
    rest, lost = _simulated(model, flat)
    names, outputs = default_names(model, len(before), rest.shape[1])
    steps, parts, figures, away = np.arange(n_steps), [], [], []
    for j, (name, height) in enumerate(zip(names, sizes, strict=True)):
        stepped = flat.copy()
        stepped[settle:, j] += height
        simulated, left = _simulated(model, stepped)
        ran = left or lost
        away += [name] if ran else []
        with np.errstate(invalid="ignore"):
            response = np.full_like(rest, np.nan)[settle:] if lost else (simulated - rest)[settle:]
            moved = np.ptp(rest[settle - 1 :], axis=0)
        for c, output in enumerate(outputs):
            own = response[:, c]
            columns = {"output": output, "input": name, "step": steps, "time": steps * dt, "response": own}
            parts.append(pd.DataFrame(columns))
            if ran:
                figures.append((output, name, height, *(np.nan,) * 4, False))
                continue
            still = bool(moved[c] <= _STILL * np.abs(own).max())
            figures.append((output, name, height, own[-1] / height, *_shape(own, dt), still))
    if away:
        warn(
            f"the simulation ran away {'without any step' if lost else 'after a step of ' + ', '.join(away)}: its gain "
            f"and times are NaN. See stability(model), where it has a linear part; a smaller size=, another at= or "
            f"fewer n_steps may keep a model that is not linear within its range.",
            DivergenceWarning,
        )
    columns_of = ["output", "input", "size", "gain", "rise_time", "overshoot", "settling_time", "from_rest"]
    return StepResponse(pd.concat(parts, ignore_index=True), pd.DataFrame(figures, columns=columns_of), dt)


def _shape(response: FloatArray, dt: float) -> tuple[float, float, float]:
    """Return rise time, overshoot in percent and settling time; NaN where the response does not settle."""
    last, tail = response[-1], response[-max(2, len(response) // 10) :]
    if last == 0 or np.abs(tail / last - 1).max() > 0.02:
        return float("nan"), float("nan"), float("nan")
    share = response / last
    outside = np.flatnonzero(np.abs(share - 1) > 0.02)
    settled = 0 if not len(outside) else int(outside[-1]) + 1
    return _crossing(share, 0.9, dt) - _crossing(share, 0.1, dt), max(0.0, float(share.max() - 1) * 100), settled * dt


def _crossing(share: FloatArray, level: float, dt: float) -> float:
    """Return when a response first reaches a level, on a straight line between rows."""
    first = int(np.argmax(share >= level))
    if first == 0:
        return 0.0
    low, high = share[first - 1], share[first]
    return float(first - 1 + (level - low) / (high - low)) * dt


@dataclass(frozen=True, eq=False)
class FrequencyResponse:
    """What the linear part of a model does to a sine, once it has swung in.

    Attributes
    ----------
    frame : DataFrame
        output, input, frequency (cycles per unit of `dt`: Hz where that is seconds), magnitude, magnitude_db
        (20 log10), phase (degrees, without jumps; below 0: the output lags). At the frequency of a root on the unit
        circle, such as 0 of an integrator, the magnitude is inf and the phase NaN.
    frequencies : (F,) float64
    response : (F, C, m) complex128
        ``(I - sum_l a_l z^-l)^-1 sum_k b_k z^-k`` at ``z = exp(2 pi i f dt)``.
    dt : float

    Examples
    --------
    >>> from tsforce.sysid import frequency_response
    >>> found = frequency_response(([0.5], [0.0, 1.0]), [0.0, 0.5])  # y[t] = .5 y[t-1] + u[t-1]
    >>> found.frame[["frequency", "magnitude", "phase"]].round(3).to_numpy().tolist()
    [[0.0, 2.0, 0.0], [0.5, 0.667, -180.0]]
    """

    frame: pd.DataFrame
    frequencies: FloatArray
    response: ComplexArray
    dt: float

    def __repr__(self) -> str:
        low, high = self.frequencies[0], self.frequencies[-1]
        count, shape = len(self.frequencies), self.response.shape
        return (
            f"FrequencyResponse of {shape[1]} outputs by {shape[2]} inputs at {count} frequencies, {low:g} to {high:g}"
        )

    def plot(self, ax: Any = None) -> Any:
        """Return a Bode diagram: magnitude and phase over frequency (extra ``plot``).

        Parameters
        ----------
        ax : two matplotlib Axes, optional
        """
        from tsforce.plotting import plot_bode

        return plot_bode(self.frame, ax=ax)


def frequency_response(model: Any, frequencies: Any = None, *, dt: float = 1.0, at: Any = None) -> FrequencyResponse:
    """Return the frequency response of a model's linear part.

    Parameters
    ----------
    model : fitted estimator, or a pair (a, b)
        With ``linear_part(at)``, as ``NARXRegressor`` has it; or coefficients by lag: a (p,) or (p, C, C) of outputs
        1 .. p rows before, b (q,) or (q, C, m) of inputs 0 .. q - 1 rows before.
    frequencies : array_like, (F,), optional
        Cycles per unit of `dt`, up to half the sampling rate, 1 / (2 dt); by default 300 of them over three decades.
    dt : float
        Time from row to row.
    at : float or array_like, (m,), optional
        Inputs at which the model rests; by default it is taken at the training means. A linear model has one response.

    Raises
    ------
    ArgumentError
        If a frequency is out of range, or the model has no linear part there.

    Examples
    --------
    >>> frequency_response(([0.5], [0.0, 1.0]), [0.001, 0.5]).response[:, 0, 0].real.round(2).tolist()
    [2.0, -0.67]
    """
    check_number("dt", dt, auto=False, above_zero=True)
    nyquist = 0.5 / dt
    f = np.geomspace(nyquist / 1000, nyquist, 300) if frequencies is None else np.asarray(frequencies, dtype=np.float64)
    if f.ndim != 1 or not len(f) or not ((f >= 0) & (f <= nyquist * (1 + 1e-12))).all():
        raise ArgumentError(
            f"frequencies from {np.min(f, initial=np.inf):g} to {np.max(f, initial=-np.inf):g}: expected one or more "
            f"from 0 to half the sampling rate, 1 / (2 dt) = {nyquist:g}. Give dt= in the unit of time they are in."
        )
    a, b = _linear_part(model, at)
    response = _response(a, b, _roots(a), np.exp(2j * np.pi * dt * f))
    names, outputs = default_names(model, b.shape[2], b.shape[1])
    parts = []
    for c, output in enumerate(outputs):
        for j, name in enumerate(names):
            own = response[:, c, j]
            with np.errstate(divide="ignore"):
                size, decibel = np.abs(own), 20 * np.log10(np.abs(own))
            phase, finite = np.full(len(f), np.nan), np.isfinite(own)
            phase[finite] = np.degrees(np.unwrap(np.angle(own[finite])))
            columns = {"frequency": f, "magnitude": size, "magnitude_db": decibel, "phase": phase}
            parts.append(pd.DataFrame({"output": output, "input": name, **columns}))
    return FrequencyResponse(pd.concat(parts, ignore_index=True), f, response, dt)


def _roots(a: FloatArray) -> ComplexArray:
    """Return the eigenvalues of the companion matrix, (p C,)."""
    p, channels, _ = a.shape
    if p == 0:
        return np.empty(0, dtype=np.complex128)
    companion = np.eye(p * channels, k=-channels)
    companion[:channels] = a.transpose(1, 0, 2).reshape(channels, -1)
    return np.linalg.eigvals(companion).astype(np.complex128)


def _response(a: FloatArray, b: FloatArray, roots: ComplexArray, z: ComplexArray) -> ComplexArray:
    """Return what a linear part does to ``z^t``, (F, C, m); infinite at a root, unless the input does not reach it."""

    def back(z: ComplexArray) -> ComplexArray:
        powers = (1 / z)[:, None] ** np.arange(1, len(a) + 1)
        return np.asarray(np.eye(a.shape[1]) - np.einsum("fl,lij->fij", powers, a))

    def solved(z: ComplexArray) -> ComplexArray:
        forward = np.einsum("fk,kij->fij", (1 / z)[:, None] ** np.arange(len(b)), b)
        return np.asarray(np.linalg.solve(back(z), forward))

    # Of two roots in one place rounding makes two places; their matrix may be singular all the same.
    at_root = (np.abs(z[:, None] - roots) < _ROUNDING).any(axis=1) | (np.linalg.det(back(z)) == 0)
    response = np.empty((len(z), *b.shape[1:]), dtype=np.complex128)
    response[~at_root] = solved(z[~at_root])
    if at_root.any():
        near, far = (solved(z[at_root] * (1 + times * _OUTSIDE)) for times in (1, 2))
        grows = (np.abs(near) > _GROWS * np.abs(far)) & (np.abs(near) * _OUTSIDE > _ROUNDING * np.abs(b).max())
        response[at_root] = np.where(grows, np.copysign(np.inf, near.real), 2 * near - far)
    return response


@dataclass(frozen=True, eq=False)
class Stability:
    """The roots of a model's linear part: what becomes of a small disturbance.

    Attributes
    ----------
    frame : DataFrame
        One row per root, a conjugate pair as one, the largest first: real, imaginary, modulus, time_constant
        (``-dt / log(modulus)``, inf from modulus 1 on, to rounding), frequency (of its swing, cycles per unit of `dt`),
        damping (1: none of it swings, 0: it goes on for ever, below 0: it grows).
    roots : (p C,) complex128
        Of ``det(I - sum_l a_l z^-l)``: the eigenvalues of the companion matrix.
    radius : float
        Largest modulus. Below 1 the linear part is stable; within 1e-9 of 1 it is taken for 1.
    gain : (C, m) float64
        What a lasting change of an input by 1 comes to; inf or -inf where it is integrated.
    dt : float

    Examples
    --------
    >>> from tsforce.sysid import stability
    >>> found = stability(([1.5, -0.7], [0.0, 1.0]), dt=0.1)  # y[t] = 1.5 y[t-1] - .7 y[t-2] + u[t-1]
    >>> found.frame[["modulus", "time_constant", "frequency", "damping"]].round(3).to_numpy().tolist()
    [[0.837, 0.561, 0.731, 0.362]]
    >>> found.gain.round(3).tolist()
    [[5.0]]
    """

    frame: pd.DataFrame
    roots: ComplexArray
    radius: float
    gain: FloatArray
    dt: float

    @property
    def is_stable(self) -> bool:
        """Whether every root lies within the unit circle, by more than rounding."""
        return self.radius <= 1 - _ROUNDING

    def __repr__(self) -> str:
        return self.words()

    def words(self) -> str:
        """Return what the roots mean, in one sentence or two."""
        slowest = self.frame.iloc[0] if len(self.frame) else None
        if slowest is None or self.radius == 0:
            return "No output is fed back: a disturbance of the output is gone after one row."
        swings = f", swinging {slowest['frequency']:.4g} times per unit of time" if slowest["frequency"] > 0 else ""
        if not self.is_stable:
            verb = "stays" if self.radius < 1 + _ROUNDING else f"grows by {100 * (self.radius - 1):.3g} % per row"
            state, fate = "not stable", verb
        else:
            state, fate = "stable", f"dies out with a time constant of {slowest['time_constant']:.4g}"
        return (
            f"The linear part is {state}: its largest root has modulus {self.radius:.5f}, so that a disturbance "
            f"{fate}{swings}."
        )


def stability(model: Any, *, at: Any = None, dt: float = 1.0) -> Stability:
    """Return the roots of a model's linear part, their time constants, and the static gain.

    Parameters
    ----------
    model, at, dt
        As in `frequency_response`.

    Raises
    ------
    ArgumentError
        If the model has no linear part there.

    Examples
    --------
    >>> found = stability(([0.5], [0.0, 1.0]))
    >>> found.radius, found.gain.tolist(), round(float(found.frame["time_constant"][0]), 3)
    (0.5, [[2.0]], 1.443)
    >>> stability(([1.0, -0.9], [1.0]), dt=0.1)
    The linear part is stable: its largest root has modulus 0.94868, so that a disturbance dies out with a time constant
    of 1.898, swinging 1.616 times per unit of time.
    """
    check_number("dt", dt, auto=False, above_zero=True)
    a, b = _linear_part(model, at)
    roots = _roots(a)
    roots = roots[np.argsort(-np.abs(roots), kind="stable")]
    upper = roots[roots.imag >= 0]
    modulus = np.abs(upper)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log(np.where(modulus > 0, upper, 1e-300)) / dt
        rate.real[np.abs(modulus - 1) < _ROUNDING] = 0
        constant = np.where(rate.real < 0, -1 / rate.real, np.inf)
        damping = -rate.real / np.abs(np.where(rate == 0, 1, rate)) + 0.0
    columns = {"real": upper.real, "imaginary": upper.imag, "modulus": modulus, "time_constant": constant}
    frequency = np.abs(rate.imag) / (2 * np.pi)
    frame = pd.DataFrame({**columns, "frequency": frequency, "damping": damping})
    gain = _response(a, b, roots, np.ones(1, dtype=np.complex128))[0].real.copy()
    return Stability(frame, roots, float(np.abs(roots).max(initial=0.0)), gain, dt)


def _linear_part(model: Any, at: Any) -> tuple[FloatArray, FloatArray]:
    """Return a (p, C, C) and b (q, C, m)."""
    if isinstance(model, tuple) and len(model) >= 2:
        a, b = (np.asarray(part, dtype=np.float64) for part in model[:2])
    elif callable(getattr(model, "linear_part", None)):
        a, b = (np.asarray(part, dtype=np.float64) for part in model.linear_part(at)[:2])
    else:
        raise ArgumentTypeError(
            f"model is a {type(model).__name__} without linear_part(); expected a fitted NARXRegressor, or "
            f"coefficients (a, b) by lag.{of_pipeline(model)}"
        )
    a, b = (part[:, None, None] if part.ndim == 1 else part for part in (a, b))
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != (b.shape[1], b.shape[1]) or not len(b):
        raise ArgumentError(
            f"coefficients of shapes {a.shape} and {b.shape}: expected a (p,) and b (q,), or (p, C, C) and (q, C, m)."
        )
    return a, b


def _operating_inputs(model: Any, at: Any) -> FloatArray:
    if not callable(getattr(model, "predict", None)):
        raise ArgumentTypeError(f"model is a {type(model).__name__} without predict(); expected a fitted estimator.")
    if at is None:
        at = getattr(model, "x_mean_", None)
        if at is None:
            raise ArgumentError(
                f"at=None takes the inputs' training means, and {type(model).__name__} has no x_mean_; give at=, one "
                f"number for each input.{of_pipeline(model)}"
            )
    return check_inputs("at", at, getattr(model, "n_features_in_", np.size(at)))


def _simulated(model: Any, X: FloatArray) -> tuple[FloatArray, bool]:
    """Return simulated outputs (n, C), and whether they ran away."""
    names = getattr(model, "feature_names_in_", None)
    inputs = X if names is None else pd.DataFrame(X, columns=names)
    if callable(getattr(model, "simulate", None)):
        simulation = model.simulate(inputs, "rest")
        y, clipped = np.asarray(simulation.y, dtype=np.float64), bool(np.any(simulation.clipped))
    else:
        y, clipped = np.asarray(model.predict(inputs), dtype=np.float64), False
    return y[:, None] if y.ndim == 1 else y, clipped or not bool(np.isfinite(y).all())
