"""Which terms a polynomial gets, from training rows alone, and their least-squares weights."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import fields, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsforce.data.panel import IntArray, WindowIndex
from tsforce.data.windows import SeriesStore
from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.families import Polynomial as PolynomialFamily
from tsforce.dynamics.models.polynomial import Polynomial
from tsforce.training.closed_loop import forecast_windows
from tsforce.training.problem import Learnt, Problem
from tsforce.training.solvers.gram import Gram, whole
from tsforce.training.solvers.jacobians import symmetric_product
from tsforce.training.solvers.lag_rows import prior_of, rare_rows
from tsforce.training.solvers.least_squares import lost_digits, solve
from tsforce.training.solvers.orthogonal import Candidates, Moments, Path, forward, forward_by_rows, information
from tsforce.training.solvers.relabel import Rows, one_step_rows
from tsforce.training.solvers.row_weights import TOLERANCE, RowWeights, Squared
from tsforce.training.solvers.triangle import Triangle

__all__ = ["fit_terms", "select_terms"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Terms looked at where their number is to be chosen; and windows in which models are simulated for it.
_MOST_TERMS = 50
_MOST_WINDOWS = 4
# By simulation so many more are looked at, for each that is wanted, and the rest are dropped again.
_SPARE = 1.5
# Errors that are this close to the lowest are as good: it is the lowest of many.
_SLACK = 1.01
# A share of the variance that is left where moments no longer decide what is next; candidates that rows are read for.
_NEARLY_TOLD, _MOST_BY_ROWS = 1e-6, 500
# Bytes of monomials at once, and values of series that are copied so that candidates are simulated side by side.
_CHUNK_BYTES = 8 * 2**20
_MOST_VALUES = 20_000_000


def select_terms(
    problem: Problem, learnt: Learnt, ridge: FloatArray, family: PolynomialFamily, chosen: Polynomial | None = None
) -> Polynomial:
    """Return the polynomial of the terms that forward regression finds in the rows that were learnt from.

    Parameters
    ----------
    problem, learnt : Problem, Learnt
        Nothing at or after ``learnt.stops`` is read.
    ridge : (S,) float64
        Penalty on standardised monomials, in the choice of terms and in their weights.
    family : Polynomial of ``models.families``
    chosen : Polynomial, optional
        Its terms are taken as they are, and get weights afresh. What was judged on held-out windows, its number of
        training steps and whether it stays bounded included, was judged for those terms: one other term makes another
        model.

    Notes
    -----
    ``select="open_loop"``: the order is that of the error reduction ratio, the number given or that of the lowest
    information criterion. ``select="closed_loop"``: windows at the end of those rows are set aside, models of the first
    0, 1, 2 ... terms are simulated there, and from the smallest whose error is within 1 % of the lowest, terms are
    dropped as long as it remains so (Piroddi & Spinelli 2003, "An identification algorithm for polynomial NARX models
    based on simulation error minimization"). A number that is given is an upper bound then, to which half as many more
    terms are cut down by dropping. A series too short to set a window aside is left to the criterion.

    Terms are chosen by squares; of a problem with Huber's loss, weights are those of that loss. Where the layout tells
    groups of steps apart, terms are chosen for all of them together, and weighted by the rows of each alone.
    """
    if problem.device.type != "cpu":
        own = replace(problem, device=torch.device("cpu"))
        # A module moves by itself, and not a copy of it.
        there = None if chosen is None else deepcopy(chosen).to("cpu")
        return select_terms(own, own.learn(learnt.stops), ridge, family, there).to(problem.device)
    if problem.layout.known_until:
        return _by_step_groups(problem, learnt, ridge, family, chosen)
    rows, ends = _rows(problem, learnt)
    penalty = torch.from_numpy(ridge[:1] if problem.pooled else ridge)
    if chosen is not None:
        return _weighed(problem, learnt, chosen.indices, rows, ends, penalty)
    columns = len(problem.layout.columns)
    candidates = Candidates(columns, family.degree)
    kept: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(rows)
    todo = np.arange(len(rows))
    if family.select == "closed_loop":
        simulated = _by_simulation(problem, learnt, penalty, family, candidates)
        for g, terms in simulated.items():
            kept[g] = terms
        todo = np.setdiff1d(todo, list(simulated))
    for g in todo.tolist():
        x, y = (torch.from_numpy(part) for part in rows[g])
        moments = Moments(candidates, x, y, intercept=problem.most_have_intercepts)
        path = _path(moments, x, y, _most(family, len(x)), float(penalty[g]), family.tolerance)
        best = len(path.order)
        if family.n_terms == "auto":
            best = int(np.argmin(information(path, moments.rows, len(candidates.terms))))
        kept[g] = path.order[:best]
    indices = _padded([candidates.terms[terms] for terms in kept], columns, family.degree)
    return _weighed(problem, learnt, indices, rows, ends, penalty)


def _by_step_groups(
    problem: Problem, learnt: Learnt, ridge: FloatArray, family: PolynomialFamily, chosen: Polynomial | None
) -> Polynomial:
    """Return the polynomial of terms that are chosen for all steps, with weights for each group of steps."""
    layout, plain = problem.layout, replace(problem, layout=problem.layout.of_one_group)
    columns, added = len(plain.layout.columns), layout.n_step_groups
    if chosen is None:
        indices = select_terms(plain, learnt, ridge, family).indices
    else:
        # Ones and zeros are numbered after all columns.
        indices = torch.where(chosen.indices >= columns, chosen.indices - added, chosen.indices)
    penalty = torch.from_numpy(ridge[:1] if problem.pooled else ridge)
    weights, biases, notes = [], [], []
    weight = torch.zeros(*indices.shape[:2], len(layout.channels), dtype=torch.float64)
    bias = torch.zeros(len(indices), len(layout.channels), dtype=torch.float64)
    for steps in layout.step_groups(problem.horizon):
        rows, ends = _rows(plain, learnt, steps)
        # A group of steps without rows has the weights of the one before it.
        there = [g for g, (x, _) in enumerate(rows) if len(x)]
        if there:
            share, own = penalty[there] * len(steps) / problem.horizon, [rows[g] for g in there]
            model = _weighed(plain, learnt, indices[there], own, [ends[g] for g in there], share)
            place = torch.tensor(there)
            weight = weight.index_copy(0, place, model.weight.detach())
            bias = bias.index_copy(0, place, model.bias.detach())
            notes += learnt.notes
        weights.append(weight)
        biases.append(bias)
    learnt.notes[:] = dict.fromkeys(notes)
    shifted = torch.where(indices >= columns, indices + added, indices)
    return Polynomial(layout, shifted, torch.cat(weights, dim=2), torch.cat(biases, dim=1))


def _path(moments: Moments, x: Tensor, y: Tensor, most: int, ridge: float, tolerance: float) -> Path:
    """Return the terms in the order in which forward regression finds them, with the digits that it takes."""
    path = forward(moments, most, ridge=ridge, tolerance=tolerance)
    # Of targets that are told nearly to the last, what is left after some terms is less than moments can show.
    if len(moments.x_sum) > _MOST_BY_ROWS or path.left[-1].min() > _NEARLY_TOLD:
        return path
    return forward_by_rows(moments, x, y, most, ridge=ridge, tolerance=tolerance)


def _rows(problem: Problem, learnt: Learnt, steps: range | None = None) -> tuple[Rows, list[IntArray]]:
    """Return the rows of each group, series after series, and where each of its series ends; of all steps, or some."""
    steps = range(problem.horizon) if steps is None else steps
    order = problem.by_id if problem.pooled else problem.every
    alone = one_step_rows(
        learnt.store, problem.layout, [order[[i]] for i in problem.every], learnt.stops, steps.stop, steps.start
    )
    counts = [len(y) for _, y in alone]
    if not problem.pooled:
        return alone, [np.array([count]) for count in counts]
    x, y = (np.concatenate(parts) for parts in zip(*alone, strict=True))
    return [(x, y)], [np.cumsum(counts)]


def _weighed(
    problem: Problem, learnt: Learnt, indices: Tensor, rows: Rows, ends: list[IntArray], penalty: Tensor
) -> Polynomial:
    """Return the polynomial of given terms, with weights of squares or of Huber's loss."""
    model = fit_terms(problem.layout, indices, rows, penalty, intercept=problem.most_have_intercepts)
    if problem.huber is None:
        return model
    squared, inputs = Squared(), problem.layout.n_target_columns
    weight, bias = model.weight.clone(), model.bias.clone()
    for g, ((x, y), parts) in enumerate(zip(rows, ends, strict=True)):
        prior, always = prior_of(x, parts, problem.layout), rare_rows(x[:, inputs:])
        again = partial(_fit_weighed, problem, indices[g : g + 1], [(x, y)], penalty[g : g + 1])
        for c in range(y.shape[1]):
            of_rows = RowWeights(y[:, c], parts, problem.huber, TOLERANCE, prior, always)
            own = first = again(prior) if (prior < 1).any() else model.groups(slice(g, g + 1))
            while True:
                residual = y[:, c] - _told(own, x)[:, c]
                of_rows.update(residual)
                if not of_rows.goes_on:
                    break
                own = again(of_rows.weight)
            kept = first if squared.counts(of_rows, residual) else own
            weight[g, :, c], bias[g, c] = kept.weight[0, :, c], kept.bias[0, c]
    learnt.notes[:] = [*squared.told(), "huber: terms were chosen by squares."]
    return Polynomial(problem.layout, indices, weight, bias)


def _fit_weighed(problem: Problem, indices: Tensor, rows: Rows, penalty: Tensor, weights: FloatArray) -> Polynomial:
    intercept = problem.most_have_intercepts
    return fit_terms(problem.layout, indices, rows, penalty, intercept=intercept, weights=weights)


def _told(model: Polynomial, x: FloatArray) -> FloatArray:
    """Return what a polynomial of one group says to rows, (n, C)."""
    at_once = max(1, _CHUNK_BYTES // (8 * model.weight.shape[1] * model.indices.shape[2]))
    parts = [model.monomials(now[None])[0] @ model.weight[0] for now in torch.from_numpy(x).split(at_once)]
    return (torch.cat(parts) + model.bias[0]).numpy()


def _most(family: PolynomialFamily, rows: int, share: float = 1.0) -> int:
    """Return how many terms are looked at: no more than rows can tell apart."""
    wanted = _MOST_TERMS if family.n_terms == "auto" else math.ceil(share * int(family.n_terms))
    return max(1, min(wanted, rows // 2 if family.n_terms == "auto" else rows - 1))


def _padded(terms: list[IntArray], columns: int, degree: int) -> Tensor:
    """Return the terms of G groups as one array (G, K, P), filled up with products that are 0."""
    indices = np.full((len(terms), max(1, *(len(own) for own in terms)), degree), columns + 1)
    for room, own in zip(indices, terms, strict=True):
        room[: len(own)] = own
    return torch.from_numpy(indices)


def fit_terms(
    layout: LagLayout,
    indices: Tensor,
    rows: Rows,
    penalty: Tensor,
    *,
    intercept: bool,
    weights: FloatArray | None = None,
) -> Polynomial:
    """Return the least-squares polynomial of given terms.

    Parameters
    ----------
    layout : LagLayout
    indices : (G, K, P) int64
    rows : G pairs (n, D), (n, C)
    penalty : (G,)
        Ridge, as in ``least_squares.solve``.
    intercept : bool
    weights : (n,), optional
        Of the rows of a single group; 1 by default.
    """
    groups, most, _ = indices.shape
    start = torch.zeros(groups, most, len(layout.channels), dtype=torch.float64)
    model = Polynomial(layout, indices, start, start[:, 0])
    # Twice, the second time for what the first leaves: powers are nearly collinear, and the jitter of a system without
    # a penalty shows (corrected seminormal equations, Bjoerck 1987).
    plain = (penalty == 0).double()
    for share in (torch.ones_like(plain), plain):
        if not bool(share.any()):
            break
        parts = [
            _moments_of(model.groups(slice(g, g + 1)), *own, intercept=intercept, weights=weights)
            for g, own in enumerate(rows)
        ]
        ((weight, bias),) = solve(_stacked(parts), [penalty], intercept=intercept)
        model = Polynomial(
            layout, indices, model.weight + weight * share[:, None, None], model.bias + bias * share[:, None]
        )
    lost = lost_digits(_stacked(parts), penalty, intercept=intercept)
    for g in torch.nonzero(lost)[:, 0].tolist():
        own = model.groups(slice(g, g + 1))
        there = (indices[g] <= len(layout.columns)).all(dim=1)
        weight, bias = _by_rows(own, parts[g], *rows[g], ridge=float(penalty[g]), intercept=intercept, weights=weights)
        model.weight[g] = torch.where(there[:, None], weight, 0.0)
        model.bias[g] = bias
    return model


def _by_rows(
    model: Polynomial,
    gram: Gram,
    x: FloatArray,
    y: FloatArray,
    *,
    ridge: float,
    intercept: bool,
    weights: FloatArray | None,
) -> tuple[Tensor, Tensor]:
    """Return weight (K, C) and bias (C,) of the terms of a model of one group, from rows rather than moments."""
    rows = gram.rows[0]
    mean = gram.x_sum[0] / rows
    variance = gram.xx[0].diagonal() / rows - mean**2
    scale = torch.where(variance > 0, variance.clamp(min=0).sqrt(), 1.0)
    centre = gram.x_origin[0] + mean if intercept else torch.zeros_like(mean)
    targets = torch.from_numpy(y)
    root = torch.ones(len(y), dtype=torch.float64) if weights is None else torch.from_numpy(weights).sqrt()
    at_once = max(1, _CHUNK_BYTES // (8 * len(mean) * model.indices.shape[2]))
    parts = (
        (model.monomials(now[None])[0], *others)
        for now, *others in zip(*(part.split(at_once) for part in (torch.from_numpy(x), targets, root)), strict=True)
    )  # fmt: skip
    y_centre = targets.mean(dim=0) if intercept else torch.zeros_like(targets[0])
    triangle = Triangle(parts, centre, scale, y_centre, intercept=intercept)
    ((weight, bias),) = triangle.solve([ridge])
    return weight, bias


def _stacked(grams: list[Gram]) -> Gram:
    """Return the moments of G groups, of one each."""
    return Gram(*(torch.cat([getattr(one, field.name) for one in grams]) for field in fields(Gram)))


def _moments_of(
    model: Polynomial, x: FloatArray, y: FloatArray, *, intercept: bool, weights: FloatArray | None
) -> Gram:
    """Return the moments of the monomials of a model of one group, and of what it leaves of targets."""
    most, channels = model.weight.shape[1:]
    width = most + channels
    origin = torch.zeros(1, 1, width, dtype=torch.float64)
    total, sums = torch.zeros(1, width, width, dtype=torch.float64), torch.zeros(1, width, dtype=torch.float64)
    at_once = max(1, _CHUNK_BYTES // (8 * width * model.indices.shape[2]))
    for start in range(0, len(x), at_once):
        now, targets = (torch.from_numpy(part[start : start + at_once])[None] for part in (x, y))
        features = model.monomials(now)
        targets = targets - torch.baddbmm(model.bias[:, None], features, model.weight)
        both = torch.cat([features, targets], dim=2)
        if intercept and start == 0:
            origin = both.mean(dim=1, keepdim=True)
        both = both - origin
        if weights is not None:
            root = torch.from_numpy(weights[start : start + at_once])[None, :, None].sqrt()
            both = both * root
        symmetric_product(both, total)
        sums += (both if weights is None else both * root).sum(dim=1)
    total = whole(total)
    squares = total.diagonal(dim1=1, dim2=2)[:, most:]
    return Gram(
        total[:, :most, :most], total[:, :most, most:], squares, sums[:, :most], sums[:, most:], origin[:, 0, :most],
        origin[:, 0, most:], torch.tensor([float(len(x) if weights is None else weights.sum())], dtype=torch.float64),
    )  # fmt: skip


# ---- by simulation


def _by_simulation(
    problem: Problem, learnt: Learnt, penalty: Tensor, family: PolynomialFamily, candidates: Candidates
) -> dict[int, IntArray]:
    """Return the terms of the groups that can be simulated on windows inside their training rows, by group."""
    inner = replace(problem, panel=problem.panel.head(learnt.stops))
    judge = _Simulation(inner)
    if not len(judge.groups):
        return {}
    every, _ = _rows(inner, judge.learnt)
    moments = [
        Moments(candidates, *(torch.from_numpy(part) for part in every[g]), intercept=problem.most_have_intercepts)
        for g in judge.groups
    ]  # fmt: skip
    own = penalty[torch.from_numpy(judge.groups)]
    paths = [
        forward(m, _most(family, int(m.rows), _SPARE), ridge=float(p), tolerance=family.tolerance).order
        for m, p in zip(moments, own, strict=True)
    ]  # fmt: skip
    indices = _padded([candidates.terms[path] for path in paths], candidates.columns, candidates.degree)
    most = indices.shape[1]
    gram = _stacked([m.gram(path, most) for m, path in zip(moments, paths, strict=True)])

    def errors(keep: BoolArray) -> FloatArray:
        """Return the error of each group with some of its terms only, (n, G, K) -> (n, G)."""
        found = []
        for some in np.array_split(keep, math.ceil(len(keep) / judge.at_once)):
            count, mask = len(some), torch.from_numpy(some.reshape(-1, most)).double()
            copies = {f.name: torch.cat([getattr(gram, f.name)] * count) for f in fields(Gram)}
            copies["xx"] *= mask[:, :, None] * mask[:, None]
            copies["xy"] *= mask[..., None]
            copies["x_sum"] *= mask
            ((weight, bias),) = solve(Gram(**copies), [own.repeat(count)], intercept=problem.most_have_intercepts)
            found.append(judge(Polynomial(problem.layout, indices.repeat(count, 1, 1), weight, bias), count))
        return np.concatenate(found)

    place, group = np.arange(most), np.arange(len(paths))
    there = place < np.array([len(path) for path in paths])[:, None]
    if family.n_terms == "auto":
        nested = (np.arange(most + 1)[:, None, None] > place) & there
        found = errors(nested)
        limit = _SLACK * found.min(axis=0)
        kept, fewest = nested[(found <= limit).argmax(axis=0), group], most
    else:
        kept, fewest = there, int(family.n_terms)
        limit = _SLACK * errors(kept[None])[0]
    while True:
        less = kept & (place[:, None, None] != place)
        # What is not there cannot be dropped.
        found = np.where(kept.T, errors(less), np.inf)
        least, error = found.argmin(axis=0), found.min(axis=0)
        limit = np.minimum(limit, _SLACK * error)
        drop = kept.any(axis=1) & ((error <= limit) | (kept.sum(axis=1) > fewest))
        if not drop.any():
            break
        kept = np.where(drop[:, None], less[least, group], kept)
    return {
        int(g): path[mine[: len(path)]] for g, path, mine in zip(judge.groups, paths, kept, strict=True)
    }  # fmt: skip


class _Simulation:
    """From models side by side to their closed-loop errors on windows inside the rows of a problem.

    Attributes
    ----------
    learnt : Learnt
        From the rows before the windows.
    groups : (G,) int64
        Those that have windows.
    at_once : int
        Models that are simulated side by side.
    """

    def __init__(self, problem: Problem) -> None:
        whole = problem.validation(_MOST_WINDOWS)
        self.problem, self.learnt = problem, problem.learn(whole.stops)
        self.members = np.flatnonzero(whole.n_windows > 0)
        self.part = problem.take(self.members)
        self.groups = np.arange(min(1, len(self.members))) if problem.pooled else self.members
        self.validation = self.part.validation(_MOST_WINDOWS) if len(self.members) else whole
        self.at_once = max(1, _MOST_VALUES // max(1, self.part.panel.values.size))

    def __call__(self, models: Polynomial, count: int) -> FloatArray:
        """Return the errors of `count` models of G groups each, (count, G); infinite where one diverged."""
        series = len(self.members)
        copies = np.tile(np.arange(series), count)
        which, learnt = self.members[copies], self.learnt
        coder = None if learnt.coder is None else learnt.coder.take(which)
        store = SeriesStore(
            self.part.panel.take(copies), learnt.chain.take(which), self.problem.scaling, self.problem.context_length,
            self.problem.device, coder, self.problem.layout.scans,
        )  # fmt: skip
        index, windows = self.validation.index, len(self.validation.index)
        tiled = WindowIndex(
            np.tile(index.series, count) + np.repeat(np.arange(count) * series, windows), np.tile(index.rows, count)
        )
        groups = np.repeat(np.arange(count), series) if self.problem.pooled else np.arange(count * series)
        yhat, _ = forecast_windows(
            store, models, learnt.guard.take(which), tiled, self.validation.horizon, groups=groups
        )  # fmt: skip
        found = np.stack([self.validation.errors(own) for own in yhat.reshape(count, windows, *yhat.shape[1:])])
        if not self.problem.pooled:
            errors = self.validation.comparable(found)
        else:
            relative = self.validation.relative(found)
            known = ~np.isnan(relative).all(axis=0)
            # Without a scale anywhere, units are all there is.
            errors = (relative[:, known] if known.any() else self.validation.comparable(found)).mean(axis=1)[:, None]
        return np.where(np.isfinite(errors), errors, np.inf)
