"""What a simulation starts from: measured outputs, the end of what was learnt from, or rest."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NamedTuple

import joblib
import numpy as np

from tsforce.data.panel import FloatArray, IntArray
from tsforce.errors import ContextWarning, warn

__all__ = ["Before", "LearntRecord", "usable_starts", "warn_of_other_units"]


class Before(NamedTuple):
    """Rows right before the first one of a record; the oldest of them also stands before them.

    Attributes
    ----------
    inputs : (b, F)
    outputs : (b, C)
        Original units.
    """

    inputs: FloatArray
    outputs: FloatArray


@dataclass(frozen=True, eq=False)
class LearntRecord:
    """Both ends of the one record that was learnt from.

    Attributes
    ----------
    digest : str
        Of all its inputs.
    first : (1, C)
        Its first outputs, original units.
    end : Before
        Its last rows.
    """

    digest: str
    first: FloatArray
    end: Before

    @staticmethod
    def of(X: FloatArray, y: FloatArray, rows: int) -> LearntRecord:
        """Return the ends of a record of inputs (n, F) and outputs (n, C): its first row and its last `rows`."""
        kept = slice(max(0, len(X) - rows), None)
        return LearntRecord(joblib.hash(X), y[:1].copy(), Before(X[kept].copy(), y[kept].copy()))

    def before(self, X: FloatArray) -> Before:
        """Return what stands before inputs that come without a word of where they start, (n, F).

        Those that were learnt from start as the record did; any others go on where it ended, as the rows of a test
        behind those of training do.
        """
        return Before(X[:1], self.first) if joblib.hash(X) == self.digest else self.end


def usable_starts(heads: list[FloatArray], sizes: IntArray, reach: int) -> list[FloatArray]:
    """Return measured first outputs of each record, (n0, C) each, that leave something to simulate.

    Parameters
    ----------
    heads : S arrays (n0, C)
    sizes : (S,) int64
        Rows of each record.
    reach : int
        The largest output lag.

    Warns
    -----
    ContextWarning
        If all rows are measured: the first ones of each record start it then. If a start has fewer rows than the lags
        reach back over: its first row stands before them.
    """
    given = np.array([len(head) for head in heads])
    if (given == sizes).all():
        warn(
            f"y_init holds the outputs of all {sizes.sum()} rows, which would leave nothing to simulate: the first "
            f"{reach} rows of a record start its simulation, the others are not read. Pass y_init=y[:{reach}], or call "
            f"one_step(X, y) for forecasts from measured outputs.",
            ContextWarning,
        )
        return [head[:reach] for head in heads]
    short = (given > 0) & (given < reach)
    if short.any():
        warn(
            f"y_init has {given[short].min()} rows, where the model reads {reach} rows back: its first row stands for "
            f"those before it, as if the system had rested there. Give {reach} measured rows.",
            ContextWarning,
        )
    return heads


def warn_of_other_units() -> None:
    """Warn if measured outputs come through scikit-learn's TransformedTargetRegressor, which does not transform them.

    Nothing but the caller tells: the numbers may well be possible ones.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tsforce."):
        frame = frame.f_back
    if frame.f_globals.get("__name__") == "sklearn.compose._target":
        warn(
            "TransformedTargetRegressor hands y_init on as it is, while this model was fitted to transformed outputs: "
            "it reads y_init in their units. NARXRegressor standardises outputs by itself; leave the wrapper out, or "
            "call model.transformer_.inverse_transform(model.regressor_.predict(X, "
            "model.transformer_.transform(y_init))) with two-dimensional y_init.",
            ContextWarning,
        )
