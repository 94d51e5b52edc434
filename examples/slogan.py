"""The alternative: a Wasserstein GAN on pairs (x, y), beside a mixture density network on the same 1,000 pairs.

SLOGAN is a Wasserstein GAN with a single-sided Lipschitz condition. A generator turns noise into pairs. A critic learns
to give low values to real pairs and high values to generated ones, and pays for slopes above 1 between them; the
generator learns to lower the values of its pairs. One `train_step` is a step of the critic and, when that has made
enough of them, one of the generator. `tfmdn.fit` runs the steps of any Keras model in compiled loops: minutes for the
328,000 steps of the critic.

The GAN learns the joint distribution: it can be drawn from, but gives neither a density nor y for a given x. For the
comparison the mixture's x are drawn from the training pairs. The number is the energy distance to fresh pairs,
2 E|P - Q| - E|P - P'| - E|Q - Q'|, without bias: for two samples of one distribution it is about 0, and may be below.

slogan.png: fresh pairs, the GAN's, the mixture's.

    python examples/slogan.py                    # some minutes; and --quick, for a look
    python examples/slogan.py --seeds 0 1 2

Energy distance to fresh pairs, mean of three times 4,000 draws, for the seeds 0, 1 and 2 (three, as the GAN takes
minutes). How the training pairs do when they are drawn again shows what 1,000 of them can tell:

    GAN, 30,000 steps                 0.040  0.035  0.039
    mixture, 200 epochs               0.014  0.007  0.017
    training pairs, drawn again       0.014  0.008  0.025
    other fresh pairs                -0.000 -0.001 -0.001
"""

import argparse

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from _pictures import DATA, MODEL, save
from _running import over_seeds, parse_arguments
from one_dimensional import PROBLEM, ROWS, train_tfmdns_way
from scipy.spatial.distance import cdist

import tfmdn

BATCH_SIZE = 32
NUM_DRAWS, REPEATS = 4_000, 3


def network(inputs: int, units: int, outputs: int) -> keras.Model:
    def dense(size, activation=None):
        return keras.layers.Dense(size, activation, kernel_initializer=keras.initializers.Orthogonal(gain=2.0))

    return keras.Sequential([keras.Input((inputs,)), dense(units, "relu"), dense(units, "relu"), dense(outputs)])


class Slogan(keras.Model):
    """A generator of pairs and its critic.

    Args:
      seed: seed of the noise.
      noise_size: size of the noise that a pair is made of.
      penalty: weight of the Lipschitz condition.
    """

    def __init__(self, seed: int, noise_size: int = 256, penalty: float = 10.0):
        super().__init__()
        self.seed, self.noise_size, self.penalty = seed, noise_size, penalty
        self.generator, self.critic = network(noise_size, 128, 2), network(2, 50, 1)
        self.critic_steps = self.add_weight(name="critic_steps", shape=(), dtype="int32", trainable=False)

    def compile(self, generator_optimizer: keras.Optimizer, critic_optimizer: keras.Optimizer) -> None:
        super().compile()
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)

    def generate(self, n: int, index) -> tf.Tensor:
        """Pairs `[n, 2]`, others for each index."""
        # XLA's own random numbers are slow on CPUs.
        noise = tf.random.stateless_normal([n, self.noise_size], [self.seed, index], alg="philox")
        return self.generator(noise)

    def train_step(self, real):
        fake = self.generate(BATCH_SIZE, 2 * self.critic_optimizer.iterations)
        with tf.GradientTape() as tape:
            distance, loss = self.critic_loss(real, fake)
        variables = self.critic.trainable_variables
        self.critic_optimizer.apply(tape.gradient(loss, variables), variables)
        self.critic_steps.assign_add(1)
        due = self.critic_steps >= steps_of_critic(self.generator_optimizer.iterations, tf.where)
        tf.cond(due, self.generator_step, lambda: None)
        return {"distance": distance}

    def critic_loss(self, real: tf.Tensor, fake: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The estimate of the Wasserstein distance per pair, and the loss."""
        of_real, of_fake = self.critic(real), self.critic(fake)  # [n, 1]
        difference = tf.reduce_sum(of_fake) - tf.reduce_sum(of_real)
        squared_distance = tf.reduce_sum(tf.square(real[:, tf.newaxis] - fake), -1)  # [n, n]
        slope = tf.abs(of_real - tf.transpose(of_fake)) / (tf.sqrt(squared_distance) + 1e-6)
        excess = tf.reduce_sum(tf.square(tf.nn.relu(slope - 1.0)))
        return difference / BATCH_SIZE, self.penalty * excess - difference

    def generator_step(self) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(self.critic(self.generate(BATCH_SIZE, 2 * self.critic_optimizer.iterations + 1)))
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(loss, variables), variables)
        self.critic_steps.assign(0)


def steps_of_critic(generator_step, where=np.where):
    """The critic's steps before a step of the generator: many at first and now and then, for it to catch up."""
    return where((generator_step < 10) | (generator_step % 100 == 0), 100, 10)


def train_gan(seed: int, generator_steps: int) -> Slogan:
    def adam(boundaries):
        rates = [1e-3, 1e-3 / 3, 1e-3 / 9]
        return keras.optimizers.Adam(keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates))

    keras.utils.set_random_seed(seed)
    critic_steps = np.cumsum(steps_of_critic(np.arange(generator_steps)))
    thirds = [generator_steps // 3, 2 * generator_steps // 3]
    model = Slogan(seed)
    model.compile(adam(thirds), adam([int(critic_steps[third - 1]) for third in thirds]))
    tfmdn.fit(
        model,
        pairs(ROWS, seed),
        batch_size=BATCH_SIZE,
        steps_per_epoch=int(critic_steps[-1]),
        drop_remainder=True,
        verbose=0,
        jit_compile=True,
    )
    return model


def pairs(n: int, seed: int) -> np.ndarray:
    """Pairs (x, y) `[n, 2]` of the problem."""
    return np.column_stack(PROBLEM.sample(n, seed=seed))


def fresh_pairs(seed: int, draw: int) -> np.ndarray:
    return pairs(NUM_DRAWS, 10_000 + 1_000 * draw + seed)


def training_pairs(seed: int, draw: int) -> np.ndarray:
    """Pairs drawn from the training pairs, with replacement."""
    return np.random.default_rng(draw).choice(pairs(ROWS, seed), NUM_DRAWS)


def mixture_pairs(model: keras.Model, seed: int, draw: int) -> np.ndarray:
    """Pairs of x from the training pairs and y from the mixture."""
    x = training_pairs(seed, draw)[:, :1]
    return np.column_stack([x, model(x).sample(seed=draw)])


def energy_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The energy distance of two distributions, of as many draws `[n, 2]` of each, without bias."""
    n = len(first)
    within = (cdist(first, first).sum() + cdist(second, second).sum()) / (n * (n - 1))
    return 2 * cdist(first, second).mean() - within


def evaluate(gan: Slogan, mixture: keras.Model, seed: int) -> dict[str, float]:
    def to_fresh(sample) -> float:
        """The mean energy distance of repeated draws to fresh pairs."""
        return float(np.mean([energy_distance(sample(r), fresh_pairs(seed, r)) for r in range(REPEATS)]))

    return {
        "energy distance: GAN": to_fresh(lambda r: gan.generate(NUM_DRAWS, -1 - r)),
        "energy distance: mixture": to_fresh(lambda r: mixture_pairs(mixture, seed, r)),
        "energy distance: training pairs drawn again": to_fresh(lambda r: training_pairs(seed, REPEATS + r)),
        "energy distance: other fresh pairs": to_fresh(lambda r: fresh_pairs(seed, REPEATS + r)),
    }


def draw(gan: Slogan, mixture: keras.Model, seed: int, arguments: argparse.Namespace) -> None:
    panels = {
        "the truth: fresh pairs": fresh_pairs(seed, 0),
        "Wasserstein GAN": gan.generate(NUM_DRAWS, -1),
        "mixture, x from the training pairs": mixture_pairs(mixture, seed, 0),
    }
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharex=True, sharey=True)
    for ax, (title, points), color in zip(axes, panels.items(), (DATA, MODEL, MODEL)):
        ax.scatter(*np.transpose(points), s=2, linewidths=0, color=color, rasterized=True)
        ax.set(title=title, xlabel="x", ylabel="y", xlim=(-15, 15), ylim=(-13, 13), xticks=[-10, 0, 10])
        ax.label_outer()
    save(figure, arguments, "slogan", dpi=80)


def main() -> None:
    arguments = parse_arguments(__doc__)

    def run(seed: int) -> tuple[dict[str, float], tuple]:
        gan = train_gan(seed, 200 if arguments.quick else 30_000)
        mixture, _ = train_tfmdns_way(seed, 20 if arguments.quick else 200)
        return evaluate(gan, mixture, seed), (gan, mixture)

    gan, mixture = over_seeds(run, arguments.seeds)
    draw(gan, mixture, arguments.seeds[0], arguments)


if __name__ == "__main__":
    main()
