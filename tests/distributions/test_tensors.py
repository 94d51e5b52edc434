"""The tensors of mixtures by name: read, mapped, rebuilt. The mask that Keras gives to sequences goes along."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import case_name, mixture_of

import tfmdn
from tfmdn import keras_internals
from tfmdn.distributions import tensors
from tfmdn.ensembles import vectorized

tfd = tfp.distributions

# One of each way in which tensors are named and shaped.
CASES = [
    ("normal", "diag", ()),
    ("normal", "diag", (3,)),
    ("normal", "full", (3,)),
    ("student_t", "diag", (3,)),
    ("lognormal", "diag", ()),
]
every_case = pytest.mark.parametrize("case", CASES, ids=case_name)
ROWS = [3, 0, 0]


def take_rows(value, axis):
    return tf.gather(value, ROWS, axis=axis)


@every_case
def test_reading_and_rebuilding(case):
    mixture = mixture_of(case)
    values = tensors.read(mixture)
    assert values.keys() == {"logits", *tensors.parameters(mixture.components_distribution)}
    assert all(value.shape[:2] == (5, 4) for value in values.values())
    y = mixture.sample(seed=1)
    np.testing.assert_allclose(tensors.rebuild(mixture, values).log_prob(y), mixture.log_prob(y), rtol=1e-5, atol=1e-5)


@every_case
def test_maps_along_each_axis(case):
    mixture, y = mixture_of(case), mixture_of(case).sample(seed=1)
    log_prob = mixture.log_prob(y).numpy()
    rows = tensors.map(take_rows, mixture, axis=0)
    assert (rows.batch_shape, rows.event_shape) == ((3,), case[2])
    np.testing.assert_allclose(rows.log_prob(y.numpy()[ROWS]), log_prob[ROWS], rtol=1e-5, atol=1e-5)
    reverse = tensors.map(lambda value, axis: tf.reverse(value, [axis]), mixture, axis=-1)
    np.testing.assert_allclose(reverse.log_prob(y), log_prob, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(reverse.mixture_distribution.logits, mixture.mixture_distribution.logits[:, ::-1])
    double = tensors.map(lambda value: tf.cast(value, tf.float64), mixture)
    assert double.dtype == tf.float64
    np.testing.assert_allclose(double.log_prob(tf.cast(y, tf.float64)), log_prob, rtol=1e-4, atol=1e-4)
    both = tensors.concat([mixture, rows], axis=0)
    np.testing.assert_allclose(both.mean(), np.concatenate([mixture.mean(), rows.mean()]), rtol=1e-6)
    twice = tensors.concat([mixture, mixture], axis=-1)
    np.testing.assert_allclose(twice.log_prob(y), log_prob, rtol=1e-5, atol=1e-5)


@every_case
def test_maps_components_by_themselves(case):
    components = mixture_of(case).components_distribution
    pair = tensors.map(lambda value, axis: tf.gather(value, [2, 2], axis=axis), components, axis=-1)
    assert (pair.batch_shape, pair.event_shape) == ((5, 2), case[2])
    np.testing.assert_allclose(pair.mean()[:, 0], components.mean()[:, 2], rtol=1e-6)


def test_what_is_the_same_in_each_row_stays_so():
    logits, loc = tf.zeros([5, 4]), tf.constant([1.0, 2.0, 3.0, 4.0])
    for mixture, shapes in [
        (tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, 1.0)), [(3, 4), (4,)]),
        (tfmdn.Mixture(tfd.Categorical(logits=logits[0]), tfd.Normal(loc + logits, 1.0)), [(4,), (3, 4)]),
        (tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc[tf.newaxis], 1.0)), [(3, 4), (1, 4)]),
    ]:
        rows = tensors.map(take_rows, mixture, axis=0)
        assert [rows.mixture_distribution.logits.shape, rows.components_distribution.loc.shape] == shapes
        np.testing.assert_array_equal(rows.mean(), mixture.mean().numpy()[ROWS])
        assert {value.shape for value in tensors.read(mixture).values()} == {(5, 4)}
        assert tensors.concat([mixture, rows], axis=0).batch_shape == (8,)
        assert tensors.concat([mixture, mixture[0]], axis=-1).components_distribution.batch_shape == (5, 8)


def sequences(mask=None):
    """A mixture of batch shape `(2, 3)`."""
    mixture = mixture_of(("normal", "diag", (2,)), batch_shape=(2, 3))
    return keras_internals.masked(mixture, None if mask is None else tf.constant(mask))


def repeat_first_row(value, axis):
    return tf.gather(value, [0, 0], axis=axis)


MASK = np.array([[True, True, False], [True, False, False]])
OTHER = np.array([[True, False, False], [True, True, True]])
WITH_MASK = {
    "slice": (lambda mixture: mixture[1:], MASK[1:]),
    "step": (lambda mixture: mixture[..., ::2], MASK[:, ::2]),
    "row": (lambda mixture: mixture[0], MASK[0]),
    "new axis": (lambda mixture: mixture[:, tf.newaxis], MASK[:, np.newaxis]),
    "copy": (lambda mixture: mixture.copy(name="other"), MASK),
    "cast": (lambda mixture: tf.cast(mixture, tf.float64), MASK),
    "expand_dims": (lambda mixture: tf.expand_dims(mixture.marginal(0), -1), MASK),
    "temper": (lambda mixture: mixture.temper(0.5, 2.0), MASK),
    "marginal": (lambda mixture: mixture.marginal([1, 0]), MASK),
    "condition": (lambda mixture: mixture.condition(0, np.zeros([4, 1, 1])), np.tile(MASK, (4, 1, 1))),
    "rows": (lambda mixture: tensors.map(repeat_first_row, mixture, axis=0), MASK[[0, 0]]),
    "concat": (lambda mixture: tensors.concat([mixture, sequences(OTHER)], 0), np.vstack([MASK, OTHER])),
    "concat with none": (lambda mixture: tensors.concat([mixture, sequences()], 0), np.vstack([MASK, MASK | True])),
    "merge": (lambda mixture: tfmdn.merge([mixture, sequences(OTHER)]), MASK & OTHER),
    "merge with none": (lambda mixture: tfmdn.merge([sequences(), mixture]), MASK),
    "unstacked": (lambda mixture: vectorized.unstacked(mixture)[1], MASK[1]),
}


@pytest.mark.parametrize("name", WITH_MASK)
def test_the_mask_goes_along(name):
    change, expected = WITH_MASK[name]
    changed = change(sequences(MASK))
    assert changed.batch_shape == expected.shape
    np.testing.assert_array_equal(keras_internals.mask_of(changed), expected)


def test_a_mask_of_fewer_axes():
    mixture = sequences(MASK[:, 0])
    np.testing.assert_array_equal(tensors.mask(mixture), MASK[:, :1] & np.ones((2, 3), bool))
    np.testing.assert_array_equal(tensors.mask(mixture[:, 1:]), MASK[:, :1] & np.ones((2, 2), bool))
    assert tensors.mask(sequences()) is None


def test_batches_have_their_rows_of_the_mask():
    mixture, seen = sequences(MASK), []

    def score(part, first_row):
        seen.append(keras_internals.mask_of(part).shape)
        return tf.cast(keras_internals.mask_of(part), tf.float32)

    result = tfmdn.distributions.batching.in_batches(score, mixture, (), 1, event_rank=0)
    np.testing.assert_array_equal(result, MASK)
    assert seen == [(1, 3)]
