"""What the benches of the command line share: what was typed, and how they end."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

__all__ = ["command_line", "exit_with"]


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
