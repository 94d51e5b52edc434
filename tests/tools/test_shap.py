"""SHAP: what each feature adds to a quantile, a mean or a spread; the parts sum to the prediction."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfmdn

shap = pytest.importorskip("shap")
LEVELS = [0.1, 0.5, 0.9]


def test_quantiles(regressor, train, test):
    def quantiles(rows):
        return regressor.predict_quantiles(rows, LEVELS)

    explained = shap.KernelExplainer(quantiles, train[0][:20])(test[0][:20], silent=True)
    assert explained.shape == (20, 3, 3)  # rows, features, levels
    np.testing.assert_allclose(explained.values.sum(1) + explained.base_values, quantiles(test[0][:20]), atol=1e-9)
    np.testing.assert_allclose(explained.base_values[0], quantiles(train[0][:20]).mean(0))
    # The first feature moves all quantiles, the second the outer ones apart, the third none.
    size = np.abs(explained.values).mean(0)
    assert (size[0] > 3 * size[2]).all()
    spread = explained.values[:, 1, 2] - explained.values[:, 1, 0]
    assert np.corrcoef(spread, np.abs(test[0][:20, 1]))[0, 1] > 0.5
    shap.plots.beeswarm(explained[:, :, 2], show=False)
    shap.plots.waterfall(explained[0, :, 2], show=False)


def test_a_frame_of_text_and_dates(of_frame, frame):
    table = frame[0]

    def quantiles(rows):
        return of_frame.predict_quantiles(pd.DataFrame(rows, columns=table.columns), LEVELS).to_numpy()

    explainer = shap.KernelExplainer(quantiles, table[:20])
    values = explainer.shap_values(table[20:25], nsamples=200, silent=True)
    assert values.shape == (5, 8, 3)
    np.testing.assert_allclose(values.sum(1) + explainer.expected_value, quantiles(table[20:25]), atol=1e-9)
    np.testing.assert_array_equal(quantiles(table[20:25].to_numpy()), of_frame.predict_quantiles(table[20:25], LEVELS))


def test_several_outputs(of_two, train, test):
    explained = shap.KernelExplainer(of_two.predict, train[0][:20])(test[0][:5], silent=True)
    assert explained.shape == (5, 3, 2)
    np.testing.assert_allclose(explained.values.sum(1) + explained.base_values, of_two.predict(test[0][:5]), atol=1e-9)


def sums_of_gradients(model, background, rows):
    """The sum of each row's SHAP values, and what it ought to be: the prediction minus the mean of the background."""
    values = shap.GradientExplainer(model, background).shap_values(rows, nsamples=2000, rseed=0)
    assert values.shape[:2] == rows.shape
    expected = model.predict(rows, verbose=0) - model.predict(background, verbose=0).mean()
    return np.reshape(values.sum(1), -1), expected


@pytest.mark.parametrize("name", ["mean", "stddev"])
def test_gradients(name, train, test):
    keras.utils.set_random_seed(0)
    head = tfmdn.MDNLayer(3)
    head.adapt(train[1])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(16, "silu"), head])
    model.compile(keras.optimizers.Adam(1e-2), tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, *map(np.float32, train), epochs=10, verbose=0)
    sums, expected = sums_of_gradients(
        tfmdn.as_tensors(model, name), np.float32(train[0][:50]), np.float32(test[0][:4])
    )
    np.testing.assert_allclose(sums, expected, atol=0.3)  # they are means of draws


def test_gradients_of_a_regressor(regressor, train, test):
    sums, expected = sums_of_gradients(tfmdn.as_tensors(regressor, "mean"), train[0][:50], test[0][:4])
    np.testing.assert_allclose(sums, expected, atol=0.3)


def test_tensors_of_raw_columns(of_frame, frame):
    table = frame[0][:20]
    raw = {name: tf.constant(column) for name, column in of_frame.model_inputs(table).items()}
    np.testing.assert_allclose(tfmdn.as_tensors(of_frame, "mean")(raw), of_frame.predict(table), rtol=1e-5)
