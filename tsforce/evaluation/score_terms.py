"""From forecasts and truth to scores: what is summed for each, and what the sum is divided by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import FloatArray
from tsforce.evaluation.judged import Judged
from tsforce.scoring.interval_scores import covered, interval_score
from tsforce.scoring.metrics import abs_error, has_scale, smape_terms, squared_error
from tsforce.scoring.path_scores import pinball_loss

__all__ = ["OF_ERRORS", "OF_WINDOWS", "POOLED", "interval_rows", "score_terms"]

# Scores that every forecast has; the others are of its bounds or of its paths, where there are any.
OF_ERRORS = ("smape", "mase", "mae", "rmse")
# Scores of whole windows, which no step has.
OF_WINDOWS = ("energy",)
# Scores that are one ratio over all series, not a mean of each series' own.
POOLED = ("wql",)


def score_terms(
    judged: Judged, truth: FloatArray, known: npt.NDArray[np.bool_], scale: FloatArray
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return for each score its terms and their weights, (W, H, C) each: it is the ratio of their sums.

    Parameters
    ----------
    judged : Judged
    truth : (W, H, C) float64, original units
    known : (W, H) bool
        Steps that have a truth.
    scale : (W, C) float64, original units
        The in-sample seasonal-naive error of each window's series.
    """
    yhat, unit = judged.yhat, scale[:, None]
    usable = has_scale(unit)
    unit = np.where(usable, unit, 1.0)
    counts = np.broadcast_to(known[:, :, None], yhat.shape)
    absolute = abs_error(truth, yhat)
    terms = {
        "smape": _where(counts, smape_terms(truth, yhat)),
        "mase": _where(counts & usable, absolute / unit),
        "mae": _where(counts, absolute),
        "rmse": _where(counts, squared_error(truth, yhat)),
    }
    for level, low, high in judged.each_level():
        bounded, share = counts & ~np.isnan(low), level / 100
        terms[f"coverage-{level:g}"] = _where(bounded, covered(truth, low, high))
        terms[f"width-{level:g}"] = _where(bounded, high - low)
        terms[f"msis-{level:g}"] = _where(bounded & usable, interval_score(truth, low, high, share) / unit)
        sides = pinball_loss(truth, low, (1 - share) / 2), pinball_loss(truth, high, (1 + share) / 2)
        terms[f"pinball-{level:g}"] = _where(bounded, 0.5 * (sides[0] + sides[1]))
    drawn = judged.drawn
    if drawn is not None:
        scored = counts & ~np.isnan(drawn.crps)
        terms["crps"] = _where(scored, drawn.crps)
        terms["crps_plain"] = _where(scored, drawn.crps_plain)
        terms["crps_scaled"] = _where(scored & usable, drawn.crps / unit)
        terms["wql"] = np.where(scored, 2 * drawn.pinball, 0.0), np.where(scored, np.abs(truth), 0.0)
        # Once for each window: at its first step.
        energy = np.broadcast_to(drawn.energy[:, None], yhat.shape)
        first = (np.arange(yhat.shape[1]) == 0)[:, None]
        terms["energy"] = _where(first & ~np.isnan(energy) & usable, energy / unit)
    return terms


def interval_rows(model: str, terms: dict[str, tuple[FloatArray, FloatArray]]) -> list[dict[str, Any]]:
    """Return a row for each level: its coverage in all steps and in each third of the horizon, its width and MSIS."""
    rows = []
    for name in terms:
        kind, _, level = name.partition("-")
        if kind != "coverage":
            continue
        inside, counted = terms[name]
        thirds = np.array_split(np.arange(inside.shape[1]), 3)
        parts = {"coverage": slice(None)} | dict(
            zip(("first_third", "second_third", "last_third"), thirds, strict=True)
        )
        row = {part: _ratio(inside[:, steps], counted[:, steps]) for part, steps in parts.items()}
        others = {other: _ratio(*terms[f"{other}-{level}"]) for other in ("width", "msis")}
        rows.append({"model": model, "level": float(level), **row, **others})
    return rows


def _ratio(total: FloatArray, weight: FloatArray) -> float:
    return float(total.sum() / weight.sum()) if weight.sum() else np.nan


def _where(counted: npt.NDArray[np.bool_], values: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.where(counted, values, 0.0), counted.astype(np.float64)
