"""Target transforms in C: forward as a row is observed, backward as one is predicted."""

from __future__ import annotations

from tsforce.data.transforms import BoxCox, Difference, Log, MeanScale, Standardize, Transform
from tsforce.export.c_text import Real
from tsforce.export.loop import Loop

__all__ = ["tail_fields", "transform_source"]

_POSITIVE = "v[c] + T{i}[c] < T{i}[C + c] ? T{i}[C + c] : v[c] + T{i}[c]"
_EACH: dict[type[Transform], tuple[str, str]] = {
    Log: (f"log_({_POSITIVE})", "exp_(v[c]) - T{i}[c]"),
    BoxCox: (
        f"power(log_({_POSITIVE}), T{{i}}[2 * C + c])",
        "unpower(v[c], T{i}[2 * C + c], T{i}[3 * C + c]) - T{i}[c]",
    ),
    Standardize: ("(v[c] - T{i}[c]) / T{i}[C + c]", "v[c] * T{i}[C + c] + T{i}[c]"),
    MeanScale: ("v[c] / T{i}[c]", "v[c] * T{i}[c]"),
}

_POWER = """
static real power(real x, real k)
{
    return k == 0 ? x : expm1_(k * x) / k;
}

static real unpower(real z, real k, real end)
{
    real inside = @1 + k * z, least = exp_(k * end);
    return k == 0 ? exp_(z) : exp_(log_(inside < least ? least : inside) / k);
}
"""


def tail_fields(loop: Loop) -> list[str]:
    """Return the fields that differences need: the last values before each."""
    channels = len(loop.layout.channels)
    return [
        f"NAME_real tail{i}[{transform.lag * channels}]; /* values before the difference of lag {transform.lag} */"
        for i, transform in enumerate(loop.chain.transforms)
        if isinstance(transform, Difference)
    ]


def transform_source(loop: Loop, real: Real) -> list[str]:
    """Return the constants of the transforms, and the functions ``forward`` and ``backward``."""
    lines: list[str] = []
    forward, backward = [], []
    for i, (transform, params) in enumerate(zip(loop.chain.transforms, loop.chain.params, strict=True)):
        if isinstance(transform, Difference):
            row = f"push(m->tail{i}, {transform.lag}, C, old);"
            forward.append(f"    for (c = 0; c < C; c++) {{ old[c] = v[c]; v[c] -= m->tail{i}[c]; }}\n    {row}")
            backward.append(f"    for (c = 0; c < C; c++) old[c] = v[c] += m->tail{i}[c];\n    {row}")
            continue
        lines += real.array(f"T{i}", params[:, 0])
        there, back = next(both for kind, both in _EACH.items() if isinstance(transform, kind))
        forward.append(f"    for (c = 0; c < C; c++) v[c] = {there.format(i=i)};")
        backward.append(f"    for (c = 0; c < C; c++) v[c] = {back.format(i=i)};")
    if any(isinstance(transform, BoxCox) for transform in loop.chain.transforms):
        lines += _POWER.splitlines()
    if not forward:
        return []
    head = ["    real old[C];"] if tail_fields(loop) else ["    (void)m;"]
    both = (("forward", "Original units -> transformed.", forward), ("backward", "The way back.", backward[::-1]))
    for name, what, body in both:
        lines += ["", f"/* {what} */", f"static void {name}(NAME *m, real *v)", "{", "    int c;", *head, *body, "}"]
    return lines
