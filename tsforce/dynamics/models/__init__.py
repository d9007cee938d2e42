"""Step models: one small file per family."""
