"""Candidates for long series: lags of a day and a week, the calendar; of few, inputs of steps before, networks, trees.

A model of its own per series can be taught what a short series or a large panel cannot bear. Lags are those of Box and
Jenkins's airline model written out for two seasons; what the settings gave is on the page of inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tsforce.data.calendar import calendar_columns, calendar_of, check_calendar
from tsforce.data.frequency import season_length_of
from tsforce.data.panel import IntArray, Panel
from tsforce.data.transforms import Difference, Log
from tsforce.forecasting.auto.candidate import Candidate, Wanted, in_words
from tsforce.forecasting.automatic import is_positive
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.training_options import Training

__all__ = ["long_series_candidates"]

# Series at most: each has models of its own, which cost as much as in a panel of one.
_FEW_SERIES = 20
# Rows of a series for each column that a model reads: of few series, and of many, which judge a model more surely.
_ROWS_A_COLUMN, _ROWS_OF_MANY = 10, 5
# Seconds of a trial at most where series are many, by budget.
_MOST_WORK = {"fast": 5.0, "balanced": 50.0, "accurate": 500.0}
_DAYS_A_WEEK = 7
# Lags in a row at most, and seasons at most that the longer one is walked through in.
_MOST_IN_A_ROW, _MOST_STEPS = 60, 10
# Rows of all series together beyond which networks and trees would take too long, by budget.
_MOST_ROWS = {"fast": 60_000, "balanced": 400_000, "accurate": 2_000_000}
# Seconds on one core, measured: of a linear map per row and column, of trees once and per row; of a network, which
# takes its steps whatever the rows, per series and step of the horizon.
_LINEAR, _TREES, _NETWORK = 1.5e-7, (0.5, 2e-4), 0.12
# Seconds of a network's trial at most, by budget.
_MOST_OF_NETWORK = {"fast": 40.0, "balanced": 100.0, "accurate": 1000.0}


def long_series_candidates(panel: Panel, lengths: IntArray, wanted: Wanted) -> Iterator[Candidate]:
    """Yield what is worth trying beside the other candidates where series are long; nothing elsewhere.

    Of few series all that rows allow; of many the linear maps, where stamps tell the hours of a week apart.

    Parameters
    ----------
    panel : Panel
        What will be learnt from in the end.
    lengths : (S,) int64
        Rows of series that candidates learn from on trial.
    wanted : Wanted
    """
    season, longest = min(wanted.seasons), max(wanted.seasons)
    if season < 2:
        return
    rows, n_rows, few = int(np.median(lengths)), int(lengths.sum()), panel.n_series <= _FEW_SERIES
    given = check_calendar(wanted.narx["calendar"], panel.clock)
    # What was given is the user's word.
    calendar = given or calendar_of(panel.clock.freq, rows)
    hours = "hourofweek" in calendar and season == season_length_of(panel.clock.freq)
    exog_lags = _exog_lags(panel, season)
    n_others, a_column = len(calendar_columns(calendar)) + sum(map(len, exog_lags.values())), _ROWS_OF_MANY
    # Of few series a week that was not found in them is read where rows bear it.
    reaches = [max(longest, _DAYS_A_WEEK * season)] if hours else [longest]
    if few:
        reaches, a_column = [*reaches, longest], _ROWS_A_COLUMN
    fitting = [
        (longest, lags)
        for longest, lags in ((reach, _lags_of(season, reach)) for reach in reaches)
        if rows >= max(lags) + a_column * (len(lags) + n_others)
    ]
    if not fitting:
        return
    longest, lags = fitting[0]
    n_columns = len(lags) + n_others
    work = 0.1 + _LINEAR * n_rows * n_columns
    if not few and not (hours and work * len(panel.values) / n_rows <= _MOST_WORK[wanted.budget]):
        return
    shared = {
        **wanted.shared, **wanted.narx, "static": (), "lags": lags, "calendar": calendar, "scope": "local",
        "season_length": wanted.seasons[0], "short_series": "drop", "exog_lags": exog_lags or None,
    }  # fmt: skip
    said = "lags of " + " and ".join(map(str, sorted({season, longest}))) + (", calendar" if calendar else "")
    transforms: list[tuple[Any, ...]] = [(), (Difference(season),)] if few else [()]
    transforms += [(Log(),)] if is_positive(panel) else []
    for chosen in transforms:
        # Pulled to smoothing, maps heed calendar and inputs too little.
        model = NARXForecaster(wanted.horizon, target_transforms=chosen, prior="zero", **shared)
        yield Candidate(f"linear, {in_words(chosen)}, {said}", "linear", model, "open_loop", work)
    if not few:
        return
    many = 2 * longest
    if rows >= _ROWS_A_COLUMN * (many + n_columns):
        # Without the calendar, which tells little where the target follows the weather more than the clock.
        plain = {**shared, "lags": many, "calendar": given}
        model = NARXForecaster(wanted.horizon, target_transforms=(), prior="zero", **plain)
        yield Candidate(
            f"linear, levels, {many} lags, not smoothed", "linear", model, "open_loop", 0.1 + _LINEAR * n_rows * many
        )
    if panel.n_channels > 1:
        return
    why_not = ""
    if n_rows > _MOST_ROWS[wanted.budget]:
        why_not = (
            f"{panel.n_series} series have {n_rows} rows together, more than the {_MOST_ROWS[wanted.budget]} that "
            f"budget={wanted.budget!r} bears; candidates=['auto', 'trees', 'mlp'] tries them all the same"
        )
    # Imported where it is used: it takes a second.
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(random_state=0)
    model = NARXForecaster(wanted.horizon, model=trees, target_transforms=(), **shared)
    once, per_row = _TREES
    yield Candidate(f"trees, levels, {said}", "trees", model, "open_loop", once + per_row * n_rows, why_not=why_not)
    work = _NETWORK * panel.n_series * wanted.horizon
    if not why_not and work > _MOST_OF_NETWORK[wanted.budget]:
        why_not = (
            f"about {work:.0f} seconds for {panel.n_series} series and horizon {wanted.horizon}, more than budget="
            f"{wanted.budget!r} bears; candidates=['auto', 'mlp'] tries it all the same"
        )
    for chosen in transforms[::2] if wanted.budget != "fast" else transforms[:1]:
        model = NARXForecaster(
            wanted.horizon, model="mlp", target_transforms=chosen, window_scaling="standard", ridge=100.0,
            training=Training(validation=False, learning_rate=0.003), **shared,
        )  # fmt: skip
        yield Candidate(f"mlp, {in_words(chosen)}, {said}", "mlp", model, "closed_loop", work, why_not=why_not)


def _lags_of(short: int, long: int) -> tuple[int, ...]:
    """Return lags of a season and one more, its multiples, and those around the longest season.

    Examples
    --------
    >>> _lags_of(7, 7), _lags_of(4, 16)
    ((1, 2, 3, 4, 5, 6, 7, 8, 14), (1, 2, 3, 4, 5, 8, 12, 15, 16, 17))
    """
    around = {lag + by for lag in {short, long} for by in (-1, 0, 1)}
    in_a_row = range(1, (short + 1 if short < _MOST_IN_A_ROW else _MOST_IN_A_ROW) + 1)
    if long == short:
        between: Any = (2 * short,)
    else:
        between = range(2 * short, long, short * -(-long // (short * _MOST_STEPS)))
    return tuple(sorted({*in_a_row, *between, *around} - {0}))


def _exog_lags(panel: Panel, season: int) -> dict[str, tuple[int, ...]]:
    """Return at which offsets each input is read: the step where it is known, two before it, a season before."""
    columns = panel.columns
    before = tuple(dict.fromkeys((1, 2, season)))
    return {**dict.fromkeys(columns.past_exog, before), **dict.fromkeys(columns.future_exog, (0, *before))}
