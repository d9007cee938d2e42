"""scikit-learn's own checks, on the regressor: all of them but two that no model with lags can pass."""

from __future__ import annotations

import pytest
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import (
    check_methods_sample_order_invariance,
    check_methods_subset_invariance,
    estimator_checks_generator,
    parametrize_with_checks,
)

from tsforce import NARXRegressor, Training
from tsforce.models import MLP, Polynomial

# Rows that are no time series may make a polynomial that is not stable in closed loop.
pytestmark = pytest.mark.filterwarnings("ignore::tsforce.errors.DivergenceWarning")

EXPECTED = {
    "check_methods_sample_order_invariance": "rows are in time order: a simulation of shuffled inputs is another one",
    "check_methods_subset_invariance": "a row's output depends on the rows before it, which a batch of one row lacks",
}
# One step of each: the contract is of shapes, errors and parameters, whatever the weights.
MODELS = [
    NARXRegressor(max_steps=1),
    NARXRegressor(mode="open_loop", training=Training(validation=False)),
    NARXRegressor(model=MLP((3,), "tanh"), max_steps=1),
    NARXRegressor(
        model="mlp", training=Training(solver="adamw", batch_size=4), mode="curriculum", max_steps=1, horizon=3
    ),
    NARXRegressor(model=Ridge(), max_steps=1),
    NARXRegressor(model=Polynomial(n_terms=5), mode="open_loop"),
]


def expected_failed_checks(estimator):
    return EXPECTED


@parametrize_with_checks(MODELS, expected_failed_checks=expected_failed_checks)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_methods_sample_order_invariance, check_methods_subset_invariance])
@pytest.mark.parametrize("model", MODELS, ids=range(len(MODELS)))
def test_the_expected_failures_do_fail(model, check):
    with pytest.raises(AssertionError):
        check("NARXRegressor", model)


def test_two_checks_may_fail_and_are_among_those_run():
    names = [
        check.func.__name__
        for _, check in estimator_checks_generator(NARXRegressor(), legacy=True, expected_failed_checks=None)
    ]
    assert len(EXPECTED) == 2
    assert set(EXPECTED) < set(names)
    assert len(names) > 45
