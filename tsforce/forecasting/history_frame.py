"""The training history as users see it: a frame, and a line while it grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd

from tsforce.notebook import card, paragraphs, table
from tsforce.progress import Progress
from tsforce.training.history import History, Record

__all__ = ["TrainingHistory", "shown_on"]

_COLUMNS = list(Record.__annotations__)
_RUNS = {
    "run": "run", "mode": "mode", "steps": "steps", "closed_loop": "closed-loop error", "at_step": "at step",
    "ended": "ended",
}  # fmt: skip


class TrainingHistory:
    """What happened while a model learnt.

    Attributes
    ----------
    frame : DataFrame
        run, mode, epoch, step, loss, one_step, closed_loop, forcing_ratio, learning_rate, seconds; see ``Record``. A
        closed form has no steps: one row with the validation errors of its chosen ridge; none where ridge was given,
        as nothing was held out.
    solver : str
        What trained the model.
    runs : DataFrame
        One row per run and mode: run, mode, steps (taken by the longest), closed_loop (the lowest mean validation error
        at a look; NaN for the final run, which learns from the rows that were held out), at_step, and why it ended.
    notes : tuple of str
        What was chosen and why; where training diverged.
    """

    def __init__(self, history: History) -> None:
        self.solver = history.solver
        self.notes = tuple(history.notes)
        self.frame: Any = pd.DataFrame([asdict(record) for record in history.records], columns=_COLUMNS)
        self.runs: Any = pd.DataFrame(
            [
                _run_of(part, history.ends.get((str(run), str(mode)), {}))
                for (run, mode), part in self.frame.groupby(["run", "mode"], sort=False)
            ],
            columns=["run", "mode", "steps", "closed_loop", "at_step", "ended"],
        )

    def plot(self, ax: Any = None) -> Any:
        """Return a figure of both validation errors and the forcing ratio over training (extra ``plot``).

        Parameters
        ----------
        ax : matplotlib Axes, optional
        """
        from tsforce.plotting import plot_history

        return plot_history(self.frame, ax=ax)

    def _said_last(self) -> list[str]:
        final = "The final run learns from all rows, those held out too: nothing is left to validate it on."
        return [final] if "final" in self.runs["run"].tolist() else []

    def __repr__(self) -> str:
        lines = [f"TrainingHistory: {self.solver}", *self.notes]
        if len(self.runs):
            lines.append(self.runs.to_string(index=False, na_rep="-"))
        return "\n".join([*lines, *self._said_last()])

    def _repr_html_(self) -> str:
        runs = table(self.runs.to_dict("records"), _RUNS) if len(self.runs) else ""
        return card(f"TrainingHistory: {self.solver}", paragraphs(self.notes), runs, paragraphs(self._said_last()))


def _run_of(looks: Any, ends: dict[str, int]) -> dict[str, Any]:
    """Return the row of a run: its lowest error, and why it ended for how many models."""
    known = looks["closed_loop"].notna()
    best = looks.loc[looks["closed_loop"].idxmin()] if known.any() else None
    several = len(ends) > 1
    return {
        "run": looks["run"].iloc[0],
        "mode": looks["mode"].iloc[0],
        "steps": int(looks["step"].max()),
        "closed_loop": None if best is None else best["closed_loop"],
        "at_step": "-" if best is None else str(best["step"]),
        "ended": ", ".join(f"{why} ({count})" if several else why for why, count in ends.items()) or "-",
    }


def shown_on(progress: Progress) -> Callable[[Record], None]:
    """Return what shows a record on a line of progress: both validation errors and the gap."""

    def show(record: Record) -> None:
        errors = ""
        if record.closed_loop == record.closed_loop:
            gap = record.closed_loop / record.one_step if record.one_step else float("nan")
            errors = (
                f"  validation: one-step {record.one_step:.4f}  closed-loop {record.closed_loop:.4f}  gap {gap:.2f}"
            )
        progress.show(
            f"{record.run:<6} {record.mode:<11} step {record.step:>6}  loss {record.loss:.4f}{errors}  "
            f"ratio {record.forcing_ratio:.2f}"
        )

    return show
