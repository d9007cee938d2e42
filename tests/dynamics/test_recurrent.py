"""Recurrent networks: the cells of torch, warm-up step by step, the hand-over to a decoder, gradients, groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.forecasting.test_inputs import after, frame
from tests.makers import grouped, make_frame, wreck_after
from tsforce import Difference, Forecaster, Log, NARXForecaster
from tsforce.dynamics.draws import key_of
from tsforce.dynamics.forcing import ClosedLoop, Curriculum, Moment, OpenLoop
from tsforce.dynamics.lags import LagLayout, TargetFeature, known_inputs, lag_vector, lag_vectors
from tsforce.dynamics.models.linear import Linear
from tsforce.dynamics.models.recurrent import EncoderDecoder, Recurrent
from tsforce.dynamics.models.recurrent_cells import CELLS
from tsforce.dynamics.parallel import parallel_rollout
from tsforce.dynamics.rollout import rollout
from tsforce.errors import ArgumentError
from tsforce.models import EncoderDecoder as EncoderDecoderFamily

pytestmark = pytest.mark.filterwarnings("ignore::tsforce.errors.UnusedColumnWarning")

G, B, L, H, R = 2, 3, 9, 5, 4
LAYOUT = LagLayout((1, 3), future_exog=(("u", (0, 2)),), past_exog=(("p", (1,)),), static=("s",), calendar=("c",))


def draw(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Encoder-decoders of both cells go by the cell's name and "+".
KINDS = ("gru", "lstm", "gru+", "lstm+")


def model(kind, layout=LAYOUT, groups=G):
    columns, channels = len(layout.columns), len(layout.channels)
    start = Linear(layout, 0.2 * draw(groups, columns, channels, seed=1), draw(groups, channels, seed=2))
    build = EncoderDecoder if kind.endswith("+") else Recurrent
    made = build(layout, kind.rstrip("+"), R, start, torch.arange(groups), dtype=torch.float64)
    made.readout.data.copy_(0.3 * draw(groups, R, channels, seed=3))
    for number, bias in enumerate(p for name, p in made.named_parameters() if name.endswith("state_bias")):
        bias.data.copy_(0.3 * draw(*bias.shape, seed=20 + number))
    return made


def plain(cell, x, state):
    """One step, written as in the papers, for autograd to differentiate."""
    given = x @ cell.from_input + cell.input_bias[:, None]
    own = state[0] @ cell.from_state + cell.state_bias[:, None]
    if cell.kind == "gru":
        a, b = given.chunk(3, dim=-1), own.chunk(3, dim=-1)
        reset, update = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
        return ((1 - update) * torch.tanh(a[2] + reset * b[2]) + update * state[0],)
    i, f, g, o = (given + own).chunk(4, dim=-1)
    memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


def torchs(cell, group):
    """torch's own network with one group's weights."""
    other = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell.kind](len(cell.from_input[0]), R, batch_first=True)
    other = other.double()
    own = (cell.from_input[group].T, cell.from_state[group].T, cell.input_bias[group], cell.state_bias[group])
    for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"), own, strict=True):
        getattr(other, name).data.copy_(value)
    return other


INPUTS = draw(G, B, L, 1, seed=4), draw(G, B, L + H, 1, seed=5), draw(G, B, 1, seed=6), draw(G, B, L + H, 1, seed=7)
PAST, FUTURE = draw(G, B, L, 1, seed=8), draw(G, B, H, 1, seed=9)


@pytest.mark.parametrize("kind", KINDS)
def test_context_and_horizon_are_torchs(kind):
    made = model(kind)
    context, x = draw(G, B, 6, len(LAYOUT.columns)), draw(G, B, 4, len(LAYOUT.columns), seed=10)
    state = made.warm_up(context, made.init_state(PAST))
    outputs = []
    for t in range(4):
        y, state = made.step(x[:, :, t], state)
        outputs.append(y[..., 0])
    for g in range(G):
        _, handed_over = torchs(getattr(made, "encoder", made.cell), g)(context[g])
        hidden, _ = torchs(made.cell, g)(x[g], handed_over)
        wanted = x[g] @ made.skip[g] + made.bias[g] + hidden @ made.readout[g]
        torch.testing.assert_close(torch.stack(outputs, dim=2)[g], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_gradient", [False, True])
def test_warm_up_is_stepping_through_the_context(kind, with_gradient):
    made = model(kind)
    cell = getattr(made, "encoder", made.cell)
    warm = L - LAYOUT.reach
    known = known_inputs(LAYOUT, INPUTS, H, warm)
    x = torch.stack([lag_vector(LAYOUT, PAST, L - warm + w, known[:, :, w]) for w in range(warm)], dim=2)
    with torch.set_grad_enabled(with_gradient):
        got = made.warm_up(x, made.init_state(PAST))
        state = by_hand = made.init_state(PAST)
        for w in range(warm):
            state = cell(x[:, :, w], state)
            by_hand = plain(cell, x[:, :, w], by_hand)
    for mine, wanted, other in zip(got, state, by_hand, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_of_one_step_and_of_many_are_autograds(kind):
    cell = model(kind).cell
    x = draw(G, B, 6, len(LAYOUT.columns))
    start = tuple(draw(G, B, R, seed=30 + part).requires_grad_() for part in range(CELLS[kind].parts))
    leaves = [*cell.parameters(), *start]

    def gradients(state):
        total = sum((number + 1) * part.pow(3).sum() for number, part in enumerate(state))
        return torch.autograd.grad(total, leaves)

    def loop(step):
        state = start
        for t in range(6):
            state = step(x[:, :, t], state)
        return state

    wanted = gradients(loop(lambda row, state: plain(cell, row, state)))
    for got in (gradients(loop(cell)), gradients(cell.through(x, start))):
        for mine, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


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


MEAN = TargetFeature(("mean3",), 3, lambda fed: fed.mean(dim=2)[..., :1])


@pytest.mark.parametrize("first", [5, 7])
@pytest.mark.parametrize(
    "layout",
    [
        LagLayout((1, 2, 3)),
        LagLayout((2, 3), ("a", "b")),
        LagLayout((1, 5), ("a", "b"), (MEAN,)),
        LagLayout((1, 3), static=("s",), past_exog=(("p", (4,)),)),
    ],
    ids=["contiguous", "two targets", "feature", "inputs"],
)
def test_lag_vectors_of_many_steps_are_those_of_each(layout, first):
    fed, count = draw(G, B, 11, len(layout.channels)), 12 - first
    known = draw(G, B, count, 2, seed=1) if layout.has_inputs else None
    got = lag_vectors(layout, fed, first, count, known)
    for w in range(count):
        assert torch.equal(got[:, :, w], lag_vector(layout, fed, first + w, None if known is None else known[:, :, w]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("forcing", [OpenLoop(), ClosedLoop(), Curriculum()], ids=str)
def test_a_roll_out_is_a_plain_loop_over_context_and_horizon(kind, forcing):
    made = model(kind)
    moment = Moment(3, 10, 0, torch.tensor([4, 5]))
    got, share = rollout(made, PAST, H, forcing, future=FUTURE, moment=moment, inputs=INPUTS)
    fed = torch.cat([PAST, FUTURE], dim=2).clone()
    state, outputs = made.init_state(PAST), []
    known = known_inputs(LAYOUT, INPUTS, H, L - LAYOUT.reach)
    for t in range(LAYOUT.reach, L + H):
        x = lag_vector(LAYOUT, fed, t, known[:, :, t - LAYOUT.reach])
        if t < L:
            state = plain(getattr(made, "encoder", made.cell), x, state)
            continue
        state = plain(made.cell, x, state)
        y = x @ made.skip + made.bias[:, None] + state[0] @ made.readout
        outputs.append(y)
        a = 0.0 if share is None else share[:, :, t - L]
        fed[:, :, t] = a * FUTURE[:, :, t - L] + (1 - a) * y
    torch.testing.assert_close(got, torch.stack(outputs, dim=2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_state_and_feedback_are_those_of_finite_differences(kind):
    made = model(kind, LagLayout((1, 2)))
    names = [name for name, _ in made.named_parameters()]

    def loss(*values):
        for name, value in zip(names, values, strict=True):
            owner, _, last = name.rpartition(".")
            owner = made.get_submodule(owner)
            delattr(owner, last)
            setattr(owner, last, value)
        # Two steps of warm-up and three of feedback: each weight is moved, so that a roll-out is made many times.
        return rollout(made, PAST[:, :, -4:], 3, ClosedLoop())[0].pow(2).sum()

    values = [p.detach().clone().requires_grad_() for p in made.parameters()]
    assert torch.autograd.gradcheck(loss, values)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_of_some_groups_forecasts_as_among_all(kind):
    made = model(kind, groups=3)
    past, inputs = draw(3, B, L, 1), tuple(torch.cat([part, part[:1]]) for part in INPUTS)
    whole, _ = rollout(made, past, H, ClosedLoop(), inputs=inputs)
    chosen = torch.tensor([2, 0])
    part, _ = rollout(made.groups(chosen), past[chosen], H, ClosedLoop(), inputs=tuple(i[chosen] for i in inputs))
    torch.testing.assert_close(part, whole[chosen], rtol=1e-12, atol=1e-12)
    assert not any(p.requires_grad for p in made.groups(chosen).parameters())


def test_no_two_weights_of_an_encoder_and_a_decoder_start_alike():
    made = model("gru+", LagLayout((1, 2)))
    drawn = torch.cat([p.detach().flatten() for name, p in made.named_parameters() if "from_" in name])
    assert len(drawn) == G * 2 * (2 + R) * 3 * R
    assert len(drawn.unique()) == len(drawn)


def test_several_targets_are_fed_back_together():
    layout = LagLayout((1, 3), ("a", "b"))
    made, past = model("gru+", layout), draw(G, B, L, 2)
    got, _ = rollout(made, past, H, ClosedLoop())
    fed, state = past, made.init_state(past)
    for t in range(layout.reach, L + H):
        x = lag_vector(layout, fed, t)
        state = plain(made.encoder if t < L else made.cell, x, state)
        if t >= L:
            y = x @ made.skip + made.bias[:, None] + state[0] @ made.readout
            fed = torch.cat([fed, y[:, :, None]], dim=2)
    torch.testing.assert_close(got, fed[:, :, L:], rtol=1e-12, atol=1e-12)


def test_without_a_context_to_encode_the_decoder_starts_from_zeros():
    layout = LagLayout((1, 2))
    both, one = model("gru+", layout), model("gru", layout)
    assert not torch.equal(*(rollout(m, PAST, H, ClosedLoop())[0] for m in (both, one)))
    short = PAST[:, :, -2:]
    assert torch.equal(*(rollout(m, short, H, ClosedLoop())[0] for m in (both, one)))


def test_one_step_forecasts_of_an_encoder_decoder_know_where_the_cutoff_is():
    """One cell takes an observed row in alike before and after the cutoff; two do not."""
    layout = LagLayout((1, 2))
    every = torch.cat([PAST, FUTURE], dim=2)
    for kind, equal in (("gru", True), ("gru+", False)):
        made = model(kind, layout)
        along, _ = rollout(made, PAST, H, OpenLoop(), future=FUTURE)
        # The same row, from a cutoff just before it.
        anew = torch.cat([rollout(made, every[:, :, : L + h], 1, ClosedLoop())[0] for h in range(H)], dim=2)
        torch.testing.assert_close(along[:, :, :1], anew[:, :, :1], rtol=1e-12, atol=1e-12)
        assert torch.allclose(along, anew, rtol=1e-12, atol=1e-12) == equal


def test_a_model_with_a_state_has_no_parallel_passes():
    with pytest.raises(ArgumentError, match="has a state"):
        parallel_rollout(model("gru"), PAST, H, OpenLoop(), future=FUTURE, inputs=INPUTS)


# ---- in the forecaster


def build(cell, **settings):
    defaults = {"horizon": 4, "lags": [1, 2], "model": cell, "max_steps": 4, "batch_size": 4, "season_length": 7}
    return NARXForecaster(**grouped(defaults | settings))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm", "encoder_decoder"])
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


@pytest.mark.parametrize("cell", ["gru", "encoder_decoder"])
def test_recurrent_models_read_every_kind_of_input(cell):
    df = frame()
    model = build(cell, past_exog=["traffic"], future_exog=["price"], static=["town"], calendar=["dayofweek"]).fit(df)
    fc = model.predict(future_df=after(df))
    assert np.isfinite(fc["NARXForecaster"]).all()
    moved = model.predict(future_df=after(df).assign(price=20.0))
    assert (fc["NARXForecaster"] != moved["NARXForecaster"]).all()


@pytest.mark.parametrize("cell", ["gru", EncoderDecoderFamily(width=8, cell="lstm")], ids=["gru", "encoder_decoder"])
def test_local_recurrent_models_are_independent(cell):
    df = make_frame((60, 50))
    together = build(cell, scope="local", mode="closed_loop").fit(df).predict()
    for name, part in df.groupby("unique_id"):
        alone = build(cell, scope="local", mode="closed_loop").fit(part).predict()["NARXForecaster"]
        np.testing.assert_allclose(together.loc[together["unique_id"] == name, "NARXForecaster"], alone, rtol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "encoder_decoder"])
def test_the_state_starts_afresh_in_every_window(cell):
    df = make_frame((60, 50))
    model = build(cell).fit(df)
    first = model.predict_at(df, [40])
    model.predict_at(df, [30, 35])
    pd.testing.assert_frame_equal(model.predict_at(df, [40]), first, check_exact=True)
    alone = model.predict_at(df[df["unique_id"] == "s1"], [40])["NARXForecaster"]
    np.testing.assert_allclose(alone, first.loc[first["unique_id"] == "s1", "NARXForecaster"], rtol=1e-5)


def test_the_encoder_learns():
    """The states of both cells are read only once the readout is: all weights then move."""
    fitted = build("encoder_decoder", max_steps=6, mode="closed_loop", validation=False).fit(make_frame((60, 50)))
    model = fitted.model_
    start = Linear(model.layout, model.skip.detach(), model.bias.detach())
    blank = EncoderDecoder(model.layout, "gru", 64, start, torch.tensor([key_of(0, "all")]))
    for name, value in model.encoder.named_parameters():
        assert not torch.equal(value, dict(blank.encoder.named_parameters())[name]), name


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 0}, "width=0: expected a whole number"),
        ({"width": True}, "width=True"),
        ({"cell": "rnn"}, "cell='rnn'.*'gru', 'lstm'"),
    ],
)
def test_bad_sizes_of_an_encoder_decoder_are_refused(settings, said):
    with pytest.raises(ArgumentError, match=said):
        EncoderDecoderFamily(**settings)
