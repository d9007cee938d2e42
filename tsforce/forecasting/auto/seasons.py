"""Season lengths that series show by themselves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel

__all__ = ["MULTIPLE", "autocorrelations", "find_longer_season", "find_season"]

# Autocorrelation, mean over series, from which a lag counts as a season; and in standard errors of that of noise.
_LEAST, _ERRORS = 0.1, 5.0
# Of several lags with about the same autocorrelation the first one is the season, the others are its multiples.
_ALIKE = 0.8
# Lags of the search, and series that are looked at.
_MOST_LAGS, _MOST_SERIES = 800, 500
# Values that lie further out than so many robust scales are moved there.
_WILD = 6.0
#: Seasons of a season: how many of the shorter one the longer one may have.
MULTIPLE = 60


def find_season(panel: Panel) -> int:
    """Return the season that the series of a panel have in common, 1 if they show none.

    The shortest lag (3 or more) whose mean autocorrelation of first differences (of logarithms, where all values are
    positive) is a local maximum, above .1 and, in series that are long enough for both, nearly as high as the highest.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> find_season(Baseline("naive").read(load("airpassengers")))
    12
    """
    found = autocorrelations(panel, (1,))
    return _first_of_the_highest(found, _peaks(found, panel)) or 1


def find_longer_season(panel: Panel, season: int) -> int | None:
    """Return a multiple of a season that is a season of its own (168 of 24), None if the series show none.

    Looked for in first and seasonal differences, so that the season itself is gone.
    """
    if season < 2:
        return None
    found = autocorrelations(panel, (1, season))
    return _first_of_the_highest(
        found, [lag for lag in _peaks(found, panel) if lag % season == 0 and 2 <= lag // season <= MULTIPLE]
    )


def autocorrelations(panel: Panel, differences: Iterable[int]) -> FloatArray:
    """Return the autocorrelation of differenced series, one row per series and target, (N, lags + 1).

    NaN beyond a third of a series' rows, and of a series without movement.
    """
    differences = tuple(differences)
    most = min(_MOST_LAGS, int(np.median(panel.lengths)) // 3)
    step = max(1, panel.n_series // _MOST_SERIES)
    rows = []
    for first, last in zip(panel.indptr[:-1:step], panel.indptr[1::step], strict=True):
        for values in panel.values[first:last].T:
            series = values[~np.isnan(values)]
            if len(series) and series.min() > 0:
                series = np.log(series)
            for lag in differences:
                series = series[lag:] - series[:-lag]
            own = _autocorrelation(series, most)
            rows.append(np.concatenate([own, np.full(most + 1 - len(own), np.nan)]))
    return np.array(rows)


def _first_of_the_highest(found: FloatArray, peaks: list[int]) -> int | None:
    """Return the first of some lags that is as good as the best of them; None without any.

    Two lags are compared in the series that reach both: long ones may show everything better than short ones.
    """
    if not peaks:
        return None
    top = max(peaks, key=lambda lag: float(np.nanmean(found[:, lag])))
    long = found[~np.isnan(found[:, top])].mean(axis=0)
    return next(lag for lag in peaks if lag == top or (lag < top and long[lag] >= _ALIKE * long[top]))


def _autocorrelation(series: FloatArray, most: int) -> FloatArray:
    n = len(series)
    if n < 12:
        return np.empty(0)
    middle = np.median(series)
    scale = _WILD * float(np.median(np.abs(series - middle)))
    if scale > 0:
        series = np.clip(series, middle - scale, middle + scale)
    series = series - series.mean()
    power = float(series @ series)
    if not power > 0:
        return np.empty(0)
    lags: IntArray = np.arange(min(most, n // 3) + 1)
    spectrum = np.fft.rfft(series, 2 * n)
    products = np.fft.irfft(spectrum * np.conj(spectrum))[: len(lags)]
    # Each lag by the mean of its own products: long lags have fewer.
    found: FloatArray = products / power * n / (n - lags)
    return found


def _peaks(found: FloatArray, panel: Panel) -> list[int]:
    """Return the lags of local maxima that noise of so many rows would hardly show."""
    least = max(_LEAST, _ERRORS / np.sqrt(len(panel.values)))
    known = (~np.isnan(found)).sum(axis=0)
    total = np.nansum(found, axis=0)
    mean = np.where(known >= max(1.0, 0.25 * known.max()), total / np.maximum(known, 1), np.nan)
    with np.errstate(invalid="ignore"):
        return [
            lag
            for lag in range(3, len(mean) - 1)
            if mean[lag] > least and mean[lag] >= mean[lag - 1] and mean[lag] >= mean[lag + 1]
        ]
