"""Models with a head that Keras quantized are saved, loaded and cloned, whatever the mode and the policy."""

import keras
import numpy as np
import pytest
from keras import quantizers

import tfmdn

pytestmark = pytest.mark.usefixtures("quick_graphs")
X = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")
INITIAL = {"num_components": 2, "kernel_initializer": "glorot_uniform"}
# Of the head; what is passed to `quantize`.
QUANTIZED = {
    "int8": ({"event_shape": 2, "covariance": "full", "background": 0.1}, {"mode": "int8"}),
    "int4": ({"family": "lognormal"}, {"mode": "int4"}),
    "float8": ({"support": (-9.0, None), "dtype": "mixed_bfloat16"}, {"mode": "float8"}),
    "int8-float64": ({"dtype": "float64", "scale_regularizer": "l2"}, {"mode": "int8"}),
    "config": ({"resolution": 0.5}, {"config": quantizers.Int8QuantizationConfig(activation_quantizer=None)}),
    "blocks": ({"family": "student_t"}, {"config": quantizers.Int4QuantizationConfig(block_size=4)}),
}
POLICIES = ["int8_from_float32", "int4_from_mixed_bfloat16", "float8_from_mixed_float16", "int8_from_float64"]


def network(**arguments) -> keras.Model:
    return keras.Sequential([keras.Input((8,)), tfmdn.MDNLayer(**INITIAL, **arguments)])


def is_same(one: keras.Model, other: keras.Model) -> bool:
    policies = [model.layers[-1].dense.dtype_policy for model in (one, other)]
    return policies[0] == policies[1] and np.array_equal(one(X).mean(), other(X).mean())


@pytest.mark.by_default("int8", "int4", "float8")
@pytest.mark.parametrize("name", QUANTIZED)
def test_files_and_clones(name, tmp_path):
    arguments, how = QUANTIZED[name]
    model = network(**arguments)
    density = model(X).log_prob(model(X).mean())
    model.quantize(**how)
    assert model.layers[-1].dense.quantization_mode is not None
    np.testing.assert_allclose(model(X).log_prob(model(X).mean()), density, atol=1.0)
    model.save(tmp_path / "model.keras")
    assert is_same(model, keras.models.load_model(tmp_path / "model.keras"))
    model.save_weights(tmp_path / "model.weights.h5")
    clone = keras.models.clone_model(model)
    clone.load_weights(tmp_path / "model.weights.h5")
    assert is_same(model, clone)


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_that_quantize_the_dense_layer(policy):
    head = tfmdn.MDNLayer(**INITIAL, dtype=policy)
    again = tfmdn.MDNLayer.from_config(head.get_config())
    for layer in (head, again):
        assert layer(X).dtype == ("float64" if "64" in policy else "float32")
        assert layer.dense.dtype_policy.name == policy
        assert layer.dtype_policy.name == policy.partition("_from_")[2]


def test_adapters(tmp_path):
    model = network()
    model.layers[-1].dense.enable_lora(2)
    model.layers[-1].dense.lora_kernel_b.assign(np.ones((2, 6)))
    before = model(X).mean()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(X).mean(), before, rtol=1e-4, atol=1e-5)
    assert loaded.layers[-1].dense.lora_rank == 2


def test_configs_of_other_heads_are_their_arguments():
    assert "dense" not in tfmdn.MDNLayer(2).get_config()


def test_ensembles_are_of_quantized_networks():
    networks = [network(), network()]
    with pytest.raises(NotImplementedError, match="Quantize each network, and make an Ensemble of them"):
        tfmdn.Ensemble(networks).quantize("int8")
    for one in networks:
        one.quantize("int8")
    mean = 0.5 * (networks[0](X).mean() + networks[1](X).mean())
    np.testing.assert_allclose(tfmdn.Ensemble(networks)(X).mean(), mean, atol=1e-6)


def test_what_sets_weights_is_refused():
    model = network(event_shape=2)
    model.quantize("int8")
    model.compile("sgd", tfmdn.NegativeLogLikelihood())
    health = tfmdn.ComponentHealth((X, X[:, :2]), reseed=True)
    with pytest.raises(ValueError, match="`reseed=True` sets weights of the head, which must not be quantized"):
        model.fit(X, X[:, :2], verbose=0, callbacks=[health])
