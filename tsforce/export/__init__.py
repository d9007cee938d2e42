"""The closed loop of a fitted model as C, FMU or ONNX."""
