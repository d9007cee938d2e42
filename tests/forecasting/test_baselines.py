"""Baseline: against plain arithmetic, the base-class loop, and blindness."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.makers import make_frame, wreck_after
from tsforce import Baseline, Forecaster
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.forecasting import baselines
from tsforce.forecasting.baselines import METHODS


@pytest.mark.parametrize("method", METHODS)
def test_predict_at_equals_the_loop_of_the_base_class(method):
    df = make_frame((60, 45, 30))
    model = Baseline(method, horizon=9, season_length=7).fit(df)
    pd.testing.assert_frame_equal(
        model.predict_at(df, [20, 25, 30]), Forecaster.predict_at(model, df, [20, 25, 30]), rtol=1e-12
    )


@pytest.mark.parametrize("method", METHODS)
def test_chunks_of_history_change_nothing(method, monkeypatch):
    df = make_frame((60, 45, 30))
    model = Baseline(method, horizon=9, season_length=7).fit(df)
    whole = model.predict_at(df, [20, 25, 30])
    monkeypatch.setattr(baselines, "_CHUNK_ROWS", 50)
    pd.testing.assert_frame_equal(model.predict_at(df, [20, 25, 30]), whole, check_exact=True)


@pytest.mark.parametrize("method", METHODS)
def test_rows_after_the_cutoff_change_no_bit(method):
    df = make_frame((60, 45, 30))
    model = Baseline(method, horizon=9, season_length=7).fit(df)
    wrecked = wreck_after(df, dict.fromkeys(["s0", "s1", "s2"], 25))
    pd.testing.assert_frame_equal(model.predict_at(df, [25]), model.predict_at(wrecked, [25]), check_exact=True)


def test_methods_do_what_their_names_say():
    df = pd.DataFrame({"ds": range(8), "y": [1.0, 2, 3, 4, 5, 6, 7, 9]})
    got = {m: Baseline(m, horizon=3, season_length=4).fit(df).predict()[m].tolist() for m in METHODS[:3]}
    assert got["naive"] == [9, 9, 9]
    assert got["seasonal_naive"] == [5, 6, 7]
    assert got["drift"] == pytest.approx([9 + 8 / 7, 9 + 16 / 7, 9 + 24 / 7])


def test_a_baseline_has_its_methods_name_or_an_alias():
    df = make_frame((20,))
    assert Baseline("naive", horizon=1).fit(df).predict().columns[-1] == "naive"
    assert Baseline("naive", horizon=1, alias="last").fit(df).predict().columns[-1] == "last"


def test_a_horizon_is_needed_from_somewhere():
    model = Baseline("naive").fit(make_frame((20,)))
    with pytest.raises(ArgumentError, match=r"predict\(horizon="):
        model.predict()
    assert len(model.predict(5)) == 5


def test_a_longer_horizon_than_the_constructors_needs_no_warning():
    assert len(Baseline("naive", horizon=2).fit(make_frame((20,))).predict(5)) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"method": "niave"}, "Did you mean 'naive'"), ({"method": "naive", "horizon": 0}, "horizon=0")],
)
def test_bad_arguments_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Baseline(**settings).fit(make_frame((20,)))


def test_a_y_argument_is_refused():
    with pytest.raises(ArgumentTypeError, match="column"):
        Baseline("naive").fit(make_frame((20,)), [1, 2])


def test_history_of_any_series_is_enough():
    model = Baseline("naive", horizon=2).fit(make_frame((20,)))
    fc = model.predict(history=pd.DataFrame({"unique_id": "new", "ds": [1, 2], "y": [4.0, 6.0]}))
    assert fc.to_numpy().tolist() == [["new", 3, 1, 6.0], ["new", 4, 2, 6.0]]
    assert np.isfinite(fc["naive"]).all()
