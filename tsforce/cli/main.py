"""The command ``tsforce``: its groups, and what becomes of errors.

Exit codes: 0 done; 2 wrong usage or bad data, with the message and no traceback; 1 a bug, with its traceback;
130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from tsforce.cli.backtest import backtest
from tsforce.cli.bench import bench
from tsforce.cli.forecast import forecast
from tsforce.errors import TsforceError

__all__ = ["main"]


class _UserError(click.ClickException):
    exit_code = 2


# The interpreter's last look for garbage, when all ends anyway, takes .4 CPU seconds with torch loaded.
atexit.register(gc.freeze)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage seldom: what is loaded stays, and looking through it is a sixth of the start-up's CPU time."""
    before = gc.get_threshold()
    gc.set_threshold(500_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Root(click.Group):
    """Shows the library's own errors as messages."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _rare_collections():
                return super().invoke(ctx)
        except TsforceError as error:
            raise _UserError(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsforce")
def main() -> None:
    """Multi-step forecasts with models that are fed their own outputs, judged closed loop."""


for command in (forecast, backtest, bench):
    main.add_command(command)
