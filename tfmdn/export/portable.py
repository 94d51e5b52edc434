"""Answers of a mixture in float32, of operations that LiteRT and ONNX have: for exported models.

Neither has random numbers, so that draws are made of noise that is given. Quantiles are a search of a fixed number of
steps, in the smaller of both tails.

Shapes in comments: S samples, B batch, N its rows in one axis, K components, E event, D coordinates, Q probabilities.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import (
    coarsened,
    gamma,
    gumbel,
    reflected,
    reflected_joint,
    rescaled,
    tensors,
    univariate,
    von_mises,
    weibull,
)
from tfmdn.distributions.mixture import Mixture
from tfmdn.export import portable_coarse as coarse
from tfmdn.export import portable_families as families
from tfmdn.export import portable_joint as joint
from tfmdn.export import portable_limits as limits
from tfmdn.export import portable_positive as positive
from tfmdn.export.elementary import clip, log_sum_exp

tfd = tfp.distributions

# By the class of the components, or of its nearest base class: what they are here, and the names of the tensors.
UNIVARIATE = {
    tfd.Normal: families.Normal,
    tfd.MultivariateNormalDiag: families.Normal,
    rescaled.Rescaled: families.Rescaled,
    tfd.Laplace: families.Laplace,
    tfd.Logistic: families.Logistic,
    univariate.StudentT: families.StudentT,
    univariate.LogNormal: positive.LogNormal,
    gamma.Gamma: positive.Gamma,
    weibull.Weibull: positive.Weibull,
    gumbel.Gumbel: families.Gumbel,
    von_mises.VonMises: families.VonMises,
    reflected.ReflectedNormal: limits.Reflected,
    coarsened.CoarsenedNormal: coarse.Coarsened,
}
JOINT = {
    tfd.MultivariateNormalTriL: joint.Normal,
    reflected_joint.ReflectedMultivariateNormal: joint.Reflected,
}
# A search for quantiles looks at PARTS - 1 points at a time, and ends at the last digit of float32, also where a
# component of no weight is a thousand times farther away than the others: 8^11 = 2^33.
PARTS, STEPS = 8, 11
LARGEST = 3.4e38
# Rounding errors of probabilities, see `tfmdn.distributions.quantiles.without_rounding`.
SLACK = 8.0 * float(np.finfo(np.float32).eps)


class PortableMixture:
    """The questions to an exported model, answered of one mixture.

    Args:
      mixture: of scalars or of vectors.

    Raises:
      NotImplementedError: if the components are of a kind that is not known here.
    """

    def __init__(self, mixture: Mixture):
        components = mixture.components_distribution
        inner = tensors.under_independent(components)
        self._event_shape = list(mixture.event_shape)
        self._kind, self._is_joint = _kind_of(inner)
        own, _ = tensors.parameters_as_given(components)
        named = {"logits": mixture.mixture_distribution.logits_parameter(), **own}
        computed = {name: getattr(inner, name) for name in rescaled.PARAMETERS} if _is_rescaled(inner) else own
        computed = {_ARGUMENTS.get(name, name): value for name, value in computed.items()}
        batch_rank = mixture.batch_shape.rank
        self._named = _in_full(named, batch_rank, self._event_shape)
        self._logits = self._named["logits"]
        reference = {"logits": self._logits, "loc": self._named["loc"]}
        self._values = {
            name: self._rows(_finite(value) if name in LIMITS else value)
            for name, value in _in_full({**computed, **reference}, batch_rank, self._event_shape).items()
            if name in computed
        }
        self._weights = tf.nn.softmax(self._rows(self._logits))  # [N, K]
        self._components = self._kind(**self._values)

    @staticmethod
    def why_no_quantiles_of(mixture: Mixture) -> str | None:
        """What quantiles of this kind of mixture would need that is missing here; None if nothing is."""
        kind, is_joint = _kind_of(tensors.under_independent(mixture.components_distribution))
        return None if is_joint else kind.why_no_quantiles

    # Shapes

    def _rows(self, value: tf.Tensor) -> tf.Tensor:
        """`[*B, K, ...]` as `[N, K, ...]`."""
        batch_rank = self._logits.shape.rank - 1
        return value if batch_rank == 1 else tf.reshape(value, [-1, *value.shape[batch_rank:]])

    def _unflatten(self, value: tf.Tensor, before: list) -> tf.Tensor:
        """`[*before, N, *E]` as `[*before, *B, *E]`; of `before` the sizes, as tensors of one axis."""
        batch_shape = tf.shape(self._logits)[:-1]
        return tf.reshape(value, tf.concat([*before, batch_shape, tf.constant(self._event_shape, tf.int32)], 0))

    def _over_coordinates(self, of_component: tf.Tensor) -> tf.Tensor:
        """What each component has, `[N, K]`, beside its coordinates: `[N, K, 1]`, or as it is if events are scalars."""
        return tf.expand_dims(of_component, -1) if self._event_shape else of_component

    # Answers

    def tensors(self) -> dict[str, tf.Tensor]:
        """What it is made of by name, `probs`, `mean` and `stddev`."""
        summaries = dict(zip(("mean", "stddev"), self._moments()))
        summaries = {name: self._unflatten(value, []) for name, value in summaries.items()}
        return {**self._named, "probs": tf.nn.softmax(self._logits), **summaries}

    def _moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and standard deviation of each coordinate, `[N, *E]`."""
        components = self._marginals_of(self._components)
        weights = self._over_coordinates(self._weights)
        means, stddevs = components.mean(), components.stddev()
        if components.is_angle:
            lengths = weights * tf.exp(-0.5 * tf.square(stddevs))
            x, y = (tf.reduce_sum(lengths * part(means), 1) for part in (tf.cos, tf.sin))
            square = tf.maximum(tf.square(x) + tf.square(y), 1e-37)
            return tf.atan2(y, x), tf.sqrt(tf.maximum(-tf.math.log(square), 0.0))
        mean = tf.reduce_sum(weights * means, 1)
        shifts = means - tf.expand_dims(mean, 1)
        # In units of the widest: squares in those of the target may have no place in float32.
        unit = tf.reduce_max(tf.maximum(stddevs, tf.abs(shifts)), 1, keepdims=True)
        unit = tf.where(unit > 0.0, unit, tf.ones_like(unit))
        squares = tf.square(stddevs / unit) + tf.square(shifts / unit)
        return mean, tf.squeeze(unit, 1) * tf.sqrt(tf.reduce_sum(weights * squares, 1))

    def log_prob(self, y: tf.Tensor) -> tf.Tensor:
        """The log density `[*B]` of y `[*B, *E]`."""
        y = tf.reshape(y, [-1, 1, *self._event_shape])
        log_prob = self._components.log_prob(y)  # [N, K, E]
        if self._event_shape and not self._is_joint:
            log_prob = tf.reduce_sum(log_prob, -1)
        log_weights = tf.nn.log_softmax(self._rows(self._logits))
        log_prob = log_sum_exp(log_prob + log_weights, -1)
        is_probability = None if self._is_joint else self._components.has_probability(y)
        if is_probability is not None:
            axes = list(range(1, 2 + len(self._event_shape)))
            is_density = tf.reduce_max(1.0 - tf.cast(is_probability, tf.float32), axes)
            log_prob = tf.where(is_density > 0.0, log_prob, tf.minimum(log_prob, 0.0))
        return tf.reshape(log_prob, tf.shape(self._logits)[:-1])

    def sample(self, uniform: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
        """Draws `[S, *B, *E]`.

        Args:
          uniform: numbers from 0 to 1 `[S, *B]`, which choose the component: the first whose cumulative weight is
            greater.
          normal: standard normal numbers `[S, *B, *E]`, of which that component makes its draw.
        """
        num_samples, num_components = tf.shape(uniform)[:1], self._logits.shape[-1]
        rows = tf.range(tf.shape(self._weights)[0]) * num_components  # [N]
        uniform = tf.reshape(uniform, tf.concat([num_samples, [-1, 1]], 0))  # [S, N, 1]
        cumulative = tf.cumsum(self._weights, -1)
        cumulative /= cumulative[:, -1:]
        index = tf.reduce_sum(tf.cast(cumulative <= uniform, tf.int32), -1)  # [S, N]
        index = tf.minimum(index, num_components - 1) + rows
        chosen = {
            name: tf.gather(tf.reshape(value, [-1, *value.shape[2:]]), index) for name, value in self._values.items()
        }
        normal = tf.reshape(normal, tf.concat([num_samples, [-1], self._event_shape], 0))
        component = self._kind(**chosen)
        draws = component.at_normal(normal)
        if self._marginals_of(component).is_positive:
            draws = tf.exp(draws)
        return self._unflatten(draws, [num_samples])

    def quantile(self, q: tf.Tensor) -> tf.Tensor:
        """The quantiles `[Q, *B, *E]` of each coordinate at probabilities `[Q]`; NaN outside of [0, 1]."""
        marginals, weights = self._marginals_in_rows()
        given = tf.reshape(q, [-1, 1])
        levels = families.Levels(tf.expand_dims(clip(given, 0.0, 1.0), -1))  # [Q, N, K]
        level, side, target = (tf.squeeze(value, -1) for value in (levels.level, levels.side, levels.target))  # [Q, N]
        low, high = (end(value, -1) for end, value in zip((tf.reduce_min, tf.reduce_max), marginals.bracket(levels)))
        parts = tf.reshape(tf.range(1, PARTS, dtype=tf.float32) / PARTS, [-1, 1, 1])

        def step(number, low, width):
            points = low + parts * width  # [P, Q, N]
            tail = tf.reduce_sum(weights * marginals.tail(tf.expand_dims(points, -1), levels.side), -1)
            is_below = tf.cast(side * (target - tail) > 0.0, tf.float32)
            width *= 1.0 / PARTS
            return number + 1, low + width * tf.reduce_sum(is_below, 0), width

        _, low, width = tf.while_loop(lambda number, *_: number < STEPS, step, (0, low, high - low))
        y = marginals.observed(low + 0.5 * width, width, level)
        if marginals.is_positive:
            y = tf.exp(y)
        y = tf.where((given >= -SLACK) & (given <= 1.0 + SLACK), y, tf.sqrt(given * (1.0 - given)))
        return self._unflatten(y, [tf.shape(q)])

    def _marginals_of(self, components) -> families.Univariate:
        return components.marginals() if self._is_joint else components

    def _marginals_in_rows(self) -> tuple[families.Univariate, tf.Tensor]:
        """The distribution of each coordinate in a row of its own, `[N, K]` or `[N D, K]`, and the weights."""
        if not self._event_shape:
            return self._components, self._weights
        num_components = self._logits.shape[-1]

        def in_rows(value):
            return tf.reshape(tf.transpose(value, [0, 2, 1]), [-1, num_components])

        marginals = self._marginals_of(self._components)
        weights = tf.expand_dims(self._weights, -1) + tf.zeros_like(marginals.loc)
        return marginals.mapped(in_rows), in_rows(weights)


_ARGUMENTS = {"scale_diag": "scale"}
LIMITS = {"low", "high", "mirror_low", "mirror_high"}


def _finite(value: tf.Tensor) -> tf.Tensor:
    """Infinite limits as the largest number, of which no arithmetic makes NaN."""
    return tf.minimum(tf.maximum(value, -LARGEST), LARGEST)


def _is_rescaled(inner: tfd.Distribution) -> bool:
    return isinstance(inner, rescaled.Rescaled)


def _kind_of(inner: tfd.Distribution) -> tuple[type, bool]:
    """What the components are here, and whether their coordinates are correlated."""
    for base in type(inner).__mro__:
        for kinds, is_joint in ((UNIVARIATE, False), (JOINT, True)):
            if base in kinds:
                return kinds[base], is_joint
    raise NotImplementedError(
        f"An export to LiteRT or ONNX does not know components of this kind. Received: {type(inner).__name__}."
    )


def _in_full(values: dict[str, tf.Tensor], batch_rank: int, event_shape: list) -> dict[str, tf.Tensor]:
    """Tensors in float32, of which each is broadcast to `[*B, K, ...]` if it is not known to be of that shape.

    By adding zeros: ONNX has no operation that broadcasts shapes.
    """
    values = {name: tf.cast(value, tf.float32) for name, value in values.items()}
    logits, loc = values["logits"], values["loc"]
    num_axes = {name: {"logits": 0, "scale_tril": 2}.get(name, len(event_shape)) for name in values}
    shape = tf.broadcast_static_shape(logits.shape, loc.shape[: loc.shape.rank - len(event_shape)])
    expected = {name: [*shape, *event_shape * 2][: batch_rank + 1 + num_axes[name]] for name in values}

    def is_full(name):
        return list(values[name].shape) == expected[name]

    if all(map(is_full, values)):
        return values
    zeros = [tf.zeros_like(tf.nn.softmax(logits))]  # logits can be infinite, and ONNX multiplies by 0
    zeros[0] += tf.zeros_like(loc[..., 0] if event_shape else loc)  # [B, K]
    for _ in range(2):
        zeros.append(tf.expand_dims(zeros[-1], -1))
    return {name: value if is_full(name) else value + zeros[num_axes[name]] for name, value in values.items()}
