"""Numbers, arrays and lines of C99."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Real", "integers"]

_WIDTH = 110


@dataclass(frozen=True)
class Real:
    """How C writes a floating-point number, and calls functions of it.

    Attributes
    ----------
    dtype : "float64" or "float32"
    """

    dtype: str

    @property
    def type(self) -> str:
        """The type's name."""
        return "double" if self.dtype == "float64" else "float"

    def number(self, value: float) -> str:
        """Return a literal that reads back as the value.

        Examples
        --------
        >>> Real("float64").number(0.1), Real("float32").number(2)
        ('0.1', '2.0f')
        """
        value = float(value) if self.dtype == "float64" else float(np.float32(value))
        if math.isnan(value):
            return "(real)NAN"
        if math.isinf(value):
            return "(real)INFINITY" if value > 0 else "-(real)INFINITY"
        text = repr(value) if self.dtype == "float64" else format(value, ".9g")
        if not any(sign in text for sign in ".e"):
            text += ".0"
        return text if self.dtype == "float64" else text + "f"

    def array(self, name: str, values: Any) -> list[str]:
        """Return the definition of a constant array, row after row."""
        flat = np.ravel(np.asarray(values, dtype=np.float64))
        return _array("real", name, len(flat), map(self.number, flat))

    def functions(self, text: str) -> str:
        """Return C text in which ``exp_``, ``log_`` and so on are those of this type, and ``@1.5`` numbers of it."""
        suffix = "" if self.dtype == "float64" else "f"
        for name in ("exp", "expm1", "log", "tanh", "sqrt", "fabs", "fmin", "fmax", "rint"):
            text = text.replace(f"{name}_(", f"{name}{suffix}(")
        parts = text.split("@")
        return parts[0] + "".join(self._literal(part) for part in parts[1:])

    def _literal(self, part: str) -> str:
        end = next((i for i, sign in enumerate(part) if not (sign.isdigit() or sign in ".e-")), len(part))
        return self.number(float(part[:end])) + part[end:]


def integers(name: str, values: Iterable[int]) -> list[str]:
    """Return the definition of a constant array of whole numbers."""
    listed = [str(int(value)) for value in values]
    return _array("int", name, len(listed), listed)


def _array(kind: str, name: str, size: int, items: Iterable[str]) -> list[str]:
    items = list(items)
    alone = f"static const {kind} {name}[{size}] = {{{', '.join(items)}}};"
    if len(alone) <= _WIDTH:
        return [alone]
    lines, line = [f"static const {kind} {name}[{size}] = {{"], "   "
    for item in items:
        if len(line) + len(item) > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return [*lines, line, "};"]
