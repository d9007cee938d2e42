"""Parts of other libraries: scikit-learn's estimators through skops, LightGBM's trees as its own text.

Neither runs code. skops makes objects of types that it knows, and of those that are named as trusted; what of a file it
would have to be trusted for is looked up before anything is made.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsforce.errors import MissingExtraError, PersistenceError
from tsforce.persistence.plain_zip import checked_members

__all__ = ["booster_from", "booster_text", "is_booster", "is_regressor", "regressors_from", "regressors_of"]


_END = "end of trees\n"
_BRANCHES = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_HEAD = frozenset(
    ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names",
     "feature_infos", "tree_sizes")
)  # fmt: skip
_TREE = frozenset(
    (*_BRANCHES, "num_leaves", "num_cat", "split_gain", "leaf_value", "leaf_weight", "leaf_count", "internal_value",
     "internal_weight", "internal_count", "is_linear", "shrinkage")
)  # fmt: skip


def is_regressor(value: Any) -> bool:
    """Return whether a value is an estimator that is none of tsforce's."""
    fits = all(callable(getattr(value, name, None)) for name in ("fit", "get_params"))
    return fits and not isinstance(value, type) and not hasattr(value, "predict_at")


def is_booster(value: Any) -> bool:
    """Return whether a value is what LightGBM has learnt."""
    kind = type(value)
    return kind.__name__ == "Booster" and kind.__module__.split(".")[0] == "lightgbm"


# ---- scikit-learn


def _skops() -> Any:
    try:
        import skops.io
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "models made of scikit-learn regressors are saved and loaded through skops: pip install 'tsforce[save]'."
        ) from error
    return skops.io


def regressors_of(regressors: Sequence[Any]) -> bytes:
    """Return the file of some estimators.

    Raises
    ------
    MissingExtraError
        Without skops.
    PersistenceError
        If one holds what skops does not save as plain arrays and JSON.
    """
    sio = _skops()
    try:
        data: bytes = sio.dumps(list(regressors))
    except Exception as error:
        raise PersistenceError(f"skops cannot save these regressors: {error}") from error
    _check_arrays(data)
    return data


def regressors_from(data: bytes, trusted: Sequence[str] | None) -> list[Any]:
    """Return the estimators of a file.

    Parameters
    ----------
    data : bytes
    trusted : sequence of str or None
        Types beyond those that skops makes of any file; None: all that are in it, for a file of one's own making.

    Raises
    ------
    PersistenceError
        If a type is not trusted: says which, and what to type.
    """
    sio = _skops()
    _check_arrays(data)
    unknown = sorted(sio.get_untrusted_types(data=data))
    if trusted is not None and not set(unknown) <= set(trusted):
        names = ", ".join(map(repr, unknown))
        raise PersistenceError(
            f"it holds objects of types that are not loaded from just any file: {names}. If you know where it comes "
            f"from, say so: tsforce.load(path, trusted=[{names}])."
        )
    with warnings.catch_warnings():
        # Which version an estimator is of stands in the file; its forecasts are looked at.
        warnings.simplefilter("ignore")
        found = sio.loads(data, trusted=unknown)
    if not isinstance(found, list):
        raise PersistenceError("it holds no list of regressors.")
    return found


def _check_arrays(data: bytes) -> None:
    """Raise unless a file of skops holds plain arrays of the sizes that they say, and JSON."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for member in checked_members(file, len(data)):
            if member.filename.endswith(".npy"):
                with file.open(member) as part:
                    _check_npy(part, member)
            elif member.filename != "schema.json":
                raise PersistenceError(f"it holds {member.filename!r}, which is no plain array (sparse matrices?).")


def _check_npy(part: Any, member: zipfile.ZipInfo) -> None:
    reads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = reads[np.lib.format.read_magic(part)](part)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != member.file_size - part.tell():
        raise PersistenceError(f"{member.filename!r} does not hold the array that it says.")


# ---- LightGBM


def booster_text(booster: Any) -> bytes:
    """Return LightGBM's own text of what it has learnt: its trees, and what it needs to follow them."""
    text: str = booster.model_to_string()
    return (text.partition(_END)[0] + _END).encode()


def booster_from(data: bytes) -> Any:
    """Return what LightGBM has learnt from its text.

    Raises
    ------
    PersistenceError
        If the text is not one of trees that end: LightGBM itself follows whatever a text says.
    """
    try:
        import lightgbm
    except ModuleNotFoundError as error:
        raise MissingExtraError("this model holds trees of LightGBM: pip install 'tsforce[lightgbm]'.") from error
    text = data.decode("ascii")
    head, *trees = re.split(r"^Tree=\d+\n", text, flags=re.M)
    if re.search(r"^(num_cat|is_linear)=(?!0$)", text, flags=re.M):
        raise PersistenceError(
            "trees of LightGBM with linear leaves, and with categories, are neither saved nor loaded; fit with "
            "linear_tree=False."
        )
    # Random forests are means of trees; the line says nothing else.
    values = _pairs(head.removeprefix("tree\n").replace("average_output\n", "", 1), _HEAD)
    columns = int(values["max_feature_idx"]) + 1
    if not text.startswith("tree\n") or text.count(_END) != 1 or not text.endswith(_END):
        raise PersistenceError("it is no text of LightGBM's.")
    if values["num_class"] != "1" or values["num_tree_per_iteration"] != "1":
        raise PersistenceError("trees of several classes are not read from a file.")
    if any(len(values[name].split()) != columns for name in ("feature_names", "feature_infos")):
        raise PersistenceError("the names of its columns are not as many as its columns.")
    for tree in trees:
        _check_tree(_pairs(tree.removesuffix(_END), _TREE), columns)
    # Where the sizes of trees are said, LightGBM jumps there; else it reads one after another.
    return lightgbm.Booster(model_str=re.sub(r"^tree_sizes=.*\n", "", text, flags=re.M) + "\n")


def _pairs(text: str, known: frozenset[str]) -> dict[str, str]:
    """Return what lines of name=value say, each name once and known."""
    lines = [line.split("=", 1) for line in text.split("\n") if line]
    found = {name: value for name, *rest in lines for value in rest}
    if len(found) < len(lines) or not set(found) <= known or re.search(r"[^\x20-\x7e\n]", text):
        raise PersistenceError("it holds lines that LightGBM does not write.")
    return found


def _check_tree(tree: dict[str, str], n_columns: int) -> None:
    leaves = int(tree["num_leaves"])
    if tree["num_cat"] != "0" or tree["is_linear"] != "0":
        raise PersistenceError("a tree says nothing of categories, or of linear leaves.")
    if leaves < 1 or len(tree["leaf_value"].split()) != leaves:
        raise PersistenceError("a tree has not the leaves that it says.")
    if leaves == 1:
        return
    parts = {name: tree[name].split() for name in _BRANCHES}
    for name in ("threshold", "leaf_value"):
        [float(value) for value in tree[name].split()]
    columns, ways = ([int(value) for value in parts[name]] for name in ("split_feature", "decision_type"))
    # Bit 0 of a way is that of categories.
    sound = all(0 <= column < n_columns for column in columns) and all(way in range(0, 16, 2) for way in ways)
    if not sound or {len(part) for part in parts.values()} != {leaves - 1}:
        raise PersistenceError("a tree has not the branches that it says.")
    # Every node but the first is the child of one before it: no way leads back up.
    children = [int(value) for name in ("left_child", "right_child") for value in parts[name]]
    parents = 2 * list(range(leaves - 1))
    below = all(child < 0 or child > parent for child, parent in zip(children, parents, strict=True))
    if not below or sorted(children) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise PersistenceError("the branches of a tree lead nowhere, or back.")
