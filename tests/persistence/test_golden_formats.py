"""Files of every format that was ever written are read, and forecast what they did."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tsforce
from tests.persistence.make_golden import FOLDER, forecasts, updated
from tsforce.persistence.saved_file import FORMAT

FILES = sorted(FOLDER.glob("*.tsforce"))
# An update of these is some steps of training.
TRAINED = ("perceptron.rows-1", "gru.rows-1")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in TRAINED)) for path in FILES],
)
def test_a_file_that_was_written_once_is_read_and_updated_and_forecasts_as_it_did(path):
    what, _, number = path.stem.rpartition("-")
    pinned = json.loads((FOLDER / f"forecasts-{number}.json").read_text())[what]
    name, model = what.removesuffix(".rows"), tsforce.load(path)
    if name != what:
        updated(name, model)
    found = forecasts(name, model)
    float32 = name in ("perceptron", "gru")
    np.testing.assert_allclose(found, pinned, rtol=1e-5 if float32 else 1e-9)


def test_there_are_files_of_every_format():
    assert {int(path.stem.rpartition("-")[2]) for path in FILES} == set(range(1, FORMAT + 1))


def test_a_file_that_does_not_say_whether_there_is_an_intercept_is_updated_as_one_that_does():
    """The first files of format 1 do not."""
    says, says_not = (tsforce.load(FOLDER / "local.rows-1.tsforce") for _ in range(2))
    del says_not._intercept_
    for model in (says, says_not):
        updated("local", model)
    assert says_not.predict().equals(says.predict())
