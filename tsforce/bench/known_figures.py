"""Figures from elsewhere that the benches print beside their own: published ones, and floors of another machine.

The floors also check a run: whoever has the same data gets the same floor (`check_floors`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "CHAOS_FLOORS", "CHAOS_PUBLISHED", "SYSID_FLOORS", "SYSID_REFERENCES", "FloorCheck", "Published", "Reference",
    "check_floors",
]  # fmt: skip

# What a floor is whose closed loop runs away.
_DIVERGES = float("inf")


class Published(NamedTuple):
    """NRMSE of the published GRU-256 checkpoints on windows of the same simulators, closed loop.

    By the mode they were trained in, and the best of them with its 90 % bootstrap band over windows.
    """

    teacher_forcing: float
    free_running: float
    decreasing: float
    increasing_sampled: float
    increasing_fixed: float
    best: float
    low: float
    high: float


# The checkpoints of Teutsch & Maeder 2022 (one per cell, one seed), scored on 300 windows as the chaos bench scores.
CHAOS_PUBLISHED = {
    "lorenz": Published(0.0020, 0.0123, 0.0015, 0.00085, 0.00136, 0.00085, 0.00076, 0.00095),
    "roessler": Published(0.0092, 0.0014, 0.0011, 0.00084, 0.00084, 0.00084, 0.00081, 0.00090),
    "hyperroessler": Published(0.0046, 0.0063, 0.0061, 0.0040, 0.0037, 0.0037, 0.0034, 0.0041),
    "thomas": Published(0.667, 0.036, 0.055, 0.0136, 0.020, 0.0136, 0.0124, 0.0149),
    "mackeyglass": Published(0.101, 0.0039, 0.0021, 0.00107, 0.0022, 0.00107, 0.00100, 0.00116),
    "lorenz96": Published(0.0393, 0.0746, 0.0532, 0.0175, 0.0173, 0.0173, 0.0168, 0.0179),
}
# NRMSE of methods that need no training by gradient, on another machine's windows; infinite: diverges on most of them.
CHAOS_FLOORS: dict[str, dict[str, float]] = {
    # None is known of a polynomial with our terms on Mackey-Glass.
    name: dict(zip(("last_value", "training_mean", "linear", "quadratic", "polynomial"), figures, strict=False))
    for name, figures in {
        "lorenz": (0.881, 0.876, 0.633, 0.00014, 0.00014),
        "roessler": (1.287, 0.949, 0.497, _DIVERGES, 0.00022),
        "hyperroessler": (1.027, 0.835, 0.413, _DIVERGES, _DIVERGES),
        "thomas": (1.154, 0.933, 0.668, 0.953, 0.167),
        "mackeyglass": (1.012, 0.836, 0.623, _DIVERGES),
        "lorenz96": (1.083, 1.005, 0.574, 0.227, 0.227),
    }.items()
}


class Reference(NamedTuple):
    """An RMSE from elsewhere, in the set's unit: whose, and how far it is known."""

    rmse: float
    what: str


# Measured with numpy's least squares, another machine: RMSE in the set's unit of the training mean, the linear floor,
# and the one with cubic terms; three digits. Infinite: diverges.
SYSID_FLOORS: dict[tuple[str, int, str], dict[str, float]] = {
    key: dict(zip(("training_mean", "arx", "arx_cubic"), figures, strict=True))
    for key, figures in {
        ("silverbox", 50, "multisine"): (54.3, 6.95, 0.593),
        ("silverbox", 50, "arrow"): (53.5, 14.3, 1.46),
        ("silverbox", 50, "arrow-inside"): (43.0, 6.59, 0.566),
        ("cascaded-tanks", 50, "test"): (2.13, 0.627, 0.595),
        ("cascaded-tanks", 5, "test"): (2.11, 0.637, 0.703),
        ("bouc-wen", 50, "multisine"): (6.67e-4, 1.50e-4, 1.49e-4),
        ("bouc-wen", 50, "sweep"): (6.64e-4, 1.86e-4, 1.82e-4),
        ("emps", 20, "test"): (8.26e-2, 2.38e-2, 8.16e-3),
        ("daisy-exchanger", 10, "test"): (1.47, 0.430, 0.329),
        ("daisy-robot-arm", 10, "test"): (0.275, 9.82e-3, 9.70e-3),
        ("daisy-ball-beam", 10, "test"): (0.0739, _DIVERGES, _DIVERGES),
    }.items()
}
SYSID_REFERENCES: dict[tuple[str, str], tuple[Reference, ...]] = {
    ("silverbox", "multisine"): (
        Reference(7.73, "polynomial NARX, sysidentpy's documentation"),
        Reference(0.3, "best known, .26 to .36, from memory"),
    ),
    ("silverbox", "arrow"): (
        Reference(4.15, "polynomial NARX, sysidentpy's documentation"),
        Reference(5.79, "encoder with 8 states after five epochs, a notebook"),
    ),
    ("silverbox", "arrow-inside"): (
        Reference(2.23, "polynomial NARX, sysidentpy's documentation"),
        Reference(2.04, "encoder with 8 states after five epochs, a notebook"),
    ),
    ("cascaded-tanks", "test"): (
        Reference(0.20, "best known, from memory"),
        Reference(0.25, "linear fractional representation"),
        Reference(0.31, "continuous-time SUBNET"),
        Reference(0.34, "nonlinear state space"),
        Reference(0.45, "polynomial nonlinear state space"),
        Reference(0.76, "linear model"),
    ),
    ("bouc-wen", "multisine"): (
        Reference(1.87e-5, "polynomial nonlinear state space, as in the dynoNet paper"),
        Reference(4.52e-5, "dynoNet, first 300 rows left out, its paper"),
        Reference(1.63e-4, "nonlinear finite impulse response, as in the dynoNet paper"),
    ),
    ("emps", "test"): (Reference(2.64e-3, "dynoNet, its paper; may be of the training record"),),
    ("daisy-ball-beam", "test"): (
        Reference(0.0516, "linear floor with 4 lags, measured"),
        Reference(0.0598, "linear floor with 2 lags, measured"),
        Reference(0.0490, "cubic floor with 4 lags, measured"),
    ),
}


class FloorCheck(NamedTuple):
    """A floor that was measured again, and what `SYSID_FLOORS` says it is."""

    what: str
    measured: float
    expected: float
    holds: bool


def check_floors(rows: Any) -> list[FloorCheck]:
    """Return whether the floors among some rows agree with the table, to the three digits that it has.

    Parameters
    ----------
    rows : DataFrame
        As ``run_sysid`` returns them. Rows of other models, or of another training record, are left alone.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.bench import check_floors
    >>> row = {"set": "cascaded-tanks", "training": "", "record": "test", "n": 50, "model": "arx", "status": "ok"}
    >>> [check] = check_floors(pd.DataFrame([{**row, "rmse": 0.6268, "diverged": 0}]))
    >>> check.expected, check.holds
    (0.627, True)
    """
    checks = []
    for row in rows.to_dict("records"):
        known = SYSID_FLOORS.get((row["set"], row["n"], row["record"]), {}).get(row["model"])
        if known is None or row["training"]:
            continue
        measured = row["rmse"] if row["status"].startswith("ok") else np.nan
        if np.isinf(known):
            holds = bool(row["diverged"] == 1)
        else:
            # Half of the last digit, and the dust that decides which way a half is rounded.
            holds = bool(abs(measured - known) <= 0.51 * 10.0 ** (np.floor(np.log10(known)) - 2))
        what = f"{row['set']} {row['record']} n {row['n']} {row['model']}"
        checks.append(FloorCheck(what, float(measured), known, holds))
    return checks
