"""Policies around another one: on how much of the horizon, which steps count, in how many passes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import ClosedLoop, Forcing, Moment, check_length
from tsforce.dynamics.policies import ProfessorForcing, needed
from tsforce.dynamics.schedules import Linear, check_whole, is_number
from tsforce.errors import ArgumentError, check_choice

__all__ = ["ParallelSampling", "RollOutLength", "StepWeights"]


@dataclass(frozen=True)
class _Around(Forcing):
    """Another policy, in everything that a subclass does not say otherwise."""

    forcing: Forcing = field(default_factory=ClosedLoop)

    def __post_init__(self) -> None:
        if not isinstance(self.forcing, Forcing):
            raise ArgumentError(f"forcing={self.forcing!r}: expected a Forcing such as ClosedLoop().")

    @property
    def requires(self) -> frozenset[str]:
        """As the policy itself."""
        return self.forcing.requires

    @property
    def needs_truth(self) -> bool:
        """As the policy itself."""
        return self.forcing.needs_truth

    @property
    def gradient_scale(self) -> float:
        """As the policy itself."""
        return self.forcing.gradient_scale

    @property
    def cuts_every(self) -> int | None:
        """As the policy itself."""
        return self.forcing.cuts_every

    @property
    def follows_errors(self) -> bool:
        """As the policy itself."""
        return self.forcing.follows_errors

    @property
    def measures_every(self) -> int | None:
        """As the policy itself."""
        return self.forcing.measures_every

    @property
    def adversary(self) -> ProfessorForcing | None:
        """As the policy itself."""
        return self.forcing.adversary

    @property
    def in_passes(self) -> tuple[int, str] | None:
        """As the policy itself."""
        return self.forcing.in_passes

    def steps(self, horizon: int, moment: Moment | None) -> int:
        """As the policy itself."""
        return self.forcing.steps(horizon, moment)

    def weights(self, horizon: int, moment: Moment | None) -> Tensor | None:
        """As the policy itself."""
        return self.forcing.weights(horizon, moment)

    def noise(self, future: Tensor, moment: Moment | None) -> Tensor | None:
        """As the policy itself."""
        return self.forcing.noise(future, moment)

    def lag_noise(self, past: Tensor, lags: int, step: int, moment: Moment | None) -> Tensor | None:
        """As the policy itself."""
        return self.forcing.lag_noise(past, lags, step, moment)

    def settled(self, horizon: int, now: Moment, end: Moment) -> Tensor:
        """As the policy itself."""
        return self.forcing.settled(horizon, now, end)

    def ratio(self, moment: Moment | None) -> float:
        """As the policy itself."""
        return self.forcing.ratio(moment)

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """As the policy itself."""
        return self.forcing.share(known, moment)


@dataclass(frozen=True)
class RollOutLength(_Around):
    """Another policy on a part of the horizon that grows over training, or is drawn for every batch.

    Parameters
    ----------
    forcing : Forcing
    kind : "growing" or "random"
        From `first` steps to the whole horizon over the first `length` of training; or between them at random.
    first : int
    length : float

    Examples
    --------
    >>> grow = RollOutLength()
    >>> [grow.steps(10, Moment(step, 100, 0, torch.tensor([1]))) for step in (0, 30, 60, 99)]
    [1, 5, 10, 10]
    """

    kind: str = "growing"
    first: int = 1
    length: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("kind", self.kind, ("growing", "random"))
        check_whole("first", self.first, 1)
        check_length(self.length)

    @property
    def requires(self) -> frozenset[str]:
        """As the policy itself, and a part of the horizon."""
        return super().requires | {"steps"}

    def _most(self, horizon: int, moment: Moment | None) -> int:
        moment = needed(self, moment)
        first = min(self.first, horizon)
        if self.kind == "random":
            # One length for all groups: they are rolled out side by side. Keyed by none of them, so that a series
            # fitted alone sees the same.
            drawn = float(uniform(torch.zeros(1, dtype=torch.int64), (8, moment.step), 1))
        else:
            drawn = 1 - Linear()(moment.step, max(self.length * moment.total, 1.0))
        return min(horizon, first + round(drawn * (horizon - first)))

    def steps(self, horizon: int, moment: Moment | None) -> int:
        """Return the length at this moment, or what the policy itself takes of it."""
        return self.forcing.steps(self._most(horizon, moment), moment)

    def weights(self, horizon: int, moment: Moment | None) -> Tensor | None:
        """As the policy itself on a horizon of that length; 0 after it."""
        most = self._most(horizon, moment)
        inside = self.forcing.weights(most, moment)
        return None if inside is None else torch.nn.functional.pad(inside, (0, horizon - most))

    def settled(self, horizon: int, now: Moment, end: Moment) -> Tensor:
        """Return whether the length has stopped growing, and the policy itself has settled; a drawn one never grows."""
        full = self.kind == "random" or self._most(horizon, now) >= self._most(horizon, end)
        return self.forcing.settled(horizon, now, end) & full


@dataclass(frozen=True)
class StepWeights(_Around):
    """Another policy, whose steps do not all count alike in the loss.

    Parameters
    ----------
    forcing : Forcing
    kind : "last", "discount" or "burn_in"
        Only the last step of a roll-out counts; or each counts `discount` times the one before; or the first `skip` do
        not count, in which errors of the context and of a state fade (the last step counts always).
    discount : float
        In (0, 1].
    skip : int

    Examples
    --------
    >>> now = Moment(0, 10, 0, torch.tensor([1]))
    >>> StepWeights(ClosedLoop(), "discount", discount=0.5).weights(4, now).tolist()
    [[1.0, 0.5, 0.25, 0.125]]
    >>> StepWeights(ClosedLoop(), "burn_in", skip=2).weights(4, now).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """

    kind: str = "discount"
    discount: float = 0.9
    skip: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("kind", self.kind, ("last", "discount", "burn_in"))
        if not (is_number(self.discount) and 0 < self.discount <= 1):
            raise ArgumentError(f"discount={self.discount!r}: expected a factor above 0 and at most 1.")
        check_whole("skip", self.skip, 1)

    @property
    def requires(self) -> frozenset[str]:
        """As the policy itself, and steps that do not count alike."""
        return super().requires | {"weights"}

    def weights(self, horizon: int, moment: Moment | None) -> Tensor:
        """Return the weight of each step, times that of the policy itself; (G or 1, H)."""
        inside = self.forcing.weights(horizon, moment)
        place = torch.arange(horizon, device=None if inside is None else inside.device)
        if self.kind == "discount":
            own = self.discount ** place[None]
        else:
            # The last step that a group learns from, whoever its neighbours are.
            last = (
                self.forcing.steps(horizon, moment) - 1 if inside is None else ((inside > 0) * place).amax(1)[:, None]
            )
            first = last if self.kind == "last" else torch.clamp(torch.as_tensor(last), max=self.skip)
            own = (place[None] >= first).to(torch.get_default_dtype())
        return own if inside is None else own * inside


@dataclass(frozen=True)
class ParallelSampling(_Around):
    """Another policy in a few parallel passes over all steps, in place of one step after the other.

    The first pass reads observed targets only (0 where one is missing); each later one reads the outputs of the one
    before where the policy feeds own outputs, under the same masks and noise. So many passes reach as many own outputs
    in a row; with as many as the policy's masks ask for, it is the policy itself (see ``parallel_rollout``). For models
    without a state.

    Parameters
    ----------
    forcing : Forcing
        One without `cut_every`.
    passes : int
        At least 2: one would be open loop.
    through : "last" or "all"
        Passes that gradient flows through; "last" is feedback without gradient.

    References
    ----------
    Duckworth et al. 2019, "Parallel scheduled sampling"; Mihaylova & Martins 2019, "Scheduled sampling for
    transformers" (two passes).

    Examples
    --------
    >>> ParallelSampling().in_passes
    (2, 'last')
    """

    passes: int = 2
    through: str = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("passes", self.passes, 2)
        check_choice("through", self.through, ("last", "all"))
        if self.forcing.cuts_every:
            raise ArgumentError(
                f"forcing={self.forcing!r} cuts gradient at steps, which parallel passes do not have; leave out "
                f"cut_every."
            )

    @property
    def requires(self) -> frozenset[str]:
        """As the policy itself, and parallel passes."""
        return super().requires | {"passes"}

    @property
    def in_passes(self) -> tuple[int, str]:
        """Its passes, and which of them carry gradient."""
        return self.passes, self.through
