"""What AutoNARX tries: forecasters of every family, cheap ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tsforce.data.frequency import season_length_of
from tsforce.data.panel import IntArray, Panel
from tsforce.data.transforms import Difference, Log, Transform
from tsforce.dynamics.models.families import GRU, MLP
from tsforce.errors import ArgumentError, MissingExtraError, check_choice
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.auto.candidate import Candidate, Wanted, in_words
from tsforce.forecasting.auto.long_series import long_series_candidates
from tsforce.forecasting.auto.seasons import find_longer_season, find_season
from tsforce.forecasting.automatic import is_positive
from tsforce.forecasting.baselines import Baseline
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.training_options import Training

__all__ = ["BUDGETS", "candidates_by_name", "candidates_for", "seasons_for"]

BUDGETS = ("fast", "balanced", "accurate")

# A lag set takes at most one row in so many of a typical series.
_SHARE = 3
# Share of series that may be too short for the lags that nearly all can bear.
_SHORT = 0.1
# Lag sets whose sizes are nearer than by this factor are as good as one.
_UNLIKE = 1.3
# Least lags in a row.
_FEW = 4
# Seasons from which on smoothing and maps of levels learn one.
_SEASONS = 3
# Rows of all series together from which a network has something to learn from.
_ROWS_FOR_NETWORKS = 5000

# Seconds on one core, measured on panels of 1 to 1000 series and 60 to 3000 rows: of a fit whatever its size, per row,
# and per row of the longest series, over which all series go side by side.
_SMOOTHING = {
    "theta": (0.004, 1e-6, 2e-5),
    "dynamic_theta": (0.008, 2e-6, 1.5e-4),
    "ets_combined": (0.05, 6e-6, 4e-4),
    "ces": (0.03, 1.2e-5, 1e-3),
}
# Of a fit and per row: by robust and by plain least squares; of one map for all; of a network.
_LOCAL = ((0.03, 9e-6), (0.03, 2e-6))
_POOLED, _OF_A_STEP, _TREES = (0.1, 1.7e-5), (0.1, 2.5e-6), (0.5, 2e-4)
# Of networks: of a step of the horizon in one training step, and what one weight adds to it in one window.
_NETWORK = (8e-4, 1e-10)
# Of a trial by gradient at most, by budget: what takes more is tried where it is named.
_MOST_WORK = {"fast": 40.0, "balanced": 100.0, "accurate": 1000.0}
# Training steps of the perceptron and windows in each. All are taken: to choose their number on held-out windows takes
# twice as many fits.
_STEPS, _WINDOWS = 300, 256
# Lags of a network at most.
_MOST_LAGS = 256
# What inputs, several targets or gaps add: to maps per series, and, for each step of the horizon, to one for all, which
# then is learnt by gradient.
_MORE_TO_READ, _BY_GRADIENT = 0.1, 1.0


def seasons_for(panel: Panel, season_length: Any) -> tuple[int, ...]:
    """Return the season lengths to try, the first one that by which errors are measured.

    Parameters
    ----------
    panel : Panel
    season_length : int, sequence of int or None
        Several are taken as they are. One is followed by a longer one that the series show, if they do. None: what goes
        with the frequency; where that is 1, what the series show.

    Raises
    ------
    ArgumentError
        If one is not a whole number of at least 1.
    """
    if isinstance(season_length, Iterable) and not isinstance(season_length, str):
        given = tuple(dict.fromkeys(check_count("season_length", one) for one in season_length))
        if not given:
            raise ArgumentError("season_length is empty; give one or several lengths, or None.")
        return given
    if season_length is not None:
        first = check_count("season_length", season_length)
    else:
        first = season_length_of(panel.clock.freq)
        first = first if first > 1 else find_season(panel)
    longer = find_longer_season(panel, first)
    return (first,) if longer is None else (first, longer)


def candidates_for(panel: Panel, lengths: IntArray, wanted: Wanted) -> list[Candidate]:
    """Return what is worth trying on a panel within a budget, cheap ones first; the first one forecasts any series.

    Parameters
    ----------
    panel : Panel
        What will be learnt from in the end.
    lengths : (S,) int64
        Rows of series that candidates learn from on trial.
    wanted : Wanted
    """
    check_choice("budget", wanted.budget, BUDGETS)
    local = _local_maps(panel, lengths, wanted)
    found = [*_references(wanted), *_smoothing(lengths, wanted), *local, *_pooled(panel, lengths, wanted)]
    found += long_series_candidates(panel, lengths, wanted)
    return sorted(found, key=lambda candidate: candidate.work)


def _references(wanted: Wanted) -> Iterator[Candidate]:
    season = wanted.seasons[0]
    for method in ("naive", "seasonal_naive", "drift", "naive2"):
        if season > 1 or method in ("naive", "drift"):
            model = Baseline(method, horizon=wanted.horizon, season_length=season, **wanted.shared)
            yield Candidate(method, "naive", model, None, 0.0)


def _smoothing(lengths: IntArray, wanted: Wanted) -> Iterator[Candidate]:
    for method, (once, per_row, per_step) in _SMOOTHING.items():
        model = Baseline(method, horizon=wanted.horizon, season_length=wanted.seasons[0], **wanted.shared)
        work = once + per_row * int(lengths.sum()) + per_step * int(lengths.max())
        yield Candidate(method, method, model, None, work)


def _local_maps(panel: Panel, lengths: IntArray, wanted: Wanted) -> Iterator[Candidate]:
    """Linear maps per series: with and without logarithms, differences, of few and of many lags."""
    rows, n_rows = int(np.median(lengths)), int(lengths.sum())
    once, per_row = _LOCAL[wanted.budget == "fast"]
    once += _MORE_TO_READ * _reads_more(panel, wanted)
    # What never changes within a series tells a model of its own nothing.
    narx = {**wanted.narx, "static": ()}
    losses = ("mse",) if wanted.budget == "fast" else ("huber",)
    logs: tuple[tuple[Transform, ...], ...] = ((), (Log(),)) if is_positive(panel) else ((),)
    differences = [None, *(Difference(lag) for lag in dict.fromkeys((1, *wanted.seasons)) if 3 * lag < rows)]
    for loss in losses:
        for log in logs:
            for difference in differences:
                for lags in _lag_sets(lengths, wanted):
                    transforms = (*log, *((difference,) if difference is not None else ()))
                    model = NARXForecaster(
                        wanted.horizon, lags, scope="local", season_length=wanted.seasons[0],
                        target_transforms=transforms, loss=loss, short_series="drop", **wanted.shared, **narx,
                    )  # fmt: skip
                    work = once + per_row * n_rows * (1 + lags / 50)
                    name = f"linear, {in_words(transforms)}, {lags} lags"
                    yield Candidate(name, "linear", model, "open_loop", work)


def _lag_sets(lengths: IntArray, wanted: Wanted) -> list[int]:
    """Return how many lags to try: what nearly all series bear, one and two seasons, a horizon and four; none alike.

    Nearly all can bear a season and one more lag, or half of their rows; a typical one a third of its own.
    """
    season, horizon = wanted.seasons[0], wanted.horizon
    rows, few = int(np.median(lengths)), int(np.quantile(lengths, _SHORT))
    safe = max(1, min(4 * horizon, max(_FEW, rows // 4), (few - 1) // 2))
    found = [max(safe, season + 1) if season > 1 and few >= season + 2 else safe]
    for lags in ((season + 1, 2 * season + 1) if season > 1 else ()) + (horizon, 4 * horizon):
        unlike = all(max(lags, other) > _UNLIKE * min(lags, other) for other in found)
        if _FEW <= lags <= rows // _SHARE and unlike:
            found.append(lags)
    return sorted(found)


def _reads_more(panel: Panel, wanted: Wanted) -> bool:
    """Return whether models read more than one target, or have gaps to fill."""
    inputs = any(wanted.narx[name] for name in ("past_exog", "future_exog", "static", "calendar"))
    return inputs or panel.n_channels > 1 or bool(np.isnan(panel.values).any())


def _pooled(panel: Panel, lengths: IntArray, wanted: Wanted) -> Iterator[Candidate]:
    n_rows, n_learnt = len(panel.values), int(lengths.sum())
    if panel.n_series > 1:
        transforms: Any = (Log(),) if is_positive(panel) else "auto"
        model = NARXForecaster(
            wanted.horizon, scope="global", season_length=wanted.seasons[0], target_transforms=transforms,
            short_series="drop", **wanted.shared, **wanted.narx,
        )  # fmt: skip
        once, per_row = _POOLED
        work, why_not = once + per_row * n_learnt, ""
        if _reads_more(panel, wanted):
            work += _BY_GRADIENT * wanted.horizon
            if work > _MOST_WORK[wanted.budget]:
                why_not = (
                    f"about {work:.0f} seconds by gradient for horizon {wanted.horizon}; candidates=['auto', "
                    f"'linear for all'] tries it all the same"
                )
        yield Candidate("linear for all", "linear for all", model, "curriculum", work, from_some=True, why_not=why_not)
    yield from _of_a_season_seen_once(panel, lengths, wanted)
    if wanted.budget == "accurate":
        yield _direct(panel, lengths, wanted)
    if wanted.budget == "fast" or n_rows < _ROWS_FOR_NETWORKS:
        return
    for name in ("mlp",) if wanted.budget == "balanced" else ("mlp", "gru"):
        yield _network(name, lengths, wanted)


def _of_a_season_seen_once(panel: Panel, lengths: IntArray, wanted: Wanted) -> Iterator[Candidate]:
    """One map of few lags of seasonal differences for all series, where rows on trial are less than three seasons.

    There neither smoothing nor a map of levels can learn the season, and few rows are left of a series for a map of its
    own.
    """
    season, rows = wanted.seasons[0], int(np.median(lengths))
    if season == 1 or not season + 3 * _FEW <= rows < _SEASONS * season:
        return
    once, per_row = _POOLED
    for log in ((), (Log(),)) if is_positive(panel) else ((),):
        transforms = (*log, Difference(season))
        model = NARXForecaster(
            wanted.horizon, _FEW, scope="global", season_length=season, target_transforms=transforms,
            short_series="drop", **wanted.shared, **wanted.narx,
        )  # fmt: skip
        name = f"linear for all, {in_words(transforms)}, {_FEW} lags"
        work = once + per_row * int(lengths.sum())
        yield Candidate(name, "seasonal differences", model, "open_loop", work, from_some=True)


def _network(name: str, lengths: IntArray, wanted: Wanted) -> Candidate:
    given: dict[str, Any] = {"model": name}
    n_lags = max(wanted.seasons[0], min(4 * wanted.horizon, int(np.median(lengths)) // 4, _MOST_LAGS))
    if name == "mlp":
        given |= {"max_steps": _STEPS, "training": Training(batch_size=_WINDOWS, validation=False)}
        hidden = MLP().hidden
        n_rolled, n_weights = _STEPS * wanted.horizon, n_lags * hidden[0] + hidden[0] * hidden[1]
    else:
        # Through a context of two horizons too; twice, for the number of steps is chosen.
        width, steps = GRU().width, GRU.pooled.steps
        n_rolled, n_weights = 2 * steps * 3 * wanted.horizon, 3 * width * (n_lags + width)
    model = NARXForecaster(
        wanted.horizon, season_length=wanted.seasons[0], short_series="drop", **given, **wanted.shared, **wanted.narx
    )
    once, per_weight = _NETWORK
    work = n_rolled * (once + _WINDOWS * n_weights * per_weight)
    too_dear = work > _MOST_WORK[wanted.budget]
    why_not = (
        f"about {work:.0f} seconds for horizon {wanted.horizon} and {n_lags} lags; candidates=['auto', {name!r}] tries "
        f"it all the same"
    )
    return Candidate(name, name, model, "curriculum", work, why_not=why_not if too_dear else "")


def candidates_by_name(panel: Panel, lengths: IntArray, wanted: Wanted) -> dict[str, Callable[[], Candidate]]:
    """Return what makes candidates of families that are tried where they are named, whatever the budget.

    Parameters
    ----------
    panel, lengths, wanted
        As of `candidates_for`.
    """
    regressors: dict[str, Callable[[int], Any]] = {"trees": _histogram_trees, "lightgbm": _lightgbm}
    return {
        **{name: partial(_network, name, lengths, wanted) for name in ("mlp", "gru")},
        **{name: partial(_regressor, name, make, lengths, wanted) for name, make in regressors.items()},
        "direct": partial(_direct, panel, lengths, wanted),
    }


def _regressor(name: str, make: Callable[[int], Any], lengths: IntArray, wanted: Wanted) -> Candidate:
    """Trees on the windows of all series."""
    model = NARXForecaster(
        wanted.horizon, model=make(wanted.narx["random_state"]), scope="global", season_length=wanted.seasons[0],
        short_series="drop", **wanted.shared, **wanted.narx,
    )  # fmt: skip
    once, per_row = _TREES
    return Candidate(name, name, model, "open_loop", once + per_row * int(lengths.sum()))


def _histogram_trees(random_state: int) -> Any:
    # Imported where it is used: it takes a second.
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=random_state)


def _lightgbm(random_state: int) -> Any:
    try:
        from lightgbm import LGBMRegressor
    except ImportError as error:
        raise MissingExtraError("candidates: 'lightgbm' needs LightGBM: pip install 'tsforce[lightgbm]'.") from error
    return LGBMRegressor(random_state=random_state, verbose=-1)


def _direct(panel: Panel, lengths: IntArray, wanted: Wanted) -> Candidate:
    """A linear map for every step, for all series."""
    model = NARXForecaster(
        wanted.horizon, scope="global", strategy="direct", season_length=wanted.seasons[0], short_series="drop",
        **wanted.shared, **wanted.narx,
    )  # fmt: skip
    once, per_row = _OF_A_STEP
    work = once + wanted.horizon * per_row * int(lengths.sum())
    return Candidate("direct", "direct", model, "open_loop", work, from_some=panel.n_series > 1)
