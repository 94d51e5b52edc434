"""An inverse problem in a notebook's style, with keras-mdn-layer.

pip install keras-mdn-layer && python examples/migration/inverse_before.py    # and --quick, for a look
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_mdn_layer as mdn
import numpy as np
from _data import QUICK, inverse_problem, report

# %% Data
keras.utils.set_random_seed(0)
x, y = inverse_problem(2_000, seed=0)
x_test, y_test = inverse_problem(2_000, seed=1)

# %% Network: the dimension of the output comes first, then the number of mixtures, again in the loss
NUM_MIXTURES = 5
model = keras.Sequential(
    [keras.Input((1,)), keras.layers.Dense(32, "tanh"), keras.layers.Dense(32, "tanh"), mdn.MDN(1, NUM_MIXTURES)]
)
model.compile(keras.optimizers.Adam(3e-3), loss=mdn.get_mixture_loss_func(1, NUM_MIXTURES))
model.fit(x, y, batch_size=64, epochs=10 if QUICK else 100, verbose=0)

# %% Draws: one row at a time, of the flat tensor
params = model.predict(x_test[:5], verbose=0)
draws = np.array([mdn.sample_from_output(row, 1, NUM_MIXTURES, temp=1.0, sigma_temp=0.25) for row in params])
print("draws:", draws.ravel().round(2))
report(model.evaluate(x_test, y_test, verbose=0))
