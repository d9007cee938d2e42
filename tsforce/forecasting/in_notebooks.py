"""What a notebook shows of an estimator: its parameters, and beside them what it has learnt."""

from __future__ import annotations

import inspect
from typing import Any

from sklearn import get_config

from tsforce.notebook import card, facts, folded, paragraphs, side_by_side, written

__all__ = ["InNotebooks"]


class InNotebooks:
    """The part of a forecaster or regressor that notebooks show, in place of scikit-learn's diagram.

    ``sklearn.set_config(display="text")`` turns it off.
    """

    @property
    def _repr_html_(self) -> Any:
        if get_config()["display"] != "diagram":
            raise AttributeError("_repr_html_ is there only if scikit-learn's option 'display' is 'diagram'.")
        return self._as_html

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        shown = {"text/plain": repr(self)}
        return shown | ({"text/html": self._as_html()} if get_config()["display"] == "diagram" else {})

    def _as_html(self) -> str:
        given, others = _parameters(self)
        learnt = {name: written(value) for name, value in _learnt(self)}
        left = facts("parameters", given) + folded("by default", facts("", others))
        right = facts("learnt", learnt) if learnt else paragraphs(["not fitted yet"])
        alias = getattr(self, "alias", None)
        title = type(self).__name__ + (f": {alias}" if alias else "")
        return card(title, side_by_side(left, right), *(self._shown_below() if learnt else ()))

    def _shown_below(self) -> tuple[str, ...]:
        """Return further pieces of HTML for a fitted estimator."""
        return ()


def _parameters(model: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parameters that differ from their defaults, and the others."""
    defaults = inspect.signature(type(model).__init__).parameters
    given: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in model.get_params(deep=False).items():
        default = defaults[name].default if name in defaults else inspect.Parameter.empty
        text = written(value)
        (others if default is not inspect.Parameter.empty and text == written(default) else given)[name] = text
    return given, others


def _learnt(model: Any) -> list[tuple[str, Any]]:
    own = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    own |= {
        name
        for name, value in inspect.getmembers_static(type(model))
        if name.endswith("_") and not name.startswith("_") and isinstance(value, property) and hasattr(model, name)
    }
    return [(name, getattr(model, name)) for name in sorted(own)]
