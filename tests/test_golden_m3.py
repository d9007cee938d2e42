"""Scores of Theta and exponential smoothing on M3 test sets stay what benchmarks/results/smoothing.csv says."""

from __future__ import annotations

import pytest

from tsforce import Baseline
from tsforce.bench import run
from tsforce.datasets import load_competition

OTHER = {"theta": 0.758, "dynamic_theta": 0.6727, "ets": 0.6404, "ets_combined": 0.6302, "ces": 0.7088}
MONTHLY = {"theta": 0.8332, "dynamic_theta": 0.8205, "ets": 0.8356, "ets_combined": 0.8251, "ces": 0.8455}


def scores(group, methods):
    data = load_competition("m3", group)
    models = [(method, Baseline(method, horizon=data.horizon, season_length=data.season_length)) for method in methods]
    return run(data, models).set_index("model")["owa"].to_dict()


def test_other():
    assert scores("other", OTHER) == pytest.approx(OTHER, abs=1e-3)


@pytest.mark.slow
def test_monthly():
    assert scores("monthly", MONTHLY) == pytest.approx(MONTHLY, abs=1e-3)
