"""Residuals of a step model, one step or many steps ahead, and the Gram matrix of their Jacobian.

The Jacobian of a roll-out is made step by step inside the one time loop (`Sensitivities`) and summed up as it comes, so
that it never exists as a whole. A model whose partial derivatives are not written down (``partials.py``), such as a
recurrent network, is differentiated by automatic differentiation of the roll-out: slower, and equal.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor, nn

from tsforce.dynamics.forcing import Forcing, Moment
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.rollout import rollout
from tsforce.training.solvers.partials import OneBend, Partials, n_parameters, partials_of

__all__ = ["ByStart", "Fixed", "RollOuts", "Rows", "symmetric_product"]

# Bytes of Jacobian at once; and of the steps whose product is made in one go, which should stay in cache.
_CHUNK_BYTES = 64 * 2**20
_BLOCK_BYTES = 8 * 2**20


def symmetric_product(rows: Tensor, into: Tensor) -> None:
    """Add the lower triangle of ``rows' rows``, (G, N, W) -> (G, W, W); the upper one of `into` is not to be read."""
    if rows.device.type != "cpu":
        into.baddbmm_(rows.mT, rows)
        return
    for one, total in zip(rows, into, strict=True):
        # Half the work of a general product, which is all that torch has. BLAS counts columns first: lower is upper.
        dsyrk(1.0, one.numpy().T, beta=1.0, c=total.numpy().T, overwrite_c=1)


class ByStart(NamedTuple):
    """Products of the Jacobian by initial outputs, window by window; K of them each, rows from oldest to newest.

    Attributes
    ----------
    with_all : (G, B, K, 1 + P)
        ``Z' [r J]``, of the Jacobian Z by the window's initial outputs.
    own : (G, B, K, K)
        ``Z' Z``.
    """

    with_all: Tensor
    own: Tensor


class Rows:
    """One-step residuals of a model with `Partials`: lag vectors fed with truth alone, and what should come out.

    Parameters
    ----------
    x : (G, N, D)
    y : (G, N, C)
    weight : (G, N, C)
        At least 0; of each residual's square, summing to 1 in each group.
    """

    def __init__(self, x: Tensor, y: Tensor, weight: Tensor) -> None:
        self.x, self.y, self.root = x, y, weight.sqrt()

    @torch.no_grad()
    def loss(self, model: nn.Module) -> Tensor:
        """Return the weighted mean of squares of each group, (G,)."""
        yhat = cast(StepModel, model).step(self.x, None)[0][..., 0]
        return ((yhat - self.y) * self.root).square().sum(dim=(1, 2))

    def gram(self, model: nn.Module) -> Tensor:
        """Return ``[r J]' [r J]``, (G, 1 + P, 1 + P), of residuals r and their Jacobian J; lower triangle."""
        partials = partials_of(model)
        assert partials is not None
        if isinstance(partials, OneBend) and bool((self.root == self.root[..., :1]).all()):
            return self.gram_by_features(partials)
        return self.gram_by_rows(model, partials)

    @torch.no_grad()
    def gram_by_features(self, partials: OneBend) -> Tensor:
        """Return the same from the moments of a model's features, where weights are alike for all channels.

        Their number does not grow with the channels.
        """
        groups, n_rows, channels = self.y.shape
        width = partials.n_features + channels
        moments = self.x.new_zeros(groups, width, width)
        at_once = max(1, _BLOCK_BYTES // (8 * groups * width))
        for start in range(0, n_rows, at_once):
            part = slice(start, start + at_once)
            features, yhat, _ = partials.features(self.x[:, part])
            rows = torch.cat([features, yhat - self.y[:, part]], dim=2)
            symmetric_product(rows.mul_(self.root[:, part, :1]), moments)
        return partials.gram(moments)

    @torch.no_grad()
    def gram_by_rows(self, model: nn.Module, partials: Partials) -> Tensor:
        """Return the same from the Jacobian itself."""
        width = 1 + n_parameters(model)
        groups, n_rows, channels = self.y.shape
        total = self.x.new_zeros(groups, width, width)
        at_once = max(1, _BLOCK_BYTES // (8 * groups * channels * width))
        for start in range(0, n_rows, at_once):
            part = slice(start, start + at_once)
            both = self.x.new_empty(groups, self.x[:, part].shape[1], channels, width)
            yhat, _ = partials(self.x[:, part], both[..., 1:])
            both[..., 0] = yhat - self.y[:, part]
            both *= self.root[:, part, :, None]
            symmetric_product(both.flatten(1, 2), total)
        return total


@dataclass(frozen=True, eq=False)
class Fixed(Forcing):
    """What a policy fed at one moment, as tensors: the same for every model that is rolled out on the windows.

    Attributes
    ----------
    given : (G, B, H, C) or None
        Share of truth; None: none.
    scale : float
        As ``Forcing.gradient_scale``.
    cut : int or None
        As ``Forcing.cuts_every``.
    walks : (G, B, H, p * C) or None
        As ``Forcing.lag_noise``, of every step.
    """

    given: Tensor | None = None
    scale: float = 1.0
    cut: int | None = None
    walks: Tensor | None = None

    @property
    def needs_truth(self) -> bool:
        """Whether any truth is fed."""
        return self.given is not None

    @property
    def gradient_scale(self) -> float:
        """As the policy's."""
        return self.scale

    @property
    def cuts_every(self) -> int | None:
        """As the policy's."""
        return self.cut

    def ratio(self, moment: Moment | None) -> float:
        """Return the mean share."""
        del moment
        return 0.0 if self.given is None else float(self.given.mean())

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return the share."""
        del moment
        return torch.zeros_like(known, dtype=torch.float64) if self.given is None else self.given

    def lag_noise(self, past: Tensor, lags: int, step: int, moment: Moment | None) -> Tensor | None:
        """Return the noise of a step."""
        del past, lags, moment
        return None if self.walks is None else self.walks[:, :, step]

    def on(self, part: slice) -> Fixed:
        """Return the same for some of the windows."""
        given, walks = (None if t is None else t[:, part] for t in (self.given, self.walks))
        return replace(self, given=given, walks=walks)


class Sensitivities:
    """A step model without a state that keeps what its outputs owe to the parameters while it is rolled out.

    The derivative of an output is that of the step itself, and those of the outputs that were fed back before, through
    the lags that read them (forward sensitivities; real-time recurrent learning, Williams & Zipser 1989).

    Parameters
    ----------
    model : StepModel
        G groups, P parameters each; without target features.
    partials : Partials
    roll_outs : RollOuts
        What is rolled out.
    starts : int
        Last rows of the context by which outputs are differentiated too; 0: none, else as many as lags can reach.

    Attributes
    ----------
    gram : (G, 1 + P, 1 + P)
        Of what has been summed up so far.
    """

    def __init__(self, model: nn.Module, partials: Partials, roll_outs: RollOuts, starts: int = 0) -> None:
        self.model, self.partials, self.data = cast(StepModel, model), partials, roll_outs
        self.layout = self.model.layout
        groups, windows, horizon, channels = roll_outs.truth.shape
        width = 1 + n_parameters(model)
        self.gram = roll_outs.truth.new_zeros(groups, width, width)
        # Derivatives of the last steps: as many as lags can reach, and enough to be multiplied in one go.
        step_bytes = 8 * groups * windows * channels * width
        self.slots = min(horizon, max(1 + self.layout.target_reach, _BLOCK_BYTES // step_bytes))
        self.ring = roll_outs.truth.new_empty(groups, self.slots, windows, channels, width)
        root = roll_outs.root
        self.even = bool((root == root.flatten()[0]).all())
        self.filled = 0
        self.starts, self.by_start = starts, None
        if starts:
            own = starts * channels
            # Beside the other ring, not in it: its columns are summed over windows, and these are each window's own.
            self.start_ring = roll_outs.truth.new_empty(groups, self.slots, windows, channels, own)
            self.by_start = ByStart(
                self.gram.new_zeros(groups, windows, own, width), self.gram.new_zeros(groups, windows, own, own)
            )

    def init_state(self, past: Tensor) -> int:
        """Return the number of steps taken."""
        del past
        return 0

    def step(self, x: Tensor, state: int) -> tuple[Tensor, int]:
        """Return the output for the next step, and the number of steps taken."""
        data, fed = self.data, self.data.fed
        slot = state % self.slots
        room = self.ring[:, slot]
        y, by_input = self.partials(x, room[..., 1:])
        channels = y.shape[2]
        cut = state - state % fed.cut if fed.cut else 0
        start_room = None if self.by_start is None else self.start_ring[:, slot].zero_()
        for place, lag in enumerate(reversed(self.layout.lags)):
            before = state - lag
            by_own = by_input[..., place * channels : (place + 1) * channels]
            if start_room is not None and before < 0 and cut == 0:
                column = (self.starts + before) * channels
                start_room[..., column : column + channels] += by_own
            if before < cut or fed.scale == 0:
                continue
            if fed.given is not None:
                own = 1 - fed.given[:, :, before].clamp(0, 1)
                if not bool(own.any()):
                    continue
                by_own = by_own * own[:, :, None]
            if fed.scale != 1:
                by_own = by_own * fed.scale
            _add_product(room[..., 1:], by_own, self.ring[:, before % self.slots, ..., 1:])
            if start_room is not None:
                _add_product(start_room, by_own, self.start_ring[:, before % self.slots])
        room[..., 0] = y - data.truth[:, :, state]
        self.filled = slot + 1
        if self.filled == self.slots:
            self.close(state + 1)
        return y[..., None], state + 1

    def close(self, steps: int) -> None:
        """Add the products of the steps that were not added yet; `steps` have been taken."""
        if self.filled == 0:
            return
        rows = self.ring[:, : self.filled]
        by_start = None if self.by_start is None else self.start_ring[:, : self.filled]
        if not self.even:
            root = self.data.root[:, :, steps - self.filled : steps].transpose(1, 2)[..., None]
            rows = torch.where(root > 0, rows * root, 0.0)
            by_start = None if by_start is None else torch.where(root > 0, by_start * root, 0.0)
        symmetric_product(rows.flatten(1, 3), self.gram)
        if self.by_start is not None and by_start is not None:
            turned = by_start.permute(0, 2, 4, 1, 3).flatten(3)
            self.by_start.with_all.add_(turned @ rows.transpose(1, 2).flatten(2, 3))
            self.by_start.own.add_(turned @ turned.mT)
        self.filled = 0

    def finish(self, steps: int) -> tuple[Tensor, ByStart | None]:
        """Return ``[r J]' [r J]``, (G, 1 + P, 1 + P), lower triangle, of all steps, and products by initial outputs."""
        self.close(steps)
        if not self.even:
            return self.gram, self.by_start
        square = self.data.root.flatten()[0] ** 2
        by_start = None if self.by_start is None else ByStart(*(part * square for part in self.by_start))
        return self.gram * square, by_start


def _add_product(into: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right``, (G, B or 1, C, C) and (G, B, C, P), to `into`."""
    groups, windows, channels = right.shape[:3]
    if groups == 1 and channels > 1:
        into[0].baddbmm_(left[0].expand(windows, -1, -1), right[0])
        return
    for c in range(channels):
        into.addcmul_(left[..., c, None], right[:, :, c, None])


class RollOuts:
    """Residuals of roll-outs under what a policy fed at one moment.

    Parameters
    ----------
    past : (G, B, L, C)
    truth : (G, B, H, C)
        Finite also where it has no weight.
    weight : (G, B, H, C)
        At least 0; of each residual's square, summing to 1 in each group.
    fed : Fixed
    noisy : (G, B, H, C), optional
        The truth as it is fed, where that is not the truth itself.
    inputs : Inputs, optional
    """

    def __init__(
        self,
        past: Tensor,
        truth: Tensor,
        weight: Tensor,
        fed: Fixed,
        noisy: Tensor | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self.past, self.truth, self.root, self.fed = past, truth, weight.sqrt(), fed
        self.noisy, self.inputs = truth if noisy is None else noisy, inputs

    def same_as(self, other: RollOuts) -> Tensor:
        """Return in which groups the same is fed and asked for, (G,) bool, the windows being the same."""
        same = torch.ones(len(self.truth), dtype=torch.bool, device=self.truth.device)
        names = [(self.fed.given, other.fed.given), (self.fed.walks, other.fed.walks)]
        for a, b in ((self.root, other.root), (self.noisy, other.noisy), *names):
            if a is None or b is None or a.shape != b.shape:
                same &= a is None and b is None
            else:
                same &= (a == b).flatten(start_dim=1).all(dim=1)
        return same

    def moved(self, offset: Tensor) -> RollOuts:
        """Return the same from other initial outputs: `offset`, (G, B, R, C), is added to the context's last R rows."""
        fresh = copy.copy(self)
        rows = offset.shape[2]
        fresh.past = torch.cat([self.past[:, :, :-rows], self.past[:, :, -rows:] + offset], dim=2)
        return fresh

    def on(self, part: slice) -> RollOuts:
        """Return the residuals of some of the windows, their weights as they are."""
        inputs = None if self.inputs is None else cast(Inputs, tuple(t[:, part] for t in self.inputs))
        root = self.root[:, part]
        return RollOuts(
            self.past[:, part], self.truth[:, part], root**2, self.fed.on(part), self.noisy[:, part], inputs
        )

    def roll(self, model: Any) -> Tensor:
        """Return outputs, (G, B, H, C)."""
        future = self.noisy if self.fed.needs_truth else None
        return rollout(model, self.past, self.truth.shape[2], self.fed, future=future, inputs=self.inputs)[0]

    def residuals(self, model: Any) -> Tensor:
        """Return residuals times the roots of their weights, (G, B, H, C); 0 where there is no weight."""
        return torch.where(self.root > 0, (self.roll(model) - self.truth) * self.root, 0.0)

    @torch.no_grad()
    def loss(self, model: nn.Module) -> Tensor:
        """Return the weighted mean of squares of each group, (G,)."""
        return self.residuals(model).square().sum(dim=(1, 2, 3))

    def gram(self, model: nn.Module) -> Tensor:
        """Return ``[r J]' [r J]``, (G, 1 + P, 1 + P), of residuals r and their Jacobian J; lower triangle."""
        return self.products(model)[0]

    def products(self, model: nn.Module, starts: int = 0) -> tuple[Tensor, ByStart | None]:
        """Return the same, and the products with the Jacobian by initial outputs: the context's last `starts` rows."""
        partials, layout = partials_of(model), cast(StepModel, model).layout
        closed = partials is not None and not layout.features
        groups, windows, horizon, channels = self.truth.shape
        width = 1 + n_parameters(model)
        steps = 1 + min(layout.target_reach, horizon) if closed else horizon
        at_once = max(1, _CHUNK_BYTES // (8 * groups * channels * (width + starts * channels) * steps))
        total = self.truth.new_zeros(groups, width, width)
        parts = []
        for first in range(0, windows, at_once):
            part = self.on(slice(first, first + at_once))
            if closed:
                gram, by_start = part.products_by_sensitivities(model, cast(Partials, partials), starts)
                total += gram
            else:
                jacobian = part.jacobian(model, starts)
                rows = jacobian[..., :width].flatten(2, 3)
                symmetric_product(rows.flatten(1, 2), total)
                turned = jacobian[..., width:].flatten(2, 3).mT
                by_start = ByStart(turned @ rows, turned @ turned.mT)
            parts.append(by_start)
        if not starts:
            return total, None
        return total, ByStart(*(torch.cat(pieces, dim=1) for pieces in zip(*cast(list[ByStart], parts), strict=True)))

    @torch.no_grad()
    def products_by_sensitivities(
        self, model: nn.Module, partials: Partials, starts: int = 0
    ) -> tuple[Tensor, ByStart | None]:
        """Return the same, made inside the time loop."""
        carrying = Sensitivities(model, partials, self, starts)
        self.roll(carrying)
        return carrying.finish(self.truth.shape[2])

    def each_apart(self) -> RollOuts:
        """Return the same residuals with every window in a group of its own, (G B, 1, ...)."""

        def apart(tensor: Tensor) -> Tensor:
            return tensor.flatten(0, 1)[:, None]

        given, walks = (None if t is None else apart(t) for t in (self.fed.given, self.fed.walks))
        inputs = None if self.inputs is None else cast(Inputs, tuple(apart(t) for t in self.inputs))
        return RollOuts(
            apart(self.past), apart(self.truth), apart(self.root) ** 2, replace(self.fed, given=given, walks=walks),
            apart(self.noisy), inputs,
        )  # fmt: skip

    def jacobian(self, model: Any, starts: int = 0) -> Tensor:
        """Return residuals and Jacobian times the roots of the weights, (G, B, H, C, 1 + P + K), of any model.

        By reverse mode: with weights of its own for each window, one pass backwards gives the derivatives of all
        windows' residuals at a step. The K last columns are those by the context's last `starts` rows.
        """
        groups, windows, horizon, channels = self.truth.shape
        place = torch.arange(groups, device=self.truth.device).repeat_interleave(windows)
        own, apart = model.groups(place), self.each_apart()
        variables = [p.requires_grad_() for p in own.parameters()]
        if starts:
            rest, begin = apart.past[:, :, :-starts], apart.past[:, :, -starts:].clone().requires_grad_()
            variables.append(begin)
        with torch.enable_grad():
            if starts:
                apart.past = torch.cat([rest, begin], dim=2)
            residuals = apart.residuals(own)
        width = 1 + n_parameters(model) + starts * channels
        both = residuals.new_zeros(groups * windows, horizon, channels, width)
        both[..., 0] = residuals.detach()[:, 0]
        for h in range(horizon):
            for c in range(channels):
                pieces = torch.autograd.grad(
                    residuals[:, 0, h, c].sum(), variables, retain_graph=True, allow_unused=True
                )
                rows = [torch.zeros_like(p) if d is None else d for p, d in zip(variables, pieces, strict=True)]
                both[:, h, c, 1:] = torch.cat([d.flatten(start_dim=1) for d in rows], dim=1)
        shaped: Tensor = both.unflatten(0, (groups, windows))
        return shaped
