"""The adversary of professor forcing: a discriminator that tells free running from teacher forcing."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import ClosedLoop
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.policies import ProfessorForcing
from tsforce.dynamics.rollout import rollout
from tsforce.training.solvers.keeping import State, moments_of, put_back, put_moments_back

__all__ = ["Professor"]


class Professor:
    """One discriminator per group: a perceptron with two hidden layers on the outputs of a whole window.

    Parameters
    ----------
    policy : ProfessorForcing
    keys : (G,) int64
        Initial weights are drawn by key.
    horizon, channels : int
    dtype : torch.dtype

    Attributes
    ----------
    accuracy : (G,)
        Of the latest batch, over both kinds of window; 0 for a group that showed none.
    """

    def __init__(self, policy: ProfessorForcing, keys: Tensor, horizon: int, channels: int, dtype: torch.dtype) -> None:
        self.policy = policy
        self.horizon = horizon
        self.accuracy = torch.zeros(len(keys), dtype=dtype, device=keys.device)
        self._accuracies: list[float] = []
        self._heard: list[float] = []
        widths = [horizon * channels, policy.hidden, policy.hidden, 1]
        self.layers: list[tuple[Tensor, Tensor]] = []
        for number, (fan_in, fan_out) in enumerate(pairwise(widths)):
            drawn = 2 * uniform(keys, (11, number), fan_in + 1, fan_out, dtype=dtype) - 1
            weight, bias = (drawn * fan_in**-0.5).split([fan_in, 1], dim=1)
            self.layers.append((weight.clone().requires_grad_(), bias.clone().requires_grad_()))
        self.parameters = [p for layer in self.layers for p in layer]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=policy.learning_rate, weight_decay=0.0)

    def logits(self, windows: Tensor, *, fixed: bool = False) -> Tensor:
        """Return what speaks for teacher forcing, (G, B), of windows (G, B, H * C); `fixed`: no gradient to itself."""
        x = windows
        for number, (weight, bias) in enumerate(self.layers):
            if fixed:
                weight, bias = weight.detach(), bias.detach()
            x = torch.baddbmm(bias, torch.relu(x) if number else x, weight)
        return x[..., 0]

    def windows(self, outputs: Tensor, past: Tensor, size: Tensor) -> Tensor:
        """Return what the discriminator sees of outputs (G, B, h, C), h up to H: (G, B, H * C)."""
        seen = (outputs - past[:, :, -1:]) / size
        return pad(seen, (0, 0, 0, self.horizon - seen.shape[2])).flatten(start_dim=2)

    def learn(self, forced: Tensor, free: Tensor, counts: Tensor) -> None:
        """Take a step towards telling windows (G, B, H * C) of the two kinds apart, in the groups that may.

        Parameters
        ----------
        forced, free : (G, B, H * C)
            Without gradient.
        counts : (G, B) bool
            Windows to learn from.
        """
        yes, no = self.logits(forced), self.logits(free)
        loss = _mean(softplus(-yes) + softplus(no), counts)
        self.accuracy = _mean(((yes > 0).to(yes.dtype) + (no <= 0).to(no.dtype)) / 2, counts).detach()
        may = self.accuracy < self.policy.high
        self.optimiser.zero_grad(set_to_none=True)
        torch.where(may, loss, 0.0).sum().backward()
        before = [p.detach()[~may].clone() for p in self.parameters]
        self.optimiser.step()
        # Momentum would move the others on.
        for p, old in zip(self.parameters, before, strict=True):
            p.data[~may] = old

    def term(
        self, model: StepModel, past: Tensor, forced: Tensor, known: Tensor, inputs: Inputs | None = None
    ) -> Tensor:
        """Return what is added for one of each group's loss, (G,); the discriminator learns from the same batch first.

        Parameters
        ----------
        model : StepModel
        past : (G, B, L, C)
        forced : (G, B, h, C)
            Outputs under observed targets, model units, with their gradient.
        known : (G, B, h, C) bool
            Where there was one to feed.
        inputs : (past_exog, future_exog, static, calendar), optional
        """
        free, _ = rollout(model, past, forced.shape[2], ClosedLoop(), inputs=inputs)
        # A window that lacks a target was free running itself; one that a model blew up teaches nothing.
        whole = known.flatten(start_dim=2).all(dim=2) & torch.isfinite(free + forced).flatten(start_dim=2).all(dim=2)
        size = _size(forced.detach() - past[:, :, -1:], whole)
        kinds = [self.windows(torch.where(whole[..., None, None], z, 0.0), past, size) for z in (forced, free)]
        self.learn(kinds[0].detach(), kinds[1].detach(), whole)
        fooled = _mean(softplus(-self.logits(kinds[1], fixed=True)), whole)
        if self.policy.both:
            fooled = fooled + _mean(softplus(self.logits(kinds[0], fixed=True)), whole)
        heard = self.accuracy > self.policy.low
        self._accuracies.append(float(self.accuracy.mean()))
        self._heard.append(float(heard.to(fooled.dtype).mean()))
        return self.policy.weight * torch.where(heard, fooled, 0.0)

    def state(self) -> State:
        """Return what it needs to go on as if it had never stopped."""
        return {
            "weights": self.parameters,
            "moments": moments_of(self.optimiser, self.parameters),
            "accuracies": self._accuracies,
            "heard": self._heard,
        }

    def go_on(self, state: State) -> None:
        """Take the place of an adversary that had a `state`."""
        put_back(self.parameters, state["weights"])
        put_moments_back(self.optimiser, self.parameters, state["moments"])
        self._accuracies, self._heard = list(state["accuracies"]), list(state["heard"])

    def told(self) -> str:
        """Return how the two got on, in words."""
        batches = max(1, len(self._heard))
        return (
            f"the discriminator told {sum(self._accuracies) / batches:.0%} of the windows it was shown apart, and the "
            f"model learnt from it in {sum(self._heard) / batches:.0%} of the batches"
        )


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of each group over the windows that count, (G,); 0 where none does."""
    return torch.where(counts, values, 0.0).sum(dim=1) / counts.sum(dim=1).clamp(min=1)


def _size(values: Tensor, counts: Tensor) -> Tensor:
    """Return the root mean square of values (G, B, h, C) over the windows that count, (G, 1, 1, C); 1 where it is 0."""
    square = _mean(values.pow(2).mean(dim=2).flatten(start_dim=2), counts[..., None].expand(-1, -1, values.shape[3]))
    size = square.sqrt()[:, None, None]
    return torch.where(size > 0, size, 1.0)
