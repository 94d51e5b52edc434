"""What one fit leaves to the next: everything that is built and traced, and nothing else."""

import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn
from tfmdn.tabular import trainings, tree_features, workshop

pytestmark = pytest.mark.usefixtures("quick_graphs")
X, Y = (part.astype(np.float64) for part in tfmdn.datasets.inverse_sinusoid().sample(80, seed=0))
SETTINGS = {"num_components": 2, "n_estimators": 1, "max_steps": 20, "hidden_units": (8,), "random_state": 0}


def fitted(rows=slice(0, 60), **arguments):
    return tfmdn.MDNRegressor(**{**SETTINGS, **arguments}).fit(X[rows], Y[rows])


@pytest.fixture(autouse=True, scope="module")
def few_trees():
    """Are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"MOST_TREES": 4, "FEWEST_TREES": 4, "EXTRA_TREES": 2}.items():
            patch.setattr(tree_features, name, value)
        yield


@pytest.fixture
def workshops(monkeypatch):
    """None yet."""
    monkeypatch.setattr(workshop, "workshops", workshop.Workshops())
    return workshop.workshops


@pytest.fixture
def num_graphs(monkeypatch):
    """How many graphs TensorFlow has traced."""
    graphs, init = [], tf.Graph.__init__

    def counted(self):
        graphs.append(None)
        init(self)

    monkeypatch.setattr(tf.Graph, "__init__", counted)
    return lambda: len(graphs)


SEVERAL = {"n_estimators": 2}
NOISY = {**SEVERAL, "x_noise": 1.0, "y_noise": 1.0, "support": (-100.0, 100.0)}
TREES = {**SEVERAL, "trees": True}


@pytest.mark.by_default("noisy", "trees")
@pytest.mark.parametrize("arguments", [SEVERAL, NOISY, TREES], ids=["", "noisy", "trees"])
def test_a_fit_traces_nothing_again_and_does_not_depend_on_those_before(num_graphs, arguments):
    first = fitted(**arguments)
    mixture, scores = first.predict_dist(X), first.held_out_scores_
    first.predict(X)
    before = num_graphs()
    assert before > 0
    # Other rows, of another number, and another seed.
    second = fitted(slice(10, 80), random_state=1, **arguments)
    second.predict(X[:3])
    third = fitted(**arguments)
    assert num_graphs() == before
    for regressor in (first, third):
        np.testing.assert_array_equal(regressor.predict_dist(X).log_prob(Y), mixture.log_prob(Y))
        np.testing.assert_array_equal(regressor.held_out_scores_, scores)


def test_weights_are_named_alike():
    """TensorFlow keeps memory for each name that a variable was ever given."""
    first, *others = ([weight.path for weight in fitted(random_state=seed).model_.weights] for seed in range(3))
    assert others == [first, first]


def test_what_is_fitted_is_one_s_own(tmp_path):
    first, second = fitted(), fitted(random_state=1)
    expected = second.predict(X)
    first.model_.set_weights([np.zeros_like(value) for value in first.model_.get_weights()])
    np.testing.assert_array_equal(second.predict(X), expected)
    second.save(tmp_path / "second")
    np.testing.assert_array_equal(tfmdn.MDNRegressor.load(tmp_path / "second").predict(X), expected)


@pytest.mark.by_default("KeyboardInterrupt")
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_nothing_behind(monkeypatch, error):
    expected, before = fitted().predict(X), len(workshop.workshops)

    class Failing(trainings.EnsembleEarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            raise error

    with monkeypatch.context() as patched:
        patched.setattr(trainings, "EnsembleEarlyStopping", Failing)
        with pytest.raises(error):
            fitted()
    assert len(workshop.workshops) == before - 1  # the one that it had
    np.testing.assert_array_equal(fitted().predict(X), expected)


def test_fits_at_the_same_time_do_not_disturb_each_other():
    expected = [fitted(random_state=seed).predict(X) for seed in (0, 1)]
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        before = len(workshop.workshops)
        received = list(threads.map(lambda seed: fitted(random_state=seed).predict(X), (0, 1) * 3))
    for number, predictions in enumerate(received):
        np.testing.assert_array_equal(predictions, expected[number % 2])
    assert len(workshop.workshops) <= before + 1


@pytest.mark.exhaustive
def test_few_are_kept(workshops, monkeypatch):
    monkeypatch.setattr(workshop, "MOST_IDLE", 2)
    for num_components in (1, 2, 3, 2):
        fitted(num_components=num_components, max_steps=1)
    assert [place[0].head[0] for place, _ in workshops._idle] == [("num_components", 3), ("num_components", 2)]


def test_a_user_s_networks_are_not_kept(workshops):
    fitted(network=lambda: keras.layers.Dense(4), max_steps=1)
    assert len(workshops) == 0


@pytest.mark.exhaustive
def test_another_dtype_is_another_workshop():
    expected = fitted().predict(X)
    keras.config.set_floatx("float64")
    assert fitted().held_out_scores_.dtype == np.float64
    keras.config.set_floatx("float32")
    np.testing.assert_array_equal(fitted().predict(X), expected)
