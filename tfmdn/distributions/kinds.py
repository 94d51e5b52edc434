"""What differs between kinds of components, and TFP does not tell: a generic function for each question.

A kind answers where its distribution is defined, or here if it is one of TFP's. What is not answered has the default.
"""

from __future__ import annotations

import functools

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


@functools.singledispatch
def limits(components: tfd.Distribution) -> tuple[tf.Tensor | float, tf.Tensor | float] | None:
    """The lowest and the highest value with a density above 0, broadcastable with the components; None for all."""
    return None


@functools.singledispatch
def logarithm(components: tfd.Distribution) -> tfd.Distribution | None:
    """The univariate distribution of log y, where y is positive and searches are easier in log y; else None."""
    return None


@limits.register
def _(components: tfd.Independent):
    return limits(components.distribution)
