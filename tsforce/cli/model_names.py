"""Which forecasters the command line knows by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tsforce.errors import ArgumentError, check_choice

if TYPE_CHECKING:
    from tsforce import Forecaster
    from tsforce.datasets import Competition

__all__ = ["ALIASES", "DEFAULT", "OF_AUTO", "SETTABLE", "entries", "flags", "make", "model_names", "usual_names"]

ALIASES = {"linear": "linear-local"}
#: The model that nobody named: ``AutoNARX`` with its own defaults, whatever they are; and what is taken in its place
#: where something is said about the model that only ``NARXForecaster`` has: that one with its own defaults.
DEFAULT, SETTABLE = "auto", "narx"
#: Arguments that only ``AutoNARX`` has.
OF_AUTO = ("budget", "time_limit", "candidates")
_MODELS: dict[str, dict[str, Any]] = {
    SETTABLE: {},
    "linear-local": {"model": "linear", "scope": "local"},
    "linear-global": {"model": "linear", "scope": "global"},
    "mlp": {"model": "mlp", "scope": "global"},
    "gru": {"model": "gru", "scope": "global"},
    "lstm": {"model": "lstm", "scope": "global"},
    "encoder_decoder": {"model": "encoder_decoder", "scope": "global"},
}


def flags(arguments: Iterable[str]) -> str:
    """Return the options that stand for some arguments, as they are typed.

    Examples
    --------
    >>> flags(["target_transforms", "exog_lags"])
    '--transform, --exog-lags'
    """
    typed = {"target_transforms": "transform"}
    return ", ".join("--" + typed.get(name, name).replace("_", "-") for name in arguments)


def model_names() -> tuple[str, ...]:
    """Return every name that ``--models`` accepts, aliases aside."""
    from tsforce.forecasting.baselines import METHODS

    return (*METHODS, DEFAULT, *_MODELS)


def usual_names() -> tuple[str, ...]:
    """Return the names that a bench runs by default: all but the one that takes hours where the others take minutes."""
    return tuple(name for name in model_names() if name != "arima")


def entries(names: list[str], modes: list[str], competition: Competition) -> list[tuple[str, Forecaster, str | None]]:
    """Return what to run, as (name, model, mode): a baseline once, a model once per mode.

    Naive2 is always among them, first if not named.

    Raises
    ------
    ArgumentError
        If a model or mode is not known, with the accepted names.
    """
    from tsforce import AutoNARX, Baseline, NARXForecaster
    from tsforce.datasets import load

    known = model_names()
    resolved = [ALIASES.get(name) or check_choice("--models", name, (*known, *ALIASES)) for name in names]
    for mode in modes:
        # The library itself says which modes it has, on a fit that takes milliseconds: no list to keep beside its own,
        # and no row is made before all modes are known to exist.
        NARXForecaster(horizon=1, lags=1, ridge=0.0, max_steps=1).fit(load("airpassengers"), mode=mode)
    horizon, season_length = competition.horizon, competition.season_length
    rows: list[tuple[str, Forecaster, str | None]] = []
    for name in dict.fromkeys(resolved if "naive2" in resolved else ["naive2", *resolved]):
        if name == DEFAULT:
            # The competitions call it 1 where they measure by no season; the series may show one all the same.
            rows.append((name, AutoNARX(horizon, season_length=season_length if season_length > 1 else None), None))
        elif name in _MODELS:
            model: Forecaster = NARXForecaster(
                horizon, season_length=season_length, short_series="drop", **_MODELS[name]
            )
            rows += [(name, model, mode) for mode in dict.fromkeys(modes)]
        else:
            rows.append((name, Baseline(name, horizon=horizon, season_length=season_length), None))
    return rows


def make(name: str, shared: dict[str, Any], own: dict[str, Any]) -> Forecaster:
    """Return the forecaster of some name, which is also the name of its forecasts' column.

    Parameters
    ----------
    name : str
        One of ``model_names()``, or an alias.
    shared : dict
        Arguments that every forecaster takes.
    own : dict
        Arguments of a NARXForecaster or AutoNARX; a reference method has no use for them.

    Raises
    ------
    ArgumentError
        If the name is not known, with the accepted ones, or "auto" is told what it chooses by itself.
    """
    from tsforce import AutoNARX, Baseline, NARXForecaster

    known = ALIASES.get(name) or check_choice("--model", name, (*model_names(), *ALIASES))
    if known == DEFAULT:
        chosen = [name for name in own if name not in AutoNARX(1).get_params()]
        if chosen:
            raise ArgumentError(
                f"--model auto chooses {flags(chosen)} by itself. Leave it out, or name a model, such as --model narx."
            )
        return AutoNARX(**shared, **own, alias=known)
    own = {name: value for name, value in own.items() if name not in OF_AUTO}
    if known in _MODELS:
        return NARXForecaster(**shared, **own, alias=known, **_MODELS[known])
    return Baseline(known, **shared)
