"""What tfmdn needs of Keras that has no public name there. All of it stands here, and nowhere else.

tests/test_keras_internals.py holds that Keras has these names, and that what they are for happens. Where a Keras
without a name would leave something undone and not say so, this raises.
"""

from __future__ import annotations

import contextlib
import functools
import json
import weakref
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf


def _unknown(name: str, consequence: str) -> RuntimeError:
    return RuntimeError(
        f"tfmdn knows {name} of Keras, which Keras {keras.__version__} does not have: {consequence}. Use a Keras that "
        "this version of tfmdn was tested with, or a newer tfmdn."
    )


# Masks


def mask_of(value) -> tf.Tensor | None:
    """Which steps of sequences count that a tensor or a mixture is of, booleans `[*B]`; None if nothing is masked."""
    return getattr(value, "_keras_mask", None)


def masked(value, mask: tf.Tensor | None):
    """The value itself, of which Keras now knows the mask, unless that is None."""
    if mask is not None:
        value._keras_mask = mask
    return value


@functools.cache
def require_masks() -> None:
    """Raises unless Keras keeps masks where `mask_of` looks: otherwise masked steps would count.

    Raises:
      RuntimeError: if it does not.
    """
    with tf.init_scope():
        steps = keras.layers.Masking(name="masking_of_tfmdn")(tf.zeros([1, 1, 1]))
    if mask_of(steps) is None:
        raise _unknown("the `_keras_mask` of tensors", "masked steps would count")


# The loop of `fit`


def build_losses_on_distributions() -> None:
    """Lets losses and metrics have the model's own output when Keras, under a strategy, first creates their state.

    Keras calls them on placeholders then, which have the shape and the dtype of the output, but no `log_prob`.
    """
    build = keras.Model._symbolic_build
    if hasattr(build, "__wrapped__"):  # by an earlier import of this module
        return

    @functools.wraps(build)
    def build_on_outputs(self, iterator=None, data_batch=None):
        states = [self._compile_metrics, self._compile_loss]
        states = [state for state in states if state is not None and not state.built]
        if states and data_batch is not None:
            _build_on_outputs(self, states, data_batch)
        return build(self, iterator=iterator, data_batch=data_batch)

    keras.Model._symbolic_build = build_on_outputs


def _build_on_outputs(model: keras.Model, states: list, data_batch) -> None:
    """Builds what holds the metrics and the losses of a model by calling it, if the model outputs a distribution."""

    @tf.autograph.experimental.do_not_convert
    def call(data_batch):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data_batch)
        outputs = model(x, training=False)
        if any(hasattr(output, "log_prob") for output in keras.tree.flatten(outputs)):
            for state in states:  # weights, of which an ensemble has some by member, make no difference to it
                getattr(state, "update_state", state)(y, outputs)

    specs = keras.tree.map_structure(
        lambda value: None if value is None else tf.TensorSpec(value.shape, value.dtype), data_batch
    )
    with keras.StatelessScope(), keras.SymbolicScope():
        tf.function(call).get_concrete_function(specs)


def guard_steps(guard: Callable[[keras.Model, Callable], Callable], marks: Callable[[Exception], bool]) -> None:
    """Lets `fit`, `evaluate`, `train_on_batch` and `test_on_batch` of all models take the steps that a guard returns.

    Args:
      guard: maps a model and its step, which takes the data of a batch, to the step that is taken.
      marks: tells which errors are to say in which batch they were raised.

    Raises:
      RuntimeError: if Keras makes its functions in another way, and steps would not be guarded.
    """
    make = getattr(keras.Model, "_make_function", None)
    if make is None:
        raise _unknown("the `_make_function` of models", "what stands in rows of weight 0 would be learnt from")
    if hasattr(make, "__wrapped__"):  # by an earlier import
        return

    @functools.wraps(make)
    def make_guarded(self, step_function):
        return _telling_the_batch(self, make(self, guard(self, step_function)), marks)

    keras.Model._make_function = make_guarded


def _telling_the_batch(model: keras.Model, function: Callable, marks: Callable[[Exception], bool]) -> Callable:
    """The function of an iterator, whose errors say how many batches of the iterator came before."""
    last, count = None, 0

    def telling(iterator):
        nonlocal last, count
        if last is None or last() is not iterator:
            last, count = weakref.ref(iterator), 0
        try:
            outputs = function(iterator)
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            if not marks(error) or not isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
                raise
            steps = model.steps_per_execution
            where = f"batch {count}" if steps == 1 else f"batches {count} to {count + steps - 1}"
            raise with_message(error, f"In {where} of this pass, from 0: {{}}") from error
        count += model.steps_per_execution
        return outputs

    return telling


def with_message(error: Exception, template: str) -> Exception:
    """An error of the same type, whose message is that of the first in a template."""
    if isinstance(error, tf.errors.OpError):
        return type(error)(error.node_def, error.op, template.format(error.message))
    return type(error)(template.format(error))


@contextlib.contextmanager
def after_checks(model: keras.Model, collection: str, check: Callable[[list], list]) -> Iterator[None]:
    """Lets the optimizer of a model, in a step that is traced, wait for the operations of a collection of the graph.

    Otherwise TensorFlow counts steps and decays weights before it has found that a batch cannot be learnt from.

    Args:
      model: the model, in whose step this is.
      collection: its name.
      check: makes further operations of the gradients.
    """
    optimizer = getattr(model, "optimizer", None)
    is_alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
    # The variables of one that is not built yet cannot wait for anything. It is built when the step is traced again.
    is_built = isinstance(optimizer, keras.optimizers.Optimizer) and optimizer.built
    if tf.executing_eagerly() or not is_alone or not is_built:
        yield
        return
    apply = optimizer.apply

    @functools.wraps(apply)
    def apply_after_checks(grads, *args, **kwargs):
        grads = list(grads)
        with tf.control_dependencies([*tf.compat.v1.get_collection(collection), *check(grads)]):
            return apply(grads, *args, **kwargs)

    optimizer.apply = apply_after_checks
    try:
        yield
    finally:
        del optimizer.apply


def initial_epoch(model: keras.Model) -> int | None:
    """The epoch that a callback wants `fit` to go on from, or None."""
    return model._initial_epoch


def set_initial_epoch(model: keras.Model, epoch: int | None) -> None:
    """Lets `fit` go on from an epoch, when it begins; or, by None, from the one that it is given.

    Raises:
      RuntimeError: if the model has no such attribute, and training would begin anew.
    """
    if not hasattr(model, "_initial_epoch"):
        raise _unknown("the `_initial_epoch` of models", "training would not go on where it was")
    model._initial_epoch = epoch


def replace_train_function(model: keras.Model, function: Callable) -> Callable:
    """Lets `fit` call another function on its iterator from the next batch on. Returns the one that it has called.

    Raises:
      RuntimeError: if there was none, and the other would not be called either.
    """
    before = getattr(model, "train_function", None)
    if before is None:
        raise _unknown("the `train_function` of models in training", "it could not be replaced")
    model.train_function = function
    return before


def require_call_of(is_called: bool) -> None:
    """Raises if a function that stands in for a model's `train_function` was not called for a batch."""
    if not is_called:
        raise _unknown("the `train_function` that `fit` calls for each batch", "its batches would be learnt from twice")


# Models, metrics and optimizers


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """The model and all layers in it, however deep. (`model.layers` are those of models, not of layers in layers.)"""
    return list(model._flatten_layers())


def convert_inputs_of_models_within(context: Callable) -> None:
    """Lets functional models, nested ones too, convert what they are called with in a context."""
    from keras.src.models.functional import Functional

    convert = getattr(Functional, "_convert_inputs_to_tensors", None)
    if convert is None:  # then a nested model of half precision gets means of mixtures, which losses refuse
        return

    @functools.wraps(convert)
    def convert_within(self, flat_inputs):
        with context():
            return convert(self, flat_inputs)

    Functional._convert_inputs_to_tensors = convert_within


def is_functional(model: keras.Model) -> bool:
    """Whether it is a graph of operations, which `run_through` goes through."""
    return hasattr(model, "_run_through_graph")


def run_through(model: keras.Model, inputs, call: Callable):
    """What a functional model returns if `call(operation, *args, **kwargs)` is done in the place of each operation."""
    return model._run_through_graph(inputs, call_fn=call)


def set_direction(metric: keras.metrics.Metric, direction: str) -> None:
    """Tells callbacks with `mode="auto"` whether more of a metric is better, "up", or less, "down"."""
    metric._direction = direction


def slots_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> dict[str, keras.Variable]:
    """What an optimizer remembers of a variable, in its shape: by name, such as "momentum" or "average".

    Raises:
      RuntimeError: if there are variables of that shape, but not one of the name.
    """
    prefix = variable.path.replace("/", "_") + "_"
    alike = [slot for slot in optimizer.variables if slot.shape == variable.shape]
    slots = {slot.name.removeprefix(prefix): slot for slot in alike if slot.name.startswith(prefix)}
    if alike and not slots:
        raise _unknown(
            f"what the names of an optimizer's variables begin with, {prefix!r} here, but for {alike[0].name!r}",
            "what it remembers of a weight could not be found",
        )
    return slots


def architecture(model: keras.Model) -> str:
    """The config of a model, with numbers for the names of layers: the same for networks that differ in these only.

    A model without a config has an architecture of its own.
    """
    names = {layer.name for layer in layers_of(model)}  # dtype policies have names too, which count
    numbers = {}

    def number(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    def renamed(part):
        if isinstance(part, dict):
            return {
                key: number(value) if key == "name" and isinstance(value, str) and value in names else renamed(value)
                for key, value in sorted(part.items())
                if key != "shared_object_id"  # which Keras adds while it reads a file
            }
        if isinstance(part, (list, tuple)):
            # An output of a layer, as what another takes in: the name, and two numbers.
            is_output = list(map(type, part)) == [str, int, int] and part[0] in names
            return [number(part[0]), *part[1:]] if is_output else list(map(renamed, part))
        return part

    try:
        return json.dumps(renamed(keras.saving.serialize_keras_object(model)))
    except (NotImplementedError, TypeError, ValueError):  # a subclassed model without a config
        return str(id(model))
