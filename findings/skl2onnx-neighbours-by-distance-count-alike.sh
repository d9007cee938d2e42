#!/usr/bin/env bash
# skl2onnx 1.20.0, KNeighborsRegressor(weights="distance") of scikit-learn 1.9.1.
# Guess: what is converted without an error says what predict says.
# What comes: no error and no warning, and neighbours count alike, as if weights were "uniform": 5 where predict says 2.5
# (values 0 and 10 at distances .25 and .75), in single and in double precision.
# In tsforce: what a converter makes is run on training rows before it is written, and refused where it differs.
source "$(dirname "$0")/common.sh"
with skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
run <<'P'
from importlib.metadata import version
import numpy as np
from onnxruntime import InferenceSession
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.neighbors import KNeighborsRegressor

x, y = np.array([[0.0], [1.0], [3.0]]), np.array([0.0, 10.0, 20.0])
asked = np.array([[0.25], [0.5], [2.5]])
for kind, dtype in ((DoubleTensorType, "float64"), (FloatTensorType, "float32")):
    for weights in ("uniform", "distance"):
        model = KNeighborsRegressor(2, weights=weights).fit(x, y)
        made = to_onnx(model, initial_types=[("x", kind([None, 1]))], target_opset=18)
        (found,) = InferenceSession(made.SerializeToString()).run(None, {"x": asked.astype(dtype)})
        print(version("skl2onnx"), dtype, weights, "predict", model.predict(asked), "ONNX", found.ravel())
        assert np.allclose(found.ravel(), [5, 5, 15])
    assert np.allclose(model.predict(asked), [2.5, 5, 17.5])
P
