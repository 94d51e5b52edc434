"""Programs of other packages, and the same with tfmdn: the two reach about the same. And weights that come over."""

import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import tfmdn

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "migration"
PAIRS = {"inverse": "keras_mdn_layer", "gestures": "keras_mdn_layer", "redshift": "tf_keras"}


def nll_of(script):
    """What a program prints last, in its quick setting."""
    command = [sys.executable, script, "--quick"]
    result = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return float(re.search(r"test NLL: (\S+) nats", result.stdout)[1])


@pytest.mark.parametrize("name", PAIRS)
def test_before_and_after(name):
    pytest.importorskip(PAIRS[name])
    before, after = nll_of(f"{name}_before.py"), nll_of(f"{name}_after.py")
    assert after < before + 0.1  # tfmdn starts on the targets, and so is ahead after a few epochs


@pytest.mark.parametrize("size", [1, 3])
def test_weights_of_keras_mdn_layer(size):
    mdn = pytest.importorskip("keras_mdn_layer")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)).astype("float32"), rng.normal(size=(200, size)).astype("float32")
    old = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), mdn.MDN(size, 5)])
    loss = mdn.get_mixture_loss_func(size, 5)
    old.compile(keras.optimizers.Adam(0.01), loss)
    old.fit(x, y, epochs=5, verbose=0)
    new = keras.Sequential([*old.layers[:-1], tfmdn.MDNLayer.from_keras_mdn_layer(old.layers[-1].get_weights(), size)])
    expected, actual = float(loss(y, old(x))), float(tfmdn.NegativeLogLikelihood()(y, new(x)))
    assert actual == pytest.approx(expected, rel=5e-7)
    rows = [float(loss(y[i : i + 1], old(x[i : i + 1]))) for i in range(5)]
    np.testing.assert_allclose(-new(x[:5]).log_prob(y[:5]), rows, rtol=2e-6)

    # sigma_temp multiplies the variance, of which the scale is the square root.
    params = old.predict(x[:1], verbose=0)[0]
    np.random.seed(0)  # noqa: NPY002 - which the package draws from
    draws = np.array([mdn.sample_from_output(params, size, 5, temp=0.5, sigma_temp=0.04) for _ in range(3000)])
    tempered = new(x[:1]).temper(0.5, scale_temperature=0.2)
    np.testing.assert_allclose(draws.std(0), tempered.stddev()[0], rtol=0.1)
    np.testing.assert_allclose(draws.mean(0), tempered.mean()[0], atol=0.1 * float(np.max(tempered.stddev())))
