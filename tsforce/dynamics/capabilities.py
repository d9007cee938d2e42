"""What policies ask of a solver beyond roll-outs that are fed a share of truth at each step, and who offers it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from tsforce.errors import ArgumentError, check_choice

__all__ = ["CAPABILITIES", "Offer"]

CAPABILITIES = {
    "errors": "the closed-loop validation error of every look",
    "gains": "the gain of the feedback, measured while it trains",
    "discriminator": "a discriminator beside the model",
    "passes": "roll-outs in parallel passes",
    "noise": "noise on what is read",
    "steps": "roll-outs over a part of the horizon",
    "weights": "steps that do not count alike",
}


class _Policy(Protocol):
    @property
    def requires(self) -> frozenset[str]: ...


@dataclass(frozen=True)
class Offer:
    """What a solver can do, and what to choose in place of it where that is not enough.

    Attributes
    ----------
    solver : str
        Its name, as a message says it.
    has : frozenset of str
        Names of `CAPABILITIES`.
    instead : str

    Examples
    --------
    >>> from tsforce.forcing import ClosedLoop, InputNoise
    >>> plain = Offer("the plain solver", frozenset(), "another one")
    >>> plain.takes(ClosedLoop()), plain.takes(InputNoise())
    (True, False)
    """

    solver: str
    has: frozenset[str]
    instead: str

    def takes(self, policy: _Policy) -> bool:
        """Return whether the solver can do all that a policy requires."""
        return policy.requires <= self.has

    def check(self, policy: _Policy) -> None:
        """Raise unless the solver can do all that a policy requires.

        Raises
        ------
        ArgumentError
            With the policy, what it needs, the solver, and what to choose instead; or with the names that there are, if
            the policy requires something that has none.
        """
        for name in sorted(policy.requires):
            check_choice("requires", name, tuple(CAPABILITIES))
        lacking = [words for name, words in CAPABILITIES.items() if name in policy.requires - self.has]
        if lacking:
            raise ArgumentError(
                f"mode={policy!r} needs {' and '.join(lacking)}, which {self.solver} does not have; use {self.instead}."
            )

    def without(self, *lost: str, where: str, instead: str) -> Offer:
        """Return what is left of it `where` some capabilities are lost."""
        return replace(self, solver=f"{self.solver} {where}", has=self.has - set(lost), instead=instead)
