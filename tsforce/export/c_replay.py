"""C code is compiled, run on rows of the model's own, and compared with Python, before anybody gets it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.errors import ExportError, ExportWarning, warn
from tsforce.export.c_source import CSource
from tsforce.export.loop import Loop, Rows
from tsforce.export.regressors import WRITTEN, Converted
from tsforce.export.trees import Trees

__all__ = ["FLAGS", "TOLERANCE", "check_c", "compared", "compiled", "compiler", "spans"]

FloatArray = npt.NDArray[np.float64]

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
# Share of the size of forecasts by which two of them may differ: a fault shows in the first digits.
TOLERANCE = {"float64": 1e-6, "float32": 1e-3}
# Cutoffs that are looked at, and steps after each.
_CUTOFFS, _STEPS = 12, 50

_DRIVER = """
void replay(const NAME_real *y, const NAME_real *future, const NAME_real *past, int n,
            const NAME_real *ahead, int steps, NAME_real *out);
void replay(const NAME_real *y, const NAME_real *future, const NAME_real *past, int n,
            const NAME_real *ahead, int steps, NAME_real *out)
{
    static NAME m;
    int i;
    (void)future;
    (void)past;
    (void)ahead;
    if (n < 0) NAME_init(&m);
    else NAME_clear(&m);
    for (i = 0; i < n; i++) NAME_observe(&m, y + i * NAME_n_yOBSERVED);
    for (i = 0; i < steps; i++) NAME_step(&mAHEAD, out + i * NAME_n_y);
}
"""


def compiler() -> str | None:
    """Return the C compiler of this machine, if it has one."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def compiled(code: CSource, name: str, dtype: str, loop: Loop, folder: Path) -> Callable[..., FloatArray]:
    """Return C code as a function of rows (None: those it starts behind) and future inputs to steps, (H, C).

    Raises
    ------
    ExportError
        If it does not compile.
    """
    columns = loop.columns
    observed = ", future + i * NAME_n_future" if columns.future_exog else ""
    observed += ", past + i * NAME_n_past" if columns.past_exog else ""
    ahead = ", ahead + i * NAME_n_future" if columns.future_exog else ""
    driver = _DRIVER.replace("OBSERVED", observed).replace("AHEAD", ahead).replace("NAME", name)
    (folder / f"{name}.h").write_text(code.header)
    (folder / f"{name}.c").write_text(code.source)
    (folder / "driver.c").write_text(f'#include "{name}.c"\n{driver}')
    library = folder / f"{name}.so"
    call = [str(compiler()), *FLAGS, "-shared", "-fPIC", str(folder / "driver.c"), "-o", str(library), "-lm"]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode:
        raise ExportError(f"the C code does not compile ({' '.join(call[:5])}): {done.stderr[:2000]}")
    function = ctypes.CDLL(str(library)).replay
    function.restype = None

    def run(rows: Rows | None, future: FloatArray) -> FloatArray:
        def given(values: Any) -> Any:
            held.append(np.ascontiguousarray(values, dtype=dtype))
            return held[-1].ctypes.data_as(ctypes.c_void_p)

        held: list[Any] = []
        out = np.zeros((len(future), len(loop.layout.channels)), dtype=dtype)
        none = np.zeros((1, 1))
        y, known, past = (none, none, none) if rows is None else rows
        n = -1 if rows is None else len(rows.y)
        function(
            given(y), given(known), given(past), n, given(future), len(future), out.ctypes.data_as(ctypes.c_void_p)
        )
        return out.astype(np.float64)

    return run


def check_c(code: CSource, name: str, dtype: str, loop: Loop) -> None:
    """Raise unless C code says what Python says.

    Raises
    ------
    ExportError
        If it does not compile, or differs.

    Warns
    -----
    ExportWarning
        If there is no compiler to find out with.
    """
    if compiler() is None:
        warn(
            "there is no C compiler on this machine (cc, gcc or clang), so that the code was not compiled and compared "
            "with the model. Install one and export again, or compare some forecasts by hand.",
            ExportWarning,
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        run = compiled(code, name, dtype, loop, Path(folder))
        compared("the C code", run, loop, TOLERANCE[dtype])


def spans(loop: Loop) -> Iterator[tuple[Rows | None, FloatArray]]:
    """Yield rows up to a cutoff (None: those that an export starts behind) and the future inputs after it."""
    known, steps = loop.known, min(_STEPS, max(loop.horizon, 2))
    if loop.rests:
        yield None, known.future
        return
    yield None, known.future[-min(steps, len(known.y)) :]
    first = min(loop.chain.rows_lost, len(known.y) - 2)
    for cutoff in np.unique(np.linspace(first, len(known.y) - 2, _CUTOFFS).astype(int)):
        rows = loop.rows_of(known.take(slice(0, cutoff + 1)))
        yield rows, known.future[cutoff + 1 : cutoff + 1 + steps]


def compared(what: str, run: Callable[..., FloatArray], loop: Loop, tolerance: float) -> float:
    """Return the largest difference to Python, as a share of the size of forecasts.

    Raises
    ------
    ExportError
        If it is more than the tolerance.
    """
    most = 0.0
    advice = "Please report this with the model's parameters."
    if isinstance(loop.map, Converted):
        advice = f"That is what skl2onnx makes of the regressor; fit one of {WRITTEN}."
    if isinstance(loop.map, Trees) and tolerance > TOLERANCE["float64"]:
        advice = "In single precision a tree may take another branch: export with dtype='float64'."
    for rows, ahead in spans(loop):
        expected = loop.forecast(loop.start if rows is None else rows, ahead)
        found = run(rows, ahead)
        size = np.abs(expected).max() or 1.0
        apart = np.abs(found - expected)
        same = np.isclose(found, expected, rtol=tolerance, atol=tolerance * size, equal_nan=True)
        if not same.all():
            step, output = np.argwhere(~same)[0]
            raise ExportError(
                f"{what} was not written: {int(step) + 1} steps after a cutoff it says {found[step, output]:g} where "
                f"the model says {expected[step, output]:g}. {advice}"
            )
        most = max(most, float(np.nanmax(apart, initial=0.0)) / size)
    return most
