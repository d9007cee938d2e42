"""What happened while a model learnt, as plain rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from typing import Any

__all__ = ["History", "Record"]


@dataclass(frozen=True)
class Record:
    """One look at a training run.

    Attributes
    ----------
    run : "choose" or "final"
        Whether the validation span was held out.
    mode : str
        What the model was fed: "open_loop", "closed_loop", "curriculum", or the name of a policy.
    epoch, step : int
    loss : float
        Forced training loss since the last look, model units; NaN before the first step.
    one_step, closed_loop : float
        Validation errors: mean absolute error on original units over the in-sample seasonal-naive scale, mean over
        series; NaN in the final run, whose validation span is trained on.
    forcing_ratio, learning_rate : float
    seconds : float
        CPU seconds since the run began.
    """

    run: str
    mode: str
    epoch: int
    step: int
    loss: float
    one_step: float
    closed_loop: float
    forcing_ratio: float
    learning_rate: float
    seconds: float


def _mean(records: list[tuple[Record, int]], name: str) -> float:
    """Return the weighted mean of an attribute over the records that have it."""
    known = [(getattr(r, name), w) for r, w in records if math.isfinite(getattr(r, name))]
    return sum(value * w for value, w in known) / sum(w for _, w in known) if known else math.nan


@dataclass
class History:
    """The looks of all runs of one fit, in order.

    Attributes
    ----------
    solver : str
        What trained the model.
    records : list of Record
    notes : list of str
        What was chosen and why; where training diverged.
    n_diverged : int
        Models, counted per run, that met numbers that are not finite.
    ends : dict of (run, mode) -> dict of reason -> int
        Why training stopped: how many models for each reason.
    on_record : callable, optional
        Called with each record as it is made.
    """

    solver: str
    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_diverged: int = 0
    ends: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    on_record: Callable[[Record], None] | None = None

    def extend_with_mean(self, parts: list[tuple[History, int]]) -> None:
        """Append the mean of runs that happened side by side, one for each part of the series.

        Parameters
        ----------
        parts : list of (History, number of series)
            A part that stopped early counts with its last record.
        """
        runs = dict.fromkeys((record.run, record.mode) for part, _ in parts for record in part.records)
        for run in runs:
            own = [([r for r in part.records if (r.run, r.mode) == run], weight) for part, weight in parts]
            own = [(records, weight) for records, weight in own if records]
            for number in range(max(len(records) for records, _ in own)):
                now = [(records[min(number, len(records) - 1)], weight) for records, weight in own]
                longest = max((record for record, _ in now), key=lambda record: record.step)
                mean: dict[str, Any] = {name: _mean(now, name) for name in ("loss", "one_step", "closed_loop")}
                # A share that follows validation errors differs between parts.
                same = [(record, weight) for record, weight in now if record.step == longest.step]
                mean["forcing_ratio"] = _mean(same, "forcing_ratio")
                seconds = sum(record.seconds for record, _ in now)
                self.records.append(replace(longest, **mean, seconds=seconds))
        self.notes += [note for part, _ in parts for note in part.notes]
        self.n_diverged += sum(part.n_diverged for part, _ in parts)
        for part, _ in parts:
            for run, reasons in part.ends.items():
                self.stopped(*run, reasons)

    def extend(self, part: History) -> None:
        """Append what happened in a part of the fit, whose records were handed on as they were made."""
        self.records += part.records
        self.notes += part.notes
        self.n_diverged += part.n_diverged
        for run, reasons in part.ends.items():
            self.stopped(*run, reasons)

    def state(self) -> dict[str, Any]:
        """Return what has happened as plain values."""
        records = [list(astuple(record)) for record in self.records]
        return {"records": records, "notes": self.notes, "n_diverged": self.n_diverged, "ends": self.ends}

    @classmethod
    def of(cls, state: dict[str, Any]) -> History:
        """Return the history that had a `state`."""
        records = [Record(*told) for told in state["records"]]
        return cls("", records, state["notes"], state["n_diverged"], state["ends"])

    def stopped(self, run: str, mode: str, reasons: dict[str, int]) -> None:
        """Count why the models of a run stopped."""
        own = self.ends.setdefault((run, mode), {})
        for reason, count in reasons.items():
            own[reason] = own.get(reason, 0) + count

    def add(self, record: Record) -> None:
        """Append a record and hand it on."""
        self.records.append(record)
        if self.on_record is not None:
            self.on_record(record)
