"""Lag transforms as ONNX operators."""

from __future__ import annotations

import numpy as np

from tsforce.export.features import Running, Window
from tsforce.export.onnx_graph import Graph

__all__ = ["further", "mean_of_all", "statistic"]

State = dict[str, str]


def statistic(graph: Graph, one: Window, fed: str, stop: int, channels: int) -> str:
    """Return a statistic (B, C) of the window that ends before row `stop` of what was fed (B, rows, C)."""
    g = graph
    # Of a window that need not be full, what the context does not show is not there.
    rows = [row for row in range(stop - one.span, stop, one.apart) if row >= 0]
    values, last = g.pick(fed, rows), len(rows) - 1
    if one.kind == "mean":
        found = g.over_rows("ReduceMean", values)
    elif one.kind in ("smallest", "largest"):
        found = g.over_rows("ReduceMin" if one.kind == "smallest" else "ReduceMax", values)
    elif one.kind == "deviation":
        gap = g("Sub", values, g.over_rows("ReduceMean", values))
        found = g("Sqrt", g("Div", g.over_rows("ReduceSum", g("Mul", gap, gap)), float(max(last, 1))))
    else:
        ordered = g.ordered(values, len(rows))
        low = int(one.p * last)
        below, above = (g.cut(ordered, i, i + 1) for i in (low, min(low + 1, last)))
        found = g("Add", below, g("Mul", g("Sub", above, below), one.p * last - low))
    return g.flat(found, channels)


def mean_of_all(graph: Graph, one: Running, values: str, back: int, dtype: str) -> State:
    """Return the mean (B, 1, C) of all rows (B, any number, C) but the last `back`, and their number (B, 1, 1)."""
    g = graph
    rows = values if back == 0 else g.cut(values, 0, -back)
    kind = g.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    count = g("Cast", g.cut(g("Shape", rows), 1, 2, axis=0), to=kind)
    one_each = g("Add", g("Mul", g.cut(g.cut(rows, 0, 1), 0, 1, axis=2), 0.0), 1.0)
    state = {"count": g("Mul", one_each, count)}
    if not one.alpha:
        return {"mean": g.over_rows("ReduceMean", rows), **state}
    zero, step = (g.onnx.numpy_helper.from_array(np.array(i, dtype=g.dtype)) for i in (0, 1))
    first, by = (g("Constant", value=value) for value in (zero, step))
    nth = g("Range", first, g("Squeeze", count), by)
    weight = g("Pow", 1 - one.alpha, g("Sub", g("Sub", count, 1.0), nth))
    # The first value stands for all before it.
    weight = g("Mul", weight, g("Where", g("Greater", nth, 0.0), one.alpha, 1.0))
    weighted = g("Mul", rows, g("Unsqueeze", weight, np.array([0, 2])))
    return {"mean": g.over_rows("ReduceSum", weighted), **state}


def further(graph: Graph, one: Running, state: State, value: str) -> State:
    """Return a mean and its count with one more value (B, 1, C)."""
    g = graph
    count = g("Add", state["count"], 1.0)
    gap = g("Sub", value, state["mean"])
    step = g("Mul", gap, one.alpha) if one.alpha else g("Div", gap, count)
    return {"mean": g("Add", state["mean"], step), "count": count}
