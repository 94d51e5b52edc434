"""Several networks as one model, trained together.

Shapes in comments: M members, B batch, E event, R rows to calibrate by.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfmdn import validation
from tfmdn.distributions.mixture import Mixture
from tfmdn.ensembles import calibration, vectorized
from tfmdn.ensembles.learning import Learning
from tfmdn.ensembles.networks import Networks
from tfmdn.layers.mdn import heads_of
from tfmdn.scores.targets import TargetFormat
from tfmdn.scores.weighting import target_weights

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfmdn")
class Ensemble(Learning, keras.Model):
    """Several networks as one model, whose output is the mixture of their mixtures (see `tfmdn.merge`).

    Neighbours of one architecture are computed together, vectorised over an axis of members, in training too: ten small
    networks take little more time than one. `fit` trains each member on a loss of its own. It is saved, exported and
    queried like any model whose output is a mixture; `mixture.decompose()` tells what its members disagree about.

    Args:
      models: built Keras models of the same inputs, each with a mixture as its only output. Their weights are copied.
        Or the `networks` of another ensemble: what TensorFlow has traced for that serves this one, too.
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
        models: Sequence[keras.Model] | Networks,
        weights_by_member: bool = False,
        max_gradient_norm: float | None = None,
        **kwargs: Any,
    ):
        # The networks cast their inputs, some of which may need the digits of float64.
        super().__init__(**{"autocast": False, **kwargs})
        networks, models = models, list(models)
        if not models:
            raise ValueError("`models` must hold at least one model. Received: an empty list.")
        unbuilt = [model.name for model in models if not model.built]
        if unbuilt:
            raise ValueError(f"`models` must be built: call each on data first. Received: {unbuilt}, not built.")
        self.weights_by_member = weights_by_member
        self.max_gradient_norm = max_gradient_norm
        if max_gradient_norm is not None:
            validation.positive_number("max_gradient_norm", max_gradient_norm)
        if not isinstance(networks, Networks):
            networks = Networks(models)
        self.networks = networks
        # For each stack the variables `[M, ...]` of its network.
        self._stacked = tuple(
            self._stack_variables(stack.network, models[span]) for stack, span in zip(networks.stacks, networks.spans)
        )
        self.scale_temperature = self.add_weight(name="scale_temperature", initializer="ones", trainable=False)
        self.build(self._input_shape())

    def build(self, input_shape: Any) -> None:
        """Its networks are built. Keras notes the shape, and exports by it."""

    def _input_shape(self):
        try:
            return keras.tree.map_structure(lambda tensor: tensor.shape, self.input)
        except (AttributeError, ValueError):  # a subclassed network
            return (self.networks.stacks[0].network.get_build_config() or {}).get("input_shape")

    def _stack_variables(self, network: keras.Model, models: list[keras.Model]) -> list[keras.Variable]:
        """Of each variable of the models one `[M, ...]`, which is trained if that of the network is."""
        trainable = {id(variable) for variable in network.trainable_variables}
        return [
            self._add_stacked(variables, id(own) in trainable)
            for own, *variables in zip(network.variables, *(model.variables for model in models))
        ]

    def _add_stacked(self, variables: Sequence[keras.Variable], trainable: bool) -> keras.Variable:
        first = variables[0]
        values = np.stack([variable.numpy() for variable in variables])
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
        return len(self.networks)

    @property
    def input(self):
        """What the networks take: a structure of `keras.KerasTensor`. (AttributeError for subclassed networks.)"""
        network = self.networks.stacks[0].network
        # A Sequential that was not called knows its inputs, but has no `input`.
        return network.inputs[0] if isinstance(network, keras.Sequential) else network.input

    @property
    def _weights(self) -> list[list[tf.Tensor]]:
        return [list(map(tf.convert_to_tensor, variables)) for variables in self._stacked]

    def members(self, inputs: Any, training: bool = False) -> list[Mixture]:
        """The mixtures that the networks predict, each of batch shape `[B]`."""
        return list(itertools.chain.from_iterable(map(vectorized.unstacked, self._mixtures(inputs, training))))

    def _mixtures(self, inputs, training: bool) -> list[Mixture]:
        """What the members of each stack predict: mixtures of batch shape `[M, *B]`."""
        return self.networks.mixtures(self._weights, inputs, training, tf.convert_to_tensor(self.scale_temperature))

    def call(self, inputs, training=False):
        return self.networks.merge(self._mixtures(inputs, training))

    def predict_in_graph(self, inputs: Any) -> Mixture:
        """What calling it gives, from one graph. It is that of all ensembles made of the same `networks`."""
        return self.networks.merged(self._weights, inputs, tf.convert_to_tensor(self.scale_temperature))

    def compute_output_spec(self, inputs, training=False):
        return self.networks.stacks[0].network.compute_output_spec(inputs, training=training)

    def calibrate(
        self,
        x: Any,
        y: ArrayLike,
        held_out: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        intervals: bool = False,
        missing: str = "error",
    ) -> float:
        """Makes the prediction as broad as rows show it should be that members have not learnt from.

        A network that has learnt as much as it can is a little too sure of itself, while members that disagree make
        their mixture too broad. One factor of all scales, `scale_temperature`, mends both. It is the most likely one
        on those rows; where only a few of the members have not learnt from a row, as in cross-validation, what is
        found for them is carried over to all, see `tfmdn.ensembles.calibration.scale_factor`. Training goes on as if
        there were no such factor; call this again afterwards.

        If each network ends in its only `MDNLayer`, all with the same `background`, the layers' `background_weight`
        becomes the most likely one, too (`tfmdn.ensembles.calibration.background_weight`): larger where targets are far
        from all that is predicted, next to nothing where many rows show no such target.

        Args:
          x: features, an array or a structure of arrays of n rows.
          y: targets `[n, *E]`.
          held_out: which rows each member has not learnt from, booleans `[n, M]`. None means that none has learnt from
            any of them, such as rows for validation.
          sample_weight: weights of the rows, `[n]`, 0 or more.
          intervals: whether targets are pairs (low, high), as in `negative_log_likelihood`.
          missing: whether NaN stands for what was not observed, likewise.

        Returns:
          The factor, between 1/2 and 4.

        Raises:
          TypeError: if x or y is a list of numbers.
          ValueError: if `held_out` or `sample_weight` does not fit; if there is no row that two members (or the only
            one) have not learnt from; if the likelihood is not finite; if the components have no scale.

        Example:

        >>> networks = [keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2)]) for _ in range(3)]
        >>> ensemble = tfmdn.Ensemble(networks)
        >>> x = np.linspace(-1.0, 1.0, 60)[:, np.newaxis]
        >>> factor = ensemble.calibrate(x, 0.01 * x[:, 0])  # targets closer together than the networks say
        >>> 0.5 <= factor < 1.0
        True
        """
        if any(np.ndim(part) == 0 for part in keras.tree.flatten((x, y))):
            raise TypeError("`x` and `y` must be arrays, or structures of arrays. Received: lists of numbers.")
        count = len(y)
        held_out = np.ones((count, self.num_members), bool) if held_out is None else np.asarray(held_out, bool)
        if held_out.shape != (count, self.num_members):
            raise ValueError(
                f"`held_out` must be booleans of shape (n, members) = ({count}, {self.num_members}). "
                f"Received: shape {held_out.shape}."
            )
        form = TargetFormat(intervals, missing)
        weights = validation.row_weights(sample_weight, count) * form.rows_that_say_anything(y)
        rows, members = calibration.judges(held_out & (weights > 0)[:, np.newaxis])
        x, y, weights = keras.tree.map_structure(lambda part: tf.constant(np.asarray(part)[rows]), (x, y, weights))
        mixtures, log_probs = self.networks.log_probs(self._weights, x, y, form)
        first = vectorized.unstacked(mixtures[0])[0]
        counts = target_weights(form, form.reconcile(y, first), first, weights).numpy().ravel()
        counted = counts > 0  # rows, or the steps of sequences, which count as rows

        def counted_log_probs(factor):
            """Of each part of the mixtures, `[R, M]`."""
            return [part.numpy().reshape(self.num_members, -1).T[counted] for part in log_probs(factor)]

        if not np.isfinite(np.max(counted_log_probs(1.0), 0)).all():
            raise ValueError(
                "The likelihood of the targets must be finite. Received: NaN in x or y, or a density of 0."
            )
        members = np.repeat(members, len(counted) // len(rows), 0)[counted]
        start = self.networks.background(mixtures)
        if start:
            factor, weight = calibration.scale_factor_and_background(counted_log_probs, members, counts[counted], start)
            self.set_in_all_members(lambda network: heads_of(network)[0].background_weight, weight)
        else:
            factor = calibration.scale_factor(lambda factor: counted_log_probs(factor)[0], members, counts[counted])
        self.scale_temperature.assign(factor)
        return factor

    @property
    def member_variables(self) -> list[tuple[keras.Variable, slice]]:
        """Each weight, with a first axis of members, and which of the M members these are."""
        spans = self.networks.spans
        return [(variable, span) for span, variables in zip(spans, self._stacked) for variable in variables]

    def set_member_weights(self, weights: Sequence[Sequence[np.ndarray]]) -> None:
        """Gives each member its weights: for each of the M members the values of its network's `variables`."""
        for span, variables in zip(self.networks.spans, self._stacked):
            for variable, *values in zip(variables, *weights[span]):
                variable.assign(np.stack(values))

    def set_in_all_members(self, variable_of: Callable[[keras.Model], keras.Variable], value: ArrayLike) -> None:
        """Gives a variable the same value in all members.

        Args:
          variable_of: returns the variable of a network, such as
            `lambda network: network.layers[-1].target_location`. It is called once for each architecture.
          value: its new value, of its shape.

        Raises:
          ValueError: if what it returns is not a variable of the network.
        """
        for stack, variables in zip(self.networks.stacks, self._stacked):
            chosen = variable_of(stack.network)
            found = [stacked for own, stacked in zip(stack.network.variables, variables) if own is chosen]
            if not found:
                raise ValueError(f"`variable_of` must return a variable of the network. Received: {chosen!r}.")
            found[0].assign(tf.broadcast_to(tf.cast(value, found[0].dtype), found[0].shape))

    def get_config(self):
        return {
            **super().get_config(),
            "models": [keras.saving.serialize_keras_object(stack.network) for stack in self.networks.stacks],
            "sizes": [stack.size for stack in self.networks.stacks],
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
