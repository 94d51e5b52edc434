"""Networks for one kind of table, built and traced once, and trained for one table after the other.

Shapes in comments: n rows, F features, M members, E event.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmdn import numerics
from tfmdn.distributions import folding
from tfmdn.ensembles.ensemble import Ensemble
from tfmdn.layers import families, features
from tfmdn.layers import support as support_lib
from tfmdn.layers.joint_starts import JointMixture
from tfmdn.layers.mdn import MDNLayer
from tfmdn.layers.units import Units
from tfmdn.losses import NegativeLogLikelihood
from tfmdn.tabular import network as network_lib
from tfmdn.tabular.design import Design

# Of each member: what a batch with far targets can do. A bound of 1 held back the other batches, too.
MAX_GRADIENT_NORM = 5.0
# Of the vector that stands for one of many categories.
EMBEDDING_UNITS = 8
# A number's embedding has a mean square of about 7, a category's indicators one below 1, so that they would be learnt
# only after few rows have been learnt by heart.
CATEGORY_SCALE = 2.0
# As many as `num_components="auto"` goes through for each fold, and a few more.
MOST_IDLE = 8
# The same for all: TensorFlow keeps 40 kB for each name that a variable was ever given.
NAME = "ensemble"
# Rows that are standardised at once: TensorFlow takes several times their memory.
CHUNK = 100_000


class Workshop:
    """The networks of a design, which `start` prepares for a table.

    Attributes:
      learner: the compiled ensemble that learns, of targets in standard units.
      augment: what it does to batches of rows before, or None.
      design: what the networks are made of.
    """

    def __init__(self, design: Design, seed: int):
        self.design = design
        self._build(np.random.default_rng(seed))
        self.learner = Ensemble(self._learners, weights_by_member=True, max_gradient_norm=MAX_GRADIENT_NORM, name=NAME)
        optimizer = self._optimizer()
        loss = NegativeLogLikelihood(**dataclasses.asdict(design.target_format))
        self.learner.compile(optimizer, loss=loss)
        self.learner.optimizer.build(self.learner.trainable_variables)
        # What training changes, as it is before.
        variables = [self.learner.scale_temperature, *self.learner.optimizer.variables]
        self._before = [(variable, variable.numpy()) for variable in variables]
        self._networks = Ensemble(self._predictors, name=NAME).networks
        self._several = {}
        self._y_noise = features.NoiseRegularization(design.y_noise, seed=network_lib.ANY_SEED, dtype="float64")
        self.augment = self._augment if design.y_noise else None

    def _build(self, rng: np.random.Generator) -> None:
        """Builds a network for each member, or the default one for all of them, with a head for either ensemble."""
        design = self.design
        inputs = keras.Input((design.layout.num_features,), dtype="float64")
        standardized, others, embeddings = self._prepared(inputs)
        self._piecewise = features.PiecewiseLinearEmbedding() if design.has_bins else None
        # One network lends its structure to all members.
        copies = design.num_members if design.network is None else 1
        self._learners, self._predictors, self._noises, self._random_layers = [], [], [], []
        own_models = []
        for _ in range(design.num_members // copies):
            numbers, random_layers = standardized, list(embeddings)
            if design.x_noise and numbers is not None:
                self._noises.append(features.NoiseRegularization(design.x_noise, seed=network_lib.ANY_SEED))
                random_layers.append(self._noises[-1])
                numbers = self._noises[-1](numbers)
            if design.network is None:
                hidden, layers = network_lib.default(numbers, others, self._piecewise, design.hidden_units)
                random_layers += layers
                if design.is_joint:
                    hidden = network_lib.beside(hidden, features.Products()(self._measured(numbers)))
            else:
                own_models.append(_own_model(design.network, own_models, int(rng.integers(2**31))))
                numbers = [] if numbers is None else [numbers]
                hidden = own_models[-1](network_lib.beside(*numbers, *others))
            head, learning_head = self._head(dtype="float64"), self._learning_head()
            learner, predictor = keras.Model(inputs, learning_head(hidden)), keras.Model(inputs, head(hidden))
            self._learners += [learner] * copies
            self._predictors += [predictor] * copies
            self._random_layers += [[*random_layers, learning_head.dense]] * copies

    def _measured(self, numbers):
        """The numbers `[n, ...]` that are not predictions of trees."""
        return numbers[:, : self.design.layout.measured.numbers]

    def _prepared(self, inputs: keras.KerasTensor) -> tuple[keras.KerasTensor | None, list, list[keras.layers.Layer]]:
        """Of features `[n, F]` the standardised numbers, the others, and the layers of these that start at random."""
        layout = self.design.layout
        numbers, indicators, indicated, embedded = (inputs,) + 3 * (None,) if layout.is_plain else layout.parts(inputs)
        # In float64 up to here: a date in seconds has more digits than float32.
        self._standardization = features.Standardization(dtype="float64") if layout.numbers else None
        self._category_indicators = features.CategoryIndicators(layout.indicated) if layout.indicated else None
        categories, layers = [], []
        if layout.indicated:
            categories.append(self._category_indicators(indicated))
        if layout.embedded:
            layers.append(features.CategoryEmbedding(layout.embedded, EMBEDDING_UNITS, seed=network_lib.ANY_SEED))
            categories.append(layers[0](embedded))
        others = [indicators] if layout.indicators else []
        if categories:
            others.append(keras.layers.Rescaling(CATEGORY_SCALE)(network_lib.beside(*categories)))
        return self._standardization(numbers) if layout.numbers else None, others, layers

    def _adapt(self, x: np.ndarray) -> np.ndarray | None:
        """Lets the layers of features learn of these, `[n, F]`. Returns the standardised numbers among them."""
        layout, rows = self.design.layout, None
        numbers, _, indicated, _ = layout.parts(x)
        if layout.numbers:
            self._standardization.adapt(numbers)
            chunks = (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))
            rows = np.concatenate([self._standardization(chunk).numpy() for chunk in chunks])
            if self._piecewise is not None:
                self._piecewise.adapt(rows)
            for noise in self._noises:
                noise.adapt(rows)
        if layout.indicated:
            self._category_indicators.adapt(indicated)
        return rows

    def _head(self, **arguments) -> MDNLayer:
        kernel_initializer = keras.initializers.VarianceScaling(0.01, seed=network_lib.ANY_SEED)
        arguments = {**dict(self.design.head), "kernel_initializer": kernel_initializer, **arguments}
        return MDNLayer(event_shape=self.design.event_shape, **arguments)

    def _learning_head(self) -> MDNLayer:
        head = dict(self.design.head)
        # Limits that are given are in other units. Their place is in the variables.
        support = (None, None) if support_lib.is_given(head["support"]) else head["support"]
        # Standard units need no more than float32, which takes a quarter of the time less. But exp(100) is beyond it:
        # a positive target whose logarithm is 100 scales from the others.
        return self._head(
            support=support, dtype="float64" if families.FAMILIES[head["family"]].is_positive else "float32"
        )

    def _optimizer(self) -> keras.optimizers.Optimizer:
        design = self.design
        warm_up = keras.optimizers.schedules.PolynomialDecay(
            design.learning_rate / 50, design.warm_up, end_learning_rate=design.learning_rate
        )
        optimizer = keras.optimizers.AdamW(
            warm_up,
            weight_decay=design.weight_decay,
            beta_2=0.99,
            use_ema=True,
            ema_momentum=1.0 - 1.0 / design.averaged,
        )
        variables = self.learner.trainable_variables
        optimizer.exclude_from_weight_decay(
            [variable for variable in variables if not variable.name.endswith("kernel")]
        )
        return optimizer

    def start(
        self,
        x: np.ndarray,
        y: np.ndarray,
        seed: int,
        hidden: np.ndarray | None = None,
        rows: np.ndarray | None = None,
        held_out: np.ndarray | None = None,
    ) -> Units:
        """Makes new networks of those of before: their state is that of the features, of the targets, and of the seed.

        Args:
          x: features `[n, F]`.
          y: targets `[n, *E]`, each as often as it counts.
          seed: what all random numbers follow from.
          hidden: which of the predictions of trees each member does not see, booleans `[M, T]`. None: there are none.
          rows: the number of the features' row for each of the targets, for components that start as a Gaussian mixture
            of both says; else None.
          held_out: which rows of the features each member does not learn from, booleans `[n, M]`.

        Returns:
          The targets' units. The learner is to be given targets in standard units.
        """
        rng = np.random.default_rng(seed)
        numbers = self._adapt(x)
        head = self._predictors[0].layers[-1]
        head.adapt(y)
        units = head.units
        y = units.to_standard_units(y)
        for learner in dict.fromkeys(self._learners):
            head = learner.layers[-1]
            head.adapt(y)
            head.set_units(units.in_standard_units())
        if self.augment is not None:
            self._y_noise.adapt(y.reshape(len(y), -1))
            network_lib.draw([self._y_noise], rng)
        for variable, value in self._before:
            variable.assign(value)
        joint = None
        if rows is not None:
            joint = JointMixture(self._measured(numbers)[rows], y, head.num_components, head.min_scale)
        weights, scale = [], None if hidden is None else self._standardization.scale.numpy()
        for member, (learner, layers) in enumerate(zip(self._learners, self._random_layers)):
            if hidden is not None:  # in units of infinity it is 0: one graph serves all
                seen, trees = np.split(scale, [-hidden.shape[1]])
                self._standardization.scale.assign(np.concatenate([seen, np.where(hidden[member], np.inf, trees)]))
            network_lib.draw(layers, rng)
            if joint is not None:
                learner.layers[-1].begin_as(joint.start(head.raw_outputs, ~held_out[rows, member]))
            weights.append([variable.numpy() for variable in learner.variables])
        self.learner.set_member_weights(weights)
        return units

    @numerics.with_infinities
    def _augment(self, x, y, weights):
        """Noise for batches of targets, which does not take them beyond their limits."""
        rows = self._y_noise(keras.ops.reshape(y, (-1, self._y_noise.bandwidth.shape[0])), training=True)
        rows = keras.ops.reshape(rows, keras.ops.shape(y))
        head = self._learners[0].layers[-1]
        if head.ends.names:
            limits = (tf.cast(limit, rows.dtype) for limit in (head.target_low, head.target_high))
            rows = folding.Interval(*limits).fold(rows)
        return x, rows, weights

    def learnt(self) -> Ensemble:
        """What the learner has learnt, as an ensemble that the next table leaves as it is: with heads in float64."""
        model = Ensemble(self._networks, name=NAME)  # of the same weights in the same order
        model.set_weights(self.learner.get_weights())
        return model

    def together(self, models: Sequence[Ensemble], weights: Sequence[float]) -> Ensemble:
        """Ensembles that `learnt` returned as one, in which each has a weight."""
        if len(models) == 1:
            return models[0]
        if len(models) not in self._several:
            self._several[len(models)] = Ensemble(len(models) * self._predictors, name=NAME).networks
        model = Ensemble(self._several[len(models)], name=NAME)
        model.set_member_weights([values for one in models for values in one.get_member_weights()])
        model.scale_temperature.assign(np.concatenate([one.scale_temperature.numpy() for one in models]))
        shares = np.repeat(np.log(weights), [one.num_members for one in models])
        model.member_log_weights.assign(shares + np.concatenate([one.member_log_weights.numpy() for one in models]))
        return model


def _own_model(network: Callable, earlier: list, seed: int) -> Callable:
    """What the user's function returns, which must not be one of the `earlier` models."""
    model = network(seed=seed) if "seed" in inspect.signature(network).parameters else network()
    if not callable(model) or any(model is other for other in earlier):
        problem = "the same model as before" if callable(model) else type(model).__name__
        raise TypeError(f"`network` must return a new Keras model each time it is called. Received: {problem}.")
    return model


class Workshops:
    """Those that are idle, the longest ones first. Their graphs and variables are what a fit need not make again."""

    def __init__(self):
        self._idle: list[tuple[tuple, Workshop]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._idle)

    def clear(self) -> None:
        """Lets all idle ones go, and their memory."""
        with self._lock:
            self._idle = []

    @contextlib.contextmanager
    def lend(self, design: Design, seed: int) -> Iterator[Workshop]:
        """A workshop of that design, for the caller alone: an idle one, or else a new one.

        After an error or an interrupt it is thrown away, as nobody knows the state that it is in. So is one with a
        user's networks: what these do need not show in their configs.
        """
        place = (design, *_surroundings())
        with self._lock:
            found = [number for number, (own_place, _) in enumerate(self._idle) if own_place == place]
            workshop = self._idle.pop(found[-1])[1] if found else None
        if workshop is None:
            workshop = Workshop(design, seed)
        yield workshop
        if design.network is None:
            with self._lock:
                self._idle = [*self._idle, (place, workshop)][-MOST_IDLE:]


def _surroundings() -> tuple:
    """What networks depend on that no argument says."""
    device = tf.zeros([]).device
    return keras.config.floatx(), keras.config.dtype_policy().name, tf.distribute.get_strategy(), device


workshops = Workshops()
