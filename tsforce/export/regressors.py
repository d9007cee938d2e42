"""Fitted regressors of other libraries as maps that code can be written from: linear, networks, trees, or converted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model._base import LinearModel
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

from tsforce.dynamics.lags import LagLayout
from tsforce.dynamics.models.each_step import EachStep
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.mlp import Perceptron
from tsforce.errors import ArgumentError
from tsforce.export.trees import Trees, forest_of
from tsforce.forecasting.adapters import RegressorModel

__all__ = ["WRITTEN", "Converted", "map_of", "not_in_c", "of_each_step"]

WRITTEN = (
    "linear models, MLPRegressor (relu, tanh), DecisionTree, RandomForest, ExtraTrees, GradientBoosting and "
    "HistGradientBoosting regressors of scikit-learn, and LGBMRegressor"
)
_BENDS = ("relu", "tanh")


class Converted:
    """Regressors that only a converter to ONNX may know.

    Attributes
    ----------
    layout : LagLayout
    fitted : sequence of estimators
        One for each group of steps.
    """

    def __init__(self, layout: LagLayout, fitted: Sequence[Any]) -> None:
        self.layout = layout
        self.fitted = list(fitted)


def map_of(model: RegressorModel) -> Linear | Perceptron | Trees | Converted:
    """Return what the regressors of one series compute.

    Parameters
    ----------
    model : RegressorModel
        Of one group.

    Raises
    ------
    ArgumentError
        If a regressor of a known kind has a setting that is not written: says which.
    """
    layout, fitted = model.layout, model.fitted
    plain, scales = zip(*(_unscaled(f) for f in fitted), strict=True)
    if all(isinstance(f, LinearModel) for f in plain):
        return _linear(layout, plain, scales)
    if layout.n_step_groups == 1 and _is_perceptron(plain[0]):
        return _perceptron(layout, plain[0], scales[0])
    forests = [forest_of(f, len(layout.channels)) for f in fitted]
    known = [forest for forest in forests if forest is not None]
    return Trees(layout, tuple(known)) if len(known) == len(forests) else Converted(layout, fitted)


def _is_perceptron(f: Any) -> bool:
    # loss="poisson" ends in an exponential.
    return isinstance(f, MLPRegressor) and f.activation in _BENDS and f.out_activation_ == "identity"


def _unscaled(f: Any) -> tuple[Any, tuple[Any, Any]]:
    """Return a regressor behind scalers, and what these do to x, ``x * a + b``; (f, (1, 0)) without."""
    a, b = np.ones(1), np.zeros(1)
    if not isinstance(f, Pipeline):
        return f, (a, b)
    *scalers, last = (step for _, step in f.steps if step not in (None, "passthrough"))
    for one in scalers:
        if type(one) is StandardScaler:
            scale = 1 / one.scale_ if one.with_std else np.ones(1)
            shift = -one.mean_ * scale if one.with_mean else np.zeros(1)
        elif type(one) is MinMaxScaler and not one.clip:
            scale, shift = one.scale_, one.min_
        else:
            return f, (np.ones(1), np.zeros(1))
        a, b = a * scale, b * scale + shift
    return last, (a, b)


def _linear(layout: LagLayout, fitted: Sequence[Any], scales: Sequence[tuple[Any, Any]]) -> Linear:
    # Maps of later steps read more than their layout says; indicators of groups of steps, the last columns, are none
    # of theirs.
    channels, width = len(layout.channels), np.shape(fitted[0].coef_)[-1] + len(layout.blocks["steps"])
    weight, bias = np.zeros((1, width, len(fitted) * channels)), np.zeros((1, len(fitted) * channels))
    for group, (f, (a, b)) in enumerate(zip(fitted, scales, strict=True)):
        own = slice(group * channels, (group + 1) * channels)
        coef = np.atleast_2d(np.asarray(f.coef_, dtype=np.float64)).T
        weight[0, : len(coef), own] = coef * np.broadcast_to(a, len(coef))[:, None]
        bias[0, own] = np.asarray(f.intercept_, dtype=np.float64) + np.broadcast_to(b, len(coef)) @ coef
    return Linear(layout, torch.from_numpy(weight), torch.from_numpy(bias))


def _perceptron(layout: LagLayout, f: Any, scale: tuple[Any, Any]) -> Perceptron:
    width, channels, hidden = len(f.coefs_[0]), len(layout.channels), [len(b) for b in f.intercepts_[:-1]]
    none = Linear(layout, torch.zeros(1, width, channels), torch.zeros(1, channels))
    keys = torch.zeros(1, dtype=torch.int64)
    model = Perceptron(layout, hidden, none, keys, torch.float64, f.activation)
    a, b = (np.broadcast_to(part, width) for part in scale)
    first = f.coefs_[0]
    weights = [first * a[:, None], *f.coefs_[1:]]
    biases = [f.intercepts_[0] + b @ first, *f.intercepts_[1:-1]]

    def of(values: Any) -> nn.Parameter:
        return nn.Parameter(torch.from_numpy(np.asarray(values, dtype=np.float64)[None]), requires_grad=False)

    for number, values in enumerate(weights):
        model.weights[number] = of(values)
    for number, values in enumerate(biases):
        model.biases[number] = of(values)
    model.bias = of(f.intercepts_[-1])
    return model


def not_in_c(model: Converted) -> ArgumentError:
    """Return the error that regressors which only a converter knows are no C."""
    name = type(model.fitted[0]).__name__
    return ArgumentError(
        f"model={name}(...) cannot be written as C: {WRITTEN} can. Fit one of these, or export to ONNX, where a "
        f"converter is tried."
    )


def of_each_step(model: EachStep) -> ArgumentError:
    """Return the error that maps of each step are no step of a loop, but where they are linear, in C."""
    strategy, horizon = "dirrec" if model.reads_between else "direct", len(model.models)
    return ArgumentError(
        f"strategy={strategy!r} has a map for each step: linear ones are exported to C and as an FMU, and all in one "
        f"graph of all steps, 'model.onnx' with horizon={horizon}. Do that, or fit with strategy='recursive'."
    )
