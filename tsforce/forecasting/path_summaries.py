"""What sample paths say: quantiles, sums, crossings of a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import FloatArray
from tsforce.data.path_frame import PathTable, read_paths
from tsforce.errors import ArgumentError, abbreviate

__all__ = ["crossing_probability", "first_crossing", "path_quantiles", "path_sums", "path_values"]

BoolArray = npt.NDArray[np.bool_]
# One for all series, or one for each.
Threshold = float | Mapping[Any, float] | None


def path_values(paths: Any) -> FloatArray:
    """Return the numbers of sample paths, (series, paths, steps), of several targets (series, paths, steps, targets).

    Parameters
    ----------
    paths : DataFrame
        From ``sample_paths``; whole series may have been left out.

    Raises
    ------
    FrameError
        If it is not such a frame.

    Examples
    --------
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"unique_id": "a", "ds": [8, 9] * 2, "horizon": [1, 2] * 2, "path": [1, 1, 2, 2]})
    >>> path_values(paths.assign(y=[1.0, 2.0, 3.0, 4.0])).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """
    values = read_paths(paths).values
    return values[..., 0] if values.shape[-1] == 1 else values


def path_quantiles(paths: Any, levels: Sequence[float] = (0.1, 0.5, 0.9)) -> Any:
    """Return quantiles of each step: id, ds, horizon, and a column <name>-q<percent> for each level.

    Parameters
    ----------
    paths : DataFrame
        From ``sample_paths``.
    levels : sequence of float
        Probabilities between 0 and 1. Between two paths it is interpolated (numpy's "linear").

    Raises
    ------
    ArgumentError
        If a level is no probability.
    FrameError
        If `paths` is not such a frame.

    Examples
    --------
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"unique_id": "a", "ds": 8, "horizon": 1, "path": [1, 2, 3], "y": [1.0, 2.0, 4.0]})
    >>> print(path_quantiles(paths, [0.5, 0.75]).to_string(index=False))
    unique_id  ds  horizon  y-q50  y-q75
            a   8        1    2.0    3.0
    """
    table, q = read_paths(paths), np.atleast_1d(np.asarray(levels, dtype=np.float64))
    if not len(q) or not ((q >= 0) & (q <= 1)).all():
        raise ArgumentError(f"levels={levels!r}: expected probabilities from 0 to 1, such as [0.1, 0.5, 0.9].")
    found = np.quantile(table.values, q, axis=1)
    return table.by_step(
        {
            f"{name}-q{100 * level:g}": found[k, :, :, channel]
            for channel, name in enumerate(table.names)
            for k, level in enumerate(q)
        }
    )


def path_sums(paths: Any) -> Any:
    """Return the sum of each path over the horizon: id, path, <name>.

    Its quantiles are those of the total, which sums of quantiles are not.

    Parameters
    ----------
    paths : DataFrame
        From ``sample_paths``.

    Raises
    ------
    FrameError
        If it is not such a frame.

    Examples
    --------
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"unique_id": "a", "ds": [8, 9] * 2, "horizon": [1, 2] * 2, "path": [1, 1, 2, 2]})
    >>> print(path_sums(paths.assign(y=[1.0, 2.0, 3.0, 4.0])).to_string(index=False))
    unique_id  path   y
            a     1 3.0
            a     2 7.0
    """
    table = read_paths(paths)
    return table.by_path(dict(zip(table.names, np.moveaxis(table.values.sum(axis=2), -1, 0), strict=True)))


def crossing_probability(paths: Any, *, above: Threshold = None, below: Threshold = None) -> Any:
    """Return how likely a threshold is crossed: id, ds, horizon, <name>-at and <name>-by.

    <name>-at is the share of paths beyond the threshold at that step, <name>-by of those that have been beyond it by
    then, at that step or before; NaN where paths are.

    Parameters
    ----------
    paths : DataFrame
        From ``sample_paths``.
    above, below : float, or dict of id -> float
        One of them: beyond is larger, or smaller, than that; original units. A dict or Series has one for each series.

    Raises
    ------
    ArgumentError
        If not one threshold is given, or a series has none.
    FrameError
        If `paths` is not such a frame.

    Examples
    --------
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"unique_id": "a", "ds": [8, 9] * 2, "horizon": [1, 2] * 2, "path": [1, 1, 2, 2]})
    >>> print(crossing_probability(paths.assign(y=[5.0, 2.0, 3.0, 4.0]), above=3.5).to_string(index=False))
    unique_id  ds  horizon  y-at  y-by
            a   8        1   0.5   0.5
            a   9        2   0.5   1.0
    """
    table = read_paths(paths)
    beyond = _beyond(table, above, below)
    by = np.logical_or.accumulate(beyond, axis=2)
    lost = np.isnan(table.values).any(axis=1)
    shares = {
        "at": np.where(lost, np.nan, beyond.mean(axis=1)),
        "by": np.where(np.logical_or.accumulate(lost, axis=1), np.nan, by.mean(axis=1)),
    }
    return table.by_step(
        {f"{name}-{word}": share[..., c] for c, name in enumerate(table.names) for word, share in shares.items()}
    )


def first_crossing(paths: Any, *, above: Threshold = None, below: Threshold = None) -> Any:
    """Return the first step at which each path is beyond a threshold: id, path, <name>; NaN where it never is.

    Parameters
    ----------
    paths, above, below
        As in `crossing_probability`, and so are the errors.

    Examples
    --------
    >>> import pandas as pd
    >>> paths = pd.DataFrame({"unique_id": "a", "ds": [8, 9] * 2, "horizon": [1, 2] * 2, "path": [1, 1, 2, 2]})
    >>> print(first_crossing(paths.assign(y=[2.0, 2.0, 3.0, 4.0]), above=3.5).to_string(index=False))
    unique_id  path   y
            a     1 NaN
            a     2 2.0
    """
    table = read_paths(paths)
    beyond = _beyond(table, above, below)
    step = np.where(beyond.any(axis=2), beyond.argmax(axis=2) + 1.0, np.nan)
    return table.by_path(dict(zip(table.names, np.moveaxis(step, -1, 0), strict=True)))


def _beyond(table: PathTable, above: Threshold, below: Threshold) -> BoolArray:
    if above is not None and below is None:
        return table.values > _by_window(table, "above", above)
    if below is not None and above is None:
        return table.values < _by_window(table, "below", below)
    raise ArgumentError(f"above={above!r}, below={below!r}: expected one threshold, such as above=100.")


def _by_window(table: PathTable, name: str, given: Any) -> FloatArray:
    """Return thresholds that go with (W, P, H, C)."""
    if isinstance(given, int | float | np.number) and not isinstance(given, bool):
        return np.asarray(given, dtype=np.float64)
    if not hasattr(given, "keys"):
        raise ArgumentError(f"{name}={given!r}: expected a number, or a dict of one for each series.")
    per_window = table.values.shape[1] * table.values.shape[2]
    ids = table.frame[table.window_columns[-1]].to_numpy()[::per_window]
    of_each = dict(given)
    without = [own for own in dict.fromkeys(ids) if own not in of_each]
    if without:
        raise ArgumentError(f"{name} has no threshold for series {abbreviate(without)}; give one for each.")
    return np.array([of_each[own] for own in ids], dtype=np.float64)[:, None, None, None]
