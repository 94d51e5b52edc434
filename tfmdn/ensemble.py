"""Several networks as one model, trained together.

Shapes in comments: M members, B batch, V held-out rows.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import components as component_lib
from tfmdn import validation
from tfmdn.losses import example_weights
from tfmdn.merging import merge
from tfmdn.mixture import Mixture
from tfmdn.scores import negative_log_likelihood

tfd = tfp.distributions

# Where a config has the name of a layer: as the layer's own, and where its output goes in.
LAYER_NAME = r'(?:(?<="name": )|(?<=\[)(?="[^"]*", \d+, \d+\]))"[^"]*"'


@keras.saving.register_keras_serializable(package="tfmdn")
class Ensemble(keras.Model):
    """Several networks as one model, whose output is the mixture of their mixtures (see `tfmdn.merge`).

    Neighbours of one architecture are computed together, vectorised over an axis of members, in training too: ten small
    networks take little more time than one. `fit` trains each member on a loss of its own. It is saved, exported and
    queried like any model whose output is a mixture; `mixture.decompose()` tells what its members disagree about.

    Args:
      models: built Keras models of the same inputs, each with a mixture as its only output. Their weights are copied.
      weights_by_member: whether the last axis of `sample_weight` has a column for each of the M members, so that they
        learn from different rows, such as folds or bootstrap samples.
      max_gradient_norm: the norm to which the gradient of each member is clipped; None does not clip. (An optimizer's
        own `clipnorm` would mix the members. So would an optimizer that is not elementwise.)
      **kwargs: `name` and the other arguments of `keras.Model`.

    Raises:
      ValueError: if there is no model, or if one has not been built.

    Example:

    >>> networks = [
    ...     keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "silu"), tfmdn.MDNLayer(3)]) for _ in range(4)
    ... ]
    >>> ensemble = tfmdn.Ensemble(networks)
    >>> ensemble.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    >>> history = ensemble.fit(np.zeros((10, 2)), np.zeros(10), verbose=0)
    >>> mixture = ensemble(np.zeros((5, 2)))
    >>> mixture.batch_shape, mixture.mixture_distribution.logits.shape
    (TensorShape([5]), TensorShape([5, 12]))
    >>> mixture.decompose().epistemic.shape
    TensorShape([5])
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        weights_by_member: bool = False,
        max_gradient_norm: float | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        models = list(models)
        if not models:
            raise ValueError("`models` must hold at least one model. Received: an empty list.")
        unbuilt = [model.name for model in models if not model.built]
        if unbuilt:
            raise ValueError(f"`models` must be built: call each on data first. Received: {unbuilt}, not built.")
        self.weights_by_member = weights_by_member
        self.max_gradient_norm = max_gradient_norm
        if max_gradient_norm is not None:
            validation.positive_number("max_gradient_norm", max_gradient_norm)
        groups = [list(group) for _, group in itertools.groupby(models, _architecture)]
        self._groups = _Untracked(_Group(group, self._add_stacked) for group in groups)
        # A partial of its own: TensorFlow would count the traces of all ensembles together, and warn of too many.
        members = functools.partial(self._members)
        self._members_in_graph = tf.function(members, reduce_retracing=True, autograph=False)
        self.build(self._input_shape())

    def build(self, input_shape):
        """Its networks are built. Keras notes the shape, and exports by it."""

    def _input_shape(self):
        try:
            return keras.tree.map_structure(lambda tensor: tensor.shape, self.input)
        except (AttributeError, ValueError):  # a subclassed network
            return (self._groups[0].network.get_build_config() or {}).get("input_shape")

    def _add_stacked(self, variables: Sequence[keras.Variable], trainable: bool) -> keras.Variable:
        """A variable `[M, ...]` of one variable of each member."""
        first = variables[0]
        values = np.stack([keras.ops.convert_to_numpy(variable) for variable in variables])
        return self.add_weight(
            name=first.path.replace("/", "_"),
            shape=values.shape,
            dtype=first.dtype,
            initializer=lambda shape, dtype: tf.cast(values, dtype),
            trainable=trainable,
            autocast=False,
        )

    @property
    def num_members(self) -> int:
        """The number of networks M."""
        return sum(group.size for group in self._groups)

    @property
    def input(self):
        """What the networks take: a structure of `keras.KerasTensor`. (AttributeError for subclassed networks.)"""
        network = self._groups[0].network
        # A Sequential that was not called knows its inputs, but has no `input`.
        return network.inputs[0] if isinstance(network, keras.Sequential) else network.input

    def members(self, inputs, training: bool = False) -> list[Mixture]:
        """The mixtures that the networks predict, each of batch shape `[B]`."""
        mixtures, masks = self._members_in_graph(inputs, training)
        for mixture, mask in zip(mixtures, masks):
            if mask is not None:
                mixture._keras_mask = mask
        return mixtures

    def _members(self, inputs, training):
        def predict(network):
            return network(inputs, training=training), ()

        mixtures = [mixture for group in self._groups for mixture in group.run(predict).mixtures()]
        return mixtures, [_mask(mixture) for mixture in mixtures]  # a mixture leaves a graph without its mask

    def call(self, inputs, training=False):
        return _merged(self.members(inputs, training))

    def compute_output_spec(self, inputs, training=False):
        return self._groups[0].network.compute_output_spec(inputs, training=training)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

        def learn(network, weights=None if self.weights_by_member else sample_weight):
            trainable = [variable.value for variable in network.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                mixture = network(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=mixture, sample_weight=weights, training=True)
                loss = tf.add_n([loss, *network.losses])
                scaled_loss = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled_loss, trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return mixture, (loss, self._clip(gradients))

        columns = self._columns(sample_weight)
        runs = [
            group.run(learn, *([tf.stack(columns[span])] if columns else []))
            for group, span in zip(self._groups, self._spans)
        ]
        for run in runs:
            run.update_states()
        losses, gradients = zip(*(run.results for run in runs))
        self.optimizer.apply(list(itertools.chain(*gradients)), self.trainable_variables)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync  # each of them has its share of the loss
        rows = tf.shape(keras.tree.flatten(x)[0])[0]
        self._loss_tracker.update_state(replicas * tf.reduce_mean(tf.concat(losses, 0)), sample_weight=rows)
        if len(self.metrics) == 1:  # the loss alone, which needs no prediction of all members together
            return self.get_metrics_result()
        mixtures = [mixture for run in runs for mixture in run.mixtures()]
        return self.compute_metrics(x, y, _merged(mixtures), sample_weight=self._row_weights(sample_weight))

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return super().test_step((x, y, self._row_weights(sample_weight)))

    def member_scores(self, x, y, sample_weight, scale_temperature: float = 1.0) -> tf.Tensor:
        """The weighted sum of each member's negative log-likelihood on rows of its own: `[M]`.

        Args:
          x: features `[M, V, ...]`, or a structure of them.
          y: targets `[M, V, *E]`.
          sample_weight: the weights of the rows, `[M, V]`. Masked steps do not count.
          scale_temperature: factor of the scales, see `Mixture.temper`.
        """

        def score(network, x, y, weights):
            mixture = network(x, training=False)
            scores = negative_log_likelihood(y, mixture.temper(scale_temperature=scale_temperature))
            return mixture, tf.reduce_sum(tf.math.multiply_no_nan(scores, example_weights(mixture, weights, scores)))

        columns = keras.tree.map_structure(tf.convert_to_tensor, (x, y, sample_weight))
        scores = []
        for group, span in zip(self._groups, self._spans):
            own = keras.tree.map_structure(lambda column, span=span: column[span], columns)
            scores.append(group.run(score, *own).results)
        return tf.cast(tf.concat(scores, 0), keras.config.floatx())

    @property
    def member_variables(self) -> list[tuple[keras.Variable, slice]]:
        """Each weight, with a first axis of members, and which of the M members these are."""
        return [(variable, span) for group, span in zip(self._groups, self._spans) for variable in group.variables]

    def set_in_all_members(self, variable: keras.Variable, value) -> None:
        """Gives a variable the same value in all members.

        Args:
          variable: a variable of the first model of those with its architecture.
          value: its new value, of its shape.
        """
        for group in self._groups:
            for own, stacked in zip(group.network.variables, group.variables):
                if own is variable:
                    stacked.assign(tf.broadcast_to(tf.cast(value, stacked.dtype), stacked.shape))

    @property
    def _spans(self) -> list[slice]:
        """Which of the M members each group has."""
        ends = list(itertools.accumulate(group.size for group in self._groups))
        return [slice(end - group.size, end) for group, end in zip(self._groups, ends)]

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
        if sample_weight.shape.rank < 2 or sample_weight.shape[-1] != self.num_members:
            raise ValueError(
                f"With weights_by_member=True, the last axis of `sample_weight` needs a column for each of the "
                f"{self.num_members} members. Received: sample_weight of shape {sample_weight.shape}."
            )
        return tf.unstack(sample_weight, axis=-1)

    def _row_weights(self, sample_weight):
        """One weight for each row, for what is asked of all members together."""
        if sample_weight is None or not self.weights_by_member:
            return sample_weight
        return tf.add_n(self._columns(sample_weight)) / self.num_members

    def get_config(self):
        return {
            **super().get_config(),
            "models": [keras.saving.serialize_keras_object(group.network) for group in self._groups],
            "sizes": [group.size for group in self._groups],
            "weights_by_member": self.weights_by_member,
            "max_gradient_norm": self.max_gradient_norm,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        models = [keras.saving.deserialize_keras_object(model) for model in config.pop("models")]
        # The values are those of the file, which is read next: any copies of the right shapes do.
        repeated = [model for model, size in zip(models, config.pop("sizes")) for _ in range(size)]
        return cls(repeated, **config)


class _Untracked(tuple):
    """A tuple that Keras does not look into for variables: the networks inside only lend their structure."""


@dataclasses.dataclass(frozen=True)
class _Run:
    """What the members of a group gave.

    Attributes:
      structure: a mixture of the kind that each predicts.
      tensors: what theirs are made of, `[M, ...]` by name.
      results: further tensors `[M, ...]`.
      states: the variables that changed, and their new values.
    """

    structure: Mixture
    tensors: dict[str, tf.Tensor]
    results: object
    states: list[tuple[keras.Variable, tf.Tensor]]

    def mixtures(self) -> list[Mixture]:
        """The mixture of each member."""
        unstacked = {name: tf.unstack(tensor) for name, tensor in self.tensors.items()}
        return [_with_tensors(self.structure, dict(zip(unstacked, member))) for member in zip(*unstacked.values())]

    def update_states(self) -> None:
        for variable, value in self.states:
            variable.assign(value)


class _Group:
    """Networks of one architecture. The first lends its structure; the variables `[M, ...]` hold the values of all."""

    def __init__(self, networks: list[keras.Model], add_stacked: Callable):
        self.network = networks[0]
        self.size = len(networks)
        trainable = {id(variable) for variable in self.network.trainable_variables}
        self.variables = [
            add_stacked(variables, id(variables[0]) in trainable)
            for variables in zip(*(network.variables for network in networks))
        ]

    def run(self, function: Callable, *columns: tf.Tensor) -> _Run:
        """Calls `function(network, *columns)` once for each member, on its weights, all members at once.

        Args:
          function: returns the member's mixture and a structure of further tensors.
          columns: tensors `[M, ...]` of which each member gets its own.
        """
        seen = {}

        def of_member(arguments):
            values, *of_columns = arguments
            with keras.StatelessScope(zip(self.network.variables, values), collect_losses=True) as scope:
                mixture, results = function(self.network, *of_columns)
            if not isinstance(mixture, Mixture):
                raise TypeError(f"The models of an Ensemble must output a mixture. Received: {type(mixture).__name__}.")
            after = [scope.get_current_value(variable) for variable in self.network.variables]
            seen["mixture"] = mixture
            seen["changed"] = [old is not new for old, new in zip(values, after)]
            states = [new for new, changed in zip(after, seen["changed"]) if changed]
            return _tensors(mixture), results, states

        arguments = ([tf.convert_to_tensor(variable) for variable in self.variables], *columns)
        if self.size == 1:  # nothing to vectorise, which would take time, and which some operations cannot be
            outputs = of_member(tf.nest.map_structure(lambda tensor: tensor[0], arguments))
            tensors, results, states = tf.nest.map_structure(lambda tensor: tensor[tf.newaxis], outputs)
        else:
            tensors, results, states = tf.vectorized_map(of_member, arguments)
        return _Run(
            seen["mixture"], tensors, results, list(zip(itertools.compress(self.variables, seen["changed"]), states))
        )


def _mask(mixture: Mixture) -> tf.Tensor | None:
    """Which steps of sequences Keras has not masked, booleans `[*B]`."""
    return getattr(mixture, "_keras_mask", None)


def _merged(mixtures: list[Mixture]) -> Mixture:
    """The mixture of mixtures, for which the steps count that count for each of them."""
    merged = merge(mixtures)
    masks = [mask for mask in map(_mask, mixtures) if mask is not None]
    if masks:
        merged._keras_mask = functools.reduce(tf.logical_and, masks)
    return merged


def _tensors(mixture: Mixture) -> dict[str, tf.Tensor]:
    """All that a mixture is made of, by name: its logits, component parameters, and mask if it has one."""
    mask = _mask(mixture)
    return {
        **component_lib.parameters(mixture.components_distribution),
        "logits": mixture.mixture_distribution.logits_parameter(),
        **({} if mask is None else {"mask": mask}),
    }


def _with_tensors(mixture: Mixture, tensors: dict[str, tf.Tensor]) -> Mixture:
    """The same kind of mixture, made of other tensors, named as `_tensors` names them."""
    logits, mask = tensors.pop("logits"), tensors.pop("mask", None)
    copy = component_lib.mixture_with_parameters(mixture, logits, tensors)
    if mask is not None:
        copy._keras_mask = mask
    return copy


def _architecture(model: keras.Model) -> str:
    """What models must have in common to be computed together: their config, with numbers for the names in it."""
    try:
        config = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):  # a subclassed model without a config
        return str(id(model))
    config = re.sub(r', "shared_object_id": \d+', "", config)  # which Keras adds while it reads a file
    names = {json.dumps(layer.name) for layer in model._flatten_layers()}  # dtype policies have names too, which count
    numbers = {name: str(index) for index, name in enumerate(re.findall(LAYER_NAME, config)) if name in names}
    return re.sub(LAYER_NAME, lambda match: numbers.get(match[0], match[0]), config)
