"""What the networks of a kind of table, and their optimizer, are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras

from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular.layout import Layout


@dataclasses.dataclass(frozen=True)
class Design:
    """What the networks, and their optimizer, are made of.

    Attributes:
      layout: which of the features are what.
      event_shape: the shape of a target.
      target_format: what is said of targets.
      num_members: the number of networks M.
      head: the arguments of the `MDNLayer` that each ends in, by name.
      hidden_units: the sizes of the default network's dense layers.
      has_bins: whether the default network has a `PiecewiseLinearEmbedding`.
      is_joint: whether components may start as a Gaussian mixture of numbers and targets says.
      network: a function that returns the hidden part of a network, in place of the default one.
      x_noise: noise on the features while training, a multiple of `NoiseRegularization`'s rule of thumb.
      y_noise: the same on the targets.
      learning_rate: the learning rate after the warm-up.
      warm_up: the length of the warm-up in steps.
      weight_decay: the decay of kernels.
      averaged: over about how many steps the weights are averaged.
    """

    layout: Layout
    event_shape: tuple[int, ...]
    target_format: TargetFormat
    num_members: int
    head: tuple[tuple[str, object], ...]
    hidden_units: tuple[int, ...]
    has_bins: bool
    is_joint: bool
    network: Callable[..., keras.Model] | None
    x_noise: float
    y_noise: float
    learning_rate: float
    warm_up: int
    weight_decay: float
    averaged: int
