"""KerasTuner: a search by the likelihood of held-out rows finds the settings that are right."""

import keras
import numpy as np
import pytest

import tfmdn

keras_tuner = pytest.importorskip("keras_tuner")


def test_a_grid_finds_that_several_components_are_needed(tmp_path):
    problem = tfmdn.datasets.inverse_sinusoid()
    (x, y), held_out = problem.sample(300, seed=0), problem.sample(300, seed=1)

    def build(settings):
        head = tfmdn.MDNLayer(settings.Choice("num_components", [1, 8]))
        head.adapt(y)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(32, "silu"), head])
        optimizer = keras.optimizers.Adam(settings.Choice("learning_rate", [1e-5, 1e-2]))
        model.compile(optimizer, tfmdn.NegativeLogLikelihood())
        return model

    tuner = keras_tuner.GridSearch(build, "val_loss", directory=tmp_path, project_name="grid")
    stopping = keras.callbacks.EarlyStopping(patience=3)
    tuner.search(x, y, epochs=10, validation_data=held_out, callbacks=[stopping], verbose=0)
    assert tuner.get_best_hyperparameters()[0].values == {"num_components": 8, "learning_rate": 1e-2}
    best, trial = tuner.get_best_models()[0], tuner.oracle.get_best_trials()[0]
    x_held_out, y_held_out = held_out
    nll = tfmdn.negative_log_likelihood(y_held_out, best(x_held_out)).numpy().mean()
    assert nll == pytest.approx(trial.score, rel=1e-5)
    # The units that `build` has learnt come back with the weights.
    assert np.std(best(x_held_out).sample(seed=0)) == pytest.approx(np.std(y), rel=0.3)
