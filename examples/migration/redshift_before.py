"""Redshifts by tfp.layers: a DistributionLambda, a bare lambda as the loss, and MirroredStrategy, with Keras 2.

pip install tf_keras && python examples/migration/redshift_before.py    # and --quick, for a look
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from _data import QUICK, redshifts, report

tfd = tfp.distributions
NUM_COMPONENTS = 5

tf_keras.utils.set_random_seed(0)
x, y = redshifts(4_000, seed=0)
x_test, y_test = redshifts(2_000, seed=1)


def mixture(params):
    logits, loc, raw_scale = tf.split(params, 3, -1)
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), tfd.Normal(loc, 1e-3 + tf.math.softplus(raw_scale)))


with tf.distribute.MirroredStrategy().scope():
    model = tf_keras.Sequential(
        [
            tf_keras.layers.Dense(32, "tanh", input_shape=(4,)),
            tf_keras.layers.Dense(32, "tanh"),
            tf_keras.layers.Dense(3 * NUM_COMPONENTS),
            tfp.layers.DistributionLambda(mixture),
        ]
    )
    model.compile(tf_keras.optimizers.Adam(3e-3), loss=lambda y, d: -d.log_prob(y[:, 0]))
model.fit(x, y[:, None], batch_size=64, epochs=5 if QUICK else 60, verbose=0)
print("spread of the first:", float(model(x_test[:1]).stddev()[0]))
report(-float(tf.reduce_mean(model(x_test).log_prob(y_test))))
