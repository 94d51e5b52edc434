"""Networks side by side: what they predict, for whatever weights they are given.

Shapes in comments: M members, B batch, E event, R rows.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from tfmdn import keras_internals
from tfmdn.distributions.merging import join_first_axes
from tfmdn.distributions.mixture import Mixture
from tfmdn.ensembles import vectorized
from tfmdn.layers import background
from tfmdn.layers.mdn import heads_of
from tfmdn.scores.likelihood import negative_log_likelihood
from tfmdn.scores.targets import TargetFormat

# For each stack the values `[M, ...]` of its variables.
Weights = Sequence[Sequence[tf.Tensor]]


class Networks:
    """The structure of M networks. Neighbours of one architecture make a stack, which is computed as one.

    Weights are arguments here, so that all ensembles made of one `Networks` share what TensorFlow has traced.
    """

    def __init__(self, models: Sequence[keras.Model]):
        architectures = {model: keras_internals.architecture(model) for model in dict.fromkeys(models)}
        groups = [list(group) for _, group in itertools.groupby(models, architectures.get)]
        self.stacks = tuple(vectorized.Stack(group[0], len(group)) for group in groups)
        self._mixtures_in_graph = _graph(self._mixtures)
        self._merged_in_graph = _graph(self._merged)
        self._log_probs_in_graph = _graph(_log_probs)
        self._is_traced = False
        self._answers_in_graph = {}

    def __len__(self) -> int:
        """The number of networks M."""
        return sum(stack.size for stack in self.stacks)

    def __iter__(self) -> Iterator[keras.Model]:
        """For each member the network that lends it its structure."""
        return itertools.chain.from_iterable([stack.network] * stack.size for stack in self.stacks)

    @property
    def spans(self) -> list[slice]:
        """Which of the M members each stack has."""
        ends = list(itertools.accumulate(stack.size for stack in self.stacks))
        return [slice(end - stack.size, end) for stack, end in zip(self.stacks, ends)]

    def mixtures(self, weights: Weights, inputs, training: bool, scale_temperature: tf.Tensor) -> list[Mixture]:
        """What the members of each stack predict, with factors `[M]` of their scales: mixtures `[M, *B]`."""
        factors = tf.cast(scale_temperature, tf.float64)
        return list(map(keras_internals.masked, *self._mixtures_in_graph(weights, inputs, training, factors)))

    def _mixtures(self, weights, inputs, training, scale_temperature):
        def predict(network):
            return network(inputs, training=training), ()

        runs = [stack.run(values, predict) for stack, values in zip(self.stacks, weights)]
        mixtures = [run.mixture(scale_temperature[span]) for run, span in zip(runs, self.spans)]
        return mixtures, list(map(keras_internals.mask_of, mixtures))  # a mixture leaves a graph without its mask

    def merged(self, weights: Weights, inputs, scale_temperature: tf.Tensor, log_weights: tf.Tensor) -> Mixture:
        """The mixture of all members together, of batch shape `[*B]`."""
        arguments = weights, inputs, tf.cast(scale_temperature, tf.float64), tf.cast(log_weights, tf.float64)
        if not self._is_traced:
            # For any number of rows, as `log_probs` does: graphs for one number may round otherwise.
            values, by_member = _specs(weights), tf.TensorSpec([len(self)], tf.float64)
            self._merged_in_graph.get_concrete_function(values, _specs(inputs, any_number=True), by_member, by_member)
            self._is_traced = True
        return keras_internals.masked(*self._merged_in_graph(*arguments))

    def _merged(self, weights, inputs, scale_temperature, log_weights):
        merged = self.merge(self.mixtures(weights, inputs, False, scale_temperature), log_weights)
        return merged, keras_internals.mask_of(merged)

    def answer(
        self, ask: Callable, arguments: Sequence, weights: Weights, inputs, scale_temperature, log_weights
    ) -> list[tf.Tensor]:
        """What `ask(mixture, *arguments)` says of the mixture of all members, from one graph for each `ask`.

        Args:
          ask: a function that returns tensors, which is kept.
          arguments: tensors of one axis, of any size.
          weights, inputs, scale_temperature, log_weights: as of `merged`.
        """
        if ask not in self._answers_in_graph:
            by_member = tf.TensorSpec([len(self)], tf.float64)
            rows = _specs((inputs, list(arguments)), any_number=True)
            self._answers_in_graph[ask] = tf.function(
                lambda inputs, arguments, weights, *by_member: ask(
                    self._merged(weights, inputs, *by_member)[0], *arguments
                ),
                input_signature=[*rows, _specs(weights), by_member, by_member],
                autograph=False,
            )
        by_member = tf.cast(scale_temperature, tf.float64), tf.cast(log_weights, tf.float64)
        return self._answers_in_graph[ask](inputs, list(arguments), weights, *by_member)

    def merge(self, mixtures: list[Mixture], log_weights: tf.Tensor) -> Mixture:
        """The mixture of all members, of those of the stacks and the logarithms of their weights `[M]`.

        The steps count in it that count for each member.
        """
        return join_first_axes(mixtures, [log_weights[span] for span in self.spans])

    def background(self, mixtures: list[Mixture]) -> float:
        """The `background` of the `MDNLayer` that each network ends in, if it is the same for all of them; else 0."""
        heads = [heads_of(stack.network) for stack in self.stacks]
        backgrounds = {head.background for own_heads in heads for head in own_heads}
        expected = [[head.num_components + 1 for head in own_heads] for own_heads in heads]
        received = [[mixture.mixture_distribution.logits.shape[-1]] for mixture in mixtures]
        # Another layer behind the head, such as MarginalFallback, has components of its own.
        return backgrounds.pop() if len(backgrounds) == 1 and received == expected else 0.0

    def log_probs(
        self, weights: Weights, x, y: tf.Tensor, form: TargetFormat
    ) -> tuple[list[Mixture], Callable[[float], list[tf.Tensor]]]:
        """What the members think of targets `[R, ..., *E]`, which may be asked of them again and again.

        Returns:
          The mixtures of the stacks `[M, R, ...]`, and a function from a factor of all scales to the log-densities
          `[M, R, ...]` of the targets: without the background and of it alone, or of all if there is no `background`.
        """
        # Of any number of rows: predictions, and other rows, use the same graphs.
        values, number = _specs(weights), tf.TensorSpec([], tf.float64)
        by_member = tf.TensorSpec([len(self)], tf.float64)
        x_specs, y_specs = _specs((x, y), any_number=True)
        graph = self._mixtures_in_graph.get_concrete_function(values, x_specs, False, by_member)
        predicted, _ = graph.structured_outputs
        is_apart = self.background(predicted) > 0.0
        predicted = tf.nest.map_structure(tf.type_spec_from_value, predicted)
        options = is_apart, form.intervals, form.missing
        self._log_probs_in_graph.get_concrete_function(predicted, y_specs, number, *options)
        mixtures = self.mixtures(weights, x, False, tf.ones([len(self)], tf.float64))
        return mixtures, lambda factor: self._log_probs_in_graph(mixtures, y, tf.constant(factor, tf.float64), *options)


def _specs(tensors, any_number: bool = False):
    """The shapes and dtypes of a structure of tensors, with any number of rows or the one they have."""

    def spec(tensor):
        shape = [None, *tensor.shape[1:]] if any_number else tensor.shape
        return tf.TensorSpec(shape, tensor.dtype)

    return keras.tree.map_structure(spec, tensors)


def _graph(function: Callable) -> Callable:
    # A partial of its own: TensorFlow would count the traces of all ensembles together, and warn of too many.
    return tf.function(functools.partial(function), reduce_retracing=True, autograph=False)


def _log_probs(
    mixtures: list[Mixture], y: tf.Tensor, scale_temperature: tf.Tensor, is_apart: bool, intervals: bool, missing: str
):
    """The log-densities `[M, *B]` of targets `[*B, *E]`, in mixtures `[M, *B]`, or in each of their parts."""

    def by_stack(mixture):
        y_for_each = tf.broadcast_to(y, tf.concat([mixture.batch_shape_tensor()[:1], tf.shape(y)], 0))
        mixture = mixture.temper(scale_temperature=scale_temperature)
        return -negative_log_likelihood(y_for_each, mixture, intervals=intervals, missing=missing)

    parts = zip(*map(background.apart, mixtures)) if is_apart else [mixtures]
    return [tf.concat(list(map(by_stack, part)), 0) for part in parts]
