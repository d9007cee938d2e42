"""Ensembles of trees of scikit-learn and LightGBM as arrays of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.ensemble import HistGradientBoostingRegressor as HistGradientBoosting
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError

__all__ = ["Forest", "Trees", "forest_of", "rounded_down"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_AVERAGED = (RandomForestRegressor, ExtraTreesRegressor)
_ALONE = (DecisionTreeRegressor, ExtraTreeRegressor)
# What LightGBM's objectives make of a sum of leaves.
_AS_IT_IS = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
_EXPONENTIAL = ("poisson", "gamma", "tweedie")


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of trees; a node goes left where ``x[feature] <= threshold``.

    Attributes
    ----------
    feature : (N,) int64
        -1: a leaf.
    threshold : (N,) float64
    left, right : (N,) int64
        Nodes.
    value : (N, C) float64
        What a leaf adds.
    roots : (T,) int64
    start : (C,) float64
        What is there before the first tree.
    rounded : bool
        Whether x is rounded to single precision before it is compared.
    exponential : bool
        Whether the output is the exponential of the sum.
    """

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray
    roots: IntArray
    start: FloatArray
    rounded: bool = False
    exponential: bool = False


@dataclass(frozen=True, eq=False)
class Trees:
    """A map made of forests.

    Attributes
    ----------
    layout : LagLayout
    forests : tuple of Forest
        One for each group of steps.
    """

    layout: LagLayout
    forests: tuple[Forest, ...]


class _Tree(NamedTuple):
    feature: Any
    threshold: Any
    left: Any
    right: Any
    value: Any


def rounded_down(threshold: FloatArray, dtype: str) -> FloatArray:
    """Return the largest numbers of some precision that are at most the thresholds: they divide its numbers alike.

    Examples
    --------
    >>> float(rounded_down(np.array([0.1]), "float32")[0]) <= 0.1
    True
    """
    if dtype == "float64":
        return threshold
    near = threshold.astype(np.float32)
    down = np.where(near.astype(np.float64) > threshold, np.nextafter(near, np.float32(-np.inf)), near)
    return down.astype(np.float64)


def forest_of(f: Any, channels: int) -> Forest | None:
    """Return the trees of a fitted regressor; None if it is of another kind.

    Raises
    ------
    ArgumentError
        If it has a setting that is not written here.
    """
    kind = type(f)
    if kind in _ALONE:
        return _joined([_of_sklearn(f.tree_, 1.0)], np.zeros(channels), rounded=True)
    if kind in _AVERAGED:
        trees = [_of_sklearn(one.tree_, 1 / len(f.estimators_)) for one in f.estimators_]
        return _joined(trees, np.zeros(channels), rounded=True)
    if kind is GradientBoostingRegressor:
        start = _start_of(f)
        trees = [_of_sklearn(one.tree_, f.learning_rate) for one in f.estimators_[:, 0]]
        return _joined(trees, np.full(channels, start), rounded=True)
    if kind is HistGradientBoosting:
        return _of_histograms(f)
    # By name: LightGBM is looked for only where it was used.
    if kind.__name__ == "LGBMRegressor" and kind.__module__.startswith("lightgbm"):
        return _of_lightgbm(f)
    return None


def _joined(trees: Sequence[_Tree], start: Any, *, rounded: bool) -> Forest:
    counts = np.array([len(tree.feature) for tree in trees])
    roots = np.cumsum(counts) - counts
    moved = [tree._replace(left=tree.left + at, right=tree.right + at) for tree, at in zip(trees, roots, strict=True)]
    feature, threshold, left, right, value = (np.concatenate(part) for part in zip(*moved, strict=True))
    return Forest(feature, threshold, left, right, value, roots, np.asarray(start), rounded)


def _of_sklearn(tree: Any, factor: float) -> _Tree:
    leaf = tree.children_left < 0
    # Leaves lead to themselves.
    own = np.arange(len(leaf))
    left, right = (np.where(leaf, own, side) for side in (tree.children_left, tree.children_right))
    return _Tree(np.where(leaf, -1, tree.feature), tree.threshold, left, right, tree.value[:, :, 0] * factor)


def _start_of(f: Any) -> float:
    if isinstance(f.init_, str):
        return 0.0
    found = getattr(f.init_, "constant_", None)
    if found is None:
        raise ArgumentError(
            f"model=GradientBoostingRegressor(init={f.init!r}) cannot be exported: its trees stand on another "
            f"regressor. Fit with init=None or 'zero'."
        )
    return float(np.ravel(found)[0])


def _of_histograms(f: Any) -> Forest:
    if f.is_categorical_ is not None and np.any(f.is_categorical_):
        raise ArgumentError(
            "model=HistGradientBoostingRegressor(categorical_features=...) cannot be exported; fit without categories."
        )
    trees = []
    for (one,) in f._predictors:
        nodes, own = one.nodes, np.arange(len(one.nodes))
        leaf = nodes["is_leaf"].astype(bool)
        left, right = (np.where(leaf, own, nodes[side].astype(np.int64)) for side in ("left", "right"))
        feature = np.where(leaf, -1, nodes["feature_idx"].astype(np.int64))
        trees.append(_Tree(feature, nodes["num_threshold"].astype(np.float64), left, right, nodes["value"][:, None]))
    found = _joined(trees, np.ravel(f._baseline_prediction), rounded=False)
    return replace(found, exponential=f.loss in ("poisson", "gamma"))


def _of_lightgbm(f: Any) -> Forest:
    booster = f.booster_
    told = booster.dump_model()
    objective = str(told.get("objective", "")).split() or [""]
    if objective[0] not in (*_AS_IT_IS, *_EXPONENTIAL) or "sqrt" in objective:
        raise ArgumentError(
            f"model=LGBMRegressor with objective {' '.join(objective)!r} cannot be exported; fit with one of "
            f"{', '.join((*_AS_IT_IS, *_EXPONENTIAL))}, without reg_sqrt."
        )
    factor = 1 / len(told["tree_info"]) if told.get("average_output") else 1.0
    trees = [_of_dump(one["tree_structure"], factor) for one in told["tree_info"]]
    found = _joined(trees, np.zeros(1), rounded=False)
    return replace(found, exponential=objective[0] in _EXPONENTIAL)


def _of_dump(root: dict[str, Any], factor: float) -> _Tree:
    """Return a tree from LightGBM's own description of its root."""
    nodes: list[list[float]] = []
    todo: list[tuple[dict[str, Any], int, int]] = [(root, -1, 0)]
    while todo:
        node, parent, side = todo.pop()
        place = len(nodes)
        if parent >= 0:
            nodes[parent][side] = place
        if "leaf_value" in node:
            if node.get("leaf_coeff"):
                raise ArgumentError(
                    "model=LGBMRegressor(linear_tree=True) cannot be exported; fit without linear trees."
                )
            nodes.append([-1, 0.0, place, place, node["leaf_value"] * factor])
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            what = "zero_as_missing=True" if node["missing_type"] == "Zero" else "categorical features"
            raise ArgumentError(f"model=LGBMRegressor with {what} cannot be exported; fit without.")
        nodes.append([node["split_feature"], node["threshold"], place, place, 0.0])
        todo += [(node["right_child"], place, 3), (node["left_child"], place, 2)]
    table = np.array(nodes, dtype=np.float64)
    feature, left, right = (table[:, column].astype(np.int64) for column in (0, 2, 3))
    return _Tree(feature, table[:, 1], left, right, table[:, 4:])
