"""AutoNARX: candidates of every family, judged closed loop inside the training rows, and combined."""
