"""The command ``tsforce``: what computes is imported when a command runs, not before."""
