"""How often intervals hold: coverage in each third of the horizon, width and MSIS, beside other libraries'.

    .venv/bin/python benchmarks/intervals.py [--series 2000] [--alone 20] [--only "walk 60"] [--envs FOLDER]

Writes benchmarks/results/intervals.csv. Series are drawn (benchmarks/drawn_series.py), 12 steps are forecast, intervals
are at 80 and 95 %, and as a band for whole paths at 90 %. tsforce: `NARXForecaster(12, 12, scope="local")` with Log()
for log-normal errors, on one panel of all series, and on each of `--alone` series by itself. Other libraries, if
`--envs` names the folder that benchmarks/peers/environments.sh has filled: benchmarks/peers/intervals_one.py, on the
first 200 series. Rows of the csv that are made again are replaced.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from drawn_series import KINDS, drawn
from keeping import command, in_place

from tsforce import Intervals, Log, NARXForecaster
from tsforce.bench import get_threads, set_threads
from tsforce.scoring.interval_scores import covered, interval_score

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "intervals.csv"
H, SEED, LEVELS = 12, 0, (80, 95)
COLUMNS = (
    "kind", "rows", "library", "method", "series", "together", "level", "first_third", "second_third", "last_third",
    "whole_path", "width", "msis", "missing", "cpu_s", "threads", "seed", "command", "versions",
)  # fmt: skip
PEERS = (
    ("statsforecast", "AutoETS"), ("mlforecast", "linear, conformal"), ("skforecast", "linear, conformal"),
    ("skforecast", "linear, bootstrapping"), ("darts", "linear, conformal"),
)  # fmt: skip

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=2000, help="of one panel")
    arguments.add_argument("--alone", type=int, default=20, help="each fitted by itself")
    arguments.add_argument(
        "--only", default="", help="rows in whose kind, length, library and method all these words stand"
    )
    arguments.add_argument("--envs", type=Path, help="folder that benchmarks/peers/environments.sh has filled")
    given = arguments.parse_args()
    set_threads(1)
    for kind in KINDS:
        for n in (60, 300):
            y = drawn(kind, n + H, given.series, SEED)
            jobs = [("tsforce", "NARX", given.series, True), ("tsforce", "NARX", given.alone, False)]
            jobs += [(*peer, min(200, given.series), True) for peer in PEERS if given.envs]
            for library, method, count, together in jobs:
                if all(word in f"{kind} {n} {library} {method}" for word in given.only.split()):
                    own = y[:count]
                    began = time.process_time()
                    found = of_tsforce(kind, own, together) if library == "tsforce" else {}
                    seconds = time.process_time() - began
                    if library != "tsforce":
                        found, seconds = of_peer(own, library, method, 12 if kind == "season-trend" else 1, given.envs)
                    said = {
                        "kind": kind, "rows": n, "library": library, "method": method, "series": count,
                        "together": together, "cpu_s": seconds,
                    }  # fmt: skip
                    keep([said | scores(own, *bounds, level) for level, bounds in found.items()])


def of_tsforce(kind: str, y: FloatArray, together: bool) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return lower and upper bounds, (series, H), of each level, and of whole paths."""
    found: dict[str, list[FloatArray]] = {}
    for part in [y] if together else y[:, None]:
        model = NARXForecaster(
            H, 12, scope="local", season_length=12 if kind == "season-trend" else 1, mode="open_loop",
            target_transforms=[Log()] if kind == "log-normal" else [], alias="it",
        )  # fmt: skip
        model.fit(long(part[:, :-H]))
        with warnings.catch_warnings():
            # A level that is not supported is counted in the column `missing`.
            warnings.simplefilter("ignore")
            frames = {"": model.predict(level=LEVELS), "path ": model.predict(level=Intervals(90, over="path"))}
        for name, frame in frames.items():
            for column in frame.filter(like="-lo-"):
                key = name + column.rpartition("-")[2]
                ends = [frame[c].to_numpy().reshape(-1, H) for c in (column, column.replace("-lo-", "-hi-"))]
                found.setdefault(key, []).append(np.stack(ends))
    return {key: tuple(np.concatenate(parts, axis=1)) for key, parts in found.items()}


def of_peer(y: FloatArray, library: str, method: str, m: int, envs: Path) -> tuple[dict[str, Any], float]:
    """Return another library's bounds of each level, and its CPU seconds."""
    job = {"library": library, "method": method, "horizon": H, "season_length": m, "levels": LEVELS}
    frame, seconds = bounds_of_peer(long(y[:, :-H]), job, envs, timeout=900)
    ends = {
        str(level): tuple(frame[f"{side}-{level}"].to_numpy().reshape(-1, H) for side in ("lo", "hi"))
        for level in LEVELS
    }
    return ends, seconds


def bounds_of_peer(
    train: pd.DataFrame, job: dict[str, Any], envs: Path, timeout: float | None = None
) -> tuple[pd.DataFrame, float]:
    """Return what a peer makes of a job in its environment, columns lo-95, hi-95, ..., and its CPU seconds."""
    library = job["library"]
    with tempfile.TemporaryDirectory() as room:
        train.to_parquet(Path(room) / "train.parquet")
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "NUMBA")} | {"NIXTLA_ID_AS_COL": "1"}
        python = envs / (library if library in ("skforecast", "darts") else "nixtla") / "bin" / "python"
        program = [str(python), str(HERE / "peers" / "intervals_one.py"), json.dumps(job | {"room": room})]
        done = subprocess.run(
            program, check=True, capture_output=True, text=True, env=os.environ | one, timeout=timeout
        )
        return pd.read_parquet(Path(room) / "out.parquet"), float(done.stdout.split()[-1])


def long(y: FloatArray) -> pd.DataFrame:
    """Return series as a long frame."""
    n, rows = y.shape
    return pd.DataFrame({"unique_id": np.repeat(np.arange(n), rows), "ds": np.tile(np.arange(rows), n), "y": y.ravel()})


def scores(y: FloatArray, low: FloatArray, high: FloatArray, level: str) -> dict[str, Any]:
    """Return the figures of a row; widths and scores in mean moves from row to row."""
    truth, share = y[:, -H:], float(level.split()[-1]) / 100
    inside = covered(truth, low, high)
    scale = np.abs(np.diff(y[:, :-H], axis=1)).mean(axis=1, keepdims=True)
    thirds = [float(np.nanmean(part)) for part in np.array_split(inside, 3, axis=1)]
    return {
        "level": level, **dict(zip(("first_third", "second_third", "last_third"), thirds, strict=True)),
        "whole_path": float(inside.min(axis=1)[~np.isnan(inside).any(axis=1)].mean()),
        "width": float(np.nanmean((high - low) / scale)),
        "msis": float(np.nanmean(interval_score(truth, low, high, share) / scale)),
        "missing": float(np.isnan(inside).mean()),
    }  # fmt: skip


def keep(rows: list[dict[str, Any]]) -> None:
    """Write rows into the csv, in the place of older ones of the same kind, rows, library and series."""
    packages = ("tsforce", "torch", "numpy", "pandas")
    versions = [f"python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in packages)]
    new = pd.DataFrame(rows).assign(
        seed=SEED, threads=get_threads(), versions="; ".join(versions),
        command=command(),
    )  # fmt: skip
    print(new[list(COLUMNS[:-4])].round(3).to_string(index=False, header=False), flush=True)
    new = in_place(RESULTS, new, ["kind", "rows", "library", "method", "together", "level"])
    new.reindex(columns=list(COLUMNS)).to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
