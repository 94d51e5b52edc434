"""What a process can do that was forked off one that has used TensorFlow: nothing, and it says so at once."""

import os
import subprocess
import sys

import pytest

import tfmdn
from tfmdn import processes as processes_lib
from tfmdn import tensorflow_internals

# What is to be asked is made, then a child is forked that asks, and is killed if it waits.
ASK = """
import os, pickle, signal, sys
import keras, numpy as np, tensorflow as tf, tensorflow_probability as tfp
import tfmdn

tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
x, y = tfmdn.datasets.inverse_sinusoid().sample(60, seed=0)
regressor = tfmdn.MDNRegressor(n_estimators=1, hidden_units=(8,), max_steps=2, random_state=0).fit(x, y)
regressor.predict(x)
model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3)])
model.compile("sgd", tfmdn.NegativeLogLikelihood(), jit_compile=False)
mixture = tfmdn.Mixture(tfp.distributions.Categorical(logits=[0.0]), tfp.distributions.Normal([0.0], [1.0]))
tf.constant(0.0)
path = sys.argv[1] + "/file"
regressor.save(path)
pickled = pickle.dumps(regressor), pickle.dumps(mixture)
ensemble = regressor.model_

RAISE = {
    "predict": lambda: regressor.predict(x),
    "predict_quantiles": lambda: regressor.predict_quantiles(x, [0.5]),
    "predict_interval": lambda: regressor.predict_interval(x, conformal=False),
    "predict_dist": lambda: regressor.predict_dist(x),
    "score": lambda: regressor.score(x, y),
    "evaluate": lambda: regressor.evaluate(x, y),
    "sample": lambda: regressor.sample(x, 3),
    "report": lambda: regressor.report(x, y, path + ".html"),
    "refit": lambda: regressor.fit(x, y),
    "new fit": lambda: tfmdn.MDNRegressor().fit(x, y),
    "save": lambda: regressor.save(path),
    "load": lambda: tfmdn.MDNRegressor.load(path),
    "pickle": lambda: pickle.dumps(regressor),
    "pickled": lambda: pickle.loads(pickled[0]).predict(x),
    "mean": lambda: mixture.mean(),
    "log_prob": lambda: mixture.log_prob(0.0),
    "quantile": lambda: mixture.quantile(0.5),
    "mode": lambda: pickle.loads(pickled[1]).mode(),
    "draws": lambda: mixture.sample(3),
    "decompose": lambda: mixture.decompose(),
    "as an array": lambda: np.asarray(mixture),
    "merge": lambda: tfmdn.merge([mixture, mixture]),
    "crps": lambda: tfmdn.crps(0.0, mixture),
    "loss": lambda: tfmdn.CRPS()(np.zeros(1), mixture),
    "call": lambda: model(x),
    "ensemble": lambda: ensemble(x),
    "ensemble's predict": lambda: ensemble.predict(x),
    "first predict": lambda: model.predict(x),
    "first evaluate": lambda: model.evaluate(x, y),
    "adapt": lambda: tfmdn.MDNLayer(3).adapt(y),
    "new model": lambda: keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3)]),
    "features": lambda: tfmdn.features.Standardization().adapt(x),
    "fit": lambda: tfmdn.fit(model, x, y),
    "Keras' fit": lambda: model.fit(x, y, verbose=0),
    "generate": lambda: tfmdn.generate(lambda x: mixture, tf.zeros([1, 1]), (), 2),
    "as_tensors": lambda: tfmdn.as_tensors(model),
    "SavedModel": lambda: tfmdn.export_saved_model(model, path + "s"),
    "LiteRT": lambda: tfmdn.export_litert(model, path + ".tflite"),
    "export": lambda: regressor.export(path + "t"),
}
ANSWER = {
    "samples": lambda: tfmdn.datasets.inverse_sinusoid().sample(3, seed=0),
    "parameters": lambda: regressor.get_params(),
    "unpickled": lambda: pickle.loads(pickle.dumps(pickle.loads(pickled[0]))),
}


child = os.fork()
if not child:
    signal.alarm(60)
    for name, ask in (RAISE | ANSWER).items():
        found = "answers"
        print("asks", name, end=" ", flush=True)
        try:
            ask()
        except RuntimeError as error:
            found = "raises" if "was forked off one that had already used TensorFlow" in str(error) else repr(error)
        except BaseException as error:
            found = repr(error)
        print(found if found != ("raises" if name in RAISE else "answers") else "right", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("still answers", regressor.predict(x).shape)
"""


def test_what_is_forked_too_late_says_so_at_once(processes, tmp_path):
    (result,) = processes.run(ASK, tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line for line in lines if not line.endswith(" right")] == ["still answers (60,)"]
    assert len(lines) > 40


def test_a_fork_of_what_has_only_imported_tfmdn_works(processes):
    """As that of this program, which is one."""
    program = "import tfmdn\nfrom tfmdn import tensorflow_internals\nassert not tensorflow_internals.is_in_use()\n"
    (result,) = processes.run(program + "import numpy\ntfmdn.MDNLayer(3).adapt(numpy.zeros(3) + [1.0, 2.0, 3.0])")
    assert result.returncode == 0, result.stderr


def test_this_process_is_in_use():
    tfmdn.MDNLayer(3).build((None, 1))
    assert tensorflow_internals.is_in_use(), "TensorFlow has no context._context._initialized: late forks would hang"
    assert processes_lib.is_usable()
    child = os.fork()
    if not child:
        os._exit(processes_lib.is_usable())
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.exhaustive
def test_other_ways_to_start_work(method, tmp_path):
    program = f"""
import multiprocessing, sys, tfmdn
if __name__ == "__main__":
    x, y = tfmdn.datasets.inverse_sinusoid().sample(60, seed=0)
    regressor = tfmdn.MDNRegressor(n_estimators=1, hidden_units=(8,), max_steps=2, random_state=0).fit(x, y)
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        assert (pool.map(regressor.predict, [x])[0] == regressor.predict(x)).all()
"""
    (tmp_path / "program.py").write_text(program)
    result = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
