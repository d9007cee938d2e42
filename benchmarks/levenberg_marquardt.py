"""Levenberg-Marquardt against AdamW: CPU seconds to one and the same closed-loop error on driven nonlinear systems.

    .venv/bin/python benchmarks/levenberg_marquardt.py [--only WORD] [--seeds N] [--steps N]

One tanh layer beside a linear map (at most 500 weights) is trained on roll-outs of 30 steps, loss "mse". AdamW runs at
three learning rates in mode "curriculum", each for 4000 steps along its cosine, and stops where, all truth taken away,
200 steps bring less than .1 % of its lowest closed-loop validation error. The best rate of each seed counts, once with
the error it stopped at and once with the lowest of its whole run. Levenberg-Marquardt starts from the same weights in
mode "closed_loop", one step ahead first, and is timed until its closed-loop validation error is no higher. Seconds are
the fit's own record of its run (process time, validation included). Both final models, fitted once more on all training
rows, then simulate 1000 rows that neither has seen, knowing nothing but the input.

AdamW's mode (on validation windows lower than "closed_loop" on both systems) and the range of its rates come from a
first look at seed 0. Appends to benchmarks/results/levenberg-marquardt.csv, two rows per system, seed and number of
steps; finished ones are skipped. One thread.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of BLAS; read when it is first imported

import numpy as np
import pandas as pd

from tsforce import NARXForecaster, Training
from tsforce.bench import get_threads, set_threads
from tsforce.models import MLP

OUT = Path(__file__).resolve().parent / "results" / "levenberg-marquardt.csv"
HORIZON, TRAIN, TEST = 30, 3000, 1000


def held(rng, rows, steps, low, high):
    """An input that keeps each of its random levels for some steps."""
    return np.repeat(rng.uniform(low, high, rows // steps + 1), steps)[:rows]


def narendra(rng, rows):
    """y(t+1) = y(t) / (1 + y(t)^2) + u(t)^3 (Narendra & Parthasarathy 1990, example 3)."""
    u, y = held(rng, rows, 5, -1.5, 1.5), np.zeros(rows)
    for t in range(1, rows):
        y[t] = y[t - 1] / (1 + y[t - 1] ** 2) + u[t - 1] ** 3
    return u, y


def duffing(rng, rows):
    """x'' + .5 x' - x + x^3 = u, sampled every .2 (Runge-Kutta, 10 steps between): two wells, forced over the hill."""
    u, state, y = held(rng, rows, 10, -1.0, 1.0), np.zeros(2), np.zeros(rows)

    def slope(s, force):
        return np.array([s[1], force - 0.5 * s[1] + s[0] - s[0] ** 3])

    for t in range(1, rows):
        for _ in range(10):
            h, f = 0.02, u[t - 1]
            a = slope(state, f)
            b = slope(state + h / 2 * a, f)
            c = slope(state + h / 2 * b, f)
            d = slope(state + h * c, f)
            state = state + h / 6 * (a + 2 * b + 2 * c + d)
        y[t] = state[0]
    return u, y


# system -> (simulator, lags of y, lags of u, hidden units, weights, learning rates)
SYSTEMS = {
    "narendra": (narendra, 1, 1, 32, 164, (1e-2, 3e-2, 1e-1)),
    "duffing": (duffing, 2, 2, 64, 454, (1e-3, 3e-3, 1e-2)),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="systems whose name contains this")
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=4000, help="of AdamW")
    arguments.add_argument("--out", type=Path, default=OUT)
    given = arguments.parse_args()
    set_threads(1)
    for name in SYSTEMS:
        if given.only in name:
            for seed in range(given.seeds):
                measure(name, seed, given.steps, given.out)


def measure(name, seed, steps, out):
    done = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=["system", "seed", "adamw_steps"])
    if ((done["system"] == name) & (done["seed"] == seed) & (done["adamw_steps"] == steps)).any():
        return
    simulate, lags, exog_lags, hidden, weights, rates = SYSTEMS[name]
    u, y = simulate(np.random.default_rng(2026), TRAIN + TEST)
    df = pd.DataFrame({"unique_id": name, "ds": np.arange(TRAIN + TEST), "y": y, "u": u})
    model = NARXForecaster(
        HORIZON, lags, model=MLP((hidden,), "tanh"), scope="local", future_exog=["u"], exog_lags=exog_lags,
        mode="closed_loop", loss="mse", training=Training(validation=20), season_length=1, random_state=seed,
    )  # fmt: skip
    runs = {}
    for rate in rates:
        adamw = model.clone_unfitted().set_params(
            training__solver="adamw", training__learning_rate=rate, mode="curriculum", max_steps=steps
        )
        runs[rate] = curve(adamw, df), simulation(adamw, df)
    lm = model.clone_unfitted().set_params(training__solver="levenberg_marquardt")
    ours = curve(lm, df)
    ours_test = simulation(lm, df)
    assert sum(p.numel() for p in lm.model_.parameters()) == weights <= 500
    versions = f"python {platform.python_version()}; " + "; ".join(
        f"{p} {importlib.metadata.version(p)}" for p in ("tsforce", "torch", "numpy", "scipy", "pandas")
    )
    rows = []
    for target, end in (("where it stopped", stopped), ("lowest of its run", lowest)):
        rate, (seconds, error) = min(((r, end(c)) for r, (c, _) in runs.items()), key=lambda pair: pair[1][1])
        reached = ours.loc[ours["closed_loop"] <= error, "seconds"]
        rows.append({
            "system": name, "weights": weights, "seed": seed, "target": f"AdamW, {target}", "adamw_steps": steps,
            "learning_rate": rate,
            "adamw_error": error, "adamw_cpu_s": round(seconds, 3),
            "lm_cpu_s": round(float(reached.iloc[0]), 3) if len(reached) else np.nan,
            "times_faster": round(seconds / reached.iloc[0], 1) if len(reached) else np.nan,
            "lm_final_error": lowest(ours)[1], "lm_final_cpu_s": round(ours["seconds"].iloc[-1], 3),
            "adamw_test_rmse": runs[rate][1], "lm_test_rmse": ours_test, "test_std": y[TRAIN:].std(),
            "threads": get_threads(), "versions": versions,
            "command": f"python benchmarks/levenberg_marquardt.py --only {name} --steps {steps}",
        })  # fmt: skip
        print({k: rows[-1][k] for k in list(rows[-1])[:-3]}, flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(out, mode="a", header=not out.exists(), index=False)


def curve(model, df):
    """Closed-loop validation error against CPU seconds since the fit's run began, over all of its phases."""
    frame = model.fit(df[df["ds"] < TRAIN]).history_.frame
    frame = frame[frame["run"] == "choose"].reset_index(drop=True)
    phase = (frame["step"] == 0).cumsum()
    before = frame.groupby(phase)["seconds"].max().cumsum().shift(1, fill_value=0.0)
    return frame.assign(seconds=frame["seconds"] + phase.map(before))


def stopped(frame):
    """Seconds and lowest error so far at the first look before which steps brought less than .1 % per 200."""
    best, step = frame["closed_loop"].cummin(), frame["step"]
    for k in range(2, len(frame)):  # over the first look the rate is still warming up
        if frame["forcing_ratio"][k - 1] == 0 and best[k] > 0.999 ** ((step[k] - step[k - 1]) / 200) * best[k - 1]:
            return frame["seconds"][k], best[k]
    return frame["seconds"].iloc[-1], best.iloc[-1]


def lowest(frame):
    k = frame["closed_loop"].idxmin()
    return frame["seconds"][k], frame["closed_loop"][k]


def simulation(model, df):
    """Root mean squared error of one closed-loop run over the test rows."""
    warnings.filterwarnings("ignore", message="horizon=1000 goes past")  # which is meant
    yhat = model.predict_at(df, [TRAIN - 1], TEST)["NARXForecaster"].to_numpy()
    return float(np.sqrt(np.mean((yhat - df["y"].to_numpy()[TRAIN:]) ** 2)))


if __name__ == "__main__":
    main()
