"""What `ComponentHealth` looks at: mixtures of sampled rows, and figures of their components.

Shapes in comments: n rows, all batch axes in one; K components; E event.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Collection, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmdn import keras_internals
from tfmdn.distributions import tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.layers import adaptation
from tfmdn.layers.mdn import MDNLayer, heads_of
from tfmdn.scores.targets import reconcile_target

BATCH_SIZE = 256
SAMPLING_SEED = 0x6865616C7468
# A component is alive if it has this many times the dead component's weight somewhere, or explains a target mostly.
LOCAL_FACTOR = 10.0
LOCAL_RESPONSIBILITY = 0.5


# The rows to look at


def sample_batches(data, max_rows: int) -> list[tuple]:
    """A uniform random sample of the rows, as batches (x, y). y is None if there are no targets."""
    reservoir, sample = adaptation.Reservoir(max_rows, SAMPLING_SEED), {}
    for batch in _batches(data):
        for row, place in zip(*reservoir.places(_num_rows(batch))):
            sample[place] = _map(operator.itemgetter(row), batch)
    if not sample:
        raise ValueError("`data` must have at least one row. Received none.")
    groups = {}  # of rows that can be stacked: those of sequences of one length
    for row in sample.values():
        groups.setdefault(tuple(np.shape(leaf) for leaf in keras.tree.flatten(row)), []).append(row)
    return [
        _map(lambda *leaves: np.stack(leaves), *rows[start : start + BATCH_SIZE])
        for rows in groups.values()
        for start in range(0, len(rows), BATCH_SIZE)
    ]


def _batches(data) -> Iterator[tuple]:
    """The batches of `data` as (x, y), each a structure of arrays, without rows of weight 0."""
    if not isinstance(data, tf.data.Dataset):
        data = [data]
    elif data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`data` must end. Received: a dataset that repeats forever. Use its take(num_batches).")
    for element in data:
        x, y, sample_weight = (*element, None, None)[:3] if isinstance(element, tuple) else (element, None, None)
        batch = _map(np.asarray, (x, y))
        if sample_weight is not None and not keras.tree.is_nested(sample_weight):
            counts = np.asarray(sample_weight != 0).reshape(len(sample_weight), -1).any(1)
            batch = _map(operator.itemgetter(counts), batch)
        yield batch


def _num_rows(batch: tuple) -> int:
    shapes = [leaf.shape for leaf in keras.tree.flatten(batch) if leaf is not None]
    if any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(
            "`data` must be arrays with equally many rows: x, or a tuple (x, y). "
            f"Received: arrays of the shapes {', '.join(map(str, shapes))}."
        )
    return shapes[0][0]


def _map(function, *structures):
    """The function of each array; None stays None."""
    return keras.tree.map_structure(lambda *leaves: None if leaves[0] is None else function(*leaves), *structures)


# The mixtures of a model


def find_heads(model: keras.Model, layer: str | MDNLayer | None) -> dict[str, MDNLayer]:
    """The layers to watch by name."""
    present = heads_of(model)
    chosen = [each for each in present if layer is None or layer is each or layer == each.name]
    if not chosen:
        names = ", ".join(repr(each.name) for each in present) or "none"
        raise ValueError(
            f"ComponentHealth needs a model with {'an MDNLayer' if layer is None else 'the MDNLayer it was given'}. "
            f"Received: layer={getattr(layer, 'name', layer)!r}, and a model whose MDNLayers are: {names}."
        )
    heads = {}
    for each in chosen:
        heads[each.name if each.name not in heads else f"{each.name}_{len(heads)}"] = each
    return heads


class Rows(NamedTuple):
    """What a head says of n rows. Without targets the responsibilities are the weights, and the last two are None."""

    weights: np.ndarray  # [n, K], of the layer's own components alone: their sum is 1
    responsibilities: np.ndarray  # [n, K]
    at_floor: np.ndarray  # [n, K]
    at_ceiling: np.ndarray  # [n, K]
    targets: np.ndarray | None  # [n, E], in standard units
    log_prob: np.ndarray | None  # [n]


def observe(model: keras.Model, heads: dict[str, MDNLayer], batches: list[tuple]) -> dict[str, Rows]:
    """What each head says of all batches."""
    observed = {name: [] for name in heads}
    for x, y in batches:
        with _recorded(heads.values()) as recorded:
            outputs = model(x, training=False)
        for (name, layer), mixtures in zip(heads.items(), recorded):
            for mixture in mixtures:
                targets = _targets_of(layer, mixture, outputs, y, is_only=len(heads) == 1)
                observed[name].append(_rows_of(layer, mixture, targets))
    for name, rows in observed.items():
        if not rows:
            raise ValueError(
                f"The model does not call the layer {name!r} eagerly: it may be left out, or lie within a "
                "tf.function. Name another `layer`, or let the model's `call` be a plain method."
            )
    return {name: Rows(*map(_joined, zip(*rows))) for name, rows in observed.items()}


def _joined(parts: tuple) -> np.ndarray | None:
    return None if any(part is None for part in parts) else np.concatenate(parts)


@contextlib.contextmanager
def _recorded(layers: Collection[MDNLayer]) -> Iterator[list[list[Mixture]]]:
    """Collects what each of the layers outputs while the context lasts.

    It works in every kind of model, and for a layer that is nested, shared or not an output of the model, where a
    model from the inputs to `layer.output` does not.
    """
    try:
        yield [_record(layer) for layer in layers]
    finally:
        for layer in layers:
            del layer.call  # the method of the class comes back to light


def _record(layer: MDNLayer) -> list[Mixture]:
    call, mixtures = layer.call, []

    def recording(*args, **kwargs):
        mixture = call(*args, **kwargs)
        if tf.executing_eagerly():
            mixtures.append(mixture)
        return mixture

    layer.call = recording
    return mixtures


def _targets_of(layer: MDNLayer, mixture: Mixture, outputs, y, is_only: bool):
    """The part of y that stands where the mixture stands among the model's outputs. None if there is none."""
    if y is None:
        return None
    targets = dict(keras.tree.flatten_with_path(y))
    for path, output in keras.tree.flatten_with_path(outputs):
        if output is mixture and path in targets:
            return targets[path]
    if is_only and not keras.tree.is_nested(y):
        return y
    return y.get(layer.name) if isinstance(y, dict) else None


def _rows_of(layer: MDNLayer, mixture: Mixture, y) -> Rows:
    """The unmasked, finite rows of one mixture."""
    k, batch_rank = layer.num_components, mixture.batch_shape.rank

    def flat(tensor):  # [B, ...] -> [n, ...]
        return np.asarray(tensor).reshape(-1, *tensor.shape[batch_rank:])

    # The mixture may have further components, which are not the layer's to learn.
    # Not tf.nn.softmax, which makes the weight of a single component 0.99999994 on some processors.
    weights = flat(tf.exp(tf.math.log_softmax(mixture.mixture_distribution.logits_parameter()[..., :k])))
    counts = np.isfinite(weights).all(-1)
    mask = keras_internals.mask_of(mixture)
    if mask is not None:
        counts &= flat(mask)
    responsibilities, targets, log_prob = weights, None, None
    if y is not None:
        y = reconcile_target(y, mixture)
        responsibilities = np.nan_to_num(flat(mixture.posterior_marginal(y).probs_parameter())[:, :k])
        targets, log_prob = flat(y), flat(mixture.log_prob(y))
        counts &= np.isfinite(targets.reshape(len(targets), -1)).all(-1)
    parts = (weights, responsibilities, *_at_bounds(layer, flat(_scale(mixture))[:, :k]), targets, log_prob)
    rows = Rows(*(None if part is None else part[counts] for part in parts))
    return rows if y is None else rows._replace(targets=layer.units.standardize(rows.targets.astype(np.float64)))


def _scale(mixture: Mixture) -> tf.Tensor:
    """The scale of each component, `[B, K, E]`; with full covariance that of a coordinate given those before it."""
    values = tensors.parameters(mixture.components_distribution)
    if "scale_tril" in values:
        return tf.linalg.diag_part(values["scale_tril"])
    return values["scale_diag"] if "scale_diag" in values else values["scale"]


def _at_bounds(layer: MDNLayer, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether any scale of a component is at its floor, and whether at its ceiling: `[n, K, E]` to twice `[n, K]`."""
    low, high = layer.spec.link.held(layer.spec.bounds)
    at_floor, at_ceiling = scale <= _scale_of(layer, low), scale >= _scale_of(layer, high)
    event_axes = tuple(range(2, scale.ndim))
    return at_floor.any(event_axes), at_ceiling.any(event_axes)


def _scale_of(layer: MDNLayer, raw: float) -> np.ndarray:
    """The scale that a raw output gives, in the target's units."""
    raw = tf.constant(raw, layer.density_dtype)
    log_unit = layer.spec.log_unit(tf.convert_to_tensor(layer.target_scale))
    return tf.exp(layer.spec.link.log_scale(raw, layer.spec.bounds) + log_unit).numpy()


# Health


def dead_components(rows: Rows, dead_weight: float) -> np.ndarray:
    """The numbers of the components that hardly matter at any row."""
    if not len(rows.weights):
        return np.empty(0, int)
    threshold = dead_weight / rows.weights.shape[1]
    dead = (rows.weights.mean(0) < threshold) & (rows.weights.max(0) < LOCAL_FACTOR * threshold)
    # Few rows, far from all other components, may be its own: it is these rows that it learns from.
    return np.flatnonzero(dead & (rows.responsibilities.max(0) < LOCAL_RESPONSIBILITY))


def figures(rows: Rows, dead: np.ndarray) -> dict[str, float]:
    """The figures by the names that they have in logs. NaN if there is no finite row."""
    if not len(rows.weights):
        rows = Rows(*[np.full((1, 1), np.nan)] * len(rows))
    mean = rows.weights.mean(0)
    entropy = -np.sum(mean * np.log(np.where(mean > 0, mean, 1.0)))
    return {
        "effective_components": float(np.exp(entropy)),
        "dead_components": len(dead),
        "largest_weight": float(rows.weights.max(1).mean()),
        "share_at_floor": float((rows.weights * rows.at_floor).sum(1).mean()),
        "share_at_ceiling": float((rows.weights * rows.at_ceiling).sum(1).mean()),
    }
