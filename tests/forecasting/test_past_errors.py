"""Errors in common units: scales known at their cutoffs, and what clones and series tell of each other."""

from __future__ import annotations

import numpy as np
import pytest

from tsforce.forecasting.past_errors import in_common_units, running_scale


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
    common = in_common_units(errors, clone, np.full((300, 3, 1), 40.0))
    # The mean size of a normal value.
    assert common.step_spread.ravel() == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)
    # Few errors tell no such thing.
    few = in_common_units(errors[:, :1], clone[:, :1], np.full((1, 3, 1), 2.0))
    assert few.step_spread.ravel() == pytest.approx(np.abs(errors[:, 0]).mean(axis=0).ravel())


def test_sizes_of_series_are_trusted_as_far_as_clones_agree_on_them():
    rng = np.random.default_rng(2)
    clone = np.repeat([[0], [1]], 20, axis=0).repeat(300, axis=1)
    size = np.repeat([1.0, 3.0], 150)
    lasting = in_common_units(rng.normal(size=(40, 300, 1, 1)) * size[:, None, None], clone, np.full((300, 1, 1), 40.0))
    spread = lasting.spread.ravel()
    assert spread[150:].mean() / spread[:150].mean() == pytest.approx(3, rel=0.1)
    chance = in_common_units(rng.normal(size=(40, 300, 1, 1)), clone, np.full((300, 1, 1), 40.0)).spread.ravel()
    assert chance.std() / chance.mean() < 0.06
