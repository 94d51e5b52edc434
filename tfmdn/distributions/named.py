"""What a mixture is made of, and the first things that are asked of it, as tensors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfmdn.distributions.mixture import Mixture


def named_tensors(
    outputs: Mixture | tf.Tensor | Mapping[str, Mixture | tf.Tensor], of_mixture: Callable | None = None
) -> dict[str, tf.Tensor]:
    """All that is told of a model's outputs, by name.

    Args:
      outputs: a mixture, or a dictionary of mixtures and of tensors.
      of_mixture: what gives the tensors of a mixture by their names, if not what its own methods say.

    Returns:
      Of a mixture `logits`, `probs`, each component parameter under its name in TFP, `mean` and `stddev`. Of a
      dictionary the same with the key before it, as in `offset_logits`; a tensor has its key as its name.

    Raises:
      ValueError: if two of the names are the same.
    """
    outputs = outputs if isinstance(outputs, Mapping) else {"": outputs}
    named = [
        (join(key, name), tensor)
        for key, output in outputs.items()
        for name, tensor in (
            (of_mixture or _of_mixture)(output) if isinstance(output, Mixture) else {"": output}
        ).items()
    ]
    if len(dict(named)) < len(named):
        raise ValueError(
            "The names of the outputs, with those of a mixture's tensors behind them, must differ. "
            f"Received: {[name for name, _ in named]}. Give the outputs other keys."
        )
    return dict(named)


def join(key: str, name: str) -> str:
    """What `name` of the output `key` is called; the only output has the key ""."""
    return "_".join(filter(None, (str(key), name)))


def _of_mixture(mixture: Mixture) -> dict[str, tf.Tensor]:
    probs, stddev = mixture.mixture_distribution.probs_parameter(), mixture.stddev()
    return {**mixture._asdict(), "probs": probs, "stddev": stddev}
