"""Trains the model of the playground, and writes what its page is told of it to model.json beside this file.

A ball is thrown at an angle between 5 and 85 degrees, at about 10 metres a second. It comes down so many metres away.
Which angle was it? Of most distances there are two.

    python docs/playground/make_model.py    # 20 seconds on one core
"""

import json
import pathlib

import keras
import numpy as np

import tfmdn
from tfmdn.plots import exploring

SPEED, SPREAD, GRAVITY = 10.0, 0.15, 9.81
ROWS, SHOWN = 4_000, 250


def throws(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances in metres `[n, 1]` and angles in degrees `[n]`."""
    rng = np.random.default_rng(seed)
    angle, speed = rng.uniform(5.0, 85.0, n), rng.normal(SPEED, SPREAD, n)
    distance = speed**2 * np.sin(2.0 * np.radians(angle)) / GRAVITY
    return distance.astype("float32")[:, np.newaxis], angle.astype("float32")


def trained(x: np.ndarray, y: np.ndarray) -> keras.Model:
    keras.utils.set_random_seed(0)
    standardize, head = tfmdn.features.Standardization(), tfmdn.MDNLayer(4)
    standardize.adapt(x)
    head.adapt(y)
    model = keras.Sequential(
        [keras.Input((1,)), standardize, keras.layers.Dense(32, "tanh"), keras.layers.Dense(32, "tanh"), head]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, 60 * ROWS // 100)
    model.compile(keras.optimizers.Adam(rate), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, x, y, batch_size=100, epochs=60, verbose=0)
    return model


if __name__ == "__main__":
    x, y = throws(ROWS, seed=0)
    model = trained(x, y)
    print(model.evaluate(*throws(20_000, seed=1), verbose=0))
    told = exploring.described(model, np.linspace(1.5, 10.5, 181), np.linspace(0.0, 90.0, 181), label="angle")
    told["features"][0] |= {"name": "distance", "unit": "m"}
    told["target"]["unit"] = "degrees"
    told["points"] = [[round(float(a), 3), round(float(b), 2)] for a, b in zip(x[:SHOWN, 0], y[:SHOWN])]
    path = pathlib.Path(__file__).with_name("model.json")
    path.write_text(json.dumps(told, separators=(",", ":")) + "\n", encoding="utf-8")
