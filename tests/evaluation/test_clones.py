"""Clones of a backtest: each is fitted once, when it is first asked for."""

from __future__ import annotations

import pytest

from tests.makers import make_frame
from tsforce import Baseline, backtest


def test_the_last_clone_is_the_one_that_made_the_last_windows():
    clones = backtest(Baseline("naive", horizon=4), make_frame(), n_windows=3, refit=True)._models["naive"].fitted
    assert clones[-1] is clones[2]
    assert sorted(clones.fitted) == [0, 1, 2]
    for outside in (3, -4):
        with pytest.raises(IndexError):
            clones[outside]


def test_a_model_that_is_used_as_it_is_is_not_fitted_again():
    df = make_frame()
    model = Baseline("naive", horizon=4).fit(df[df["ds"] <= 50])
    clones = backtest(model, df, refit="never")._models["naive"].fitted
    assert clones[-1] is model
