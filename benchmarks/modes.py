"""Train the same models open loop, closed loop, by curriculum and in mode "auto", and score them on M3 and M4 test
sets.

    .venv/bin/python benchmarks/modes.py [--data DIR] [--only WORD] [--seeds N]

Appends to benchmarks/results/modes.csv (a row per set, model, mode and seed; finished rows are skipped) and writes the
series' errors beside it, from which modes-tests.csv (paired tests against open loop) is made. One thread.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of boosted trees; read when they are first imported

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from tsforce import Baseline, Difference, Ensemble, Log, NARXForecaster
from tsforce.bench import paired_test, set_threads
from tsforce.datasets import load_competition

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
# Two days, and the same hour of the week before.
DAYS_OF_HOURS = [*range(1, 49), *range(72, 169, 24)]
MODES = ("open_loop", "closed_loop", "curriculum", "auto")


def local(horizon, lags, m, *transforms, **settings):
    return NARXForecaster(
        horizon, lags, scope="local", season_length=m, target_transforms=transforms, short_series="drop", **settings
    )


def ensemble(horizon, m, differences, lags):
    members = {
        f"{'log ' if log else ''}{d or 'level'} {p}": local(horizon, p, m, *log, *([d] if d else []))
        for log, d, p in itertools.product(([], [Log()]), (None, *differences), lags)
    }
    return Ensemble(members)


def perceptron(horizon, lags, m, *transforms, scaling="last"):
    return NARXForecaster(
        horizon, lags, model="mlp", season_length=m, target_transforms=transforms, window_scaling=scaling,
        short_series="drop",
    )  # fmt: skip


def recurrent(horizon, lags, m, *transforms, scaling="last"):
    return NARXForecaster(
        horizon, lags, model="gru", season_length=m, target_transforms=transforms, window_scaling=scaling,
        short_series="drop",
    )  # fmt: skip


def trees(horizon, lags, m, *transforms, scaling="last"):
    """Boosted trees with scikit-learn's defaults; every mode but open loop is three rounds of data as demonstrator."""
    return NARXForecaster(
        horizon, lags, model=HistGradientBoostingRegressor(random_state=0), season_length=m, window_scaling=scaling,
        target_transforms=transforms, short_series="drop", max_steps=3,
    )  # fmt: skip


# set -> (competition, group, {model: (factory(horizon, m), number of seeds that make sense)})
SETS = {
    "yearly": ("m4", {"mlp": (lambda h, m: perceptron(h, 12, m, Log()), 3)}),
    "hourly": (
        "m4",
        {
            "linear-local log d24 192": (lambda h, m: local(h, 192, m, Log(), Difference(24)), 1),
            "linear-local 192": (lambda h, m: local(h, 192, m), 1),
            "ensemble of 12": (lambda h, m: ensemble(h, m, (Difference(24), Difference(168)), (48, 192)), 1),
            "mlp": (lambda h, m: perceptron(h, 192, m, Log(), Difference(24), scaling="standard"), 3),
            "gru": (lambda h, m: recurrent(h, DAYS_OF_HOURS, m, Log(), Difference(24), scaling="standard"), 1),
            "trees": (lambda h, m: trees(h, DAYS_OF_HOURS, m, Log(), Difference(24), scaling="standard"), 1),
        },
    ),
    "weekly": (
        "m4",
        {
            "linear-local log 53": (lambda h, m: local(h, 53, m, Log()), 1),
            "ensemble of 18": (lambda h, m: ensemble(h, m, (Difference(1), Difference(52)), (13, 53, 105)), 1),
            "mlp": (lambda h, m: perceptron(h, 53, m, Log()), 3),
            "trees": (lambda h, m: trees(h, 53, m, Log()), 1),
        },
    ),
    "monthly": (
        "m3",
        {
            "linear-local log d12": (lambda h, m: local(h, "auto", m, Log(), Difference(12)), 1),
            "linear-global": (lambda h, m: NARXForecaster(h, 24, season_length=m), 1),
            "mlp": (lambda h, m: perceptron(h, 24, m, Log()), 3),
            "trees": (lambda h, m: trees(h, 24, m, Log()), 1),
        },
    ),
}  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, help="folder with the M4 files; TSFORCE_DATA, else ../shared/data")
    arguments.add_argument("--only", default="", help="sets and models whose 'set/model' contains this")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--out", type=Path, default=RESULTS / "modes.csv")
    arguments.add_argument(
        "--table", action="store_true", help="only print the table of the docs page, from the csv files"
    )
    given = arguments.parse_args()
    if given.table:
        print(table(given.out))
        return
    folder = given.data or Path(os.environ.get("TSFORCE_DATA") or REPOSITORY.parent / "shared" / "data")
    set_threads(1)
    for group, (competition, models) in SETS.items():
        chosen = {name: model for name, model in models.items() if given.only in f"{group}/{name}"}
        if chosen:
            data = load_competition(competition, group, folder if competition == "m4" else None)
            score = Score(data)
            for name, (factory, seeds) in chosen.items():
                for seed, mode in itertools.product(range(min(seeds, given.seeds)), MODES):
                    measure(score, group, name, factory(data.horizon, data.season_length), mode, seed, given.out)
    tests(given.out)


class Score:
    """Errors of each series of a test set: sMAPE, MASE, and half the sum of both over Naive2's means."""

    def __init__(self, data):
        self.data, self.horizon, self.m = data, data.horizon, data.season_length
        self.ids = data.train["unique_id"].unique()
        self.truth = data.test["y"].to_numpy().reshape(-1, self.horizon)
        history = data.train.groupby("unique_id", sort=False, observed=True)["y"]
        self.scale = np.array([np.abs(y.to_numpy()[self.m :] - y.to_numpy()[: -self.m]).mean() for _, y in history])
        self.joined = pd.concat([data.train, data.test], ignore_index=True)
        self.reference = Baseline("naive2", horizon=self.horizon, season_length=self.m).fit(data.train).predict()
        self.naive2 = self.means(self.reference)

    def align(self, forecast):
        """The forecast in the set's order; series a model left out are Naive2's."""
        wide = forecast.set_index(["unique_id", "horizon"]).iloc[:, -1].unstack()
        other = self.reference.set_index(["unique_id", "horizon"]).iloc[:, -1].unstack()
        return wide.reindex(other.index).fillna(other).reindex(self.ids).to_numpy(), len(other) - len(wide)

    def means(self, forecast):
        smape, mase = self.errors(self.align(forecast)[0])
        return smape.mean(), mase.mean()

    def errors(self, yhat):
        size = np.abs(self.truth) + np.abs(yhat)
        smape = (200 * np.abs(self.truth - yhat) / np.where(size > 0, size, 1)).mean(axis=1)
        return smape, np.abs(self.truth - yhat).mean(axis=1) / self.scale

    def one_step(self, model):
        """Mean scaled error of forecasts made one step before each test row."""
        last = self.data.train.groupby("unique_id", sort=False, observed=True)["ds"].max().reset_index()
        last = last[~last["unique_id"].isin(getattr(model, "short_series_", []))]
        cutoffs = pd.concat([last.assign(cutoff=last["ds"] + h) for h in range(self.horizon)])
        forecast = model.predict_at(self.joined, cutoffs[["unique_id", "cutoff"]], 1)
        truth = pd.Series(self.truth.ravel(), pd.MultiIndex.from_frame(self.data.test[["unique_id", "ds"]]))
        scale = pd.Series(self.scale, self.ids)
        error = np.abs(
            forecast.iloc[:, -1].to_numpy()
            - truth.loc[pd.MultiIndex.from_frame(forecast[["unique_id", "ds"]])].to_numpy()
        )
        return float((error / scale.loc[forecast["unique_id"]].to_numpy()).mean())


def measure(score, group, name, model, mode, seed, out):
    key = {"set": f"{score.data.name} {group}", "model": name, "mode": mode, "seed": seed}
    done = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=[*key])
    if len(done) and (done[[*key]].astype(str) == pd.Series(key).astype(str)).all(axis=1).any():
        return
    members = model.members.values() if hasattr(model, "members") else [model]
    for member in members:
        member.set_params(random_state=seed)
    began = time.process_time()
    model.fit(score.data.train, mode=mode)
    forecast = model.predict()
    cpu = time.process_time() - began
    yhat, borrowed = score.align(forecast)
    smape, mase = score.errors(yhat)
    each = 0.5 * (smape / score.naive2[0] + mase / score.naive2[1])
    fitted = list(model.members_.values()) if hasattr(model, "members_") else [model]
    histories = [m.history_ for m in fitted if len(m.history_.frame)]
    validation = [h.frame.loc[h.frame["run"] == "choose", "closed_loop"].min() for h in histories]
    row = key | {
        "owa": each.mean(), "smape": smape.mean(), "mase": mase.mean(), "one_step": score.one_step(model),
        "validation": np.mean(validation) if validation else np.nan, "naive2_series": borrowed,
        "cpu_s": round(cpu, 2), "threads": 1,
        "command": f"python benchmarks/modes.py --only '{group}/{name}'",
        "versions": f"python {platform.python_version()}; " + "; ".join(
            f"{p} {importlib.metadata.version(p)}" for p in ("tsforce", "torch", "numpy", "pandas")),
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([row]).to_csv(out, mode="a", header=not out.exists(), index=False)
    errors = out.with_name("modes-errors.parquet")
    column = "|".join(str(v) for v in key.values())
    long = pd.DataFrame({"run": column, "unique_id": score.ids.astype(str), "error": each.astype(np.float32)})
    long = pd.concat([pd.read_parquet(errors), long]) if errors.exists() else long
    long.to_parquet(errors, index=False, compression="zstd")
    print({k: row[k] for k in ("set", "model", "mode", "seed", "owa", "one_step", "cpu_s")}, flush=True)


def tests(out):
    """Wilcoxon's signed-rank test over series of each mode against open loop, seeds averaged, Holm over the modes."""
    rows = pd.read_csv(out)
    errors = pd.read_parquet(out.with_name("modes-errors.parquet"))
    tables = []
    for (name, model), part in rows.groupby(["set", "model"], sort=False):
        if set(part["mode"]) > {"open_loop"}:
            values = {}
            for mode, runs in part.groupby("mode", sort=False):
                keys = [f"{name}|{model}|{mode}|{seed}" for seed in runs["seed"]]
                each = errors[errors["run"].isin(keys)].groupby("unique_id", sort=False)["error"].mean()
                values[mode] = each.to_numpy(dtype=np.float64)
            table = paired_test({mode: values[mode] for mode in MODES if mode in values}, "open_loop")
            owa = part.groupby("mode")["owa"].agg(["mean", "min", "max"]).add_prefix("owa_")
            cost = part.groupby("mode")[["one_step", "cpu_s"]].mean()
            tables.append(
                table.merge(owa.join(cost), on="mode").assign(set=name, model=model, seeds=part["seed"].nunique())
            )
    if tables:
        pd.concat(tables).to_csv(out.with_name("modes-tests.csv"), index=False, float_format="%.5g")


def table(out):
    """The table of docs/modes.md."""
    lines = ["| set, model (seeds) | mode | OWA | one-step | p | CPU s |", "|---|---|---|---|---|---|"]
    for row in pd.read_csv(out.with_name("modes-tests.csv")).itertuples():
        spread = f" [{row.owa_min:.4f}, {row.owa_max:.4f}]" if row.seeds > 1 else ""
        name = f"{row.set}, {row.model} ({row.seeds})" if row.mode == "open_loop" else ""
        p = "" if pd.isna(row.p_holm) else "< .001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}"
        lines.append(
            f"| {name} | {row.mode} | {row.owa_mean:.4f}{spread} | {row.one_step:.3f} | {p} | {row.cpu_s:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
