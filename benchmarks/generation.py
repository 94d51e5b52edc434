"""How long it takes to generate sequences: one graph against the same loop in Python.

64 sequences of 200 pen strokes of a GRU of 256 units, whose head is a mixture of 20 bivariate normals with correlation
and the pen's logit. `tfmdn.generate` runs the loop as one call. The peer calls the same Keras model and draws from the
same mixtures step by step, as one does in a notebook. Prints the median and the range of five rounds, in which the two
take turns; a first run of each is not counted.

    python benchmarks/generation.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tables import print_table

import tfmdn

tfd = tfp.distributions
UNITS = 256
TEMPERATURES = {"temperature": 0.5, "scale_temperature": 0.5}


def step_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    point, state = keras.Input((3,)), keras.Input((UNITS,))
    hidden, next_state = keras.layers.GRUCell(UNITS)(point, state)
    return keras.Model(
        [point, state],
        [tfmdn.MDNLayer(20, 2, covariance="full")(hidden), keras.layers.Dense(1)(hidden), next_state],
    )


def in_one_graph(model: keras.Model, count: int, num_steps: int) -> Callable[[], tf.Tensor]:
    def step(point, state):
        offset, pen, state = model([point, state])
        return {"offset": offset, "pen": tfd.Bernoulli(pen, dtype=tf.float32)}, state

    def point_of(draws):
        return tf.concat([draws["offset"], draws["pen"]], -1)

    def generate():
        features, state = tf.zeros((count, 3)), tf.zeros((count, UNITS))
        sequences = tfmdn.generate(step, features, state, num_steps, next_features=point_of, seed=0, **TEMPERATURES)
        return point_of(sequences.draws)

    return generate


def step_by_step(model: keras.Model, count: int, num_steps: int) -> Callable[[], tf.Tensor]:
    def generate():
        point, state, points = tf.zeros((count, 3)), tf.zeros((count, UNITS)), []
        for t in range(num_steps):
            offset, pen, state = model([point, state])
            drawn = offset.temper(**TEMPERATURES).sample(seed=t)
            point = tf.concat([drawn, tfd.Bernoulli(pen, dtype=tf.float32).sample()], -1)
            points.append(point)
        return tf.stack(points, 1)

    return generate


def seconds(generate: Callable[[], tf.Tensor]) -> float:
    start = time.perf_counter()
    generate().numpy()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="4 sequences of 10 steps, for a look")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sequences, arguments.steps, arguments.rounds = 4, 10, 1

    model = step_model()
    methods = {"`tfmdn.generate`, one graph": in_one_graph, "Keras and tfmdn, step by step": step_by_step}
    loops = {name: method(model, arguments.sequences, arguments.steps) for name, method in methods.items()}
    for loop in loops.values():
        loop()
    rounds = [{name: seconds(loop) for name, loop in loops.items()} for _ in range(arguments.rounds)]
    rows = []
    for name in loops:
        times = [each[name] for each in rounds]
        ratio = statistics.median(each[name] / each[next(iter(loops))] for each in rounds)
        rows.append([name, f"{statistics.median(times):.3g}", f"{min(times):.3g} to {max(times):.3g}", f"{ratio:.3g}"])
    title = f"{arguments.sequences} sequences of {arguments.steps} steps"
    print_table(title, ["", "s", "least to most", "ratio to tfmdn"], rows)


if __name__ == "__main__":
    main()
