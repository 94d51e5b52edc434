"""Which rows of a mixture an index chooses: those that NumPy chooses."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mixture_of

import tfmdn
from tfmdn import keras_internals

tfd = tfp.distributions

# An index for each of what NumPy has, of a batch of 4 x 5 rows.
ROWS = np.array([True, False, True, True])
BOTH = np.arange(20).reshape(4, 5) % 3 == 0
INDICES = {
    "number": 2,
    "negative": (-1, -2),
    "number of numpy": np.uint8(3),
    "array of no axes": np.array(1),
    "slice": slice(1, 3),
    "backwards": (slice(None, None, -1), slice(4, 0, -2)),
    "nothing": slice(9, None),
    "ellipsis": (..., 1),
    "new axes": (None, 2, None, ..., None),
    "list": [0, 2],
    "list of one": [0],
    "list of lists": [[0, -1], [2, 2]],
    "empty list": [],
    "array": np.array([3, 3, 0, -4]),
    "second axis": (slice(None), [0, 2]),
    "after an ellipsis": (..., np.array([4, 0])),
    "pairs": ([0, 3], [4, 1]),
    "broadcast": ([[0], [3]], [4, 1, 1]),
    "number and array": (1, [0, 2]),
    "apart": ([0, 3], None, [4, 1]),
    "apart behind an axis": (None, [0, 3], None, [4]),
    "apart by an empty ellipsis": (None, [0, 3], ..., [4, 1]),
    "mask": ROWS,
    "list of truth values": ROWS.tolist(),
    "mask of no rows": np.zeros(4, bool),
    "mask of both axes": BOTH,
    "mask and slice": (ROWS, slice(1, 4)),
    "mask and array": (ROWS, [0, 1, 4]),
    "mask and number": (ROWS, 3),
    "mask and new axis": (None, ROWS, ..., None),
    "mask of the second axis": (slice(1, None), np.arange(5) > 2),
}
# Of each way to find the rows in a graph.
IN_GRAPHS = [
    "negative",
    "backwards",
    "after an ellipsis",
    "broadcast",
    "apart behind an axis",
    "apart by an empty ellipsis",
    "mask of both axes",
    "mask and slice",
    "mask and new axis",
]
# For whatever makes no sense to NumPy either, or would be about the events.
NO_INDICES = {
    "out of bounds": 4,
    "out of bounds in a list": [0, -5],
    "out of the second axis": (0, 5),
    "too many": (0, 0, 0),
    "too many slices": (slice(None), slice(None), slice(None)),
    "two ellipses": (..., ...),
    "float": 1.0,
    "floats": [0.0, 1.0],
    "text": "a",
    "dictionary": {},
    "short mask": ROWS[:3],
    "mask of too many axes": np.ones((4, 5, 2), bool),
    "masks apart": (ROWS, [0, 1]),
    "masked array": np.ma.masked_array([0, 1], [True, False]),
    "ragged": tf.ragged.constant([[0], [1, 2]]),
    "slice of floats": slice(0.0, 2.0),
}


def coarse(event_shape=()):
    rng = np.random.default_rng(0)
    loc = rng.normal(size=(4, 5, 3, *event_shape)).astype("float32")
    components = tfmdn.distributions.CoarsenedNormal(loc, 0.5 + loc**2, -0.5, 1.0)
    return tfmdn.Mixture(tfd.Categorical(logits=rng.normal(size=(5, 3)).astype("float32")), components)


def limited(covariance):
    rng = np.random.default_rng(1)
    layer = tfmdn.MDNLayer(3, 2, covariance=covariance, support=([0.0, 0.0], [np.inf, 1.0]))
    return layer(rng.normal(size=(4, 5, 6)).astype("float32"))


def far_away():
    layer = tfmdn.MDNLayer(3, 2)
    rng = np.random.default_rng(1)
    layer.adapt(1e6 + rng.normal(size=(50, 2)))
    return layer(rng.normal(size=(4, 5, 6)).astype("float32"))


MIXTURES = {
    "scalars": lambda: mixture_of(("normal", "diag", ()), batch_shape=(4, 5)),
    "vectors": lambda: mixture_of(("student_t", "spherical", (3,)), batch_shape=(4, 5)),
    "full": lambda: mixture_of(("normal", "full", (3,)), batch_shape=(4, 5), dtype="float64"),
    "positive": lambda: mixture_of(("gamma", "diag", ()), batch_shape=(4, 5)),
    "far away": far_away,
    "limits": lambda: limited("diag"),
    "limits, full": lambda: limited("full"),
    "coarse": coarse,
    "merged": lambda: tfmdn.merge([mixture_of(("laplace", "diag", ()), batch_shape=(4, 5))] * 2),
    "the mode": lambda: mixture_of(("normal", "diag", ()), batch_shape=(4, 5), convert_to_tensor="mode"),
    "shared": lambda: tfmdn.Mixture(
        tfd.Categorical(logits=[[[0.0, 1.0]]] * 4), tfd.Normal(tf.reshape(tf.range(10.0), [5, 2]), 1.0)
    ),
}


@pytest.fixture(scope="module", params=MIXTURES)
def mixture(request):
    return MIXTURES[request.param]()


def rows_of(value, index):
    """The rows `[*I, ...]` of an array `[4, 5, ...]`, of which the last axes are no rows."""
    value = np.asarray(value)
    return value.reshape(20, *value.shape[2:])[np.arange(20).reshape(4, 5)[index]]


def assert_rows(part, mixture, index):
    assert isinstance(part, tfmdn.Mixture)
    assert part.event_shape == mixture.event_shape
    np.testing.assert_allclose(part.mean(), rows_of(mixture.mean(), index), rtol=1e-6, err_msg=str(index))


def test_as_numpy_has_it(mixture):
    for index in INDICES.values():
        assert_rows(mixture[index], mixture, index)


def test_the_rest_is_as_it_was(mixture):
    index, y = ([2, 0, 0], slice(1, None)), mixture.sample(seed=0)
    part = mixture[index]
    np.testing.assert_allclose(part.log_prob(y.numpy()[index]), mixture.log_prob(y).numpy()[index], rtol=1e-6)
    np.testing.assert_allclose(part, np.asarray(mixture)[index], rtol=1e-6)
    assert part.member_sizes == mixture.member_sizes
    assert type(part.components_distribution) is type(mixture.components_distribution)
    again = pickle.loads(pickle.dumps(copy.deepcopy(part)))
    np.testing.assert_array_equal(again.mean(), part.mean())


@pytest.mark.parametrize("name", NO_INDICES)
def test_refused(name):
    mixture = mixture_of(("normal", "diag", (3,)), batch_shape=(4, 5))
    with pytest.raises(IndexError, match=r"(?s)tf\.gather.*Received: index .* of batch shape \(4, 5\)"):
        mixture[NO_INDICES[name]]


def test_components_that_no_tensors_describe():
    blocks = tfd.Blockwise([tfd.Normal(tf.zeros([4, 3]), 1.0)] * 2)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([4, 3])), blocks)
    assert mixture[1:3].batch_shape == (2,)
    with pytest.raises(IndexError, match=r"tf\.gather"):
        mixture[[0, 1]]


def test_the_mask_and_gradients_go_along():
    loc, steps = tf.Variable(tf.reshape(tf.range(8.0), [4, 2])), tf.constant([True, False, True, True])
    with tf.GradientTape() as tape:
        mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([2])), tfd.Normal(loc, 1.0))
        mean = keras_internals.masked(mixture, steps)[[2, 1, 2]].mean()
    np.testing.assert_array_equal(tape.gradient(mean, loc), [[0, 0], [0.5, 0.5], [1, 1], [0, 0]])
    for index in ([2, 1], ROWS, (None, [0, 3])):
        part = keras_internals.masked(tfmdn.Mixture(*tensors_of(loc)), steps)[index]
        np.testing.assert_array_equal(keras_internals.mask_of(part), steps.numpy()[index])


def tensors_of(loc):
    return tfd.Categorical(logits=tf.zeros([2])), tfd.Normal(tf.convert_to_tensor(loc), 1.0)


# In a graph


def as_tensors(index):
    """An index of tensors in the place of arrays, integers and the bounds of slices."""
    parts = index if isinstance(index, tuple) else (index,)

    def tensor(part):
        if isinstance(part, slice):
            bounds = part.start, part.stop, part.step
            return slice(*(None if bound is None else tf.constant(bound) for bound in bounds))
        if part is None or part is Ellipsis:
            return part
        return tf.constant(np.asarray(part, int if isinstance(part, list) and not part else None))

    return tuple(map(tensor, parts))


@pytest.fixture(scope="module")
def batch():
    loc = tf.reshape(tf.range(120.0), [4, 5, 3, 2])
    return tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([4, 5, 3])), tfd.MultivariateNormalDiag(loc, [1.0, 1.0]))


def test_tensors_of_a_graph(batch):
    """Where only the run tells the index, and where only the run tells the batch."""
    chosen = {name: INDICES[name] for name in IN_GRAPHS}
    indices = {name: as_tensors(index) for name, index in sorted(chosen.items())}
    flat = [tensor for parts in indices.values() for part in parts for tensor in _tensors(part)]

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, None, 3, 2]),
            [tf.TensorSpec([None] * value.shape.rank, value.dtype) for value in flat],
        ],
    )
    def centres(loc, flat):
        of_run = iter(flat)
        given = {name: tuple(_with_tensors(part, of_run) for part in parts) for name, parts in indices.items()}
        whole = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([3])), tfd.MultivariateNormalDiag(loc, [1.0, 1.0]))
        questions = {name: [batch[index], whole[index], whole[chosen[name]]] for name, index in given.items()}
        return {name: [part.components_distribution.loc for part in parts] for name, parts in questions.items()}

    loc = batch.components_distribution.loc
    for name, found in centres(loc, flat).items():
        for part in found:
            np.testing.assert_array_equal(part, rows_of(loc, chosen[name]), err_msg=name)


def _tensors(part):
    if isinstance(part, slice):
        return [bound for bound in (part.start, part.stop, part.step) if bound is not None]
    return [part] if tf.is_tensor(part) else []


def _with_tensors(part, of_run):
    if isinstance(part, slice):
        return slice(*(None if bound is None else next(of_run) for bound in (part.start, part.stop, part.step)))
    return next(of_run) if tf.is_tensor(part) else part


def test_rows_that_a_graph_does_not_have(batch):
    mean = tf.function(lambda index: batch[index].mean(), autograph=False)
    for index in (tf.constant([0, 4]), tf.constant([-5]), tf.constant(4), tf.constant([True, False])):
        with pytest.raises((tf.errors.InvalidArgumentError, IndexError)):
            mean(index)
    compiled = tf.function(lambda index: batch[index].mean(), autograph=False, jit_compile=True)
    found = compiled(tf.constant([0, 4, -5, -4]))  # XLA has no errors
    np.testing.assert_array_equal(np.isnan(found).any((1, 2)), [False, True, True, False])
    with pytest.raises(IndexError, match=r"tf\.gather"):
        tf.function(lambda index: batch[index].mean(), autograph=False)(tf.constant([0.5]))
