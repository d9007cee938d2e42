"""Forcing policies beyond the three modes: the rest of the literature in one vocabulary (formula: forcing.py).

Those that go around another policy are in ``wrappers.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import Forcing, Moment, OpenLoop, check_gradient, check_length, scheduled
from tsforce.dynamics.schedules import Schedule, check_whole, is_number
from tsforce.errors import ArgumentError, check_choice

__all__ = [
    "GeneralizedTeacherForcing",
    "InputNoise",
    "ProfessorForcing",
    "Pushforward",
    "SparseTeacherForcing",
    "TeacherForcingRatio",
    "needed",
]


def needed(policy: Forcing, moment: Moment | None) -> Moment:
    """Return the moment; raise ArgumentError if there is none."""
    if moment is None:
        raise ArgumentError(f"{policy!r} draws or changes over training; a roll-out under it needs a moment=.")
    return moment


@dataclass(frozen=True)
class TeacherForcingRatio(Forcing):
    """Truth for a whole window or for none of it, tossed with a fixed ratio: what tutorials call teacher_forcing_ratio.

    Parameters
    ----------
    truth : float
        Probability of truth, in [0, 1].
    time : "sequence" or "step"
        One toss per window, or one per step of it.
    gradient, cut_every
        As in `ClosedLoop`.

    Examples
    --------
    >>> TeacherForcingRatio(0.5).ratio(None)
    0.5
    """

    truth: float = 0.5
    time: str = "sequence"
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        if not (is_number(self.truth) and 0 <= self.truth <= 1):
            raise ArgumentError(f"truth={self.truth!r}: expected a share between 0 and 1.")
        check_choice("time", self.time, ("sequence", "step"))
        check_gradient(self.gradient, self.cut_every)

    def ratio(self, moment: Moment | None) -> float:
        """Return the fixed ratio."""
        del moment
        return float(self.truth)

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return 0 or 1, as tossed."""
        moment = needed(self, moment)
        _, windows, horizon, _ = known.shape
        tosses = moment.uniform((0, moment.step), windows, horizon if self.time == "step" else 1, like=known)
        return ((tosses < self.truth)[..., None] & known).to(torch.get_default_dtype())


@dataclass(frozen=True)
class SparseTeacherForcing(Forcing):
    """Truth at the first `truths` of every `every` steps, own outputs between.

    Parameters
    ----------
    every : int
        tau, above `truths`.
    truths : int
        As many as the model has lags in a row, if truth is to reset what it reads and stop gradient from before.
    gradient, cut_every
        As in `ClosedLoop`.

    References
    ----------
    Mikhaeil, Monfared & Durstewitz 2022, "On the difficulty of learning chaotic dynamics with RNNs": tau from the
    Lyapunov time.

    Examples
    --------
    >>> SparseTeacherForcing(3).share(torch.ones(1, 1, 6, 1, dtype=torch.bool)).flatten().tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """

    every: int
    truths: int = 1
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        check_whole("truths", self.truths, 1)
        check_whole("every", self.every, self.truths + 1)
        check_gradient(self.gradient, self.cut_every)

    def ratio(self, moment: Moment | None) -> float:
        """Return the share of steps with truth."""
        del moment
        return self.truths / self.every

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return ``1[t mod tau < p]``, t = 1 being the first step after the cutoff (the cutoff itself is truth)."""
        del moment
        t = torch.arange(1, known.shape[2] + 1, device=known.device)
        return ((t % self.every < self.truths)[:, None] & known).to(torch.get_default_dtype())


@dataclass(frozen=True)
class GeneralizedTeacherForcing(Forcing):
    """A blend of truth and own output at every step, constant or annealed.

    Parameters
    ----------
    alpha : float or Schedule
        Share of truth in the blend, in [0, 1]; a schedule (``Linear(floor)``, ``Exponential()`` ...) anneals it,
        ``Annealed()`` to what keeps gradients from growing.
    length : float
        Part of training over which a schedule falls.
    gradient, cut_every
        As in `ClosedLoop`.

    References
    ----------
    Hess et al. 2023, "Generalized teacher forcing for learning chaotic dynamics". With one lag gradients stay bounded
    for alpha >= 1 - 1 / max_t norm(J_t); with p lags only the first companion row is scaled.

    Examples
    --------
    >>> GeneralizedTeacherForcing(0.2).share(torch.ones(1, 1, 2, 1, dtype=torch.bool)).flatten().tolist()
    [0.20000000298023224, 0.20000000298023224]
    """

    alpha: float | Schedule = 0.1
    length: float = 0.6
    gradient: str | float = "keep"
    cut_every: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, Schedule) and not (is_number(self.alpha) and 0 <= self.alpha <= 1):
            raise ArgumentError(f"alpha={self.alpha!r}: expected a share between 0 and 1, or a schedule.")
        check_length(self.length)
        check_gradient(self.gradient, self.cut_every)

    @property
    def follows_errors(self) -> bool:
        """As the schedule, if there is one."""
        return isinstance(self.alpha, Schedule) and self.alpha.follows_errors

    @property
    def measures_every(self) -> int | None:
        """As the schedule, if there is one."""
        return self.alpha.measures_every if isinstance(self.alpha, Schedule) else None

    def settled(self, horizon: int, now: Moment, end: Moment) -> Tensor:
        """Return whether alpha has come to its last value."""
        if not isinstance(self.alpha, Schedule):
            return super().settled(horizon, now, end)
        return self.alpha.settled(now, max(self.length * now.total, 1.0))

    def _alphas(self, moment: Moment | None) -> Tensor:
        if isinstance(self.alpha, Schedule):
            return scheduled(self, self.alpha, self.length, moment)[1]
        return torch.tensor([float(self.alpha)], dtype=torch.float64)

    def ratio(self, moment: Moment | None) -> float:
        """Return alpha at this moment, mean over groups."""
        return float(self._alphas(moment).mean())

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return alpha wherever there is truth."""
        kind = torch.get_default_dtype()
        return known.to(kind) * self._alphas(moment).to(known.device, kind)[:, None, None, None]


@dataclass(frozen=True)
class InputNoise(OpenLoop):
    """Open loop with noise on what is fed: cheap practice at recovering from errors.

    Parameters
    ----------
    sigma : float
        Standard deviation, model units (after transforms and window scaling).
    kind : "white" or "random_walk"
        "white": each observed target is disturbed once, when it is written into the lag buffer, and read so by every
        later lag. "random_walk": each lag vector is disturbed anew, by a walk from its oldest target lag to its newest
        one, as a roll-out's errors pile up; the newest has std `sigma`, the k-th oldest of p ``sigma sqrt(k / p)``.
        (Written into the buffer, a walk's variance would grow along the horizon without bound.)

    Notes
    -----
    The walk steps from lag to lag, also where lags leave steps out, and each channel has its own. It is on the target
    lags of every step, the first one included, whose lags are all context; target features, and the context that a
    recurrent state takes in, are read without it.

    The target stays the truth. For a model that answers the change since the last value it was fed (a position), the
    published method corrects that change by the noise on this value; a model that answers the next value itself, as
    all do here, is so corrected already. After ``Difference(1)`` lags and targets are changes (velocities): the next
    true change is asked for, not one that makes up for the noise in the level. With ``window_scaling="last"`` the value
    taken off is that of the context as observed.

    In the mean over draws, noise on the lags of a linear map adds ``w' K w`` to its squared loss, K the noise's
    covariance (Bishop 1995): a ridge, for a walk one with ``K_jk = sigma^2 min(j, k) / p``.

    References
    ----------
    Sanchez-Gonzalez et al. 2020, "Learning to simulate complex physics with graph networks" (the walk); Bishop 1995,
    "Training with noise is equivalent to Tikhonov regularization".

    Examples
    --------
    >>> InputNoise(0.1).ratio(None)
    1.0
    >>> now = Moment(0, 10, 0, torch.tensor([1]))
    >>> InputNoise(0.1, "random_walk").lag_noise(torch.zeros(1, 2, 24, 1), 24, 0, now).shape
    torch.Size([1, 2, 24])
    """

    sigma: float = 0.1
    kind: str = "white"

    def __post_init__(self) -> None:
        if not (is_number(self.sigma) and 0 <= self.sigma < float("inf")):
            raise ArgumentError(f"sigma={self.sigma!r}: expected a number of at least 0.")
        check_choice("kind", self.kind, ("white", "random_walk"))

    def noise(self, future: Tensor, moment: Moment | None) -> Tensor | None:
        """Return normal draws times sigma, keyed by group and step of training; None for a walk."""
        moment = needed(self, moment)
        if self.kind == "random_walk":
            return None
        return self.sigma * moment.normal((6, moment.step), *future.shape[1:], like=future)

    def lag_noise(self, past: Tensor, lags: int, step: int, moment: Moment | None) -> Tensor | None:
        """Return a walk for each window and channel, keyed by group and both steps; None for white noise."""
        if self.kind == "white":
            return None
        moment = needed(self, moment)
        _, windows, _, channels = past.shape
        steps = moment.normal((10, moment.step, step), windows, lags, channels, like=past)
        walk = self.sigma / math.sqrt(max(1, lags)) * steps.cumsum(dim=2)
        return walk.flatten(start_dim=2).to(past.dtype)


@dataclass(frozen=True)
class Pushforward(Forcing):
    """Some closed-loop steps without gradient, then one that is learnt from.

    Parameters
    ----------
    most : int
        R: r steps are taken first, r drawn from 0 .. min(epoch, R) for every batch.

    References
    ----------
    Brandstetter, Worrall & Welling 2022, "Message passing neural PDE solvers". All p lags are own outputs only where
    r >= p.

    Examples
    --------
    >>> Pushforward(3).weights(4, Moment(0, 10, 0, torch.tensor([1]))).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """

    most: int = 5

    def __post_init__(self) -> None:
        check_whole("most", self.most, 1)

    @property
    def needs_truth(self) -> bool:
        """Nothing after the cutoff is fed."""
        return False

    @property
    def gradient_scale(self) -> float:
        """No gradient flows through what is fed back."""
        return 0.0

    def ratio(self, moment: Moment | None) -> float:
        """Return 0."""
        del moment
        return 0.0

    def share(self, known: Tensor, moment: Moment | None = None) -> Tensor:
        """Return 0 everywhere."""
        del moment
        return torch.zeros(known.shape, device=known.device)

    def _before(self, horizon: int, moment: Moment | None) -> Tensor:
        """Return r of each group, (G,)."""
        moment = needed(self, moment)
        most = min(moment.epoch, self.most, horizon - 1)
        return (uniform(moment.keys, (7, moment.step), 1)[:, 0] * (most + 1)).long().clamp(max=most)

    def steps(self, horizon: int, moment: Moment | None) -> int:
        """Return r + 1, the largest of all groups."""
        return int(self._before(horizon, moment).max()) + 1

    def weights(self, horizon: int, moment: Moment | None) -> Tensor:
        """Return 1 at step r + 1, else 0."""
        moment = needed(self, moment)
        place = torch.arange(horizon, device=moment.keys.device)
        return (place == self._before(horizon, moment)[:, None]).to(torch.get_default_dtype())


@dataclass(frozen=True)
class ProfessorForcing(OpenLoop):
    """Open loop, and an adversary that makes free running look like it.

    Every batch is rolled out twice: fed with observed targets, and with the model's own outputs. A discriminator learns
    to tell the two apart from the outputs of the whole window; the model's loss is the open-loop one, plus `weight`
    times what it takes to pass its free running off as the other: ``loss * (1 + weight * -log D(free running))``, the
    factor without gradient to the loss, so that a weight means the same in any units.

    Parameters
    ----------
    weight : float
        0 is plain open loop.
    both : bool
        Whether the outputs under observed targets are to look like free running, too (the optional term of the paper).
    hidden : int
        Width of the discriminator's two hidden layers.
    learning_rate : float
        Of its own AdamW.
    low, high : float
        The model learns from the discriminator only in batches in which its accuracy is above `low`, and the
        discriminator only where it is below `high`. As published, .75 and .99.

    Notes
    -----
    The discriminator reads outputs less the last value of the context, over their size in the batch; the paper's reads
    hidden states as well, which a linear map or a perceptron does not have. Windows with a missing target are not shown
    to it. Each group (series, for scope="local") has a discriminator of its own.

    Outputs under observed targets follow their noise, and a point forecast running free does not: on noisy series the
    two differ however good the model is. The method was made for models that draw their outputs. And a game between two
    settles nowhere: the run on all rows need not end where the one that was judged did.

    References
    ----------
    Lamb et al. 2016, "Professor forcing: a new algorithm for training recurrent networks".

    Examples
    --------
    >>> ProfessorForcing(weight=0.5).ratio(None)
    1.0
    """

    weight: float = 1.0
    both: bool = False
    hidden: int = 32
    learning_rate: float = 1e-2
    low: float = 0.75
    high: float = 0.99

    def __post_init__(self) -> None:
        if not (is_number(self.weight) and 0 <= self.weight < math.inf):
            raise ArgumentError(f"weight={self.weight!r}: expected a number of at least 0.")
        if not (is_number(self.learning_rate) and 0 < self.learning_rate < math.inf):
            raise ArgumentError(f"learning_rate={self.learning_rate!r}: expected a number above 0.")
        if not isinstance(self.both, bool):
            raise ArgumentError(f"both={self.both!r}: expected True or False.")
        check_whole("hidden", self.hidden, 1)
        for name, value in (("low", self.low), ("high", self.high)):
            if not (is_number(value) and 0 <= value <= 1):
                raise ArgumentError(f"{name}={value!r}: expected an accuracy between 0 and 1.")

    @property
    def adversary(self) -> ProfessorForcing | None:
        """Itself, where it has a weight."""
        return self if self.weight > 0 else None
