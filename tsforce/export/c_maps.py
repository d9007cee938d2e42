"""Step models in C: from the lag vector ``x`` to the output ``z``, both in model units."""

from __future__ import annotations

from typing import Any

import numpy as np

from tsforce.dynamics.models.each_step import EachStep
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.dynamics.models.recurrent import EncoderDecoder
from tsforce.export.c_text import Real, integers
from tsforce.export.loop import Loop
from tsforce.export.regressors import Converted, not_in_c, of_each_step
from tsforce.export.trees import Trees, rounded_down

__all__ = ["map_source", "state_fields"]

_ADD = """
/* out += x * w, x of n numbers, w of n rows, of which the first k columns are read. */
static void add(const real *x, int n, const real *w, int columns, int k, real *out)
{
    int i, j;
    for (i = 0; i < n; i++)
        for (j = 0; j < k; j++) out[j] += x[i] * w[i * columns + j];
}
"""

_SKIP = """
    for (c = 0; c < C; c++) z[c] = BIAS[group * C + c];
    add({x}, {n}, WEIGHT + group * C, S * C, C, z);
"""

_SIGMOID = """
static real sigmoid(real x)
{
    return @1 / (@1 + exp_(-x));
}
"""

_GRU = """
static void cell(NAME *m, const real *x, const real *w, const real *b, const real *v, const real *a)
{
    real given[3 * R], own[3 * R];
    int j;
    for (j = 0; j < 3 * R; j++) { given[j] = b[j]; own[j] = a[j]; }
    add(x, D, w, 3 * R, 3 * R, given);
    add(m->state, R, v, 3 * R, 3 * R, own);
    for (j = 0; j < R; j++) {
        real reset = sigmoid(given[j] + own[j]), update = sigmoid(given[R + j] + own[R + j]);
        real fresh = tanh_(given[2 * R + j] + reset * own[2 * R + j]);
        m->state[j] = fresh + update * (m->state[j] - fresh);
    }
}
"""

_LSTM = """
static void cell(NAME *m, const real *x, const real *w, const real *b, const real *v, const real *a)
{
    real total[4 * R];
    int j;
    for (j = 0; j < 4 * R; j++) total[j] = a[j] + b[j];
    add(x, D, w, 4 * R, 4 * R, total);
    add(m->state, R, v, 4 * R, 4 * R, total);
    for (j = 0; j < R; j++) {
        m->state[R + j] = sigmoid(total[R + j]) * m->state[R + j] + sigmoid(total[j]) * tanh_(total[2 * R + j]);
        m->state[j] = sigmoid(total[3 * R + j]) * tanh_(m->state[R + j]);
    }
}
"""


def state_fields(loop: Loop) -> list[str]:
    """Return the fields of what a map keeps from one step to the next."""
    if isinstance(loop.map, EachStep):
        size = _Kept(loop.map).size
        return [
            f"NAME_real kept[{max(size, 1)}]; /* what the maps of all steps read at the first one */",
            "int turn; /* the map of the next step */",
        ]
    if not loop.recurrent:
        return []
    parts = 2 if loop.model.cell.kind == "lstm" else 1
    return [f"NAME_real state[{parts * loop.model.cell.width}]; /* of the recurrent cell */"]


def map_source(loop: Loop, real: Real) -> list[str]:
    """Return constants and functions of a step model; the last one is ``map``."""
    model = loop.map
    if isinstance(model, EachStep):
        return _each_step(model, real)
    if isinstance(model, Converted):
        raise not_in_c(model)
    if isinstance(model, (Linear, Polynomial)):
        lines = _closed_form(model, real)
    elif isinstance(model, Trees):
        lines = _trees(model, real)
    elif isinstance(model, Perceptron):
        lines = _perceptron(model, real)
    else:
        lines = _recurrent(model, real)
    return lines


def _of(parameter: Any) -> Any:
    return parameter.detach()[0].numpy()


def _function(*lines: str) -> list[str]:
    return [
        "",
        "/* The one-step map: lag vector in, output out. */",
        "static void map(NAME *m, const real *x, int group, real *z)",
        "{",
        *lines,
        "}",
    ]


def _closed_form(model: Linear | Polynomial, real: Real) -> list[str]:
    constants = [*real.array("WEIGHT", _of(model.weight)), *real.array("BIAS", _of(model.bias))]
    if isinstance(model, Linear):
        body = ["    int c;", "    (void)m;", *_SKIP.format(x="x", n="D").strip("\n").splitlines()]
        return [*constants, *_ADD.splitlines(), *_function(*body)]
    indices = model.indices[0].numpy()
    # Terms that only fill a group up are left out; column D is a one.
    real_terms = ~(indices == len(model.layout.columns) + 1).any(axis=1)
    indices = indices[real_terms]
    constants = [
        *real.array("WEIGHT", _of(model.weight)[real_terms]),
        *real.array("BIAS", _of(model.bias)),
        *integers("TERM", np.ravel(indices)),
    ]
    terms, degree = indices.shape
    body = [
        f"    real term[{terms}];",
        "    int c, k, i;",
        "    (void)m;",
        f"    for (k = 0; k < {terms}; k++) {{",
        "        term[k] = @1;",
        f"        for (i = 0; i < {degree}; i++)",
        f"            if (TERM[k * {degree} + i] < D) term[k] *= x[TERM[k * {degree} + i]];",
        "    }",
        *_SKIP.format(x="term", n=terms).strip("\n").splitlines(),
    ]
    return [*constants, *_ADD.splitlines(), *_function(*body)]


class _Kept:
    """What maps of each step read of a lag vector at the first step, and where it stands.

    Attributes
    ----------
    lags, newest, own : int
        Columns of lags that the first map reads; up to and with the last lag; before those that are each step's own.
    between : int
        Columns of what is fed on the way.
    size : int
    """

    def __init__(self, model: EachStep) -> None:
        layout, channels = model.layout, len(model.layout.channels)
        self.lags = len(model.models[0].layout.lags) * channels
        self.newest = len(layout.lags) * channels
        self.own = layout.n_target_columns + len(layout.blocks["past_exog"])
        self.between = (len(model.models) - 1) * channels * model.reads_between
        self.size = self.lags + self.between + self.own - self.newest


def _each_step(model: EachStep, real: Real) -> list[str]:
    """Return the constants and the function of linear maps, one for each step."""
    maps, kept = model.models, _Kept(model)
    if not all(isinstance(one, Linear) for one in maps):
        raise of_each_step(model)
    channels = len(model.layout.channels)
    weights = [_of(one.weight)[:, :channels] for one in maps]
    rows = [0, *(len(weight) for weight in weights[:-1])]
    constants = [
        f"enum {{ H = {len(maps)}, LAGS = {kept.lags}, BESIDE = {kept.own - kept.newest}, "
        f"KEPT = {kept.lags + kept.between} }};",
        *real.array("WEIGHT", np.concatenate(weights)),
        *real.array("BIAS", np.stack([_of(one.bias)[:channels] for one in maps])),
        *integers("FIRST", np.cumsum(rows)),
    ]
    body = [
        "    const real *w = WEIGHT + FIRST[m->turn] * C;",
        "    int c, i, n = LAGS;",
        "    (void)group;",
        "    if (m->turn == 0) {",
        "        for (i = 0; i < LAGS; i++) m->kept[i] = x[i];",
        f"        for (i = 0; i < BESIDE; i++) m->kept[KEPT + i] = x[{kept.newest} + i];",
        "    }",
    ]
    if model.reads_between:
        last = f"x[{kept.newest} - C + c]"
        body += [
            "    for (c = 0; c < C && m->turn > 0; c++)",
            f"        m->kept[LAGS + (m->turn - 1) * C + c] = {last};",
            "    n += m->turn * C;",
        ]
    body += [
        "    for (c = 0; c < C; c++) z[c] = BIAS[m->turn * C + c];",
        "    add(m->kept, n, w, C, C, z);",
        "    add(m->kept + KEPT, BESIDE, w + n * C, C, C, z);",
        f"    add(x + {kept.own}, D - {kept.own}, w + (n + BESIDE) * C, C, C, z);",
        "    m->turn = (m->turn + 1) % H;",
    ]
    return [*constants, *_ADD.splitlines(), *_function(*body)]


def _perceptron(model: Perceptron, real: Real) -> list[str]:
    constants = [*real.array("WEIGHT", _of(model.skip)), *real.array("BIAS", _of(model.bias))]
    widths = [weight.shape[2] for weight in list(model.weights)[:-1]]
    body = [
        "    real " + ", ".join(f"h{i}[{width}]" for i, width in enumerate(widths)) + ";",
        "    int c, j;",
        "    (void)m;",
        *_SKIP.format(x="x", n="D").strip("\n").splitlines(),
    ]
    before, size = "x", "D"
    bend = "tanh_({0})" if model.activation == "tanh" else "{0} > @0 ? {0} : @0"
    for i, width in enumerate(widths):
        constants += real.array(f"WEIGHT{i}", _of(model.weights[i])) + real.array(f"BIAS{i}", _of(model.biases[i]))
        body += [
            f"    for (j = 0; j < {width}; j++) h{i}[j] = BIAS{i}[j];",
            f"    add({before}, {size}, WEIGHT{i}, {width}, {width}, h{i});",
            f"    for (j = 0; j < {width}; j++) h{i}[j] = {bend.format(f'h{i}[j]')};",
        ]
        before, size = f"h{i}", str(width)
    constants += real.array("LAST", _of(model.weights[len(widths)]))
    body.append(f"    add({before}, {size}, LAST, C, C, z);")
    return [*constants, *_ADD.splitlines(), *_function(*body)]


def _trees(model: Trees, real: Real) -> list[str]:
    forests = model.forests
    sizes = [len(forest.feature) for forest in forests]
    first = np.cumsum([0, *sizes])

    def whole(name: str) -> Any:
        return np.concatenate([getattr(forest, name) for forest in forests])

    def moved(name: str) -> Any:
        return np.concatenate([getattr(forest, name) + at for forest, at in zip(forests, first[:-1], strict=True)])

    constants = [
        *real.array("START", np.stack([forest.start for forest in forests])),
        *integers("TREES", np.cumsum([0, *(len(forest.roots) for forest in forests)])),
        *integers("ROOT", moved("roots")),
        *integers("FEATURE", whole("feature")),
        *real.array("SPLIT", rounded_down(whole("threshold"), real.dtype)),
        *integers("LEFT", moved("left")),
        *integers("RIGHT", moved("right")),
        *real.array("VALUE", whole("value")),
    ]
    read = "(real)(float)x[FEATURE[node]]" if forests[0].rounded else "x[FEATURE[node]]"
    body = [
        "    real known = @0;",
        "    int c, i, node;",
        "    (void)m;",
        "    for (i = 0; i < D; i++) known += x[i] * @0; /* what is no number leads to none */",
        "    for (c = 0; c < C; c++) z[c] = START[group * C + c] + known;",
        "    for (i = TREES[group]; i < TREES[group + 1]; i++) {",
        f"        for (node = ROOT[i]; FEATURE[node] >= 0;) node = {read} <= SPLIT[node] ? LEFT[node] : RIGHT[node];",
        "        for (c = 0; c < C; c++) z[c] += VALUE[node * C + c];",
        "    }",
        *(["    for (c = 0; c < C; c++) z[c] = exp_(z[c]);"] if forests[0].exponential else []),
    ]
    return [*constants, *_function(*body)]


def _recurrent(model: Any, real: Real) -> list[str]:
    cells = {"": model.cell}
    if isinstance(model, EncoderDecoder):
        cells["ENCODER_"] = model.encoder
    constants = [*real.array("WEIGHT", _of(model.skip)), *real.array("BIAS", _of(model.bias))]
    constants += real.array("READOUT", _of(model.readout))
    for name, cell in cells.items():
        constants += real.array(f"{name}FROM_INPUT", _of(cell.from_input))
        constants += real.array(f"{name}INPUT_BIAS", _of(cell.input_bias))
        constants += real.array(f"{name}FROM_STATE", _of(cell.from_state))
        constants += real.array(f"{name}STATE_BIAS", _of(cell.state_bias))
    own = "ENCODER_" if "ENCODER_" in cells else ""
    width = model.cell.width
    source = _GRU if model.cell.kind == "gru" else _LSTM
    take_in = [
        "",
        "/* A row of the context goes into the state. */",
        "static void take_in(NAME *m, const real *x)",
        "{",
        f"    cell(m, x, {own}FROM_INPUT, {own}INPUT_BIAS, {own}FROM_STATE, {own}STATE_BIAS);",
        "}",
    ]
    body = [
        "    int c;",
        "    cell(m, x, FROM_INPUT, INPUT_BIAS, FROM_STATE, STATE_BIAS);",
        *_SKIP.format(x="x", n="D").strip("\n").splitlines(),
        "    add(m->state, R, READOUT, C, C, z);",
    ]
    text = f"enum {{ R = {width} }};"
    return [
        text,
        *constants,
        *_ADD.splitlines(),
        *_SIGMOID.splitlines(),
        *source.splitlines(),
        *take_in,
        *_function(*body),
    ]
