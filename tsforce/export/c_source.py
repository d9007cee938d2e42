"""A closed loop as C99: a struct, and functions that take in a row or answer for the next one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsforce.dynamics.models.each_step import EachStep
from tsforce.errors import ArgumentError
from tsforce.export.c_features import before_lines, feature_fields, feature_lines, feature_source, remember_source
from tsforce.export.c_guard import begin_lines, guard_fields, guard_source, hold_lines, limit_lines
from tsforce.export.c_maps import map_source, state_fields
from tsforce.export.c_text import Real, integers
from tsforce.export.c_transforms import tail_fields, transform_source
from tsforce.export.loop import Loop

__all__ = ["CSource", "c_source"]


@dataclass(frozen=True)
class CSource:
    """A header and what implements it."""

    header: str
    source: str


def c_source(loop: Loop, name: str, dtype: str = "float64") -> CSource:
    """Return the C99 code of a closed loop, all of whose names begin with `name`."""
    real = Real(dtype)

    def finished(lines: list[str]) -> str:
        text = real.functions("\n".join(line.rstrip() for line in lines))
        if re.search(rf"\b{name}\b", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)):
            raise ArgumentError(
                f"the file's name is that of the code's functions, and {name!r} is a name inside the code; take "
                f"another one, such as 'model'."
            )
        return re.sub(r"\n{3,}", "\n\n", text.replace("NAME", name)) + "\n"

    return CSource(finished(_header(loop, real)), finished(_body(loop, real)))


def _arguments(loop: Loop, *, step: bool) -> str:
    """Return the parameters of a function: of a row that was observed, or of one to be predicted."""
    columns = loop.columns
    given = [] if step else ["const NAME_real *y"]
    given += ["const NAME_real *future"] if columns.future_exog else []
    given += ["const NAME_real *past"] if columns.past_exog and not step else []
    return ", ".join(["NAME *m", *given, *(["NAME_real *y"] if step else [])])


def _header(loop: Loop, real: Real) -> list[str]:
    columns, channels = loop.columns, len(loop.layout.channels)
    reads = [
        f"   {what}: {', '.join(names)}"
        for what, names in (
            ("y", columns.targets),
            ("future, known ahead", columns.future_exog),
            ("past, known up to now", columns.past_exog),
        )
        if names
    ]
    fields = [
        f"NAME_real context[{loop.length * channels}]; /* outputs, transformed, oldest first */",
        *([f"NAME_real fed[{loop.length * channels}]; /* the same in units of the context */"] if loop.scaling else []),
        *([f"NAME_real centre[{channels}], scale[{channels}];"] if loop.scaling else []),
        *([f"NAME_real future[{_future_rows(loop) * len(columns.future_exog)}];"] if columns.future_exog else []),
        *([f"NAME_real past[{_past_rows(loop) * len(columns.past_exog)}];"] if columns.past_exog else []),
        *tail_fields(loop),
        *state_fields(loop),
        *feature_fields(loop),
        *guard_fields(loop),
        f"NAME_real last[{channels}]; /* output, original units */",
        "int n, step; /* rows taken in, steps since the last one that was observed */",
    ]
    return [
        "/* A model fitted by tsforce, run on its own outputs. All values are in original units:",
        *reads,
        "   A forecast is steps of a copy: NAME ahead = model; NAME_step(&ahead, ...); once for each step. */",
        "#ifndef NAME_H",
        "#define NAME_H",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"typedef {real.type} NAME_real;",
        f"enum {{ NAME_n_y = {channels}, NAME_n_future = {len(columns.future_exog)}, "
        f"NAME_n_past = {len(columns.past_exog)} }};",
        "",
        "typedef struct {",
        *(f"    {field}" for field in fields),
        "} NAME;",
        "",
        "/* Start behind the last rows learnt from; behind none; or where rows like this one stood for ever. */",
        "void NAME_init(NAME *m);",
        "void NAME_clear(NAME *m);",
        f"void NAME_rest({_arguments(loop, step=False)});",
        "/* Take in the next row, observed. */",
        f"void NAME_observe({_arguments(loop, step=False)});",
        "/* Predict the next row, and feed it back. */",
        f"void NAME_step({_arguments(loop, step=True)});",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "#endif",
    ]


def _future_rows(loop: Loop) -> int:
    return 1 + loop.warm_up + max((lag for _, lags in loop.layout.future_exog for lag in lags), default=0)


def _past_rows(loop: Loop) -> int:
    return max(1, loop.warm_up + max((lag for _, lags in loop.layout.past_exog for lag in lags), default=1))


def _body(loop: Loop, real: Real) -> list[str]:
    layout, columns = loop.layout, loop.columns
    sizes = {
        "C": len(layout.channels),
        "L": loop.length,
        "D": len(layout.columns),
        "S": layout.n_step_groups,
        "N": loop.n_rows,
    }
    if columns.future_exog:
        sizes |= {"F": len(columns.future_exog), "FUTURE": _future_rows(loop)}
    if columns.past_exog:
        sizes |= {"P": len(columns.past_exog), "PAST": _past_rows(loop)}
    if loop.warm_up:
        sizes["WARM"] = loop.warm_up
    lines = [
        '#include "NAME.h"',
        "#include <math.h>",
        "",
        "typedef NAME_real real;",
        f"enum {{ {', '.join(f'{key} = {value}' for key, value in sizes.items())} }};",
        "",
        *_inputs(loop, real),
        "/* The oldest of n rows leaves, another one enters. */",
        "static void push(real *rows, int n, int width, const real *row)",
        "{",
        "    int i;",
        "    for (i = 0; i < (n - 1) * width; i++) rows[i] = rows[i + width];",
        "    for (i = 0; i < width; i++) rows[(n - 1) * width + i] = row[i];",
        "}",
        "",
        *transform_source(loop, real),
        "",
        *map_source(loop, real),
        "",
        *guard_source(loop, real),
        "",
        *feature_source(loop, _fed(loop)),
        *_lag_vector(loop, real),
        "",
        *_taken(loop, real),
        *_begin(loop),
        "",
        *_observe(loop),
        "",
        *_step(loop),
        "",
        *_starts(loop, real),
    ]
    return lines


def _inputs(loop: Loop, real: Real) -> list[str]:
    """Return the constants of what stands beside the target."""
    layout, columns = loop.layout, loop.columns
    lines = []
    n_past = len(columns.past_exog)
    if loop.coder is not None:
        centre, spread = loop.coder.centre[0], loop.coder.spread[0]
        for key, part in (("PAST", slice(0, n_past)), ("FUTURE", slice(n_past, None))):
            if len(centre[part]):
                lines += real.array(f"{key}_MEAN", centre[part]) + real.array(f"{key}_SPREAD", spread[part])
    for key, block in (("PAST", layout.past_exog), ("FUTURE", layout.future_exog)):
        read = [(column, lag) for column, (_, lags) in enumerate(block) for lag in reversed(lags)]
        if read:
            lines += integers(f"{key}_COLUMN", (column for column, _ in read))
            lines += integers(f"{key}_LAG", (lag for _, lag in read))
    if not layout.is_contiguous and layout.lags:
        lines += integers("LAG", reversed(layout.lags))
    if layout.known_until:
        lines += integers("UNTIL", layout.known_until)
    if len(loop.static_values):
        lines += real.array("STATIC", loop.static_values)
    return lines


def _fed(loop: Loop) -> str:
    return "m->fed" if loop.scaling else "m->context"


def _taken(loop: Loop, real: Real) -> list[str]:
    """Return the function that puts a row into the context, where more is to be done than to push it."""
    before = before_lines(loop, real)
    if not before:
        return []
    head = ["/* A row enters the context. */", "static void enter(NAME *m, const real *v)", "{", "    int c;"]
    return [*head, *before, "    push(m->context, L, C, v);", "}", ""]


def _enter(loop: Loop) -> str:
    return "    enter(m, v);" if loop.layout.recurrences else "    push(m->context, L, C, v);"


def _lag_vector(loop: Loop, real: Real) -> list[str]:
    layout, fed = loop.layout, _fed(loop)
    body: list[str] = []
    if layout.is_contiguous:
        first = f"L - {layout.lags[-1]} - back"
        body.append(f"    for (i = 0; i < {len(layout.lags)} * C; i++) *x++ = {fed}[({first}) * C + i];")
    elif layout.lags:
        body += [
            f"    for (i = 0; i < {len(layout.lags)}; i++)",
            f"        for (c = 0; c < C; c++) *x++ = {fed}[(L - LAG[i] - back) * C + c];",
        ]
    body += feature_lines(loop, real, fed)
    n_past, n_future = (sum(len(lags) for _, lags in block) for block in (layout.past_exog, layout.future_exog))
    if n_past:
        body += [
            f"    for (i = 0; i < {n_past}; i++) {{",
            "        int row = PAST - PAST_LAG[i] - back;",
            "        *x++ = m->past[(row < PAST ? row : PAST - 1) * P + PAST_COLUMN[i]];",
            "    }",
        ]
    if n_future:
        body += [
            f"    for (i = 0; i < {n_future}; i++)",
            "        *x++ = m->future[(FUTURE - 1 - FUTURE_LAG[i] - back) * F + FUTURE_COLUMN[i]];",
        ]
    n_static = len(loop.static_values)
    if n_static:
        body.append(f"    for (i = 0; i < {n_static}; i++) *x++ = STATIC[i];")
    n_calendar = len(layout.blocks["calendar"])
    if n_calendar:
        first = f"(FUTURE - 1 - back) * F + {len(loop.columns.future_exog) - n_calendar}"
        body.append(f"    for (i = 0; i < {n_calendar}; i++) *x++ = m->future[{first} + i];")
    if layout.known_until:
        body += [
            f"    for (i = 0; i < {len(layout.known_until)}; i++) group += UNTIL[i] < m->step + 1 - back;",
            "    for (i = 0; i < S; i++) *x++ = i == group;",
        ]
    text = "\n".join(body)
    loops = [name for name in ("i", "c") if f"({name} = 0" in text]
    return [
        "/* What the map reads to predict the row `back` steps before the next one; its group of steps. */",
        "static int lag_vector(const NAME *m, int back, real *x)",
        "{",
        f"    int {', '.join([*loops, 'group = 0'])};",
        *body,
        "    return group;",
        "}",
    ]


_SCALINGS = {
    "last": "m->centre[c] = m->context[(L - 1) * C + c];",
    "mean_abs": """for (i = L - count; i < L; i++) m->scale[c] += fabs_(m->context[i * C + c]);
        m->scale[c] /= (real)(count > 1 ? count : 1);""",
    "standard": """for (i = L - count; i < L; i++) m->centre[c] += m->context[i * C + c];
        m->centre[c] /= (real)(count > 1 ? count : 1);
        for (i = L - count; i < L; i++) {
            real gap = m->context[i * C + c] - m->centre[c];
            m->scale[c] += gap * gap;
        }
        m->scale[c] = sqrt_(m->scale[c] / (real)(count > 1 ? count : 1));""",
}


def _begin(loop: Loop) -> list[str]:
    """Return the function that is called at a cutoff: where no step has followed a row that was observed."""
    lost = loop.chain.rows_lost
    body = [f"    int i, c, count = m->n < {lost} ? 0 : m->n - {lost} < L ? m->n - {lost} : L;"]
    if loop.scaling:
        body += ["    for (c = 0; c < C; c++) {", "        real most = @0;"]
        body.append(f"        m->centre[c] = @0; m->scale[c] = {'@1' if loop.scaling == 'last' else '@0'};")
        body.append(f"        {_SCALINGS[loop.scaling]}")
        if loop.scaling != "last":
            few = "count <= 1" if loop.scaling == "standard" else "count == 0"
            body += [
                "        for (i = L - count; i < L; i++)",
                "            if (fabs_(m->context[i * C + c]) > most) most = fabs_(m->context[i * C + c]);",
                f"        if (m->scale[c] <= @1e-12 * most) m->scale[c] = {few} ? @1 : @0;",
            ]
        else:
            body.append("        (void)most;")
        body.append("    }")
    body += [
        "    for (c = 0; c < C && count < L; c++) { /* what a series that has only begun has not shown is its mean */",
        "        real mean = @0;",
        "        for (i = L - count; i < L; i++) mean += m->context[i * C + c];",
        "        for (i = 0; i < L - count; i++) m->context[i * C + c] = mean / (real)(count > 1 ? count : 1);",
        "    }",
    ]
    if loop.scaling:
        body += [
            "    for (i = 0; i < L; i++)",
            "        for (c = 0; c < C; c++)",
            "            m->fed[i * C + c] = m->scale[c] == 0 ? @0",
            "                : (m->context[i * C + c] - m->centre[c]) / m->scale[c];",
        ]
    body += begin_lines(loop, _fed(loop))
    if loop.recurrent:
        parts = 2 if loop.model.cell.kind == "lstm" else 1
        body.append(f"    for (i = 0; i < {parts} * R; i++) m->state[i] = @0;")
    if isinstance(loop.map, EachStep):
        body.append("    m->turn = 0;")
    if loop.warm_up:
        body.append("    for (i = WARM; i > 0; i--) { real x[D]; lag_vector(m, i, x); take_in(m, x); }")
    return ["/* A roll-out begins. */", "static void begin(NAME *m)", "{", *body, "}"]


def _push_inputs(loop: Loop, what: str) -> list[str]:
    """Return the lines that take in a row of inputs."""
    upper, count = what.upper(), {"future": "F", "past": "P"}[what]
    return [
        "    {",
        f"        real row[{count}];",
        f"        for (c = 0; c < {count}; c++) row[c] = ({what}[c] - {upper}_MEAN[c]) / {upper}_SPREAD[c];",
        f"        push(m->{what}, {upper}, {count}, row);",
        "    }",
    ]


def _observe(loop: Loop) -> list[str]:
    columns = loop.columns
    body = ["    real v[C];", "    int c;", "    for (c = 0; c < C; c++) m->last[c] = v[c] = y[c];"]
    body += ["    push(m->levels, L, C, v);"] if "levels[" in " ".join(guard_fields(loop)) else []
    body += _push_inputs(loop, "future") if columns.future_exog else []
    body += _push_inputs(loop, "past") if columns.past_exog else []
    body += ["    forward(m, v);"] if loop.chain.transforms else []
    body += [_enter(loop), "    if (m->n < N) m->n++;", "    m->step = 0;"]
    return [f"void NAME_observe({_arguments(loop, step=False)})", "{", *body, "}"]


def _step(loop: Loop) -> list[str]:
    columns = loop.columns
    hold, limit = hold_lines(loop, _fed(loop)), limit_lines(loop)
    text = "\n".join([*hold, *limit])
    flags = [f"{name} = {value}" for name, value in (("out", 0), ("near", 1)) if re.search(rf"\b{name}\b", text)]
    body = ["    real x[D], z[C], v[C];", f"    int {', '.join(['i', 'c', 'group', *flags])};"]
    body += _push_inputs(loop, "future") if columns.future_exog else []
    body += [
        "    if (m->step == 0) begin(m);",
        "    group = lag_vector(m, 0, x);",
        "    map(m, x, group, z);",
        *hold,
    ]
    if loop.scaling:
        body += ["    push(m->fed, L, C, z);", "    for (c = 0; c < C; c++) v[c] = z[c] * m->scale[c] + m->centre[c];"]
    else:
        body.append("    for (c = 0; c < C; c++) v[c] = z[c];")
    body.append(_enter(loop))
    body += ["    backward(m, v);"] if loop.chain.transforms else []
    body += limit
    if columns.past_exog:
        body += [
            "    { /* what is known up to a cutoff stays as it was there */",
            "        real row[P];",
            "        for (c = 0; c < P; c++) row[c] = m->past[(PAST - 1) * P + c];",
            "        push(m->past, PAST, P, row);",
            "    }",
        ]
    most = max(loop.layout.known_until, default=0) + 1
    body += ["    if (m->n < N) m->n++;", f"    if (m->step < {most}) m->step++;"]
    return [f"void NAME_step({_arguments(loop, step=True)})", "{", *body, "}"]


def _starts(loop: Loop, real: Real) -> list[str]:
    columns = loop.columns
    start = loop.start.take(slice(-loop.n_rows, None))
    rows: dict[str, Any] = {"y": start.y}
    rows |= {"future": start.future} if columns.future_exog else {}
    rows |= {"past": start.past} if columns.past_exog else {}
    lines: list[str] = []
    for key, values in rows.items():
        lines += real.array(f"START_{key.upper()}", values)
    given = "".join(f", START_{key.upper()} + i * {np.shape(values)[1]}" for key, values in rows.items())
    same = "".join(f", {key}" for key in rows)
    remembered = remember_source(loop, real)
    return [
        *lines,
        *remembered,
        "void NAME_clear(NAME *m)",
        "{",
        "    static const NAME nothing;",
        "    *m = nothing;",
        "}",
        "",
        "void NAME_init(NAME *m)",
        "{",
        "    int i;",
        "    NAME_clear(m);",
        *(["    remember(m);"] if remembered else []),
        f"    for (i = 0; i < {len(start.y)}; i++) NAME_observe(m{given});",
        "}",
        "",
        f"void NAME_rest({_arguments(loop, step=False)})",
        "{",
        "    int i;",
        "    NAME_clear(m);",
        f"    for (i = 0; i < N; i++) NAME_observe(m{same});",
        "}",
    ]
