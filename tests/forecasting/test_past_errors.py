"""Errors in common units: scales known at their cutoffs, and what clones and series tell of each other."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest

from tsforce.forecasting import past_errors
from tsforce.forecasting.moves import N_TOLD, running_moves, swings_of, told_by
from tsforce.forecasting.past_errors import in_common_units


def running_scale(values, indptr, season_length, recent=False):
    return running_moves(values, indptr, season_length)[int(recent)]


def common_of(errors, clone, worth):
    """Of cutoffs one row apart."""
    rows = np.where(clone >= 0, np.arange(len(errors))[:, None], -1)
    told = np.zeros((*rows.shape, errors.shape[3], N_TOLD))
    return in_common_units(errors, clone, worth, rows, told, np.zeros_like(errors))


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


def test_no_bit_of_a_scale_depends_on_later_rows_or_on_other_series():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(90, 1)).cumsum(axis=0)
    want = running_moves(y, [0, 50, 90], season_length=3)
    wrecked = y.copy()
    wrecked[30:50] *= -1e9
    wrecked[80:] = np.nan
    got = running_moves(wrecked, [0, 50, 90], season_length=3)
    np.testing.assert_array_equal(got[:, :30], want[:, :30])
    np.testing.assert_array_equal(got[:, 50:80], want[:, 50:80])


def test_moves_of_series_side_by_side_are_those_of_each_alone():
    # Lengths from 1 to 40 rows, in no order, twice: many blocks and ends.
    rng = np.random.default_rng(5)
    lengths = rng.permutation(np.repeat(np.arange(1, 41), 2))
    ends = np.concatenate([[0], lengths.cumsum()])
    y = rng.normal(size=(ends[-1], 2)).cumsum(axis=0)
    y[rng.random(len(y)) < 0.05] = np.nan
    together = running_moves(y, ends, season_length=4)
    for first, end in pairwise(ends):
        np.testing.assert_array_equal(together[:, first:end], running_moves(y[first:end], [0, end - first], 4))


def test_what_is_told_is_newest_moves_and_bends_over_moves():
    y = np.array([0.0, 1.0, 2.0, 3.0, 7.0])
    moves = running_moves(y[:, None], [0, 5], season_length=1)[:, -1, 0]
    # Steps 1, 1, 1, 4 whose weights halve every 3 rows; bends 0, 0, 3.
    weight = 0.5 ** (np.arange(4)[::-1] / 3)
    assert moves[2:] == pytest.approx([7 / 4, (weight @ [1, 1, 1, 4]) / weight.sum(), 1.0])
    told = told_by(moves[:, None], recent=False)[0]
    assert told[1:] == pytest.approx(np.log([moves[3] / moves[2] + 0.05, moves[4] / moves[2] + 0.1]))
    assert told[0] == pytest.approx(np.log((2 * moves[1] - moves[0]) / moves[0]))
    # Files of before know nothing of the last two.
    np.testing.assert_array_equal(told_by(moves[:2, None], recent=False)[0], [told[0], 0.0, 0.0])


def test_errors_that_grow_with_how_far_forecasts_lead_away_are_told_by_it():
    rng = np.random.default_rng(6)
    far = rng.exponential(size=(40, 300, 1)) * 4
    swings = swings_of(np.repeat(far, 3, axis=2).reshape(-1, 3, 1), np.zeros((12000, 1)), np.ones((12000, 1)))
    swings = swings.reshape(40, 300, 3, 1)
    np.testing.assert_allclose(swings[..., 0], np.log(np.repeat(far, 3, axis=2) + 0.5))
    errors = rng.normal(size=(40, 300, 3, 1)) * np.exp(0.8 * swings)
    clone, rows = (np.broadcast_to(one, (40, 300)) for one in (0, np.arange(40)[:, None]))
    told = np.zeros((40, 300, 1, N_TOLD))
    common = in_common_units(errors, clone, np.full((300, 3, 1), 40.0), rows, told, swings)
    # Half what errors tell, and the guess is that they do not.
    assert common.swing[0] == pytest.approx(300 / 310 * 0.8 / 2, abs=0.03)
    leads = np.log([0.5, 4.5, np.nan]).reshape(1, 3, 1)
    size = common.expected(np.zeros((1, 1, N_TOLD)), leads, np.array([0]), np.array([0]))
    assert size[0, 1] / size[0, 0] == pytest.approx(9 ** common.swing[0])
    assert size[0, 2] == 1.0


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
    told = rng.normal(size=(60, 200, 5)) * 0.5
    size = rng.exponential(size=(60, 200)) * np.exp(told @ [0.1, 0.9, 0.5, 0.0, 0.3])
    want = 200 / 210 * np.array([0.1 + 0.4, 0.9, 0.5 + 0.1, 0.0 + 0.3, 0.3 + 0.1]) / 2
    assert past_errors._powers(size, told) == pytest.approx(want, abs=0.02)
    # No power is negative, and the others are as if what would have one were not there.
    alike = told + np.where(np.arange(5) == 0, told[..., 1:2], 0.0)
    both = rng.exponential(size=(60, 200)) * np.exp(alike @ [-0.8, 1.2, 0.0, 0.0, 0.0])
    without = past_errors._powers(both, np.where(np.arange(5) == 0, 0.0, alike))
    assert past_errors._powers(both, alike) == pytest.approx(without, abs=1e-6)
    opposite = rng.exponential(size=(60, 200)) * np.exp(told @ [-0.9, 0.0, 0.0, 0.0, 0.0])
    assert past_errors._powers(opposite, told)[0] == pytest.approx(200 / 210 * 0.4 / 2, abs=1e-12)
    for nothing in (np.full((3, 2), np.nan), np.zeros((3, 2))):
        assert past_errors._powers(nothing, np.zeros((3, 2, 5))).tolist() == [0.0] * 5


def by_place(size, season=4, n_series=3, n_cutoffs=400, steps=6, learnt=600):
    """Errors of cutoffs at every row before the end, their size by the place of what they are errors at."""
    rng = np.random.default_rng(7)
    rows = np.repeat(learnt - steps - n_cutoffs + np.arange(n_cutoffs)[:, None], n_series, axis=1)
    places = (rows[:, :, None] + 1 + np.arange(steps) - learnt) % season
    errors = (rng.normal(size=places.shape) * size[np.arange(n_series)[:, None], places])[..., None]
    told, worth = np.zeros((*rows.shape, 1, N_TOLD)), np.full((n_series, steps, 1), float(n_cutoffs))
    return in_common_units(
        errors, np.zeros_like(rows), worth, rows, told, np.zeros_like(errors), np.full(n_series, learnt), season
    )


def test_errors_are_larger_where_in_the_season_they_have_been_of_all_series_and_of_each():
    size = np.array([[1.0, 1, 4, 1], [1.0, 1, 4, 1], [1.0, 1, 4, 8]])
    common = by_place(size)
    no_told, no_swing = np.zeros((1, 1, N_TOLD)), np.zeros((1, 6, 1))
    for series in range(3):
        expected = common.expected(no_told, no_swing, np.array([series]), np.array([0]))[0, :, 0]
        np.testing.assert_allclose(expected[:4] / expected[0], size[series], rtol=0.3)
        np.testing.assert_array_equal(expected[4:], expected[:2])
        # A cutoff one row later begins one place further on.
        later = common.expected(no_told, no_swing, np.array([series]), np.array([1]))[0, :, 0]
        np.testing.assert_array_equal(later[:5], expected[1:])
    # Nobody knows where in its season a series is that was not fitted.
    np.testing.assert_array_equal(common.expected(no_told, no_swing, np.array([-1]), np.array([0])), 1.0)
    assert np.abs(common.relative).mean(axis=(0, 1, 3)) == pytest.approx(np.ones(6), rel=0.1)


def test_chance_makes_no_place_in_the_season_worse_than_others():
    assert np.abs(by_place(np.ones((3, 4))).turns).max() < 0.05
    assert not by_place(np.ones((3, 4)), season=1).turns.any()
