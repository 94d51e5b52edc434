"""Sequences drawn step by step: against a loop by hand, known distributions, stops, seeds, graphs and SavedModels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.numerics import stateless_seed

tfd = tfp.distributions
fold_in = tf.random.experimental.stateless_fold_in


def series_model(units=8):
    """(value `[B, 1]`, state `[B, units]`) -> (mixture of the next value, state)."""
    keras.utils.set_random_seed(0)
    value, state = keras.Input((1,)), keras.Input((units,))
    hidden, next_state = keras.layers.GRUCell(units)(value, state)
    return keras.Model([value, state], [tfmdn.MDNLayer(3, 1, kernel_initializer="he_normal")(hidden), next_state])


@pytest.fixture(scope="module")
def series():
    return series_model()


@pytest.fixture(scope="module")
def pen(units=8):
    """A step of pen strokes: a dictionary of two distributions, and of a tensor beside them."""
    point, *state = keras.Input((3,)), keras.Input((units,)), keras.Input((units,))
    hidden, next_state = keras.layers.LSTMCell(units)(point, state)
    offset = tfmdn.MDNLayer(4, 2, covariance="full", kernel_initializer="he_normal")(hidden)
    lifted = keras.layers.Dense(1)(hidden)
    model = keras.Model([point, state], [offset, lifted, next_state])

    def step(point, state):
        offset, lifted, state = model([point, state])
        return {"offset": offset, "lifted": tfd.Bernoulli(lifted, dtype=tf.float32), "logits": lifted}, state

    return step


def point_of(draws):
    return tf.concat([draws["offset"], draws["lifted"]], -1)


def walk(place, state):
    """One step to the left or to the right, or thereabouts."""
    return tfmdn.Mixture(
        tfd.Categorical(logits=[0.0, 0.0]), tfd.Normal(place[:, tf.newaxis] + [-1.0, 1.0], 0.01)
    ), state


def test_draws_are_those_of_a_loop_by_hand(pen):
    features, state = tf.zeros((5, 3)), [tf.zeros((5, 8)), tf.ones((5, 8))]
    arguments = {"temperature": 0.7, "scale_temperature": 0.3}
    sequences = tfmdn.generate(pen, features, state, 6, next_features=point_of, seed=3, **arguments)
    for t in range(6):
        outputs, state = pen(features, state)
        lifted_seed, _, offset_seed = (fold_in(fold_in(stateless_seed(3), t), leaf) for leaf in range(3))
        draws = {
            "offset": outputs["offset"].temper(**arguments).sample(seed=offset_seed),
            "lifted": outputs["lifted"].sample(seed=lifted_seed),
            "logits": outputs["logits"],
        }
        assert sequences.draws.keys() == draws.keys()
        for name, draw in draws.items():
            np.testing.assert_allclose(sequences.draws[name][:, t], draw, rtol=1e-4, atol=1e-5, err_msg=name)
        features = point_of(draws)
    np.testing.assert_array_equal(sequences.lengths, [6] * 5)


def test_a_linear_process_has_its_stationary_distribution():
    """y' = 0.8 y + 0.6 e: a standard normal y stays so, and its correlation over n steps is 0.8^n."""

    def step(value, state):
        return tfd.Normal(0.8 * value, 0.6), state

    start = tf.random.stateless_normal((20_000,), [1, 2])
    paths = tfmdn.generate(step, start, (), 5, seed=0).draws.numpy()
    np.testing.assert_allclose(paths.mean(0), 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(paths.T), 0.8 ** np.abs(np.subtract.outer(range(5), range(5))), atol=0.03)
    np.testing.assert_allclose(np.corrcoef(paths[:-1, 0], paths[1:, 0])[0, 1], 0.0, atol=0.03)  # rows are independent


@pytest.mark.parametrize(("dtype", "initial"), [("float32", [0.0] * 4), ("float64", np.zeros(4)), ("int32", [0] * 4)])
def test_dtypes_are_those_of_the_outputs(dtype, initial):
    """The features of the first step need only be what the step takes."""

    def step(value, count):
        logits = tf.cast(value, tf.float64)[:, tf.newaxis] * [0.0, 1.0]
        if dtype == "int32":
            return tfd.Categorical(logits), count + 1
        mixture = tfmdn.Mixture(tfd.Categorical(logits), tfd.Normal(tf.constant([-1.0, 1.0], tf.float64), 0.1))
        return tf.cast(mixture, dtype), count + 1

    sequences = tfmdn.generate(step, initial, tf.constant(0), 3, seed=0, temperature=0.9)
    assert sequences.draws.dtype == dtype
    assert sequences.draws.shape == (4, 3)
    assert sequences.lengths.dtype == tf.int32


def test_a_model_of_a_world():
    """The policy is part of the step, and its actions are kept beside the situations that followed."""

    def step(situation, clock):
        action = -tf.sign(situation)
        centre = (situation + action)[:, tf.newaxis]  # [B, K, E]
        outcome = tfmdn.Mixture(tfd.Categorical(logits=[0.0]), tfd.MultivariateNormalDiag(centre, [[1e-3, 1e-3]]))
        return {"situation": outcome, "action": action, "clock": clock}, clock + 1.0

    start = np.array([[3.0, -2.5], [4.0, 5.0]], "float32")
    draws = tfmdn.generate(step, start, tf.zeros(2), 2, next_features=lambda draws: draws["situation"], seed=0).draws
    np.testing.assert_array_equal(draws["action"], -np.sign([start, start]).swapaxes(0, 1))
    for t in range(2):
        np.testing.assert_allclose(draws["situation"][:, t], start - (t + 1) * np.sign(start), atol=0.02)
    np.testing.assert_array_equal(draws["clock"], [[0.0, 1.0], [0.0, 1.0]])


# The end of sequences


def outside(place):
    return tf.abs(place) > 2.5


@pytest.fixture(scope="module")
def stopped():
    return tfmdn.generate(walk, tf.zeros(50), (), 40, stop=outside, seed=0)


def test_a_sequence_ends_with_the_draw_that_meets_the_condition(stopped):
    draws, lengths = stopped.draws.numpy(), stopped.lengths.numpy()
    assert len(set(lengths)) > 3
    for path, length in zip(draws, lengths):
        assert not outside(path[: length - 1]).numpy().any()
        assert outside(path[length - 1]) or length == 40
        np.testing.assert_array_equal(path[length:], 0.0)


def test_the_end_of_a_sequence_changes_nothing_before(stopped):
    endless = tfmdn.generate(walk, tf.zeros(50), (), 40, seed=0)
    np.testing.assert_array_equal(endless.lengths, 40)
    steps = np.arange(40) < stopped.lengths.numpy()[:, None]
    np.testing.assert_array_equal(np.where(steps, endless.draws, 0.0), stopped.draws)


def test_the_loop_ends_with_its_last_sequence():
    calls = tf.Variable(0)

    def step(time, state):
        calls.assign_add(1)
        return time + 1, state

    sequences = tfmdn.generate(step, tf.constant([0, 3]), (), 9, stop=lambda time: time == 5)
    np.testing.assert_array_equal(sequences.draws, [[1, 2, 3, 4, 5, 0, 0, 0, 0], [4, 5, 0, 0, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(sequences.lengths, [5, 2])
    assert int(calls) == 5


# Seeds and graphs


def test_seeds():
    def draws(seed, temperature=1.0):
        return tfmdn.generate(walk, tf.zeros(8), (), 10, seed=seed, temperature=temperature).draws.numpy()

    np.testing.assert_array_equal(draws(1), draws(1))
    np.testing.assert_array_equal(draws(1), draws(stateless_seed(1)))
    others = [draws(1), draws(2), draws(2**40), draws(-1), draws(None), draws(None)]
    assert len({values.tobytes() for values in others}) == len(others)


def test_one_trace_serves_all_seeds_temperatures_and_numbers_of_steps():
    traces = []

    def step(value, state):
        traces.append(value.shape)
        return walk(value, state)

    for settings in (
        {"num_steps": 2, "temperature": 2.0},
        {"num_steps": 3, "seed": 1, "scale_temperature": 3.0},
        {"num_steps": 3, "seed": 2, "temperature": 0.5},
        {"num_steps": 4, "temperature": tf.constant(0.1), "scale_temperature": 0.1},
    ):
        assert tfmdn.generate(step, tf.zeros(2), (), **settings).draws.shape == (2, settings["num_steps"])
    assert traces == [(2,), (2,)]  # the first step, and all others
    for seed in (1, 2):
        tfmdn.generate(step, tf.zeros(2), (), 3, seed=seed)
    assert len(traces) == 4  # a graph without temperatures


def test_one_step_a_call_goes_on_from_the_last(pen):
    """Calls of one step, with the seeds that the steps of one call have, draw what that call draws."""
    features, state = tf.zeros((3, 3)), [tf.zeros((3, 8)), tf.ones((3, 8))]
    whole, *after = tfmdn.generate(pen, features, state, 4, next_features=point_of, seed=5, return_state=True)
    # What a call draws first has the seed `fold_in(seed, 0)`: so the first of the calls is that of the first step.
    first, *carried = tfmdn.generate(pen, features, state, 1, next_features=point_of, seed=5, return_state=True)
    np.testing.assert_array_equal(first.draws["offset"], whole.draws["offset"][:, :1])
    np.testing.assert_allclose(carried[0], point_of(first.draws)[:, 0])
    expected = pen(features, state)[1]
    for ours, truth in zip(carried[1], expected):
        np.testing.assert_allclose(ours, truth, rtol=1e-6)
    # And the last features and states are those after all steps.
    np.testing.assert_allclose(after[0], point_of(whole.draws)[:, -1])
    for t in range(1, 4):
        expected = pen(point_of(whole.draws)[:, t - 1], expected)[1]
    for ours, truth in zip(after[1], expected):
        np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-6)


def test_components_without_a_scale():
    def step(value, state):
        rates = tf.stack([value + 1.0, value + 50.0], -1)
        return tfmdn.Mixture(tfd.Categorical(logits=tf.zeros_like(rates)), tfd.Poisson(rates)), state

    draws = tfmdn.generate(step, tf.zeros(4), (), 3, seed=0, temperature=1).draws.numpy()
    assert np.all(draws == np.round(draws))
    with pytest.raises(ValueError, match="no scale to temper"):
        tfmdn.generate(step, tf.zeros(4), (), 3, seed=0, scale_temperature=0.5)


def test_a_keras_model_without_a_state():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, tfmdn.MDNLayer(2, event_shape=1)(inputs))
    sequences = tfmdn.generate(model, tf.zeros((3, 1)), (), 4, seed=0)
    expected = tfmdn.generate(lambda value, state: (model(value), state), tf.zeros((3, 1)), (), 4, seed=0)
    np.testing.assert_array_equal(sequences.draws, expected.draws)


def test_temperatures(series):
    """A low scale temperature leaves the centres of components, and a low temperature the likeliest of them."""
    value, state = tf.ones((4, 1)), tf.zeros((4, 8))
    sequences = tfmdn.generate(series, value, state, 5, seed=0, temperature=1e-6, scale_temperature=1e-6)
    for t in range(5):
        mixture, state = series([value, state])
        value = mixture.most_likely_component().mean()
        np.testing.assert_allclose(sequences.draws[:, t], value, rtol=1e-4, atol=1e-4)


def test_weights_are_those_of_the_moment():
    model = series_model()
    arguments = (model, tf.ones((2, 1)), tf.zeros((2, 8)), 4)
    before = tfmdn.generate(*arguments, seed=0).draws.numpy()
    model.set_weights([0.5 * weights for weights in model.get_weights()])
    after = tfmdn.generate(*arguments, seed=0).draws.numpy()
    assert (before != after).all()


def test_within_a_graph_that_xla_compiles():
    """XLA has random numbers of its own, and must know the number of steps."""

    def step(place, state):
        return tfd.Normal(place, 1.0), state

    @tf.function(jit_compile=True)
    def generate(seed):
        return tfmdn.generate(step, tf.zeros(30), (), 9, stop=outside, seed=seed)

    first, again, other = (generate(tf.constant([0, seed])) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.draws, again.draws)
    assert (first.draws.numpy()[:, 0] != other.draws.numpy()[:, 0]).all()
    np.testing.assert_array_equal(np.count_nonzero(first.draws, 1), first.lengths)


# SavedModels


GENERATE = """
import sys, tensorflow as tf
generate = tf.saved_model.load(sys.argv[1]).signatures["generate"]
for rows, num_steps in ((2, 3), (4, 5)):
    sequences = generate(value=tf.ones((rows, 1)), num_steps=tf.constant(num_steps),
                         seed=tf.constant([0, 7]), temperature=tf.constant(0.5))
    print(*sequences["draws"].numpy().ravel(), *sequences["lengths"].numpy())
"""


def test_generation_is_exported_for_a_python_without_tfmdn(processes_without_tfmdn, series, tmp_path):
    def generate(value, num_steps, seed, temperature):
        state = tf.zeros((tf.shape(value)[0], 8))
        return tfmdn.generate(series, value, state, num_steps, seed=seed, temperature=temperature)._asdict()

    specs = {
        "value": ([None, 1], "float32"),
        "num_steps": ([], "int32"),
        "seed": ([2], "int32"),
        "temperature": ([], "float32"),
    }
    archive = keras.export.ExportArchive()
    archive.track(series)
    archive.add_endpoint("generate", generate, [tf.TensorSpec(*spec, name) for name, spec in specs.items()])
    archive.write_out(str(tmp_path / "model"), verbose=False)
    (result,) = processes_without_tfmdn.run(GENERATE, tmp_path / "model")
    assert result.returncode == 0, result.stderr[-2000:]
    for (rows, num_steps), line in zip(((2, 3), (4, 5)), result.stdout.splitlines()):
        value, state = tf.ones((rows, 1)), tf.zeros((rows, 8))
        expected = tfmdn.generate(series, value, state, num_steps, seed=7, temperature=0.5)
        np.testing.assert_allclose(
            np.array(line.split(), float), [*np.ravel(expected.draws), *expected.lengths], rtol=1e-4, atol=1e-5
        )


def test_steps_from_saved_models(series, tmp_path):
    """Keras' own export gives a `Mixture` back; of named tensors one is made."""
    inputs = {"value": keras.Input((1,), name="value"), "state": keras.Input((8,), name="state")}
    model = keras.Model(inputs, dict(zip(("next", "state"), series(list(inputs.values())))))
    model.export(str(tmp_path / "keras"), verbose=False)
    tfmdn.as_tensors(model).export(str(tmp_path / "tensors"), verbose=False)
    by_keras, of_tensors = (tf.saved_model.load(str(tmp_path / name)) for name in ("keras", "tensors"))

    def served(value, state):
        outputs = by_keras.serve({"value": value, "state": state})
        return outputs["next"], outputs["state"]

    def rebuilt(value, state):
        outputs = of_tensors.serve({"value": value, "state": state})
        components = tfd.MultivariateNormalDiag(outputs["next_loc"], outputs["next_scale_diag"])
        return tfmdn.Mixture(tfd.Categorical(logits=outputs["next_logits"]), components), outputs["state"]

    arguments = (tf.ones((3, 1)), tf.zeros((3, 8)), 4)
    expected = tfmdn.generate(series, *arguments, seed=1).draws
    for step in (served, rebuilt):
        np.testing.assert_allclose(tfmdn.generate(step, *arguments, seed=1).draws, expected, rtol=1e-4, atol=1e-5)


# Errors


@pytest.mark.parametrize(
    ("step", "options", "error", "message"),
    [
        (walk, {"num_steps": 0}, ValueError, r"`num_steps` must be a positive integer. Received: num_steps=0"),
        (walk, {"temperature": 0.0}, ValueError, r"`temperature` must be .* Received: temperature=0.0"),
        (walk, {"scale_temperature": -1}, ValueError, r"Received: scale_temperature=-1"),
        (
            walk,
            {"stop": lambda place: place},
            ValueError,
            r"`stop` must return one truth .* Received: float32 of shape",
        ),
        (walk, {"stop": lambda place: place[:, None] > 0}, ValueError, r"Received: bool of shape \(3, 1\)"),
        (lambda place, state: ("right", state), {}, TypeError, r"must be distributions.* Received: .* type str"),
        (lambda place, state: (tf.reduce_sum(place), state), {}, ValueError, r"must have a batch axis. Received"),
        (lambda place, state: (tf.stack([place, place], 1), state), {}, ValueError, r"must keep their structure"),
        (lambda place, state: (place, (state, place)), {}, ValueError, r"must keep their structure"),
        (lambda place, count: (place, tf.zeros(tf.size(count) + 1)), {}, ValueError, None),
    ],
)
def test_what_cannot_be(step, options, error, message):
    with pytest.raises(error, match=message):
        tfmdn.generate(step, tf.zeros(3), (), **{"num_steps": 3, **options})
