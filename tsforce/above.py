"""The doors through which a room reaches what stands above it: one closed table, each opened when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["from_above"]

_ABOVE = {
    "export": "tsforce.export.exporting:export",
    "backtest_partitions": "tsforce.distributed.backtests:backtest_partitions",
    "fit_partitions": "tsforce.distributed.fitting:fit_partitions",
    "report_backtest": "tsforce.report.backtest_page:report_backtest",
    "report_forecast": "tsforce.report.forecast_page:report_forecast",
}


def from_above(key: str) -> Any:
    """Return the function that a key stands for.

    Examples
    --------
    >>> from_above("export").__name__
    'export'
    """
    module, name = _ABOVE[key].split(":")
    return getattr(import_module(module), name)
