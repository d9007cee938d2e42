"""Broken and made-up files: mutations of good ones, each from its number alone."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile

import numpy as np

from tsforce.persistence.container import _seal

_STRANGE = [
    None, True, -1, 0, 1, 7, 2**31, 2**62, 2**200, -(2**62), 0.5, 1e308, "", "x", "../x", "linear", [],
    [[]], {}, [0] * 5,
    {"float": "nan"}, {"float": "1"}, {"same": 0}, {"same": 99}, {"class": "narx.NARXForecaster", "state": {}},
    {"class": "builtins.eval", "state": {}}, {"class": "own.eval", "state": {}}, {"array": "x"},
    {"range": [0, 2**62, 1]},
    {"tuple": {"list": 3}}, {"dict": [1], "to": []}, {"method": "__init__", "of": None}, {"stamp": [2**63, "ns", "x"]},
    {"dtype": "O"}, {"objects": ["a"], "of": "U100000000", "shape": [1]}, {"torch": "cuda:9"}, {"booster": 0},
]  # fmt: skip


def members_of(good):
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(members, **given):
    """A file as whoever makes one up writes it: with the seal that goes with it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **given) as file:
        for name, data in members.items() if isinstance(members, dict) else members:
            file.writestr(zipfile.ZipInfo(name) if not given else name, data)
        file.comment = _seal(file.infolist())
    return out.getvalue()


def arrays_of(data):
    """The header of a safetensors file, and what follows."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def arrays_file(header, rest):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def places(node, path=()):
    """All nodes of a tree below its root."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in entries:
        yield (*path, key)
        yield from places(child, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _bytes(good, rng):
    """Bytes of the whole file: cut off, flipped, added, taken out, blanked."""
    place, kind = int(rng.integers(len(good))), int(rng.integers(5))
    if kind == 0:
        return good[:place]
    if kind == 1:
        return good[:place] + bytes([good[place] ^ (1 << int(rng.integers(8)))]) + good[place + 1 :]
    if kind == 2:
        return good[:place] + bytes(rng.integers(0, 256, 9, dtype=np.uint8)) + good[place:]
    if kind == 3:
        return good[:place] + good[place + 5 :]
    return good[:place] + bytes(64) + good[place + 64 :]


def _tree(good, rng):
    """A node of model.json: another value, gone, twice, or under another name."""
    members = members_of(good)
    tree = json.loads(members["model.json"])
    every = list(places(tree))
    path = every[int(rng.integers(len(every)))]
    parent, key, kind = at(tree, path[:-1]), path[-1], int(rng.integers(4))
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif kind == 1:
        parent[f"{key}_"] = parent.pop(key)
    elif kind == 2:
        other = every[int(rng.integers(len(every)))]
        parent[key] = copy.deepcopy(at(tree, other))
    else:
        parent[key] = _STRANGE[int(rng.integers(len(_STRANGE)))]
    return zipped(members | {"model.json": json.dumps(tree).encode()})


def _arrays(good, rng):
    """An array: another dtype, shape or place in its header, other numbers, those of another."""
    members = members_of(good)
    header, rest = arrays_of(members["arrays.safetensors"])
    names = [name for name in header if name != "__metadata__"]
    name, other = (names[int(rng.integers(len(names)))] for _ in range(2))
    entry, kind = header[name], int(rng.integers(7))
    begin, stop = entry["data_offsets"]
    if kind == 0:
        entry["dtype"] = ["F64", "F32", "I64", "U8", "BOOL", "F8", "I16"][int(rng.integers(7))]
    elif kind == 1:
        entry["shape"] = [[2**40], [-1], [], [1, *entry["shape"]], entry["shape"][::-1], [0], ["3"]][
            int(rng.integers(7))
        ]
    elif kind == 2:
        entry["data_offsets"] = [[0, 2**50], [begin, begin], [stop, begin], [begin + 8, stop + 8]][int(rng.integers(4))]
    elif kind == 3:
        header[name], header[other] = header[other], header[name]
    elif kind == 4:
        rest = rest[:begin] + np.full((stop - begin) // 8, np.nan).tobytes() + rest[begin + (stop - begin) // 8 * 8 :]
    elif kind == 5:
        rest = rest[: -int(rng.integers(1, 99))] if rng.integers(2) else rest + b"more"
    else:
        header["__metadata__"] = {"packed": json.dumps({name: ["F64", [2**45], "zlib"]})}
    return zipped(members | {"arrays.safetensors": arrays_file(header, rest)})


def _members(good, rng):
    """Members: gone, twice, packed, under the names of others, more of them."""
    members = members_of(good)
    names, kind = list(members), int(rng.integers(6))
    name = names[int(rng.integers(len(names)))]
    if kind == 0:
        return zipped({key: data for key, data in members.items() if key != name})
    if kind == 1:
        return zipped(members, compression=zipfile.ZIP_DEFLATED)
    if kind == 2:
        return zipped(members | {"../evil": b"x"})
    if kind == 3:
        return zipped({(f"/{key}" if key == name else key): data for key, data in members.items()})
    if kind == 4:
        return zipped(members | {name: members[names[int(rng.integers(len(names)))]]})
    deep = [b"[" * 10**5, b'{"format": 1, "format": 1}', b'{"format": NaN}', b"\xff", b'{"format": 2}', b"9" * 5000]
    return zipped(members | {"model.json": deep[int(rng.integers(len(deep)))]})


_WAYS = (_bytes, _tree, _tree, _tree, _arrays, _members)


def mutated(good, number, *, sealed):
    """Mutation `number` of a good file; with the seal that goes with it, or the one that was there."""
    made = _WAYS[number % len(_WAYS)](good, np.random.default_rng(number))
    if not sealed and zipfile.is_zipfile(io.BytesIO(made)):
        with zipfile.ZipFile(io.BytesIO(good)) as file:
            seal = file.comment
        made = made[: -len(seal)] + seal if made[-len(seal) - 2 : -len(seal)] == struct.pack("<H", len(seal)) else made
    return made
