"""Many small problems of least squares side by side."""

from __future__ import annotations

import numpy as np
import pytest

from tsforce.smoothing.levenberg import least_squares

X = np.arange(6.0)
RATES = np.array([0.3, -0.5, 0.1, 0.0])


def growth(calls=None):
    """Return the normal equations of y = exp(rate x), and keep which problems are asked for."""

    def normal_equations(at, which):
        if calls is not None:
            calls.append(which.tolist())
        miss = np.exp(at[0][:, None] * X) - np.exp(RATES[which][:, None] * X)
        slope = X * np.exp(at[0][:, None] * X)
        return (miss**2).sum(1), (miss * slope).sum(1)[:, None], (slope**2).sum(1)[:, None, None]

    return normal_equations


@pytest.mark.parametrize("at_once", [1, 3, 10])
def test_each_problem_ends_where_it_would_alone_however_many_are_asked_for_at_once(at_once):
    start = np.array([[0.0, 0.0, 0.0, 0.0]])
    at, squares = least_squares(growth(), start, rounds=12, bounds=(-1, 1), at_once=at_once)
    np.testing.assert_allclose(at[0], RATES, atol=1e-4)
    np.testing.assert_allclose(squares, 0, atol=1e-6)
    together, _ = least_squares(growth(), start, rounds=12, bounds=(-1, 1), at_once=4)
    np.testing.assert_array_equal(at, together)


def test_problems_at_rest_are_not_asked_for_again():
    calls = []
    least_squares(growth(calls), RATES[None] + [[0.0, 0.1, 0.0, 0.0]], rounds=12, bounds=(-1, 1), at_once=4)
    assert calls[0] == [0, 1, 2, 3]
    assert calls[-1] == [1]
    assert sum(0 in call for call in calls) < len(calls)
