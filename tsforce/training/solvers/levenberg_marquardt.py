"""The Levenberg-Marquardt solver: damped Gauss-Newton steps on one-step residuals and on those of whole roll-outs.

For small networks and linear maps: each group holds the Gram matrix of its Jacobian, P x P for P parameters. Groups
(series, for scope="local") are independent: each has its own damping, accepts or rejects its own steps, and stops on
its own. A series fitted among others is fitted as if alone.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tsforce.data.panel import IntArray
from tsforce.dynamics.capabilities import Offer
from tsforce.dynamics.draws import uniform
from tsforce.dynamics.forcing import Moment, OpenLoop
from tsforce.dynamics.lags import Inputs
from tsforce.dynamics.models.base import StepModel
from tsforce.dynamics.models.linear import Linear
from tsforce.errors import ArgumentError, check_choice
from tsforce.training.solvers.jacobians import Fixed, RollOuts, Rows
from tsforce.training.solvers.keeping import State, put_back
from tsforce.training.solvers.lag_rows import rows_of
from tsforce.training.solvers.looks import Lesson, Looks, Trained, Watch, finite_mean
from tsforce.training.solvers.partials import n_parameters, partials_of
from tsforce.training.solvers.starts import Starts

__all__ = ["INITIAL_OUTPUTS", "OFFER", "Settings", "train"]

FloatArray = npt.NDArray[np.float64]

INITIAL_OUTPUTS = ("measured", "free")
# Squares of roll-outs step by step, whatever they are fed.
OFFER = Offer("Levenberg-Marquardt", frozenset({"errors", "noise", "steps", "weights"}), "Training(solver='adamw')")

# Bytes of Gram matrices of one model at most, and cutoffs read at once.
_MOST_BYTES = 2**29
_AT_ONCE = 4096
# Residuals per parameter that a drawn sample has at least.
_PER_PARAMETER = 20
# Share of the mean of the diagonal in every weight's damping.
_EVEN = 0.1
# A step that promises to lower the loss by less than this share of it is the last one. Of roll-outs of a linear map,
# whose loss has no plateaus to cross, what is left then is far below the weights' standard errors.
_TOLERANCE, _TOLERANCE_LINEAR = 1e-14, 1e-8


@dataclass(frozen=True)
class Settings:
    """How the Levenberg-Marquardt solver runs.

    Attributes
    ----------
    max_steps : int
        Iterations planned, accepted or not; schedules are relative to it.
    batch_size : int or None
        Cutoffs in use at a time, of each series for scope="local", of all for "global": all if there are no more, else
        so many are drawn afresh for each epoch. None: as many as give 20 residuals per parameter, and not fewer than
        20 000 one-step rows, or 256 windows of a roll-out.
    loss : str
        "mse": Gauss and Newton minimise squares.
    loss_space : str
        "model".
    hold : int
        Iterations of an epoch, in which residuals stay the same (masks, draws, length); validation is looked at after
        each.
    penalty : float
        Added to the mean of squares times half the sum of squared weights (Tikhonov).
    damping : float
        The first one.
    patience : int
        Looks without a better closed-loop error after which a group stops, counted once the policy has settled.
    time_limit : float or None
        CPU seconds after which the run ends where it is.
    initial_outputs : str
        "measured": roll-outs start on measured outputs. "free": on outputs that are learnt with the weights, window by
        window, and held near the measured ones (see ``starts.Starts``).
    initial_weight : float
        Of the square of what a free initial output differs from the measured one by, in weights of other residuals.
    """

    max_steps: int
    batch_size: int | None = None
    loss: str = "mse"
    loss_space: str = "model"
    hold: int = 5
    penalty: float = 0.0
    damping: float = 1e-2
    patience: int = 8
    time_limit: float | None = None
    initial_outputs: str = "measured"
    initial_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, value, only in (("loss", self.loss, "mse"), ("loss_space", self.loss_space, "model")):
            if value != only:
                raise ArgumentError(
                    f"{name}={value!r}: Levenberg-Marquardt minimises the mean of squares in model units; use "
                    f"{name}={only!r}, or Training(solver='adamw')."
                )
        check_choice("initial_outputs", self.initial_outputs, INITIAL_OUTPUTS)
        if not 0 < self.initial_weight < math.inf:
            raise ArgumentError(
                f"initial_weight={self.initial_weight!r}: expected a number above 0; initial outputs that are not to "
                f"differ from the measured ones are initial_outputs='measured'."
            )

    @property
    def every(self) -> int:
        """Iterations from one look to the next."""
        return self.hold

    def with_steps(self, max_steps: int) -> Settings:
        """Return the same settings for another number of steps."""
        return replace(self, max_steps=max(1, max_steps))


def train(model: nn.Module, lesson: Lesson, watch: Watch, settings: Settings) -> Trained:
    """Train `model`, whose weights are float64, in place and return what was chosen.

    Parameters as in ``gradient.train``; the history gets a record after each epoch, without a learning rate.

    Raises
    ------
    ArgumentError
        If the model has too many weights.

    Notes
    -----
    A step solves ``(J'J + m D) d = -J'r`` by Cholesky, J the Jacobian of the residuals r, and is taken if the loss on
    the same residuals falls. D is the diagonal of J'J (Marquardt 1963) and a tenth of its mean (Levenberg 1944):
    without it, a weight that has little influence for a moment is sent where it never has any again. The damping m
    follows the ratio of the fall to the one that the quadratic model predicts (Nielsen 1999, "Damping parameter in
    Marquardt's method"); a matrix that has no factor, and residuals that are not finite, raise it too.

    Free initial outputs are part of d, r and J: damped, tried and taken or not with the weights.
    """
    _check_size(model, len(lesson.keys))
    solver = _Solver(model, lesson, settings)
    trained = Looks(lesson, watch, settings).run(solver)
    solver.put(solver.theta if watch.validate is None else solver.best)
    for p in model.parameters():
        p.requires_grad_(False)
    return trained


def _check_size(model: nn.Module, n_groups: int) -> None:
    width = 1 + n_parameters(model)
    if 8 * n_groups * width**2 > _MOST_BYTES:
        together = "" if n_groups == 1 else f" in each of {n_groups} models side by side"
        raise ArgumentError(
            f"{width - 1} weights{together} are too many for Levenberg-Marquardt, which keeps a matrix of all pairs; "
            f"use a smaller network such as tsforce.models.MLP(hidden=(32,), activation='tanh'), fewer lags, or "
            f"Training(solver='adamw')."
        )


class _Solver:
    """Weights, damping and the matrices of the residuals now in use, each with a leading axis of G groups.

    Attributes
    ----------
    theta, best : (G, P)
        Weights, and the best so far.
    loss : (G,)
        Of the residuals in use, at `theta`.
    active : (G,) bool
        Groups that have not stopped.
    idle : (G,) bool
        Groups that have arrived where these residuals lead.
    diverged : (G,) bool
        Groups that met numbers that are not finite where they stood.
    drawn : (G,) bool
        Groups with more cutoffs than are in use at a time.
    """

    def __init__(self, model: nn.Module, lesson: Lesson, settings: Settings) -> None:
        self.model, self.settings, self.cutoffs, self.store = model, settings, lesson.cutoffs, lesson.cutoffs.store
        self.horizon, self.forcing, self.keys = lesson.horizon, lesson.forcing, lesson.keys
        self.parameters = list(model.parameters())
        self.theta = torch.cat([p.detach().flatten(start_dim=1) for p in self.parameters], dim=1)
        self.best = self.theta.clone()
        n_groups, device = len(self.keys), self.theta.device
        self.loss = self.theta.new_full((n_groups,), math.nan)
        self.damping = self.theta.new_full((n_groups,), settings.damping)
        self.growth = self.theta.new_full((n_groups,), 2.0)
        self.active = torch.ones(n_groups, dtype=torch.bool, device=device)
        self.idle, self.diverged = torch.zeros_like(self.active), torch.zeros_like(self.active)
        layout = cast(StepModel, model).layout
        past = self.store.values.new_zeros(n_groups, 1, layout.reach, self.store.values.shape[1])
        self.stateless = cast(StepModel, model).init_state(past) is None
        self.one_step = self.forcing == OpenLoop() and partials_of(model) is not None
        self.residuals: Rows | RollOuts | None = None
        self.gram: Tensor | None = None
        steps = (self.horizon if layout.past_exog else 1) if self.one_step else self.horizon
        self.tolerance = _TOLERANCE_LINEAR if isinstance(model, Linear) and not self.one_step else _TOLERANCE
        # Groups with fewer terms than others are filled up: what does so is no parameter of theirs.
        self.fillers = getattr(model, "fillers", lambda: None)()
        self.sizes = self.theta.new_full((n_groups, 1), self.theta.shape[1])
        if self.fillers is not None:
            self.sizes -= self.fillers.sum(dim=1, keepdim=True)
        enough = np.ceil(_PER_PARAMETER * self.sizes[:, 0].cpu().numpy() / (steps * len(layout.channels))).astype(int)
        self.most = np.maximum(enough, 20_000 if self.one_step else 256)
        if settings.batch_size:
            self.most[:] = settings.batch_size
        self.drawn = torch.from_numpy(self.cutoffs.totals > self.most).to(device)
        self.starts = self._starts() if settings.initial_outputs == "free" else None

    def _starts(self) -> Starts:
        """Return free initial outputs, all where they were measured."""
        layout = cast(StepModel, self.model).layout
        if self.forcing == OpenLoop() or not self.stateless:
            found = "OpenLoop() starts at every row" if self.stateless else "a recurrent model starts from its state"
            raise ArgumentError(
                f"initial_outputs='free': {found}; use initial_outputs='measured', or mode='closed_loop' with a model "
                f"that has no state of its own."
            )
        values, rows = self.store.values, max(1, layout.target_reach)
        windows, own = int(np.minimum(self.most, self.cutoffs.totals).max()), rows * values.shape[1]
        most = _MOST_BYTES // (8 * len(self.keys) * own * (1 + self.theta.shape[1] + own))
        if windows > most:
            raise ArgumentError(
                f"initial_outputs='free': {windows} windows with {own} initial outputs each are too many beside "
                f"{self.theta.shape[1]} weights; set batch_size={max(most, 1)}, or less, or use fewer lags."
            )
        return Starts(rows, self.settings.initial_weight, values.new_zeros(len(values), rows, values.shape[1]))

    def put(self, theta: Tensor) -> None:
        """Set the model's weights."""
        pieces = theta.split([p[0].numel() for p in self.parameters], dim=1)
        for p, piece in zip(self.parameters, pieces, strict=True):
            p.data.copy_(piece.view_as(p))

    # ---- looks

    def advance(self, step: int, looks: Looks) -> None:
        """Take a step in every group that has not arrived, on fresh residuals where an epoch begins."""
        if step % self.settings.hold == 0:
            self.read(looks.moment(step))
        self.iterate()

    def tell(self, step: int) -> tuple[float, float]:
        """Return the mean loss of all groups; there is no learning rate."""
        del step
        return finite_mean(self.loss.cpu().numpy()), math.nan

    def shown(self) -> AbstractContextManager[nn.Module]:
        """Give the model as it is."""
        return nullcontext(self.model)

    def keep(self, won: Tensor) -> None:
        """Remember the weights of some groups."""
        self.best[won] = self.theta[won]

    def over(self, step: int, looks: Looks) -> bool:
        """Return whether groups have arrived for good: where nothing they learn from will change any more."""
        done = not bool((self.active & ~self.idle).any())
        return done and not bool(self.drawn.any()) and bool(looks.settled(step).all())

    def state(self) -> State:
        """Return weights, damping, and who still moves; residuals are taken again."""
        return {"moved": self._moved()}

    def _moved(self) -> list[Tensor]:
        free = [] if self.starts is None else [self.starts.table]
        own = [self.theta, self.best, self.loss, self.damping, self.growth, self.active, self.idle, self.diverged]
        return own + free

    def go_on(self, state: State, step: int, looks: Looks) -> None:
        """Take the place of a solver that had a `state` after `step` steps."""
        # Residuals first, as they were in use: whether those of the next epoch are others is asked of them.
        begun = (step - 1) // self.settings.hold * self.settings.hold
        put_back(self._moved(), state["moved"])
        self.put(self.theta)
        self.read(looks.moment(begun))
        put_back(self._moved(), state["moved"])

    # ---- residuals

    def _cutoffs(self, epoch: int) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
        """Return series and cutoffs in use, (G, B) each, and which of them are no padding."""
        chosen = []
        for g, total in enumerate(self.cutoffs.totals.tolist()):
            number = np.arange(total)
            if total > self.most[g]:
                order = torch.argsort(uniform(self.keys[g : g + 1], (12, epoch), total)[0])
                number = np.sort(order[: self.most[g]].cpu().numpy())
            chosen.append(self.cutoffs.numbered(g, number))
        widest = max(len(rows) for _, rows in chosen)
        real = np.arange(widest) < np.array([[len(rows)] for _, rows in chosen])
        series, rows = (
            np.stack([np.pad(one, (0, widest - len(one)), mode="edge") for one in side])
            for side in zip(*chosen, strict=True)
        )
        return series, rows, real

    def read(self, moment: Moment) -> None:
        """Take the residuals of a moment into use."""
        fresh = self._rows(moment) if self.one_step else self._roll_outs(moment)
        if fresh is None:
            return
        changed = self.drawn.clone()
        if not isinstance(fresh, Rows):
            old = self.residuals
            changed |= ~fresh.same_as(old) if isinstance(old, RollOuts) else True
        if self.residuals is None or bool(changed.any()):
            self.residuals, self.gram = fresh, None
            if self.starts is not None:
                series, rows, real = self._cutoffs(moment.epoch)
                flat, own = (
                    torch.from_numpy(a).to(self.theta.device) for a in (self.store.indptr[series] + rows, real)
                )
                self.starts.use(flat, own, cast(RollOuts, fresh))
        # Whoever has neighbours whose residuals change goes on as if alone.
        self.idle &= ~changed
        self.growth[changed] = 2.0

    def _rows(self, moment: Moment) -> Rows | None:
        if self.residuals is not None and not bool(self.drawn.any()):
            return None
        series, cutoffs, real = self._cutoffs(moment.epoch)
        layout = cast(StepModel, self.model).layout
        steps = self.horizon if layout.past_exog else 1
        parts = []
        for start in range(0, series.shape[1], _AT_ONCE):
            part = np.s_[:, start : start + _AT_ONCE]
            batch = self.store.batch(series[part], cutoffs[part], steps)
            assert batch.future_mask is not None
            seen = self.cutoffs.may_be_learnt(series[part], cutoffs[part], steps)
            known = batch.future_mask & torch.from_numpy(seen & real[part][..., None]).to(batch.past.device)[..., None]
            x, y = rows_of(layout, batch, steps)
            weight = torch.cat([known[:, :, h] for h in range(steps)], dim=1)
            parts.append((x, torch.where(weight, y, 0.0), weight.double()))
        x, y, weight = (torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True))
        return Rows(x, y, _shares(weight))

    def _roll_outs(self, moment: Moment) -> RollOuts:
        steps = self.forcing.steps(self.horizon, moment)
        series, cutoffs, real = self._cutoffs(moment.epoch)
        layout = cast(StepModel, self.model).layout
        # A memory is of what comes before the first row of the context.
        reads_all = not self.stateless or layout.knows_begin
        parts = []
        for start in range(0, series.shape[1], _AT_ONCE):
            part = np.s_[:, start : start + _AT_ONCE]
            batch = self.store.batch(series[part], cutoffs[part], steps)
            assert batch.future is not None
            assert batch.future_mask is not None
            past = batch.past if reads_all else batch.past[:, :, -layout.reach :].clone()
            parts.append((past, batch.future, batch.future_mask, *(batch.inputs or ())))
        past, future, mask, *inputs = (torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True))
        seen = self.cutoffs.may_be_learnt(series, cutoffs, steps)
        known = mask & torch.from_numpy(seen).to(past.device)[..., None]
        future = torch.where(known, future, 0.0)
        weight = (known & torch.from_numpy(real).to(past.device)[..., None, None]).double()
        own = self.forcing.weights(self.horizon, moment)
        if own is not None:
            weight = weight * own.to(weight)[:, None, :steps, None]
        share = noisy = None
        if self.forcing.needs_truth:
            share = self.forcing.share(known, moment).to(past)
            noise = self.forcing.noise(future, moment)
            noisy = None if noise is None else future + noise.to(future)
        lags = len(layout.lags)
        walks = [self.forcing.lag_noise(past, lags, h, moment) for h in range(steps)]
        fed = Fixed(
            share, self.forcing.gradient_scale, self.forcing.cuts_every,
            None if walks[0] is None else torch.stack(cast(list[Tensor], walks), dim=2),
        )  # fmt: skip
        return RollOuts(past, future, _shares(weight), fed, noisy, cast(Inputs, tuple(inputs)) if inputs else None)

    # ---- iterations

    def _losses(self) -> Tensor:
        """Return the loss at the model's weights, the penalty included."""
        assert self.residuals is not None
        loss = (self.starts or self.residuals).loss(self.model)
        if self.settings.penalty:
            loss = loss + 0.5 * self.settings.penalty * self._flat().square().sum(dim=1)
        return loss

    def _flat(self) -> Tensor:
        return torch.cat([p.detach().flatten(start_dim=1) for p in self.parameters], dim=1)

    def iterate(self) -> None:
        """Try one step of every group that is neither stopped nor idle."""
        todo = self.active & ~self.idle
        if not bool(todo.any()):
            return
        if self.gram is None:
            assert self.residuals is not None
            self.gram = (self.starts or self.residuals).gram(self.model)
            penalty = self.settings.penalty
            if penalty:
                self.gram[:, 0, 0] += 0.5 * penalty * self.theta.square().sum(dim=1)
                self.gram[:, 1:, 0] += 0.5 * penalty * self.theta
                self.gram.diagonal(dim1=1, dim2=2)[:, 1:] += 0.5 * penalty
            self.loss = self.gram[:, 0, 0].clone()
            bad = todo & ~torch.isfinite(self.gram.diagonal(dim1=1, dim2=2)).all(dim=1)
            if self.starts is not None:
                bad |= todo & ~self.starts.finite
            self.diverged |= bad
            self.active &= ~bad
            todo &= ~bad
            self.gram[~torch.isfinite(self.gram).all(dim=(1, 2))] = 0.0
        step, predicted = self._propose()
        going = todo & torch.isfinite(predicted)
        trial = torch.where(going[:, None], self.theta + step, self.theta)
        self.put(trial)
        if self.starts is not None:
            self.starts.attempt(going)
        loss = self._losses()
        # A step into numbers that are not finite is no step.
        ratio = torch.where(torch.isfinite(loss), (self.loss - loss) / predicted, -math.inf)
        accepted = todo & (predicted > 0) & (loss <= self.loss)
        self.theta = torch.where(accepted[:, None], trial, self.theta)
        self.put(self.theta)
        if self.starts is not None:
            self.starts.keep(accepted)
        arrived = ~(predicted > self.tolerance * self.loss) & torch.isfinite(predicted)
        self.loss = torch.where(accepted, loss, self.loss)
        better = (1 - (2 * ratio - 1) ** 3).clamp(min=1 / 3)
        self.damping = torch.where(todo, self.damping * torch.where(accepted, better, self.growth), self.damping)
        self.growth = torch.where(accepted, 2.0, torch.where(todo, 2 * self.growth, self.growth))
        self.idle |= todo & (arrived | (self.damping > 1e16))
        if bool(accepted.any()):
            self.gram = None

    def _propose(self) -> tuple[Tensor, Tensor]:
        """Return a step (G, P) and by how much the quadratic model says that it lowers the loss, (G,); NaN: none."""
        assert self.gram is not None
        diagonal = self.gram.diagonal(dim1=1, dim2=2)[:, 1:]
        even = diagonal.mean(dim=1, keepdim=True)
        if self.fillers is not None:
            even = torch.where(self.fillers, 0.0, diagonal).sum(dim=1, keepdim=True) / self.sizes
        scale = diagonal + _EVEN * even
        scale = torch.where(scale > 0, scale, 1.0).sqrt()
        slope = self.gram[:, 1:, 0] / scale
        matrix = self.gram[:, 1:, 1:] / scale[:, :, None] / scale[:, None, :]
        matrix.diagonal(dim1=1, dim2=2).add_(self.damping[:, None])
        reduced = slope
        if self.starts is not None:
            less = self.starts.eliminate(scale, self.damping)
            matrix -= less[:, 1:, 1:]
            reduced = slope - less[:, 1:, 0]
        factor, info = torch.linalg.cholesky_ex(matrix)
        step = -torch.cholesky_solve(reduced[..., None], factor)[..., 0]
        predicted = (step * (self.damping[:, None] * step - slope)).sum(dim=1)
        if self.starts is not None:
            predicted = predicted + self.starts.follow(step)
        good = (info == 0) & torch.isfinite(step).all(dim=1)
        return step / scale, torch.where(good, predicted, math.nan)


def _shares(weight: Tensor) -> Tensor:
    """Return weights that sum to 1 in each group, or to 0 where there is none."""
    total = weight.sum(dim=tuple(range(1, weight.dim())), keepdim=True)
    return weight / torch.where(total > 0, total, 1.0)
