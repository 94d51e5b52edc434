"""Normal distributions that know their parameters in standard units, and the location and scale of these.

They are what an `MDNLayer` outputs, and their density is computed of what they were made of (see `densities`). To TFP
and to users they are its own normals: they have `loc` and `scale`, and with another of these they are TFP's own.

Shapes in comments: B batch, D coordinates.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import tfp_internals
from tfmdn.distributions.type_specs import registered

tfd = tfp.distributions
PARAMETERS = ("standard_loc", "standard_log_scale", "target_location", "target_scale")


class Rescaled:
    """A mixin, before one of TFP's normals: y = target_location + target_scale * z for a normal z in standard units.

    The names of a subclass's own parameters are `PARAMETERS`.
    """

    standard_loc = property(lambda self: self._standard_loc, doc="The centre in standard units.")
    standard_log_scale = property(lambda self: self._standard_log_scale, doc="The log of the scale in standard units.")
    target_location = property(lambda self: self._target_location, doc="What 0 is in standard units.")
    target_scale = property(lambda self: self._target_scale, doc="How large a standard unit is.")

    def _set_tensors(self, values: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """Keeps the parameters as tensors, and returns `loc` and `scale`."""
        dtype = next((tf.as_dtype(values[name].dtype) for name in PARAMETERS if hasattr(values[name], "dtype")), None)
        for name in PARAMETERS:
            setattr(self, f"_{name}", tf.convert_to_tensor(values[name], dtype, tf.float32))
        loc = self._target_location + self._target_scale * self._standard_loc
        return loc, tf.exp(self._standard_log_scale + tf.math.log(self._target_scale))

    plain_kind: type[tfd.Distribution]  # TFP's own

    def plain_arguments(self) -> dict:
        """What the same distribution of TFP's own kind is made of."""
        raise NotImplementedError

    def plain(self) -> tfd.Distribution:
        """The same distribution, of TFP's own kind."""
        return self.plain_kind(**self.plain_arguments())

    def copy(self, **overrides) -> tfd.Distribution:
        """As TFP's. With another `loc` or scale it is of TFP's own kind."""
        is_own = overrides.keys() <= self.parameters.keys()
        return super().copy(**overrides) if is_own else self.plain_kind(**{**self.plain_arguments(), **overrides})

    def _batch_shape_tensor(self, **_):
        return super()._batch_shape_tensor()  # TFP's normals pass `loc` and `scale` on, which it would not know


@registered
class RescaledNormal(Rescaled, tfd.Normal):
    """`tfd.Normal(target_location + target_scale * standard_loc, target_scale * exp(standard_log_scale))`.

    Args:
      standard_loc: `[*B]`.
      standard_log_scale: `[*B]`.
      target_location: broadcastable with `[*B]`.
      target_scale: broadcastable with `[*B]`.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.
    """

    def __init__(
        self,
        standard_loc,
        standard_log_scale,
        target_location,
        target_scale,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "RescaledNormal",
    ):
        arguments = dict(locals())
        loc, scale = self._set_tensors(arguments)
        super().__init__(loc, scale, validate_args, allow_nan_stats, name)
        tfp_internals.set_parameters(self, arguments)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {name: tfp.util.ParameterProperties() for name in PARAMETERS}

    plain_kind = tfd.Normal

    def plain_arguments(self) -> dict:
        flags = {"validate_args": self.validate_args, "allow_nan_stats": self.allow_nan_stats}
        return {"loc": self.loc, "scale": self.scale, **flags}


@registered
class RescaledMultivariateNormalDiag(Rescaled, tfd.MultivariateNormalDiag):
    """`tfd.MultivariateNormalDiag` of independent coordinates that are `RescaledNormal`.

    Args:
      standard_loc: `[*B, D]`.
      standard_log_scale: `[*B, D]`.
      target_location: `[D]`, or broadcastable with `[*B, D]`.
      target_scale: `[D]`, or broadcastable with `[*B, D]`.
      validate_args: whether parameters are checked.
      allow_nan_stats: whether undefined statistics are NaN. If False they raise.
      name: prefix of the names of operations.
    """

    def __init__(
        self,
        standard_loc,
        standard_log_scale,
        target_location,
        target_scale,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "RescaledMultivariateNormalDiag",
    ):
        arguments = dict(locals())
        loc, scale = self._set_tensors(arguments)
        super().__init__(loc, scale, validate_args=validate_args, allow_nan_stats=allow_nan_stats, name=name)
        tfp_internals.set_parameters(self, arguments)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {name: tfp.util.ParameterProperties(event_ndims=1) for name in PARAMETERS}

    plain_kind = tfd.MultivariateNormalDiag

    def plain_arguments(self) -> dict:
        flags = {"validate_args": self.validate_args, "allow_nan_stats": self.allow_nan_stats}
        return {"loc": self.loc, "scale_diag": self.scale.diag_part(), **flags}
