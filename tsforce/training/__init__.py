"""Fitting step models to windows: solvers, and the record of what happened."""
