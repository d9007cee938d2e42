"""What is learnt, and what it is fed: lag vectors, step models, forcing policies and the one time loop. torch only.

Axes everywhere: G groups (one per series for scope="local", 1 for "global"), B windows, L context steps, H horizon
steps, C target channels, D columns of a lag vector, P head parameters. Units are model units (``data/windows.py``).
"""
