"""Recurrent cells, GRU (Cho et al. 2014) and LSTM (Hochreiter & Schmidhuber 1997), each group with its own weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tsforce.dynamics.draws import uniform

__all__ = ["CELLS", "Cell", "State"]

State = tuple[Tensor, ...]
# torch's own: the gradient of a sigmoid and of tanh from their outputs, in one pass each.
_OF_SIGMOID, _OF_TANH = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class _Gates(NamedTuple):
    """What a cell does once its inputs and its state went through their weights.

    Attributes
    ----------
    number : int
        Gates K.
    parts : int
        Tensors of a state.
    forward : callable
        ``(given, own, state) -> (state, kept)``: what inputs and state add to the gates, (G, B, K R) each, and the
        state to the next state, and to what `backward` needs.
    backward : callable
        ``(kept, grads, given, own) -> carried``: from the gradient by each part of the next state to that by the state,
        beside its weights; those by what was given and what the state added are written to `given` and `own`, which
        are one tensor where they are equal.
    """

    number: int
    parts: int
    forward: Callable[[Tensor, Tensor, State], tuple[State, State]]
    backward: Callable[[State, State, Tensor, Tensor], State]


def _gru(given: Tensor, own: Tensor, state: State) -> tuple[State, State]:
    width = state[0].shape[-1]
    gates = (given[..., : 2 * width] + own[..., : 2 * width]).sigmoid_()
    reset, update = gates.split(width, dim=-1)
    last = own[..., 2 * width :]
    new = torch.addcmul(given[..., 2 * width :], reset, last).tanh_()
    return (torch.lerp(new, state[0], update),), (gates, new, last, state[0])


def _gru_back(kept: State, grads: State, given: Tensor, own: Tensor) -> State:
    (gates, new, last, state), (grad,) = kept, grads
    width = new.shape[-1]
    reset, update = gates.split(width, dim=-1)
    carried = grad * update
    inner = _OF_TANH(grad - carried, new)
    outer = _OF_SIGMOID(torch.cat([inner * last, grad * (state - new)], dim=-1), gates)
    given[..., : 2 * width] = outer
    given[..., 2 * width :] = inner
    own[..., : 2 * width] = outer
    torch.mul(inner, reset, out=own[..., 2 * width :])
    return (carried,)


def _lstm(given: Tensor, own: Tensor, state: State) -> tuple[State, State]:
    width = state[0].shape[-1]
    total = given + own
    gates = total[..., : 2 * width].sigmoid()
    new, leave = total[..., 2 * width : 3 * width].tanh(), total[..., 3 * width :].sigmoid()
    enter, forget = gates.split(width, dim=-1)
    memory = torch.addcmul(forget * state[1], enter, new)
    bent = memory.tanh()
    return (leave * bent, memory), (gates, new, leave, bent, state[1])


def _lstm_back(kept: State, grads: State, given: Tensor, own: Tensor) -> State:
    gates, new, leave, bent, memory = kept
    width = new.shape[-1]
    enter, forget = gates.split(width, dim=-1)
    inner = grads[1] + _OF_TANH(grads[0] * leave, bent)
    given[..., : 2 * width] = _OF_SIGMOID(torch.cat([inner * new, inner * memory], dim=-1), gates)
    given[..., 2 * width : 3 * width] = _OF_TANH(inner * enter, new)
    given[..., 3 * width :] = _OF_SIGMOID(grads[0] * bent, leave)
    return torch.zeros_like(inner), inner * forget


CELLS = {"gru": _Gates(3, 1, _gru, _gru_back), "lstm": _Gates(4, 2, _lstm, _lstm_back)}


def _for_gradients(kind: str, *shape: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return room for the gradients by what was given to the gates, and by what the state added."""
    given = like.new_empty(*shape, CELLS[kind].number * like.shape[-1])
    # Without a reset gate between them, the two are only ever added: one gradient.
    return given, torch.empty_like(given) if kind == "gru" else given


class _OneStep(torch.autograd.Function):
    """``_Gates.forward`` with its gradient in a few passes over memory, where autograd takes dozens."""

    @staticmethod
    def forward(ctx: Any, kind: str, given: Tensor, own: Tensor, *state: Tensor) -> State:
        after, kept = CELLS[kind].forward(given, own, state)
        ctx.kind = kind
        ctx.save_for_backward(*kept)
        return after

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        given, own = _for_gradients(ctx.kind, *grads[0].shape[:2], like=grads[0])
        carried = CELLS[ctx.kind].backward(ctx.saved_tensors, grads, given, own)
        return (None, given, own, *carried)


class _AllSteps(torch.autograd.Function):
    """The state after many steps whose inputs are known; the weights' gradient is one product over all steps."""

    @staticmethod
    def forward(ctx: Any, kind: str, given: Tensor, weight: Tensor, bias: Tensor, *state: Tensor) -> State:
        """`given` is (W, G, B, K R), time first: what each step reads lies in one piece."""
        ctx.kind, ctx.kept = kind, []
        before = given.new_empty(*given.shape[:3], state[0].shape[-1])
        for w, step in enumerate(given):
            before[w] = state[0]
            state, kept = CELLS[kind].forward(step, torch.baddbmm(bias[:, None], state[0], weight), state)
            ctx.kept.append(kept)
        ctx.save_for_backward(weight, before)
        return state

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        weight, before = ctx.saved_tensors
        given, own = _for_gradients(ctx.kind, *before.shape[:3], like=before)
        back = weight.transpose(1, 2)
        for w in reversed(range(len(given))):
            carried = CELLS[ctx.kind].backward(ctx.kept[w], grads, given[w], own[w])
            grads = (torch.baddbmm(carried[0], own[w], back), *carried[1:])
        every, states = (part.transpose(0, 1).flatten(1, 2) for part in (own, before))
        return (None, given, torch.bmm(states.transpose(1, 2), every), every.sum(dim=1), *grads)


class Cell(nn.Module):
    """A recurrent cell.

    Parameters
    ----------
    kind : "gru" or "lstm"
    columns, width : int
        D, what a step reads; R, units of the state.
    keys : (G,) int64
        Initial weights are drawn by key, not by position.
    place : int
        Distinguishes the draws of this cell from those of others under the same keys.
    dtype : torch.dtype

    Notes
    -----
    Gates in the order of ``torch.nn.GRU`` (reset, update, new) and ``torch.nn.LSTM`` (input, forget, cell, output).
    The forget gate's bias starts at 1 (Jozefowicz et al. 2015).
    """

    def __init__(self, kind: str, columns: int, width: int, keys: Tensor, place: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.kind = kind
        self.width = width
        gates = CELLS[kind].number * width
        bound = width**-0.5

        def draw(number: int, rows: int) -> nn.Parameter:
            return nn.Parameter((2 * uniform(keys, (5, 2 * place + number), rows, gates, dtype=dtype) - 1) * bound)

        self.from_input = draw(0, columns)
        self.from_state = draw(1, width)
        first = torch.zeros(len(keys), gates, dtype=dtype, device=keys.device)
        self.state_bias = nn.Parameter(first.clone())
        if kind == "lstm":
            first[:, width : 2 * width] = 1.0
        self.input_bias = nn.Parameter(first)

    def zero(self, like: Tensor) -> State:
        """Return a state of zeros for windows (G, B, ...), (G, B, R) for each of its parts."""
        return (like.new_zeros(*like.shape[:2], self.width),) * CELLS[self.kind].parts

    def forward(self, x: Tensor, state: State) -> State:
        """Return the state after one step that reads `x` (G, B, D)."""
        given = torch.baddbmm(self.input_bias[:, None], x, self.from_input)
        own = torch.baddbmm(self.state_bias[:, None], state[0], self.from_state)
        after: State = _OneStep.apply(self.kind, given, own, *state)
        return after

    def through(self, x: Tensor, state: State) -> State:
        """Return the state after the steps that read `x` (G, B, W, D): inputs of all steps in one product."""
        groups, windows, steps, columns = x.shape
        flat = x.permute(0, 2, 1, 3).reshape(groups, steps * windows, columns)
        given = torch.baddbmm(self.input_bias[:, None], flat, self.from_input)
        given = given.view(groups, steps, windows, -1).transpose(0, 1)
        if torch.is_grad_enabled():
            after: State = _AllSteps.apply(self.kind, given, self.from_state, self.state_bias, *state)
            return after
        for step in given:
            own = torch.baddbmm(self.state_bias[:, None], state[0], self.from_state)
            state, _ = CELLS[self.kind].forward(step, own, state)
        return state
