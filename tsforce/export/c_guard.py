"""The guard of roll-outs in C: see ``training.guard``, of which this is the part that one window needs."""

from __future__ import annotations

import numpy as np

from tsforce.export.c_text import Real
from tsforce.export.loop import Loop

__all__ = ["begin_lines", "guard_fields", "guard_source", "hold_lines", "limit_lines"]

_USUAL = """
/* The range that n values keep to but for wild ones at its ends; r: lowest, highest, low, high. */
static void usual(const real *v, int n, real *r)
{
    real s[L], t, a, b;
    int i, j, gap, ends = n >= 8 ? (int)rint_(@0.02 * (real)n) : 0;
    if (n >= 8 && ends < 1) ends = 1;
    if (n < 1) { r[0] = r[1] = r[2] = r[3] = (real)NAN; return; }
    for (i = 0; i < n; i++) s[i] = v[i * C];
    for (gap = n / 2; gap > 0; gap /= 2)
        for (i = gap; i < n; i++) {
            t = s[i];
            for (j = i; j >= gap && s[j - gap] > t; j -= gap) s[j] = s[j - gap];
            s[j] = t;
        }
    r[0] = r[2] = s[0];
    r[1] = r[3] = s[n - 1];
    if (ends == 0) return;
    for (i = n - 2; i >= n - 1 - ends; i--)
        if (s[i + 1] - s[i] > @10 * (s[i] - s[ends])) r[3] = s[i];
    for (i = 0; i < ends; i++)
        if (s[i + 1] - s[i] > @10 * (s[n - 1 - ends] - s[i + 1])) r[2] = s[i + 1];
    for (i = 2; i < n; i++) {
        a = v[(i - 2) * C];
        b = v[(i - 1) * C];
        t = v[i * C];
        if (a > b) { real swap = a; a = b; b = swap; }
        t = t < a ? a : t > b ? b : t; /* the middle one of three */
        if (t < r[2]) r[2] = t;
        if (t > r[3]) r[3] = t;
    }
}
"""


def _has_guard(loop: Loop) -> bool:
    return bool(np.isfinite(loop.guard.factor))


def _limits_levels(loop: Loop) -> bool:
    return _has_guard(loop) and loop.guard.level_low is not None and not loop.cannot_run_away


def guard_fields(loop: Loop) -> list[str]:
    """Return the fields that the guard needs."""
    channels = len(loop.layout.channels)
    fields = [f"NAME_real size[{channels}]; /* the largest value of the context */"]
    if _has_guard(loop):
        fields += [f"NAME_real low[{channels}], high[{channels}]; /* where roll-outs are held */", "int held;"]
    if _limits_levels(loop):
        fields += [
            f"NAME_real levels[{loop.length * channels}]; /* outputs, original units */",
            f"NAME_real bottom[{channels}], top[{channels}];",
        ]
    return fields


def guard_source(loop: Loop, real: Real) -> list[str]:
    """Return the constants of the guard, and the function behind it."""
    if not _has_guard(loop):
        return []
    guard = loop.guard
    lines = [*real.array("LOW", guard.low[0]), *real.array("HIGH", guard.high[0]), *real.array("SPAN", guard.span[0])]
    if _limits_levels(loop):
        assert guard.level_low is not None
        assert guard.level_high is not None
        lines += [*real.array("BOTTOM", guard.level_low[0]), *real.array("TOP", guard.level_high[0])]
    return [*lines, *_USUAL.splitlines()]


def begin_lines(loop: Loop, fed: str) -> list[str]:
    """Return what is found out about a context at a cutoff, `count` rows of which are there; of `fed` rows."""
    lines = f"""
    for (c = 0; c < C; c++) {{
        m->size[c] = @0;
        for (i = 0; i < L; i++)
            if (fabs_({fed}[i * C + c]) > m->size[c]) m->size[c] = fabs_({fed}[i * C + c]);
    }}"""
    if _has_guard(loop):
        factor = f"@{loop.guard.factor!r}"
        unit = (
            "(LOW[c] - m->centre[c]) / m->scale[c]",
            "(HIGH[c] - m->centre[c]) / m->scale[c]",
            "SPAN[c] / m->scale[c]",
        )
        low, high, span = ("LOW[c]", "HIGH[c]", "SPAN[c]") if loop.scaling is None else unit
        lines += f"""
    for (c = 0; c < C; c++) {{
        real r[4], own, span = {span}, reach;
        usual({fed} + (L - count) * C + c, count, r);
        own = r[3] - r[2];
        if (isfinite(span)) span = own > span ? own : span;
        else span = own > @0 ? own : (real)INFINITY;
        reach = {factor} * span;
        m->low[c] = fmin_({low}, fmin_(r[0], r[2] - reach));
        m->high[c] = fmax_({high}, fmax_(r[1], r[3] + reach));
    }}"""
        if loop.scaling is not None:
            lines += """
    for (c = 0; c < C; c++)
        if (m->scale[c] == 0) { m->low[c] = -(real)INFINITY; m->high[c] = (real)INFINITY; }"""
    if _limits_levels(loop):
        lines += f"""
    for (c = 0; c < C; c++) {{
        int seen = m->n < L ? m->n : L;
        real r[4], span, level;
        usual(m->levels + (L - seen) * C + c, seen, r);
        span = r[3] - r[2];
        level = fmax_(fabs_(r[2]), fabs_(r[3]));
        if (!(span > @1e-9 * level)) span = level > 0 ? level : r[1] - r[0];
        if (!(span > 0)) span = (real)INFINITY;
        m->bottom[c] = fmin_(BOTTOM[c], fmin_(r[0], r[2] - {factor} * span));
        m->top[c] = fmax_(TOP[c], fmax_(r[1], r[3] + {factor} * span));
    }}"""
    return lines.strip("\n").splitlines()


def hold_lines(loop: Loop, fed: str) -> list[str]:
    """Return what holds the output ``z`` of a map, model units."""
    lines = f"""
    for (c = 0; c < C; c++) {{
        real far = @1e30 * (@1 + m->size[c]);
        z[c] = z[c] < -far ? -far : z[c] > far ? far : z[c];
        if (isnan(z[c])) {{ /* no number of numbers repeats the last one; where an input is none, so is the output */
            for (i = 0; i < D && isfinite(x[i]); i++) {{ }}
            if (i == D) z[c] = {fed}[(L - 1) * C + c];
        }}
    }}"""
    if _has_guard(loop):
        told = "1"
        lines += """
    for (c = 0; c < C; c++)
        if (!(z[c] >= m->low[c] && z[c] <= m->high[c])) out = 1;"""
        if not loop.has_paths:
            told = "near"
            lines += f"""
    for (c = 0; c < C; c++)
        if (fabs_(z[c]) > @{loop.guard.factor!r} * m->size[c]) near = 0;"""
        held = f"out && !{told}" if loop.cannot_run_away else "1"
        # The first step reads observed values alone: it is what it is, unless it is far from all of them.
        lines += f"""
    if (m->step == 0) m->held = {held};
    if (m->step == 0 ? out && !{told} : m->held)
        for (c = 0; c < C; c++) z[c] = z[c] < m->low[c] ? m->low[c] : z[c] > m->high[c] ? m->high[c] : z[c];"""
    return lines.strip("\n").splitlines()


def limit_lines(loop: Loop) -> list[str]:
    """Return what holds the output ``v`` in original units."""
    lines = """
    for (c = 0; c < C; c++) {
        if (!isfinite(v[c]) && !isnan(z[c])) v[c] = m->last[c];
        m->last[c] = y[c] = v[c];
    }"""
    if _limits_levels(loop):
        first = " && m->step > 0" if loop.has_paths else ""
        lines += f"""
    push(m->levels, L, C, v);
    for (out = 0, c = 0; c < C; c++)
        if (v[c] < m->bottom[c] || v[c] > m->top[c]) out = 1;
    if (out{first})
        for (c = 0; c < C; c++) y[c] = v[c] < m->bottom[c] ? m->bottom[c] : v[c] > m->top[c] ? m->top[c] : v[c];"""
    return lines.strip("\n").splitlines()
