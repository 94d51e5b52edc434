"""Copies and pickles of mixtures say the same, whatever they are of."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import DISTRIBUTIONS, FURTHER_COMPONENTS, case_name, mixture_of

import tfmdn
from tfmdn.distributions import tensors

tfd = tfp.distributions
COPIES = [copy.deepcopy, lambda mixture: pickle.loads(pickle.dumps(mixture))]


@pytest.mark.parametrize("case", DISTRIBUTIONS + FURTHER_COMPONENTS, ids=case_name)
def test_copies_say_the_same(case):
    mixture = mixture_of(case, batch_shape=(2,), num_components=2)
    y = mixture.mean()
    for copied in COPIES:
        again = copied(mixture)
        assert type(again) is tfmdn.Mixture
        assert type(again.components_distribution) is type(mixture.components_distribution)
        assert again.components_distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED
        np.testing.assert_array_equal(again.log_prob(y), mixture.log_prob(y))


COARSE = {
    "coarse": tfmdn.distributions.CoarsenedNormal([[0.0, 1.0]], 1.0, low=0.0, resolution=0.5),
    "reflected": tfmdn.distributions.ReflectedMultivariateNormal([[[0.0], [1.0]]], [[1.0]], low=[-1.0], high=[np.inf]),
}


@pytest.mark.parametrize("name", COARSE)
def test_limits_and_what_is_kept_beside(name):
    one = tfmdn.Mixture(tfd.Categorical(logits=[[0.0, 1.0]]), COARSE[name], convert_to_tensor="mode")
    merged = tfmdn.merge([one, one])
    merged._keras_mask = tf.constant([True])
    for copied in COPIES:
        again = copied(merged)
        assert again.member_sizes == (2, 2)
        np.testing.assert_array_equal(again.cdf([[0.5]]), merged.cdf([[0.5]]))
        np.testing.assert_array_equal(tensors.mask(again), [True])
        assert copied(one).parameters["convert_to_tensor"] == "mode"
