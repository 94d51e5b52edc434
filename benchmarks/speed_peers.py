"""The methods of the speed benchmark: ways to train one and the same network, and the list of all methods.

Packages are imported where they are used, so that each may be missing, tfmdn and TensorFlow too. Peers do what their
authors' own examples show. Shapes in comments: n rows, K components, D coordinates, S steps, B batch.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import speed_samplers

MIN_LOG_SCALE = math.log(1e-3)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A perceptron of `hidden` ReLU units, whose head is a mixture of K normals in D coordinates, trained by Adam."""

    hidden: tuple[int, ...]
    num_components: int
    size: int
    batch_size: int
    steps_per_epoch: int
    learning_rate: float = 1e-3
    replicas: int = 1
    seed: int = 0

    @property
    def params_size(self) -> int:
        return self.num_components * (1 + 2 * self.size)


def never() -> bool:
    return False


class Trainer:
    """A network and its training on rows x `[n, F]` and y `[n, D]`. `packages` are what it needs from PyPI."""

    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self, problem: Problem, x: np.ndarray, y: np.ndarray):
        self.problem, self.x, self.y = problem, x, y

    def run(self, epochs: int, after_epoch: Callable[[], bool] = never) -> None:
        """Trains, and returns when the work is done: after `epochs` epochs, or once `after_epoch()` is true."""
        raise NotImplementedError

    def nll(self, x: np.ndarray, y: np.ndarray) -> float:
        """The mean negative log-likelihood of other rows, in nats."""
        raise NotImplementedError

    def epochs(self, count: int) -> Iterator[np.ndarray]:
        """Row numbers `[S, B]` of each epoch. Every row is seen once before any is seen again."""
        rng = np.random.default_rng(self.problem.seed)
        shape = self.problem.steps_per_epoch, self.problem.batch_size
        waiting = np.empty(0, np.int64)
        for _ in range(count):
            while len(waiting) < math.prod(shape):
                waiting = np.concatenate([waiting, rng.permutation(len(self.x))])
            yield waiting[: math.prod(shape)].reshape(shape)
            waiting = waiting[math.prod(shape) :]


class KerasFit(Trainer):
    """Keras' `fit` on a tf.data pipeline, whose autotuner would stall it at the start of every epoch."""

    packages = ("keras", "tensorflow")
    library = "keras"

    def __init__(self, problem, x, y, steps_per_execution=1):
        import tensorflow as tf

        super().__init__(problem, x, y)
        self.keras = importlib.import_module(self.library)
        self.keras.utils.set_random_seed(problem.seed)
        hidden = [self.keras.layers.Dense(units, "relu") for units in problem.hidden]
        self.model = self.keras.Sequential([self.keras.Input(x.shape[1:]), *hidden, *self.head()])
        self.loss, self.callbacks = self.make_loss(), []
        self.model.compile(self.optimizer(), loss=self.loss, steps_per_execution=steps_per_execution)
        self.evaluate = tf.function(lambda x, y: tf.reduce_mean(self.loss(y, self.model(x))))

    def head(self) -> list:
        raise NotImplementedError

    def make_loss(self) -> Callable:
        raise NotImplementedError

    def optimizer(self):
        return self.keras.optimizers.Adam(self.problem.learning_rate)

    @functools.cached_property
    def data(self):
        import tensorflow as tf

        rows = tf.data.Dataset.from_tensor_slices((self.x, self.y))
        rows = rows.shuffle(len(self.x), seed=self.problem.seed).repeat()
        return without_autotune(rows.batch(self.problem.batch_size, drop_remainder=True).prefetch(2))

    def run(self, epochs, after_epoch=never):
        self.model.fit(
            self.data,
            epochs=epochs,
            steps_per_epoch=self.problem.steps_per_epoch,
            callbacks=[*self.callbacks, self.stopping(after_epoch)],
            verbose=0,
        )

    def stopping(self, after_epoch):
        def on_epoch_end(epoch, logs):
            self.model.stop_training = after_epoch()

        return self.keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)

    def nll(self, x, y):
        return float(self.evaluate(x, y))


def without_autotune(data):
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


class Floor(KerasFit):
    """What Keras' `fit` takes without a density: a dense head of the same width, trained on its mean square."""

    def head(self):
        return [self.keras.layers.Dense(self.problem.params_size)]

    def make_loss(self):
        return lambda y, outputs: self.keras.ops.mean(self.keras.ops.square(outputs))


class Tfmdn(KerasFit):
    """An `MDNLayer` in Keras' `fit`. With `averaging`, it ends every epoch with averages of the weights."""

    packages = ("tfmdn", "keras", "tensorflow")

    def __init__(self, problem, x, y, steps_per_execution=1, averaging=False):
        self.averaging = averaging
        super().__init__(problem, x, y, steps_per_execution)
        if averaging:
            self.callbacks = [self.keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]

    def head(self):
        import tfmdn

        head = tfmdn.MDNLayer(self.problem.num_components, () if self.problem.size == 1 else self.problem.size)
        head.adapt(self.y)
        return [head]

    def make_loss(self):
        import tfmdn

        return tfmdn.NegativeLogLikelihood()

    def optimizer(self):
        return self.keras.optimizers.Adam(self.problem.learning_rate, use_ema=self.averaging)


class TfmdnFit(Tfmdn):
    """`tfmdn.fit`, compiled by XLA at once: "auto" would not see that the rounds are one long training."""

    def run(self, epochs, after_epoch=never):
        import tfmdn

        tfmdn.fit(
            self.model,
            self.x,
            self.y,
            batch_size=self.problem.batch_size,
            epochs=epochs,
            steps_per_epoch=self.problem.steps_per_epoch,
            callbacks=[*self.callbacks, self.stopping(after_epoch)],
            verbose=0,
            jit_compile=True,
        )


class TfmdnStream(Tfmdn):
    """An `MDNLayer` on batches of Ha's inverse sinusoid that a generator makes as they are needed, without end."""

    @functools.cached_property
    def data(self):
        import tensorflow as tf

        import tfmdn

        problem = tfmdn.datasets.inverse_sinusoid()
        seeds = itertools.count()

        def batches():
            for seed in seeds:
                x, y = problem.sample(self.problem.batch_size, seed)
                yield x, y[:, np.newaxis]

        shape = tf.TensorSpec((self.problem.batch_size, 1))
        return without_autotune(tf.data.Dataset.from_generator(batches, output_signature=(shape, shape)).prefetch(2))


class TfmdnReplicas(Tfmdn):
    """`MirroredStrategy` over logical CPUs, which share the batch."""

    def __init__(self, problem, x, y):
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * problem.replicas)
        with tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(problem.replicas)]).scope():
            super().__init__(problem, x, y)


class KerasMDNLayer(KerasFit):
    packages = ("keras-mdn-layer", "keras", "tensorflow")

    def head(self):
        import keras_mdn_layer

        return [keras_mdn_layer.MDN(self.problem.size, self.problem.num_components)]

    def make_loss(self):
        import keras_mdn_layer

        return keras_mdn_layer.get_mixture_loss_func(self.problem.size, self.problem.num_components)


class TFPLayers(KerasFit):
    """TensorFlow Probability's own layer, which needs the old Keras."""

    packages = ("tensorflow-probability", "tf_keras", "tensorflow")
    library = "tf_keras"

    def head(self):
        from tensorflow_probability import layers

        count, event_shape = self.problem.num_components, [self.problem.size]
        dense = self.keras.layers.Dense(layers.MixtureNormal.params_size(count, event_shape))
        return [dense, layers.MixtureNormal(count, event_shape)]

    def make_loss(self):
        return lambda y, mixture: -mixture.log_prob(y)


class Torch(Trainer):
    """PyTorch by hand, with Adam's fused kernels. The network predicts the logarithms of the scales."""

    packages = ("torch",)

    def __init__(self, problem, x, y):
        import torch

        super().__init__(problem, torch.from_numpy(x), torch.from_numpy(y))
        torch.manual_seed(problem.seed)
        self.model = self.network()
        self.optimizer = torch.optim.Adam(self.model.parameters(), problem.learning_rate, fused=True)

    def network(self):
        from torch import nn

        sizes = [self.x.shape[1], *self.problem.hidden]
        hidden = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(sizes[-1], self.problem.params_size))

    def split(self, outputs):
        """Logits `[B, K]`, centres and raw scales `[B, K, D]`."""
        k, size = self.problem.num_components, self.problem.size
        logits, loc, raw = outputs.split([k, k * size, k * size], -1)
        return logits, loc.unflatten(-1, (k, size)), raw.unflatten(-1, (k, size))

    def log_prob(self, x, y):
        import torch

        logits, loc, log_scale = self.split(self.model(x))
        log_scale = log_scale.clamp(min=MIN_LOG_SCALE)
        z = (y[:, None] - loc) * torch.exp(-log_scale)
        components = -(0.5 * z.square() + log_scale + 0.5 * math.log(2.0 * math.pi)).sum(-1)
        return torch.logsumexp(torch.log_softmax(logits, -1) + components, -1)

    def run(self, epochs, after_epoch=never):
        import torch

        for order in self.epochs(epochs):
            for rows in torch.from_numpy(order):
                self.optimizer.zero_grad()
                (-self.log_prob(self.x[rows], self.y[rows]).mean()).backward()
                self.optimizer.step()
            if after_epoch():
                break

    def nll(self, x, y):
        import torch

        with torch.no_grad():
            return -float(self.log_prob(torch.from_numpy(x), torch.from_numpy(y)).mean())


class TorchDistributions(Torch):
    def log_prob(self, x, y):
        import torch
        from torch import distributions

        logits, loc, raw = self.split(self.model(x))
        scale = torch.nn.functional.softplus(raw) + 1e-3
        components = distributions.Independent(distributions.Normal(loc, scale), 1)
        return distributions.MixtureSameFamily(distributions.Categorical(logits=logits), components).log_prob(y)


class Zuko(Torch):
    packages = ("zuko", "torch")

    def network(self):
        import zuko

        return zuko.mixtures.GMM(
            self.problem.size,
            self.x.shape[1],
            components=self.problem.num_components,
            covariance_type="diagonal",
            hidden_features=self.problem.hidden,
        )

    def log_prob(self, x, y):
        return self.model(x).log_prob(y)


class Jax(Trainer):
    """JAX and Adam by hand, an epoch in one scan. The network predicts the logarithms of the scales.

    With `averaging`, the averages of the weights that Keras' optimizers keep are evaluated.
    """

    packages = ("jax",)

    def __init__(self, problem, x, y, averaging=False):
        import jax
        import jax.numpy as jnp

        super().__init__(problem, jnp.asarray(x), jnp.asarray(y))
        sizes = [x.shape[1], *problem.hidden, problem.params_size]
        kernels = jax.nn.initializers.glorot_uniform()
        keys = jax.random.split(jax.random.key(problem.seed), len(sizes) - 1)
        params = [(kernels(key, shape), jnp.zeros(shape[1])) for key, shape in zip(keys, itertools.pairwise(sizes))]
        zeros = jax.tree.map(jnp.zeros_like, params)
        self.state = params, zeros, zeros, jnp.asarray(0), params
        self.averaging = averaging
        self.epoch = jax.jit(self.scan)
        self.loss = jax.jit(self.mean_nll)

    def mean_nll(self, params, x, y):
        import jax
        import jax.numpy as jnp

        *hidden, (kernel, bias) = params
        for hidden_kernel, hidden_bias in hidden:
            x = jax.nn.relu(x @ hidden_kernel + hidden_bias)
        k = self.problem.num_components
        logits, loc, log_scale = jnp.split(x @ kernel + bias, [k, k + k * self.problem.size], -1)
        loc, log_scale = (part.reshape(len(y), k, -1) for part in (loc, jnp.maximum(log_scale, MIN_LOG_SCALE)))
        z = (y[:, None] - loc) * jnp.exp(-log_scale)
        components = -(0.5 * z**2 + log_scale + 0.5 * math.log(2.0 * math.pi)).sum(-1)
        return -jax.nn.logsumexp(jax.nn.log_softmax(logits) + components, -1).mean()

    def scan(self, state, order, x, y):
        import jax

        return jax.lax.scan(lambda state, rows: (self.step(state, x[rows], y[rows]), None), state, order)[0]

    def step(self, state, x, y):
        import jax
        import jax.numpy as jnp

        params, first, second, count, average = state
        gradients = jax.grad(self.mean_nll)(params, x, y)
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradients)
        rate = self.problem.learning_rate * jnp.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), params, first, second)
        if self.averaging:
            average = jax.tree.map(lambda a, p: 0.99 * a + 0.01 * p, average, params)
        return params, first, second, count, average

    def run(self, epochs, after_epoch=never):
        import jax

        for order in self.epochs(epochs):
            self.state = jax.block_until_ready(self.epoch(self.state, order, self.x, self.y))
            if after_epoch():
                break

    def nll(self, x, y):
        return float(self.loss(self.state[4 if self.averaging else 0], x, y))


@dataclasses.dataclass(frozen=True)
class Method:
    """A class and the arguments it gets beside the problem and the data."""

    kind: type[Trainer] | type[speed_samplers.Sampler]
    options: dict = dataclasses.field(default_factory=dict)

    def build(self, *args, **kwargs) -> Trainer | speed_samplers.Sampler:
        return self.kind(*args, **kwargs, **self.options)


TRAINERS: dict[str, Method] = {
    "floor": Method(Floor),
    "floor-50": Method(Floor, {"steps_per_execution": 50}),
    "tfmdn": Method(Tfmdn),
    "tfmdn-50": Method(Tfmdn, {"steps_per_execution": 50}),
    "tfmdn.fit": Method(TfmdnFit),
    "keras-mdn-layer": Method(KerasMDNLayer),
    "keras-mdn-layer-50": Method(KerasMDNLayer, {"steps_per_execution": 50}),
    "tfp.layers": Method(TFPLayers),
    "tfp.layers-50": Method(TFPLayers, {"steps_per_execution": 50}),
    "torch": Method(Torch),
    "torch.distributions": Method(TorchDistributions),
    "zuko": Method(Zuko),
    "jax": Method(Jax),
    # With averages of the weights, for the time to quality.
    "tfmdn-averaged": Method(Tfmdn, {"averaging": True}),
    "tfmdn.fit-averaged": Method(TfmdnFit, {"averaging": True}),
    "jax-averaged": Method(Jax, {"averaging": True}),
    # For the growth.
    "tfmdn-stream": Method(TfmdnStream),
    "tfmdn-replicas": Method(TfmdnReplicas),
}
SAMPLERS: dict[str, Method] = {
    "tfmdn.Mixture": Method(speed_samplers.TfmdnSampler),
    "tfp.distributions": Method(speed_samplers.TFPSampler),
    "torch-sampler": Method(speed_samplers.TorchSampler),
    "jax-sampler": Method(speed_samplers.JaxSampler),
}
METHODS = TRAINERS | SAMPLERS
