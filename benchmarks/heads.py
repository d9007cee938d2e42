"""Laws of heads beside bootstrapped errors on drawn panels, by loss and mode: CRPS and coverage of 200 paths.

    .venv/bin/python benchmarks/heads.py [--only "counts negative_binomial"]

Writes benchmarks/results/heads.csv; rows made again are replaced. 500 series of 200 rows of each panel, one
perceptron of two layers of 64 for all, five lags, 250 steps of 256 windows; 12 steps are forecast from the end.
`point` is the same model without a head, whose paths are drawn with its one-step errors, or if it learnt closed loop
with errors at past cutoffs. CRPS by the fair estimator; coverage is the share of truths whose randomised rank among
the paths lies between 10 and 90 %, which is 80 % for counts too. Standard errors are over series; of CRPS that of the
difference to `point` in open loop.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from keeping import command, in_place

from tsforce import NARXForecaster, Training
from tsforce.bench import set_threads
from tsforce.models import MLP
from tsforce.paths import crps, path_values, pit_values

RESULTS = Path(__file__).resolve().parent / "results" / "heads.csv"
SERIES, ROWS, H, PATHS, STEPS, SEED = 500, 200, 12, 200, 250, 16
PANELS = ("normal", "heavy tails", "spread by level", "two peaks", "counts")
LOSSES = ("nll", "crps")
MODES = ("open_loop", "closed_loop")


def drawn(panel: str) -> np.ndarray:
    """Return series of a kind, (SERIES, ROWS + H)."""
    rng = np.random.default_rng(SEED)
    y = np.zeros((SERIES, ROWS + H + 50))
    for t in range(1, y.shape[1]):
        before, e = y[:, t - 1], rng.normal(size=SERIES)
        if panel == "normal":
            y[:, t] = 0.9 * before + e
        elif panel == "heavy tails":
            y[:, t] = 0.9 * before + rng.standard_t(3, size=SERIES)
        elif panel == "spread by level":
            y[:, t] = 0.7 * before + (0.3 + 0.6 * np.abs(before)) * e
        elif panel == "two peaks":
            y[:, t] = 0.5 * before + 2 * rng.choice([-1, 1], size=SERIES) + 0.3 * e
        else:
            y[:, t] = rng.poisson(rng.gamma(2, (0.7 * before + 0.6) / 2))
    return y[:, 50:]


def main() -> None:
    """Fit, draw, score and write everything."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="rows in whose panel, head, loss and mode all these words stand")
    only = arguments.parse_args().only.split()
    set_threads(1)
    for panel in PANELS:
        y = drawn(panel)
        names = np.repeat([f"s{i:03d}" for i in range(SERIES)], ROWS + H)
        df = pd.DataFrame({"unique_id": names, "ds": np.tile(np.arange(ROWS + H), SERIES), "y": y.ravel()})
        train, truth = df[df["ds"] < ROWS], y[:, ROWS:]
        heads = ["gaussian", "student_t", "quantised", *(["negative_binomial"] if panel == "counts" else [])]
        asked = [("point", "mae", mode) for mode in MODES]
        asked += [(head, loss, mode) for head in heads for loss in LOSSES for mode in MODES]
        chosen = [words for words in asked if all(part in " ".join([panel, *words]) for part in only)]
        # What the others are compared with comes first.
        of_point = None
        for head, loss, mode in dict.fromkeys([*asked[:1], *chosen]) if chosen else ():
            start = time.process_time()
            model = NARXForecaster(
                H, 5, model=MLP((64, 64)), scope="global", head=head, loss=loss, mode=mode, max_steps=STEPS,
                training=Training(batch_size=256, learning_rate=0.003), random_state=SEED,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = path_values(model.fit(train).sample_paths(PATHS, random_state=SEED))
            spent = time.process_time() - start
            score, rank = crps(truth, values), pit_values(truth, values, SEED)
            inside = (rank >= 0.1) & (rank <= 0.9)
            of_series = score.mean(axis=1)
            of_point = of_series if of_point is None else of_point
            if (head, loss, mode) not in chosen:
                continue
            row = pd.DataFrame([{
                "panel": panel, "head": head, "loss": loss, "mode": mode,
                "crps": round(float(score.mean()), 4), "crps_last_step": round(float(score[:, -1].mean()), 4),
                "crps_difference_error": round(float((of_series - of_point).std(ddof=1) / SERIES**0.5), 4),
                "coverage_80_step_1": round(float(inside[:, 0].mean()), 4),
                "coverage_80_last_step": round(float(inside[:, -1].mean()), 4),
                "coverage_error": round(float(inside[:, -1].std(ddof=1) / SERIES**0.5), 4),
                "cpu_s": round(spent, 1), "series": SERIES, "rows": ROWS, "steps": STEPS, "seed": SEED,
                "command": command(),
                "versions": f"python {platform.python_version()}; numpy {np.__version__}; torch {torch.__version__}",
            }])  # fmt: skip
            print(row.to_dict("records")[0], flush=True)
            in_place(RESULTS, row, ["panel", "head", "loss", "mode"]).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
