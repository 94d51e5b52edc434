"""The same redshifts with tfmdn, in Keras 3: the same lambda, the same strategy.

python examples/migration/redshift_after.py    # and --quick, for a look
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from _data import QUICK, redshifts, report

import tfmdn

keras.utils.set_random_seed(0)
x, y = redshifts(4_000, seed=0)
x_test, y_test = redshifts(2_000, seed=1)

with tf.distribute.MirroredStrategy().scope():
    head = tfmdn.MDNLayer(num_components=5)
    head.adapt(y)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "tanh"), keras.layers.Dense(32, "tanh"), head])
    model.compile(keras.optimizers.Adam(3e-3), loss=lambda y, d: -d.log_prob(y))
model.fit(x, y, batch_size=64, epochs=5 if QUICK else 60, verbose=0)
print("spread of the first:", float(model(x_test[:1]).stddev()[0]))
report(-float(tf.reduce_mean(model(x_test).log_prob(y_test))))
