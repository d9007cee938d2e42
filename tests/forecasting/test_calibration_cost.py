"""What calibration does not do twice: settings that many rows have settled, and cutoffs beyond what tells more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, NARXForecaster
from tsforce.forecasting import past_forecasts
from tsforce.forecasting.past_forecasts import calibrate


def test_a_clone_keeps_what_one_on_fewer_rows_has_settled_and_reads_its_states_from_its_own():
    model = Baseline("theta", season_length=7, horizon=4).fit(make_frame((240, 230)))
    first, second = (model._learnt_from_.head(np.array([rows, rows])) for rows in (120, 180))
    before = model._refitted(first)
    after, anew = model._refitted(second, before), model._refitted(second)
    assert after._learnt_[0].alpha.tolist() == before._learnt_[0].alpha.tolist()
    assert after._learnt_[0].alpha.tolist() != anew._learnt_[0].alpha.tolist()
    assert after.train_end_["cutoff"].tolist() == anew.train_end_["cutoff"].tolist() == [180, 180]


def test_clones_of_auto_narx_keep_penalties_of_many_rows_and_choose_those_of_few():
    df = make_frame((240, 230))
    model = AutoNARX(4, season_length=7, budget="fast", time_limit=0.001).fit(df)
    linear = NARXForecaster(4, 8, scope="local", season_length=7, mode="open_loop").fit(df)
    model.members_["linear"], model._weight_ = linear, np.concatenate([model._weight_, np.ones((1, 2))])
    many, few = (model._refitted(model._learnt_from_.head(np.array([n, n]))).members_["linear"] for n in (120, 60))
    assert many.ridge_["ridge"].tolist() == linear.ridge_["ridge"].tolist()
    # No window was held out to choose by.
    assert many.ridge_["n_windows"].tolist() == [0, 0]
    assert (few.ridge_["n_windows"] > 0).all()


@pytest.mark.parametrize("season", [1, 7, 12, 24])
def test_cutoffs_come_by_every_place_in_the_season_alike(season):
    asked = np.arange(1, 40)
    found = past_forecasts._through_the_season(asked, season)
    assert (found >= asked).all()
    assert all(math.gcd(int(one), season) == 1 for one in found)
    assert found.tolist() == [next(n for n in range(one, 99) if math.gcd(n, season) == 1) for one in asked]


def test_cutoffs_of_long_series_are_as_many_as_the_rows_before_them_allow(monkeypatch):
    df = make_frame((400, 400))
    model = Baseline("naive", season_length=7, horizon=3).fit(df)
    assert calibrate(model, model._learnt_from_, 3).errors.shape[0] == 200
    monkeypatch.setattr(past_forecasts, "_MOST_ROWS", 40 * 800)
    # 200 rows over 40 cutoffs: every fifth, 20 of each clone.
    assert calibrate(model, model._learnt_from_, 3).rows[:, 0].tolist() == [*range(203, 300, 5), *range(303, 400, 5)]
