"""What is left in residuals: their correlation with their own past, and with an input.

Records lie one below the other; none is seen from another.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["autocorrelation", "dependence", "ljung_box", "pairs_apart"]

Floats = NDArray[np.float64]


def autocorrelation(residuals: ArrayLike, n_lags: int, sizes: ArrayLike | None = None) -> Floats:
    """Return the correlation of residuals with themselves, 0 .. `n_lags` rows before.

    ``r_k = sum_t e_t e_{t-k} / sum_t e_t^2``, e less its mean.

    Parameters
    ----------
    residuals : array_like, (N,)
    n_lags : int
    sizes : array_like of int, (R,), optional
        Rows of each record; one record by default.

    Returns
    -------
    ndarray, (n_lags + 1,), float64
        NaN where residuals do not vary.

    Examples
    --------
    >>> autocorrelation([1.0, -1.0, 1.0, -1.0], 2).tolist()
    [1.0, -0.75, 0.5]
    """
    e = _standard(residuals)
    return np.array([sum(_product(own, own, k) for own in _records(e, sizes)) / len(e) for k in range(n_lags + 1)])


def ljung_box(correlations: ArrayLike, sizes: ArrayLike) -> float:
    """Return the statistic of Ljung and Box: of white residuals, about chi-squared with a degree for each lag.

    ``Q = N (N + 2) sum_k r_k^2 / n_k``, n_k the number of pairs of rows that are k apart: N - k in one record (Ljung &
    Box 1978, On a measure of lack of fit in time series models, Biometrika 65).

    Parameters
    ----------
    correlations : array_like, (K + 1,)
        From `autocorrelation`, lag 0 first.
    sizes : array_like of int, (R,)
        Rows of each record.

    Examples
    --------
    >>> ljung_box([1.0, -0.75, 0.5], [4])
    7.5
    """
    r, n = np.asarray(correlations, dtype=np.float64)[1:], int(np.sum(sizes))
    return float(n * (n + 2) * np.sum(r**2 / pairs_apart(sizes, len(r))))


def pairs_apart(sizes: ArrayLike, n_lags: int) -> NDArray[np.int64]:
    """Return how many pairs of rows of one record are 1 .. `n_lags` apart, (n_lags,).

    Examples
    --------
    >>> pairs_apart([4, 2], 3).tolist()
    [4, 2, 1]
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    pairs: NDArray[np.int64] = np.maximum(lengths - np.arange(1, n_lags + 1)[:, None], 0).sum(axis=1)
    return pairs


def dependence(
    residuals: ArrayLike, values: ArrayLike, lags: range, sizes: ArrayLike | None = None
) -> tuple[Floats, Floats, float, int]:
    """Return the correlation of residuals with an input some rows before, its spread by chance, and a joint test.

    ``r_k = mean_t e_t u_{t-k}``, both in units of their spread. Its covariance, where input and residuals are
    independent, is that of residuals with some memory of their own, which leave the test of the input as it is:
    ``S = sum_{|s| <= W} w_s R_e(s) mean_t(U_t U_{t-s}')``, U_t the input at all lags, w_s = 1 - |s| / (W + 1) and
    W = 12 (N / 100)^(2/9) (Newey & West 1994, Automatic lag selection in covariance matrix estimation, Review of
    Economic Studies 61, the wider of their two). Of white residuals S is R_e(0) times the input's covariance (Ljung
    1999, System Identification, 2nd edition, 16.6).

    At 5 % and lags 0 to 25 the joint test calls 1 to 5 of 100 independent pairs dependent where residuals are white.
    Where they have a memory it is cautious about an input of many frequencies (0 to 2 of 100), and of one sine calls 5
    to 9 dependent. W = 4 (N / 100)^(2/9), the narrower of the two, was as cautious and called 8 to 27 of the sines
    dependent (300 draws each of 200 and of 1000 rows, residuals of first order up to .9).

    Parameters
    ----------
    residuals, values : array_like, (N,)
    lags : range
        Rows by which the input is before; below 0: after. Only rows that have all of them are used.
    sizes : array_like of int, (R,), optional
        Rows of each record; one record by default.

    Returns
    -------
    correlations : (K,) float64
    spread : (K,) float64
        Standard deviation of each by chance; ``1 / sqrt(N)`` of white residuals.
    statistic : float
        ``N r' S^-1 r``, which is about chi-squared.
    degrees : int
        Of freedom: the rank of S, which an input of few frequencies leaves below K.

    Examples
    --------
    >>> u = np.array([1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0])
    >>> r, _, _, _ = dependence(np.roll(u, 1), u, range(2))
    >>> r.round(2).tolist()
    [0.16, 0.99]
    """
    before, after = max(0, lags[-1]), max(0, -lags[0])
    use, pieces = [], []
    for e_own, u_own in zip(
        _records(np.asarray(residuals, dtype=np.float64), sizes),
        _records(np.asarray(values, dtype=np.float64), sizes),
        strict=True,
    ):
        rows = np.arange(before, len(e_own) - after)
        use.append(e_own[rows])
        pieces.append(u_own[rows[:, None] - np.array(lags)])
    own = np.array([len(part) for part in use])
    e = _standard(np.concatenate(use))
    lagged = np.concatenate(pieces)
    spread = float(lagged.std())
    with np.errstate(divide="ignore", invalid="ignore"):
        lagged = (lagged - lagged.mean(axis=0)) / (spread if spread > 1e-12 * np.abs(lagged).max(initial=0) else np.nan)
    n = len(e)
    r: Floats = lagged.T @ e / n
    if not np.isfinite(r).all():
        return r, np.full(len(lags), np.nan), float("nan"), 0
    covariance = _covariance(e, lagged, own)
    values_of, vectors = np.linalg.eigh(covariance)
    kept = values_of > 1e-8 * values_of[-1]
    statistic = float(n * np.sum((vectors[:, kept].T @ r) ** 2 / values_of[kept]))
    return r, np.sqrt(np.maximum(np.diag(covariance), 0.0) / n), statistic, int(kept.sum())


def _covariance(e: Floats, lagged: Floats, sizes: NDArray[np.int64]) -> Floats:
    """Return the covariance of sqrt(N) r, (K, K)."""
    n = len(e)
    width = min(int(12 * (n / 100) ** (2 / 9)), n // 4)
    own = autocorrelation(e, width, sizes)
    total: Floats = lagged.T @ lagged / n
    for s in range(1, width + 1):
        cross = sum(part[s:].T @ part[:-s] for part in _records(lagged, sizes) if len(part) > s) / n
        total = total + (1 - s / (width + 1)) * own[s] * (cross + np.transpose(cross))
    return total


def _standard(values: ArrayLike) -> Floats:
    """Return values less their mean, in units of their spread; NaN where they do not vary."""
    e = np.asarray(values, dtype=np.float64)
    largest = np.abs(e).max(initial=0.0)
    e = e - e.mean() if len(e) else e
    spread = float(np.sqrt(np.mean(e**2))) if len(e) else 0.0
    return e / (spread if spread > 1e-12 * largest else np.nan)


def _records(values: Floats, sizes: ArrayLike | None) -> Iterator[Floats]:
    if sizes is None:
        yield values
        return
    yield from np.split(values, np.cumsum(np.asarray(sizes, dtype=np.int64))[:-1])


def _product(a: Floats, b: Floats, k: int) -> float:
    """Return sum_t a_t b_{t-k}."""
    return float(a[k:] @ b[: len(b) - k]) if k < len(a) else 0.0
