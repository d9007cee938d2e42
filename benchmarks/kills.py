"""Whether a killed process loses anything: fits, saves, updates, searches and benches, killed at random moments.

Each job runs once to its end, in a process of its own, for its numbers and its time. Then, again and again in a fresh
folder: the job is begun, killed at a moment that is drawn evenly over its time, its files are looked at, and the same
call is made once more, to the end. All kills are ``kill -9``. Counted are

- broken: files that do not load, or are none of those that were written;
- lost: results that were finished before the kill, and are gone or made again;
- differing: second calls whose numbers are not, to the bit, those of the call that was never killed.

Run ``python benchmarks/kills.py``: 100 kills take six minutes, and the table goes to ``benchmarks/results/kills.csv``.
``--kills 10`` takes fewer, ``--out FILE`` writes elsewhere. It forks, and runs on Linux and macOS.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import csv
import platform
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import tsforce
from tsforce import AutoNARX, Baseline, NARXForecaster, Training, backtest, tune
from tsforce.bench import run
from tsforce.datasets import Competition, load
from tsforce.errors import PersistenceError
from tsforce.models import MLP

RESULTS = Path(__file__).parent / "results" / "kills.csv"
RUN = {
    "threads": 1,
    "versions": f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}",
    "command": "python benchmarks/kills.py",
}
PASSENGERS = load("airpassengers")
# Rows that are learnt from at first, and taken in later, one by one.
FIRST, LATER = 120, 24
RIDGES = (1.0, 100.0)
SAVES = 40
NETWORK = NARXForecaster(
    12, 24, model=MLP((16,)), mode="curriculum", max_steps=60, training=Training(batch_size=32)
)  # fmt: skip

Tell = Callable[[str], None]
Numbers = np.ndarray[Any, Any]


class Job(NamedTuple):
    """Something that can be killed.

    Attributes
    ----------
    run : function (folder, tell) -> array
        From a folder, whatever is there, to numbers; it tells of what is finished, a name at a time.
    looked_at : function (folder, told) -> (broken, lost)
        What has become of the files of a folder, and of what was told.
    finished : str
        Pattern of files that hold finished results, and are not written again.
    """

    run: Callable[[Path, Tell], Numbers]
    looked_at: Callable[[Path, list[str]], tuple[int, int]] = lambda folder, told: (0, 0)
    finished: str = "no such file"


def numbers_of(frame: pd.DataFrame) -> Numbers:
    """Return all numbers of a frame but seconds, flat."""
    numeric = frame.select_dtypes("number")
    found: Numbers = numeric[[name for name in numeric if "seconds" not in name]].to_numpy(dtype=np.float64).ravel()
    return found


def loaded(path: Path) -> Any:
    """Return the model of a file; None where there is none yet, "broken" where it does not load."""
    try:
        return tsforce.load(path)
    except FileNotFoundError:
        return None
    except PersistenceError:
        return "broken"


# ---- what is killed


def fit(folder: Path, tell: Tell) -> Numbers:
    """Fit a network with checkpoints."""
    model = NETWORK.clone_unfitted().fit(PASSENGERS, checkpoint=folder / "fit")
    weights = [weight.numpy().ravel() for weight in model.model_.state_dict().values()]
    return np.concatenate([*weights, numbers_of(model.history_.frame), numbers_of(model.predict())])


def save(folder: Path, tell: Tell) -> Numbers:
    """Save one of two models after the other to one file."""
    models = [NARXForecaster(12, 24, mode="open_loop", ridge=ridge).fit(PASSENGERS) for ridge in RIDGES]
    for k in range(SAVES):
        models[k % 2].save(folder / "model")
        tell(str(k))
    return numbers_of(tsforce.load(folder / "model").predict())


def saved(folder: Path, told: list[str]) -> tuple[int, int]:
    """Look whether the file is the model that was saved last, or the one after it."""
    model, last = loaded(folder / "model"), int(told[-1]) if told else -1
    if model is None or model == "broken":
        return int(model == "broken"), int(model is None and last >= 0)
    return 0, int(last >= SAVES or model.ridge not in {RIDGES[k % 2] for k in (last, last + 1) if k >= 0})


def update(folder: Path, tell: Tell) -> Numbers:
    """Take in one row after the other, and save the model after each."""
    path = folder / "model"
    model = loaded(path)
    if model is None:
        model = NARXForecaster(12, 24, mode="open_loop", ridge=10.0).fit(PASSENGERS[:FIRST])
        model.save(path, training_rows=True)
    for k in range(rows_of(model), FIRST + LATER):
        model.update(PASSENGERS[k : k + 1])
        model.save(path, training_rows=True)
        tell(str(k + 1))
        model = tsforce.load(path)
    return numbers_of(model.predict())


def rows_of(model: Any) -> int:
    """Return the rows that a model has learnt from."""
    return int((PASSENGERS["ds"] <= model.train_end_["cutoff"].iloc[0]).sum())


def updated(folder: Path, told: list[str]) -> tuple[int, int]:
    """Look whether the file has learnt from all rows that were told, and no more than one other."""
    model, last = loaded(folder / "model"), int(told[-1]) if told else FIRST
    if model is None or model == "broken":
        return int(model == "broken"), int(model is None and bool(told))
    return int(rows_of(model) > last + 1), int(rows_of(model) < last)


def search(folder: Path, tell: Tell) -> Numbers:
    """Search for lags and a ridge."""
    space = {"lags": [12, 13, 18, 24, 25, 36], "ridge": [1.0, 10.0, 100.0]}
    found = tune(NARXForecaster(12, mode="closed_loop"), PASSENGERS, space, checkpoint=folder / "search")
    return np.concatenate([numbers_of(found.trials_), [found.best_score_]])


def windows(folder: Path, tell: Tell) -> Numbers:
    """Backtest a network that is fitted again for each window."""
    model = NETWORK.clone_unfitted().set_params(max_steps=20)
    result = backtest(model, PASSENGERS, n_windows=4, refit=True, checkpoint=folder / "windows")
    return np.concatenate([numbers_of(result.frame), numbers_of(result.scores())])


def choose(folder: Path, tell: Tell) -> Numbers:
    """Choose among many candidates."""
    model = AutoNARX(12, budget="fast").fit(PASSENGERS, checkpoint=folder / "choose")
    return np.concatenate([numbers_of(model.leaderboard_), numbers_of(model.predict())])


def competition() -> Competition:
    """Return a small one, drawn."""
    rng = np.random.default_rng(0)
    y = 50 + np.sin(np.arange(90) / 2)[:, None] * 5 + 0.3 * rng.normal(size=(90, 20)).cumsum(axis=0)
    frame = pd.DataFrame({
        "unique_id": np.repeat([f"s{k}" for k in range(20)], 90), "ds": np.tile(np.arange(90), 20), "y": y.T.ravel(),
    })  # fmt: skip
    frame["unique_id"] = frame["unique_id"].astype("category")
    late = frame["ds"] >= 78
    return Competition("drawn", "all", frame[~late], frame[late], 12, 12)


def bench(folder: Path, tell: Tell) -> Numbers:
    """Score some models."""
    entries: list[Any] = [(name, Baseline(name), None) for name in ("naive", "drift", "seasonal_naive", "theta")]
    for mode in ("open_loop", "curriculum", "closed_loop"):
        entries += [(f"{lags} lags", NARXForecaster(12, lags), mode) for lags in (6, 12, 18)]
    table = run(
        competition(), entries, folder / "bench", on_row=lambda row: tell(f"{row['model']}, {row['mode'] or ''}")
    )
    assert table["status"].str.startswith("ok").all()
    return numbers_of(table[["smape", "mase", "owa", "one_step"]])


def benched(folder: Path, told: list[str]) -> tuple[int, int]:
    """Look whether all rows that were told stand in the file of results."""
    path = folder / "bench" / "results.csv"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    header = lines[0].split(",") if lines else []
    rows = [dict(zip(header, next(csv.reader([line])), strict=True)) for line in lines[1:]]
    there = {f"{row['model']}, {row['mode']}" for row in rows}
    return 0, sum(name not in there for name in told)


# Kills in percent, and what is killed.
JOBS = {
    "fit with checkpoints": (26, Job(fit)),
    "save": (14, Job(save, saved)),
    "update and save": (14, Job(update, updated)),
    "tune": (14, Job(search, finished="search/trial-????????????????.checkpoint")),
    "backtest with refits": (10, Job(windows, finished="windows/clone-?.checkpoint")),
    "AutoNARX": (8, Job(choose, finished="choose/trial-*.checkpoint")),
    "bench": (14, Job(bench, benched)),
}


# ---- kills


def begin(job: Job, folder: Path, out: Path) -> tuple[int, int]:
    """Return the process that has begun a job, and the pipe it tells through; it writes its numbers to `out`."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        torch.set_num_threads(1)
        np.save(out, job.run(folder, lambda name: os.write(writing, f"{name}\n".encode()) and None))
        os._exit(0)
    except PersistenceError:
        traceback.print_exc()
        os._exit(2)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def heard(reading: int) -> list[str]:
    """Return what a process has told, after its end."""
    with os.fdopen(reading) as pipe:
        return pipe.read().split("\n")[:-1]


def to_the_end(job: Job, folder: Path, out: Path) -> tuple[int, float]:
    """Return the exit status of a job that is not killed, and its seconds."""
    began = time.perf_counter()
    process, reading = begin(job, folder, out)
    heard(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return status, time.perf_counter() - began


def killed(job: Job, kills: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the row of a job."""
    counts = {"broken": 0, "lost": 0, "differing": 0}
    with tempfile.TemporaryDirectory() as room:
        whole = Path(room) / "whole"
        whole.mkdir()
        status, seconds = to_the_end(job, whole, Path(room) / "expected.npy")
        assert status == 0
        expected = np.load(Path(room) / "expected.npy")
        for k in range(kills):
            folder = Path(room) / str(k)
            folder.mkdir()
            process, reading = begin(job, folder, Path(room) / "killed.npy")
            # One moment in each of so many equal parts of the job's time.
            time.sleep(seconds * (k + rng.random()) / kills)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            broken, lost = job.looked_at(folder, heard(reading))
            before = {path: path.stat().st_mtime_ns for path in folder.glob(job.finished)}
            status, _ = to_the_end(job, folder, Path(room) / "found.npy")
            lost += sum(not path.exists() or path.stat().st_mtime_ns != then for path, then in before.items())
            same = status == 0 and np.array_equal(np.load(Path(room) / "found.npy"), expected, equal_nan=True)
            counts["broken"] += broken + (status == 2)
            counts["lost"] += lost
            counts["differing"] += not same
    return {"kills": kills, "seconds": round(seconds, 2), **counts}


def main() -> None:
    """Kill everything, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    # What a first step of AdamW imports takes longer than the jobs, and would be killed in place of them.
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    torch.optim.AdamW([weight]).step()
    rng, rows = np.random.default_rng(args.seed), []
    for name, (percent, job) in JOBS.items():
        rows.append({"job": name, **killed(job, max(1, round(args.kills * percent / 100)), rng)})
        print(rows[-1], flush=True)
    with args.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *RUN], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **RUN} for row in rows)


if __name__ == "__main__":
    main()
