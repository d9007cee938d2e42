"""Whether differenced series grow: what a map of seasonal differences needs a constant for."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tsforce.data.panel import Panel
from tsforce.data.transforms import Chain, Difference, Transform

__all__ = ["grows"]

# Growth that is sure, and goes on: its mean lies so many standard errors from 0 (with few blocks, whose own scatter is
# known badly, tails are long), blocks scatter around it by no more than a share of it, and it stands out of the scatter
# of single values. A slow drift of the past is worth less than it costs (M4 Hourly: OWA .4438 with it, .4403 without).
_SIGNIFICANT, _FEWEST, _STEADY, _SHARE = 5.0, 4, 0.25, 1.0


def grows(panel: Panel, transforms: tuple[Transform, ...]) -> npt.NDArray[np.bool_]:
    """Return which series have a mean after their transforms that is not 0, beyond doubt, (S,).

    The mean of a seasonal difference is what a series grows by in a season. It is compared with its standard error by
    means of blocks of a season or more, which leaves autocorrelation within them alone (batch means: Schmeiser 1982).
    Of several targets any will do. A series of fewer than four blocks shows nothing.

    Parameters
    ----------
    panel : Panel
        Training rows.
    transforms : tuple of Transform
    """
    chain = Chain.learn(transforms, panel.values, panel.indptr, panel.lengths)
    values = chain.stages(panel.values, panel.indptr)[-1].numpy()
    season = max((t.lag for t in transforms if isinstance(t, Difference)), default=1)
    found = np.zeros(panel.n_series, dtype=bool)
    for i, (first, end) in enumerate(zip(panel.indptr[:-1] + chain.rows_lost, panel.indptr[1:], strict=True)):
        own = values[first:end]
        size = season * max(1, math.isqrt(max(1, len(own) // season)) // 2)
        blocks = len(own) // size
        if blocks < _FEWEST:
            continue
        # The newest whole blocks.
        own = own[len(own) - blocks * size :].reshape(blocks, size, -1)
        known = ~np.isnan(own)
        means = np.where(known, own, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        mean, spread = np.abs(means.mean(axis=0)), means.std(axis=0, ddof=1)
        sure = (mean > _SIGNIFICANT * spread / math.sqrt(blocks)) & (spread < _STEADY * mean)
        if sure.any():
            found[i] = bool((sure & (mean > _SHARE * np.nanstd(own, axis=(0, 1)))).any())
    return found
