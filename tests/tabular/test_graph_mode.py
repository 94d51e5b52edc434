"""Graphs are graphs where users run functions eagerly, and functions run eagerly again thereafter."""

import concurrent.futures
import threading
import warnings

import pytest
import tensorflow as tf

from tfmdn.tabular import graph_mode


@pytest.fixture
def run_eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("run_eagerly")
def test_functions_run_eagerly_before_and_after():
    def run():
        with graph_mode.graphs("A test"):
            with graph_mode.graphs("Another"):
                assert not tf.config.functions_run_eagerly()
            assert not tf.config.functions_run_eagerly()

    with pytest.warns(UserWarning, match="A test runs its graphs as graphs"):
        run()
    assert tf.config.functions_run_eagerly()


@pytest.mark.usefixtures("run_eagerly")
def test_several_threads():
    barrier = threading.Barrier(3)

    def work(_):
        with warnings.catch_warnings(), graph_mode.graphs("A test"):
            barrier.wait(30)
            return tf.config.functions_run_eagerly()

    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(3) as threads:
        warnings.simplefilter("ignore")
        assert not any(threads.map(work, range(3)))
    assert tf.config.functions_run_eagerly()


def test_nothing_happens_where_functions_are_graphs():
    with warnings.catch_warnings(), graph_mode.graphs("A test"):
        warnings.simplefilter("error")
        assert not tf.config.functions_run_eagerly()
    assert not tf.config.functions_run_eagerly()
