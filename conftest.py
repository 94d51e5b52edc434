"""What every test and doctest runs with: two logical CPUs for tf.distribute, fixed seeds, no windows, usual names.

TensorFlow is imported where tests are collected: with pytest-xdist not in the process that only hands them out.
"""

import gc
import importlib.util
import os
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# pytest-xdist has a process for each core. More threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

# What needs the extra `tools`, of which skpro alone is in no other.
collect_ignore = [] if importlib.util.find_spec("skpro") else ["tfmdn/integrations/skpro.py", "tests/tools"]
# tests/covering.py: the option --exhaustive. tests/workers.py: processes of their own.
pytest_plugins = ["covering", "workers"]


def pytest_collection():
    import tensorflow as tf

    import tfmdn  # noqa: F401 - it stays, with all that it imports

    # Tracing makes objects by the million. To look for garbage among them less often saves a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The tests of a file share models and graphs, and so a process."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


def pytest_sessionfinish():
    gc.freeze()  # pytest collects several times at its end


@pytest.fixture(autouse=True, scope="module")
def objects():
    """A file's graphs go with it. What stays is not looked at again, as each conversion to LiteRT would do."""
    from tfmdn.tabular import workshop

    yield
    workshop.workshops.clear()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def seeds_of_tensorflow():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def seeds():
    import keras
    import numpy as np

    # TensorFlow's own is set once a file: each time it forgets the kernels and functions that it has looked up.
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - not ours: what Keras and scikit-learn draw from
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace, request):
    import keras
    import numpy as np
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfmdn

    doctest_namespace.update(keras=keras, np=np, tf=tf, tfd=tfp.distributions, tfmdn=tfmdn)
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("quick_graphs")


@pytest.fixture(scope="module")
def quick_graphs():
    """For models that learn next to nothing: to optimise their graphs takes longer than to run them."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
