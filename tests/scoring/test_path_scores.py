"""Scores of sample paths: values of the package scoringrules 0.10.0, closed forms, and what no number may hide."""

import math

import numpy as np
import pytest

from tsforce.errors import ArgumentError
from tsforce.scoring.path_scores import crps, energy_score, pit_values, weighted_quantile_loss

Y = np.array([0.3, -1.2, 2.5])
PATHS = np.array([[0.1, 0.2, 0.3], [0.5, -1.0, 2.0], [-0.4, -2.0, 2.5], [1.5, 0.0, 3.5], [0.3, -1.5, 1.0]])
FLAWS = [("fair", 1, "at least 2"), ("plain", 0, "at least 1"), ("nrg", 5, "accepted: 'fair', 'plain'")]


def normal_crps(y, mean, scale):
    """Closed form of a normal distribution (Gneiting & Raftery 2007, equation 21)."""
    z = (y - mean) / scale
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in z])
    return scale * (z * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi))


def test_crps_is_that_of_scoringrules():
    np.testing.assert_allclose(crps(Y, PATHS), [0.04, 0.19, 0.25], rtol=1e-12)
    np.testing.assert_allclose(crps(Y, PATHS, "plain"), [0.124, 0.308, 0.408], rtol=1e-12)


def test_energy_score_is_that_of_scoringrules():
    assert energy_score(Y, PATHS, "plain") == pytest.approx(0.6277827076394604, rel=1e-12)
    assert energy_score(Y, PATHS) == pytest.approx(0.397114003224889, rel=1e-12)


@pytest.mark.parametrize("estimator", ["fair", "plain"])
def test_scores_of_many_windows_are_those_of_each_and_the_energy_score_of_one_step_is_the_crps(estimator):
    rng = np.random.default_rng(3)
    y, paths = rng.normal(size=(4, 2, 6)), rng.normal(size=(4, 2, 9, 6))
    both = crps(y, paths, estimator), energy_score(y, paths, estimator)
    for i, j in np.ndindex(4, 2):
        np.testing.assert_allclose(both[0][i, j], crps(y[i, j], paths[i, j], estimator), rtol=1e-12)
        assert both[1][i, j] == pytest.approx(energy_score(y[i, j], paths[i, j], estimator), rel=1e-12)
        alone = energy_score(y[i, j, :1], paths[i, j, :, :1], estimator)
        assert alone == pytest.approx(both[0][i, j, 0], rel=1e-9)


def test_crps_of_normal_draws_is_the_closed_form_within_what_draws_differ_by():
    y, mean, scale = np.array([0.0, 0.7, -2.0]), np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 0.5])
    exact = normal_crps(y, mean, scale)
    # scoringrules.crps_normal
    np.testing.assert_allclose(exact, [0.23369497725510913, 0.5641451322181057, 2.717905208382479], rtol=1e-10)
    draws = mean + scale * np.random.default_rng(5).normal(size=(100_000, 3))
    np.testing.assert_allclose(crps(y, draws), exact, atol=4 * 2 / np.sqrt(100_000))


def test_the_fair_estimator_of_few_paths_has_the_mean_of_the_distribution_and_the_plain_one_is_larger():
    draws = np.random.default_rng(8).normal(size=(60_000, 3, 1))
    y = np.zeros((60_000, 1))
    exact = normal_crps(np.zeros(1), np.zeros(1), np.ones(1))[0]
    assert crps(y, draws).mean() == pytest.approx(exact, abs=0.008)
    # Plain lacks a third of the mean distance of two draws, 2 / sqrt(pi); half of that counts.
    assert crps(y, draws, "plain").mean() == pytest.approx(exact + 1 / (3 * np.sqrt(np.pi)), abs=0.008)


def test_pit_values_of_one_more_draw_are_uniform_and_those_of_narrow_paths_are_at_the_ends():
    rng = np.random.default_rng(1)
    y, paths = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, 19, 1))
    even, narrow = (np.histogram(pit_values(y, s * paths, 0), 10, (0, 1))[0] / 20_000 for s in (1, 0.5))
    np.testing.assert_allclose(even, 0.1, atol=0.01)
    assert min(narrow[0], narrow[-1]) > 0.17


def test_pit_values_share_the_rank_of_equal_values():
    # 1 below and 3 equal of 5: ranks 1 to 5 of 6, their middle 3 / 6.
    paths = np.array([0.0, 1.0, 1.0, 1.0, 2.0])[:, None]
    assert pit_values([1.0], paths).tolist() == [0.5]
    drawn = pit_values(np.ones((1000, 1)), np.tile(paths, (1000, 1, 1)), 4)
    assert drawn.min() >= 1 / 6
    assert drawn.max() < 5 / 6
    assert drawn.max() - drawn.min() > 0.6


def test_weighted_quantile_loss_is_twice_the_pinball_loss_over_the_size_of_what_was_observed():
    quantiles = np.array([[-0.4, -1.5, 1.0], [0.3, -1.0, 2.0], [0.5, 0.0, 2.5]])
    # scoringrules.quantile_score, by level
    pinball = np.array([[0.07, 0.03, 0.15], [0.0, 0.1, 0.25], [0.02, 0.12, 0.0]])
    want = 2 * pinball.sum(axis=1) / 4.0
    np.testing.assert_allclose(weighted_quantile_loss(Y, quantiles, [0.1, 0.5, 0.9]), want, rtol=1e-12)
    twice = weighted_quantile_loss([Y, [np.nan] * 3], [quantiles, quantiles], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(twice, want, rtol=1e-12)


@pytest.mark.parametrize("lost", [np.inf, -np.inf, np.nan])
def test_a_path_that_is_not_finite_yields_no_finite_score(lost):
    paths = PATHS.copy()
    paths[2, 1] = lost
    assert np.isfinite(crps(Y, paths)).tolist() == [True, False, True]
    assert not np.isfinite(energy_score(Y, paths))
    assert not np.isfinite(weighted_quantile_loss(Y, paths[:3], [0.1, 0.5, 0.9])[2])
    assert np.isnan(pit_values(Y, paths)[1]) == np.isnan(lost)


@pytest.mark.parametrize(("estimator", "n_paths", "words"), FLAWS)
@pytest.mark.parametrize("score", [crps, energy_score])
def test_an_unknown_estimator_and_too_few_paths_are_refused(score, estimator, n_paths, words):
    with pytest.raises(ArgumentError, match=words):
        score(Y, PATHS[:n_paths], estimator)


@pytest.mark.parametrize("levels", [[0.1, 0.5], [0.0, 0.5, 0.9], [10, 50, 90], 0.5])
def test_levels_that_are_no_probabilities_or_not_as_many_as_quantiles_are_refused(levels):
    with pytest.raises(ArgumentError, match="above 0 and below 1"):
        weighted_quantile_loss(Y, PATHS[:3], levels)
