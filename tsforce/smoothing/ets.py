"""Exponential smoothing models, chosen and estimated for all series of a ragged flat panel side by side."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsforce.smoothing.levenberg import least_squares
from tsforce.smoothing.likelihood import aicc, last_rows, log_likelihood
from tsforce.smoothing.longest_first import IN_A_STEP, Floats, LongestFirst, Positions, longest_first, varying
from tsforce.smoothing.recursion import Parameters, States, initial_states, one_step

__all__ = ["FORMS", "Form", "Smoothing", "ets_forecasts", "fit_ets"]


class Form(NamedTuple):
    """An exponential smoothing model in the notation ETS(error, trend, season) of Hyndman et al. (2008).

    Attributes
    ----------
    error : "A" or "M"
    trend : "N", "A" or "Ad"
    season : "N", "A" or "M"
    """

    error: str
    trend: str
    season: str

    @property
    def sloping(self) -> bool:
        """Whether there is a trend."""
        return self.trend != "N"

    @property
    def damped(self) -> bool:
        """Whether the trend fades."""
        return self.trend == "Ad"

    @property
    def multiplicative(self) -> bool:
        """Whether the season is a factor."""
        return self.season == "M"

    @property
    def positive(self) -> bool:
        """Whether it is for values above 0 only."""
        return "M" in (self.error, self.season)

    @property
    def size(self) -> int:
        """Smoothing parameters."""
        return 1 + self.sloping + self.damped + (self.season != "N")

    def count(self, season_length: int) -> int:
        """Return what AICc counts: smoothing parameters, variance and initial states."""
        return self.size + 2 + self.sloping + (season_length - 1) * (self.season != "N")


#: What is chosen from. (A, Ad, M) and the like are unstable where values come near 0, and R's ``ets`` leaves them out
#: too. Trends that never fade are only for series that get no season: on held-out ends of the M3's and M4's training
#: series, choosing among them too was 2 % better for yearly ones, and 3 % worse for monthly ones over 18 steps.
FORMS = tuple(
    Form(error, trend, season)
    for error, season in ("AN", "MN", "AA", "MM")
    for trend in (("N", "A", "Ad") if season == "N" else ("N", "Ad"))
)
_SEASONAL = Form("A", "N", "A")
_PHI = (0.8, 0.98)
_GRID = {"alpha": (0.05, 0.2, 0.4, 0.7, 0.95), "beta": (0.02, 0.2, 0.6), "phi": (0.88, 0.97), "gamma": (0.02, 0.3)}
# Only forms whose best point of the grid comes this near the best one of all in AICc are searched further: what a form
# gains by that is less, and so is the weight in a mean of one that is farther off.
_NEAR, _NEAR_IN_MEAN = 10.0, 40.0
# Akaike's weights are exp(-AICc / 2). Flatter ones were better on held-out ends of all M3 and M4 groups tried.
_FLATNESS = 8.0
_ROUNDS = 12
# Of what is searched: alpha, beta / alpha, gamma / (1 - alpha), the place of phi between its bounds.
_SHARE = (1e-4, 1 - 1e-4)
# Rows between two logarithms of the product of one-step forecasts.
_PRODUCT = 16
# Between two points that a derivative is taken from.
_STEP = 1e-5


class Smoothing(NamedTuple):
    """What is learnt of each series, under each of F forms.

    Attributes
    ----------
    weight : (S, F) float64
        Of the form's forecasts; adds up to 1, or 0 of a series that nothing could be learnt from.
    alpha, beta, gamma, phi : (S, F) float64
        As they stand in the recursion; 0 what the form does not have.
    log_likelihood : (S, F) float64
        Of the rows learnt from, original units; -inf of a form that was not considered to the end. At most that of a
        fit whose squares are rounding.
    """

    weight: Floats
    alpha: Floats
    beta: Floats
    gamma: Floats
    phi: Floats
    log_likelihood: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything was learnt of each series."""
        found: NDArray[np.bool_] = self.weight.max(axis=1) > 0
        return found


@np.errstate(all="ignore")
def fit_ets(
    values: Floats,
    indptr: Positions,
    season_length: int,
    forms: tuple[Form, ...] | None = None,
    *,
    combined: bool = False,
) -> Smoothing:
    """Return the smoothing parameters of each series, and the form with the lowest AICc or weights of several.

    Parameters by maximum likelihood given the initial states, which follow from the first rows by rule
    (``recursion.initial_states``): the best point of a grid, then some steps of Levenberg's and Marquardt's method. A
    form needs more rows than what AICc counts; one with a season two of them; one with a factor only values above 0.
    Series of more than 1,000 rows are learnt from, and forecast by, their last 1,000.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
        Ragged flat panel; every row is read.
    indptr : (S + 1,) int64
    season_length : int
        m.
    forms : tuple of Form, optional
        What to choose from; by default ``FORMS``, (A, A, N) and (M, A, N) for series without rows for a season alone.
    combined : bool
        Whether forms are weighted by ``exp(-AICc / 8)``, a flatter kind of Akaike's weights (Kolassa 2011), in place of
        the best one alone.

    Returns
    -------
    Smoothing

    Examples
    --------
    >>> y = np.tile([10.0, 20.0, 31.0, 40.0], 6) + np.arange(24) % 3
    >>> learnt = fit_ets(y, np.array([0, 24]), 4)
    >>> FORMS[learnt.weight[0].argmax()], ets_forecasts(y, np.array([0, 24]), 3, 4, learnt).round(0).tolist()
    (Form(error='A', trend='N', season='A'), [[11.0, 21.0, 32.0]])
    """
    values, indptr = last_rows(values, indptr)
    n_series = len(indptr) - 1
    lengths = np.diff(indptr)
    with_season = _enough_rows(_SEASONAL, lengths, season_length)
    lasting, forms = forms is not None, forms or FORMS
    positive = np.minimum.reduceat(values, indptr[:-1]) > 0 if len(values) else np.zeros(n_series, dtype=bool)
    starts = [np.empty((form.size, n_series)) for form in forms]
    criteria = np.full((n_series, len(forms)), np.inf)
    counts = np.array([form.count(season_length) for form in forms])
    for trend, season in dict.fromkeys((form.trend, form.season) for form in forms):
        own = [i for i, form in enumerate(forms) if (form.trend, form.season) == (trend, season)]
        able = _enough_rows(forms[own[0]], lengths, season_length) & varying(values, indptr)
        if all(forms[i].positive for i in own):
            able &= positive
        if trend == "A" and not lasting:
            able &= ~with_season
        grid = _grid(forms[own[0]])
        for part in longest_first(values, indptr, np.flatnonzero(able), grid.shape[1]):
            found = _on_grid(part, forms[own[0]], season_length, positive[part.position])
            for i in own:
                likelihood = found[forms[i].error]
                starts[i][:, part.position] = grid[:, likelihood.argmax(axis=0)]
                criteria[part.position, i] = aicc(likelihood.max(axis=0), part.lengths, counts[i])
    distance = _NEAR_IN_MEAN if combined else _NEAR
    near = np.isfinite(criteria) & (criteria <= criteria.min(axis=1, keepdims=True) + distance)
    weight, alpha, beta, gamma, phi = np.zeros((5, n_series, len(forms)))
    learnt = Smoothing(weight, alpha, beta, gamma, phi, np.full((n_series, len(forms)), -np.inf))
    criteria[:] = np.inf
    for i, form in enumerate(forms):
        for part in longest_first(values, indptr, np.flatnonzero(near[:, i])):
            at, likelihood = _refined(part, form, season_length, starts[i][:, part.position])
            criteria[part.position, i] = aicc(likelihood, part.lengths, counts[i])
            learnt.log_likelihood[part.position, i] = likelihood
            for to, parameter in zip((alpha, beta, gamma, phi), _parameters(form, at), strict=True):
                to[part.position, i] = parameter
    lowest = criteria.min(axis=1, keepdims=True)
    if combined:
        weight[:] = np.where(np.isfinite(criteria), np.exp((lowest - criteria) / _FLATNESS), 0.0)
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    else:
        # Of equals the first.
        best = np.flatnonzero(np.isfinite(lowest))
        weight[best, criteria[best].argmin(axis=1)] = 1.0
    return learnt


@np.errstate(all="ignore")
def ets_forecasts(
    values: Floats,
    indptr: Positions,
    horizon: int,
    season_length: int,
    learnt: Smoothing,
    forms: tuple[Form, ...] | None = None,
) -> Floats:
    """Return the forecasts after the last row of each series, its states read from the rows given.

    Parameters
    ----------
    values : (N,) float64, original units, rows <= cutoff
    indptr : (S + 1,) int64
    horizon : int
    season_length : int
    learnt : Smoothing
        Of these series.
    forms : tuple of Form, optional
        As in `fit_ets`.

    Returns
    -------
    (S, H) float64, original units, steps after the cutoff
        The weighted mean of those forms for which there are rows enough to read first states from; NaN without any.
    """
    values, indptr = last_rows(values, indptr)
    yhat, weights = np.zeros((len(indptr) - 1, horizon)), np.zeros((len(indptr) - 1, 1))
    lengths = np.diff(indptr)
    for i, form in enumerate(forms or FORMS):
        chosen = np.flatnonzero((learnt.weight[:, i] > 0) & _enough_rows(form, lengths, season_length))
        for part in longest_first(values, indptr, chosen):
            own = Parameters(*(p[part.position, i][None] for p in learnt[1:5]))
            weight = learnt.weight[part.position, i, None]
            yhat[part.position] += weight * _ahead(part, form, own, horizon, season_length)
            weights[part.position] += weight
    return yhat / weights


def _ahead(part: LongestFirst, form: Form, own: Parameters, horizon: int, m: int) -> Floats:
    """Return the forecasts of one form, (S, H)."""
    states = _first_states(part, form, m)
    for _ in one_step(part, own, states, multiplicative=form.multiplicative):
        pass
    ahead: Floats = states.level.T + np.zeros(horizon)
    if states.slope is not None:
        # phi + phi^2 + ... + phi^h times the slope.
        ahead += states.slope.T * np.cumsum(own.phi.T ** np.arange(1, horizon + 1), axis=1)
    if states.season is not None:
        place = (part.lengths[:, None] + np.arange(horizon)) % m
        season = states.season[place, 0, np.arange(len(place))[:, None]]
        ahead = ahead * season if form.multiplicative else ahead + season
    return ahead * part.unit[:, None]


def _enough_rows(form: Form, lengths: Positions, m: int) -> NDArray[np.bool_]:
    least = form.count(m) + 2
    if form.season != "N":
        if m == 1:
            return np.zeros(len(lengths), dtype=bool)
        # The centred moving average loses half a season at both ends, and ten rows should be left.
        least = max(least, 2 * m, 10 + 2 * (m // 2))
    enough: NDArray[np.bool_] = lengths >= least
    return enough


def _first_states(part: LongestFirst, form: Form, m: int) -> States:
    return initial_states(
        part,
        sloping=form.sloping,
        season_length=m if form.season != "N" else 1,
        multiplicative=form.multiplicative,
    )


@cache
def _grid(form: Form) -> Floats:
    """Return the points of the grid, (P, G), as the search has parameters."""
    axes = [_GRID["alpha"]]
    if form.sloping:
        axes.append(_GRID["beta"])
    if form.damped:
        axes.append(tuple((phi - _PHI[0]) / (_PHI[1] - _PHI[0]) for phi in _GRID["phi"]))
    if form.season != "N":
        axes.append(_GRID["gamma"])
    return np.array(list(product(*axes))).T


def _parameters(form: Form, share: Floats) -> Parameters:
    """Return the parameters at points of the search, (P, ...).

    Those are alpha, beta / alpha, the place of phi between its bounds, and gamma / (1 - alpha).
    """
    alpha, zero = share[0], np.zeros(share.shape[1:])
    beta = alpha * share[1] if form.sloping else zero
    phi = _PHI[0] + (_PHI[1] - _PHI[0]) * share[2] if form.damped else zero + form.sloping
    gamma = (1 - alpha) * share[-1] if form.season != "N" else zero
    return Parameters(alpha, beta, gamma, phi)


def _on_grid(part: LongestFirst, form: Form, m: int, positive: NDArray[np.bool_]) -> dict[str, Floats]:
    """Return the log-likelihoods on the grid under additive and multiplicative errors, (G, S) each."""
    grid = _grid(form)
    shape = grid.shape[1], len(part.lengths)
    squares, relative = np.zeros(shape), np.zeros(shape)
    sizes = _Sizes(part, shape)
    states = _first_states(part, form, m).spread(shape[0])
    parameters = _parameters(form, grid[:, :, None])
    for t, k, output, error in one_step(part, parameters, states, multiplicative=form.multiplicative):
        squares[:, :k] += error * error
        if positive.any():
            share = error / output
            relative[:, :k] += share * share
            sizes.read(t, k, output)
    n, unit = part.lengths, part.unit
    of_relative = log_likelihood(relative / n * sizes.mean() ** 2, unit, n)
    return {"A": log_likelihood(squares / n, unit, n), "M": np.where(positive, of_relative, -np.inf)}


def _refined(part: LongestFirst, form: Form, m: int, start: Floats) -> tuple[Floats, Floats]:
    """Return the best parameters that the search finds from a start, (P, S), and their log-likelihoods, (S,)."""
    n, first, sets = part.lengths, _first_states(part, form, m), form.size + 1

    def normal_equations(at: Floats, which: Positions) -> tuple[Floats, Floats, Floats]:
        some = part.take(which)
        points = np.repeat(at[:, None], sets, axis=1)
        for i in range(form.size):
            points[i, i + 1] += _STEP
        products, sizes = np.zeros((sets, sets, len(which))), _Sizes(some, (sets, len(which)))
        states = first.take(which).spread(sets)
        for t, k, output, error in one_step(
            some, _parameters(form, points), states, multiplicative=form.multiplicative
        ):
            miss = error / output if form.error == "M" else error.copy()
            if form.error == "M":
                sizes.read(t, k, output)
            # How much the errors change with each parameter, beside the errors themselves.
            miss[1:] -= miss[0]
            for i in range(sets):
                products[i, i:, :k] += miss[i] * miss[i:]
        squares, slopes, bends = products[0, 0], products[0, 1:].T / _STEP, products[1:, 1:].T / _STEP**2
        bends = np.where(np.tri(form.size, k=-1, dtype=bool), bends, bends.transpose(0, 2, 1))
        if form.error == "M":
            # Relative errors times the geometric mean of the forecasts: least squares of these is maximum likelihood.
            mean = sizes.mean()
            change = (np.log(mean[1:] / mean[0]) / _STEP).T
            cross = change[:, :, None] * slopes[:, None, :]
            bends = bends + cross + cross.transpose(0, 2, 1)
            bends += change[:, :, None] * change[:, None, :] * squares[:, None, None]
            slopes = slopes + change * squares[:, None]
            size = mean[0] ** 2
            return squares * size, slopes * size[:, None], bends * size[:, None, None]
        return squares, slopes, bends

    at, squares = least_squares(
        normal_equations, start, rounds=_ROUNDS, bounds=_SHARE, at_once=max(IN_A_STEP // sets, 1)
    )
    return at, log_likelihood(squares / n, part.unit, n)


class _Sizes:
    """The geometric mean of the one-step forecasts of each series, (G, S); NaN where one is not above 0."""

    def __init__(self, part: LongestFirst, shape: tuple[int, int]) -> None:
        self.lengths, self.rows = part.lengths, len(part.y)
        # A series' product has to be read before it falls out of the rows.
        self.ends = np.append(part.alive[1:] < part.alive[:-1], True)
        self.logs, self.product, self.lowest = np.zeros(shape), np.ones(shape), np.full(shape, np.inf)

    def read(self, t: int, k: int, output: Floats) -> None:
        """Take in the forecasts of row t, which k series have."""
        product, lowest = self.product[:, :k], self.lowest[:, :k]
        np.minimum(lowest, output, out=lowest)
        product *= output
        # One logarithm costs as much as ten products.
        if t % _PRODUCT == 0 or self.ends[t]:
            self.logs[:, :k] += np.log(np.abs(product))
            product[:] = 1.0

    def mean(self) -> Floats:
        """Return the mean after the last row."""
        out: Floats = np.where(self.lowest > 0, np.exp(self.logs / self.lengths), np.nan)
        return out
