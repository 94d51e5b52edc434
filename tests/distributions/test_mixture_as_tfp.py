"""Mixture keeps what TFP documents of MixtureSameFamily: the same calls give what the base class gives."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn

tfd = tfp.distributions


def independent(distribution, axes=1):
    return tfd.Independent(distribution, axes)


def tensor(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# name: (mixture distribution, components), of many batch and event shapes and kinds, unusual ones included.
MIXTURES = {
    "scalar": lambda: (tfd.Categorical(probs=[0.3, 0.7]), tfd.Normal([-1.0, 1.0], [0.1, 0.5])),
    "batch": lambda: (tfd.Categorical(logits=tensor(4, 3)), tfd.Normal(tensor(4, 3), 0.5)),
    "two batch axes": lambda: (tfd.Categorical(logits=tensor(2, 4, 3)), tfd.Laplace(tensor(2, 4, 3), 0.5)),
    "weights broadcast": lambda: (tfd.Categorical(logits=tensor(3)), tfd.Normal(tensor(4, 3), 0.5)),
    "components broadcast": lambda: (tfd.Categorical(logits=tensor(4, 3)), tfd.Normal(tensor(3), 0.5)),
    "both broadcast": lambda: (tfd.Categorical(logits=tensor(4, 1, 3)), tfd.Normal(tensor(2, 3), 0.5)),
    "vector": lambda: (
        tfd.Categorical(logits=tensor(3)),
        tfd.MultivariateNormalDiag(tensor(3, 2), np.full((3, 2), 0.5, "f4")),
    ),
    "vector batch": lambda: (
        tfd.Categorical(logits=tensor(4, 3)),
        tfd.MultivariateNormalTriL(tensor(4, 3, 2), np.float32([[1.0, 0.0], [0.5, 0.3]])),
    ),
    "vector broadcast": lambda: (
        tfd.Categorical(logits=tensor(4, 3)),
        tfd.MultivariateNormalDiag(tensor(3, 2), np.full((2,), 0.5, "f4")),
    ),
    "independent": lambda: (tfd.Categorical(logits=tensor(4, 3)), independent(tfd.Logistic(tensor(4, 3, 2), 0.5))),
    "matrix": lambda: (tfd.Categorical(logits=tensor(4, 3)), independent(tfd.Normal(tensor(4, 3, 2, 5), 0.5), 2)),
    "double": lambda: (
        tfd.Categorical(logits=tensor(3, dtype=np.float64)),
        tfd.Normal(tensor(3, dtype=np.float64), np.float64(0.5)),
    ),
    "scale broadcast": lambda: (tfd.Categorical(logits=tensor(4, 3)), tfd.Normal(0.0, np.full((4, 3), 0.5, "f4"))),
    "negative scale": lambda: (
        tfd.Categorical(logits=tensor(3)),
        tfd.MultivariateNormalDiag(tensor(3, 2), -np.full((3, 2), 0.5, "f4")),
    ),
    "no location": lambda: (
        tfd.Categorical(logits=tensor(2)),
        tfd.MultivariateNormalDiag(scale_diag=np.float32([[1, 2], [2, 1]])),
    ),
    "no scale": lambda: (tfd.Categorical(logits=tensor(3)), tfd.MultivariateNormalDiag(loc=tensor(3, 2))),
    "bernoulli": lambda: (
        tfd.Categorical(probs=[0.3, 0.7]),
        tfd.Bernoulli(probs=np.float32([[0.4, 0.6], [0.25, 0.75]])),
    ),
    "poisson": lambda: (tfd.Categorical(probs=[0.3, 0.7]), tfd.Poisson(np.float32([2.0, 9.0]))),
    "gamma": lambda: (tfd.Categorical(probs=[0.3, 0.7]), tfd.Gamma([2.0, 3.0], [1.0, 2.0])),
    "dirichlet": lambda: (tfd.Categorical(probs=[0.3, 0.7]), tfd.Dirichlet(np.float32([[1, 2, 3], [3, 2, 1]]))),
    "transformed": lambda: (
        tfd.Categorical(probs=[0.3, 0.7]),
        tfd.TransformedDistribution(tfd.Normal([0.0, 1.0], 0.2), tfp.bijectors.Exp()),
    ),
}
every_mixture = pytest.mark.parametrize("build", MIXTURES.values(), ids=MIXTURES)


def pair(build, **kwargs):
    return tfmdn.Mixture(*build(), **kwargs), tfd.MixtureSameFamily(*build(), **kwargs)


@pytest.mark.covering(1)
@every_mixture
@pytest.mark.parametrize("validate_args", [False, True])
def test_shapes_density_and_moments_are_the_base_classs(build, validate_args):
    ours, base = pair(build, validate_args=validate_args)
    assert ours.batch_shape == base.batch_shape
    assert ours.event_shape == base.event_shape
    assert ours.dtype == base.dtype
    y = base.sample(6, seed=1)
    for method in ("log_prob", "prob", "posterior_mode"):
        np.testing.assert_allclose(getattr(ours, method)(y), getattr(base, method)(y), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        ours.posterior_marginal(y).probs_parameter(), base.posterior_marginal(y).probs_parameter(), atol=1e-5
    )
    for method in ("mean", "variance", "stddev", "covariance"):
        with contextlib.suppress(NotImplementedError):
            np.testing.assert_allclose(getattr(ours, method)(), getattr(base, method)(), rtol=1e-5, atol=1e-6)


@pytest.mark.covering(1)
@every_mixture
@pytest.mark.parametrize("sample_shape", [(), 3, [2, 5], (1,)], ids=str)
def test_draws_have_the_base_classs_shape_dtype_and_moments(build, sample_shape):
    ours, base = pair(build)
    draws = ours.sample(sample_shape, seed=1)
    assert draws.shape == base.sample(sample_shape, seed=1).shape
    assert draws.dtype == base.dtype
    if sample_shape == 3:
        many, reference = (np.asarray(kind.sample(40_000, seed=2), np.float64) for kind in (ours, base))
        error = 6.0 * np.sqrt((many.var(0) + reference.var(0)) / 40_000)
        assert np.all(np.abs(many.mean(0) - reference.mean(0)) <= error + 1e-6)


@pytest.mark.parametrize("build", [MIXTURES[key] for key in ("scalar", "batch", "weights broadcast", "gamma")])
def test_scalar_cdf_is_the_base_classs(build):
    ours, base = pair(build)
    y = base.sample(10, seed=1)
    for method in ("cdf", "survival_function"):
        expected = getattr(base, method)(y)
        np.testing.assert_allclose(getattr(ours, method)(y), expected, rtol=1e-5, atol=1e-5)
        # The base class takes logarithms of what it has rounded.
        distance = np.abs(getattr(ours, f"log_{method}")(y) - getattr(base, f"log_{method}")(y))
        assert np.all(distance <= 1e-5 + 3e-7 / expected)


SLICES = {
    "0": 0,
    "1:3": slice(1, 3),
    "newaxis": (Ellipsis, tf.newaxis),
    "reverse": slice(None, None, -1),
    "tuple": (0,),
}


@pytest.mark.parametrize("index", SLICES.values(), ids=SLICES)
@pytest.mark.parametrize("build", [MIXTURES[key] for key in ("batch", "two batch axes", "vector batch", "independent")])
def test_slices_are_the_base_classs(build, index):
    ours, base = (distribution[index] for distribution in pair(build))
    assert isinstance(ours, tfmdn.Mixture)
    assert ours.batch_shape == base.batch_shape
    np.testing.assert_allclose(ours.mean(), base.mean(), rtol=1e-6)
    y = base.sample(seed=1)
    np.testing.assert_allclose(ours.log_prob(y), base.log_prob(y), rtol=1e-5, atol=1e-6)


def test_copy_replaces_and_keeps():
    mixture = tfmdn.Mixture(*MIXTURES["scalar"](), convert_to_tensor="mode", name="first")
    copy = mixture.copy(mixture_distribution=tfd.Categorical(probs=[0.5, 0.5]))
    assert float(copy.mean()) == pytest.approx(0.0, abs=1e-6)
    assert copy.parameters["convert_to_tensor"] == "mode"
    assert copy.components_distribution is mixture.components_distribution
    assert copy.name == mixture.name


@every_mixture
def test_travels_through_functions_as_a_composite(build):
    mixture = tfmdn.Mixture(*build())
    flat = tf.nest.flatten(mixture, expand_composites=True)
    assert all(isinstance(part, tf.Tensor) for part in flat)
    again = tf.nest.pack_sequence_as(mixture, flat, expand_composites=True)
    returned = tf.function(lambda d: d)(mixture)
    y = mixture.sample(4, seed=1)
    for other in (again, returned):
        assert isinstance(other, tfmdn.Mixture)
        np.testing.assert_allclose(other.log_prob(y), mixture.log_prob(y), rtol=1e-5, atol=1e-6)


def test_no_kl_divergence_is_registered():
    first, second = (tfmdn.Mixture(*MIXTURES["scalar"]()) for _ in range(2))
    with pytest.raises(NotImplementedError, match="No KL"):
        tfd.kl_divergence(first, second)


INVALID = [
    (lambda: tfd.Normal([0.0, 0.0], 1.0), lambda: tfd.Normal([0.0, 0.0], 1.0), {}, ValueError, "not over integers"),
    (lambda: tfd.Categorical(logits=[0.0, 0.0]), lambda: tfd.Normal([0.0] * 3, 1.0), {}, ValueError, "does not equal"),
    (
        lambda: tfd.Categorical(logits=[0.0, 0.0]),
        lambda: tfd.Bernoulli(logits=[0.1, -0.1]),
        {"reparameterize": True},
        ValueError,
        "Cannot reparameterize",
    ),
]


@pytest.mark.parametrize(("weights", "components", "kwargs", "error", "message"), INVALID)
def test_invalid_arguments_are_refused_as_by_the_base_class(weights, components, kwargs, error, message):
    for kind in (tfmdn.Mixture, tfd.MixtureSameFamily):
        with pytest.raises(error, match=message):
            kind(weights(), components(), **kwargs)


def test_validate_args_of_the_components_still_checks():
    scale = tf.Variable([1.0, 1.0])
    components = tfd.Normal([0.0, 0.0], scale, validate_args=True)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), components, validate_args=True)
    mixture.log_prob(0.0)
    scale.assign([1.0, -1.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="scale"):
        mixture.log_prob(0.0)


def test_allow_nan_stats_false_raises():
    components = tfd.StudentT([1.5, 1.5], [0.0, 0.0], 1.0, allow_nan_stats=False)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), components, allow_nan_stats=False)
    assert float(mixture.mean()) == 0.0
    undefined = tfmdn.Mixture(
        tfd.Categorical(logits=[0.0, 0.0]), tfd.StudentT([0.5, 0.5], [0.0, 0.0], 1.0, allow_nan_stats=False)
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="mean not defined"):
        undefined.mean()


def test_variables_as_parameters_get_gradients():
    logits, loc, scale = (tf.Variable(value) for value in ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Logistic(loc, scale))
    assert len(mixture.trainable_variables) == 3
    with tf.GradientTape() as tape:
        loss = -mixture.log_prob([5.0, 4.0])
    gradients = tape.gradient(loss, mixture.trainable_variables)
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
    loc.assign([10.0, 10.0, 10.0])
    assert float(mixture.mean()) == pytest.approx(10.0)


def test_parameters_are_read_no_more_often_than_the_base_class_reads_them():
    reads = []

    def counted(value):
        return tfp.util.DeferredTensor(tf.Variable(value), lambda tensor: reads.append(1) or tensor)

    for method in (
        lambda d: d.sample(3, seed=1),
        lambda d: d.log_prob(np.full((4, 3), 1 / 3, "f4")),
        lambda d: d.mean(),
    ):
        counts = []
        for kind in (tfmdn.Mixture, tfd.MixtureSameFamily):
            mixture = kind(
                tfd.Categorical(logits=counted(tensor(4, 5))), tfd.Dirichlet(counted(np.ones((4, 5, 3), "f4")))
            )
            reads.clear()
            method(mixture)
            counts.append(len(reads))
        assert counts[0] <= counts[1]


def test_a_row_of_nan_draws_nan_and_leaves_the_others_alone():
    logits = tensor(3, 4)
    logits[1] = np.nan
    draws = np.asarray(tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(logits, 1.0)).sample(500, seed=0))
    np.testing.assert_array_equal(np.isnan(draws).all(0), [False, True, False])
    assert np.isfinite(draws[:, [0, 2]]).all()


def test_gradients_where_only_the_run_tells_which_parameter_broadcasts():
    @tf.function(input_signature=[tf.TensorSpec([None, None])] * 2)
    def gradients(loc, scale):
        mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 1.0]), tfd.Normal(loc, scale))
        return tf.gradients(mixture.log_prob(tf.zeros(4)), [loc, scale])

    for loc, scale in (((4, 1), (4, 2)), ((4, 2), (1, 2)), ((1, 2), (4, 2)), ((1, 1), (4, 2))):
        parts = gradients(tf.zeros(loc), tf.ones(scale))
        assert [tuple(part.shape) for part in parts] == [loc, scale]


class ShiftedNormal(tfd.Normal):
    def _log_prob(self, x):
        return super()._log_prob(x - 1.0)


def test_a_subclass_of_a_component_keeps_its_own_density():
    parts = tfd.Categorical(logits=[0.0, 1.0]), ShiftedNormal([0.0, 1.0], [1.0, 2.0])
    expected = tfd.MixtureSameFamily(*parts).log_prob([0.0, 5.0])
    np.testing.assert_allclose(tfmdn.Mixture(*parts).log_prob([0.0, 5.0]), expected, rtol=1e-6)


def test_unknown_rank_in_a_graph_falls_back_to_the_base_class():
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)])
    def draw(logits, loc):
        mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, tf.ones_like(loc)))
        return mixture.sample(7, seed=1), mixture.log_prob(tf.zeros([7, 1])), mixture.mean()

    draws, log_prob, mean = draw(tensor(4, 3), tensor(4, 3))
    assert draws.shape == (7, 4)
    assert log_prob.shape == (7, 4)
    assert mean.shape == (4,)


class StatefulNormal(tfd.Distribution):
    """A distribution from before stateless seeds, without parameter properties."""

    def __init__(self, loc):
        self._loc = tf.convert_to_tensor(loc)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
        )

    def _batch_shape(self):
        return self._loc.shape

    def _batch_shape_tensor(self):
        return tf.shape(self._loc)

    def _event_shape(self):
        return tf.TensorShape([])

    def _sample_n(self, n, seed=None):
        return self._loc + tf.random.normal(tf.concat([[n], tf.shape(self._loc)], 0))


def test_components_that_tell_nothing_are_drawn_as_the_base_class_does():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), StatefulNormal([1.0, 200.0]))
    draws = np.asarray(mixture.sample(1000))
    assert draws.shape == (1000,)
    assert 0.4 < np.mean(draws > 100) < 0.6
