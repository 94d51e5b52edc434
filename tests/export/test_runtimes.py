"""What LiteRT's and ONNX Runtime's interpreters answer is what the Mixture answers: formats x signatures x models.

It is the table of docs/export.md.
"""

import functools
import itertools
import json

import keras
import models
import numpy as np
import pytest
import runtimes
import scipy.stats
import tensorflow as tf

import tfmdn
from tfmdn import versions
from tfmdn.distributions import named, tensors
from tfmdn.export import endpoints

pytestmark = pytest.mark.usefixtures("quick_graphs")
LEVELS = np.array([0.0, 1e-5, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0], "float32")
SIGNATURES = ["serving_default", "log_prob", "quantile", "sample"]
# ONNX has a file for each signature: by default each of them, and each kind of model, is there once.
IN_ONNX = dict(zip(models.MODELS, itertools.cycle(["quantile", "sample", "serving_default", "log_prob"])))
# A conversion takes two seconds.
QUICK = {"scalar", "two heads", "LSTM step"}
QUICK_IN_ONNX = {"scalar", "vector", "full covariance", "limits", "grid"}


@functools.cache
def built(name):
    return models.MODELS[name].model()


@pytest.fixture(scope="module")
def litert(tmp_path_factory):
    """A model's file of LiteRT, which is written once."""

    @functools.cache
    def litert(name):
        path = tmp_path_factory.mktemp("litert") / "model.tflite"
        tfmdn.export_litert(built(name), path)
        return runtimes.LiteRT(path)

    return litert


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    pytest.importorskip("tf2onnx")

    @functools.cache
    def onnx(name, signature):
        folder = tmp_path_factory.mktemp("onnx")
        tfmdn.export_onnx(built(name), folder / f"{signature}.onnx", signature)
        return runtimes.ONNX(folder)

    return onnx


def rows_of(name, rows):
    """The first rows of a model's inputs, as arguments of a signature, and what the model says of them."""
    x = models.MODELS[name].x
    x = {key: value[:rows] for key, value in x.items()} if isinstance(x, dict) else x[:rows]
    outputs = built(name)(x)
    return x if isinstance(x, dict) else {"x": x}, outputs if isinstance(outputs, dict) else {"": outputs}


def check(runtime, name, signature, rows):
    """One signature of all the heads of a model, for some rows."""
    x, outputs = rows_of(name, rows)
    if signature == "serving_default":
        received, expected = runtime.ask(signature, **x), named.named_tensors(outputs)
        assert set(received) == set(expected)
        for key, value in expected.items():
            value = np.asarray(value)
            assert received[key].dtype == np.float32
            # LiteRT's converter makes infinite limits finite.
            is_same = ~np.isfinite(value) & (np.abs(received[key]) > 3e38) & (np.sign(value) == np.sign(received[key]))
            received[key] = np.where(is_same, value, received[key])
            scale = np.max(np.abs(value), initial=1e-30, where=np.isfinite(value))
            np.testing.assert_allclose(received[key], value, rtol=1e-5, atol=1e-5 * scale, err_msg=key)
        return
    for key, mixture in outputs.items():
        if isinstance(mixture, tfmdn.Mixture):
            ask = functools.partial(runtime.ask, named.join(key, signature), **x)
            {"log_prob": check_log_prob, "quantile": check_quantile, "sample": check_sample}[signature](ask, mixture)


def check_log_prob(ask, mixture):
    for y in (mixture.sample(seed=3), mixture.mean() + 3.0 * mixture.stddev(), mixture.quantile(0.0)):
        y = np.asarray(y)
        if np.isfinite(y).all():
            expected = mixture.log_prob(y)
            np.testing.assert_allclose(ask(y=y)["log_prob"], expected, rtol=1e-5, atol=1e-5)


def check_quantile(ask, mixture):
    received, expected = ask(q=LEVELS)["quantile"], mixture.quantile(np.float64(LEVELS))
    scale = np.max(mixture.stddev())
    np.testing.assert_allclose(received, expected, rtol=1e-6, atol=1e-4 * scale)
    assert np.isnan(ask(q=np.float32([-0.1, 1.1]))["quantile"]).all()


def check_sample(ask, mixture):
    """The component by formula, and then: the draws are as the distribution function of the mixture says."""
    rng, num_draws = np.random.default_rng(5), 400
    uniform = rng.uniform(size=(num_draws, *mixture.batch_shape)).astype("float32")
    normal = rng.normal(size=(num_draws, *mixture.shape)).astype("float32")
    draws = ask(uniform=uniform, normal=normal)["sample"]
    np.testing.assert_array_equal(ask(uniform=uniform, normal=normal)["sample"], draws)
    expected = by_formula(mixture, uniform, normal)
    if expected is not None:
        np.testing.assert_allclose(draws, expected, rtol=1e-4, atol=1e-5 * float(np.max(mixture.stddev())))
    # Of a value with a probability of its own any share of it may lie below: that makes the probabilities uniform.
    below = mixture.cdf(draws) - rng.uniform(size=draws.shape).astype("float32") * mixture.prob_of(draws)
    for coordinate in np.reshape(below, (num_draws * len(uniform[0]), -1)).T:
        assert scipy.stats.kstest(coordinate, "uniform").pvalue > 1e-3


def by_formula(mixture, uniform, normal):
    """The draws of components without limits or a grid, in NumPy."""
    values = {key: np.asarray(value) for key, value in named.named_tensors(mixture).items()}
    if not set(values) <= {"logits", "probs", "loc", "scale", "scale_diag", "scale_tril", "mean", "stddev"}:
        return None
    components = mixture.components_distribution
    index = np.sum(np.cumsum(values["probs"], -1) <= uniform[..., np.newaxis], -1)  # [S, B]
    index = np.minimum(index, values["probs"].shape[-1] - 1)
    rows = np.arange(values["probs"].shape[0])
    if "scale_tril" in values:
        tril = values["scale_tril"][rows, index]
        return values["loc"][rows, index] + np.einsum("sbij,sbj->sbi", tril, normal)
    scale = values.get("scale", values.get("scale_diag"))[rows, index]
    loc = values["loc"][rows, index]
    kind = type(tensors.under_independent(components)).__name__
    quantile = {
        "Laplace": scipy.stats.laplace.ppf,
        "Logistic": scipy.stats.logistic.ppf,
        "Gumbel": scipy.stats.gumbel_r.ppf,
        "LogNormal": scipy.stats.norm.ppf,
        "Weibull": lambda p: np.log(scipy.stats.expon.ppf(p)),
    }.get(kind)
    if kind == "Weibull":
        scale = scale / (1.0 + scale)
    standard = normal if quantile is None else quantile(scipy.stats.norm.cdf(np.float64(normal)))
    draws = loc + scale * standard
    return np.exp(draws) if kind in ("LogNormal", "Weibull") else draws


LITERT_CASES = list(itertools.product(models.MODELS, [1, models.ROWS]))


@pytest.mark.by_default(*(f"{name}-{rows}" for name, rows in LITERT_CASES if name in QUICK))
@pytest.mark.parametrize(("name", "rows"), LITERT_CASES, ids=[f"{name}-{rows}" for name, rows in LITERT_CASES])
def test_litert(litert, name, rows):
    runtime = litert(name)
    for signature in SIGNATURES:
        if models.MODELS[name].has_quantiles or signature in ("serving_default", "log_prob"):
            check(runtime, name, signature, rows)
        else:
            assert signature not in runtime.signatures


ONNX_CASES = list(itertools.product(models.MODELS, SIGNATURES))


@pytest.mark.by_default(*(f"{name}-{signature}" for name, signature in IN_ONNX.items() if name in QUICK_IN_ONNX))
@pytest.mark.parametrize(
    ("name", "signature"), ONNX_CASES, ids=[f"{name}-{signature}" for name, signature in ONNX_CASES]
)
def test_onnx(onnx, name, signature):
    if not models.MODELS[name].has_quantiles and signature in ("quantile", "sample"):
        with pytest.raises(NotImplementedError, match=f"'{signature}' of this family needs .*integral|function"):
            onnx(name, signature)
        return
    heads = ["offset_", "width_"] if name == "two heads" else ["stroke_"] if name == "LSTM step" else [""]
    heads = [""] if signature == "serving_default" else heads
    runtime = HeadsOfONNX({head + signature: onnx(name, head + signature) for head in heads})
    for rows in (1, models.ROWS):
        check(runtime, name, signature, rows)


class HeadsOfONNX:
    """The files of several heads."""

    def __init__(self, runtime_of):
        self._runtime_of = runtime_of

    def ask(self, signature, **arguments):
        return self._runtime_of[signature].ask(signature, **arguments)


def test_weights_are_stored_once(tmp_path):
    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(1000), tfmdn.MDNLayer(3)])
    tfmdn.export_litert(model, tmp_path / "model.tflite")
    size = 4 * model.count_params()
    assert size < (tmp_path / "model.tflite").stat().st_size < 1.4 * size


# What can go wrong


def test_a_failed_export_leaves_the_earlier_file(tmp_path, monkeypatch):
    pytest.importorskip("tf2onnx")
    path = tmp_path / "model"
    path.write_text("earlier")

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    monkeypatch.setattr("tfmdn.export.litert._converted", lambda *args: b"")
    monkeypatch.setattr("tfmdn.export.litert._check_operations", lambda content: None)
    with pytest.raises(OSError, match="No space left"):
        tfmdn.export_litert(built("scalar"), path)
    assert path.read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_files_of_onnx_say_who_wrote_them(onnx):
    signature = IN_ONNX["scalar"]
    assert json.loads(onnx("scalar", signature).metadata(signature)["written_by"]) == versions.stamp()


def without_operation(endpoint):
    """A signature that needs what neither format has."""

    def function(*arguments):
        return {name: tf.math.igamma(2.0, tf.exp(value)) for name, value in endpoint.function(*arguments).items()}

    return endpoint._replace(function=function)


def test_operations_that_a_format_lacks_are_named(tmp_path, monkeypatch):
    pytest.importorskip("tf2onnx")
    found = endpoints.portable_endpoints(built("scalar"))
    by_name = {**found.by_name, "log_prob": without_operation(found.by_name["log_prob"])}
    by_name = {name: by_name[name] for name in ("serving_default", "log_prob")}
    monkeypatch.setattr(endpoints, "portable_endpoints", lambda model: endpoints.Endpoints(by_name, {}))
    with pytest.raises(NotImplementedError, match=r"LiteRT does not have. Received: .*Igamma.*'log_prob'"):
        tfmdn.export_litert(built("scalar"), tmp_path / "model.tflite")
    with pytest.raises(NotImplementedError, match=r"'log_prob' of this model.*Received: operations \['Igamma'\]"):
        tfmdn.export_onnx(built("scalar"), tmp_path / "model.onnx", "log_prob")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported(tmp_path):
    pytest.importorskip("tf2onnx")
    with pytest.raises(ValueError, match=r"or 'int8'. Received: quantize='int4'"):
        tfmdn.export_litert(built("scalar"), tmp_path / "model", quantize="int4")
    with pytest.raises(ValueError, match=r"it has \['log_prob', .*Received: signature='mean'"):
        tfmdn.export_onnx(built("scalar"), tmp_path / "model", "mean")
    for export in (tfmdn.export_litert, tfmdn.export_onnx):
        with pytest.raises(ValueError, match=r"not fitted"):
            export(tfmdn.MDNRegressor(), tmp_path / "model")
        with pytest.raises(TypeError, match=r"a Keras model, an Ensemble or a fitted MDNRegressor. Received: str"):
            export("model", tmp_path / "model")
    assert not list(tmp_path.iterdir())
