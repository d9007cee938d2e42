"""Candidates of AutoNARX side by side: which are tried, what becomes of them, and how much each is heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tsforce.data.panel import FloatArray, Panel
from tsforce.errors import InterruptionWarning, warn
from tsforce.forecasting.auto.asked_for import asked_candidates
from tsforce.forecasting.auto.candidate import Candidate, Wanted
from tsforce.forecasting.auto.candidates import candidates_by_name, candidates_for
from tsforce.forecasting.auto.choice import heaviest, weigh
from tsforce.forecasting.auto.clock import Clock
from tsforce.forecasting.auto.together import heard_together
from tsforce.forecasting.auto.trials import Trial, TrialWindows, kept_trial, run_trial
from tsforce.persistence.checkpoints import Checkpoint

__all__ = ["MOST_HEARD", "MOST_SERIES", "Choice", "choose"]

#: Series on trial at most where a panel has too many rows to try all; all of a length then have the same weights.
MOST_SERIES = {"fast": 1500, "balanced": 5000, "accurate": 20000}
#: Candidates that are heard at most then: each is learnt from all series.
MOST_HEARD = {"fast": 5, "balanced": 10, "accurate": 20}


class Choice(NamedTuple):
    """What has become of all candidates.

    Attributes
    ----------
    windows : TrialWindows
    trials : list of Trial
        M of them; the first one forecasts any series.
    untried : dict of Candidate -> str
        And why.
    weight : (M, T) float64
        Of each for each series on trial.
    """

    windows: TrialWindows
    trials: list[Trial]
    untried: dict[Candidate, str]
    weight: FloatArray


def choose(
    wanted: Wanted,
    panel: Panel,
    some: Panel,
    asked: Any,
    mode: Any,
    clock: Clock,
    place: Checkpoint | None,
    *,
    each: bool,
    why_not: Callable[[Candidate], str] | None = None,
) -> Choice:
    """Return what candidates have come to on some series of a panel.

    Parameters
    ----------
    wanted : Wanted
    panel, some : Panel
        What will be learnt from in the end, and what candidates are tried on.
    asked : list or None
        From ``own_forecasters``.
    mode : str, Forcing or None
    clock : Clock
    place : Checkpoint or None
    each : bool
        Whether each series has weights of its own; else all of a length, of fewer candidates.
    why_not : function, optional
        Says why a candidate is not tried; nothing if it is.
    """
    windows = TrialWindows.of(some, wanted.horizon, wanted.seasons[0])
    about = panel, windows.learnt.lengths, wanted
    candidates = asked_candidates(asked, candidates_for(*about), candidates_by_name(*about))
    if mode is not None:
        candidates = [candidate.trained(mode) for candidate in candidates]
    if why_not is not None:
        candidates = [replace(one, why_not=one.why_not or why_not(one)) for one in candidates]
    clock.learning(len(panel.values) / len(windows.learnt.values), 0 if each else MOST_HEARD[wanted.budget])
    trials, untried = _tried(candidates, windows, wanted.horizon, clock, place)
    weight = weigh(trials, windows, each=each)
    # How candidates that knew half of the rows compare says little of how they do with all.
    if windows.nearly_all:
        weight = heard_together(weight, trials, windows)
    return Choice(windows, trials, untried, weight if each else heaviest(weight, MOST_HEARD[wanted.budget]))


def _tried(
    candidates: Sequence[Candidate], windows: TrialWindows, horizon: int, clock: Clock, place: Checkpoint | None
) -> tuple[list[Trial], dict[Candidate, str]]:
    """Return the trials, and the candidates that were not tried with the reason."""
    trials: list[Trial] = []
    untried: dict[Candidate, str] = {}
    try:
        for number, candidate in enumerate(candidates):
            if candidate.why_not:
                untried[candidate] = candidate.why_not
                continue
            if candidate.work > 0 and not clock.allows(candidate.work):
                untried[candidate] = "no time was left"
                continue
            clock.show(candidate.name, number + 1, len(candidates), sum(c.work for c in candidates[number:]))
            own = place and place.within(f"trial-{number}")
            trial = None if own is None else kept_trial(candidate, own)
            if trial is None:
                trial = run_trial(candidate, windows, horizon, own)
            else:
                clock.went_on(trial.seconds)
            clock.took(candidate.work, trial.seconds)
            trials.append(trial)
    except KeyboardInterrupt:
        if not trials:
            raise
        tried = {trial.candidate for trial in trials}
        untried = {c: untried.get(c, "interrupted") for c in candidates if c not in tried}
        warn(
            f"interrupted after {len(trials)} of {len(candidates)} candidates: the best of those are learnt from "
            f"all rows now. Once more stops that too, and leaves nothing.",
            InterruptionWarning,
        )
    return trials, untried
