"""What the benches of the command line share while they run: progress on stderr, and how they end."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

__all__ = ["Progress", "command_line", "exit_with"]


def command_line() -> str:
    """Return what was typed, as a manifest keeps it."""
    return shlex.join(["tsforce", *sys.argv[1:]])


def exit_with(*frames: Any) -> None:
    """End with 1 if a model failed by a bug, with 2 if all that failed did by errors of tsforce's own; else return."""
    import tsforce.errors

    failed = [status for frame in frames for status in frame["status"] if status.startswith("failed")]
    for status in failed:
        click.echo(status, err=True)
    if failed:
        known = all(status.split(": ")[1] in tsforce.errors.__all__ for status in failed)
        raise click.exceptions.Exit(2 if known else 1)


class Progress:
    """Shows on stderr which model is running: a bar in a terminal, one line per model elsewhere."""

    def __enter__(self) -> Progress:
        from rich import progress
        from rich.console import Console

        console = Console(stderr=True)
        self._bar: progress.Progress | None = None
        if console.is_terminal:
            columns = (
                progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
            )  # fmt: skip
            # Drawing costs CPU seconds of the same process that is being measured; twice a second is next to nothing.
            self._bar = progress.Progress(*columns, console=console, refresh_per_second=2, transient=True)
            self._task = self._bar.add_task("starting", total=None)
            self._bar.start()
        return self

    def start(self, label: str, number: int, total: int) -> None:
        """Show which row is being made."""
        if self._bar is None:
            click.echo(f"[{number}/{total}] {label}", err=True)
        else:
            self._bar.update(self._task, description=label, total=total)

    def advance(self, row: dict[str, Any]) -> None:
        """Count a row that is there."""
        del row
        if self._bar is not None:
            self._bar.advance(self._task)

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.stop()
