"""SavedModels: tfmdn's, which load without it, and Keras' own."""

import functools
import json
import os
import pathlib
import shutil

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from cases import SCALAR_COMPONENTS, case_name, serving_alone

import tfmdn
from tfmdn import files, versions
from tfmdn.distributions import tensors
from tfmdn.export import signatures

pytestmark = pytest.mark.usefixtures("quick_graphs")
X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
EXPORTED = [
    *SCALAR_COMPONENTS,
    ("normal", "diag", (3,)),
    ("normal", "full", (3,)),
    ("laplace", "diag", (3,)),
]


def model_of(case=("normal", "diag", ()), **kwargs):
    family, covariance, event_shape = case
    layer = tfmdn.MDNLayer(
        3, event_shape, family=family, covariance=covariance, kernel_initializer="he_normal", **kwargs
    )
    layer.adapt(np.random.default_rng(1).lognormal(2.0, 1.0, (200, *event_shape)))
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), layer])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model of a case, and where it is exported to: once for all tests."""

    @functools.cache
    def exported(case):
        model, path = model_of(case), tmp_path_factory.mktemp("exported") / "model"
        tfmdn.export_saved_model(model, path)
        return model, path

    return exported


@pytest.mark.by_default("normal-diag-scalar", "normal-full-3")
@pytest.mark.parametrize("case", EXPORTED, ids=case_name)
def test_every_signature_has_the_mixtures_numbers(exported, case):
    model, path = exported(case)
    assert json.loads((path / "assets.extra" / "tfmdn.json").read_text()) == versions.stamp()
    signatures = tf.saved_model.load(str(path)).signatures
    mixture = model(X)
    y = mixture.sample(seed=0)
    scale = float(tf.reduce_max(mixture.stddev()))

    outputs = signatures["serving_default"](x=tf.constant(X))
    expected = {
        "logits": mixture.mixture_distribution.logits,
        "probs": tf.nn.softmax(mixture.mixture_distribution.logits),
        **tensors.parameters(mixture.components_distribution),
        "mean": mixture.mean(),
        "stddev": mixture.stddev(),
    }
    assert set(outputs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(
        signatures["log_prob"](x=tf.constant(X), y=y)["log_prob"], mixture.log_prob(y), rtol=1e-5, atol=1e-5
    )
    draws = signatures["sample"](x=tf.constant(X), num_samples=tf.constant(4), seed=tf.constant(9))["sample"]
    np.testing.assert_allclose(draws, mixture.sample(4, seed=9), rtol=1e-4, atol=1e-4 * scale)
    for levels in ([0.5], [0.05, 0.5, 0.95], list(np.linspace(0.1, 0.9, len(X)))):
        quantiles = signatures["quantile"](x=tf.constant(X), q=tf.constant(levels, tf.float32))["quantile"]
        np.testing.assert_allclose(quantiles, mixture.quantile(levels), rtol=1e-5, atol=1e-5 * scale)


SERVE = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
for rows in (1, 5):
    batch = tf.constant(x[:rows])
    outputs = model.signatures["serving_default"](x=batch)
    y = outputs["mean"]
    print(*np.ravel(y), *np.ravel(model.signatures["log_prob"](x=batch, y=y)["log_prob"]),
          *np.ravel(model.signatures["sample"](x=batch, num_samples=tf.constant(2), seed=tf.constant(1))["sample"]),
          *np.ravel(model.signatures["quantile"](x=batch, q=tf.constant([0.1]))["quantile"]))
"""


@pytest.mark.by_default("normal-diag-scalar")
@pytest.mark.parametrize("case", [("normal", "diag", ()), ("normal", "full", (3,))], ids=case_name)
def test_loads_in_a_python_without_tfmdn_tfp_and_keras(processes_without_tfmdn, exported, case):
    model, path = exported(case)
    (result,) = processes_without_tfmdn.run(SERVE, path)
    assert result.returncode == 0, result.stderr[-2000:]
    for rows, line in zip((1, 5), result.stdout.splitlines()):
        mixture = model(X[:rows])
        y = mixture.mean()
        expected = [y, mixture.log_prob(y), mixture.sample(2, seed=1), mixture.quantile([0.1])]
        np.testing.assert_allclose(
            np.array(line.split(), float), np.concatenate([np.ravel(value) for value in expected]), rtol=1e-4, atol=1e-4
        )


def model_of_two_heads():
    """A mixture of points, and one logit beside it."""
    inputs = keras.Input((3,))
    offset = tfmdn.MDNLayer(3, 2, covariance="full", kernel_initializer="he_normal")(inputs)
    return keras.Model(inputs, {"offset": offset, "pen": keras.layers.Dense(1)(inputs)})


SERVE_TWO_HEADS = """
import sys, numpy as np, tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
x = tf.ones((2, 3))
outputs = signatures["serving_default"](x=x)
print(*sorted(outputs))
print(*sorted(signatures))
print(*np.ravel(outputs["pen"]), *np.ravel(signatures["offset_log_prob"](x=x, y=outputs["offset_mean"])["log_prob"]),
      *np.ravel(signatures["offset_sample"](x=x, num_samples=tf.constant(2), seed=tf.constant(1))["sample"]),
      *np.ravel(signatures["offset_quantile"](x=x, q=tf.constant([0.1, 0.5]))["quantile"]))
"""


def test_several_heads(processes_without_tfmdn, tmp_path):
    model = model_of_two_heads()
    tfmdn.export_saved_model(model, tmp_path / "model")
    (result,) = processes_without_tfmdn.run(SERVE_TWO_HEADS, tmp_path / "model")
    assert result.returncode == 0, result.stderr[-2000:]
    outputs, signatures, numbers = result.stdout.splitlines()
    names = ["loc", "logits", "mean", "probs", "scale_tril", "stddev"]
    assert outputs.split() == [*(f"offset_{name}" for name in names), "pen"]
    assert signatures.split() == ["offset_log_prob", "offset_quantile", "offset_sample", "serving_default"]
    mixture, logits = (model(np.ones((2, 3), "float32"))[key] for key in ("offset", "pen"))
    expected = [logits, mixture.log_prob(mixture.mean()), mixture.sample(2, seed=1), mixture.quantile([0.1, 0.5])]
    np.testing.assert_allclose(
        np.array(numbers.split(), float), np.concatenate([np.ravel(value) for value in expected]), rtol=1e-4, atol=1e-4
    )


def test_plain_keras_export_of_several_heads(tmp_path):
    model = model_of_two_heads()
    model.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    served, expected = loaded.serve(X), model(X)
    assert isinstance(served["offset"], tfmdn.Mixture)
    np.testing.assert_allclose(served["offset"].mean(), expected["offset"].mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(served["pen"], expected["pen"], rtol=1e-5, atol=1e-6)


@pytest.mark.exhaustive
def test_a_model_of_several_inputs(tmp_path):
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((1,), name="b", dtype="int32")}
    joined = keras.layers.Concatenate()(
        [inputs["a"], keras.layers.Flatten()(keras.layers.Embedding(4, 2)(inputs["b"]))]
    )
    several = keras.Model(inputs, tfmdn.MDNLayer(2)(joined))
    tfmdn.export_saved_model(several, tmp_path / "several")
    a, b = tf.ones((4, 2)), tf.constant([[0], [1], [2], [3]])
    served = tf.saved_model.load(str(tmp_path / "several")).signatures["log_prob"](a=a, b=b, y=tf.zeros(4))
    np.testing.assert_allclose(served["log_prob"], several({"a": a, "b": b}).log_prob(tf.zeros(4)), rtol=1e-5)


@pytest.mark.exhaustive
def test_a_model_of_sequences(tmp_path):
    sequence = keras.Sequential(
        [keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True), tfmdn.MDNLayer(2, 2)]
    )
    tfmdn.export_saved_model(sequence, tmp_path / "sequence")
    served = tf.saved_model.load(str(tmp_path / "sequence")).signatures["serving_default"](x=tf.zeros((2, 7, 3)))
    assert served["mean"].shape == (2, 7, 2)


def test_a_subclassed_model(tmp_path):
    model = models.Subclassed()
    signature = keras.InputSpec(shape=(None, 3), dtype="float32")
    tfmdn.export_saved_model(model, tmp_path / "model", input_signature=signature)
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](x=tf.constant(X))
    np.testing.assert_allclose(served["mean"], model(X).mean(), rtol=1e-5)
    # Of one that was called, the signature is known.
    called = models.Subclassed()
    called(X)
    assert signatures.input_specs(called, None, ()) == signatures.input_specs(model, signature, ())
    with pytest.raises(ValueError, match="The model is not built"):
        tfmdn.export_saved_model(models.Subclassed(), tmp_path / "unbuilt")


@pytest.mark.parametrize(
    "names", [("y", "z"), ("a", "A"), ("class", "b"), ("a b", "c"), ("größe", "b"), ("_a", "b"), ("self", "b")]
)
def test_names_of_inputs_that_cannot_be_arguments(names, tmp_path):
    inputs = [keras.Input((1,), name=name) for name in names]
    model = keras.Model(inputs, tfmdn.MDNLayer(2)(keras.layers.Concatenate()(inputs)))
    with pytest.raises(ValueError, match=r"become arguments of the signatures.*Received: inputs named"):
        tfmdn.export_saved_model(model, tmp_path / "model")


def test_lookup_tables_and_normalization_are_exported(tmp_path):
    words = keras.Input((1,), dtype="string", name="word")
    lookup = keras.layers.StringLookup(vocabulary=["low", "high"], output_mode="one_hot")
    model = keras.Model(words, tfmdn.MDNLayer(2)(lookup(words)))
    with serving_alone():
        tfmdn.export_saved_model(model, tmp_path / "model")
    x = tf.constant([["low"], ["high"], ["other"]])
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](x=x)
    np.testing.assert_allclose(served["mean"], model(x).mean(), rtol=1e-5, atol=1e-6)


def test_plain_keras_export_serves_named_tensors(tmp_path):
    model = model_of(("normal", "diag", ()))
    model.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    outputs = loaded.signatures["serving_default"](tf.constant(X))
    assert set(outputs) == {"logits", "loc", "scale", "mean"}
    np.testing.assert_allclose(outputs["mean"], model(X).mean(), rtol=1e-5)
    again = loaded.serve(X)
    assert isinstance(again, tfmdn.Mixture)
    np.testing.assert_allclose(again.log_prob(np.ones(5)), model(X).log_prob(np.ones(5)), rtol=1e-5)


# What can go wrong

PLAIN, CORRELATED = ("normal", "diag", ()), ("normal", "full", (3,))


@pytest.fixture
def writing_exported(monkeypatch, exported):
    """An export takes long: it writes one of before."""

    def write_out(self, filepath, **kwargs):
        shutil.copytree(exported(CORRELATED)[1], filepath)

    monkeypatch.setattr(type(keras.export.ExportArchive()), "write_out", write_out)


@pytest.fixture
def earlier(exported, tmp_path):
    return shutil.copytree(exported(PLAIN)[1], tmp_path / "deep" / "model")


def files_of(path):
    return sorted((file.relative_to(path), file.stat().st_mtime_ns) for file in path.rglob("*"))


def test_a_failed_export_leaves_the_earlier_one(earlier, monkeypatch):
    before = files_of(earlier)

    def full_disk(self, filepath, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(type(keras.export.ExportArchive()), "write_out", full_disk)
    with pytest.raises(OSError, match="No space left"):
        tfmdn.export_saved_model(model_of(), earlier)
    assert files_of(earlier) == before
    assert [entry.name for entry in earlier.parent.iterdir()] == ["model"]


@pytest.mark.usefixtures("writing_exported")
def test_a_failed_move_leaves_the_earlier_one(earlier, monkeypatch):
    before = files_of(earlier)
    rename = os.rename

    def failing_rename(source, target):
        if pathlib.Path(source).name == "draft":
            raise OSError("interrupted")
        return rename(source, target)

    monkeypatch.setattr(files, "_exchanged", lambda first, second: False)  # as a disk that does not know it
    monkeypatch.setattr(os, "rename", failing_rename)
    with pytest.raises(OSError, match="interrupted"):
        tfmdn.export_saved_model(model_of(), earlier)
    assert files_of(earlier) == before
    assert [entry.name for entry in earlier.parent.iterdir()] == ["model"]


@pytest.mark.usefixtures("writing_exported")
def test_an_earlier_saved_model_is_replaced(earlier):
    tfmdn.export_saved_model(model_of(), str(earlier))
    assert "scale_tril" in tf.saved_model.load(str(earlier)).signatures["serving_default"](x=tf.constant(X))
    assert [entry.name for entry in earlier.parent.iterdir()] == ["model"]


@pytest.mark.usefixtures("writing_exported")
def test_folders_on_the_way_are_made(tmp_path):
    tfmdn.export_saved_model(model_of(), tmp_path / "deep" / "model")
    assert (tmp_path / "deep" / "model" / "saved_model.pb").exists()


def test_a_path_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ValueError, match=r"there is a file at its path. Received: path='.*file'"):
        tfmdn.export_saved_model(model_of(), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="holds other things than a SavedModel"):
        tfmdn.export_saved_model(model_of(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_path_that_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Cannot write to the folder"):
        tfmdn.export_saved_model(model_of(), tmp_path / "file" / "model")


def test_a_model_without_a_mixture(tmp_path):
    inputs = keras.Input((3,))
    plain, head = keras.layers.Dense(1)(inputs), tfmdn.MDNLayer(2)(inputs)
    for outputs in (plain, {"plain": plain}, [head, plain], {"head": head, "others": {"plain": plain}}):
        with pytest.raises(TypeError, match=r"output is that of an MDNLayer, or a dictionary.*Received: a model whose"):
            tfmdn.export_saved_model(keras.Model(inputs, outputs), tmp_path / "model")
    with pytest.raises(ValueError, match=r"names of the outputs.*must differ. Received: .*'a_mean'"):
        tfmdn.export_saved_model(keras.Model(inputs, {"a": head, "a_mean": plain}), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_regressor_is_exported_by_its_model(exported, tmp_path):
    regressor = tfmdn.MDNRegressor()
    with pytest.raises(ValueError, match=r"not fitted: call its `fit` .*Received: MDNRegressor\(\)"):
        tfmdn.export_saved_model(regressor, tmp_path / "model")
    regressor.model_, _ = exported(PLAIN)
    assert signatures.keras_model(regressor) is regressor.model_
    with pytest.raises(TypeError, match=r"a Keras model, an Ensemble or a fitted MDNRegressor. Received: str"):
        tfmdn.export_saved_model("model", tmp_path / "model")
