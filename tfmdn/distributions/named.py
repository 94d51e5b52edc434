"""What a mixture is made of, and the first things that are asked of it, as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tfmdn.distributions.mixture import Mixture


def named_tensors(outputs: Mixture | tf.Tensor | Mapping[str, Mixture | tf.Tensor]) -> dict[str, tf.Tensor]:
    """All that is told of a model's outputs, by name.

    Args:
      outputs: a mixture, or a dictionary of mixtures and of tensors.

    Returns:
      Of a mixture `logits`, `probs`, each component parameter under its name in TFP, `mean` and `stddev`. Of a
      dictionary the same with the key before it, as in `offset_logits`; a tensor has its key as its name.

    Raises:
      ValueError: if two of the names are the same.
    """
    outputs = outputs if isinstance(outputs, Mapping) else {"": outputs}
    named = [(join(key, name), tensor) for key, output in outputs.items() for name, tensor in _tensors(output).items()]
    if len(dict(named)) < len(named):
        raise ValueError(
            "The names of the outputs, with those of a mixture's tensors behind them, must differ. "
            f"Received: {[name for name, _ in named]}. Give the outputs other keys."
        )
    return dict(named)


def join(key: str, name: str) -> str:
    """What `name` of the output `key` is called; the only output has the key ""."""
    return "_".join(filter(None, (str(key), name)))


def _tensors(output: Mixture | tf.Tensor) -> dict[str, tf.Tensor]:
    if not isinstance(output, Mixture):
        return {"": output}
    return {**output._asdict(), "probs": output.mixture_distribution.probs_parameter(), "stddev": output.stddev()}
