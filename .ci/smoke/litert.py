"""What the extra `litert` promises: an exported file answers where there is no TensorFlow."""

import subprocess
import sys

import keras
import numpy as np

import tfmdn

WITHOUT_TENSORFLOW = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
ask = Interpreter("model.tflite").get_signature_runner("log_prob")
np.save("answer.npy", ask(x=np.load("x.npy"), y=np.load("y.npy"))["log_prob"])
assert "tensorflow" not in sys.modules
"""

keras.utils.set_random_seed(0)
x, y = tfmdn.datasets.inverse_sinusoid().sample(64, seed=0)
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "silu"), tfmdn.MDNLayer(5)])
tfmdn.export_litert(model, "model.tflite")
np.save("x.npy", x), np.save("y.npy", y)
subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW], check=True)
np.testing.assert_allclose(np.load("answer.npy"), model(x).log_prob(y), 1e-4, 1e-5)
