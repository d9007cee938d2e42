"""Ranks of conformal scores and scores of intervals, by hand."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from tsforce.scoring.interval_scores import (
    covered,
    highest_level,
    independent_share,
    interval_score,
    kth_of_sorted,
    rank_of,
)


@pytest.mark.parametrize("percent", [50, 80, 90, 95, 99])
def test_ranks_are_those_of_exact_fractions(percent):
    counts = np.arange(1, 400)
    for share in (Fraction(percent, 100), (1 + Fraction(percent, 100)) / 2):
        want = [ceil((n + 1) * share) for n in counts.tolist()]
        assert rank_of(counts, float(share)).tolist() == want


def test_a_level_of_95_percent_takes_19_absolute_scores_and_39_signed_ones():
    assert (rank_of([18, 19], 0.95) <= [18, 19]).tolist() == [False, True]
    assert (rank_of([38, 39], 0.975) <= [38, 39]).tolist() == [False, True]


def test_scores_that_overlap_rank_no_lower_and_are_sooner_too_few():
    n = np.arange(20, 200)
    for worth in (n, n / 2, n / 7):
        assert (rank_of(n, 0.9, worth) >= rank_of(n, 0.9)).all()
    # 120 that are worth 12: the share of them that ceil-free (12 + 1) .9 is of 12.
    assert rank_of(120, 0.9, 12) == 117
    assert rank_of(120, 0.9, 8) > 120


def test_the_highest_level_is_supported_and_a_tenth_of_a_percent_more_is_not():
    for n in range(1, 300):
        level = highest_level(n)
        assert level == 0 or rank_of(n, level) <= n
        assert rank_of(n, level + 0.001) > n


def test_a_score_is_one_of_the_scores_never_between_two_and_never_the_largest_in_silence():
    scores = np.array([1.0, 2.0, 4.0, 8.0])
    assert [float(kth_of_sorted(scores, k, 4)) for k in (1, 3, 4)] == [1.0, 4.0, 8.0]
    assert np.isnan([kth_of_sorted(scores, k, 4) for k in (0, 5)]).all()
    assert np.isnan(kth_of_sorted(np.empty((0, 2)), [1, 1], [0, 0])).all()


def test_errors_of_a_random_walk_are_worth_what_their_tails_correlate():
    h = 12
    y = np.random.default_rng(0).normal(size=(5000, 4)).cumsum(axis=0)
    errors = np.stack([y[step : len(y) - h + step] - y[:-h] for step in range(1, h + 1)], axis=2)[..., None]
    correlation = 1 - np.arange(1, h) / h
    found = independent_share(errors)
    assert found[0] == 1
    assert found[h - 1] == pytest.approx(1 / (1 + 2 * (correlation**3).sum()), rel=0.1)
    # The same at every fourth cutoff, and one at every twelfth, which share nothing.
    apart = 1 - np.array([4, 8]) / h
    assert independent_share(errors[::4], 4)[h - 1] == pytest.approx(1 / (1 + 2 * (apart**3).sum()), rel=0.1)
    assert independent_share(errors[::12], 12).min() == 1


def test_errors_that_come_anew_at_each_cutoff_are_worth_as_many_as_they_are():
    errors = np.random.default_rng(1).normal(size=(2000, 3, 8, 1))
    assert independent_share(errors).min() > 0.99
    assert independent_share(np.zeros((10, 2, 3, 1))).min() == 1
    assert independent_share(np.full((10, 2, 3, 1), np.nan)).min() == 1


def test_a_value_on_a_bound_is_covered_and_one_without_bounds_is_not_counted():
    assert covered([1.0, 2.0, 2.1], 1.0, 2.0).tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(covered([np.nan, 1.0], [0.0, np.nan], 2.0)).all()


def test_the_interval_score_is_width_and_forty_times_the_distance_outside_at_95_percent():
    assert interval_score([5.0, 11.0, -1.0], 0.0, 10.0, 0.95) == pytest.approx([10.0, 50.0, 50.0])
    assert interval_score([5.0, 11.0, -1.0], 0.0, 10.0, 0.8) == pytest.approx([10.0, 20.0, 20.0])
