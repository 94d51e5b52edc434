"""New starts for dead components.

Shapes in comments: n rows, all batch axes in one; K components; D dead ones; E event.
"""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from tfmdn import keras_internals
from tfmdn.callbacks.observation import Rows
from tfmdn.layers.mdn import MDNLayer

# Not a seed that data may have been drawn with: the choice of targets would depend on their values.
RESEEDING_SEED = 0x6865616C7468
# All re-seeded components together get this much of the weight of the components that they are split from.
RESEEDED_WEIGHT = 0.1
LOW_DENSITY_SHARE = 0.1
MIN_RESEEDED_SCALE = 0.05  # in units of the target's scale


def reseed(layer: MDNLayer, dead: np.ndarray, rows: Rows, seed: int, optimizer=None) -> None:
    """Moves dead components to targets of low density. The optimizer forgets what it knew of them."""
    chosen, scales = _low_density_targets(rows, len(dead), np.random.default_rng(RESEEDING_SEED + seed))
    alive_weights = rows.weights[chosen]  # [D, K]
    alive_weights[:, dead] = 0.0
    parents = alive_weights.argmax(1)
    logits, *blocks = layer.raw_outputs.blocks
    kernel, bias = (_numpy(variable).copy() for variable in (layer.dense.kernel, layer.dense.bias))
    # A fixed fraction of the parent's weight at every row: a logit of its own could be a large weight somewhere.
    kernel[:, logits.columns[dead]] = kernel[:, logits.columns[parents]]
    bias[logits.columns[dead]] = bias[logits.columns[parents]] + np.log(RESEEDED_WEIGHT / len(dead))
    for parameter, block in zip(layer.spec.parameters, blocks):
        start = parameter.initial_raw(rows.targets[chosen], scales)
        kernel[:, block.columns[dead]] = 0.0
        bias[block.columns[dead]] = np.broadcast_to(start, (len(dead), *block.shape)).reshape(len(dead), -1)
    layer.dense.kernel.assign(kernel)
    layer.dense.bias.assign(bias)
    if layer.spec.has_factors:  # the new starts are in the units of all targets
        factors = _numpy(layer.component_factors).copy()
        factors[dead] = np.eye(factors.shape[-1])
        layer.component_factors.assign(factors)
    columns = np.concatenate([block.columns[dead].ravel() for block in (logits, *blocks)])
    if optimizer is not None:
        _reset_slots(optimizer, layer.dense, columns)


def _low_density_targets(rows: Rows, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of targets, drawn from those of the lowest density, and the scale of their neighbourhood: `[D]`."""
    n = len(rows.log_prob)
    # Not the lowest ones themselves, which are outliers.
    lowest = np.argsort(rows.log_prob)[: max(math.ceil(LOW_DENSITY_SHARE * n), min(number, n))]
    chosen = rng.choice(lowest, number, replace=len(lowest) < number)
    targets = rows.targets.reshape(n, -1)  # [n, E]
    distances = np.linalg.norm(targets[chosen][:, np.newaxis] - targets[lowest], axis=-1)
    neighbourhood = np.quantile(distances, 0.5 / number, axis=1) / math.sqrt(targets.shape[1])
    return chosen, np.clip(neighbourhood, MIN_RESEEDED_SCALE, 1.0)


def _reset_slots(optimizer: keras.optimizers.Optimizer, dense: keras.layers.Dense, columns: np.ndarray) -> None:
    """Makes an optimizer forget what it knew of columns that were set anew: momenta and moving averages."""
    for variable in (dense.kernel, dense.bias):
        for name, slot in keras_internals.slots_of(optimizer, variable).items():
            content = _numpy(slot).copy()
            # The average is of the variable itself, by use_ema.
            content[..., columns] = _numpy(variable)[..., columns] if name == "average" else 0.0
            slot.assign(content)


def _numpy(variable: keras.Variable) -> np.ndarray:
    return tf.convert_to_tensor(variable).numpy()
