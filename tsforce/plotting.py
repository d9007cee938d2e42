"""Pictures of frames (extra ``plot``): matplotlib is imported on first use.

Readable in grey: lines differ in style too.
"""

from __future__ import annotations

from typing import Any

from tsforce.errors import MissingExtraError

__all__ = ["plot_history", "plot_modes"]

_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "x")


def _axes(ax: Any, **size: Any) -> Any:
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


def plot_modes(horizons: Any, *, ax: Any = None) -> Any:
    """Return a figure of the closed-loop error at each step, one line per mode, one-step error beside it in grey.

    Parameters
    ----------
    horizons : DataFrame
        mode, seed, horizon, rmse_closed, rmse_one_step, as in ``ModeComparison.horizons``; seeds are averaged.
    ax : matplotlib Axes, optional
    """
    ax = _axes(ax, figsize=(7, 4.5))
    mean = horizons.groupby(["mode", "horizon"], sort=False)[["rmse_closed", "rmse_one_step"]].mean().reset_index()
    for number, (mode, part) in enumerate(mean.groupby("mode", sort=False)):
        style, marker = _STYLES[number % len(_STYLES)], _MARKERS[number % len(_MARKERS)]
        every = max(1, len(part) // 12)
        label = f"trained {mode}: closed loop"
        (line,) = ax.plot(part["horizon"], part["rmse_closed"], style, marker=marker, markevery=every, label=label)
        (faint,) = ax.plot(part["horizon"], part["rmse_one_step"], style, color=line.get_color(), alpha=0.4)
        if number == 0:
            faint.set_label("the same models, one step (faint)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("steps after the cutoff")
    ax.set_ylabel("RMSE (seasonal-naive scale)")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize="small")
    return ax.figure


def plot_history(frame: Any, *, ax: Any = None) -> Any:
    """Return a figure of both validation errors, the forced loss and the forcing ratio over the steps of training.

    Parameters
    ----------
    frame : DataFrame
        As in ``history_.frame``.
    ax : matplotlib Axes, optional
    """
    ax = _axes(ax, figsize=(7, 4.5))
    part = frame[frame["run"] == frame["run"].iloc[0]] if len(frame) else frame
    # Phases one behind the other: each counts its steps from 0.
    turn = part["mode"].ne(part["mode"].shift())
    before = part.groupby(turn.cumsum())["step"].max().cumsum().shift(fill_value=0)
    part = part.assign(step=part["step"] + turn.cumsum().map(before))
    for at, name in zip(part.loc[turn, "step"], part.loc[turn, "mode"], strict=True):
        ax.axvline(at, color="0.8", linewidth=1)
        ax.annotate(
            name,
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(1, 3),
            textcoords="offset points",
            va="bottom",
            color="0.4",
            fontsize="small",
        )
    for column, style, marker in (("closed_loop", "-", "o"), ("one_step", "--", "s"), ("loss", ":", None)):
        if len(part) and part[column].notna().any():
            label = {
                "closed_loop": "closed-loop validation (seasonal-naive scale)",
                "one_step": "one-step validation (the same)",
                "loss": "forced loss (model units)",
            }
            ax.plot(part["step"], part[column], style, marker=marker, markersize=4, label=label[column])
    ax.set_xlabel("training step")
    ax.set_ylabel("error")
    ax.set_ylim(bottom=0)
    right = ax.twinx()
    right.step(part["step"], part["forcing_ratio"], where="post", color="0.6", linewidth=1)
    right.set_ylabel("forcing ratio (share of truth)", color="0.4")
    right.set_ylim(-0.02, 1.02)
    ax.legend(fontsize="small")
    return ax.figure
