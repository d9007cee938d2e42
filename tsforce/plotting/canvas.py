"""What all pictures share: axes of a new figure, lines that grey tells apart, a legend that hides nothing."""

from __future__ import annotations

from typing import Any

from tsforce.errors import ArgumentError, ArgumentTypeError, MissingExtraError, abbreviate

__all__ = ["MARKERS", "STYLES", "check_frame", "draw_legend", "draw_line", "new_axes"]

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "x")


def new_axes(ax: Any, **size: Any) -> Any:
    """Return the given axes, or those of a new figure.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingExtraError("pictures need matplotlib: pip install 'tsforce[plot]'.") from None
    return plt.subplots(layout="constrained", **size)[1]


def draw_line(ax: Any, x: Any, y: Any, number: int, **settings: Any) -> Any:
    """Draw the line that stands for the model of some number: its own style, marker and colour; return it."""
    style, marker = STYLES[number % len(STYLES)], MARKERS[number % len(MARKERS)]
    settings = {"color": f"C{number % 10}", "marker": marker, "markersize": 4, **settings}
    (line,) = ax.plot(x, y, style, markevery=max(1, len(x) // 12), **settings)
    return line


def draw_legend(ax: Any, own: bool) -> None:
    """Say what the lines are: above the axes in a figure of our own, where it can hide nothing."""
    if not own:
        ax.legend(fontsize="small")
        return
    lines, labels = ax.get_legend_handles_labels()
    # A letter of this size is about 0.058 inches wide; line, gaps and padding of an entry take as much as ten of them.
    columns = int(ax.figure.get_figwidth() / (0.058 * (10 + max(map(len, labels)))))
    ncols = max(1, min(columns, len(lines)))
    ax.figure.legend(lines, labels, fontsize="small", loc="outside upper right", ncols=ncols)


def check_frame(argument: str, frame: Any, *wanted: str) -> None:
    """Complain about what is no pandas frame, or lacks a column.

    Raises
    ------
    ArgumentTypeError, ArgumentError
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "iloc")):
        raise ArgumentTypeError(
            f"{argument} is a {type(frame).__module__.partition('.')[0]} {type(frame).__name__}; expected a long "
            f"pandas DataFrame, as from {argument}.to_pandas(), or .reset_index() where time is in the index."
        )
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ArgumentError(
            f"{argument} has no column {abbreviate(missing)}; it has {abbreviate(frame.columns, limit=12)}. Name your "
            f"columns with id_col=, time_col=, target_col=."
        )
