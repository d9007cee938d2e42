"""Complex exponential smoothing, chosen and estimated for all series of a ragged flat panel side by side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsforce.smoothing.levenberg import least_squares
from tsforce.smoothing.likelihood import aicc, last_rows, log_likelihood
from tsforce.smoothing.longest_first import IN_A_STEP, Floats, LongestFirst, Positions, longest_first, varying
from tsforce.smoothing.recursion import initial_states

__all__ = ["SHAPES", "ComplexSmoothing", "Shape", "ces_forecasts", "fit_ces"]


class Shape(NamedTuple):
    """A form of complex exponential smoothing.

    Attributes
    ----------
    name : "none", "simple", "partial" or "full"
    level : bool
        Whether a complex number goes on from row to row.
    season : 0, 1 or 2
        What goes on from season to season: nothing, a real number, a complex one.
    """

    name: str
    level: bool
    season: int

    @property
    def parameters(self) -> list[int]:
        """Which of the four smoothing parameters it has: two of the level, two of the season."""
        return [0, 1] * self.level + [2, 3][: self.season]

    @property
    def counted(self) -> int:
        """What AICc counts: smoothing parameters and variance. The first states are read off the rows."""
        return len(self.parameters) + 1


#: What is chosen from (Svetunkov, Kourentzes & Ord 2022, tables 1 and 2).
SHAPES = (Shape("none", True, 0), Shape("simple", False, 2), Shape("partial", True, 1), Shape("full", True, 2))
# Bounds of the parameters. A second one above 1 lets forecasts grow faster than a line: at most by a tenth here, for
# held-out ends of M3 groups were forecast worse by as much as the 1.9 of statsforecast; and the first one up to 1.95
# in place of its 1.8 was better on all of them.
_LOW, _HIGH = 0.01, (1.95, 1.1, 1.5, 1.1)
# Where the search begins: a level's pairs; a complex season's alone and beside a level; a real season's.
_LEVEL = tuple(product((0.15, 0.6, 1.0, 1.4), (0.8, 0.95, 1.0, 1.05)))
_ALONE, _BESIDE, _REAL = _LEVEL, ((0.15, 1.0), (1.0, 1.0)), ((0.02,), (0.3,))
_SHARE = (0.0, 1.0)
# Only forms whose best point of the grid comes this near the best one of all in AICc are searched further.
_NEAR = 20.0
_ROUNDS = 12
# Between two points that a derivative is taken from.
_STEP = 1e-5
# A first shadow is the level over this, as in statsforecast.
_SHADOW = 1.1
# Rows, and seasons, from whose end first states are cast back.
_CAST_ROWS, _CAST_SEASONS = 40, 4


class ComplexSmoothing(NamedTuple):
    """What is learnt of each series, under each of F forms.

    Attributes
    ----------
    weight : (S, F) float64
        1 of the form that was chosen; none of a series that nothing could be learnt from.
    parameters : (S, F, 4) float64
        Real and imaginary smoothing parameter of the level, then of the season; 0 what the form does not have.
    log_likelihood : (S, F) float64
        Of the rows learnt from, original units; -inf of a form with too few.
    """

    weight: Floats
    parameters: Floats
    log_likelihood: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything was learnt of each series."""
        found: NDArray[np.bool_] = self.weight.max(axis=1) > 0
        return found


class _States(NamedTuple):
    """What the recursion knows, changed in place row by row; a complex number is a level and its shadow.

    ``level`` is (2, G, S) or None, ``season`` (m, 1 or 2, G, S) or None: ``season[t % m]`` belongs to row t.
    """

    level: Floats | None
    season: Floats | None


@np.errstate(all="ignore")
def fit_ces(
    values: Floats, indptr: Positions, season_length: int, shapes: tuple[Shape, ...] = SHAPES
) -> ComplexSmoothing:
    """Return the smoothing parameters of each series, and the form with the lowest AICc.

    Parameters by least squares of one-step errors: the best point of a grid, then some steps of Levenberg's and
    Marquardt's method. The states before the first row are cast back: read by rule (``recursion.initial_states``),
    smoothed over 100 rows or three seasons, and back to the first.
    A form needs four rows more than it has parameters; one with a season two of them. Series of more than 1,000 rows
    are learnt from, and forecast by, their last 1,000.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel; every row is read.
    indptr : (S + 1,) int64
    season_length : int
        m.
    shapes : tuple of Shape
        What to choose from.

    Examples
    --------
    >>> y = np.tile([10.0, 20.0, 31.0, 40.0], 6) + np.arange(24) % 3
    >>> learnt = fit_ces(y, np.array([0, 24]), 4)
    >>> SHAPES[learnt.weight[0].argmax()].name, ces_forecasts(y, np.array([0, 24]), 3, 4, learnt).round(0).tolist()
    ('simple', [[11.0, 21.0, 32.0]])
    """
    values, indptr = last_rows(values, indptr)
    n_series, lengths = len(indptr) - 1, np.diff(indptr)
    criteria, likelihoods = np.full((n_series, len(shapes)), np.inf), np.full((n_series, len(shapes)), -np.inf)
    parameters = np.zeros((n_series, len(shapes), 4))
    starts = [np.empty((len(shape.parameters), n_series)) for shape in shapes]
    for i, shape in enumerate(shapes):
        able, grid = _enough_rows(shape, lengths, season_length) & varying(values, indptr), _grid(shape)
        for part in longest_first(values, indptr, np.flatnonzero(able), grid.shape[1]):
            squares = _squares(part, shape, season_length, grid)
            starts[i][:, part.position] = grid[:, squares.argmin(axis=0)]
            criteria[part.position, i] = _criterion(part, shape, squares.min(axis=0))[1]
    near = np.isfinite(criteria) & (criteria <= criteria.min(axis=1, keepdims=True) + _NEAR)
    criteria[:] = np.inf
    for i, shape in enumerate(shapes):
        for part in longest_first(values, indptr, np.flatnonzero(near[:, i])):
            at, squares = _refined(part, shape, season_length, starts[i][:, part.position])
            likelihoods[part.position, i], criteria[part.position, i] = _criterion(part, shape, squares)
            parameters[part.position, i] = _parameters(shape, at).T
    weight = np.zeros((n_series, len(shapes)))
    best = np.flatnonzero(np.isfinite(criteria.min(axis=1)))
    weight[best, criteria[best].argmin(axis=1)] = 1.0
    return ComplexSmoothing(weight, parameters, likelihoods)


@np.errstate(all="ignore")
def ces_forecasts(
    values: Floats,
    indptr: Positions,
    horizon: int,
    season_length: int,
    learnt: ComplexSmoothing,
    shapes: tuple[Shape, ...] = SHAPES,
) -> Floats:
    """Return the forecasts after the last row of each series, its states read from the rows given.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
    indptr : (S + 1,) int64
    horizon : int
    season_length : int
    learnt : ComplexSmoothing
        Of these series.
    shapes : tuple of Shape
        As in `fit_ces`.

    Returns
    -------
    (S, H) float64, original units, steps after the cutoff
        NaN of a series without a form, or with too few rows for it.
    """
    values, indptr = last_rows(values, indptr)
    yhat = np.full((len(indptr) - 1, horizon), np.nan)
    lengths = np.diff(indptr)
    for i, shape in enumerate(shapes):
        chosen = np.flatnonzero((learnt.weight[:, i] > 0) & _enough_rows(shape, lengths, season_length))
        for part in longest_first(values, indptr, chosen):
            own = learnt.parameters[part.position, i].T[:, None]
            yhat[part.position] = _ahead(part, own, _cast_back(part, shape, season_length, own), horizon)
    return yhat


def _criterion(part: LongestFirst, shape: Shape, squares: Floats) -> tuple[Floats, Floats]:
    """Return the log-likelihoods and AICc at sums of squares, (S,) each."""
    likelihood = log_likelihood(squares / part.lengths, part.unit, part.lengths)
    return likelihood, aicc(likelihood, part.lengths, shape.counted)


def _enough_rows(shape: Shape, lengths: Positions, m: int) -> NDArray[np.bool_]:
    least = len(shape.parameters) + 4
    if shape.season:
        if m == 1:
            return np.zeros(len(lengths), dtype=bool)
        # The centred moving average loses half a season at both ends, and ten rows should be left.
        least = max(least, 2 * m, 10 + 2 * (m // 2))
    enough: NDArray[np.bool_] = lengths >= least
    return enough


@cache
def _grid(shape: Shape) -> Floats:
    """Return the points of the grid, (P, G), as shares of the way between the bounds."""
    season = (((),), _REAL, _BESIDE if shape.level else _ALONE)[shape.season]
    points = [(*level, *own) for level, own in product(_LEVEL if shape.level else ((),), season)]
    high = np.array(_HIGH)[shape.parameters]
    share: Floats = ((np.array(points) - _LOW) / (high - _LOW)).T
    return share


def _parameters(shape: Shape, share: Floats) -> Floats:
    """Return the four parameters at points of the search, (4, ...), from (P, ...)."""
    found = np.zeros((4, *share.shape[1:]))
    for place, own in zip(shape.parameters, share, strict=True):
        found[place] = _LOW + (_HIGH[place] - _LOW) * own
    return found


def _first_states(part: LongestFirst, shape: Shape, m: int, sets: int) -> _States:
    """Return the states before the first row by rule, for each of some sets of parameters."""
    by_rule = initial_states(part, sloping=False, season_length=m if shape.season else 1, multiplicative=False)
    level = np.repeat(np.stack([by_rule.level, by_rule.level / _SHADOW]), sets, axis=1) if shape.level else None
    if by_rule.season is None:
        return _States(level, None)
    real = by_rule.season if shape.level else by_rule.season + by_rule.level
    season = np.stack([real, real / _SHADOW], axis=1)[:, : shape.season]
    return _States(level, np.repeat(season, sets, axis=2))


def _one_step(
    part: LongestFirst, parameters: Floats, states: _States, *, rows: int | None = None, back: bool = False
) -> Iterator[tuple[int, Floats]]:
    """Yield how many series have each row, and their one-step errors, (G, k), from the first row on or back to it.

    The forecast is the sum of level and season, of what there is; a complex one of parameters a and b then goes on as
    in `_turn`, a real season by a share of the error.

    Parameters
    ----------
    part : LongestFirst
    parameters : (4, G, S) float64
    states : _States
    rows : int, optional
        How many, from the first one on; all by default.
    back : bool
    """
    level, season = states
    of_level, of_season = _factors(parameters[:2]), _factors(parameters[2:])
    alive = part.alive[:rows].tolist()
    for t in reversed(range(len(alive))) if back else range(len(alive)):
        k = alive[t]
        own = None if season is None else season[t % len(season), :, :, :k]
        error = part.y[t, :k] - (0.0 if level is None else level[0, :, :k]) - (0.0 if own is None else own[0])
        yield k, error
        if level is not None:
            _turn(level[:, :, :k], of_level[:, :, :k], error)
        if own is not None and len(own) == 2:
            _turn(own, of_season[:, :, :k], error)
        elif own is not None:
            own[0] += parameters[2, :, :k] * error


def _factors(pair: Floats) -> Floats:
    """Return what a shadow and an error are multiplied by in `_turn`, (4, ...), of two parameters, (2, ...)."""
    a, b = pair
    return np.stack([1.0 - b, a - b, 1.0 - a, a + b])


def _turn(pair: Floats, factors: Floats, error: Floats | float) -> None:
    """Let a level l and its shadow c, (2, ...), go on by a row, in place.

    With parameters a and b and the error e (Svetunkov, Kourentzes & Ord 2022, equation 11)::

        l = l - (1 - b) c + (a - b) e
        c = l + (1 - a) c + (a + b) e
    """
    level, shadow = pair
    turned = level + factors[2] * shadow + factors[3] * error
    level += factors[1] * error - factors[0] * shadow
    shadow[:] = turned


def _cast_back(part: LongestFirst, shape: Shape, m: int, parameters: Floats) -> _States:
    """Return the states before the first row: those by rule, smoothed over some rows and back again."""
    states = _first_states(part, shape, m, parameters.shape[1])
    rows = max(_CAST_ROWS, _CAST_SEASONS * m)
    for back in (False, True):
        for _ in _one_step(part, parameters, states, rows=rows, back=back):
            pass
    return states


def _squares(part: LongestFirst, shape: Shape, m: int, share: Floats) -> Floats:
    """Return the sums of squares at some points of the search, (P, G): (G, S), infinite where states run away."""
    parameters = np.repeat(_parameters(shape, share)[:, :, None], len(part.lengths), axis=2)
    squares = np.zeros(parameters.shape[1:])
    for k, error in _one_step(part, parameters, _cast_back(part, shape, m, parameters)):
        squares[:, :k] += error * error
    return np.where(np.isfinite(squares), squares, np.inf)


def _refined(part: LongestFirst, shape: Shape, m: int, start: Floats) -> tuple[Floats, Floats]:
    """Return the best points that the search finds from a start, (P, S), and their sums of squares, (S,)."""
    size, sets = len(start), len(start) + 1

    def normal_equations(at: Floats, which: Positions) -> tuple[Floats, Floats, Floats]:
        some = part.take(which)
        points = np.repeat(at[:, None], sets, axis=1)
        for i in range(size):
            points[i, i + 1] += _STEP
        parameters = _parameters(shape, points)
        products = np.zeros((sets, sets, len(which)))
        for k, error in _one_step(some, parameters, _cast_back(some, shape, m, parameters)):
            # How much the errors change with each parameter, beside the errors themselves.
            changes = np.concatenate([error[:1], error[1:] - error[0]])
            for i in range(sets):
                products[i, i:, :k] += changes[i] * changes[i:]
        squares, slopes, bends = products[0, 0], products[0, 1:].T / _STEP, products[1:, 1:].T / _STEP**2
        return squares, slopes, np.where(np.tri(size, k=-1, dtype=bool), bends, bends.transpose(0, 2, 1))

    return least_squares(normal_equations, start, rounds=_ROUNDS, bounds=_SHARE, at_once=max(IN_A_STEP // sets, 1))


def _ahead(part: LongestFirst, parameters: Floats, states: _States, horizon: int) -> Floats:
    """Return the forecasts, (S, H), original units, from the states before the first row."""
    for _ in _one_step(part, parameters, states):
        pass
    level, season = states
    of_level, of_season = _factors(parameters[:2, 0]), _factors(parameters[2:, 0])
    yhat, series = np.zeros((len(part.lengths), horizon)), np.arange(len(part.lengths))
    for h in range(horizon):
        if level is not None:
            yhat[:, h] += level[0, 0]
            _turn(level[:, 0], of_level, 0.0)
        if season is not None:
            place = (part.lengths + h) % len(season)
            own = season[place, :, 0, series].T
            yhat[:, h] += own[0]
            if len(own) == 2:
                _turn(own, of_season, 0.0)
                season[place, :, 0, series] = own.T
    return yhat * part.unit[:, None]
