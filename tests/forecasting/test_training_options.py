"""Training: one object of settings for both estimators, reached by name, never changed; old names still work."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from tests.makers import as_it_stands, make_frame, sysid_record
from tsforce import ClosedLoopSplit, Difference, NARXForecaster, NARXRegressor, Training, tune
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.forecasting.training_options import FIELDS
from tsforce.models import MLP

BOTH = [lambda **own: NARXForecaster(4, 3, **own), lambda **own: NARXRegressor(2, 2, **own)]
IDS = ["forecaster", "regressor"]
# Of each field, a value that is not its default.
OTHERS = {
    "solver": "adamw", "learning_rate": 0.05, "batch_size": 4, "time_limit": 9.0, "validation": False,
    "loss_space": "level", "penalty": 0.1, "initial_outputs": "free", "initial_weight": 2.0,
    "huber_threshold": 3.0, "processes": "torchrun",
}  # fmt: skip
QUICK = {"mode": "closed_loop", "max_steps": 8}


def frame():
    return make_frame((60, 50))


def record():
    u, y = sysid_record(90)
    return u[:, None], y


def forecasts(model):
    return model.fit(frame()).predict()["NARXForecaster"].to_numpy()


def simulated(model):
    X, y = record()
    return model.fit(X, y).predict(X)


# ---- an object


def test_training_is_equal_hashed_shown_copied_and_pickled_by_its_values():
    one, same, other = Training(learning_rate=0.01), Training(learning_rate=0.01), Training(learning_rate=0.02)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert repr(Training()) == "Training()"
    assert repr(Training(validation=False, learning_rate=0.01)) == "Training(learning_rate=0.01, validation=False)"
    for copied in (eval(repr(one)), copy.deepcopy(one), pickle.loads(pickle.dumps(one)), clone(one, safe=False)):
        assert copied == one
    assert dataclasses.replace(one, learning_rate=0.02) == other
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.learning_rate = 1.0


def test_every_field_is_shown_where_it_is_not_the_default():
    assert sorted(OTHERS) == sorted(FIELDS)
    for name, value in OTHERS.items():
        assert repr(Training(**{name: value})) == f"Training({name}={value!r})"


def test_its_signature_names_every_field():
    assert tuple(inspect.signature(Training).parameters) == FIELDS


def test_an_unknown_field_is_named_with_the_nearest_one():
    for call in (
        lambda: Training(lerning_rate=0.1),
        lambda: dataclasses.replace(Training(), lerning_rate=0.1),
        lambda: BOTH[0](training={"lerning_rate": 0.1}).fit(frame()),
        lambda: BOTH[1](training={"lerning_rate": 0.1}).fit(*record()),
        lambda: BOTH[0]().set_params(training__lerning_rate=0.1),
    ):
        with pytest.raises((ArgumentError, ArgumentTypeError), match=r"no 'lerning_rate'.*mean 'learning_rate'\?"):
            call()
    with pytest.raises(TypeError, match="positional"):
        Training("adamw")


@pytest.mark.parametrize("bad", ["adamw", 0.1, [1], Training])
def test_what_is_no_training_is_an_error_of_fit_and_of_nothing_before(bad):
    for make in BOTH:
        model = make(training=bad)
        assert model.get_params()["training"] is bad
        clone(model)
        with pytest.raises(ArgumentTypeError, match=r"training=.*such as Training\(learning_rate=0.01\)"):
            model.fit(frame()) if isinstance(model, NARXForecaster) else model.fit(*record())


# ---- nested parameters


@pytest.mark.parametrize("make", BOTH, ids=IDS)
@pytest.mark.parametrize("given", [None, {}, Training()], ids=["none", "dict", "object"])
def test_get_params_lists_every_field_whatever_training_is(make, given):
    model = make(training=given)
    listed = {name: value for name, value in model.get_params().items() if name.startswith("training__")}
    assert listed == {f"training__{name}": value for name, value in vars(Training()).items()}
    assert not any("__" in name for name in model.get_params(deep=False))
    assert model.training is given


@pytest.mark.parametrize("make", BOTH, ids=IDS)
@pytest.mark.parametrize("given", [None, {"time_limit": 5}, Training(time_limit=5)], ids=["none", "dict", "object"])
def test_set_params_puts_a_new_object_in_place_and_changes_no_shared_one(make, given):
    before = copy.deepcopy(given)
    model, sharing = make(training=given), make(training=given)
    assert model.set_params(training__learning_rate=0.05, max_steps=3) is model
    assert model.training == Training(learning_rate=0.05, time_limit=given and 5)
    assert model.max_steps == 3
    assert sharing.training is given
    assert given == before
    assert model.get_params()["training__learning_rate"] == 0.05


def test_set_params_takes_an_object_and_fields_of_it_at_once_and_keeps_other_nested_parameters():
    model = NARXForecaster(4, 3, model=LinearRegression())
    model.set_params(training__batch_size=8, training=Training(time_limit=5), model__fit_intercept=False)
    assert model.training == Training(time_limit=5, batch_size=8)
    assert model.model.fit_intercept is False
    with pytest.raises(ArgumentError):
        model.set_params(max_steps=9, training__tme_limit=1)
    assert model.max_steps is None
    with pytest.raises(ValueError, match="Invalid parameter 'trainig'"):
        model.set_params(trainig__solver="adamw")


@pytest.mark.parametrize("make", BOTH, ids=IDS)
def test_clone_pickle_and_repr_carry_training_along(make):
    model = make(training=Training(learning_rate=0.05))
    for copied in (clone(model), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert copied.training == model.training
        assert repr(copied) == repr(model)
    assert "training=Training(learning_rate=0.05)" in repr(model)
    assert "training" not in repr(make())
    changed = clone(model).set_params(training__learning_rate=1.0)
    assert (changed.training.learning_rate, model.training.learning_rate) == (1.0, 0.05)
    assert "learning_rate=0.05" in model._repr_html_()


@pytest.mark.parametrize(("make", "run"), list(zip(BOTH, (forecasts, simulated), strict=True)), ids=IDS)
def test_a_dict_an_object_and_nested_names_fit_the_same(make, run):
    own = {"solver": "adamw", "learning_rate": 0.05, "batch_size": 4, "validation": False}
    by_object = run(make(**QUICK, training=Training(**own)))
    assert np.array_equal(run(make(**QUICK, training=own)), by_object)
    nested = make(**QUICK).set_params(**{f"training__{name}": value for name, value in own.items()})
    assert np.array_equal(run(nested), by_object)
    assert not np.array_equal(run(make(**QUICK)), by_object)


def test_both_estimators_hold_out_by_default_what_they_did():
    assert np.array_equal(
        simulated(NARXRegressor(2, 2, **QUICK)), simulated(NARXRegressor(2, 2, **QUICK, training={"validation": 0.2}))
    )
    # On moments 13 windows that 60 rows could spare leave 7 where 6 are held out.
    for solver, df, windows in (("adamw", frame(), 4), ("moments", make_frame((60,)), 6)):
        looks = [
            NARXForecaster(4, 3, **QUICK, training={"solver": solver, "validation": value}).fit(df).history_.frame
            for value in ("auto", windows, 1)
        ]
        own, same, other = (look["closed_loop"] for look in looks)
        pd.testing.assert_series_equal(own, same)
        assert not own.equals(other)


# ---- searches


@pytest.mark.slow
def test_a_grid_search_reaches_inside_and_over_the_loss():
    model = NARXForecaster(
        4, 3, mode="closed_loop", max_steps=30, training=Training(time_limit=60, solver="adamw"), **as_it_stands()
    )
    grid = {"training__learning_rate": [1e-6, 0.05], "loss": ["mae", "mse"]}
    search = GridSearchCV(model, grid, cv=ClosedLoopSplit(horizon=4, n_windows=2)).fit(make_frame((90,)))
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    best = search.best_estimator_
    assert best.training == Training(
        time_limit=60, solver="adamw", learning_rate=search.best_params_["training__learning_rate"]
    )
    assert best.loss == search.best_params_["loss"]
    assert model.training == Training(time_limit=60, solver="adamw")


@pytest.mark.slow
def test_a_search_over_a_regressor_reaches_inside():
    X, y = record()
    grid = {"training__learning_rate": [1e-6, 0.05], "loss": ["mae", "mse"]}
    search = GridSearchCV(NARXRegressor(2, 2, **QUICK), grid, cv=TimeSeriesSplit(2)).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    assert search.best_estimator_.training.learning_rate == search.best_params_["training__learning_rate"]


def test_tune_reaches_inside():
    pytest.importorskip("optuna")
    model = NARXForecaster(4, 3, season_length=7, **as_it_stands(**QUICK))
    space = {"training__learning_rate": (1e-3, 0.1, "log"), "training__batch_size": range(4, 9), "loss": ["mae", "mse"]}
    found = tune(model, make_frame((70,)), space, n_trials=3, n_windows=2)
    assert found.trials_["training__learning_rate"].tolist()[0] == "auto"
    assert found.trials_["mase"].nunique() > 1
    if found.best_params_:
        assert found.best_model_.training.learning_rate == found.best_params_["training__learning_rate"]
    with pytest.raises(ArgumentError, match="mean 'training__learning_rate'"):
        tune(model, make_frame((70,)), {"training__lerning_rate": [0.1]})


# ---- old names

OLD = {"solver": "adamw", "learning_rate": 0.05, "batch_size": 4, "validation": False}


@pytest.mark.parametrize(("make", "run"), list(zip(BOTH, (forecasts, simulated), strict=True)), ids=IDS)
def test_old_keywords_warn_at_the_callers_line_and_fit_the_same_to_the_bit(make, run):
    with pytest.warns(FutureWarning) as caught:
        old = make(**QUICK, **OLD)
    assert len(caught) == len(OLD)
    for warning, name in zip(caught, [name for name in FIELDS if name in OLD], strict=True):
        assert f"training=Training({name}=...)" in str(warning.message)
        assert f"training__{name}" in str(warning.message)
        assert warning.filename == __file__
    assert old.training == Training(**OLD)
    with pytest.warns(FutureWarning):
        given = make(**QUICK).set_params(**OLD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = run(make(**QUICK, training=Training(**OLD)))
        assert np.array_equal(run(clone(old)), new)
        assert np.array_equal(run(given), new)


@pytest.mark.parametrize("make", BOTH, ids=IDS)
@pytest.mark.parametrize("name", FIELDS)
def test_an_old_attribute_is_read_and_written_through_training(make, name):
    shared = Training(**{other: OTHERS[other] for other in FIELDS if other != name})
    model = make(training=shared)
    with pytest.warns(FutureWarning, match=rf"training=Training\({name}=\.\.\.\)"):
        assert getattr(model, name) == vars(Training())[name]
    with pytest.warns(FutureWarning, match=f"training__{name}"):
        setattr(model, name, OTHERS[name])
    assert model.training == Training(**OTHERS)
    assert vars(shared)[name] == vars(Training())[name]
    assert name not in vars(model)


def test_an_old_keyword_is_taken_on_top_of_training():
    with pytest.warns(FutureWarning):
        model = NARXForecaster(4, 3, training=Training(time_limit=5), batch_size=8)
    assert model.training == Training(time_limit=5, batch_size=8)


@pytest.mark.parametrize("make", BOTH, ids=IDS)
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mod", "'mode'"),
        ("max_step", "'max_steps'"),
        ("lerning_rate", r"training=Training\(learning_rate=\.\.\.\)"),
        ("training__solver", r"training=Training\(solver=\.\.\.\)"),
    ],
)
def test_a_keyword_that_is_none_is_a_type_error_that_names_the_nearest(make, name, meant):
    with pytest.raises(TypeError, match=rf"no argument '{name}'\. Did you mean {meant}\?"):
        make(**{name: 1})
    with pytest.raises(TypeError, match=r"no argument 'zzz'\.$"):
        make(zzz=1)


def test_other_attributes_are_missing_as_ever():
    for make in BOTH:
        with pytest.raises(AttributeError, match="no attribute 'model_'"):
            make().model_  # noqa: B018


@pytest.mark.parametrize("kind", [NARXForecaster, NARXRegressor])
def test_the_signature_holds_no_old_name(kind):
    names = inspect.signature(kind).parameters
    assert "training" in names
    assert not set(names) & set(FIELDS)
    assert all(one.kind is not one.VAR_KEYWORD for one in names.values())


# ---- what Levenberg-Marquardt has


def second_order(seed, rows=300, noise=0.3):
    rng = np.random.default_rng(seed)
    u, y = rng.normal(size=rows), np.zeros(rows)
    for t in range(2, rows):
        y[t] = 1.5 * y[t - 1] - 0.7 * y[t - 2] + u[t - 1]
    return u, y + noise * y.std() * rng.normal(size=rows)


def poles(seed, **training):
    u, y = second_order(seed)
    df = pd.DataFrame({"ds": np.arange(300), "y": y, "u": u})
    model = NARXForecaster(
        10, 2, scope="local", future_exog=["u"], exog_lags=[1], season_length=1, mode="closed_loop", ridge=0.0,
        training=Training(solver="levenberg_marquardt", validation=False, **training),
    ).fit(df)  # fmt: skip
    return model.model_.weight[0, :2, 0].numpy()


@pytest.mark.slow
def test_free_initial_outputs_find_a_noisy_system_that_a_forecaster_misses_from_measured_ones():
    found = {starts: np.mean([poles(s, initial_outputs=starts) for s in range(3)], axis=0) for starts in
             ("measured", "free")}  # fmt: skip
    bias = {starts: np.abs(found[starts] - [-0.7, 1.5]).max() for starts in found}
    assert bias["free"] < 0.5 * bias["measured"]
    assert bias["free"] < 0.05


def test_measured_initial_outputs_are_the_default_and_the_limit_of_a_great_weight():
    measured = poles(0)
    assert np.array_equal(measured, poles(0, initial_outputs="measured"))
    held = poles(0, initial_outputs="free", initial_weight=1e9)
    np.testing.assert_allclose(held, measured, atol=1e-5)
    assert np.abs(poles(0, initial_outputs="free") - measured).max() > 0.01


SEEN_THROUGH = {
    "differences": {"target_transforms": [Difference(7)]},
    "window scaling": {"window_scaling": "standard"},
    "missing values": {"missing": "own_output"},
}


# Few steps from poor weights: some models run away, and say so.
@pytest.mark.filterwarnings("ignore::tsforce.errors.DivergenceWarning")
@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("case", SEEN_THROUGH)
def test_free_initial_outputs_lower_the_loss_whatever_a_forecaster_sees_its_target_through(case, scope):
    """They are more unknowns of one sum of squares that starts at the same place, and end no higher."""
    df = frame()
    if case == "missing values":
        df.loc[[20, 30, 31], "y"] = np.nan
    losses = []
    for starts in ("measured", "free"):
        training = Training(solver="levenberg_marquardt", validation=False, initial_outputs=starts)
        own = {"mode": "closed_loop", "max_steps": 30, "season_length": 7, **SEEN_THROUGH[case]}
        model = NARXForecaster(4, 3, scope=scope, **own, training=training)
        losses.append(model.fit(df).history_.frame["loss"].iloc[-1])
        assert np.isfinite(model.predict()["NARXForecaster"]).all()
    assert losses[1] < 0.99 * losses[0]


def test_a_penalty_ends_at_the_optimum_of_mean_squares_and_half_of_it_times_squared_weights():
    """One step ahead a linear map's optimum has a closed form."""
    X, y = record()
    model = NARXRegressor(
        1, 1, mode="open_loop", max_steps=200,
        training=Training(solver="levenberg_marquardt", validation=False, penalty=0.3),
    ).fit(X, y)  # fmt: skip
    scaled, u = (y - y.mean()) / y.std(), (X[:, 0] - X[:, 0].mean()) / X[:, 0].std()
    rows, n = np.column_stack([scaled[:-1], u[1:], np.ones(89)]), 89
    # Mean of squares + .3 / 2 * squares of all weights, the intercept among them.
    weights = np.linalg.solve(rows.T @ rows / n + 0.15 * np.eye(3), rows.T @ scaled[1:] / n)
    found = np.r_[model.model_.weight[0, :, 0].numpy(), model.model_.bias[0].numpy()]
    np.testing.assert_allclose(found, weights, rtol=1e-6, atol=1e-9)


ERRORS = {
    "penalty below 0": ({"penalty": -1.0}, {}, r"penalty=-1\.0: expected a number of at least 0"),
    "penalty in words": ({"penalty": "auto"}, {}, "penalty='auto': expected a number"),
    "weight 0": ({"initial_weight": 0}, {}, "initial_weight=0: expected a number above 0"),
    "starts": ({"initial_outputs": "fre"}, {}, "Did you mean 'free'"),
    "penalty of AdamW": (
        {"solver": "adamw", "penalty": 0.1}, {}, r"penalty=0\.1: solver='adamw' has none.*levenberg_marquardt'\)"
    ),
    "penalty of a regressor": ({"penalty": 0.1}, {"model": LinearRegression()}, "solver='auto' has none"),
    "penalty of least squares": ({"penalty": 0.1}, {"mode": "open_loop"}, "that of least squares is ridge="),
    "weight without use": ({"initial_weight": 2.0}, {}, r"initial_weight=2\.0.*Training\(initial_outputs='free'\)"),
    "free under AdamW": ({"initial_outputs": "free", "solver": "adamw"}, {}, "Levenberg-Marquardt does"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_a_solver_does_not_do_is_refused_for_both_estimators(case):
    training, own, words = ERRORS[case]
    given = {"mode": "closed_loop"} | own
    with pytest.raises(ArgumentError, match=words):
        NARXForecaster(4, 3, training=Training(**training), **given).fit(frame())
    with pytest.raises(ArgumentError, match=words):
        NARXRegressor(2, 2, training=Training(**training), **given).fit(*record())


def test_a_regressor_under_a_loss_on_original_units_is_trained_by_adamw():
    """Over each record's own scale a quiet record counts as much as a loud one."""
    X, y = record()
    both, loud = (np.r_[X, X], np.r_[y, 20 * y]), {"session_sizes": [90, 90]}
    found = [
        NARXRegressor(2, 2, model=MLP((3,), "tanh"), **QUICK, training=Training(solver="adamw", loss_space=space))
        .fit(*both, **loud)
        .predict(X)
        for space in ("model", "level")
    ]
    assert not np.array_equal(*found)
    auto = NARXRegressor(2, 2, **QUICK, training=Training(loss_space="level")).fit(X, y)
    assert "AdamW" in auto.history_.solver
    assert "Levenberg" in NARXRegressor(2, 2, **QUICK).fit(X, y).history_.solver
