"""What is saved comes back: every kind of value, of frame, of model."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

import tsforce
from tests.makers import make_frame, sysid_record
from tests.persistence.mutations import members_of, zipped
from tsforce import (
    AutoNARX,
    Baseline,
    BoxCox,
    Difference,
    Ensemble,
    Log,
    MeanScale,
    NARXForecaster,
    NARXRegressor,
    Standardize,
    Training,
)
from tsforce.dynamics.models.families import Linear
from tsforce.errors import ArgumentError, PersistenceError
from tsforce.lag_transforms import RollingMean
from tsforce.models import MLP, Polynomial
from tsforce.persistence.registry import key_of
from tsforce.persistence.tree_reading import Reader
from tsforce.persistence.tree_writing import Writer


def through(value):
    """The value out of a tree that it was put into."""
    writer = Writer(lambda held: frozenset())
    node = writer.node(value, "model")
    return Reader(dict(writer.arrays), [], [], writer.own).of(node, "model")


def saved(model, tmp_path, **given):
    model.save(tmp_path / "model")
    return tsforce.load(tmp_path / "model", **given)


def same(frame, other):
    pd.testing.assert_frame_equal(frame, other, check_exact=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**70,
        -0.1,
        1e-310,
        "téxt\u0000",
        (1, "a", (2.0, None)),
        [],
        {"a": 1, 2: [3], (1, "b"): None},
        {f"id{k}": k / 7 for k in range(20)},
        {k: f"id{k}" for k in range(20)},
        [float("nan")] * 20,
        list(range(20)),
        [2**70] * 20,
        ["a", "b"] * 10,
        [[0.5, 1.5]] * 20,
        [[0.5], [1.5, 2.5]] * 10,
        [[1], [2]] * 10,
        frozenset({1, 2}),
        range(2, 9, 3),
        np.float64(0.1),
        np.int32(4),
        torch.float32,
        torch.device("cpu"),
        np.dtype("M8[ms]"),
        pd.CategoricalDtype(["b", "a"], ordered=True),
        pd.Timestamp("2024-03-31 03:00", tz="Europe/Berlin"),
        pd.Timestamp("1900-01-01").as_unit("s"),
        pd.offsets.MonthBegin(2),
        pd.DateOffset(months=1, day=15),
        pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue", holidays=["2024-01-01"]),
        pd.Timedelta("90min"),
        Difference(3),
        MLP((8, 4), "tanh"),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(value):
    found = through(value)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def of_defaults(classes):
    """One object of each class that can be made without arguments, and those that take an argument made with it."""
    sizes = {"window_size": 3, "season_length": 2, "p": 0.5, "alpha": 0.3, "forcing": tsforce.ClosedLoop(), "every": 2}
    for cls in classes:
        needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
        yield cls(**{name: sizes[name] for name in needed})


@pytest.mark.parametrize("door", ["forcing", "lag_transforms", "models"])
def test_whatever_a_door_has_to_give_comes_back(door):
    names = getattr(tsforce, door).__all__
    classes = [c for c in (getattr(getattr(tsforce, door), name) for name in names) if is_dataclass(c)]
    made = list(of_defaults(cls for cls in classes if key_of(cls)))
    assert len(made) >= {"forcing": 15, "lag_transforms": 12, "models": 6}[door]
    for one in made:
        found = through(one)
        assert type(found) is type(one)
        assert found == one


def test_what_is_no_number_comes_back_as_such():
    assert repr(through([float("inf"), float("-inf"), float("nan"), -0.0])) == "[inf, -inf, nan, -0.0]"
    assert through(timedelta(hours=1)) == pd.Timedelta(hours=1)
    assert through(pd.NaT) is pd.NaT


@pytest.mark.parametrize("kind", ["?", "i1", "u8", "f2", "f4", "f8", "M8[us]", "m8[s]", "O", "U3"])
def test_an_array_comes_back_with_its_dtype_and_its_order_in_memory(kind):
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(kind)
    for one in (array, array.T, np.asfortranarray(array), array[:, ::2], array[:0], array[0, 0, None][0:]):
        found = through(one)
        assert found.dtype == one.dtype
        np.testing.assert_array_equal(found, one)
    if kind not in ("O", "U3", "M8[us]", "m8[s]"):
        assert through(array.T).strides == array.T.strides


def test_a_tensor_comes_back_with_its_gradient_and_its_order_in_memory():
    weight = nn.Parameter(torch.arange(6.0).reshape(2, 3).mT, requires_grad=False)
    found = through({"a": weight, "b": weight, "c": torch.arange(4).expand(3, 4)})
    assert isinstance(found["a"], nn.Parameter)
    assert not found["a"].requires_grad
    assert found["a"] is found["b"]
    assert found["a"].stride() == weight.stride()
    assert found["a"].tolist() == weight.tolist()
    assert found["c"].tolist() == [[0, 1, 2, 3]] * 3


@pytest.mark.parametrize(
    "column",
    [
        pd.Index([3, 1]),
        pd.Index(["a", "b"]),
        pd.Index(["a", 1], dtype=object),
        pd.Index(["a", None], dtype="string"),
        pd.CategoricalIndex(["x", "y"], categories=["y", "x", "z"]),
        pd.array([1, None], dtype="Int16"),
        pd.date_range("2024-03-30", periods=3, freq="D", tz="Europe/Berlin", unit="us"),
        pd.DatetimeIndex(["2024-01-01", None]).tz_localize("+02:00"),
        pd.RangeIndex(2, 8, 2),
    ],
    ids=lambda column: str(column.dtype),
)
def test_a_column_of_pandas_comes_back_with_its_dtype(column):
    found = through(column)
    assert type(found) is type(column)
    assert found.dtype == column.dtype
    assert found.equals(column)


@pytest.mark.parametrize("value", [SimpleNamespace(), lambda: 0, print, 1j, np.array([1j]), object, {1: [open]}])
def test_what_cannot_be_saved_is_an_error_that_says_where_it_stands(value):
    with pytest.raises(PersistenceError, match=r"model.*: an? .* cannot be saved"):
        Writer(lambda held: frozenset()).node(value, "model")


# ---- models


def frames():
    monthly = make_frame((60, 50), freq="MS")
    zoned = make_frame((60, 50), freq="h")
    zoned["ds"] = zoned["ds"].dt.tz_localize("Europe/Berlin", nonexistent="shift_forward", ambiguous=True)
    named = make_frame((60, 50), freq="W-SUN").rename(columns={"unique_id": "shop", "ds": "week", "y": "sales"})
    sorts = make_frame((60, 50), freq="B")
    sorts["unique_id"] = pd.Categorical(sorts["unique_id"], categories=["s1", "s0"])
    numbers = make_frame((60, 50), ids=[7, 3])
    return {"monthly": monthly, "zoned": zoned, "named": named, "categorical": sorts, "numbers": numbers}


@pytest.mark.parametrize("kind", frames())
def test_the_frame_that_a_loaded_model_reads_and_writes_is_that_of_the_saved_one(kind, tmp_path):
    df = frames()[kind]
    columns = {"id_col": "shop", "time_col": "week", "target_col": "sales"} if kind == "named" else {}
    model = NARXForecaster(3, 4, mode="open_loop", **columns).fit(df)
    loaded = saved(model, tmp_path)
    same(loaded.predict(), model.predict())
    same(loaded.train_end_, model.train_end_)
    same(loaded.predict(history=df), model.predict(history=df))


def test_a_model_of_polars_frames_gives_polars_frames(tmp_path):
    polars = pytest.importorskip("polars")
    model = Baseline("drift", horizon=2).fit(polars.from_pandas(make_frame((20,), freq="D")))
    assert saved(model, tmp_path).predict().equals(model.predict())


def test_inputs_of_every_kind_go_on_as_they_were_learnt(tmp_path):
    rng = np.random.default_rng(0)
    df = make_frame((60, 50), freq="D")
    df["price"], df["rain"], df["sort"] = rng.normal(size=110), rng.normal(size=110), df["unique_id"] + "!"
    model = NARXForecaster(
        3, 4, past_exog=["rain"], future_exog=["price"], static=["sort"], calendar=["dayofweek"], mode="open_loop",
        lag_transforms={1: [RollingMean(3), RollingMean(5, min_samples=2)]},
    ).fit(df)  # fmt: skip
    days = pd.date_range("2024-07-01", periods=3)
    ahead = pd.concat([pd.DataFrame({"unique_id": name, "ds": days, "price": 1.0}) for name in ("s0", "s1")])
    same(saved(model, tmp_path).predict(future_df=ahead), model.predict(future_df=ahead))


@pytest.mark.parametrize(
    "settings",
    [
        {
            "target_col": ["y", "z"],
            "model": MLP((4,)),
            "mode": "open_loop",
            "max_steps": 2,
            "training": Training(batch_size=8),
        },
        {"target_transforms": [BoxCox(), Difference(1)], "scope": "local", "loss": "huber"},
        {"model": Polynomial(n_terms=3), "target_transforms": [Log()], "ridge": 1.0, "mode": "open_loop"},
        {"missing": "own_output", "mode": tsforce.forcing.TeacherForcingRatio(0.5), "max_steps": 2},
        {"model": "lstm", "max_steps": 2, "training": {"batch_size": 8}, "mode": "closed_loop"},
        {"prior": "smoothing", "scope": "local", "intercept": 3.0},
    ],
    ids=str,
)
def test_settings_come_back_with_their_forecasts(settings, tmp_path):
    df = make_frame((60, 50))
    if "target_col" in settings:
        df["z"] = df["y"][::-1].to_numpy()
    if "missing" in settings:
        df.loc[[20, 21], "y"] = np.nan
    model = NARXForecaster(3, 4, **settings).fit(df)
    loaded = saved(model, tmp_path)
    same(loaded.predict(), model.predict())
    assert repr(loaded.get_params()) == repr(model.get_params())
    same(loaded.history_.frame, model.history_.frame)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "open_loop"},
        {"model": Polynomial(n_terms=3), "mode": "open_loop"},
        {"model": MLP((4,), "tanh"), "max_steps": 3},
    ],
    ids=str,
)
def test_a_regressor_simulates_goes_on_and_is_updated_as_before(settings, tmp_path):
    u, y = sysid_record(200)
    model = NARXRegressor(2, 2, **settings).fit(u[:150, None], y[:150])
    loaded = saved(model, tmp_path)
    for call in ("predict", "one_step"):
        given = (u[150:, None],) if call == "predict" else (u[150:, None], y[150:])
        np.testing.assert_array_equal(getattr(loaded, call)(*given), getattr(model, call)(*given))
    np.testing.assert_array_equal(loaded.predict(u[:150, None]), model.predict(u[:150, None]))
    if model.kept_mode_ == "open_loop" and "max_steps" not in settings:
        for one in (loaded, model):
            one.update(u[150:, None], y[150:])
        np.testing.assert_array_equal(loaded.predict(u[:, None], "rest"), model.predict(u[:, None], "rest"))


def test_bounds_that_were_asked_for_come_back_and_new_ones_take_the_training_rows(tmp_path):
    model = NARXForecaster(2, 3, mode="open_loop").fit(make_frame((60, 50)))
    with pytest.raises(ArgumentError, match=r"save\(path, training_rows=True\)"):
        saved(model, tmp_path).predict(level=80)
    with pytest.raises(ArgumentError, match=r"sample_paths takes the rows .* save\(path, training_rows=True\)"):
        saved(model, tmp_path).sample_paths(3)
    model.save(tmp_path / "all", training_rows=True)
    loaded = tsforce.load(tmp_path / "all")
    same(loaded.sample_paths(3), model.sample_paths(3))
    bounds = model.predict(level=80)
    same(loaded.predict(level=80), bounds)
    same(saved(model, tmp_path).predict(level=80), bounds)


def test_an_automatic_choice_is_explained_after_loading_if_its_rows_were_saved(tmp_path):
    df = make_frame((60, 50))
    model = AutoNARX(2, season_length=7, budget="fast", time_limit=0.01).fit(df)
    model.save(tmp_path / "all", training_rows=True)
    loaded = tsforce.load(tmp_path / "all")
    same(loaded.leaderboard_, model.leaderboard_)
    assert str(loaded.explain("s1")) == str(model.explain("s1"))
    with pytest.raises(ArgumentError, match="explain takes the rows"):
        saved(model, tmp_path).explain("s1")


def test_one_that_was_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="is not fitted"):
        Baseline("naive").save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# ---- classes of the user's own


class Damped(nn.Module):
    """A step model of one's own: what the linear map says, pulled towards the last value."""

    def __init__(self, start):
        super().__init__()
        self.layout, self.start = start.layout, start
        self.pull = nn.Parameter(torch.full((len(start.weight), 1, 1), 0.5, dtype=torch.float64))

    def init_state(self, past):
        return None

    def step(self, x, state):
        output, _ = self.start.step(x, None)
        last = x[..., len(self.layout.lags) - 1, None, None]
        return output + self.pull[..., None] * (last - output), None


@dataclass(frozen=True)
class DampedLinear(Linear):
    closed_form = False

    def build(self, start, keys, dtype=None):
        return Damped(super().build(start, keys, dtype))


class LastButOne(tsforce.Forecaster):
    """A forecaster of one's own, which knows nothing of files."""

    def __init__(self, horizon=2):
        self.horizon = horizon

    def fit(self, df, y=None, *, mode=None):
        tsforce.forecasting.parts.begin_fit(self, y)
        panel = self.read(df)
        tsforce.forecasting.parts.end_fit(self, panel, 1)
        return self

    def predict(self, horizon=None, *, future_df=None, history=None):
        panel = self._rows_ if history is None else self.read(history)
        last = panel.values[panel.indptr[1:] - 2, 0]
        return self.write(panel, np.repeat(last[:, None], horizon or self.horizon, axis=1))


def test_a_step_model_of_ones_own_is_loaded_when_its_classes_are_said(tmp_path):
    model = NARXForecaster(2, 3, model=DampedLinear(), max_steps=2, training=Training(batch_size=8), mode="closed_loop")
    model.fit(make_frame((60, 50)))
    loaded = saved(model, tmp_path, models={"Damped": Damped, "DampedLinear": DampedLinear})
    same(loaded.predict(), model.predict())
    with pytest.raises(PersistenceError, match=r"the class 'DampedLinear', .* models=\{'DampedLinear': DampedLinear\}"):
        tsforce.load(tmp_path / "model", models={"Damped": Damped})


def test_a_forecaster_of_ones_own_is_saved_alone_and_in_an_ensemble(tmp_path):
    df = make_frame((60, 50))
    for model in (LastButOne(), Ensemble([LastButOne(), Baseline("naive", horizon=2)])):
        model.fit(df)
        same(saved(model, tmp_path, models={"LastButOne": LastButOne}).predict(), model.predict())


def test_a_regressor_of_scikit_learn_is_loaded_without_a_word_if_it_is_plain(tmp_path):
    pytest.importorskip("skops")
    model = NARXForecaster(2, 3, model=Ridge(), scope="local", mode="open_loop").fit(make_frame((60, 50)))
    same(saved(model, tmp_path).predict(), model.predict())


def test_trees_of_lightgbm_are_its_own_text_and_are_looked_at_before_it_reads_them(tmp_path):
    lightgbm = pytest.importorskip("lightgbm")
    regressor = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=3, verbose=-1, n_jobs=1)
    model = NARXForecaster(2, 3, model=regressor, mode="open_loop").fit(make_frame((60, 50)))
    loaded = saved(model, tmp_path)
    same(loaded.predict(), model.predict())
    assert loaded.model.get_params() == regressor.get_params()
    members = members_of((tmp_path / "model").read_bytes())
    text = members["booster-0.txt"].decode()
    for old, new, words in (
        (text[:40], "", "no text of LightGBM's|does not write"),
        ("num_class=1", "num_class=2", "trees of several classes"),
        ("is_linear=0", "is_linear=1", "linear leaves, and with categories"),
        ("shrinkage=", "own=", "lines that LightGBM does not write"),
        ("leaf_value=", "leaf_value=0 ", "has not the leaves that it says"),
        ("threshold=", "threshold=0 ", "has not the branches that it says"),
        ("end of trees\n", "", "no text of LightGBM's"),
    ):
        other = members | {"booster-0.txt": text.replace(old, new, 1).encode()}
        (tmp_path / "model").write_bytes(zipped(other))
        with pytest.raises(PersistenceError, match=f"booster-0.txt: .*({words})"):
            tsforce.load(tmp_path / "model")


@pytest.mark.parametrize(
    "given",
    [{"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, {"objective": "quantile", "alpha": 0.8}],
)
def test_other_kinds_of_lightgbm_are_saved_exactly(tmp_path, given):
    lightgbm = pytest.importorskip("lightgbm")
    regressor = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=3, verbose=-1, n_jobs=1, **given)
    model = NARXForecaster(2, 3, model=regressor, mode="open_loop").fit(make_frame((60, 50)))
    same(saved(model, tmp_path).predict(), model.predict())


def test_linear_trees_of_lightgbm_are_refused_when_they_are_to_be_saved(tmp_path):
    lightgbm = pytest.importorskip("lightgbm")
    regressor = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=3, verbose=-1, n_jobs=1, linear_tree=True)
    model = NARXForecaster(2, 3, model=regressor, mode="open_loop").fit(make_frame((60, 50)))
    with pytest.raises(
        PersistenceError, match=r"with linear leaves.* neither saved nor loaded; fit with linear_tree=F"
    ):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_types_that_are_followed_unseen_are_made_only_where_they_are_trusted(tmp_path):
    pytest.importorskip("skops")
    from sklearn.tree import DecisionTreeRegressor

    model = NARXForecaster(2, 3, model=DecisionTreeRegressor(max_depth=2), mode="open_loop").fit(make_frame((60, 50)))
    model.save(tmp_path / "model")
    with pytest.raises(PersistenceError, match=r"regressors.skops: .* trusted=\['sklearn.tree._tree.Tree'\]"):
        tsforce.load(tmp_path / "model")
    same(tsforce.load(tmp_path / "model", trusted=["sklearn.tree._tree.Tree"]).predict(), model.predict())


# ---- all of them, and other processes


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "mlp", "encoder_decoder"])
def test_every_model_under_every_mode_and_transform_comes_back(model, tmp_path):
    df = make_frame((60, 50), freq="D")
    made = itertools.count()
    few = {"max_steps": 1, "training": Training(batch_size=4, validation=False)}
    for mode, transforms, scope in itertools.product(
        ("open_loop", "closed_loop", "curriculum", "auto"),
        (
            (),
            [Log()],
            [BoxCox()],
            [Difference(7)],
            [Standardize()],
            [MeanScale()],
            [Log(), Difference(1), Difference(7)],
        ),
        ("local", "global"),
    ):
        settings = {} if model == "linear" and mode == "open_loop" else few
        fitted = NARXForecaster(3, 2, model=model, scope=scope, target_transforms=transforms, **settings)
        fitted.fit(df, mode=mode)
        same(saved(fitted, tmp_path).predict(), fitted.predict())
        next(made)
    assert next(made) == 56


@pytest.mark.slow
def test_another_process_and_other_threads_come_to_the_same(tmp_path):
    df = make_frame((120, 110, 100), freq="D")
    models = {
        "linear": NARXForecaster(6, 14, scope="local"),
        "gru": NARXForecaster(6, 7, model="gru", max_steps=4, training=Training(batch_size=8)),
        "auto": AutoNARX(6, budget="fast"),
    }
    for name, model in models.items():
        model.fit(df).save(tmp_path / name)
        model.predict_at(df, ["2024-06-10", "2024-06-20"]).to_parquet(tmp_path / f"{name}.parquet")
    df.to_parquet(tmp_path / "df.parquet")
    code = (
        "import sys, numpy, pandas, torch, tsforce\n"
        "folder, threads = sys.argv[1], int(sys.argv[2]); torch.set_num_threads(threads)\n"
        "df = pandas.read_parquet(f'{folder}/df.parquet')\n"
        "for name in sys.argv[3:]:\n"
        "    found = tsforce.load(f'{folder}/{name}').predict_at(df, ['2024-06-10', '2024-06-20'])\n"
        "    was = pandas.read_parquet(f'{folder}/{name}.parquet')\n"
        "    close = {1: 0.0, 2: 1e-5 if name == 'gru' else 1e-12}[threads]\n"
        "    numpy.testing.assert_allclose(found.iloc[:, -1], was.iloc[:, -1], rtol=close, atol=0)\n"
    )
    for threads in (1, 2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), str(threads), *models], check=True)
