"""What can be exported, a small one of each."""

from __future__ import annotations

from tsforce.models import GRU, LSTM, MLP, EncoderDecoder

FAMILIES = {
    "linear": "linear",
    "polynomial": "polynomial",
    "relu": MLP((6, 5)),
    "tanh": MLP((6,), "tanh"),
    "gru": GRU(4),
    "lstm": LSTM(4),
    "encoder_decoder": EncoderDecoder(4),
    "encoder_decoder_lstm": EncoderDecoder(3, cell="lstm"),
}
