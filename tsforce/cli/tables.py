"""The files of a command: read them, write them, and tell of whatever is wrong by the name, line and column in them."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tsforce.errors import ArgumentError, MissingExtraError, TsforceError, TsforceWarning, abbreviate

if TYPE_CHECKING:
    from tsforce.data.files import Table
    from tsforce.data.panel import Columns
    from tsforce.data.text_cells import TextForm

__all__ = [
    "as_options",
    "blamed_on",
    "check_targets",
    "draw",
    "in_terminal",
    "notice",
    "progress_of",
    "read",
    "shown_warnings",
    "with_columns",
    "write",
]

_ARGUMENTS = (
    "id_col", "time_col", "target_col", "past_exog", "future_exog", "static", "freq", "horizon", "season_length",
    "lags", "mode", "model", "transform", "calendar", "exog_lags", "short_series", "n_windows", "step_size", "refit",
    "train_size", "level", "sep", "tz", "decimal", "thousands", "time_format", "encoding", "method",
)  # fmt: skip


def as_options(text: str) -> str:
    """Return a message of the library with arguments spelt as the options they come from.

    Examples
    --------
    >>> as_options("leave the series out with short_series='drop'")
    "leave the series out with --short-series='drop'"
    """
    # Statements for pandas stay as they are.
    parts = re.split(r"(\b(?:future_)?df(?: = |\[).*)", text)
    for k in range(0, len(parts), 2):
        part = re.sub(r"`?predict\(future_df=[^)]*\)`?", "--future FILE", parts[k])
        part = re.sub(r"scope=['\"](local|global)['\"]", r"--model=linear-\1", part)
        part = re.sub(
            rf"(?<![\w-])({'|'.join(_ARGUMENTS)})(=| names )", lambda m: f"--{m[1].replace('_', '-')}{m[2]}", part
        )
        parts[k] = re.sub(r"`?\bfuture_df\b`?", "--future", part.replace("--method=", "--fill-gaps="))
    return "".join(parts)


@contextmanager
def blamed_on(
    path: Path, *, has_lines: bool = False, time_col: str | None = None, filled: bool = False
) -> Iterator[None]:
    """Put the name of a file, and the lines of its rows, into the library's errors.

    Parameters
    ----------
    path : Path
    has_lines : bool
        Whether the frame's index counts lines.
    time_col : str, optional
        Name for the column where the library speaks of time stamps.
    filled : bool
        Whether gaps are filled already.
    """
    try:
        yield
    except TsforceError as error:
        row = r"line \1\2" if has_lines else r"row \1\2"
        text = re.sub(r"\brow \d+ \(index label (?:np\.int64\((\d+)\)|'?(?:line )?(\d+)'?)\)", row, str(error))
        if time_col is not None:
            text = re.sub(r"\b\d+ (?:duplicate |missing )?time stamps?\b", lambda m: f"{m[0]} in {time_col!r}", text)
        hints = []
        if not filled and re.search(r"fill_gaps\(|missing value.*between observed", text):
            hints.append("To let this command fill the gaps: --fill-gaps interpolate.")
        form = re.search(r"pd\.to_datetime\(df.*, format='([^']*)'\)", text)
        if form and has_lines and "%" in form[1] and " + " not in form[0]:
            hints.append(f"To let this command read the stamps: --time-format '{form[1]}'.")
        if re.search(r"\bdf(\[.*)? = ", text):
            hints.append("In repairs, df is the table as a DataFrame of pandas.")
        if not has_lines and re.search(r"\brow \d", text):
            hints.append("Rows are counted from 0.")
        raise TsforceError("\n".join([f"{path}: {as_options(text)}", *hints])) from error


def with_columns(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with the columns of the time and the target: those named, ds and y, or what the file has.

    Parameters
    ----------
    path : Path
    options : dict
        Of ``data_options``.
    """
    from tsforce.data.found_columns import find_columns

    columns = _columns(options)
    with blamed_on(path):
        is_open = {"time": options["time_col"] is None, "target": options["target_col"] is None}
        found = find_columns(path, columns, _form(options), **is_open)
    if found != columns:
        notice(
            f"{path}: {found.time!r} is taken as the time and {found.targets[0]!r} as what to forecast; --time-col and "
            f"--target-col name others."
        )
    return {**options, "time_col": found.time, "target_col": found.targets[0]}


def _columns(options: dict[str, Any]) -> Columns:
    from tsforce.data.panel import Columns

    time, target = options["time_col"] or "ds", options["target_col"] or "y"
    inputs = {name: options[name] for name in ("past_exog", "future_exog", "static")}
    return Columns(options["id_col"], time, (target,), **inputs)


def _form(options: dict[str, Any]) -> TextForm:
    from tsforce.data.text_cells import TextForm

    return TextForm(**{name: options[name] for name in ("sep", "decimal", "thousands", "time_format", "encoding")})


def read(path: Path, options: dict[str, Any], *, inputs_only: bool = False) -> tuple[Any, bool]:
    """Return the frame of a file, and whether its index counts lines.

    Parameters
    ----------
    path : Path
    options : dict
        Of ``data_options``.
    inputs_only : bool
        Read no more than what is known of the future.
    """
    from tsforce.data.files import read_table
    from tsforce.data.zones import in_zone

    columns = _columns(options)
    if inputs_only:
        columns = replace(columns, targets=(), past_exog=(), static=())
    with blamed_on(path):
        table = read_table(path, columns, _form(options))
    if table.unused and not inputs_only:
        notice(f"{path}: not used: {abbreviate(table.unused, limit=12)}.")
    time = options["time_col"]
    with blamed_on(path, has_lines=table.has_lines):
        if options["tz"] is not None and time in table.frame:
            ids = table.frame.get(options["id_col"])
            table.frame[time] = in_zone(table.frame[time], ids, options["tz"])
        elif table.several_offsets and options.get("calendar"):
            raise ArgumentError(
                "the stamps have several offsets from UTC, as in summer and winter, and calendar= wants the hours of "
                "one zone. Say which: tz='Europe/Berlin', or tz='UTC'."
            )
        elif table.several_offsets:
            notice(f"{path}: stamps of several offsets are read as UTC; --tz Europe/Berlin makes local ones of them.")
    method = options["fill_gaps"]
    if method is None or inputs_only:
        return table.frame, table.has_lines
    with blamed_on(path, has_lines=table.has_lines, time_col=options["time_col"], filled=True):
        try:
            return _filled(table, path, method, options), table.has_lines
        except MemoryError:
            raise ArgumentError(
                f"--fill-gaps={method!r} adds more rows than there is memory for; look for a first or last value of "
                f"{options['time_col']!r} that is far from the others."
            ) from None


def _filled(table: Table, path: Path, method: str, options: dict[str, Any]) -> Any:
    from tsforce import fill_gaps
    from tsforce.data.sorted_rows import counted

    names = {name: options[name] for name in ("id_col", "time_col", "target_col")}
    number = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", method)
    frame = table.frame
    # As text the place of the row before goes along with each row that is added.
    places = ("line " if table.has_lines else "") + frame.index.astype(str)
    marked = frame.assign(**{"place in the file": places})
    filled = fill_gaps(marked, options["freq"], float(method) if number else method, **names)
    filled.index = filled.pop("place in the file")
    target = options["target_col"]
    added, put = len(filled) - len(frame), int(frame[target].isna().sum() - filled[target].isna().sum())
    notice(f"{path}: --fill-gaps: {counted(added, 'row')} added, {counted(put, 'missing value')} of {target!r} filled.")
    return filled


def check_targets(
    inputs: list[Path], tables: list[Path | None], picture: Path | None, report: Path | None = None
) -> None:
    """Raise before anything is loaded if a file cannot be read, or cannot be written in the end."""
    from tsforce.data.file_paths import check_readable, check_writable

    for path in inputs:
        with blamed_on(path):
            check_readable(path)
    named = [path for path in (*tables, picture, report) if path is not None]
    for number, path in enumerate(named):
        with blamed_on(path):
            if any(path.resolve() == other.resolve() for other in [*inputs, *named[:number]]):
                raise ArgumentError("two files of this command have this name; give the one to write another.")
            if path is report:
                check_report(path)
                continue
            if path is not picture:
                check_writable(path)
                continue
            try:
                import matplotlib
            except ImportError:
                raise MissingExtraError("pictures need matplotlib: pip install 'tsforce[plot]'.") from None
            # No window is opened, wherever this runs.
            matplotlib.use("agg")
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            check_writable(path, [f".{kind}" for kind in FigureCanvasAgg.get_supported_filetypes()])


def check_report(path: Path) -> None:
    """Raise if a page cannot be written: another name, no folder, no plotly."""
    from tsforce.data.file_paths import check_writable
    from tsforce.report.page import check_plotly

    check_writable(path, [".html", ".htm"])
    check_plotly()


def write(frame: Any, path: Path) -> None:
    """Write a frame to a file."""
    from tsforce.data.files import write_table
    from tsforce.data.sorted_rows import counted

    with blamed_on(path):
        write_table(frame, path)
    notice(f"{path}: {counted(len(frame), 'row')} written.")


def draw(picture: Callable[[], Any], path: Path) -> None:
    """Write a picture to a file."""
    from matplotlib import pyplot

    with blamed_on(path):
        figure = picture()
        try:
            figure.savefig(path)
        except OSError as error:
            raise ArgumentError(f"the file cannot be written: {error.strerror or error}.") from None
        finally:
            pyplot.close(figure)
    notice(f"{path}: written.")


def notice(text: str) -> None:
    """Say something on stderr, so that stdout holds results alone."""
    click.echo(text, err=True)


def in_terminal() -> bool:
    """Return whether somebody may be watching: stderr is a terminal."""
    return sys.stderr.isatty()


@contextmanager
def progress_of(model: Any) -> Iterator[None]:
    """Let a model that can show its progress do so in a terminal; it is saved as if it had not."""
    asked = {"verbose": True} if in_terminal() and "verbose" in model.get_params(deep=False) else {}
    before = {name: model.get_params(deep=False)[name] for name in asked}
    model.set_params(**asked)
    try:
        yield
    finally:
        model.set_params(**before)


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Show the library's warnings as messages, each once."""
    with warnings.catch_warnings():
        other = warnings.showwarning
        warnings.simplefilter("always", TsforceWarning)
        seen: set[str] = set()

        def show(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            if not issubclass(category, TsforceWarning):
                other(message, category, *rest, **more)
            elif str(message) not in seen:
                seen.add(str(message))
                notice(f"Warning: {as_options(str(message))}")

        warnings.showwarning = show
        yield
