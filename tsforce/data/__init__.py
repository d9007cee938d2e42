"""From a user's frame to windows of numbers: the frame contract, the panel, transforms and windows.

pandas is touched in ``frame.py``, ``columns.py``, ``frequency.py`` and ``datasets.py`` only; everything after them is
arrays and tensors.
"""
