"""compare_modes: one model, trained in several modes, on the same windows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.dynamics.forcing import OpenLoop
from tsforce.dynamics.models.families import FAMILIES, Family
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.evaluation.backtest import judge
from tsforce.evaluation.backtest_result import BacktestResult
from tsforce.evaluation.backtest_windows import plan_windows
from tsforce.evaluation.narrow_table import narrow_table
from tsforce.evaluation.paired import paired_test
from tsforce.forecasting.arguments import check_count, check_mode
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.checkpointing import place_for
from tsforce.forecasting.parts import horizon_of, score_season_length
from tsforce.forecasting.training_options import training_of
from tsforce.notebook import card, table
from tsforce.persistence.checkpoints import Checkpoint
from tsforce.persistence.describing import digest

__all__ = ["ModeComparison", "compare_modes"]

FloatArray = npt.NDArray[np.float64]

_OPEN = ("open_loop", OpenLoop())

# What is shown of `summary`.
_SHOWN = {
    "mode": "mode", "mase_mean": "MASE", "mase_min": "lowest", "mase_max": "highest", "one_step": "one-step",
    "gap": "gap", "diverged_share": "diverged", "share_better": "better", "p_holm": "p",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ModeComparison:
    """What training in each mode gave, on the same windows with the same seeds.

    Attributes
    ----------
    runs : DataFrame
        One row per mode and seed: mode, seed, mase, smape, one_step, gap, drift_horizon, naive_horizon, diverged_share,
        steps, cpu_s, solver. ``one_step`` and ``gap`` are RMSE in units of the seasonal-naive scale, pooled
        over the horizon.
    horizons : DataFrame
        mode, seed, horizon, mase, rmse_closed, rmse_one_step, gap: errors at each step.
    tests : DataFrame
        From `paired_test` of the series' closed-loop MASE, seeds averaged, against the reference mode.
    reference : str

    Examples
    --------
    >>> from tsforce import NARXForecaster, compare_modes
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=6, lags=12, scope="local", max_steps=5)
    >>> comparison = compare_modes(model, load("airpassengers"), ["open_loop", "closed_loop"])
    >>> comparison.summary()["mode"].tolist()
    ['open_loop', 'closed_loop']
    """

    runs: pd.DataFrame
    horizons: pd.DataFrame
    tests: pd.DataFrame
    reference: str

    def summary(self) -> pd.DataFrame:
        """Return one row per mode: mean over seeds, spread of the closed-loop error, and the paired test."""
        grouped = self.runs.groupby("mode", sort=False)
        numbers = ["smape", "one_step", "gap", "diverged_share", "steps", "cpu_s"]
        table = grouped["mase"].agg(["mean", "min", "max"]).add_prefix("mase_").join(grouped[numbers].mean())
        return table.reset_index().merge(self.tests, on="mode")

    def __repr__(self) -> str:
        return f"ModeComparison against {self.reference!r}\n{narrow_table(self.summary(), _SHOWN)}"

    def _repr_html_(self) -> str:
        shown = table(self.summary().to_dict("records"), _SHOWN)
        return card(f"ModeComparison against {self.reference!r}", shown)

    def plot(self, ax: Any = None) -> Any:
        """Return a figure of the closed-loop error at each step for each mode (extra ``plot``).

        Parameters
        ----------
        ax : matplotlib Axes, optional
        """
        from tsforce.plotting import plot_modes

        return plot_modes(self.horizons, ax=ax)


def compare_modes(
    model: Forecaster,
    df: Any,
    modes: Sequence[Any] = ("open_loop", "closed_loop", "curriculum", "auto"),
    *,
    seeds: int | Sequence[int] = (0,),
    reference: str | None = None,
    horizon: int | None = None,
    n_windows: int = 1,
    step_size: int | None = None,
    cutoffs: Any = None,
    align: str = "auto",
    train_size: int | None = None,
    season_length: int | None = None,
    checkpoint: Any = None,
) -> ModeComparison:
    """Return closed-loop and one-step errors of one model trained in several modes, all by the same solver and loss.

    What is left to "auto" in a linear map or polynomial is the same in all modes: where AdamW trains the others, it
    trains open loop too (the closed form then is a row of its own, "open_loop, closed form"); where they are trained on
    moments, open loop is the closed form of the same loss.

    Parameters
    ----------
    model : Forecaster
        With the parameters ``mode`` and ``random_state``. Never changed; fitted once per mode and seed on the rows up
        to the first cutoff.
    df : DataFrame
        Long frame.
    modes : sequence of str or Forcing
    seeds : int or sequence of int
        A number n stands for 0 .. n - 1. Every mode gets the same ones.
    reference : str, optional
        The mode that others are tested against; the first by default.
    horizon, n_windows, step_size, cutoffs, align, train_size, season_length
        As in ``backtest``.
    checkpoint : path-like, optional
        Folder that keeps what each mode and seed has given, and how far the training under way has got. The same call
        goes on from there where its process was killed, and so does one of more modes or seeds.

    Returns
    -------
    ModeComparison

    Raises
    ------
    PersistenceError
        If `checkpoint` is of another comparison: other data, settings or versions; says which.

    Examples
    --------
    >>> from tsforce import NARXForecaster, compare_modes
    >>> from tsforce.datasets import load
    >>> model = NARXForecaster(horizon=6, lags=12, scope="local", max_steps=5)
    >>> compare_modes(model, load("airpassengers"), ["open_loop", "closed_loop"]).runs["mode"].tolist()
    ['open_loop', 'closed_loop']
    """
    if not isinstance(model, Forecaster) or not {"mode", "random_state"} <= set(model.get_params()):
        raise ArgumentTypeError(
            f"model is a {type(model).__name__}; expected a Forecaster with the parameters mode and random_state, such "
            f"as NARXForecaster(...)."
        )
    if isinstance(modes, str):
        modes = [modes]
    for mode in modes:
        check_mode(mode)
    names = [mode if isinstance(mode, str) else repr(mode) for mode in modes]
    if not names or len(set(names)) < len(names):
        raise ArgumentError(f"modes={modes!r}: expected one or more different modes.")
    reference = names[0] if reference is None else reference
    if reference not in names:
        raise ArgumentError(f"reference={reference!r} is none of the modes: {', '.join(names)}.")
    numbers = range(check_count("seeds", seeds)) if isinstance(seeds, (int, np.integer)) else list(seeds)
    if not numbers:
        raise ArgumentError("seeds is empty; give at least one.")
    if season_length is not None:
        season_length = check_count("season_length", season_length)
    panel = model.read(df)
    steps = horizon_of(model, horizon, panel=panel)
    plan = plan_windows(panel, steps, n_windows=n_windows, step_size=step_size, cutoffs=cutoffs, align=align)
    settings = {"horizon": steps, "cutoffs": plan.index, "train_size": train_size, "season_length": season_length}
    place = place_for(checkpoint, "compare_modes", {"model": model, **settings}, panel)
    parts: dict[str, list[_Run]] = {}
    # Open loop last: it is trained as the others were.
    for i in sorted(range(len(names)), key=lambda i: modes[i] in _OPEN):
        others = [run.row["solver"] for part in parts.values() for run in part]
        for entry in _as_trained(model, _Entry(names[i], modes[i], {}), others):
            own = {"mode": entry.mode} | entry.settings
            parts[entry.name] = [
                _run(
                    model.clone_unfitted().set_params(**own, random_state=seed), entry.name, seed, panel, plan, steps,
                    train_size, season_length, place and place.within(f"run-{digest([own, seed])[:16]}"),
                )
                for seed in numbers
            ]  # fmt: skip
    names = [name for name in (*names, *(name for name in parts if name not in names)) if name in parts]
    found = [run for name in names for run in parts[name]]
    errors = {name: np.mean([run.by_series for run in parts[name]], axis=0) for name in names}
    return ModeComparison(
        pd.DataFrame([run.row for run in found]), pd.concat([run.horizons for run in found], ignore_index=True),
        paired_test(errors, reference), reference,
    )  # fmt: skip


class _Entry(NamedTuple):
    """A mode of the comparison, its name in it, and what is set in the model for it."""

    name: str
    mode: Any
    settings: dict[str, Any]


class _Run(NamedTuple):
    """What a mode gave with a seed."""

    row: dict[str, Any]
    horizons: pd.DataFrame
    by_series: FloatArray


def _as_trained(model: Any, entry: _Entry, others: list[str]) -> list[_Entry]:
    """Return a mode as it is to be trained beside others, of which the solvers are given.

    A linear map or polynomial in open loop is a closed form. Beside modes that moments train it is that of their loss;
    beside modes that AdamW trains, AdamW trains it too, and the closed form is an entry of its own.
    """
    given = model.get_params()
    kind = FAMILIES.get(given["model"]) if isinstance(given.get("model"), str) else given.get("model")
    closed_form = isinstance(kind, Family) and kind.closed_form
    if not others or entry.mode not in _OPEN or not closed_form:
        return [entry]
    training = training_of(given["training"])
    if training.solver != "auto":
        return [entry]
    if all("AdamW" in solver for solver in others):
        own = entry._replace(settings={"training": replace(training, solver="adamw")})
        return [own, entry._replace(name=f"{entry.name}, closed form")]
    # What "auto" means on moments.
    return [entry._replace(settings={"loss": "huber"})] if given["loss"] == "auto" else [entry]


def _run(
    candidate: Any, name: str, seed: int, panel: Any, plan: Any, steps: int, train_size: int | None,
    season: int | None, place: Checkpoint | None,
) -> _Run:  # fmt: skip
    """Return what a model gives that is fitted once on the rows up to the first cutoff; kept if that is asked."""
    kept = None if place is None else place.read()
    if kept is not None:
        return _Run(kept["row"], pd.DataFrame(kept["horizons"]), kept["by_series"])
    began = time.process_time()
    judged = judge(candidate, panel, plan, steps, False, train_size, place=place and place.within("windows"))
    cpu = time.process_time() - began
    fitted = judged.fitted[0]
    result = BacktestResult.build(panel, plan, steps, {name: judged}, score_season_length(fitted, season))
    exposure = result.exposure().assign(mode=name, seed=seed, mase=result.by_horizon()["mase"])
    summary = result.exposure_summary().iloc[0]
    total = result.scores().iloc[0]
    closed, one = (np.sqrt((exposure[c] ** 2).mean()) for c in ("rmse_closed", "rmse_one_step"))
    history = getattr(fitted, "history_", None)
    records = getattr(history, "frame", pd.DataFrame())
    row: dict[str, Any] = {
        "mode": name, "seed": seed, "mase": total["mase"], "smape": total["smape"], "one_step": one,
        "gap": closed / one if one > 0 else np.nan, "drift_horizon": summary["drift_horizon"],
        "naive_horizon": summary["naive_horizon"], "diverged_share": summary["diverged_share"],
        "steps": int(records["step"].max()) if len(records) else 0, "cpu_s": cpu,
        "solver": getattr(history, "solver", ""),
    }  # fmt: skip
    horizons = exposure[["mode", "seed", "horizon", "mase", "rmse_closed", "rmse_one_step", "gap"]]
    by_series = result.scores(by="unique_id")["mase"].to_numpy()
    if place is not None:
        place.end({"row": row, "horizons": horizons.to_dict("list"), "by_series": by_series})
    return _Run(row, horizons, by_series)
