"""Initial outputs of roll-outs as unknowns beside the weights: multiple shooting for the Levenberg-Marquardt solver.

A roll-out that starts on measured outputs starts on their noise, and carries it on from step to step. Here each window
has its own initial outputs, held near the measured ones by residuals of their own and solved for with the weights. They
belong to one window each, so that they are eliminated window by window (Schur complement), and the matrix that the
weights need stays as small as it was.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsforce.training.solvers.jacobians import ByStart, RollOuts, symmetric_product

__all__ = ["Starts"]

# Share of the mean of the diagonal in every initial output's damping, as for weights.
_EVEN = 0.1


class Starts:
    """By how much the initial outputs of windows differ from the measured ones.

    Added to the loss: `ratio` times the square of each difference, weighted as the mean of the residuals that count.
    Ratio 1 takes the measured initial outputs as outputs like any other: errors in variables, where all outputs have
    the same noise. A ratio without bound is a start on measured outputs.

    Windows overlap, one starts at every row. Nothing asks that one ends where another begins: what ties neighbours are
    the measured rows that they share. (Continuity makes one trajectory of disjoint pieces, Bock 1981, "Numerical
    treatment of inverse problems in chemical reaction kinetics"; pieces without it smooth what is to be minimised all
    the same, Ribeiro et al. 2020, "On the smoothness of nonlinear system identification".)

    Parameters
    ----------
    rows : int
        R, as many last rows of a context as output lags can reach.
    ratio : float
        Variance of the roll-outs' residuals over that of the errors of the measured initial outputs; above 0.
    table : (N, R, C)
        Zeros: the differences of windows with their cutoff at each row of all series. One that is drawn again goes on
        from where it was left.

    Attributes
    ----------
    offset : (G, B, R, C)
        Differences of the windows in use, model units.
    trial : (G, B, R, C)
        Those of the step that is being tried.
    """

    def __init__(self, rows: int, ratio: float, table: Tensor) -> None:
        self.rows, self.ratio, self.table = rows, ratio, table

    def use(self, flat: Tensor, real: Tensor, residuals: RollOuts) -> None:
        """Take windows into use.

        Parameters
        ----------
        flat : (G, B) int64
            Rows of the table.
        real : (G, B) bool
            Which windows are no padding.
        residuals : RollOuts
            Theirs, from measured outputs.
        """
        self.flat, self.real, self.residuals = flat, real, residuals
        count = (residuals.root > 0).sum(dim=(1, 2, 3)).clamp(min=1)
        self.weight = self.ratio / count.to(residuals.root.dtype)
        self.trial = self.offset = torch.where(real[..., None, None], self.table[flat], 0.0)

    def loss(self, model: nn.Module) -> Tensor:
        """Return the weighted mean of squares of each group from the trial's initial outputs, (G,), with their own."""
        return self.residuals.moved(self.trial).loss(model) + self._own(self.trial)

    def _own(self, offset: Tensor) -> Tensor:
        return self.weight * offset.square().sum(dim=(1, 2, 3))

    def gram(self, model: nn.Module) -> Tensor:
        """Return ``[r J]' [r J]``, (G, 1 + P, 1 + P), lower triangle, J by the weights alone, and keep the rest."""
        gram, products = self.residuals.moved(self.offset).products(model, self.rows)
        assert products is not None
        gram[:, 0, 0] += self._own(self.offset)
        weight = self.weight[:, None, None]
        products.with_all[..., 0] += weight * self.offset.flatten(2)
        products.own.diagonal(dim1=2, dim2=3).add_(weight)
        self.finite = torch.isfinite(products.own).flatten(1).all(dim=1)
        self.finite &= torch.isfinite(products.with_all).flatten(1).all(dim=1)
        if not bool(self.finite.all()):
            # Groups that stop: nothing of theirs may meet what is factorised side by side with it.
            products.with_all[~self.finite] = 0.0
            products.own[~self.finite] = torch.eye(products.own.shape[2]).to(products.own)
        self.products: ByStart = products
        return gram

    def eliminate(self, scale: Tensor, damping: Tensor) -> Tensor:
        """Return what the initial outputs take off the matrix and the slope of the weights.

        Parameters
        ----------
        scale : (G, P)
            Units of the weights are divided by it.
        damping : (G,)

        Returns
        -------
        (G, 1 + P, 1 + P)
            ``[g B]' (D + m S)^-1 [g B]``, lower triangle, summed over windows: D the damped matrix of a window's
            initial outputs, g their slope and B what they share with the weights, all scaled.
        """
        diagonal = self.products.own.diagonal(dim1=2, dim2=3)
        self.scale = (diagonal + _EVEN * diagonal.mean(dim=2, keepdim=True)).sqrt()
        own = self.products.own / self.scale[..., None] / self.scale[:, :, None]
        own.diagonal(dim1=2, dim2=3).add_(damping[:, None, None])
        shared = self.products.with_all / self.scale[..., None]
        shared[..., 1:] /= scale[:, None, None]
        self.slope, self.damping = shared[..., 0], damping
        # A sum of squares and something above 0 on the diagonal: it has a factor.
        self.factor = torch.linalg.cholesky_ex(own)[0]
        self.half = torch.linalg.solve_triangular(self.factor, shared, upper=False)
        width = self.half.shape[3]
        less = scale.new_zeros(len(scale), width, width)
        symmetric_product(self.half.flatten(1, 2), less)
        return less

    def follow(self, step: Tensor) -> Tensor:
        """Return what the initial outputs add to the promised fall of the loss, (G,), as the weights take a step.

        Parameters
        ----------
        step : (G, P)
            In the units of `eliminate`.
        """
        right = self.half[..., :1] + self.half[..., 1:] @ step[:, None, :, None]
        own = -torch.linalg.solve_triangular(self.factor.mT, right, upper=True)[..., 0]
        self.move = (own / self.scale).unflatten(2, self.offset.shape[2:])
        promised: Tensor = (own * (self.damping[:, None, None] * own - self.slope)).sum(dim=(1, 2))
        return promised

    def attempt(self, going: Tensor) -> None:
        """Try the step in the groups that take one, (G,) bool."""
        self.trial = torch.where(going[:, None, None, None], self.offset + self.move, self.offset)

    def keep(self, accepted: Tensor) -> None:
        """Go on from the trial in some groups, (G,) bool, and from where they were in the others."""
        self.offset = torch.where(accepted[:, None, None, None], self.trial, self.offset)
        self.table[self.flat[self.real]] = self.offset[self.real]
