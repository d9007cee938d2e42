"""Models that outlive their process: `save`, and what of a model stands in its file."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tsforce.data.panel import FloatArray, Panel, WindowIndex
from tsforce.errors import ArgumentError
from tsforce.persistence.saved_file import save

__all__ = [
    "MOST_SHOWN",
    "CanBeSaved",
    "check_context",
    "check_in_memory",
    "check_rows_kept",
    "shown_series",
    "with_inputs_ahead",
]

# Of what is learnt from, all that no forecast reads: rows, and what was tried on them.
_TRAINING_ROWS = frozenset({"_learnt_from_", "_moments_", "_trials_", "_windows_", "_shares_"})
#: Steps of a forecast that stand in a file, at most: a horizon of millions in a file made up would never end.
MOST_SHOWN = 100
# Series whose forecasts stand in a file, and rows of each that they are made of, at most.
_SHOWN, _SHOWN_ROWS = 8, 2000
# Rows of a context that need no series as long, and points of a calendar: 400 years of business hours.
_LONG, _MOST_POINTS = 100_000, 2**20


class CanBeSaved:
    """What a forecaster or regressor has that can be saved."""

    def save(self, path: str | os.PathLike[str], *, training_rows: bool = False) -> None:
        """Write the fitted model to one file, from which ``tsforce.load`` makes it again.

        Parameters
        ----------
        path : path-like
            The file is there whole or not at all, whatever happens while it is written; a model that was there before
            stays until then.
        training_rows : bool
            Keep the rows that were learnt from too, and not only the last ones that forecasts read: what ``update``,
            the first ``predict(level=)``, ``sample_paths`` and ``AutoNARX.explain`` take. Bounds need none where
            ``predict`` was asked for them before.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        PersistenceError
            If the model holds something that cannot be saved: says what, and where.
        MissingExtraError
            If the model is made of scikit-learn regressors and skops is not installed.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import tsforce
        >>> from tsforce.datasets import load
        >>> model = tsforce.Baseline("seasonal_naive", horizon=2).fit(load("airpassengers"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "passengers.tsforce")
        ...     tsforce.load(Path(folder) / "passengers.tsforce").predict()["seasonal_naive"].tolist()
        [417.0, 391.0]
        """
        check_in_memory(self)
        check_is_fitted(self)
        nothing: frozenset[str] = frozenset()
        save(path, self, lambda held: _TRAINING_ROWS if isinstance(held, CanBeSaved) and not training_rows else nothing)

    def _shown(self) -> FloatArray:
        """Return some of the model's numbers, which a file holds and a loaded model has to come to."""
        raise NotImplementedError


def check_in_memory(model: Any) -> None:
    """Raise if a model was fitted to partitions.

    Raises
    ------
    ArgumentError
        With the way to one that is in memory.
    """
    if hasattr(model, "partitions_"):
        raise ArgumentError(
            f"this {type(model).__name__} was fitted to partitions, and only predict() goes on from all of them; ask "
            f"that of one partition, such as model.partitions_[0], for anything else."
        )


def check_rows_kept(model: Any, name: str, call: str) -> None:
    """Raise unless a model holds what it has learnt from, which one that was loaded may not.

    Parameters
    ----------
    model : forecaster
    name : str
        Of the attribute.
    call : str
        What takes it.

    Raises
    ------
    ArgumentError
        With the way out.
    """
    if not hasattr(model, name):
        raise ArgumentError(
            f"{call} takes the rows that were learnt from, which the file of this {type(model).__name__} does not "
            f"hold; write it with save(path, training_rows=True)."
        )


def shown_series(panel: Panel) -> Panel:
    """Return the last rows of the first and last series of a panel, and of some between."""
    last = panel.start + panel.clock.step * (panel.lengths + MOST_SHOWN)
    if panel.clock.offset is not None and last.max(initial=0) > _MOST_POINTS:
        raise ArgumentError(f"a calendar of {last.max()} steps is none.")
    some = np.unique(np.linspace(0, panel.n_series - 1, min(_SHOWN, panel.n_series)).astype(np.int64))
    shown = panel.windows(WindowIndex(some, panel.lengths[some] - 1), length=_SHOWN_ROWS)
    # Rows that go on from those of the model would bring all of these back: as if some were missing in between.
    later = np.where(shown.lengths < panel.lengths[some], panel.lengths[some] + 1, 0)
    return replace(shown, start=np.where(later > 0, panel.start[some] + later * panel.clock.step, shown.start))


def check_context(context_length: int, longest: int = 0) -> None:
    """Raise if a context is longer than any that rows were there for: each window of a forecast takes that memory."""
    if context_length > max(_LONG, 2 * longest):
        raise ArgumentError(f"a context of {context_length} rows is longer than all that was learnt from.")


def with_inputs_ahead(panel: Panel, horizon: int) -> Panel:
    """Return a panel whose inputs stay as they are for `horizon` more rows, where it has any that are known ahead."""
    if not panel.columns.future_exog:
        return panel
    last = panel.inputs[panel.indptr[1:] - 1, len(panel.columns.past_exog) :]
    return panel.extended(horizon, np.repeat(last[:, None], horizon, axis=1))
