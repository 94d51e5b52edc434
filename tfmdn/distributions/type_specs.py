"""The names by which SavedModels know tfmdn's distributions."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics, tensorflow_internals, tfp_internals

# Of these there may be infinite ones.
LIMITS = ("low", "high", "mirror_low", "mirror_high")


def registered(distribution: type) -> type:
    """A class decorator: files name the distribution `tfmdn.<class>`, whatever module it is defined in.

    TFP's own choice, the module's name, would make every file unreadable once the module moves.
    """
    made = tfp.experimental.auto_composite_tensor(
        distribution, omit_kwargs=("parameters",), non_identifying_kwargs=("name",), module_name="tfmdn"
    )
    return tfp_internals.with_changed_components(made, f"tfmdn.{made.__name__}_ACTTypeSpec", _finite, _as_they_were)


def _finite(components: dict) -> dict:
    """Tensors without infinities, if `tf.debugging.enable_check_numerics()` looks for them in what functions return."""
    if not tensorflow_internals.checks_numerics():
        return components
    with tensorflow_internals.meant_infinities():
        return {name: _finite_once(value) if name in LIMITS else value for name, value in components.items()}


def _finite_once(value) -> tf.Tensor:
    """The same tensor each time, as TensorFlow takes another one for a change of what a function was given."""
    value = tf.convert_to_tensor(value)
    known = getattr(value, "_tfmdn_finite", None)
    if known is None or (tf.is_symbolic_tensor(known) and known.graph is not tf.compat.v1.get_default_graph()):
        known = value._tfmdn_finite = numerics.without_infinities(value)
    return known


def _as_they_were(components: dict) -> dict:
    if not tensorflow_internals.checks_numerics():
        return components
    change = numerics.with_infinities(numerics.with_infinities_again)
    return {
        name: change(value) if name in LIMITS and tf.is_tensor(value) else value for name, value in components.items()
    }
