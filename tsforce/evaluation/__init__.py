"""Judging forecasters from outside, through ``predict_at``: closed loop and blind after the cutoff, always."""
