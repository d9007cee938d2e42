"""Chaotic systems, simulated: six whose forecasts by recurrent networks are published, and one delay equation.

Equations, parameters, steps and horizons are those of Teutsch & Maeder 2022 (Flipped Classroom: Effective Teaching for
Time Series Forecasting) and its code. Classical Runge-Kutta of order 4 with a fixed step in float64 *is* the definition
of each data set: chaos amplifies rounding, so that another machine gets other windows of the same attractor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.errors import ArgumentError, check_choice

__all__ = [
    "CHAOS_SYSTEMS",
    "CONTEXT",
    "SIZES",
    "ChaosSystem",
    "advance",
    "derivative",
    "load_chaos",
    "simulate",
    "simulate_part",
]

FloatArray = npt.NDArray[np.float64]

#: Steps of each window that a model may see before the cutoff.
CONTEXT = 150
#: Trajectories of each part and size, and windows (of CONTEXT + H steps) in each trajectory. "quarter" is a quarter of
#: the windows that the published networks learnt from, "full" all of them; "tiny" is for tests of the machinery alone.
SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "quarter": {"train": (200, 10), "validation": (50, 2), "test": (300, 1)},
    "full": {"train": (800, 10), "validation": (50, 2), "test": (300, 1)},
    "tiny": {"train": (10, 3), "validation": (2, 2), "test": (6, 1)},
}

_SEED = 2026
_LARGEST = 1000.0
# Mackey-Glass: delay of the map in steps, of the equation in units of time; sub-steps of the equation.
_LAG, _TAU = 18, 17


@dataclass(frozen=True)
class ChaosSystem:
    """What is fixed for a chaotic system.

    Attributes
    ----------
    name : str
    variables : tuple of str
        All are observed and forecast.
    dt : float
        Time between two steps.
    substeps : int
        Runge-Kutta steps in each; 0 for a map.
    transient : int
        Steps that are dropped before the first one that is kept.
    horizon : int
        H, the steps that are forecast.
    lyapunov_steps : float
        Steps in which a small error grows e-fold, on average along the attractor.
    mean, std : tuple of float
        Of each variable over a long run.
    exponent : float
        Largest Lyapunov exponent, per unit of time.

    Examples
    --------
    >>> from tsforce.datasets import CHAOS_SYSTEMS
    >>> lorenz = CHAOS_SYSTEMS["lorenz"]
    >>> lorenz.variables, lorenz.dt, lorenz.horizon
    (('x', 'y', 'z'), 0.01, 111)
    """

    name: str
    variables: tuple[str, ...]
    dt: float
    substeps: int
    transient: int
    horizon: int
    lyapunov_steps: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    exponent: float


def _lorenz(s: FloatArray) -> FloatArray:
    x, y, z = s
    return np.array((10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z))


def _roessler(s: FloatArray) -> FloatArray:
    x, y, z = s
    return np.array((-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)))


def _hyperroessler(s: FloatArray) -> FloatArray:
    x, y, z, w = s
    return np.array((-y - z, x + 0.25 * y + w, 3.0 + x * z, -0.5 * z + 0.05 * w))


def _thomas(s: FloatArray) -> FloatArray:
    return np.sin(s[[1, 2, 0]]) - 0.1 * s


_NEXT, _BEFORE, _SECOND_BEFORE = (np.roll(np.arange(40), k) for k in (-1, 1, 2))


def _lorenz96(s: FloatArray) -> FloatArray:
    return (s[_NEXT] - s[_SECOND_BEFORE]) * s[_BEFORE] - s + 8.0


def _mackeyglass(now: FloatArray, delayed: FloatArray) -> FloatArray:
    change: FloatArray = 0.2 * delayed / (1.0 + delayed**10) - 0.1 * now
    return change


_DERIVATIVES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "lorenz": _lorenz,
    "roessler": _roessler,
    "hyperroessler": _hyperroessler,
    "thomas": _thomas,
    "lorenz96": _lorenz96,
}
# Where trajectories start, and the standard deviation of the normal noise on it.
_STARTS: dict[str, tuple[tuple[float, ...], float]] = {
    "lorenz": ((1.0, 1.0, 0.0), 1.0),
    "roessler": ((1.0, 1.0, 1.0), 0.5),
    "hyperroessler": ((-10.0, -14.0, 0.3, 29.0), 0.01),
    "thomas": ((0.0, 1.0, 0.0), 0.1),
    "lorenz96": ((8.0,) * 40, 1.0),
}

# Means, standard deviations and exponents (Benettin et al. 1980) are those of long runs of these simulators; the tests
# measure them again. Row numbers are part of every seed: new systems go to the end.
CHAOS_SYSTEMS: dict[str, ChaosSystem] = {
    system.name: system
    for system in (
        ChaosSystem(
            "lorenz", ("x", "y", "z"), 0.01, 2, 2000, 111, 110.5, (0.0, 0.0, 23.55), (7.92, 9.01, 8.62), 0.905
        ),
        ChaosSystem(
            "roessler", ("x", "y", "z"), 0.12, 12, 2500, 121, 117.0,
            (0.177, -0.886, 0.886), (5.156, 4.844, 2.841), 0.0713,
        ),
        ChaosSystem(
            "hyperroessler", ("x", "y", "z", "w"), 0.1, 20, 2000, 72, 89.0,
            (-25.04, -2.57, 2.57, 25.68), (21.77, 20.28, 12.62, 8.50), 0.1123,
        ),
        ChaosSystem("thomas", ("x", "y", "z"), 0.1, 2, 10000, 182, 179.0, (0.0,) * 3, (2.416,) * 3, 0.0560),
        ChaosSystem("mackeyglass", ("x",), 1.0, 0, 1000, 167, 120.0, (0.9254,), (0.2353,), 0.00833),
        ChaosSystem(
            "lorenz96", tuple(f"x{i}" for i in range(1, 41)), 0.05, 10, 1000, 12, 11.8,
            (2.341,) * 40, (3.640,) * 40, 1.69,
        ),
        ChaosSystem("mackeyglass-dde", ("x",), 1.0, 10, 1000, 167, 195.0, (0.9302,), (0.2261,), 0.0051),
    )
}  # fmt: skip


def load_chaos(system: str, part: str = "train", size: str = "quarter") -> Any:
    """Return trajectories of a chaotic system as a long frame: unique_id, ds (steps from 0), one column per variable.

    Every variable is observed without noise. Trajectories start apart from each other and are on the attractor from
    their first row on; those of the three parts are different ones.

    Parameters
    ----------
    system : str
        "lorenz" (Lorenz 1963), "roessler" (Roessler 1976), "hyperroessler" (Roessler 1979), "thomas" (Thomas 1999),
        "mackeyglass" (Mackey & Glass 1977, as the map that an Euler step of 1 makes of it), "lorenz96" (Lorenz 1996, 40
        variables), or "mackeyglass-dde" (the delay equation itself).
    part : "train", "validation" or "test"
        200 trajectories of ``10 (150 + H)`` steps, 50 of ``2 (150 + H)``, or 300 of ``150 + H``: one window each. H is
        ``CHAOS_SYSTEMS[system].horizon``.
    size : "quarter", "full" or "tiny"
        "full": 800 training trajectories. "tiny": a handful of each, to try things out.

    Raises
    ------
    ArgumentError
        If a name is not known.

    Examples
    --------
    >>> from tsforce.datasets import load_chaos
    >>> df = load_chaos("mackeyglass", "test")
    >>> df.columns.tolist(), len(df)
    (['unique_id', 'ds', 'x'], 95100)
    """
    values = simulate_part(system, part, size)
    count, steps, _ = values.shape
    data = {
        "unique_id": np.repeat([f"{part}-{number}" for number in range(count)], steps),
        "ds": np.tile(np.arange(steps), count),
    }
    for position, variable in enumerate(CHAOS_SYSTEMS[system].variables):
        data[variable] = values[:, :, position].ravel()
    return pd.DataFrame(data)


def simulate_part(system: str, part: str, size: str = "quarter") -> FloatArray:
    """Return the trajectories of `load_chaos` as an array, (N, T, D)."""
    known = CHAOS_SYSTEMS[check_choice("system", system, CHAOS_SYSTEMS)]
    parts = SIZES[check_choice("size", size, SIZES)]
    count, windows = parts[check_choice("part", part, parts)]
    seed = [_SEED, list(CHAOS_SYSTEMS).index(system), list(parts).index(part)]
    return simulate(system, count, windows * (CONTEXT + known.horizon), np.random.default_rng(seed))


def simulate(system: str, n_trajectories: int, n_steps: int, rng: np.random.Generator) -> FloatArray:
    """Return trajectories on the attractor of a chaotic system, (N, T, D) float64.

    A tenth more is simulated, so that those that leave the attractor (not finite, or above 1000) can be left out.

    Raises
    ------
    ArgumentError
        If the system is not known, a number is below 1, or too few trajectories stay on the attractor.
    """
    known = CHAOS_SYSTEMS[check_choice("system", system, CHAOS_SYSTEMS)]
    if n_trajectories < 1 or n_steps < 1:
        raise ArgumentError(
            f"n_trajectories={n_trajectories!r}, n_steps={n_steps!r}: expected whole numbers of at least 1."
        )
    count = n_trajectories + n_trajectories // 10
    if system == "mackeyglass":
        state = rng.uniform(0.1, 1.3, (_LAG, count))
    elif system == "mackeyglass-dde":
        state = np.tile(rng.uniform(0.1, 1.3, count), (_TAU * known.substeps + 2, 1))
    else:
        centre, spread = _STARTS[system]
        state = np.array(centre)[:, None] + spread * rng.normal(size=(len(centre), count))
    values = advance(system, state, n_steps, transient=known.transient)[0].transpose(2, 0, 1)
    with np.errstate(invalid="ignore"):
        stays = np.flatnonzero((np.abs(values) <= _LARGEST).all(axis=(1, 2)))
    if len(stays) < n_trajectories:
        raise ArgumentError(
            f"{system}: {len(stays)} of {count} trajectories stay on the attractor for {n_steps} steps; expected "
            f"{n_trajectories}. Ask for fewer or shorter ones."
        )
    return np.ascontiguousarray(values[stays[:n_trajectories]])


def derivative(system: str) -> Callable[[FloatArray], FloatArray]:
    """Return the right-hand side of a differential equation: states (D, N) to their change per unit of time.

    Raises
    ------
    ArgumentError
        If the system is not known, or has a delay.
    """
    return _DERIVATIVES[check_choice("system", system, _DERIVATIVES)]


def advance(system: str, state: FloatArray, n_steps: int, *, transient: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return the trajectories of a system, sampled step by step from where it is, and the state one step after them.

    Parameters
    ----------
    system : str
    state : (K, N)
        What the next step depends on: the variables (K = D); of the map its last 18 values, of the delay equation its
        last 172 values at sub-steps.
    n_steps : int
        T, the steps that are kept.
    transient : int
        Steps that are dropped before.

    Returns
    -------
    values : (T, D, N)
        The first is that of `state` itself, or of the map and the delay equation the one after it.
    state : (K, N)

    Raises
    ------
    ArgumentError
        If the system is not known.
    """
    known = CHAOS_SYSTEMS[check_choice("system", system, CHAOS_SYSTEMS)]
    run = np.empty((n_steps, len(known.variables), state.shape[1]))
    step = _STEPS.get(system, _flow_step)
    delayed = system in _STEPS
    # A trajectory that leaves the attractor does so through overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(-transient, n_steps):
            if delayed:
                state = step(known, state)
            if number >= 0:
                run[number] = state[-1] if delayed else state
            if not delayed:
                state = step(known, state)
    return run, state


def _flow_step(known: ChaosSystem, state: FloatArray) -> FloatArray:
    f, h = _DERIVATIVES[known.name], known.dt / known.substeps
    for _ in range(known.substeps):
        k1 = f(state)
        k2 = f(state + 0.5 * h * k1)
        k3 = f(state + 0.5 * h * k2)
        k4 = f(state + h * k3)
        state = state + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)
    return state


def _map_step(known: ChaosSystem, state: FloatArray) -> FloatArray:
    del known
    return np.concatenate([state[1:], state[-1:] + _mackeyglass(state[-1:], state[:1])])


def _delay_step(known: ChaosSystem, state: FloatArray) -> FloatArray:
    h, delay = 1.0 / known.substeps, _TAU * known.substeps
    run = np.concatenate([state, np.empty((known.substeps, state.shape[1]))])
    for t in range(len(state) - 1, len(run) - 1):
        # One point more than the delay: the cubic through four points, two on either side, gives the middle of two.
        x, past = run[t], run[t - delay - 1 : t - delay + 3]
        middle = (9.0 * (past[1] + past[2]) - past[0] - past[3]) / 16.0
        k1 = _mackeyglass(x, past[1])
        k2 = _mackeyglass(x + 0.5 * h * k1, middle)
        k3 = _mackeyglass(x + 0.5 * h * k2, middle)
        k4 = _mackeyglass(x + h * k3, past[2])
        run[t + 1] = x + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)
    return run[known.substeps :]


_STEPS: dict[str, Callable[[ChaosSystem, FloatArray], FloatArray]] = {
    "mackeyglass": _map_step,
    "mackeyglass-dde": _delay_step,
}
