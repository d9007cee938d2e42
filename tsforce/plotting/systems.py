"""Pictures of identified systems: simulation over measurement, residual tests, step and frequency responses."""

from __future__ import annotations

from typing import Any

from tsforce.errors import ArgumentError
from tsforce.plotting.canvas import check_frame, draw_legend, draw_line, new_axes

__all__ = ["plot_bode", "plot_residuals", "plot_simulation", "plot_step_response"]

# Rows that are drawn one by one; of more, lines are thin.
_MANY = 2000


def plot_simulation(frame: Any, *, name: str = "simulated", output: str = "y", skip: int = 0, ax: Any = None) -> Any:
    """Return a figure of two panels: simulated over measured output, and the error.

    Parameters
    ----------
    frame : DataFrame
        row, measured, simulated: one record, original units.
    name, output : str
        Of the model and of what it simulates.
    skip : int
        Rows at the start that the simulation was given.
    ax : two matplotlib Axes, optional

    Raises
    ------
    ArgumentError
        If the frame lacks a column or has no row, or `ax` are not two.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.plotting import plot_simulation
    >>> rows = pd.DataFrame({"row": range(4), "measured": [0.0, 1.0, 1.5, 1.7], "simulated": [0.0, 1.0, 1.4, 1.8]})
    >>> figure = plot_simulation(rows, output="level", skip=1)  # also: identification_report(...).plot()
    """
    check_frame("frame", frame, "row", "measured", "simulated")
    _check_rows(frame)
    own = ax is None
    upper, lower = _panels(ax, 2, nrows=2, sharex=True, figsize=(9, 5), gridspec_kw={"height_ratios": [2, 1]})
    width = 1.2 if len(frame) <= _MANY else 0.7
    upper.plot(frame["row"], frame["measured"], color="black", linewidth=width, label="measured")
    upper.plot(frame["row"], frame["simulated"], "--", color="C1", linewidth=width, label=f"{name}, simulated")
    rows = frame[frame["row"] >= skip]
    lower.plot(rows["row"], rows["measured"] - rows["simulated"], color="C0", linewidth=width)
    lower.axhline(0, color="0.6", linewidth=1)
    if skip:
        upper.axvline(skip - 0.5, color="0.6", linewidth=1, label="start of the simulation")
    upper.set_ylabel(f"{output} (original units)")
    lower.set_ylabel("measured - simulated")
    lower.set_xlabel("row")
    draw_legend(upper, own)
    return upper.figure


def plot_residuals(frame: Any, *, level: float, title: str | None = None, ax: Any = None) -> Any:
    """Return a figure of what one output's residuals have to do with their own past, and with each input.

    Parameters
    ----------
    frame : DataFrame
        output, input, lag, correlation, bound, as in ``IdentificationReport.correlations``, of one output.
    level : float
        Share of correlations that the bounds would hold by chance.
    title : str, optional
    ax : matplotlib Axes, one for each panel, optional

    Raises
    ------
    ArgumentError
        If the frame lacks a column or has no row, or holds several outputs, or `ax` are too few or too many.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.plotting import plot_residuals
    >>> found = pd.DataFrame({"output": "y", "input": [None, None, "u", "u"], "lag": [1, 2, 0, 1]})
    >>> found = found.assign(correlation=[0.3, 0.02, 0.01, -0.04], bound=0.1)
    >>> figure = plot_residuals(found, level=0.99)  # also: identification_report(...).plot("residuals")
    >>> len(figure.axes)
    2
    """
    check_frame("frame", frame, "output", "input", "lag", "correlation", "bound")
    _check_rows(frame)
    if frame["output"].nunique() > 1:
        raise ArgumentError(
            f"frame has {frame['output'].nunique()} outputs; expected one: frame[frame['output'] == ...]."
        )
    own = ax is None
    inputs = list(frame["input"].dropna().unique())
    parts = [("residuals and their own past", "rows between residuals", frame[frame["input"].isna()])]
    parts += [
        (f"residuals and {name}", f"rows by which {name} is before", frame[frame["input"] == name]) for name in inputs
    ]
    panels = _panels(ax, len(parts), nrows=len(parts), squeeze=False, figsize=(8, 0.7 + 2.3 * len(parts)))
    for panel, (head, label, part) in zip(panels, parts, strict=True):
        part = part.sort_values("lag")
        panel.fill_between(part["lag"], -part["bound"], part["bound"], color="0.85", step="mid", linewidth=0)
        outside = part["correlation"].abs() > part["bound"]
        for which, marker, colour, said in (
            (~outside, "o", "C0", f"within the {100 * level:g} % bounds"),
            (outside, "D", "C3", "outside"),
        ):
            some = part[which]
            panel.vlines(some["lag"], 0, some["correlation"], color=colour, linewidth=1.2)
            panel.plot(some["lag"], some["correlation"], marker, color=colour, markersize=4, label=said)
        panel.axhline(0, color="0.4", linewidth=1)
        if (part["lag"] < 0).any():
            panel.axvline(-0.5, color="0.6", linewidth=1, linestyle=":")
        panel.set_title(head, loc="left", fontsize="medium")
        panel.set_xlabel(label)
        panel.set_ylabel("correlation")
        panel.xaxis.get_major_locator().set_params(integer=True)
    if title:
        panels[0].set_title(f"{title}: {parts[0][0]}", loc="left", fontsize="medium")
    draw_legend(panels[0], own)
    return panels[0].figure


def plot_step_response(frame: Any, *, ax: Any = None) -> Any:
    """Return a figure of step responses, one line per output and input.

    Parameters
    ----------
    frame : DataFrame
        output, input, time, response, as in ``StepResponse.frame``.
    ax : matplotlib Axes, optional

    Raises
    ------
    ArgumentError
        If the frame lacks a column or has no row.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsforce.plotting import plot_step_response
    >>> rises = pd.DataFrame({"output": "y", "input": "u", "time": [0, 1, 2, 3], "response": [0.0, 1.0, 1.5, 1.75]})
    >>> figure = plot_step_response(rises)  # also: step_response(model, n_steps).plot()
    """
    check_frame("frame", frame, "output", "input", "time", "response")
    _check_rows(frame)
    own = ax is None
    ax = new_axes(ax, figsize=(7, 4))
    for number, ((output, name), part) in enumerate(frame.groupby(["output", "input"], sort=False)):
        draw_line(ax, part["time"], part["response"], number, drawstyle="steps-post", label=f"{output} by {name}")
    ax.axhline(0, color="0.6", linewidth=1)
    ax.set_xlabel("time since the step")
    ax.set_ylabel("change of the output (original units)")
    draw_legend(ax, own)
    return ax.figure


def plot_bode(frame: Any, *, ax: Any = None) -> Any:
    """Return a Bode diagram: magnitude in decibel, and phase in degrees, over frequency.

    Parameters
    ----------
    frame : DataFrame
        output, input, frequency, magnitude_db, phase, as in ``FrequencyResponse.frame``.
    ax : two matplotlib Axes, optional

    Raises
    ------
    ArgumentError
        If the frame lacks a column or has no row above frequency 0, or `ax` are not two.

    Examples
    --------
    >>> from tsforce.plotting import plot_bode
    >>> from tsforce.sysid import frequency_response
    >>> figure = plot_bode(frequency_response(([0.5], [0.0, 1.0])).frame)  # also: frequency_response(...).plot()
    >>> len(figure.axes)
    2
    """
    check_frame("frame", frame, "output", "input", "frequency", "magnitude_db", "phase")
    frame = frame[frame["frequency"] > 0]
    _check_rows(frame)
    own = ax is None
    upper, lower = _panels(ax, 2, nrows=2, sharex=True, figsize=(7, 5.5))
    for number, ((output, name), part) in enumerate(frame.groupby(["output", "input"], sort=False)):
        draw_line(upper, part["frequency"], part["magnitude_db"], number, label=f"{output} by {name}")
        draw_line(lower, part["frequency"], part["phase"], number)
    for panel in (upper, lower):
        panel.set_xscale("log")
        panel.grid(True, which="both", color="0.92")
        panel.set_axisbelow(True)
    upper.set_ylabel("magnitude (dB)")
    lower.set_ylabel("phase (degrees)")
    lower.yaxis.get_major_locator().set_params(steps=[1, 1.5, 3, 4.5, 9, 10])
    lower.set_xlabel("frequency (cycles per unit of time)")
    draw_legend(upper, own)
    return upper.figure


def _panels(ax: Any, count: int, **size: Any) -> list[Any]:
    """Return so many axes: the given ones, or those of a new figure."""
    if ax is None:
        return list(new_axes(None, **size).flat)
    given = list(getattr(ax, "flat", ax)) if hasattr(ax, "__len__") else [ax]
    if len(given) != count:
        raise ArgumentError(
            f"ax: this picture has {count} panels and {len(given)} were given; expected as many matplotlib Axes, as "
            f"from plt.subplots({count})[1]."
        )
    return given


def _check_rows(frame: Any) -> None:
    if not len(frame):
        raise ArgumentError("the frame has no row to draw.")
