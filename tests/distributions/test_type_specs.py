"""What SavedModels call our distributions. Other names would make the files of earlier versions unreadable."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import (
    coarsened,
    gamma,
    gumbel,
    reflected,
    reflected_joint,
    rescaled,
    univariate,
    von_mises,
    weibull,
)

tfd = tfp.distributions

COMPONENTS = {
    "RescaledNormal": lambda x: rescaled.RescaledNormal(x, 0.0, 5.0, 2.0),
    "RescaledMultivariateNormalDiag": lambda x: rescaled.RescaledMultivariateNormalDiag(
        x[..., tf.newaxis], [0.0], [5.0], [2.0]
    ),
    "LogNormal": lambda x: univariate.LogNormal(x, 1.0),
    "StudentT": lambda x: univariate.StudentT(5.0, x, 1.0),
    "Gumbel": lambda x: gumbel.Gumbel(x, 1.0),
    "Gamma": lambda x: gamma.Gamma(x, 1.0),
    "Weibull": lambda x: weibull.Weibull(x, 1.0),
    "VonMises": lambda x: von_mises.VonMises(x, 1.0),
    "ReflectedNormal": lambda x: reflected.ReflectedNormal(x, 1.0, 0.0, np.inf),
    "CoarsenedNormal": lambda x: coarsened.CoarsenedNormal(x, 1.0, 0.0, resolution=0.5),
    "ReflectedMultivariateNormal": lambda x: reflected_joint.ReflectedMultivariateNormal(
        x[..., tf.newaxis], [[1.0]], [0.0], [np.inf]
    ),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_names_in_saved_models(name, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda x: tfmdn.Mixture(tfd.Categorical(logits=x), COMPONENTS[name](x)),
        input_signature=[tf.TensorSpec([None, 2])],
    )
    module.serve.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path))
    names = set(re.findall(rb"tfmdn\.[\w.]*", (tmp_path / "saved_model.pb").read_bytes()))
    assert names == {b"tfmdn.Mixture_ACTTypeSpec", f"tfmdn.{name}_ACTTypeSpec".encode()}
    x = np.ones((1, 2), np.float32)
    loaded = tf.saved_model.load(str(tmp_path)).serve(x)
    assert type(loaded) is tfmdn.Mixture
    np.testing.assert_allclose(loaded.mean(), module.serve(x).mean())
