"""A small writer of ONNX graphs: operators are called, and give back the names of what they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tsforce.errors import MissingExtraError

__all__ = ["OPSET", "Graph", "onnx_module", "runner"]

OPSET, _IR = 18, 10


def onnx_module() -> Any:
    """Return the package onnx.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("ONNX needs the package onnx: pip install 'tsforce[onnx]'.") from None
    return onnx


class Graph:
    """Nodes, constants and inputs of a graph that is being written.

    Parameters
    ----------
    dtype : "float64" or "float32"
    """

    def __init__(self, dtype: str) -> None:
        self.onnx = onnx_module()
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: dict[tuple[Any, ...], Any] = {}
        self.inputs: list[Any] = []
        self.domains: dict[str, int] = {}

    def __call__(self, operator: str, *given: Any, **attributes: Any) -> str:
        """Return the name of an operator's result; numbers and arrays among what it is given become constants."""
        names = [one if isinstance(one, str) else self.constant(one) for one in given]
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, names, [output], **attributes))
        return output

    def of_domain(self, domain: str, version: int, operator: str, *given: str, **attributes: Any) -> str:
        """Return the name of the result of an operator that stands in a domain of its own."""
        self.domains[domain] = version
        return self(operator, *given, domain=domain, **attributes)

    def inlined(self, model: Any, given: dict[str, str]) -> str:
        """Return the name of the first output of another model, whose nodes become some of this graph."""
        self.domains |= {one.domain: one.version for one in model.opset_import if one.domain}
        prefix, inner = f"inner_{len(self.nodes)}_", model.graph
        names = {**given, "": ""}

        def named(name: str) -> str:
            return names.setdefault(name, prefix + name)

        for constant in inner.initializer:
            copy = self.onnx.TensorProto()
            copy.CopyFrom(constant)
            copy.name = named(constant.name)
            self.constants[copy.name,] = copy
        for node in inner.node:
            copy = self.onnx.NodeProto()
            copy.CopyFrom(node)
            for part, own in ((copy.input, node.input), (copy.output, node.output)):
                part[:] = [named(name) for name in own]
            copy.name = prefix + node.name
            self.nodes.append(copy)
        return named(inner.output[0].name)

    def constant(self, value: Any) -> str:
        """Return the name of a constant: whole numbers are int64, others of the graph's precision."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else self.dtype)
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.onnx.numpy_helper.from_array(
                np.ascontiguousarray(array), f"c{len(self.constants)}"
            )
        name: str = self.constants[key].name
        return name

    def input(self, name: str, *shape: int | str) -> str:
        """Return the name of an input of some shape behind the axis of the batch; names stand for any number."""
        self.inputs.append(self._value(name, shape))
        return name

    def cut(self, value: str, first: int, stop: int, axis: int = 1) -> str:
        """Return a part of an axis; negative places count from its end."""
        return self("Slice", value, np.array([first]), np.array([stop]), np.array([axis]))

    def pick(self, value: str, places: Sequence[int], axis: int = 1) -> str:
        """Return some places of an axis."""
        return self("Gather", value, np.array(places, dtype=np.int64), axis=axis)

    def over_rows(self, operator: str, value: str) -> str:
        """Return a reduction over the rows of (B, rows, C), (B, 1, C)."""
        return self(operator, value, np.array([1]))

    def ordered(self, value: str, count: int) -> str:
        """Return the rows of (B, count, C) from the smallest to the largest."""
        name = f"sorted_{len(self.nodes)}"
        given = [value, self.constant(np.array([count]))]
        made = self.onnx.helper.make_node("TopK", given, [name, f"{name}_places"], axis=1, largest=0, sorted=1)
        self.nodes.append(made)
        return name

    def flat(self, value: str, size: int) -> str:
        """Return (B, ...) as (B, size)."""
        return self("Reshape", value, np.array([-1, size]))

    def repeated(self, value: Any, like: str) -> str:
        """Return a row of numbers for every member of a batch, (B, n)."""
        row = np.atleast_2d(np.asarray(value, dtype=np.float64))
        count = self.cut(self("Shape", like), 0, 1, axis=0)
        return self("Expand", row, self("Concat", count, np.array([row.shape[1]]), axis=0))

    def finished(self, outputs: dict[str, tuple[str, tuple[int, ...]]], name: str, words: str) -> Any:
        """Return the checked model; outputs are (what makes them, shape behind the axis of the batch) by name."""
        helper = self.onnx.helper
        named = [helper.make_node("Identity", [made], [output]) for output, (made, _) in outputs.items()]
        values = [self._value(output, shape) for output, (_, shape) in outputs.items()]
        graph = helper.make_graph([*self.nodes, *named], name, self.inputs, values, list(self.constants.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid(*one) for one in {"": OPSET, **self.domains}.items()],
            ir_version=_IR, producer_name="tsforce", doc_string=words,
        )  # fmt: skip
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def _value(self, name: str, shape: Sequence[int | str]) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, ["batch", *shape])


def runner(model: Any) -> Callable[[dict[str, Any]], list[Any]]:
    """Return what runs a graph: onnxruntime, where it is installed, else onnx's own reference."""
    try:
        from onnxruntime import InferenceSession
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        reference = ReferenceEvaluator(model)
        return lambda given: list(reference.run(None, {k: v for k, v in given.items() if k in reference.input_names}))
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = {one.name for one in session.get_inputs()}
    return lambda given: list(session.run(None, {k: v for k, v in given.items() if k in names}))
