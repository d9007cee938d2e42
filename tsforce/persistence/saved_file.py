"""Saved models: one zip file of JSON, arrays and other libraries' parts, and nothing that runs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np

from tsforce.errors import PersistenceError
from tsforce.persistence.atomic import written_whole
from tsforce.persistence.container import FORMAT, opened, versions, write
from tsforce.persistence.tree_writing import Writer

__all__ = ["FORMAT", "load", "save"]

# Of forecasts made again, relative to the largest: threads and processors add in another order, in float32 too.
_SAME = 1e-4


def save(path: str | os.PathLike[str], model: Any, left_out: Any) -> None:
    """Write a fitted model to a file, which is there whole or not at all.

    Parameters
    ----------
    path : path-like
    model : forecaster or regressor
        With ``_shown()``: some of its forecasts, which whoever loads it has to come to as well.
    left_out : callable
        From an object to the names of what it holds that is not to be kept.

    Raises
    ------
    PersistenceError
        If the model holds something that cannot be saved. Then no file is written.
    """
    writer = Writer(left_out)
    tree = writer.node(model, "model")
    shown = writer.node(np.asarray(_shown(model)), "shown")
    head = {
        "class": tree["class"],
        "versions": versions(),
        "own_classes": sorted(writer.own),
        "model": tree,
        "shown": shown,
    }
    with written_whole(path) as file:
        write(file, head, writer)
        # What is there is read once before it takes its place: a file that does not load is never left behind.
        _read(file, os.fspath(path), writer.own, None)


def load(path: str | os.PathLike[str], models: Mapping[str, type] | None = None, trusted: Iterable[str] = ()) -> Any:
    """Return the model that was saved to a file.

    Nothing in a file is run, and nothing is made of it but what tsforce knows.

    Parameters
    ----------
    path : path-like
    models : mapping of str -> class, optional
        Classes of your own that the model holds (a step model and its family, a forecaster, a policy), by their names.
    trusted : iterable of str
        Types of a scikit-learn regressor to be made beyond those that skops makes of any file, such as the trees of a
        forest, whose branches scikit-learn follows unseen: for files of which you know where they come from.

    Returns
    -------
    Forecaster or NARXRegressor
        Fitted, on the CPU: its forecasts are those of the model that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PersistenceError
        If it is no saved model, broken, or written by a later version; if it holds a class that `models` does not name,
        or types that are not trusted; if its forecasts are not those that it says.

    Examples
    --------
    >>> import tempfile
    >>> import tsforce
    >>> from tsforce.datasets import load
    >>> model = tsforce.NARXForecaster(horizon=12, lags=24).fit(load("airpassengers"))
    >>> path = tempfile.mkdtemp() + "/model.tsforce"
    >>> model.save(path)
    >>> tsforce.load(path).predict().equals(model.predict())
    True
    """
    with open(path, "rb") as file:
        return _read(file, os.fspath(path), dict(models or {}), tuple(trusted))


def _read(file: BinaryIO, path: str, models: Mapping[str, type], trusted: tuple[str, ...] | None) -> Any:
    """Return the model in a file; without a word on what is trusted, all is."""
    with opened(file, path, "saved model", models, trusted) as (head, reader):
        model = reader.of(head["model"], "model")
        expected = reader.of(head["shown"], "shown")
        reader.end()
        _check_shown(model, expected, head["versions"])
    return model


def _shown(model: Any) -> Any:
    with warnings.catch_warnings():
        # Whoever asks for forecasts is warned.
        warnings.simplefilter("ignore")
        return model._shown()


def _check_shown(model: Any, expected: Any, before: Mapping[str, str]) -> None:
    """Raise unless a model comes to the forecasts that it came to when it was saved."""
    if not hasattr(type(model), "_shown"):
        raise PersistenceError(f"a {type(model).__name__} is no model.")
    try:
        found = np.asarray(_shown(model))
    except Exception as error:
        found, why = None, f"its parts do not fit together ({type(error).__name__}: {error})"
    else:
        why = "it does not come to the forecasts that it came to when it was saved"
    if found is not None and found.shape == expected.shape:
        size = np.abs(expected[np.isfinite(expected)]).max(initial=1e-300)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.allclose(found / size, expected / size, rtol=0, atol=_SAME, equal_nan=True):
                return
    now = versions()
    other = [
        f"{name} {then} (now {now.get(name, 'not there')})" for name, then in before.items() if now.get(name) != then
    ]
    hint = f" It was saved with {', '.join(other)}." if other else ""
    raise PersistenceError(f"{why}.{hint}")
