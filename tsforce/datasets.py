"""Public door to the data sets: ``load`` for packaged series, ``load_competition`` for M3 and M4."""

from tsforce.data.datasets import Competition, load, load_competition

__all__ = ["Competition", "load", "load_competition"]
