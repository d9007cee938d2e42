"""Solvers: one small file per way of fitting."""
