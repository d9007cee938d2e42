"""What policies require, what solvers have: every public policy is trained by a solver, or refused in one way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

import tsforce
import tsforce.forcing as door
from tests.makers import make_frame
from tsforce import ClosedLoop, Curriculum, NARXForecaster, OpenLoop
from tsforce.dynamics.capabilities import CAPABILITIES, Offer
from tsforce.errors import ArgumentError
from tsforce.forcing import (
    Adaptive,
    Annealed,
    Forcing,
    GeneralizedTeacherForcing,
    InputNoise,
    ParallelSampling,
    ProfessorForcing,
    Pushforward,
    RollOutLength,
    SparseTeacherForcing,
    StepWeights,
    TeacherForcingRatio,
)
from tsforce.forecasting.training_options import Training
from tsforce.training.solvers import gradient, levenberg_marquardt, relabel

# What each policy needs, in the words of the literature's methods: written down by hand.
REQUIRED = {
    OpenLoop(): set(),
    ClosedLoop(): set(),
    ClosedLoop(gradient=0.5, cut_every=2): set(),
    Curriculum(): set(),
    Curriculum(Adaptive()): {"errors"},
    TeacherForcingRatio(): set(),
    SparseTeacherForcing(3): set(),
    GeneralizedTeacherForcing(): set(),
    GeneralizedTeacherForcing(Annealed()): {"gains"},
    GeneralizedTeacherForcing(Adaptive()): {"errors"},
    InputNoise(): {"noise"},
    InputNoise(kind="random_walk"): {"noise"},
    Pushforward(): {"steps", "weights"},
    ProfessorForcing(): {"discriminator"},
    ProfessorForcing(weight=0.0): set(),
    RollOutLength(): {"steps"},
    RollOutLength(InputNoise()): {"steps", "noise"},
    StepWeights(): {"weights"},
    StepWeights(ProfessorForcing()): {"weights", "discriminator"},
    ParallelSampling(): {"passes"},
    ParallelSampling(Curriculum(Adaptive())): {"passes", "errors"},
}
SOLVERS = {
    "adamw": (gradient.OFFER, {"max_steps": 2, "training": Training(solver="adamw", batch_size=4)}),
    "levenberg_marquardt": (
        levenberg_marquardt.OFFER,
        {"max_steps": 2, "training": Training(solver="levenberg_marquardt")},
    ),
    "rows": (relabel.OFFER, {"model": Ridge(), "max_steps": 1}),
}


def narx(**settings):
    return NARXForecaster(3, 4, season_length=7, **settings)


def test_every_public_policy_is_in_this_table():
    public = {one for one in vars(door).values() if isinstance(one, type) and issubclass(one, Forcing)} - {Forcing}
    assert {type(policy) for policy in REQUIRED} == public


@pytest.mark.parametrize("policy", REQUIRED, ids=repr)
def test_a_policy_requires_what_it_does_beyond_a_share_of_truth(policy):
    assert policy.requires == REQUIRED[policy]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("policy", REQUIRED, ids=repr)
def test_a_solver_trains_under_a_policy_or_says_what_it_lacks_and_what_to_choose(policy, solver):
    offer, settings = SOLVERS[solver]
    df = make_frame((30, 26))
    lacking = REQUIRED[policy] - offer.has
    model = narx(mode=policy, **settings)
    if not lacking:
        assert np.isfinite(model.fit(df).predict()["NARXForecaster"]).all()
        return
    words = " and ".join(said for name, said in CAPABILITIES.items() if name in lacking)
    with pytest.raises(ArgumentError) as caught:
        model.fit(df)
    assert (
        str(caught.value) == f"mode={policy!r} needs {words}, which {offer.solver} does not have; use {offer.instead}."
    )


def test_every_capability_is_had_by_a_solver_and_required_by_a_policy():
    assert set().union(*REQUIRED.values()) == set(CAPABILITIES) == set(gradient.OFFER.has)


@pytest.mark.parametrize("policy", [ParallelSampling(), GeneralizedTeacherForcing(Annealed())], ids=repr)
@pytest.mark.parametrize("model", ["gru", "lstm", "encoder_decoder"])
def test_a_model_with_a_state_is_refused_before_it_is_trained(policy, model, monkeypatch):
    monkeypatch.setattr("tsforce.training.fit.fit_by_gradient", lambda *_, **__: pytest.fail("was trained"))
    want = "which AdamW on a model with a state does not have; use a model without one, such as model='linear'"
    with pytest.raises(ArgumentError, match=re.escape(want)):
        narx(model=model, mode=policy).fit(make_frame((40,)))


def test_of_several_reasons_the_one_that_holds_is_named():
    """Without validation a discriminator is no more out of reach than with it."""
    model = narx(mode=ProfessorForcing(), training=Training(solver="levenberg_marquardt", validation=False))
    with pytest.raises(ArgumentError, match=r"a discriminator.*Levenberg-Marquardt does not have; use Training\("):
        model.fit(make_frame((40,)))


@dataclass(frozen=True)
class Own(Forcing):
    """A policy as a user writes it: what it says of gradients are fields, what it says of noise a method."""

    gradient: str | float = "detach"
    cut_every: int | None = 3

    def ratio(self, moment):
        return 1.0

    def share(self, known, moment=None):
        return known.double()

    def noise(self, future, moment):
        return 0.1 * torch.ones_like(future)


def test_a_policy_of_ones_own_requires_what_its_methods_do():
    assert Own().requires == {"noise"}
    assert RollOutLength(Own()).requires == {"noise", "steps"}
    with pytest.raises(ArgumentError, match="needs noise on what is read"):
        narx(model=Ridge(), mode=Own()).fit(make_frame((40,)))


def test_fields_of_a_policy_of_ones_own_say_how_gradient_flows_and_there_are_defaults():
    assert (Own().gradient_scale, Own().cuts_every) == (0.0, 3)
    assert (Own(0.25, None).gradient_scale, Own(0.25, None).cuts_every) == (0.25, None)
    assert (OpenLoop().gradient_scale, OpenLoop().cuts_every) == (1.0, None)
    assert (InputNoise().gradient_scale, InputNoise().cuts_every) == (1.0, None)
    assert [f for policy in (OpenLoop(), InputNoise()) for f in policy.__dataclass_fields__] == ["sigma", "kind"]


def test_what_has_no_name_is_an_error_with_the_names_there_are():
    class Odd(OpenLoop):
        requires = frozenset({"noize"})

    with pytest.raises(ArgumentError, match=r"requires='noize' is not known; accepted: 'errors'.*Did you mean 'noise'"):
        gradient.OFFER.check(Odd())


def test_what_is_left_of_an_offer_says_where_and_what_instead():
    whole = Offer("it", frozenset({"noise", "steps"}), "another")
    part = whole.without("noise", where="at night", instead="the day")
    assert (part.solver, part.has, part.instead) == ("it at night", {"steps"}, "the day")
    assert (whole.takes(InputNoise()), part.takes(InputNoise()), part.takes(RollOutLength())) == (True, False, True)


def test_no_getattr_asks_a_policy_what_it_is():
    """All hooks are declared on the base: a misspelt one is an error of the type checker."""
    found = []
    for path in Path(tsforce.__file__).parent.rglob("*.py"):
        for asked in re.findall(r"\b(?:get|has)attr\(([\w.]+)", path.read_text(encoding="utf-8")):
            if re.search("forcing|policy", asked) or (path.parent.name == "dynamics" and asked == "self"):
                found.append((path.name, asked))
    assert found == []
