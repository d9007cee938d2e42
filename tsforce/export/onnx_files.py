"""A closed loop as ONNX: a whole horizon in one call, or a step whose state goes in and comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.dynamics.models.each_step import EachStep
from tsforce.errors import ArgumentError
from tsforce.export.c_replay import TOLERANCE, compared
from tsforce.export.loop import Loop, Rows
from tsforce.export.onnx_graph import Graph, runner
from tsforce.export.onnx_loop import Unrolled
from tsforce.export.regressors import of_each_step

__all__ = ["write_onnx"]

FloatArray = npt.NDArray[np.float64]
Outputs = dict[str, tuple[str, tuple[int, ...]]]


def write_onnx(loop: Loop, path: Path, dtype: str, horizon: int | None) -> list[Path]:
    """Write a graph of `horizon` steps, or of a step and of what it begins with, once they say what Python says.

    Raises
    ------
    ArgumentError
        If there are fewer rows than a context shows, or each step has a map of its own.
    ExportError, MissingExtraError
    """
    if len(loop.start.y) < loop.n_rows:
        raise ArgumentError(
            f"the series has {len(loop.start.y)} rows, where a forecast looks at {loop.n_rows}: a graph reads so many. "
            f"Fit with fewer lags or a shorter context_length, or export to C, which fills up what is not there."
        )
    if horizon is not None:
        models = {path: _whole(loop, dtype, horizon)}
        run = _run_whole(loop, models[path], dtype, horizon)
    else:
        if isinstance(loop.map, EachStep):
            raise of_each_step(loop.map)
        start, step = _begin(loop, dtype), _step(loop, dtype)
        models = {path: step, path.with_name(f"{path.stem}_begin.onnx"): start}
        run = _run_steps(loop, start, step, dtype)
    compared("the ONNX graph", run, loop, TOLERANCE[dtype])
    for place, model in models.items():
        place.write_bytes(model.SerializeToString())
    return list(models)


def _inputs(loop: Loop, graph: Graph, more: int) -> tuple[str, str | None, str | None]:
    columns, n = loop.columns, loop.n_rows
    # Means of all rows are of as many as there are.
    y = graph.input("y", "rows" if loop.layout.recurrences else n, len(columns.targets))
    future = graph.input("future", n + more, len(columns.future_exog)) if columns.future_exog else None
    return y, future, graph.input("past", n, len(columns.past_exog)) if columns.past_exog else None


def _with_start(model: Any, loop: Loop) -> Any:
    rows = _given(loop, loop.start)
    entry = model.metadata_props.add()
    entry.key, entry.value = "last_rows_learnt_from", json.dumps({k: v.tolist() for k, v in rows._asdict().items()})
    return model


def _whole(loop: Loop, dtype: str, horizon: int) -> Any:
    graph = Graph(dtype)
    unrolled = Unrolled(loop, graph)
    y, future, past = _inputs(loop, graph, horizon)
    state = unrolled.begin(y, future, past)
    steps = []
    for step in range(horizon):
        x = unrolled.map_input(state, unrolled.reach, step, future, past, y)
        value, state = unrolled.predict_next(state, x, step)
        steps.append(value)
    forecast = graph("Concat", *steps, axis=1)
    words = f"{horizon} steps after the last row of y; rows of future: those of y, then of the steps"
    outputs: Outputs = {"forecast": (forecast, (horizon, unrolled.channels))}
    return _with_start(graph.finished(outputs, "closed_loop", words), loop)


def _state_shapes(loop: Loop) -> dict[str, tuple[int, ...]]:
    """Return the shape of each part of a state behind the axis of the batch, by looking at how a roll-out begins."""
    graph = Graph("float64")
    unrolled = Unrolled(loop, graph)
    state = unrolled.begin(*_inputs(loop, graph, 0))
    channels = unrolled.channels
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(state, (1, channels))
    shapes["lags"] = (unrolled.reach, channels)
    for name in state:
        if name.startswith("tail"):
            shapes[name] = (loop.chain.transforms[int(name[4:])].rows_lost, channels)
        if name.startswith("count"):
            shapes[name] = (1, 1)
        if name in ("h", "c"):
            shapes[name] = (loop.model.cell.width,)
    shapes["first"] = (1, 1)
    if loop.columns.past_exog:
        shapes |= {"past_known": (unrolled.past_rows, len(loop.columns.past_exog)), "number": (1, 1)}
    if unrolled.tame and "low" in state:
        shapes["held"] = (1, 1)
    return shapes


def _begin(loop: Loop, dtype: str) -> Any:
    graph = Graph(dtype)
    unrolled = Unrolled(loop, graph)
    y, future, past = _inputs(loop, graph, 0)
    state = unrolled.begin(y, future, past)
    one = graph("Unsqueeze", graph.repeated([1.0], y), np.array([2]))
    none = graph("Mul", one, 0.0)
    state |= {"first": one, "held": none}
    if past is not None:
        state |= {"past_known": graph.cut(past, -unrolled.past_rows, 2**31), "number": none}
    outputs: Outputs = {name: (state[name], shape) for name, shape in _state_shapes(loop).items()}
    return _with_start(graph.finished(outputs, "begin", "what a roll-out after the last row of y goes on from"), loop)


def _future_rows(loop: Loop) -> int:
    return 1 + max((lag for _, lags in loop.layout.future_exog for lag in lags), default=0)


def _step(loop: Loop, dtype: str) -> Any:
    graph = Graph(dtype)
    unrolled = Unrolled(loop, graph)
    shapes = _state_shapes(loop)
    state = {name: graph.input(name, *shape) for name, shape in shapes.items()}
    future = None
    if loop.columns.future_exog:
        future = graph.input("future", _future_rows(loop), len(loop.columns.future_exog))
    x = unrolled.map_input(state, unrolled.reach, 0, future, None, state["lags"], _future_rows(loop) - 1)
    value, after = unrolled.predict_next(dict(state), x, None)
    outputs: Outputs = {"forecast": (value, (1, unrolled.channels))}
    outputs |= {f"{name}_out": (after[name], shape) for name, shape in shapes.items()}
    return graph.finished(outputs, "step", "one step; X_out goes in as X for the next; future: up to the row predicted")


# ---- replay


def _given(loop: Loop, rows: Rows) -> Rows:
    """Return what a graph is given of the rows up to a cutoff."""
    return Rows(loop.rows_of(rows).y, *(part[-loop.n_rows :] for part in (rows.future, rows.past)))


def _whole_rows(loop: Loop, rows: Rows | None) -> Rows | None:
    """Return the rows of a context; None if there are too few."""
    found = loop.start if rows is None else rows
    return _given(loop, found) if len(found.y) >= loop.n_rows else None


def _run_whole(loop: Loop, model: Any, dtype: str, horizon: int) -> Callable[..., FloatArray]:
    runs = runner(model)

    def run(rows: Rows | None, future: FloatArray) -> FloatArray:
        given = _whole_rows(loop, rows)
        if given is None:
            return loop.forecast(rows or loop.start, future)
        ahead = np.concatenate([future, np.repeat(future[-1:], horizon, axis=0)])[:horizon]
        both = {"y": given.y, "future": np.concatenate([given.future, ahead]), "past": given.past}
        (found,) = runs({name: value[None].astype(dtype) for name, value in both.items()})
        steps = min(horizon, len(future))
        rest = loop.forecast(loop.start if rows is None else rows, future)[steps:]
        return np.concatenate([found[0, :steps].astype(np.float64), rest])

    return run


def _run_steps(loop: Loop, start: Any, step: Any, dtype: str) -> Callable[..., FloatArray]:
    begins, steps, names = runner(start), runner(step), list(_state_shapes(loop))

    def run(rows: Rows | None, future: FloatArray) -> FloatArray:
        given = _whole_rows(loop, rows)
        if given is None:
            return loop.forecast(rows or loop.start, future)
        both = {name: part[None].astype(dtype) for name, part in given._asdict().items()}
        state = dict(zip(names, begins(both), strict=True))
        known, n = np.concatenate([given.future, future]), len(given.future)
        out = []
        for h in range(len(future)):
            now = known[n + h + 1 - _future_rows(loop) : n + h + 1]
            y, *after = steps({**state, "future": now[None].astype(dtype)})
            state = dict(zip(names, after, strict=True))
            out.append(y[0, 0].astype(np.float64))
        return np.array(out)

    return run
