"""What a fitted model of a dynamic system says in formulas: its linear part, and its equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tsforce.data.panel import FloatArray
from tsforce.dynamics.models.equation import equation, is_sum
from tsforce.errors import ArgumentError, check_choice
from tsforce.forecasting.arguments import check_count
from tsforce.forecasting.rolling import Rolling
from tsforce.identification.linear_part import LinearPart, linear_part_of

__all__ = ["HasFormulas"]


class HasFormulas:
    """The part of NARXRegressor that writes down what was learnt."""

    model: Any
    model_: Any
    y_mean_: FloatArray
    y_scale_: FloatArray
    _rolling_: Rolling

    def linear_part(self, at: Any = None) -> LinearPart:
        """Return how outputs answer small changes of earlier outputs and of inputs, by lag, original units.

        Axes of outputs and of inputs are in the order of ``output_names_`` and of the columns of X.

        Parameters
        ----------
        at : float or array-like, (F,), optional
            Inputs at which the model rests; by default all is at its training mean. It matters unless the model is
            linear.

        Raises
        ------
        ArgumentError
            If the model has no gradient or keeps a state of its own, or does not come to rest at `at`.
        """
        check_is_fitted(self, "model_")
        return linear_part_of(self, at)

    def equation(self, digits: int | None = None, names: Mapping[str, str] | None = None) -> str:
        """Return what the model says, a line of text for each output, original units.

        Products of standardised variables are multiplied out, and bring terms of lower degree along.

        Parameters
        ----------
        digits : int, optional
            Significant digits of coefficients. By default 4, or as many more as the text needs to be the model: copied
            and fed its own outputs it stays within a thousandth of each output's standard deviation of the simulation,
            near the training range.
        names : mapping of name -> str, optional
            How outputs and inputs are called: ``{"y": "level", "x0": "valve"}``; by the names of their columns
            otherwise (``output_names_``, ``feature_names_in_``), or as y, or y0, y1 ..., and x0, x1 ...

        Raises
        ------
        NotFittedError
            scikit-learn's, before `fit`.
        ArgumentError
            If the model is no linear map and no polynomial, or `names` has a key that is no column.

        Examples
        --------
        >>> import numpy as np
        >>> u = np.random.default_rng(0).normal(10, 1, size=(100, 1))
        >>> y = np.append(0.0, 2 + u[:-1, 0] ** 2)
        >>> from tsforce import NARXRegressor
        >>> model = NARXRegressor(1, [1], model="polynomial", mode="open_loop").fit(u[1:], y[1:])
        >>> print(model.equation(digits=3))
        y(t) = x0(t-1)^2 + 2
        """
        check_is_fitted(self, "model_")
        layout, coder = self.model_.layout, self._rolling_.coder
        assert coder is not None
        if not is_sum(self.model_):
            raise ArgumentError(
                f"model={self.model!r} cannot be written down as a sum. Use model='linear' or model='polynomial'."
            )
        named = (*layout.channels, *(name for name, _ in layout.future_exog))
        for name in names or ():
            check_choice("names", name, named)
        both = ((self.y_mean_, coder.centre[0]), (self.y_scale_, coder.spread[0]))
        means, scales = (dict(zip(named, np.concatenate(pair).tolist(), strict=True)) for pair in both)
        digits = None if digits is None else check_count("digits", digits)
        return equation(self.model_, means, scales, names, digits=digits)
