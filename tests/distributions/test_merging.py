"""Mixtures of mixtures: their density against SciPy, and the two parts of their variance against NumPy."""

import functools

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp
from cases import COMPONENTS, SCALAR_COMPONENTS, SciPyMixture, case_name, layer_of, mixture_of

import tfmdn

tfd = tfp.distributions
# Every class of components: spherical ones are those of "diag", vectors of one coordinate those of more.
KINDS = [case for case in COMPONENTS if case[1] != "spherical" and (case[2] != (1,) or case[0] == "normal")]
every_kind = pytest.mark.parametrize("case", KINDS, ids=case_name)
every_family = pytest.mark.parametrize("case", SCALAR_COMPONENTS, ids=case_name)
# None, equal, different, not summing to 1, with 0.
WEIGHTS = [None, [1, 1, 1], [0.2, 0.5, 0.3], [20.0, 5.0, 1.0], [0.0, 2.0, 1.0]]


@functools.cache
def members_of(case, batch_shape=(3,), sizes=(4, 1, 3), dtype="float64"):
    """Mixtures of one kind that differ, of different numbers of components."""
    members = []
    for seed, size in enumerate(sizes):
        keras.utils.set_random_seed(seed)
        members.append(mixture_of(case, batch_shape, size, dtype=dtype))
    return members


def shares_of(weights, count=3):
    weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    return weights / weights.sum()


def parts(members, weights=None):
    """The law of total variance over the members, by NumPy: aleatoric and epistemic."""
    shares = shares_of(weights, len(members))
    means, variances = (np.stack([getattr(m, name)() for m in members]) for name in ("mean", "variance"))
    mean = np.tensordot(shares, means, 1)
    return np.tensordot(shares, variances, 1), np.tensordot(shares, (means - mean) ** 2, 1)


# The density


@pytest.mark.covering(1)
@every_kind
def test_density_is_the_weighted_mean_of_the_members(case):
    members = members_of(case)
    y = np.concatenate([member.sample(1, seed=1) for member in members])  # [S, B, E]
    truths = [SciPyMixture(case, member) for member in members]
    log_probs = [np.stack([truth.log_prob(row, y[:, row]) for row in range(3)], -1) for truth in truths]
    for weights in WEIGHTS:
        merged = tfmdn.merge(members, weights)
        assert isinstance(merged, tfmdn.Mixture)
        assert merged.member_sizes == (4, 1, 3)
        assert merged.mixture_distribution.logits.shape == (3, 8)
        assert isinstance(members[0].components_distribution, type(merged.components_distribution))
        expected = scipy.special.logsumexp(log_probs, 0, b=shares_of(weights)[:, None, None])
        np.testing.assert_allclose(merged.log_prob(y), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.by_default("normal-diag-scalar", "lognormal-diag-scalar")
@every_family
def test_every_question_to_a_merged_mixture(case):
    members = members_of(case)
    merged = tfmdn.merge(members, [0.2, 0.5, 0.3])
    y = merged.sample(4, seed=0)
    truths = [SciPyMixture(case, member) for member in members]
    cdf = np.stack(
        [
            np.tensordot([0.2, 0.5, 0.3], [truth.cdf(row, np.asarray(y)[:, row]) for truth in truths], 1)
            for row in range(3)
        ],
        -1,
    )
    np.testing.assert_allclose(merged.cdf(y), cdf, rtol=1e-8)
    np.testing.assert_allclose(merged.quantile(merged.cdf(y)), y, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(np.asarray(merged), np.tensordot([0.2, 0.5, 0.3], [m.mean() for m in members], 1))
    assert np.all(merged.log_prob(merged.mode()) >= np.max(merged.log_prob(y), 0) - 1e-6)


def test_float32_stays_float32():
    merged = tfmdn.merge(members_of(("student_t", "diag", (3,)), dtype="float32"), [1, 2, 3])
    assert merged.dtype == merged.mixture_distribution.logits.dtype == tf.float32
    assert merged.decompose().aleatoric.dtype == tf.float32


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    "batch_shapes",
    [[(), (5,)], [(1,), (5,)], [(2, 1), (1, 3)], [(4, 5), (5,)], [(5,), (4, 1), (1, 1)]],
    ids=str,
)
@pytest.mark.parametrize("case", [("normal", "diag", ()), ("normal", "full", (3,)), ("laplace", "diag", (3,))])
def test_batch_shapes_broadcast(case, batch_shapes):
    members = [members_of(case, shape or (1,), (2 + i,))[0] for i, shape in enumerate(batch_shapes)]
    members = [member if shape else member[0] for member, shape in zip(members, batch_shapes)]
    merged = tfmdn.merge(members)
    shape = np.broadcast_shapes(*batch_shapes)
    assert merged.batch_shape == shape
    y = tf.ones((*shape, *case[2]), tf.float64)
    expected = scipy.special.logsumexp([np.broadcast_to(m.log_prob(y), shape) for m in members], 0)
    np.testing.assert_allclose(merged.log_prob(y), expected - np.log(len(members)))
    aleatoric, epistemic = merged.decompose()
    np.testing.assert_allclose(aleatoric + epistemic, merged.variance())


def test_weights_and_components_of_different_batch_shapes():
    """As by hand: one set of components for all rows, and weights for each row."""
    rng = np.random.default_rng(0)
    logits, loc = rng.normal(size=(4, 3)), rng.normal(size=3)
    shared = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, np.ones(3)))
    plain = tfmdn.Mixture(tfd.Categorical(logits=np.zeros(2)), tfd.Normal(np.zeros((4, 2)), np.float64(2.0)))
    merged = tfmdn.merge([shared, plain])
    assert merged.batch_shape == (4,)
    y = rng.normal(size=(7, 4))
    expected = np.logaddexp(shared.log_prob(y), plain.log_prob(y)) - np.log(2.0)
    np.testing.assert_allclose(merged.log_prob(y), expected)
    for part, truth in zip(merged.decompose(), parts([shared, plain])):
        np.testing.assert_allclose(part, truth)


def test_one_mixture_and_plain_mixtures_of_tfp():
    (member,) = members_of(("normal", "diag", ()), sizes=(3,))
    y = np.linspace(-2.0, 2.0, 3)
    np.testing.assert_allclose(tfmdn.merge([member], [7.0]).log_prob(y), member.log_prob(y))
    plain = tfd.MixtureSameFamily(member.mixture_distribution, member.components_distribution)
    merged = tfmdn.merge(iter([plain, member]))
    assert merged.member_sizes == (3, 3)
    np.testing.assert_allclose(merged.log_prob(y), member.log_prob(y))


def test_what_stands_for_the_distribution_is_that_of_the_first():
    members = [mixture_of(("normal", "diag", ()), convert_to_tensor=name) for name in ("mode", "mean")]
    merged = tfmdn.merge(members)
    np.testing.assert_array_equal(tf.convert_to_tensor(merged), merged.mode())


# The parts of the variance


@pytest.mark.covering(1)
@every_kind
def test_parts_of_the_variance_are_those_of_numpy(case):
    members = members_of(case)
    for weights in WEIGHTS:
        merged = tfmdn.merge(members, weights)
        decomposition = merged.decompose()
        aleatoric, epistemic = parts(members, weights)
        assert decomposition.aleatoric.shape == decomposition.epistemic.shape == (3, *case[2])
        np.testing.assert_allclose(decomposition.aleatoric, aleatoric, rtol=1e-9)
        np.testing.assert_allclose(decomposition.epistemic, epistemic, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(sum(decomposition), merged.variance(), rtol=1e-9)


@pytest.mark.covering(1)
@every_kind
def test_the_parts_add_up_in_float32(case):
    merged = tfmdn.merge(members_of(case, dtype="float32"))
    np.testing.assert_allclose(sum(merged.decompose()), merged.variance(), rtol=1e-5)
    assert np.all(np.min(merged.decompose().epistemic) >= 0.0)


def test_one_member_has_no_epistemic_part():
    for mixture in (mixture_of(("normal", "diag", (3,))), tfmdn.merge([mixture_of(("normal", "diag", (3,)))])):
        np.testing.assert_allclose(mixture.decompose().aleatoric, mixture.variance(), rtol=1e-5)
        np.testing.assert_array_equal(mixture.decompose().epistemic, np.zeros((5, 3)))
    member = mixture_of(("laplace", "diag", ()))
    np.testing.assert_allclose(tfmdn.merge([member] * 3).decompose().epistemic, np.zeros(5), atol=1e-10)


def test_merged_mixtures_merge():
    """Members of merged mixtures stay members: the result is the merge of all of them."""
    case = ("student_t", "diag", (3,))
    first, second, third = members_of(case)
    nested = tfmdn.merge([tfmdn.merge([first, second], [1, 3]), third], [2, 1])
    flat = tfmdn.merge([first, second, third], [2 / 12, 6 / 12, 4 / 12])
    assert nested.member_sizes == flat.member_sizes == (4, 1, 3)
    y = first.sample(6, seed=0)
    np.testing.assert_allclose(nested.log_prob(y), flat.log_prob(y))
    for ours, truth in zip(nested.decompose(), flat.decompose()):
        np.testing.assert_allclose(ours, truth)


def test_members_survive_slices_copies_casts_and_expand_dims():
    members = members_of(("normal", "diag", ()))
    merged = tfmdn.merge(members)
    aleatoric, epistemic = parts(members)
    for same, index in (
        (merged[1:3], slice(1, 3)),
        (merged[2], 2),
        (merged[tf.newaxis], None),
        (merged.copy(), ...),
        (tf.cast(merged, tf.float32), ...),
        (tf.function(lambda d: d)(merged), ...),
    ):
        assert same.member_sizes == (4, 1, 3)
        np.testing.assert_allclose(same.decompose().aleatoric, aleatoric[index], rtol=1e-5)
        np.testing.assert_allclose(same.decompose().epistemic, epistemic[index], rtol=1e-5, atol=1e-7)
    widened = tf.expand_dims(merged, -1)
    np.testing.assert_allclose(widened.decompose().epistemic, epistemic[:, None], rtol=1e-9)


# In graphs, with gradients, and saved


@pytest.mark.covering(1)
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("case", [("normal", "full", (3,)), ("student_t", "diag", ())], ids=case_name)
def test_in_a_function(case, jit_compile):
    members = members_of(case)
    y = members[0].sample(seed=0)

    def ask(members):
        merged = tfmdn.merge(members, [1, 2, 3])
        return merged.log_prob(y), *merged.decompose()

    for ours, eager in zip(tf.function(ask, jit_compile=jit_compile)(members), ask(members)):
        np.testing.assert_allclose(ours, eager, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", [("normal", "full", (3,)), ("lognormal", "diag", ())], ids=case_name)
def test_unknown_batch_size(case):
    layers = [layer_of(case, size, kernel_initializer="he_normal") for size in (2, 3)]
    for layer in layers:
        layer.build((None, 6))

    @tf.function(input_signature=[tf.TensorSpec([None, 6])])
    def merged_of(x):
        return tfmdn.merge([layer(x) for layer in layers])

    for batch in (1, 4):
        x = tf.random.normal((batch, 6))
        merged = merged_of(x)
        assert merged.batch_shape == (batch,)
        assert merged.member_sizes == (2, 3)
        for part, truth in zip(merged.decompose(), parts([layer(x) for layer in layers])):
            np.testing.assert_allclose(part, truth, rtol=1e-3, atol=1e-5)


@pytest.mark.covering(1)
@every_kind
def test_gradients_are_finite_with_a_member_of_weight_0(case):
    layers = [layer_of(case, size) for size in (2, 3)]
    x = tf.ones((4, 6))
    with tf.GradientTape() as tape:
        merged = tfmdn.merge([layer(x) for layer in layers], [0.0, 1.0])
        loss = -tf.reduce_mean(merged.log_prob(tf.ones((4, *case[2])))) + tf.reduce_sum(merged.decompose())
    gradients = tape.gradient(loss, [weight for layer in layers for weight in layer.trainable_variables])
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients if gradient is not None)
    assert np.any(gradients[-1] != 0.0)


class Pair(keras.Model):
    """Two members that answer as one."""

    def __init__(self):
        super().__init__()
        self.heads = [tfmdn.MDNLayer(2, 2), tfmdn.MDNLayer(3, 2)]

    def call(self, x):
        return tfmdn.merge([head(x) for head in self.heads], [1.0, 2.0])


@pytest.mark.exhaustive
def test_exported(tmp_path):
    model, x = Pair(), tf.ones((4, 3))
    expected = model(x)
    model.export(str(tmp_path / "keras"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "keras"))
    again = loaded.serve(x)
    assert tuple(again.member_sizes) == (2, 3)
    np.testing.assert_allclose(again.log_prob(tf.zeros((4, 2))), expected.log_prob(tf.zeros((4, 2))), rtol=1e-5)
    for part, truth in zip(again.decompose(), expected.decompose()):
        np.testing.assert_allclose(part, truth, rtol=1e-5, atol=1e-7)
    tfmdn.export_saved_model(model, tmp_path / "plain")
    served = tf.saved_model.load(str(tmp_path / "plain")).signatures["serving_default"](x=x)
    np.testing.assert_allclose(served["stddev"], expected.stddev(), rtol=1e-5)


# Bad input

NORMAL = mixture_of(("normal", "diag", ()))
BAD_CALLS = [
    (ValueError, [], None, "`mixtures` must hold at least one mixture. Received: an empty list."),
    (ValueError, [NORMAL, mixture_of(("laplace", "diag", ()))], None, "Laplace"),
    (ValueError, [NORMAL, mixture_of(("normal", "diag", (1,)))], None, "same kind of components, event shape"),
    (ValueError, [mixture_of(("normal", c, (3,))) for c in ("diag", "full")], None, "MultivariateNormalTriL"),
    (ValueError, [mixture_of((f, "diag", (3,))) for f in ("laplace", "logistic")], None, "Logistic"),
    (ValueError, [NORMAL, mixture_of(("normal", "diag", ()), dtype="float64")], None, "float64"),
    (TypeError, [NORMAL, tfd.Normal(0.0, 1.0)], None, "Received: Normal."),
    (TypeError, [np.zeros(3)], None, "Received: ndarray."),
    (ValueError, [NORMAL, NORMAL], [1.0], "one number for each of the 2 mixtures"),
    (ValueError, [NORMAL, NORMAL], [[1.0, 2.0]], "Received: weights=[[1.0, 2.0]]."),
    (ValueError, [NORMAL, NORMAL], [1.0, -0.1], "Received: weights=[1.0, -0.1]."),
    (ValueError, [NORMAL, NORMAL], [0.0, 0.0], "not all 0. Received: weights=[0.0, 0.0]."),
    (ValueError, [NORMAL, NORMAL], [1.0, np.nan], "Received: weights=[1.0, nan]."),
    (ValueError, [NORMAL, NORMAL], [1.0, np.inf], "Received: weights=[1.0, inf]."),
    (ValueError, [NORMAL, NORMAL], 1.0, "Received: weights=1.0."),
    (TypeError, NORMAL, None, "a list of mixtures. Received: Mixture."),
]


@pytest.mark.parametrize(("kind", "mixtures", "weights", "message"), BAD_CALLS)
def test_bad_calls(kind, mixtures, weights, message):
    with pytest.raises(kind) as error:
        tfmdn.merge(mixtures, weights)
    assert message in str(error.value)
