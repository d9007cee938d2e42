"""The recursion of exponential smoothing in state-space form, for many series and sets of parameters at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tsforce.smoothing.longest_first import Floats, LongestFirst, Positions, total

__all__ = ["Parameters", "States", "initial_states", "one_step"]

# Rows, and seasons, that the first states are read from.
_ROWS = 10
_SEASONS = 5


class Parameters(NamedTuple):
    """Smoothing parameters of G sets for each series, (G, S or 1) each, as they stand in the recursion.

    Attributes
    ----------
    alpha, beta, gamma : float64
        Of the level, the slope (beta < alpha) and the season (gamma < 1 - alpha).
    phi : float64
        What is left of the slope after a step.
    """

    alpha: Floats
    beta: Floats
    gamma: Floats
    phi: Floats


class States(NamedTuple):
    """What the recursion knows, changed in place row by row.

    Attributes
    ----------
    level : (G, S) float64
    slope : (G, S) float64, or None
    season : (m, G, S) float64, or None
        ``season[t % m]`` belongs to row t.
    """

    level: Floats
    slope: Floats | None
    season: Floats | None

    def take(self, which: Positions) -> States:
        """Return the states of some series."""
        level, slope, season = (None if x is None else x[..., which] for x in self)
        assert level is not None
        return States(level, slope, season)

    def spread(self, sets: int) -> States:
        """Return a copy of the states of a single set for each of some sets of parameters."""
        level, slope, season = (None if x is None else np.repeat(x, sets, axis=-2) for x in self)
        assert level is not None
        return States(level, slope, season)


def one_step(
    part: LongestFirst, parameters: Parameters, states: States, *, multiplicative: bool
) -> Iterator[tuple[int, int, Floats, Floats]]:
    """Yield each row's number, how many series have it, their one-step forecasts and errors, (G, k) each.

    With forecast mu and error e = y - mu, l' = l + phi b the level that was forecast and s the season of the row
    (without one, what changes nothing)::

        additive        mu = l' + s    l = l' + alpha e      b = phi b + beta e      s = s + gamma e
        multiplicative  mu = l' s      l = l' + alpha e / s  b = phi b + beta e / s  s = s + gamma e / l'

    (Hyndman, Koehler, Ord and Snyder 2008, tables 2.2 and 2.3.) The error may be additive or multiplicative, e being
    mu times the relative error: the same states, only another likelihood.

    Parameters
    ----------
    part : LongestFirst
    parameters : Parameters
    states : States
        Before the first row; after the last one at the end. Series are only read as far as they go.
    multiplicative : bool
        The season, if there is one.
    """
    alpha, beta, gamma, phi = parameters
    for t, k in enumerate(part.alive.tolist()):
        level = states.level[:, :k]
        if states.slope is not None:
            slope = states.slope[:, :k]
            slope *= phi[:, :k]
            level += slope
        output = level
        if states.season is not None:
            season = states.season[t % len(states.season), :, :k]
            output = level * season if multiplicative else level + season
        error = part.y[t, :k] - output
        # The level may be the output itself: it is looked at before it goes on.
        yield t, k, output, error
        step = error
        if states.season is not None:
            if multiplicative:
                step = error / season
                season += gamma[:, :k] * (error / level)
            else:
                season += gamma[:, :k] * error
        level += alpha[:, :k] * step
        if states.slope is not None:
            slope += beta[:, :k] * step


def initial_states(part: LongestFirst, *, sloping: bool, season_length: int, multiplicative: bool) -> States:
    """Return the states before the first row, from the first rows by rule, (1, S) each.

    The season: means of the rows' differences from (ratios to) a centred moving average over the first whole seasons,
    at most 5. The level and the slope: least squares on time of the first 10 rows (2 seasons if that is more), the
    season taken away; the level without a slope is their mean (after Hyndman et al. 2008, section 2.6.1).

    Parameters
    ----------
    part : LongestFirst
        With a season at least two of them.
    sloping : bool
        Whether there is a slope.
    season_length : int
        m; 1 for none.
    multiplicative : bool
    """
    y, n, m = part.y, part.lengths, season_length
    season = None
    if m > 1:
        season = _season(part, m, multiplicative)
        own = season[np.arange(len(y)) % m]
        y = y / own if multiplicative else y - own
    count = np.minimum(n, max(_ROWS, 2 * m))
    time = np.arange(count[0])[:, None]
    there = time < count
    y = np.where(there, y[: count[0]], 0.0)
    level = total(y) / count
    slope = None
    if sloping:
        centred = np.where(there, time - (count - 1) / 2, 0.0)
        steps = total(centred * y) / total(centred * centred)
        level = level - steps * (count + 1) / 2
        slope = steps[None]
    return States(level[None], slope, None if season is None else season[:, None])


def _season(part: LongestFirst, m: int, multiplicative: bool) -> Floats:
    """Return the first season, (m, S): of mean 0, or of mean 1 and above 0 if multiplicative."""
    stop = np.minimum(_SEASONS, part.lengths // m) * m
    y, half = part.y[: stop[0]], m // 2
    running = np.cumsum(np.concatenate([np.zeros((1, y.shape[1])), y]), axis=0)
    trend = (running[m:] - running[:-m]) / m
    if m % 2 == 0:
        trend = (trend[1:] + trend[:-1]) / 2
    rows = np.arange(half, half + len(trend))
    there = rows[:, None] < stop - half
    middle = y[half : half + len(trend)]
    away = middle / trend if multiplicative else middle - trend
    season = np.empty((m, y.shape[1]))
    for place in range(m):
        own = rows % m == place
        season[place] = total(np.where(there[own], away[own], 0.0)) / there[own].sum(axis=0)
    if multiplicative:
        out: Floats = np.maximum(season / (total(season) / m), 0.01)
        return out
    centred: Floats = season - total(season) / m
    return centred
