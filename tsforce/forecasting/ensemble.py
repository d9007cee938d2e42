"""Ensemble: several forecasters, combined step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from tsforce.data.frame import series_frame, write_forecasts
from tsforce.data.future import read_future
from tsforce.data.panel import Panel, WindowIndex
from tsforce.errors import (
    ArgumentError,
    ArgumentTypeError,
    SeriesTooShortError,
    check_choice,
)
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.checkpointing import fit_within, place_for
from tsforce.forecasting.intervals import Intervals, bounds_at, check_levels
from tsforce.forecasting.later_errors import calibrations_after
from tsforce.forecasting.members import told_of_members, updated_members
from tsforce.forecasting.parts import (
    INPUT_KINDS,
    begin_fit,
    check_complete,
    check_fitted,
    end_fit,
    horizon_of,
    later_rows_of,
    reader_of,
    season_length_for,
    targets_of,
    values_of,
)
from tsforce.forecasting.side_by_side import SideBySide, left_out, stacked
from tsforce.forecasting.update import Update

__all__ = ["Ensemble"]


class Ensemble(SideBySide):
    """The median or mean of several forecasters.

    A series that a member cannot fit is left out of that member and combined from the others.

    Parameters
    ----------
    members : list or dict of Forecaster
        Cloned and fitted; the given ones are never changed. A dict names them.
    combine : "median" or "mean"
    weights : sequence of float, optional
        One per member, for ``combine="mean"``; at least 0, not all 0. Equal by default.
    alias : str, optional
        Name of the forecast's column; "Ensemble" by default.

    Attributes
    ----------
    members_ : dict
        Fitted clones.
    coverage_ : DataFrame
        The id column and ``n_members``: how many members forecast each series.
    short_series_ : list
        Ids that no member could fit; an error if that is all of them.
    season_length_ : int
        Of the first member.
    freq_ : str, int or offset
    mode_ : str or Forcing
        Where `fit` was given one; else every member has its own.
    train_end_ : DataFrame
        The id column and ``cutoff``: the last row each series was learnt from.

    Examples
    --------
    >>> from tsforce import Baseline, Ensemble
    >>> from tsforce.datasets import load
    >>> both = Ensemble([Baseline("naive", horizon=1), Baseline("seasonal_naive", horizon=1)], combine="mean")
    >>> both.fit(load("airpassengers")).predict()["Ensemble"].tolist()
    [424.5]
    """

    def __init__(self, members: Any, *, combine: str = "median", weights: Any = None, alias: str | None = None) -> None:
        self.members = members
        self.combine = combine
        self.weights = weights
        self.alias = alias

    def _named_members(self) -> dict[str, Forecaster]:
        members = self.members
        if not isinstance(members, (Mapping, list, tuple)):
            raise ArgumentTypeError(
                f"members is a {type(members).__name__}; expected a list, or a dict of name -> forecaster."
            )
        named = dict(members) if isinstance(members, Mapping) else {f"member_{i}": m for i, m in enumerate(members)}
        if not named:
            raise ArgumentError("members is empty; an Ensemble needs at least one forecaster.")
        for name, member in named.items():
            if not isinstance(member, Forecaster):
                raise ArgumentTypeError(
                    f"members[{name!r}] is a {type(member).__name__}; expected a Forecaster such as "
                    f"NARXForecaster(...) or Baseline('naive2')."
                )
        return named

    def _check_weights(self, count: int) -> Any:
        if self.weights is None:
            return np.ones(count)
        weights = np.asarray(self.weights, dtype=np.float64)
        if self.combine == "median":
            raise ArgumentError("weights are for combine='mean'; a median takes none.")
        if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
            raise ArgumentError(f"weights={self.weights!r}: expected {count} numbers of at least 0, not all 0.")
        return weights

    def fit(self, df: Any, y: None = None, *, mode: Any = None, checkpoint: Any = None) -> Self:
        """Fit a clone of every member.

        Parameters
        ----------
        df : DataFrame
            Long frame.
        y : None
            scikit-learn's slot.
        mode : str or Forcing, optional
            Passed on to every member.
        checkpoint : path-like, optional
            Folder in which members keep how far they have got, as in ``NARXForecaster.fit``.

        Raises
        ------
        SeriesTooShortError
            If no member can fit any series.
        """
        begin_fit(self, y)
        named = self._checked_members()
        panel = self.read(df)
        check_complete(self, panel)
        place = place_for(checkpoint, "Ensemble", {"members": named, "mode": mode}, panel)
        fitted, failures = {}, []
        for number, (name, member) in enumerate(named.items()):
            copy = member.clone_unfitted()
            if "short_series" in copy.get_params():
                copy.set_params(short_series="drop")
            try:
                fitted[name] = fit_within(copy, panel, mode, place and place.within(f"member-{number}"))
            except SeriesTooShortError as error:
                failures.append(f"{name}: {error}")
        return self._combined(panel, fitted, failures, mode)

    def _checked_members(self) -> dict[str, Forecaster]:
        """Return the members by name, once they go together."""
        named = self._named_members()
        check_choice("combine", self.combine, ("median", "mean"))
        self._check_weights(len(named))
        if len({member.horizon for member in named.values() if member.horizon is not None}) > 1:
            raise ArgumentError("members have different horizons; give all of them the same one.")
        # The members share one reading of the frame, so they must agree on how to read it.
        for attribute in ("id_col", "time_col", "target_col", "freq"):
            if len({str(getattr(member, attribute)) for member in named.values()}) > 1:
                raise ArgumentError(f"members differ in {attribute}; they read one frame and must agree on it.")
        return named

    def _combined(self, panel: Panel, fitted: dict[str, Forecaster], failures: list[str], mode: Any) -> Self:
        """Keep fitted members, by name, and which series each of them covers."""
        named = self._named_members()
        if not fitted:
            raise SeriesTooShortError(" ".join(["no member can fit any series.", *failures[:1]]))
        fits = np.array([[i not in set(left_out(m)) for i in panel.id_list] for m in fitted.values()])
        # A member without weight adds nothing, so it covers nothing.
        heard = dict(zip(named, self._check_weights(len(named)) > 0, strict=True))
        count = fits[[heard[name] for name in fitted]].sum(axis=0)
        if mode is not None:
            # For refits in backtests; without one, every member has its own.
            self.mode_ = mode
        self.members_ = fitted
        self.coverage_ = series_frame(panel, {"n_members": count})
        self.short_series_ = [panel.id_list[i] for i in np.flatnonzero(count == 0)]
        covered = panel if (count > 0).all() else panel.take(np.flatnonzero(count > 0))
        end_fit(self, covered, season_length_for(next(iter(named.values())), panel))
        return self

    def update(self, df: Any) -> Update:
        """Take in rows that came after those learnt from: every member goes on in its own way.

        Parameters
        ----------
        df : DataFrame
            As in ``NARXForecaster.update``. New series are left out of members that cannot learn of them.

        Returns
        -------
        Update
            ``members`` says what each has changed.

        Raises
        ------
        ArgumentError, FrameError
            As from ``NARXForecaster.update``.
        """
        check_fitted(self)
        given = self.read(df)
        now = later_rows_of(self, given)
        if not now.counts.any():
            return Update(self.name, 0, 0, "state")
        calibrations = calibrations_after(self, now)
        members, told = updated_members(self.members_, given, now)
        self.members_ = members
        names = now.panel.id_list[now.n_known :]
        if names:
            weights = dict(zip(self._named_members(), self._check_weights(len(self._named_members())), strict=True))
            heard = [left_out(member) for name, member in members.items() if weights[name] > 0]
            count = [sum(name not in out for out in heard) for name in names]
            fresh = series_frame(now.panel.take(np.arange(now.n_known, now.panel.n_series)), {"n_members": count})
            both = (self.coverage_, fresh)
            self.coverage_ = type(fresh)({c: np.concatenate([part[c] for part in both]) for c in fresh.columns})
        self._calibrations_ = calibrations
        end_fit(self, now.panel, self.season_length_)
        return told_of_members(self.name, now, told)

    def _targets(self) -> tuple[str, ...]:
        # The members agree on them.
        return targets_of(next(iter(self._named_members().values())))

    @property
    def _takes_copies(self) -> bool:  # type: ignore[override]
        return all(member._takes_copies for member in self._named_members().values())

    def _read(self, df: Any, inputs: dict[str, tuple[str, ...]]) -> Panel:
        return reader_of([self])._read(df, inputs)

    def _readers(self) -> list[Forecaster]:
        members = getattr(self, "members_", None) or self._named_members()
        return [reader for member in members.values() for reader in member._readers()]

    def _check_missing(self, panel: Panel) -> None:
        for member in self._named_members().values():
            member._check_missing(panel)

    def _inputs(self) -> dict[str, tuple[str, ...]]:
        members = [member._inputs() for member in self._named_members().values()]
        return {kind: tuple(dict.fromkeys(name for own in members for name in own[kind])) for kind in INPUT_KINDS}

    def _horizon_of(self, horizon: int | None) -> int | None:
        own = [member for member in self._named_members().values() if member.horizon is not None]
        return horizon_of(own[0], horizon) if own else super()._horizon_of(horizon)

    def predict(
        self, horizon: int | None = None, *, future_df: Any = None, history: Any = None, level: Any = None
    ) -> Any:
        """Return combined forecasts after the last training row of each series, or the last row of `history`.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon.
        """
        check_fitted(self)
        levels = check_levels(level)
        steps = horizon_of(self, horizon)
        if isinstance(future_df, Mapping):
            if not future_df:
                raise ArgumentError("future_df is an empty dict; give at least one scenario, name -> frame.")
            each = [self.predict(steps, future_df=frame, history=history) for frame in future_df.values()]
            panel = self._rows_ if history is None else self.read(history)
            copies = panel.take(np.tile(np.arange(panel.n_series), len(each)))
            yhat = np.concatenate([values_of(self, part, steps) for part in each])
            return self._written(copies, yhat, levels, scenarios=list(future_df))
        if history is not None:
            panel = self.read(history)
            index = panel.last_rows()
            if panel.columns.future_exog:
                panel = panel.extended(steps, read_future(panel, future_df, steps))
            return self._frame(panel, index, steps, with_cutoff=False, levels=levels)
        index = self._rows_.last_rows()
        stack = np.full((len(self.members_), len(index), steps, self._rows_.n_channels), np.nan)
        for number, member in enumerate(self.members_.values()):
            out = set(left_out(member))
            mine = np.array([name not in out for name in self._rows_.id_list])
            given = {"future_df": future_df} if member._inputs()["future_exog"] else {}
            stack[number, mine] = values_of(member, member.predict(steps, **given), steps)
        return self._written(self._rows_, self._combine(stack), levels)

    def _written(self, panel: Panel, yhat: Any, levels: Intervals | None, *, scenarios: list[str] | None = None) -> Any:
        """Return the frame of forecasts after the last row of each series, with the bounds of some levels."""
        index = panel.last_rows()
        bounds = None if levels is None else bounds_at(self, panel, index, yhat, levels)
        return write_forecasts(panel, index, yhat, self.name, with_cutoff=False, scenarios=scenarios, bounds=bounds)

    def _ahead(self, panel: Panel, index: WindowIndex, horizon: int) -> Any:
        stack = stacked(list(self.members_.values()), panel, index, horizon, together="Ensemble")
        return self._combine(stack), {}

    def _combine(self, stack: Any) -> Any:
        """Return (W, H, C) from (members, W, H, C), NaN where a member has no forecast."""
        if self.combine == "median":
            # Sorting puts NaN last; nanmedian does the same, one slice at a time.
            ordered = np.sort(stack, axis=0)
            count = (~np.isnan(stack)).sum(axis=0)[None]
            low, high = (
                np.take_along_axis(ordered, np.maximum(k, 0), axis=0)[0] for k in ((count - 1) // 2, count // 2)
            )
            return np.where(count[0] > 0, 0.5 * (low + high), np.nan)
        weights = dict(zip(self._named_members(), self._check_weights(len(self._named_members())), strict=True))
        share = np.array([weights[name] for name in self.members_])[:, None, None, None] * ~np.isnan(stack)
        total = share.sum(axis=0)
        return np.where(
            total > 0, np.nansum(share * np.nan_to_num(stack), axis=0) / np.where(total > 0, total, 1), np.nan
        )
