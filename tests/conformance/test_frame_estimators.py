"""scikit-learn's checks on the forecasters: every one that does not feed arrays, by name; the rest do feed arrays."""

from __future__ import annotations

import contextlib
import warnings

import pytest
from sklearn.utils import estimator_checks

from tests.conformance.test_forecasters import INSTANCES
from tsforce import Baseline

# Forecasters learn from a long frame whose target is one of its columns: a check that calls fit(X, y) with arrays has
# nothing to say of them.
WITHOUT_ARRAYS = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]
CASES = [
    pytest.param(getattr(estimator_checks, check), make, id=f"{name}-{number}-{check[6:]}")
    for name, makers in INSTANCES.items()
    for number, make in enumerate(makers)
    for check in WITHOUT_ARRAYS
]


@pytest.mark.parametrize(("check", "make"), CASES)
def test_checks_that_feed_no_arrays(check, make):
    model = make()
    check(type(model).__name__, model)


class Probe(Baseline):
    """Counts how often it is given a y beside the first argument."""

    fed = 0

    def fit(self, df, y=None, *, mode=None):
        Probe.fed += y is not None
        raise RuntimeError("enough seen")


def test_every_other_check_feeds_arrays():
    others = []
    for model, check in estimator_checks.estimator_checks_generator(Probe("naive", horizon=2), legacy=True):
        name = check.func.__name__
        # Which scikit-learn itself leaves out here.
        if name in (*WITHOUT_ARRAYS, "check_array_api_input"):
            continue
        before = Probe.fed
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            check(model)
        assert Probe.fed > before, name
        others.append(name)
    assert len(others) > 20
