"""Season lengths that series show by themselves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tsforce.data.panel import FloatArray, IntArray, Panel

__all__ = ["MULTIPLE", "find_longer_season", "find_season", "mean_autocorrelation"]

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
    positive) is a local maximum, above .1 and nearly as high as the highest.

    Examples
    --------
    >>> from tsforce import Baseline
    >>> from tsforce.datasets import load
    >>> find_season(Baseline("naive").read(load("airpassengers")))
    12
    """
    found = mean_autocorrelation(panel, (1,))
    peaks = _peaks(found, panel)
    if not peaks:
        return 1
    top = max(found[lag] for lag in peaks)
    return next(lag for lag in peaks if found[lag] >= _ALIKE * top)


def find_longer_season(panel: Panel, season: int) -> int | None:
    """Return a multiple of a season that is a season of its own (168 of 24), None if the series show none.

    Looked for in first and seasonal differences, so that the season itself is gone.
    """
    if season < 2:
        return None
    found = mean_autocorrelation(panel, (1, season))
    peaks = [lag for lag in _peaks(found, panel) if lag % season == 0 and 2 <= lag // season <= MULTIPLE]
    return max(peaks, key=lambda lag: found[lag], default=None)


def mean_autocorrelation(panel: Panel, differences: Iterable[int]) -> FloatArray:
    """Return the autocorrelation of differenced series, mean over series and targets, (lags + 1,); NaN unless many.

    Of each series lags up to a third of its rows are looked at.
    """
    differences = tuple(differences)
    typical = int(np.median(panel.lengths))
    most = min(_MOST_LAGS, typical // 3)
    total, count = np.zeros(most + 1), np.zeros(most + 1)
    step = max(1, panel.n_series // _MOST_SERIES)
    for first, last in zip(panel.indptr[:-1:step], panel.indptr[1::step], strict=True):
        for values in panel.values[first:last].T:
            series = values[~np.isnan(values)]
            if len(series) and series.min() > 0:
                series = np.log(series)
            for lag in differences:
                series = series[lag:] - series[:-lag]
            own = _autocorrelation(series, most)
            total[: len(own)] += own
            count[: len(own)] += len(own) > 0
    with np.errstate(invalid="ignore"):
        return np.where(count >= max(1.0, 0.25 * count.max()), total / count, np.nan)


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
    with np.errstate(invalid="ignore"):
        return [
            lag
            for lag in range(3, len(found) - 1)
            if found[lag] > least and found[lag] >= found[lag - 1] and found[lag] >= found[lag + 1]
        ]
