"""Another device than the CPU: a pretended one, which tells what is left behind; and a GPU where there is one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.makers import make_frame
from tests.pretended_device import PRETENDED, There, pretending
from tsforce import NARXForecaster

CASES = [
    {"model": "linear", "mode": "auto", "scope": "local"},
    {"model": "linear", "mode": "curriculum", "scope": "global"},
    {"model": "linear", "mode": "open_loop", "scope": "local", "prior": "pooled"},
    {"model": "polynomial", "mode": "closed_loop", "scope": "global"},
    {"model": "mlp", "mode": "auto", "scope": "global"},
    {"model": "gru", "mode": "curriculum", "scope": "local"},
    {"model": "lstm", "mode": "closed_loop", "scope": "global"},
    {"model": "mlp", "mode": "closed_loop", "scope": "global", "head": "gaussian", "loss": "crps"},
]


def ahead(device, rows=(34, 30), **settings):
    fitted = NARXForecaster(2, 3, max_steps=3, device=device, **settings).fit(make_frame(rows))
    return fitted, fitted.predict().iloc[:, -1].to_numpy()


def assert_the_same_there(settings):
    with pretending():
        there, found = ahead(PRETENDED, **settings)
        assert all(isinstance(p.data, There) for p in there.model_.parameters())
    # float32 sums in another order where a wrapper asks for another kernel.
    np.testing.assert_allclose(found, ahead("cpu", **settings)[1], rtol=1e-6)


def test_a_tensor_left_behind_is_found():
    with pretending(), pytest.raises(RuntimeError, match="tensors of two devices"):
        torch.zeros(2, device=PRETENDED) + torch.ones(2)


@pytest.mark.slow
def test_a_perceptron_is_trained_and_rolled_out_on_its_device_alone():
    assert_the_same_there({"model": "mlp", "mode": "closed_loop", "scope": "global", "ridge": 1.0, "rows": (24, 20)})


@pytest.mark.slow
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_whatever_is_trained_is_on_its_device_alone(settings):
    assert_the_same_there(settings)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT CHECKED: torch finds no GPU here.")
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_a_gpu_comes_to_what_the_cpu_comes_to(settings):
    np.testing.assert_allclose(ahead("cuda", **settings)[1], ahead("cpu", **settings)[1], rtol=1e-3)


def _script():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_of_gpus_says_that_there_is_none(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    _script().main()
    assert capsys.readouterr().out.startswith("NOT MEASURED: torch finds no GPU here")


def test_the_benchmark_of_gpus_runs_on_the_cpu(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--windows", "1", "--size", "64"])
    _script().main()
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == 5
    assert all("% of matmul" in row for row in rows[1:])
    assert last.startswith("MEASURED on CPU")
