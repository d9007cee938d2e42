"""AutoNARX: one line, the strongest answer that the rows support."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel, WindowIndex
from tsforce.errors import (
    ContextWarning,
    DivergenceWarning,
    SeriesTooShortError,
    UnseenSeriesError,
    abbreviate,
    check_choice,
    warn,
)
from tsforce.forecasting.arguments import check_count, check_number
from tsforce.forecasting.auto.asked_for import own_forecasters
from tsforce.forecasting.auto.candidate import Wanted
from tsforce.forecasting.auto.candidates import BUDGETS, seasons_for
from tsforce.forecasting.auto.choice import spread, weighted_middle
from tsforce.forecasting.auto.clock import Clock
from tsforce.forecasting.auto.explanation import Explanation, Reasons, leaderboard, reasons_for
from tsforce.forecasting.auto.moving_weights import MovesWeights
from tsforce.forecasting.auto.on_trial import MOST_SERIES, choose
from tsforce.forecasting.auto.trial_intervals import interval_scores
from tsforce.forecasting.auto.trials import (
    Trial,
    TrialWindows,
    fit_quietly,
    is_constant,
    learnt_from,
    rows_read,
)
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.checkpointing import place_for
from tsforce.forecasting.intervals import check_levels
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.parts import begin_fit, check_complete, check_fitted, end_fit
from tsforce.forecasting.past_forecasts import MANY_ROWS
from tsforce.forecasting.saving import check_rows_kept
from tsforce.forecasting.side_by_side import stacked
from tsforce.notebook import paragraphs, table
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.scoring.cutoffs import even_draw

__all__ = ["AutoNARX"]

# Rows up to which all series are tried, and each has weights of its own.
_MOST_ROWS = {"fast": 500_000, "balanced": 500_000, "accurate": 4_000_000}
# Ranges of a series beyond what it has shown from which its forecast is called wild, as in the guard of roll-outs.
_FAR_OUT = 10.0
# And from which a member's is left to the others.
_RUNAWAY = 3.0
# Seasons that a typical series shows on trial from which what was chosen there holds for more rows.
_SEASONS = 3
# What a notebook shows of the table of candidates.
_SHOWN = {"candidate": "candidate", "error": "error", "weight": "weight", "status": "status"}
_SHOWN_FIRST = 5


class AutoNARX(MovesWeights):
    """The combination of the best of many forecasters, tried closed loop inside the training rows.

    Parameters
    ----------
    horizon : int
        H, the steps to forecast.
    season_length : int or sequence of int, optional
        By default what goes with the frequency, or where that says nothing (yearly data, whole-number stamps) what the
        series show; a longer season (168 hours beside 24) is looked for in the series. Several are taken as they are.
        The first one measures errors.
    freq : "infer", pandas alias or offset, or int
    budget : "fast", "balanced" or "accurate"
        How much is tried. "fast": reference methods, smoothing, linear maps. "balanced": linear maps by robust least
        squares, and a perceptron where there are rows for it. "accurate": a recurrent network and maps for each step
        too. Of few long series each has models that read lags of all seasons, the calendar and inputs of steps before,
        trees and a perceptron among them, whatever the budget as long as rows allow.
    time_limit : float, optional
        Seconds on the clock for the whole fit, about; what is left untried then says so in ``leaderboard_``.
    candidates : list or dict, optional
        What is tried in place of what the budget bears: names of candidates or families as in ``leaderboard_``,
        "lightgbm", "trees", "direct" (a map for each step) and "gru" too, forecasters of one's own (cloned, never
        changed; a dict names them), and "auto" for what the budget bears. Naive forecasts are tried in any case, and
        stand in where nothing else has one.
    past_exog, future_exog, static, calendar : sequence of str
        As in ``NARXForecaster``; reference methods read none. Without `calendar`, hours and days of few long series
        are still tried with what goes with their frequency.
    missing : "raise" or "own_output"
        As in ``NARXForecaster``.
    random_state : int
    verbose : bool
        Show what is tried, and the time left, on stderr.
    alias : str, optional
        Name of the forecast's column; the class name by default.
    id_col, time_col : str
    target_col : str or sequence of str

    Attributes
    ----------
    leaderboard_ : DataFrame
        One row per candidate: candidate, family, error, error_1 (at the last cutoff) to error_3, n_series,
        cpu_seconds, weight (mean over series), status. Errors are relative to the seasonal naive forecast
        (1): half of the error in scales, half of sMAPE; without sMAPE where a value is not positive.
    season_lengths_ : tuple of int
        Those that were tried.
    season_length_ : int
    members_ : dict of str -> Forecaster
        What is heard, fitted on all rows.
    short_series_ : list
        Always empty: there is a member for every series.
    freq_, train_end_
        As in every forecaster.

    Notes
    -----
    Candidates are fitted on the rows before the first of up to three cutoffs at the end of each series (of few series
    more, in their last quarter at most), and forecast the horizon after each. What is chosen is fitted once more, on
    all rows.

    Examples
    --------
    >>> from tsforce import AutoNARX
    >>> from tsforce.datasets import load
    >>> model = AutoNARX(horizon=12, budget="fast").fit(load("airpassengers"))
    >>> model.predict().shape
    (12, 4)
    >>> bool(model.leaderboard_["error"].min() < 0.5)
    True
    """

    def __init__(
        self,
        horizon: int,
        *,
        season_length: Any = None,
        freq: Any = "infer",
        budget: str = "balanced",
        time_limit: float | None = None,
        candidates: Any = None,
        past_exog: Any = (),
        future_exog: Any = (),
        static: Any = (),
        calendar: Any = (),
        missing: str = "raise",
        random_state: int = 0,
        verbose: bool = False,
        alias: str | None = None,
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: Any = "y",
    ) -> None:
        self.horizon = horizon
        self.season_length = season_length
        self.freq = freq
        self.budget = budget
        self.time_limit = time_limit
        self.candidates = candidates
        self.past_exog = past_exog
        self.future_exog = future_exog
        self.static = static
        self.calendar = calendar
        self.missing = missing
        self.random_state = random_state
        self.verbose = verbose
        self.alias = alias
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col

    def fit(self, df: Any, y: None = None, *, mode: Any = None, checkpoint: Any = None) -> Self:
        """Try, choose, and learn from all rows what was chosen.

        Parameters
        ----------
        df : DataFrame
            Long frame; every row is learnt from.
        y : None
            scikit-learn's slot.
        mode : str or Forcing, optional
            Mode in which every candidate with one learns; by default linear maps per series open loop, others under the
            curriculum. Remembered in ``mode_``.
        checkpoint : path-like, optional
            Folder that keeps what each candidate came to, and how far the training of the next one has got. The same
            call goes on from there where its process was killed, and ends with the same model (the same numbers, but
            for seconds; with `time_limit` more may be left untried).

        Returns
        -------
        AutoNARX
            Itself. Ctrl-C while candidates are on trial ends the trials: the best so far is fitted, with a warning;
            Ctrl-C once more ends that too.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If a parameter is not accepted.
        FrameError
            With every fault of the frame.
        """
        begin_fit(self, y)
        asked, clock = self._begun()
        panel = self.read(df)
        check_complete(self, panel)
        seasons = seasons_for(panel, self.season_length)
        alone = len(panel.values) <= _MOST_ROWS[self.budget] or panel.n_series <= MOST_SERIES[self.budget]
        some = panel if alone else panel.take(even_draw(panel.n_series, MOST_SERIES[self.budget]))
        settings = {**self.get_params(deep=False), "mode": mode}
        place = place_for(checkpoint, type(self).__name__, settings, panel)
        if mode is not None:
            self.mode_ = mode
        windows, trials, untried, weight = choose(
            self._wanted(seasons), panel, some, asked, mode, clock, place, each=alone
        )
        if not alone:
            weight = spread(weight, windows.panel.lengths, panel.lengths)
        # Where nothing ever moved nothing can be judged, and any model would only add its rounding.
        still = is_constant(panel)
        weight[:, still], weight[0, still] = 0.0, 1.0
        self._learn(panel, windows, trials, weight, seasons[0], clock, place)
        clock.end()
        self.leaderboard_ = leaderboard(trials, untried, windows, weight.mean(axis=1))
        self.season_lengths_ = seasons
        self.short_series_: list[Any] = []
        self._trials_ = [replace(trial, settled=None) for trial in trials]
        self._windows_, self._shares_ = windows, weight
        end_fit(self, panel, seasons[0])
        return self

    def _begun(self) -> tuple[list[str | tuple[str, Forecaster]] | None, Clock]:
        """Return the candidates that are asked for, and a clock, the parameters checked."""
        check_count("horizon", self.horizon)
        check_choice("budget", self.budget, BUDGETS)
        limit = self.time_limit
        if limit is not None:
            limit = check_number("time_limit", limit, auto=False, above_zero=True)
        return own_forecasters(self), Clock(limit, self.name, verbose=self.verbose)

    def _wanted(self, seasons: tuple[int, ...]) -> Wanted:
        shared = {name: getattr(self, name) for name in ("freq", "id_col", "time_col", "target_col")}
        narx = {
            name: getattr(self, name)
            for name in ("past_exog", "future_exog", "static", "calendar", "missing", "random_state")
        }
        return Wanted(check_count("horizon", self.horizon), seasons, shared, narx, self.budget)

    def _learn(
        self,
        panel: Panel,
        windows: TrialWindows,
        trials: Sequence[Trial],
        weight: FloatArray,
        season: int,
        clock: Clock,
        place: Checkpoint | None,
    ) -> None:
        """Fit on all rows what is heard, what is heard most first, as long as there is time."""
        shares, some = weight.mean(axis=1), windows.panel
        # The first one, which forecasts any series, stands in wherever no other can.
        order = [0, *(int(i) for i in np.argsort(-shares, kind="stable") if shares[i] > 0 and i > 0)]
        members: dict[str, Forecaster] = {}
        heard = []
        # Penalties and smoothing parameters that were chosen from nearly all rows of the same series stay, but where
        # so few seasons were seen that smoothing may have gone without one.
        seen = np.median(windows.learnt.lengths) >= _SEASONS * season
        stays = windows.panel is panel and windows.nearly_all and seen
        for done, i in enumerate(order):
            candidate = trials[i].candidate
            if len(members) > 1 and not clock.allows_again(trials[i].seconds):
                continue
            clock.show(f"{candidate.name}, on all rows", done + 1, len(order))
            rows = learnt_from(candidate, some) if candidate.from_some else panel
            settled = trials[i].settled if stays else None
            own = place and place.within(f"member-{i}")
            members[candidate.name] = fit_quietly(candidate.model, rows, candidate.mode, settled, own)
            heard.append(i)
        self.members_ = members
        self._weight_ = weight[heard]

    # ---- after the fit

    def _refitted(self, panel: Panel, before: Forecaster | None = None) -> Self:
        # What is heard stays as it was chosen, and penalties where rows are many: a search of its own for each clone
        # would cost as much as the fit.
        copy = self.clone_unfitted()
        copy.members_ = {}
        heard = []
        many = np.median(panel.lengths) >= MANY_ROWS
        for place, (name, member) in enumerate(self.members_.items()):
            earlier = before.members_.get(name) if isinstance(before, AutoNARX) else None
            earlier = member if many and isinstance(member, NARXForecaster) else earlier
            with contextlib.suppress(SeriesTooShortError):
                known = _those_of(member, panel)
                if known.n_series == 0:
                    # One that has learnt from series of other partitions.
                    continue
                copy.members_[name] = member._refitted(known, earlier)
                heard.append(place)
        # The weights of a series were chosen on the rows that clones are judged by; those of all know less of them.
        copy._weight_ = np.repeat(self._weight_[heard].mean(axis=1, keepdims=True), panel.n_series, axis=1)
        copy.season_lengths_ = self.season_lengths_
        end_fit(copy, panel, self.season_length_)
        return copy

    def predict(
        self, horizon: int | None = None, *, future_df: Any = None, history: Any = None, level: Any = None
    ) -> Any:
        """Return combined closed-loop forecasts after the last training row of each series, or of `history`.

        Parameters and result are those of ``NARXForecaster.predict``.

        Returns
        -------
        DataFrame
            unique_id, ds, horizon (1..H), <name>; original units, ordered by series, then horizon.
        """
        return self._predict(horizon, future_df=future_df, history=history, level=level)

    def explain(self, unique_id: Any) -> Explanation:
        """Return what is heard for a series and how it did on trial; print it, or ``.plot()`` it.

        Parameters
        ----------
        unique_id : hashable
            A series of the training rows.

        Raises
        ------
        UnseenSeriesError
            If there is no such series.
        """
        check_fitted(self)
        check_rows_kept(self, "_trials_", "explain")
        place = self._rows_.position.get(unique_id)
        if place is None:
            raise UnseenSeriesError(
                f"series {str(unique_id)!r} was not fitted; those that were: {abbreviate(self._rows_.id_list)}."
            )
        on_trial = self._windows_.panel.position.get(unique_id)
        return Explanation(unique_id, self._trials_, self._windows_, on_trial, self._shares_[:, place])

    def interval_scores(self, level: Any = (80, 95)) -> Any:
        """Return ``leaderboard_`` with how good intervals of each candidate alone would be, from its errors on trial.

        Parameters
        ----------
        level : float or sequence of float
            In percent.

        Returns
        -------
        DataFrame
            candidate, family, error, weight, and for each level coverage-80 (the share of truths within), width-80 and
            msis-80 (the mean scaled interval score; both in seasonal-naive errors). Forecasts on trial of every other
            series are bounded by the errors of the rest, and the other way round; of a single series those of every
            other window. NaN where errors are too few for the level, or a candidate failed.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If a level is no number between 0 and 100.

        Examples
        --------
        >>> from tsforce import AutoNARX
        >>> from tsforce.datasets import load
        >>> model = AutoNARX(horizon=12, budget="fast").fit(load("airpassengers"))
        >>> model.interval_scores(80).filter(like="80").columns.tolist()
        ['coverage-80', 'width-80', 'msis-80']
        """
        check_fitted(self)
        check_rows_kept(self, "_trials_", "interval_scores")
        asked = check_levels(level)
        assert asked is not None
        found = interval_scores(self._trials_, self._windows_, asked.levels, self.season_length_)
        board = self.leaderboard_[["candidate", "family", "error", "weight"]]
        return board.merge(found, how="left", on="candidate")

    def _reasons(self, ids: Sequence[Any]) -> Reasons | None:
        """Return what is heard for some series, and how it did on trial; None where that was not kept."""
        if not hasattr(self, "_trials_"):
            return None
        place = np.array([self._rows_.position.get(name, -1) for name in ids], dtype=np.int64)
        shares = np.where(place >= 0, self._shares_[:, np.maximum(place, 0)], 0.0)
        return reasons_for(self._trials_, self._windows_, shares, ids)

    def _worst_first(self) -> list[Any]:
        """Return the ids of the series, those with the largest errors on trial first."""
        ids: list[Any] = self._rows_.id_list
        reasons = self._reasons(ids)
        if reasons is None:
            return ids
        order = np.argsort(-np.nan_to_num(reasons.weighed, nan=-np.inf), kind="stable")
        return [ids[k] for k in order.tolist()]

    def _shown_below(self) -> tuple[str, ...]:
        first = self.leaderboard_.head(_SHOWN_FIRST).to_dict("records")
        return (paragraphs(["the first of leaderboard_"]), table(first, _SHOWN))

    @property
    def _takes_copies(self) -> bool:  # type: ignore[override]
        return all(member._takes_copies for member in self.members_.values())

    def _ahead(self, panel: Panel, index: WindowIndex, horizon: int) -> tuple[FloatArray, dict[str, int]]:
        panel, before = panel.preceded_by(self._rows_)
        index = WindowIndex(index.series, index.rows + before[index.series])
        place = np.array([self._rows_.position.get(name, -1) for name in panel.id_list], dtype=np.int64)
        if (place[index.series] < 0).any():
            unseen = dict.fromkeys(panel.id_list[i] for i in index.series if place[i] < 0)
            raise UnseenSeriesError(
                f"series {abbreviate(unseen)} was not fitted, and {self.name} chooses by the rows of each series: fit "
                f"it too."
            )
        members = list(self.members_.values())
        least = [rows_read(member) for member in members]
        weight = self._weight_[:, place[index.series]]
        self._warn_of_contexts(panel, index, (weight * (index.rows + 1 >= np.array(least)[:, None])).sum(axis=0))
        with warnings.catch_warnings():
            # What one member runs into is outvoted by the others; and its advice is on parameters that it alone has.
            for category in (ContextWarning, DivergenceWarning):
                warnings.simplefilter("ignore", category)
            stack = stacked(members, panel, index, horizon, together=self.name, least_rows=least)
        shown = self._range_of(place[index.series])
        yhat = weighted_middle(_without_runaways(stack, weight, shown), weight)
        self._warn_of_excursions(yhat, shown)
        return yhat, {}

    def _range_of(self, place: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the lowest and the highest value that some series have shown in the training rows, (W, 1, C) each."""
        starts = self._rows_.indptr[:-1]
        low, high = (part.reduceat(self._rows_.values, starts, axis=0)[place][:, None] for part in (np.fmin, np.fmax))
        return low, high

    def _warn_of_contexts(self, panel: Panel, index: WindowIndex, heard: FloatArray) -> None:
        """Warn of windows with too few rows for most of what is heard, where the series itself had more."""
        fitted = self._rows_.lengths[[self._rows_.position[panel.id_list[i]] for i in index.series]]
        short = (heard < 0.5) & (index.rows + 1 < fitted)
        if short.any():
            names = abbreviate(dict.fromkeys(panel.id_list[i] for i in index.series[short]))
            warn(
                f"series {names}: as few as {int(index.rows[short].min()) + 1} rows up to the cutoff, too few for most "
                f"of what {self.name} hears; members that read fewer rows stand in. Give a longer history.",
                ContextWarning,
            )

    def _warn_of_excursions(self, yhat: FloatArray, shown: tuple[FloatArray, FloatArray]) -> None:
        """Warn of forecasts far outside what their series have shown in the training rows."""
        outside = _outside(yhat, shown, _FAR_OUT).any(axis=(1, 2))
        if outside.any():
            warn(
                f"{int(outside.sum())} of {len(yhat)} forecasts go further out than what their series have shown in "
                f"the training rows by more than {_FAR_OUT:g} times its range. Look for wild values in the training "
                f"rows and the history, or fit again where a level is new.",
                DivergenceWarning,
            )


def _those_of(member: Forecaster, panel: Panel) -> Panel:
    """Return the series of a panel that a fitted member has learnt from."""
    known = member._rows_.position
    chosen = [i for i, name in enumerate(panel.id_list) if name in known]
    return panel if len(chosen) == panel.n_series else panel.take(np.array(chosen))


def _without_runaways(stack: FloatArray, weight: FloatArray, shown: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Return forecasts of members, (M, W, H, C), NaN where one goes far out and another that is heard does not.

    Smoothing that was learnt from few rows may be unstable on more; with over a quarter of the weight it would be
    heard.
    """
    out = _outside(stack, shown, _RUNAWAY).any(axis=(2, 3))
    alone = (out | (weight <= 0)).all(axis=0)
    found: FloatArray = np.where((out & ~alone)[:, :, None, None], np.nan, stack)
    return found


def _outside(yhat: FloatArray, shown: tuple[FloatArray, FloatArray], ranges: float) -> Any:
    """Return which forecasts, (..., W, H, C), lie so many ranges of their series outside it; none without range."""
    low, high = shown
    room = ranges * (high - low)
    return ((yhat < low - room) | (yhat > high + room)) & (room > 0)
