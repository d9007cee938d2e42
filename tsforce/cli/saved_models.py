"""Models that a command saves, or forecasts with in place of fitting one: ``--save`` and ``--load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tsforce.cli.tables import blamed_on, notice
from tsforce.errors import ArgumentError

__all__ = ["check_saving", "loaded", "saved", "with_options_of"]

# What a command may still say of a file of rows where a model was fitted before: how it is written, and what comes out.
_OF_THE_FILE = (
    "file", "horizon", "future", "level", "n_paths", "seed", "out", "plot", "load", "fill_gaps", "sep", "decimal",
    "thousands", "time_format", "tz", "encoding", "threads",
)  # fmt: skip


def check_saving(ctx: click.Context, file: Path, load: Path | None, save: Path | None) -> None:
    """Raise before anything is loaded if what is said beside ``--save`` or ``--load`` does not go with it.

    Raises
    ------
    ArgumentError
        If a setting of a model is given for one that is loaded; if a file cannot be written, or is one of the others.
    """
    from tsforce.data.file_paths import check_readable, check_writable

    if file.is_dir() and (load or save):
        with blamed_on(file):
            raise ArgumentError("--load and --save go with a file, and this is a folder; leave them out.")
    if load is not None:
        given = [
            f"--{name.replace('_', '-')}"
            for name in ctx.params
            if name not in _OF_THE_FILE and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ]
        if given:
            raise ArgumentError(
                f"--load: a saved model has its settings, columns and frequency, and is not saved again; leave out "
                f"{', '.join(sorted(given))}."
            )
        with blamed_on(load):
            check_readable(load)
    if save is not None:
        others = [path for path in (file, *map(ctx.params.get, ("future", "out", "plot", "report"))) if path]
        with blamed_on(save):
            if any(save.resolve() == other.resolve() for other in others):
                raise ArgumentError("two files of this command have this name; give the one to write another.")
            check_writable(save, [save.suffix.lower()])


def loaded(path: Path) -> Any:
    """Return the forecaster in a file.

    Raises
    ------
    PersistenceError, ArgumentError
        If there is none, or it forecasts several targets, or none by a frame.
    """
    from tsforce import Forecaster, load

    model = load(path)
    with blamed_on(path):
        if not isinstance(model, Forecaster):
            raise ArgumentError(
                f"this is a {type(model).__name__}, which forecasts no frame; use tsforce.load in Python."
            )
        if not isinstance(model.target_col, str):
            raise ArgumentError(f"this model forecasts several targets, {list(model.target_col)!r}; use it in Python.")
    notice(f"{path}: {model.name} of {len(model.train_end_)} series, freq {model.freq_!r}, loaded.")
    return model


def with_options_of(model: Any, options: dict[str, Any], future: Path | None) -> dict[str, Any]:
    """Return the options with the columns and the frequency that a fitted forecaster reads.

    Raises
    ------
    ArgumentError
        If a file of inputs known ahead is given, and it reads none.
    """
    from tsforce.forecasting.parts import inputs_of

    if future is not None and not inputs_of(model)["future_exog"]:
        raise ArgumentError("--future is given, and the saved model reads no --future-exog; leave it out.")
    names = {name: getattr(model, name) for name in ("id_col", "time_col", "target_col")}
    return {**options, **names, **inputs_of(model), "freq": model.freq_, "calendar": getattr(model, "calendar", ())}


def saved(model: Any, path: Path) -> None:
    """Write a fitted forecaster to a file."""
    with blamed_on(path):
        try:
            model.save(path)
        except OSError as error:
            raise ArgumentError(f"the file cannot be written: {error.strerror or error}.") from None
    notice(f"{path}: {model.name} saved.")
