"""Open-loop least squares for linear step models: the solution of moments, and the models of a panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import NumericalError
from tsforce.training.solvers.gram import Anchor, Gram, by_length
from tsforce.training.solvers.kept_moments import keeping, moments_of
from tsforce.training.solvers.lag_rows import chunks_of_rows
from tsforce.training.solvers.priors import Prior
from tsforce.training.solvers.triangle import Triangle

__all__ = [
    "JITTER",
    "Solutions",
    "column_moments",
    "fit_linear",
    "followed",
    "lost_digits",
    "maps_of",
    "solve",
    "solve_with_digits",
    "told_to_prior",
]

# Weight (G, D, C) and bias (G, C), for each ridge.
Solutions = list[tuple[Tensor, Tensor]]
# From moments, series of each group and ridges to solutions; by name: intercept, anchor.
Solve = Callable[..., Solutions]

#: Ridge of a row where none is asked for.
JITTER = 1e-12
# Where of a column no more than this share of its variance is left beside the others, moments have lost half of their
# digits to it.
_TOLD_APART = 1e-8


def solve(
    gram: Gram, ridges: Sequence[float | Tensor], *, intercept: bool, anchor: Anchor | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Return weight (G, D, C) and bias (G, C) of ridge regression for each ridge.

    Parameters
    ----------
    gram : Gram
    ridges : sequence of float or (G,) tensor
        Added to the diagonal of X'X (a sum over rows) of columns scaled to unit standard deviation over the rows, as
        scikit-learn's ``Ridge(alpha)`` on standardised columns. 0 is allowed and gets a jitter of 1e-12 * rows.
    intercept : bool
        Free of penalty. Without one, nothing is centred.
    anchor : Anchor, optional
        What the penalty pulls to; zero by default.

    Raises
    ------
    NumericalError
        If the moments are not finite.

    Notes
    -----
    Cholesky, never LU. A system that does not factorise (collinear lags at ridge 0) gets ten times the jitter until
    it does. What that costs in digits says `lost_digits`; ``Triangle`` has them.
    """
    return [solution for solution, _ in _solved(gram, ridges, intercept=intercept, anchor=anchor)]


def lost_digits(gram: Gram, ridge: float | Tensor, *, intercept: bool) -> Tensor:
    """Return the groups whose columns moments cannot tell apart with half of their digits, (G,) bool."""
    ((_, lost),) = _solved(gram, [ridge], intercept=intercept)
    return lost


def _solved(
    gram: Gram, ridges: Sequence[float | Tensor], *, intercept: bool, anchor: Anchor | None = None
) -> list[tuple[tuple[Tensor, Tensor], Tensor]]:
    """Return what `solve` does, each with what `lost_digits` does."""
    gram = gram if anchor is None else anchor.left_of(gram)
    rows = gram.rows[:, None]
    # What of the mean a constant takes; all of it, unless it is penalised.
    share = torch.ones_like(rows) if anchor is None else 1 / (1 + anchor.held)[:, None]
    mean, std, second = column_moments(gram)
    if not bool(torch.isfinite(second).all() and torch.isfinite(gram.xy).all()):
        raise NumericalError("least squares: sums of squares overflow; divide the target by a constant first.")
    xx, xy = gram.xx, gram.xy
    if intercept:
        xx = torch.addcmul(xx, (share * gram.x_sum)[:, :, None], mean[:, None, :], value=-1)
        xy = xy - (share * mean)[:, :, None] * gram.y_sum[:, None, :]
    else:
        xx = xx.clone()
    # The penalty is put in units of the columns, and not the columns in units of their own: no digit of a Cholesky
    # factor depends on such units, and each pass over all moments costs as much as a third of the factors.
    unit = std**2
    diagonal = xx.diagonal(dim1=1, dim2=2)
    plain = diagonal / unit
    solutions = []
    for ridge in ridges:
        penalty = torch.as_tensor(ridge, dtype=xx.dtype, device=xx.device).expand(len(xx))
        added = penalty[:, None] if anchor is None else penalty[:, None] * anchor.factors
        diagonal.copy_((plain + torch.where(added > 0, added, JITTER * rows)) * unit)
        factor = _factor(xx, rows, unit)
        # Two triangles: torch.cholesky_solve copies its factors first, which takes four times as long.
        seen = torch.linalg.solve_triangular(factor, xy, upper=False)
        weight = torch.linalg.solve_triangular(factor.mT, seen, upper=True)
        if intercept:
            centre = gram.y_origin + share * gram.y_sum / rows
            bias = centre - torch.einsum("gd,gdc->gc", gram.x_origin + share * mean, weight)
        else:
            bias = torch.zeros_like(gram.y_sum)
        pivots = factor.diagonal(dim1=1, dim2=2) ** 2 / unit
        # A constant column is 0, and none that others could be mistaken for.
        lost = (pivots < _TOLD_APART * (plain + added)).logical_and(plain > _TOLD_APART * rows).any(dim=1)
        solutions.append(((weight if anchor is None else weight + anchor.weight, bias), lost))
    return solutions


def solve_with_digits(
    gram: Gram,
    ridges: Sequence[float | Tensor],
    rows: Sequence[Callable[[], Iterable[tuple[Tensor, ...]]]],
    *,
    intercept: bool,
    anchor: Anchor | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """Return what `solve` does, from a triangle of rows where moments cannot tell columns apart.

    Parameters
    ----------
    gram, ridges, intercept, anchor
        As in `solve`.
    rows : G callables
        Of each group: its rows, as ``Triangle`` takes them.
    """
    solved = _solved(gram, ridges, intercept=intercept, anchor=anchor)
    lost = torch.stack([lost for _, lost in solved])
    found = [solution for solution, _ in solved]
    if not bool(lost.any()):
        return found
    gram = gram if anchor is None else anchor.left_of(gram)
    mean, std, _ = column_moments(gram)
    for g in torch.nonzero(lost.any(dim=0))[:, 0].tolist():
        y_centre = gram.y_origin[g] + gram.y_sum[g] / gram.rows[g] if intercept else torch.zeros_like(gram.y_sum[g])
        centre = gram.x_origin[g] + mean[g] if intercept else torch.zeros_like(mean[g])
        own_rows, scale, pulled = rows[g](), std[g], torch.zeros_like(gram.xy[g])
        if anchor is not None:
            pulled, scale = anchor.weight[g], std[g] * anchor.factors.sqrt()
            if anchor.held[g] and intercept:
                # A row at the level, which says that nothing is added there.
                root = (anchor.held[g] * gram.rows[g]).sqrt()
                own_rows = chain(own_rows, [(anchor.x_level[[g]], anchor.y_level[[g]], root[None])])
            own_rows = ((x, y - x @ pulled, *root) for x, y, *root in own_rows)
        triangle = Triangle(own_rows, centre, scale, y_centre, intercept=intercept)
        own = [i for i in range(len(ridges)) if bool(lost[i, g])]
        penalties = [float(torch.as_tensor(ridges[i]).expand(len(gram.rows))[g]) for i in own]
        for i, (weight, bias) in zip(own, triangle.solve(penalties), strict=True):
            found[i][0][g], found[i][1][g] = weight + pulled, bias
    return found


def column_moments(gram: Gram) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, standard deviation and mean square of the columns, (G, D) each, relative to their origins."""
    rows = gram.rows[:, None]
    mean = gram.x_sum / rows
    second = gram.xx.diagonal(dim1=1, dim2=2) / rows
    variance = (second - mean**2).clamp(min=0)
    # What rounding leaves of a constant column's variance is no scale to divide by.
    return mean, torch.where(variance > 1e-13 * second, variance.sqrt(), 1.0), second


def _factor(matrices: Tensor, rows: Tensor, unit: Tensor) -> Tensor:
    """Return Cholesky factors of (G, D, D), of which the lower triangles are read; `unit` (G, D) is a ridge of 1."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrices)
    jitter = JITTER * rows
    while bool((failed > 0).any()):
        bad = failed > 0
        jitter = jitter * 10
        nudged = matrices[bad] + torch.diag_embed(jitter[bad] * unit[bad])
        factor[bad], failed[bad] = torch.linalg.cholesky_ex(nudged)
        if bool((jitter > rows).any()):
            raise NumericalError("least squares: the system does not factorise; raise ridge=, or rescale the target.")
    return factor


def fit_linear(
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    ridges: Sequence[float | Tensor],
    *,
    pooled: bool,
    intercept: bool | npt.NDArray[np.bool_],
    horizon: int = 1,
    first: int = 0,
    prior: Prior | None = None,
) -> list[Linear]:
    """Return the linear models of the given rows, one for each ridge, from one Gram.

    Parameters as in `accumulate` and `solve`; a ridge that is a tensor has one value per series, and so has an
    intercept that is an array. Weights are shrunk to those of `prior`, else to zero.

    Returns
    -------
    list of Linear
        With G = 1 if `pooled`, else G = S in the order of `series`.
    """
    stops_of = np.zeros(len(store.lengths), dtype=np.int64)
    stops_of[series] = stops

    def rows(members: IntArray) -> Iterator[tuple[Tensor, ...]]:
        for x, y in chunks_of_rows(store, members, stops_of, layout, horizon, first):
            yield x[0], y[0]

    def solved(gram: Gram, members: list[IntArray], ridges: Sequence[float | Tensor], **how: Any) -> Solutions:
        return solve_with_digits(gram, ridges, [partial(rows, m) for m in members], **how)

    return maps_of(
        solved, store, series, stops, layout, ridges, pooled=pooled, intercept=intercept, horizon=horizon, first=first,
        prior=prior,
    )  # fmt: skip


def maps_of(
    solved: Solve,
    store: SeriesStore,
    series: IntArray,
    stops: IntArray,
    layout: LagLayout,
    ridges: Sequence[float | Tensor],
    *,
    pooled: bool,
    intercept: bool | npt.NDArray[np.bool_],
    horizon: int,
    first: int,
    prior: Prior | None = None,
) -> list[Linear]:
    """Return linear models, one for each ridge, from what `solved` makes of the moments of some groups at a time.

    Parameters
    ----------
    solved : function (gram, members, ridges, *, intercept, anchor) -> list of (weight, bias)
        For moments of G groups, of the positions of their series in `store`, and a ridge of all or of each group.
    store, series, stops, layout, ridges, pooled, intercept, horizon, first, prior
        As in `fit_linear`.
    """
    device = store.values.device

    def moments(part: IntArray, one: bool) -> Gram:
        return moments_of(
            store, series[part], stops[part], layout, pooled=pooled, intercept=one, horizon=horizon, first=first
        )

    if pooled:
        one = bool(np.all(intercept))
        gram = moments(np.arange(len(series)), one)
        found = solved(gram, [series], ridges, intercept=one, anchor=prior and prior.anchor(gram))
        return followed([Linear(layout, weight.to(device), bias.to(device)) for weight, bias in found], store.scaling)
    size = (len(series), len(layout.columns), len(layout.channels))
    models = [Linear(layout, store.values.new_empty(size), store.values.new_empty(size[0], size[2])) for _ in ridges]
    parts, twice = _parts(intercept, stops), prior is not None and prior.looks_at_all
    # A chunk's moments are used and dropped: all at once they would be gigabytes for a large panel.
    with keeping(store) if twice else nullcontext():
        if prior is not None and twice:
            prior = prior.learnt(moments(part, one) for one, part in parts)
        for one, part in parts:
            own = [ridge[torch.from_numpy(part)] if isinstance(ridge, Tensor) else ridge for ridge in ridges]
            for some, piece in moments(part, one).pieces():
                each = [ridge[some] if isinstance(ridge, Tensor) else ridge for ridge in own]
                members, place = [series[[i]] for i in part[some]], torch.from_numpy(part[some])
                found = solved(piece, members, each, intercept=one, anchor=prior and prior.anchor(piece))
                for model, (weight, bias) in zip(models, found, strict=True):
                    model.weight[place], model.bias[place] = weight.to(device), bias.to(device)
    return followed(models, store.scaling)


def _parts(intercept: bool | npt.NDArray[np.bool_], stops: IntArray) -> list[tuple[bool, IntArray]]:
    """Return chunks of series that do or do not fit an intercept, of similar length each."""
    flags = np.broadcast_to(intercept, len(stops))
    alike = [(one, np.flatnonzero(flags == one)) for one in (True, False)]
    return [(one, some[own]) for one, some in alike for own in by_length(stops[some])]


def told_to_prior(
    prior: Prior,
    store: SeriesStore,
    stops: IntArray,
    layout: LagLayout,
    *,
    intercept: bool | npt.NDArray[np.bool_],
    horizon: int,
) -> dict[str, Tensor]:
    """Return what the rows before `stops` of all series of a store tell a prior that looks at all.

    Parameters as in `fit_linear`, each series with a map of its own.
    """
    return prior.told_by(
        moments_of(store, part, stops[part], layout, pooled=False, intercept=one, horizon=horizon)
        for one, part in _parts(intercept, stops)
    )


def followed(models: list[Linear], scaling: str | None) -> list[Linear]:
    """Return the models, lag 1 given what the other lags leave of it where windows are relative to their last value.

    That value is 0 in every row learnt from, so that rows say nothing of lag 1, and in a roll-out at the first step
    alone. What holds relative to one value holds relative to any: a shift of all lags shifts the outputs by as much,
    so that weights of the own target add up to 1, and those of each other one to 0 (a feature counts by how much it
    moves with a target).
    """
    layout = models[0].layout
    if scaling == "last" and 1 in layout.lags:
        unit = torch.eye(len(layout.channels)).to(models[0].weight)
        # Lags run from the oldest to the newest.
        first = layout.lags[::-1].index(1) * len(unit)
        last = slice(first, first + len(unit))
        moved = layout.at_level(unit) - layout.at_level(torch.zeros_like(unit))
        moved[:, last] = 0.0
        for model in models:
            others = moved.to(model.weight) @ model.weight[:, : layout.n_target_columns]
            model.weight[:, last] = unit.to(others) - others
    return models
