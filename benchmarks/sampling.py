"""Time and memory of drawing from a mixture: `tfmdn.Mixture` against `tfd.MixtureSameFamily`.

    python benchmarks/sampling.py                # 1,000 conditions x 1,000 draws, K = 20, D = 2
    python benchmarks/sampling.py --quick        # a small size, to see that it runs

The two take turns in one process; the medians of the rounds and their ratio are printed. Every function is compiled by
tf.function and called once before it is timed.
"""

import argparse
import statistics
import time

import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn

tfd = tfp.distributions


def arguments_of(conditions: int, num_components: int, size: int):
    shape = (conditions, num_components)
    loc = tf.random.stateless_normal((*shape, size), [0, 1])
    scale = tf.exp(tf.random.stateless_normal((*shape, size), [0, 2]))
    return tfd.Categorical(logits=tf.random.stateless_normal(shape, [0, 3])), tfd.MultivariateNormalDiag(loc, scale)


def seconds(function) -> float:
    start = time.perf_counter()
    function().numpy()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conditions", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--components", type=int, default=20)
    parser.add_argument("--size", type=int, default=2, help="coordinates of the target")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.conditions, options.draws, options.rounds = 100, 100, 3

    parts = arguments_of(options.conditions, options.components, options.size)
    kinds = {"tfd.MixtureSameFamily": tfd.MixtureSameFamily(*parts), "tfmdn.Mixture": tfmdn.Mixture(*parts)}
    functions = {
        # The sum keeps the copy of the draws to NumPy out of the time.
        name: tf.function(lambda mixture=mixture: tf.reduce_sum(mixture.sample(options.draws)))
        for name, mixture in kinds.items()
    }
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(options.rounds):
        for name, function in functions.items():
            times[name].append(seconds(function))

    print(f"{options.conditions} conditions x {options.draws} draws, K = {options.components}, D = {options.size}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:24s} {1e3 * median:8.1f} ms   ({1e3 * min(times[name]):.1f} to {1e3 * max(times[name]):.1f})")
    print(f"{'ratio':24s} {medians['tfd.MixtureSameFamily'] / medians['tfmdn.Mixture']:8.1f}")


if __name__ == "__main__":
    main()
