"""The same recurrent network over gestures with tfmdn; with --litert its step as a file for a small computer.

python examples/migration/gestures_after.py    # and --quick, for a look; --litert needs 'tfmdn[litert]'
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from _data import QUICK, gestures, report

import tfmdn

DIMENSION, UNITS = 4, 32
OUTPUTS = pathlib.Path(__file__).resolve().parents[2] / "outputs"

keras.utils.set_random_seed(0)
x, y = gestures(500, seed=0)
x_test, y_test = gestures(200, seed=1)

head = tfmdn.MDNLayer(num_components=5, event_shape=DIMENSION)  # takes sequences: no TimeDistributed
head.adapt(y)
lstm = keras.layers.LSTM(UNITS, return_sequences=True)
model = keras.Sequential([keras.Input((None, DIMENSION)), lstm, head])
model.compile(keras.optimizers.Adam(5e-3), loss=tfmdn.NegativeLogLikelihood())
model.fit(x, y, batch_size=50, epochs=5 if QUICK else 40, verbose=0)

# One step, with the state as an input and an output: the same layers, and so the same weights.
gesture, h, c = (keras.Input((size,), name=name) for name, size in (("gesture", DIMENSION), ("h", UNITS), ("c", UNITS)))
hidden, state = lstm.cell(gesture, [h, c])
step = keras.Model({"gesture": gesture, "h": h, "c": c}, {"next": head(hidden), "h": state[0], "c": state[1]})


def play(features, state):
    outputs = step({"gesture": features, **state})
    return outputs["next"], {"h": outputs["h"], "c": outputs["c"]}


silence = {name: tf.zeros((1, UNITS)) for name in ("h", "c")}
played = tfmdn.generate(
    play, x_test[:1, 0], silence, 3 if QUICK else 20, temperature=1.0, scale_temperature=0.01**0.5, seed=0
)
print("last gesture:", np.round(played.draws[0, -1], 2))
if "--litert" in sys.argv:
    from ai_edge_litert.interpreter import Interpreter

    OUTPUTS.mkdir(exist_ok=True)
    tfmdn.export_litert(step, OUTPUTS / "step.tflite")
    interpreter = Interpreter(str(OUTPUTS / "step.tflite"))
    first = {"gesture": x_test[:1, 0], **{name: value.numpy() for name, value in silence.items()}}
    named = interpreter.get_signature_runner("serving_default")(**first)  # the next state, too: named["h"], named["c"]
    rng = np.random.default_rng(0)  # these runtimes have no random numbers of their own
    noise = {"uniform": rng.uniform(size=(1, 1)), "normal": rng.normal(size=(1, 1, DIMENSION))}
    noise = {name: value.astype("float32") for name, value in noise.items()}
    draw = interpreter.get_signature_runner("next_sample")(**first, **noise)["sample"][0, 0]
    print("drawn by LiteRT:", np.round(draw, 2))
    expected = play(tf.constant(x_test[:1, 0]), silence)[0].mean()
    print("its mean and Keras' differ by", np.abs(named["next_mean"] - expected).max())
report(model.evaluate(x_test, y_test, verbose=0))
