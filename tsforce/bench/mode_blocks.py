"""Blocks of the modes bench: modes are compared where solver, loss, steps and validation are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tsforce.dynamics.models.families import FAMILIES
from tsforce.forecasting.base import Forecaster
from tsforce.forecasting.training_options import Training

__all__ = ["BLOCKS", "Block", "members_of"]


@dataclass(frozen=True)
class Block:
    """How a model is trained in every mode of a comparison.

    Attributes
    ----------
    solver : str
        As in ``Training``. Under "moments", open loop is the closed form of the same loss, where moments begin and what
        they are held near; under "adamw", AdamW trains in open loop too. "auto": rounds of a regressor.
    loss : str
    steps : int or None
        Of every mode; None: the solver's default for the model.

    Examples
    --------
    >>> from tsforce import NARXForecaster
    >>> from tsforce.bench import BLOCKS
    >>> BLOCKS["adamw mae"]
    Block(solver='adamw', loss='mae', steps=None)
    >>> BLOCKS["adamw mae"].apply(NARXForecaster(6, model="mlp", max_steps=50), "curriculum", seed=0)
    {'solver': 'AdamW', 'loss': 'mae', 'steps': 300}
    """

    solver: str
    loss: str
    steps: int | None = None

    def apply(self, model: Forecaster, mode: str, seed: int) -> dict[str, Any]:
        """Set up a model, or the members of one, for a mode, and return what its row says of that."""
        closed = self.solver == "moments" and mode == "open_loop"
        for member in members_of(model).values():
            member.set_params(random_state=seed)
            if self.solver != "auto":
                solver = "auto" if closed else self.solver
                member.set_params(training=Training(solver=solver), loss=self.loss, max_steps=self.steps)
        first = next(iter(members_of(model).values()))
        steps = first.get_params()["max_steps"]
        if steps is None:
            family = FAMILIES[first.get_params()["model"]]
            steps = (family.pooled if first.get_params()["scope"] == "global" else family.local).steps
        names = {"auto": "rounds of the regressor", "adamw": "AdamW", "moments": "moments"}
        return {
            "solver": "closed form" if closed else names[self.solver],
            "loss": "the regressor's" if self.solver == "auto" else self.loss,
            "steps": 0 if closed else steps,
        }


# What the name of a row's block stands for. Steps on moments are the same in every mode.
BLOCKS = {
    "moments mse": Block("moments", "mse", 40),
    "moments huber": Block("moments", "huber", 40),
    "adamw mse": Block("adamw", "mse"),
    "adamw mae": Block("adamw", "mae"),
    "rounds": Block("auto", "auto"),
}


def members_of(model: Any) -> dict[str, Any]:
    """Return the members of an Ensemble by name, or the model itself."""
    return dict(getattr(model, "members", {"": model}))
