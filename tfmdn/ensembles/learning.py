"""How the networks of an ensemble learn side by side, and how each is judged.

Shapes in comments: M members, B batch, E event, V held-out rows.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfmdn.ensembles.networks import Networks, Weights
from tfmdn.scores.likelihood import negative_log_likelihood
from tfmdn.scores.weighting import example_weights


class Learning:
    """A base class, before `keras.Model`, of an `Ensemble`: each member learns, and is judged, by itself.

    A subclass sets what is declared here.
    """

    networks: Networks
    # For each stack the variables `[M, ...]` of its network, and their values.
    _stacked: tuple[list[keras.Variable], ...]
    _weights: Weights
    # Of each of the M members.
    scale_temperature: keras.Variable
    member_log_weights: keras.Variable
    weights_by_member: bool
    max_gradient_norm: float | None

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync

        def learn(network, weights=None if self.weights_by_member else sample_weight):
            trainable = [variable.value for variable in network.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                mixture = network(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=mixture, sample_weight=weights, training=True)
                # Each replica has its share of the penalties, as of the loss.
                penalties = [tf.cast(tf.reduce_sum(each) / replicas, loss.dtype) for each in network.losses]
                loss = tf.add_n([loss, *penalties])
                scaled_loss = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled_loss, trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return mixture, (loss, self._clip(gradients))

        columns = self._columns(sample_weight)
        runs = [
            stack.run(weights, learn, *([tf.stack(columns[span])] if columns else []))
            for stack, span, weights in zip(self.networks.stacks, self.networks.spans, self._weights)
        ]
        for run, variables in zip(runs, self._stacked):
            for number, value in run.states.items():
                variables[number].assign(value)
        losses, gradients = zip(*(run.results for run in runs))
        self.optimizer.apply(list(itertools.chain(*gradients)), self.trainable_variables)
        rows = tf.shape(keras.tree.flatten(x)[0])[0]
        # The first metric is the loss.
        self.metrics[0].update_state(replicas * tf.reduce_mean(tf.concat(losses, 0)), sample_weight=rows)
        if len(self.metrics) == 1:  # the loss alone, which needs no prediction of all members together
            return self.get_metrics_result()
        factors, log_weights = map(tf.convert_to_tensor, (self.scale_temperature, self.member_log_weights))
        mixtures = [run.mixture(factors[span]) for run, span in zip(runs, self.networks.spans)]
        mixture = self.networks.merge(mixtures, log_weights)
        return self.compute_metrics(x, y, mixture, sample_weight=self._row_weights(sample_weight))

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return super().test_step((x, y, self._row_weights(sample_weight)))

    def member_scores(
        self,
        x: Any,
        y: ArrayLike,
        sample_weight: ArrayLike,
        scale_temperature: float = 1.0,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> tf.Tensor:
        """The weighted sum of each member's negative log-likelihood on rows of its own: `[M]`.

        Args:
          x: features `[M, V, ...]`, or a structure of them.
          y: targets `[M, V, *E]`.
          sample_weight: the weights of the rows, `[M, V]`. Masked steps do not count.
          scale_temperature: factor of the scales, see `Mixture.temper`.
          intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
          missing: whether NaN stands for what was not observed, likewise.
        """

        def predict(network, x):
            return network(x, training=False), ()

        columns = keras.tree.map_structure(tf.convert_to_tensor, (x, y, sample_weight))
        totals = []
        for stack, span, values in zip(self.networks.stacks, self.networks.spans, self._weights):
            x, y, weights = keras.tree.map_structure(lambda column, span=span: column[span], columns)
            mixture = stack.run(values, predict, x).mixture(tf.ones([]))
            scores = negative_log_likelihood(
                y, mixture.temper(scale_temperature=scale_temperature), intervals=intervals, missing=missing
            )
            scores = tf.math.multiply_no_nan(scores, example_weights(mixture, weights, scores))
            totals.append(tf.reduce_sum(scores, list(range(1, scores.shape.rank))))
        return tf.cast(tf.concat(totals, 0), keras.config.floatx())

    def _clip(self, gradients):
        if self.max_gradient_norm is None:
            return gradients
        # A LossScaleOptimizer has multiplied the gradients, and so the limit.
        limit = self.optimizer.scale_loss(tf.constant(self.max_gradient_norm))
        # tf.clip_by_global_norm is made of an operation that cannot be vectorised.
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(tf.cast(gradient, limit.dtype))) for gradient in gradients]))
        factor = limit / tf.maximum(norm, limit)
        return [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]

    def _columns(self, sample_weight) -> list[tf.Tensor]:
        """The weights `[B]` of each member, or an empty list if no member has its own."""
        if sample_weight is None or not self.weights_by_member:
            return []
        sample_weight = tf.cast(sample_weight, keras.config.floatx())
        if sample_weight.shape.rank < 2 or sample_weight.shape[-1] != len(self.networks):
            raise ValueError(
                f"With weights_by_member=True, the last axis of `sample_weight` needs a column for each of the "
                f"{len(self.networks)} members. Received: sample_weight of shape {sample_weight.shape}."
            )
        return tf.unstack(sample_weight, axis=-1)

    def _row_weights(self, sample_weight):
        """One weight for each row, for what is asked of all members together."""
        if sample_weight is None or not self.weights_by_member:
            return sample_weight
        return tf.add_n(self._columns(sample_weight)) / len(self.networks)
