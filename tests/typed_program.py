"""A user's program, which mypy checks: what tfmdn's public names are to a type checker. It is not run.

Behind "# E: " stands the kind of mistake that the line has.
"""

import keras
import numpy as np
from keras.callbacks import History
from matplotlib.axes import Axes
from typing_extensions import assert_type

import tfmdn
from tfmdn.distributions import merge
from tfmdn.layers import MDNLayer
from tfmdn.tabular.evaluation import Evaluation


def program(x: np.ndarray, y: np.ndarray) -> None:
    head = tfmdn.MDNLayer(5, family="laplace", background=0.003)
    assert_type(head, MDNLayer)
    assert_type(head.adapt(y), None)
    model = keras.Sequential([keras.layers.Dense(8), head])
    loss = tfmdn.NegativeLogLikelihood(reduction="sum")
    assert_type(loss, tfmdn.NegativeLogLikelihood)
    assert_type(tfmdn.CRPS(), tfmdn.CRPS)
    assert_type(tfmdn.EnergyScore(num_samples=20, seed=1), tfmdn.EnergyScore)
    assert_type(tfmdn.PinballLoss([0.1, 0.9]), tfmdn.PinballLoss)
    assert_type(tfmdn.metrics.IntervalCoverage(0.9), tfmdn.metrics.IntervalCoverage)
    model.compile("adam", loss=loss)
    assert_type(tfmdn.fit(model, x, y, epochs=2), History)
    assert_type(tfmdn.export_saved_model(model, "exported"), None)

    regressor = tfmdn.MDNRegressor(n_estimators=2, max_steps=100, random_state=0)
    assert_type(regressor, tfmdn.MDNRegressor)
    assert_type(regressor.fit(x, y), tfmdn.MDNRegressor)
    assert_type(regressor.predict(x), np.ndarray)
    mean, std = regressor.predict(x, return_std=True)
    assert_type(mean, np.ndarray)
    assert_type(std, np.ndarray)
    assert_type(regressor.predict(x, quantiles=[0.1, 0.9]), np.ndarray)
    assert_type(regressor.evaluate(x, y), Evaluation)
    assert_type(regressor.evaluate(x, y)["crps"], float | np.ndarray)
    assert_type(regressor.predict_interval(x, coverage=0.8), np.ndarray)
    assert_type(regressor.score(x, y), float)
    assert_type(tfmdn.MDNRegressor.load("regressor.keras"), tfmdn.MDNRegressor)

    mixture = regressor.predict_dist(x)
    assert_type(mixture, tfmdn.Mixture)
    assert_type(mixture.marginal(0), tfmdn.Mixture)
    assert_type(mixture.condition(0, 1.0), tfmdn.Mixture)
    assert_type(mixture.temper(0.5), tfmdn.Mixture)
    assert_type(merge([mixture, mixture]), tfmdn.Mixture)
    assert_type(tfmdn.plots.density(model, x, y), Axes)
    assert_type(tfmdn.plots.joint_density(regressor, x, y, y, outputs=("a", 1)), Axes)
    assert_type(tfmdn.datasets.robot_arm().sample(10, seed=0), tuple[np.ndarray, np.ndarray])
    sequences = tfmdn.generate(model, x, x, num_steps=10)
    assert_type(sequences, tfmdn.generation.Sequences)
    assert_type(tfmdn.generate(model, x, x, 1, return_state=True)[0], tfmdn.generation.Sequences)

    tfmdn.MDNLayer("five")  # E: arg-type
    tfmdn.MDNRegressor(max_step=100)  # E: call-arg
    print(regressor.predict(x).no_such_attribute)  # E: attr-defined
    tfmdn.NegativeLogLikelihood(reduction=1)  # E: arg-type
    print(tfmdn.no_such_name)  # E: attr-defined
