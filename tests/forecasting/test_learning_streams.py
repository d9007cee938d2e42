"""Streams that learn: sample by sample the forecasts of an update by the same rows, and of a fit on all of them."""

from __future__ import annotations

import numpy as np
import pytest

import tsforce
from tests.makers import make_frame
from tsforce import Difference, NARXForecaster
from tsforce.errors import ArgumentError
from tsforce.lag_transforms import RollingMean
from tsforce.training import following

H = 4
OPEN = {"mode": "open_loop", "ridge": 10.0}
CASES = {
    "levels": {"lags": 7, "scope": "local"},
    "differences": {"lags": [1, 7], "scope": "local", "target_transforms": [Difference(7)]},
    "smoothing prior": {"lags": 8, "scope": "local", "prior": "smoothing"},
    "one for all": {"lags": 7, "scope": "global", "target_transforms": [], "window_scaling": "last"},
    "scaled windows": {"lags": 5, "scope": "global", "window_scaling": "standard", "context_length": 9},
    "lag transform": {"lags": 3, "scope": "local", "lag_transforms": {1: [RollingMean(5)]}},
    "wide": {"lags": 7, "scope": "local", "wide": 2},
    "wide, no intercept": {"lags": 7, "scope": "local", "intercept": False, "wide": 2},
    "wide, ridge 0": {"lags": 7, "scope": "global", "target_transforms": [], "ridge": 0.0, "wide": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("lengths", [(90,), (90, 70, 120)])
def test_forecasts_are_those_of_a_fit_on_all_rows_with_the_same_choices(name, lengths, monkeypatch):
    settings = dict(CASES[name])
    monkeypatch.setattr(following, "_WIDE", settings.pop("wide", following._WIDE))
    df = make_frame(lengths)
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    whole = NARXForecaster(H, **OPEN | settings).fit(df)
    model = NARXForecaster(H, **OPEN | settings).fit(df[to_end >= 30])
    before = model.predict()
    stream = model.stream(learn=True)
    for left in range(29, -1, -1):
        stream.observe(df.loc[to_end == left, "y"].to_numpy())
        if left % 3 == 0:
            got = stream.forecast()
    np.testing.assert_allclose(got.ravel(), whole.predict()[whole.name], rtol=1e-10)
    assert model.predict().equals(before)


def test_inputs_that_are_known_ahead_are_learnt_from():
    df = make_frame((60, 50))
    df = df.assign(u=np.random.default_rng(0).normal(size=len(df)))
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    settings = {"lags": 3, "scope": "local", "future_exog": ["u"], **OPEN}
    stream = NARXForecaster(H, **settings).fit(df[to_end >= 20]).stream(learn=True)
    for left in range(19, H - 1, -1):
        now = df[to_end == left]
        stream.observe(now["y"], now[["u"]])
    later = df[to_end < H]
    whole = NARXForecaster(H, **settings).fit(df[to_end >= H]).predict(future_df=later)
    got = stream.forecast(future=later["u"].to_numpy().reshape(2, H, 1))
    np.testing.assert_allclose(got.ravel(), whole["NARXForecaster"], rtol=1e-10)


@pytest.mark.parametrize("wide", [2, 99])
def test_what_is_forgotten_is_what_an_update_forgets(wide, monkeypatch):
    monkeypatch.setattr(following, "_WIDE", wide)
    df = make_frame((90, 70))
    to_end = df.groupby("unique_id").cumcount(ascending=False)
    model = NARXForecaster(H, 5, scope="local", **OPEN).fit(df[to_end >= 10])
    stream = model.stream(learn=True, forget=0.9)
    for left in range(9, -1, -1):
        stream.observe(df.loc[to_end == left, "y"].to_numpy())
        model.update(df[to_end == left], forget=0.9)
        np.testing.assert_allclose(stream.forecast().ravel(), model.predict()[model.name], rtol=1e-10)


def test_a_wide_map_is_solved_anew_once_and_follows_from_there(monkeypatch):
    solved = []
    monkeypatch.setattr(following, "solve", lambda *a, real=following.solve, **k: solved.append(1) or real(*a, **k))
    df = make_frame((400,))
    stream = NARXForecaster(H, 70, scope="local", **OPEN).fit(df[:350]).stream(learn=True)
    for y in df["y"][350:]:
        stream.observe(y)
        got = stream.forecast()
    assert len(solved) == 1
    whole = NARXForecaster(H, 70, scope="local", **OPEN).fit(df)
    np.testing.assert_allclose(got, whole.predict()[whole.name], rtol=1e-10)


def test_a_range_that_has_grown_with_the_samples_is_no_excursion():
    rows = 80
    df = make_frame((rows,)).assign(y=1.5 ** np.arange(rows))
    model = NARXForecaster(H, 2, scope="local", mode="open_loop", ridge=0.0, prior="zero").fit(df[:40])
    stream = model.stream(learn=True)
    for y in df["y"][40:]:
        stream.observe(y)
    # Warnings are errors here.
    np.testing.assert_allclose(stream.forecast(), 1.5 ** np.arange(rows, rows + H), rtol=1e-6)


def test_memory_stays_as_it_is():
    stream = NARXForecaster(H, 7, scope="local", **OPEN).fit(make_frame((60,))).stream(learn=True)
    before = stream._learner._every.nbytes, stream._values._data.nbytes
    for k in range(300):
        stream.observe(50 + np.sin(k))
    assert (stream._learner._every.nbytes, stream._values._data.nbytes) == before


def test_what_cannot_learn_says_so(tmp_path):
    df = make_frame((60, 50))
    for settings in ({"loss": "huber"}, {"strategy": "direct"}):
        model = NARXForecaster(H, 3, scope="global", mode="open_loop", **settings).fit(df)
        with pytest.raises(ArgumentError, match="learn=True: only linear maps"):
            model.stream(learn=True)
    model = NARXForecaster(H, 3, scope="local", missing="own_output", **OPEN).fit(df)
    with pytest.raises(ArgumentError, match="a stream that learns takes none"):
        model.stream(learn=True).observe([1.0, np.nan])
    with pytest.raises(ArgumentError, match="add learn=True"):
        model.stream(forget=0.9)
    with pytest.raises(ArgumentError, match="up to 1"):
        model.stream(learn=True, forget=2.0)
    model.save(tmp_path / "model.tsforce")
    with pytest.raises(ArgumentError, match="training_rows=True"):
        tsforce.load(tmp_path / "model.tsforce").stream(learn=True)
