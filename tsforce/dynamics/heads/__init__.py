"""Heads, by name."""

from __future__ import annotations

from tsforce.dynamics.heads.base import Head
from tsforce.dynamics.heads.gaussian import Gaussian
from tsforce.dynamics.heads.negative_binomial import NegativeBinomial
from tsforce.dynamics.heads.quantised import Quantised
from tsforce.dynamics.heads.student_t import StudentT

__all__ = ["HEADS"]

HEADS: dict[str, Head] = {head.name: head for head in (Gaussian(), StudentT(), NegativeBinomial(), Quantised())}
