"""The chaos bench's data, what its simulators must meet, and its scores.

What a model is handed is scaled: by mean and standard deviation of each variable over the whole training set, never
over test windows, whose own mean is off by up to .08 standard deviations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.chaotic_systems import CHAOS_SYSTEMS, CONTEXT, ChaosSystem, simulate_part
from tsforce.errors import ArgumentError, NumericalError, check_choice
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.parts import values_of

__all__ = [
    "CHAOS_SCORES", "IDENTITIES", "OBSERVED", "ChaosTask", "Check", "Score", "check_simulator", "score", "step_errors",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]

OBSERVED = ("all", "first")
_SEED = 2026
# An error that counts as divergence, in mean standard deviations, and what one that is not finite counts as.
_DIVERGED, _INFINITE = 50.0, 1e6

CHAOS_SCORES = """\
All errors of a window are e[t] = sqrt(mean over variables of (yhat - y)^2) / mean standard deviation of the variables
in training, original units, truth without noise. Medians over the test windows of:
NRMSE     mean of e over the horizon, closed loop: the model is fed its own outputs
last      the same over the last tenth of the horizon
one-step  NRMSE of forecasts one step ahead of the same targets, the truth before them known
gap       NRMSE / one-step
diverged  share of windows with an e above 50; a value that is not finite counts as 1e6
clipped   share of windows that ran away and were held by the guard, 10 times the range that a window shows beyond it
valid     NRMSE on 100 validation windows of other trajectories"""


# What the equations say about long-run means: pairs (left side, right side) of states (..., D).
IDENTITIES: dict[str, tuple[tuple[str, Callable[[FloatArray], Any], Callable[[FloatArray], Any]], ...]] = {
    "lorenz": (("E xy = 8/3 E z", lambda s: s[..., 0] * s[..., 1], lambda s: 8 / 3 * s[..., 2]),),
    "roessler": (
        ("E y = -E z", lambda s: s[..., 1], lambda s: -s[..., 2]),
        ("E x = .2 E z", lambda s: s[..., 0], lambda s: 0.2 * s[..., 2]),
    ),
    "hyperroessler": (
        ("E y = -E z", lambda s: s[..., 1], lambda s: -s[..., 2]),
        ("E w = 10 E z", lambda s: s[..., 3], lambda s: 10 * s[..., 2]),
        ("E x = .25 E z - E w", lambda s: s[..., 0], lambda s: 0.25 * s[..., 2] - s[..., 3]),
    ),
    "lorenz96": (("E x^2 = 8 E x", lambda s: (s**2).mean(axis=-1), lambda s: 8 * s.mean(axis=-1)),),
}
# Largest deviations of a mean (in standard deviations) and of a standard deviation (relative) from the long run's.
_TOLERANCES = {
    "lorenz": (0.03, 0.01), "roessler": (0.02, 0.01), "hyperroessler": (0.04, 0.02), "thomas": (0.05, 0.015),
    "mackeyglass": (0.002 / 0.2353, 0.005), "mackeyglass-dde": (0.002 / 0.2261, 0.005), "lorenz96": (0.02, 0.01),
}  # fmt: skip
# Of an identity, relative to the standard deviation of its left side: over a finite run it holds but for what the state
# gains from end to end.
_IDENTITY = 0.03


class Check(NamedTuple):
    """One thing that a simulator must meet: what was measured, what was expected, and by how much it may be off."""

    what: str
    measured: float
    expected: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        return abs(self.measured - self.expected) <= self.tolerance


def check_simulator(system: str, values: FloatArray) -> list[Check]:
    """Return the checks of a simulator's moments and identities, all met.

    Parameters
    ----------
    system : str
    values : (N, T, D)
        A long run, or many shorter ones, original units: the training set.

    Raises
    ------
    NumericalError
        With every check that is not met.
    """
    known = CHAOS_SYSTEMS[check_choice("system", system, CHAOS_SYSTEMS)]
    of_mean, of_std = _TOLERANCES[system]
    means, stds = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    # Variables that the symmetry of a system makes alike are pooled: 40 of Lorenz-96.
    alike = len(set(known.std)) == 1 and len(known.std) > 3
    checks = []
    for number, name in enumerate(known.variables[:1] if alike else known.variables):
        mean, std = (means.mean(), stds.mean()) if alike else (means[number], stds[number])
        label = "each" if alike else name
        checks.append(Check(f"mean {label}", mean, known.mean[number], of_mean * known.std[number]))
        checks.append(Check(f"std {label}", std, known.std[number], of_std * known.std[number]))
    for what, left, right in IDENTITIES.get(system, ()):
        side = left(values)
        checks.append(Check(what, float(side.mean()), float(right(values).mean()), _IDENTITY * float(side.std())))
    wrong = [check for check in checks if not check.holds]
    if wrong:
        told = "; ".join(f"{c.what}: {c.measured:.4g}, expected {c.expected:.4g} +- {c.tolerance:.2g}" for c in wrong)
        raise NumericalError(f"the simulator of {system} is not what it should be: {told}. No model was trained.")
    return checks


@dataclass(frozen=True, eq=False)
class ChaosTask:
    """A system's data as a bench hands it out: V of the D variables are observed, all else is hidden.

    Attributes
    ----------
    system : ChaosSystem
    observe, size : str
    noise : float
        Standard deviation of the noise on training rows and on what is known of test windows, in each variable's own.
    targets : tuple of str, V
    mean, std : (V,)
        Of the training set without noise, original units.
    train, validation, test : DataFrame
        Long, scaled: unique_id, ds, one column per target. A validation or test window is a series of CONTEXT + H rows.
    validation_truth, truth : (W, H, V)
        Original units, without noise.
    checks : list of Check
        Of the simulator; none for the size "tiny", whose means have not settled.
    sha256 : str
        Of all the data.

    Examples
    --------
    >>> from tsforce.bench import ChaosTask
    >>> task = ChaosTask.simulate("mackeyglass", size="tiny")
    >>> task.targets, task.horizon, task.truth.shape
    (('x',), 167, (6, 167, 1))
    """

    system: ChaosSystem
    observe: str
    size: str
    noise: float
    targets: tuple[str, ...]
    mean: FloatArray
    std: FloatArray
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    validation_truth: FloatArray
    truth: FloatArray
    checks: list[Check]
    sha256: str

    @property
    def horizon(self) -> int:
        """H."""
        return self.system.horizon

    @staticmethod
    def simulate(system: str, *, size: str = "quarter", observe: str = "all", noise: float = 0.0) -> ChaosTask:
        """Return the task of a system.

        Raises
        ------
        ArgumentError
            If an argument is not known.
        NumericalError
            If the simulator does not pass its checks.
        """
        known = CHAOS_SYSTEMS[check_choice("system", system, CHAOS_SYSTEMS)]
        check_choice("observe", observe, OBSERVED)
        if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise < np.inf:
            raise ArgumentError(f"noise={noise!r}: expected a number of at least 0, such as .02.")
        parts = {part: simulate_part(system, part, size) for part in ("train", "validation", "test")}
        checks = [] if size == "tiny" else check_simulator(system, parts["train"])
        n_seen = 1 if observe == "first" else len(known.variables)
        targets = known.variables[:n_seen]
        window = CONTEXT + known.horizon
        digest = hashlib.sha256(repr([system, size, observe, noise]).encode())
        clean = {}
        for part, values in parts.items():
            digest.update(values.tobytes())
            clean[part] = values[:, :, :n_seen]
            if part != "train":
                clean[part] = clean[part].reshape(-1, window, n_seen)
        mean, std = clean["train"].mean(axis=(0, 1)), clean["train"].std(axis=(0, 1))
        frames = {}
        for number, (part, values) in enumerate(clean.items()):
            scaled = (values - mean) / std
            if noise:
                row = list(CHAOS_SYSTEMS).index(system)
                # Draws of their own: the trajectories are the same with and without noise.
                scaled = scaled + noise * np.random.default_rng([_SEED, row, number, 1]).normal(size=scaled.shape)
            frames[part] = _long(scaled, targets, part)
        return ChaosTask(
            known, observe, size, float(noise), targets, mean, std, frames["train"], frames["validation"],
            frames["test"], clean["validation"][:, CONTEXT:], clean["test"][:, CONTEXT:], checks, digest.hexdigest(),
        )  # fmt: skip

    def first_rows(self, n_rows: int) -> pd.DataFrame:
        """Return the first rows of each training trajectory, `n_rows` of them or a little more in all."""
        each = -(-n_rows // self.train["unique_id"].nunique())
        return self.train[self.train["ds"] < each].reset_index(drop=True)

    def closed_loop(self, model: Forecaster, part: str = "test") -> tuple[FloatArray, int]:
        """Return a fitted model's forecasts of the test (or validation) windows, (W, H, V) in original units.

        And how many of the windows its roll-out guard clipped.
        """
        frame = self.test if part == "test" else self.validation
        forecast = model.predict_at(frame, [CONTEXT - 1], self.horizon)
        return self._levels(values_of(model, forecast, self.horizon)), int(forecast.attrs.get("clipped_windows", 0))

    def one_step(self, model: Forecaster) -> FloatArray:
        """Return a fitted model's forecasts of the same targets, each from one step before it, (W, H, V)."""
        cutoffs = list(range(CONTEXT - 1, CONTEXT - 1 + self.horizon))
        forecasts = values_of(model, model.predict_at(self.test, cutoffs, 1), 1)
        return self._levels(forecasts.reshape(-1, self.horizon, len(self.targets)))

    def score(self, closed: FloatArray, one_step: FloatArray) -> Score:
        """Return the score of forecasts of the test windows."""
        return score(self.truth, closed, one_step, self.std)

    def nrmse_on_validation(self, closed: FloatArray) -> float:
        """Return the NRMSE of closed-loop forecasts of the validation windows."""
        return float(np.median(step_errors(self.validation_truth, closed, self.std).mean(axis=1)))

    def _levels(self, scaled: FloatArray) -> FloatArray:
        return scaled * self.std + self.mean


def _long(values: FloatArray, targets: tuple[str, ...], part: str) -> pd.DataFrame:
    count, steps, _ = values.shape
    columns = {name: values[:, :, v].ravel() for v, name in enumerate(targets)}
    ids = pd.Categorical.from_codes(
        np.repeat(np.arange(count), steps), categories=pd.Index([f"{part}-{number}" for number in range(count)])
    )
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(np.arange(steps), count), **columns})


@dataclass(frozen=True, eq=False)
class Score:
    """Errors of W windows; see `CHAOS_SCORES`.

    Attributes
    ----------
    nrmse, last_tenth, one_step, gap, diverged : float
    windows : (W,)
        Mean closed-loop error of each.
    by_step, one_step_by_step : (H,)
        Medians over windows.
    """

    nrmse: float
    last_tenth: float
    one_step: float
    gap: float
    diverged: float
    windows: FloatArray
    by_step: FloatArray
    one_step_by_step: FloatArray


def step_errors(truth: FloatArray, yhat: FloatArray, std: FloatArray) -> FloatArray:
    """Return e, (W, H), of forecasts (W, H, V) in original units; `std` is (V,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        errors: FloatArray = np.sqrt(((yhat - truth) ** 2).mean(axis=2)) / std.mean()
    return np.where(np.isfinite(errors), errors, _INFINITE)


def score(truth: FloatArray, closed: FloatArray, one_step: FloatArray, std: FloatArray) -> Score:
    """Return the score of forecasts (W, H, V) in original units.

    Parameters
    ----------
    truth, closed, one_step : (W, H, V)
    std : (V,)
        Of the variables over the training set.

    Examples
    --------
    >>> truth = np.zeros((1, 2, 2))
    >>> found = score(truth, truth + [[[1.0], [3.0]]], truth + 0.5, np.array([1.0, 3.0]))
    >>> found.nrmse, found.last_tenth, found.one_step, found.gap
    (1.0, 1.5, 0.25, 4.0)
    """
    errors, ahead = step_errors(truth, closed, std), step_errors(truth, one_step, std)
    windows = errors.mean(axis=1)
    last = max(errors.shape[1] // 10, 1)
    nrmse, one = float(np.median(windows)), float(np.median(ahead.mean(axis=1)))
    return Score(
        nrmse=nrmse,
        last_tenth=float(np.median(errors[:, -last:].mean(axis=1))),
        one_step=one,
        gap=nrmse / one if one > 0 else np.nan,
        diverged=float((errors > _DIVERGED).any(axis=1).mean()),
        windows=windows,
        by_step=np.median(errors, axis=0),
        one_step_by_step=np.median(ahead, axis=0),
    )
