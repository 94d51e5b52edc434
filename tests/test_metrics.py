"""The streaming metrics: the same under every batch size and replica count, and right."""

import builtins

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mixture_of, two_replicas

import tfmdn
from tfmdn import keras_internals, metrics, scores

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
X, Y = tfmdn.datasets.inverse_sinusoid().sample(96, seed=0)
REFERENCE = {
    1: {"logits": [0.0, -0.5], "loc": [[0.2], [0.7]], "scale_tril": [[[0.2]], [[0.3]]]},
    2: {"logits": [0.0, 0.5], "loc": [[0.2, 0.1], [1.0, -1.0]], "scale_tril": [np.eye(2).tolist()] * 2},
}
# The arguments of each metric, beside the reference of the last two.
METRICS = {
    "NegativeLogLikelihood": [{}],
    "CRPS": [{}],
    "EnergyScore": [{"num_samples": 5000, "seed": 1}],
    "PinballLoss": [{"levels": [0.1, 0.5]}],
    "IntervalCoverage": [{"coverage": 0.8}],
    "IntervalWidth": [{"coverage": 0.8}],
    "CalibrationError": [{"num_bins": 10}],
    "SkillScore": [{"score": "nll"}, {"score": "crps"}],
}
CASES = [(name, arguments) for name, all_arguments in METRICS.items() for arguments in all_arguments]
every_metric = pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=[f"{name}-{arguments.get('score', '')}".strip("-") for name, arguments in CASES]
)


def build(name, arguments, size=1):
    extra = {"reference": REFERENCE[size]} if name == "SkillScore" else {}
    return getattr(metrics, name)(**arguments, **extra)


def tolerance(name):
    return 0.02 if name == "EnergyScore" else 1e-5  # draws differ from batch to batch


def test_every_metric_is_in_the_table():
    classes = [value for value in vars(metrics).values() if isinstance(value, type)]
    own = {kind.__name__ for kind in classes if issubclass(kind, keras.metrics.Metric)}
    assert own == set(METRICS)


@every_metric
def test_round_trip(name, arguments):
    metric = build(name, arguments)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    assert arguments.items() <= again.get_config().items()
    mixture = mixture_of(("normal", "diag", ()))
    assert float(again(np.zeros(5), mixture)) == float(metric(np.zeros(5), mixture))


@pytest.mark.covering(1)
@every_metric
@pytest.mark.parametrize("event_shape", [(), (2,)])
def test_any_batches_give_the_same(name, arguments, event_shape):
    size = event_shape[0] if event_shape else 1
    features = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    layer = tfmdn.MDNLayer(3, event_shape, kernel_initializer="he_normal")
    y = np.random.default_rng(1).normal(size=(8, size)).astype("float32")
    weight = np.random.default_rng(2).integers(0, 3, 8)
    results = []
    for batch_size in (1, 3, 8):
        metric = build(name, arguments, size)
        for start in range(0, 8, batch_size):
            rows = slice(start, start + batch_size)
            metric.update_state(y[rows], layer(features[rows]), sample_weight=weight[rows])
        results.append(float(metric.result()))
    repeated = build(name, arguments, size)(np.repeat(y, weight, 0), layer(np.repeat(features, weight, 0)))
    np.testing.assert_allclose([*results, float(repeated)], results[-1], rtol=tolerance(name))
    metric.reset_state()
    before = metric.result()
    assert float(before) == 0.0 or (name == "SkillScore" and arguments["score"] == "crps")


@every_metric
def test_rows_that_do_not_count_may_hold_anything(name, arguments):
    mixture = mixture_of(("normal", "diag", (2,)))
    y = np.asarray(mixture.sample(seed=1)).copy()
    weight = np.array([1.0, 0.0, 2.0, 1.0, 0.0], "float32")
    expected = build(name, arguments, 2)(y, mixture, sample_weight=weight)
    y[[1, 4]] = np.nan
    assert float(build(name, arguments, 2)(y, mixture, sample_weight=weight)) == float(expected)
    if name != "IntervalWidth":  # which does not look at the targets
        assert np.isnan(build(name, arguments, 2)(y, mixture))


@every_metric
def test_only_the_ratios_of_weights_matter(name, arguments):
    mixture = mixture_of(("normal", "diag", (2,)))
    y = mixture.sample(seed=1)
    weight = np.array([1.0, 0.0, 2.0, 1.0, 3.0])
    expected = float(build(name, arguments, 2)(y, mixture, sample_weight=weight))
    for scale in (1e-300, 1e-40, 1e300):
        found = float(build(name, arguments, 2)(y, mixture, sample_weight=scale * weight))
        assert found == pytest.approx(expected, rel=1e-5)
    if name == "CRPS":  # scores of 1e25 and 1e-21, and batches of which one counts 1e300 times as much
        for unit, scale in ((1e25, 1e300), (1e-21, 1e-300)):
            metric, own = build(name, arguments), mixture_of(("normal", "diag", ()))
            loc, stddev = (
                unit * value for value in (own.components_distribution.loc, own.components_distribution.scale)
            )
            own = tfmdn.Mixture(own.mixture_distribution, tfd.Normal(loc, stddev))
            plain = float(metric(np.full(5, unit), own, sample_weight=weight))
            metric.reset_state()
            metric.update_state(np.full(5, unit), own, sample_weight=scale * weight)
            metric.update_state(np.full(5, 9.0 * unit), own, sample_weight=min(scale, 1.0) * 1e-300 * weight)
            assert float(metric.result()) == pytest.approx(plain, rel=1e-5)
    for bad in (-1.0, np.nan, np.inf):
        weight[2] = bad
        with pytest.raises(ValueError, match=r"`sample_weight` must be finite numbers, 0 or more.*from 0: 2"):
            build(name, arguments, 2)(y, mixture, sample_weight=weight)
    if name == "NegativeLogLikelihood":
        metric = build(name, arguments, 2)
        graph = tf.function(lambda weight: metric.update_state(y, mixture, weight), autograph=False)
        with pytest.raises(tf.errors.InvalidArgumentError, match="`sample_weight` must be finite numbers, 0 or more"):
            graph(weight)
        tf.function(lambda: metric.update_state(y, mixture, weight), autograph=False, jit_compile=True)()
        assert np.isnan(metric.result())


@every_metric
def test_masked_steps_do_not_count(name, arguments):
    mixture = mixture_of(("normal", "diag", ()), (4, 6))
    y = np.asarray(mixture.sample(seed=1)).copy()
    mask = np.random.default_rng(0).integers(0, 2, (4, 6)).astype(bool)
    expected = build(name, arguments)(y, mixture, sample_weight=mask.astype("float32"))
    y[~mask] = np.nan
    masked = keras_internals.masked(mixture.copy(), tf.constant(mask))
    assert float(build(name, arguments)(y, masked)) == pytest.approx(float(expected), rel=1e-6)
    rows = np.array([1.0, 0.0, 2.0, 1.0], "float32")
    both = build(name, arguments)(np.nan_to_num(y), masked, sample_weight=rows)
    full = build(name, arguments)(np.nan_to_num(y), mixture, sample_weight=rows[:, None] * mask)
    assert float(both) == pytest.approx(float(full), rel=1e-6)


# In models


def model_with(event_shape=(), **arguments):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "tanh"), tfmdn.MDNLayer(3, event_shape)])
    model.compile(
        keras.optimizers.SGD(0.01),
        loss=tfmdn.NegativeLogLikelihood(),
        metrics=[build(name, arguments | {"name": f"m{i}"}) for i, (name, arguments) in enumerate(CASES)],
        **arguments,
    )
    return model


def assert_results_equal(results, others):
    assert set(results) == set(others)
    for i, (name, _) in enumerate(CASES):
        assert others[f"m{i}"] == pytest.approx(results[f"m{i}"], rel=tolerance(name)), name


@pytest.mark.by_default("event_shape1-batches1")
@pytest.mark.parametrize(("event_shape", "batches"), [((), [(96, Y), (7, Y[:, None]), (1, Y)]), ((1,), [(96, Y)])])
def test_evaluate_in_any_batches(event_shape, batches):
    model = model_with(event_shape)
    results = [model.evaluate(X, y, batch_size=size, verbose=0, return_dict=True) for size, y in batches]
    for other in results[1:]:
        assert_results_equal(results[0], other)
    by_hand = {"loss": results[0]["loss"]}
    for i, (name, arguments) in enumerate(CASES):
        by_hand[f"m{i}"] = float(build(name, arguments)(Y, model(X)))
    assert_results_equal(results[0], by_hand)


def test_fit_with_a_model_that_was_saved(tmp_path):
    model = model_with()
    history = model.fit(X, Y[:, None], epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    model.run_eagerly = loaded.run_eagerly = True
    results = (which.evaluate(X[:9], Y[:9], verbose=0, return_dict=True) for which in (model, loaded))
    assert_results_equal(*results)


@pytest.mark.exhaustive
def test_mirrored_strategy_counts_each_row_once():
    evaluations = []
    one, two = tf.distribute.get_strategy(), two_replicas()
    for strategy, arguments in [(one, {"run_eagerly": True}), (two, {"jit_compile": False})]:
        with strategy.scope():
            keras.utils.set_random_seed(1)
            model = model_with(**arguments)
        # 95 rows: the last batch has 31, one replica gets more of them.
        evaluations.append(model.evaluate(X[:95], Y[:95], batch_size=32, verbose=0, return_dict=True))
    for i, (name, _) in enumerate(CASES):
        rel = 0.02 if name == "EnergyScore" else 1e-4
        assert evaluations[1][f"m{i}"] == pytest.approx(evaluations[0][f"m{i}"], rel=rel), name


def test_callbacks_know_which_direction_is_better():
    names = ["NegativeLogLikelihood", "CRPS", "EnergyScore", "PinballLoss", "CalibrationError"]
    assert {getattr(metrics, name)()._direction for name in names} == {"down"}
    assert metrics.SkillScore()._direction == "up"
    model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2)])
    model.compile("sgd", tfmdn.NegativeLogLikelihood(), metrics=[build("SkillScore", {})])
    stopping = keras.callbacks.EarlyStopping(monitor="skill_score", patience=1)
    model.fit(X, Y, epochs=1, callbacks=[stopping], verbose=0)
    assert stopping.monitor_op(2.0, 1.0)


# What they say


def standard_normals(y, dtype="float32"):
    y = np.asarray(y)
    logits, loc = tf.zeros((*y.shape, 1), dtype), tf.zeros((*y.shape, 1), dtype)
    return tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, tf.ones_like(loc)))


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_coverage_width_and_calibration_of_normals(scale, shift):
    quantiles = scipy.stats.norm(shift, scale).ppf((np.arange(20_000) + 0.5) / 20_000)  # what a sample tends to
    mixture = standard_normals(quantiles)
    half = scipy.stats.norm.ppf(0.95)
    inside = np.diff(scipy.stats.norm(shift, scale).cdf([-half, half]))[0]
    assert float(metrics.IntervalCoverage(0.9)(quantiles, mixture)) == pytest.approx(inside, abs=2e-4)
    assert float(metrics.IntervalWidth(0.9)(quantiles[:10], standard_normals(quantiles[:10]))) == pytest.approx(
        2 * half, rel=1e-5
    )
    edges = np.arange(1, 20) / 20
    below = scipy.stats.norm(shift, scale).cdf(scipy.stats.norm.ppf(edges))
    expected = np.sqrt(np.mean((below - edges) ** 2))
    assert float(metrics.CalibrationError()(quantiles, mixture)) == pytest.approx(expected, abs=2e-4)


def test_calibration_error_of_a_perfect_model_falls_with_the_number_of_rows():
    metric, mixture, errors = metrics.CalibrationError(), standard_normals(np.zeros(400)), []
    for seed in range(100):
        metric.reset_state()
        errors.append(float(metric(np.random.default_rng(seed).normal(size=400), mixture)))
    assert np.mean(errors) * np.sqrt(400) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(("size", "unit"), [(None, 1e-6), (1, 1e6), (2, 1e-6)])
def test_skill_is_the_information_gained_in_any_unit(size, unit):
    rng = np.random.default_rng(0)
    shape = (2000,) if size is None else (2000, size)
    x = rng.normal(size=shape)
    y = unit * (x + 0.1 * rng.normal(size=shape)) + 3 * unit
    loc, scale = tf.constant(unit * x + 3 * unit), tf.constant(0.1 * unit, tf.float64)
    logits = tf.zeros((2000, 1), tf.float64)
    normal = (
        tfd.Normal(loc[:, None], scale) if size is None else tfd.MultivariateNormalDiag(loc[:, None], [scale] * size)
    )
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), normal)
    skill = metrics.SkillScore(max_components=3)
    skill.adapt(y)
    expected = 0.5 * np.log(1.01 / 0.01) * (size or 1)  # the mutual information of x and y
    assert float(skill(y, mixture)) == pytest.approx(expected, rel=0.03)
    again = keras.metrics.deserialize(keras.metrics.serialize(skill))
    assert float(again(y, mixture)) == pytest.approx(float(skill.result()), rel=1e-6)
    relative = metrics.SkillScore("crps", reference=skill.reference)
    assert float(relative(y, mixture)) == pytest.approx(1 - 0.1 / np.sqrt(1.01), abs=0.01)


def test_skill_of_no_model_is_zero_and_of_a_wrong_one_negative():
    rng = np.random.default_rng(0)
    y = np.where(rng.uniform(size=2000) < 0.5, rng.normal(-3.0, 1.0, 2000), rng.normal(3.0, 0.5, 2000))
    logits = np.zeros((2000, 2), "float32")
    for score in ("nll", "crps"):
        skill = metrics.SkillScore(score, max_components=4)
        skill.adapt(y)
        assert len(skill.reference["logits"]) == 2  # what the BIC finds
        truth = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal([-3.0, 3.0], [1.0, 0.5]))
        assert float(skill(y, truth)) == pytest.approx(0.0, abs=0.01)
        assert float(metrics.SkillScore(score, reference=skill.reference)(y, standard_normals(y))) < -0.1


def test_skill_score_says_what_it_lacks(monkeypatch):
    mixture = mixture_of(("normal", "diag", (2,)))
    with pytest.raises(ValueError, match=r"Call `adapt\(y\)` with training targets first"):
        metrics.SkillScore()(np.zeros((5, 2)), mixture)
    with pytest.raises(ValueError, match=r"for the event shape .* Received: D=1"):
        build("SkillScore", {})(np.zeros((5, 2)), mixture)
    with pytest.raises(ValueError, match=r"at least two rows of finite targets. Received: 1"):
        metrics.SkillScore().adapt([1.0, np.nan])
    monkeypatch.setattr(builtins, "__import__", _import_without_sklearn(builtins.__import__))
    with pytest.raises(ImportError, match=r"pip install 'tfmdn\[sklearn\]'"):
        metrics.SkillScore().adapt(np.arange(5.0))


def _import_without_sklearn(import_module):
    def import_or_fail(name, *arguments, **keywords):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return import_module(name, *arguments, **keywords)

    return import_or_fail


@pytest.mark.parametrize("y", [np.zeros(10), [0.0, 1.0], np.repeat([0.0, 1.0], 50)])
def test_skill_score_adapts_to_few_and_equal_targets(y):
    skill = metrics.SkillScore()
    skill.adapt(y)
    assert np.isfinite(skill(y, standard_normals(y)))


REFUSED = [
    ("EnergyScore", {"num_samples": 0}, "num_samples=0"),
    ("PinballLoss", {"levels": [0.5, 1.0]}, "levels=1.0"),
    ("IntervalCoverage", {"coverage": 90}, "coverage=90"),
    ("IntervalWidth", {"coverage": 1.0}, "coverage=1.0"),
    ("CalibrationError", {"num_bins": 1}, "num_bins=1"),
    ("CalibrationError", {"num_bins": 2.5}, "num_bins=2.5"),
    ("SkillScore", {"score": "mae"}, "score='mae'"),
    ("SkillScore", {"max_components": 0}, "max_components=0"),
]


@pytest.mark.parametrize(("name", "arguments", "received"), REFUSED)
def test_wrong_arguments_are_refused(name, arguments, received):
    with pytest.raises(ValueError, match="Received") as error:
        getattr(metrics, name)(**arguments)
    assert received in str(error.value)


@every_metric
def test_a_plain_tensor_is_refused(name, arguments):
    with pytest.raises(TypeError, match="Expected the distribution that an MDNLayer outputs"):
        build(name, arguments)(np.zeros(5), np.zeros(5))


def test_metrics_share_the_functions_of_the_scores():
    mixture = mixture_of(("normal", "diag", ()))
    y = np.asarray(mixture.sample(seed=1))
    for name, score in [
        ("NegativeLogLikelihood", scores.negative_log_likelihood),
        ("CRPS", scores.crps),
        ("PinballLoss", scores.pinball_loss),
    ]:
        assert float(getattr(metrics, name)()(y, mixture)) == pytest.approx(float(np.mean(score(y, mixture))), rel=1e-6)
