"""A mixture as an array of NumPy, a column of pandas, a number and a sequence of Python."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mixture_of

import tfmdn

tfd = tfp.distributions


@pytest.fixture(scope="module")
def scalars():
    return mixture_of(("normal", "diag", ()))


@pytest.fixture(scope="module")
def vectors():
    return mixture_of(("normal", "full", (3,)))


FUNCTIONS = {
    "mean": np.mean,
    "mean of axis": lambda a: np.mean(a, 0, keepdims=True),
    "mean in float64": lambda a: np.mean(a, dtype=np.float64, axis=-1),
    "mean where": lambda a: np.mean(a, where=np.asarray(a) > 0),
    "mean into": lambda a: np.mean(a, axis=0, out=np.zeros(3, np.float32)),
    "average": lambda a: np.average(a, 0, weights=np.arange(5.0)),
    "std": lambda a: np.std(a, axis=0, ddof=1),
    "var": np.var,
    "sum": lambda a: np.sum(a, axis=(0, 1), keepdims=True),
    "median": np.median,
    "quantile": lambda a: np.quantile(a, [0.1, 0.9], axis=0),
    "percentile": lambda a: np.percentile(a, 30),
    "max": lambda a: np.max(a, axis=1),
    "argmax": np.argmax,
    "argsort": np.argsort,
    "cumsum": np.cumsum,
    "prod": np.prod,
    "round": lambda a: np.round(a, 1),
    "clip": lambda a: np.clip(a, 0.0, 1.0),
    "where": lambda a: np.where(np.asarray(a) > 0, a, 0.0),
    "stack": lambda a: np.stack([a, (a)]),
    "concatenate": lambda a: np.concatenate([a, np.asarray(a)]),
    "dot": lambda a: np.dot(np.ones(5, np.float32), a),
    "einsum": lambda a: np.einsum("ij,kj->ik", a, a),
    "corrcoef": np.corrcoef,
    "copy": np.copy,
    "shape": np.shape,
    "ndim": np.ndim,
    "size": np.size,
    "zeros": np.zeros_like,
    "result type": lambda a: np.dtype(np.result_type(a, np.float64)).num,
    "isnan": np.isnan,
    "allclose": lambda a: np.allclose(a, np.asarray(a)),
    "sorted": lambda a: np.sort(a, axis=None),
    "take": lambda a: np.take(a, [4, 0], axis=0),
    "reshape": lambda a: np.reshape(a, -1),
    "transpose": np.transpose,
    "exp": np.exp,
    "add": lambda a: np.add(np.ones((5, 3)), a),
    "equal": lambda a: np.asarray(a)[0] == a,
    "float64": lambda a: np.asarray(a, np.float64),
    "integers": lambda a: np.array(a, dtype=int),
    "frame": pd.DataFrame,
}


def test_functions_of_numpy_are_those_of_the_array(vectors):
    array = vectors.numpy()
    for name, function in FUNCTIONS.items():
        found, expected = function(vectors), function(array)
        np.testing.assert_array_equal(found, expected, err_msg=name)
        assert np.asarray(found).dtype == np.asarray(expected).dtype, name
    np.testing.assert_array_equal(vectors.mean(), array)  # a question to the distribution
    assert np.mean(mixture_of(("normal", "diag", ()), convert_to_tensor="mode")) != np.mean(
        mixture_of(("normal", "diag", ()))
    )


def test_what_would_write_into_it_is_refused(scalars):
    for write in (
        lambda: np.copyto(scalars, 0.0),
        lambda: np.put(scalars, [0], [1.0]),
        lambda: np.mean(np.ones((5, 5)), axis=0, out=scalars),
        lambda: np.exp(np.ones(5), out=scalars),
        lambda: np.array(scalars, copy=False),
        lambda: scalars.__setitem__(0, 1.0),
    ):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            write()


def test_columns_of_pandas(scalars, vectors):
    array = scalars.numpy()
    np.testing.assert_array_equal(pd.Series(scalars), array)
    np.testing.assert_array_equal(pd.Series(scalars, index=list("abcde"), dtype=float), np.float64(array))
    np.testing.assert_array_equal(pd.DataFrame({"y": scalars, "x": range(5)})["y"], array)
    np.testing.assert_array_equal(pd.DataFrame(vectors, columns=list("abc")), vectors.numpy())
    np.testing.assert_array_equal(pd.Series(array) - scalars, np.zeros(5))
    np.testing.assert_array_equal(scalars == pd.Series(array), [True] * 5)


def test_one_is_a_number(scalars, vectors):
    row = scalars[1]
    value = row.numpy()
    assert (float(row), int(row), bool(row), complex(row)) == (float(value), int(value), True, complex(value))
    assert [float(each) for each in scalars] == scalars.numpy().tolist()
    assert f"{float(row):.3f}" == f"{value:.3f}"
    for several in (scalars, vectors, vectors[0], scalars[:1]):
        for convert in (float, int, bool, complex):
            with pytest.raises(TypeError, match=r"stands for one number.*Received"):
                convert(several)


def test_a_sequence_of_rows(scalars, vectors):
    assert len(scalars) == len(vectors) == len(list(scalars)) == 5
    for mixture in (scalars, vectors):
        for found, expected in zip(mixture, mixture.mean().numpy(), strict=True):
            assert isinstance(found, tfmdn.Mixture)
            np.testing.assert_allclose(found.mean(), expected, rtol=1e-6)
    first, *_, last = scalars
    assert float(first) == scalars.numpy()[0]
    assert float(last) == float(next(reversed(scalars)))
    for ask in (len, list):
        with pytest.raises(TypeError, match="has no rows"):
            ask(vectors[0])


def test_comparisons(scalars, vectors):
    array = scalars.numpy()
    np.testing.assert_array_equal(scalars == array[2], [False, False, True, False, False])
    np.testing.assert_array_equal(scalars != tf.constant(array), [False] * 5)
    np.testing.assert_array_equal(vectors == vectors.numpy()[0].tolist(), vectors.numpy() == vectors.numpy()[0])
    np.testing.assert_array_equal(scalars >= array, [True] * 5)
    other = scalars.copy()
    assert scalars == scalars
    assert scalars != other
    assert scalars not in [other, None]
    assert scalars != "text"
    assert len({scalars, other, scalars}) == 2


def test_in_a_graph_it_says_that_there_are_no_numbers():
    layer = tfmdn.MDNLayer(2)
    for ask in (float, bool, np.mean, np.asarray):
        with pytest.raises(NotImplementedError, match=r"In a graph .*Received"):
            tf.function(lambda x: ask(layer(x)[0]), autograph=False)(tf.ones([3, 2]))  # noqa: B023


def test_models_and_tensorflow_take_it_as_before(scalars):
    model = keras.Sequential([keras.Input((4,)), tfmdn.MDNLayer(2)])
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model(np.ones((3, 4)))), model.predict(np.ones((3, 4)), verbose=0)
    )
    assert tf.nest.flatten([scalars]) == [scalars]
    assert tf.stack([scalars, scalars]).shape == (2, 5)
