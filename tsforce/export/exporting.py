"""A fitted model's closed loop as files for other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tsforce.errors import ArgumentError, check_choice
from tsforce.export.c_replay import check_c
from tsforce.export.c_source import c_source
from tsforce.export.fmu import write_fmu
from tsforce.export.loop import Loop, loop_of
from tsforce.export.onnx_files import write_onnx
from tsforce.forecasting.arguments import check_count

__all__ = ["export"]

_FORMATS = ("c", "fmu", "onnx")
_DTYPES = ("float64", "float32")
# Of C99, and of the C++ that may include the header.
_KEYWORDS = """
auto bool break case catch char class const continue default delete do double else enum extern false float for friend
goto if inline int long map namespace new operator private protected public real register restrict return short signed
sizeof static struct switch template this throw true try typedef union unsigned using virtual void volatile while
"""


def export(
    model: Any,
    path: Any,
    format: str | None = None,
    *,
    unique_id: Any = None,
    dtype: str = "float64",
    fmi: str = "2.0",
    sample_time: float = 1.0,
    horizon: int | None = None,
) -> list[Path]:
    """Write a fitted model's closed loop for another program; what the method ``export`` of a model calls.

    Parameters
    ----------
    model : NARXForecaster or NARXRegressor
        Fitted.
    path, format, unique_id, dtype, fmi, sample_time, horizon
        As in the method.

    Returns
    -------
    list of Path
        The files.
    """
    target = Path(path)
    kind = check_choice("format", target.suffix.lstrip(".").lower() if format is None else format, _FORMATS)
    check_choice("dtype", dtype, _DTYPES)
    check_choice("fmi", fmi, ("2.0", "3.0"))
    number = isinstance(sample_time, (int, float)) and not isinstance(sample_time, bool)
    if not number or not 0 < sample_time < float("inf"):
        raise ArgumentError(f"sample_time={sample_time!r}: expected the time between two rows, above 0.")
    steps = None if horizon is None else check_count("horizon", horizon, other="None")
    _check_path(target, kind)
    loop = loop_of(model, unique_id)
    if kind == "fmu":
        return write_fmu(loop, target, dtype, fmi, float(sample_time))
    return write_onnx(loop, target, dtype, steps) if kind == "onnx" else _write_c(loop, target, dtype)


def _check_path(path: Path, kind: str) -> None:
    if path.suffix.lower() != f".{kind}":
        raise ArgumentError(f"path={str(path)!r}: expected a name that ends in .{kind}.")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", path.stem) or path.stem in _KEYWORDS.split():
        raise ArgumentError(
            f"path={str(path)!r}: functions are called by the file's name, and {path.stem!r} is no name in C; take "
            f"letters, digits and underscores, such as 'model.{kind}'."
        )
    if not path.parent.is_dir():
        raise ArgumentError(f"path={str(path)!r}: there is no folder {str(path.parent)!r}; make it first.")


def _write_c(loop: Loop, path: Path, dtype: str) -> list[Path]:
    code = c_source(loop, path.stem, dtype)
    check_c(code, path.stem, dtype, loop)
    header = path.with_suffix(".h")
    header.write_text(code.header)
    path.write_text(code.source)
    return [path, header]
