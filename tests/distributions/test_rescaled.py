"""Normals in standard units: TFP's own to everyone else, whatever is done with them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import rescaled, tensors

tfd = tfp.distributions

rng = np.random.default_rng(0)
TARGET = {(): (30.0, 7.0), (3,): ([30.0, -5.0, 0.1], [7.0, 1e3, 0.01])}
COMPONENTS = {
    shape: kind(rng.normal(size=(5, 4, *shape)), 0.5 * rng.normal(size=(5, 4, *shape)), *map(np.float64, TARGET[shape]))
    for shape, kind in [((), rescaled.RescaledNormal), ((3,), rescaled.RescaledMultivariateNormalDiag)]
}
SCALE = {(): "scale", (3,): "scale_diag"}
every_shape = pytest.mark.parametrize("shape", COMPONENTS, ids=str)


def log_prob(components, y):
    return tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([4], tf.float64)), components).log_prob(y)


@every_shape
def test_everything_is_as_of_tfps_normal(shape):
    components = COMPONENTS[shape]
    plain = components.plain()
    assert isinstance(components, type(plain))
    assert (components.batch_shape, components.event_shape) == ((5, 4), shape)
    names = ["mean", "mode", "stddev", "variance", "entropy", "batch_shape_tensor", "event_shape_tensor"]
    for name in names + (["covariance"] if shape else []):
        np.testing.assert_allclose(getattr(components, name)(), getattr(plain, name)(), rtol=1e-12)
    np.testing.assert_allclose(components.sample(2, seed=[0, 1]), plain.sample(2, seed=[0, 1]), rtol=1e-12)
    y = components.sample(seed=[0, 2])
    np.testing.assert_allclose(components.log_prob(y), plain.log_prob(y), rtol=1e-12)
    np.testing.assert_allclose(tfd.kl_divergence(components, plain), tfd.kl_divergence(plain, plain), rtol=1e-12)
    location, scale = TARGET[shape]
    np.testing.assert_allclose(components.mean(), np.asarray(location) + scale * components.standard_loc, rtol=1e-14)
    np.testing.assert_allclose(components.stddev(), scale * np.exp(components.standard_log_scale), rtol=1e-14)
    assert list(tensors.parameters(components)) == ["loc", SCALE[shape]]
    y = 10.0 + y[:, 0]
    np.testing.assert_allclose(log_prob(components, y), log_prob(plain, y), rtol=1e-12)


@every_shape
def test_another_loc_or_scale_has_its_density(shape):
    components, name = COMPONENTS[shape], SCALE[shape]
    y = components.loc[:, 0]
    values = tensors.parameters(components)
    for change in ({"loc": 1.0 + values["loc"]}, {name: 2.0 * values[name]}):
        expected = log_prob(components.plain().copy(**change), y)
        assert not np.allclose(expected, log_prob(components, y))
        for changed in (
            components.copy(**change),
            tensors.with_parameters(components, change),
            components.copy(name="other").copy(**change),
            components.copy(**change).copy(name="other"),
        ):
            np.testing.assert_allclose(log_prob(changed, y), expected, rtol=1e-12)
        sliced = components[1:3].copy(**{key: value[1:3] for key, value in change.items()})
        np.testing.assert_allclose(log_prob(sliced, y[1:3]), expected[1:3], rtol=1e-12)
    changed = components.copy(target_location=1.0 + components.target_location)
    np.testing.assert_allclose(log_prob(changed, 1.0 + y), log_prob(components, y), rtol=1e-12)
    np.testing.assert_allclose(changed.mean(), 1.0 + components.mean())
    with pytest.raises(TypeError, match="standard_loc"):
        components.copy(loc=values["loc"], standard_loc=values["loc"])


@every_shape
def test_slices_and_graphs_keep_the_kind(shape):
    components = COMPONENTS[shape]
    y = components.loc[:, 0]
    for part in (components[1:3], components[1:3].copy(name="other"), components[::2][:2], components[..., :4][1:3]):
        assert type(part) is type(components)
        assert part.batch_shape == (2, 4)
    np.testing.assert_allclose(log_prob(components[1:3], y[1:3]), log_prob(components, y)[1:3], rtol=1e-12)
    passed = tf.function(lambda components: components)(components)
    assert type(passed) is type(components)
    np.testing.assert_allclose(log_prob(passed, y), log_prob(components, y), rtol=1e-12)


@every_shape
def test_they_merge_with_what_is_made_of_them(shape):
    mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([4], tf.float64)), COMPONENTS[shape])
    merged = tfmdn.merge([mixture, mixture.temper(scale_temperature=2.0)])
    assert type(merged.components_distribution) is type(COMPONENTS[shape].plain())
    np.testing.assert_allclose(merged.mean(), mixture.mean())


def test_arguments_are_checked_where_that_is_asked_for():
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive"):
        rescaled.RescaledNormal(0.0, 0.0, 0.0, -1.0, validate_args=True)
    assert rescaled.RescaledNormal(0.0, 0.0, 0.0, 1.0, validate_args=True).plain().validate_args
