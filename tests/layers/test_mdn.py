"""MDNLayer as a Keras layer: configuration, shapes, the start, masks, dtypes, adapt, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import COMPONENTS, case_name, layer_of
from keras.src import testing

import tfmdn
from tfmdn import keras_internals

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
every_kind = pytest.mark.parametrize("case", COMPONENTS, ids=case_name)

EXPECTED_CLASSES = {
    ("normal", "diag", ()): tfd.Normal,
    ("normal", "spherical", ()): tfd.Normal,
    ("normal", "diag", (3,)): tfd.MultivariateNormalDiag,
    ("normal", "spherical", (3,)): tfd.MultivariateNormalDiag,
    ("normal", "full", (3,)): tfd.MultivariateNormalTriL,
    ("laplace", "diag", ()): tfd.Laplace,
    ("logistic", "diag", ()): tfd.Logistic,
    ("student_t", "diag", ()): tfd.StudentT,
    ("lognormal", "diag", ()): tfd.LogNormal,
    ("laplace", "diag", (3,)): tfd.Independent,
}


class KerasLayerHarness(testing.TestCase):
    """Keras' own tests of a layer: serialization, build, symbolic and eager call, a training step, mixed precision.

    What they cannot express is switched off: `expected_output` (they compare types and values of tensors, and the
    output is a distribution) and the output in `mixed_float16` being half precision (the density stays float32; they
    check that the output's dtype is that of `compute_output_spec`, which holds).
    """

    def runTest(self):
        pass


@pytest.mark.covering(1)
@pytest.mark.parametrize("batch_shape", [(2,), (2, 4)])
@every_kind
def test_keras_layer_harness(case, batch_shape):
    family, covariance, event_shape = case
    KerasLayerHarness().run_layer_test(
        tfmdn.MDNLayer,
        init_kwargs={
            "num_components": 3,
            "event_shape": event_shape,
            "family": family,
            "covariance": covariance,
            "kernel_regularizer": keras.regularizers.L2(1e-4),
        },
        input_shape=(*batch_shape, 5),
        expected_output_shape=(*batch_shape, *event_shape),
        expected_output_dtype="float32",
        expected_num_trainable_weights=2,
        expected_num_non_trainable_weights=3 if covariance == "full" else 2,
        expected_num_seed_generators=0,
        expected_num_losses=1,
        supports_masking=True,
        assert_built_after_instantiation=False,
    )


@pytest.mark.parametrize(("case", "expected"), EXPECTED_CLASSES.items())
def test_output_is_a_real_tfp_mixture(case, expected):
    mixture = layer_of(case)(np.zeros((2, 5)))
    assert isinstance(mixture, tfd.MixtureSameFamily)
    assert isinstance(mixture.mixture_distribution, tfd.Categorical)
    assert isinstance(mixture.components_distribution, expected)


@pytest.mark.covering(1)
@every_kind
@pytest.mark.parametrize("batch_shape", [(7,), (7, 2), (2, 3, 4)])
def test_any_leading_batch_axes(case, batch_shape):
    mixture = layer_of(case)(np.zeros((*batch_shape, 5)))
    assert mixture.batch_shape == batch_shape
    assert mixture.event_shape == case[2]
    assert mixture.shape == (*batch_shape, *case[2])


def test_an_integer_event_shape_is_a_vector():
    assert tfmdn.MDNLayer(2, 3).event_shape == (3,)
    assert tfmdn.MDNLayer(2, np.int64(1)).event_shape == (1,)
    assert tfmdn.MDNLayer(2, [4]).event_shape == (4,)


@every_kind
def test_params_size_is_the_width_of_the_dense_layer(case):
    layer = layer_of(case, num_components=6)
    layer.build((None, 5))
    event_size = int(np.prod(case[2]))
    scales = 1 if case[1] == "spherical" else event_size
    correlations = event_size * (event_size - 1) // 2 if case[1] == "full" else 0
    shapes = scales if case[0] == "student_t" else 0
    assert layer.params_size == 6 * (1 + event_size + scales + correlations + shapes)
    assert layer.dense.kernel.shape == (5, layer.params_size)


@pytest.mark.covering(1)
@pytest.mark.parametrize("num_components", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("case", [case for case in COMPONENTS if case[0] != "lognormal"], ids=case_name)
def test_no_component_is_born_dead(case, num_components):
    """At the start every component is the likeliest source of some part of a standardised target.

    (A lognormal's target is positive; its start is the normal's, in log y.)
    """
    mixture = layer_of(case, num_components)(np.zeros((1, 5)))
    target = np.random.default_rng(0).normal(size=(4000, 1, *case[2])).astype("float32")
    share = np.mean(mixture.posterior_marginal(target).probs_parameter(), (0, 1))
    assert share.min() > 0.15 / num_components
    # The start is a fair fit already: within half a nat a coordinate of the best.
    nll = -np.mean(mixture.log_prob(target)) / max(1, int(np.prod(case[2])))
    assert nll < 1.42 + 0.5
    np.testing.assert_allclose(mixture.mean(), np.zeros((1, *case[2])), atol=1e-5)


def test_initializers_and_regularizers_reach_the_weights():
    layer = tfmdn.MDNLayer(
        3, kernel_initializer="ones", bias_initializer="zeros", kernel_regularizer="l2", bias_constraint="non_neg"
    )
    mixture = layer(np.zeros((2, 5)))
    np.testing.assert_array_equal(layer.dense.kernel, np.ones((5, 9)))
    np.testing.assert_array_equal(mixture.components_distribution.loc, np.zeros((2, 3)))
    assert len(layer.losses) == 1
    assert isinstance(layer.dense.bias_constraint, keras.constraints.NonNeg)


@pytest.mark.parametrize("case", [case for case in COMPONENTS if case[0] in ("normal", "lognormal")], ids=case_name)
@pytest.mark.parametrize("masked", [False, True])
def test_the_scale_regularizer_is_of_departures_from_the_bias(case, masked):
    layer = layer_of(case, kernel_initializer="he_normal", scale_regularizer=keras.regularizers.L2(0.2))
    features = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    mask = np.array([[True, False, True], [True, True, False]]) if masked else np.full((2, 3), True)
    layer(features, mask=tf.constant(mask) if masked else None)
    raw = {}
    for name, params in {"rows": layer.dense(features), "bias": layer.dense.bias[tf.newaxis]}.items():
        blocks = {block.name: np.asarray(params)[..., block.columns] for block in layer.raw_outputs.blocks}
        (parameter,) = [p for p in layer.spec.parameters if p.name == "log_scale"]
        raw[name] = parameter.constrain(tf.constant(blocks["log_scale"])).numpy()  # [B, K, size]
    squares = np.square(raw["rows"] - raw["bias"]).sum((-2, -1))
    np.testing.assert_allclose(layer.losses, [0.2 * squares[mask].mean()], rtol=1e-4)


def test_the_scale_regularizer_with_a_mask_of_fewer_axes_and_rows_that_do_not_count():
    layer = tfmdn.MDNLayer(3, kernel_initializer="he_normal", scale_regularizer="l2")
    features = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    layer(features[:, :2])
    (expected,) = layer.losses
    features[:, 2] = np.nan
    layer(features, mask=tf.constant([[True, True, False]] * 2))
    np.testing.assert_allclose(layer.losses[-1], expected, rtol=1e-6)


def test_the_scale_regularizer_in_float64():
    model = keras.Sequential([keras.Input((3,)), tfmdn.MDNLayer(3, dtype="float64", scale_regularizer="l2")])
    model.compile("sgd", loss=tfmdn.NegativeLogLikelihood())
    losses = model.fit(np.ones((8, 3)), np.ones(8), epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


def test_the_scale_regularizer_tames_scales_without_weight():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0.0, 2.0 * np.pi, 1000)
    radius = 8.0 + rng.normal(0.0, 0.4, 1000)
    x, y = (radius * np.cos(angle))[:, np.newaxis], radius * np.sin(angle)
    excess = {}
    for strength in (0.0, 1e-2):
        keras.utils.set_random_seed(0)
        head = tfmdn.MDNLayer(10, scale_regularizer=keras.regularizers.L2(strength))
        model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(25, "tanh"), keras.layers.Dense(10, "tanh"), head]
        )
        model.compile(keras.optimizers.RMSprop(0.01), loss=tfmdn.NegativeLogLikelihood())
        tfmdn.fit(model, x, y, epochs=100, batch_size=250, verbose=0)
        mixture = model(np.linspace(-9.0, 9.0, 200)[:, np.newaxis])
        weight, scale = (
            mixture.mixture_distribution.probs_parameter().numpy(),
            mixture.components_distribution.scale.numpy(),
        )
        usual = np.exp(np.average(np.log(scale), 0, weight))
        excess[strength] = np.max((scale / usual)[weight < 0.01])
    assert excess[0.0] > 5.0
    assert excess[1e-2] < 2.0


def test_config_round_trip_keeps_every_argument():
    arguments = {
        "num_components": 3,
        "event_shape": (2,),
        "family": "student_t",
        "covariance": "spherical",
        "scale_activation": "elu+1",
        "min_scale": 0.01,
        "max_scale": 7.0,
        "background": 0.02,
        "convert_to_tensor": "mode",
        "kernel_initializer": keras.initializers.HeNormal(seed=1),
        "bias_initializer": keras.initializers.Zeros(),
        "scale_regularizer": keras.regularizers.L2(0.2),
        "kernel_regularizer": keras.regularizers.L1(0.1),
        "bias_regularizer": keras.regularizers.L2(0.2),
        "kernel_constraint": keras.constraints.MaxNorm(3),
        "bias_constraint": keras.constraints.NonNeg(),
        "name": "head",
    }
    layer = tfmdn.MDNLayer(**arguments)
    config = layer.get_config()
    again = tfmdn.MDNLayer.from_config(config)
    assert again.get_config() == config
    for name, value in arguments.items():
        restored = getattr(again, name)
        assert restored == value or restored.get_config() == value.get_config()


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    ("policy", "dtype"),
    [("float32", "float32"), ("mixed_float16", "float32"), ("mixed_bfloat16", "float32"), ("float64", "float64")],
)
@every_kind
def test_density_dtype(case, policy, dtype):
    layer = layer_of(case, dtype=policy)
    mixture = layer(np.zeros((2, 5)))
    assert mixture.dtype == dtype
    assert mixture.sample(seed=1).dtype == dtype
    assert mixture.log_prob(np.ones((2, *case[2]))).dtype == dtype
    assert layer.compute_output_spec(keras.KerasTensor((2, 5))).dtype == dtype


@keras.saving.register_keras_serializable(package="tests")
def upper_decile(mixture):
    return mixture.quantile(0.9)


@pytest.mark.parametrize("convert_to_tensor", ["mean", "mode", "sample", upper_decile])
def test_convert_to_tensor(convert_to_tensor, tmp_path):
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3, 2, convert_to_tensor=convert_to_tensor)])
    x = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
    mixture = model(x)
    tensor = tf.convert_to_tensor(mixture)
    assert tensor.shape == (6, 2)
    if convert_to_tensor == "sample":
        assert not np.allclose(tensor, tf.convert_to_tensor(mixture))
        return
    expected = upper_decile(mixture) if convert_to_tensor is upper_decile else getattr(mixture, convert_to_tensor)()
    np.testing.assert_allclose(tensor, expected)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(tf.convert_to_tensor(again(x)), expected, rtol=1e-4, atol=1e-5)


def test_masks_pass_through():
    inputs = keras.Input((None, 2))
    masked = keras.layers.Masking()(inputs)
    mixture = keras.Model(inputs, tfmdn.MDNLayer(2)(masked))(np.array([[[1.0, 1.0], [0.0, 0.0]]]))
    np.testing.assert_array_equal(keras_internals.mask_of(mixture), [[True, False]])


def test_a_row_of_nan_stays_alone():
    x = np.ones((3, 5), np.float32)
    x[1] = np.nan
    log_prob = np.asarray(tfmdn.MDNLayer(4)(x).log_prob(np.zeros(3)))
    np.testing.assert_array_equal(np.isnan(log_prob), [False, True, False])


# adapt


def as_dataset(y):
    return tf.data.Dataset.from_tensor_slices(y).batch(7)


def as_pairs(y):
    return tf.data.Dataset.from_tensor_slices((np.zeros((len(y), 2)), y)).batch(7)


def as_weighted(y):
    return tf.data.Dataset.from_tensor_slices((np.zeros((len(y), 2)), y, np.ones(len(y)))).batch(7)


@pytest.mark.parametrize("container", [np.asarray, tf.convert_to_tensor, as_dataset, as_pairs, as_weighted])
@pytest.mark.parametrize("event_shape", [(), (1,), (3,)])
def test_adapt_finds_location_and_scale(container, event_shape):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(500, *event_shape)) * 7.0 - 1000.0
    layer = tfmdn.MDNLayer(3, event_shape)
    layer.adapt(container(y))
    np.testing.assert_allclose(layer.target_location, y.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.target_scale, y.std(0), rtol=1e-4)
    mixture = layer(np.zeros((1, 4)))
    np.testing.assert_allclose(mixture.mean()[0], y.mean(0), atol=0.1 * y.std())
    assert np.all(np.asarray(mixture.stddev()[0]) / y.std(0) < 1.5)


@pytest.mark.covering(1)
@every_kind
def test_an_adapted_layer_is_equivariant(case):
    """The density of a rescaled, shifted target is the density of the target, up to the Jacobian."""
    rng = np.random.default_rng(1)
    y = np.exp(rng.normal(size=(400, *case[2])))
    scale, shift = 250.0, (0.0 if case[0] == "lognormal" else -3000.0)
    log_probs = []
    for targets in (y, scale * y + shift):
        keras.utils.set_random_seed(5)
        layer = layer_of(case)
        layer.adapt(targets)
        log_probs.append(layer(rng.normal(size=(1, 6)) * 0 + 1)[0].log_prob(targets.astype("float32")))
    jacobian = np.log(scale) * max(1, int(np.prod(case[2])))
    np.testing.assert_allclose(log_probs[1] + jacobian, log_probs[0], rtol=2e-3, atol=2e-3)


def test_adapt_survives_outliers_and_bad_rows():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(1000, 2))
    y[:3] = 1e4, -1e12
    y[5, 0] = np.nan
    y[6, 1] = np.inf
    layer = tfmdn.MDNLayer(3, 2)
    layer.adapt(y)
    np.testing.assert_allclose(layer.target_location, [0.0, 0.0], atol=0.2)
    np.testing.assert_allclose(layer.target_scale, [1.0, 1.0], rtol=0.3)


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, -1e8])
def test_adapt_gives_a_constant_column_the_scale_one(constant):
    y = np.stack([np.arange(10.0), np.full(10, constant)], -1)
    layer = tfmdn.MDNLayer(3, 2)
    layer.adapt(y)
    assert float(layer.target_scale[1]) == 1.0
    assert float(layer.target_location[1]) == pytest.approx(constant)
    assert float(layer.target_scale[0]) == pytest.approx(y[:, 0].std())


def test_adapt_reads_a_long_dataset_once_in_constant_memory():
    reads = []

    def batches():
        reads.append(1)
        rng = np.random.default_rng(0)
        for _ in range(60):
            yield rng.normal(3.0, 2.0, 1000).astype("float32")

    layer = tfmdn.MDNLayer(3)
    layer.adapt(tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None])))
    assert len(reads) == 1
    assert float(layer.target_location) == pytest.approx(3.0, abs=0.1)
    assert float(layer.target_scale) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_adapt_samples_independently_of_how_the_targets_were_drawn(seed):
    y = np.random.default_rng(seed).uniform(-10.0, 10.0, 100_000)
    layer = tfmdn.MDNLayer(3)
    layer.adapt(y)
    assert float(layer.target_location) == pytest.approx(0.0, abs=0.2)
    assert float(layer.target_scale) == pytest.approx(20.0 / np.sqrt(12.0), rel=0.02)


def test_adapt_of_lognormal_is_of_log_y():
    y = np.exp(np.random.default_rng(0).normal(2.0, 0.5, 2000))
    layer = tfmdn.MDNLayer(3, family="lognormal")
    layer.adapt(y)
    assert float(layer.target_location) == pytest.approx(2.0, abs=0.05)
    assert float(layer.target_scale) == pytest.approx(0.5, rel=0.05)


def test_min_scale_is_relative_to_the_adapted_scale():
    layer = tfmdn.MDNLayer(3, min_scale=0.1)
    layer.adapt(np.array([-500.0, 500.0]))
    layer.build((None, 2))
    layer.dense.bias.assign(np.full(9, -1e4))
    np.testing.assert_allclose(layer(np.zeros((1, 2))).components_distribution.scale, np.full((1, 3), 50.0), rtol=1e-5)


def test_what_adapt_learned_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    model.layers[-1].adapt(np.array([10.0, 20.0, 30.0]))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    assert float(again.target_location) == pytest.approx(20.0)
    assert float(again.target_scale) == pytest.approx(np.std([10.0, 20.0, 30.0]))


# Components that start on the targets

# A vector of one coordinate is a vector.
every_start = pytest.mark.parametrize("case", [case for case in COMPONENTS if case[2] != (1,)], ids=case_name)


def several_modes(case, rows=1000):
    """Targets of five modes in their own units."""
    rng = np.random.default_rng(0)
    modes = rng.choice([-3.0, -1.0, 2.0, 2.5, 6.0], (rows, 1)) * np.where(np.arange(np.prod(case[2])) % 2, -1.0, 1.0)
    y = (modes + 0.15 * rng.normal(size=modes.shape)).reshape(rows, *case[2])
    return np.exp(0.5 * y) if case[0] == "lognormal" else 100.0 + 20.0 * y


def nll_of(layer, y):
    """The NLL before any training, when the features do not matter."""
    return -float(tf.reduce_mean(layer(np.zeros((1, 4))).log_prob(y.astype("float32"))))


@every_start
def test_adapt_starts_the_components_on_the_targets(case):
    y = several_modes(case)
    early, late, spread, one = (layer_of(case, size) for size in (5, 5, 5, 1))
    early.adapt(y)
    one.adapt(y)
    for layer in (early, late, spread):
        layer(np.zeros((1, 4)))
    late.adapt(y + 7.0)
    late.adapt(y)  # anew
    np.testing.assert_array_equal(late.dense.bias, early.dense.bias)
    spread.target_location.assign(early.target_location)
    spread.target_scale.assign(early.target_scale)
    # Better than the same components spread over a standardised target, and than one over the whole target.
    assert nll_of(early, y) < min(nll_of(spread, y), nll_of(one, y)) - 0.02
    # All modes are covered: the densest target is at most 4 nats a coordinate denser than the thinnest one.
    log_prob = early(np.zeros((1, 4))).log_prob(y.astype("float32")).numpy()
    if case[0] == "lognormal":  # of log y
        log_prob += np.log(y).reshape(len(y), -1).sum(1)
    assert np.ptp(log_prob) < 4.0 * max(1, np.prod(case[2]))


def test_centres_are_on_the_clusters_in_the_targets_units():
    layer = tfmdn.MDNLayer(3)
    layer.adapt(np.repeat([-200.0, 300.0, 1000.0], [500, 300, 200]) + np.random.default_rng(0).normal(size=1000))
    mixture = layer(np.zeros((2, 4)))
    np.testing.assert_allclose(mixture.components_distribution.loc, [[-200.0, 300.0, 1000.0]] * 2, atol=0.5)
    halfway = 0.5 * np.array([0.5, 0.3, 0.2]) + 0.5 / 3
    np.testing.assert_allclose(mixture.mixture_distribution.probs_parameter(), [halfway] * 2, rtol=1e-5)


@pytest.mark.parametrize("container", [tf.convert_to_tensor, as_dataset, as_pairs, as_weighted])
def test_the_start_is_the_same_of_any_container(container):
    y = several_modes(("normal", "diag", (3,)))
    biases = []
    for targets in (y, container(y)):
        layer = tfmdn.MDNLayer(5, 3)
        layer.adapt(targets)
        layer.build((None, 4))
        biases.append(layer.dense.bias.numpy())
    np.testing.assert_array_equal(*biases)


@pytest.mark.parametrize("is_built", [False, True])
def test_a_bias_initializer_of_the_users_own_is_left_alone(is_built):
    layer = tfmdn.MDNLayer(3, bias_initializer=keras.initializers.Constant(0.25))
    if is_built:
        layer.build((None, 4))
    layer.adapt(np.arange(100.0))
    layer(np.zeros((1, 4)))
    np.testing.assert_array_equal(layer.dense.bias, np.full(9, 0.25))
    assert float(layer.target_location) == 49.5


@pytest.mark.covering(1)
@pytest.mark.parametrize("case", [("normal", "full", (3,)), ("student_t", "diag", ())], ids=case_name)
@pytest.mark.parametrize("background", [0.0, 0.01])
def test_an_adapted_model_is_saved_and_exported(case, background, tmp_path):
    y = several_modes(case)
    head = layer_of(case, 5, background=background)
    model = keras.Sequential([keras.Input((2,)), head])
    head.adapt(y)
    if background:
        head.background_weight.assign(0.2)
    x, y = np.zeros((20, 2), "float32"), y[:20].astype("float32")
    expected = model(x).log_prob(y)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x).log_prob(y), expected, rtol=1e-6)
    model.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(x).log_prob(y), expected, rtol=1e-5)


def hard_targets(name, rows=100):
    y = np.random.default_rng(0).normal(size=rows)
    return {
        "outlier": np.concatenate([y, [1e4]]),
        "constant": np.full(rows, 3.0),
        "ten rows": y[:10],
        "duplicates": np.where(np.arange(rows) % 5 > 0, 0.0, y),
        "tiny": 1e-6 * y,
        "huge": 1e6 * y,
        "far": y + 1e6,
        "two values": np.sign(y),
    }[name]


@pytest.mark.parametrize("background", [0.0, 0.003])
@pytest.mark.parametrize("event_shape", [(), (2,)])
@pytest.mark.parametrize("name", ["outlier", "constant", "ten rows", "duplicates", "tiny", "huge", "far", "two values"])
def test_loss_and_gradients_are_finite_whatever_the_targets(name, event_shape, background):
    y = hard_targets(name)
    y = np.stack([y, y[::-1]], -1) if event_shape else y
    layer = tfmdn.MDNLayer(20, event_shape, background=background)
    layer.adapt(y)
    x = np.random.default_rng(1).normal(size=(len(y), 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tfmdn.NegativeLogLikelihood()(y.astype("float32"), layer(x))
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


# The background


@every_start
def test_the_background_is_one_more_component_the_same_for_all(case):
    y = several_modes(case)
    layers = [layer_of(case, 4, background=background, kernel_initializer="he_normal") for background in (0.0, 0.05)]
    for layer in layers:
        layer.adapt(y)
        layer.build((None, 6))
    layers[1].dense.set_weights(layers[0].dense.get_weights())
    plain, mixture = (layer(np.random.default_rng(0).normal(size=(7, 6))) for layer in layers)
    assert mixture.mixture_distribution.logits.shape == (7, 5)
    np.testing.assert_allclose(mixture.mixture_distribution.probs_parameter()[:, -1], np.full(7, 0.05), rtol=1e-5)

    size = max(1, int(np.prod(case[2])))
    location, scale = (np.ravel(layers[1].target_location), np.ravel(layers[1].target_scale))
    if case[1] == "spherical":
        scale = np.full(size, np.exp(np.mean(np.log(scale))))
    extra = {"df": np.float32(2.1 + np.log1p(np.exp(5.0)))} if case[0] == "student_t" else {}
    component = tfmdn.layers.families.FAMILIES[case[0]].distribution(loc=location, scale=1.5 * scale, **extra)
    targets = y[:7].astype("float32")
    background = tf.reduce_sum(component.log_prob(targets.reshape(7, size)), -1)
    expected = np.logaddexp(np.log(0.95) + plain.log_prob(targets), np.log(0.05) + background)
    np.testing.assert_allclose(mixture.log_prob(targets), expected, rtol=1e-4, atol=1e-4)


def test_the_background_bounds_the_cost_of_a_far_target():
    """Six standard deviations from all that was learnt a target costs -log(background) nats more than it must."""
    layer = tfmdn.MDNLayer(3, background=0.003, max_scale=1.5)
    layer.build((None, 4))
    layer.dense.bias.assign(np.concatenate([np.zeros(3), np.zeros(3), np.full(3, -7.0)]))  # collapsed at 0
    y = np.float32(6.0)
    marginal = tfd.Normal(0.0, 1.5).log_prob(y) + np.log(0.003)
    np.testing.assert_allclose(layer(np.zeros((1, 4))).log_prob(y)[0], marginal, rtol=1e-5)


@every_start
def test_gradients_of_the_background_are_finite_far_away(case):
    layer = layer_of(case, background=0.01)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tfmdn.NegativeLogLikelihood()(tf.fill((3, *case[2]), 1e4), layer(x))
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_a_model_with_a_background_learns():
    problem = tfmdn.datasets.inverse_sinusoid()
    x, y = problem.sample(512, seed=0)
    model = keras.Sequential([keras.layers.Dense(16, "tanh"), tfmdn.MDNLayer(5, background=0.01)])
    model.compile(keras.optimizers.Adam(0.02), tfmdn.NegativeLogLikelihood())
    losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.3


# Bad input

BAD_ARGUMENTS = [
    ({"num_components": 0}, "`num_components` must be a positive integer. Received: num_components=0."),
    ({"num_components": -1}, "Received: num_components=-1."),
    ({"num_components": 2.5}, "Received: num_components=2.5."),
    ({"num_components": "3"}, "Received: num_components='3'."),
    ({"num_components": True}, "Received: num_components=True."),
    ({"event_shape": (2, 2)}, "Received: event_shape=(2, 2)."),
    ({"event_shape": 0}, "Received: event_shape=0."),
    ({"event_shape": (0,)}, "Received: event_shape=(0,)."),
    ({"event_shape": -3}, "Received: event_shape=-3."),
    ({"event_shape": 1.5}, "Received: event_shape=1.5."),
    ({"event_shape": "3"}, "Received: event_shape='3'."),
    ({"event_shape": None}, "Received: event_shape=None."),
    (
        {"family": "gauss"},
        "`family` must be one of 'normal', 'laplace', 'logistic', 'student_t', 'lognormal', "
        "'gamma', 'weibull', 'gumbel', 'von_mises'.",
    ),
    ({"family": None}, "Received: family=None."),
    ({"covariance": "tied"}, "`covariance` must be one of 'diag', 'spherical', 'full'. Received: covariance='tied'."),
    ({"scale_activation": "relu"}, "`scale_activation` must be one of 'exp', 'softplus', 'elu+1'."),
    ({"covariance": "full"}, "covariance='full' needs a vector target"),
    ({"covariance": "full", "event_shape": 2, "family": "laplace"}, "defined for family='normal' only"),
    ({"min_scale": 0.0}, "`min_scale` must be a finite number greater than 0. Received: min_scale=0.0."),
    ({"min_scale": "small"}, "Received: min_scale='small'."),
    ({"min_scale": float("nan")}, "Received: min_scale=nan."),
    ({"max_scale": -1.0}, "Received: max_scale=-1.0."),
    ({"max_scale": 1e-4}, "`max_scale` must be greater than `min_scale`."),
    ({"family": "lognormal", "min_scale": 6.0}, "max_scale=5.0 (the default)"),
    ({"background": -0.1}, "`background` must be at least 0 and less than 1. Received: background=-0.1."),
    ({"background": 1.0}, "Received: background=1.0."),
    ({"background": "a"}, "Received: background='a'."),
    ({"background": None}, "Received: background=None."),
    ({"background": float("nan")}, "Received: background=nan."),
    ({"convert_to_tensor": "median"}, "Received: convert_to_tensor='median'."),
    ({"convert_to_tensor": lambda mixture: mixture.mean()}, "register_keras_serializable"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        tfmdn.MDNLayer(**{"num_components": 3, **arguments})
    assert message in str(error.value)


def test_unknown_width_of_the_input():
    with pytest.raises(ValueError, match=r"last axis has a known size. Received: input_shape=\(None, None\)"):
        tfmdn.MDNLayer(3).build((None, None))


@pytest.mark.parametrize(
    ("event_shape", "y", "message"),
    [
        ((3,), np.zeros((5, 2)), r"event shape \(3,\). Received: y of shape \(5, 2\)"),
        ((), np.full(5, np.nan), "at least one row of finite targets"),
        ((), np.zeros(0), "at least one row"),
    ],
)
def test_bad_targets_for_adapt(event_shape, y, message):
    with pytest.raises(ValueError, match=message):
        tfmdn.MDNLayer(3, event_shape).adapt(y)


def test_adapt_of_lognormal_refuses_targets_below_zero():
    with pytest.raises(ValueError, match="smallest target of -1"):
        tfmdn.MDNLayer(3, family="lognormal").adapt(np.array([1.0, -1.0]))
