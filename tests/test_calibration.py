"""`Ensemble.calibrate`, against simulations in which the right breadth is known."""

import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import tensorflow as tf
from cases import SCALAR_COMPONENTS, case_name, layer_of

import tfmdn
from tfmdn import calibration

NUM_MEMBERS = 10
PAIRS = np.arange(NUM_MEMBERS)[np.newaxis] % 5 == np.arange(5)[:, np.newaxis]  # [5, M]


def normal_members(error, disagreement, predicted, num_rows, seed=0):
    """Log-densities, by factor, of members around a common mean that errs, all by normal variables of these scales."""
    rng = np.random.default_rng(seed)
    y = error * rng.normal(size=(num_rows, 1))
    means = disagreement * rng.normal(size=(num_rows, NUM_MEMBERS))
    return lambda factor: scipy.stats.norm.logpdf(y, means, factor * predicted)


# What pairs tell of all

SCALES = [(1.0, 0.5, 0.8), (1.0, 0.5, 1.2), (1.0, 0.1, 0.7), (0.7, 0.7, 1.0), (0.5, 0.5, 0.5)]


@pytest.mark.parametrize(("error", "disagreement", "predicted"), SCALES)
def test_pairs_tell_what_all_members_need(error, disagreement, predicted):
    log_probs = normal_members(error, disagreement, predicted, 6_000)

    def best(num_together):
        def objective(factor):
            return -scipy.special.logsumexp(log_probs(factor)[:, :num_together], axis=1).mean()

        return scipy.optimize.minimize_scalar(objective, bounds=(0.2, 2.0), method="bounded").x

    found = calibration.scale_factor(log_probs, np.tile(PAIRS, (1_200, 1)), np.ones(6_000))
    # Nearly all of the way: mixtures of normal distributions are not normal, which the line takes them for.
    assert abs(found - best(NUM_MEMBERS)) < 0.01 + 0.25 * abs(best(1) - best(NUM_MEMBERS))
    everyone = np.ones((6_000, NUM_MEMBERS), bool)
    assert abs(calibration.scale_factor(log_probs, everyone, np.ones(6_000)) - best(NUM_MEMBERS)) < 0.02


def test_rows_count_by_their_weights():
    narrow, broad = normal_members(0.8, 0.0, 1.0, 3_000), normal_members(1.6, 0.0, 1.0, 3_000)
    everyone = np.ones((6_000, NUM_MEMBERS), bool)

    def both(factor):
        return np.concatenate([narrow(factor), broad(factor)])

    for weights, expected in [((1, 1), np.sqrt((0.64 + 2.56) / 2)), ((3, 1), np.sqrt((3 * 0.64 + 2.56) / 4))]:
        found = calibration.scale_factor(both, everyone, np.repeat(weights, 3_000).astype(float))
        assert abs(found - expected) < 0.03


def test_few_rows_say_little():
    """A member that is always right should be infinitely sharp, but not because of a row or two."""
    found = [
        calibration.scale_factor(
            normal_members(0.0, 0.0, 1.0, count), np.tile(PAIRS, (count, 1))[:count], np.ones(count)
        )
        for count in (1, 2, 100)
    ]
    assert 0.95 > found[0] > found[1] > found[2] == pytest.approx(0.5, abs=0.01)


JUDGES = {
    "a fold for each pair": (np.tile(PAIRS, (2, 1)), range(10), np.tile(PAIRS, (2, 1))),
    "rows of one alone are left out": ([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]], [0, 3], [[1, 1, 0], [0, 1, 1]]),
    "as many in each row": ([[1, 1, 1], [1, 1, 0], [0, 1, 1]], [0, 1, 2], [[1, 1, 0], [1, 1, 0], [0, 1, 1]]),
    "a set for validation": (np.ones((3, 4)), range(3), np.ones((3, 4))),
    "a single member": ([[1], [0], [1]], [0, 2], [[1], [1]]),
}


@pytest.mark.parametrize(("held_out", "rows", "members"), JUDGES.values(), ids=JUDGES)
def test_which_rows_judge(held_out, rows, members):
    found_rows, found_members = calibration.judges(np.asarray(held_out, bool))
    np.testing.assert_array_equal(found_rows, list(rows))
    np.testing.assert_array_equal(found_members, np.asarray(members, bool))


def test_many_rows_are_sampled():
    rows, members = calibration.judges(np.ones((20_000, 2), bool))
    assert len(rows) == len(set(rows)) == len(members) == calibration.MAX_ROWS
    assert abs(rows.mean() - 10_000) < 500


# Ensembles


def ensemble(case=("normal", "diag", ()), size=3, **arguments):
    return tfmdn.Ensemble(
        [
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "tanh"), layer_of(case, 3, **arguments)])
            for _ in range(size)
        ]
    )


def rows_of(model, factor, num_rows=2_000):
    """Targets as if the scales of all members' components were multiplied by a factor."""
    x = np.random.default_rng(0).normal(size=(num_rows, 2)).astype("float32")
    return x, model(x).temper(scale_temperature=factor).sample(seed=0).numpy()


CASES = [*SCALAR_COMPONENTS, ("normal", "diag", (2,)), ("normal", "full", (3,)), ("student_t", "spherical", (3,))]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_factor_that_targets_were_drawn_with_is_found(case):
    model = ensemble(case)
    x, y = rows_of(model, 0.7)
    before = model(x)
    factor = model.calibrate(x, y)
    assert abs(factor - 0.7) < 0.05
    expected = before.temper(scale_temperature=factor)
    np.testing.assert_allclose(model(x).log_prob(y), expected.log_prob(y), rtol=1e-4, atol=1e-4)
    assert model(x).member_sizes == (3, 3, 3)


@pytest.mark.parametrize(("dtype", "jit_compile"), [("float32", True), ("float64", False)])
def test_everything_predicted_is_calibrated(dtype, jit_compile, tmp_path):
    model = ensemble(dtype=dtype)
    x, y = rows_of(model, 1.5)
    model.compile(
        loss=tfmdn.NegativeLogLikelihood(),
        metrics=[tfmdn.metrics.NegativeLogLikelihood(name="nll")],
        jit_compile=jit_compile,
    )
    uncalibrated = model.evaluate(x, y, return_dict=True, verbose=0)["nll"]
    factor = model.calibrate(x, y)
    expected = -float(tf.reduce_mean(model(x).log_prob(y)))
    assert expected < uncalibrated - 0.01
    logs = model.evaluate(x, y, return_dict=True, verbose=0)
    assert logs["nll"] == pytest.approx(expected, rel=1e-4)
    assert float(tf.reduce_mean(-tfmdn.merge(model.members(x)).log_prob(y))) == pytest.approx(expected, rel=1e-5)
    model.save(tmp_path / "calibrated.keras")
    loaded = keras.models.load_model(tmp_path / "calibrated.keras")
    np.testing.assert_allclose(loaded(x).log_prob(y), model(x).log_prob(y), rtol=1e-6)
    assert loaded.calibrate(x, y) == factor  # not on top of what was found


def test_learning_goes_on_without_it():
    model = ensemble(size=2)
    x, y = rows_of(model, 0.6, 64)
    model.compile("sgd", loss=tfmdn.NegativeLogLikelihood())
    weights = model.get_weights()
    losses = [model.train_on_batch(x, y)]
    model.set_weights(weights)
    model.calibrate(x, y)
    losses.append(model.train_on_batch(x, y))
    assert losses[0] == losses[1]


def test_masked_steps_and_weightless_rows_do_not_count():
    layers = [keras.layers.Masking(), keras.layers.Dense(4, "tanh"), tfmdn.MDNLayer(2)]
    model = tfmdn.Ensemble([keras.Sequential([keras.Input((None, 2)), *layers])])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5, 2)).astype("float32")
    x[:, 3:] = 0.0
    y = rng.normal(size=(200, 5)).astype("float32")
    weights = rng.uniform(0.5, 1.5, 200) * (np.arange(200) < 150)
    factor = model.calibrate(x, y, sample_weight=weights)
    y[:, 3:] = np.nan
    y[150:] = np.nan
    assert model.calibrate(x, y, sample_weight=weights) == factor
    assert model.calibrate(x[:150], y[:150], sample_weight=weights[:150]) == pytest.approx(factor, rel=1e-5)


X, Y = np.zeros((6, 2), "float32"), np.zeros(6, "float32")
REFUSED = {
    "shape": (dict(held_out=np.ones((6, 2))), r"\(n, members\) = \(6, 3\). Received: shape \(6, 2\)"),
    "folds": (dict(held_out=np.arange(6)[:, np.newaxis] % 3 == np.arange(3)), "at least 2 of the 3 members"),
    "weights of 0": (dict(sample_weight=np.zeros(6)), "of weights above 0"),
    "negative weights": (dict(sample_weight=-np.ones(6)), "0 or more. Received: shape .6,., from -1.0 to -1.0"),
    "weights of other rows": (dict(sample_weight=np.ones(5)), "each of the 6 rows"),
    "a weight of NaN": (dict(sample_weight=np.full(6, np.nan)), "a finite number for each of the 6 rows"),
    "NaN": (dict(y=np.full(6, np.nan, "float32")), "must be finite"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments, message):
    model = ensemble()
    with pytest.raises(ValueError, match=message):
        model.calibrate(**{"x": X, "y": Y, **arguments})
    assert float(model.scale_temperature) == 1.0
