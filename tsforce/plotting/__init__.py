"""Pictures of frames (extra ``plot``): matplotlib is imported on first use.

Readable in grey: lines differ in style too.
"""

from tsforce.plotting.forecasts import (
    plot_backtest,
    plot_choice,
    plot_exposure,
    plot_forecast,
    plot_history,
    plot_horizon,
    plot_modes,
)
from tsforce.plotting.systems import plot_bode, plot_residuals, plot_simulation, plot_step_response
from tsforce.plotting.uncertainty import plot_coverage, plot_paths, plot_pit

__all__ = [
    "plot_backtest",
    "plot_bode",
    "plot_choice",
    "plot_coverage",
    "plot_exposure",
    "plot_forecast",
    "plot_history",
    "plot_horizon",
    "plot_modes",
    "plot_paths",
    "plot_pit",
    "plot_residuals",
    "plot_simulation",
    "plot_step_response",
]
