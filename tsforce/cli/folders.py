"""Folders of Parquet files in the place of a file: read and written partition by partition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsforce.cli.tables import as_options, blamed_on, check_targets, notice, read, shown_warnings, write
from tsforce.data.file_paths import PARQUET, parquet_files
from tsforce.errors import ArgumentError

__all__ = ["backtest_folder", "first_file", "forecast_folder", "future_rows"]


def first_file(folder: Path) -> Path:
    """Return the first Parquet file of a folder, to tell its columns by.

    Raises
    ------
    ArgumentError
        If it has none.
    """
    found = parquet_files(folder)
    if not found:
        with blamed_on(folder):
            raise ArgumentError(f"this is a folder without a file that ends in {' or '.join(PARQUET)}.")
    return found[0]


def future_rows(path: Path, options: dict[str, Any]) -> Any:
    """Return what is known of the steps ahead of a folder's series: of a Parquet file, or of a folder of them.

    Raises
    ------
    ArgumentError
        If it is neither.
    """
    import pandas as pd

    if path.is_dir():
        first_file(path)
        return pd.concat([read(one, options, inputs_only=True)[0] for one in parquet_files(path)], ignore_index=True)
    if path.suffix not in PARQUET:
        raise ArgumentError(
            f"--future {path}: the series are read from a folder of Parquet files; give what is known ahead as such a "
            f"file, or as a folder of them."
        )
    return read(path, options, inputs_only=True)[0]


def _check(folder: Path, given: dict[str, Any], out: Path | None, option: str) -> None:
    """Raise if something is given that goes with a file alone, or a file where a folder is written."""
    named = [name for name, value in given.items() if value]
    if named:
        raise ArgumentError(f"{', '.join(named)} goes with a file, and this is a folder; leave it out.")
    if out is not None and out.suffix:
        raise ArgumentError(f"a folder of forecasts is written for a folder; name one, such as {option} forecasts/.")


def _written(results: Any, out: Path) -> None:
    done = results.to_parquet(out)
    there = int((done["status"] == "was there").sum())
    said = f", {there} of them were there already" if there else ""
    notice(f"{out}: {int(done['n_rows'].sum())} rows in {len(done)} files{said}.")


def _told(folder: Path, parts: Any) -> None:
    notice(f"{folder}: {len(parts)} partition{'s' * (len(parts) != 1)}.")


def forecast_folder(
    folder: Path, forecaster: Any, level: Any, future: Any, out: Path | None, given: dict[str, Any]
) -> None:
    """Forecast the series of a folder into another one.

    Parameters
    ----------
    folder : Path
    forecaster : Forecaster
    level : list of float or None
    future : DataFrame or None
        From `future_rows`.
    out : Path or None
    given : dict
        What goes with a file alone, by option.

    Raises
    ------
    ArgumentError
        If one of these is given, or no folder to write to.
    """
    with blamed_on(folder):
        _check(folder, given, out or Path("-.csv"), "--out")
        assert out is not None
        with shown_warnings():
            forecaster.fit(folder)
            _told(folder, forecaster.partitions_)
            _written(forecaster.predict(level=level, future_df=future), out)


def backtest_folder(
    folder: Path,
    models: dict[str, Any],
    windows: dict[str, Any],
    out: Path | None,
    forecasts: Path | None,
    given: dict[str, Any],
) -> None:
    """Judge models by the past of a folder's series.

    Parameters
    ----------
    folder : Path
    models : dict of str -> Forecaster
    windows : dict
        ``n_windows`` and ``step_size``.
    out : Path or None
        A file for the scores.
    forecasts : Path or None
        A folder for the forecasts beside the truth, of one model.
    given : dict
        What goes with a file alone, by option.

    Raises
    ------
    ArgumentError
        If one of these is given, or a folder for the forecasts of several models.
    """
    import pandas as pd

    from tsforce import backtest
    from tsforce.report import scores, show

    check_targets([], [out], None)
    found, horizon = [], 0
    with blamed_on(folder):
        _check(folder, given, forecasts, "--forecasts")
        if forecasts is not None and len(models) > 1:
            raise ArgumentError(f"--forecasts of a folder is one of one model, and {len(models)} are judged; name one.")
        with shown_warnings():
            for number, model in enumerate(models.values()):
                result = backtest(model, folder, **windows)
                if number == 0:
                    _told(folder, result)
                if forecasts is not None:
                    _written(result, forecasts)
                found.append(result.scores())
                horizon = result.horizon
    table = pd.concat(found, ignore_index=True)
    notes = [as_options("learnt once, at the first cutoff of each series.")]
    show(scores(table, f"{folder}: horizon {horizon}, closed loop", notes))
    if out is not None:
        write(table, out)
