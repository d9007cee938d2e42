"""Is the best of several models better, or lucky? Errors compared pair by pair, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsforce.data.panel import IntArray, WindowIndex

__all__ = ["Pairs", "paired_test", "pairs_of", "rank", "say_winner"]

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
    return table


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
