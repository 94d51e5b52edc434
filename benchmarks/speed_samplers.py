"""The methods of the speed benchmark that draw from one and the same batch of mixtures.

Shapes in comments: B mixtures, K components, D coordinates, N draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np


class Sampler:
    """Draws from B mixtures of K normals in D coordinates: logits `[B, K]`, loc and scale `[B, K, D]`."""

    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self, num_draws: int, logits: np.ndarray, loc: np.ndarray, scale: np.ndarray):
        self.num_draws = num_draws
        self.draw = self.compiled(logits, loc, scale)

    def compiled(self, logits, loc, scale) -> Callable[[], object]:
        """A function that returns draws `[N, B, D]` when they are done."""
        raise NotImplementedError

    def run(self, repeats: int) -> None:
        for _ in range(repeats):
            self.draw()


class TFPSampler(Sampler):
    packages = ("tensorflow-probability", "tensorflow")

    def mixture_class(self):
        import tensorflow_probability as tfp

        return tfp.distributions.MixtureSameFamily

    def compiled(self, logits, loc, scale):
        import tensorflow as tf
        import tensorflow_probability as tfp

        tfd = tfp.distributions
        mixture = self.mixture_class()(tfd.Categorical(logits=logits), tfd.MultivariateNormalDiag(loc, scale))
        return tf.function(lambda: mixture.sample(self.num_draws))


class TfmdnSampler(TFPSampler):
    packages = ("tfmdn", "tensorflow-probability", "tensorflow")

    def mixture_class(self):
        import tfmdn

        return tfmdn.Mixture


class TorchSampler(Sampler):
    packages = ("torch",)

    def compiled(self, logits, loc, scale):
        import torch
        from torch import distributions

        logits, loc, scale = (torch.from_numpy(array) for array in (logits, loc, scale))
        components = distributions.Independent(distributions.Normal(loc, scale), 1)
        mixture = distributions.MixtureSameFamily(distributions.Categorical(logits=logits), components)
        return lambda: mixture.sample((self.num_draws,))


class JaxSampler(Sampler):
    """The component first, then a gather of its parameters."""

    packages = ("jax",)

    def compiled(self, logits, loc, scale):
        import jax
        import jax.numpy as jnp

        @jax.jit
        def draw(key, logits, loc, scale):
            choice, noise = jax.random.split(key)
            component = jax.random.categorical(choice, logits, shape=(self.num_draws, len(logits)))  # [N, B]
            loc, scale = (values[jnp.arange(len(logits)), component] for values in (loc, scale))
            return loc + scale * jax.random.normal(noise, loc.shape)

        arguments = jax.random.key(0), *map(jnp.asarray, (logits, loc, scale))
        return lambda: jax.block_until_ready(draw(*arguments))
