"""check_blind: forecasters, transforms and functions that look ahead are found, and what they read is named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.makers import make_frame
from tsforce import Baseline, Ensemble, Forecaster, Log, NARXForecaster, check_blind
from tsforce.data.frame import resolve_cutoffs
from tsforce.data.transforms import Transform
from tsforce.errors import ArgumentError, ArgumentTypeError
from tsforce.forecasting.parts import begin_fit, end_fit, horizon_of

H = 4


class Mine(Forecaster):
    """The last value plus something that a subclass says of the panel and a window, in one predict_at."""

    def __init__(self, horizon=H, *, past_exog=(), future_exog=()):
        self.horizon = horizon
        self.past_exog = past_exog
        self.future_exog = future_exog

    def fit(self, df, y=None, *, mode=None):
        begin_fit(self, y)
        self._panel_ = self.read(df)
        end_fit(self, self._panel_, 1)
        return self

    def predict(self, horizon=None, *, future_df=None, history=None):
        panel = self._panel_ if history is None else self.read(history)
        return self.write(panel, self.numbers(panel, panel.last_rows(), horizon_of(self, horizon)))

    def predict_at(self, df, cutoffs, horizon=None, *, level=None):
        panel = self.read(df)
        index = resolve_cutoffs(panel, cutoffs)
        return self.write(panel, self.numbers(panel, index, horizon_of(self, horizon)), cutoffs=index)

    def numbers(self, panel, index, steps):
        places = panel.indptr[index.series] + index.rows
        last = panel.values[places, 0]
        added = [self.added(panel, s, r) for s, r in zip(index.series, index.rows, strict=True)]
        return np.repeat((last + added)[:, None], steps, axis=1)

    def added(self, panel, series, row):
        return 0.0


class MeanOfAll(Mine):
    def added(self, panel, series, row):
        return np.nanmean(panel.values)


class OneRowAfter(Mine):
    def added(self, panel, series, row):
        end = panel.indptr[series + 1] - 1
        return 0.01 * panel.values[min(panel.indptr[series] + row + 1, end), 0]


class PastInputsOfLater(Mine):
    def added(self, panel, series, row):
        return panel.inputs[min(panel.indptr[series] + row + 2, panel.indptr[series + 1] - 1), 0]


class InputsAfterTheHorizon(Mine):
    def added(self, panel, series, row):
        after = np.minimum(panel.indptr[series] + row + np.array([1, H + 2]), panel.indptr[series + 1] - 1)
        return panel.inputs[after, 0].sum()


class CountsRows(Mine):
    def added(self, panel, series, row):
        return float(panel.lengths[series])


class NeedsOneRowMore(Mine):
    def added(self, panel, series, row):
        return 0.0 * panel.values[: panel.indptr[series + 1]][panel.indptr[series] + row + 1, 0]


class Draws(Mine):
    def added(self, panel, series, row):
        return np.random.default_rng().normal()


class RefusesWildValues(Mine):
    def added(self, panel, series, row):
        if np.abs(panel.values).max() > 1e6:
            raise RuntimeError("wild")
        return 0.0


@dataclass(frozen=True)
class Centred(Transform):
    """A moving average that takes the next value in."""

    def forward(self, y, params):
        ahead = torch.cat([y[1:], y[-1:]])
        return (y + ahead) / 2

    def inverse(self, z, params):
        return z


class OfTheBatch(TransformerMixin, BaseEstimator):
    """A transformer that standardises by the rows it is given, whenever."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)


@pytest.fixture(scope="module")
def df():
    found = make_frame((60, 50))
    rng = np.random.default_rng(1)
    return found.assign(u=rng.normal(size=len(found)), kept=1.0)


def told(model, df, **given):
    """Return what check_blind finds; unused columns are no matter here."""
    return check_blind(model, df[["unique_id", "ds", "y", *model.past_exog, *model.future_exog]], **given)


@pytest.mark.parametrize(
    ("model", "reads"),
    [
        # Of 60 and 50 rows, the first of two cutoffs is 8 before the end.
        (MeanOfAll(), [["y", 8]]),
        (OneRowAfter(), [["y", 1]]),
        (PastInputsOfLater(past_exog=["u"]), [["u", 2]]),
        (InputsAfterTheHorizon(future_exog=["u"]), [["u", H + 2]]),
        (NARXForecaster(H, 3, scope="local", target_transforms=[Centred()], mode="open_loop"), [["y", 1]]),
        (NARXForecaster(H, 3, model=make_pipeline(OfTheBatch(), Ridge()), mode="open_loop"), [["y", 4]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_read_after_the_cutoff_is_found_and_how_far(df, model, reads):
    result = told(model, df)
    assert not result.is_blind
    assert result.reads.to_numpy().tolist() == reads
    assert set(result.leaks["what"]) == {"forecast"}
    assert set(result.leaks["unique_id"]) == {"s0", "s1"}
    assert f"it reads {reads[0][0]!r} up to {reads[0][1]} rows after it" in result.verdict
    assert "is not blind" in repr(result)


def test_the_table_names_series_cutoff_steps_and_what_moved_from_where_to_where(df):
    result = check_blind(OneRowAfter(), make_frame((60, 50)), cutoffs=pd.DataFrame({"unique_id": ["s1"], "cutoff": 30}))
    (leak,) = result.leaks.to_dict("records")
    y = make_frame((60, 50)).query("unique_id == 's1'").set_index("ds")["y"]
    assert (leak["what"], leak["column"]) == ("forecast", "y")
    assert (leak["unique_id"], leak["cutoff"], leak["steps"]) == ("s1", 30, f"1 to {H}")
    assert leak["overwritten"] == "other values, NaN, extremes"
    np.testing.assert_allclose([leak["before"], leak["after"]], [y[30] + 0.01 * y[31], y[30] - 0.01 * 1e9], rtol=1e-12)
    assert result.n_forecasts == H


def test_bounds_that_move_are_named_beside_the_forecasts(df):
    leaks = told(MeanOfAll(), df, level=50).leaks
    assert set(leaks["what"]) == {"forecast", "bound"}
    assert set(leaks.query("what == 'bound'")["column"]) == {"y-lo-50", "y-hi-50"}


def test_a_forecaster_that_tells_the_end_of_the_frame_moves_when_the_rows_are_taken_away(df):
    result = told(CountsRows(), df)
    assert set(result.leaks["overwritten"]) == {"no rows"}
    assert not result.is_blind


def test_draws_that_differ_are_told_before_anything_is_blamed_on_a_leak(df):
    with pytest.raises(ArgumentError, match="asked twice"):
        told(Draws(), df)


def test_what_fails_on_later_rows_has_read_them(df):
    leaks = told(RefusesWildValues(), df).leaks
    assert set(leaks["what"]) == {"error"}
    assert leaks["column"].tolist()[0] == "RuntimeError: wild"
    absent = told(NeedsOneRowMore(), df).leaks.iloc[0]
    assert absent["column"].startswith("IndexError")
    assert absent["overwritten"] == "no rows"


def of_all_rows(frame):
    """A static column that is learnt from all rows."""
    return frame.assign(level=frame.groupby("unique_id")["y"].transform("mean"))


def scaled(frame):
    """A scikit-learn transformer that is fitted on all rows."""
    return frame.assign(y=StandardScaler().fit_transform(frame[["y"]]))


def lag_one(frame):
    """The value before each row, which nobody knows at the second step of a horizon."""
    return frame.assign(lag=frame.groupby("unique_id")["y"].shift(1).bfill())


def scaled_beforehand(frame):
    """What was fitted on other rows reads none of these."""
    return frame.assign(y=scaled_beforehand.fitted.transform(frame[["y"]]).ravel())


scaled_beforehand.fitted = StandardScaler().fit(pd.DataFrame({"y": [40.0, 60.0]}))

OPEN = {"mode": "open_loop", "scope": "global"}


@pytest.mark.parametrize(
    ("prepare", "model", "column", "steps"),
    [
        (of_all_rows, NARXForecaster(H, 3, static=["level"], **OPEN), "level", "-51 to 0"),
        (scaled, NARXForecaster(H, 3, **OPEN), "y", "-51 to 0"),
        # Row 2 of the horizon holds the target of row 1.
        (lag_one, NARXForecaster(H, 3, future_exog=["lag"], **OPEN), "lag", "2 to 4"),
    ],
)
def test_columns_that_a_function_makes_of_later_rows_are_named(prepare, model, column, steps):
    result = check_blind(model, make_frame((60, 50)), prepare=prepare)
    columns = result.leaks.query("what == 'column' and unique_id == 's0'")
    assert set(columns["column"]) == {column}
    assert columns["steps"].tolist()[0] == steps
    assert "forecast" in set(result.leaks["what"])
    assert result.reads["column"].tolist() == ["y"]
    assert repr(column) in result.verdict


@pytest.mark.parametrize(
    ("prepare", "model"),
    [
        (scaled_beforehand, NARXForecaster(H, 3, **OPEN)),
        (lag_one, NARXForecaster(H, 3, past_exog=["lag"], **OPEN)),
    ],
)
def test_functions_that_look_back_alone_are_blind(prepare, model):
    assert check_blind(model, make_frame((60, 50)), prepare=prepare).is_blind


def test_other_columns_that_a_function_reads_are_overwritten_if_they_are_named():
    df = make_frame((40,)).assign(w=lambda d: np.arange(len(d), dtype=float))

    def ahead(frame):
        return frame.assign(u=frame["w"].shift(-1).ffill())[["unique_id", "ds", "y", "u"]]

    model = NARXForecaster(H, 3, past_exog=["u"], **OPEN)
    assert check_blind(model, df, prepare=ahead).is_blind
    result = check_blind(model, df, prepare=ahead, unknown=["w"])
    assert result.reads.to_numpy().tolist() == [["w", 1]]


def test_what_is_not_blind_to_nothing_says_so_in_words(df):
    model = Ensemble([NARXForecaster(H, 3, target_transforms=[Log()], **OPEN), Baseline("naive", horizon=H)])
    result = check_blind(model, make_frame((60, 50)), level=50)
    assert result.is_blind
    assert result.leaks.empty
    assert repr(result) == (
        "Ensemble is blind: 16 forecasts did not move when the rows after their cutoffs\n"
        "were other values, NaN or extremes, or were not there."
    )


def test_inputs_of_both_kinds_are_overwritten_and_a_blind_model_stays(df):
    model = NARXForecaster(H, 3, past_exog=["u"], future_exog=["kept"], **OPEN)
    assert told(model, df.assign(kept=df["ds"] % 3.0)).is_blind


def test_a_function_in_the_place_of_the_model_is_told_where_it_goes():
    with pytest.raises(ArgumentTypeError, match="prepare="):
        check_blind(lag_one, make_frame((40,)))
