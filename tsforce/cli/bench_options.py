"""The options of the benches, each written once, and the names that are given to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from tsforce.cli.options import threads_option
from tsforce.errors import check_choice

__all__ = [
    "chosen", "data_option", "names", "names_option", "out_option", "seeds_option", "threads_option",
    "time_limit_option",
]  # fmt: skip

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

time_limit_option = click.option(
    "--time-limit", type=float, default=300.0, show_default=True, help="CPU seconds of a fit."
)


def names_option(*flags: str, help: str = "Names joined by commas; all by default.", default: str | None = None) -> Any:
    """Return an option that takes names joined by commas, such as ``--models``; what they are: `chosen`."""
    return click.option(*flags, default=default, show_default=default is not None, help=help)


def seeds_option(default: int, help: str = "Runs of each random model.") -> Option:
    """Return ``--seeds``: 0 to one less."""
    return click.option("--seeds", type=click.IntRange(min=1), default=default, show_default=True, help=help)


def data_option(files: str = "the files") -> Option:
    """Return ``--data``, the folder with some files."""
    help = f"Folder with {files}; wins over TSFORCE_DATA."
    return click.option("--data", type=click.Path(path_type=Path), help=help)


def out_option(default: str | None, help: str) -> Option:
    """Return ``--out``, the folder of results; without a default the help says which it is."""
    place = None if default is None else Path(default)
    return click.option(
        "--out", type=click.Path(path_type=Path), default=place, show_default=place is not None, help=help
    )


def names(text: str | None, every: Iterable[str]) -> list[str]:
    """Return the names in a text that joins them by commas; all of them if there is no text.

    Examples
    --------
    >>> names("mlp, gru", ()), names(None, ("mlp", "gru"))
    (['mlp', 'gru'], ['mlp', 'gru'])
    """
    return list(every) if text is None else [part.strip() for part in text.split(",")]


def chosen(option: str, text: str | None, accepted: Iterable[str], every: Iterable[str] | None = None) -> list[str]:
    """Return the names that an option was given, each once; without a text `every`, or all that are accepted.

    Raises
    ------
    ArgumentError
        If a name is not accepted, with those that are.

    Examples
    --------
    >>> chosen("--models", "gru,gru", ("mlp", "gru")), chosen("--models", None, ("mlp", "gru"), ["mlp"])
    (['gru'], ['mlp'])
    """
    known = tuple(accepted)
    given = names(text, known if every is None else every)
    return [check_choice(option, name, known) for name in dict.fromkeys(given)]
