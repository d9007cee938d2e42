"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Small operations are slower on two threads than on one, and several times so on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def m4_folder() -> Path:
    """Return the folder that holds m4-<group>-train.parquet and -test.parquet."""
    named = os.environ.get("TSFORCE_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "m4-hourly-train.parquet").is_file():
        pytest.skip(
            f"GOLDEN NUMBERS NOT CHECKED: no m4-hourly-train.parquet in {folder}. "
            "Set TSFORCE_DATA to the folder with the M4 parquet files."
        )
    return folder
