"""Regressors in an ONNX graph: trees as TreeEnsemble, others through skl2onnx."""

from __future__ import annotations

import numpy as np

from tsforce.errors import ArgumentError, MissingExtraError
from tsforce.export.onnx_graph import OPSET, Graph, runner
from tsforce.export.regressors import WRITTEN, Converted
from tsforce.export.trees import Forest, rounded_down

__all__ = ["converted", "trees"]

# TreeEnsemble came with version 5; converters write versions up to 3.
_TREES, _CONVERTED = 5, 3


def trees(graph: Graph, x: str, forest: Forest) -> str:
    """Return the output (B, C) of a forest for x (B, D)."""
    helper, dtype = graph.onnx.helper, graph.dtype
    parts: dict[str, list[int]] = {name: [] for name in ("at", "left", "right", "left_leaf", "right_leaf", "roots")}
    weights: list[float] = []
    targets: list[int] = []
    inner, leaves = np.flatnonzero(forest.feature >= 0), np.flatnonzero(forest.feature < 0)
    stumps = forest.roots[forest.feature[forest.roots] < 0]
    nodes = np.concatenate([inner, stumps])
    # A leaf of the operator adds to one output.
    for channel in range(len(forest.start)):
        node_number, leaf_number = (np.full(len(forest.feature), -1) for _ in range(2))
        node_number[nodes] = np.arange(len(nodes)) + len(parts["at"])
        leaf_number[leaves] = np.arange(len(leaves)) + len(weights)
        for side, own in (("left", forest.left[nodes]), ("right", forest.right[nodes])):
            leaf = forest.feature[own] < 0
            parts[side] += np.where(leaf, leaf_number[own], node_number[own]).tolist()
            parts[f"{side}_leaf"] += leaf.astype(int).tolist()
        parts["at"] += nodes.tolist()
        parts["roots"] += node_number[forest.roots].tolist()
        weights += forest.value[leaves, channel].tolist()
        targets += [channel] * len(leaves)
    at = np.array(parts["at"])
    tensor = graph.onnx.numpy_helper.from_array
    splits = rounded_down(forest.threshold[at], dtype.name).astype(dtype)
    if forest.rounded and dtype == np.float64:
        kinds = (helper.np_dtype_to_tensor_dtype(np.dtype(one)) for one in ("float32", "float64"))
        for kind in kinds:
            x = graph("Cast", x, to=kind)
    z = graph.of_domain(
        "ai.onnx.ml", _TREES, "TreeEnsemble", x,
        n_targets=len(forest.start), aggregate_function=1, post_transform=0,
        nodes_featureids=np.maximum(forest.feature[at], 0).tolist(), nodes_splits=tensor(splits),
        nodes_modes=tensor(np.zeros(len(at), dtype=np.uint8)),
        nodes_truenodeids=parts["left"], nodes_falsenodeids=parts["right"],
        nodes_trueleafs=parts["left_leaf"], nodes_falseleafs=parts["right_leaf"], tree_roots=parts["roots"],
        leaf_targetids=targets, leaf_weights=tensor(np.array(weights, dtype=dtype)),
    )  # fmt: skip
    z = graph("Add", z, forest.start)
    return graph("Exp", z) if forest.exponential else z


def converted(graph: Graph, x: str, model: Converted, group: int) -> str:
    """Return the output (B, C) of what skl2onnx makes of a regressor, for x (B, D).

    Raises
    ------
    ArgumentError
        If it makes nothing of it.
    MissingExtraError
    """
    f, channels = model.fitted[group], len(model.layout.channels)
    name = type(f).__name__
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    except ImportError:
        raise MissingExtraError(
            f"model={name}(...) needs the package skl2onnx: pip install 'tsforce[onnx]'. Without it {WRITTEN} can be "
            f"exported."
        ) from None
    kind = DoubleTensorType if graph.dtype == np.float64 else FloatTensorType
    try:
        width = f.n_features_in_
        made = to_onnx(
            f, initial_types=[("x", kind([None, width]))], target_opset={"": OPSET, "ai.onnx.ml": _CONVERTED}
        )
        graph.onnx.checker.check_model(made, full_check=True)
        runner(made)({"x": np.zeros((1, width), dtype=graph.dtype)})
    except Exception as error:
        # Errors are of many kinds: for what the converter does not know, and where what it makes does not run.
        ways = "" if graph.dtype == np.float32 else "Try dtype='float32', or fit"
        raise ArgumentError(
            f"model={name}(...) cannot be exported in {graph.dtype}: skl2onnx does not convert it to a graph that runs "
            f"({str(error)[:200]}). {ways or 'Fit'} one of {WRITTEN}."
        ) from error
    z = graph.inlined(made, {"x": x})
    z = graph("Cast", z, to=graph.onnx.helper.np_dtype_to_tensor_dtype(graph.dtype))
    return graph("Reshape", z, np.array([-1, channels]))
