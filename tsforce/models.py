"""Public door to families of step models, and to heads, for ``NARXForecaster`` where a name is not enough."""

from tsforce.dynamics.heads.gaussian import Gaussian
from tsforce.dynamics.heads.negative_binomial import NegativeBinomial
from tsforce.dynamics.heads.quantised import Quantised
from tsforce.dynamics.heads.student_t import StudentT
from tsforce.dynamics.models.families import GRU, LSTM, MLP, EncoderDecoder, Family, Linear, Polynomial

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "EncoderDecoder",
    "Family",
    "Gaussian",
    "Linear",
    "NegativeBinomial",
    "Polynomial",
    "Quantised",
    "StudentT",
]
