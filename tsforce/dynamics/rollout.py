"""rollout: the one time loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tsforce.dynamics.forcing import ClosedLoop, Forcing, Moment, blend
from tsforce.dynamics.lags import Inputs, known_inputs, lag_vector, lag_vectors
from tsforce.dynamics.models.base import Corrects, Pick, StepModel, WarmsUp
from tsforce.errors import MissingTruthError

__all__ = ["rollout"]


def rollout(
    model: StepModel,
    past: Tensor,
    horizon: int,
    forcing: Forcing,
    *,
    future: Tensor | None = None,
    future_mask: Tensor | None = None,
    moment: Moment | None = None,
    bounds: tuple[Tensor, Tensor] | None = None,
    inputs: Inputs | None = None,
    shocks: Tensor | None = None,
    pick: Pick | None = None,
    laws: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Predict every step of the horizon, feeding back what `forcing` chooses.

    The only time loop in tsforce: training, validation, predict, backtest and sample paths all end here.

    Parameters
    ----------
    model : StepModel
    past : (G, B, L, C)
        The context, up to and with the cutoff, model units; absent values read 0. L is at least ``model.layout.reach``.
    horizon : int
        H, steps after the cutoff.
    forcing : Forcing
        ``OpenLoop()`` feeds observed targets, ``ClosedLoop()`` the model's own outputs.
    future : (G, B, H, C), optional
        Observed targets after the cutoff, model units. Needed if `forcing` reads them; otherwise not read.
    future_mask : (G, B, H, C) bool, optional
        False where `future` was not observed: there the own output is fed. All observed by default.
    moment : Moment, optional
        When in training this happens: policies that change or draw need it.
    bounds : (low, high), each broadcastable to (G, B, H, C), optional
        Guard at prediction: outputs are clipped to it before they are returned and fed back, and what is no number of
        numbers repeats the value fed before it. Never in training.
    inputs : (past_exog, future_exog, static, calendar), optional
        What is known beside the target (see ``lags.known_inputs``), where the model's layout has such columns.
    shocks : (G, B, H, C), optional
        Added to the output of each step, before the guard and before it is fed back; model units.
    pick : Pick, optional
        Says what stands for the output of each step, before the guard and before it is fed back, from the parameters
        of a model's head: a draw, say. By default the first of them, the point. It may also say which roll-outs go on,
        and how often: so paths share what they have in common.
    laws : bool
        Whether to return all parameters of the head, as the model says them.

    Returns
    -------
    yhat : (G, B, H, C)
        Outputs, shocks included, *before* any of them was replaced by an observed value, model units. With `laws`
        (G, B, H, C, P). Of `pick` that says which roll-outs go on, those that are left at the end.
    fed_share : (G, B, H, C) or None
        Share of truth that was fed back at each step; None means none, a closed loop.

    Raises
    ------
    MissingTruthError
        If `forcing` needs observed targets and `future` is None.

    Examples
    --------
    >>> from tsforce.dynamics.forcing import ClosedLoop
    >>> from tsforce.dynamics.lags import LagLayout
    >>> from tsforce.dynamics.models.linear import Linear
    >>> half = Linear(LagLayout((1,)), torch.tensor([[[0.5]]]), torch.zeros(1, 1))
    >>> rollout(half, torch.tensor([[[[8.0]]]]), 3, ClosedLoop())[0].flatten().tolist()
    [4.0, 2.0, 1.0]
    """
    share: Tensor | None = None
    if forcing.needs_truth:
        if future is None:
            raise MissingTruthError(
                f"{forcing!r} feeds observed targets, but the windows carry none after the cutoff. Pass future=, or "
                f"roll out with ClosedLoop()."
            )
        if future_mask is None:
            future_mask = torch.ones_like(future, dtype=torch.bool)
        share = forcing.share(future_mask, moment).to(past.dtype)
        noise = forcing.noise(future, moment)
        if noise is not None:
            future = future + noise.to(future.dtype)
    length = past.shape[2]
    warms_up = isinstance(model, WarmsUp)
    warm = length - model.layout.reach if warms_up else 0
    known = known_inputs(model.layout, inputs, horizon, warm)
    fed = past
    if horizon > 1:
        fed = past.new_empty(*past.shape[:2], length + horizon, past.shape[3])
        fed[:, :, :length] = past
    # A step under autograd must not read a view of a buffer that later steps write to.
    with_gradient = torch.is_grad_enabled()
    if isinstance(model, Corrects):
        base, _ = rollout(model.base, past, horizon, ClosedLoop(), bounds=bounds, inputs=inputs)
        state = model.begin(base)
    else:
        state = model.init_state(past)
    if isinstance(model, WarmsUp) and warm > 0:
        # The context is observed: all of its lag vectors are known at once.
        given = None if known is None else known[:, :, :warm]
        state = model.warm_up(lag_vectors(model.layout, past, length - warm, warm, given), state)
    if bounds is not None:
        steps = *past.shape[:2], horizon, past.shape[3]
        low, high = (side.expand(steps).unbind(dim=2) for side in bounds)
    outputs: list[Tensor] = []
    # One call rather than one per step.
    now = [None] * horizon if known is None else known[:, :, warm:].unbind(dim=2)
    origin: Tensor | None = None

    def of_each(part: Any) -> Any:
        """Return what windows have in advance, for each roll-out."""
        return part if origin is None or part is None else part[:, origin]

    for h in range(horizon):
        if with_gradient and forcing.cuts_every and h and h % forcing.cuts_every == 0:
            # Every later read of what was written before, through whichever lag, is without gradient: to detach one
            # written value would leak through the others.
            fed, state = fed.detach().clone(), _with_each_part(state, Tensor.detach)
        on_lags = forcing.lag_noise(past, len(model.layout.lags), h, moment)
        x = lag_vector(model.layout, fed, length + h, of_each(now[h]), of_each(on_lags))
        output, state = model.step(x.clone() if with_gradient else x, state)
        yhat = output[..., 0]
        if pick is not None:
            picked = pick(h, output)
            if isinstance(picked, Tensor):
                yhat = picked
            else:
                yhat, parents = picked
                output, x, fed, *outputs = (part[:, parents] for part in (output, x, fed, *outputs))
                state = _with_each_part(state, lambda part: part[:, parents])  # noqa: B023
                origin = parents if origin is None else origin[parents]
        if shocks is not None:
            yhat = yhat + shocks[:, :, h]
        if bounds is not None:
            yhat = torch.clamp(yhat, of_each(low[h]), of_each(high[h]))
            lost = yhat.isnan()
            if bool(lost.any()):
                overflown = lost & x.isfinite().all(dim=2, keepdim=True)
                yhat = torch.where(overflown, fed[:, :, length + h - 1], yhat)
        outputs.append(output if laws else yhat)
        if h + 1 == horizon:
            break
        # Outputs are returned with their gradient; what is cut or scaled is the path through the buffer.
        own = forcing.own(yhat)
        if share is None:
            fed[:, :, length + h] = own
        else:
            assert future is not None
            a = of_each(share[:, :, h])
            truth = torch.where(a > 0, of_each(future[:, :, h]), 0.0)
            fed[:, :, length + h] = blend(a, truth, own)
    return torch.stack(outputs, dim=2), of_each(share)


def _with_each_part(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a state, each tensor of which was changed; what has no windows, such as a counter, is left."""
    if isinstance(state, tuple):
        return tuple(_with_each_part(part, change) for part in state)
    return change(state) if isinstance(state, Tensor) and state.ndim > 1 else state
