"""Models anew in single precision: the same numbers, whatever the inputs are."""

import keras
import numpy as np
import pytest

import tfmdn
from tfmdn.distributions import tensors
from tfmdn.export.single_precision import in_single_precision

RNG = np.random.default_rng(0)


def assert_same(model, x, rtol=1e-5):
    """The parameters of what a model and its copy say of rows in float32, of which the first computes in float64."""
    expected, found = model(x), in_single_precision(model)(x)
    assert found.dtype == "float32"
    for name, values in tensors.read(expected).items():
        received = tensors.read(found)[name].numpy()
        np.testing.assert_allclose(received, values, rtol, rtol * np.abs(values).max(), err_msg=name)
    y = expected.sample(seed=0).numpy().astype(np.float32)
    np.testing.assert_allclose(found.log_prob(y), expected.log_prob(y.astype(expected.dtype.name)), 1e-5, 1e-4)


CASES = {
    "scalar": {},
    "far away": {"shift": 2000.3},
    "positive": {"family": "lognormal"},
    "vector": {"event_shape": 2},
    "correlated": {"event_shape": 2, "covariance": "full", "shift": 300.1},
    "spherical": {"event_shape": 2, "covariance": "spherical", "shift": 300.1},
    "limits": {"support": (0.0, None), "background": 0.003},
    "correlated with limits": {"event_shape": 2, "covariance": "full", "support": (0.0, None)},
    "atoms": {"support": (0.0, None), "atoms": True, "background": 0.003},
    "grid": {"resolution": 1.0, "support": (0.0, 50.0)},
}


@pytest.mark.parametrize("kind", ["model", "ensemble"])
@pytest.mark.parametrize("case", CASES)
def test_heads_in_float64(case, kind):
    arguments = {"num_components": 2, "event_shape": (), **CASES[case]}
    shift = arguments.pop("shift", 1.0)
    y = np.round(shift + RNG.gamma(2.0, 2.0, (100, 2)), 0 if case == "grid" else 6)

    def network():
        inputs = keras.Input((3,), dtype="float64")
        standard = tfmdn.features.Standardization(dtype="float64")
        standard.adapt(x)
        hidden = keras.layers.Dense(8, "silu")(tfmdn.features.PeriodicEmbedding(2, 2)(standard(inputs)))
        head = tfmdn.MDNLayer(kernel_initializer="he_normal", dtype="float64", **arguments)
        outputs = head(hidden)
        head.adapt(y if arguments["event_shape"] else y[:, 0])
        return keras.Model(inputs, outputs)

    x = RNG.normal([2000.1, 0.0, 1e6], [0.1, 1e-4, 1.0], (100, 3)).astype(np.float32)
    if kind == "model":
        assert_same(network(), x)
        return
    ensemble = tfmdn.Ensemble([network() for _ in range(2)])
    ensemble.scale_temperature.assign([0.5, 1.25])
    ensemble.member_log_weights.assign(np.log([0.2, 0.8]))
    assert_same(ensemble, x)


@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_trees_come_to_the_same_leaves(gaps):
    """Of decimals, too, which float32 rounds, and which thresholds of trees are."""
    x = np.round(RNG.normal(10.0, 1.0, size=(300, 3)), 2)
    x[RNG.random(x.shape) < gaps] = np.nan
    y = np.nan_to_num(x[:, :2]) + 1000.0 * RNG.random((300, 1))
    layer = tfmdn.features.TreeEmbedding(20, num_extra_trees=5, num_folds=2, dtype="float64", seed=0)
    layer.adapt(x, y)
    inputs = keras.Input((3,), dtype="float64")
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(in_single_precision(model)(x.astype(np.float32)), model(x), 1e-6, 1e-4)


def test_other_models():
    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.head = tfmdn.MDNLayer(2, **kwargs)

        def build(self, input_shape):
            self.head.build(input_shape)

        def call(self, inputs):
            return self.head(inputs)

    own = Own()
    own(np.zeros((1, 2)))
    assert in_single_precision(own) is own
    double = Own(dtype="float64")
    double(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"functional or sequential.*Received: 'own"):
        in_single_precision(double)
