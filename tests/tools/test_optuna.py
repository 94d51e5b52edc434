"""Optuna: searches for settings, in which what is hopeless is given up early."""

import keras
import numpy as np
import pytest
from sklearn.model_selection import KFold

import tfmdn

optuna = pytest.importorskip("optuna")


class Pruning(keras.callbacks.Callback):
    """Gives up a trial whose held-out likelihood is hopeless, as docs/tools/optuna.md has it."""

    def __init__(self, trial, monitor="val_loss"):
        super().__init__()
        self.trial, self.monitor = trial, monitor

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(logs[self.monitor], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


@pytest.mark.parametrize("fit", [keras.Model.fit, tfmdn.fit])
def test_pruning_by_held_out_likelihood(fit):
    problem = tfmdn.datasets.inverse_sinusoid()
    (x, y), held_out = problem.sample(200, seed=0), problem.sample(200, seed=1)

    def objective(trial):
        keras.utils.set_random_seed(0)
        head = tfmdn.MDNLayer(8)
        head.adapt(y)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(32, "silu"), head])
        rate = trial.suggest_categorical("learning_rate", [1e-2, 1e-5])
        model.compile(keras.optimizers.Adam(rate), tfmdn.NegativeLogLikelihood())
        history = fit(model, x, y, epochs=6, validation_data=held_out, verbose=0, callbacks=[Pruning(trial)])
        return min(history.history["val_loss"])

    study = optuna.create_study(
        sampler=optuna.samplers.GridSampler({"learning_rate": [1e-2, 1e-5]}, seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2),
    )
    study.enqueue_trial({"learning_rate": 1e-2})
    study.optimize(objective, n_trials=3)
    assert study.best_params == {"learning_rate": 1e-2}
    pruned = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert {trial.params["learning_rate"] for trial in pruned} == {1e-5}
    assert all(len(trial.intermediate_values) == 3 for trial in pruned)


def test_settings_of_a_regressor_fold_by_fold(train, test, small):
    x, y = train

    def objective(trial):
        settings = {**small, "max_steps": trial.suggest_categorical("max_steps", [100, 1])}
        losses = []
        for fold, (known, held_out) in enumerate(KFold(3).split(x)):
            regressor = tfmdn.MDNRegressor(**settings).fit(x[known], y[known])
            losses.append(-regressor.score(x[held_out], y[held_out]))
            trial.report(np.mean(losses), fold)
            if trial.should_prune():
                raise optuna.TrialPruned
        return np.mean(losses)

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    for steps in (100, 1):
        study.enqueue_trial({"max_steps": steps})
    study.optimize(objective, n_trials=2)
    assert study.best_params == {"max_steps": 100}
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    # What is best by held-out rows is so by rows that took no part.
    fits = [tfmdn.MDNRegressor(**{**small, "max_steps": steps}).fit(x, y) for steps in (100, 1)]
    assert fits[0].score(*test) > fits[1].score(*test)
    assert fits[0].held_out_scores_.mean() < fits[1].held_out_scores_.mean()
