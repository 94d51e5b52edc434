"""`Ensemble.calibrate`, against simulations in which the right breadth and the right background are known."""

import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import tensorflow as tf
from cases import SCALAR_COMPONENTS, case_name, layer_of

import tfmdn
from tfmdn.ensembles import calibration, judgement
from tfmdn.ensembles.judgement import Judgement

pytestmark = pytest.mark.usefixtures("quick_graphs")
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


def test_weights_of_members_make_them_fewer():
    """Ten members of which four have next to no weight are six."""
    log_probs = normal_members(1.0, 0.5, 0.8, 6_000)
    rows, ones = np.tile(PAIRS, (1_200, 1)), np.ones(6_000)
    pairs = np.arange(6) % 3 == np.arange(6_000)[:, np.newaxis] % 3
    expected = calibration.scale_factor(lambda factor: log_probs(factor)[:, :6], pairs, ones)
    log_weights = np.append(np.zeros(6), np.full(4, -50.0))
    members = np.concatenate([pairs, np.zeros((6_000, 4), bool)], axis=1)
    assert calibration.scale_factor(log_probs, members, ones, log_weights) == pytest.approx(expected, rel=1e-6)
    found = [calibration.scale_factor(log_probs, rows, ones, weights) for weights in (None, np.full(10, 3.0))]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    unlike = np.log(np.repeat([3.0, 1.0], 5))
    exact = scipy.optimize.minimize_scalar(
        lambda factor: -scipy.special.logsumexp(log_probs(factor) + unlike, axis=1).mean(),
        bounds=(0.2, 2.0),
        method="bounded",
    ).x
    everyone = np.ones((6_000, NUM_MEMBERS), bool)
    assert abs(calibration.scale_factor(log_probs, everyone, ones, unlike) - exact) < 0.01
    assert abs(calibration.scale_factor(log_probs, rows, ones, unlike) - exact) < 0.03


def test_halves_judge_crosswise():
    """Of members that remember the rows they were stopped by, the others' judgement counts."""
    rows, log_probs = np.array([1, 2, 4]), normal_members(1.0, 0.5, 0.8, 3)
    by_first, by_second = (
        Judgement(lambda factor, shift=shift: [log_probs(factor) + shift], rows, None, None, 0.0, None)
        for shift in (10.0, 20.0)
    )
    first_half = np.arange(5)[:, np.newaxis] % 2 == np.arange(NUM_MEMBERS) % 2
    (found,) = judgement.crossed(by_first, by_second, first_half).parts(1.1)
    np.testing.assert_allclose(found, log_probs(1.1) + np.where(first_half[rows], 20.0, 10.0))


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


# The weight of the background


@pytest.mark.parametrize(("share", "offset"), [(0.0, 0.0), (0.0, 50.0), (0.02, 0.0), (0.3, 0.0), (0.9, 0.0)])
def test_the_share_of_the_background_is_found(share, offset):
    """Whatever units, which move all log-densities by the same amount."""
    rng = np.random.default_rng(0)
    y = np.where(rng.random((4_000, 1)) < share, rng.normal(0.0, 30.0, (4_000, 1)), rng.normal(size=(4_000, 1)))
    means = 0.1 * rng.normal(size=(4_000, NUM_MEMBERS))
    without = scipy.stats.norm.logpdf(y, means, 1.0) + offset
    alone = np.broadcast_to(scipy.stats.norm.logpdf(y, 0.0, 30.0) + offset, without.shape)
    members = np.tile(PAIRS, (800, 1))
    found = calibration.background_weight(without, alone, members, np.ones(4_000), 0.01)
    assert found == pytest.approx(share, abs=0.02)
    together = scipy.special.logsumexp(np.where(members, without, -np.inf), axis=1) - np.log(2)

    def objective(weight):
        """The prior is half of a row that only the background explains, and 49.5 that it does not."""
        log_probs = np.logaddexp(np.log1p(-weight) + together, np.log(weight) + alone[:, 0])
        return -log_probs.sum() - 0.5 * np.log(weight) - 49.5 * np.log1p(-weight)

    assert objective(found) < min(objective(0.99 * found), objective(1.01 * found))


IMPOSSIBLE = -np.inf
SURE = {
    "no row is the background's": ([0.0, 0.0], [IMPOSSIBLE, IMPOSSIBLE], 0.5 / (2 + 50)),
    "all rows are": ([IMPOSSIBLE, IMPOSSIBLE], [0.0, 0.0], 2.5 / (2 + 50)),
    "one is": ([0.0, IMPOSSIBLE], [IMPOSSIBLE, -700.0], 1.5 / (2 + 50)),
    "nothing is known": ([0.0, 1.0], [0.0, 1.0], 0.01),
}


@pytest.mark.parametrize(("without", "alone", "expected"), SURE.values(), ids=SURE)
def test_half_a_row_counts_as_the_backgrounds(without, alone, expected):
    without, alone = (np.array(column)[:, np.newaxis] for column in (without, alone))
    for weights in (np.ones(2), np.full(2, 1e-3)):  # whose scale does not matter
        found = calibration.background_weight(without, alone, np.ones((2, 1), bool), weights, 0.01)
        assert found == pytest.approx(expected, rel=1e-5)


def test_the_background_counts_rows_by_their_weights():
    without, alone = np.zeros((400, 1)), np.full((400, 1), -1e3)
    alone[:100] = 1e3
    found = [
        calibration.background_weight(without, alone, np.ones((400, 1), bool), weights, 0.01)
        for weights in (np.ones(400), np.repeat([3.0, 1.0], [100, 300]))
    ]
    assert found == pytest.approx([100.5 / 450.0, (0.5 + 300.0 / 600.0 * 300.0) / 350.0], rel=1e-5)


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


@pytest.mark.by_default("normal-full-3", "student_t-spherical-3", "lognormal-diag-scalar")
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


@pytest.mark.by_default("float32-True")
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


@pytest.mark.by_default("normal-diag-scalar")
@pytest.mark.parametrize(
    "case", [("normal", "diag", ()), ("student_t", "diag", ()), ("normal", "full", (2,))], ids=case_name
)
def test_the_background_that_targets_were_drawn_with_is_found(case, tmp_path):
    model = ensemble(case, background=0.01, max_scale=0.1)
    for share in (0.2, 0.0):
        model.set_in_all_members(lambda network: network.layers[-1].background_weight, share)
        model.scale_temperature.assign(tf.ones(model.num_members))
        x, y = rows_of(model, 1.0)
        factor = model.calibrate(x, y)
        assert background_of(model) == pytest.approx(share, abs=0.05)
        assert abs(factor - 1.0) < 0.1
        probs = model(x[:2]).mixture_distribution.probs_parameter()[:, 3::4]
        np.testing.assert_allclose(probs, np.full((2, 3), background_of(model) / 3), rtol=1e-4)
    model.save(tmp_path / "calibrated.keras")
    loaded = keras.models.load_model(tmp_path / "calibrated.keras")
    np.testing.assert_allclose(loaded(x).log_prob(y), model(x).log_prob(y), rtol=1e-5)
    assert loaded.calibrate(x, y) == pytest.approx(factor, rel=1e-6)  # not on top of what was found


def background_of(model):
    """The weight that all members have."""
    (variable,) = (variable for variable in model.variables if variable.name.endswith("background_weight"))
    np.testing.assert_array_equal(variable, np.full(model.num_members, variable[0]))
    return float(variable[0])


def test_targets_beyond_limits_that_were_found_are_the_backgrounds():
    head = tfmdn.MDNLayer(2, support="auto", background=0.01)
    head.adapt(np.linspace(0.0, 1.0, 1_000))
    model = tfmdn.Ensemble([keras.Sequential([keras.Input((1,)), head])])
    y = np.append(np.linspace(0.0, 1.0, 900), np.linspace(1.1, 1.5, 100))
    model.calibrate(np.zeros((1_000, 1)), y)
    assert background_of(model) > 0.1


def test_backgrounds_that_differ_are_left_alone():
    networks = [keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(2, background=0.1 * i)]) for i in range(3)]
    model = tfmdn.Ensemble(networks)
    model.calibrate(*rows_of(model, 1.0))
    weights = [variable.numpy() for variable in model.variables if variable.name.endswith("background_weight")]
    np.testing.assert_allclose(weights, [[0.1], [0.2]])


def test_a_background_that_something_follows_is_left_alone():
    """The last component is then not the background, but one of the marginal."""
    inputs = keras.Input((2,))
    fallback = tfmdn.MarginalFallback(num_components=2)
    fallback.adapt(np.random.default_rng(0).normal(size=(300, 2)), np.random.default_rng(1).normal(size=300))
    networks = [
        keras.Model(inputs, fallback(tfmdn.MDNLayer(2, background=0.01, max_scale=0.1)(inputs), inputs))
        for _ in range(2)
    ]
    model = tfmdn.Ensemble(networks)
    x, y = rows_of(model, 0.8)
    assert abs(model.calibrate(x, y) - 0.8) < 0.05
    assert background_of(model) == pytest.approx(0.01)


def test_an_error_leaves_the_background_alone(monkeypatch):
    model = ensemble(background=0.01)
    x, y = rows_of(model, 1.0)

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(calibration, "background_weight", fail)
    with pytest.raises(MemoryError):
        model.calibrate(x, y)
    assert background_of(model) == pytest.approx(0.01)


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
    assert (model.scale_temperature.numpy() == 1.0).all()
