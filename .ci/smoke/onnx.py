"""What the extra `onnx` promises: an exported file answers in ONNX Runtime."""

import keras
import numpy as np
import onnxruntime

import tfmdn

keras.utils.set_random_seed(0)
x, y = tfmdn.datasets.inverse_sinusoid().sample(64, seed=0)
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "silu"), tfmdn.MDNLayer(5)])
tfmdn.export_onnx(model, "model.onnx", "log_prob")
(log_prob,) = onnxruntime.InferenceSession("model.onnx").run(["log_prob"], {"x": x, "y": y})
np.testing.assert_allclose(log_prob, model(x).log_prob(y), 1e-4, 1e-5)
