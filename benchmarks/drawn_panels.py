"""What one line gives on drawn panels: `NARXForecaster(horizon, season_length=m).fit(df)` beside naive methods.

    .venv/bin/python benchmarks/drawn_panels.py [--panels 200] [--kinds line walk ...] [--seed 0] [--out FILE]

Writes benchmarks/results/drawn-panels.csv (a row per kind of panel and mode; a rerun replaces its own rows), one
thread. Defaults were not chosen on seed 0, which the csv shows: choose on others, with another `--out`.

Each panel is cut once; both see what is before, forecasts are closed loop. The error of a series is in units of what it
moves from row to row before the cutoff: mean absolute errors, of intermittent demand root mean square errors (the
lowest absolute error there is that of forecasting 0 always). Panels are means over series, rows of the csv over panels.
What is less than a millionth of a series' mean absolute value counts as that: on lines and constants some are exact.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsforce import Baseline, NARXForecaster
from tsforce.bench import get_threads, set_threads
from tsforce.errors import DivergenceWarning

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "drawn-panels.csv"
BASELINES = ("naive", "drift", "seasonal_naive")
MODES = ("open_loop", "auto")
COLUMNS = (
    "kind", "mode", "panels", "metric", "error", *BASELINES, "best", "ratio", "ratio_se", "panels_worse",
    "ratio_to_best_of_each", "refused", "holds", "cpu_s", "seed", "threads", "command", "versions",
)  # fmt: skip
PACKAGES = ("tsforce", "torch", "numpy", "pandas")
# Worse than the best baseline by no more than this.
ALLOWED = 0.02
# Of a series' mean absolute value: an error of less is none.
FLOOR = 1e-6

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
# From a generator and a number of rows to one series.
Series = Callable[[np.random.Generator, int], FloatArray]


# ---- one series of each kind, as long as asked for


def line(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.uniform(50, 150) + rng.uniform(-2, 2) * np.arange(n)


def constant(rng: np.random.Generator, n: int) -> FloatArray:
    """Zero in one of ten."""
    return np.full(n, 0.0 if rng.random() < 0.1 else rng.uniform(-100, 100))


def walk(rng: np.random.Generator, n: int) -> FloatArray:
    return 100 + rng.normal(size=n).cumsum()


def drifting_walk(rng: np.random.Generator, n: int) -> FloatArray:
    """With noise around it that lasts one row: what naive and drift take for the level is off."""
    return 100 + rng.uniform(-0.5, 1) * np.arange(n) + rng.normal(size=n).cumsum() + rng.normal(size=n)


def trend_and_season(rng: np.random.Generator, n: int, m: int = 12) -> FloatArray:
    season = 12 * rng.normal(size=m)
    trend = rng.uniform(100, 200) + rng.uniform(-0.3, 1) * np.arange(n)
    return trend + season[np.arange(n) % m] + rng.uniform(1, 8) * rng.normal(size=n)


def multiplicative(rng: np.random.Generator, n: int, m: int = 12) -> FloatArray:
    """Growth, season and noise by factors; positive."""
    season, growth = 0.25 * rng.normal(size=m), rng.uniform(-0.002, 0.012)
    noise = rng.uniform(0.02, 0.08) * rng.normal(size=n)
    return np.exp(5 + growth * np.arange(n) + season[np.arange(n) % m] + noise)


def intermittent(rng: np.random.Generator, n: int) -> FloatArray:
    """Demand of some pieces in the first row, and later in one row of two to ten."""
    occurs = rng.random(n) < rng.uniform(0.1, 0.5)
    occurs[0] = True
    return occurs * (1.0 + rng.poisson(rng.uniform(1, 8), size=n))


def level_shift(rng: np.random.Generator, n: int) -> FloatArray:
    """Noise around a level that has moved, some time in the third quarter."""
    shift = rng.choice([-1, 1]) * rng.uniform(5, 15)
    return 100 + shift * (np.arange(n) >= rng.integers(n // 2, 3 * n // 4)) + rng.normal(size=n)


def around_a_mean(rng: np.random.Generator, n: int) -> FloatArray:
    """A first-order autoregression, of .2 to .9."""
    phi = rng.uniform(0.2, 0.9)
    y = np.zeros(n + 50)
    for t, e in enumerate(rng.normal(size=n + 50)[1:], start=1):
        y[t] = phi * y[t - 1] + e
    return 100 + y[50:]


# ---- panels


@dataclass(frozen=True)
class Frequency:
    """Stamps, the season that goes with them (None: there is none to give), horizon, and rows before the cutoff."""

    freq: str | int
    season_length: int | None
    horizon: int
    rows: tuple[int, int]


YEARLY, SHORT_YEARLY = Frequency("YS", 1, 6, (10, 40)), Frequency("YS", 1, 6, (7, 7))
QUARTERLY, MONTHLY = Frequency("QS", 4, 8, (16, 64)), Frequency("MS", 12, 18, (36, 144))
NUMBERED = Frequency(1, None, 12, (30, 200))


@dataclass(frozen=True)
class Kind:
    """Which series, at which frequencies (one is drawn for each panel), and whether lengths differ within a panel."""

    series: Series
    frequencies: tuple[Frequency, ...]
    ragged: bool = False
    metric: str = "mae"


KINDS = {
    "line": Kind(line, (YEARLY, QUARTERLY, MONTHLY)),
    "constant": Kind(constant, (YEARLY, QUARTERLY, MONTHLY)),
    "walk": Kind(walk, (YEARLY, QUARTERLY, MONTHLY)),
    "trend-season": Kind(trend_and_season, (MONTHLY,)),
    "intermittent": Kind(intermittent, (MONTHLY,), metric="rmse"),
    "seven-years": Kind(drifting_walk, (SHORT_YEARLY,)),
    "seven-rows-of-a-line": Kind(line, (SHORT_YEARLY,)),
    "ragged": Kind(trend_and_season, (Frequency("MS", 12, 12, (14, 144)),), ragged=True),
    "multiplicative": Kind(multiplicative, (MONTHLY,)),
    "level-shift": Kind(level_shift, (QUARTERLY, MONTHLY)),
    "around-a-mean": Kind(around_a_mean, (QUARTERLY, MONTHLY)),
    "numbered": Kind(drifting_walk, (NUMBERED,)),
}
N_SERIES = (1, 3, 5, 10)


@dataclass(frozen=True)
class Drawn:
    """A panel: rows up to each series' cutoff, and the `horizon` rows after it."""

    before: pd.DataFrame
    after: pd.DataFrame
    horizon: int
    season_length: int | None


def draw(kind: str, seed: int, number: int) -> Drawn:
    """Return one panel of a kind, the same whichever others are drawn: one to ten series, of unlike size."""
    of = KINDS[kind]
    rng = np.random.default_rng([seed, number, *kind.encode()])
    at = of.frequencies[rng.integers(len(of.frequencies))]
    lowest, highest = at.rows
    n_rows = rng.integers(lowest, highest + 1)
    parts = []
    for name in range(rng.choice(N_SERIES)):
        n = int(rng.integers(lowest, highest + 1) if of.ragged else n_rows) + at.horizon
        y = 10 ** rng.uniform(0, 3) * of.series(rng, n)
        ds = np.arange(n) if isinstance(at.freq, int) else pd.date_range("1990-01-01", periods=n, freq=at.freq)
        parts.append(pd.DataFrame({"unique_id": f"s{name}", "ds": ds, "y": y}))
    df = pd.concat(parts, ignore_index=True)
    left = df.groupby("unique_id").cumcount(ascending=False)
    before, after = df[left >= at.horizon], df[left < at.horizon]
    return Drawn(before.reset_index(drop=True), after.reset_index(drop=True), at.horizon, at.season_length)


# ---- scores


def error_of(panel: Drawn, forecast: FloatArray, metric: str) -> float:
    """Return the mean over series of errors in units of their moves from row to row, (series * horizon,) in order.

    Of a series that never moves, in units of its value, of one of zeros in units of 1.
    """
    level = _mean_of(panel, panel.before["y"].abs())
    level = np.where(level > 0, level, 1.0)
    moves = panel.before.groupby("unique_id", sort=False)["y"].diff().abs()
    off = np.abs(forecast - panel.after["y"].to_numpy()).reshape(-1, panel.horizon)
    if metric == "rmse":
        error, unit = np.sqrt((off**2).mean(axis=1)), np.sqrt(_mean_of(panel, moves**2))
    else:
        error, unit = off.mean(axis=1), _mean_of(panel, moves)
    return float((np.maximum(error, FLOOR * level) / np.where(unit > 0, unit, level)).mean())


def _mean_of(panel: Drawn, values: pd.Series) -> FloatArray:
    return values.groupby(panel.before["unique_id"], sort=False).mean().to_numpy()


def forecast_of(model: Any, panel: Drawn) -> FloatArray:
    """Return what a fitted model says of the rows after the cutoff, in their order."""
    with warnings.catch_warnings():
        # The errors tell of what ran away.
        warnings.simplefilter("ignore", DivergenceWarning)
        forecast = model.predict().set_index(["unique_id", "ds"])[model.name]
    return forecast.loc[pd.MultiIndex.from_frame(panel.after[["unique_id", "ds"]])].to_numpy()


def baseline(method: str, panel: Drawn) -> FloatArray:
    """Return a naive method's forecast of the rows after the cutoff."""
    model = Baseline(method, horizon=panel.horizon, season_length=panel.season_length or 1)
    return forecast_of(model.fit(panel.before), panel)


def measured(
    kind: str, panels: int, *, modes: tuple[str, ...] = MODES, seed: int = 0, build: Callable[..., Any] = NARXForecaster
) -> list[dict[str, Any]]:
    """Return a row for each mode of what `build(horizon, season_length=m).fit(df, mode=mode)` gives on drawn panels.

    ``ratio``: mean error over that of the baseline which is best on average, `ratio_se` its standard error over panels
    (in pairs); ``panels_worse``: how many of them are worse than that baseline by more than 2 %;
    ``ratio_to_best_of_each``: over the mean of each panel's own best, which only hindsight knows; ``refused``: panels
    at which an error was raised, left out of all other figures; ``holds``: none was, and the ratio is at most 1.02.
    """
    metric, drawn = KINDS[kind].metric, [draw(kind, seed, number) for number in range(panels)]
    of_baselines = np.array([[error_of(p, baseline(name, p), metric) for p in drawn] for name in BASELINES])
    rows = []
    for mode in modes:
        started, errors = time.process_time(), np.full(panels, np.nan)
        for number, panel in enumerate(drawn):
            season = {} if panel.season_length is None else {"season_length": panel.season_length}
            try:
                model = build(panel.horizon, **season).fit(panel.before, mode=mode)
                errors[number] = error_of(panel, forecast_of(model, panel), metric)
            except ValueError as error:
                print(f"{kind}, panel {number}, {mode}: {error}", file=sys.stderr)
        seconds = time.process_time() - started
        rows.append({"kind": kind, "mode": mode, "panels": panels, "metric": metric, "seed": seed, "cpu_s": seconds})
        rows[-1] |= scores(errors, of_baselines)
    return rows


def scores(errors: FloatArray, of_baselines: FloatArray) -> dict[str, Any]:
    """Return the figures of a row, from errors (panels,), NaN where refused, and (baselines, panels)."""
    there = np.isfinite(errors)
    if not there.any():
        return {"ratio": np.nan, "best": "nothing (all refused)", "refused": len(errors), "holds": False}
    own, theirs = errors[there], of_baselines[:, there]
    means = theirs.mean(axis=1)
    best = int(np.argmin(means))
    spread = (own - theirs[best]).std(ddof=1) if len(own) > 1 else np.nan
    ratio = own.mean() / means[best]
    return {
        "error": own.mean(), **dict(zip(BASELINES, means, strict=True)), "best": BASELINES[best], "ratio": ratio,
        "ratio_se": spread / np.sqrt(len(own)) / means[best],
        "panels_worse": int((own > (1 + ALLOWED) * theirs[best]).sum()),
        "ratio_to_best_of_each": own.mean() / theirs.min(axis=0).mean(),
        "refused": int((~there).sum()), "holds": bool(there.all() and ratio <= 1 + ALLOWED),
    }  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--panels", type=int, default=200, help="how many of each kind")
    arguments.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=" ".join(KINDS)
    )
    arguments.add_argument("--modes", nargs="+", default=list(MODES), metavar="MODE")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--out", type=Path, default=RESULTS, help="csv that the rows are written to")
    given = arguments.parse_args()
    set_threads(1)
    versions = [f"python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)]
    for kind in given.kinds:
        rows = pd.DataFrame(measured(kind, given.panels, modes=tuple(given.modes), seed=given.seed))
        for row in rows.itertuples():
            print(f"{row.kind}, {row.mode}: {row.ratio:.3f} times {row.best}, {row.cpu_s:.1f} CPU s", flush=True)
        rows["threads"], rows["versions"] = get_threads(), "; ".join(versions)
        rows["command"] = shlex.join(["python", "benchmarks/drawn_panels.py", *sys.argv[1:]])
        if given.out.exists():
            there = pd.read_csv(given.out)
            rows = pd.concat([there[~((there["kind"] == kind) & there["mode"].isin(given.modes))], rows])
        given.out.parent.mkdir(parents=True, exist_ok=True)
        rows.reindex(columns=list(COLUMNS)).to_csv(given.out, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
