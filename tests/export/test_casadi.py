"""Exported C code as an external function of CasADi, by the words of docs/export.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.makers import sysid_record
from tsforce import NARXRegressor
from tsforce.export import c_replay

DOCS = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.slow
@pytest.mark.skipif(c_replay.compiler() is None, reason="NOT TESTED: no C compiler (cc, gcc or clang)")
@pytest.mark.parametrize("model", ["linear", "polynomial"])
def test_casadi_calls_a_horizon_and_differentiates_it(model, tmp_path):
    casadi = pytest.importorskip("casadi", reason="NOT TESTED: casadi is not installed (pip install casadi==3.8.2)")
    u, y = sysid_record(300)
    plant = NARXRegressor(2, 3, input_delay=1, model=model, mode="open_loop").fit(u[:, None], y)
    plant.export(tmp_path / "plant.c")
    (source,) = (block for block in re.findall(r"```c\n(.*?)```", DOCS.read_text(), re.DOTALL) if "horizon" in block)
    (tmp_path / "horizon.c").write_text(source)
    call = [c_replay.compiler(), *c_replay.FLAGS, "-O2", "-shared", "-fPIC", "horizon.c", "-o", "horizon.so", "-lm"]
    subprocess.run(call, cwd=tmp_path, check=True)
    horizon = casadi.external("horizon", str(tmp_path / "horizon.so"), {"enable_fd": True})
    rows, ahead = slice(100, 103), np.random.default_rng(0).normal(size=20)

    def predicted(inputs):
        X = np.concatenate([u[rows], inputs])[:, None]
        return plant.predict(X, y_init=y[rows])[3:]

    found = horizon(y[None, rows], u[None, rows], ahead[None])
    np.testing.assert_allclose(found.full()[0], predicted(ahead), rtol=1e-12)
    inputs = casadi.MX.sym("u", 1, 20)
    outputs = horizon(y[None, rows], u[None, rows], inputs)
    jacobian = casadi.Function("j", [inputs], [casadi.jacobian(outputs, inputs)])(ahead).full()
    step = 1e-5
    expected = [(predicted(ahead + step * unit) - predicted(ahead - step * unit)) / (2 * step) for unit in np.eye(20)]
    np.testing.assert_allclose(jacobian, np.transpose(expected), atol=1e-6)
    assert np.abs(jacobian).max() > 0.1
