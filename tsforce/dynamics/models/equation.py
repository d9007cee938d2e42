"""What a linear map or a polynomial says, as text: in model units, or multiplied out in those of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from tsforce.dynamics.lags import LagLayout
from tsforce.errors import ArgumentError

__all__ = ["Factor", "Terms", "equation", "expand", "is_sum"]

# A variable, and how many steps before the one to be predicted it is read; None where that does not change.
Factor = tuple[str, int | None]
# From factors, sorted, repeats allowed, to a coefficient; the empty product is the constant.
Terms = dict[tuple[Factor, ...], float]

# A sum that is no more than this share of its largest part is what rounding leaves of none.
_ROUNDING = 1e-12
# Significant digits at least and at most; how far, in units of an output's scale, what is written may be from the model
# on its own outputs; where variables may lie, in scales around their means; and the steps over which errors add up.
_FEWEST, _MOST = 4, 17
_APART, _AROUND, _STEPS = 1e-3, 2.0, 1000


def _variables(layout: LagLayout) -> list[Factor]:
    """Return what each column of a lag vector is, in their order."""
    exog = [(name, lag) for name, lags in (*layout.past_exog, *layout.future_exog) for lag in reversed(lags)]
    return [
        *((channel, lag) for lag in reversed(layout.lags) for channel in layout.channels),
        *((name, None) for feature in layout.features for name in feature.names),
        *exog,
        *((name, None) for name in (*layout.static, *layout.calendar, *layout.blocks["steps"])),
    ]


def _order(factor: Factor) -> tuple[str, bool, int]:
    """Return what factors are sorted by: older ones first."""
    name, lag = factor
    return name, lag is None, -(lag or 0)


def is_sum(model: Any) -> bool:
    """Return whether a model is a linear map or a polynomial, which can be written down."""
    return all(hasattr(model, name) for name in ("layout", "weight", "bias"))


def expand(
    model: Any,
    means: Mapping[str, float] | None = None,
    scales: Mapping[str, float] | None = None,
    *,
    group: int = 0,
) -> list[Terms]:
    """Return the coefficients of each output, equal products merged; 0 where that leaves but rounding.

    Parameters
    ----------
    model : Linear or Polynomial
        Reads ``(value - mean) / scale`` of each variable, and answers in the same units.
    means, scales : mapping of name -> float, optional
        Of targets (by channel) and inputs; 0 and 1 where a variable is not named. With them the coefficients are those
        of the original units: products of shifted variables are multiplied out.
    group : int
        Which of G models.

    Returns
    -------
    C dicts of factors -> coefficient
        A factor is a variable and its lag; ``()`` is the constant.

    Raises
    ------
    ArgumentError
        If the model is neither.

    Examples
    --------
    >>> import torch
    >>> from tsforce.dynamics.models.linear import Linear
    >>> model = Linear(LagLayout((1,)), torch.tensor([[[0.5]]]), torch.tensor([[0.0]]))
    >>> expand(model, {"y": 10.0}, {"y": 2.0})
    [{(): 5.0, (('y', 1),): 0.5}]
    """
    if not is_sum(model):
        raise ArgumentError(
            f"model={type(model).__name__}: expected a linear map or a polynomial, which are sums that can be written "
            f"down. Use model='linear' or model='polynomial'."
        )
    layout: LagLayout = model.layout
    means, scales = means or {}, scales or {}
    variables, columns = _variables(layout), len(layout.columns)
    indices, weight, bias = _sums(model, group)
    parts: list[dict[tuple[Factor, ...], list[float]]] = [{(): [value]} for value in bias]
    for term, own in zip(indices, weight, strict=True):
        if columns + 1 in term:
            continue
        product: Terms = {(): 1.0}
        for column in term:
            if column == columns:
                continue
            factor = variables[column]
            mean, scale = float(means.get(factor[0], 0.0)), float(scales.get(factor[0], 1.0))
            longer: Terms = {}
            for factors, value in product.items():
                more = tuple(sorted((*factors, factor), key=_order))
                longer[more] = longer.get(more, 0.0) + value / scale
                if mean:
                    longer[factors] = longer.get(factors, 0.0) - value * mean / scale
            product = longer
        for terms, coefficient in zip(parts, own, strict=True):
            for factors, value in product.items():
                terms.setdefault(factors, []).append(coefficient * value)
    found: list[Terms] = []
    for channel, terms in zip(layout.channels, parts, strict=True):
        scale = float(scales.get(channel, 1.0))
        terms[()].append(float(means.get(channel, 0.0)) / scale)
        found.append({factors: scale * _sum(values) for factors, values in terms.items()})
    return found


def _sums(model: Any, group: int) -> tuple[list[list[int]], list[list[float]], list[float]]:
    """Return the columns whose product each term is, its weight for each channel, and the constants.

    Weights of a group of steps are those of products with its indicator.
    """
    columns, steps = len(model.layout.columns), model.layout.n_step_groups
    indices = model.indices[group].tolist() if hasattr(model, "indices") else [[d] for d in range(columns)]
    weight, bias = (part[group].unflatten(-1, (steps, -1)) for part in (model.weight, model.bias))
    if steps == 1:
        return indices, weight[:, 0].tolist(), bias[0].tolist()
    own = list(range(columns - steps, columns))
    terms = [[*term, last] for term in [*indices, []] for last in own]
    return terms, torch.cat([weight, bias[None]]).flatten(end_dim=1).tolist(), [0.0] * bias.shape[1]


def _sum(values: list[float]) -> float:
    """Return the sum; 0 where it is what rounding leaves of that."""
    total = math.fsum(values)
    return total if abs(total) > _ROUNDING * max(map(abs, values)) else 0.0


def equation(
    model: Any,
    means: Mapping[str, float] | None = None,
    scales: Mapping[str, float] | None = None,
    names: Mapping[str, str] | None = None,
    *,
    group: int = 0,
    digits: int | None = None,
) -> str:
    """Return the outputs of a linear map or a polynomial as text, a line each.

    Parameters
    ----------
    model, means, scales, group
        As in `expand`: model units without means and scales, original units with them.
    names : mapping of name -> str, optional
        How variables are called; by their own names otherwise.
    digits : int, optional
        Significant digits of coefficients. By default 4, or as many more as the text needs to be the model: fed its own
        outputs, it is to stay within a thousandth of each output's scale of what the model says, wherever variables lie
        within two scales of their means. (To first order, errors of a step are carried on by the linear part there.)

    Raises
    ------
    ArgumentError
        If the model is neither.

    Examples
    --------
    >>> import torch
    >>> from tsforce.dynamics.models.linear import Linear
    >>> layout = LagLayout((1,), future_exog=(("u", (0,)),))
    >>> model = Linear(layout, torch.tensor([[[0.5], [-2.0]]]), torch.tensor([[0.0]]))
    >>> print(equation(model, {"y": 10.0, "u": 3.0}, names={"y": "level"}))
    level(t) = 0.5 level(t-1) - 2 u(t) + 11
    """
    names, outputs = names or {}, expand(model, means, scales, group=group)
    if digits is None:
        digits = _enough_digits(model.layout, outputs, means or {}, scales or {})

    def written(factor: Factor) -> str:
        name, lag = factor
        called = names.get(name, name)
        return called if lag is None else f"{called}(t-{lag})" if lag else f"{called}(t)"

    lines = []
    for channel, terms in zip(model.layout.channels, outputs, strict=True):
        parts = []
        for factors, value in (*((f, v) for f, v in terms.items() if f), ((), terms[()])):
            if value == 0:
                continue
            powers: dict[Factor, int] = {}
            for factor in factors:
                powers[factor] = powers.get(factor, 0) + 1
            size = f"{abs(value):.{digits}g}"
            shown = [written(factor) + (f"^{power}" if power > 1 else "") for factor, power in powers.items()]
            parts.append(("-" if value < 0 else "+", " ".join(shown if shown and size == "1" else [size, *shown])))
        text = " ".join(f"{sign} {part}" for sign, part in parts) or "+ 0"
        lines.append(f"{written((channel, 0))} = {text[2:] if text[0] == '+' else '-' + text[2:]}")
    return "\n".join(lines)


def _enough_digits(
    layout: LagLayout, outputs: list[Terms], means: Mapping[str, float], scales: Mapping[str, float]
) -> int:
    """Return with how many digits of its coefficients a model stays itself; see `equation`."""

    def size(factor: Factor) -> float:
        return abs(means.get(factor[0], 0.0)) + _AROUND * abs(scales.get(factor[0], 1.0))

    # What an error of one output at one step comes to, added up over the steps that follow: through the linear part.
    place = {channel: c for c, channel in enumerate(layout.channels)}
    by_lag = torch.zeros(layout.reach, len(place), len(place), dtype=torch.float64)
    for c, terms in enumerate(outputs):
        for factors, value in terms.items():
            for i, (name, lag) in enumerate(factors):
                if name in place and lag:
                    others = [means.get(other, 0.0) for other, _ in (*factors[:i], *factors[i + 1 :])]
                    by_lag[lag - 1, c, place[name]] += value * math.prod(others)
    answers = torch.zeros(layout.reach + _STEPS, len(place), len(place), dtype=torch.float64)
    answers[layout.reach - 1] = torch.eye(len(place), dtype=torch.float64)
    newest_last = by_lag.flip(0)
    for t in range(layout.reach, len(answers)):
        answers[t] = torch.einsum("lij,ljk->ik", newest_last, answers[t - layout.reach : t])
    gain = answers.abs().sum(dim=0)
    for digits in range(_FEWEST, _MOST):
        errors = torch.tensor(
            [
                sum(abs(float(f"{v:.{digits}g}") - v) * math.prod(map(size, f)) for f, v in terms.items())
                for terms in outputs
            ],
            dtype=torch.float64,
        )
        allowed = torch.tensor([_APART * abs(scales.get(channel, 1.0)) for channel in place], dtype=torch.float64)
        # Without an error there is none to be carried on, by however much.
        carried = torch.where(errors > 0, gain * errors, 0.0).sum(dim=1)
        if bool((carried <= allowed).all()):
            return digits
    return _MOST
