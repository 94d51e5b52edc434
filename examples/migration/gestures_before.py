"""A recurrent network over gestures of four knobs that plays on, step by step, with keras-mdn-layer.

pip install keras-mdn-layer && python examples/migration/gestures_before.py    # and --quick, for a look
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_mdn_layer as mdn
import numpy as np
from _data import QUICK, gestures, report

DIMENSION, NUM_MIXTURES, UNITS = 4, 5, 32

keras.utils.set_random_seed(0)
x, y = gestures(500, seed=0)
x_test, y_test = gestures(200, seed=1)

model = keras.Sequential(
    [
        keras.Input((x.shape[1], DIMENSION)),
        keras.layers.LSTM(UNITS, return_sequences=True),
        keras.layers.TimeDistributed(mdn.MDN(DIMENSION, NUM_MIXTURES)),
    ]
)
model.compile(keras.optimizers.Adam(5e-3), loss=mdn.get_mixture_loss_func(DIMENSION, NUM_MIXTURES))
model.fit(x, y, batch_size=50, epochs=5 if QUICK else 40, verbose=0)

# To play on, a second network of one row and one step, which keeps its state, with the weights of the first.
player = keras.Sequential(
    [
        keras.Input(batch_shape=(1, 1, DIMENSION)),
        keras.layers.LSTM(UNITS, stateful=True),
        mdn.MDN(DIMENSION, NUM_MIXTURES),
    ]
)
player.set_weights(model.get_weights())
gesture = x_test[0, 0]
for _ in range(3 if QUICK else 20):
    params = player(gesture.reshape(1, 1, DIMENSION)).numpy()[0]
    gesture = mdn.sample_from_output(params, DIMENSION, NUM_MIXTURES, temp=1.0, sigma_temp=0.01)
print("last gesture:", np.round(gesture, 2))
report(float(model.evaluate(x_test, y_test, verbose=0)))
