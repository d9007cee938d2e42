"""Forecasters: everything with fit, predict and predict_at."""
