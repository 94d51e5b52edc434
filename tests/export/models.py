"""The models that exports are tested with: one of each kind in the table of docs/export.md, and rows for it.

A model that is to be exported, too, is a function more and a row in `MODELS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

import tfmdn

RNG = np.random.default_rng(0)
ROWS = 7
X = RNG.normal(size=(ROWS, 3)).astype("float32")
Y = np.random.default_rng(1).lognormal(1.0, 0.7, (200, 3))


def head(num_components: int = 3, event_shape: tuple = (), y: np.ndarray = Y, **kwargs) -> tfmdn.MDNLayer:
    """A head of large weights, so that rows and components differ, adapted to skewed targets."""
    layer = tfmdn.MDNLayer(num_components, event_shape, kernel_initializer="he_normal", **kwargs)
    layer.adapt(y[:, : event_shape[0]] if event_shape else y[:, 0])
    return layer


def network(**kwargs) -> Callable[[], keras.Model]:
    """A model of rows of three numbers that ends in such a head."""
    return lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), head(**kwargs)])


def two_heads() -> keras.Model:
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(8, "tanh")(inputs)
    offset = head(event_shape=(2,), covariance="full")(hidden)
    width = head(2, family="lognormal")(hidden)
    return keras.Model(inputs, {"offset": offset, "width": width, "pen": keras.layers.Dense(1)(hidden)})


def lstm_step() -> keras.Model:
    """One step of a recurrent network, whose state goes in and comes out."""
    step, h, c = keras.Input((1, 3), name="step"), keras.Input((8,), name="h"), keras.Input((8,), name="c")
    hidden, *states = keras.layers.LSTM(8, return_state=True, unroll=True)(step, initial_state=[h, c])
    outputs = {"stroke": head(event_shape=(2,))(hidden), "next_h": states[0], "next_c": states[1]}
    return keras.Model({"step": step, "h": h, "c": c}, outputs)


class Subclassed(keras.Model):
    """A head alone, of which nothing is known before it is called."""

    def __init__(self):
        super().__init__()
        self.head = tfmdn.MDNLayer(2)

    def call(self, inputs):
        return self.head(inputs)


@dataclasses.dataclass(frozen=True)
class Case:
    """A model to be exported, and rows for it: an array, or arrays by the inputs' names."""

    model: Callable[[], keras.Model]
    x: np.ndarray | dict[str, np.ndarray] = dataclasses.field(default_factory=lambda: X)
    has_quantiles: bool = True


ROUND = np.round(Y)
MODELS = {
    "scalar": Case(network()),
    "vector": Case(network(event_shape=(2,))),
    "full covariance": Case(network(event_shape=(3,), covariance="full")),
    "limits": Case(network(support=(0.0, None), background=0.01)),
    "interval": Case(network(support=(0.0, 8.0), y=np.minimum(Y, 8.0))),
    "vector with limits": Case(network(event_shape=(2,), support=(0.0, None))),
    "full covariance with limits": Case(network(event_shape=(2,), covariance="full", support=(0.0, None))),
    "atoms": Case(network(support=(1.5, 8.0), atoms=True, background=0.01, y=np.clip(Y, 1.5, 8.0))),
    "grid": Case(network(resolution=1.0, support=(0.0, 20.0), y=np.clip(ROUND, 0.0, 20.0))),
    "grid of tenths": Case(network(resolution=0.1, y=np.round(Y, 1))),
    "two heads": Case(two_heads),
    "LSTM step": Case(
        lstm_step,
        {
            "step": RNG.normal(size=(ROWS, 1, 3)).astype("float32"),
            "h": RNG.normal(size=(ROWS, 8)).astype("float32"),
            "c": RNG.normal(size=(ROWS, 8)).astype("float32"),
        },
    ),
    "laplace": Case(network(family="laplace")),
    "logistic": Case(network(family="logistic", event_shape=(2,))),
    "lognormal": Case(network(family="lognormal")),
    "weibull": Case(network(family="weibull")),
    "gumbel": Case(network(family="gumbel")),
    "student_t": Case(network(family="student_t"), has_quantiles=False),
    "gamma": Case(network(family="gamma"), has_quantiles=False),
    "von_mises": Case(network(family="von_mises", y=RNG.uniform(-3, 3, (200, 3))), has_quantiles=False),
}
