"""Graphs where `tf.config.run_functions_eagerly(True)` holds: without them a training would take hours."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

import tensorflow as tf

_lock = threading.Lock()
_num_inside = 0


@contextlib.contextmanager
def graphs(what: str) -> Iterator[None]:
    """A context in which TensorFlow's functions are graphs, as they are unless users say otherwise. Warns if they did.

    Args:
      what: what is done in the context, for the warning.
    """
    global _num_inside
    with _lock:
        is_eager = _num_inside > 0 or tf.config.functions_run_eagerly()
        if not is_eager:
            is_first = False
        else:
            is_first = _num_inside == 0
            _num_inside += 1
            tf.config.run_functions_eagerly(False)
    if is_first:
        warnings.warn(
            f"{what} runs its graphs as graphs, though tf.config.run_functions_eagerly(True) was called: step by step "
            "it would take hours. To step through a network of your own, train it with an MDNLayer and model.fit.",
            stacklevel=4,
        )
    try:
        yield
    finally:
        if is_eager:
            with _lock:
                _num_inside -= 1
                if _num_inside == 0:
                    tf.config.run_functions_eagerly(True)
