"""Questions answered a batch of rows at a time have the answers that they have at once."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import DISTRIBUTIONS, case_name, layer_of

import tfmdn

tfd = tfp.distributions

ROWS = 7


def mixture_of(case, batch_shape=(ROWS,)):
    layer = layer_of(case, kernel_initializer="he_normal")
    return layer(tf.random.stateless_normal((*batch_shape, 6), [0, 1]))


QUESTIONS = {
    "cdf": lambda mixture, **kwargs: mixture.cdf(tf.ones(mixture.shape), **kwargs),
    "cdf of one point": lambda mixture, **kwargs: mixture.cdf(tf.ones(mixture.event_shape), **kwargs),
    "cdf of samples": lambda mixture, **kwargs: mixture.cdf(tf.fill((3, 2, *mixture.shape), 0.5), **kwargs),
    "quantile": lambda mixture, **kwargs: mixture.quantile([0.1, 0.5, 0.9], **kwargs),
    "quantile of one level": lambda mixture, **kwargs: mixture.quantile(0.3, **kwargs),
    "quantile by element": lambda mixture, **kwargs: mixture.quantile(tf.fill(mixture.shape, 0.25), **kwargs),
    "interval": lambda mixture, **kwargs: mixture.interval(0.8, **kwargs),
    "mode": lambda mixture, **kwargs: mixture.mode(**kwargs),
    "crps": lambda mixture, **kwargs: tfmdn.crps(np.ones(mixture.shape), mixture, **kwargs),
}


# The rows of the parameters are taken in the same way for all questions: not every kind is asked them all.
NORMALS = [("normal", "diag", ()), ("normal", "full", (3,))]
ASKED = [(case, question) for case in NORMALS for question in QUESTIONS]
ASKED += [(case, "cdf") for case in DISTRIBUTIONS if case not in NORMALS]


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    ("case", "question"), ASKED, ids=lambda value: value if value in QUESTIONS else case_name(value)
)
def test_answers_are_the_same(case, question):
    mixture, ask = mixture_of(case), QUESTIONS[question]
    expected = ask(mixture)
    answer = ask(mixture, batch_size=3)
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.covering(1)
@pytest.mark.parametrize(("batch_shape", "batch_size"), [((ROWS,), 7), ((ROWS, 2), 2), ((1, 3), 100)], ids=str)
@pytest.mark.parametrize("question", QUESTIONS)
def test_any_batch(question, batch_shape, batch_size):
    mixture, ask = mixture_of(("normal", "diag", (2,)), batch_shape), QUESTIONS[question]
    expected = ask(mixture)
    answer = ask(mixture, batch_size=batch_size)
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.covering(1)
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("weights_shape", "components_shape"), [((ROWS,), ()), ((), (ROWS,)), ((1,), (ROWS,))], ids=str
)
def test_what_all_rows_have_in_common(question, weights_shape, components_shape):
    rng = np.random.default_rng(0)
    logits, loc, scale = rng.normal(size=(*weights_shape, 4)), rng.normal(size=(*components_shape, 4)), np.ones(4)
    parts = [tf.constant(part, tf.float32) for part in (logits, loc, scale)]
    mixture = tfmdn.Mixture(tfd.Categorical(logits=parts[0]), tfd.Normal(*parts[1:]))
    np.testing.assert_allclose(
        QUESTIONS[question](mixture, batch_size=3), QUESTIONS[question](mixture), rtol=1e-4, atol=1e-5
    )


def test_many_calls_do_not_warn(caplog):
    mixture = mixture_of(NORMALS[0])
    for _ in range(8):
        mixture.cdf(tf.zeros(ROWS), batch_size=3)
    assert "retracing" not in caplog.text


def test_in_a_graph_of_unknown_batch_size():
    layer = layer_of(("normal", "diag", ()))

    @tf.function(input_signature=[tf.TensorSpec([None, 6])])
    def quantiles(x):
        return layer(x).quantile([0.1, 0.9], batch_size=4)

    x = tf.random.stateless_normal((ROWS, 6), [0, 1])
    np.testing.assert_allclose(quantiles(x), layer(x).quantile([0.1, 0.9]), rtol=1e-5)


@pytest.mark.by_default("normal-diag-scalar")
@pytest.mark.parametrize("case", [("normal", "diag", ()), ("normal", "full", (2,))], ids=case_name)
def test_draws(case):
    mixture = mixture_of(case)
    draws = mixture.sample((5000, 4), seed=1, batch_size=3)
    assert draws.shape == (5000, 4, *mixture.shape)
    np.testing.assert_array_equal(draws, mixture.sample((5000, 4), seed=1, batch_size=3))
    assert len(np.unique(np.reshape(draws[0, 0], (ROWS, -1))[:, 0])) == ROWS
    flat = np.reshape(draws, (-1, *mixture.shape))
    error = mixture.stddev() / np.sqrt(len(flat))
    np.testing.assert_array_less(np.abs(flat.mean(0) - mixture.mean()), 5 * error)
    standardized = (mixture.sample(seed=1, batch_size=3) - mixture.mean()) / mixture.stddev()
    assert np.unique(np.round(standardized, 4)).size == np.size(standardized)  # each batch has draws of its own
    assert not np.array_equal(mixture.sample(batch_size=3), mixture.sample(batch_size=3))


@pytest.mark.parametrize("batch_size", [0, 2.5, "3"])
def test_bad_batch_sizes(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        mixture_of(("normal", "diag", ())).mode(batch_size=batch_size)


def test_without_a_batch_axis():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 1.0]), tfd.Normal([0.0, 1.0], 1.0))
    with pytest.raises(ValueError, match=r"a mixture with a batch axis. Received: batch shape \(\)"):
        mixture.quantile(0.5, batch_size=3)
