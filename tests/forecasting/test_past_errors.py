"""Errors in common units: scales known at their cutoffs, and what clones and series tell of each other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tsforce.forecasting import past_errors
from tsforce.forecasting.past_errors import in_common_units, running_scale


def common_of(errors, clone, worth, lately=0.0):
    """Of cutoffs one row apart."""
    rows = np.where(clone >= 0, np.arange(len(errors))[:, None], -1)
    return in_common_units(errors, clone, worth, rows, np.broadcast_to(lately, (*rows.shape, errors.shape[3])))


def test_the_running_scale_is_the_mean_move_from_season_to_season_of_the_rows_so_far():
    y = np.array([1.0, 4.0, 2.0, 7.0, 3.0, 3.0])
    got = running_scale(y[:, None], [0, 6], season_length=2).ravel()
    assert np.isnan(got[0])
    # One step before there is a season; then |2 - 1|, |7 - 4|, |3 - 2|, |3 - 7|.
    assert got[1:] == pytest.approx([3.0, 1.0, 2.0, 5 / 3, 9 / 4])


def test_moves_that_are_not_known_are_left_out_and_a_season_that_repeats_has_the_scale_of_its_steps():
    assert running_scale([[1.0], [3.0], [np.nan], [3.0], [9.0]], [0, 5], season_length=1)[1:, 0].tolist() == [
        2,
        2,
        2,
        4,
    ]
    got = running_scale(np.tile([1.0, 3.0], 4)[:, None], [0, 8], season_length=2).ravel()
    assert got[1:].tolist() == [2.0] * 7


def test_recent_moves_halve_every_ten_rows_and_are_half_of_it():
    y = np.concatenate([np.zeros(30), np.arange(1.0, 21.0)])
    got = running_scale(y[:, None], [0, 50], season_length=1, recent=True)[-1, 0]
    weight = 0.5 ** (np.arange(49)[::-1] / 10)
    assert got == pytest.approx(0.5 * 20 / 49 + 0.5 * weight[-20:].sum() / weight.sum())


@pytest.mark.parametrize("recent", [False, True])
def test_no_bit_of_a_scale_depends_on_later_rows_or_on_other_series(recent):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(90, 1)).cumsum(axis=0)
    want = running_scale(y, [0, 50, 90], season_length=3, recent=recent)
    wrecked = y.copy()
    wrecked[30:50] *= -1e9
    wrecked[80:] = np.nan
    got = running_scale(wrecked, [0, 50, 90], season_length=3, recent=recent)
    np.testing.assert_array_equal(got[:30], want[:30])
    np.testing.assert_array_equal(got[50:80], want[50:80])


def test_errors_of_clones_that_learnt_from_less_shrink_to_the_size_of_the_last_ones():
    rng = np.random.default_rng(1)
    errors = rng.normal(size=(40, 300, 3, 1))
    errors[:20] *= 2.0
    clone = np.repeat([[0], [1]], 20, axis=0).repeat(300, axis=1)
    common = common_of(errors, clone, np.full((300, 3, 1), 40.0))
    # The mean size of a normal value.
    assert common.step_spread.ravel() == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)
    # Few errors tell no such thing.
    few = common_of(errors[:, :1], clone[:, :1], np.full((1, 3, 1), 2.0))
    assert few.step_spread.ravel() == pytest.approx(np.abs(errors[:, 0]).mean(axis=0).ravel(), rel=0.03)


def test_clones_are_compared_over_the_series_that_both_have_forecast():
    # The last clone forecasts series that err a tenth as much, and none of the others at the last step.
    rng = np.random.default_rng(1)
    errors = rng.normal(size=(40, 300, 2, 1)) * np.where(np.arange(300) < 150, 1.0, 0.1)[:, None, None]
    errors[20:, :150, 1] = np.nan
    clone = np.repeat([[0], [1]], 20, axis=0).repeat(300, axis=1)
    like = errors.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        past_errors._as_the_last_clone(like, clone, np.full((300, 2, 1), 40.0))
    assert np.nanmax(np.abs(like / errors - 1)) < 0.05


def test_sizes_of_series_last_as_far_as_past_errors_tell_of_later_ones_and_half_of_that_is_a_guess():
    rng = np.random.default_rng(2)
    clone = np.repeat([[0], [1]], 20, axis=0).repeat(300, axis=1)
    size = np.repeat([1.0, 3.0], 150)
    lasting = common_of(rng.normal(size=(40, 300, 1, 1)) * size[:, None, None], clone, np.full((300, 1, 1), 40.0))
    spread = lasting.spread.ravel()
    # Sizes are .5 and 1.5 of the mean of all, 40 of each beside 4 cutoffs of that mean; they would go on as they were,
    # the guess is .4, and 300 series are worth 300 of 310.
    power = 300 / 310 * (1 + 0.4) / 2
    assert spread[150:].mean() / spread[:150].mean() == pytest.approx((64 / 24) ** power, rel=0.05)
    chance = common_of(rng.normal(size=(40, 300, 1, 1)), clone, np.full((300, 1, 1), 40.0)).spread.ravel()
    assert chance.std() / chance.mean() < 0.06


def test_only_errors_whose_truth_is_known_at_a_cutoff_tell_of_their_size_there():
    rng = np.random.default_rng(3)
    rows = np.sort(rng.permuted(np.tile(np.arange(30), (4, 1)), axis=1)[:, :12], axis=1).T
    rows[9:, 1] = rows[:, 3] = -1
    sizes = rng.exponential(size=(12, 4, 3))
    sizes[rng.random(sizes.shape) < 0.2] = np.nan
    got, now = past_errors._own_size(sizes, rows)
    want = np.zeros(rows.shape)
    known_at = rows[:, :, None] + 1 + np.arange(3)
    for k, s in zip(*np.nonzero(rows >= 0), strict=True):
        seen = sizes[:, s][(rows[:, s, None] >= 0) & (known_at[:, s] <= rows[k, s]) & ~np.isnan(sizes[:, s])]
        want[k, s] = np.log((seen.sum() / 3 + 4) / (len(seen) / 3 + 4)) if len(seen) else np.nan
    centre = np.nanmean(want[rows >= 0])
    np.testing.assert_allclose(got, np.where(rows >= 0, np.nan_to_num(want - centre), 0.0), atol=1e-12)
    seen = sizes[:9, 1][~np.isnan(sizes[:9, 1])]
    assert now[1] == pytest.approx(np.log((seen.sum() / 3 + 4) / (len(seen) / 3 + 4)) - centre)
    assert now[3] == 0


def test_powers_are_half_what_sizes_say_and_half_a_guess_and_none_where_there_is_nothing():
    rng = np.random.default_rng(4)
    told = rng.normal(size=(60, 200, 2)) * 0.5
    size = rng.exponential(size=(60, 200)) * np.exp(told @ [0.9, 0.1])
    want = 200 / 210 * np.array([0.9 + 0.3, 0.1 + 0.4]) / 2
    assert past_errors._powers(size, told) == pytest.approx(want, abs=0.02)
    # No power is negative.
    opposite = rng.exponential(size=(60, 200)) * np.exp(told @ [-0.9, 0.0])
    assert past_errors._powers(opposite, told)[0] == pytest.approx(200 / 210 * 0.3 / 2, abs=1e-12)
    for nothing in (np.full((3, 2), np.nan), np.zeros((3, 2))):
        assert past_errors._powers(nothing, np.zeros((3, 2, 2))).tolist() == [0.0, 0.0]
