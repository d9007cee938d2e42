"""Which series a picture shows, and how much of each: the same arguments for all pictures of series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tsforce.errors import ArgumentError, abbreviate
from tsforce.plotting.canvas import draw_legend, new_axes

__all__ = ["MOST_PANELS", "check_last", "check_series", "name_panels", "rows_of", "series_panels", "series_to_draw"]

# More panels than this on one page are too flat to read.
MOST_PANELS = 4


def series_to_draw(series: Any, n_series: Any, known: list[Any], ax: Any, default: int) -> list[Any]:
    """Return the ids of the series to draw.

    Parameters
    ----------
    series : optional
        An id, or several: these.
    n_series : int, optional
        How many of `known`, the first ones; by default `default`.
    known : list
    ax : matplotlib Axes, optional
        Takes one series.
    default : int

    Raises
    ------
    ArgumentError
        If there is no such series, there are more than can be drawn, or both arguments are given.
    """
    most = MOST_PANELS if ax is None else 1
    if series is None:
        if n_series is not None and (isinstance(n_series, bool) or not isinstance(n_series, int) or n_series < 1):
            raise ArgumentError(f"n_series={n_series!r}: expected None or a whole number of at least 1.")
        chosen, said = known[: min(default, most) if n_series is None else n_series], "n_series asks for"
    elif n_series is not None:
        raise ArgumentError(f"series={series!r} says which series, and n_series={n_series!r} how many; leave one out.")
    else:
        # A tuple may be an id.
        several = isinstance(series, Iterable) and not isinstance(series, str) and series not in known
        chosen, said = list(series) if several else [series], "series names"
    if not 1 <= len(chosen) <= most:
        room = f"a figure takes 1 to {MOST_PANELS}" if ax is None else "ax= takes one"
        raise ArgumentError(f"{said} {len(chosen)} series; {room}. Draw the others in figures of their own.")
    for name in chosen:
        check_series("series", name, known)
    return chosen


def series_panels(chosen: list[Any], ax: Any) -> list[Any]:
    """Return an axes for each series: the given one, or those of a new figure below each other."""
    if ax is not None:
        return [ax]
    grid = new_axes(None, nrows=len(chosen), squeeze=False, figsize=(8, 1.9 + 2.2 * len(chosen)))
    return list(grid[:, 0])


def name_panels(panels: list[Any], chosen: list[Any], target_col: str, ax: Any) -> Any:
    """Say which series each axes shows, in what unit, and the time below the last alone; return the figure."""
    for panel, name in zip(panels, chosen, strict=True):
        panel.set_title(str(name), loc="left", fontsize="medium")
        panel.set_ylabel(f"{target_col} (original units)")
    for panel in panels[:-1]:
        panel.set_xlabel("")
    draw_legend(panels[0], ax is None)
    return panels[0].figure


def check_last(last: Any) -> None:
    """Raise unless `last` is None or a number of rows."""
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 1):
        raise ArgumentError(f"last={last!r}: expected None or a whole number of at least 1.")


def rows_of(frame: Any, id_col: str, name: Any) -> Any:
    """Return the rows of one series; a frame without the id column is one series."""
    return frame if id_col not in frame.columns else frame[frame[id_col] == name]


def check_series(argument: str, name: Any, known: list[Any]) -> None:
    """Raise unless there is a series of this name."""
    if name not in known:
        raise ArgumentError(f"{argument}: there is no series {name!r}; expected one of {abbreviate(known)}.")
