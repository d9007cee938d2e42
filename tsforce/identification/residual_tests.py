"""Tests of residuals: whether one-step residuals are white, and whether they owe anything to an input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.scoring.residual_correlation import autocorrelation, dependence, ljung_box, pairs_apart

__all__ = ["INPUT", "LATER_INPUT", "OWN_PAST", "ResidualTests", "judge_residuals"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# What is tested, as it stands in frames.
OWN_PAST, INPUT, LATER_INPUT = "own past", "input", "later input"


@dataclass(frozen=True, eq=False)
class ResidualTests:
    """What correlations of residuals say.

    Attributes
    ----------
    correlations : DataFrame
        output, input (missing for the residuals' own past), lag (rows by which the other is before; below 0: after),
        correlation, bound (it stays within +- that in as many cases as the level says, if there is nothing), outside.
        The bound of the own past is that of white residuals, ``z sqrt(n_k) / N``, with n_k pairs of rows k apart: in
        one record nearly ``z / sqrt(N)``.
    tests : DataFrame
        One row per joint test: output, test, input, lags, statistic, degrees, p, passed. "own past": Ljung and Box;
        "input": lags 0 and above; "later input": lags below 0, which is feedback in the data. p is NaN, and passed NA,
        where residuals or input do not vary.
    """

    correlations: pd.DataFrame
    tests: pd.DataFrame


def judge_residuals(
    residuals: FloatArray,
    inputs: FloatArray,
    sizes: IntArray,
    n_lags: int,
    level: float,
    output_names: Sequence[str],
    input_names: Sequence[str],
) -> ResidualTests:
    """Return the tests of some residuals.

    Parameters
    ----------
    residuals : (N, C) float64
    inputs : (N, m) float64
        Of the same rows.
    sizes : (R,) int64
        Rows of each record.
    n_lags : int
    level : float
        Of the bounds and the tests: .99 calls one in a hundred good models bad.
    output_names, input_names : sequence of str
    """
    from scipy.stats import chi2, norm

    z = float(norm.ppf(0.5 + level / 2))
    found: list[pd.DataFrame] = []
    rows: list[tuple[object, ...]] = []

    def correlate(output: str, other: str | None, lags: range, values: FloatArray, bounds: FloatArray) -> None:
        columns = {"output": output, "input": other, "lag": list(lags), "correlation": values, "bound": bounds}
        outside = np.abs(values) > bounds
        found.append(pd.DataFrame(columns).assign(outside=outside).astype({"input": object}))

    def judge(output: str, test: str, other: str | None, lags: range, statistic: float, degrees: int) -> None:
        p = float(chi2.sf(statistic, degrees)) if degrees else float("nan")
        passed = pd.NA if np.isnan(p) else p >= 1 - level
        rows.append((output, test, other, f"{lags[0]} to {lags[-1]}", statistic, degrees, p, passed))

    before, after = range(n_lags + 1), range(-n_lags, 0)
    for name, e in zip(output_names, residuals.T, strict=True):
        own = autocorrelation(e, n_lags, sizes)
        past = range(1, n_lags + 1)
        correlate(name, None, past, own[1:], z * np.sqrt(pairs_apart(sizes, n_lags)) / len(e))
        statistic = ljung_box(own, sizes)
        judge(name, OWN_PAST, None, past, statistic, 0 if np.isnan(statistic) else n_lags)
        for other, u in zip(input_names, inputs.T, strict=True):
            sides = {lags: dependence(e, u, lags, sizes) for lags in (after, before)}
            for lags, (r, spread, _, _) in sides.items():
                correlate(name, other, lags, r, z * spread)
            judge(name, INPUT, other, before, *sides[before][2:])
            judge(name, LATER_INPUT, other, after, *sides[after][2:])
    columns = ["output", "test", "input", "lags", "statistic", "degrees", "p", "passed"]
    tests = pd.DataFrame(rows, columns=columns).astype({"passed": "boolean", "input": object})
    return ResidualTests(pd.concat(found, ignore_index=True), tests)
