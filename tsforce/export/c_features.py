"""Lag transforms in C: statistics of what was fed, worked out at every step."""

from __future__ import annotations

from tsforce.export.c_text import Real
from tsforce.export.features import Window, features_of, running_of
from tsforce.export.loop import Loop

__all__ = ["before_lines", "feature_fields", "feature_lines", "feature_source", "remember_source"]

_STATISTICS = {
    "mean": """
static real mean(const real *v, int n, int apart)
{
    real sum = @0;
    int i;
    for (i = 0; i < n; i++) sum += v[i * apart];
    return sum / (real)n;
}
""",
    "deviation": """
static real deviation(const real *v, int n, int apart)
{
    real middle = mean(v, n, apart), sum = @0;
    int i;
    for (i = 0; i < n; i++) sum += (v[i * apart] - middle) * (v[i * apart] - middle);
    return n > 1 ? sqrt_(sum / (real)(n - 1)) : @0;
}
""",
    "smallest": """
static real smallest(const real *v, int n, int apart)
{
    real least = v[0];
    int i;
    for (i = 1; i < n; i++) least = v[i * apart] >= least ? least : v[i * apart];
    return least;
}
""",
    "largest": """
static real largest(const real *v, int n, int apart)
{
    real most = v[0];
    int i;
    for (i = 1; i < n; i++) most = v[i * apart] <= most ? most : v[i * apart];
    return most;
}
""",
    "quantile": """
static real quantile(const real *v, int n, int apart, real p)
{
    real s[L], t, place = p * (real)(n - 1);
    int i, j, low = (int)place;
    for (i = 0; i < n; i++) {
        t = v[i * apart];
        for (j = i; j > 0 && s[j - 1] > t; j--) s[j] = s[j - 1];
        s[j] = t;
    }
    t = s[low < n - 1 ? low + 1 : low];
    return s[low] + (place - (real)low) * (t - s[low]);
}
""",
}

_BEGINS = """
/* The first row of a window that a series has; of one that has too few of them, the first of the context. */
static int begins(const NAME *m, int stop, int span, int enough)
{
    int first = stop > span ? stop - span : 0, known = L - (m->n < N - L ? 0 : m->n - (N - L));
    return known <= first || stop - known < enough ? first : known;
}
"""

_RUNNING = """
/* The mean of all rows of a series up to one; alpha: the weight of the last of them, 0: that of all others. */
static real running(const NAME *m, const real *before, real alpha, int stop, int c)
{
    real mean = BEFORE, number = m->age - (real)L, kept;
    int i;
    for (i = 0; i < stop; i++) {
        number += @1;
        if (number < @1) continue;
        kept = number > @1 ? (alpha > 0 ? @1 - alpha : (number - @1) / number) : @0;
        mean = kept * mean + (@1 - kept) * FED[i * C + c];
    }
    return number < @1 ? FED[(stop - 1) * C + c] : mean;
}
"""


def feature_fields(loop: Loop) -> list[str]:
    """Return the fields that means of all rows need."""
    count = len(running_of(loop.layout)) * len(loop.layout.channels)
    if not count:
        return []
    return [
        f"NAME_real before[{count}]; /* means of the rows before the context */",
        "NAME_real age; /* rows so far */",
    ]


def feature_source(loop: Loop, fed: str) -> list[str]:
    """Return the functions that ``feature_lines`` call."""
    features, text = features_of(loop.layout), ""
    kinds = {one.kind for one in features if isinstance(one, Window)}
    kinds |= {"mean"} if "deviation" in kinds else set()
    text += "".join(source for kind, source in _STATISTICS.items() if kind in kinds)
    if any(isinstance(one, Window) and one.enough < one.span for one in features):
        text += _BEGINS
    if running_of(loop.layout):
        before = "before[c]"
        if loop.scaling:
            before = "m->scale[c] == 0 ? @0 : (before[c] - m->centre[c]) / m->scale[c]"
        text += _RUNNING.replace("BEFORE", before).replace("FED", fed)
    return text.splitlines()


def feature_lines(loop: Loop, real: Real, fed: str) -> list[str]:
    """Return the lines of the lag vector that write features behind lags."""
    lines, nth = [], 0
    for one in features_of(loop.layout):
        stop = f"L - {one.lag - 1} - back"
        if not isinstance(one, Window):
            value = f"running(m, m->before + {nth} * C, {real.number(one.alpha)}, {stop}, c)"
            lines.append(f"    for (c = 0; c < C; c++) *x++ = {value};")
            nth += 1
            continue
        more = f", {real.number(one.p)}" if one.kind == "quantile" else ""
        if one.enough == one.span:
            value = (
                f"{one.kind}({fed} + (L - {one.lag + one.span - 1} - back) * C + c, {one.size}, {one.apart} * C{more})"
            )
            lines.append(f"    for (c = 0; c < C; c++) *x++ = {value};")
            continue
        lines += [
            "    {",
            f"        int stop = {stop}, first = begins(m, stop, {one.span}, {one.enough});",
            f"        int n = 1 + (stop - 1 - first) / {one.apart};",
            f"        int from = stop - 1 - (n - 1) * {one.apart};",
            f"        for (c = 0; c < C; c++) *x++ = {one.kind}({fed} + from * C + c, n, {one.apart} * C{more});",
            "    }",
        ]
    return lines


def before_lines(loop: Loop, real: Real) -> list[str]:
    """Return the lines that take the row in which leaves the context."""
    means = running_of(loop.layout)
    if not means:
        return []
    lines = ["    if (m->n >= N) {", "        real number = m->age - (real)L + @1, kept;"]
    for nth, one in enumerate(means):
        kept = real.number(1 - one.alpha) if one.alpha else "(number - @1) / number"
        at = f"m->before[{nth} * C + c]"
        lines += [
            f"        kept = number > @1 ? {kept} : @0;",
            f"        for (c = 0; c < C; c++) {at} = kept * {at} + (@1 - kept) * m->context[c];",
        ]
    return [*lines, "    }", "    if (m->n >= N - L) m->age += @1;"]


def remember_source(loop: Loop, real: Real) -> list[str]:
    """Return the function that knows of the rows before those that the model starts behind."""
    if not running_of(loop.layout):
        return []
    age, *before = loop.memory
    return [
        "",
        *real.array("START_BEFORE", before),
        "/* What the rows before those of the start have left. */",
        "static void remember(NAME *m)",
        "{",
        "    int i;",
        f"    m->age = {real.number(age)};",
        f"    for (i = 0; i < {len(before)}; i++) m->before[i] = START_BEFORE[i];",
        "}",
    ]
