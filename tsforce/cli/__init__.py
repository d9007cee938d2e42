"""The command ``tsforce``. Modules here import what computes only when a command runs, so that ``--help`` is quick."""
