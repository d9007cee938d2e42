#!/usr/bin/env bash
# fastcan 0.6.0, NARX.predict(X, y_init=[10, 20, 30]) with one missing input in the middle of X.
# Guess: outputs are missing until the lags are past the gap, or go on from the model's own outputs.
# What comes: after the gap the model starts from y_init again, the values of the record's first rows, turned by where the
# gap is: 10 20 30, 20 30 10 or 30 10 20 for gaps in three rows that follow each other. Without y_init it starts from 0.
# In tsforce: a missing input is refused, and without_gaps cuts the record there into two, each with starting values of its
# own (tests/identification/).
source "$(dirname "$0")/common.sh"
with fastcan==0.6.0 numpy==2.3.5 scikit-learn==1.9.1
run <<'P'
from importlib.metadata import version
import numpy as np
from fastcan.narx import make_narx

rng = np.random.default_rng(1)
u, y = rng.normal(size=(200, 1)), np.zeros(200)
for k in range(3, 200):
    y[k] = 5 + 0.5 * y[k - 1] - 0.2 * y[k - 3] + u[k - 1, 0] + 0.1 * rng.normal()
model = make_narx(u, y, n_terms_to_select=3, max_delay=3, poly_degree=1, verbose=0).fit(u, y)
after = []
for row in (50, 51, 52):
    gap = u.copy()
    gap[row] = np.nan
    outputs = model.predict(gap, y_init=[10, 20, 30])
    assert np.isnan(outputs[row])
    after.append(outputs[row + 1 : row + 4].round(6).tolist())
print(version("fastcan"), "measured about", y[51:56].mean().round(1), "; after gaps in rows 50, 51, 52:", *after)
assert version("fastcan") == "0.6.0"
assert after == [[10, 20, 30], [20, 30, 10], [30, 10, 20]]
P
