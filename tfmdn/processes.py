"""Processes that were forked off one that had used TensorFlow, where it would wait for ever.

TensorFlow computes in threads, and a fork copies none of them. It does not notice, and waits for what nobody does.
"""

from __future__ import annotations

import os

from tfmdn import tensorflow_internals

_is_forked_too_late = False


def require_usable_tensorflow() -> None:
    """Raises in a process that was forked off one that had used TensorFlow.

    Raises:
      RuntimeError: if this is one.
    """
    if _is_forked_too_late:
        raise RuntimeError(
            f"This process, {os.getpid()}, was forked off one that had already used TensorFlow, which would wait for "
            "ever here. Start processes by 'spawn' or 'forkserver', as by multiprocessing.get_context('spawn'), or by "
            "joblib's loky; or fork before the first model is made, loaded or called, as Gunicorn does without "
            "--preload. docs/processes.md says more."
        )


def is_usable() -> bool:
    """Whether `require_usable_tensorflow` does not raise."""
    return not _is_forked_too_late


def _after_fork() -> None:
    global _is_forked_too_late
    _is_forked_too_late = _is_forked_too_late or tensorflow_internals.is_in_use()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
