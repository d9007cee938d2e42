"""Combinations of forecasters on partitions: each member is settled on all of them, and fitted to each."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tsforce.data.panel import FloatArray, IntArray, Panel
from tsforce.distributed.partitions import Partitions
from tsforce.distributed.sampling import sample_of
from tsforce.distributed.settled import Settled, with_freq
from tsforce.distributed.survey import Survey
from tsforce.errors import ArgumentError, SeriesTooShortError
from tsforce.forecasting.auto.auto_narx import AutoNARX
from tsforce.forecasting.auto.candidate import Candidate
from tsforce.forecasting.auto.candidates import seasons_for
from tsforce.forecasting.auto.choice import spread
from tsforce.forecasting.auto.explanation import leaderboard
from tsforce.forecasting.auto.on_trial import MOST_SERIES, Choice, choose
from tsforce.forecasting.auto.trials import fit_quietly, is_constant, learnt_from
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.ensemble import Ensemble
from tsforce.forecasting.parts import check_complete, end_fit

__all__ = ["settle_auto", "settle_ensemble"]

# The only budget whose candidates all are fitted partition by partition.
_BUDGET = "fast"

Settle = Callable[[Forecaster, Any, Partitions, Survey], Settled]
Check = Callable[[Forecaster, Any, Survey], None]


@dataclass(frozen=True, eq=False)
class Member:
    """A forecaster of a combination.

    Attributes
    ----------
    name : str
    settled : Settled or None
    absent : frozenset of int
        Partitions without a series that is long enough for it.
    fitted : Forecaster or None
        One that has learnt from some series for all others, in place of `settled`.
    """

    name: str
    settled: Settled | None
    absent: frozenset[int] = frozenset()
    fitted: Forecaster | None = None

    def of(self, k: int) -> Member:
        """Return what partition k has to know."""
        if self.settled is None:
            return self
        if k in self.absent:
            return Member(self.name, None, frozenset({k}))
        return replace(self, settled=self.settled.of(k), absent=frozenset())

    def fit(self, k: int, panel: Panel) -> Forecaster | None:
        """Return the forecaster of the series of partition k; None if none of them is long enough."""
        if self.settled is None:
            return self.fitted
        try:
            return None if k in self.absent else self.settled.fit(k, panel)
        except SeriesTooShortError:
            return None

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        return self.name if self.settled is None or k in self.absent else f"{self.name} {self.settled.key(k)}"


def _member(name: str, model: Forecaster, mode: Any, data: Partitions, found: Survey, settle: Settle) -> Member | None:
    """Return a member, None if no series is long enough for it."""
    own = replace(found, failed=dict(found.failed))
    try:
        settled = settle(model, mode, data, own)
    except SeriesTooShortError:
        return None
    new = {k: error for k, error in own.failed.items() if k not in found.failed}
    short = frozenset(k for k, error in new.items() if isinstance(error, SeriesTooShortError))
    found.failed.update({k: error for k, error in new.items() if k not in short})
    return Member(name, settled, short)


@dataclass(frozen=True, eq=False)
class Combination(Settled):
    """Base of combinations.

    Attributes
    ----------
    members : tuple of Member
    """

    members: tuple[Member, ...] = ()

    def of(self, k: int) -> Combination:
        """Return what partition k has to know."""
        return replace(self, members=tuple(member.of(k) for member in self.members))

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        return f"{super().key(k)} {[member.key(k) for member in self.members]!r}"

    def _fitted(self, k: int, panel: Panel) -> dict[str, Forecaster]:
        each = {member.name: member.fit(k, panel) for member in self.members}
        return {name: fitted for name, fitted in each.items() if fitted is not None}


# ---- Ensemble


class EnsembleOfParts(Combination):
    """The members of an Ensemble, each settled on all partitions."""

    def fit(self, k: int, frame: Any) -> Forecaster:
        """Return the ensemble of the series of partition k."""
        ensemble = self.template.clone_unfitted()
        assert isinstance(ensemble, Ensemble)
        panel = ensemble.read(frame)
        check_complete(ensemble, panel)
        return ensemble._combined(panel, self._fitted(k, panel), [], self.mode)


def settle_ensemble(
    model: Ensemble, mode: Any, data: Partitions, found: Survey, settle: Settle, check: Check
) -> Settled:
    """Return an ensemble whose members know what they must of all partitions."""
    del check
    named = {name: with_freq(member, found) for name, member in model._checked_members().items()}
    members = []
    for name, member in named.items():
        copy = member.clone_unfitted()
        if "short_series" in copy.get_params():
            copy.set_params(short_series="drop")
        members.append(_member(name, copy, mode, data, found, settle))
    there = tuple(member for member in members if member is not None)
    if not there:
        raise SeriesTooShortError(f"{model.name}: no member can fit any series.")
    template = model.clone_unfitted()
    template.members = named
    return EnsembleOfParts(template, mode, there)


# ---- AutoNARX


@dataclass(frozen=True, eq=False)
class AutoOfParts(Combination):
    """What AutoNARX has chosen on some series of all partitions.

    Attributes
    ----------
    weight : (M, L) float64
        Of the members for series of some lengths.
    lengths : (L,) int64
    board : DataFrame
    seasons : tuple of int
    digest : str
        Of the series that it was chosen on.
    said : str
    choice : Choice or None
        What ``explain`` tells of; it stays where it was made.
    """

    weight: FloatArray | None = None
    lengths: IntArray | None = None
    board: Any = None
    seasons: tuple[int, ...] = ()
    digest: str = ""
    said: str = ""
    choice: Choice | None = None

    def of(self, k: int) -> AutoOfParts:
        """Return what partition k has to know."""
        found = super().of(k)
        assert isinstance(found, AutoOfParts)
        return replace(found, choice=None)

    def fit(self, k: int, frame: Any) -> Forecaster:
        """Return the combination for the series of partition k."""
        auto = self.template.clone_unfitted()
        assert isinstance(auto, AutoNARX)
        assert self.weight is not None
        assert self.lengths is not None
        panel = auto.read(frame)
        check_complete(auto, panel)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            auto.members_ = self._fitted(k, panel)
        weight = _shares(self.weight, self.lengths, panel)
        auto._weight_ = weight[[member.name in auto.members_ for member in self.members]]
        if self.choice is not None:
            windows, trials, _, shares = self.choice
            auto._trials_, auto._windows_ = [replace(trial, settled=None) for trial in trials], windows
            auto._shares_ = _shares(shares, windows.panel.lengths, panel)
        auto.leaderboard_, auto.season_lengths_ = self.board.copy(), self.seasons
        auto.short_series_ = []
        if self.mode is not None:
            auto.mode_ = self.mode
        end_fit(auto, panel, self.seasons[0])
        return auto

    def key(self, k: int) -> str:
        """Return what changes when the forecaster of the same rows does."""
        return f"{super().key(k)} {self.digest}"


def _shares(weight: FloatArray, lengths: IntArray, panel: Panel) -> FloatArray:
    """Return the weights of the series of a panel, from those of series of some lengths."""
    found = spread(weight, lengths, panel.lengths)
    still = is_constant(panel)
    found[:, still], found[0, still] = 0.0, 1.0
    return found


def settle_auto(model: AutoNARX, mode: Any, data: Partitions, found: Survey, settle: Settle, check: Check) -> Settled:
    """Return what AutoNARX chooses on a sample of the series, its members settled on all partitions.

    Raises
    ------
    ArgumentError
        If the budget bears what is not fitted partition by partition.
    """
    asked, clock = model._begun()
    if model.budget != _BUDGET:
        raise ArgumentError(
            f"{model.name}: of budget={model.budget!r} not all can be fitted partition by partition. Use "
            f"budget={_BUDGET!r}, or a choice in each partition by itself: "
            f"fit(ParquetFolder('folder', choices='partition')), from tsforce.distributed."
        )
    template = with_freq(model, found)
    assert isinstance(template, AutoNARX)
    sample = sample_of(template, data, found, MOST_SERIES[_BUDGET])
    check_complete(template, sample)
    seasons = seasons_for(sample, model.season_length)
    why_not = partial(_why_not, check, found)
    choice = choose(template._wanted(seasons), sample, sample, asked, mode, clock, None, each=False, why_not=why_not)
    windows, trials, untried, weight = choice
    shares = weight.mean(axis=1)
    members, heard = [], []
    # The first one, which forecasts any series, stands in wherever no other can.
    for i in (0, *(int(i) for i in np.argsort(-shares, kind="stable") if shares[i] > 0 and i > 0)):
        candidate = trials[i].candidate
        if candidate.from_some:
            fitted = fit_quietly(candidate.model, learnt_from(candidate, sample), candidate.mode)
            member: Member | None = Member(candidate.name, None, fitted=fitted)
        else:
            member = _member(candidate.name, candidate.model, candidate.mode, data, found, settle)
        if member is not None:
            members.append(member)
            heard.append(i)
    clock.end()
    lengths, first = np.unique(windows.panel.lengths, return_index=True)
    told = hashlib.sha256(sample.values.tobytes() + np.asarray(pd.util.hash_array(sample.lengths)).tobytes())
    return AutoOfParts(
        template, mode, tuple(members), weight[heard][:, first], lengths.astype(np.int64),
        leaderboard(trials, untried, windows, shares), seasons, told.hexdigest(),
        f"chosen on {sample.n_series} of {found.panel.n_series} series", choice,
    )  # fmt: skip


def _why_not(check: Check, found: Survey, candidate: Candidate) -> str:
    """Return why a candidate cannot be fitted partition by partition; nothing if it can."""
    if candidate.from_some:
        return ""
    try:
        check(candidate.model, candidate.mode, found)
    except (ArgumentError, SeriesTooShortError):
        return "it looks at all series, and partitions are seen one at a time"
    return ""
