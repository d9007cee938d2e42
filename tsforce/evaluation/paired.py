"""Is the best of several models better, or lucky? Errors compared pair by pair, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.panel import IntArray, WindowIndex

__all__ = ["Pairs", "likely_differences", "paired_test", "pairs_of", "rank", "say_winner"]

FloatArray = npt.NDArray[np.float64]

# Of fewer pairs than this no p-value of the two-sided test is below 5 %.
_FEWEST = 6
_LEVEL = 0.05


def paired_test(errors: dict[str, FloatArray], reference: str) -> pd.DataFrame:
    """Return for each mode whether its errors differ from the reference's, series by series.

    Parameters
    ----------
    errors : dict of mode -> (S,) array
        One error per series, the same series in the same order.
    reference : str
        The mode to compare with.

    Returns
    -------
    DataFrame
        mode, median_difference (mode minus reference), share_better (of series), p (Wilcoxon's signed-rank test,
        two-sided), p_holm (Holm 1979, over the modes compared). NaN for the reference; 1 where no series differs.

    Examples
    --------
    >>> import numpy as np
    >>> from tsforce.bench import paired_test
    >>> open_loop = np.arange(1.0, 21.0)
    >>> table = paired_test({"open_loop": open_loop, "closed_loop": 0.9 * open_loop}, "open_loop")
    >>> table[["mode", "median_difference", "share_better", "p_holm"]].round(4).to_numpy().tolist()
    [['open_loop', 0.0, 0.0, nan], ['closed_loop', -1.05, 1.0, 0.0]]
    """
    from scipy.stats import wilcoxon

    rows = []
    for mode, values in errors.items():
        difference = _ranked(values) - _ranked(errors[reference])
        usable = difference[~np.isnan(difference)]
        median, share, p = np.nan, np.nan, np.nan
        if len(usable):
            median, share = float(np.median(usable)), float(np.mean(usable < 0))
            if mode != reference:
                p = float(wilcoxon(usable).pvalue) if np.any(usable != 0) else 1.0
        rows.append((mode, median, share, p))
    table = pd.DataFrame(rows, columns=["mode", "median_difference", "share_better", "p"])
    others = table.index[table["p"].notna()]
    order = table.loc[others, "p"].sort_values().index
    adjusted, worst = pd.Series(np.nan, index=table.index), 0.0
    for rank, row in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * float(table.loc[row, "p"])))
        adjusted[row] = worst
    return table.assign(p_holm=adjusted)


def _ranked(errors: FloatArray) -> FloatArray:
    """Return errors with a large number where a forecast diverged: the test ranks, and that is worst."""
    return np.where(np.isposinf(errors), 1e12, errors)


class Pairs(NamedTuple):
    """What is compared pair by pair in the windows of some models.

    Attributes
    ----------
    what : "series" or "windows"
    group : (W,) int64
        The pair that each window's errors are pooled in.
    chosen : (P,) int64
        The pairs that are compared.
    """

    what: str
    group: IntArray
    chosen: IntArray


def pairs_of(index: WindowIndex, horizon: int) -> Pairs:
    """Return the series as pairs, if there are enough; else windows, without those that overlap with a later one."""
    series, group = np.unique(index.series, return_inverse=True)
    if len(series) >= _FEWEST:
        return Pairs("series", group.astype(np.int64), np.arange(len(series)))
    chosen: list[int] = []
    for k in range(len(index) - 1, -1, -1):
        later = chosen[-1] if chosen else k
        apart = index.series[k] != index.series[later] or index.rows[k] + horizon <= index.rows[later]
        if apart or not chosen:
            chosen.append(k)
    return Pairs("windows", np.arange(len(index)), np.array(chosen[::-1], dtype=np.int64))


def rank(total: pd.Series, errors: Mapping[str, FloatArray], metric: str) -> pd.DataFrame:
    """Return the frame of ``BacktestResult.ranking``.

    Parameters
    ----------
    total : Series
        The error of each model.
    errors : dict of model -> (P,) array
        Its errors pair by pair.
    metric : str
        What the column of the errors is called.
    """
    order = total.sort_values(kind="stable", na_position="last").index
    table = paired_test({name: errors[name] for name in order}, order[0]).rename(columns={"mode": "model"})
    table.insert(1, metric, total[order].to_numpy())
    spans = [likely_differences(_ranked(errors[name]) - _ranked(errors[order[0]])) for name in order[1:]]
    table.insert(3, "low", [np.nan, *(low for low, _ in spans)])
    table.insert(4, "high", [np.nan, *(high for _, high in spans)])
    return table


def likely_differences(differences: FloatArray) -> tuple[float, float]:
    """Return the interval of 95 % of the typical difference: the shifts that Wilcoxon's signed-rank test allows.

    From the means of all pairs of differences, each with itself too (Hodges & Lehmann 1963, Estimates of location based
    on rank tests, Annals of Mathematical Statistics 34). NaN of fewer than 6 differences: nothing is ruled out.

    Parameters
    ----------
    differences : (P,) float64
        NaN is left out.

    Examples
    --------
    >>> likely_differences(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    (1.0, 6.0)
    """
    known = np.sort(differences[~np.isnan(differences)])
    n, total = len(known), len(known) * (len(known) + 1) // 2
    if n < _FEWEST:
        return np.nan, np.nan
    rank = _lower_rank(n)
    return _mean_of_pairs(known, rank), _mean_of_pairs(known, total + 1 - rank)


def _lower_rank(n: int) -> int:
    """Return which of the means of pairs, in order, is the lower end; exact up to 50 differences."""
    if n > 50:
        return int(np.ceil(n * (n + 1) / 4 - 1.959964 * np.sqrt(n * (n + 1) * (2 * n + 1) / 24)))
    count = np.zeros(n * (n + 1) // 2 + 1)
    count[0] = 1.0
    for value in range(1, n + 1):
        count[value:] += count[:-value].copy()
    return max(1, int(np.searchsorted(np.cumsum(count) / 2.0**n, _LEVEL / 2)))


def _mean_of_pairs(ordered: FloatArray, rank: int) -> float:
    """Return the mean of pairs of this rank, from 1 on, without making all n (n + 1) / 2 of them."""
    low, high = float(ordered[0]), float(ordered[-1])
    # Halving ends where two neighbouring numbers are left.
    while low < (middle := low + (high - low) / 2) < high:
        pairs = np.searchsorted(ordered, 2 * middle - ordered, side="right").sum()
        below = (pairs + np.searchsorted(ordered, middle, side="right")) // 2
        low, high = (low, middle) if below >= rank else (middle, high)
    if rank == 1:
        return float(ordered[0])
    return high


def say_winner(table: pd.DataFrame, metric: str, n_pairs: int, what: str) -> str:
    """Return in words which model has the lowest error, and whether the others differ from it by more than chance.

    Parameters
    ----------
    table : DataFrame
        As from ``BacktestResult.ranking``: the best model first.
    metric : str
        The column of the errors.
    n_pairs : int
    what : str
        What the pairs are: "series" or "windows".
    """
    best, *others = table.to_dict("records")
    said = f"Lowest {metric.upper() if metric != 'smape' else 'sMAPE'}: {best['model']} ({best[metric]:.4g})"
    if n_pairs < _FEWEST:
        return f"{said}. Of {n_pairs} {what} no test can tell that from chance; it takes {_FEWEST} at least."
    clear = [row for row in others if row["p_holm"] <= _LEVEL]
    worse = [row for row in clear if row["median_difference"] > 0]
    mixed = [row for row in clear if row["median_difference"] <= 0]
    open_ = [row for row in others if not row["p_holm"] <= _LEVEL]
    parts = [
        f"{text} {', '.join(_figure(row) for row in rows)}"
        for rows, text in (
            (worse, f"lower than chance explains over {n_pairs} {what} than that of"),
            (mixed, f"yet at most of {n_pairs} {what} above that of"),
            (open_, f"not told apart over {n_pairs} {what} from"),
        )
        if rows
    ]
    return f"{said}: {'; '.join(parts)} (Wilcoxon's paired test, Holm)."


def _figure(row: dict[str, object]) -> str:
    return f"{row['model']} (p = {row['p_holm']:.2g})"
