"""Files of every format that was ever written are read, and forecast what they did."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tsforce
from tests.persistence.make_golden import FOLDER, forecasts
from tsforce.persistence.saved_file import FORMAT

FILES = sorted(FOLDER.glob("*.tsforce"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_that_was_written_once_is_read_and_forecasts_as_it_did(path):
    name, _, number = path.stem.rpartition("-")
    pinned = json.loads((FOLDER / f"forecasts-{number}.json").read_text())[name]
    found = forecasts(name, tsforce.load(path))
    float32 = name in ("perceptron", "gru")
    np.testing.assert_allclose(found, pinned, rtol=1e-5 if float32 else 1e-9)


def test_there_are_files_of_every_format():
    assert {int(path.stem.rpartition("-")[2]) for path in FILES} == set(range(1, FORMAT + 1))
