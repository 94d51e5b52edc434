"""The same inverse problem with tfmdn.

python examples/migration/inverse_after.py    # and --quick, for a look
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from _data import QUICK, inverse_problem, report

import tfmdn

# %% Data
keras.utils.set_random_seed(0)
x, y = inverse_problem(2_000, seed=0)
x_test, y_test = inverse_problem(2_000, seed=1)

# %% Network: the loss asks the mixture, and needs no sizes
head = tfmdn.MDNLayer(num_components=5, event_shape=1)
head.adapt(y)
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(32, "tanh"), keras.layers.Dense(32, "tanh"), head])
model.compile(keras.optimizers.Adam(3e-3), loss=tfmdn.NegativeLogLikelihood())
model.fit(x, y, batch_size=64, epochs=10 if QUICK else 100, verbose=0)

# %% Draws: of all rows at once. A factor of the variance is the square of one of the scale
mixture = model(x_test[:5])
print("draws:", mixture.temper(1.0, scale_temperature=0.25**0.5).sample(seed=0).numpy().ravel().round(2))
report(model.evaluate(x_test, y_test, verbose=0))
