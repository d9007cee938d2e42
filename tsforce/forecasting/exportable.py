"""What models that can be run by other programs have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsforce.above import from_above

__all__ = ["CanExport"]


class CanExport:
    """The part of a forecaster or regressor that hands its closed loop to other programs."""

    def export(
        self,
        path: Any,
        format: str | None = None,
        *,
        unique_id: Any = None,
        dtype: str = "float64",
        fmi: str = "2.0",
        sample_time: float = 1.0,
        horizon: int | None = None,
    ) -> list[Path]:
        """Write the closed loop of one series for other programs: transforms, scaling, features and guard inside.

        "c": ``model.c`` and ``model.h``, C99, hold a struct and functions that take in an observed row or predict the
        next one and feed it back, without heap or any library but math.h. "fmu": the same behind the functions of FMI,
        for co-simulation, as source and, where a C compiler is found, as a binary for this platform. "onnx": a graph of
        all steps of a horizon, or of one step, any number of series side by side (needs the extra ``onnx``). Before
        anything is written it is run on training rows and compared with this model.

        Features of the calendar become inputs, for what is exported reads no clock.

        Parameters
        ----------
        path : str or Path
            Where to; functions are called by the file's name.
        format : "c", "fmu" or "onnx", optional
            By the end of the path by default.
        unique_id : optional
            Which series, where several were fitted.
        dtype : "float64" or "float32"
            What the code computes in.
        fmi : "2.0" or "3.0"
            Version of FMI.
        sample_time : float
            Of an FMU: time between two rows.
        horizon : int, optional
            Of ONNX: steps of one graph. By default the graph is of one step, whose lags and state go in and come out,
            and a second file, ``model_begin.onnx``, makes the first of these from observed rows.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError, ArgumentTypeError
            If an argument is not accepted, or a part of the model has no counterpart outside Python: regressors that
            are not known there, or a map for each step where one step is written. Says what to do instead.
        MissingExtraError
            If ONNX is asked for, and the package onnx is not installed, or skl2onnx where a regressor needs it.
        ExportError
            If what would be written does not say what this model says.

        Warns
        -----
        ExportWarning
            If there is no C compiler to compare with.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from tsforce import NARXForecaster
        >>> from tsforce.datasets import load
        >>> model = NARXForecaster(12, lags=12).fit(load("airpassengers"), mode="open_loop")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = model.export(Path(folder) / "passengers.c")
        >>> [file.name for file in written]
        ['passengers.c', 'passengers.h']
        """
        files: list[Path] = from_above("export")(
            self, path, format, unique_id=unique_id, dtype=dtype, fmi=fmi, sample_time=sample_time, horizon=horizon
        )
        return files
