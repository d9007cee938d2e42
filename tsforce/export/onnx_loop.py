"""The closed loop as ONNX operators: what a context becomes, and a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsforce.data.transforms import BoxCox, Difference, Log, MeanScale
from tsforce.dynamics.models.each_step import EachStep
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.dynamics.models.recurrent import EncoderDecoder
from tsforce.export.features import Window, features_of, running_of
from tsforce.export.loop import Loop
from tsforce.export.onnx_features import further, mean_of_all, statistic
from tsforce.export.onnx_graph import Graph
from tsforce.export.onnx_regressors import converted, trees
from tsforce.export.regressors import Converted
from tsforce.export.trees import Trees

__all__ = ["Unrolled"]

State = dict[str, str]


def _of(parameter: Any) -> Any:
    return parameter.detach()[0].numpy()


class Unrolled:
    """Writes the parts of a closed loop into a graph.

    Parameters
    ----------
    loop : Loop
    graph : Graph
    """

    def __init__(self, loop: Loop, graph: Graph) -> None:
        self.loop, self.graph = loop, graph
        self.channels = len(loop.layout.channels)
        self.features = features_of(loop.layout)
        self.running = running_of(loop.layout)
        # What the maps of all steps read at the first.
        self.kept: dict[str, list[str]] = {}
        # Rows that a step reads, with those of windows that need not be full.
        self.reach = loop.layout.context
        # Rows of past inputs that a step of any number reads.
        self.past_rows = max((lag for _, lags in loop.layout.past_exog for lag in lags), default=1) or 1
        self.guarded = bool(np.isfinite(loop.guard.factor))
        # A map that cannot run away is held only where its first step is far from all it has seen.
        self.tame = self.guarded and loop.cannot_run_away
        self.limited = self.guarded and loop.guard.level_low is not None and not self.tame

    # ---- a context

    def begin(self, y: str, future: str | None, past: str | None) -> State:
        """Return what a roll-out goes on from.

        Parameters
        ----------
        y : (B, N, C)
            Observed rows, original units.
        future, past : (B, at least N, F), (B, N, P)
            Original units.
        """
        g, loop = self.graph, self.loop
        state, value = {}, y
        for number, (transform, params) in enumerate(zip(loop.chain.transforms, loop.chain.params, strict=True)):
            if isinstance(transform, Difference):
                state[f"tail{number}"] = g.cut(value, -transform.lag, 2**31)
                value = g("Sub", g.cut(value, transform.lag, 2**31), g.cut(value, 0, -transform.lag))
            else:
                value = self._forward(transform, params[:, 0], value)
        every = value
        if self.running:
            value = g.cut(every, -loop.length, 2**31)
        state |= self._scaled(value)
        fed = state["lags"]
        for nth, one in enumerate(self.running):
            found = mean_of_all(g, one, every, one.lag - 1 + loop.warm_up, g.dtype.name)
            state |= {f"mean{nth}": self._in_units(found["mean"], state), f"count{nth}": found["count"]}
        state["size"] = g.over_rows("ReduceMax", g("Abs", fed))
        state["last"] = g.cut(y, -1, 2**31)
        if self.guarded and not (self.tame and loop.has_paths):
            state |= self._bounds(fed, state)
        if self.limited:
            levels = g.cut(y, -loop.length, 2**31)
            near_low, near_high, _ = self._near(levels, None)
            assert loop.guard.level_low is not None
            assert loop.guard.level_high is not None
            state["bottom"] = g("Min", near_low, loop.guard.level_low[0])
            state["top"] = g("Max", near_high, loop.guard.level_high[0])
        if loop.recurrent:
            parts = ("h", "c") if loop.model.cell.kind == "lstm" else ("h",)
            state |= {part: g.repeated(np.zeros(loop.model.cell.width), y) for part in parts}
            encoder = loop.model.encoder if isinstance(loop.model, EncoderDecoder) else loop.model.cell
            for back in range(loop.warm_up, 0, -1):
                x = self.map_input(state, loop.length, -back, future, past, y)
                state |= self._cell(encoder, x, state)
                state |= self._further(state, fed, loop.length - back + 1)
        state["lags"] = g.cut(fed, -self.reach, 2**31)
        return state

    def _forward(self, transform: Any, params: Any, value: str) -> str:
        g = self.graph
        if isinstance(transform, Log | BoxCox):
            value = g("Log", g("Max", g("Add", value, params[0]), params[1]))
            if isinstance(transform, Log):
                return value
            k = params[2]
            power = g("Div", g("Sub", g("Exp", g("Mul", value, k)), 1.0), np.where(k == 0, 1.0, k))
            return g("Where", g("Equal", k, 0.0), value, power)
        if isinstance(transform, MeanScale):
            return g("Div", value, params[0])
        return g("Div", g("Sub", value, params[0]), params[1])

    def _backward(self, transform: Any, params: Any, value: str) -> str:
        g = self.graph
        if isinstance(transform, Log):
            return g("Sub", g("Exp", value), params[0])
        if isinstance(transform, BoxCox):
            k = params[2]
            safe = np.where(k == 0, 1.0, k)
            inside = g("Max", g("Add", g("Mul", value, safe), 1.0), np.exp(k * params[3]))
            power = g("Exp", g("Div", g("Log", inside), safe))
            return g("Sub", g("Where", g("Equal", k, 0.0), g("Exp", value), power), params[0])
        if isinstance(transform, MeanScale):
            return g("Mul", value, params[0])
        return g("Add", g("Mul", value, params[1]), params[0])

    def _in_units(self, value: str, state: State) -> str:
        g = self.graph
        if self.loop.scaling is None:
            return value
        still = g("Equal", state["scale"], 0.0)
        units = g("Div", g("Sub", value, state["centre"]), g("Where", still, 1.0, state["scale"]))
        return g("Where", still, 0.0, units)

    def _further(self, state: State, fed: str, n: int) -> State:
        """Return the means of all rows for the step after the first `n` fed rows."""
        found: State = {}
        for nth, one in enumerate(self.running):
            now = {"mean": state[f"mean{nth}"], "count": state[f"count{nth}"]}
            value = self.graph.cut(fed, n - one.lag, n - one.lag + 1)
            found |= {f"{key}{nth}": made for key, made in further(self.graph, one, now, value).items()}
        return found

    def _scaled(self, value: str) -> State:
        """Return a context in its own units, and these."""
        g, scaling = self.graph, self.loop.scaling
        if scaling is None:
            return {"lags": value}
        centre = g("Mul", g.cut(value, -1, 2**31), 0.0)
        scale = g("Add", centre, 1.0)
        if scaling == "last":
            centre = g.cut(value, -1, 2**31)
        else:
            if scaling == "standard":
                centre = g.over_rows("ReduceMean", value)
                gap = g("Sub", value, centre)
                scale = g("Sqrt", g.over_rows("ReduceMean", g("Mul", gap, gap)))
            else:
                scale = g.over_rows("ReduceMean", g("Abs", value))
            none = g("LessOrEqual", scale, g("Mul", g.over_rows("ReduceMax", g("Abs", value)), 1e-12))
            few = 1.0 if scaling == "standard" and self.loop.length == 1 else 0.0
            scale = g("Where", none, few, scale)
        still = g("Equal", scale, 0.0)
        units = g("Div", g("Sub", value, centre), g("Where", still, 1.0, scale))
        return {"lags": g("Where", still, 0.0, units), "centre": centre, "scale": scale}

    def _near(self, values: str, training: str | None) -> tuple[str, str, str]:
        """Return bounds around rows, and the range that they keep to; see ``scoring.ranges``."""
        g, length, factor = self.graph, self.loop.length, float(self.loop.guard.factor)
        sort = g.ordered(values, length)

        def at(i: int) -> str:
            return g.cut(sort, i, i + 1)

        ends = max(1, round(0.02 * length)) if length >= 8 else 0
        low, high = at(0), at(length - 1)
        lowest, highest = low, high
        if ends:
            core_low, core_high = at(ends), at(length - 1 - ends)
            for i in range(length - 2, length - 2 - ends, -1):
                wild = g("Greater", g("Sub", at(i + 1), at(i)), g("Mul", g("Sub", at(i), core_low), 10.0))
                high = g("Where", wild, at(i), high)
            for i in range(ends):
                wild = g("Greater", g("Sub", at(i + 1), at(i)), g("Mul", g("Sub", core_high, at(i + 1)), 10.0))
                low = g("Where", wild, at(i + 1), low)
            a, b, c = (g.cut(values, i, length - 2 + i) for i in range(3))
            middle = g("Max", g("Min", a, b), g("Min", g("Max", a, b), c))
            low, high = (
                g("Min", low, g.over_rows("ReduceMin", middle)),
                g("Max", high, g.over_rows("ReduceMax", middle)),
            )
        own = g("Sub", high, low)
        if training is None:
            level = g("Max", g("Abs", low), g("Abs", high))
            rest = g("Where", g("Greater", level, 0.0), level, g("Sub", highest, lowest))
            span = g("Where", g("Greater", own, g("Mul", level, 1e-9)), own, rest)
            span = g("Where", g("Greater", span, 0.0), span, np.inf)
        else:
            known = g("Less", training, np.inf)
            span = g("Where", known, g("Max", own, training), g("Where", g("Greater", own, 0.0), own, np.inf))
        room = g("Mul", span, factor)
        return g("Min", lowest, g("Sub", low, room)), g("Max", highest, g("Add", high, room)), own

    def _bounds(self, fed: str, state: State) -> State:
        g, guard = self.graph, self.loop.guard
        low, high, span = (g.constant(side[0][None, None]) for side in (guard.low, guard.high, guard.span))
        still = None
        if self.loop.scaling is not None:
            still = g("Equal", state["scale"], 0.0)
            unit = g("Where", still, 1.0, state["scale"])
            low, high = (g("Div", g("Sub", side, state["centre"]), unit) for side in (low, high))
            span = g("Where", still, np.inf, g("Div", span, unit))
        near_low, near_high, _ = self._near(fed, span)
        low, high = g("Min", low, near_low), g("Max", high, near_high)
        if still is not None:
            low, high = g("Where", still, -np.inf, low), g("Where", still, np.inf, high)
        return {"low": low, "high": high}

    # ---- a step

    def map_input(
        self, state: State, n: int, step: int, future: str | None, past: str | None, like: str, rows: int | None = None
    ) -> str:
        """Return what the map reads, (B, D), from `n` fed rows; inputs have `rows` rows before the first step.

        Of a step of any number, past inputs are those of the state.
        """
        g, layout, loop, fed = self.graph, self.loop.layout, self.loop, state["lags"]
        back = min(step, 0)
        parts = []
        if layout.lags:
            read = g.pick(fed, [n - lag + back for lag in reversed(layout.lags)])
            parts.append(g.flat(read, len(layout.lags) * self.channels))
        parts += [
            statistic(g, one, fed, n + back - one.lag + 1, self.channels)
            if isinstance(one, Window)
            else g.flat(state[f"mean{self.running.index(one)}"], self.channels)
            for one in self.features
        ]
        n_past = len(loop.columns.past_exog)
        rows = past_rows = loop.n_rows if rows is None else rows
        if "past_known" in state:
            past, past_rows = state["past_known"], self.past_rows
        for source, block, first, there, last in (
            (past, layout.past_exog, 0, past_rows, past_rows - 1),
            (future, layout.future_exog, n_past, rows, 2**31),
        ):
            places = [
                (min(there + step - lag, last), column)
                for column, (_, lags) in enumerate(block)
                for lag in reversed(lags)
            ]
            if not places:
                continue
            assert source is not None
            assert loop.coder is not None
            parts.append(self._inputs(source, places, loop.coder.centre[0][first:], loop.coder.spread[0][first:]))
        if len(loop.static_values):
            parts.append(g.repeated(loop.static_values, like))
        first = len(loop.columns.future_exog) - len(layout.blocks["calendar"])
        if layout.calendar:
            assert future is not None
            own = g.pick(future, [rows + step])
            parts.append(g.flat(g.cut(own, first, 2**31, axis=2), len(layout.blocks["calendar"])))
        if layout.known_until:
            fixed = "number" not in state
            own = np.eye(layout.n_step_groups)[self._group(step)]
            parts.append(g.repeated(own, like) if fixed else self._groups(state))
        return parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1)

    def _inputs(self, source: str, places: list[tuple[int, int]], centre: Any, spread: Any) -> str:
        g = self.graph
        columns = [
            g("Sub", g.pick(g.pick(source, [row]), [column], axis=2), float(centre[column])) for row, column in places
        ]
        scaled = [g("Div", part, float(spread[column])) for part, (_, column) in zip(columns, places, strict=True)]
        return g("Concat", *(g.flat(part, 1) for part in scaled), axis=1)

    def _group(self, step: int) -> int:
        return sum(end < step + 1 for end in self.loop.layout.known_until)

    def _groups(self, state: State) -> str:
        """Return which group the step of the state's number is of, ones and zeros (B, groups)."""
        g, ends = self.graph, np.array(self.loop.layout.known_until, dtype=float)
        flags = g("GreaterOrEqual", g.flat(state["number"], 1), ends[None])
        over = g("Cast", flags, to=g.onnx.helper.np_dtype_to_tensor_dtype(g.dtype))
        one = g("Add", g("Mul", g.cut(over, 0, 1), 0.0), 1.0)
        return g("Sub", g("Concat", one, over, axis=1), g("Concat", over, g("Sub", one, 1.0), axis=1))

    def predict_next(self, state: State, x: str, step: int | None) -> tuple[str, State]:
        """Return the output (B, 1, C) of a step in original units, and what the next one goes on from.

        A step of None is one of any number: the first one if ``state["first"]`` is above 0.
        """
        g, loop = self.graph, self.loop
        z, inner = self._map(x, state, step)
        state = state | inner
        z = g("Reshape", z, np.array([-1, 1, self.channels]))
        far = g("Mul", g("Add", state["size"], 1.0), 1e30)
        z = g("Max", g("Min", z, far), g("Neg", far))
        z, state = self._held(z, state, step)
        state["lags"] = g("Concat", g.cut(state["lags"], 1, 2**31), z, axis=1)
        state |= self._further(state, state["lags"], self.reach)
        value = z if loop.scaling is None else g("Add", g("Mul", z, state["scale"]), state["centre"])
        chain = list(zip(loop.chain.transforms, loop.chain.params, strict=True))
        for number in range(len(chain) - 1, -1, -1):
            transform, params = chain[number]
            if isinstance(transform, Difference):
                tail = state[f"tail{number}"]
                value = g("Add", value, g.cut(tail, 0, 1))
                rest = [g.cut(tail, 1, 2**31)] if transform.lag > 1 else []
                state[f"tail{number}"] = g("Concat", *rest, value, axis=1)
            else:
                value = self._backward(transform, params[:, 0], value)
        value = g("Where", g("IsInf", value), state["last"], value)
        state["last"] = value
        if self.limited and not (step == 0 and loop.has_paths):
            limited = g("Max", g("Min", value, state["top"]), state["bottom"])
            value = self._either(state, value, limited) if step is None and loop.has_paths else limited
        if step is None and "first" in state:
            state["first"] = g("Mul", state["first"], 0.0)
        if "past_known" in state:
            # What is known up to a cutoff stays as it was there.
            rest = [g.cut(state["past_known"], 1, 2**31)] if self.past_rows > 1 else []
            state["past_known"] = g("Concat", *rest, g.cut(state["past_known"], -1, 2**31), axis=1)
            state["number"] = g("Add", state["number"], 1.0)
        return value, state

    def _held(self, z: str, state: State, step: int | None) -> tuple[str, State]:
        """Return the output where the guard lets it be; a step of None is the first if ``state["first"]`` says so."""
        g, loop = self.graph, self.loop
        if "low" not in state:
            return z, state
        inside = g("Max", g("Min", z, state["high"]), state["low"])
        later = inside
        if self.tame and step != 0:
            later = g("Where", g("Greater", state["held"], 0.0), inside, z)
        if step is not None and step > 0:
            return later, state
        first = z
        if not loop.has_paths:
            # The first step reads observed values alone: it is what it is, unless it is far from all of them.
            wide = g("Greater", g("Abs", z), g("Mul", state["size"], float(loop.guard.factor)))
            out = g("Not", g("And", g("GreaterOrEqual", z, state["low"]), g("LessOrEqual", z, state["high"])))
            kind = g.onnx.helper.np_dtype_to_tensor_dtype(g.dtype)
            bad = g("Mul", *(g("ReduceMax", g("Cast", flag, to=kind), np.array([1, 2])) for flag in (wide, out)))
            first = g("Where", g("Greater", bad, 0.0), inside, z)
            if self.tame:
                state = state | {"held": bad if step == 0 else self._either(state, bad, state["held"])}
        return (first if step == 0 else self._either(state, first, later)), state

    def _either(self, state: State, first: str, later: str) -> str:
        return self.graph("Where", self.graph("Greater", state["first"], 0.0), first, later)

    # ---- maps

    def _map(self, x: str, state: State, step: int | None) -> tuple[str, State]:
        g, model, layout = self.graph, self.loop.map, self.loop.layout
        if step is None:
            return self._answer_of_any(x, state)
        if not isinstance(model, EachStep):
            return self._answer(model, x, state, self._group(step))
        number = step % len(model.models)
        lags, newest = len(model.models[0].layout.lags) * self.channels, len(layout.lags) * self.channels
        own = layout.n_target_columns + len(layout.blocks["past_exog"])
        if number == 0:
            kept = {"of_lags": [g.cut(x, 0, lags)] if lags else [], "beside": [g.cut(x, newest, own)]}
            self.kept = {name: part for name, part in kept.items() if name == "of_lags" or own > newest}
        elif model.reads_between:
            self.kept["of_lags"] += [g.cut(x, newest - self.channels, newest)]
        parts = [name for part in self.kept.values() for name in part]
        parts += [g.cut(x, own, 2**31)] if len(layout.columns) > own else []
        return self._answer(model.models[number], g("Concat", *parts, axis=1), state, 0)

    def _answer_of_any(self, x: str, state: State) -> tuple[str, State]:
        """Return the answer of a step of any number: that of its group of steps."""
        g, answer = self.graph, self._answer(self.loop.map, x, state, 0)
        for group in range(1, self.loop.layout.n_step_groups):
            other, inner = self._answer(self.loop.map, x, state, group)
            own = g.cut(self._groups(state), group, group + 1)
            answer = g("Where", g("Greater", own, 0.0), other, answer[0]), inner
        return answer

    def _answer(self, model: Any, x: str, state: State, group: int) -> tuple[str, State]:
        g, own = self.graph, slice(group * self.channels, (group + 1) * self.channels)
        if isinstance(model, Polynomial):
            indices, width = model.indices[0].numpy(), len(model.layout.columns)
            used = ~(indices == width + 1).any(axis=1)
            longer = g("Concat", x, g.repeated([1.0], x), axis=1)
            factors = [g.pick(longer, column) for column in indices[used].T]
            x = factors[0]
            for factor in factors[1:]:
                x = g("Mul", x, factor)
            return g("Add", g("MatMul", x, _of(model.weight)[used][:, own]), _of(model.bias)[own]), {}
        if isinstance(model, (Trees, Converted)):
            indicators = len(self.loop.layout.blocks["steps"])
            read = g.cut(x, 0, -indicators) if indicators else x
            z = trees(g, read, model.forests[group]) if isinstance(model, Trees) else converted(g, read, model, group)
            # What is no number leads to none.
            return g("Add", z, g.over_rows("ReduceSum", g("Mul", read, 0.0))), {}
        skip = model.weight if isinstance(model, Linear) else model.skip
        z = g("Add", g("MatMul", x, _of(skip)[:, own]), _of(model.bias)[own])
        if isinstance(model, Linear):
            return z, {}
        if isinstance(model, Perceptron):
            *inner, last = [_of(weight) for weight in model.weights]
            for weight, bias in zip(inner, model.biases, strict=True):
                x = g("Add", g("MatMul", x, weight), _of(bias))
                x = g("Tanh" if model.activation == "tanh" else "Relu", x)
            return g("Add", z, g("MatMul", x, last)), {}
        inner_state = self._cell(model.cell, x, state)
        return g("Add", z, g("MatMul", inner_state["h"], _of(model.readout))), inner_state

    def _cell(self, cell: Any, x: str, state: State) -> State:
        g, width = self.graph, cell.width
        given = g("Add", g("MatMul", x, _of(cell.from_input)), _of(cell.input_bias))
        own = g("Add", g("MatMul", state["h"], _of(cell.from_state)), _of(cell.state_bias))

        def gate(values: str, number: int) -> str:
            return g.cut(values, number * width, (number + 1) * width)

        if cell.kind == "gru":
            reset, update = (g("Sigmoid", g("Add", gate(given, i), gate(own, i))) for i in (0, 1))
            fresh = g("Tanh", g("Add", gate(given, 2), g("Mul", reset, gate(own, 2))))
            return {"h": g("Add", fresh, g("Mul", update, g("Sub", state["h"], fresh)))}
        total = g("Add", given, own)
        enter, forget, leave = (g("Sigmoid", gate(total, i)) for i in (0, 1, 3))
        memory = g("Add", g("Mul", forget, state["c"]), g("Mul", enter, g("Tanh", gate(total, 2))))
        return {"h": g("Mul", leave, g("Tanh", memory)), "c": memory}
