"""Early stopping of ensembles: the best epoch of each member."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from cases import weights_of_members

import tfmdn
from tfmdn.callbacks import early_stopping

pytestmark = pytest.mark.usefixtures("quick_graphs")
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 2)).astype("float32")
Y = (X[:, 0] + 0.5 * rng.normal(size=40)).astype("float32")
HELD_OUT = rng.random((40, 3)) < [0.2, 0.3, 0.4]  # as many rows for none as for another
FIRST_HALF = np.arange(40)[:, np.newaxis] % 2 == [0, 1, 0]
WEIGHTS = rng.integers(0, 4, size=40).astype(float)


def network(units=6):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, "tanh"), tfmdn.MDNLayer(2)])


def ensemble_of(optimizer, units=(6, 6, 4)):
    ensemble = tfmdn.Ensemble([network(count) for count in units], weights_by_member=True)
    ensemble.compile(optimizer, loss=tfmdn.NegativeLogLikelihood(), jit_compile=False)
    return ensemble


def held_out_scores(ensemble, scale_temperature, sample_weight=None, held_out=HELD_OUT):
    """The weighted mean negative log-likelihood of each member on its own rows, by SciPy."""
    scores = []
    for mixture, rows in zip(ensemble.members(X), held_out.T):
        loc, scale = mixture.components_distribution.loc.numpy(), mixture.components_distribution.scale.numpy()
        log_probs = scipy.stats.norm(loc, scale_temperature * scale).logpdf(Y[:, np.newaxis])
        logits = scipy.special.log_softmax(mixture.mixture_distribution.logits.numpy(), -1)
        weights = rows if sample_weight is None else rows * sample_weight
        scores.append(-np.average(scipy.special.logsumexp(logits + log_probs, -1), weights=weights))
    return np.array(scores)


class Snapshots(keras.callbacks.Callback):
    """The weights and the scores of all members at the end of each epoch."""

    def __init__(self, *judgement):
        super().__init__()
        self.judgement, self.weights, self.scores, self.of_halves = judgement, [], [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(weights_of_members(self.model))
        self.scores.append(held_out_scores(self.model, *self.judgement))
        halves = HELD_OUT & FIRST_HALF, HELD_OUT & ~FIRST_HALF
        self.of_halves.append([held_out_scores(self.model, *self.judgement, half) for half in halves])


@pytest.mark.by_default("fit-True-sample_weight1")
@pytest.mark.parametrize(
    ("fit", "use_ema", "sample_weight"),
    [(keras.Model.fit, False, None), (keras.Model.fit, True, WEIGHTS), (tfmdn.fit, True, None)],
)
def test_each_member_ends_with_the_weights_of_its_own_best_epoch(fit, use_ema, sample_weight, monkeypatch):
    monkeypatch.setattr(early_stopping, "AT_ONCE", 6)
    ensemble = ensemble_of(keras.optimizers.Adam(0.1, use_ema=use_ema, ema_momentum=0.8))
    stopping = tfmdn.EnsembleEarlyStopping(
        X, Y, HELD_OUT, sample_weight, first_half=FIRST_HALF, patience=20, scale_temperature=1.5
    )
    snapshots = Snapshots(1.5, sample_weight)
    swap = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if use_ema else []
    arguments = {"batch_size": 20, "epochs": 12, "callbacks": [*swap, stopping, snapshots], "verbose": 0}
    history = fit(ensemble, X, Y, sample_weight=(~HELD_OUT).astype("float32"), **arguments)
    scores = np.array(snapshots.scores)
    best = scores.argmin(0)
    assert len(set(best)) > 1
    assert stopping.has_halves
    for half, epochs in zip((0, 1, None), (*np.argmin(snapshots.of_halves, axis=0), best)):
        stopping.restore(half)
        for member, weights in enumerate(weights_of_members(ensemble)):
            for value, expected in zip(weights, snapshots.weights[epochs[member]][member]):
                np.testing.assert_array_equal(value, expected)
    np.testing.assert_allclose(stopping.best_scores, scores.min(0), rtol=1e-4)
    np.testing.assert_array_equal(stopping.best_epochs, best + 1)
    np.testing.assert_allclose(stopping.scores(1.5), scores.min(0), rtol=1e-4)
    np.testing.assert_allclose(stopping.scores(), held_out_scores(ensemble, 1.0, sample_weight), rtol=1e-4)
    np.testing.assert_allclose(history.history["held_out_loss"], scores.mean(1), rtol=1e-4)


def test_shared_rows_count_in_the_choice_of_each_member():
    ensemble = ensemble_of(keras.optimizers.Adam(0.1))
    for count in (3.0, 1e9):  # one graph serves both
        check_choices(ensemble, count)


def check_choices(ensemble, count):
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT, first_half=FIRST_HALF, shared_rows=count, patience=20)
    snapshots = Snapshots(1.25, None)
    weights = (~HELD_OUT).astype("float32")
    arguments = {"batch_size": 20, "epochs": 12, "callbacks": [stopping, snapshots], "verbose": 0}
    ensemble.fit(X, Y, sample_weight=weights, **arguments)
    halves = np.swapaxes(snapshots.of_halves, 0, 1)
    rows = HELD_OUT & FIRST_HALF, HELD_OUT & ~FIRST_HALF, HELD_OUT
    for half, scores, own in zip((0, 1, None), (*halves, np.array(snapshots.scores)), rows):
        shared = np.minimum(scores, scores[0]).mean(1, keepdims=True)
        epochs = (scores + count / own.sum(0) * shared).argmin(0)
        stopping.restore(half)
        for member, weights in enumerate(weights_of_members(ensemble)):
            np.testing.assert_array_equal(weights[0], snapshots.weights[epochs[member]][member][0])
    np.testing.assert_array_equal(stopping.best_epochs, epochs + 1)
    np.testing.assert_allclose(stopping.best_scores, scores[epochs, range(3)], rtol=1e-4)
    assert len(set(epochs)) == 1 or count < 10.0


def test_rows_too_few_for_halves_have_none():
    first_half = HELD_OUT & (HELD_OUT.cumsum(0) <= [1, 1, 100])  # all of the last member's
    for halves in (first_half, None):
        assert not tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT, first_half=halves).has_halves


def test_training_stops_after_patience_epochs_without_improvement(capsys):
    ensemble = ensemble_of(keras.optimizers.SGD(0.0), units=(6, 6, 6))
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT, patience=3, verbose=True)
    for _ in range(2):  # a second training starts anew
        assert len(tfmdn.fit(ensemble, X, Y, epochs=9, callbacks=[stopping], verbose=0).history["loss"]) == 4
        assert "Epoch 4: no member improved for 3 epochs." in capsys.readouterr().out


def test_each_callback_keeps_weights_of_its_own():
    ensemble, judged = ensemble_of(keras.optimizers.Adam(0.1)), []
    first, second = (tfmdn.EnsembleEarlyStopping(X, sign * Y, HELD_OUT) for sign in (1.0, -1.0))
    ensemble.fit(X, Y, epochs=3, verbose=0, callbacks=[first, second])
    ensemble.fit(X, -Y, epochs=3, verbose=0, callbacks=[second])
    for callback in (first, second):
        callback.restore()
        judged.append(callback.scores(callback.scale_temperature))
    np.testing.assert_allclose(judged, [first.best_scores, second.best_scores], rtol=1e-6)


def test_what_validation_data_gives_is_kept_apart():
    ensemble = ensemble_of("sgd")
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT)
    history = ensemble.fit(X, Y, validation_data=(X, Y), callbacks=[stopping], verbose=0).history
    assert history["val_loss"] == pytest.approx([ensemble.evaluate(X, Y, verbose=0)], rel=1e-5)
    assert history["held_out_loss"] != history["val_loss"]


def test_members_that_diverge_are_named():
    ensemble = ensemble_of("sgd")
    before = weights_of_members(ensemble)
    x = np.where(HELD_OUT[:, [1]], np.nan, X)  # member 1 is judged by these alone
    stopping = tfmdn.EnsembleEarlyStopping(x, Y, HELD_OUT & ~HELD_OUT[:, [1]] | (np.arange(3) == 1) & HELD_OUT)
    with pytest.warns(UserWarning, match=r"score of members \[1\] was never finite: they keep the weights"):
        tfmdn.fit(ensemble, X, Y, callbacks=[stopping], verbose=0)
    for member, (value, old) in enumerate(zip(weights_of_members(ensemble), before)):
        assert all(map(np.array_equal, value, old)) == (member == 1)


def test_scores_are_of_the_dtype_of_keras():
    keras.config.set_floatx("float64")
    ensemble = ensemble_of("sgd")
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT)
    tfmdn.fit(ensemble, X, Y, callbacks=[stopping], verbose=0)
    np.testing.assert_allclose(stopping.best_scores, held_out_scores(ensemble, 1.25), rtol=1e-6)


REFUSED = {
    "a vector": ({"held_out": HELD_OUT[:, 0]}, r"of shape \(n, members\) for the n = 40 rows.*Received: shape \(40,\)"),
    "other rows": ({"held_out": HELD_OUT[:30]}, r"Received: shape \(30, 3\)"),
    "a member without rows": ({"held_out": HELD_OUT & [True, False, True]}, r"with \[\d+, 0, \d+\] rows"),
    "weights of other rows": ({"sample_weight": np.ones(30)}, r"each of the 40 rows.*Received: shape \(30,\)"),
    "a member without weight": (
        {"sample_weight": 1.0 - HELD_OUT[:, 1]},
        r"`sample_weight` must be above 0 for at least one row.*Received: \[\d+, 0, \d+\]",
    ),
    "patience": ({"patience": 0}, "`patience` must be a positive integer"),
    "scale_temperature": ({"scale_temperature": 0.0}, "`scale_temperature` must be"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.EnsembleEarlyStopping(X, Y, **{"held_out": HELD_OUT, **arguments})


@pytest.mark.parametrize(
    ("build", "received"),
    [(network, "not an Ensemble"), (lambda: tfmdn.Ensemble([network(), network()]), "2")],
    ids=["a network", "other members"],
)
def test_another_model_is_refused(build, received):
    model = build()
    model.compile("sgd", loss=tfmdn.NegativeLogLikelihood(), jit_compile=False)
    stopping = tfmdn.EnsembleEarlyStopping(X, Y, HELD_OUT)
    with pytest.raises(ValueError, match=f"`held_out` has columns for 3 members. Received: .*, {received}"):
        tfmdn.fit(model, X, Y, callbacks=[stopping], verbose=0)
