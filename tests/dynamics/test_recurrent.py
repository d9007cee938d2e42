"""Recurrent networks: the cells of torch, warm-up step by step, gradients, groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.forecasting.test_inputs import after, frame
from tests.makers import make_frame, wreck_after
from tsforce import Difference, Forecaster, Log, NARXForecaster
from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Moment, OpenLoop
from tsforce.dynamics.lags import LagLayout, known_inputs, lag_vector
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.recurrent import Recurrent
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore::tsforce.errors.UnusedColumnWarning")

G, B, L, H, R = 2, 3, 9, 5, 4
LAYOUT = LagLayout((1, 3), future_exog=(("u", (0, 2)),), past_exog=(("p", (1,)),), static=("s",), calendar=("c",))


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(cell, layout=LAYOUT, groups=G):
    width = len(layout.columns)
    start = Linear(layout, 0.2 * draw(groups, width, 1, seed=1), draw(groups, 1, seed=2))
    made = Recurrent(layout, cell, R, start, torch.arange(groups), dtype=torch.float64)
    made.readout.data.copy_(0.3 * draw(groups, R, 1, seed=3))
    return made


INPUTS = draw(G, B, L, 1, seed=4), draw(G, B, L + H, 1, seed=5), draw(G, B, 1, seed=6), draw(G, B, L + H, 1, seed=7)
PAST, FUTURE = draw(G, B, L, 1, seed=8), draw(G, B, H, 1, seed=9)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_cell_is_torchs(cell):
    made = model(cell)
    x = draw(G, B, 6, len(LAYOUT.columns))
    state = made.init_state(PAST)
    outputs = []
    for t in range(6):
        y, state = made.step(x[:, :, t], state)
        outputs.append(y[..., 0])
    for g in range(G):
        other = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](x.shape[-1], R, batch_first=True).double()
        own = (made.from_input[g].T, made.from_state[g].T, made.input_bias[g], made.state_bias[g])
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), own, strict=True):
            getattr(other, name).data.copy_(value)
        hidden, _ = other(x[g])
        wanted = x[g] @ made.skip[g] + made.bias[g] + hidden @ made.readout[g]
        torch.testing.assert_close(torch.stack(outputs, dim=2)[g], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_warm_up_is_stepping_through_the_context(cell):
    made = model(cell)
    warm = L - LAYOUT.reach
    known = known_inputs(LAYOUT, INPUTS, H, warm)
    x = torch.stack([lag_vector(LAYOUT, PAST, L - warm + w, known[:, :, w]) for w in range(warm)], dim=2)
    state = made.init_state(PAST)
    for w in range(warm):
        _, state = made.step(x[:, :, w], state)
    for mine, wanted in zip(made.warm_up(x, made.init_state(PAST)), state, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-12, atol=1e-12)


def test_inputs_of_the_context_are_those_of_the_rows_themselves():
    known = known_inputs(LAYOUT, INPUTS, H, 4)
    past, future, static, calendar = INPUTS
    for w in range(4 + H):
        t = L - 4 + w
        row = [
            past[:, :, min(t - 1, L - 1), 0],
            future[:, :, t - 2, 0],
            future[:, :, t, 0],
            static[:, :, 0],
            calendar[:, :, t, 0],
        ]
        assert torch.equal(known[:, :, w], torch.stack(row, dim=-1))
    assert torch.equal(known[:, :, 4:], known_inputs(LAYOUT, INPUTS, H))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("forcing", [OpenLoop(), ClosedLoop(), Curriculum()], ids=str)
def test_a_roll_out_is_a_plain_loop_over_context_and_horizon(cell, forcing):
    made = model(cell)
    moment = Moment(3, 10, 0, torch.tensor([4, 5]))
    got, share = rollout(made, PAST, H, forcing, future=FUTURE, moment=moment, inputs=INPUTS)
    fed = torch.cat([PAST, FUTURE], dim=2).clone()
    state, outputs = made.init_state(PAST), []
    known = known_inputs(LAYOUT, INPUTS, H, L - LAYOUT.reach)
    for t in range(LAYOUT.reach, L + H):
        y, state = made.step(lag_vector(LAYOUT, fed, t, known[:, :, t - LAYOUT.reach]), state)
        if t >= L:
            outputs.append(y[..., 0])
            a = 0.0 if share is None else share[:, :, t - L]
            fed[:, :, t] = a * FUTURE[:, :, t - L] + (1 - a) * y[..., 0]
    torch.testing.assert_close(got, torch.stack(outputs, dim=2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradients_through_state_and_feedback_are_those_of_finite_differences(cell):
    made = model(cell, LagLayout((1, 2)))
    names = [name for name, _ in made.named_parameters()]

    def loss(*values):
        for name, value in zip(names, values, strict=True):
            delattr(made, name)
            setattr(made, name, value)
        return rollout(made, PAST, H, ClosedLoop())[0].pow(2).sum()

    values = [p.detach().clone().requires_grad_() for p in made.parameters()]
    assert torch.autograd.gradcheck(loss, values)


def test_a_model_with_a_state_has_no_parallel_passes():
    with pytest.raises(ArgumentError, match="has a state"):
        parallel_rollout(model("gru"), PAST, H, OpenLoop(), future=FUTURE, inputs=INPUTS)


# ---- in the forecaster


def build(cell, **settings):
    defaults = {"horizon": 4, "lags": [1, 2], "model": cell, "max_steps": 4, "batch_size": 4, "season_length": 7}
    return NARXForecaster(**defaults | settings)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("mode", ["open_loop", "closed_loop", "curriculum", "auto"])
def test_every_mode_gives_blind_reproducible_forecasts(cell, mode):
    df = make_frame((60, 50))
    model = build(cell, target_transforms=[Log(), Difference(7)]).fit(df, mode=mode)
    assert model.context_length_ == 2 + 8
    cutoffs = pd.DataFrame({"unique_id": ["s0", "s1"], "cutoff": [50, 40]})
    before = model.predict_at(df, cutoffs)
    assert np.isfinite(before["NARXForecaster"]).all()
    wrecked = wreck_after(df, dict(cutoffs.to_numpy()))
    pd.testing.assert_frame_equal(model.predict_at(wrecked, cutoffs), before, check_exact=True)
    again = build(cell, target_transforms=[Log(), Difference(7)], mode=mode).fit(df)
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)
    pd.testing.assert_frame_equal(model.predict_at(df, [50]), Forecaster.predict_at(model, df, [50]), rtol=1e-4)


def test_recurrent_models_read_every_kind_of_input():
    df = frame()
    model = build("gru", past_exog=["traffic"], future_exog=["price"], static=["town"], calendar=["dayofweek"]).fit(df)
    fc = model.predict(future_df=after(df))
    assert np.isfinite(fc["NARXForecaster"]).all()
    moved = model.predict(future_df=after(df).assign(price=20.0))
    assert (fc["NARXForecaster"] != moved["NARXForecaster"]).all()


def test_local_recurrent_models_are_independent():
    df = make_frame((60, 50))
    together = build("gru", scope="local", mode="closed_loop").fit(df).predict()
    for name, part in df.groupby("unique_id"):
        alone = build("gru", scope="local", mode="closed_loop").fit(part).predict()["NARXForecaster"]
        np.testing.assert_allclose(together.loc[together["unique_id"] == name, "NARXForecaster"], alone, rtol=1e-4)


def test_the_state_starts_afresh_in_every_window():
    df = make_frame((60, 50))
    model = build("lstm").fit(df)
    first = model.predict_at(df, [40])
    model.predict_at(df, [30, 35])
    pd.testing.assert_frame_equal(model.predict_at(df, [40]), first, check_exact=True)
    alone = model.predict_at(df[df["unique_id"] == "s1"], [40])["NARXForecaster"]
    np.testing.assert_allclose(alone, first.loc[first["unique_id"] == "s1", "NARXForecaster"], rtol=1e-5)
