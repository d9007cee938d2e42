"""A device that is none: its tensors lie on the CPU, and whoever mixes the two, or reads one as numpy, is told.

Without a GPU this shows that nothing is left behind on the CPU that belongs on the device.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

# torch knows it, guards it, and has nothing on it that could be mistaken for work.
PRETENDED = torch.device("meta")


class There(torch.Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, here):
        return torch.Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            device=PRETENDED, requires_grad=False,
        )  # fmt: skip

    def __init__(self, here):
        self.here = here

    def __repr__(self):
        return f"There({self.here!r})"

    def tolist(self):
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """Tensors of numbers, which torch makes without telling the mode above."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        given = dict(kwargs or {})
        if func is torch.Tensor.conj:
            # A mark on a tensor that would be on the wrapper alone.
            return torch.conj_physical(*args)
        if func is torch.Tensor.new_tensor:
            found = torch.tensor(*args[1:], **{"dtype": args[0].dtype, **given})
            return There(found) if isinstance(args[0], There) else found
        if func not in (torch.tensor, torch.as_tensor) or given.get("device") is None:
            return func(*args, **given)
        there = torch.device(given.pop("device")) == PRETENDED
        found = func(*args, **given)
        return There(found) if there and not isinstance(found, There) else found


@contextmanager
def pretending():
    """Let tensors be made on the device."""
    # A wrapper keeps count of its versions, which tensors of inference mode have none of.
    with patch("torch.inference_mode", torch.no_grad), _Numbers(), _Operations():
        yield


def run(func, args, kwargs):
    """Run an operation on the CPU, as the device would."""
    flat, _ = tree_flatten((args, kwargs))
    tensors = [one for one in flat if isinstance(one, torch.Tensor)]
    there = [one for one in tensors if isinstance(one, There)]
    here = [one for one in tensors if not isinstance(one, There)]
    copies = func in (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
    # A number without axes goes with any device; so does an index, which a device takes from the CPU.
    indices = "index" in func.name() and all(not one.is_floating_point() for one in here)
    if there and any(one.dim() for one in here) and not copies and not indices:
        shapes = [(type(one).__name__, tuple(one.shape), one.dtype) for one in tensors]
        raise RuntimeError(f"{func.name()} was given tensors of two devices: {shapes}")
    asked = kwargs.get("device")
    to_there = bool(there) if asked is None else torch.device(asked) == PRETENDED
    kwargs = {name: torch.device("cpu") if name == "device" and value is not None else value
              for name, value in kwargs.items()}  # fmt: skip
    plain = tree_map_only(There, lambda one: one.here, (args, kwargs))
    found = func(*plain[0], **plain[1])
    if func._schema.is_mutable:
        # In place: what was given is what comes out.
        return args[0] if "out" not in kwargs else kwargs["out"]
    return tree_map_only(torch.Tensor, There, found) if to_there else found
