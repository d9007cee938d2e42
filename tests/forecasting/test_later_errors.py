"""Bounds that go on over updates: what a forecaster got wrong at later rows, and how bounds follow it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import tsforce
from tsforce import AutoNARX, Baseline, Ensemble, Forecaster, Intervals, NARXForecaster
from tsforce.forecasting import intervals, later_errors
from tsforce.forecasting.past_errors import followed

H = 4


def walks(n_series, rows, seed=0, sizes=1.0):
    return (np.random.default_rng(seed).normal(size=(n_series, rows)) * sizes).cumsum(axis=1)


def frame_of(y, first=0, last=None, names=None):
    part = y[:, first:last]
    n_series, rows = part.shape
    ids = [f"s{i}" for i in range(n_series)] if names is None else names
    ds = np.tile(np.arange(first, first + rows), n_series)
    return pd.DataFrame({"unique_id": np.repeat(ids, rows), "ds": ds, "y": part.ravel()})


def naive():
    return Baseline("naive", horizon=H, season_length=1)


def later_of(model):
    kept = model._calibrations_[H]
    return kept.rows[-kept.later :], kept.errors[-kept.later :]


def deployed(model, y, first, pieces):
    """Fitted to the first rows, asked for levels, and given the others in pieces."""
    model.fit(frame_of(y, 0, first)).predict(level=80)
    for piece in pieces:
        model.update(frame_of(y, first, first + piece))
        first += piece
    return model


@pytest.mark.parametrize("pieces", [[9], [1, 5, 1, 2], [1] * 9])
def test_errors_at_later_rows_are_those_of_the_forecasts_made_there_whose_truth_has_come_since(pieces):
    y = walks(2, 49)
    rows, errors = later_of(deployed(naive(), y, 40, pieces))
    # After row 39, the last that was learnt from, to row 47, the last but one.
    assert rows.tolist() == [[row, row] for row in range(39, 48)]
    for k, row in enumerate(range(39, 48)):
        for step in range(H):
            want = y[:, row + 1 + step] - y[:, row] if row + 1 + step < 49 else np.full(2, np.nan)
            np.testing.assert_allclose(errors[k, :, step, 0], want, atol=1e-12)


def test_a_calibration_of_a_file_of_before_bounds_by_what_it_knows_and_goes_on():
    y = walks(12, 70, seed=8)
    model = naive().fit(frame_of(y, 0, 60))
    model.predict(level=80)
    kept = model._calibrations_[H]
    model._calibrations_[H] = replace(kept, units=kept.units[:2], last_units=kept.last_units[:2], swings=None)
    common = model._calibrations_[H]._common(False)
    # What was not written tells nothing, but for what is guessed of it.
    np.testing.assert_allclose(common.swing, 0.0, atol=1e-12)
    assert np.isfinite(model.predict(level=80)["naive-hi-80"]).all()
    model.update(frame_of(y, 60, 70))
    after = model._calibrations_[H]
    assert len(after.units) == len(kept.units)
    assert np.isnan(after.swings[:-10]).all()
    assert np.isfinite(after.swings[-10:]).all()
    assert np.isfinite(model.predict(level=80)["naive-hi-80"]).all()


def test_forecasts_at_later_rows_are_those_of_the_model_before_it_learnt_from_them():
    y = walks(3, 130, seed=1)
    model = NARXForecaster(H, 3, scope="local", season_length=1, mode="open_loop", alias="it")
    model.fit(frame_of(y, 0, 110)).predict(level=80)
    said = model.predict_at(frame_of(y, 0, 120), cutoffs=range(109, 119))["it"].to_numpy().reshape(3, 10, H)
    model.update(frame_of(y, 110, 120))
    late = model.predict_at(frame_of(y, 0, 130), cutoffs=range(119, 129))["it"].to_numpy().reshape(3, 10, H)
    model.update(frame_of(y, 120, 130))
    ahead = np.minimum(np.arange(109, 129)[:, None] + np.arange(1, H + 1), 129)
    want = y[:, ahead] - np.concatenate([said, late], axis=1)
    _, errors = later_of(model)
    known = ~np.isnan(errors[..., 0])
    assert known.sum() == 3 * (20 * H - 6)
    np.testing.assert_allclose(errors[..., 0][known], want.transpose(1, 0, 2)[known], rtol=1e-9)


def test_series_that_get_rows_at_different_times_have_their_own_later_rows():
    y = walks(2, 50, seed=2)
    model = naive().fit(frame_of(y, 0, 40))
    model.predict(level=80)
    model.update(frame_of(y[:1], 40, 47))
    both = pd.concat([frame_of(y[:1], 47, 48), frame_of(y[1:], 40, 42, names=["s1"])])
    model.update(both)
    rows, errors = later_of(model)
    assert [own[own >= 0].tolist() for own in rows.T] == [list(range(39, 47)), [39, 40]]
    assert errors[-1, :, 0, 0] == pytest.approx([y[0, 47] - y[0, 46], y[1, 41] - y[1, 40]])


def test_no_bit_of_an_error_depends_on_rows_after_its_truth():
    y = walks(2, 150, seed=3)
    wrecked = y.copy()
    wrecked[:, 130:] *= -1e3
    found = []
    for given in (y, wrecked):
        model = NARXForecaster(H, 3, scope="global", season_length=1, mode="open_loop")
        found.append(later_of(deployed(model, given, 110, [20, 20]))[1])
    # Truths up to row 129: k + 110 + step <= 129.
    before = np.arange(40)[:, None] + np.arange(H) < 20
    np.testing.assert_array_equal(found[0].transpose(0, 2, 1, 3)[before], found[1].transpose(0, 2, 1, 3)[before])
    assert not np.isnan(found[0].transpose(0, 2, 1, 3)[before]).any()


@pytest.mark.parametrize(
    "model",
    [
        Baseline("ets", horizon=H, season_length=1),
        NARXForecaster(H, 3, season_length=1),
        Ensemble([Baseline("drift", horizon=H), Baseline("naive", horizon=H)]),
        AutoNARX(H, season_length=1, budget="fast", time_limit=0.001),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_update_keeps_the_bounds_and_fits_no_clone_again(model, monkeypatch):
    y = walks(3, 90, seed=4)
    before = model.fit(frame_of(y, 0, 80)).predict(level=80).attrs["intervals"]["80"]
    monkeypatch.setattr(intervals, "calibrate", None)
    monkeypatch.setattr(Forecaster, "_refitted", None)
    model.update(frame_of(y, 80, 90))
    forecast = model.predict(level=80)
    assert "later" not in before
    assert forecast.attrs["intervals"]["80"].endswith("; as 10 later cutoffs told (100%)")
    assert np.isfinite(forecast.filter(like="-80").to_numpy()).all()


def test_series_that_an_update_brings_have_bounds():
    y = walks(4, 100, seed=5)
    model = NARXForecaster(H, 3, scope="global", season_length=1, mode="open_loop", alias="it")
    model.fit(frame_of(y[:3], 0, 90)).predict(level=80)
    model.update(pd.concat([frame_of(y[:3], 90, 95), frame_of(y[3:], 0, 95, names=["new"])]))
    model.update(pd.concat([frame_of(y[:3], 95, 100), frame_of(y[3:], 95, 100, names=["new"])]))
    width = model.predict(level=80).eval("`it-hi-80` - `it-lo-80`").groupby(np.repeat(range(4), H)).mean()
    assert 0.5 < width[3] / width[:3].mean() < 2
    rows, _ = later_of(model)
    assert rows[rows[:, 3] >= 0, 3].tolist() == list(range(94, 99))


def test_as_many_later_cutoffs_count_as_are_to_be_kept(monkeypatch):
    monkeypatch.setattr(later_errors, "_MOST", 6)
    y = walks(1, 60, seed=6)
    for pieces in ([20], [3] * 6 + [2]):
        rows, errors = later_of(deployed(naive(), y, 40, pieces))
        assert rows.ravel().tolist() == list(range(53, 59))
        assert errors[0, 0, :, 0] == pytest.approx(y[0, 54:58] - y[0, 53])


def test_a_loaded_model_goes_on_as_the_saved_one(tmp_path):
    y = walks(2, 70, seed=7)
    model = deployed(naive(), y, 50, [7])
    model.save(tmp_path / "it.tsforce", training_rows=True)
    other = tsforce.load(tmp_path / "it.tsforce")
    for one in (model, other):
        one.update(frame_of(y, 57, 70))
    pd.testing.assert_frame_equal(model.predict(level=[80, 95]), other.predict(level=[80, 95]))


def test_coverage_comes_back_after_a_change_of_variance():
    rows, change, last = 60, 100, 260
    sizes = np.where(np.arange(last + H) < change, 1.0, 3.0)
    y = walks(30, last + H, seed=8, sizes=sizes)
    model, inside = naive().fit(frame_of(y, 0, rows)), {}
    for row in range(rows, last, 5):
        forecast = model.predict(level=80)
        low, high = (forecast[f"naive-{side}-80"].to_numpy().reshape(30, H) for side in ("lo", "hi"))
        inside[row] = ((low <= y[:, row : row + H]) & (y[:, row : row + H] <= high)).mean()
        model.update(frame_of(y, row, row + 5))
    inside = pd.Series(inside)
    assert inside.loc[: change - 10].mean() == pytest.approx(0.8, abs=0.04)
    assert inside.loc[change : change + 5].mean() < 0.6
    assert inside.loc[change + 60 :].mean() == pytest.approx(0.8, abs=0.03)


# ---- by hand


def test_each_side_moves_by_the_share_that_lay_outside_less_the_share_that_should():
    # Of the bounds -1 and 1 of two steps at 80 %. Known at the first row: step 1 of the first forecast, above; at the
    # second row: its step 2, below, and step 1 of the second forecast, within.
    errors = np.array([[1.5, -2.0], [0.5, np.nan]])[:, None, :, None]
    bound = np.ones((1, 2, 1))
    low, high = followed(-bound, bound, errors, 0.8)
    pace = 0.07
    assert high.ravel() == pytest.approx([np.exp(pace * (1 - 0.1) - pace * 0.1)] * 2)
    assert low.ravel() == pytest.approx([-np.exp(-pace * 0.1 + pace * (0.5 - 0.1))] * 2)


def test_whole_paths_count_once_they_are_over_and_as_one():
    errors = np.array([[1.5, -2.0], [0.5, 0.5], [9.0, np.nan]])[:, None, :, None]
    bound = np.ones((1, 2, 1))
    low, high = followed(-bound, bound, errors, 0.8, whole_path=True)
    # The first leaves at both sides, the second at none, the third is not over.
    assert high.ravel() == pytest.approx([np.exp(0.07 * (0.9 - 0.1))] * 2)
    assert low.ravel() == pytest.approx(-high.ravel())


def test_bands_of_whole_paths_and_recent_moves_go_on_too():
    y = walks(40, 160, seed=9)
    model = deployed(naive(), y[:, :120], 100, [20])
    for asked in (Intervals(90, over="path"), Intervals(90, scale="recent")):
        forecast = model.predict(level=asked)
        low, high = (forecast[f"naive-{side}-90"].to_numpy().reshape(40, H) for side in ("lo", "hi"))
        inside = (low <= y[:, 120 : 120 + H]) & (y[:, 120 : 120 + H] <= high)
        share = inside.all(axis=1).mean() if asked.over == "path" else inside.mean()
        assert share == pytest.approx(0.9, abs=0.07)
