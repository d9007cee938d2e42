"""Arrays in, numbers out: metrics, cutoff positions and the reference forecasts every score is held against.

Numpy only, and below everything that chooses: training, forecasting and evaluation count the same way.
A *ragged flat panel* is ``values`` (N,) with ``indptr`` (S + 1,) running from 0 to N: series i is
``values[indptr[i]:indptr[i + 1]]``. Arguments are checked by the callers.
"""
