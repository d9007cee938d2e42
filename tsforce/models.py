"""Public door to the families of step models, for ``NARXForecaster(model=...)`` where a name is not enough."""

from tsforce.dynamics.models.families import GRU, LSTM, MLP, EncoderDecoder, Family, Linear, Polynomial

__all__ = ["GRU", "LSTM", "MLP", "EncoderDecoder", "Family", "Linear", "Polynomial"]
