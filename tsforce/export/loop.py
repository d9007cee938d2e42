"""The closed loop of one series: all that code in another language is written from, and what it is compared with."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from tsforce.data.calendar import calendar_values
from tsforce.data.frequency import Clock
from tsforce.data.inputs import InputCoder, InputTable
from tsforce.data.panel import Columns, Panel, WindowIndex
from tsforce.data.transforms import BoxCox, Chain, Difference, Log, MeanScale, Standardize
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.far_out import stays_near
from tsforce.dynamics.heads.headed import Headed
from tsforce.dynamics.lags import LagLayout, known_inputs
from tsforce.dynamics.models.corrected import Corrected
from tsforce.dynamics.models.each_step import EachStep
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.dynamics.models.recurrent import Recurrent
from tsforce.errors import ArgumentError, ArgumentTypeError, abbreviate
from tsforce.export.regressors import map_of
from tsforce.forecasting.adapters import RegressorModel
from tsforce.forecasting.narx import NARXForecaster
from tsforce.forecasting.rolling import Rolling
from tsforce.forecasting.saving import check_in_memory
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.guard import Guard

__all__ = ["Loop", "Rows", "loop_of"]

FloatArray = npt.NDArray[np.float64]

_MAPS = (Linear, Polynomial, Perceptron, Recurrent, RegressorModel)
_TRANSFORMS = (BoxCox, Difference, Log, MeanScale, Standardize)
_CAN = (
    'NARXForecaster and NARXRegressor with model="linear", "polynomial", "mlp", "gru", "lstm", "encoder_decoder" or a '
    "regressor of scikit-learn or LightGBM can be exported"
)


class Rows(NamedTuple):
    """Rows of one series or record, original units.

    Attributes
    ----------
    y : (n, C)
    future : (n, F)
        Inputs that are known ahead.
    past : (n, P)
        Inputs that are known up to a cutoff only.
    """

    y: FloatArray
    future: FloatArray
    past: FloatArray

    def take(self, rows: Any) -> Rows:
        """Return some of the rows."""
        return Rows(self.y[rows], self.future[rows], self.past[rows])


@dataclass(frozen=True, eq=False)
class Loop:
    """What one series' closed loop is made of.

    Attributes
    ----------
    model : StepModel
        Of one group, double precision.
    chain, guard : Chain, Guard
        Of one series.
    coder : InputCoder or None
    scaling : str or None
        Window scaling.
    length : int
        L, the observed rows of a context.
    columns : Columns
        Names of targets and inputs.
    static : tuple of arrays of length 1
        As in `Panel`.
    start : Rows
        What the exported model starts behind.
    known : Rows
        What an export is compared on.
    rests : bool
        Whether a record begins after rows like its first one, as records of a regressor do.
    horizon : int
        Steps that training looked at.
    """

    model: Any
    chain: Chain
    guard: Guard
    coder: InputCoder | None
    scaling: str | None
    length: int
    columns: Columns
    static: tuple[Any, ...]
    start: Rows
    known: Rows
    rests: bool
    horizon: int

    @property
    def layout(self) -> LagLayout:
        """Which lag vector the map reads."""
        layout: LagLayout = self.model.layout
        return layout

    @cached_property
    def map(self) -> Any:
        """The step model as code is written from it."""
        if not isinstance(self.model, EachStep):
            return _written(self.model)
        found = copy(self.model)
        found.models = [_written(one) for one in found.models]
        return found

    @property
    def recurrent(self) -> bool:
        """Whether the map has a state beside its lags."""
        return isinstance(self.model, Recurrent)

    @property
    def has_paths(self) -> bool:
        """Whether inputs have paths of their own, which may send a step anywhere."""
        return bool(self.layout.past_exog or self.layout.future_exog)

    @property
    def warm_up(self) -> int:
        """Rows before the cutoff that such a state takes in."""
        return self.length - self.layout.reach if self.recurrent else 0

    @property
    def n_rows(self) -> int:
        """Rows of history that a roll-out reads."""
        return self.length + self.chain.rows_lost

    @cached_property
    def static_values(self) -> FloatArray:
        """Static inputs, model units, (K,)."""
        if self.coder is None or not self.static:
            return np.empty(0)
        table = self.coder.table(self._panel(self.start, self.start.future[:0]), torch.device("cpu"))
        values: FloatArray = table.static[0].numpy()
        return values

    @cached_property
    def cannot_run_away(self) -> bool:
        """Whether the guard leaves the map to itself: it is linear far out, and stable."""
        panel = self._panel(self.start, self.start.future[-1:])
        series, rows = np.zeros((1, 1), dtype=np.int64), np.full((1, 1), len(self.start.y) - 1)
        batch = self._store(panel).batch(series, rows, 1, truth=False)
        known = known_inputs(self.layout, batch.inputs, 1)
        return bool(stays_near(self.model, batch.past, None if known is None else known[:, :, 0])[0])

    def forecast(self, rows: Rows, ahead: FloatArray) -> FloatArray:
        """Return Python's own closed-loop forecasts in double precision, (H, C), original units.

        Parameters
        ----------
        rows : Rows
            Up to and with the cutoff.
        ahead : (H, F)
            Future inputs of the steps after it.
        """
        index = WindowIndex(np.zeros(1, dtype=np.int64), np.array([len(rows.y) - 1]))
        store = self._store(self._panel(rows, ahead))
        yhat, _ = forecast_windows(store, self.model, self.guard, index, len(ahead), groups=None)
        found: FloatArray = yhat[0]
        return found

    @cached_property
    def memory(self) -> list[float]:
        """How many rows stand before the last `n_rows`, and the means of them that the map reads, transformed."""
        series, rows = np.zeros((1, 1), dtype=np.int64), np.full((1, 1), len(self.start.y) - 1)
        inputs = self._store(self._panel(self.start, self.start.future[:0])).inputs_of(series, rows, 1)
        assert inputs is not None
        count, *means = inputs.memory.ravel().tolist()
        return [max(count, 0.0), *means]

    def rows_of(self, rows: Rows) -> Rows:
        """Return those of some rows that a roll-out after the last of them reads: means of all rows read all."""
        return rows if self.layout.recurrences else rows.take(slice(-self.n_rows, None))

    def _store(self, panel: Panel) -> SeriesStore:
        return SeriesStore(panel, self.chain, self.scaling, self.length, None, self.coder, self.layout.scans)

    def _panel(self, rows: Rows, ahead: FloatArray) -> Panel:
        """Return rows, and behind them the inputs of steps after the cutoff, as a series."""
        n = len(rows.y) + len(ahead)

        def longer(values: FloatArray) -> FloatArray:
            return np.concatenate([values, np.zeros((len(ahead), values.shape[1]))])

        return Panel(
            ids=np.zeros(1, dtype=np.int64),
            values=longer(rows.y),
            indptr=np.array([0, n], dtype=np.int64),
            start=np.zeros(1, dtype=np.int64),
            clock=Clock(1, 1, np.dtype(np.int64)),
            columns=self.columns,
            inputs=np.concatenate([longer(rows.past), np.concatenate([rows.future, ahead])], axis=1),
            static=self.static,
        )


def loop_of(model: Any, unique_id: Any = None) -> Loop:
    """Return the closed loop of one series of a fitted model.

    Parameters
    ----------
    model : NARXForecaster or NARXRegressor
    unique_id : optional
        Which series, of a forecaster that was fitted to several.

    Raises
    ------
    NotFittedError
        scikit-learn's.
    ArgumentTypeError
        If it is another kind of model.
    ArgumentError
        If it has parts that have no counterpart outside Python, or the series is not known: says what to do instead.
    """
    # A regressor, without knowing the room it lives in.
    regressor = hasattr(type(model), "predict_ahead")
    if not isinstance(model, NARXForecaster) and not regressor:
        parts = "Export members that are: model.members_[...].export(...)" if hasattr(model, "members_") else "Fit one"
        raise ArgumentTypeError(f"{type(model).__name__} cannot be exported: {_CAN}. {parts}.")
    check_in_memory(model)
    check_is_fitted(model, "model_")
    rolling: Rolling = model._rolling_
    _check_parts(model, rolling)
    found = _of_regressor(model, unique_id) if regressor else _of_forecaster(model, unique_id)
    if found.layout.has_inputs and found.coder is not None and not np.isfinite(found.start.future).all():
        raise ArgumentError(
            "the last rows that were learnt from hold NaN among the inputs: fit on rows that are whole."
        )
    return found


def _check_parts(model: Any, rolling: Rolling) -> None:
    """Raise an ArgumentError if something is used that cannot be exported."""
    step = rolling.model
    if isinstance(step, Corrected):
        raise ArgumentError(f"strategy={model.strategy!r} cannot be exported; fit with 'recursive' or 'direct'.")
    if isinstance(step, Headed):
        raise ArgumentError(
            f"head={step.head.name!r} cannot be exported: a law is none of a value; fit with head='point'."
        )
    if not all(isinstance(one, _MAPS) for one in (step.models if isinstance(step, EachStep) else [step])):
        raise ArgumentError(f"model={model.model!r} cannot be exported: {_CAN}. Fit one of these.")
    other = [t for t in rolling.chain.transforms if not isinstance(t, _TRANSFORMS)]
    if other:
        raise ArgumentError(
            f"target_transforms holds {abbreviate(other)}, which cannot be exported; fit with transforms of tsforce: "
            f"Log(), BoxCox(), Difference(1), Standardize(), MeanScale()."
        )


def _written(step: Any) -> Any:
    return map_of(step) if isinstance(step, RegressorModel) else step


def _double(step: Any, group: int) -> Any:
    if isinstance(step, RegressorModel):
        return step.groups(torch.tensor([group]))
    if isinstance(step, EachStep):
        found = copy(step)
        found.models = [_double(one, group) for one in step.models]
        return found
    return step.groups(torch.tensor([group], device=next(step.parameters()).device)).cpu().double()


def _of_forecaster(model: NARXForecaster, unique_id: Any) -> Loop:
    rolling, ids = model._rolling_, list(model._rolling_.position)
    if unique_id is None and len(ids) > 1:
        raise ArgumentError(
            f"the model was fitted to {len(ids)} series ({abbreviate(ids)}), and one is exported at a time: name it, "
            f"unique_id={ids[0]!r}."
        )
    name = ids[0] if unique_id is None else unique_id
    if name not in rolling.position:
        raise ArgumentError(f"unique_id={unique_id!r} was not fitted; expected one of {abbreviate(ids)}.")
    place = np.array([rolling.position[name]])
    panel: Panel = model._rows_
    tail = panel.take([panel.id_list.index(name)])
    whole: Panel = getattr(model, "_learnt_from_", panel)
    coder = None if rolling.coder is None else rolling.coder.take(place)
    stamped = () if coder is None else coder.calendar
    columns = tail.columns
    if coder is not None and stamped:
        names = coder.calendar_columns
        columns = replace(columns, future_exog=(*columns.future_exog, *names))
        coder = _calendar_given(coder, len(names))
    return Loop(
        _double(rolling.model, 0 if rolling.pooled else int(place[0])),
        rolling.chain.take(place),
        rolling.guard.take(place),
        coder,
        rolling.scaling,
        rolling.context_length,
        columns,
        tail.static,
        _rows(tail, stamped),
        _rows(whole.take([whole.id_list.index(name)]), stamped),
        False,
        model.horizon or 1,
    )


def _rows(panel: Panel, calendar: tuple[str, ...]) -> Rows:
    """Return the rows of a panel of one series; what stamps say stands behind the inputs known ahead."""
    n_past, within = len(panel.columns.past_exog), np.arange(len(panel.values))
    future = panel.inputs[:, n_past:]
    if calendar:
        stamps = panel.clock.stamps(panel.ticks(np.zeros_like(within), within))
        future = np.concatenate([future, calendar_values(stamps, calendar)], axis=1)
    return Rows(panel.complete, future, panel.inputs[:, :n_past])


@dataclass(frozen=True, eq=False)
class _CalendarGiven(InputCoder):
    """A coder of panels that have the calendar as their last columns, for what is exported reads no clock."""

    stamped: int = 0

    def table(self, panel: Panel, device: torch.device) -> InputTable:
        """Return the inputs of a panel, the calendar apart."""
        found = super().table(panel, device)
        known = found.future_exog.split([found.future_exog.shape[1] - self.stamped, self.stamped], dim=1)
        return replace(found, future_exog=known[0].contiguous(), calendar=known[1].contiguous())


def _calendar_given(coder: InputCoder, count: int) -> InputCoder:
    ones = np.ones((len(coder.centre), count))
    return _CalendarGiven(
        np.concatenate([coder.centre, 0 * ones], axis=1), np.concatenate([coder.spread, ones], axis=1),
        coder.numbers, coder.categories, (), coder.static_names, coder.warm_up, count,
    )  # fmt: skip


def _of_regressor(model: Any, unique_id: Any) -> Loop:
    if unique_id is not None:
        raise ArgumentError(f"unique_id={unique_id!r}: records of a {type(model).__name__} have no ids; leave it out.")
    rolling: Rolling = model._rolling_
    length, layout = rolling.context_length, rolling.model.layout
    names = tuple(name for name, _ in layout.future_exog)
    mean, scale = model.y_mean_, model.y_scale_
    # What simulations do around the map is a transform like any other.
    chain = Chain((Standardize(),), (np.stack([mean, scale])[:, None],))
    if model._learnt_ is None:
        y, X = np.tile(mean, (length, 1)), np.tile(model.x_mean_, (length, 1))
    else:
        end = model._learnt_.end
        # The oldest row also stands before it.
        back = np.clip(np.arange(-length, 0), -len(end.inputs), None)
        y, X = end.outputs[back], end.inputs[back]
    # Which inputs are read, in the order of the model's own columns.
    start = Rows(y, X, np.empty((length, 0)))
    # Records are not kept: inputs of their size and spread stand for them.
    draw = np.random.default_rng(0).normal(size=(max(200, 4 * length), X.shape[1]))
    coder = rolling.coder
    assert coder is not None
    inputs = coder.centre[0] + coder.spread[0] * draw
    known = Rows(np.tile(mean, (len(inputs), 1)), inputs, np.empty((len(inputs), 0)))
    columns = Columns(targets=layout.channels, future_exog=names)
    return Loop(
        _double(rolling.model, 0), chain, rolling.guard, coder, rolling.scaling, length, columns, (), start, known,
        True, model.horizon_,
    )  # fmt: skip
