"""Folders of Parquet files in the place of a file: read and written partition by partition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsforce.cli.tables import blamed_on, notice, shown_warnings
from tsforce.data.file_paths import PARQUET, parquet_files
from tsforce.errors import ArgumentError

__all__ = ["first_file", "forecast_folder"]


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


def forecast_folder(folder: Path, forecaster: Any, level: Any, out: Path | None, given: dict[str, Any]) -> None:
    """Forecast the series of a folder into another one.

    Parameters
    ----------
    folder : Path
    forecaster : Forecaster
    level : list of float or None
    out : Path or None
    given : dict
        What goes with a file alone, by option.

    Raises
    ------
    ArgumentError
        If one of these is given, or no folder to write to.
    """
    with blamed_on(folder):
        named = [name for name, value in given.items() if value]
        if named:
            raise ArgumentError(f"{', '.join(named)} goes with a file, and this is a folder; leave it out.")
        if out is None or out.suffix:
            raise ArgumentError("a folder of forecasts is written for a folder; name one, such as --out forecasts/.")
        with shown_warnings():
            forecaster.fit(folder)
            parts = forecaster.partitions_
            notice(f"{folder}: {len(parts)} partition{'s' * (len(parts) != 1)}.")
            done = forecaster.predict(level=level).to_parquet(out)
    there = int((done["status"] == "was there").sum())
    said = f", {there} of them were there already" if there else ""
    notice(f"{out}: {int(done['n_rows'].sum())} rows in {len(done)} files{said}.")
