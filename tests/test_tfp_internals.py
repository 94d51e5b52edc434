"""TensorFlow Probability still has the private names that tfmdn needs, and what would be lost with each."""

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn

tfd = tfp.distributions

mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Normal([0.0, 1.0], 1.0), reparameterize=True)
# Names that tfmdn.tfp_internals uses, or methods that TFP calls and tfmdn overrides though they are not TFP's to tell.
NAMES = {
    "_parameters": "copies and slices of a Mixture would lose `convert_to_tensor` and `member_sizes`",
    "_name_and_control_scope": "`Mixture.entropy` would fail",
    "_reparameterize": "`Mixture.sample` would fail",
    "_reparameterize_sample": "`Mixture(reparameterize=True).sample` would fail",
    "_per_mixture_component_log_prob": "`Mixture.posterior_marginal` would not stay finite far from all components",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_there(name):
    base = tfd.MixtureSameFamily(mixture.mixture_distribution, mixture.components_distribution)
    assert hasattr(base, name), f"TensorFlow Probability has no {name}: {NAMES[name]}."


def test_what_they_are_for():
    assert mixture.copy(convert_to_tensor="mode")[tf.newaxis].parameters["convert_to_tensor"] == "mode"
    far = mixture.posterior_marginal(1e25).probs_parameter()  # whose square is infinite
    assert tf.reduce_all(tf.math.is_finite(far)), NAMES["_per_mixture_component_log_prob"]
