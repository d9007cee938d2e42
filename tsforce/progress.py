"""One line of progress, of whatever takes long; the only place that draws one.

A bar in a terminal and words in a notebook, both written over; whole lines in a log, few of them. No thread and no
hidden cursor: what ends with an error leaves nothing to put right, and next to nothing is added to seconds measured.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["OFF", "Progress"]

#: Set to "off", it silences every line of progress.
OFF = "TSFORCE_PROGRESS"
# Seconds from one line of a log to the next, and from one drawing to the next where it is written over.
_LOG, _DRAWN = 30.0, 0.1
_BAR = 24


class Progress:
    """One line on stderr, until it is closed.

    Parameters
    ----------
    name : str
        Of what runs.
    shown : bool
        Whether there is a line at all; the environment's ``TSFORCE_PROGRESS=off`` says no for all of them.
    every : bool
        Whether a log gets a line each time, where each takes long; else the first, one each half minute, and the last.

    Examples
    --------
    >>> import io
    >>> log = io.StringIO()
    >>> with Progress("backtest", stream=log) as progress:
    ...     for fit in range(3):
    ...         progress.show("naive", fit + 1, 3)
    >>> print(log.getvalue(), end="")
    backtest 1/3 naive
    backtest 3/3 naive
    """

    def __init__(self, name: str, *, shown: bool = True, every: bool = False, stream: TextIO | None = None) -> None:
        self.name, self.every = name, every
        self.shown = shown and os.environ.get(OFF, "").strip().lower() not in {"off", "0", "false", "no"}
        self._stream = stream
        self._console: Console | None = None
        self._written, self._waiting = -float("inf"), ""
        self._begun, self._width = time.perf_counter(), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def show(self, what: str, done: int | None = None, total: int | None = None) -> None:
        """Say what is being done, and which of how many it is.

        Parameters
        ----------
        what : str
            Shown as it is: brackets in a name are no markup.
        done, total : int, optional
        """
        if not self.shown:
            return
        console = self._console = self._console or self._open()
        count = "" if done is None else f"{done} " if total is None else f"{done}/{total} "
        line = f"{self.name} {count}{what}"
        over = console.is_terminal or console.is_jupyter
        if console.is_terminal:
            line = self._drawn(console, line, done, total)
        pause = _DRAWN if over else 0.0 if self.every else _LOG
        now = time.perf_counter()
        if now - self._written < pause:
            self._waiting = line
            return
        self._put(console, line)
        self._written, self._waiting = now, ""

    def close(self) -> None:
        """End the line; what was held back is shown."""
        if self._console is None:
            return
        if self._waiting:
            self._put(self._console, self._waiting)
        if self._width:
            self._console.file.write("\n")
            self._console.file.flush()
        self._waiting, self._width = "", 0

    def _open(self) -> Console:
        from rich.console import Console

        return Console(file=self._stream or sys.stderr, highlight=False)

    def _drawn(self, console: Console, line: str, done: int | None, total: int | None) -> str:
        """Return the line as a terminal shows it: cut where that ends, behind a bar if there is an end."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        text = Text(f"{time.perf_counter() - self._begun:.0f} s  {line}", no_wrap=True, overflow="ellipsis")
        grid.add_row(*([ProgressBar(total, done, width=_BAR)] if done is not None and total else []), text)
        with console.capture() as drawn:
            console.print(grid, end="")
        return drawn.get().rstrip("\n")

    def _put(self, console: Console, line: str) -> None:
        if console.is_terminal:
            console.file.write(f"\r{line}\x1b[K")
        elif console.is_jupyter:
            # Notebooks go back to the start of a line, but erase nothing.
            console.file.write(f"\r{line:<{self._width}}")
        else:
            console.file.write(f"{line}\n")
        console.file.flush()
        self._width = max(self._width, len(line)) if console.is_terminal or console.is_jupyter else 0
