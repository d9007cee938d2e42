"""Arrays in the safetensors format, written and read piece by piece.

The format is eight bytes with the length of a header, the header, JSON with dtype, shape and place of each array by its
name, and then the arrays' bytes. It is written and read here and not by its library, which holds every array twice, and
stores arrays that are not contiguous in the wrong order without an error (0.8). Any reader of the format reads these
files; arrays that pack well stand in them as ``U8``, and ``__metadata__`` says how.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from tsforce.errors import PersistenceError
from tsforce.persistence.strict_json import parsed

__all__ = ["MOST_UNPACKED", "read_arrays", "write_arrays"]

#: Bytes in memory for each byte of a file, at most: what packs better than that is not packed.
MOST_UNPACKED = 1.95
_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
# Bytes that are read or packed at once, and of an array that is worth packing.
_PIECE, _WORTH_PACKING = 2**20, 512
_SAVED = 15 / 16
# As they stand, or the first bytes of all numbers, then the second ones: exponents are alike, and pack.
_WAYS = ("zlib", "planes")


class _Entry:
    """An array as it goes into a file: contiguous, and packed if that pays."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.newbyteorder("<") not in _NAMES:
            raise PersistenceError(f"arrays of dtype {array.dtype} cannot be saved.")
        self.array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
        self.packed, self.way = _packed(self.array)

    @property
    def size(self) -> int:
        return self.array.nbytes if self.packed is None else len(self.packed)


def _bytes_of(array: np.ndarray[Any, Any], way: str) -> np.ndarray[Any, Any]:
    """Return the bytes of a contiguous array in the order in which they are packed, a view if possible."""
    flat = array.reshape(-1).view(np.uint8)
    return flat if way == "zlib" else np.ascontiguousarray(flat.reshape(-1, array.itemsize).T).reshape(-1)


def _packed(array: np.ndarray[Any, Any]) -> tuple[bytes | None, str]:
    if array.nbytes < _WORTH_PACKING:
        return None, ""
    some = array.reshape(-1)[: _PIECE // array.itemsize]
    size, way = min((len(zlib.compress(_bytes_of(some, way).data)), way) for way in _WAYS)
    if size > _SAVED * some.nbytes:
        return None, ""
    packed = zlib.compress(_bytes_of(array, way).data)
    return (packed, way) if len(packed) <= _SAVED * array.nbytes else (None, "")


def write_arrays(file: IO[bytes], arrays: Mapping[str, np.ndarray[Any, Any]], beside: int = 0) -> None:
    """Write arrays of booleans and numbers to a file, in order.

    Parameters
    ----------
    file : binary file
    arrays : mapping of name -> array
    beside : int
        Bytes that stand in the file beside them, and are read as they are.
    """
    entries = {name: _Entry(array) for name, array in arrays.items()}
    whole = beside + sum(entry.array.nbytes for entry in entries.values())
    stored = beside + sum(entry.size for entry in entries.values())
    # Those that have the least to lose are stored as they are first.
    for entry in sorted(entries.values(), key=lambda entry: entry.array.nbytes - entry.size):
        if whole <= MOST_UNPACKED * stored:
            break
        stored += entry.array.nbytes - entry.size
        entry.packed = None
    header: dict[str, Any] = {}
    notes: dict[str, Any] = {}
    begin = 0
    for name, entry in entries.items():
        dtype, shape = _NAMES[entry.array.dtype], list(entry.array.shape)
        if entry.packed is not None:
            notes[name] = [dtype, shape, entry.way]
            dtype, shape = "U8", [entry.size]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + entry.size]}
        begin += entry.size
    # The format's metadata are texts.
    text = json.dumps({"__metadata__": {"packed": json.dumps(notes)}, **header}).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for entry in entries.values():
        file.write(entry.array.reshape(-1).view(np.uint8).data if entry.packed is None else entry.packed)


def read_arrays(file: IO[bytes], size: int, most: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a file by name.

    Parameters
    ----------
    file : binary file
    size : int
        Its bytes, all of which are read.
    most : int
        Bytes that the arrays may take in memory; told before any is allocated.

    Raises
    ------
    PersistenceError
        If the file is not what its header says, or asks for more memory.
    """
    if size < 8:
        raise PersistenceError("it is cut off.")
    (length,) = struct.unpack("<Q", _exactly(file, 8))
    if length > size - 8:
        raise PersistenceError(f"its header is said to have {length} bytes, and {size - 8} are there.")
    header = parsed(_exactly(file, length))
    if not isinstance(header, dict):
        raise PersistenceError("its header is no table.")
    metadata = header.pop("__metadata__", {})
    notes = parsed(metadata.get("packed", "{}").encode())
    plans, end = [], 0
    for name, entry in header.items():
        dtype, shape, (begin, stop) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if begin != end or stop < begin or _size_of(dtype, shape) != stop - begin:
            raise PersistenceError(f"array {name!r}: shape {shape} and place {begin}..{stop} do not fit.")
        plans.append((name, dtype, shape, stop - begin, notes.pop(name, None)))
        end = stop
    if end != size - 8 - length or notes:
        raise PersistenceError(f"its arrays take {end} bytes, and {size - 8 - length} are there.")
    unpacked = sum(stored if note is None else _size_of(_DTYPES[note[0]], note[1]) for _, _, _, stored, note in plans)
    if unpacked > most:
        raise PersistenceError(f"its arrays would take {unpacked} bytes; {most} at most go with a file of this size.")
    found = {}
    for name, dtype, shape, stored, note in plans:
        if note is None:
            array = np.empty(shape, dtype)
            _fill(array, _Plain(file, stored), "zlib")
        else:
            array = np.empty(note[1], _DTYPES[note[0]])
            if note[2] not in _WAYS:
                raise PersistenceError(f"array {name!r} is packed in an unknown way, {note[2]!r}.")
            _fill(array, _Inflated(file, stored), note[2])
        if array.dtype == np.bool_ and (array.view(np.uint8) > 1).any():
            raise PersistenceError(f"array {name!r}: a boolean is 0 or 1.")
        found[name] = array
    return found


def _size_of(dtype: str, shape: Any) -> int:
    if not isinstance(shape, list) or len(shape) > 16 or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise PersistenceError(f"{shape!r} is no shape.")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _exactly(file: IO[bytes], count: int) -> bytes:
    found = file.read(count)
    if len(found) != count:
        raise PersistenceError("it is cut off.")
    return found


class _Plain:
    """Bytes of a file as they stand."""

    def __init__(self, file: IO[bytes], stored: int) -> None:
        self.file = file
        self.left = stored

    def read(self, count: int) -> bytes:
        self.left -= count
        return _exactly(self.file, count)

    def end(self) -> bool:
        return self.left == 0


class _Inflated:
    """Bytes of a file unpacked, never more than are asked for."""

    def __init__(self, file: IO[bytes], stored: int) -> None:
        self.file, self.left = file, stored
        self.inflater, self.waiting = zlib.decompressobj(), b""

    def read(self, count: int) -> bytes:
        parts = []
        while count:
            if not self.waiting and self.left:
                take = min(self.left, _PIECE // 16)
                self.waiting, self.left = _exactly(self.file, take), self.left - take
            part = self.inflater.decompress(self.waiting, count)
            if not part and not self.inflater.unconsumed_tail and not self.left:
                raise PersistenceError("a packed array is cut off.")
            self.waiting = self.inflater.unconsumed_tail
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def end(self) -> bool:
        if not self.inflater.eof:
            # What is left is the checksum.
            self.waiting += _exactly(self.file, self.left)
            self.left = 0
            if self.inflater.decompress(self.waiting, 1):
                return False
        return self.inflater.eof and not self.left and not self.inflater.unused_data


def _fill(array: np.ndarray[Any, Any], source: _Plain | _Inflated, way: str) -> None:
    flat = array.reshape(-1).view(np.uint8)
    planes: Iterator[np.ndarray[Any, Any]] = iter((flat,) if way == "zlib" else flat.reshape(-1, array.itemsize).T)
    for plane in planes:
        for start in range(0, len(plane), _PIECE):
            part = plane[start : start + _PIECE]
            part[:] = np.frombuffer(source.read(len(part)), np.uint8)
    if not source.end():
        raise PersistenceError("a packed array holds more than is said.")
