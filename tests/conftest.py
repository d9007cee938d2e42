"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Small operations are slower on two threads than on one, and several times so on a busy machine.
torch.set_num_threads(1)


def _data() -> Path:
    named = os.environ.get("TSFORCE_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def no_window_stays_open():
    """Draw on no screen, and close what was drawn."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def sysid_folder() -> Path:
    """Return the folder that holds sysid-<set>.parquet."""
    folder = _data()
    if not (folder / "sysid-silverbox.parquet").is_file():
        pytest.skip(
            f"FLOORS NOT CHECKED: no sysid-silverbox.parquet in {folder}. "
            "Set TSFORCE_DATA to the folder with the parquet files of the system-identification sets."
        )
    return folder


@pytest.fixture(scope="session")
def m4_folder() -> Path:
    """Return the folder that holds m4-<group>-train.parquet and -test.parquet."""
    folder = _data()
    if not (folder / "m4-hourly-train.parquet").is_file():
        pytest.skip(
            f"GOLDEN NUMBERS NOT CHECKED: no m4-hourly-train.parquet in {folder}. "
            "Set TSFORCE_DATA to the folder with the M4 parquet files."
        )
    return folder


@pytest.fixture
def threads_as_before():
    """Undo what a command does to the number of threads."""
    from tsforce.bench import get_threads, set_threads

    before = get_threads()
    yield
    set_threads(before)
