"""What tfmdn does with nothing but its own dependencies: training, .keras files, SavedModels."""

import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

import tfmdn

# The exported model is asked by a process that knows TensorFlow only.
WITHOUT_TFMDN = """
import sys
for name in ("tfmdn", "tensorflow_probability", "keras", "tf_keras"):
    sys.modules[name] = None  # importing it fails
import numpy as np, tensorflow as tf
signatures = tf.saved_model.load("exported").signatures
data = np.load("data.npz")
np.save("answer.npy", signatures["log_prob"](x=tf.constant(data["x"]), y=tf.constant(data["y"]))["log_prob"])
"""

assert "site-packages" in tfmdn.__file__
assert "MDNRegressor" in dir(tfmdn)

keras.utils.set_random_seed(0)
x, y = tfmdn.datasets.inverse_sinusoid().sample(64, seed=0)
head = tfmdn.MDNLayer(5)
head.adapt(y)
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "silu"), head])
model.compile("adam", loss=tfmdn.NegativeLogLikelihood(), metrics=["mae"])
before = [np.array(weight) for weight in model.trainable_weights]
assert np.isfinite(model.train_on_batch(x, y)).all()
assert any(np.any(old != np.array(new)) for old, new in zip(before, model.trainable_weights))
assert np.isfinite(tfmdn.fit(model, x, y, epochs=2, verbose=0).history["loss"]).all()

log_prob = np.array(model(x).log_prob(y))
model.save("model.keras")
np.testing.assert_array_equal(keras.saving.load_model("model.keras")(x).log_prob(y), log_prob)

tfmdn.export_saved_model(model, "exported")
np.testing.assert_allclose(tf.saved_model.load("exported").signatures["log_prob"](x=x, y=y)["log_prob"], log_prob, 1e-4)
np.savez("data.npz", x=x, y=y)
subprocess.run([sys.executable, "-c", WITHOUT_TFMDN], check=True)
np.testing.assert_allclose(np.load("answer.npy"), log_prob, 1e-4)
