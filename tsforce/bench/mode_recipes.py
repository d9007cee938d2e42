"""The models of the modes bench: lags, transforms and scaling on each set, all set before any test score was seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from tsforce.data.transforms import Difference, Log
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.ensemble import Ensemble
from tsforce.forecasting.narx import NARXForecaster

__all__ = ["MODE_SETS", "blocks_of"]

# What a model is made from: horizon and season length.
Factory = Callable[[int, int], "Forecaster"]

# Two days, and the same hour of the week before.
_DAYS_OF_HOURS = [*range(1, 49), *range(72, 169, 24)]


def _narx(model: Any, lags: Any, *transforms: str, **settings: Any) -> Factory:
    """Return what makes a forecaster; transforms by name, "log" or "d24"."""

    def make(horizon: int, m: int) -> Forecaster:
        listed = [Log() if name == "log" else Difference(int(name[1:])) for name in transforms]
        return NARXForecaster(
            horizon, lags, model=model() if callable(model) else model, season_length=m, target_transforms=listed,
            short_series="drop", **({"scope": "global", "window_scaling": "mean_abs", "prior": "zero"} | settings),
        )  # fmt: skip

    return make


def _local(lags: Any, *transforms: str) -> Factory:
    return _narx("linear", lags, *transforms, scope="local", window_scaling=None)


def _mlp(lags: Any, *transforms: str, scaling: str = "last") -> Factory:
    return _narx("mlp", lags, *transforms, window_scaling=scaling)


def _gru(lags: Any, *transforms: str, scaling: str = "last") -> Factory:
    return _narx("gru", lags, *transforms, window_scaling=scaling)


def _trees(lags: Any, *transforms: str, scaling: str = "last") -> Factory:
    """Boosted trees with scikit-learn's defaults; every mode but open loop is three rounds of data as demonstrator."""

    def boosted() -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor()

    return _narx(boosted, lags, *transforms, window_scaling=scaling, max_steps=3)


def _ensemble(differences: tuple[int, ...], lags: tuple[int, ...]) -> Factory:
    """Return what makes the median of linear models per series: levels and logs, differences or none, several lags."""

    def make(horizon: int, m: int) -> Forecaster:
        members = {
            f"{'log ' if log else ''}{f'Difference(lag={d})' if d else 'level'} {p}": _local(
                p, *(["log"] if log else []), *([f"d{d}"] if d else [])
            )(horizon, m)
            for log, d, p in itertools.product((False, True), (0, *differences), lags)
        }
        return Ensemble(members)

    return make


# set -> {model: (factory, seeds that make sense)}. Nothing is left to a default that may change.
MODE_SETS: dict[str, dict[str, tuple[Factory, int]]] = {
    "m3-yearly": {
        "linear-local log d1": (_local(6, "log", "d1"), 1),
        "linear-global": (_narx("linear", 6), 1),
        "mlp": (_mlp(6, "log"), 5),
        "trees": (_trees(6, "log"), 5),
    },
    "m3-quarterly": {
        "linear-local log d4": (_local(6, "log", "d4"), 1),
        "linear-global": (_narx("linear", 8), 1),
        "mlp": (_mlp(8, "log"), 5),
        "trees": (_trees(8, "log"), 5),
    },
    "m3-monthly": {
        "linear-local log d12": (_local(18, "log", "d12"), 1),
        "linear-global": (_narx("linear", 24), 1),
        "mlp": (_mlp(24, "log"), 5),
        "trees": (_trees(24, "log"), 5),
    },
    "m3-other": {
        "linear-local log d1": (_local(31, "log", "d1"), 1),
        "linear-global": (_narx("linear", 8), 1),
        "mlp": (_mlp(8, "log"), 5),
        "trees": (_trees(8, "log"), 5),
    },
    "m4-yearly": {"mlp": (_mlp(12, "log"), 3)},
    "m4-weekly": {
        "linear-local log 53": (_local(53, "log"), 1),
        "ensemble of 18": (_ensemble((1, 52), (13, 53, 105)), 1),
        "mlp": (_mlp(53, "log"), 5),
        "trees": (_trees(53, "log"), 5),
    },
    "m4-hourly": {
        "linear-local log d24 192": (_local(192, "log", "d24"), 1),
        "linear-local 192": (_local(192), 1),
        "ensemble of 12": (_ensemble((24, 168), (48, 192)), 1),
        "mlp": (_mlp(192, "log", "d24", scaling="standard"), 5),
        "gru": (_gru(_DAYS_OF_HOURS, "log", "d24", scaling="standard"), 3),
        "trees": (_trees(_DAYS_OF_HOURS, "log", "d24", scaling="standard"), 5),
    },
}


def blocks_of(model: str) -> tuple[str, ...]:
    """Return the blocks in which a model of `MODE_SETS` is trained by default, by their names in ``BLOCKS``.

    Examples
    --------
    >>> from tsforce.bench import blocks_of
    >>> blocks_of("linear")
    ('moments mse', 'moments huber', 'adamw mse', 'adamw mae')
    """
    if model == "trees":
        return ("rounds",)
    if not model.startswith(("linear", "ensemble")):
        return ("adamw mae",)
    by_moments = ("moments mse", "moments huber")
    # Hundreds of CPU seconds a mode by AdamW.
    return by_moments if model.startswith("ensemble") else (*by_moments, "adamw mse", "adamw mae")
