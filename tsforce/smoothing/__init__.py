"""Exponential smoothing and Theta, estimated for all series of a ragged flat panel side by side."""
