"""What was chosen, and why: a table of all candidates, and words for one series."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsforce.data.panel import FloatArray
from tsforce.forecasting.auto.candidate import Candidate
from tsforce.forecasting.auto.trials import Trial, TrialWindows
from tsforce.notebook import card, paragraphs, table
from tsforce.scoring.metrics import mean_of_known

__all__ = ["Explanation", "Reasons", "in_percent", "leaderboard", "reasons_for", "relative_to"]

# Cutoffs whose errors stand in the table one by one.
_LAST_CUTOFFS = 3

# What notebooks show of a candidate.
_SHOWN = {"candidate": "candidate", "family": "family", "error": "error", "weight": "weight"}


def relative_to(errors: FloatArray, reference: FloatArray) -> float:
    """Return the error in windows of one candidate relative to another's, where both have one; NaN if nowhere.

    Half the sum of the ratios of mean errors in scales and of mean sMAPE, or the first alone, as in the OWA of the M
    competitions.

    Parameters
    ----------
    errors, reference : (W, 2) float64
        As from ``TrialWindows.errors_of``.
    """
    both = ~np.isnan(errors) & ~np.isnan(reference)
    own, other = (mean_of_known(np.where(both, part, np.nan), 0) for part in (errors, reference))
    return float(mean_of_known(own / np.where(other > 0, other, np.nan), 0))


def in_percent(share: float) -> str:
    """Return a share in whole per cent, as words go.

    Examples
    --------
    >>> in_percent(0.126), in_percent(0.002)
    ('13%', 'under 1%')
    """
    return f"{share:.0%}" if share >= 0.005 else "under 1%"


def _reference(trials: Sequence[Trial]) -> Trial:
    names = [trial.candidate.name for trial in trials]
    return trials[names.index("seasonal_naive") if "seasonal_naive" in names else 0]


def leaderboard(
    trials: Sequence[Trial], untried: Mapping[Candidate, str], windows: TrialWindows, shares: FloatArray
) -> Any:
    """Return the table of all candidates, best first; see ``AutoNARX.leaderboard_``.

    Parameters
    ----------
    trials : sequence of Trial
    untried : mapping of Candidate -> str
        And why.
    windows : TrialWindows
    shares : (M,) float64
        Mean weight of each trial's candidate.
    """
    base = _reference(trials).errors
    numbers = sorted(set(windows.number.tolist()))[:_LAST_CUTOFFS]
    rows = []
    for trial, share in zip(trials, shares, strict=True):
        judged = ~np.isnan(trial.errors).all(axis=1)
        each = {
            f"error_{n}": relative_to(trial.errors[windows.number == n], base[windows.number == n]) for n in numbers
        }
        rows.append(
            {
                "candidate": trial.candidate.name,
                "family": trial.candidate.family,
                "error": relative_to(trial.errors, base),
                **each,
                "n_series": len(set(windows.index.series[judged].tolist())),
                "cpu_seconds": trial.cpu_seconds,
                "weight": share,
                "status": trial.failure or "tried",
            }
        )
    rows += [
        {"candidate": c.name, "family": c.family, "n_series": 0, "weight": 0.0, "status": f"not tried: {why}"}
        for c, why in untried.items()
    ]
    return pd.DataFrame(rows).sort_values("error", kind="stable", na_position="last").reset_index(drop=True)


class Reasons(NamedTuple):
    """What ``AutoNARX.explain`` says of many series at once.

    Attributes
    ----------
    candidates : list of (name, family)
    errors : (M, S) float64
        Of M candidates on S series, relative to `reference`; NaN where a series was not on trial.
    weights : (M, S) float64
    weighed : (S,) float64
        Errors weighed by the weights; NaN where there is none.
    reference : str
    """

    candidates: list[tuple[str, str]]
    errors: FloatArray
    weights: FloatArray
    weighed: FloatArray
    reference: str


def reasons_for(trials: Sequence[Trial], windows: TrialWindows, shares: FloatArray, ids: Sequence[Hashable]) -> Reasons:
    """Return what is heard for series and how it did on trial.

    Parameters
    ----------
    trials : sequence of Trial
    windows : TrialWindows
    shares : (M, S) float64
        Weight of each trial's candidate for each series of `ids`.
    ids : sequence of hashable
    """
    base = _reference(trials)
    errors = np.full((len(trials), len(ids)), np.nan)
    place = np.array([windows.panel.position.get(name, -1) for name in ids], dtype=np.int64)
    for nth, trial in enumerate(trials):
        both = ~np.isnan(trial.errors) & ~np.isnan(base.errors)
        own, other = (windows.by_series(np.where(both, part, np.nan)) for part in (trial.errors, base.errors))
        relative = mean_of_known(own / np.where(other > 0, other, np.nan), 1)
        errors[nth] = np.where(place >= 0, relative[np.maximum(place, 0)], np.nan)
    listed = [(trial.candidate.name, trial.candidate.family) for trial in trials]
    known: Any = ~np.isnan(errors)
    total, weight = (np.where(known, part, 0.0).sum(axis=0) for part in (errors * shares, shares))
    weighed = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
    return Reasons(listed, errors, shares, weighed, base.candidate.name)


class Explanation:
    """What is heard for one series, and how it did on trial.

    Attributes
    ----------
    unique_id : hashable
    frame : DataFrame
        candidate, family, error (on this series, relative to the seasonal naive forecast; NaN where the series had no
        cutoff to be tried at), weight (in the weighted mean of the middle half); largest first.
    """

    def __init__(
        self, unique_id: Hashable, trials: Sequence[Trial], windows: TrialWindows, place: int | None, shares: FloatArray
    ) -> None:
        self.unique_id = unique_id
        mine = np.zeros(len(windows.index), dtype=bool) if place is None else windows.index.series == place
        base = _reference(trials)
        self._n_windows = int(mine.sum())
        self._reference = base.candidate.name
        frame = pd.DataFrame(
            {
                "candidate": [trial.candidate.name for trial in trials],
                "family": [trial.candidate.family for trial in trials],
                "error": [relative_to(trial.errors[mine], base.errors[mine]) for trial in trials],
                "weight": shares,
            }
        )
        self.frame: Any = frame.sort_values(["weight", "error"], ascending=[False, True]).reset_index(drop=True)

    def _heard(self) -> Any:
        return self.frame[self.frame["weight"] > 0]

    def _said(self) -> list[str]:
        heard = self._heard()
        families = heard.groupby("family")["weight"].sum().sort_values(ascending=False)
        lines = [
            f"Series {self.unique_id}: {len(heard)} of {len(self.frame)} candidates are heard, of "
            + ", ".join(f"{name} ({in_percent(share)})" for name, share in families.items())
            + "."
        ]
        if self._n_windows == 0:
            lines.append("It was tried at no cutoff of its own: what did best on all series was taken.")
        else:
            best = self.frame.loc[self.frame["error"].idxmin()] if self.frame["error"].notna().any() else None
            many = "1 cutoff" if self._n_windows == 1 else f"{self._n_windows} cutoffs"
            if best is not None:
                weighed = float((heard["error"].fillna(1.0) * heard["weight"]).sum())
                lines.append(
                    f"At {many} inside its rows their errors were {weighed:.2f} of {self._reference}'s on average; the "
                    f"lowest was that of {best['candidate']}, {best['error']:.2f}."
                )
        return lines

    def __str__(self) -> str:
        shown = self._heard().head(8).to_string(index=False, float_format=lambda value: f"{value:.2f}")
        return "\n".join([*self._said(), shown])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = table(self._heard().head(8).to_dict("records"), _SHOWN)
        return card(f"Series {self.unique_id}", paragraphs(self._said()), shown)

    def plot(self, ax: Any = None) -> Any:
        """Return a figure of each candidate's error and share (extra ``plot``).

        Parameters
        ----------
        ax : matplotlib Axes, optional
        """
        from tsforce.plotting import plot_choice

        return plot_choice(self.frame, reference=self._reference, ax=ax)
